//! A new heap in the place of the old one would end the old one's blocks.

use bhc_rts_alloc::{Align, PinnedHeap};

fn main() {
    let mut heap = PinnedHeap::new();
    let mut buffer = heap.alloc_buffer::<f32, Align<64>>(100);
    heap = PinnedHeap::new();
    buffer[0] = 1.0;
    heap.trim();
}
