//! [`Frame`]: where one level of an arena stands. The arena has one in memory; a scope has one of its own, by value, so that
//! its cursor lives in registers.
//!
//! A frame that is opened starts as a copy of the one below it, counters included; closing it is settling the difference
//! ([`Base::close`]) and forgetting the copy. So the frame below is never moved by what happens above it, and a frame that
//! is skipped (a mark that was never released) needs no care: its counts are in the next one's.
//!
//! Invariants, with `unit` = the arena's minimum alignment:
//! * F1. `cursor` is a multiple of `unit`, and reaches all of `chunk`.
//! * F2. `limit` is the end of `chunk`, or the cursor's own address (nothing fits: without a chunk, and always where scopes are
//!   isolated), or [`CLOSED`]. From the cursor to the limit the chunk is nobody's.
//! * F3. All blocks of this frame that are live lie in `chunk` below the cursor, or in chunks of the list from
//!   `start_chunk` to `chunk`; in `start_chunk` they lie at or above `start`.
//! * F4. [`live`](Frame::live) is the sum of the sizes of all live blocks, as they were requested, those of the frames below
//!   included.
//!
//! # Note: what the counters cost
//! In memory each counter that an allocation adds to is a load and a store more, in registers it is an addition. So a scope
//! simply adds sizes up. The arena's own frame keeps how far the cursor is ahead of that sum, which changes only where a layout
//! is not made of whole units, or a block is freed out of order: for the constant layouts of typed values the compiler leaves
//! nothing of it, and an allocation pays for one increment, `count`. The two stand apart on purpose: side by side, LLVM adds to
//! both with one 16-byte instruction, and the chain of 16-byte stores and loads takes three times as long.

use core::alloc::Layout;
use core::cell::Cell;
use core::hint::assert_unchecked;
use core::num::NonZero;
use core::ptr::NonNull;

use super::base::Base;
use super::bump::place;
use super::chunk::Chunk;
use crate::align::{KnownAlign, align_up, is_aligned};
use crate::error::AllocError;
use crate::os::poison;
use crate::region::dangling;

/// The limit of the arena's own frame while a scope is open on it: nothing fits, and nothing else may be done.
pub(super) const CLOSED: usize = 0;

/// `IN_MEMORY`: the arena's own frame, or a copy of it. It decides what `balance` is.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Frame<const IN_MEMORY: bool> {
    /// Where the next block starts, if its alignment allows. F1.
    pub(super) cursor: Cell<NonNull<u8>>,
    /// The address up to which there is room. F2.
    pub(super) limit: Cell<usize>,
    /// Live blocks, with those of the frames below.
    pub(super) count: Cell<usize>,
    pub(super) chunk: Cell<Option<NonNull<Chunk>>>,
    /// F4: in a scope what is [`live`](Self::live), in memory the cursor's address less that. May wrap around.
    pub(super) balance: Cell<usize>,
    /// The address from which on blocks of `chunk` may be reclaimed: `start` in `start_chunk`, and 0 in others; where scopes are
    /// isolated, none may.
    pub(super) floor: Cell<usize>,
    /// F3. `None`: all blocks are this frame's.
    pub(super) start_chunk: Cell<Option<NonNull<Chunk>>>,
    /// F3.
    pub(super) start: Cell<usize>,
}

impl<const IN_MEMORY: bool> Frame<IN_MEMORY> {
    /// Of an arena without a chunk.
    pub(super) const fn new(unit: usize) -> Self {
        let nowhere = dangling(unit);
        Self {
            cursor: Cell::new(nowhere),
            limit: Cell::new(unit),
            count: Cell::new(0),
            chunk: Cell::new(None),
            balance: Cell::new(if IN_MEMORY { unit } else { 0 }),
            floor: Cell::new(0),
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
        let balance = self.balance.get();
        if IN_MEMORY { self.address().wrapping_sub(balance) } else { balance }
    }

    /// Puts the cursor somewhere else, and says what is live then.
    #[inline(always)]
    pub(super) fn move_to(&self, cursor: NonNull<u8>, live: usize) {
        self.cursor.set(cursor);
        self.balance.set(if IN_MEMORY { cursor.addr().get().wrapping_sub(live) } else { live });
    }

    /// Bytes between the cursor and the limit.
    #[inline(always)]
    pub(super) fn remaining(&self) -> usize {
        self.limit.get().saturating_sub(self.address())
    }

    /// What the limit is when the frame is not closed. F2.
    pub(super) fn full_limit(&self, isolate: bool) -> usize {
        match self.chunk.get() {
            // SAFETY: a frame's chunk is live.
            Some(chunk) if !isolate => unsafe { (*chunk.as_ptr()).end },
            _ => self.address(),
        }
    }

    /// A frame on top of this one, with `limit` as its limit.
    #[inline(always)]
    pub(super) fn open(&self, limit: usize) -> Frame<false> {
        Frame {
            cursor: self.cursor.clone(),
            limit: Cell::new(limit),
            count: self.count.clone(),
            chunk: self.chunk.clone(),
            balance: Cell::new(self.live()),
            floor: Cell::new(self.address()),
            start_chunk: self.chunk.clone(),
            start: Cell::new(self.address()),
        }
    }

    /// Becomes a copy of another frame.
    #[inline]
    pub(super) fn replace(&self, by: &Self) {
        self.cursor.set(by.cursor.get());
        self.limit.set(by.limit.get());
        self.count.set(by.count.get());
        self.chunk.set(by.chunk.get());
        self.balance.set(by.balance.get());
        self.floor.set(by.floor.get());
        self.start_chunk.set(by.start_chunk.get());
        self.start.set(by.start.get());
    }

    /// Puts the cursor at the start of a chunk, with `live` bytes live in others.
    ///
    /// # Safety
    /// A chunk of the arena of which nothing is in use, made with `unit`.
    pub(super) unsafe fn enter(&self, chunk: NonNull<Chunk>, live: usize, unit: usize, isolate: bool) {
        // SAFETY: the caller's promise.
        self.move_to(unsafe { Chunk::data(chunk, unit) }, live);
        self.chunk.set(Some(chunk));
        self.floor.set(if isolate { usize::MAX } else { 0 });
        self.limit.set(self.full_limit(isolate));
    }

    /// The fast path: takes a block from the current chunk. The size is not zero. `balance` is [`balance`](Self::balance), read
    /// before: see [`Base::take_slowly`].
    #[inline(always)]
    pub(super) fn bump<A: KnownAlign>(&self, layout: Layout, balance: usize) -> Option<NonNull<u8>> {
        let cursor = self.cursor.get();
        // SAFETY: F1.
        unsafe { assert_unchecked(cursor.addr().get() & (A::BYTES - 1) == 0) };
        let (start, end) = place(cursor.addr().get(), self.limit.get(), layout.size(), layout.align(), A::BYTES)?;
        // SAFETY: both are at or above the cursor, which is not zero.
        let (start, end) = unsafe { (NonZero::new_unchecked(start), NonZero::new_unchecked(end)) };
        self.cursor.set(cursor.with_addr(end));
        self.count.set(self.count.get().wrapping_add(1));
        let live = layout.size();
        let more = if IN_MEMORY { end.get() - cursor.addr().get() - live } else { live };
        self.balance.set(balance.wrapping_add(more));
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
        self.floor.set(next.floor);
        self.move_to(next.cursor, live.wrapping_add(size));
        self.limit.set(next.limit);
        self.count.set(self.count.get().wrapping_add(1));
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
            && block.addr().get() >= self.floor.get()
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
        // The block starts at a multiple of the unit, since the cursor did. The gap before it stays.
        let back = if last { align_up(size, A::BYTES) } else { 0 };
        // SAFETY: the last block ends, in whole units, at the cursor.
        self.move_to(unsafe { self.cursor.get().sub(back) }, self.live().wrapping_sub(size));
        // SAFETY: the caller's promise.
        unsafe { poison::freed(block, size) };
    }

    /// Takes a block, from this chunk or another.
    #[inline(always)]
    pub(super) fn take<A: KnownAlign>(&self, base: NonNull<Base>, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return Some(dangling(layout.align()));
        }
        let balance = self.balance.get();
        match self.bump::<A>(layout, balance) {
            Some(block) => Some(block),
            // SAFETY: `base` is live as long as any frame of it, and this is its frame.
            None if IN_MEMORY => unsafe { Base::take_slowly(base, layout, balance) },
            None => self.advance(base, layout),
        }
    }

    /// Gives a block another layout, in place where it is the last one or gets smaller, and its alignment allows. A block of
    /// a frame below is left to that frame, and its contents go on in a block of this one.
    ///
    /// # Safety
    /// A live block of this arena with its layout (or of no size); on `Some` it is not used afterwards.
    #[inline(always)]
    pub(super) unsafe fn resize<A: KnownAlign>(
        &self,
        base: NonNull<Base>,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        // SAFETY: `base` is live as long as any frame of it.
        let store = unsafe { &(*base.as_ptr()).store };
        // Read here, and handed to the slow path, for the reason at `Base::take_slowly`.
        let (balance, gone) = (self.balance.get(), store.gone_bytes.get());
        if old.size() != 0
            && new.size() >= old.size()
            && self.is_last(block, old.size(), A::BYTES)
            && (new.align() <= old.align() || is_aligned(block.addr().get(), new.align()))
        {
            // From the cursor, which reaches all of the chunk (F1): what the caller has may reach the old block only.
            // SAFETY: the last block ends, in whole units, at the cursor.
            let block = unsafe { self.cursor.get().sub(align_up(old.size(), A::BYTES)) };
            // The start is a multiple of the unit and stays where it is.
            if let Some((_, end)) = place(block.addr().get(), self.limit.get(), new.size(), 1, A::BYTES) {
                let more = new.size() - old.size();
                let consumed = end - self.address();
                self.balance.set(balance.wrapping_add(if IN_MEMORY { consumed.wrapping_sub(more) } else { more }));
                store.retire(1, 0);
                // SAFETY: in the chunk; the old block is the caller's, and what follows it up to the limit is nobody's (F2).
                unsafe {
                    self.cursor.set(block.with_addr(NonZero::new_unchecked(end)));
                    poison::in_use(block, new.size());
                }
                return Some(store.retire_after(gone, old.size(), block));
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.resize_slowly::<A>(base, block, old, new, balance, gone) }
    }

    /// What gets smaller, is not the last block, or does not fit where it is. `balance` and `gone` are what they are.
    ///
    /// # Safety
    /// As for [`resize`](Self::resize).
    #[cold]
    #[inline(never)]
    unsafe fn resize_slowly<A: KnownAlign>(
        &self,
        base: NonNull<Base>,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        balance: usize,
        gone: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: `base` is live as long as any frame of it.
        let store = unsafe { &(*base.as_ptr()).store };
        self.balance.set(balance);
        store.gone_bytes.set(gone);
        let stays = new.size() != 0
            && new.size() <= old.size()
            && (new.align() <= old.align() || is_aligned(block.addr().get(), new.align()));
        let last = self.is_last(block, old.size(), A::BYTES);
        if stays && (last || self.owns(block)) {
            let less = old.size() - new.size();
            store.saw_live(self.live());
            store.retire(1, old.size());
            // In whole units the new size is at most the old one, at whose end the cursor stands if this is the last.
            let back = if last { align_up(old.size(), A::BYTES) - align_up(new.size(), A::BYTES) } else { 0 };
            // SAFETY: within the block, or at its end.
            self.move_to(unsafe { self.cursor.get().sub(back) }, self.live().wrapping_sub(less));
            // SAFETY: the end of the caller's block.
            unsafe { poison::freed(block.add(new.size()), less) };
            return Some(block);
        }
        let moved = self.take::<A>(base, new)?;
        // SAFETY: two blocks of at least that size, which do not overlap; the old one is the caller's to free.
        unsafe {
            moved.copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.dealloc::<A>(base, block, old);
        }
        Some(moved)
    }

    /// Why there was no block. `closed`: the frame is the arena's own, and a scope is open on it.
    #[cold]
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
