//! Whoever frees a block promises that it is one, of that layout, and not used again.

use std::alloc::Layout;

use bhc_rts_alloc::{MemoryRegion, PinnedHeap};

fn main() {
    let heap = PinnedHeap::new();
    let layout = Layout::new::<u64>();
    let block = heap.alloc(layout).unwrap();
    let block = heap.realloc(block, layout, 16).unwrap();
    heap.dealloc(block, Layout::new::<u128>());
}
