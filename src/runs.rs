//! [`Runs`]: slices, given out and taken back in runs of any length, with neighbours that are free made one.
//!
//! Free runs are in lists by length, eight to each doubling, with a bit for each list that is not empty (two-level
//! segregated fit, Masmano et al. 2004): finding one, and giving one back, takes the same short time however many there are.
//! What no run serves comes from the end, `top`, above which nothing was ever used.
//!
//! Free runs that have been written are also in one list by age, so that what has been free for long is found at its end, at once.
//!
//! The slices are a region's, and so is what is known of them: [`Slices`] is what runs ask of it. The region calls with its
//! lock held, and what it passes are always the same slices.
//!
//! Invariants:
//! * R1. Free runs do not touch each other; each is in the list of its length.
//! * R2. Slices below `top` are in a free run or have an owner; those above are nobody's.
//! * R3. A free run is in the list by age iff it is [`Used::Returnable`]; stamps do not fall from older to newer.
//! * R4. A slice below `top` is a [free end](Slices::is_free_end) iff it is the first or the last of a free run. What else a
//!   region says of a slice, it says of slices with an owner.

use core::ops::Range;
use core::ptr::NonNull;

use crate::sync::{AtomicU32, Ordering::*};

/// The unit of address space, in bytes.
pub(crate) const SLICE: usize = 8 << 10;

/// No slice: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// What is known of a run, at its first slice; the length of a free run also at its last. Zeros are a head.
///
/// Of a free run all of it is [`Runs`]'. Whoever owns a run may use the head at its first slice, and those at all others, as
/// it likes: nobody else looks, and when the run is given back nothing is expected of them. What is said below of owned runs
/// is what fields are for where spans are cut from runs.
#[repr(C)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Head {
    /// In slices.
    pub(crate) len: AtomicU32,
    /// The neighbours in the list that it is in: of free runs of about its length, or a list of its owner.
    pub(crate) next: AtomicU32,
    pub(crate) previous: AtomicU32,
    /// Free run: when it became free, by the owner's clock.
    pub(crate) stamp: AtomicU32,
    /// Free run: a [`Used`]. Span: 1 if some of its slices may have been dirty when it was made.
    pub(crate) used: AtomicU32,
    /// Free run that can go back to the system: its neighbours by age.
    pub(crate) older: AtomicU32,
    pub(crate) newer: AtomicU32,
    /// Span: how many of its blocks have ever been out; the rest has never been written by anybody who got one.
    pub(crate) fresh: AtomicU32,
    /// Span: how many of those are free.
    pub(crate) free: AtomicU32,
    /// Span: no word of free bits before this one has a bit set.
    pub(crate) first_word: AtomicU32,
}

/// A region's slices, and what is known of them. Slices are numbered from 0; there are fewer than [`NONE`].
///
/// `head` and what follows are asked about slices below the top only.
pub(crate) trait Slices {
    /// How many there can be.
    fn slices(&self) -> usize;
    /// Where slice 0 is.
    fn base(&self) -> NonNull<u8>;
    fn head(&self, slice: usize) -> &Head;
    /// Whether a free run starts or ends with this slice, as far as was said. At first none does.
    fn is_free_end(&self, slice: usize) -> bool;
    fn set_free_end(&self, slice: usize);
    /// Nothing is known of this slice any more: no free run starts or ends with it.
    fn clear(&self, slice: usize);
}

/// Slices of which it is known whether they have been written since the system gave them.
pub(crate) trait Dirty: Slices {
    /// How many of some slices, at least one, are not dirty.
    fn count_clean(&self, slices: Range<usize>) -> usize;
    /// The next dirty slices among some, as one range.
    fn next_dirty(&self, slices: Range<usize>) -> Option<Range<usize>>;
}

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
    fn aligned(tables: &impl Slices, start: usize, align: usize) -> usize {
        let base = tables.base().addr().get() / SLICE;
        crate::align::align_up(base + start, align) - base
    }

    /// Takes a run; its slices are [clear](Slices::clear), its contents what they were. `grow` is asked to make tables for
    /// slices to a new top.
    pub(crate) fn take(&mut self, tables: &impl Slices, wish: Wish, grow: impl FnOnce(usize) -> bool) -> Option<usize> {
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
    fn take_end(&mut self, tables: &impl Slices, wish: Wish, grow: impl FnOnce(usize) -> bool) -> Option<usize> {
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
    pub(crate) fn take_dirtiest(&mut self, tables: &impl Dirty, wish: Wish) -> Option<usize> {
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
    fn each(&self, tables: &impl Slices, mut list: usize, mut look: impl FnMut(usize, usize)) {
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
    fn carve(&mut self, tables: &impl Slices, run: usize, start: usize, wanted: usize) {
        let (len, used, age) = self.unlink(tables, run);
        if run < start {
            self.link(tables, run, start - run, used, age);
        }
        if start + wanted < run + len {
            self.link(tables, start + wanted, run + len - (start + wanted), used, age);
        }
    }

    /// A free run that `wish` fits in. Lists that may hold others too are searched `looks` runs far.
    fn find(&self, tables: &impl Slices, wish: Wish, looks: usize) -> Option<usize> {
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
    fn last_free(&self, tables: &impl Slices) -> Option<usize> {
        let last = self.top.checked_sub(1)?;
        (tables.is_free_end(last)).then(|| self.top - tables.head(last).len.load(Relaxed) as usize)
    }

    /// Makes a run free that touches no other free run. If it is returnable its place by age is just after `age.older`.
    fn link(&mut self, tables: &impl Slices, run: usize, len: usize, used: Used, age: Age) {
        let last = run + len - 1;
        self.free += len;
        tables.set_free_end(run);
        tables.set_free_end(last);
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
    fn unlink(&mut self, tables: &impl Slices, run: usize) -> (usize, Used, Age) {
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
        tables.clear(run);
        tables.clear(run + len - 1);

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

    /// Takes a run back, whose slices are [clear](Slices::clear); it became free at `now`. It is as old as the longest part of what it
    /// becomes one with.
    pub(crate) fn give(&mut self, tables: &impl Slices, start: usize, len: usize, now: u32, used: Used) {
        debug_assert!(start + len <= self.top);
        let end = start + len;
        let free = |found: bool, slice: usize| found && tables.is_free_end(slice);
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
        tables: &impl Slices,
        start: usize,
        len: usize,
        longer: usize,
        grow: impl FnOnce(usize) -> bool,
    ) -> bool {
        let (end, wanted_end) = (start + len, start + longer);
        let free =
            if end < self.top && tables.is_free_end(end) { tables.head(end).len.load(Relaxed) as usize } else { 0 };
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

    /// Takes the run that has been free for longest, if that is `age` by now, by the owner's clock. To be given back.
    pub(crate) fn take_old(&mut self, tables: &impl Slices, now: u32, age: u32) -> Option<(usize, usize)> {
        let oldest = (self.oldest != NONE).then_some(self.oldest as usize)?;
        let stamp = tables.head(oldest).stamp.load(Relaxed);
        // Stamps are modulo 2^32, and one may be later than `now`.
        if now.wrapping_sub(stamp).cast_signed() < age.cast_signed() {
            return None;
        }
        Some((oldest, self.unlink(tables, oldest).0))
    }

    /// The slices of the longest free run, or above the top.
    pub(crate) fn longest(&self, tables: &impl Slices) -> usize {
        let mut longest = tables.slices() - self.last_free(tables).unwrap_or(self.top);
        // The last list that is not empty has it.
        if let Some(list) = (0..LISTS).rev().find(|list| self.first[*list] != NONE) {
            self.each(tables, list, |_, len| longest = longest.max(len));
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::sync::AtomicBool;

    const SLICES: usize = 1024;
    /// Where slice 0 is: at no multiple of two slices, so that aligned runs start at odd numbers.
    const BASE: usize = 12345 * SLICE;

    /// Slices that are never touched, and are no memory.
    struct Table {
        heads: Vec<Head>,
        free_ends: Vec<AtomicBool>,
        dirty: Vec<AtomicBool>,
    }

    impl Table {
        fn new() -> Self {
            let flags = || (0..SLICES).map(|_| AtomicBool::new(false)).collect();
            Self { heads: (0..SLICES).map(|_| Head::default()).collect(), free_ends: flags(), dirty: flags() }
        }

        fn set_dirty(&self, slices: Range<usize>, value: bool) {
            self.dirty[slices].iter().for_each(|dirty| dirty.store(value, Relaxed));
        }
    }

    impl Slices for Table {
        fn slices(&self) -> usize {
            SLICES
        }
        fn base(&self) -> NonNull<u8> {
            NonNull::without_provenance(BASE.try_into().unwrap())
        }
        fn head(&self, slice: usize) -> &Head {
            &self.heads[slice]
        }
        fn is_free_end(&self, slice: usize) -> bool {
            self.free_ends[slice].load(Relaxed)
        }
        fn set_free_end(&self, slice: usize) {
            self.free_ends[slice].store(true, Relaxed);
        }
        fn clear(&self, slice: usize) {
            self.free_ends[slice].store(false, Relaxed);
        }
    }

    impl Dirty for Table {
        fn count_clean(&self, slices: Range<usize>) -> usize {
            self.dirty[slices].iter().filter(|dirty| !dirty.load(Relaxed)).count()
        }
        fn next_dirty(&self, mut slices: Range<usize>) -> Option<Range<usize>> {
            let is_dirty = |slice: &usize| self.dirty[*slice].load(Relaxed);
            let start = slices.clone().find(is_dirty)?;
            slices.start = start;
            Some(start..slices.clone().find(|slice| !is_dirty(slice)).unwrap_or(slices.end))
        }
    }

    /// What the owner of a run may do: write to all of its heads.
    fn scribble(tables: &Table, start: usize, len: usize) {
        for head in &tables.heads[start..start + len] {
            let Head { len, next, previous, stamp, used, older, newer, fresh, free, first_word } = head;
            let all = [len, next, previous, stamp, used, older, newer, fresh, free, first_word];
            all.into_iter().for_each(|field| field.store(1 << 30, Relaxed));
        }
    }

    /// All that R1 to R4 say, by looking at everything.
    fn check(runs: &Runs, tables: &Table, owned: &BTreeMap<usize, usize>) {
        let (mut at, mut free, mut was_free) = (0, BTreeMap::new(), false);
        while at < runs.top {
            if let Some(len) = owned.get(&at) {
                assert!(!(at..at + len).any(|slice| tables.is_free_end(slice)));
                (at, was_free) = (at + len, false);
                continue;
            }
            assert!(!was_free, "two free runs touch at {at}");
            assert!(tables.is_free_end(at), "{at} is nobody's");
            let len = tables.head(at).len.load(Relaxed) as usize;
            assert!(len > 0 && tables.is_free_end(at + len - 1));
            assert_eq!(tables.head(at + len - 1).len.load(Relaxed) as usize, len);
            assert!(!(at + 1..at + len - 1).any(|slice| tables.is_free_end(slice)));
            let dirty = tables.next_dirty(at..at + len).is_some();
            assert!(!dirty || Used::of(tables.head(at)) != Used::No, "{at} is not zeros");
            free.insert(at, len);
            (at, was_free) = (at + len, true);
        }
        assert_eq!(at, runs.top);
        assert_eq!(runs.in_use(), owned.values().sum::<usize>());
        let mut listed = BTreeMap::new();
        runs.each(tables, 0, |run, len| assert_eq!(listed.insert(run, len), None));
        assert_eq!(listed, free);
        for (run, len) in &free {
            assert!(runs.filled[list_of(*len) / 64] >> (list_of(*len) % 64) & 1 == 1, "{run}");
        }
        let returnable = free.keys().filter(|run| Used::of(tables.head(**run)) == Used::Returnable).count();
        let (mut aged, mut older, mut at) = (0, NONE, runs.oldest);
        while at != NONE {
            let head = tables.head(at as usize);
            assert_eq!(head.older.load(Relaxed), older);
            assert!(
                older == NONE
                    || tables.head(older as usize).stamp.load(Relaxed) <= tables.head(at as usize).stamp.load(Relaxed)
            );
            (aged, older, at) = (aged + 1, at, head.newer.load(Relaxed));
        }
        assert_eq!((aged, runs.newest), (returnable, older));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take { len: usize, align: u32, dirtiest: bool },
        Give { which: usize, used: usize },
        Extend { which: usize, more: usize },
        Old { age: u32 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let len = prop_oneof![1..4usize, 1..80usize];
        let step = prop_oneof![
            4 => (len.clone(), 0..8u32, prop::bool::weighted(0.2))
                .prop_map(|(len, align, dirtiest)| Step::Take { len, align, dirtiest }),
            4 => (any::<usize>(), 0..3usize).prop_map(|(which, used)| Step::Give { which, used }),
            1 => (any::<usize>(), len).prop_map(|(which, more)| Step::Extend { which, more }),
            1 => (0..20u32).prop_map(|age| Step::Old { age }),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_are_given_once_and_nothing_between_them_is_lost(steps in steps()) {
            let tables = Table::new();
            let mut runs = Runs::new();
            let mut owned = BTreeMap::new();
            for (now, step) in steps.into_iter().enumerate() {
                let now = now as u32;
                let pick = |owned: &BTreeMap<usize, usize>, which: usize| {
                    owned.iter().nth(which % owned.len().max(1)).map(|(run, len)| (*run, *len))
                };
                match step {
                    Step::Take { len, align, dirtiest } => {
                        let wish = Wish { len, align: 1 << align };
                        let fits = |start: usize, end: usize| Runs::aligned(&tables, start, wish.align) + len <= end;
                        let mut possible = fits(runs.last_free(&tables).unwrap_or(runs.top), SLICES);
                        runs.each(&tables, 0, |run, free| possible |= fits(run, run + free));
                        let mut least_clean = None;
                        runs.each(&tables, 0, |run, free| {
                            let start = Runs::aligned(&tables, run, wish.align);
                            let clean = || tables.count_clean(start..start + len);
                            least_clean = least_clean.into_iter().chain((start + len <= run + free).then(clean)).min();
                        });
                        let taken = match dirtiest {
                            true => {
                                let taken = runs.take_dirtiest(&tables, wish);
                                let clean = taken.map(|start| tables.count_clean(start..start + len));
                                assert!(least_clean.is_none_or(|least| clean.is_some_and(|clean| clean <= least)));
                                taken.or_else(|| runs.take(&tables, wish, |_| true))
                            }
                            false => runs.take(&tables, wish, |_| true),
                        };
                        assert_eq!(taken.is_some(), possible);
                        if let Some(start) = taken {
                            assert!((tables.base().addr().get() / SLICE + start).is_multiple_of(1 << align));
                            scribble(&tables, start, len);
                            owned.insert(start, len);
                        }
                    }
                    Step::Give { which, used } => {
                        if let Some((run, len)) = pick(&owned, which) {
                            owned.remove(&run);
                            let used = [Used::No, Used::Stuck, Used::Returnable][used];
                            tables.set_dirty(run..run + len, false);
                            tables.set_dirty(run + len / 2..run + len, used != Used::No);
                            runs.give(&tables, run, len, now, used);
                        }
                    }
                    Step::Extend { which, more } => {
                        if let Some((run, len)) = pick(&owned, which) {
                            let after = owned.range(run + 1..).next().map_or(SLICES, |(next, _)| *next);
                            let extended = runs.extend(&tables, run, len, len + more, |_| true);
                            assert_eq!(extended, run + len + more <= after);
                            if extended {
                                scribble(&tables, run, len + more);
                                owned.insert(run, len + more);
                            }
                        }
                    }
                    Step::Old { age } => {
                        if let Some((run, len)) = runs.take_old(&tables, now, age) {
                            assert!(now - tables.head(run).stamp.load(Relaxed) >= age);
                            scribble(&tables, run, len);
                            tables.set_dirty(run..run + len, false);
                            runs.give(&tables, run, len, now, Used::No);
                        }
                    }
                }
                check(&runs, &tables, &owned);
            }
            for (run, len) in std::mem::take(&mut owned) {
                tables.set_dirty(run..run + len, false);
                runs.give(&tables, run, len, 1000, Used::No);
            }
            check(&runs, &tables, &owned);
            assert_eq!(runs.longest(&tables), SLICES);
        }
    }

    #[test]
    fn a_run_is_as_old_as_the_longest_part_of_it() {
        let tables = Table::new();
        let mut runs = Runs::new();
        let mut take = |len| runs.take(&tables, Wish { len, align: 1 }, |_| true).unwrap();
        let (long, short, other) = (take(10), take(2), take(5));
        runs.give(&tables, long, 10, 100, Used::Returnable);
        runs.give(&tables, other, 5, 200, Used::Returnable);
        runs.give(&tables, short, 2, 300, Used::Returnable);
        assert_eq!(runs.take_old(&tables, 199, 100), None);
        assert_eq!(runs.take_old(&tables, 200, 100), Some((long, 17)));
        // What was freed after the clock was read is not ancient.
        runs.give(&tables, long, 17, 400, Used::Returnable);
        assert_eq!(runs.take_old(&tables, 399, 1), None);
        // What is zeros, however long, has no age.
        let (start, long) = runs.take_old(&tables, 401, 1).unwrap();
        runs.give(&tables, start, 2, 500, Used::Returnable);
        runs.give(&tables, start + 2, long - 2, 600, Used::No);
        assert_eq!(runs.take_old(&tables, 600, 100), Some((start, long)));
    }
}
