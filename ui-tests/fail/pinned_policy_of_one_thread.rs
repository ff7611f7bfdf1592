//! A policy is called on whichever thread finds something.

use std::cell::Cell;

use bhc_rts_alloc::PinnedHeap;

fn main() {
    let misused = Cell::new(false);
    drop(PinnedHeap::builder().on_misuse(&|_| misused.set(true)).build());
}
