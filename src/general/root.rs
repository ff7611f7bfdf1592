//! [`Root`]: what keeps an object across collections.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::heap::GeneralHeap;
use super::info::Word;
use super::object::{Gc, Managed};
use super::roots::{RootTable, Slot};
use crate::error::AllocResult;

/// An owned root: it keeps its object, and what that leads to, across collections, and knows where it is now.
///
/// One word. Roots may be stored anywhere, be dropped in any order, and outlive their heap; then they are good for
/// nothing any more. Not `Send`, as the heap is not.
///
/// Making one and dropping one takes a few instructions each; a collection looks only at those that were made or
/// changed since the last one, and their neighbours.
///
/// ```
/// use bhc_rts_alloc::{GeneralHeap, gc_object};
/// use bhc_rts_alloc::general::Collection;
///
/// gc_object! { pub struct Number / NumberInit { data value: u64, } }
///
/// let mut heap = GeneralHeap::new();
/// let root = heap.new_root::<Number>(NumberInit { value: 7 });
/// let before = root.get(&heap).as_ref() as *const Number;
/// heap.collect(Collection::Full);
/// let number = root.get(&heap);
/// assert_eq!(number.value, 7);
/// assert_ne!(number.as_ref() as *const Number, before); // it has moved
/// ```
pub struct Root<T: Managed> {
    slot: NonNull<Slot>,
    _to: PhantomData<*mut T>,
}

impl<T: Managed> Root<T> {
    /// # Safety
    /// An owned slot that points to a `T`.
    #[inline(always)]
    pub(super) unsafe fn new(slot: NonNull<Slot>) -> Self {
        Self { slot, _to: PhantomData }
    }

    /// What it points to, now.
    #[inline(always)]
    pub(super) fn word(&self) -> Word {
        // SAFETY: an owned slot lives as long as its root.
        unsafe { self.slot.as_ref().get() }
    }

    /// # Panics
    /// If it is another heap's.
    #[inline(always)]
    #[track_caller]
    pub(super) fn check(&self, heap: &GeneralHeap) {
        if RootTable::of(self.slot) != heap.roots() {
            wrong_heap();
        }
    }

    /// The object, while the heap is borrowed. Costs a comparison and a load.
    ///
    /// # Panics
    /// If it is another heap's root.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn get<'h>(&self, heap: &'h GeneralHeap) -> Gc<'h, T> {
        self.check(heap);
        // SAFETY: an owned slot of this heap points to an object of it, which is of the root's type; never null.
        unsafe { Gc::new(NonNull::new_unchecked(self.word())) }
    }

    /// Points it to another object.
    ///
    /// # Panics
    /// If it is another heap's root, or another heap's object.
    #[track_caller]
    pub fn set(&mut self, heap: &GeneralHeap, object: Gc<'_, T>) {
        self.check(heap);
        heap.check(object);
        // SAFETY: both are this heap's.
        unsafe { RootTable::point(self.slot, object.word()) };
    }

    /// Another root of the same object.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no memory for more roots.
    pub fn try_clone(&self) -> AllocResult<Self> {
        // SAFETY: the table of an owned slot lives; the object is one of its heap (or nobody asks any more).
        let slot = unsafe { RootTable::own(RootTable::of(self.slot), self.word()) };
        // SAFETY: just owned, and points to what this one points to.
        slot.map(|slot| unsafe { Self::new(slot) }).ok_or(super::heap::NO_ROOTS)
    }
}

impl<T: Managed> Clone for Root<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        crate::error::or_panic(self.try_clone())
    }
}

impl<T: Managed> Drop for Root<T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: an owned slot, whose root ends here.
        unsafe { RootTable::disown(self.slot) };
    }
}

impl<T: Managed> fmt::Debug for Root<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root<{}>", T::INFO.name())
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn wrong_heap() -> ! {
    panic!("a root of another heap")
}
