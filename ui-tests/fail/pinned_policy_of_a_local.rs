//! A policy lives as long as any heap may.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bhc_rts_alloc::PinnedHeap;

fn main() {
    let leaks = AtomicUsize::new(0);
    drop(PinnedHeap::builder().on_leak(&|report| leaks.store(report.blocks, Relaxed)).build());
}
