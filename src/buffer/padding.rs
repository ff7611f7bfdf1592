//! The promise about the bytes after the last element, and the views that rely on it.
//!
//! # Note: what is promised
//! With `P = min(alignment, 64)`: the bytes from the end of the elements to the next multiple of `P` lie in the
//! allocation and are zero. Constructors establish it; what makes the buffer longer zeroes the last block that it enters;
//! what makes it shorter zeroes what it vacates within the last block.
//!
//! A kernel may then work in whole vectors over [`padded`](SimdBuffer::padded): zeros do not change a sum or a dot
//! product, and no scalar loop handles a tail. For short data that is worth more than the alignment itself (a dot
//! product of 127 elements takes less than half the time).
//!
//! That the bytes are *initialised* is B4 and soundness rests on it; that they are *zero* can be broken without `unsafe`,
//! by forgetting a [`PaddedMut`], and then sums are wrong but nothing else is.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use bytemuck::Zeroable;

use super::{AlignedSlice, SimdBuffer};
use crate::align::{AlignSpec, Alignment, KnownAlign, align_down, align_up};
use crate::region::MemoryRegion;

/// The most that a buffer is padded to, in bytes: the widest vectors of common CPUs, and a cache line.
pub const PADDING_BLOCK: usize = 64;

/// `P` for a buffer of this alignment.
#[inline]
pub(super) const fn block(alignment: Alignment) -> usize {
    let bytes = alignment.as_usize();
    if bytes < PADDING_BLOCK { bytes } else { PADDING_BLOCK }
}

/// Zeroes `count` bytes, fewer than [`PADDING_BLOCK`]. For so few a call of `memset` takes longer than the stores: closing a
/// [`PaddedMut`] takes 0.6 ns instead of 1.5.
///
/// # Safety
/// The bytes may be written.
#[inline]
unsafe fn zero_short(start: NonNull<u8>, count: usize) {
    debug_assert!(count < PADDING_BLOCK);
    let mut at = start;
    macro_rules! powers {
        ($($power:literal)+) => {$(
            if count & $power != 0 {
                // SAFETY: the powers of two in `count` add up to it, and the caller promises that many bytes.
                unsafe {
                    at.write_bytes(0, $power);
                    at = at.add($power);
                }
            }
        )+};
    }
    powers!(32 16 8 4 2 1);
    debug_assert_eq!(at.addr().get() - start.addr().get(), count);
}

impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// Whether the element after the last would reach beyond the bytes that B4 speaks of, so that a new block (of
    /// padding, or of memory) has to be entered. For elements whose size divides `P` that is once per `P` bytes, and
    /// as the allocation is a multiple of `P` it is the only check that `push` needs.
    #[inline]
    pub(super) fn next_enters_block(&self) -> bool {
        let padding = (self.len * Self::SIZE).wrapping_neg() & (block(self.alignment()) - 1);
        Self::SIZE > padding
    }

    /// Zeroes the block in which the element after the last ends, so that B4 holds once it is written. The element must
    /// fit, and `next_enters_block`.
    #[inline]
    pub(super) fn enter_block(&mut self) {
        let block = block(self.alignment());
        let new_end = (self.len + 1) * Self::SIZE;
        if new_end & (block - 1) != 0 || (Self::SIZE < block && Self::SIZE != 0) {
            let start = align_down(new_end - 1, block);
            // SAFETY: the new element fits and the block's size is a multiple of `P` (B2), so the last `P`-block that it
            // reaches is inside; it starts at or after the end of the elements, as the new one reaches beyond the block
            // that they end in.
            unsafe { self.ptr.cast::<u8>().add(start).write_bytes(0, block) };
        }
    }

    /// Zeroes from the end of the elements to the next multiple of `P`: establishes B4.
    #[inline]
    pub(super) fn zero_padding(&mut self) {
        let end = self.len * Self::SIZE;
        let padding = end.wrapping_neg() & (block(self.alignment()) - 1);
        // SAFETY: by B2 and B3 the next multiple of `P` is inside the block; without a block `end` and `padding` are 0.
        unsafe { zero_short(self.ptr.cast::<u8>().add(end), padding) };
    }

    /// After the last elements are gone: zeroes what they leave within the block that the rest ends in. `old_len` is the
    /// length before.
    #[inline]
    pub(super) fn zero_vacated(&mut self, old_len: usize) {
        let end = self.len * Self::SIZE;
        let stop = align_up(end, block(self.alignment())).min(old_len * Self::SIZE);
        // SAFETY: from the end of the elements to where elements were before.
        unsafe { zero_short(self.ptr.cast::<u8>().add(end), stop - end) };
    }
}

/// For a `const` block: whether blocks of padding hold whole elements is known only once `T` is.
#[track_caller]
const fn divides_block<T, A: KnownAlign>() {
    let size = size_of::<T>();
    assert!(
        size == 0 || block(Alignment::of::<A>()).is_multiple_of(size),
        "padded views need elements whose size divides min(alignment, 64) bytes"
    );
}

impl<T: Zeroable + Copy, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// The length in elements, rounded up to whole blocks of `P` bytes.
    #[inline]
    fn padded_len(&self) -> usize {
        let block = block(self.alignment());
        align_up(self.len * Self::SIZE, block).checked_div(Self::SIZE).unwrap_or(self.len)
    }

    /// The elements and the zeros after them, up to whole vectors of `min(A, 64)` bytes.
    ///
    /// Does not compile for elements whose size does not divide that. `Copy`, so that nothing that needs dropping, and
    /// nothing with interior mutability, can be put into the padding.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, SimdBuffer};
    /// let buffer = SimdBuffer::<f32>::from_fn(20, |i| i as f32);
    /// let padded = buffer.padded();
    /// assert_eq!(padded.len(), 32);
    /// assert_eq!(padded[..20], buffer[..]);
    /// assert_eq!(padded[20..], [0.0; 12]);
    /// assert_eq!(SimdBuffer::<f32, Align<16>>::zeroed(20).padded().len(), 20);
    /// ```
    #[inline]
    #[must_use]
    pub fn padded(&self) -> &AlignedSlice<T, A>
    where
        A: KnownAlign,
    {
        const { divides_block::<T, A>() };
        // SAFETY: by B4 the bytes up to the next multiple of `P` are initialised, and what they can hold is a `T`:
        // zeros (`Zeroable`), or whole elements that were written through `PaddedMut`. The start is aligned (B1).
        unsafe { AlignedSlice::new_unchecked(core::slice::from_raw_parts(self.ptr.as_ptr(), self.padded_len())) }
    }

    /// As [`padded`](Self::padded), to be written. Whatever is written into the padding becomes zero again when the
    /// guard is dropped.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdBuffer;
    /// let mut buffer = SimdBuffer::<f32>::zeroed(20);
    /// for x in buffer.padded_mut().iter_mut() {
    ///     *x += 1.0; // 32 elements: two whole vectors
    /// }
    /// assert_eq!(buffer.padded()[19..22], [1.0, 0.0, 0.0]);
    /// ```
    #[inline]
    #[must_use]
    pub fn padded_mut(&mut self) -> PaddedMut<'_, T, A>
    where
        A: KnownAlign,
    {
        const { divides_block::<T, A>() };
        // SAFETY: as in `padded`, and borrowed exclusively.
        let padded = unsafe {
            AlignedSlice::new_unchecked_mut(core::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.padded_len()))
        };
        PaddedMut { padded, len: self.len }
    }
}

/// The elements of a buffer and their padding, to be written: what [`SimdBuffer::padded_mut`] gives. Zeroes the padding
/// when dropped.
pub struct PaddedMut<'a, T: Zeroable + Copy, A: KnownAlign> {
    padded: &'a mut AlignedSlice<T, A>,
    /// The number of elements that are not padding.
    len: usize,
}

static_assertions::const_assert_eq!(size_of::<PaddedMut<'_, f32, crate::align::Align<64>>>(), 3 * size_of::<usize>());
static_assertions::assert_impl_all!(PaddedMut<'_, f32, crate::align::Align<64>>: Send, Sync, Unpin);
static_assertions::assert_not_impl_any!(PaddedMut<'_, f32, crate::align::Align<64>>: Clone);

impl<T: Zeroable + Copy, A: KnownAlign> Deref for PaddedMut<'_, T, A> {
    type Target = AlignedSlice<T, A>;

    #[inline]
    fn deref(&self) -> &AlignedSlice<T, A> {
        self.padded
    }
}

impl<T: Zeroable + Copy, A: KnownAlign> DerefMut for PaddedMut<'_, T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut AlignedSlice<T, A> {
        self.padded
    }
}

impl<T: Zeroable + Copy, A: KnownAlign> Drop for PaddedMut<'_, T, A> {
    #[inline]
    fn drop(&mut self) {
        let padding = &mut self.padded[self.len..];
        // Bytes, not values: copying a value need not copy the padding inside it.
        // SAFETY: zeros are a `T`, and the slice is ours.
        unsafe { zero_short(NonNull::from(&mut *padding).cast(), size_of_val(padding)) };
    }
}

impl<T: Zeroable + Copy + fmt::Debug, A: KnownAlign> fmt::Debug for PaddedMut<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.padded.fmt(f)
    }
}
