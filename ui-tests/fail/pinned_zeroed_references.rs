//! Zeros are no references.

use bhc_rts_alloc::{Align, PinnedHeap};

fn main() {
    let heap = PinnedHeap::new();
    let buffer = heap.alloc_buffer::<&u8, Align<64>>(4);
    assert_eq!(*buffer[0], 0);
}
