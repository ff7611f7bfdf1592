//! The contract that every memory region keeps: [`MemoryRegion`] and its typed half, [`TypedRegion`].

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::align::{AlignSpec, Alignment, AtLeast, KnownAlign};
use crate::error::{AllocError, AllocResult};
use crate::stats::AllocStats;

static_assertions::const_assert_eq!(size_of::<RegionKind>(), 1);
static_assertions::assert_impl_all!(RegionKind: Copy, Eq, Send, Sync);

/// Which kind of region serves a request: what a runtime chooses by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RegionKind {
    /// The process allocator.
    System,
    /// Bump pointer, freed at scope end.
    HotArena,
    /// Never moved, freed explicitly.
    Pinned,
    /// Garbage-collected.
    General,
    /// A region from outside this crate.
    Other,
}

/// A source of memory blocks.
///
/// | promise | in short |
/// |---|---|
/// | block | aligned to `layout.align()`, `layout.size()` bytes, overlapping no live block; moving the region value keeps it |
/// | zero size | a dangling pointer aligned to `layout.align()`, not counted; its `dealloc` does nothing |
/// | failure | an `Err`, counted once in `failed_allocations`; the region and all blocks are as before. Never an abort, never a panic. `Overflow` is no request and not counted |
/// | sizes | anything a [`Layout`] can say, `isize::MAX` and alignments of 2^47 included |
/// | statistics | exact, in requested bytes, see [`AllocStats`] |
///
/// The errors: `OutOfMemory` where memory is short, `RegionExhausted` where a region gives nothing whatever the size,
/// `UnsupportedAlignment` where it cannot give that alignment, `Overflow` where a new size does not fit the address space.
///
/// It is implemented for references and shared owners of regions, so that a buffer can hold any of them, and it is
/// dyn-compatible:
///
/// ```
/// use bhc_rts_alloc::{MemoryRegion, Place, System, Align};
/// use std::alloc::Layout;
///
/// let region: &dyn MemoryRegion = &System;
/// let block = region.alloc(Layout::new::<[u64; 4]>())?;
/// // SAFETY: allocated just above with the same layout, and not used again.
/// unsafe { region.dealloc(block, Layout::new::<[u64; 4]>()) };
///
/// let buffer = Place::<Align<64>>::new().within(region).try_zeroed::<f32>(100)?;
/// assert_eq!(buffer.len(), 100);
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
///
/// # Safety
/// Unsafe code relies on every implementation keeping the table above. In particular:
/// * A block stays valid and in place until it is given to `dealloc` or `realloc`, the region is dropped, or a method
///   that takes `&mut` of the region and says so ends it. Hence an owner of a region must not hand out `&mut` to it
///   while blocks live.
/// * If the region is `Clone`, a clone is the same region (a block of one may be freed by the other) or one that shares
///   no block with it.
/// * Methods do not unwind, and do not call into what the region may be a part of, as an arena that it backs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a memory region",
    label = "must implement `MemoryRegion`",
    note = "`&R`, `Box<R>`, `Rc<R>` and `Arc<R>` of a region are regions; `&mut R` is not, since it could end the region's blocks: lend it as `&R`, or as `&*r` where `r` is a `&mut` already, as a scope is"
)]
pub unsafe trait MemoryRegion {
    /// Allocates a block. Its bytes are uninitialised.
    ///
    /// # Errors
    /// See the trait's table.
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>>;

    /// Gives a block back. Always succeeds.
    ///
    /// # Safety
    /// * `ptr` is the pointer that this region gave for a live block (not one made from a reference to its contents:
    ///   that one may not be used on the bookkeeping beside the block), or came from a zero-size request.
    /// * `layout` is the layout of that request; after a `realloc`, with the new size.
    /// * The block is not used afterwards.
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout);

    /// Changes the size of a block to `new_size` bytes, in place or by moving it; the alignment stays. The first
    /// `min(old_layout.size(), new_size)` bytes are kept, more are uninitialised. The old pointer is invalid afterwards.
    ///
    /// From zero size it is an allocation, to zero size a deallocation.
    ///
    /// The provided form allocates, copies and deallocates, so both blocks are live for a moment.
    ///
    /// # Errors
    /// See the trait's table. After an error the old block is untouched and still live.
    ///
    /// # Safety
    /// As for [`dealloc`](Self::dealloc), on `Ok`. On `Err` the block stays the caller's.
    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        let new_layout = resized(old_layout, new_size)?;
        let new_ptr = self.alloc(new_layout)?;
        // SAFETY: both blocks are live (or of zero size, then zero bytes are copied), of at least the smaller size,
        // and do not overlap by the contract of `alloc`; the old one is freed once, with its own layout.
        unsafe {
            new_ptr.copy_from_nonoverlapping(ptr, old_layout.size().min(new_size));
            self.dealloc(ptr, old_layout);
        }
        Ok(new_ptr)
    }

    /// As [`alloc`](Self::alloc), and every byte is zero. The provided form writes the zeros; regions that get zeroed
    /// pages from the operating system do not.
    ///
    /// # Errors
    /// See the trait's table.
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        let ptr = self.alloc(layout)?;
        // SAFETY: the block is `layout.size()` bytes long and nobody else has it yet.
        unsafe { ptr.write_bytes(0, layout.size()) };
        Ok(ptr)
    }

    /// What the region has given and taken back so far.
    fn stats(&self) -> AllocStats;

    /// Which kind of region this is.
    fn kind(&self) -> RegionKind {
        RegionKind::Other
    }
}

static_assertions::assert_obj_safe!(MemoryRegion);

/// "This region gives blocks aligned to `A`, and says so at compile time": a [`TypedRegion`] whose
/// [`MaxAlign`](TypedRegion::MaxAlign) is at least `A`. What the infallible forms ask of a region; not to be implemented.
#[diagnostic::on_unimplemented(
    message = "the region `{Self}` does not promise `{A}` at compile time",
    label = "the infallible forms rely on that promise",
    note = "a region promises `Align<N>` up to its `MaxAlign`; behind `dyn`, or for an `Alignment` chosen at run time, it promises nothing",
    note = "use the `try_` form, which asks the region at run time, or another region"
)]
pub trait Promises<A: AlignSpec>: TypedRegion {}

#[diagnostic::do_not_recommend]
impl<A: KnownAlign, R: TypedRegion<MaxAlign: AtLeast<A>>> Promises<A> for R {}

/// A region that says *at compile time* which alignments it can give, so that typed code needs no run-time answer.
///
/// A region behind `&dyn MemoryRegion` has no such type; it serves the `try_` forms.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say at compile time which alignments it can give",
    label = "the infallible forms need a region whose alignments are known at compile time",
    note = "use the `try_` form, which answers `UnsupportedAlignment` at run time"
)]
pub trait TypedRegion: MemoryRegion {
    /// The strongest alignment that this region promises. Raw requests may get more where it can.
    type MaxAlign: KnownAlign;

    /// Allocates room for `len` elements of `T`, aligned to `A` and to `T`. Uninitialised. To free it, use
    /// [`dealloc`](MemoryRegion::dealloc) with `max(A::BYTES, align_of::<T>())` and `len * size_of::<T>()` bytes.
    ///
    /// # Errors
    /// [`Overflow`](AllocError::Overflow) if the size is too large, or what the region answers.
    fn alloc_typed<T, A: KnownAlign>(&self, len: usize) -> AllocResult<NonNull<T>>
    where
        Self: Promises<A> + Sized,
    {
        const { can_hold::<T, Self>() };
        self.alloc(array_layout::<T>(len, Alignment::of::<A>())?).map(NonNull::cast)
    }
}

/// For a `const` block: at a call this is known only once `T` is. `track_caller`, so that the compiler points at the
/// block and not into the standard library's `panic!`.
#[track_caller]
pub(crate) const fn can_hold<T, R: TypedRegion>() {
    assert!(
        align_of::<T>() <= <R::MaxAlign as KnownAlign>::BYTES,
        "the element type needs a stronger alignment than the region promises"
    );
}

macro_rules! forward {
    ($($(#[$cfg:meta])? [$($lifetime:tt)*] $owner:ty;)+) => {$(
        #[diagnostic::do_not_recommend]
        $(#[$cfg])?
        // SAFETY: the region behind the pointer keeps the contract, and every method is that region's own. Its address
        // does not change while the pointer moves.
        unsafe impl<$($lifetime)* R: MemoryRegion + ?Sized> MemoryRegion for $owner {
            #[inline]
            fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
                (**self).alloc(layout)
            }
            #[inline]
            unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise is about this same region.
                unsafe { (**self).dealloc(ptr, layout) }
            }
            #[inline]
            unsafe fn realloc(
                &self,
                ptr: NonNull<u8>,
                old_layout: Layout,
                new_size: usize,
            ) -> AllocResult<NonNull<u8>> {
                // SAFETY: the caller's promise is about this same region.
                unsafe { (**self).realloc(ptr, old_layout, new_size) }
            }
            #[inline]
            fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
                (**self).alloc_zeroed(layout)
            }
            #[inline]
            fn stats(&self) -> AllocStats {
                (**self).stats()
            }
            #[inline]
            fn kind(&self) -> RegionKind {
                (**self).kind()
            }
        }

        $(#[$cfg])?
        impl<$($lifetime)* R: TypedRegion + ?Sized> TypedRegion for $owner {
            type MaxAlign = R::MaxAlign;
        }
    )+};
}

// Not for `&mut R`: whoever holds one could call the methods that end all blocks.
forward! {
    ['a,] &'a R;
    #[cfg(feature = "alloc")] [] alloc::boxed::Box<R>;
    #[cfg(feature = "alloc")] [] alloc::rc::Rc<R>;
    #[cfg(feature = "alloc")] [] alloc::sync::Arc<R>;
}

/// The layout of `len` elements of `T` at `alignment`, or at that of `T` where it is stricter.
#[inline]
pub(crate) fn array_layout<T>(len: usize, alignment: Alignment) -> AllocResult<Layout> {
    let size = len.checked_mul(size_of::<T>()).ok_or(AllocError::Overflow)?;
    let align = alignment.as_usize().max(align_of::<T>());
    Layout::from_size_align(size, align).map_err(|_| AllocError::Overflow)
}

/// `layout` with another size. The alignment was valid before, so only the size can be wrong.
#[inline]
pub(crate) fn resized(layout: Layout, new_size: usize) -> AllocResult<Layout> {
    Layout::from_size_align(new_size, layout.align()).map_err(|_| AllocError::Overflow)
}

/// What a zero-size request gives: an address that is aligned and not null, and no provenance.
#[inline]
pub(crate) const fn dangling(align: usize) -> NonNull<u8> {
    match core::num::NonZero::new(align) {
        Some(address) => NonNull::without_provenance(address),
        None => unreachable!(), // an alignment is a power of two
    }
}
