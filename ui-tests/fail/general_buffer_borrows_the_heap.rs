//! A buffer within `&heap` keeps it from collecting: one within `heap.bytes()` does not.

use bhc_rts_alloc::general::Collection;
use bhc_rts_alloc::{Align, GeneralHeap, Place};

fn main() {
    let mut heap = GeneralHeap::new();
    let buffer = Place::<Align<64>>::new().within(&heap).zeroed::<f32>(100);
    heap.collect(Collection::Full);
    println!("{}", buffer[0]);
}
