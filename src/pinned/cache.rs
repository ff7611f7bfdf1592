//! [`Cache`]: what a thread has of a heap for itself: for each class two magazines, and a tally.
//!
//! Allocating takes a block off the loaded magazine, freeing puts one on. When it is empty, or full, the
//! [engine](super::engine) looks at the previous one first: two magazines, so that a thread that goes to and fro at the edge
//! of one does not exchange it each time (Bonwick).
//!
//! Invariants:
//! * C1. All but reading numbers is done by the one thread that has the cache.
//! * C2. The loaded magazine's blocks lie below `top`, in its last slots; one that is missing is [`NO_MAGAZINE`].
//! * C3. The previous magazine is full if its bit in `full` is set, and else empty.

use core::ptr::{self, NonNull};

use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};

use super::magazine::{Magazine, Slot};
use super::tally::Tally;
use crate::class::{CLASSES, Class};

static NO_MAGAZINE: Magazine = Magazine::new();

/// What a missing magazine has for a top.
fn no_top() -> *mut Slot {
    ptr::from_ref(&NO_MAGAZINE).wrapping_add(1).cast::<Slot>().cast_mut()
}

struct Bin {
    /// The first slot above the blocks of the loaded magazine.
    top: AtomicPtr<Slot>,
    /// Null if it is missing.
    previous: AtomicPtr<Magazine>,
}

/// Two cache lines apart from the next, so that no two threads write to one.
#[repr(C, align(128))]
pub(crate) struct Cache {
    pub(crate) tally: Tally,
    bins: [Bin; CLASSES],
    /// C3: a bit for each class.
    full: AtomicU64,
    /// The engine's when the magazines were last emptied because it asked for it.
    pub(crate) epoch: AtomicU32,
    /// Some thread has it.
    pub(crate) taken: AtomicBool,
    /// The next older cache of the heap. Written before the cache is published, never after.
    pub(crate) next: AtomicPtr<Cache>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            tally: Tally::new(),
            bins: core::array::from_fn(|_| Bin {
                top: AtomicPtr::new(no_top()),
                previous: AtomicPtr::new(ptr::null_mut()),
            }),
            full: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            taken: AtomicBool::new(true),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline(always)]
    fn bin(&self, class: Class) -> &Bin {
        // SAFETY: a class is below `CLASSES`.
        unsafe { self.bins.get_unchecked(class.index()) }
    }

    /// Takes a block off the loaded magazine; `None` if it is empty.
    ///
    /// # Safety
    /// The calling thread has the cache (C1).
    #[inline(always)]
    pub(crate) unsafe fn pop(&self, class: Class) -> Option<NonNull<u8>> {
        let bin = self.bin(class);
        // SAFETY: below the top there is a block, or the null at the bottom, in a slot of the magazine (C2).
        unsafe {
            let below = bin.top.load(Relaxed).sub(1);
            let block = NonNull::new((*below).load(Relaxed))?;
            bin.top.store(below, Relaxed);
            Some(block)
        }
    }

    /// Puts a block on the loaded magazine; `false` if it is full.
    ///
    /// # Safety
    /// The calling thread has the cache (C1).
    #[inline(always)]
    pub(crate) unsafe fn push(&self, class: Class, block: NonNull<u8>) -> bool {
        let bin = self.bin(class);
        let top = bin.top.load(Relaxed);
        if top.addr().is_multiple_of(size_of::<Magazine>()) {
            return false;
        }
        // SAFETY: the magazine does not end at `top`, so that is one of its slots (C2).
        unsafe {
            (*top).store(block.as_ptr(), Relaxed);
            bin.top.store(top.add(1), Relaxed);
        }
        true
    }

    /// The loaded magazine and how many blocks it has; `None` if it is missing. As all that follows: for the thread that has
    /// the cache, or to read numbers.
    pub(crate) fn loaded(&self, class: Class) -> Option<(NonNull<Magazine>, usize)> {
        let top = self.bin(class).top.load(Relaxed);
        if ptr::eq(top, no_top()) {
            return None;
        }
        Some((NonNull::new(Magazine::of_top(top))?, Magazine::count(top, class)))
    }

    /// The previous magazine and how many blocks it has; `None` if it is missing.
    pub(crate) fn previous(&self, class: Class) -> Option<(NonNull<Magazine>, usize)> {
        let previous = NonNull::new(self.bin(class).previous.load(Relaxed))?;
        let full = self.full.load(Relaxed) >> class.index() & 1 == 1;
        Some((previous, if full { class.capacity() } else { 0 }))
    }

    /// How many blocks of `class` it has.
    pub(crate) fn count(&self, class: Class) -> usize {
        [self.loaded(class), self.previous(class)].into_iter().flatten().map(|(_, count)| count).sum()
    }

    /// Loads a magazine that has `count` blocks of `class`, and a null below them. What was loaded is the caller's.
    pub(crate) fn load(&self, class: Class, magazine: NonNull<Magazine>, count: usize) {
        // SAFETY: magazines live as long as their heap.
        self.bin(class).top.store(unsafe { magazine.as_ref() }.top(class, count), Relaxed);
    }

    /// Loads a magazine as an empty one of `class`.
    pub(crate) fn load_empty(&self, class: Class, magazine: NonNull<Magazine>) {
        // SAFETY: as in `load`.
        unsafe { magazine.as_ref() }.clear(class);
        self.load(class, magazine, 0);
    }

    /// Makes a magazine, full or empty, the previous one. What was is the caller's.
    pub(crate) fn keep(&self, class: Class, magazine: NonNull<Magazine>, full: bool) {
        self.bin(class).previous.store(magazine.as_ptr(), Relaxed);
        let bit = 1 << class.index();
        let others = self.full.load(Relaxed) & !bit;
        self.full.store(if full { others | bit } else { others }, Relaxed);
    }

    /// There is no loaded magazine from now on. What was is the caller's.
    pub(crate) fn load_none(&self, class: Class) {
        self.bin(class).top.store(no_top(), Relaxed);
    }

    /// There is no previous magazine from now on. What was is the caller's.
    pub(crate) fn keep_none(&self, class: Class) {
        self.bin(class).previous.store(ptr::null_mut(), Relaxed);
    }

    /// Takes both magazines, each with how many blocks it has.
    pub(crate) fn unload(&self, class: Class) -> [Option<(NonNull<Magazine>, usize)>; 2] {
        let both = [self.loaded(class), self.previous(class)];
        self.load_none(class);
        self.keep_none(class);
        both
    }
}
