//! Iteration by value.

use core::fmt;
use core::iter::FusedIterator;
use core::ops::Range;

use super::SimdBuffer;
use crate::align::AlignSpec;
use crate::region::MemoryRegion;

/// The elements of a [`SimdBuffer`], by value. What is not taken is dropped with the iterator.
pub struct IntoIter<T, A: AlignSpec, R: MemoryRegion> {
    /// Has length 0: it frees the block and nothing else.
    buffer: SimdBuffer<T, A, R>,
    /// The elements that are still there.
    alive: Range<usize>,
}

static_assertions::assert_impl_all!(IntoIter<u8, crate::align::Align<64>, crate::system::System>: Send, Sync, Unpin);
static_assertions::assert_not_impl_any!(IntoIter<*const u8, crate::align::Align<64>, crate::system::System>: Send, Sync);

impl<T, A: AlignSpec, R: MemoryRegion> IntoIter<T, A, R> {
    /// The elements not yet taken.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: elements `alive` of the buffer are initialised.
        unsafe { core::slice::from_raw_parts(self.buffer.as_ptr().add(self.alive.start), self.alive.len()) }
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> IntoIterator for SimdBuffer<T, A, R> {
    type Item = T;
    type IntoIter = IntoIter<T, A, R>;

    #[inline]
    fn into_iter(mut self) -> IntoIter<T, A, R> {
        let alive = 0..self.len;
        self.len = 0;
        IntoIter { buffer: self, alive }
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> Iterator for IntoIter<T, A, R> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let index = self.alive.next()?;
        // SAFETY: it was alive, and is not any more.
        Some(unsafe { self.buffer.as_ptr().add(index).read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.alive.size_hint()
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> DoubleEndedIterator for IntoIter<T, A, R> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        let index = self.alive.next_back()?;
        // SAFETY: it was alive, and is not any more.
        Some(unsafe { self.buffer.as_ptr().add(index).read() })
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> ExactSizeIterator for IntoIter<T, A, R> {}
impl<T, A: AlignSpec, R: MemoryRegion> FusedIterator for IntoIter<T, A, R> {}

impl<T: fmt::Debug, A: AlignSpec, R: MemoryRegion> fmt::Debug for IntoIter<T, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.as_slice()).finish()
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> Drop for IntoIter<T, A, R> {
    fn drop(&mut self) {
        // SAFETY: elements `alive` are initialised and not used again. If one panics the buffer still frees the block.
        unsafe {
            let start = self.buffer.as_mut_ptr().add(self.alive.start);
            core::ptr::slice_from_raw_parts_mut(start, self.alive.len()).drop_in_place();
        }
    }
}
