//! [`HotArenaBuilder`]: the ways to make an arena.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::base::{Base, GRANULE, Policy};
use super::chunk::{self, Chunk};
use super::hot::HotArena;
use crate::align::{Align, KnownAlign};
use crate::error::{AllocError, AllocResult, or_panic};
use crate::region::{MemoryRegion, RegionKind, dangling};
use crate::stats::AllocStats;
use crate::system::System;

/// How an arena is to be: alignment, capacity, limit, where its memory comes from. Made by
/// [`HotArena::builder`](super::HotArena::builder).
///
/// ```
/// use bhc_rts_alloc::{Align, AllocError, HotArena};
/// use std::alloc::Layout;
///
/// let arena = HotArena::builder().align::<Align<64>>().capacity(4096).fixed().build();
/// assert_eq!(arena.capacity(), 4096);
/// arena.alloc([0u8; 4000]);
/// let refused = arena.try_alloc([0u8; 100]).unwrap_err();
/// assert_eq!(refused.1, AllocError::OutOfMemory { requested: 100, available: 64 });
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder makes an arena only when it is told to: `build`"]
pub struct HotArenaBuilder<A: KnownAlign = Align<8>, R: MemoryRegion = System> {
    capacity: usize,
    fixed: bool,
    policy: Policy,
    region: R,
    _align: PhantomData<A>,
}

impl HotArenaBuilder {
    pub(super) const fn new() -> Self {
        Self { capacity: 0, fixed: false, policy: Policy::DEFAULT, region: System, _align: PhantomData }
    }
}

impl<A: KnownAlign, R: MemoryRegion> HotArenaBuilder<A, R> {
    /// The minimum alignment: `Align<8>` unless this is called.
    pub fn align<B: KnownAlign>(self) -> HotArenaBuilder<B, R> {
        let Self { capacity, fixed, policy, region, _align } = self;
        HotArenaBuilder { capacity, fixed, policy, region, _align: PhantomData }
    }

    /// Room for so many bytes at once, in the first chunk. 0 unless this is called: the first chunk comes with the first request.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// No more than the capacity, ever.
    pub fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// At most so many bytes from the backing, for all chunks with their headers, kept ones included. Requests beyond are refused;
    /// where nothing is live and the first chunk is too small, [`shrink`](HotArena::shrink) makes way.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.policy.limit = bytes;
        self
    }

    /// Whether every block gets a chunk of its own, and those of a scope or a mark go back to the backing when it ends. For
    /// finding use of memory after its scope: a sanitizer, a hardened `malloc` or an unmapped page then notices it. Slow, and no
    /// block grows in place. There is no first chunk then; a capacity that is fixed is a limit on what all blocks take.
    pub fn isolate_scopes(mut self, isolate: bool) -> Self {
        self.policy.isolate = isolate;
        self
    }

    /// Chunks come from another region, which the arena will hold: a reference, an `Arc`, or the region itself. A region must
    /// not use the arena that it backs: what it asks of it meanwhile is refused.
    pub fn within<Q: MemoryRegion>(self, region: Q) -> HotArenaBuilder<A, Q> {
        let Self { capacity, fixed, mut policy, region: _, _align } = self;
        policy.granule = GRANULE;
        HotArenaBuilder { capacity, fixed, policy, region, _align }
    }

    /// Chunks are made of huge pages, where the system has them: see [`HugePages`](super::HugePages).
    #[cfg(feature = "std")]
    pub fn huge_pages(self) -> HotArenaBuilder<A, super::HugePages> {
        let mut builder = self.within(super::HugePages::new());
        builder.policy.granule = super::HugePages::SIZE;
        builder
    }

    /// The arena.
    ///
    /// # Panics
    /// With the error's text.
    #[must_use]
    #[track_caller]
    pub fn build(self) -> HotArena<A, R> {
        or_panic(self.try_build())
    }

    /// The arena. Without a capacity nothing is asked of the backing yet.
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if the backing or the limit does not allow the capacity,
    /// [`Overflow`](AllocError::Overflow) if no block can be that large.
    pub fn try_build(self) -> AllocResult<HotArena<A, R>> {
        let Self { capacity, fixed, mut policy, region, _align } = self;
        let layout = Layout::from_size_align(capacity, A::BYTES).map_err(|_| AllocError::Overflow)?;
        let least = chunk::block_for(layout, A::BYTES).ok_or(AllocError::Overflow)?;
        if policy.isolate {
            // Each block will have a chunk of its own: there is nothing to begin with.
            if fixed {
                policy.limit = policy.limit.min(least);
            }
            return Ok(HotArena::made_of(policy, region));
        }
        let arena = HotArena::<A, R>::made_of(policy, region);
        if capacity > 0 {
            // SAFETY: the arena is live and holds nothing; the chunk is new, and of its unit.
            unsafe {
                let Some(chunk) = Base::new_chunk(arena.base(), least, fixed) else {
                    let available = if least > policy.limit { policy.limit } else { 0 };
                    return Err(AllocError::OutOfMemory { requested: capacity, available });
                };
                if fixed {
                    Chunk::cut(chunk, layout.pad_to_align().size(), A::BYTES);
                }
                arena.adopt(chunk);
            }
            arena.store().grow_from_here();
        }
        if fixed {
            arena.store().fix();
        }
        Ok(arena)
    }
}

impl<A: KnownAlign> HotArenaBuilder<A> {
    /// An arena over the caller's memory, which it never leaves: for programs without an allocator. A few words at its start are
    /// the arena's own. When it is full requests are refused.
    ///
    /// What else the builder was told, but the alignment, says nothing here.
    ///
    /// ```
    /// use bhc_rts_alloc::HotArena;
    /// use std::mem::MaybeUninit;
    ///
    /// let mut memory = [MaybeUninit::uninit(); 1024];
    /// let mut arena = HotArena::builder().over(&mut memory);
    /// let sum = arena.scope(|scope| scope.alloc_slice_fill_with(100, |i| i as u32).iter().sum::<u32>());
    /// assert_eq!(sum, 4950);
    /// assert!(arena.try_alloc([0u8; 1024]).is_err());
    /// ```
    #[must_use]
    pub fn over(self, memory: &mut [MaybeUninit<u8>]) -> HotArena<A, CallerMemory<'_>> {
        let arena = HotArena::made_of(Policy::DEFAULT, CallerMemory(PhantomData));
        let size = memory.len();
        // SAFETY: the caller's memory is the arena's for as long as it lives, and no chunk goes back.
        unsafe {
            if let Some(chunk) = Chunk::make(NonNull::from_mut(memory).cast(), size, A::BYTES, false) {
                arena.adopt(chunk);
            }
        }
        arena
    }
}

/// The backing of an arena over the caller's memory: it has nothing more to give.
#[derive(Debug)]
pub struct CallerMemory<'m>(PhantomData<&'m mut [MaybeUninit<u8>]>);

// SAFETY: gives no block at all, except those of zero size.
unsafe impl MemoryRegion for CallerMemory<'_> {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if layout.size() == 0 {
            return Ok(dangling(layout.align()));
        }
        Err(AllocError::RegionExhausted { region: "the memory that the caller gave to an arena" })
    }

    unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {}

    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::Other
    }
}
