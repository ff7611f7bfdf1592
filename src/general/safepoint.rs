//! [`Safepoint`]: what asks a heap to collect, from any thread.

use core::fmt;

use super::mutator::Shared;
use super::statistics::Collection;
use crate::owned;

/// Asks a heap to collect at its next safepoint, from any thread: an allocation, or [`GeneralHeap::safepoint`](super::GeneralHeap::safepoint). May
/// outlive the heap.
///
/// ```
/// use bhc_rts_alloc::GeneralHeap;
/// use bhc_rts_alloc::general::Collection;
///
/// let mut heap = GeneralHeap::new();
/// let safepoint = heap.safepoint_handle();
/// std::thread::spawn(move || safepoint.request(Collection::Full)).join().unwrap();
/// heap.safepoint();
/// assert_eq!(heap.gc_stats().full_collections, 1);
/// ```
#[derive(Clone)]
pub struct Safepoint {
    shared: owned::Shared<Shared>,
}

static_assertions::assert_impl_all!(Safepoint: Send, Sync);

impl Safepoint {
    pub(super) fn new(shared: owned::Shared<Shared>) -> Self {
        Self { shared }
    }

    /// Asks for a collection. Several requests before it are one; a full one is stronger.
    pub fn request(&self, kind: Collection) {
        self.shared.request(kind);
    }
}

impl fmt::Debug for Safepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Safepoint").finish_non_exhaustive()
    }
}
