//! [`Runs`]: slices, given out and taken back in runs of any length, with neighbours that are free made one.
//!
//! Free runs are in lists by length, eight to each doubling, with a bit for each list that is not empty (two-level
//! segregated fit, Masmano et al. 2004): finding one, and giving one back, takes the same short time however many there are.
//! What no run serves comes from the end, `top`, above which nothing was ever used.
//!
//! Invariants, beside those of [`tables`](super::tables):
//! * R1. Free runs do not touch each other; each is in the list of its length.
//! * R2. Slices below `top` are in a free run or have an owner; those above are nobody's.

use crate::sync::Ordering::*;

use super::class::SLICE;
use super::tables::{Entry, NONE, Tables};

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

pub(crate) struct Runs {
    /// See R2.
    top: usize,
    /// The first run of each list.
    first: [u32; LISTS],
    /// A bit for each list that is not empty.
    filled: [u64; LISTS.div_ceil(64)],
}

/// What is asked: so many slices, from an address that is a multiple of so many.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) len: usize,
    pub(crate) align: usize,
}

impl Runs {
    pub(crate) const fn new() -> Self {
        Self { top: 0, first: [NONE; LISTS], filled: [0; LISTS.div_ceil(64)] }
    }

    pub(crate) fn top(&self) -> usize {
        self.top
    }

    /// The first slice from `start` on where `wish` may begin.
    fn aligned(tables: &Tables, start: usize, wish: Wish) -> usize {
        let base = tables.base().addr().get() / SLICE;
        crate::align::align_up(base + start, wish.align) - base
    }

    /// Takes a run; its entries are `Inside`, its contents what they were. `grow` is asked to make tables for slices to a new
    /// top.
    pub(crate) fn take(&mut self, tables: &Tables, wish: Wish, grow: impl FnOnce(usize) -> bool) -> Option<usize> {
        let run = match self.find(tables, wish, LOOKS) {
            Some(run) => run,
            None => {
                // From the end, together with the last run if it is free.
                let run = self.last_free(tables).unwrap_or(self.top);
                let top = Self::aligned(tables, run, wish).checked_add(wish.len)?;
                if top <= self.top || top > tables.slices() {
                    self.find(tables, wish, usize::MAX)?
                } else {
                    if !grow(top) {
                        return None;
                    }
                    if run != self.top {
                        self.unlink(tables, run);
                    }
                    let start = top - wish.len;
                    self.top = top;
                    self.cut(tables, run, top - run, start, wish.len);
                    return Some(start);
                }
            }
        };
        let start = Self::aligned(tables, run, wish);
        let len = self.unlink(tables, run);
        self.cut(tables, run, len, start, wish.len);
        Some(start)
    }

    /// A free run that `wish` fits in. Lists that may hold others too are searched `looks` runs far.
    fn find(&self, tables: &Tables, wish: Wish, looks: usize) -> Option<usize> {
        let fits = |run: usize| {
            let end = run + tables.head(run).len.load(Relaxed) as usize;
            Self::aligned(tables, run, wish) + wish.len <= end
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

    /// Of the run `run..run + len`, which is in no list, keeps what is before and after `start..start + wanted` as free runs
    /// of the same age.
    fn cut(&mut self, tables: &Tables, run: usize, len: usize, start: usize, wanted: usize) {
        let (stamp, used) = {
            let head = tables.head(run);
            (head.stamp.load(Relaxed), head.used.load(Relaxed) == 1)
        };
        if run < start {
            self.link(tables, run, start - run, stamp, used);
        }
        if start + wanted < run + len {
            self.link(tables, start + wanted, run + len - (start + wanted), stamp, used);
        }
    }

    /// Makes a run free that touches no other free run.
    fn link(&mut self, tables: &Tables, run: usize, len: usize, stamp: u32, used: bool) {
        let last = run + len - 1;
        tables.set_entry(run, Entry::Free);
        tables.set_entry(last, Entry::Free);
        tables.head(last).len.store(len as u32, Relaxed);
        let list = list_of(len);
        let head = tables.head(run);
        head.len.store(len as u32, Relaxed);
        head.stamp.store(stamp, Relaxed);
        head.used.store(u32::from(used), Relaxed);
        head.previous.store(NONE, Relaxed);
        head.next.store(self.first[list], Relaxed);
        if self.first[list] != NONE {
            tables.head(self.first[list] as usize).previous.store(run as u32, Relaxed);
        }
        self.first[list] = run as u32;
        self.filled[list / 64] |= 1 << (list % 64);
    }

    /// Takes a free run out of its list; returns its length.
    fn unlink(&mut self, tables: &Tables, run: usize) -> usize {
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
        tables.set_entry(run, Entry::Inside);
        tables.set_entry(run + len - 1, Entry::Inside);
        len
    }

    /// Takes a run back, whose entries are `Inside`. `used` says whether any of it may be dirty. It is as old as the longest
    /// used part of what it becomes one with.
    pub(crate) fn give(&mut self, tables: &Tables, start: usize, len: usize, stamp: u32, used: bool) {
        debug_assert!(start + len <= self.top);
        let (mut run, mut end, mut any_used) = (start, start + len, used);
        let (mut longest, mut oldest) = (len, stamp);
        let mut join = |runs: &mut Self, other: usize| {
            let head = tables.head(other);
            let (stamp, used) = (head.stamp.load(Relaxed), head.used.load(Relaxed) == 1);
            let len = runs.unlink(tables, other);
            any_used |= used;
            if len > longest && used {
                (longest, oldest) = (len, stamp);
            }
            len
        };
        if run > 0 && tables.entry(run - 1) == Entry::Free {
            let before = run - tables.head(run - 1).len.load(Relaxed) as usize;
            run -= join(self, before);
        }
        if end < self.top && tables.entry(end) == Entry::Free {
            end += join(self, end);
        }
        self.link(tables, run, end - run, oldest, any_used);
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
            self.unlink(tables, end);
            self.cut(tables, end, free, end, longer - len);
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

    /// Takes a run that may be dirty and has been free for `age`, all in milliseconds. To be given back.
    pub(crate) fn take_old(&mut self, tables: &Tables, now: u32, age: u32) -> Option<(usize, usize)> {
        let mut list = self.next_filled(0)?;
        loop {
            let mut run = self.first[list];
            while run != NONE {
                let head = tables.head(run as usize);
                if head.used.load(Relaxed) == 1 && now.wrapping_sub(head.stamp.load(Relaxed)) >= age {
                    return Some((run as usize, self.unlink(tables, run as usize)));
                }
                run = head.next.load(Relaxed);
            }
            list = self.next_filled(list + 1)?;
        }
    }

    /// The slices of the longest free run, or above the top.
    pub(crate) fn longest(&self, tables: &Tables) -> usize {
        let above = tables.slices() - self.last_free(tables).unwrap_or(self.top);
        let mut longest = above;
        let mut list = 0;
        while let Some(filled) = self.next_filled(list) {
            let mut run = self.first[filled];
            while run != NONE {
                let head = tables.head(run as usize);
                longest = longest.max(head.len.load(Relaxed) as usize);
                run = head.next.load(Relaxed);
            }
            list = filled + 1;
        }
        longest
    }
}
