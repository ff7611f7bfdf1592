//! A heap is made when the program runs; `PinnedGlobal` is for a static, or a `LazyLock`.

use bhc_rts_alloc::{PinnedGlobal, PinnedHeap};

static HEAP: PinnedHeap = PinnedHeap::new();
static GLOBAL: PinnedGlobal = PinnedGlobal::new();

fn main() {
    HEAP.trim();
    assert!(GLOBAL.heap().is_none());
}
