//! [`Tables`]: what a heap knows of its slices, apart from them.
//!
//! A heap's range begins with its own data; the slices follow. So no byte of what a user has is the heap's: a stray write to a
//! block, by the program or by a device, cannot corrupt the heap, and pages registered with a device hold blocks only.
//! Each table has an entry for each slice (or word of bits for several) that the range can have; of a table only the part
//! for the slices in use is memory.
//!
//! All entries are atomics that are loaded and stored relaxed: what orders them is the lock of whoever owns the slices. So a
//! wrong pointer, looked up by somebody who owns nothing, reads a stale value and not an invalid one.
//!
//! Invariants:
//! * S1. The entry of slice `s` is [`Entry::Inside`] unless a run starts at `s`, or a free run ends there, or `s` is in a span.
//! * S2. The tables are memory for all slices below `ready`, which never goes down. Slices in use are.
//! * S3. `dirty` has a bit for each slice that may have been written since the system gave it, or took its memory back.

use core::ops::Range;
use core::ptr::NonNull;
use core::slice;

use crate::runs::{Dirty, Head, NONE, SLICE, Slices};
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

use crate::class::Class;

/// The words of free bits that a slice has: a bit for each block of the smallest size.
pub(crate) const WORDS: usize = SLICE / 16 / 64;

/// What is at a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing begins here, or nothing is known.
    Inside,
    /// The first or last slice of a free run.
    Free,
    /// The first slice of a large block.
    Large,
    /// A slice of a span, so many after its first.
    Span { class: Class, back: usize },
}

impl Entry {
    const fn pack(self) -> u32 {
        match self {
            Self::Inside => 0,
            Self::Free => 1,
            Self::Large => 2,
            Self::Span { class, back } => 3 | (class.index() as u32) << 2 | (back as u32) << 8,
        }
    }

    const fn unpack(packed: u32) -> Self {
        match packed & 3 {
            0 => Self::Inside,
            1 => Self::Free,
            2 => Self::Large,
            _ => match Class::from_index((packed >> 2 & 63) as usize) {
                Some(class) => Self::Span { class, back: (packed >> 8) as usize },
                None => Self::Inside,
            },
        }
    }
}

/// A table: addresses for elements, of which some are memory. Not a slice, as a reference promises memory.
struct Table<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T> Table<T> {
    /// # Safety
    /// The elements are memory (S2), and stay so for `'t`.
    unsafe fn elements<'t>(&self, elements: Range<usize>) -> &'t [T] {
        assert!(elements.start <= elements.end && elements.end <= self.len, "a slice that is not the heap's");
        // SAFETY: within the table (just checked), and memory by the caller's promise; zeros are elements, and others are
        // written through references only.
        unsafe { slice::from_raw_parts(self.start.add(elements.start).as_ptr(), elements.len()) }
    }
}

/// The tables of a heap, and where its slices are. Its methods are for slices in use (S2).
pub(crate) struct Tables {
    map: Table<AtomicU32>,
    heads: Table<Head>,
    /// Of a span: a bit for each block that is free.
    bits: Table<AtomicU64>,
    /// As `bits`, for those who walk the heap.
    marks: Table<AtomicU64>,
    dirty: Table<AtomicU64>,
    /// For each [`UNIT`] of slices: 1 if they are memory.
    committed: Table<AtomicU64>,
    /// The slices for which the tables are memory: whole units; S2.
    ready: AtomicUsize,
    /// How many slices are dirty, or about to be.
    pub(crate) dirty_slices: AtomicUsize,
    /// Slice 0.
    base: NonNull<u8>,
}

// SAFETY: the slices are memory that blocks are made of; this is only where they are.
unsafe impl Send for Tables {}
// SAFETY: as above; all else is atomics.
unsafe impl Sync for Tables {}

/// Where in a range the tables of `slices` slices lie, in bytes, and their elements' sizes.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Byte offsets of `map`, `heads`, `bits`, `marks`, `dirty`, `committed`, and the end.
    starts: [usize; 7],
}

/// As many slices as a word has bits.
pub(crate) const UNIT: usize = 64;

/// Bytes of each table for a unit.
const PER_UNIT: [usize; 6] = [UNIT * 4, UNIT * size_of::<Head>(), UNIT * 8 * WORDS, UNIT * 8 * WORDS, 8, 8];

impl Plan {
    /// Tables for `slices` slices, whole units, from byte `start` on.
    pub(crate) fn new(start: usize, slices: usize) -> Self {
        let mut starts = [start; 7];
        for (table, bytes) in PER_UNIT.iter().enumerate() {
            starts[table + 1] = starts[table] + slices / UNIT * bytes;
        }
        Self { starts }
    }

    pub(crate) fn end(&self) -> usize {
        self.starts[6]
    }

    /// The parts of the tables, in bytes, for some slices, whole units.
    pub(crate) fn parts(&self, slices: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let units = slices.start / UNIT..slices.end / UNIT;
        let tables = self.starts.into_iter().zip(PER_UNIT);
        tables.map(move |(start, bytes)| start + units.start * bytes..start + units.end * bytes)
    }
}

impl Tables {
    /// # Safety
    /// `start` is the start of a range that lives as long as the tables are used, in which the plan's bytes, made for that many
    /// slices, are zeros where they are memory. They are used only where they are memory.
    pub(crate) unsafe fn new(start: NonNull<u8>, plan: &Plan, slices: usize, base: NonNull<u8>) -> Self {
        // Numbers of slices are `u32`, and so are their lengths.
        assert!(slices < NONE as usize, "more slices than can be told apart");
        // SAFETY: the caller's promise: room for so many elements, of which zeros are values. Tables start at multiples of
        // their elements' alignment, as the range does and all lengths before are.
        unsafe {
            let at = |table: usize| start.add(plan.starts[table]);
            Self {
                map: Table { start: at(0).cast(), len: slices },
                heads: Table { start: at(1).cast(), len: slices },
                bits: Table { start: at(2).cast(), len: slices * WORDS },
                marks: Table { start: at(3).cast(), len: slices * WORDS },
                dirty: Table { start: at(4).cast(), len: slices / UNIT },
                committed: Table { start: at(5).cast(), len: slices / UNIT },
                ready: AtomicUsize::new(0),
                dirty_slices: AtomicUsize::new(0),
                base,
            }
        }
    }

    /// The slices that have entries.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Acquire)
    }

    /// Slices to `ready`, whole units, have entries from now on.
    ///
    /// # Safety
    /// The plan's [parts](Plan::parts) for them are memory.
    pub(crate) unsafe fn set_ready(&self, ready: usize) {
        self.ready.store(ready, Release);
    }

    /// Elements of a table with `each` of them for a slice.
    fn of<T>(&self, table: &Table<T>, each: usize, slice: usize, count: usize) -> &[T] {
        assert!(slice < self.ready(), "a slice that is not in use");
        // SAFETY: memory to `ready` (S2), as long as the heap lives, which has these tables; runs that start there end there.
        unsafe { table.elements(slice * each..slice * each + count) }
    }

    /// The address of a slice.
    pub(crate) fn at(&self, slice: usize) -> NonNull<u8> {
        debug_assert!(slice <= self.slices());
        // SAFETY: the range has so many slices.
        unsafe { self.base.add(slice * SLICE) }
    }

    /// How far from slice 0 an address is, in bytes, if it is in any slice.
    pub(crate) fn offset_of(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base.addr().get());
        (offset < self.slices() * SLICE).then_some(offset)
    }

    pub(crate) fn entry(&self, slice: usize) -> Entry {
        Entry::unpack(self.of(&self.map, 1, slice, 1)[0].load(Relaxed))
    }

    pub(crate) fn set_entry(&self, slice: usize, entry: Entry) {
        self.of(&self.map, 1, slice, 1)[0].store(entry.pack(), Relaxed);
    }

    /// The words of free bits of the span that starts at `slice`.
    pub(crate) fn free_bits(&self, slice: usize, class: Class) -> &[AtomicU64] {
        self.of(&self.bits, WORDS, slice, class.blocks().div_ceil(64))
    }

    /// The words of marks of the span that starts at `slice`.
    pub(crate) fn marks_of(&self, slice: usize, class: Class) -> &[AtomicU64] {
        self.of(&self.marks, WORDS, slice, class.blocks().div_ceil(64))
    }

    /// The words of `dirty` for some slices, at least one: the number of each, itself, and the bits that are meant.
    fn dirty_words(&self, slices: Range<usize>) -> impl Iterator<Item = (usize, &AtomicU64, u64)> {
        assert!(slices.start < slices.end && slices.end <= self.ready(), "slices that are not in use");
        let words = slices.start / UNIT..slices.end.div_ceil(UNIT);
        // SAFETY: as in `of`; a word is of one unit, and `ready` is whole units.
        let elements = unsafe { self.dirty.elements(words.clone()) };
        words.zip(elements).map(move |(number, word)| {
            let from = slices.start.saturating_sub(number * UNIT);
            let to = (slices.end - number * UNIT).min(UNIT);
            (number, word, u64::MAX << from & u64::MAX >> (UNIT - to))
        })
    }

    /// The units of some slices: for each 1 if it is memory.
    pub(crate) fn committed(&self, slices: Range<usize>) -> &[AtomicU64] {
        assert!(slices.end <= self.ready(), "slices that are not in use");
        // SAFETY: as in `of`.
        unsafe { self.committed.elements(slices.start / UNIT..slices.end.div_ceil(UNIT)) }
    }

    /// The slices, which the caller owns, may be written from now on. `dirty_slices` has them already.
    pub(crate) fn set_dirty(&self, slices: Range<usize>) {
        for (_, word, mask) in self.dirty_words(slices) {
            // Words at the ends are shared with owners of other slices.
            if mask == u64::MAX {
                word.store(mask, Relaxed);
            } else {
                word.fetch_or(mask, Relaxed);
            }
        }
    }

    /// The slices, which the caller owns, are zeros again.
    pub(crate) fn set_clean(&self, slices: Range<usize>) {
        let mut cleaned = 0;
        for (_, word, mask) in self.dirty_words(slices) {
            cleaned += (word.fetch_and(!mask, Relaxed) & mask).count_ones() as usize;
        }
        self.dirty_slices.fetch_sub(cleaned, Relaxed);
    }
}

impl Slices for Tables {
    fn slices(&self) -> usize {
        self.map.len
    }

    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn head(&self, slice: usize) -> &Head {
        &self.of(&self.heads, 1, slice, 1)[0]
    }

    fn is_free_end(&self, slice: usize) -> bool {
        self.entry(slice) == Entry::Free
    }

    fn set_free_end(&self, slice: usize) {
        self.set_entry(slice, Entry::Free);
    }

    fn clear(&self, slice: usize) {
        self.set_entry(slice, Entry::Inside);
    }
}

impl Dirty for Tables {
    fn count_clean(&self, slices: Range<usize>) -> usize {
        self.dirty_words(slices).map(|(_, word, mask)| (!word.load(Relaxed) & mask).count_ones() as usize).sum()
    }

    fn next_dirty(&self, slices: Range<usize>) -> Option<Range<usize>> {
        let find = |from: usize, flip: u64| {
            self.dirty_words(from..slices.end).find_map(|(number, word, mask)| {
                let found = (word.load(Relaxed) ^ flip) & mask;
                (found != 0).then(|| number * UNIT + found.trailing_zeros() as usize)
            })
        };
        let start = if slices.is_empty() { None } else { find(slices.start, 0) }?;
        let end = find(start, u64::MAX).unwrap_or(slices.end);
        Some(start..end)
    }
}
