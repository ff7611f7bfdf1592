//! There is one of each heap: it is shared by reference, or in an `Arc`.

use bhc_rts_alloc::PinnedHeap;

#[derive(Clone)]
struct Runtime {
    heap: PinnedHeap,
}

fn main() {
    let heap = PinnedHeap::new();
    let copy = heap.clone();
    drop((copy, Runtime { heap }));
}
