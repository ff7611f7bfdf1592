//! [`GeneralHeapBuilder`].

use super::collector::{Settings, Stress};
use super::heap::GeneralHeap;
use super::space::Reserve;
use crate::error::{AllocResult, or_panic};
use crate::os::range::Source;

/// Makes a [`GeneralHeap`] that is not as usual. All sizes are in bytes.
///
/// ```
/// use bhc_rts_alloc::GeneralHeap;
/// use bhc_rts_alloc::general::Stress;
///
/// let heap = GeneralHeap::builder().nursery(256 << 10).limit(64 << 20).build();
/// // For tests: everything moves at every allocation, and is looked at.
/// let hard = GeneralHeap::builder().stress(Stress::Alternating(1)).verify(true).quarantine(4).build();
/// # drop((heap, hard));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct GeneralHeapBuilder(Settings);

/// What is reserved if nothing else is said.
const fn usual_reserve(source: Source) -> u64 {
    match source {
        Source::Portable => 1 << 30, // it may be real memory
        Source::Mapped => 64 << 30,
    }
}

impl GeneralHeapBuilder {
    pub(super) const fn new() -> Self {
        Self(Settings {
            nursery: 1 << 20,
            reserve: Reserve { wanted: 0, least: 0 },
            limit: usize::MAX,
            huge_pages: true,
            shadow_stack: 64 << 20,
            growth: 100,
            growth_at_least: 0,
            stress: None,
            verify: false,
            quarantine: 0,
            remembered: usize::MAX,
            source: Source::NATIVE,
        })
    }

    /// The size of the nursery: 1 MiB by default, which is in the cache of level 2, and at least 8 KiB. With a larger one
    /// fewer objects live long enough to be copied, and pauses are longer. Rounded up to 8 KiB; at most a sixteenth of what is
    /// reserved, and of the limit.
    pub fn nursery(mut self, bytes: usize) -> Self {
        self.0.nursery = bytes;
        self
    }

    /// How much memory the heap can ever have: addresses, which cost nothing, are reserved for it at once; 64 GiB by
    /// default, of which a process has room for about 1800 heaps; less, down to 64 MiB, where the system does not grant that. Rounded up to 4 MiB.
    pub fn reserve(mut self, bytes: usize) -> Self {
        self.0.reserve = Reserve { wanted: bytes, least: bytes };
        self
    }

    /// The most memory that nursery, objects and raw bytes may take, and what is held for copies; by default there is
    /// no limit but what is reserved. Nearly half of it can be small objects that live, since a collection copies them;
    /// large objects and raw bytes count once. Requests beyond it are refused. The nursery is at most a sixteenth of
    /// it.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.0.limit = bytes;
        self
    }

    /// Whether the system is asked for huge pages, where it has them, once the heap is larger than 4 MiB: by default it
    /// is. What lives in a large heap is everywhere in it, and most of the time of reading it may go into finding its
    /// pages.
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.0.huge_pages = huge_pages;
        self
    }

    /// How much the shadow stack of [raw](GeneralHeap::raw) code holds: 64 MiB by default, which are addresses until
    /// they are used.
    pub fn shadow_stack(mut self, bytes: usize) -> Self {
        self.0.shadow_stack = bytes;
        self
    }

    /// When to collect all: when `percent` of what lived after the last full collection has come to the old generation
    /// since, and at least `bytes`. By default 100 percent (GHC's factor of 2), and eight nurseries, at least 16 MiB.
    pub fn growth(mut self, percent: u32, bytes: usize) -> Self {
        (self.0.growth, self.0.growth_at_least) = (percent, bytes.max(1));
        self
    }

    /// For tests: collects at every n-th allocation.
    pub fn stress(mut self, stress: Stress) -> Self {
        self.0.stress = Some(stress);
        self
    }

    /// For tests: after every collection the heap is [verified](GeneralHeap::verify); it panics if something is wrong.
    pub fn verify(mut self, verify: bool) -> Self {
        self.0.verify = verify;
        self
    }

    /// For tests: memory that objects were moved out of is made inaccessible, and not used again before so many other
    /// pieces of it (nurseries, and blocks of 128 KiB) have been retired. A stale pointer ends the program then. Where
    /// memory cannot be protected it is only filled, in debug builds.
    pub fn quarantine(mut self, pieces: usize) -> Self {
        self.0.quarantine = pieces;
        self
    }

    /// The most objects that the write barrier remembers one by one between two collections; by default there is no
    /// such limit. Beyond it, as if there is no memory for the list, the next minor collection looks at all old
    /// objects.
    pub fn remembered(mut self, entries: usize) -> Self {
        self.0.remembered = entries;
        self
    }

    /// Takes memory from the standard library's `System` allocator, in one block, rather than from the system's virtual
    /// memory: what the heap does on targets without, here to be tried. It is of 1 GiB unless [told](Self::reserve),
    /// and none of it goes back before the heap is dropped.
    pub fn portable(mut self) -> Self {
        self.0.source = Source::Portable;
        self
    }

    /// Makes the heap.
    ///
    /// # Panics
    /// If there is no address space, or memory, for it.
    #[track_caller]
    pub fn build(self) -> GeneralHeap {
        or_panic(self.try_build())
    }

    /// Makes the heap.
    ///
    /// # Errors
    /// [`OutOfMemory`](crate::AllocError::OutOfMemory) if there is no address space, or memory, for it.
    pub fn try_build(self) -> AllocResult<GeneralHeap> {
        let mut settings = self.0;
        if settings.reserve.wanted == 0 {
            let wanted = usize::try_from(usual_reserve(settings.source)).unwrap_or(128 << 20);
            settings.reserve = Reserve { wanted, least: 64 << 20 };
        }
        if settings.growth_at_least == 0 {
            settings.growth_at_least = settings.nursery.saturating_mul(8).max(16 << 20);
        }
        GeneralHeap::build(settings)
    }
}
