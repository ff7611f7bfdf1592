//! The blocks end with the heap, so it stays while a buffer lives.

use bhc_rts_alloc::{Align, PinnedHeap};

fn main() {
    let heap = PinnedHeap::new();
    let mut buffer = heap.alloc_buffer::<f32, Align<64>>(100);
    drop(heap);
    buffer[0] = 1.0;
}
