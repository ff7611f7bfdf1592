//! [`PinnedHeapBuilder`].

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::engine::Settings;
use super::heap::PinnedHeap;
use super::misuse::{self, Misuse};
use super::observer::SegmentObserver;
use super::report::{self, LeakReport};
use crate::error::{AllocResult, or_panic};
use crate::os::range::Source;

/// Makes a [`PinnedHeap`] that is not as usual.
///
/// ```
/// use bhc_rts_alloc::{AllocError, MemoryRegion, PinnedHeap};
/// use std::alloc::Layout;
///
/// let heap = PinnedHeap::builder().limit(1 << 20).build();
/// let error = heap.alloc(Layout::from_size_align(1 << 24, 8).unwrap()).unwrap_err();
/// assert_eq!(error, AllocError::OutOfMemory { requested: 1 << 24, available: 1 << 20 });
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct PinnedHeapBuilder(Settings);

/// What is reserved if nothing else is said: more than the machine has memory, as pages may stay untouched, and little enough
/// for a thousand heaps in the 128 TiB of a process.
fn usual_reserve(source: Source) -> usize {
    let bytes: u64 = match source {
        Source::Portable => 4 << 30, // it may be real memory
        Source::Mapped => (crate::os::physical_memory() as u64).saturating_mul(4).clamp(64 << 30, 1 << 40),
    };
    usize::try_from(bytes).unwrap_or(128 << 20) // where addresses are short
}

impl PinnedHeapBuilder {
    pub(super) const fn new() -> Self {
        Self(Settings {
            reserve: 0,
            limit: usize::MAX,
            decay: 1000,
            caches: true,
            source: Source::NATIVE,
            on_misuse: &misuse::abort,
            on_leak: &report::complain,
            observer: None,
        })
    }

    /// How much memory the heap can ever have, in bytes: addresses, which cost nothing, are reserved for it at once. By default
    /// four times the machine's memory, from 64 GiB to 1 TiB, of which a process has room for about a thousand heaps. Rounded up
    /// to whole segments of 4 MiB; halved until it is granted.
    pub fn reserve(mut self, bytes: usize) -> Self {
        self.0.reserve = bytes;
        self
    }

    /// The most memory that blocks may take from the system, in bytes; by default there is no limit. Requests beyond it are
    /// refused. What is kept for reuse counts as long as it is not given back, which is done before a request is refused (but other
    /// threads' own free blocks stay theirs). Blocks to 64 KiB come from spans of 64 to 512 KiB, which count as a whole.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.0.limit = bytes;
        self
    }

    /// How long memory stays free before it goes back to the system; by default one second. Whether it is time is looked at when
    /// a thread comes to the heap for more than its own free blocks; an idle program gives back nothing by itself.
    pub fn decay(mut self, time: Duration) -> Self {
        self.0.decay = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).min(i32::MAX as u32);
        self
    }

    /// Whether threads keep free blocks of their own; by default they do. Without, every block goes straight to its span under
    /// the lock of its class: about ten times slower, nothing is kept anywhere, and [misuse](super::Misuse) is found at the
    /// free itself.
    pub fn thread_caches(mut self, caches: bool) -> Self {
        self.0.caches = caches;
        self
    }

    /// What to do about [misuse](super::Misuse): by default it is printed and the program aborted. If `policy` returns, the free is
    /// left undone. It is called with no lock held and may use this heap, but not drop it; if it panics the program is aborted.
    pub fn on_misuse(mut self, policy: &'static (dyn Fn(&Misuse) + Send + Sync)) -> Self {
        self.0.on_misuse = policy;
        self
    }

    /// What to do when the heap is dropped while blocks live: by default a report goes to the standard error output. The
    /// blocks end in any case. If `policy` panics the program is aborted.
    pub fn on_leak(mut self, policy: &'static (dyn Fn(&LeakReport<'_>) + Send + Sync)) -> Self {
        self.0.on_leak = policy;
        self
    }

    /// Who is told of each segment of memory. See [`SegmentObserver`] for what a heap does not do then.
    pub fn observer(mut self, observer: Arc<dyn SegmentObserver>) -> Self {
        self.0.observer = Some(observer);
        self
    }

    /// Takes memory from the standard library's `System` allocator, in one block, rather than from the system's virtual memory:
    /// what the heap does on targets without, here to be tried. It is of 4 GiB unless [told](Self::reserve), and none of it
    /// goes back before the heap is dropped.
    pub fn portable(mut self) -> Self {
        self.0.source = Source::Portable;
        self
    }

    /// Makes the heap.
    ///
    /// # Panics
    /// If there is no address space for it.
    #[track_caller]
    pub fn build(self) -> PinnedHeap {
        or_panic(self.try_build())
    }

    /// Makes the heap.
    ///
    /// # Errors
    /// [`OutOfMemory`](crate::AllocError::OutOfMemory) if there is no address space for it.
    pub fn try_build(self) -> AllocResult<PinnedHeap> {
        let mut settings = self.0;
        if settings.reserve == 0 {
            settings.reserve = usual_reserve(settings.source);
        }
        PinnedHeap::build(settings)
    }
}

impl fmt::Debug for PinnedHeapBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { reserve, limit, decay, caches, source, .. } = &self.0;
        f.debug_struct("PinnedHeapBuilder")
            .field("reserve", reserve)
            .field("limit", limit)
            .field("decay", decay)
            .field("thread_caches", caches)
            .field("source", source)
            .finish_non_exhaustive()
    }
}
