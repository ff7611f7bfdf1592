//! [`Runs`]: slices, given out and taken back in runs of any length, with neighbours that are free made one.
//!
//! Free runs are in lists by length, eight to each doubling, with a bit for each list that is not empty (two-level
//! segregated fit, Masmano et al. 2004): finding one, and giving one back, takes the same short time however many there are.
//! What no run serves comes from the end, `top`, above which nothing was ever used.
//!
//! Free runs that have been written are also in one list by age, so that what has been free for long is found at its end, at once.
//!
//! Invariants, beside those of [`tables`](super::tables):
//! * R1. Free runs do not touch each other; each is in the list of its length.
//! * R2. Slices below `top` are in a free run or have an owner; those above are nobody's.
//! * R3. A free run is in the list by age iff it is [`Used::Returnable`]; stamps do not fall from older to newer.

use crate::sync::Ordering::*;

use super::class::SLICE;
use super::tables::{Entry, Head, NONE, Tables};

/// Lists for lengths below 8, of one length each; then eight for each doubling, up to the length that `u32` can say.
const LISTS: usize = 8 + 8 * 29;
/// How many runs of a list that may hold what is too short, or not aligned, are looked at before others are.
const LOOKS: usize = 16;

/// The list for runs of length `len`.
fn list_of(len: usize) -> usize {
    if len < 8 {
        len
    } else {
        let log2 = len.ilog2() as usize;
        8 * (log2 - 2) + (len >> (log2 - 3) & 7)
    }
}

/// Whether a free run has been written since the system gave its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Used {
    /// It is zeros.
    No,
    /// It may have been, and the system would not take it back.
    Stuck,
    /// It may have been, and can be given back to the system.
    Returnable,
}

impl Used {
    fn of(head: &Head) -> Self {
        match head.used.load(Relaxed) {
            0 => Self::No,
            1 => Self::Stuck,
            _ => Self::Returnable,
        }
    }
}

/// How old a free run is: its stamp, and the run that is the next older.
#[derive(Clone, Copy)]
struct Age {
    stamp: u32,
    older: u32,
}

pub(crate) struct Runs {
    /// See R2.
    top: usize,
    /// The first run of each list.
    first: [u32; LISTS],
    /// A bit for each list that is not empty.
    filled: [u64; LISTS.div_ceil(64)],
    /// The slices in free runs.
    free: usize,
    /// The ends of the list by age.
    oldest: u32,
    newest: u32,
}

/// What is asked: so many slices, from an address that is a multiple of so many.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) len: usize,
    pub(crate) align: usize,
}

impl Runs {
    pub(crate) const fn new() -> Self {
        Self { top: 0, first: [NONE; LISTS], filled: [0; LISTS.div_ceil(64)], free: 0, oldest: NONE, newest: NONE }
    }

    pub(crate) fn top(&self) -> usize {
        self.top
    }

    /// The slices that have an owner.
    pub(crate) fn in_use(&self) -> usize {
        self.top - self.free
    }

    /// The first slice from `start` on that is aligned to so many slices.
    fn aligned(tables: &Tables, start: usize, align: usize) -> usize {
        let base = tables.base().addr().get() / SLICE;
        crate::align::align_up(base + start, align) - base
    }

    /// Takes a run; its entries are `Inside`, its contents what they were. `grow` is asked to make tables for slices to a new
    /// top.
    pub(crate) fn take(&mut self, tables: &Tables, wish: Wish, grow: impl FnOnce(usize) -> bool) -> Option<usize> {
        let run = match self.find(tables, wish, LOOKS) {
            Some(run) => run,
            None => match self.take_end(tables, wish, grow) {
                Some(start) => return Some(start),
                None => self.find(tables, wish, usize::MAX)?,
            },
        };
        let start = Self::aligned(tables, run, wish.align);
        self.carve(tables, run, start, wish.len);
        Some(start)
    }

    /// Takes a run at the end, together with the last free one if it ends there.
    fn take_end(&mut self, tables: &Tables, wish: Wish, grow: impl FnOnce(usize) -> bool) -> Option<usize> {
        let last = self.last_free(tables);
        let start = Self::aligned(tables, last.unwrap_or(self.top), wish.align);
        let top = start.checked_add(wish.len)?;
        if top <= self.top || top > tables.slices() || !grow(top) {
            return None;
        }
        let old_top = core::mem::replace(&mut self.top, top);
        match last {
            Some(last) => {
                let (_, used, age) = self.unlink(tables, last);
                if last < start {
                    self.link(tables, last, start - last, used, age);
                }
            }
            None if old_top < start => {
                let age = Age { stamp: 0, older: NONE }; // it is in no list by age
                self.link(tables, old_top, start - old_top, Used::No, age);
            }
            None => {}
        }
        Some(start)
    }

    /// Takes the part of a free run, at least one, that has most of its slices dirty already.
    pub(crate) fn take_dirtiest(&mut self, tables: &Tables, wish: Wish) -> Option<usize> {
        let mut best: Option<(usize, usize, usize)> = None;
        self.each(tables, list_of(wish.len), |run, len| {
            let first_dirty = tables.next_dirty(run..run + len).map_or(run, |dirty| dirty.start);
            for from in [run, first_dirty] {
                let start = Self::aligned(tables, from, wish.align);
                if start + wish.len <= run + len {
                    let clean = tables.count_clean(start..start + wish.len);
                    if best.is_none_or(|(least, ..)| clean < least) {
                        best = Some((clean, run, start));
                    }
                }
            }
        });
        let (_, run, start) = best?;
        self.carve(tables, run, start, wish.len);
        Some(start)
    }

    /// Calls `look` with every free run of the lists from `list` on, and its length.
    fn each(&self, tables: &Tables, mut list: usize, mut look: impl FnMut(usize, usize)) {
        while let Some(filled) = self.next_filled(list) {
            let mut run = self.first[filled];
            while run != NONE {
                let head = tables.head(run as usize);
                look(run as usize, head.len.load(Relaxed) as usize);
                run = head.next.load(Relaxed);
            }
            list = filled + 1;
        }
    }

    /// Takes `start..start + wanted` out of a free run; the rest stays free and as old.
    fn carve(&mut self, tables: &Tables, run: usize, start: usize, wanted: usize) {
        let (len, used, age) = self.unlink(tables, run);
        if run < start {
            self.link(tables, run, start - run, used, age);
        }
        if start + wanted < run + len {
            self.link(tables, start + wanted, run + len - (start + wanted), used, age);
        }
    }

    /// A free run that `wish` fits in. Lists that may hold others too are searched `looks` runs far.
    fn find(&self, tables: &Tables, wish: Wish, looks: usize) -> Option<usize> {
        let fits = |run: usize| {
            let end = run + tables.head(run).len.load(Relaxed) as usize;
            Self::aligned(tables, run, wish.align) + wish.len <= end
        };
        let mut list = self.next_filled(list_of(wish.len))?;
        loop {
            let mut run = self.first[list];
            for _ in 0..looks {
                if run == NONE {
                    break;
                }
                if fits(run as usize) {
                    return Some(run as usize);
                }
                run = tables.head(run as usize).next.load(Relaxed);
            }
            list = self.next_filled(list + 1)?;
        }
    }

    /// The first list that is not empty, from `list` on.
    fn next_filled(&self, list: usize) -> Option<usize> {
        let mut mask = u64::MAX << (list % 64);
        for word in list / 64..self.filled.len() {
            let found = self.filled[word] & mask;
            if found != 0 {
                return Some(word * 64 + found.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }

    /// The free run that ends at the top.
    fn last_free(&self, tables: &Tables) -> Option<usize> {
        let last = self.top.checked_sub(1)?;
        (tables.entry(last) == Entry::Free).then(|| self.top - tables.head(last).len.load(Relaxed) as usize)
    }

    /// Makes a run free that touches no other free run. If it is returnable its place by age is just after `age.older`.
    fn link(&mut self, tables: &Tables, run: usize, len: usize, used: Used, age: Age) {
        let last = run + len - 1;
        self.free += len;
        tables.set_entry(run, Entry::Free);
        tables.set_entry(last, Entry::Free);
        tables.head(last).len.store(len as u32, Relaxed);
        let list = list_of(len);
        let head = tables.head(run);
        head.len.store(len as u32, Relaxed);
        head.used.store(used as u32, Relaxed);
        head.previous.store(NONE, Relaxed);
        head.next.store(self.first[list], Relaxed);
        if self.first[list] != NONE {
            tables.head(self.first[list] as usize).previous.store(run as u32, Relaxed);
        }
        self.first[list] = run as u32;
        self.filled[list / 64] |= 1 << (list % 64);

        head.stamp.store(age.stamp, Relaxed);
        if used == Used::Returnable {
            let newer = match age.older {
                NONE => core::mem::replace(&mut self.oldest, run as u32),
                older => tables.head(older as usize).newer.swap(run as u32, Relaxed),
            };
            head.older.store(age.older, Relaxed);
            head.newer.store(newer, Relaxed);
            match newer {
                NONE => self.newest = run as u32,
                newer => tables.head(newer as usize).older.store(run as u32, Relaxed),
            }
        }
    }

    /// Takes a free run out of its lists. Returns its length, and all that is needed to put one in its place.
    fn unlink(&mut self, tables: &Tables, run: usize) -> (usize, Used, Age) {
        let head = tables.head(run);
        let len = head.len.load(Relaxed) as usize;
        let (previous, next) = (head.previous.load(Relaxed), head.next.load(Relaxed));
        let list = list_of(len);
        if previous == NONE {
            self.first[list] = next;
            if next == NONE {
                self.filled[list / 64] &= !(1 << (list % 64));
            }
        } else {
            tables.head(previous as usize).next.store(next, Relaxed);
        }
        if next != NONE {
            tables.head(next as usize).previous.store(previous, Relaxed);
        }
        self.free -= len;
        tables.set_entry(run, Entry::Inside);
        tables.set_entry(run + len - 1, Entry::Inside);

        let used = Used::of(head);
        let age = Age { stamp: head.stamp.load(Relaxed), older: head.older.load(Relaxed) };
        if used == Used::Returnable {
            let newer = head.newer.load(Relaxed);
            match age.older {
                NONE => self.oldest = newer,
                older => tables.head(older as usize).newer.store(newer, Relaxed),
            }
            match newer {
                NONE => self.newest = age.older,
                newer => tables.head(newer as usize).older.store(age.older, Relaxed),
            }
        }
        (len, used, age)
    }

    /// Takes a run back, whose entries are `Inside`; it became free at `now`. It is as old as the longest part of what it
    /// becomes one with.
    pub(crate) fn give(&mut self, tables: &Tables, start: usize, len: usize, now: u32, used: Used) {
        debug_assert!(start + len <= self.top);
        let end = start + len;
        let free = |found: bool, slice: usize| found && tables.entry(slice) == Entry::Free;
        let before =
            free(start > 0, start.wrapping_sub(1)).then(|| start - tables.head(start - 1).len.load(Relaxed) as usize);
        let after = free(end < self.top, end).then_some(end);
        let returnable = |run: &usize| Used::of(tables.head(*run)) == Used::Returnable;
        let len_of = |run: usize| tables.head(run).len.load(Relaxed) as usize;
        let longest = [before, after].into_iter().flatten().filter(returnable).max_by_key(|run| len_of(*run));
        // Whose age it takes, if not its own, goes last: then the run that is the next older is none of those that go.
        let heir = longest.filter(|run| used != Used::Returnable || len_of(*run) > len);
        let (mut all_len, mut all_used, mut age) = (len, used, Age { stamp: now, older: self.newest });
        let parts = [before, after].into_iter().flatten();
        for part in parts.clone().filter(|part| Some(*part) != heir).chain(heir) {
            let (part_len, part_used, part_age) = self.unlink(tables, part);
            (all_len, all_used) = (all_len + part_len, all_used.max(part_used));
            age = if Some(part) == heir { part_age } else { Age { stamp: now, older: self.newest } };
        }
        self.link(tables, before.unwrap_or(start), all_len, all_used, age);
    }

    /// Makes the run at `start` longer, from `len` to `longer`, by what is free after it.
    pub(crate) fn extend(
        &mut self,
        tables: &Tables,
        start: usize,
        len: usize,
        longer: usize,
        grow: impl FnOnce(usize) -> bool,
    ) -> bool {
        let (end, wanted_end) = (start + len, start + longer);
        let free = if end < self.top && tables.entry(end) == Entry::Free {
            tables.head(end).len.load(Relaxed) as usize
        } else {
            0
        };
        if wanted_end <= end + free {
            self.carve(tables, end, end, longer - len);
            return true;
        }
        if end + free != self.top || wanted_end > tables.slices() || !grow(wanted_end) {
            return false;
        }
        if free > 0 {
            self.unlink(tables, end);
        }
        self.top = wanted_end;
        true
    }

    /// Takes the run that has been free for longest, if that is `age` by now, all in milliseconds. To be given back.
    pub(crate) fn take_old(&mut self, tables: &Tables, now: u32, age: u32) -> Option<(usize, usize)> {
        let oldest = (self.oldest != NONE).then_some(self.oldest as usize)?;
        let stamp = tables.head(oldest).stamp.load(Relaxed);
        // Stamps are modulo 2^32, and one may be later than `now`.
        if now.wrapping_sub(stamp).cast_signed() < age.cast_signed() {
            return None;
        }
        Some((oldest, self.unlink(tables, oldest).0))
    }

    /// The slices of the longest free run, or above the top.
    pub(crate) fn longest(&self, tables: &Tables) -> usize {
        let mut longest = tables.slices() - self.last_free(tables).unwrap_or(self.top);
        // The last list that is not empty has it.
        if let Some(list) = (0..LISTS).rev().find(|list| self.first[*list] != NONE) {
            self.each(tables, list, |_, len| longest = longest.max(len));
        }
        longest
    }
}
