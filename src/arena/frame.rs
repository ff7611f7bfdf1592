//! [`Frame`]: where one level of an arena stands. The arena has one in memory; a scope has one of its own, by value, so that
//! its cursor lives in registers.
//!
//! A frame that is opened starts as a copy of the one below it, counters included; closing it is settling the difference
//! ([`Base::close`]) and forgetting the copy. So the frame below is never moved by what happens above it, and a frame that
//! is skipped (a mark that was never released) needs no care: its counts are in the next one's.
//!
//! Invariants, with `unit` = the arena's minimum alignment:
//! * F1. `cursor` is a multiple of `unit`.
//! * F2. `limit` is the end of `chunk`, or the cursor's own address (nothing fits), or [`CLOSED`]; without a chunk, nothing fits.
//!   From the cursor to the limit the chunk is nobody's.
//! * F3. All blocks of this frame that are live lie in `chunk` below the cursor, or in chunks of the list from
//!   `start_chunk` to `chunk`; in `start_chunk` they lie at or above `start`.
//! * F4. `cursor - zero` is the sum of the sizes of all live blocks, those of the frames below included, as they were requested.
//!
//! # Note: what the counters cost
//! The bytes requested follow from the cursor: `zero` is where it would stand if nothing but live blocks had ever moved it.
//! `zero` moves only where a layout is not made of whole units, or a block is freed out of order; for the constant
//! layouts of typed values the compiler leaves nothing of it, and an allocation pays for one increment, `count`. The two
//! stand apart on purpose: side by side, LLVM adds to both with one 16-byte instruction, and the chain of 16-byte stores
//! and loads takes three times as long (2.2 ns against 0.8).

use core::alloc::Layout;
use core::cell::Cell;
use core::hint::assert_unchecked;
use core::num::NonZero;
use core::ptr::NonNull;

use super::base::Base;
use super::bump::place;
use super::chunk::{Chunk, same};
use crate::align::{KnownAlign, align_up, is_aligned};
use crate::error::AllocError;
use crate::os::poison;
use crate::region::dangling;

/// The limit of the arena's own frame while a scope is open on it: nothing fits, and nothing else may be done.
pub(super) const CLOSED: usize = 0;

#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Frame {
    /// Where the next block starts, if its alignment allows. F1.
    pub(super) cursor: Cell<NonNull<u8>>,
    /// The address up to which there is room. F2.
    pub(super) limit: Cell<usize>,
    /// Live blocks, with those of the frames below.
    pub(super) count: Cell<usize>,
    pub(super) chunk: Cell<Option<NonNull<Chunk>>>,
    /// F4. Wraps around.
    pub(super) zero: Cell<usize>,
    /// F3. `None`: all blocks are this frame's.
    pub(super) start_chunk: Cell<Option<NonNull<Chunk>>>,
    /// F3.
    pub(super) start: Cell<usize>,
}

impl Frame {
    /// Of an arena without a chunk.
    pub(super) const fn new(unit: usize) -> Self {
        let nowhere = dangling(unit);
        Self {
            cursor: Cell::new(nowhere),
            limit: Cell::new(unit),
            count: Cell::new(0),
            chunk: Cell::new(None),
            zero: Cell::new(unit),
            start_chunk: Cell::new(None),
            start: Cell::new(0),
        }
    }

    #[inline(always)]
    pub(super) fn address(&self) -> usize {
        self.cursor.get().addr().get()
    }

    /// The sizes of all live blocks together, in bytes.
    #[inline(always)]
    pub(super) fn live(&self) -> usize {
        self.address().wrapping_sub(self.zero.get())
    }

    /// So many bytes between zero and the cursor are no live block's.
    #[inline(always)]
    fn waste(&self, bytes: usize) {
        self.zero.set(self.zero.get().wrapping_add(bytes));
    }

    /// Bytes between the cursor and the limit.
    #[inline(always)]
    pub(super) fn remaining(&self) -> usize {
        self.limit.get().saturating_sub(self.address())
    }

    /// What the limit is when the frame is not closed. F2.
    pub(super) fn full_limit(&self, isolate: bool) -> usize {
        match self.chunk.get() {
            // Isolated, and nothing allocated yet.
            Some(chunk) if isolate && self.start_chunk.get() == Some(chunk) => self.address(),
            // SAFETY: a frame's chunk is live.
            Some(chunk) => unsafe { (*chunk.as_ptr()).end },
            None => self.address(),
        }
    }

    /// A frame on top of this one, with `limit` as its limit.
    #[inline(always)]
    pub(super) fn open(&self, limit: usize) -> Self {
        let above = self.clone();
        above.limit.set(limit);
        above.start_chunk.set(self.chunk.get());
        above.start.set(self.address());
        above
    }

    /// Becomes a copy of another frame.
    #[inline]
    pub(super) fn replace(&self, by: &Self) {
        self.cursor.set(by.cursor.get());
        self.limit.set(by.limit.get());
        self.count.set(by.count.get());
        self.chunk.set(by.chunk.get());
        self.zero.set(by.zero.get());
        self.start_chunk.set(by.start_chunk.get());
        self.start.set(by.start.get());
    }

    /// Puts the cursor at the start of a chunk, with `live` bytes live in others.
    ///
    /// # Safety
    /// A chunk of the arena of which nothing is in use, made with `unit`.
    pub(super) unsafe fn enter(&self, chunk: NonNull<Chunk>, live: usize, unit: usize) {
        // SAFETY: the caller's promise.
        let (data, end) = unsafe { (Chunk::data(chunk, unit), (*chunk.as_ptr()).end) };
        self.cursor.set(data);
        self.limit.set(end);
        self.chunk.set(Some(chunk));
        self.zero.set(data.addr().get().wrapping_sub(live));
    }

    /// The fast path: takes a block from the current chunk. The size is not zero.
    #[inline(always)]
    pub(super) fn bump<A: KnownAlign>(&self, layout: Layout) -> Option<NonNull<u8>> {
        let cursor = self.cursor.get();
        // SAFETY: F1.
        unsafe { assert_unchecked(cursor.addr().get() & (A::BYTES - 1) == 0) };
        let (start, end) = place(cursor.addr().get(), self.limit.get(), layout.size(), layout.align(), A::BYTES)?;
        // SAFETY: both are at or above the cursor, which is not zero.
        let (start, end) = unsafe { (NonZero::new_unchecked(start), NonZero::new_unchecked(end)) };
        self.cursor.set(cursor.with_addr(end));
        self.count.set(self.count.get().wrapping_add(1));
        self.waste((end.get() - layout.size()) - cursor.addr().get());
        let block = cursor.with_addr(start);
        // SAFETY: below the limit in the chunk, and nobody's (F2).
        unsafe { poison::in_use(block, layout.size()) };
        Some(block)
    }

    /// The slow path, by value: takes a block from the next chunk that has room, which may be a new one. `None` if the
    /// arena has none, which is counted.
    ///
    /// Only values go in and come out, and nothing unwinds, so that a frame in registers stays there.
    #[inline(always)]
    pub(super) fn advance(&self, base: NonNull<Base>, layout: Layout) -> Option<NonNull<u8>> {
        let (live, size) = (self.live(), layout.size());
        // SAFETY: `base` is live as long as any frame of it.
        let next = unsafe { Base::next_chunk(base, self.chunk.get(), self.address(), size, layout.align()) };
        self.chunk.set(Some(next.chunk?));
        self.cursor.set(next.cursor);
        self.limit.set(next.limit);
        self.count.set(self.count.get().wrapping_add(1));
        self.zero.set(self.address().wrapping_sub(live.wrapping_add(size)));
        Some(next.block)
    }

    /// Whether a block that is not the last belongs to this frame and not to one below it (F3).
    #[inline(always)]
    fn owns(&self, block: NonNull<u8>) -> bool {
        match self.start_chunk.get() {
            None => true,
            // SAFETY: F3; the chunks of the list from there on are live.
            Some(first) => unsafe { lies_above(first, self.start.get(), self.chunk.get(), block.addr().get()) },
        }
    }

    /// Whether a block of this many bytes is the last one below the cursor, and this frame's.
    #[inline(always)]
    fn is_last(&self, block: NonNull<u8>, size: usize, unit: usize) -> bool {
        // The address of a live block and its size do not overflow.
        block.addr().get().wrapping_add(align_up(size, unit)) == self.address()
            && (!same(self.chunk.get(), self.start_chunk.get()) || block.addr().get() >= self.start.get())
    }

    /// Frees a block. The last one is reclaimed; another one of this frame is counted as freed; one of a frame below is left
    /// to that frame.
    ///
    /// # Safety
    /// A live block of this arena with its layout, not used afterwards.
    #[inline(always)]
    pub(super) unsafe fn dealloc<A: KnownAlign>(&self, base: NonNull<Base>, block: NonNull<u8>, layout: Layout) {
        let size = layout.size();
        if size == 0 {
            return;
        }
        // SAFETY: `base` is live as long as any frame of it.
        let store = unsafe { &(*base.as_ptr()).store };
        let last = self.is_last(block, size, A::BYTES);
        if !last && !self.owns(block) {
            return;
        }
        store.saw_live(self.live());
        store.retire(1, size);
        self.count.set(self.count.get().wrapping_sub(1));
        if last {
            // The gap before the block stays waste. The block starts at a multiple of the unit, since the cursor did.
            self.waste(size.wrapping_sub(align_up(size, A::BYTES)));
            self.cursor.set(block);
        } else {
            self.waste(size);
        }
        // SAFETY: the caller's promise.
        unsafe { poison::freed(block, size) };
    }

    /// Takes a block, from this chunk or another. `IN_MEMORY`: this is the arena's own frame.
    #[inline(always)]
    pub(super) fn take<A: KnownAlign, const IN_MEMORY: bool>(
        &self,
        base: NonNull<Base>,
        layout: Layout,
    ) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return Some(dangling(layout.align()));
        }
        match self.bump::<A>(layout) {
            Some(block) => Some(block),
            // SAFETY: `base` is live as long as any frame of it, and this is its frame.
            None if IN_MEMORY => unsafe { Base::take_slowly(base, layout) },
            None => self.advance(base, layout),
        }
    }

    /// Gives a block another layout, in place where it is the last one or gets smaller, and its alignment allows. A block of
    /// a frame below is left to that frame, and its contents go on in a block of this one.
    ///
    /// # Safety
    /// A live block of this arena with its layout (or of no size); on `Some` it is not used afterwards.
    #[inline(always)]
    pub(super) unsafe fn resize<A: KnownAlign, const IN_MEMORY: bool>(
        &self,
        base: NonNull<Base>,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        // SAFETY: `base` is live as long as any frame of it.
        let store = unsafe { &(*base.as_ptr()).store };
        let stays = old.size() != 0
            && new.size() != 0
            && (new.align() <= old.align() || is_aligned(block.addr().get(), new.align()));
        if stays && self.is_last(block, old.size(), A::BYTES) {
            // The start is a multiple of the unit and stays where it is.
            if let Some((_, end)) = place(block.addr().get(), self.limit.get(), new.size(), 1, A::BYTES) {
                if new.size() < old.size() {
                    store.saw_live(self.live());
                }
                store.retire(1, old.size());
                let rounding = |size: usize| align_up(size, A::BYTES) - size;
                self.waste(rounding(new.size()).wrapping_sub(rounding(old.size())));
                // SAFETY: at or above the block's start.
                self.cursor.set(block.with_addr(unsafe { NonZero::new_unchecked(end) }));
                // SAFETY: the old block is the caller's, and what follows it up to the limit is nobody's (F2).
                unsafe {
                    if new.size() < old.size() {
                        poison::freed(block.add(new.size()), old.size() - new.size());
                    } else {
                        poison::in_use(block, new.size());
                    }
                }
                return Some(block);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.resize_slowly::<A, IN_MEMORY>(base, block, old, new, stays) }
    }

    /// What is not the last block, or does not fit where it is. `stays`: it may keep its address.
    ///
    /// # Safety
    /// As for [`resize`](Self::resize).
    #[cold]
    #[inline(never)]
    unsafe fn resize_slowly<A: KnownAlign, const IN_MEMORY: bool>(
        &self,
        base: NonNull<Base>,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        stays: bool,
    ) -> Option<NonNull<u8>> {
        if stays && new.size() <= old.size() && self.owns(block) {
            // SAFETY: `base` is live as long as any frame of it.
            let store = unsafe { &(*base.as_ptr()).store };
            store.saw_live(self.live());
            store.retire(1, old.size());
            self.waste(old.size() - new.size());
            // SAFETY: the end of the caller's block.
            unsafe { poison::freed(block.add(new.size()), old.size() - new.size()) };
            return Some(block);
        }
        let moved = self.take::<A, IN_MEMORY>(base, new)?;
        // SAFETY: two blocks of at least that size, which do not overlap; the old one is the caller's to free.
        unsafe {
            moved.copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.dealloc::<A>(base, block, old);
        }
        Some(moved)
    }

    /// Why there was no block. `closed`: the frame is the arena's own, and a scope is open on it.
    #[cold]
    #[inline(never)]
    pub(super) fn refusal(closed: bool, requested: usize, available: usize) -> AllocError {
        if closed {
            AllocError::RegionExhausted { region: "HotArena, whose memory an open scope has" }
        } else {
            AllocError::OutOfMemory { requested, available }
        }
    }
}

/// Whether an address lies at or above `start` in the chunk `first`, or in one that follows it up to `last`.
///
/// # Safety
/// The chunks of the list from `first` to `last` are live.
#[cold]
#[inline(never)]
unsafe fn lies_above(first: NonNull<Chunk>, start: usize, last: Option<NonNull<Chunk>>, address: usize) -> bool {
    // SAFETY: the caller's promise.
    let holds = |chunk: NonNull<Chunk>| unsafe { (chunk.addr().get()..(*chunk.as_ptr()).end).contains(&address) };
    if holds(first) {
        return address >= start;
    }
    let mut at = first;
    while Some(at) != last {
        // SAFETY: the caller's promise.
        match unsafe { (*at.as_ptr()).next.get() } {
            Some(next) if holds(next) => return true,
            Some(next) => at = next,
            None => break,
        }
    }
    false
}
