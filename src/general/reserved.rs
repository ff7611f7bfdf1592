//! [`Reserved`]: a piece of the nursery in which nothing collects.

use super::array::{Array, PtrArray};
use super::heap::GeneralHeap;
use super::info::WORD;
use super::object::{Gc, Live, Managed, Object};
use crate::align::KnownAlign;
use crate::error::{AllocError, AllocResult, or_panic};

/// A piece of the nursery in which objects are made without collecting: from [`GeneralHeap::reserve`].
///
/// While it is there, nothing of its heap moves. So pointers are given, and taken, as plain [`Gc`]s, with the lifetime
/// of the reservation.
pub struct Reserved<'h> {
    heap: &'h GeneralHeap,
}

impl<'h> Reserved<'h> {
    pub(super) fn new(heap: &'h GeneralHeap) -> Self {
        Self { heap }
    }

    /// The heap: to read from, to change objects of, and to make roots in.
    #[inline(always)]
    #[must_use]
    pub fn heap(&self) -> &'h GeneralHeap {
        self.heap
    }

    /// How many more bytes of objects can be made: at least what is left of what was reserved.
    #[must_use]
    pub fn room(&self) -> usize {
        self.heap.mutator().room() * WORD
    }

    /// Makes an object. Never collects.
    ///
    /// # Panics
    /// If what was reserved is used up, or `init` has an object of another heap.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn new_gc<T: Object>(&self, init: T::Init<Live<'h>>) -> Gc<'h, T> {
        match self.alloc_checked::<T>(init) {
            Some(object) => object,
            None => crate::error::refuse(&self.used_up(T::BYTES)),
        }
    }

    /// As [`new_gc`](Self::new_gc).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if what was reserved is used up.
    ///
    /// # Panics
    /// If `init` has an object of another heap.
    #[inline(always)]
    pub fn try_new_gc<T: Object>(&self, init: T::Init<Live<'h>>) -> AllocResult<Gc<'h, T>> {
        self.alloc_checked::<T>(init).ok_or_else(|| self.used_up(T::BYTES))
    }

    #[inline(always)]
    #[track_caller]
    fn alloc_checked<T: Object>(&self, init: T::Init<Live<'h>>) -> Option<Gc<'h, T>> {
        T::check(&init, self.heap);
        // SAFETY: the object is initialised at once, and nothing moves for `'h`.
        unsafe {
            let object = self.heap.mutator().alloc_reserved(T::INFO)?;
            T::write::<Live<'h>>(object, init);
            self.heap.remember_large::<T>(object);
            Some(Gc::new(object))
        }
    }

    fn used_up(&self, bytes: usize) -> AllocError {
        AllocError::OutOfMemory { requested: bytes, available: self.room() }
    }

    /// An array of `len` pointers to nothing. Never collects.
    ///
    /// # Panics
    /// If what was reserved is used up.
    #[must_use]
    #[track_caller]
    pub fn new_pointers<T: Managed>(&self, len: usize) -> Gc<'h, PtrArray<T>> {
        or_panic(self.try_new_pointers(len))
    }

    /// An array with the contents of a slice. Never collects.
    ///
    /// # Panics
    /// If what was reserved is used up.
    #[must_use]
    #[track_caller]
    pub fn new_data<T: Copy + 'static, A: KnownAlign>(&self, data: &[T]) -> Gc<'h, Array<T, A>> {
        const { _ = Array::<T, A>::ALIGN };
        or_panic(self.try_new_data(data))
    }

    /// An array of `len` pointers to nothing. Never collects.
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if what was reserved is used up, [`Overflow`](AllocError::Overflow) if
    /// no address space has room for it.
    pub fn try_new_pointers<T: Managed>(&self, len: usize) -> AllocResult<Gc<'h, PtrArray<T>>> {
        // SAFETY: it does not collect, and nothing moves for `'h`.
        unsafe { self.heap.pointers(len, false) }
    }

    /// An array with the contents of a slice. Never collects.
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if what was reserved is used up.
    pub fn try_new_data<T: Copy + 'static, A: KnownAlign>(&self, data: &[T]) -> AllocResult<Gc<'h, Array<T, A>>> {
        const { _ = Array::<T, A>::ALIGN };
        // SAFETY: as above.
        unsafe { self.heap.data(data, false) }
    }
}
