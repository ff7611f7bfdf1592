//! Writing the elements needs the heap alone: nobody may see them change.

use bhc_rts_alloc::{Align, GeneralHeap};

fn main() {
    let mut heap = GeneralHeap::new();
    let array = heap.new_data::<f32, Align<64>>(&[1.0; 100]);
    let seen = array.get(&heap);
    heap.data_mut(&array)[0] = 2.0;
    println!("{}", seen[0]);
    let written = heap.data_mut(&array);
    let second = heap.data_mut(&array);
    second[0] = written[1];
}
