//! A buffer that borrows a heap ends before the heap does; `Arc<PinnedHeap>` is for one that does not.

use bhc_rts_alloc::{Align, PinnedHeap, SimdBuffer};

fn escape<'h>() -> SimdBuffer<f32, Align<64>, &'h PinnedHeap> {
    let heap = PinnedHeap::new();
    heap.alloc_buffer(100)
}

fn main() {
    let kept;
    {
        let heap = PinnedHeap::new();
        kept = heap.alloc_buffer::<f32, Align<64>>(100);
    }
    drop(kept);

    let leaked;
    {
        let heap = PinnedHeap::new();
        leaked = heap.alloc_buffer::<f32, Align<64>>(100).leak();
    }
    leaked[0] = 1.0;
}
