//! The contract of a region, for heaps of all kinds.

use std::sync::Arc;

use bhc_rts_alloc::{PinnedHeap, PinnedHeapBuilder, Segment, SegmentObserver};

use super::contract::Limits;
use crate::contract_tests;

/// Runs a test as it is: each has a heap of its own, with statistics of its own.
fn here(test: impl FnOnce()) {
    test();
}

/// Beyond all size classes, and into blocks of several segments.
const ALL: Limits = Limits { max_align: 1 << 22, max_size: (1 << 22) + (1 << 16) };

/// Beyond all size classes: what is larger was asked of the heap above.
const LIMITS: Limits = Limits { max_align: 1 << 18, max_size: 1 << 18 };

struct Nobody;

impl SegmentObserver for Nobody {
    fn added(&self, _: Segment) -> bool {
        true
    }
    fn removed(&self, _: Segment) -> bool {
        true
    }
}

fn builder() -> PinnedHeapBuilder {
    PinnedHeap::builder()
}

contract_tests!(usual, make = PinnedHeap::new(), limits = ALL, run = here);
contract_tests!(without_caches, make = builder().thread_caches(false).build(), limits = LIMITS, run = here);
contract_tests!(portable, make = builder().portable().build(), limits = LIMITS, run = here);
contract_tests!(
    portable_without_caches,
    make = builder().portable().thread_caches(false).build(),
    limits = LIMITS,
    run = here
);
contract_tests!(observed, make = builder().observer(Arc::new(Nobody)).build(), limits = LIMITS, run = here);
contract_tests!(shared, make = Arc::new(PinnedHeap::new()), limits = LIMITS, run = here);
