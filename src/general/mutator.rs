//! [`Mutator`]: what compiled code and the collector share, and the fast paths over it.
//!
//! Its first fields are at fixed places, for code that is not Rust: allocating is to add to `hp`, to compare with
//! `hp_lim`, and to store the header. A request to collect sets `hp_lim` to null, from any thread: the same comparison
//! finds that. (GHC's heap check, which is its safepoint.)

use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering::*};

use super::collector::Collector;
use super::info::{Header, Info, Kind, WORD, Word, write_header};
use super::remember::{WHOLE, card_of, logged_at};
use super::space::LOGGED;
use super::statistics::Collection;
use crate::os::poison;

/// One mutator's view of its heap.
#[repr(C)]
pub struct Mutator {
    /// The next word of the nursery.
    pub(super) hp: Cell<*mut Word>,
    /// Its end; or null, if whoever allocates is to come by.
    pub(super) hp_lim: AtomicPtr<Word>,
    /// The next slot of the shadow stack.
    pub(super) stack_top: Cell<*mut Word>,
    /// Its end.
    pub(super) stack_lim: Cell<*mut Word>,
    /// What is to be added to an address, divided by 16, for its log byte.
    pub(super) log_bias: Cell<*mut u8>,
    /// The end of the nursery, even if `hp_lim` is null.
    pub(super) limit: Cell<*mut Word>,
    pub(super) stack_base: Cell<*mut Word>,
    /// The addresses that are the heap's.
    pub(super) base: usize,
    pub(super) span: usize,
    pub(super) collector: Cell<*mut Collector>,
    /// A [`Collection`] that is wanted: 1 a minor one, 2 a full one.
    pub(super) wanted: AtomicU8,
}

// What generated code relies on.
const _: () = {
    let mut index = 0;
    while index < Mutator::OFFSETS.len() {
        assert!(Mutator::OFFSETS[index] == index * WORD);
        index += 1;
    }
};

/// A mutator, and the one part of it that other threads may use: a request to collect.
pub(super) struct Shared(pub(super) Mutator);

// SAFETY: through a shared reference another thread gets at `wanted` and `hp_lim` only, which are atomics: `request` is
// all there is to call.
unsafe impl Sync for Shared {}
// SAFETY: as above; what is freed with it, if another thread is the last to have it, is plain data.
unsafe impl Send for Shared {}

impl Shared {
    /// Asks for a collection, from any thread.
    pub(super) fn request(&self, kind: Collection) {
        self.0.wanted.fetch_max(code(kind), SeqCst);
        self.0.hp_lim.store(ptr::null_mut(), SeqCst);
    }
}

const fn code(kind: Collection) -> u8 {
    match kind {
        Collection::Minor => 1,
        Collection::Full => 2,
    }
}

impl Mutator {
    /// Where `hp`, `hp_lim`, `stack_top`, `stack_lim`, `log_bias` and `limit` are, in bytes.
    pub(crate) const OFFSETS: [usize; 6] = [
        offset_of!(Mutator, hp),
        offset_of!(Mutator, hp_lim),
        offset_of!(Mutator, stack_top),
        offset_of!(Mutator, stack_lim),
        offset_of!(Mutator, log_bias),
        offset_of!(Mutator, limit),
    ];

    /// Lets the fast path run to the end of the nursery; or nowhere, if it is to come by at once.
    pub(super) fn arm(&self, always_slow: bool) {
        // In this order, while a request is in the other: either it is seen here, or it is last to write the limit.
        self.hp_lim.store(if always_slow { ptr::null_mut() } else { self.limit.get() }, SeqCst);
        if self.wanted.load(SeqCst) != 0 {
            self.hp_lim.store(ptr::null_mut(), SeqCst);
        }
    }

    /// The collection that was asked for, once.
    pub(super) fn take_request(&self) -> Option<Collection> {
        match self.wanted.swap(0, SeqCst) {
            0 => None,
            1 => Some(Collection::Minor),
            _ => Some(Collection::Full),
        }
    }

    /// Whether an address is among those of this heap.
    #[inline(always)]
    pub(super) fn owns(&self, address: usize) -> bool {
        address.wrapping_sub(self.base) < self.span
    }

    /// Takes `words` words up to `end`, if there are so many.
    #[inline(always)]
    fn bump(&self, words: usize, end: *mut Word) -> Option<NonNull<Header>> {
        let start = self.hp.get();
        let next = start.wrapping_add(words);
        // No overflow: objects that are asked for here are less than a slice.
        if next.addr() > end.addr() {
            return None;
        }
        self.hp.set(next);
        // SAFETY: memory of the nursery that nobody has; not null.
        unsafe {
            let start = NonNull::new_unchecked(start).cast::<Header>();
            poison::in_use(start.cast(), words * WORD);
            Some(start)
        }
    }

    /// An object of a size that is in its `Info`, its payload not initialised. May collect. `None` if there is no
    /// memory.
    ///
    /// # Safety
    /// Everything that lives is reachable from roots. `collector` is live, and nobody has a reference into the heap.
    #[inline(always)]
    pub(super) unsafe fn alloc(&self, info: &'static Info) -> Option<NonNull<Header>> {
        let words = info.size as usize;
        let object = match self.bump_small(words, self.hp_lim.load(Relaxed)) {
            Some(object) => object,
            // SAFETY: the caller's promise.
            None => unsafe { self.alloc_slow(words) }?,
        };
        // SAFETY: memory for an object.
        unsafe { write_header(object, info) };
        Some(object)
    }

    /// As `bump`; nothing for what is large.
    #[inline(always)]
    fn bump_small(&self, words: usize, end: *mut Word) -> Option<NonNull<Header>> {
        if words >= super::old::LARGE { None } else { self.bump(words, end) }
    }

    /// As `alloc`, without collecting. `None` if the nursery is full.
    ///
    /// # Safety
    /// `collector` is live.
    #[inline(always)]
    pub(super) unsafe fn alloc_reserved(&self, info: &'static Info) -> Option<NonNull<Header>> {
        let words = info.size as usize;
        let object = match self.bump_small(words, self.limit.get()) {
            Some(object) => object,
            // SAFETY: the caller's promise.
            None => unsafe { self.alloc_large_reserved(words) }?,
        };
        // SAFETY: memory for an object.
        unsafe { write_header(object, info) };
        Some(object)
    }

    /// What the fast path does not give, though nothing may be collected.
    ///
    /// # Safety
    /// As for `alloc_reserved`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_large_reserved(&self, words: usize) -> Option<NonNull<Header>> {
        if words < super::old::LARGE {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { (*self.collector.get()).alloc_large(self, words, 1) }
    }

    /// # Safety
    /// As for `alloc`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_slow(&self, words: usize) -> Option<NonNull<Header>> {
        // SAFETY: the caller's promise: nobody else uses the collector while this runs.
        let collector = unsafe { &mut *self.collector.get() };
        // SAFETY: the caller's promise.
        unsafe {
            if words >= super::old::LARGE {
                return collector.alloc_large_collecting(self, words, 1);
            }
            if collector.make_room(self, words) { self.bump(words, self.limit.get()) } else { collector.refuse() }
        }
    }

    /// An array; its length is written, its elements are zeros if `zeroed`, else not initialised. Collects if
    /// `may_collect`.
    ///
    /// # Safety
    /// As for `alloc`, or for `alloc_reserved` if it may not collect. `info` is of arrays. All elements that are
    /// pointers are initialised before the next collection.
    pub(super) unsafe fn alloc_array(
        &self,
        info: &'static Info,
        len: usize,
        may_collect: bool,
        zeroed: bool,
    ) -> Option<NonNull<Header>> {
        let (words, slack) = (info.array_words(len)?, info.slack());
        let large = words + slack >= super::old::LARGE;
        // SAFETY: the caller's promise; the words are memory for the array, and what aligns it.
        unsafe {
            let collector = &mut *self.collector.get();
            let object = if large {
                let object = match may_collect {
                    true => collector.alloc_large_collecting(self, words, info.align())?,
                    false => collector.alloc_large(self, words, info.align())?,
                };
                if zeroed {
                    collector.zero_large(object);
                }
                object
            } else {
                if may_collect && !self.has_room(words + slack) && !collector.make_room(self, words + slack) {
                    return collector.refuse();
                }
                let start = self.bump(words + slack, self.limit.get())?;
                let at = super::evacuate::place(start.as_ptr().cast(), words, slack, info.align());
                if zeroed {
                    at.write_bytes(0, words);
                }
                NonNull::new_unchecked(at).cast()
            };
            write_header(object, info);
            object.cast::<usize>().add(1).write(len);
            if info.kind == Kind::Pointers && large && !zeroed {
                // Its elements may be young, and it is not.
                self.remember(object.as_ptr(), WHOLE, object.addr().get());
            }
            Some(object)
        }
    }

    /// Whether the fast path would give so many words now.
    #[inline(always)]
    fn has_room(&self, words: usize) -> bool {
        self.hp.get().wrapping_add(words).addr() <= self.hp_lim.load(Relaxed).addr()
    }

    /// Sees to it that so many words can be allocated without collecting.
    ///
    /// # Safety
    /// As for `alloc`.
    #[inline(always)]
    pub(super) unsafe fn reserve(&self, words: usize) -> bool {
        let end = self.hp_lim.load(Relaxed).addr();
        // Not `has_room`: any number may be asked for.
        let has_room = words <= end.saturating_sub(self.hp.get().addr()) / WORD;
        // SAFETY: the caller's promise.
        has_room || unsafe { self.reserve_slow(words) }
    }

    /// # Safety
    /// As for `alloc`.
    #[cold]
    #[inline(never)]
    unsafe fn reserve_slow(&self, words: usize) -> bool {
        // SAFETY: as in `alloc_slow`.
        let collector = unsafe { &mut *self.collector.get() };
        // SAFETY: the caller's promise.
        if unsafe { collector.make_room(self, words) } {
            return true;
        }
        collector.refuse::<()>();
        false
    }

    /// Collects, if that was asked for.
    ///
    /// # Safety
    /// As for `alloc`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn poll(&self) {
        // SAFETY: as in `alloc_slow`.
        unsafe { (*self.collector.get()).make_room(self, 0) };
    }

    /// The words that can be allocated without collecting.
    pub(super) fn room(&self) -> usize {
        (self.limit.get().addr() - self.hp.get().addr()) / WORD
    }

    /// The log byte for an address of the heap.
    #[inline(always)]
    pub(super) fn log(&self, address: usize) -> *mut u8 {
        self.log_bias.get().wrapping_add(address / LOGGED)
    }

    /// To be called before a pointer is stored into an object that is no array.
    ///
    /// # Safety
    /// An object of this heap.
    #[inline(always)]
    pub(super) unsafe fn barrier(&self, object: *mut Header) {
        // SAFETY: the table has a byte for it.
        unsafe {
            if *self.log(object.addr()) == 0 {
                self.remember(object, WHOLE, object.addr());
            }
        }
    }

    /// To be called before a pointer is stored into element `index` of an array of pointers.
    ///
    /// # Safety
    /// An array of this heap that has this element.
    #[inline(always)]
    pub(super) unsafe fn array_barrier(&self, array: *mut Header, index: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.card_barrier(array, card_of(super::info::word(array, 2 + index).addr())) };
    }

    /// To be called before pointers are stored into elements of an array that are in a card.
    ///
    /// # Safety
    /// An array of pointers of this heap, of which some element is in the card.
    #[inline(always)]
    pub(super) unsafe fn card_barrier(&self, array: *mut Header, card: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let address = logged_at(array, card);
            if *self.log(address) == 0 {
                self.remember(array, card, address);
            }
        }
    }

    /// # Safety
    /// Of an object of this heap, with a card of it or `WHOLE`, and the address that is logged for that.
    #[cold]
    #[inline(never)]
    unsafe fn remember(&self, object: *mut Header, card: usize, address: usize) {
        // SAFETY: as in `alloc_slow`; the barrier is called by nobody who has the collector.
        unsafe {
            if super::faults::strikes(super::faults::Fault::SkipsBarrier) {
                return;
            }
            *self.log(address) = 1;
            let collector = &mut *self.collector.get();
            collector.stats.remembered += 1;
            collector.remembered.push(object, card);
        }
    }
}
