//! A thread that nobody waits for may outlive the heap: its buffer has to keep the heap, or the heap to be a static.

use bhc_rts_alloc::{Align, PinnedHeap};

fn main() {
    let heap = PinnedHeap::new();
    let mut buffer = heap.alloc_buffer::<f32, Align<64>>(100);
    std::thread::spawn(move || buffer[0] = 1.0);
}
