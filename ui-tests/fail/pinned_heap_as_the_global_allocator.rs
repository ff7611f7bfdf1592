//! The global allocator is a `PinnedGlobal`.

use std::sync::LazyLock;

use bhc_rts_alloc::PinnedHeap;

#[global_allocator]
static GLOBAL: LazyLock<PinnedHeap> = LazyLock::new(PinnedHeap::new);

fn main() {}
