//! [`Magazine`]: an array of free blocks, outside of them; and [`Stack`], a pile of magazines.
//!
//! Bonwick and Adams, *Magazines and Vmem* (2001); jemalloc's `cache_bin` has the same shape. It is a kibibyte, aligned to
//! that, so that a pointer to its *top*, the first slot above its blocks, says by itself that the magazine is full: then it is
//! a multiple of 1024. That it is empty is said by the slot below its blocks, which is null. So a class's magazine that
//! takes `n` blocks has them in the last `n` slots, a null below, and nobody has to know `n` to put a block in or take one
//! out.

use core::ptr::{self, NonNull};

use crate::sync::{AtomicPtr, Ordering::*};

use crate::class::Class;

pub(crate) type Slot = AtomicPtr<u8>;

const SLOTS: usize = 1024 / size_of::<*mut u8>();

#[repr(C, align(1024))]
pub(crate) struct Magazine {
    /// The first is the link of a [`Stack`]; it is never one of blocks, nor the null below them (`MAX_CAPACITY` is 126).
    slots: [Slot; SLOTS],
}

const _: () = assert!(crate::class::MAX_CAPACITY + 2 <= SLOTS);
#[cfg(not(bhc_loom))]
const _: () = assert!(size_of::<Magazine>() == 1024);

impl Magazine {
    /// An empty one of any class. With the end of its slots for a top it is full too, so that whoever meets it looks for a
    /// real one.
    #[cfg(not(bhc_loom))]
    pub(crate) const fn new() -> Self {
        Self { slots: [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS] }
    }

    /// The slots for blocks of `class`.
    pub(crate) fn slots(&self, class: Class) -> &[Slot] {
        &self.slots[SLOTS - class.capacity()..]
    }

    /// Makes it an empty magazine of `class`: puts the null where that has it.
    pub(crate) fn clear(&self, class: Class) {
        self.slots[SLOTS - class.capacity() - 1].store(ptr::null_mut(), Relaxed);
    }

    /// The top when there are `count` blocks of `class` in it.
    pub(crate) fn top(&self, class: Class, count: usize) -> *mut Slot {
        debug_assert!(count <= class.capacity());
        // From the whole, so that the pointer may go to all slots, and one behind them.
        ptr::from_ref(self).cast::<Slot>().cast_mut().wrapping_add(SLOTS - class.capacity() + count)
    }

    /// How many blocks of `class` the magazine with that top has.
    pub(crate) fn count(top: *mut Slot, class: Class) -> usize {
        let filled_to = (top.addr().wrapping_sub(1) & (size_of::<Self>() - 1)) + 1;
        (filled_to / size_of::<Slot>()).saturating_sub(SLOTS - class.capacity())
    }

    /// The magazine with that top.
    pub(crate) fn of_top(top: *mut Slot) -> *mut Self {
        let into = (top.addr().wrapping_sub(1) & (size_of::<Self>() - 1)) + 1;
        top.wrapping_byte_sub(into).cast()
    }
}

/// Magazines on a pile, linked through their first slots.
pub(crate) struct Stack {
    head: *mut Magazine,
    count: usize,
}

// SAFETY: a magazine is memory of its heap, bound to no thread.
unsafe impl Send for Stack {}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null_mut(), count: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Puts a magazine on the pile.
    ///
    /// # Safety
    /// It is the caller's, and lives as long as the pile is used.
    pub(crate) unsafe fn push(&mut self, magazine: NonNull<Magazine>) {
        // SAFETY: the caller's promise.
        unsafe { magazine.as_ref() }.slots[0].store(self.head.cast(), Relaxed);
        self.head = magazine.as_ptr();
        self.count += 1;
    }

    /// Takes the one that was put there last; it is the caller's.
    pub(crate) fn pop(&mut self) -> Option<NonNull<Magazine>> {
        let top = NonNull::new(self.head)?;
        // SAFETY: it was pushed, with the promise that it lives.
        self.head = unsafe { top.as_ref() }.slots[0].load(Relaxed).cast();
        self.count -= 1;
        Some(top)
    }

    /// All of them, from the top.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Magazine> {
        // SAFETY: as in `pop`; they stay while the pile is borrowed.
        core::iter::successors(unsafe { self.head.as_ref() }, |magazine| unsafe {
            magazine.slots[0].load(Relaxed).cast::<Magazine>().as_ref()
        })
    }
}
