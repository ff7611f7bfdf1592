//! Blocks would survive the move; a buffer that knows where its heap is does not.

use std::sync::Arc;

use bhc_rts_alloc::{Align, PinnedHeap};

struct Runtime {
    heap: Arc<PinnedHeap>,
}

fn main() {
    let heap = PinnedHeap::new();
    let buffer = heap.alloc_buffer::<f32, Align<64>>(100);
    let runtime = Runtime { heap: Arc::new(heap) };
    drop(buffer);
    runtime.heap.trim();
}
