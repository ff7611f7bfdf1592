//! A builder that is told something and does not build is a mistake.
#![deny(unused_must_use)]

use std::time::Duration;

use bhc_rts_alloc::PinnedHeap;

fn main() {
    let builder = PinnedHeap::builder();
    builder.clone().limit(1 << 20);
    builder.decay(Duration::ZERO);
    PinnedHeap::new();
}
