//! [`ByRegion`]: which region it is, as a value; and the checked way back, from a buffer over it to one over a region that
//! the type names.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::align::{Alignment, KnownAlign};
use crate::arena::HotArena;
use crate::buffer::SimdBuffer;
use crate::error::{AllocError, AllocResult};
use crate::general::HeapBytes;
use crate::pinned::PinnedHeap;
use crate::region::{MemoryRegion, RegionKind, dangling};
use crate::stats::AllocStats;
use crate::system::System;

/// A region that was chosen at run time, among those that a [`Capability`](super::Capability) has: a [`MemoryRegion`] in
/// which each call looks at what it is. As `&dyn MemoryRegion`, but what it was can be had back: see
/// [`try_into_region`](SimdBuffer::try_into_region).
///
/// Cost: a branch a call, which the compiler sees through.
///
/// ```
/// use bhc_rts_alloc::{Alignment, ByRegion, MemoryRegion, PinnedHeap, Place, RegionKind};
///
/// let heap = PinnedHeap::new();
/// let for_device = true;
/// let region = if for_device { ByRegion::from(&heap) } else { ByRegion::System };
/// let buffer = Place::at(Alignment::Page).within(region).try_zeroed::<f32>(100)?;
/// assert_eq!(buffer.region().kind(), RegionKind::Pinned);
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
#[derive(Clone, Debug)]
pub enum ByRegion<'r> {
    /// The process allocator.
    System,
    /// A Hot Arena.
    HotArena(&'r HotArena),
    /// A Pinned Heap.
    Pinned(&'r PinnedHeap),
    /// The raw bytes of a General Heap, which never move.
    General(HeapBytes),
    /// No region, for a kind that there is none of: every request is refused, with
    /// [`RegionExhausted`](AllocError::RegionExhausted). Nothing is counted.
    Nowhere,
}

/// A region that gives nothing.
#[derive(Debug)]
pub(super) struct Nowhere;

// SAFETY: gives no block at all, except those of zero size.
unsafe impl MemoryRegion for Nowhere {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if layout.size() == 0 {
            return Ok(dangling(layout.align()));
        }
        Err(AllocError::RegionExhausted { region: "none: a capability has no region of that kind" })
    }

    unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {}

    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }
}

/// A buffer whose region and alignment were chosen at run time. [`Capability::place`](super::Capability::place) makes
/// them; [`try_into_typed`](SimdBuffer::try_into_typed) is the way to a type.
pub type RuntimeBuffer<'r, T> = SimdBuffer<T, Alignment, ByRegion<'r>>;

/// Calls the same method of whichever region it is.
macro_rules! each {
    ($self:ident, $region:ident => $call:expr) => {
        match $self {
            ByRegion::System => {
                let $region = &System;
                $call
            }
            ByRegion::HotArena($region) => $call,
            ByRegion::Pinned($region) => $call,
            ByRegion::General($region) => $call,
            ByRegion::Nowhere => {
                let $region = &Nowhere;
                $call
            }
        }
    };
}

// SAFETY: every method is that of one region, always the same, which keeps the contract. A clone is the same region.
unsafe impl MemoryRegion for ByRegion<'_> {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        each!(self, region => region.alloc(layout))
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is about this same region.
        each!(self, region => unsafe { region.dealloc(ptr, layout) })
    }

    #[inline]
    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        // SAFETY: the caller's promise is about this same region.
        each!(self, region => unsafe { region.realloc(ptr, old_layout, new_size) })
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        each!(self, region => region.alloc_zeroed(layout))
    }

    fn stats(&self) -> AllocStats {
        each!(self, region => region.stats())
    }

    fn kind(&self) -> RegionKind {
        each!(self, region => region.kind())
    }
}

mod sealed {
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be a `KnownRegion`: the trait is sealed",
        label = "only `System`, `&HotArena`, `&PinnedHeap` and `HeapBytes` are",
        note = "what comes out of a `ByRegion` frees the blocks of what went in"
    )]
    pub trait Sealed {}
}

/// A region whose type says which it is, of those that a [`ByRegion`] may be: `System`, `&HotArena`, `&PinnedHeap` and
/// `HeapBytes`. Not to be implemented: what comes out of a `ByRegion` frees the blocks of what went in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a region that a `ByRegion` may be",
    label = "must be `System`, `&HotArena`, `&PinnedHeap` or `HeapBytes`",
    note = "a buffer over another region stays what it is; `&dyn MemoryRegion` hides its type, and nothing brings it back"
)]
pub trait KnownRegion<'r>: MemoryRegion + Into<ByRegion<'r>> + sealed::Sealed {
    /// The region, if it is of this type; else what was given.
    ///
    /// # Errors
    /// What was given, if it is another region.
    fn recover(region: ByRegion<'r>) -> Result<Self, ByRegion<'r>>
    where
        Self: Sized;
}

macro_rules! known {
    ($([$($lifetime:lifetime)?] $region:ty: $variant:pat => $value:expr, from $from:pat => $into:expr;)+) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($lifetime)?> sealed::Sealed for $region {}

        #[diagnostic::do_not_recommend]
        impl<'r> From<$region> for ByRegion<'r> {
            #[inline]
            fn from($from: $region) -> Self {
                $into
            }
        }

        #[diagnostic::do_not_recommend]
        impl<'r> KnownRegion<'r> for $region {
            #[inline]
            fn recover(region: ByRegion<'r>) -> Result<Self, ByRegion<'r>> {
                match region {
                    $variant => Ok($value),
                    other => Err(other),
                }
            }
        }
    )+};
}

known! {
    [] System: ByRegion::System => Self, from System => Self::System;
    ['r] &'r HotArena: ByRegion::HotArena(arena) => arena, from arena => Self::HotArena(arena);
    ['r] &'r PinnedHeap: ByRegion::Pinned(heap) => heap, from heap => Self::Pinned(heap);
    [] HeapBytes: ByRegion::General(bytes) => bytes, from bytes => Self::General(bytes);
}

impl<'r, T, R: KnownRegion<'r>> SimdBuffer<T, Alignment, R> {
    /// The same buffer with its region as a value. Free. With its alignment in the type,
    /// [`into_dynamic`](SimdBuffer::into_dynamic) comes first.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, Place, PinnedHeap, RuntimeBuffer};
    /// let heap = PinnedHeap::new();
    /// let typed = Place::<Align<64>>::new().within(&heap).from_slice(&[1.0f32, 2.0]);
    /// let chosen: RuntimeBuffer<'_, f32> = typed.into_dynamic().into_by_region();
    /// assert_eq!(chosen[1], 2.0);
    /// ```
    #[inline]
    #[must_use]
    pub fn into_by_region(self) -> RuntimeBuffer<'r, T> {
        // SAFETY: the value is the same region.
        match unsafe { self.try_map_region(|region| Ok::<_, R>(region.into())) } {
            Ok(buffer) => buffer,
            Err(_) => unreachable!(),
        }
    }
}

impl<'r, T> RuntimeBuffer<'r, T> {
    /// The same buffer with its region in the type, if that is what it is. Free.
    ///
    /// # Errors
    /// The buffer comes back if it is in another region.
    #[inline]
    pub fn try_into_region<R: KnownRegion<'r>>(self) -> Result<SimdBuffer<T, Alignment, R>, Self> {
        // SAFETY: what is recovered is the same region.
        unsafe { self.try_map_region(R::recover) }
    }

    /// The same buffer with its region and its alignment in the type, if these are what it has. Free. The alignment is
    /// to be **exactly** `A`, as for [`try_into_static`](SimdBuffer::try_into_static).
    ///
    /// # Errors
    /// The buffer comes back if it is in another region, or was allocated with another alignment.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, Alignment, Capability, PinnedHeap, RegionKind, SimdBuffer};
    ///
    /// let capability = Capability::new();
    /// let chosen = capability.place(RegionKind::Pinned, Alignment::Page).try_zeroed::<f32>(1000)?;
    /// let chosen = chosen.try_into_typed::<Align<64>, &PinnedHeap>().unwrap_err(); // it is 4096
    /// let typed: SimdBuffer<f32, Align<4096>, &PinnedHeap> = chosen.try_into_typed().unwrap();
    /// # Ok::<(), bhc_rts_alloc::AllocError>(())
    /// ```
    #[inline]
    pub fn try_into_typed<A: KnownAlign, R: KnownRegion<'r>>(self) -> Result<SimdBuffer<T, A, R>, Self> {
        self.try_into_region::<R>()?.try_into_static::<A>().map_err(SimdBuffer::into_by_region)
    }
}
