//! [`SegmentObserver`]: whoever must know of a heap's memory before blocks are made of it.

use core::ptr::NonNull;

/// One segment of a heap's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number: what [`locate`](super::PinnedHeap::locate) tells of its blocks. The same for the life of the heap.
    pub index: usize,
    /// Where it starts, a multiple of its size.
    pub start: NonNull<u8>,
    /// Its size, in bytes: the same for all.
    pub size: usize,
}

// SAFETY: it says where memory is; whoever uses that needs a reason of their own.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

/// Is told when a segment of a [`PinnedHeap`](super::PinnedHeap) comes and goes, so that a device can have it registered (as
/// `io_uring`'s fixed buffers, for RDMA, for CUDA) once, and all blocks with it. The shape is SPDK's `spdk_mem_map`.
///
/// Between the two calls the segment's pages are never given back to the system, nor moved: a page that is given back while
/// a device has it is replaced under its feet, and what the device writes then is lost without an error. So a heap with an observer
/// keeps its memory until it is dropped.
///
/// A block larger than what is left of its segment goes on in the next one.
///
/// The calls come from whichever thread needs memory, one at a time, with no lock held that freeing or statistics need. They must not allocate
/// from the heap itself, and must not unwind.
pub trait SegmentObserver: Send + Sync {
    /// The segment is about to be used. `false` if it cannot be registered: then the request fails, and the next one asks
    /// again.
    fn added(&self, segment: Segment) -> bool;

    /// The heap is being dropped and the segment is not used any more. `false` if the device still has it: then the heap's
    /// memory stays mapped for ever.
    fn removed(&self, segment: Segment) -> bool;
}
