//! Whatever is moved must be aligned again, so there is an end to it: 32 KiB.

use bhc_rts_alloc::{Align, GeneralHeap};

#[derive(Clone, Copy)]
#[repr(align(65536))]
struct Wide(#[allow(dead_code)] u8);

fn main() {
    let mut heap = GeneralHeap::new();
    let _ = heap.new_data::<u8, Align<65536>>(&[1, 2, 3]);
    let _ = heap.new_data::<Wide, Align<8>>(&[Wide(1)]);
}
