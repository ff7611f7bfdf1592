//! [`Depot`]: what all threads share of a class: full magazines, empty ones, and the spans that have free blocks.
//!
//! A *span* is a run of slices cut into blocks of the class. Which of them are free stands in the tables: a block's bit is
//! set when it is; those from `fresh` on were never out, and have no bit. Blocks in magazines are not free in this sense, as
//! those that users have.
//!
//! Invariants:
//! * D1. All of a depot, and all about its spans in the tables, is under the lock of its class.
//! * D2. A span is in the list iff it has free blocks (`free > 0 || fresh < blocks`).
//! * D3. Full magazines are full of blocks of the class.

use core::ptr::NonNull;

use crate::runs::{NONE, SLICE, Slices};
use crate::sync::Ordering::*;

use super::magazine::{Magazine, Stack};
use super::misuse::{Layouts, Misuse, MisuseKind};
use super::tables::{Entry, Tables};
use crate::class::Class;

pub(crate) struct Depot {
    pub(crate) full: Stack,
    pub(crate) empty: Stack,
    /// The least number of full magazines since the last [`idle`](Self::idle).
    low_water: usize,
    /// The first span with free blocks.
    first: u32,
    /// Blocks were taken from spans since the last [`idle`](Self::idle).
    taken: bool,
}

/// What of a depot nobody has wanted for a while.
pub(crate) struct Idle {
    /// So many full magazines.
    pub(crate) magazines: usize,
    /// Its spans.
    pub(crate) spans: bool,
}

/// How much full magazines of a class hold at most, in bytes, if that is not too many magazines.
const KEPT: usize = 1 << 20;
const KEPT_MAGAZINES: usize = 64;

/// What a layout of `class` looks like to whoever freed with it.
pub(crate) fn layouts(class: Class) -> Layouts {
    let (least, most) = class.sizes();
    Layouts { least, most }
}

/// The same for a large block of `len` slices.
pub(crate) fn large_layouts(len: usize) -> Layouts {
    Layouts { least: len.saturating_sub(1) * SLICE + 1, most: len * SLICE }
}

impl Depot {
    pub(crate) const fn new() -> Self {
        Self { full: Stack::new(), empty: Stack::new(), low_water: 0, first: NONE, taken: false }
    }

    /// Whether one more full magazine is kept, rather than its blocks be given to their spans.
    pub(crate) fn has_room(&self, class: Class) -> bool {
        self.full.count() < (KEPT / (class.capacity() * class.size())).clamp(4, KEPT_MAGAZINES)
    }

    /// Takes a full magazine.
    pub(crate) fn pop_full(&mut self) -> Option<NonNull<Magazine>> {
        let full = self.full.pop()?;
        self.low_water = self.low_water.min(self.full.count());
        Some(full)
    }

    /// What nobody has wanted since the last time that this was asked.
    pub(crate) fn idle(&mut self) -> Idle {
        let count = self.full.count();
        Idle {
            magazines: core::mem::replace(&mut self.low_water, count).min(count),
            spans: !core::mem::replace(&mut self.taken, false),
        }
    }

    /// Takes free blocks, as many as `want`, from the first span that has any, in the order of their addresses.
    pub(crate) fn take(
        &mut self,
        tables: &Tables,
        class: Class,
        want: usize,
        mut each: impl FnMut(NonNull<u8>),
    ) -> usize {
        if self.first == NONE {
            return 0;
        }
        self.taken = true;
        let span = self.first as usize;
        let head = tables.head(span);
        let block = |index: usize| {
            // SAFETY: a block of the span, which is so many slices long.
            unsafe { tables.at(span).add(index * class.size()) }
        };
        let mut taken = 0;
        let (mut free, mut fresh) = (head.free.load(Relaxed) as usize, head.fresh.load(Relaxed) as usize);
        if free > 0 {
            let bits = tables.free_bits(span, class);
            let mut at = head.first_word.load(Relaxed) as usize;
            while free > 0 && taken < want {
                let mut word = bits[at].load(Relaxed);
                while word != 0 && taken < want {
                    each(block(at * 64 + word.trailing_zeros() as usize));
                    word &= word - 1;
                    (taken, free) = (taken + 1, free - 1);
                }
                bits[at].store(word, Relaxed);
                if word == 0 {
                    at += 1;
                }
            }
            head.free.store(free as u32, Relaxed);
            head.first_word.store(at as u32, Relaxed);
        }
        while taken < want && fresh < class.blocks() {
            each(block(fresh));
            (taken, fresh) = (taken + 1, fresh + 1);
        }
        head.fresh.store(fresh as u32, Relaxed);
        if free == 0 && fresh == class.blocks() {
            self.unlink(tables, span);
        }
        taken
    }

    /// Takes a block that is zeros, as it was never written, from the first span that has free blocks, if that has such.
    pub(crate) fn take_fresh(&mut self, tables: &Tables, class: Class) -> Option<NonNull<u8>> {
        let span = (self.first != NONE).then_some(self.first as usize)?;
        let head = tables.head(span);
        let fresh = head.fresh.load(Relaxed) as usize;
        if fresh == class.blocks() || head.used.load(Relaxed) == 1 {
            return None;
        }
        self.taken = true;
        head.fresh.store(fresh as u32 + 1, Relaxed);
        if head.free.load(Relaxed) == 0 && fresh + 1 == class.blocks() {
            self.unlink(tables, span);
        }
        // SAFETY: a block of the span, which is so many slices long.
        Some(unsafe { tables.at(span).add(fresh * class.size()) })
    }

    /// Whether there is no free block in it at all.
    pub(crate) fn is_used_up(&self) -> bool {
        self.first == NONE && self.full.count() == 0
    }

    /// Makes a span of `class` of the run at `start`; `used` says whether any of it may have been written before.
    pub(crate) fn add_span(&mut self, tables: &Tables, class: Class, start: usize, used: bool) {
        for back in 0..class.slices() {
            tables.set_entry(start + back, Entry::Span { class, back });
        }
        let head = tables.head(start);
        head.fresh.store(0, Relaxed);
        head.free.store(0, Relaxed);
        head.first_word.store(0, Relaxed);
        head.used.store(u32::from(used), Relaxed);
        self.link(tables, start);
    }

    /// Gives a block back to its span. If then nobody has any block of that span, and there is another with free ones, the span
    /// is no more: its first slice is returned, and its slices are the caller's.
    pub(crate) fn release(&mut self, tables: &Tables, class: Class, address: usize) -> Result<Option<usize>, Misuse> {
        let wrong = |kind| Misuse { address, freed_as: layouts(class), kind };
        let (span, index) = find(tables, class, address).map_err(wrong)?;
        let head = tables.head(span);
        let (free, fresh) = (head.free.load(Relaxed) as usize, head.fresh.load(Relaxed) as usize);
        let word = &tables.free_bits(span, class)[index / 64];
        let (bits, bit) = (word.load(Relaxed), 1 << (index % 64));
        if index >= fresh {
            return Err(wrong(MisuseKind::NotABlock));
        }
        if bits & bit != 0 {
            return Err(wrong(MisuseKind::DoubleFree));
        }
        word.store(bits | bit, Relaxed);
        head.free.store(free as u32 + 1, Relaxed);
        if free == 0 || index / 64 < head.first_word.load(Relaxed) as usize {
            head.first_word.store((index / 64) as u32, Relaxed);
        }
        if free == 0 && fresh == class.blocks() {
            self.link(tables, span);
        }
        let alone = self.first as usize == span && head.next.load(Relaxed) == NONE;
        if free + 1 < fresh || alone {
            return Ok(None);
        }
        self.remove_span(tables, class, span);
        Ok(Some(span))
    }

    /// The spans that nobody has any block of.
    fn unused<'t>(&self, tables: &'t Tables) -> impl Iterator<Item = usize> + use<'t> {
        let listed = |span: u32| (span != NONE).then_some(span as usize);
        core::iter::successors(listed(self.first), move |span| listed(tables.head(*span).next.load(Relaxed))).filter(
            |span| {
                let head = tables.head(*span);
                head.free.load(Relaxed) == head.fresh.load(Relaxed)
            },
        )
    }

    /// How many spans nobody has any block of.
    pub(crate) fn count_unused(&self, tables: &Tables) -> usize {
        self.unused(tables).count()
    }

    /// A span that nobody has any block of: it is no more, and its slices are the caller's.
    pub(crate) fn take_unused(&mut self, tables: &Tables, class: Class) -> Option<usize> {
        let span = self.unused(tables).next()?;
        self.remove_span(tables, class, span);
        Some(span)
    }

    fn remove_span(&mut self, tables: &Tables, class: Class, span: usize) {
        self.unlink(tables, span);
        for word in tables.free_bits(span, class) {
            word.store(0, Relaxed);
        }
        for slice in span..span + class.slices() {
            tables.set_entry(slice, Entry::Inside);
        }
    }

    fn link(&mut self, tables: &Tables, span: usize) {
        let head = tables.head(span);
        head.previous.store(NONE, Relaxed);
        head.next.store(self.first, Relaxed);
        if self.first != NONE {
            tables.head(self.first as usize).previous.store(span as u32, Relaxed);
        }
        self.first = span as u32;
    }

    fn unlink(&mut self, tables: &Tables, span: usize) {
        let head = tables.head(span);
        let (previous, next) = (head.previous.load(Relaxed), head.next.load(Relaxed));
        if previous == NONE {
            self.first = next;
        } else {
            tables.head(previous as usize).next.store(next, Relaxed);
        }
        if next != NONE {
            tables.head(next as usize).previous.store(previous, Relaxed);
        }
    }
}

/// The span and the number of the block of `class` that starts at `address`; or why there is none. Needs no lock: what it finds
/// stays true while that block is out, or under the lock of `class`.
pub(crate) fn find(tables: &Tables, class: Class, address: usize) -> Result<(usize, usize), MisuseKind> {
    let offset = tables.offset_of(address).ok_or(MisuseKind::Foreign)?;
    let slice = offset / SLICE;
    if slice >= tables.ready() {
        return Err(MisuseKind::NotABlock);
    }
    match tables.entry(slice) {
        Entry::Span { class: found, back } if found == class => {
            let span = slice - back;
            let index = class.block_at(offset - span * SLICE).ok_or(MisuseKind::NotABlock)?;
            Ok((span, index))
        }
        Entry::Span { class, back } => match class.block_at(offset - (slice - back) * SLICE) {
            Some(_) => Err(MisuseKind::WrongLayout(layouts(class))),
            None => Err(MisuseKind::NotABlock),
        },
        Entry::Large if offset.is_multiple_of(SLICE) => {
            Err(MisuseKind::WrongLayout(large_layouts(tables.head(slice).len.load(Relaxed) as usize)))
        }
        Entry::Large | Entry::Free | Entry::Inside => Err(MisuseKind::NotABlock),
    }
}
