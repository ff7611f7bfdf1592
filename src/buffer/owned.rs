//! [`SimdBuffer`]: its invariants and the few operations that touch its memory.
//!
//! Invariants, with `align` = the stricter of the buffer's alignment and `align_of::<T>()`, `SIZE = size_of::<T>()`, and
//! `P` = the smaller of the buffer's alignment and [`PADDING_BLOCK`](super::PADDING_BLOCK):
//! * B1. `bytes == 0`: `ptr` dangles, aligned to `align`. Otherwise `ptr` is the pointer that `region` gave for a live
//!   block of `bytes` bytes at `align`, which the buffer owns. Elements of no size never have a block.
//! * B2. `bytes` is a multiple of `P`.
//! * B3. The first `len` elements are initialised and lie inside the block.
//! * B4. The bytes from the end of the elements, `len * SIZE`, up to the next multiple of `P` are valid `T`s wherever whole
//!   ones fit and zeros are one. Moreover they are all zero, unless a [`PaddedMut`](super::PaddedMut) was forgotten;
//!   nothing's soundness rests on that.
//!
//! The buffer's layout never changes but through the region: casts keep `align` and `bytes`, so the block is freed with
//! the layout it was allocated with.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use super::AlignedSlice;
use super::padding;
use crate::align::{Align, AlignSpec, Alignment, KnownAlign, checked_align_up};
use crate::error::{AllocError, AllocResult};
use crate::region::{MemoryRegion, array_layout, dangling};
use crate::system::System;

/// A growable array whose start is aligned, in a memory region: `Vec` with alignment in its type.
///
/// * `T`: the elements. Any type: with `Drop`, zero-sized, more strictly aligned than `A`.
/// * `A`: the alignment, [`Align<N>`] known at compile time or [`Alignment`] chosen at run time. The default is 64 bytes
///   on every target, so that differently built units agree.
/// * `R`: the region that the memory comes from and goes back to, by value or by reference.
///
/// With a static alignment it dereferences to [`AlignedSlice<T, A>`], with a run-time one to `[T]`. It grows with Vec's
/// methods. Constructors: the ones here for [`System`]; on [`Place`](super::Place) for everything else.
///
/// **Padding.** With `P = min(alignment, 64)` bytes: the allocation is a multiple of `P`, and the bytes from the last
/// element to the next multiple of `P` are zero, always (unless a [`PaddedMut`](super::PaddedMut) is forgotten and so
/// cannot clean up). [`padded`](Self::padded) shows them, so that a kernel
/// works in whole vectors and needs no scalar tail.
///
/// Three words, as `Vec`, plus the region and the run-time alignment where there is one.
///
/// ```
/// use bhc_rts_alloc::{Align, SimdBuffer};
///
/// let mut buffer = SimdBuffer::<f32>::with_capacity(3);
/// buffer.extend([1.0, 2.0, 3.0]);
/// buffer.push(4.0);
/// assert_eq!(buffer.iter().sum::<f32>(), 10.0);
/// assert_eq!(buffer.as_ptr().addr() % 64, 0);
/// assert_eq!(buffer.padded().len(), 16); // one whole 64-byte vector: 4 elements and 12 zeros
/// ```
///
/// A run-time alignment, as the original `SimdBuffer::new(len, alignment)`:
///
/// ```
/// use bhc_rts_alloc::{Alignment, SimdBuffer};
/// let buffer = SimdBuffer::<f32, _>::new(1000, Alignment::Page)?;
/// assert_eq!(buffer.alignment(), Alignment::Page);
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
pub struct SimdBuffer<T, A: AlignSpec = Align<64>, R: MemoryRegion = System> {
    /// B1.
    pub(super) ptr: NonNull<T>,
    /// In elements; B3.
    pub(super) len: usize,
    /// The size of the block; B1, B2.
    pub(super) bytes: usize,
    /// The run-time alignment, or nothing.
    pub(super) spec: A::Repr,
    pub(super) region: R,
    pub(super) _owns: PhantomData<(T, A)>,
}

// SAFETY: the buffer owns its elements and its block as `Box` does; only the region comes along.
unsafe impl<T: Send, A: AlignSpec, R: MemoryRegion + Send> Send for SimdBuffer<T, A, R> {}
// SAFETY: `&SimdBuffer` gives `&T` and `&R`, nothing else.
unsafe impl<T: Sync, A: AlignSpec, R: MemoryRegion + Sync> Sync for SimdBuffer<T, A, R> {}

static_assertions::const_assert_eq!(size_of::<SimdBuffer<f32>>(), 3 * size_of::<usize>());
static_assertions::const_assert_eq!(size_of::<Option<SimdBuffer<f32>>>(), 3 * size_of::<usize>());
static_assertions::const_assert_eq!(size_of::<SimdBuffer<f32, Align<4096>, &System>>(), 4 * size_of::<usize>());
static_assertions::const_assert_eq!(size_of::<SimdBuffer<f32, Alignment>>(), 4 * size_of::<usize>());
static_assertions::assert_impl_all!(SimdBuffer<f32>: Send, Sync, Unpin, core::panic::UnwindSafe);
static_assertions::assert_not_impl_any!(SimdBuffer<*const u8>: Send, Sync);
static_assertions::assert_not_impl_any!(SimdBuffer<core::cell::Cell<u8>>: Sync);
static_assertions::assert_impl_all!(SimdBuffer<core::cell::Cell<u8>>: Send);
static_assertions::assert_not_impl_any!(SimdBuffer<u8, Align<64>, &dyn MemoryRegion>: Send, Sync);

/// The layout for `len` elements, rounded up so that B2 holds.
pub(super) fn rounded_layout<T>(len: usize, alignment: Alignment) -> AllocResult<Layout> {
    let exact = array_layout::<T>(len, alignment)?;
    let bytes = checked_align_up(exact.size(), padding::block(alignment)).ok_or(AllocError::Overflow)?;
    Layout::from_size_align(bytes, exact.align()).map_err(|_| AllocError::Overflow)
}

impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    pub(super) const SIZE: usize = size_of::<T>();

    /// An empty buffer with room for `capacity` elements, as `alloc` gives it.
    #[inline]
    pub(super) fn obtain(
        spec: A::Repr,
        region: R,
        capacity: usize,
        alloc: impl FnOnce(&R, Layout) -> AllocResult<NonNull<u8>>,
    ) -> AllocResult<Self> {
        let layout = rounded_layout::<T>(capacity, A::alignment(spec))?;
        let ptr = if layout.size() == 0 { dangling(layout.align()) } else { alloc(&region, layout)? };
        Ok(Self { ptr: ptr.cast(), len: 0, bytes: layout.size(), spec, region, _owns: PhantomData })
    }

    /// `align` of the invariants.
    #[inline]
    fn block_align(&self) -> usize {
        self.alignment().as_usize().max(align_of::<T>())
    }

    /// The layout of the block (of size zero if there is none).
    #[inline]
    pub(super) fn layout(&self) -> Layout {
        // SAFETY: by B1 the region accepted this very layout, or the size is zero and any alignment will do.
        unsafe { Layout::from_size_align_unchecked(self.bytes, self.block_align()) }
    }

    /// Gives the block another size, a multiple of `P` that holds the elements.
    pub(super) fn reallocate(&mut self, new_bytes: usize) -> AllocResult<()> {
        debug_assert!(new_bytes >= self.len * Self::SIZE);
        let old = self.layout();
        let ptr = if self.bytes == 0 {
            let layout = Layout::from_size_align(new_bytes, old.align()).map_err(|_| AllocError::Overflow)?;
            self.region.alloc(layout)?
        } else {
            // SAFETY: by B1 the block is live with this layout; on `Ok` the old pointer is overwritten.
            unsafe { self.region.realloc(self.ptr.cast(), old, new_bytes)? }
        };
        self.ptr = ptr.cast();
        self.bytes = new_bytes;
        Ok(())
    }

    /// The parts, with nobody left to drop them.
    #[inline]
    pub(super) fn into_parts(self) -> (NonNull<T>, usize, usize, A::Repr, R) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used again, so the region is moved out once.
        let region = unsafe { core::ptr::read(&this.region) };
        (this.ptr, this.len, this.bytes, this.spec, region)
    }

    /// The number of elements.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many elements fit without another request to the region; `usize::MAX` for elements of no size.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> usize {
        match self.bytes.checked_div(Self::SIZE) {
            Some(capacity) => capacity,
            None => usize::MAX,
        }
    }

    /// The alignment that the buffer promises for its start.
    #[inline]
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        A::alignment(self.spec)
    }

    /// The region that the memory comes from. Never `&mut`: that could end the block.
    #[inline]
    #[must_use]
    pub const fn region(&self) -> &R {
        &self.region
    }

    /// The elements.
    #[inline]
    #[must_use]
    pub const fn as_slice(&self) -> &[T] {
        // SAFETY: B3 (and B1 for a block-less buffer: aligned, not null).
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    /// The elements, to be written.
    #[inline]
    #[must_use]
    pub const fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }

    /// The start, aligned also when the buffer is empty.
    #[inline]
    #[must_use]
    pub const fn as_ptr(&self) -> *const T {
        self.ptr.as_ptr()
    }

    /// The start, to write through.
    #[inline]
    #[must_use]
    pub const fn as_mut_ptr(&mut self) -> *mut T {
        self.ptr.as_ptr()
    }

    /// Sets the number of elements.
    ///
    /// # Safety
    /// `len` is at most the capacity, the first `len` elements are initialised, and so are the bytes from there to the
    /// next multiple of `min(alignment, 64)` bytes; zeros, if kernels are to see zeros.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity());
        self.len = len;
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// The elements with the alignment in the type.
    #[inline]
    #[must_use]
    pub fn view(&self) -> &AlignedSlice<T, A>
    where
        A: KnownAlign,
    {
        // SAFETY: by B1 the start is aligned to `A`, also without a block.
        unsafe { AlignedSlice::new_unchecked(self.as_slice()) }
    }

    /// The elements with the alignment in the type, to be written.
    #[inline]
    #[must_use]
    pub fn view_mut(&mut self) -> &mut AlignedSlice<T, A>
    where
        A: KnownAlign,
    {
        // SAFETY: as in `view`.
        unsafe { AlignedSlice::new_unchecked_mut(self.as_mut_slice()) }
    }
}

impl<T, A: KnownAlign, R: MemoryRegion> Deref for SimdBuffer<T, A, R> {
    type Target = AlignedSlice<T, A>;

    #[inline]
    fn deref(&self) -> &AlignedSlice<T, A> {
        self.view()
    }
}

impl<T, A: KnownAlign, R: MemoryRegion> DerefMut for SimdBuffer<T, A, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut AlignedSlice<T, A> {
        self.view_mut()
    }
}

impl<T, R: MemoryRegion> Deref for SimdBuffer<T, Alignment, R> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T, R: MemoryRegion> DerefMut for SimdBuffer<T, Alignment, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> Drop for SimdBuffer<T, A, R> {
    fn drop(&mut self) {
        /// Frees the block also if an element's `Drop` panics.
        struct Free<'a, T, A: AlignSpec, R: MemoryRegion>(&'a SimdBuffer<T, A, R>);
        impl<T, A: AlignSpec, R: MemoryRegion> Drop for Free<'_, T, A, R> {
            #[inline]
            fn drop(&mut self) {
                if self.0.bytes != 0 {
                    // SAFETY: B1; the buffer is going away, so nobody uses the block again.
                    unsafe { self.0.region.dealloc(self.0.ptr.cast(), self.0.layout()) };
                }
            }
        }
        let elements = core::ptr::slice_from_raw_parts_mut(self.ptr.as_ptr(), self.len);
        let _free = Free(self);
        // SAFETY: B3; they are not used again.
        unsafe { elements.drop_in_place() };
    }
}
