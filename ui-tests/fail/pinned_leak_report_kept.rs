//! What lives when a heap goes is told while the heap is there; what is to be kept is copied.

use std::sync::Mutex;

use bhc_rts_alloc::{LeakReport, PinnedHeap};

static REPORTS: Mutex<Vec<LeakReport<'static>>> = Mutex::new(Vec::new());

fn main() {
    drop(PinnedHeap::builder().on_leak(&|report| REPORTS.lock().unwrap().push(*report)).build());
}
