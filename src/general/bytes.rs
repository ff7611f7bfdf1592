//! [`HeapBytes`]: raw bytes beside the objects of a heap, in blocks that never move and are freed by hand.
//!
//! Small blocks are cut from spans: runs of one to eight slices, each for the blocks of one of the Pinned Heap's size
//! classes. What is larger than a slice is a run of its own, which grows into what is free after it and gives back what
//! it does not need.
//!
//! Which blocks of a span are free is in a table that the process allocator gave, not beside the blocks: who writes
//! past the end of one spoils other blocks, but not the heap. An entry is found by the number that each slice of a span
//! has in its head.
//!
//! Invariants:
//! * B1. `next` in the head of each slice of a span is the number of the span in the table.
//! * B2. A block of a span is free iff its bit is set: in the span's map, whose bits `free` counts, or in the word that
//!   its bin has taken out of that. A block has one bit at most.
//! * B3. A span is the current one of its class's bin; or in the bin's list, if it has free blocks; or full. One that
//!   is all free is given back, unless it is the current one: so a class has one such span at most.
//! * B4. The run of a large block is as many slices as its layout's size needs.
//! * B5. `byte_slices` of the space are the slices of spans and large blocks.
//! * B6. Of memory that nobody has, AddressSanitizer knows that, to the byte.
//!
//! # Note: a word at hand
//! To allocate is to take the lowest bit of a 64-bit word that the bin has at hand (as Go's allocator does), so it
//! looks at neither the span nor the block: some ten instructions, and as many for what is counted. To free is to find
//! the span and set a bit there. There are no magazines as the Pinned Heap has them for its threads: memory that is
//! free is seen to be at once, which the limit of a heap and the pace of its collections depend on.
//!
//! # Note: one thread
//! All of this is one thread's: handles do not leave it. No reference into the table is held where the table may grow, which
//! is in `vacancy` only.

use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::space::{Space, Use};
use crate::align::{Align, checked_align_up};
use crate::class::{Class, rounded};
use crate::error::{AllocError, AllocResult};
use crate::os::poison;
use crate::owned::Shared;
use crate::region::{MemoryRegion, RegionKind, TypedRegion, dangling, resized};
use crate::runs::{NONE, SLICE};
use crate::stats::AllocStats;
use crate::sync::Ordering::Relaxed;

/// The largest size, rounded up to its alignment, that is served from spans.
const SMALL: usize = SLICE;
/// The size classes up to that.
const BINS: usize = 32;
/// Words of a span's map.
const WORDS: usize = 8;
/// The most blocks that a span has.
const MOST_BLOCKS: usize = WORDS * 64;

/// The slices of a span of blocks of `size` bytes: not more than the map has bits for, and little of them left over.
const fn span_slices(size: usize) -> usize {
    match size {
        0..=64 => MOST_BLOCKS * size / SLICE,
        65..=1024 => 4,
        _ => 8,
    }
}

/// What is known of a span. Of one that is none any more, only `next`: the next such.
struct Span {
    start: Cell<NonNull<u8>>,
    class: Cell<Class>,
    slices: Cell<u32>,
    blocks: Cell<u32>,
    /// B2.
    free: Cell<u32>,
    /// The neighbours in the bin's list.
    next: Cell<u32>,
    previous: Cell<u32>,
    map: [Cell<u64>; WORDS],
}

/// What is known of a class.
struct Bin {
    /// Bits of free blocks, taken out of the current span's map.
    word: Cell<u64>,
    /// The block that bit 0 is for.
    first: Cell<NonNull<u8>>,
    /// The span that allocations are from, by its number.
    current: Cell<u32>,
    /// The first of the other spans with free blocks.
    list: Cell<u32>,
}

/// What is counted: for small blocks apart at first, so that no number waits for itself twice in a pair of allocation
/// and free, and none can wrap.
#[derive(Default)]
struct Tally {
    /// As of the last fold.
    stats: Cell<AllocStats>,
    /// Since then: bytes and blocks that were allocated, and that were freed.
    given: Cell<usize>,
    given_blocks: Cell<usize>,
    freed: Cell<usize>,
    freed_blocks: Cell<usize>,
    /// The most that bytes allocated were above bytes freed since then.
    rise: Cell<isize>,
}

struct Bytes {
    bins: [Bin; BINS],
    tally: Tally,
    spans: UnsafeCell<Vec<Span>>,
    /// The first entry of the table that is no span.
    vacant: Cell<u32>,
    space: Shared<Space>,
}

/// The class of a small layout; none if it is large, or of zero size.
#[inline(always)]
fn small(layout: Layout) -> Option<Class> {
    if rounded(layout) > SMALL {
        return None;
    }
    Class::of(layout)
}

/// A block was freed that cannot be. That is for the caller to prove, so it is only by luck that it is noticed here.
#[cold]
#[inline(never)]
fn misuse(block: NonNull<u8>, what: &str) {
    debug_assert!(false, "{block:p} {what}");
    let _ = (block, what);
}

fn slices_for(size: usize) -> usize {
    size.div_ceil(SLICE)
}

impl Tally {
    #[inline(always)]
    fn alloc(&self, size: usize) {
        let given = self.given.get().wrapping_add(size);
        self.given.set(given);
        self.given_blocks.set(self.given_blocks.get().wrapping_add(1));
        let now = given.wrapping_sub(self.freed.get()).cast_signed();
        self.rise.set(self.rise.get().max(now));
    }

    #[inline(always)]
    fn free(&self, size: usize) {
        self.freed.set(self.freed.get().wrapping_add(size));
        self.freed_blocks.set(self.freed_blocks.get().wrapping_add(1));
    }

    /// Called before much can come together: with every word of blocks, and every large block. All that is freed in
    /// between fits into memory at once.
    fn fold(&self) -> AllocStats {
        let mut stats = self.stats.get();
        let (given, freed) = (self.given.take(), self.freed.take());
        let live = stats.current_live.wrapping_add(given).wrapping_sub(freed);
        debug_assert!(live.cast_signed() >= 0, "more was freed than there is");
        stats.peak_usage = stats.peak_usage.max(stats.current_live.wrapping_add_signed(self.rise.take()));
        stats.current_live = live;
        stats.total_allocated = stats.total_allocated.saturating_add(given);
        stats.total_deallocated = stats.total_deallocated.saturating_add(freed);
        stats.allocation_count = stats.allocation_count.saturating_add(self.given_blocks.take());
        stats.deallocation_count = stats.deallocation_count.saturating_add(self.freed_blocks.take());
        self.stats.set(stats);
        stats
    }

    fn fail(&self) {
        let mut stats = self.stats.get();
        stats.record_failure();
        self.stats.set(stats);
    }
}

impl Bytes {
    #[inline(always)]
    fn bin(&self, class: Class) -> &Bin {
        debug_assert!(class.index() < BINS);
        // SAFETY: all classes here are those of small layouts, of which there are so many.
        unsafe { self.bins.get_unchecked(class.index()) }
    }

    #[inline(always)]
    fn span(&self, number: u32) -> &Span {
        // SAFETY: one thread, and while this reference lives the table does not grow: see the note.
        let spans = unsafe { &*self.spans.get() };
        debug_assert!((number as usize) < spans.len());
        // SAFETY: numbers are those of entries, which stay.
        unsafe { spans.get_unchecked(number as usize) }
    }

    /// Allocates; `None` if there is no memory. Zero size is large.
    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        match small(layout) {
            Some(class) => self.take_small(class, layout.size()),
            None => self.take_large(layout, false),
        }
    }

    #[inline(always)]
    fn take_small(&self, class: Class, size: usize) -> Option<NonNull<u8>> {
        let bin = self.bin(class);
        let mut word = bin.word.get();
        if word == 0 {
            word = self.refill(class)?;
        }
        bin.word.set(word & (word - 1));
        self.tally.alloc(size);
        // SAFETY: a bit is that of a block, so this is within the span; and nobody has it (B2).
        unsafe {
            let block = bin.first.get().add(word.trailing_zeros() as usize * class.size());
            poison::in_use(block, size);
            Some(block)
        }
    }

    /// Takes a word with free blocks out of a map. The bin has it then; it is not 0.
    #[cold]
    #[inline(never)]
    fn refill(&self, class: Class) -> Option<u64> {
        self.tally.fold();
        let bin = self.bin(class);
        let mut current = bin.current.get();
        if current == NONE || self.span(current).free.get() == 0 {
            // What was the current span is full (B3).
            current = match bin.list.get() {
                NONE => self.new_span(class)?,
                first => {
                    self.unlink(first);
                    first
                }
            };
            bin.current.set(current);
        }
        let span = self.span(current);
        let (index, map) = span.map.iter().enumerate().find(|(_, map)| map.get() != 0)?; // B2: some is
        let word = map.replace(0);
        span.free.set(span.free.get() - word.count_ones());
        bin.word.set(word);
        // SAFETY: a block of this word is free, so the one of its first bit is within the span.
        bin.first.set(unsafe { span.start.get().add(index * 64 * class.size()) });
        Some(word)
    }

    /// Takes a span out of its bin's list.
    fn unlink(&self, number: u32) {
        let span = self.span(number);
        let (next, previous) = (span.next.get(), span.previous.get());
        match previous {
            NONE => self.bin(span.class.get()).list.set(next),
            previous => self.span(previous).next.set(next),
        }
        if next != NONE {
            self.span(next).previous.set(previous);
        }
    }

    fn link(&self, number: u32) {
        let span = self.span(number);
        let next = self.bin(span.class.get()).list.replace(number);
        span.next.set(next);
        span.previous.set(NONE);
        if next != NONE {
            self.span(next).previous.set(number);
        }
    }

    /// Sees to it that the table has an entry for one more span.
    fn vacancy(&self, class: Class) -> bool {
        if self.vacant.get() != NONE {
            return true;
        }
        // SAFETY: one thread, and nobody has a reference into the table: see the note.
        let spans = unsafe { &mut *self.spans.get() };
        if spans.len() == spans.capacity() && (crate::os::struck() || spans.try_reserve(1).is_err()) {
            return false;
        }
        self.vacant.set(spans.len() as u32); // there are fewer spans than slices
        spans.push(Span {
            start: Cell::new(self.space.base()),
            class: Cell::new(class),
            slices: Cell::new(0),
            blocks: Cell::new(0),
            free: Cell::new(0),
            next: Cell::new(NONE),
            previous: Cell::new(NONE),
            map: [const { Cell::new(0) }; WORDS],
        });
        true
    }

    /// Makes a span, all free, in no list. Near the limit it is as short as it has to be.
    fn new_span(&self, class: Class) -> Option<u32> {
        if !self.vacancy(class) {
            return None;
        }
        let wanted = span_slices(class.size());
        if wanted > self.space.available() {
            self.trim();
        }
        let mut len = wanted.min(self.space.available());
        // There may be free slices, but not so many in one piece.
        let (slice, blocks) = loop {
            let blocks = len * SLICE / class.size();
            if blocks == 0 {
                return None;
            }
            if let Some(slice) = self.run(len, 1) {
                break (slice, blocks);
            }
            len /= 2;
        };
        let number = self.vacant.get();
        for slice in slice..slice + len {
            self.space.head(slice).next.store(number, Relaxed);
        }
        let start = self.space.at(slice);
        // SAFETY: the run is memory, and ours.
        unsafe { poison::fresh(start, len * SLICE) };
        let span = self.span(number);
        self.vacant.set(span.next.get());
        span.start.set(start);
        span.class.set(class);
        span.slices.set(len as u32);
        span.blocks.set(blocks as u32);
        span.free.set(blocks as u32);
        for (index, word) in span.map.iter().enumerate() {
            let bits = blocks.saturating_sub(index * 64).min(64) as u32;
            word.set(u64::MAX.checked_shr(64 - bits).unwrap_or(0));
        }
        Some(number)
    }

    /// Gives a span back that is all free, is in no list, and is not the current one.
    fn retire(&self, number: u32) {
        let span = self.span(number);
        // SAFETY: nobody has any of its blocks.
        unsafe { self.give_run(span.start.get(), span.slices.get() as usize) };
        span.next.set(self.vacant.replace(number));
    }

    /// Gives back the current spans that are all free. Whether there were any.
    fn trim(&self) -> bool {
        let mut trimmed = false;
        for bin in &self.bins {
            let current = bin.current.get();
            if current == NONE {
                continue;
            }
            let span = self.span(current);
            if span.free.get() + bin.word.get().count_ones() == span.blocks.get() {
                bin.word.set(0);
                bin.current.set(NONE);
                self.retire(current);
                trimmed = true;
            }
        }
        trimmed
    }

    /// Takes slices, if need be those that are kept for later.
    fn run(&self, len: usize, align: usize) -> Option<usize> {
        let take = || self.space.take(len, align, Use::Bytes);
        let start = match take() {
            Some(start) => start,
            None if len <= self.space.limit() && self.trim() => take()?,
            None => return None,
        };
        self.space.byte_slices.set(self.space.byte_slices.get() + len);
        Some(start)
    }

    /// The slice that an address of ours is in.
    #[inline(always)]
    fn slice_at(&self, block: NonNull<u8>) -> usize {
        block.addr().get().wrapping_sub(self.space.base().addr().get()) / SLICE
    }

    /// Gives slices back.
    ///
    /// # Safety
    /// They are ours, and nobody has any of their bytes.
    unsafe fn give_run(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            poison::freed(start, len * SLICE);
            self.space.give(self.slice_at(start), len);
        }
        self.space.byte_slices.set(self.space.byte_slices.get() - len);
    }

    /// Allocates what is not small, zero size included.
    #[inline(never)]
    fn take_large(&self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let size = layout.size();
        if size == 0 {
            return Some(dangling(layout.align()));
        }
        let len = slices_for(size);
        let slice = self.run(len, slices_for(layout.align()))?;
        let start = self.space.at(slice);
        // SAFETY: the run is memory, and ours.
        unsafe {
            poison::in_use(start, len * SLICE);
            if zeroed {
                self.space.zero(slice, len);
            }
            poison::fresh(start.add(size), len * SLICE - size);
        }
        self.tally.alloc(size);
        self.tally.fold();
        Some(start)
    }

    /// # Safety
    /// As for [`MemoryRegion::dealloc`].
    #[inline(always)]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe {
            match small(layout) {
                Some(class) => self.give_small(block, class, layout.size()),
                None => self.give_large(block, layout.size()),
            }
        }
    }

    /// # Safety
    /// A block of this class with this size, which its owner does not use any more.
    #[inline]
    unsafe fn give_small(&self, block: NonNull<u8>, class: Class, size: usize) {
        let slice = self.slice_at(block);
        debug_assert!(self.space.use_of(slice) == Use::Bytes, "{block:p} is not in a span");
        let number = self.space.head(slice).next.load(Relaxed); // B1
        let span = self.span(number);
        let start = span.start.get();
        let found = class.block_at(block.addr().get() - start.addr().get());
        let Some(index) = found.filter(|_| span.class.get() == class) else {
            return misuse(block, "is not a block of that size");
        };
        let (word, bit) = (&span.map[index / 64 % WORDS], 1 << (index % 64));
        if word.get() & bit != 0 {
            return misuse(block, "is free already");
        }
        // SAFETY: the caller's promise: nobody has it now.
        unsafe { poison::freed(start.add(index * class.size()), class.size()) };
        word.set(word.get() | bit);
        let free = span.free.get() + 1;
        span.free.set(free);
        self.tally.free(size);
        if free == 1 || free == span.blocks.get() {
            self.turned(number);
        }
    }

    /// A span that was full is not, or one is all free now, if it is not the current one.
    #[cold]
    #[inline(never)]
    fn turned(&self, number: u32) {
        let span = self.span(number);
        if self.bin(span.class.get()).current.get() == number {
            return;
        }
        let free = span.free.get();
        if free < span.blocks.get() {
            return self.link(number);
        }
        if free > 1 {
            self.unlink(number); // of a single block, it was full before
        }
        self.retire(number);
    }

    /// # Safety
    /// As for [`MemoryRegion::dealloc`], of a large block or one of zero size.
    #[inline(never)]
    unsafe fn give_large(&self, block: NonNull<u8>, size: usize) {
        if size == 0 {
            return;
        }
        self.tally.free(size);
        self.tally.fold();
        // SAFETY: the caller's promise, and B4.
        unsafe { self.give_run(self.space.at(self.slice_at(block)), slices_for(size)) };
    }

    /// Changes a block's size; `None` if there is no memory: then all is as before.
    ///
    /// # Safety
    /// As for [`MemoryRegion::realloc`]; neither size is 0.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let in_place = match (small(old), small(new)) {
            (Some(class), Some(new_class)) => class == new_class,
            // SAFETY: the caller's promise.
            (None, None) => unsafe { self.resize_run(block, slices_for(old.size()), slices_for(new.size())) },
            _ => false,
        };
        // SAFETY: in place, the block has room for the new size, and what is more or less of it is nobody else's.
        // Elsewhere the new block is apart from the old one, and both have as many bytes as are copied.
        unsafe {
            if in_place {
                self.tally.free(old.size());
                self.tally.alloc(new.size());
                self.tally.fold();
                match new.size() < old.size() {
                    true => {
                        let end = if small(new).is_some() { old.size() } else { new.size().next_multiple_of(SLICE) };
                        let end = end.min(old.size());
                        poison::freed(block.add(new.size()), end - new.size());
                    }
                    false => poison::in_use(block, new.size()),
                }
                return Some(block);
            }
            let moved = self.take(new)?;
            moved.copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.give(block, old);
            Some(moved)
        }
    }

    /// Makes the run of a large block longer or shorter, in place.
    ///
    /// # Safety
    /// A block of so many slices; if there will be fewer, nobody has the bytes beyond any more.
    unsafe fn resize_run(&self, block: NonNull<u8>, len: usize, new_len: usize) -> bool {
        let slice = self.slice_at(block);
        if new_len < len {
            // SAFETY: the caller's promise.
            unsafe { self.give_run(self.space.at(slice + new_len), len - new_len) };
        } else if new_len > len {
            if !self.space.extend(slice, len, new_len, Use::Bytes) {
                return false;
            }
            self.space.byte_slices.set(self.space.byte_slices.get() + new_len - len);
            // SAFETY: memory, and ours.
            unsafe { poison::fresh(self.space.at(slice + len), (new_len - len) * SLICE) };
        }
        true
    }

    /// Why there was no memory for `layout`; counts that.
    #[cold]
    #[inline(never)]
    fn refusal(&self, layout: Layout) -> AllocError {
        self.tally.fail();
        let base = self.space.base().addr().get();
        if checked_align_up(base, layout.align()).is_none_or(|first| first - base >= self.space.span()) {
            return AllocError::UnsupportedAlignment(layout.align());
        }
        let (len, available) = (slices_for(layout.size()), self.space.available());
        if len <= self.space.limit() {
            // A collection may help.
            self.space.press();
        }
        // If it is not the limit, it is not known what there would be.
        let available = if len <= available { 0 } else { available * SLICE };
        AllocError::OutOfMemory { requested: layout.size(), available }
    }
}

/// Raw bytes of a [`GeneralHeap`](super::GeneralHeap): a region whose blocks are not objects. They never move, are not
/// looked at by collections, and live until they are freed.
///
/// It is a handle that does not borrow the heap: while buffers live in it the heap may collect. Clones are the same
/// region: what one allocated another may free. Blocks and handles may outlive the heap; the last handle that goes
/// takes the memory with it.
///
/// Blocks count in the heap's limit, in slices of 8 KiB, and in the pace of its collections. Allocating never collects;
/// a request that the limit does not allow is refused with `OutOfMemory`, and lets the heap make a full collection at
/// its next occasion. What the heap holds for the copies of its next collection is not given. What is known of small
/// blocks is kept in memory of the process allocator, 96 bytes for a span: so no global allocator can be made
/// of this.
///
/// | size, rounded up to its alignment | served from | cost |
/// |---|---|---|
/// | to 8 KiB | size classes: steps of 16 bytes to 128, then four to each doubling | some thirty instructions, fifty to free; spans of up to 64 KiB |
/// | above | whole slices; any alignment that the heap's addresses have | constant time; grows in place where what follows is free |
///
/// Compile-time promises ([`TypedRegion`]) go to 32 KiB.
///
/// ```
/// use bhc_rts_alloc::general::Collection;
/// use bhc_rts_alloc::{Align, GeneralHeap, MemoryRegion, Place};
///
/// let mut heap = GeneralHeap::new();
/// let bytes = heap.bytes();
/// let mut buffer = Place::<Align<64>>::new().within(bytes.clone()).try_zeroed::<f32>(1000)?;
/// heap.collect(Collection::Full); // the buffer is no reason not to
/// buffer[0] = 1.0;
/// drop(heap); // nor to keep the heap
/// assert_eq!(buffer[0], 1.0);
/// drop(buffer);
/// assert_eq!(bytes.stats().current_live, 0);
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
#[derive(Clone)]
pub struct HeapBytes {
    inner: Shared<Bytes>,
}

/// What would have to hold for a heap to be used by several threads, or by another than its own. Nothing implements it:
/// without the impls that ask for it, the compiler would name each `Cell` inside in place of the reason.
#[diagnostic::on_unimplemented(
    message = "a General Heap, its raw bytes, and the capability that has it stay on their thread",
    label = "would leave its thread",
    note = "make another heap, or another `Capability`, on that thread; what capabilities share is a Pinned Heap: `capability.pinned().clone()`"
)]
pub(super) trait OffItsThread {}

// SAFETY: never applies.
unsafe impl Send for HeapBytes where for<'h> PhantomData<&'h HeapBytes>: OffItsThread {}
// SAFETY: never applies.
unsafe impl Sync for HeapBytes where for<'h> PhantomData<&'h HeapBytes>: OffItsThread {}

static_assertions::assert_not_impl_any!(HeapBytes: Send, Sync);

impl HeapBytes {
    /// The raw bytes of a space, of which there may be one only. `None` if there is no memory.
    pub(super) fn new(space: Shared<Space>) -> Option<Self> {
        let bin = |_| Bin {
            word: Cell::new(0),
            first: Cell::new(space.base()),
            current: Cell::new(NONE),
            list: Cell::new(NONE),
        };
        let bytes = Bytes {
            bins: core::array::from_fn(bin),
            tally: Tally::default(),
            spans: UnsafeCell::new(Vec::new()),
            vacant: Cell::new(NONE),
            space,
        };
        Some(Self { inner: Shared::try_new(bytes)? })
    }

    /// Gives back to the system what is not in use, as far as it is not held for the copies of a collection. Returns
    /// the bytes. What has been free for a while is given back anyway.
    pub fn trim(&self) -> usize {
        self.inner.trim();
        self.inner.space.purge(0)
    }

    /// Whether an address is in memory that serves raw bytes of this heap now, given out or not.
    ///
    /// ```
    /// use bhc_rts_alloc::{GeneralHeap, MemoryRegion};
    /// use std::alloc::Layout;
    ///
    /// let bytes = GeneralHeap::new().bytes();
    /// let block = bytes.alloc(Layout::new::<[u64; 4]>())?;
    /// assert!(bytes.contains(block.as_ptr()));
    /// assert!(!bytes.contains(&raw const bytes as *const u8));
    /// # // SAFETY: allocated above, with this layout.
    /// # unsafe { bytes.dealloc(block, Layout::new::<[u64; 4]>()) };
    /// # Ok::<(), bhc_rts_alloc::AllocError>(())
    /// ```
    #[must_use]
    pub fn contains(&self, address: *const u8) -> bool {
        let space = &*self.inner.space;
        space.slice_of(address.addr()).is_some_and(|slice| space.use_of(slice) == Use::Bytes)
    }
}

impl fmt::Debug for HeapBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapBytes")
            .field("stats", &self.stats())
            .field("in_use", &(self.inner.space.byte_slices.get() * SLICE))
            .finish_non_exhaustive()
    }
}

// SAFETY: blocks are runs that were taken, or blocks of spans whose bit was set and is not any more (B2): nobody else
// has them, and the space lives as long as a handle. They are aligned by their class's size, spans starting at slices,
// or by the run; and stay until they are given back. Clones are the same region. Nothing here unwinds if it is used as
// it must be. What is called is the space, the system and, for the table, the process allocator, which is not made of
// handles: the heap behind one is made with it.
unsafe impl MemoryRegion for HeapBytes {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        match self.inner.take(layout) {
            Some(block) => Ok(block),
            None => Err(self.inner.refusal(layout)),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.inner.give(ptr, layout) };
    }

    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        let new_layout = resized(old_layout, new_size)?;
        if old_layout.size() == 0 {
            return self.alloc(new_layout);
        }
        // SAFETY: the caller's promise; neither size is 0 where it must not be.
        unsafe {
            if new_size == 0 {
                self.inner.give(ptr, old_layout);
                return Ok(dangling(old_layout.align()));
            }
            self.inner.resize(ptr, old_layout, new_layout).ok_or_else(|| self.inner.refusal(new_layout))
        }
    }

    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if small(layout).is_none() {
            return self.inner.take_large(layout, true).ok_or_else(|| self.inner.refusal(layout));
        }
        let block = self.alloc(layout)?;
        // SAFETY: the block is so long, and nobody has it yet.
        unsafe { block.write_bytes(0, layout.size()) };
        Ok(block)
    }

    #[inline]
    fn stats(&self) -> AllocStats {
        self.inner.tally.fold()
    }

    #[inline]
    fn kind(&self) -> RegionKind {
        RegionKind::General
    }
}

impl TypedRegion for HeapBytes {
    type MaxAlign = Align<32768>;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::space::Reserve;
    use super::*;
    use crate::os::range::Source;

    /// Memory for raw bytes alone: `limit` slices.
    fn bytes(limit: usize) -> HeapBytes {
        let reserve = Reserve { wanted: 64 << 20, least: 64 << 20 };
        let space = Space::new(reserve, limit * SLICE, false, Source::NATIVE).and_then(Shared::try_new);
        space.and_then(HeapBytes::new).unwrap()
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// All that B1 to B5 say, by looking at everything.
    fn check(bytes: &HeapBytes, live: &[(NonNull<u8>, Layout)], others: usize) {
        let (bytes, space) = (&*bytes.inner, &*bytes.inner.space);
        // SAFETY: one thread, and nobody else looks now.
        let numbers = 0..unsafe { (&*bytes.spans.get()).len() } as u32;
        let mut vacant = Vec::new();
        let mut at = bytes.vacant.get();
        while at != NONE {
            vacant.push(at);
            at = bytes.span(at).next.get();
        }
        let mut listed = Vec::new();
        for class in Class::all().take(BINS) {
            let (bin, mut previous) = (bytes.bin(class), NONE);
            let mut at = bin.list.get();
            while at != NONE {
                let span = bytes.span(at);
                assert_eq!((span.class.get(), span.previous.get()), (class, previous));
                assert!((1..span.blocks.get()).contains(&span.free.get()), "one that is all free, or full, in a list");
                assert_ne!(at, bin.current.get());
                listed.push(at);
                (previous, at) = (at, span.next.get());
            }
            if bin.current.get() != NONE {
                assert_eq!(bytes.span(bin.current.get()).class.get(), class);
            } else {
                assert_eq!(bin.word.get(), 0);
            }
        }
        let smalls = live.iter().filter(|(_, layout)| small(*layout).is_some());
        let smalls: BTreeSet<_> = smalls.map(|(block, _)| block.addr().get()).collect();
        let (mut slices, mut out) = (0, 0);
        for number in numbers.filter(|number| !vacant.contains(number)) {
            let span = bytes.span(number);
            let (class, start) = (span.class.get(), span.start.get());
            let bin = bytes.bin(class);
            let is_current = bin.current.get() == number;
            assert!(is_current || listed.contains(&number) == (span.free.get() > 0), "lost, or in a list while full");
            assert_eq!(span.free.get(), span.map.iter().map(|word| word.get().count_ones()).sum::<u32>());
            let first = bytes.slice_at(start);
            for slice in first..first + span.slices.get() as usize {
                assert_eq!((space.head(slice).next.load(Relaxed), space.use_of(slice)), (number, Use::Bytes));
            }
            slices += span.slices.get() as usize;
            assert!(span.blocks.get() as usize * class.size() <= span.slices.get() as usize * SLICE);
            for block in 0..MOST_BLOCKS {
                let address = start.addr().get() + block * class.size();
                let mut bits = u32::from(span.map[block / 64].get() >> (block % 64) & 1 == 1);
                let in_word = address.wrapping_sub(bin.first.get().addr().get()) / class.size();
                if is_current && in_word < 64 {
                    bits += u32::from(bin.word.get() >> in_word & 1 == 1);
                }
                let is_out = smalls.contains(&address);
                assert_eq!(bits, u32::from(block < span.blocks.get() as usize && !is_out), "block {block}");
                out += usize::from(is_out && block < span.blocks.get() as usize);
            }
        }
        let large: Vec<_> = live.iter().filter(|(_, layout)| small(*layout).is_none()).collect();
        assert_eq!(out + large.len(), live.len());
        for (block, layout) in large {
            let first = bytes.slice_at(*block);
            assert_eq!(space.at(first), *block);
            let len = slices_for(layout.size());
            assert!((first..first + len).all(|slice| space.use_of(slice) == Use::Bytes));
            slices += len;
        }
        assert_eq!((space.byte_slices.get(), space.taken()), (slices, slices + others), "lost, or counted twice");
        assert_eq!(bytes_live(live), bytes.tally.fold().current_live);
    }

    fn bytes_live(live: &[(NonNull<u8>, Layout)]) -> usize {
        live.iter().map(|(_, layout)| layout.size()).sum()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Alloc(Layout, bool),
        Many(Layout),
        Free(usize),
        FreeMany(usize),
        Resize(usize, usize),
        /// Somebody else takes so many slices, and gives back what he had.
        Others(usize),
        Trim,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let size = || prop_oneof![4 => 1..200usize, 3 => 1..=SMALL + 2, 2 => 1..20 * SLICE];
        let layout =
            || (size(), prop_oneof![4 => 0..7u32, 1 => 0..17u32]).prop_map(|(size, log2)| layout(size, 1 << log2));
        let step = prop_oneof![
            4 => (layout(), any::<bool>()).prop_map(|(layout, zeroed)| Step::Alloc(layout, zeroed)),
            1 => layout().prop_map(Step::Many),
            4 => any::<usize>().prop_map(Step::Free),
            1 => any::<usize>().prop_map(Step::FreeMany),
            3 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize(which, size)),
            1 => (0..40usize).prop_map(Step::Others),
            1 => Just(Step::Trim),
        ];
        prop::collection::vec(step, 1..80)
    }

    /// A refusal is right if the limit demands it when everything that is kept has been given back.
    fn expect_refusal(bytes: &HeapBytes, layout: Layout, more: usize) {
        assert!(!bytes.inner.trim(), "refused with memory at hand");
        let needed = small(layout).map_or(more, |class| slices_for(class.size()));
        let space = &bytes.inner.space;
        assert!(needed > space.available(), "{layout:?} was refused, with {} slices available", space.available());
        assert_eq!(space.pressed.replace(false), more <= space.limit(), "where a collection may help");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_table_is_right_after_every_step_and_the_limit_is_used_to_the_last_slice(
            steps in steps(),
            limit in prop_oneof![Just(60usize), Just(4000)],
        ) {
            let bytes = bytes(limit);
            bytes.inner.space.may_have_garbage.set(true);
            let mut live: Vec<(NonNull<u8>, Layout)> = Vec::new();
            let mut others: Option<(usize, usize)> = None;
            for step in steps {
                match step {
                    Step::Alloc(layout, zeroed) => {
                        match if zeroed { bytes.alloc_zeroed(layout) } else { bytes.alloc(layout) } {
                            Ok(block) => live.push((block, layout)),
                            Err(_) => expect_refusal(&bytes, layout, slices_for(layout.size())),
                        }
                    }
                    Step::Many(layout) => {
                        for _ in 0..100 {
                            match bytes.alloc(layout) {
                                Ok(block) => live.push((block, layout)),
                                Err(_) => {
                                    expect_refusal(&bytes, layout, slices_for(layout.size()));
                                    break;
                                }
                            }
                        }
                    }
                    Step::Free(_) | Step::FreeMany(_) | Step::Resize(..) if live.is_empty() => {}
                    Step::Free(which) => {
                        let (block, layout) = live.swap_remove(which % live.len());
                        // SAFETY: a live block with its layout.
                        unsafe { bytes.dealloc(block, layout) };
                    }
                    Step::FreeMany(which) => {
                        for (block, layout) in live.drain(which % live.len()..) {
                            // SAFETY: a live block with its layout.
                            unsafe { bytes.dealloc(block, layout) };
                        }
                    }
                    Step::Resize(which, size) => {
                        let at = which % live.len();
                        let (block, old) = live[at];
                        let new = layout(size, old.align());
                        // SAFETY: a live block with its layout.
                        match unsafe { bytes.realloc(block, old, size) } {
                            Ok(block) => live[at] = (block, new),
                            Err(_) => expect_refusal(&bytes, new, slices_for(size)),
                        }
                    }
                    Step::Others(len) => {
                        let space = &bytes.inner.space;
                        if let Some((start, len)) = others.take() {
                            // SAFETY: taken below, and not used.
                            unsafe { space.give(start, len) };
                        }
                        others = space.take(len, 1, Use::Large).map(|start| (start, len));
                    }
                    Step::Trim => drop(bytes.trim()),
                }
                check(&bytes, &live, others.map_or(0, |(_, len)| len));
                bytes.inner.space.pressed.set(false);
                bytes.inner.space.may_have_garbage.set(true);
            }
            for (block, layout) in live.drain(..) {
                // SAFETY: a live block with its layout.
                unsafe { bytes.dealloc(block, layout) };
            }
            check(&bytes, &live, others.map_or(0, |(_, len)| len));
            bytes.trim();
            assert_eq!(bytes.inner.space.taken(), others.map_or(0, |(_, len)| len));
        }
    }

    #[test]
    fn spans_fit_their_maps_and_little_is_left_over() {
        for class in Class::all().take(BINS) {
            let (slices, size) = (span_slices(class.size()), class.size());
            let blocks = slices * SLICE / size;
            assert!((8..=MOST_BLOCKS).contains(&blocks), "{size}");
            assert!((slices * SLICE - blocks * size) * 16 <= slices * SLICE, "{size}");
        }
        assert_eq!(Class::all().nth(BINS - 1).unwrap().size(), SMALL);
    }

    #[test]
    fn of_each_class_one_span_is_kept_and_none_under_pressure() {
        let bytes = bytes(64);
        let fill = |layout| -> Vec<_> { (0..40).map(|_| bytes.alloc(layout).unwrap()).collect() };
        for size in [1000, 4000] {
            for block in fill(layout(size, 8)) {
                // SAFETY: allocated just above.
                unsafe { bytes.dealloc(block, layout(size, 8)) };
            }
        }
        assert_eq!(bytes.inner.space.taken(), 4 + 8);
        let all = bytes.alloc(layout(64 * SLICE, 8)).unwrap();
        check(&bytes, &[(all, layout(64 * SLICE, 8))], 0);
    }

    #[cfg(debug_assertions)]
    mod noticed {
        use super::*;

        /// Frees what `wrong` makes of a block of 100 bytes, with another layout.
        fn free(size: usize, wrong: impl FnOnce(&HeapBytes, NonNull<u8>) -> NonNull<u8>) {
            let bytes = bytes(64);
            let block = bytes.alloc(layout(100, 4)).unwrap();
            let wrong = wrong(&bytes, block);
            // SAFETY: not so: the memory is there, and the heap is to notice before it does anything.
            unsafe { bytes.dealloc(wrong, layout(size, 4)) };
        }

        #[test]
        #[should_panic(expected = "is free already")]
        fn a_block_that_is_freed_twice() {
            free(100, |bytes, block| {
                // SAFETY: a live block, for now.
                unsafe { bytes.dealloc(block, layout(100, 4)) };
                block
            });
        }

        #[test]
        #[should_panic(expected = "is not a block of that size")]
        fn a_block_that_is_freed_with_another_size() {
            free(200, |_, block| block);
        }

        #[test]
        #[should_panic(expected = "is not a block of that size")]
        fn what_is_within_a_block() {
            // SAFETY: within the block.
            free(100, |_, block| unsafe { block.add(16) });
        }

        #[test]
        #[should_panic(expected = "is not in a span")]
        fn what_is_not_there_any_more() {
            free(100, |bytes, _| {
                let large = bytes.alloc(layout(5 * SLICE, 4)).unwrap();
                // SAFETY: a live block, for now.
                unsafe { bytes.dealloc(large, layout(5 * SLICE, 4)) };
                large
            });
        }
    }
}
