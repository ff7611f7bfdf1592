//! [`Old`]: the old generation, blocks that copies are put into one after the other; and [`Large`], the objects that
//! are never copied.
//!
//! Invariants:
//! * O1. From a block's start to its fill lie objects and fillers without a gap. The last block's fill is `free`.
//! * O2. Spare blocks, and blocks with objects, are together twice as many as what may live now, young and old, may
//!   need: enough for a full collection that finds all of it alive, and, after that, for the next one. So no collection
//!   ever asks for memory; only the mutator does, to be given more of the nursery.
//! * O3. A large object's header is in the slice whose head knows the object: its run is `len` slices from `stamp`
//!   slices before, its header `newer` bytes from the start of that; the next large object is in `next`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ptr;

use super::faults::{Fault, strikes};
use super::info::{Header, WORD, Word};
use super::space::{Space, Use};
use crate::os::poison;
use crate::runs::{NONE, SLICE};
use crate::sync::Ordering::Relaxed;

/// The slices of a block.
pub(super) const BLOCK: usize = 16;

/// The words of a block.
pub(super) const BLOCK_WORDS: usize = BLOCK * SLICE / WORD;

/// Objects of so many words, or more, are large.
pub(crate) const LARGE: usize = SLICE / WORD;

/// The blocks that copies of `words` words fit in, whatever their sizes.
pub(super) fn blocks_for(words: usize) -> usize {
    words.div_ceil(BLOCK_WORDS - LARGE) + 1
}

#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) slice: usize,
    pub(super) start: *mut Word,
    pub(super) fill: *mut Word,
}

pub(super) struct Old {
    pub(super) blocks: Vec<Block>,
    /// Blocks for copies, that have none yet. At the back, where they are taken, are those that objects were in before
    /// the last full collection: their pages are there already.
    pub(super) spare: VecDeque<usize>,
    /// No blocks, but room for a list of them.
    next: Vec<Block>,
    /// What comes next goes here, up to `end`.
    pub(super) free: *mut Word,
    pub(super) end: *mut Word,
    /// The words of all blocks but the last.
    closed: usize,
    /// What its blocks are used for.
    pub(super) side: Use,
}

impl Old {
    pub(super) const fn new() -> Self {
        Self {
            blocks: Vec::new(),
            spare: VecDeque::new(),
            next: Vec::new(),
            free: ptr::null_mut(),
            end: ptr::null_mut(),
            closed: 0,
            side: Use::OldA,
        }
    }

    /// The words in it, fillers included.
    pub(super) fn words(&self) -> usize {
        self.closed + self.blocks.last().map_or(0, |last| (self.free.addr() - last.start.addr()) / WORD)
    }

    /// Takes all blocks away, with the last one's fill: to be copied out of. The next ones are of the other side.
    pub(super) fn turn(&mut self) -> Vec<Block> {
        if let Some(last) = self.blocks.last_mut() {
            last.fill = self.free;
        }
        self.side = if self.side == Use::OldA { Use::OldB } else { Use::OldA };
        (self.free, self.end, self.closed) = (ptr::null_mut(), ptr::null_mut(), 0);
        core::mem::replace(&mut self.blocks, core::mem::take(&mut self.next))
    }

    /// Takes back the list that [`turn`](Self::turn) gave.
    pub(super) fn keep_list(&mut self, mut blocks: Vec<Block>) {
        blocks.clear();
        self.next = blocks;
    }

    /// Its blocks, with the last one's fill.
    pub(super) fn filled(&self) -> impl DoubleEndedIterator<Item = Block> + '_ {
        let last = self.blocks.len().wrapping_sub(1);
        self.blocks.iter().enumerate().map(move |(index, block)| match index == last {
            true => Block { fill: self.free, ..*block },
            false => *block,
        })
    }

    /// Holds one more block for copies, and has room for it in all lists; `false` if there is no memory for that.
    pub(super) fn hold(&mut self, space: &Space) -> bool {
        let most = self.blocks.len() + self.spare.len() + 1;
        let grows = most > self.spare.capacity().min(self.blocks.capacity()).min(self.next.capacity());
        if grows && crate::os::struck()
            || self.spare.try_reserve(most - self.spare.len()).is_err()
            || self.blocks.try_reserve(most - self.blocks.len()).is_err()
            || self.next.try_reserve(most).is_err()
        {
            return false;
        }
        let Some(slice) = space.take(BLOCK, 1, Use::Spare) else {
            return false;
        };
        self.spare.push_front(slice);
        space.spare.set(space.spare.get() + BLOCK);
        true
    }

    /// Whether it would still hold enough blocks for what it has (O2) with one less.
    pub(super) fn has_spare(&self) -> bool {
        self.spare.len() + self.blocks.len() > 2 * blocks_for(self.words())
    }

    /// Gives spare blocks back, all but so many; those first whose pages may not be there.
    pub(super) fn return_spare(&mut self, space: &Space, keep: usize) {
        while self.spare.len() > keep
            && let Some(slice) = self.spare.pop_front()
        {
            space.spare.set(space.spare.get() - BLOCK);
            // SAFETY: a spare block is nobody's.
            unsafe { space.give(slice, BLOCK) };
        }
    }

    /// A block that all objects have been copied out of is spare.
    ///
    /// # Safety
    /// Nobody refers to it.
    pub(super) unsafe fn reuse(&mut self, space: &Space, slice: usize) {
        if strikes(Fault::LosesBlock) {
            return;
        }
        space.set_use(slice, BLOCK, Use::Spare);
        space.spare.set(space.spare.get() + BLOCK);
        // There is room: it was made when the block was held first.
        self.spare.push_back(slice);
    }

    /// Goes on in a spare block; there is one (O2).
    pub(super) fn next_block(&mut self, space: &Space) {
        if let Some(last) = self.blocks.last_mut() {
            last.fill = self.free;
            if !strikes(Fault::LosesWords) {
                self.closed += (self.free.addr() - last.start.addr()) / WORD;
            }
        }
        let slice = self.spare.pop_back().expect("a collection has blocks for all it may copy");
        if !strikes(Fault::LosesSpare) {
            space.spare.set(space.spare.get() - BLOCK);
        }
        if !strikes(Fault::ForgetsUse) {
            space.set_use(slice, BLOCK, self.side);
        }
        let start = space.at(slice).as_ptr().cast::<Word>();
        // SAFETY: the block is memory, and ours.
        unsafe { poison::in_use(space.at(slice), BLOCK * SLICE) };
        // There is room: it was made when the block was held first.
        self.blocks.push(Block { slice, start, fill: start });
        self.free = start;
        self.end = start.wrapping_add(BLOCK_WORDS);
    }
}

/// Large objects, each in a run of its own.
pub(super) struct Large {
    /// The first slice-with-a-header of each object, by `next`.
    pub(super) first: u32,
    /// Slices of all of them.
    pub(super) slices: usize,
    /// What marked objects have in `used`: changes from collection to collection.
    pub(super) mark: u32,
    /// Marked objects whose pointers have not been followed, by `older`.
    pub(super) gray: u32,
}

impl Large {
    pub(super) const fn new() -> Self {
        Self { first: NONE, slices: 0, mark: 0, gray: NONE }
    }

    /// The bytes before the header, for what is after two words to be aligned: the payload of arrays.
    fn before(align: usize) -> usize {
        align.max(2 * WORD) - 2 * WORD
    }

    /// The slices that a large object takes. `None` if no address space has them.
    pub(super) fn slices_for(words: usize, align: usize) -> Option<usize> {
        Some(words.checked_mul(WORD)?.checked_add(Self::before(align))?.div_ceil(SLICE))
    }

    /// A large object for `words` words, of which the word after the second is at a multiple of `align` bytes. `None`
    /// if there is no memory, or none but what is reserved.
    pub(super) fn alloc(&mut self, space: &Space, words: usize, align: usize) -> Option<*mut Header> {
        let (before, len) = (Self::before(align), Self::slices_for(words, align)?);
        if len > space.available() {
            return None;
        }
        let start = space.take(len, align.div_ceil(SLICE), Use::Large)?;
        let slice = start + before / SLICE;
        let head = space.head(slice);
        head.len.store(len as u32, Relaxed);
        head.stamp.store((slice - start) as u32, Relaxed);
        head.newer.store(before as u32, Relaxed);
        head.used.store(self.mark, Relaxed);
        head.next.store(self.first, Relaxed);
        self.first = slice as u32;
        self.slices += len;
        // SAFETY: within the run, which is memory and ours.
        unsafe {
            poison::in_use(space.at(start), len * SLICE);
            Some(space.at(start).add(before).as_ptr().cast())
        }
    }

    /// Calls `visit` with each large object, and its run: first slice and length.
    pub(super) fn each(&self, space: &Space, mut visit: impl FnMut(*mut Header, usize, usize)) {
        let mut at = self.first;
        while at != NONE {
            let (start, len) = Self::run(space, at as usize);
            visit(Self::object(space, at as usize), start, len);
            at = space.head(at as usize).next.load(Relaxed);
        }
    }

    /// The run, first slice and length, of the large object whose header is in a slice.
    pub(super) fn run(space: &Space, slice: usize) -> (usize, usize) {
        let head = space.head(slice);
        (slice - head.stamp.load(Relaxed) as usize, head.len.load(Relaxed) as usize)
    }

    /// The large object whose header is in a slice.
    pub(super) fn object(space: &Space, slice: usize) -> *mut Header {
        let head = space.head(slice);
        let start = slice - head.stamp.load(Relaxed) as usize;
        space.at(start).as_ptr().wrapping_add(head.newer.load(Relaxed) as usize).cast()
    }

    /// Frees the objects that are not marked.
    ///
    /// # Safety
    /// Nobody refers to them.
    pub(super) unsafe fn sweep(&mut self, space: &Space) {
        let mut at = core::mem::replace(&mut self.first, NONE);
        let (mut last, mut slices) = (NONE, 0);
        while at != NONE {
            let head = space.head(at as usize);
            let (next, len) = (head.next.load(Relaxed), head.len.load(Relaxed) as usize);
            if head.used.load(Relaxed) == self.mark || strikes(Fault::KeepsDead) {
                match last {
                    NONE => self.first = at,
                    last => space.head(last as usize).next.store(at, Relaxed),
                }
                head.next.store(NONE, Relaxed);
                (last, slices) = (at, slices + len);
            } else {
                let start = at as usize - head.stamp.load(Relaxed) as usize;
                // SAFETY: the run of an object that nobody refers to.
                unsafe {
                    poison::freed(space.at(start), len * SLICE);
                    space.give(start, len);
                }
            }
            at = next;
        }
        self.slices = slices;
    }
}
