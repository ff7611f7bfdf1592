//! A heap promises alignments up to its segments' 4 MiB at compile time; more is asked for at run time.

use std::sync::Arc;

use bhc_rts_alloc::{Align, PinnedHeap, Place, SimdBuffer};

fn main() {
    let heap = PinnedHeap::new();
    drop(heap.alloc_buffer::<f32, Align<8388608>>(100));
    drop(heap.try_alloc_buffer::<f32, Align<8388608>>(100));
    let buffer: SimdBuffer<f32, Align<8388608>, Arc<PinnedHeap>> = Place::new().within(Arc::new(heap)).zeroed(100);
    drop(buffer);
}
