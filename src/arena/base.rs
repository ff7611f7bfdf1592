//! [`Base`]: what every frame of an arena shares: the list of chunks, the policy by which it grows, and the statistics of what is
//! closed. The part of [`HotArena`](super::HotArena) that does not depend on its type parameters, so that a scope need
//! not name them.
//!
//! Invariants:
//! * A1. `head` starts the list of all chunks of the arena. Chunks after a frame's current one hold nothing live of that frame
//!   or of one below it.
//! * A2. `held` is the sum of the blocks that the backing gave for the chunks of the list.
//!
//! # Note: the policy of growth
//! A chunk that holds what is asked for and follows the current one in the list is taken first: nothing is asked of the
//! backing as long as kept memory will do. A new chunk has the regular size, or the least that holds what is asked for if that is
//! more; and with each new chunk, whatever its size, the regular size doubles, up to [`LARGEST`]. So one big request makes nothing
//! after it big, and a stream of them soon shares chunks. Where the limit, or the backing, does not allow the regular
//! size, the least size that will do is tried; where the limit does not allow that, but would without the chunks that are
//! kept and are too small, those go back first.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

use super::bump::place;
use super::chunk::{self, Chunk};
use super::frame::{CLOSED, Frame};
use crate::align::checked_align_up;
use crate::os::poison;
use crate::stats::AllocStats;

/// The size of the first chunk's block, unless a capacity is asked for, in bytes.
pub(super) const FIRST: usize = 4096;
/// The size at which regular chunks stop to double, in bytes.
pub(super) const LARGEST: usize = 8 << 20;
/// Sizes of blocks are multiples of this.
pub(super) const GRANULE: usize = 64;

/// How chunks come and go: the backing region, without its type.
pub(super) struct Backing {
    /// A block of so many bytes, aligned to [`chunk::CHUNK_ALIGN`].
    pub(super) obtain: unsafe extern "C" fn(NonNull<Base>, usize) -> Option<NonNull<u8>>,
    pub(super) give_back: unsafe extern "C" fn(NonNull<Base>, NonNull<u8>, usize),
}

#[repr(C)]
pub(super) struct Base {
    /// The arena's own frame.
    pub(super) frame: Frame<true>,
    pub(super) store: Store,
}

/// Not in a frame: one for all levels.
pub(super) struct Store {
    /// Blocks that were freed, or whose frame was closed.
    gone_count: Cell<usize>,
    peak: Cell<usize>,
    /// Their bytes.
    pub(super) gone_bytes: Cell<usize>,
    failed: Cell<usize>,
    /// A1.
    pub(super) head: Cell<Option<NonNull<Chunk>>>,
    /// A2.
    held: Cell<usize>,
    /// The size of the next regular chunk's block.
    regular: Cell<usize>,
    /// The most that may be held.
    limit: usize,
    /// Whether the chunks that there are stay all that there are.
    pub(super) fixed: Cell<bool>,
    /// The arena's minimum alignment.
    unit: usize,
    /// Sizes of blocks are multiples of this.
    granule: usize,
    /// Whether each block gets a chunk of its own, and those of a scope go back when it ends.
    pub(super) isolate: bool,
    /// Since the last reset no frame took a chunk but the first of the list, which the arena's own frame is in and may fill, and
    /// no mark was made. If in doubt, `false`.
    pub(super) in_first: Cell<bool>,
    backing: &'static Backing,
}

/// What [`Base::next_chunk`] found. `chunk` is `None` if nothing.
#[repr(C)]
pub(super) struct Next {
    pub(super) chunk: Option<NonNull<Chunk>>,
    pub(super) block: NonNull<u8>,
    pub(super) cursor: NonNull<u8>,
    pub(super) limit: usize,
    pub(super) floor: usize,
}

impl Store {
    pub(super) const fn new(unit: usize, policy: Policy, backing: &'static Backing) -> Self {
        Self {
            gone_count: Cell::new(0),
            peak: Cell::new(0),
            gone_bytes: Cell::new(0),
            failed: Cell::new(0),
            head: Cell::new(None),
            held: Cell::new(0),
            regular: Cell::new(if policy.granule > FIRST { policy.granule } else { FIRST }),
            limit: policy.limit,
            fixed: Cell::new(false),
            unit,
            granule: policy.granule,
            isolate: policy.isolate,
            in_first: Cell::new(false),
            backing,
        }
    }

    /// So much has been live.
    #[inline(always)]
    pub(super) fn saw_live(&self, live: usize) {
        if live > self.peak.get() {
            self.peak.set(live);
        }
    }

    /// Counts blocks that are gone for good.
    #[inline(always)]
    pub(super) fn retire(&self, count: usize, bytes: usize) {
        // A count of 64 bits does not overflow; bytes may, where blocks are huge and never touched.
        let counted = if cfg!(target_pointer_width = "64") {
            self.gone_count.get().wrapping_add(count)
        } else {
            self.gone_count.get().saturating_add(count)
        };
        self.gone_count.set(counted);
        self.gone_bytes.set(self.gone_bytes.get().saturating_add(bytes));
    }

    /// Adds bytes to those that are gone, of which there are `gone`; whoever calls this has counted the block. Answers `next`, which
    /// is what the caller answers: so that what is never called is called last, and the caller saves no register for it.
    #[inline(always)]
    pub(super) fn retire_after(&self, gone: usize, bytes: usize, next: NonNull<u8>) -> NonNull<u8> {
        match gone.checked_add(bytes) {
            Some(gone) => {
                self.gone_bytes.set(gone);
                next
            }
            None => self.saturate(next),
        }
    }

    /// Out of line, so that the sum is stored after a branch that is never taken, and not after one move more.
    #[cold]
    #[inline(never)]
    extern "C" fn saturate(&self, next: NonNull<u8>) -> NonNull<u8> {
        self.gone_bytes.set(usize::MAX);
        next
    }

    #[cold]
    pub(super) fn count_failure(&self) {
        self.failed.set(self.failed.get().saturating_add(1));
    }

    /// The statistics, as seen from a frame.
    pub(super) fn stats<const IN_MEMORY: bool>(&self, frame: &Frame<IN_MEMORY>) -> AllocStats {
        let (live, gone) = (frame.live(), self.gone_bytes.get());
        AllocStats {
            total_allocated: gone.saturating_add(live),
            total_deallocated: gone,
            current_live: live,
            allocation_count: self.gone_count.get().saturating_add(frame.count.get()),
            deallocation_count: self.gone_count.get(),
            peak_usage: self.peak.get().max(live),
            failed_allocations: self.failed.get(),
        }
    }

    /// Bytes that the frames up to one at `cursor` in `chunk` consumed of all chunks.
    pub(super) fn used(&self, chunk: Option<NonNull<Chunk>>, cursor: usize) -> usize {
        let Some(last) = chunk else { return 0 };
        let mut used = 0;
        // SAFETY: A1.
        for chunk in unsafe { Self::chunks(self.head.get()) } {
            // SAFETY: A1.
            let (data, left_at) = unsafe { (Chunk::data(chunk, self.unit), (*chunk.as_ptr()).left_at.get()) };
            if chunk == last {
                return used + (cursor - data.addr().get());
            }
            used += left_at - data.addr().get();
        }
        used
    }

    /// Asks the backing for no more than it gave, and gives nothing back.
    pub(super) fn fix(&self) {
        self.fixed.set(true);
    }

    /// The next regular chunk is twice as long as the arena is now.
    pub(super) fn grow_from_here(&self) {
        let doubled = self.held.get().saturating_mul(2).min(LARGEST);
        self.regular.set(self.regular.get().max(doubled));
    }

    /// The chunks from `first` on.
    ///
    /// # Safety
    /// They are live while the iterator is used.
    unsafe fn chunks(first: Option<NonNull<Chunk>>) -> impl Iterator<Item = NonNull<Chunk>> {
        // SAFETY: the caller's promise.
        core::iter::successors(first, |chunk| unsafe { (*chunk.as_ptr()).next.get() })
    }

    /// Room for blocks in all chunks, in bytes.
    pub(super) fn capacity(&self) -> usize {
        // SAFETY: A1.
        unsafe { Self::chunks(self.head.get()) }
            // SAFETY: A1, C2.
            .map(|chunk| unsafe { (*chunk.as_ptr()).end - Chunk::data(chunk, self.unit).addr().get() })
            .sum()
    }

    /// Puts the largest chunk at the start of the list.
    fn largest_first(&self) {
        // SAFETY: A1.
        let size = |chunk: NonNull<Chunk>| unsafe { (*chunk.as_ptr()).end - chunk.addr().get() };
        let mut largest = &self.head;
        let mut link = &self.head;
        while let Some(chunk) = link.get() {
            if largest.get().is_some_and(|largest| size(chunk) > size(largest)) {
                largest = link;
            }
            // SAFETY: A1.
            link = unsafe { &(*chunk.as_ptr()).next };
        }
        if let Some(chunk) = largest.get() {
            // SAFETY: A1.
            let next = unsafe { &(*chunk.as_ptr()).next };
            largest.set(next.get());
            next.set(self.head.get());
            self.head.set(Some(chunk));
        }
    }

    /// The link after a chunk, or the list's head.
    ///
    /// # Safety
    /// A chunk of the list, live while the link is used.
    unsafe fn link_after(&self, chunk: Option<NonNull<Chunk>>) -> &Cell<Option<NonNull<Chunk>>> {
        match chunk {
            None => &self.head,
            // SAFETY: the caller's promise.
            Some(chunk) => unsafe { &(*chunk.as_ptr()).next },
        }
    }
}

/// What the builder decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) limit: usize,
    pub(super) granule: usize,
    pub(super) isolate: bool,
}

impl Policy {
    pub(super) const DEFAULT: Self = Self { limit: usize::MAX, granule: GRANULE, isolate: false };
}

impl Base {
    /// The slow path of the arena's own frame: takes a block from another chunk, unless a scope is open. `balance` is that of the
    /// frame, which changes nothing; but as it is handed over here, the compiler has to read it before it knows whether the
    /// fast path will do, and cannot make one `add` to memory of reading and writing it. A chain of those takes seven
    /// cycles a link, one of loads and stores two, as the CPU renames them.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena. The size is not zero.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn take_slowly(base: NonNull<Self>, layout: Layout, balance: usize) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        let Self { frame, store } = unsafe { &*base.as_ptr() };
        frame.balance.set(balance);
        if frame.limit.get() == CLOSED {
            store.count_failure();
            return None;
        }
        frame.advance(base, layout)
    }

    /// The next chunk of the list after `after`, or a new one, with a block taken from it.
    ///
    /// `extern "C"`, so that the compiler knows that it does not unwind.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena. `after` and `cursor` are the chunk and the cursor of its topmost frame. Size
    /// and alignment make a layout of a size that is not zero.
    #[cold]
    #[inline(never)]
    pub(super) unsafe extern "C" fn next_chunk(
        base: NonNull<Self>,
        after: Option<NonNull<Chunk>>,
        cursor: usize,
        size: usize,
        align: usize,
    ) -> Next {
        // SAFETY: the caller's promise.
        let (store, layout) = unsafe { (&(*base.as_ptr()).store, Layout::from_size_align_unchecked(size, align)) };
        // SAFETY: A1; the chunks are live as long as the arena, and here none goes.
        unsafe {
            // Tries a chunk.
            let take = |chunk: NonNull<Chunk>| {
                let (data, end) = (Chunk::data(chunk, store.unit), (*chunk.as_ptr()).end);
                let (start, next) = place(data.addr().get(), end, size, align, store.unit)?;
                let at = |address| data.add(address - data.addr().get());
                poison::in_use(at(start), size);
                if let Some(after) = after {
                    (*after.as_ptr()).left_at.set(cursor);
                }
                let (limit, floor) = if store.isolate { (next, usize::MAX) } else { (end, 0) };
                Some(Next { chunk: Some(chunk), block: at(start), cursor: at(next), limit, floor })
            };
            store.in_first.set(false);
            let first = store.link_after(after);
            let mut link = first;
            while let Some(chunk) = link.get() {
                let next = &(*chunk.as_ptr()).next;
                if let Some(taken) = take(chunk) {
                    // To the front: those before it are too small for this, not for what comes.
                    link.set(next.get());
                    next.set(first.get());
                    first.set(Some(chunk));
                    return taken;
                }
                link = next;
            }
            let new = chunk::block_for(layout, store.unit).and_then(|least| {
                Self::make_way(base, after, least);
                Self::new_chunk(base, least, false)
            });
            if let Some(chunk) = new {
                (*chunk.as_ptr()).next.set(first.get());
                first.set(Some(chunk));
                if let Some(taken) = take(chunk) {
                    return taken;
                }
            }
            store.count_failure();
            let nothing = NonNull::dangling();
            Next { chunk: None, block: nothing, cursor: nothing, limit: 0, floor: 0 }
        }
    }

    /// Gives the chunks after `after` back, none of which was large enough, if the limit allows a block of `least` bytes only
    /// without them.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena; nothing live is in those chunks.
    unsafe fn make_way(base: NonNull<Self>, after: Option<NonNull<Chunk>>, least: usize) {
        // SAFETY: the caller's promise; A1, A2.
        unsafe {
            let store = &(*base.as_ptr()).store;
            let (Some(least), false) = (checked_align_up(least, store.granule), store.fixed.get()) else { return };
            let allowed = store.limit - store.held.get();
            if least > allowed {
                let kept: usize =
                    Store::chunks(store.link_after(after).get()).map(|chunk| Chunk::block_size(chunk)).sum();
                if least <= allowed + kept {
                    Self::release_after(base, after);
                }
            }
        }
    }

    /// Calls the backing, with the arena's own frame closed: a backing that used the arena all the same gets an error.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena.
    unsafe fn closed<X>(base: NonNull<Self>, call: impl FnOnce(&'static Backing) -> X) -> X {
        // SAFETY: the caller's promise.
        let Self { frame, store } = unsafe { &*base.as_ptr() };
        let limit = frame.limit.replace(CLOSED);
        let result = call(store.backing);
        frame.limit.set(limit);
        result
    }

    /// A chunk with a block of at least so many bytes, or `exact`ly, in whole granules. It is not in the list yet.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena.
    pub(super) unsafe fn new_chunk(base: NonNull<Self>, least: usize, exact: bool) -> Option<NonNull<Chunk>> {
        // SAFETY: the caller's promise.
        let store = unsafe { &(*base.as_ptr()).store };
        if store.fixed.get() {
            return None;
        }
        let allowed = store.limit - store.held.get();
        let least = checked_align_up(least, store.granule).filter(|size| *size <= allowed)?;
        let regular = store.regular.get();
        let preferred = if exact || store.isolate { least } else { regular.max(least).min(allowed) };
        let obtain = |size: usize| {
            chunk::block_layout(size)?;
            // SAFETY: the caller's promise; the size makes a layout.
            let block = unsafe { Self::closed(base, |backing| (backing.obtain)(base, size))? };
            store.held.set(store.held.get() + size);
            // SAFETY: a fresh block of the backing.
            unsafe {
                let chunk = Chunk::make(block, size, store.unit, true);
                if chunk.is_none() {
                    Self::give_back(base, block, size);
                }
                chunk
            }
        };
        let chunk = match obtain(preferred) {
            None if preferred > least => obtain(least)?,
            chunk => chunk?,
        };
        store.regular.set((regular * 2).min(LARGEST).max(regular));
        Some(chunk)
    }

    /// # Safety
    /// A block of the backing of so many bytes that is counted in `held`; not used afterwards.
    unsafe fn give_back(base: NonNull<Self>, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let store = &(*base.as_ptr()).store;
            store.held.set(store.held.get() - size);
            Self::closed(base, |backing| (backing.give_back)(base, block, size));
        }
    }

    /// Gives the chunks after `after` back, except the caller's.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena; nothing live is in those chunks.
    #[cold]
    pub(super) unsafe fn release_after(base: NonNull<Self>, after: Option<NonNull<Chunk>>) {
        // SAFETY: the caller's promise, and A1. Each chunk is out of the list before it goes.
        unsafe {
            let mut link = (*base.as_ptr()).store.link_after(after);
            while let Some(chunk) = link.get() {
                let next = &(*chunk.as_ptr()).next;
                if Chunk::block_size(chunk) == 0 {
                    link = next;
                } else {
                    link.set(next.get());
                    let size = Chunk::block_size(chunk);
                    Self::give_back(base, Chunk::into_block(chunk), size);
                }
            }
        }
    }

    /// To be called when a frame was closed that had gone on to another chunk than `below`, the chunk of the one below it. If
    /// that is none, answers the first that there is now, for the frame below to enter: so that the next frame on top of it
    /// starts with room.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena; nothing after `below` is live.
    #[cold]
    #[inline(never)]
    pub(super) unsafe extern "C" fn came_back(
        base: NonNull<Self>,
        below: Option<NonNull<Chunk>>,
    ) -> Option<NonNull<Chunk>> {
        // SAFETY: the caller's promise.
        unsafe {
            if (*base.as_ptr()).store.isolate {
                Self::release_after(base, below);
            }
            if below.is_none() { (*base.as_ptr()).store.head.get() } else { None }
        }
    }

    /// Closes `above`, which was opened on top of `below`: counts what it allocated as gone, and forgets its memory. Answers the
    /// chunk that `below` has to enter before anything else, if any.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena; nothing that was allocated by `above` is used any more.
    #[inline(always)]
    pub(super) unsafe fn close<const ABOVE: bool, const BELOW: bool>(
        base: NonNull<Self>,
        above: &Frame<ABOVE>,
        below: &Frame<BELOW>,
    ) -> Option<NonNull<Chunk>> {
        // SAFETY: the caller's promise.
        unsafe {
            let store = &(*base.as_ptr()).store;
            store.saw_live(above.live());
            store.retire(above.count.get().wrapping_sub(below.count.get()), above.live().wrapping_sub(below.live()));
            let (from, to) = (below.chunk.get(), above.chunk.get());
            if cfg!(any(debug_assertions, bhc_asan)) {
                Self::abandon(base, from, below.address(), to, above.address());
            }
            if chunk::same(from, to) { None } else { Self::came_back(base, from) }
        }
    }

    /// As [`close`](Self::close), where a scope unwinds: `live` bytes in the scope above, of which `bytes` in `count` blocks were
    /// its own. Values, and few of them, so that LLVM inlines the destructor that calls this.
    ///
    /// # Safety
    /// As for [`close`](Self::close).
    #[cold]
    #[inline(never)]
    pub(super) unsafe extern "C" fn unwound(
        base: NonNull<Self>,
        below: Option<NonNull<Chunk>>,
        live: usize,
        bytes: usize,
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let store = &(*base.as_ptr()).store;
            store.saw_live(live);
            store.retire(count, bytes);
            Self::came_back(base, below);
        }
    }

    /// As [`unwound`](Self::unwound), for a scope on the arena's own frame, which is opened again.
    ///
    /// # Safety
    /// As for [`close`](Self::close).
    #[cold]
    #[inline(never)]
    pub(super) unsafe extern "C" fn unwound_on_arena(base: NonNull<Self>, live: usize, bytes: usize, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let Self { frame, store } = &*base.as_ptr();
            Self::unwound(base, frame.chunk.get(), live, bytes, count);
            frame.limit.set(frame.full_limit(store.isolate));
        }
    }

    /// Makes memory that nobody has any more noticed if it is used.
    ///
    /// # Safety
    /// Chunks from `from`, or the first, to `to` are live, and nothing in them from `start` to `cursor` is.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn abandon(
        base: NonNull<Self>,
        from: Option<NonNull<Chunk>>,
        start: usize,
        to: Option<NonNull<Chunk>>,
        cursor: usize,
    ) {
        // SAFETY: the caller's promise. A chunk that was left was used up to where it was left.
        unsafe {
            let store = &(*base.as_ptr()).store;
            let nobodys = |chunk: NonNull<Chunk>, from: usize, to: usize| {
                let data = Chunk::data(chunk, store.unit);
                let from = from.max(data.addr().get());
                poison::freed(data.add(from - data.addr().get()), to.saturating_sub(from));
            };
            let mut start = start;
            let first = from.or(store.head.get());
            for chunk in Store::chunks(first) {
                if Some(chunk) == to {
                    return nobodys(chunk, start, cursor);
                }
                nobodys(chunk, start, (*chunk.as_ptr()).left_at.get());
                start = 0;
            }
        }
    }

    /// Ends all frames: everything allocated is gone. The chunks stay, the largest first, so that what is allocated next
    /// has as much room as there is in one piece; where scopes are isolated, they go back.
    ///
    /// # Safety
    /// `base` is live, with provenance for the whole arena, of minimum alignment `unit`; nothing that was allocated is used any more.
    #[inline(always)]
    pub(super) unsafe fn reset(base: NonNull<Self>, unit: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let Self { frame, store } = &*base.as_ptr();
            if !store.in_first.get() || cfg!(any(debug_assertions, bhc_asan)) {
                return Self::reset_slowly(base);
            }
            let live = frame.live();
            store.saw_live(live);
            store.retire(frame.count.get(), live);
            frame.count.set(0);
            if let Some(chunk) = frame.chunk.get() {
                // The limit stays, and is not written: one store of cursor and limit together would be slow to load from.
                frame.move_to(Chunk::data(chunk, unit), 0);
            }
        }
    }

    /// # Safety
    /// As for [`reset`](Self::reset).
    #[cold]
    #[inline(never)]
    unsafe fn reset_slowly(base: NonNull<Self>) {
        // SAFETY: the caller's promise; A1.
        unsafe {
            let Self { frame, store } = &*base.as_ptr();
            store.saw_live(frame.live());
            store.retire(frame.count.get(), frame.live());
            Self::abandon(base, None, 0, frame.chunk.get(), frame.address());
            frame.count.set(0);
            frame.floor.set(0);
            frame.start_chunk.set(None);
            frame.start.set(0);
            if store.isolate {
                Self::release_after(base, None);
                return frame.replace(&Frame::new(store.unit));
            }
            store.largest_first();
            if let Some(head) = store.head.get() {
                frame.enter(head, 0, store.unit, false);
                store.in_first.set(true);
            }
        }
    }
}
