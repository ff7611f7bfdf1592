//! Elements of an array of pointers change by `heap.set_element` and are read by `element`: never by `&mut` or by
//! value.

use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Number / NumberInit { data value: u64, } }

fn main() {
    let mut heap = GeneralHeap::new();
    let array = heap.new_pointers::<Number>(10);
    let array = array.get(&heap);
    let first = array[0];
    array.swap(0, 1);
    println!("{first:?}");
}
