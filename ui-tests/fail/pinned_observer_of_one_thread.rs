//! An observer is called by whichever thread needs memory.

use std::cell::RefCell;
use std::sync::Arc;

use bhc_rts_alloc::{PinnedHeap, Segment, SegmentObserver};

struct Segments(RefCell<Vec<usize>>);

impl SegmentObserver for Segments {
    fn added(&self, segment: Segment) -> bool {
        self.0.borrow_mut().push(segment.index);
        true
    }
    fn removed(&self, _: Segment) -> bool {
        true
    }
}

fn main() {
    drop(PinnedHeap::builder().observer(Arc::new(Segments(RefCell::default()))).build());
}
