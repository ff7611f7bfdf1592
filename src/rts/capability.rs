//! [`Capability`].

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use super::by_region::{ByRegion, Nowhere};
use super::config::Config;
use super::shared::SharedPinned;
use super::stats::CapabilityStats;
use crate::align::Alignment;
use crate::arena::HotArena;
use crate::buffer::Place;
use crate::error::{AllocError, AllocResult, or_panic};
use crate::general::GeneralHeap;
use crate::region::{MemoryRegion, RegionKind};
use crate::system::System;

/// What one mutator has: a Hot Arena and a General Heap of its own, and a Pinned Heap that it shares with others.
/// (GHC's word; there it is what a thread must hold to run Haskell code.)
///
/// Typed code takes the [parts](Self::parts). What chooses the region at run time [allocates](Self::alloc) by kind,
/// takes the [region](Self::region) behind the common trait, or makes [buffers](Self::place) that can be turned into
/// typed ones.
///
/// It is for one thread at a time, and stays on it (it is not `Send`, as the General Heap is not). Dropping it ends what
/// is in the arena and the objects; the pinned heap lives as long as anybody shares it.
///
/// ```
/// use bhc_rts_alloc::general::Collection;
/// use bhc_rts_alloc::{Align, Alignment, Capability, Gc, MemoryRegion, Place, RegionKind, gc_object};
///
/// gc_object! { pub struct Boxed / BoxedInit { data value: u64, } }
///
/// let mut capability = Capability::new();
///
/// // Typed: each region by itself, side by side.
/// let parts = capability.parts();
/// let boxed = parts.general.new_root::<Boxed>(BoxedInit { value: 40 });
/// let sum = parts.arena.scope(|scope| {
///     let temporary = Place::<Align<64>>::new().within(&*scope).from_slice(&[1u64, 1]);
///     parts.general.collect(Collection::Minor);
///     temporary.iter().sum::<u64>() + boxed.get(parts.general).value
/// });
/// assert_eq!(sum, 42);
///
/// // At run time: region and alignment are values.
/// for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General, RegionKind::System] {
///     let block = capability.alloc(kind, 100, Alignment::Simd512)?;
///     assert_eq!(block.addr().get() % 64, 0);
///     // SAFETY: allocated just above, from that region with that size and alignment, and not used again.
///     unsafe { capability.dealloc(kind, block, 100, Alignment::Simd512) };
/// }
/// println!("{}", capability.stats());
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
pub struct Capability {
    arena: HotArena,
    general: GeneralHeap,
    pinned: SharedPinned,
}

static_assertions::assert_not_impl_any!(Capability: Send, Sync, Clone);

/// The regions of a [`Capability`] apart, to be used side by side: what [`Capability::parts`] gives.
#[derive(Debug)]
pub struct Parts<'c> {
    /// For the temporaries of kernels.
    pub arena: &'c mut HotArena,
    /// For boxed values.
    pub general: &'c mut GeneralHeap,
    /// For foreign functions and devices; shared.
    pub pinned: &'c SharedPinned,
}

impl Capability {
    /// One with all as it is usual, and a Pinned Heap of its own.
    ///
    /// # Panics
    /// If there is no address space, or memory, for it.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        or_panic(Self::try_new())
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no address space, or memory, for it.
    pub fn try_new() -> AllocResult<Self> {
        Config::new().try_build()
    }

    pub(super) fn of(arena: HotArena, general: GeneralHeap, pinned: SharedPinned) -> Self {
        Self { arena, general, pinned }
    }

    /// The regions apart, for code that knows which it wants: scopes, typed objects, collections. Free.
    ///
    /// What was [allocated](Self::alloc) by kind from the arena ends if the arena is reset through this.
    #[inline]
    pub fn parts(&mut self) -> Parts<'_> {
        let Self { arena, general, pinned } = self;
        Parts { arena, general, pinned }
    }

    /// The Hot Arena.
    #[inline]
    #[must_use]
    pub const fn arena(&self) -> &HotArena {
        &self.arena
    }

    /// The General Heap.
    #[inline]
    #[must_use]
    pub const fn general(&self) -> &GeneralHeap {
        &self.general
    }

    /// The Pinned Heap, to be shared with other capabilities, which may be other threads'.
    #[inline]
    #[must_use]
    pub const fn pinned(&self) -> &SharedPinned {
        &self.pinned
    }

    /// The region of that kind. Of the General Heap, these are raw bytes, which never move and are freed explicitly.
    ///
    /// A capability has no region of the kind [`Other`](RegionKind::Other): what it answers then refuses every request
    /// with [`RegionExhausted`](AllocError::RegionExhausted).
    #[must_use]
    pub fn region(&self, kind: RegionKind) -> &dyn MemoryRegion {
        match kind {
            RegionKind::System => &System,
            RegionKind::HotArena => &self.arena,
            RegionKind::Pinned => &*self.pinned,
            RegionKind::General => &self.general,
            RegionKind::Other => &Nowhere,
        }
    }

    /// As [`region`](Self::region), as a value that a buffer can hold and that says later which it was.
    #[must_use]
    pub fn by_region(&self, kind: RegionKind) -> ByRegion<'_> {
        match kind {
            RegionKind::System => ByRegion::System,
            RegionKind::HotArena => ByRegion::HotArena(&self.arena),
            RegionKind::Pinned => ByRegion::Pinned(&self.pinned),
            RegionKind::General => ByRegion::General(self.general.bytes()),
            RegionKind::Other => ByRegion::Nowhere,
        }
    }

    /// Where buffers go whose region and alignment are chosen at run time: its `try_` constructors make
    /// [`RuntimeBuffer`](super::RuntimeBuffer)s. They borrow the capability; for use beside its [parts](Self::parts) there
    /// are places over these: `Place::at(alignment).within(ByRegion::from(&**parts.pinned))`.
    ///
    /// ```
    /// use bhc_rts_alloc::{Alignment, Capability, RegionKind, detect_simd_alignment};
    /// let capability = Capability::new();
    /// let buffer = capability.place(RegionKind::HotArena, detect_simd_alignment()).try_filled(1000, 1.0f32)?;
    /// assert_eq!(buffer.iter().sum::<f32>(), 1000.0);
    /// # Ok::<(), bhc_rts_alloc::AllocError>(())
    /// ```
    #[must_use]
    pub fn place(&self, kind: RegionKind, alignment: Alignment) -> Place<Alignment, ByRegion<'_>> {
        Place::at(alignment).within(self.by_region(kind))
    }

    /// Allocates `size` bytes, uninitialised, from the region of that kind, aligned to `alignment`: what a runtime calls
    /// that decides both as it goes. A size of 0 gives an aligned address and no block.
    ///
    /// Cost: a jump by the kind, and what that region's allocation costs for a layout that is no constant. It is all
    /// inlined, but for the process allocator: as a call, with its result in memory, it would take twice as long.
    ///
    /// # Errors
    /// [`Overflow`](AllocError::Overflow) if size and alignment do not fit the address space, else what the region says.
    #[inline(always)]
    pub fn alloc(&self, kind: RegionKind, size: usize, alignment: Alignment) -> AllocResult<NonNull<u8>> {
        let layout = Layout::from_size_align(size, alignment.as_usize()).map_err(|_| AllocError::Overflow)?;
        match kind {
            RegionKind::HotArena => MemoryRegion::alloc(&self.arena, layout),
            RegionKind::Pinned => self.pinned.alloc(layout),
            RegionKind::General => self.general.alloc(layout),
            RegionKind::System | RegionKind::Other => self.alloc_outside(kind, layout),
        }
    }

    /// What [`alloc`](Self::alloc) has not inline, so that its callers stay small.
    #[inline(never)]
    fn alloc_outside(&self, kind: RegionKind, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.region(kind).alloc(layout)
    }

    /// As [`alloc_outside`](Self::alloc_outside), for the other way.
    ///
    /// # Safety
    /// As for [`MemoryRegion::dealloc`] of the region of that kind.
    #[inline(never)]
    unsafe fn dealloc_outside(&self, kind: RegionKind, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.region(kind).dealloc(block, layout) }
    }

    /// Gives a block back that [`alloc`](Self::alloc) gave.
    ///
    /// # Safety
    /// As for [`MemoryRegion::dealloc`]: a live block of the region of that kind, of this size and alignment, which is
    /// not used afterwards.
    #[inline(always)]
    pub unsafe fn dealloc(&self, kind: RegionKind, block: NonNull<u8>, size: usize, alignment: Alignment) {
        // SAFETY: the caller's promise: `alloc` took the same size and alignment for a layout.
        unsafe {
            let layout = Layout::from_size_align_unchecked(size, alignment.as_usize());
            match kind {
                RegionKind::HotArena => self.arena.dealloc(block, layout),
                RegionKind::Pinned => self.pinned.dealloc(block, layout),
                RegionKind::General => self.general.dealloc(block, layout),
                RegionKind::System | RegionKind::Other => self.dealloc_outside(kind, block, layout),
            }
        }
    }

    /// What all regions have given and taken back, and what the collector did: printed, a table.
    #[must_use]
    pub fn stats(&self) -> CapabilityStats {
        CapabilityStats::of(self)
    }
}

impl Default for Capability {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arena, general, pinned } = self;
        f.debug_struct("Capability").field("arena", arena).field("general", general).field("pinned", pinned).finish()
    }
}
