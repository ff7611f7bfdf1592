//! [`AlignedSlice`]: a borrowed slice whose start is known to be aligned.
//!
//! # Note: why a wrapper around `[T]` and not a type with a larger alignment
//! A dynamically sized `repr(C)` struct with an over-aligned first field would make references carry the alignment, but
//! its size is rounded up to it, so a reference would cover bytes after the last element and the two halves of a split
//! could overlap. The loads do not get faster either (measured: none with AVX). So this is `repr(transparent)` over
//! `[T]`, its size is that of the elements, and any split is sound.
//!
//! Invariant S1: the address of the first element is a multiple of `A::BYTES`, also when there is no element.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::slice;

use crate::align::{Alignment, AtLeast, KnownAlign, is_aligned, is_ptr_aligned};
use crate::region::dangling;

/// A slice of `T` whose first element stands at a multiple of `A::BYTES`. Unsized: used as `&AlignedSlice<T, A>`.
///
/// It dereferences to `[T]`, so everything that works on slices works on it. What it adds is what keeps the alignment:
/// [`weaken`](Self::weaken) and [`try_strengthen`](Self::try_strengthen), splits, casts and byte views.
///
/// Kernels take it as a parameter, generic over stronger alignments:
///
/// ```
/// use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer};
///
/// fn dot<A, B>(x: &AlignedSlice<f32, A>, y: &AlignedSlice<f32, B>) -> f32
/// where
///     A: AtLeast<Align<64>>,
///     B: AtLeast<Align<64>>,
/// {
///     x.iter().zip(y.iter()).map(|(x, y)| x * y).sum()
/// }
/// let x = SimdBuffer::<f32>::from_fn(4, |i| i as f32);
/// let y = SimdBuffer::<f32, Align<4096>>::from_fn(4, |_| 2.0);
/// assert_eq!(dot(&x, &y), 12.0);
/// ```
#[repr(transparent)]
pub struct AlignedSlice<T, A: KnownAlign> {
    _align: PhantomData<A>,
    elements: [T],
}

impl<T, A: KnownAlign> AlignedSlice<T, A> {
    /// `slice`, if it is aligned to `A`. An empty slice always is: the result then stands elsewhere.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, AlignedSlice, SimdBuffer};
    /// let buffer = SimdBuffer::<u32>::zeroed(16);
    /// assert!(AlignedSlice::<u32, Align<64>>::new(&buffer[..]).is_some());
    /// assert!(AlignedSlice::<u32, Align<64>>::new(&buffer[1..]).is_none());
    /// assert!(AlignedSlice::<u32, Align<64>>::new(&buffer[1..1]).is_some());
    /// ```
    #[inline]
    #[must_use]
    pub fn new(slice: &[T]) -> Option<&Self> {
        if is_ptr_aligned(slice.as_ptr(), A::BYTES) {
            // SAFETY: just checked.
            Some(unsafe { Self::new_unchecked(slice) })
        } else if slice.is_empty() {
            Some(Self::empty())
        } else {
            None
        }
    }

    /// As [`new`](Self::new), for a slice to be written.
    #[inline]
    #[must_use]
    pub fn new_mut(slice: &mut [T]) -> Option<&mut Self> {
        if is_ptr_aligned(slice.as_ptr(), A::BYTES) {
            // SAFETY: just checked.
            Some(unsafe { Self::new_unchecked_mut(slice) })
        } else if slice.is_empty() {
            Some(Self::empty_mut())
        } else {
            None
        }
    }

    /// `slice`, taken to be aligned to `A`.
    ///
    /// # Safety
    /// The address of `slice` is a multiple of `A::BYTES`, also if it is empty.
    #[inline]
    #[must_use]
    pub unsafe fn new_unchecked(slice: &[T]) -> &Self {
        debug_assert!(is_ptr_aligned(slice.as_ptr(), A::BYTES));
        // SAFETY: `repr(transparent)` over `[T]`, so the cast keeps address, length, size and validity; S1 is the
        // caller's promise.
        unsafe { &*(core::ptr::from_ref(slice) as *const Self) }
    }

    /// As [`new_unchecked`](Self::new_unchecked), for a slice to be written.
    ///
    /// # Safety
    /// As there.
    #[inline]
    #[must_use]
    pub unsafe fn new_unchecked_mut(slice: &mut [T]) -> &mut Self {
        debug_assert!(is_ptr_aligned(slice.as_ptr(), A::BYTES));
        // SAFETY: as in `new_unchecked`.
        unsafe { &mut *(core::ptr::from_mut(slice) as *mut Self) }
    }

    /// The slice without elements, aligned all the same.
    #[inline]
    #[must_use]
    pub fn empty<'a>() -> &'a Self {
        Self::empty_mut()
    }

    /// As [`empty`](Self::empty), for APIs that want a slice to write.
    #[inline]
    #[must_use]
    pub fn empty_mut<'a>() -> &'a mut Self {
        let start = dangling(const { if A::BYTES > align_of::<T>() { A::BYTES } else { align_of::<T>() } }).cast::<T>();
        // SAFETY: no bytes, at an address that is not null and aligned to `T` and to `A`.
        unsafe { Self::new_unchecked_mut(slice::from_raw_parts_mut(start.as_ptr(), 0)) }
    }

    /// The alignment that the type states, as a value.
    #[inline]
    #[must_use]
    pub const fn alignment(&self) -> Alignment {
        Alignment::of::<A>()
    }

    /// The plain slice.
    #[inline]
    #[must_use]
    pub const fn as_slice(&self) -> &[T] {
        &self.elements
    }

    /// The plain slice, to be written.
    #[inline]
    #[must_use]
    pub const fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.elements
    }

    /// The same slice with a weaker alignment in its type. Free.
    #[inline]
    #[must_use]
    pub fn weaken<B: KnownAlign>(&self) -> &AlignedSlice<T, B>
    where
        A: AtLeast<B>,
    {
        // SAFETY: a multiple of `A::BYTES` is one of `B::BYTES`, which is at most that (S1).
        unsafe { AlignedSlice::new_unchecked(&self.elements) }
    }

    /// As [`weaken`](Self::weaken), for a slice to be written.
    #[inline]
    #[must_use]
    pub fn weaken_mut<B: KnownAlign>(&mut self) -> &mut AlignedSlice<T, B>
    where
        A: AtLeast<B>,
    {
        // SAFETY: as in `weaken`.
        unsafe { AlignedSlice::new_unchecked_mut(&mut self.elements) }
    }

    /// The same slice with any alignment that its address happens to have, or `None`. One comparison.
    #[inline]
    #[must_use]
    pub fn try_strengthen<B: KnownAlign>(&self) -> Option<&AlignedSlice<T, B>> {
        AlignedSlice::new(&self.elements)
    }

    /// As [`try_strengthen`](Self::try_strengthen), for a slice to be written.
    #[inline]
    #[must_use]
    pub fn try_strengthen_mut<B: KnownAlign>(&mut self) -> Option<&mut AlignedSlice<T, B>> {
        AlignedSlice::new_mut(&mut self.elements)
    }

    /// The first `len` elements, which start where the slice does.
    ///
    /// # Panics
    /// If `len` is more than the slice has.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn prefix(&self, len: usize) -> &Self {
        // SAFETY: the start is the same (S1).
        unsafe { Self::new_unchecked(&self.elements[..len]) }
    }

    /// As [`prefix`](Self::prefix), for a slice to be written.
    ///
    /// # Panics
    /// As there.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn prefix_mut(&mut self, len: usize) -> &mut Self {
        // SAFETY: the start is the same (S1).
        unsafe { Self::new_unchecked_mut(&mut self.elements[..len]) }
    }

    /// Splits before element `mid` if the second part is aligned too: if `mid` elements are a multiple of `A::BYTES`
    /// bytes. `None` if not, or if there are not that many elements.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdBuffer;
    /// let buffer = SimdBuffer::<f32>::zeroed(100); // 16 elements are 64 bytes
    /// let (head, rest) = buffer.split_at_aligned(32).unwrap();
    /// assert_eq!((head.len(), rest.len()), (32, 68));
    /// assert!(buffer.split_at_aligned(30).is_none());
    /// ```
    #[inline]
    #[must_use]
    pub fn split_at_aligned(&self, mid: usize) -> Option<(&Self, &Self)> {
        if !Self::keeps_alignment(mid) {
            return None;
        }
        let (head, rest) = self.elements.split_at_checked(mid)?;
        // SAFETY: the first part starts where the slice does, the second a multiple of `A::BYTES` after it (S1).
        Some(unsafe { (Self::new_unchecked(head), Self::new_unchecked(rest)) })
    }

    /// As [`split_at_aligned`](Self::split_at_aligned), for parts to be written at the same time.
    #[inline]
    #[must_use]
    pub fn split_at_aligned_mut(&mut self, mid: usize) -> Option<(&mut Self, &mut Self)> {
        if !Self::keeps_alignment(mid) {
            return None;
        }
        let (head, rest) = self.elements.split_at_mut_checked(mid)?;
        // SAFETY: as in `split_at_aligned`.
        Some(unsafe { (Self::new_unchecked_mut(head), Self::new_unchecked_mut(rest)) })
    }

    /// Consecutive parts of `chunk` elements, each aligned as the whole; the last may be shorter.
    ///
    /// # Panics
    /// If `chunk` is 0 or `chunk` elements are not a multiple of `A::BYTES` bytes.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdBuffer;
    /// let buffer = SimdBuffer::<f32>::zeroed(100);
    /// let lengths: Vec<usize> = buffer.chunks_aligned(48).map(|chunk| chunk.len()).collect();
    /// assert_eq!(lengths, [48, 48, 4]);
    /// ```
    #[track_caller]
    pub fn chunks_aligned(&self, chunk: usize) -> impl ExactSizeIterator<Item = &Self> + DoubleEndedIterator {
        Self::check_chunk(chunk);
        // SAFETY: each part starts a multiple of `chunk` elements, hence of `A::BYTES`, after the start (S1).
        self.elements.chunks(chunk).map(|part| unsafe { Self::new_unchecked(part) })
    }

    /// As [`chunks_aligned`](Self::chunks_aligned), for parts to be written.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn chunks_aligned_mut(
        &mut self,
        chunk: usize,
    ) -> impl ExactSizeIterator<Item = &mut Self> + DoubleEndedIterator {
        Self::check_chunk(chunk);
        // SAFETY: as in `chunks_aligned`.
        self.elements.chunks_mut(chunk).map(|part| unsafe { Self::new_unchecked_mut(part) })
    }

    /// Whether `count` elements are a multiple of the alignment in bytes.
    #[inline]
    fn keeps_alignment(count: usize) -> bool {
        // A product that wraps is the right one modulo any power of two.
        is_aligned(count.wrapping_mul(size_of::<T>()), A::BYTES)
    }

    #[track_caller]
    fn check_chunk(chunk: usize) {
        assert!(
            chunk != 0 && Self::keeps_alignment(chunk),
            "chunks of {chunk} elements of {} bytes do not stay aligned to {} bytes",
            size_of::<T>(),
            A::BYTES
        );
    }
}

impl<T, A: KnownAlign> Deref for AlignedSlice<T, A> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<T, A: KnownAlign> DerefMut for AlignedSlice<T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements
    }
}

impl<T: fmt::Debug, A: KnownAlign> fmt::Debug for AlignedSlice<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.elements.fmt(f)
    }
}

impl<T, A: KnownAlign> Default for &AlignedSlice<T, A> {
    fn default() -> Self {
        AlignedSlice::empty()
    }
}

impl<T, A: KnownAlign> Default for &mut AlignedSlice<T, A> {
    fn default() -> Self {
        AlignedSlice::empty_mut()
    }
}

static_assertions::const_assert_eq!(size_of::<&AlignedSlice<u8, crate::align::Align<4096>>>(), size_of::<&[u8]>());
static_assertions::assert_impl_all!(AlignedSlice<u8, crate::align::Align<64>>: Send, Sync);
static_assertions::assert_not_impl_any!(AlignedSlice<core::cell::Cell<u8>, crate::align::Align<64>>: Sync);
static_assertions::assert_not_impl_any!(AlignedSlice<*const u8, crate::align::Align<64>>: Send, Sync);
