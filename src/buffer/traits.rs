//! The standard traits of [`AlignedSlice`] and [`SimdBuffer`]. Comparison, order and hash are those of the plain slice,
//! whatever the alignment.

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Index, IndexMut};
use core::slice::{self, SliceIndex};

use super::{AlignedSlice, Place, SimdBuffer};
use crate::align::{AlignSpec, AtLeast, KnownAlign};
use crate::error::{AllocResult, or_panic};
use crate::region::MemoryRegion;

/// What a slice-like type takes over from the slice that `$slice` gives.
macro_rules! like_a_slice {
    ([$($generics:tt)*] $type:ty) => {
        #[diagnostic::do_not_recommend]
        impl<$($generics)*> AsRef<[T]> for $type {
            #[inline]
            fn as_ref(&self) -> &[T] {
                self.as_slice()
            }
        }
        #[diagnostic::do_not_recommend]
        impl<$($generics)*> AsMut<[T]> for $type {
            #[inline]
            fn as_mut(&mut self) -> &mut [T] {
                self.as_mut_slice()
            }
        }
        impl<$($generics)*> Borrow<[T]> for $type {
            #[inline]
            fn borrow(&self) -> &[T] {
                self.as_slice()
            }
        }
        impl<$($generics)*> BorrowMut<[T]> for $type {
            #[inline]
            fn borrow_mut(&mut self) -> &mut [T] {
                self.as_mut_slice()
            }
        }
        impl<$($generics)*, I: SliceIndex<[T]>> Index<I> for $type {
            type Output = I::Output;
            #[inline]
            #[track_caller]
            fn index(&self, index: I) -> &I::Output {
                &self.as_slice()[index]
            }
        }
        impl<$($generics)*, I: SliceIndex<[T]>> IndexMut<I> for $type {
            #[inline]
            #[track_caller]
            fn index_mut(&mut self, index: I) -> &mut I::Output {
                &mut self.as_mut_slice()[index]
            }
        }
        impl<'a, $($generics)*> IntoIterator for &'a $type {
            type Item = &'a T;
            type IntoIter = slice::Iter<'a, T>;
            #[inline]
            fn into_iter(self) -> slice::Iter<'a, T> {
                self.as_slice().iter()
            }
        }
        impl<'a, $($generics)*> IntoIterator for &'a mut $type {
            type Item = &'a mut T;
            type IntoIter = slice::IterMut<'a, T>;
            #[inline]
            fn into_iter(self) -> slice::IterMut<'a, T> {
                self.as_mut_slice().iter_mut()
            }
        }
    };
}

like_a_slice!([T, A: KnownAlign] AlignedSlice<T, A>);
like_a_slice!([T, A: AlignSpec, R: MemoryRegion] SimdBuffer<T, A, R>);

/// Equality with everything that has a slice. `$other` is compared through `[..]`.
macro_rules! equal_as_slices {
    ($([$($generics:tt)*] $left:ty = $right:ty;)+) => {$(
        impl<T: PartialEq<U>, U, $($generics)*> PartialEq<$right> for $left {
            #[inline]
            fn eq(&self, other: &$right) -> bool {
                self[..] == other[..]
            }
        }
    )+};
}

equal_as_slices! {
    [A: KnownAlign, B: KnownAlign] AlignedSlice<T, A> = AlignedSlice<U, B>;
    [A: KnownAlign] AlignedSlice<T, A> = [U];
    [A: KnownAlign] AlignedSlice<T, A> = &[U];
    [A: KnownAlign, const N: usize] AlignedSlice<T, A> = [U; N];
    [A: KnownAlign, B: AlignSpec, R: MemoryRegion] AlignedSlice<T, A> = SimdBuffer<U, B, R>;
    [B: AlignSpec, R: MemoryRegion] [T] = SimdBuffer<U, B, R>;
    [B: AlignSpec, R: MemoryRegion, const N: usize] [T; N] = SimdBuffer<U, B, R>;
    [A: AlignSpec, R: MemoryRegion, B: AlignSpec, Q: MemoryRegion] SimdBuffer<T, A, R> = SimdBuffer<U, B, Q>;
    [A: AlignSpec, R: MemoryRegion, B: KnownAlign] SimdBuffer<T, A, R> = AlignedSlice<U, B>;
    [A: AlignSpec, R: MemoryRegion] SimdBuffer<T, A, R> = [U];
    [A: AlignSpec, R: MemoryRegion] SimdBuffer<T, A, R> = &[U];
    [A: AlignSpec, R: MemoryRegion] SimdBuffer<T, A, R> = &mut [U];
    [A: AlignSpec, R: MemoryRegion, const N: usize] SimdBuffer<T, A, R> = [U; N];
    [A: AlignSpec, R: MemoryRegion, const N: usize] SimdBuffer<T, A, R> = &[U; N];
}

#[cfg(feature = "alloc")]
equal_as_slices! {
    [A: AlignSpec, R: MemoryRegion] SimdBuffer<T, A, R> = alloc::vec::Vec<U>;
    [A: AlignSpec, R: MemoryRegion] alloc::vec::Vec<T> = SimdBuffer<U, A, R>;
}

/// `Eq`, order and hash by the elements.
macro_rules! ordered_as_slices {
    ($([$($generics:tt)*] $type:ty, other [$($others:tt)*] $other:ty;)+) => {$(
        impl<T: Eq, $($generics)*> Eq for $type {}
        impl<T: PartialOrd, $($generics)*, $($others)*> PartialOrd<$other> for $type {
            #[inline]
            fn partial_cmp(&self, other: &$other) -> Option<Ordering> {
                self.as_slice().partial_cmp(other.as_slice())
            }
        }
        impl<T: Ord, $($generics)*> Ord for $type {
            #[inline]
            fn cmp(&self, other: &Self) -> Ordering {
                self.as_slice().cmp(other.as_slice())
            }
        }
        impl<T: Hash, $($generics)*> Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_slice().hash(state);
            }
        }
    )+};
}

ordered_as_slices! {
    [A: KnownAlign] AlignedSlice<T, A>, other [B: KnownAlign] AlignedSlice<T, B>;
    [A: AlignSpec, R: MemoryRegion] SimdBuffer<T, A, R>, other [B: AlignSpec, Q: MemoryRegion] SimdBuffer<T, B, Q>;
}

impl<T: fmt::Debug, A: AlignSpec, R: MemoryRegion> fmt::Debug for SimdBuffer<T, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl<T: Clone, A: AlignSpec, R: MemoryRegion + Clone> SimdBuffer<T, A, R> {
    /// A clone, with the same alignment, in the same region or in a clone of it. Its capacity is what the elements need.
    ///
    /// # Errors
    /// What the region answers; then nothing was cloned.
    #[inline]
    pub fn try_clone(&self) -> AllocResult<Self> {
        Place { spec: self.spec, region: self.region.clone() }.try_from_slice(self.as_slice())
    }
}

/// As [`try_clone`](SimdBuffer::try_clone).
///
/// # Panics
/// With the error's text if there is no memory.
impl<T: Clone, A: AlignSpec, R: MemoryRegion + Clone> Clone for SimdBuffer<T, A, R> {
    #[inline]
    #[track_caller]
    fn clone(&self) -> Self {
        or_panic(self.try_clone())
    }

    /// Keeps the region, and the memory where the alignment is the same. A refusal leaves the buffer as it was.
    #[track_caller]
    fn clone_from(&mut self, source: &Self) {
        if self.spec == source.spec {
            self.reserve(source.len().saturating_sub(self.len()));
            self.clear();
            self.extend_from_slice(source.as_slice());
        } else {
            let place = Place { spec: source.spec, region: self.region.clone() };
            *self = or_panic(place.try_from_slice(source.as_slice()));
        }
    }
}

impl<T, A: KnownAlign> Default for SimdBuffer<T, A> {
    #[inline]
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<T, A: KnownAlign> FromIterator<T> for SimdBuffer<T, A> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        or_panic(Place::new().try_from_iter(iter))
    }
}

impl<T: Clone, A: KnownAlign> From<&[T]> for SimdBuffer<T, A> {
    #[track_caller]
    fn from(elements: &[T]) -> Self {
        Self::from_slice(elements)
    }
}

impl<T, A: KnownAlign, const N: usize> From<[T; N]> for SimdBuffer<T, A> {
    #[track_caller]
    fn from(elements: [T; N]) -> Self {
        elements.into_iter().collect()
    }
}

/// Moves the elements; the memory of a `Vec` is not aligned enough to be taken over.
#[cfg(feature = "alloc")]
impl<T, A: KnownAlign> From<alloc::vec::Vec<T>> for SimdBuffer<T, A> {
    #[track_caller]
    fn from(elements: alloc::vec::Vec<T>) -> Self {
        elements.into_iter().collect()
    }
}

/// Moves the elements, for code that wants a `Vec`.
#[cfg(feature = "alloc")]
impl<T, A: AlignSpec, R: MemoryRegion> From<SimdBuffer<T, A, R>> for alloc::vec::Vec<T> {
    fn from(buffer: SimdBuffer<T, A, R>) -> Self {
        buffer.into_iter().collect()
    }
}

impl<T, A: AtLeast<B>, B: KnownAlign> AsRef<AlignedSlice<T, B>> for AlignedSlice<T, A> {
    #[inline]
    fn as_ref(&self) -> &AlignedSlice<T, B> {
        self.weaken()
    }
}

impl<T, A: AtLeast<B>, B: KnownAlign> AsMut<AlignedSlice<T, B>> for AlignedSlice<T, A> {
    #[inline]
    fn as_mut(&mut self) -> &mut AlignedSlice<T, B> {
        self.weaken_mut()
    }
}

impl<T, A: AtLeast<B>, B: KnownAlign, R: MemoryRegion> AsRef<AlignedSlice<T, B>> for SimdBuffer<T, A, R> {
    #[inline]
    fn as_ref(&self) -> &AlignedSlice<T, B> {
        self.view().weaken()
    }
}

impl<T, A: AtLeast<B>, B: KnownAlign, R: MemoryRegion> AsMut<AlignedSlice<T, B>> for SimdBuffer<T, A, R> {
    #[inline]
    fn as_mut(&mut self) -> &mut AlignedSlice<T, B> {
        self.view_mut().weaken_mut()
    }
}

impl<T, A: KnownAlign, R: MemoryRegion> Borrow<AlignedSlice<T, A>> for SimdBuffer<T, A, R> {
    #[inline]
    fn borrow(&self) -> &AlignedSlice<T, A> {
        self.view()
    }
}

#[cfg(feature = "alloc")]
impl<T: Clone, A: KnownAlign> alloc::borrow::ToOwned for AlignedSlice<T, A> {
    type Owned = SimdBuffer<T, A>;

    #[track_caller]
    fn to_owned(&self) -> SimdBuffer<T, A> {
        SimdBuffer::from_slice(self)
    }
}
