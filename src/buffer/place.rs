//! [`Place`]: where a buffer goes, and all the constructors.
//!
//! Each constructor stands here once in its `try_` form, which does the work; the plain form unwraps it, and checks at
//! compile time that the region can give the alignment. The functions of the same names on [`SimdBuffer`] are short for
//! `Place::new().…`.

use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use bytemuck::Zeroable;

use super::SimdBuffer;
use super::grow::Filler;
use crate::align::{Align, AlignSpec, Alignment, ChosenFor, KnownAlign};
use crate::error::{AllocResult, or_panic};
use crate::region::{MemoryRegion, Promises, can_hold};
use crate::system::System;

/// An alignment and a region: where a buffer goes.
///
/// ```
/// use bhc_rts_alloc::{Align, Alignment, MemoryRegion, Place, System};
///
/// // Alignment by type; the region is `System` unless told otherwise.
/// let a = Place::<Align<4096>>::new().zeroed::<f32>(1000);
/// // Another region, here a borrowed one.
/// let b = Place::<Align<32>>::new().within(&System).from_slice(&[1.0, 2.0]);
/// // Alignment by value: all constructors can fail then.
/// let c = Place::at(Alignment::Page).try_from_fn(10, |i| i as u64)?;
/// // A region that does not say at compile time what it can give: likewise.
/// let region: &dyn MemoryRegion = &System;
/// let d = Place::<Align<64>>::new().within(region).try_filled(10, 0xffu8)?;
/// assert_eq!((a.len(), b[1], c[9], d[9]), (1000, 2.0, 9, 0xff));
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
pub struct Place<A: AlignSpec = Align<64>, R: MemoryRegion = System> {
    pub(super) spec: A::Repr,
    pub(super) region: R,
}

// By hand: derived, they would ask the same of `A`, of which no value is there.
impl<A: AlignSpec, R: MemoryRegion + Clone> Clone for Place<A, R> {
    fn clone(&self) -> Self {
        Self { spec: self.spec, region: self.region.clone() }
    }
}

impl<A: AlignSpec, R: MemoryRegion + Copy> Copy for Place<A, R> {}

impl<A: AlignSpec, R: MemoryRegion + fmt::Debug> fmt::Debug for Place<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("alignment", &A::alignment(self.spec)).field("region", &self.region).finish()
    }
}

impl<A: KnownAlign> Place<A> {
    /// In [`System`], aligned to `A`.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { spec: (), region: System }
    }
}

impl<A: KnownAlign> Default for Place<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl Place<Alignment> {
    /// In [`System`], aligned to `alignment`.
    #[inline]
    #[must_use]
    pub const fn at(alignment: Alignment) -> Self {
        Self { spec: alignment, region: System }
    }
}

impl<A: AlignSpec, R: MemoryRegion> Place<A, R> {
    /// The same alignment in another region, which the buffer will hold: a reference, an `Arc`, or the region itself.
    #[inline]
    #[must_use]
    pub fn within<Q: MemoryRegion>(self, region: Q) -> Place<A, Q> {
        Place { spec: self.spec, region }
    }

    /// An empty buffer with room for `capacity` elements; without a request to the region if that is 0.
    ///
    /// # Errors
    /// [`Overflow`](crate::AllocError::Overflow) if the size does not fit the address space, or what the region answers.
    #[inline]
    pub fn try_with_capacity<T>(self, capacity: usize) -> AllocResult<SimdBuffer<T, A, R>> {
        let mut buffer = SimdBuffer::<T, A, R>::obtain(self.spec, self.region, capacity, R::alloc)?;
        buffer.zero_padding();
        Ok(buffer)
    }

    /// `len` elements, all bytes zero. Where the region gets its pages from the operating system nothing is written.
    ///
    /// # Errors
    /// As [`try_with_capacity`](Self::try_with_capacity).
    #[inline]
    pub fn try_zeroed<T: Zeroable>(self, len: usize) -> AllocResult<SimdBuffer<T, A, R>> {
        let mut buffer = SimdBuffer::obtain(self.spec, self.region, len, R::alloc_zeroed)?;
        buffer.len = len; // The elements are zeros, which are `T`s, and so is the padding.
        Ok(buffer)
    }

    /// `len` elements to be filled later; see [`assume_init`](SimdBuffer::assume_init).
    ///
    /// # Errors
    /// As [`try_with_capacity`](Self::try_with_capacity).
    #[inline]
    pub fn try_uninit<T>(self, len: usize) -> AllocResult<SimdBuffer<MaybeUninit<T>, A, R>> {
        let mut buffer = SimdBuffer::<MaybeUninit<T>, A, R>::obtain(self.spec, self.region, len, R::alloc)?;
        buffer.len = len; // `MaybeUninit` needs no initialisation.
        buffer.zero_padding();
        Ok(buffer)
    }

    /// `len` elements; `make` is called with 0, 1, 2, …
    ///
    /// # Errors
    /// As [`try_with_capacity`](Self::try_with_capacity); then `make` was not called.
    #[inline]
    pub fn try_from_fn<T>(self, len: usize, make: impl FnMut(usize) -> T) -> AllocResult<SimdBuffer<T, A, R>> {
        self.fill_block(len, make, R::alloc)
    }

    /// As [`try_from_fn`](Self::try_from_fn), in the block that `alloc` gives: a region may have a form that does not fail,
    /// and then the compiler need not keep what is needed only if it does.
    #[inline]
    pub(crate) fn fill_block<T>(
        self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
        alloc: impl FnOnce(&R, Layout) -> AllocResult<NonNull<u8>>,
    ) -> AllocResult<SimdBuffer<T, A, R>> {
        let mut buffer = SimdBuffer::obtain(self.spec, self.region, len, alloc)?;
        let mut filler = Filler::new(&mut buffer);
        for index in 0..len {
            // SAFETY: there is room for `len`.
            unsafe { filler.add(make(index)) };
        }
        drop(filler);
        Ok(buffer)
    }

    /// Clones of `elements`.
    ///
    /// # Errors
    /// As [`try_with_capacity`](Self::try_with_capacity); then nothing was cloned.
    #[inline]
    pub fn try_from_slice<T: Clone>(self, elements: &[T]) -> AllocResult<SimdBuffer<T, A, R>> {
        let mut buffer = SimdBuffer::<T, A, R>::obtain(self.spec, self.region, elements.len(), R::alloc)?;
        // SAFETY: there is room for all of them.
        unsafe { buffer.append_clones(elements) };
        Ok(buffer)
    }

    /// `len` clones of `value`.
    ///
    /// # Errors
    /// As [`try_with_capacity`](Self::try_with_capacity); then nothing was cloned.
    #[inline]
    pub fn try_filled<T: Clone>(self, len: usize, value: T) -> AllocResult<SimdBuffer<T, A, R>> {
        let buffer = self.try_from_fn(len, |_| value.clone());
        // Here and not at the end: if this panics, the buffer is still a variable and is dropped.
        drop(value);
        buffer
    }

    /// What `iter` gives. Its size hint decides how much is reserved first and nothing else.
    ///
    /// # Errors
    /// What the region answers. The elements so far are dropped.
    pub fn try_from_iter<T>(self, iter: impl IntoIterator<Item = T>) -> AllocResult<SimdBuffer<T, A, R>> {
        let mut buffer = self.try_with_capacity(0)?;
        let iter = iter.into_iter();
        // A hint that cannot be met may be a lie; if it is not, `try_push` will say so.
        let _ = buffer.try_reserve(iter.size_hint().0);
        for value in iter {
            buffer.try_push(value).map_err(|(_, error)| error)?;
        }
        Ok(buffer)
    }
}

impl<A: AlignSpec, R: MemoryRegion> Place<A, R> {
    /// What `iter` gives. In [`System`], `collect` does the same.
    ///
    /// # Panics
    /// With the error's text.
    #[track_caller]
    #[must_use]
    pub fn from_iter<T>(self, iter: impl IntoIterator<Item = T>) -> SimdBuffer<T, A, R>
    where
        R: Promises<A>,
    {
        const { can_hold::<T, R>() };
        or_panic(self.try_from_iter(iter))
    }
}

static_assertions::const_assert_eq!(size_of::<Place<Align<4096>>>(), 0);
static_assertions::const_assert_eq!(size_of::<Place<Alignment>>(), 1);
static_assertions::assert_impl_all!(Place<Alignment>: Copy, Send, Sync, Unpin);

/// The infallible forms. The bound on the region stands on each method, not on the block: only then does the compiler
/// say in our words what is missing.
macro_rules! infallible {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident = $try_name:ident [$($generics:tt)*] ($($argument:ident: $type:ty),*) -> $element:ty;
    )+) => {
        impl<A: AlignSpec, R: MemoryRegion> Place<A, R> {$(
            $(#[doc = $doc])*
            ///
            /// # Panics
            /// With the error's text.
            #[inline]
            #[track_caller]
            #[must_use]
            pub fn $name<$($generics)*>(self $(, $argument: $type)*) -> SimdBuffer<$element, A, R>
            where
                R: Promises<A>,
            {
                const { can_hold::<$element, R>() };
                or_panic(self.$try_name($($argument),*))
            }
        )+}

        /// In [`System`], with an alignment known at compile time: short for `Place::<A>::new().…`.
        impl<T, A: KnownAlign> SimdBuffer<T, A> {$(
            infallible!(@short $(#[doc = $doc])* $name = $try_name [$($generics)*] ($($argument: $type),*) -> $element);
        )+}
    };
    (@short $(#[doc = $doc:literal])* $name:ident = $try_name:ident [T $(: $bound:ident)?]
        ($($argument:ident: $type:ty),*) -> $element:ty) => {
        $(#[doc = $doc])*
        ///
        /// # Panics
        /// With the error's text.
        #[inline]
        #[track_caller]
        #[must_use]
        pub fn $name($($argument: $type),*) -> SimdBuffer<$element, A>
        $(where T: $bound,)?
        {
            // No bound on the alignment: what `System` promises is the strongest there is.
            const { can_hold::<$element, System>() };
            or_panic(Place::<A>::new().$try_name($($argument),*))
        }

        $(#[doc = $doc])*
        ///
        /// # Errors
        /// [`Overflow`](crate::AllocError::Overflow) or [`OutOfMemory`](crate::AllocError::OutOfMemory).
        #[inline]
        pub fn $try_name($($argument: $type),*) -> AllocResult<SimdBuffer<$element, A>>
        $(where T: $bound,)?
        {
            Place::<A>::new().$try_name($($argument),*)
        }
    };
}

infallible! {
    /// An empty buffer with room for `capacity` elements.
    with_capacity = try_with_capacity [T] (capacity: usize) -> T;
    /// `len` elements, all bytes zero; the pages of a large buffer are not touched.
    zeroed = try_zeroed [T: Zeroable] (len: usize) -> T;
    /// `len` elements to be filled later; see [`assume_init`](SimdBuffer::assume_init).
    uninit = try_uninit [T] (len: usize) -> MaybeUninit<T>;
    /// `len` elements; `make` is called with 0, 1, 2, …
    from_fn = try_from_fn [T] (len: usize, make: impl FnMut(usize) -> T) -> T;
    /// Clones of `elements`.
    from_slice = try_from_slice [T: Clone] (elements: &[T]) -> T;
    /// `len` clones of `value`.
    filled = try_filled [T: Clone] (len: usize, value: T) -> T;
}

impl<T, A: AlignSpec> SimdBuffer<T, A> {
    /// `len` elements, all bytes zero, in [`System`], aligned to `alignment`: the constructor for an alignment chosen at
    /// run time. With an alignment known at compile time there is none to pass: [`zeroed`](SimdBuffer::zeroed).
    ///
    /// # Errors
    /// [`Overflow`](crate::AllocError::Overflow) or [`OutOfMemory`](crate::AllocError::OutOfMemory).
    #[inline]
    pub fn new(len: usize, alignment: Alignment) -> AllocResult<Self>
    where
        T: Zeroable,
        Alignment: ChosenFor<A>,
    {
        Place::<A> { spec: alignment.into_repr(), region: System }.try_zeroed(len)
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<MaybeUninit<T>, A, R> {
    /// The same buffer with its elements taken to be filled.
    ///
    /// # Safety
    /// All `len` elements are initialised.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdBuffer;
    /// let mut squares = SimdBuffer::<u32>::uninit(10);
    /// for (i, slot) in squares.iter_mut().enumerate() {
    ///     slot.write((i * i) as u32);
    /// }
    /// // SAFETY: every element was written.
    /// let squares = unsafe { squares.assume_init() };
    /// assert_eq!(squares[9], 81);
    /// ```
    #[inline]
    #[must_use]
    pub unsafe fn assume_init(mut self) -> SimdBuffer<T, A, R> {
        // Through `padded_mut` uninitialised bytes can get into the padding of a buffer of `MaybeUninit`.
        self.zero_padding();
        let (ptr, len, bytes, spec, region) = self.into_parts();
        SimdBuffer { ptr: ptr.cast(), len, bytes, spec, region, _owns: core::marker::PhantomData }
    }
}
