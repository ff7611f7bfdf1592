//! Pointers lead to objects of the heap.

use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Named / NamedInit { ptr name: String, } }

fn main() {
    let mut heap = GeneralHeap::new();
    heap.new_gc::<u64>(5);
    let _names = heap.new_pointers::<&str>(10);
}
