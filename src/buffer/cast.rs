//! Other views of the same bytes: casts between plain element types, byte views, and records validated out of bytes.
//!
//! bytemuck says which types are plain data: [`NoUninit`] can be looked at as bytes, [`AnyBitPattern`] can be made from
//! any. That the new element type fits the alignment is `U: FitsIn<A>`, decided by `cargo check`; that sizes divide is
//! the one thing left for run time.

use bytemuck::{AnyBitPattern, NoUninit};
use core::marker::PhantomData;
use core::slice;
use zerocopy::{Immutable, KnownLayout, TryFromBytes};

use super::{AlignedSlice, SimdBuffer};
use crate::align::{FitsIn, KnownAlign};
use crate::region::MemoryRegion;

/// A number of bytes that is not a whole number of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are not a whole number of {element}-byte elements")]
pub struct SizeMismatch {
    /// How many bytes there are.
    pub bytes: usize,
    /// The size of one element, in bytes.
    pub element: usize,
}

/// Why bytes are not records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They are not a whole number of records.
    #[error(transparent)]
    Size(#[from] SizeMismatch),
    /// A record has bytes that its type does not allow, such as a `bool` of 2.
    #[error("record {index} is not valid")]
    Invalid {
        /// Which record, counted from 0: the first that is not valid.
        index: usize,
    },
}

static_assertions::assert_impl_all!(RecordError: Send, Sync, Copy, Eq, core::error::Error);
static_assertions::assert_impl_all!(SizeMismatch: Send, Sync, Copy, Eq, core::error::Error);

/// What the relations of `FitsIn` and the sizes must be, once the types are known. `FitsIn` is safe to implement, so
/// soundness rests on this.
#[track_caller]
const fn check_element<U, A: KnownAlign>() {
    assert!(align_of::<U>() <= A::BYTES, "the element type needs a stronger alignment than the memory has");
}

/// As [`check_element`], and that the number of elements after a cast is one. Stands in a `const` block of each public form,
/// not only of the `try_` form they share: then the compiler names the caller's line.
#[track_caller]
const fn check_cast<T, U, A: KnownAlign>() {
    check_element::<U, A>();
    assert!(
        size_of::<U>() != 0 || size_of::<T>() == 0,
        "elements that have a size cannot be cast to elements that have none"
    );
}

/// How many `U` the bytes of `len` `T` make.
#[inline]
fn cast_len<T, U>(len: usize) -> Result<usize, SizeMismatch> {
    let bytes = len * size_of::<T>(); // no overflow: they are in memory
    match bytes.checked_rem(size_of::<U>()) {
        None => Ok(len),
        Some(0) => Ok(bytes / size_of::<U>()),
        Some(_) => Err(SizeMismatch { bytes, element: size_of::<U>() }),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse_cast(mismatch: SizeMismatch) -> ! {
    panic!("{mismatch}")
}

impl<T, A: KnownAlign> AlignedSlice<T, A> {
    /// The same bytes as elements of another plain type, which must fit the alignment.
    ///
    /// # Panics
    /// If the bytes are not a whole number of `U`s.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdBuffer;
    /// let floats = SimdBuffer::<f32>::from_slice(&[1.0, 0.0]);
    /// assert_eq!(floats.view().cast::<u64>()[..], [0x3f80_0000]); // little-endian
    /// ```
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn cast<U: AnyBitPattern + FitsIn<A>>(&self) -> &AlignedSlice<U, A>
    where
        T: NoUninit,
    {
        const { check_cast::<T, U, A>() };
        self.try_cast().unwrap_or_else(|mismatch| refuse_cast(mismatch))
    }

    /// As [`cast`](Self::cast).
    ///
    /// # Errors
    /// If the bytes are not a whole number of `U`s.
    #[inline]
    pub fn try_cast<U: AnyBitPattern + FitsIn<A>>(&self) -> Result<&AlignedSlice<U, A>, SizeMismatch>
    where
        T: NoUninit,
    {
        const { check_cast::<T, U, A>() };
        let len = cast_len::<T, U>(self.len())?;
        // SAFETY: the same bytes (`cast_len`), all initialised (`NoUninit`), any of which make a `U` (`AnyBitPattern`);
        // the start is aligned to `A` (S1), hence to `U` (`check_element`). Neither type has interior mutability.
        Ok(unsafe { AlignedSlice::new_unchecked(slice::from_raw_parts(self.as_ptr().cast(), len)) })
    }

    /// As [`cast`](Self::cast), to be written.
    ///
    /// # Panics
    /// As there.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn cast_mut<U: NoUninit + AnyBitPattern + FitsIn<A>>(&mut self) -> &mut AlignedSlice<U, A>
    where
        T: NoUninit + AnyBitPattern,
    {
        const { check_cast::<T, U, A>() };
        self.try_cast_mut().unwrap_or_else(|mismatch| refuse_cast(mismatch))
    }

    /// As [`cast_mut`](Self::cast_mut).
    ///
    /// # Errors
    /// If the bytes are not a whole number of `U`s.
    #[inline]
    pub fn try_cast_mut<U: NoUninit + AnyBitPattern + FitsIn<A>>(
        &mut self,
    ) -> Result<&mut AlignedSlice<U, A>, SizeMismatch>
    where
        T: NoUninit + AnyBitPattern,
    {
        const { check_cast::<T, U, A>() };
        let len = cast_len::<T, U>(self.len())?;
        // SAFETY: as in `try_cast`; whatever is written is initialised (`U: NoUninit`) and makes a `T`.
        Ok(unsafe { AlignedSlice::new_unchecked_mut(slice::from_raw_parts_mut(self.as_mut_ptr().cast(), len)) })
    }

    /// The bytes of the elements.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdBuffer;
    /// let words = SimdBuffer::<u16>::from_slice(&[0x0201, 0x0403]);
    /// assert_eq!(words.as_bytes()[..], [1, 2, 3, 4]); // little-endian
    /// ```
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &AlignedSlice<u8, A>
    where
        T: NoUninit,
    {
        // SAFETY: all bytes are initialised (`NoUninit`); the start stays (S1).
        unsafe { AlignedSlice::new_unchecked(slice::from_raw_parts(self.as_ptr().cast(), size_of_val(&**self))) }
    }

    /// The bytes of the elements, to be written.
    #[inline]
    #[must_use]
    pub fn as_bytes_mut(&mut self) -> &mut AlignedSlice<u8, A>
    where
        T: NoUninit + AnyBitPattern,
    {
        let bytes = size_of_val(&**self);
        // SAFETY: as in `as_bytes`, and any bytes written make `T`s.
        unsafe { AlignedSlice::new_unchecked_mut(slice::from_raw_parts_mut(self.as_mut_ptr().cast(), bytes)) }
    }
}

impl<A: KnownAlign> AlignedSlice<u8, A> {
    /// The bytes as records of a type that not all bytes make (with `bool`s or enums): each is checked. Nothing is copied.
    ///
    /// The type derives zerocopy's `TryFromBytes`, `KnownLayout` and `Immutable`, and fits the alignment.
    ///
    /// # Errors
    /// If the bytes are not a whole number of records, or which record is the first that is not valid.
    ///
    /// ```
    /// use bhc_rts_alloc::{RecordError, SimdBuffer, element_align};
    /// use zerocopy::{Immutable, KnownLayout, TryFromBytes};
    ///
    /// #[derive(TryFromBytes, KnownLayout, Immutable)]
    /// #[repr(C)]
    /// struct Sample {
    ///     time: u32,
    ///     valid: bool,
    ///     channel: [u8; 3],
    /// }
    /// element_align!(Sample);
    ///
    /// let from_device = SimdBuffer::<u8>::from_slice(&[7, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0]);
    /// let samples = from_device.prefix(8).records::<Sample>()?;
    /// assert!(samples[0].valid);
    /// assert_eq!(from_device.records::<Sample>().err(), Some(RecordError::Invalid { index: 1 })); // 2 is not a bool
    /// # Ok::<(), RecordError>(())
    /// ```
    pub fn records<U>(&self) -> Result<&AlignedSlice<U, A>, RecordError>
    where
        U: TryFromBytes + KnownLayout + Immutable + FitsIn<A>,
    {
        const { check_cast::<u8, U, A>() };
        let len = cast_len::<u8, U>(self.len())?;
        let invalid = |record: &[u8]| U::try_ref_from_bytes(record).is_err();
        match <[U]>::try_ref_from_bytes(self) {
            // SAFETY: the records start where the bytes do (S1).
            Ok(records) if records.len() == len => Ok(unsafe { AlignedSlice::new_unchecked(records) }),
            _ => {
                let index = self.chunks_exact(size_of::<U>()).position(invalid).unwrap_or(len);
                Err(RecordError::Invalid { index })
            }
        }
    }
}

impl<T, A: KnownAlign, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// The same memory as a buffer of another plain type. Both must fit the alignment: the block is freed with the layout
    /// that it was allocated with.
    ///
    /// # Panics
    /// If the bytes of the elements are not a whole number of `U`s.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn cast<U: AnyBitPattern + FitsIn<A>>(self) -> SimdBuffer<U, A, R>
    where
        T: NoUninit + FitsIn<A>,
    {
        const {
            check_element::<T, A>();
            check_cast::<T, U, A>();
        }
        match self.try_cast() {
            Ok(buffer) => buffer,
            Err((_, mismatch)) => refuse_cast(mismatch),
        }
    }

    /// As [`cast`](Self::cast).
    ///
    /// # Errors
    /// The buffer comes back if the bytes of its elements are not a whole number of `U`s.
    #[inline]
    pub fn try_cast<U: AnyBitPattern + FitsIn<A>>(self) -> Result<SimdBuffer<U, A, R>, (Self, SizeMismatch)>
    where
        T: NoUninit + FitsIn<A>,
    {
        const {
            check_element::<T, A>();
            check_cast::<T, U, A>();
        }
        let len = match cast_len::<T, U>(self.len()) {
            Ok(len) => len,
            Err(mismatch) => return Err((self, mismatch)),
        };
        let (ptr, _, bytes, spec, region) = self.into_parts();
        // B1: neither type is aligned more strictly than `A`, so the block's layout is the same for both; a buffer of
        // elements of no size has no block. B2 and B4 speak of bytes, which stay. B3: as in the borrowed form.
        Ok(SimdBuffer { ptr: ptr.cast(), len, bytes, spec, region, _owns: PhantomData })
    }
}
