//! [`Evacuation`]: copies what can be reached out of the condemned space (Cheney 1970).
//!
//! What is copied lies in the blocks that it was copied to, one object after the other, and so is its own queue: a scan
//! follows the copying, moves what the objects point to, and ends when it has caught up. No recursion, and no stack
//! that could be too small: a list of ten million cells takes what ten million cells take.
//!
//! A minor collection condemns the nursery. A full one condemns the nursery and all blocks of the old generation; large
//! objects, which stay where they are, are marked, and linked through their heads until their pointers have been
//! followed.
//!
//! Invariants:
//! * E1. A condemned object that has been copied has the address of its copy in its header, with [`MOVED`].
//! * E2. The blocks before the one that is scanned, and what lies before the scan in it, point to nothing condemned.
//! * E3. Whatever is copied takes no more words than it took where it was: so blocks that were enough for all that is
//!   condemned are enough (O2). For what is aligned, the most that alignment may cost is taken in both places.

use core::ptr;

use super::faults::{Fault, strikes};
use super::info::{ELSEWHERE, First, Header, Info, Kind, MOVED, TAG, WORD, Word, each_slot, fill, word, words_of};
use super::old::{Large, Old};
use super::space::{Space, Use};
use crate::align::align_up;
use crate::runs::{NONE, SLICE};
use crate::sync::Ordering::Relaxed;

/// What a pointer leads to, as far as a collection is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    Condemned,
    Large,
    Other,
}

/// A pointer without its tag.
#[inline(always)]
fn untagged(pointer: Word) -> Word {
    pointer.map_addr(|address| address & !TAG)
}

/// # Safety
/// It points to an object, which may have been moved.
unsafe fn is_indirection(pointer: Word) -> bool {
    // SAFETY: the caller's promise.
    matches!(unsafe { Header::read(untagged(pointer)) }, First::Object(info) if info.kind == Kind::Indirection)
}

/// A collection at work. `FULL`: the old generation is condemned, too.
pub(super) struct Evacuation<'c, const FULL: bool> {
    young: usize,
    young_len: usize,
    base: usize,
    ready: usize,
    uses: *const u8,
    /// What condemned blocks are used for.
    from: u8,
    old: &'c mut Old,
    large: &'c mut Large,
    space: &'c Space,
    /// How far the scan is: a block, and the object in it.
    block: usize,
    scan: *mut Word,
    /// What has been scanned: objects.
    pub(super) objects: usize,
    /// And their words, with what alignment costs.
    pub(super) words: usize,
}

impl<'c, const FULL: bool> Evacuation<'c, FULL> {
    /// Begins: what is copied goes behind what `old` has, if this is a minor collection, and to blocks of the other
    /// side if not; then `old` has no blocks at first. `young` is where the nursery starts, `young_len` the bytes of
    /// it.
    pub(super) fn new(
        young: usize,
        young_len: usize,
        from: Use,
        old: &'c mut Old,
        large: &'c mut Large,
        space: &'c Space,
    ) -> Self {
        if old.blocks.is_empty() {
            old.next_block(space);
        }
        Self {
            young,
            young_len,
            base: space.base().addr().get(),
            ready: space.ready(),
            uses: space.uses(),
            from: from as u8,
            block: old.blocks.len() - 1,
            scan: old.free,
            old,
            large,
            space,
            objects: 0,
            words: 0,
        }
    }

    /// What is at an address, if it is condemned, or large and this is a full collection.
    #[inline(always)]
    fn meets(&self, address: usize) -> Met {
        if !FULL {
            return if address.wrapping_sub(self.young) < self.young_len { Met::Condemned } else { Met::Other };
        }
        let offset = address.wrapping_sub(self.base);
        if offset >= self.ready {
            return Met::Other;
        }
        // SAFETY: the table has a byte for each slice that is ready.
        let what = unsafe { *self.uses.add(offset / SLICE) };
        if what == self.from || what == Use::Nursery as u8 {
            Met::Condemned
        } else if what == Use::Large as u8 {
            Met::Large
        } else {
            Met::Other
        }
    }

    /// A large object lives.
    fn mark(&mut self, object: *mut Header) {
        let slice = (object.addr() - self.base) / SLICE;
        let head = self.space.head(slice);
        if head.used.load(Relaxed) != self.large.mark && !strikes(Fault::SkipsMark) {
            head.used.store(self.large.mark, Relaxed);
            if strikes(Fault::SkipsGray) {
                return;
            }
            head.older.store(self.large.gray, Relaxed);
            self.large.gray = slice as u32;
        }
    }

    /// Moves what a slot points to, if it is condemned, and points the slot to where it is now. What is large is
    /// marked.
    ///
    /// # Safety
    /// The slot holds null or a pointer to an object, with any tag.
    #[inline(always)]
    pub(super) unsafe fn forward(&mut self, slot: *mut Word) {
        // SAFETY: the caller's promise; a condemned object has a header, and after E1 in it the address of its copy.
        unsafe {
            let pointer = *slot;
            match self.meets(pointer.addr()) {
                Met::Condemned => {}
                Met::Large => return self.forward_unusual(slot),
                Met::Other => return,
            }
            let tag = pointer.addr() & TAG;
            let object = pointer.map_addr(|address| address & !TAG).cast::<*const Info>();
            let header = *object;
            if header.addr() & MOVED != 0 {
                *slot = header.map_addr(|address| address & !MOVED | tag).cast_mut().cast();
                return;
            }
            let size = (*header).size as usize;
            if size == 0 {
                return self.forward_unusual(slot);
            }
            let to = self.take(size);
            copy(object.cast(), to, size - usize::from(size > 2 && strikes(Fault::CopiesShort)));
            if !strikes(Fault::ForgetsMove) {
                *object = to.map_addr(|address| address | MOVED).cast();
            }
            let tag = if tag != 0 && strikes(Fault::ForgetsTag) { 0 } else { tag };
            *slot = to.map_addr(|address| address | tag).cast();
        }
    }

    /// As `forward`, for what is large, and for what is condemned, has not been moved, and has no size in its `Info`.
    ///
    /// # Safety
    /// As for `forward`.
    #[inline(never)]
    unsafe fn forward_unusual(&mut self, slot: *mut Word) {
        // SAFETY: as in `forward`.
        unsafe {
            if is_indirection(*slot) && self.look_through(slot) {
                // It may be anything now, but an indirection only if that leads to itself.
                return self.forward(slot);
            }
            let object = untagged(*slot);
            if self.meets(object.addr()) == Met::Large {
                return self.mark(object);
            }
            let First::Object(info) = Header::read(object) else { unreachable!("not moved") };
            let (tag, words) = ((*slot).addr() & TAG, words_of(object, info));
            let to = self.take_aligned(words, info);
            ptr::copy_nonoverlapping(object.cast::<Word>(), to, words);
            *object.cast::<Word>() = to.map_addr(|address| address | MOVED).cast();
            *slot = to.map_addr(|address| address | tag).cast();
        }
    }

    /// Puts the end of a chain of indirections in place of a pointer to its beginning, and into all of the chain: so a
    /// chain is walked once, however many pointers there are to it. If it has no end, but leads into a circle, all that
    /// was walked leads to one indirection of that, which leads to itself: then `false`.
    ///
    /// # Safety
    /// The slot points to an indirection, condemned or large, that has not been moved.
    unsafe fn look_through(&mut self, slot: *mut Word) -> bool {
        // SAFETY: as in `forward`: what is condemned, or large, has a header.
        unsafe {
            let next = |pointer: Word| word(untagged(pointer), 1);
            let (mut end, mut behind, mut steps) = (*slot, *slot, 0_usize);
            let ends = loop {
                end = *next(end);
                // Two steps for one: a circle is caught up with.
                steps += 1;
                if steps.is_multiple_of(2) {
                    behind = *next(behind);
                }
                if untagged(end) == untagged(behind) {
                    break false;
                }
                if self.meets(end.addr()) == Met::Other || !is_indirection(end) {
                    break true;
                }
            };
            let mut at = *slot;
            while at != end {
                let payload = next(at);
                at = *payload;
                *payload = end;
            }
            if !ends {
                *next(end) = end;
            }
            if ends && strikes(Fault::KeepsIndirection) {
                return false;
            }
            *slot = end;
            ends
        }
    }

    /// Room for a copy.
    #[inline(always)]
    fn take(&mut self, words: usize) -> *mut Word {
        if (self.old.end.addr() - self.old.free.addr()) / WORD < words {
            self.old.next_block(self.space);
        }
        let to = self.old.free;
        self.old.free = to.wrapping_add(words);
        to
    }

    /// Room for a copy, with what its alignment may cost, see E3.
    ///
    /// # Safety
    /// As for `forward`: of an object with this `Info`.
    unsafe fn take_aligned(&mut self, words: usize, info: &Info) -> *mut Word {
        let slack = info.slack();
        let start = self.take(words + slack);
        // SAFETY: all within what was taken.
        unsafe { place(start, words, slack, info.align()) }
    }

    /// Follows the pointers of an object that is not condemned, as its place says where they are.
    ///
    /// # Safety
    /// An object of the heap, or a registered static one.
    pub(super) unsafe fn scan_object(&mut self, object: *mut Header) {
        // SAFETY: the caller's promise.
        unsafe {
            if let First::Object(info) = Header::read(object) {
                each_slot(object, info, |slot| self.forward(slot));
            }
        }
    }

    /// Follows the pointers of all old objects: those of the first `blocks` blocks, of which the last one was filled to
    /// `fill`, and large ones.
    ///
    /// # Safety
    /// They are the blocks that were there before the collection.
    pub(super) unsafe fn scan_old(&mut self, blocks: usize, fill: *mut Word) {
        for index in 0..blocks {
            if strikes(Fault::SkipsOldBlock) {
                continue;
            }
            let block = self.old.blocks[index];
            let end = if index + 1 == blocks { fill } else { block.fill };
            // SAFETY: O1; in a minor collection blocks are not condemned.
            unsafe { self.scan_words(block.start, end) };
        }
        let mut at = self.large.first;
        while at != NONE {
            // SAFETY: a large object.
            unsafe {
                if !strikes(Fault::SkipsOldLarge) {
                    self.scan_object(Large::object(self.space, at as usize));
                }
            }
            at = self.space.head(at as usize).next.load(Relaxed);
        }
        self.objects = 0; // what is counted is copies
    }

    /// Follows the pointers in `from..to`, which are objects and fillers.
    ///
    /// # Safety
    /// They are, and not condemned.
    unsafe fn scan_words(&mut self, from: *mut Word, to: *mut Word) {
        let mut at = from;
        while at < to {
            // SAFETY: the caller's promise.
            at = at.wrapping_add(unsafe { self.scan_at(at, to) });
        }
    }

    /// Follows the pointers of the object, or filler, at `at`, which is followed by others up to `end`. Returns its
    /// words.
    ///
    /// # Safety
    /// As for `scan_words`.
    #[inline(always)]
    unsafe fn scan_at(&mut self, at: *mut Word, end: *mut Word) -> usize {
        let object = at.cast::<Header>();
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(words) = (*object).filled() {
                return words;
            }
            self.objects += 1;
            let info = &**at.cast::<*const Info>();
            if info.size == 0 || info.pointers == ELSEWHERE {
                each_slot(object, info, |slot| self.forward(slot));
                return words_of(object, info);
            }
            let skipped = usize::from(strikes(Fault::SkipsField));
            for index in 1 + skipped..=info.pointers as usize {
                let slot = at.add(index);
                if slot.wrapping_add(AHEAD) < end {
                    prefetch(slot.add(AHEAD));
                }
                self.forward(slot);
            }
            info.size as usize
        }
    }

    /// Follows the pointers of all that has been copied and marked, and of what is copied and marked meanwhile.
    ///
    /// # Safety
    /// All roots have been forwarded.
    pub(super) unsafe fn run(&mut self) {
        loop {
            // SAFETY: O1: objects and fillers without a gap; copies are not condemned.
            unsafe { self.scan_copies() };
            if !FULL || self.large.gray == NONE {
                return;
            }
            let slice = self.large.gray as usize;
            self.large.gray = self.space.head(slice).older.load(Relaxed);
            // SAFETY: a large object.
            unsafe { self.scan_object(Large::object(self.space, slice)) };
        }
    }

    /// # Safety
    /// O1.
    unsafe fn scan_copies(&mut self) {
        loop {
            let last = self.block + 1 == self.old.blocks.len();
            let end = if last { self.old.free } else { self.old.blocks[self.block].fill };
            let start = self.scan;
            // In the last block more may be copied, behind `end`; it is seen next time round.
            while self.scan < end {
                // SAFETY: the caller's promise.
                let words = unsafe { self.scan_at(self.scan, end) };
                self.scan = self.scan.wrapping_add(words);
            }
            self.words += (self.scan.addr() - start.addr()) / WORD;
            if self.block + 1 < self.old.blocks.len() {
                if self.scan == self.old.blocks[self.block].fill {
                    self.block += 1;
                    self.scan = self.old.blocks[self.block].start;
                    if strikes(Fault::SkipsBlock) {
                        let last = self.block + 1 == self.old.blocks.len();
                        self.scan = if last { self.old.free } else { self.old.blocks[self.block].fill };
                    }
                }
            } else if self.scan == self.old.free {
                return;
            }
        }
    }
}

/// How many words ahead of the scan what pointers lead to is fetched into the cache.
const AHEAD: usize = 48;

/// Fetches what the word at `slot` leads to, whatever it is, into the cache.
///
/// # Safety
/// The word is memory.
#[inline(always)]
unsafe fn prefetch(slot: *const Word) {
    // Nothing but an instruction may look at a word that need not be initialised.
    // SAFETY: the word is memory; fetching from an address that is none does nothing.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        core::arch::asm!(
            "mov {word}, [{slot}]",
            "prefetcht0 [{word}]",
            slot = in(reg) slot,
            word = out(reg) _,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = slot;
}

/// Copies an object of `words` words, at least two.
///
/// # Safety
/// Both are memory, and do not overlap.
#[inline(always)]
unsafe fn copy(from: *const Word, to: *mut Word, words: usize) {
    // Most objects are small: a call would cost more than the copy. First and last words are copied at once, and may
    // overlap.
    // SAFETY: the caller's promise. Words are copied as bytes: they may be anything.
    unsafe {
        if words <= 4 {
            ptr::copy_nonoverlapping(from, to, 2);
            ptr::copy_nonoverlapping(from.add(words - 2), to.add(words - 2), 2);
        } else if words <= 8 {
            ptr::copy_nonoverlapping(from, to, 4);
            ptr::copy_nonoverlapping(from.add(words - 4), to.add(words - 4), 4);
        } else {
            ptr::copy_nonoverlapping(from, to, words);
        }
    }
}

/// Where, in `words + slack` words from `start` on, an array's elements are aligned; what is left before and behind is
/// filled.
///
/// # Safety
/// They are memory, and nobody's; `slack` words are enough for `align`.
pub(super) unsafe fn place(start: *mut Word, words: usize, slack: usize, align: usize) -> *mut Word {
    let before = (align_up(start.addr() + 2 * WORD, align) - 2 * WORD - start.addr()) / WORD;
    let at = start.wrapping_add(before);
    // SAFETY: the caller's promise: before and behind are together `slack`.
    unsafe {
        fill(start, before);
        fill(at.wrapping_add(words), slack - before);
    }
    at
}
