//! Arrays: [`PtrArray`] of pointers, and [`Array`] of plain data, aligned.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::info::{Header, Info, MAX_ALIGN, Word, len_of};
use super::object::{Field, Gc, Managed};
use crate::align::{Align, KnownAlign};
use crate::buffer::AlignedSlice;

/// An array of pointers to `T`s, or to nothing. A [`Gc`] of it dereferences to a slice of [`Field`]s; elements are
/// changed with [`GeneralHeap::set_element`](super::GeneralHeap::set_element).
///
/// The write barrier remembers large ones in cards of 512 bytes.
///
/// ```
/// use bhc_rts_alloc::{GeneralHeap, gc_object};
///
/// gc_object! { pub struct Number / NumberInit { data value: u64, } }
///
/// let mut heap = GeneralHeap::new();
/// let array = heap.new_pointers::<Number>(10);
/// let seven = heap.new_root::<Number>(NumberInit { value: 7 });
/// heap.set_element(array.get(&heap), 3, Some(seven.get(&heap)));
///
/// let array = array.get(&heap);
/// assert_eq!((array.len(), array.element(3).unwrap().value), (10, 7));
/// assert_eq!(array.iter().filter_map(|field| field.get()).count(), 1);
/// ```
pub struct PtrArray<T: Managed> {
    _elements: PhantomData<*mut T>,
}

// SAFETY: the shape is of arrays of pointers, which are initialised when the array is made.
unsafe impl<T: Managed> Managed for PtrArray<T> {
    type View = [Field<T>];
    const INFO: &'static Info = &const { Info::pointers("PtrArray") };

    #[inline(always)]
    unsafe fn view<'h>(object: NonNull<Header>) -> &'h [Field<T>] {
        // SAFETY: the caller's promise; a field is a word.
        unsafe { core::slice::from_raw_parts(object.cast::<Word>().add(2).cast().as_ptr(), len_of(object.as_ptr())) }
    }
}

impl<T: Managed> PtrArray<T> {
    /// The bytes of the heap that an array of `len` elements takes: what to [reserve](super::GeneralHeap::reserve) for
    /// it. `usize::MAX` if no address space has them.
    #[must_use]
    pub const fn bytes(len: usize) -> usize {
        Self::INFO.array_bytes(len)
    }
}

impl<'h, T: Managed> Gc<'h, PtrArray<T>> {
    /// What element `index` leads to.
    ///
    /// # Panics
    /// If there is no such element.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn element(self, index: usize) -> Option<Gc<'h, T>> {
        self.as_ref()[index].get()
    }
}

/// An array of plain data (`Copy`), whose first element is aligned to `A`, also after it has moved. A [`Gc`] of it
/// dereferences to an [`AlignedSlice<T, A>`](AlignedSlice), so kernels take it;
/// [`GeneralHeap::data_mut`](super::GeneralHeap::data_mut) gives it for writing.
///
/// `A` is at most `Align<32768>`; elements are of at least a byte.
///
/// ```
/// use bhc_rts_alloc::{Align, GeneralHeap};
///
/// let mut heap = GeneralHeap::new();
/// let samples = heap.new_data::<f32, Align<64>>(&[0.5; 1000]);
/// heap.data_mut(&samples)[3] = 2.0;
/// let samples = samples.get(&heap);
/// assert_eq!(samples.as_ptr().addr() % 64, 0);
/// assert_eq!(samples.iter().sum::<f32>(), 501.5);
/// ```
pub struct Array<T: Copy + 'static, A: KnownAlign = Align<8>> {
    /// Invariant in `T`: an array that is written as one type is not read as another.
    _elements: PhantomData<(*mut T, A)>,
}

impl<T: Copy + 'static, A: KnownAlign> Array<T, A> {
    /// The alignment of the first element, in bytes; asked for where an array is made, so that a message names that place.
    pub(super) const ALIGN: usize = {
        assert!(size_of::<T>() > 0, "elements of no size need no array");
        let align = if A::BYTES < align_of::<T>() { align_of::<T>() } else { A::BYTES };
        assert!(align <= MAX_ALIGN, "a general heap aligns to at most 32 KiB");
        align
    };

    /// The bytes of the heap that an array of `len` elements takes, with what its alignment may cost: what to
    /// [reserve](super::GeneralHeap::reserve) for it. `usize::MAX` if no address space has them.
    #[must_use]
    pub const fn bytes(len: usize) -> usize {
        Self::INFO.array_bytes(len)
    }
}

/// Bytes in the heap.
pub type Bytes = Array<u8>;

// SAFETY: the shape is of arrays of plain data of that size and alignment.
unsafe impl<T: Copy + 'static, A: KnownAlign> Managed for Array<T, A> {
    type View = AlignedSlice<T, A>;
    const INFO: &'static Info = &const { Info::data("Array", size_of::<T>(), Self::ALIGN) };

    #[inline(always)]
    unsafe fn view<'h>(object: NonNull<Header>) -> &'h AlignedSlice<T, A> {
        // SAFETY: the caller's promise; elements are initialised when the array is made, and aligned wherever it is.
        unsafe {
            let elements = object.cast::<Word>().add(2).cast::<T>().as_ptr();
            AlignedSlice::new_unchecked(core::slice::from_raw_parts(elements, len_of(object.as_ptr())))
        }
    }
}
