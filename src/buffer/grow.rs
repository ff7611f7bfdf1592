//! Vec's verbs on [`SimdBuffer`]. Each leaves the padding zero, also when code of the element type panics.

use core::ptr;

use super::SimdBuffer;
use super::owned::rounded_layout;
use crate::align::AlignSpec;
use crate::error::{AllocError, AllocResult, or_panic};
use crate::region::MemoryRegion;

/// The least that a growing buffer allocates, in bytes: one block of padding.
const MIN_GROWTH: usize = super::PADDING_BLOCK;

/// Adds elements at the end of a buffer that has room for them. What was added before a panic stays, and the padding
/// after it becomes zero.
pub(super) struct Filler<'a, T, A: AlignSpec, R: MemoryRegion> {
    buffer: &'a mut SimdBuffer<T, A, R>,
    len: usize,
}

impl<'a, T, A: AlignSpec, R: MemoryRegion> Filler<'a, T, A, R> {
    #[inline]
    pub(super) fn new(buffer: &'a mut SimdBuffer<T, A, R>) -> Self {
        let len = buffer.len;
        Self { buffer, len }
    }

    /// # Safety
    /// The capacity is more than the elements so far.
    #[inline]
    pub(super) unsafe fn add(&mut self, value: T) {
        // SAFETY: the caller promises the room.
        unsafe { self.buffer.ptr.add(self.len).write(value) };
        self.len += 1;
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> Drop for Filler<'_, T, A, R> {
    #[inline]
    fn drop(&mut self) {
        self.buffer.len = self.len;
        self.buffer.zero_padding();
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// Makes room for `additional` more elements, and for more than that so that pushing one by one takes amortised
    /// constant time.
    ///
    /// # Errors
    /// What the region answers, or [`Overflow`](AllocError::Overflow). The buffer is as before.
    #[inline]
    pub fn try_reserve(&mut self, additional: usize) -> AllocResult<()> {
        if additional <= self.capacity() - self.len { Ok(()) } else { self.grow(additional) }
    }

    /// As [`try_reserve`](Self::try_reserve).
    ///
    /// # Panics
    /// With the error's text. The buffer is as before.
    #[inline]
    #[track_caller]
    pub fn reserve(&mut self, additional: usize) {
        or_panic(self.try_reserve(additional));
    }

    /// Makes room for exactly `additional` more elements, rounded up to whole blocks of padding.
    ///
    /// # Errors
    /// As [`try_reserve`](Self::try_reserve).
    pub fn try_reserve_exact(&mut self, additional: usize) -> AllocResult<()> {
        if additional <= self.capacity() - self.len {
            return Ok(());
        }
        let needed = self.len.checked_add(additional).ok_or(AllocError::Overflow)?;
        self.reallocate(rounded_layout::<T>(needed, self.alignment())?.size())
    }

    /// As [`try_reserve_exact`](Self::try_reserve_exact).
    ///
    /// # Panics
    /// With the error's text. The buffer is as before.
    #[track_caller]
    pub fn reserve_exact(&mut self, additional: usize) {
        or_panic(self.try_reserve_exact(additional));
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, additional: usize) -> AllocResult<()> {
        let needed = self.len.checked_add(additional).ok_or(AllocError::Overflow)?;
        let exact = rounded_layout::<T>(needed, self.alignment())?.size();
        // Twice the old size is a multiple of `P` too, and so is the minimum, for every `P`.
        let amortised = exact.max(self.bytes.saturating_mul(2)).max(MIN_GROWTH);
        let fits = core::alloc::Layout::from_size_align(amortised, self.layout().align()).is_ok();
        self.reallocate(if fits { amortised } else { exact })
    }

    /// Gives back memory beyond the elements. If the region cannot, the buffer stays as large as it is.
    pub fn shrink_to_fit(&mut self) {
        self.shrink_to(0);
    }

    /// Gives back memory beyond `min_capacity` elements, or beyond the elements if those are more. If the region cannot,
    /// the buffer stays as large as it is.
    pub fn shrink_to(&mut self, min_capacity: usize) {
        let Ok(layout) = rounded_layout::<T>(self.len.max(min_capacity), self.alignment()) else {
            return; // larger than any buffer is
        };
        if layout.size() < self.bytes {
            // A refusal leaves everything as it was, which is what is promised. To size zero it is a deallocation and
            // gives the dangling pointer that B1 wants.
            let _ = self.reallocate(layout.size());
        }
    }

    /// Appends `value`. Amortised constant time; one comparison when the element does not enter a new block of padding.
    ///
    /// # Errors
    /// The value comes back, with what the region answered. The buffer is as before.
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), (T, AllocError)> {
        let len = self.len;
        if self.next_enters_block() {
            if len == self.capacity()
                && let Err(error) = self.grow(1)
            {
                return Err((value, error));
            }
            self.enter_block();
        } else if Self::SIZE == 0 && len == usize::MAX {
            return Err((value, AllocError::Overflow));
        }
        // SAFETY: there is room: either it was just made sure of, or the element ends within a block of padding that is
        // inside the allocation (B2).
        unsafe { self.ptr.add(len).write(value) };
        self.len = len + 1;
        Ok(())
    }

    /// Appends `value`.
    ///
    /// # Panics
    /// With the error's text if there is no memory; the value is dropped, the buffer is as before.
    #[inline]
    #[track_caller]
    pub fn push(&mut self, value: T) {
        if let Err((_value, error)) = self.try_push(value) {
            crate::error::refuse(&error);
        }
    }

    /// Takes the last element off.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        // SAFETY: it was an element (B3) and is not one any more.
        let value = unsafe { self.ptr.add(last).read() };
        self.zero_vacated(last + 1);
        Some(value)
    }

    /// Drops all elements from `len` on. Keeps the memory.
    pub fn truncate(&mut self, len: usize) {
        /// Zeroes what the elements leave also if the `Drop` of one panics.
        struct Vacate<'a, T, A: AlignSpec, R: MemoryRegion>(&'a mut SimdBuffer<T, A, R>, usize);
        impl<T, A: AlignSpec, R: MemoryRegion> Drop for Vacate<'_, T, A, R> {
            fn drop(&mut self) {
                self.0.zero_vacated(self.1);
            }
        }
        let old_len = self.len;
        if len < old_len {
            // SAFETY: inside the elements.
            let tail = ptr::slice_from_raw_parts_mut(unsafe { self.ptr.add(len) }.as_ptr(), old_len - len);
            self.len = len;
            let _vacate = Vacate(self, old_len);
            // SAFETY: they were elements (B3) and are not any more.
            unsafe { tail.drop_in_place() };
        }
    }

    /// Drops all elements. Keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Puts `value` before element `index`, shifting those after it. Linear in their number.
    ///
    /// # Errors
    /// The value comes back, with what the region answered. The buffer is as before.
    ///
    /// # Panics
    /// If `index > len`.
    #[track_caller]
    pub fn try_insert(&mut self, index: usize, value: T) -> Result<(), (T, AllocError)> {
        assert!(index <= self.len, "cannot insert before element {index} of {}", self.len);
        self.try_push(value)?;
        self.as_mut_slice()[index..].rotate_right(1);
        Ok(())
    }

    /// As [`try_insert`](Self::try_insert).
    ///
    /// # Panics
    /// If `index > len`, or with the error's text if there is no memory.
    #[track_caller]
    pub fn insert(&mut self, index: usize, value: T) {
        if let Err((_value, error)) = self.try_insert(index, value) {
            crate::error::refuse(&error);
        }
    }

    /// Takes element `index` out, shifting those after it. Linear in their number.
    ///
    /// # Panics
    /// If `index >= len`.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> T {
        assert!(index < self.len, "cannot remove element {index} of {}", self.len);
        self.as_mut_slice()[index..].rotate_left(1);
        self.pop().expect("there is an element at `index`")
    }

    /// Takes element `index` out and puts the last one in its place. Constant time.
    ///
    /// # Panics
    /// If `index >= len`.
    #[track_caller]
    pub fn swap_remove(&mut self, index: usize) -> T {
        assert!(index < self.len, "cannot remove element {index} of {}", self.len);
        let last = self.len - 1;
        self.as_mut_slice().swap(index, last);
        self.pop().expect("there is an element at `index`")
    }

    /// Keeps the elements that `keep` says `true` to, in their order, and drops the others.
    ///
    /// If `keep` panics all elements are still there, in another order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut kept = 0;
        for at in 0..self.len {
            let elements = self.as_mut_slice();
            if keep(&elements[at]) {
                elements.swap(kept, at);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Appends clones of `elements`.
    ///
    /// # Errors
    /// What the region answers; then nothing was cloned.
    #[inline]
    pub fn try_extend_from_slice(&mut self, elements: &[T]) -> AllocResult<()>
    where
        T: Clone,
    {
        self.try_reserve(elements.len())?;
        // SAFETY: there is room for all of them.
        unsafe { self.append_clones(elements) };
        Ok(())
    }

    /// # Safety
    /// There is room for all of them.
    #[inline]
    pub(super) unsafe fn append_clones(&mut self, elements: &[T])
    where
        T: Clone,
    {
        let mut filler = Filler::new(self);
        for element in elements {
            // SAFETY: the caller promises the room.
            unsafe { filler.add(element.clone()) };
        }
    }

    /// Appends clones of `elements`.
    ///
    /// # Panics
    /// With the error's text if there is no memory. If a `clone` panics the elements before it stay appended.
    #[inline]
    #[track_caller]
    pub fn extend_from_slice(&mut self, elements: &[T])
    where
        T: Clone,
    {
        or_panic(self.try_extend_from_slice(elements));
    }

    /// Makes the length `len`: drops what is beyond, or appends what `make` gives.
    ///
    /// # Errors
    /// What the region answers; then `make` was not called.
    pub fn try_resize_with(&mut self, len: usize, mut make: impl FnMut() -> T) -> AllocResult<()> {
        match len.checked_sub(self.len) {
            None => self.truncate(len),
            Some(additional) => {
                self.try_reserve(additional)?;
                let mut filler = Filler::new(self);
                for _ in 0..additional {
                    // SAFETY: there is room for all of them.
                    unsafe { filler.add(make()) };
                }
            }
        }
        Ok(())
    }

    /// Makes the length `len`: drops what is beyond, or appends clones of `value`.
    ///
    /// # Errors
    /// What the region answers; then nothing was cloned.
    pub fn try_resize(&mut self, len: usize, value: T) -> AllocResult<()>
    where
        T: Clone,
    {
        self.try_resize_with(len, || value.clone())
    }

    /// As [`try_resize_with`](Self::try_resize_with).
    ///
    /// # Panics
    /// With the error's text if there is no memory.
    #[track_caller]
    pub fn resize_with(&mut self, len: usize, make: impl FnMut() -> T) {
        or_panic(self.try_resize_with(len, make));
    }

    /// Makes the length `len`: drops what is beyond, or appends clones of `value`.
    ///
    /// # Panics
    /// With the error's text if there is no memory.
    #[track_caller]
    pub fn resize(&mut self, len: usize, value: T)
    where
        T: Clone,
    {
        or_panic(self.try_resize(len, value));
    }
}

/// Pushes one by one: whatever the iterator says about its length is a hint for the first reservation and no more.
impl<T, A: AlignSpec, R: MemoryRegion> Extend<T> for SimdBuffer<T, A, R> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, iter: I) {
        let iter = iter.into_iter();
        // A hint that cannot be met may be a lie; if it is not, `push` will say so.
        let _ = self.try_reserve(iter.size_hint().0);
        iter.for_each(|value| self.push(value));
    }
}

impl<'a, T: Copy, A: AlignSpec, R: MemoryRegion> Extend<&'a T> for SimdBuffer<T, A, R> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, iter: I) {
        self.extend(iter.into_iter().copied());
    }
}

/// Bytes written are appended. Fails only when there is no memory, and then nothing was written.
#[cfg(feature = "std")]
impl<A: AlignSpec, R: MemoryRegion> std::io::Write for SimdBuffer<u8, A, R> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.try_extend_from_slice(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(std::io::ErrorKind::OutOfMemory.into()),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes).map(|_| ())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
