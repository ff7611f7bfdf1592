//! [`Tally`]: what one thread counts in one heap, exactly, in three words and three plain additions for a pair of
//! allocation and free.
//!
//! # Note: packed counters
//! An addition to memory that the next operation adds to again costs its latency, five to seven cycles, and there are few
//! places for such chains beside that of the magazine's top. So numbers share words:
//!
//! * [`given`](Tally::given) adds up allocations and their bytes: a count above bit 41, bytes below. A count is at most 2^23
//!   and a small block at most 2^16 bytes, so the bytes never reach the count. The addition's carry says when the count is
//!   full; then both move to wide counters. (Large blocks are counted there at once.)
//! * [`room`](Tally::room) is how many bytes may be allocated before the peak is passed, above bit 16, and below it how many
//!   blocks more were allocated than freed, from the last [`fold`](Tally::fold) on. Its sign says when the peak is passed:
//!   [`over`](Tally::over) then grows by how far. A fold follows at every exchange of a magazine, so the count stays below
//!   44 × 126 either way.
//!
//! What is freed is not counted: it is what was allocated and does not live.
//!
//! # Note: the peak
//! It is about all threads at one moment, and they meet at folds only. With one thread it is exact: a fold gives it the
//! distance to the peak as `room`, and what it then goes `over` is added. With more, each other thread can hide what
//! it moved since its last fold: a magazine of each class and some changes of size, [`UNTOLD`] bytes, at most. So can the one
//! that folds, as its own highest moment need not have been that of the others.
//!
//! Invariants:
//! * T1. One thread at a time writes a tally: the one that has its cache, or the lock.
//! * T2. `version` is odd while numbers move between words; a reader that saw it change reads again.

use crate::stats::AllocStats;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::*, const_unless_loom};

use crate::class::{Class, LARGEST};

const COUNT: u32 = 41;
const BLOCKS: u32 = 16;
/// No blocks more and none less: the middle of the low half of `room`.
const NO_BLOCKS: u64 = 1 << (BLOCKS - 1);
/// As much room as fits, and then some for what is freed.
const MOST_ROOM: u64 = 1 << 45;

const _: () =
    assert!((LARGEST as u64) << (64 - COUNT) < 1 << COUNT, "the bytes of 2^23 blocks do not reach their count");

/// How much changes of size may add to what a thread hides from the peak, in bytes.
const MOST_HIDDEN: usize = 64 << 10;

/// What one thread can hide from the peak, in bytes: of each class a magazine, and changes of size.
pub(crate) const UNTOLD: usize = {
    let (mut sum, mut index) = (MOST_HIDDEN + LARGEST, 0);
    while let Some(class) = Class::from_index(index) {
        sum += class.capacity() * class.size();
        index += 1;
    }
    sum
};

/// What all tallies of a heap share.
pub(crate) struct Level {
    /// The bytes that live, as far as folds have told; below zero for a moment, where threads free what others allocated
    /// and have not told: a number modulo 2^64.
    live: AtomicU64,
    peak: AtomicU64,
}

impl Level {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self { live: AtomicU64::new(0), peak: AtomicU64::new(0) }
        }
    }

    /// Adds to what lives. Returns what does then, and how far it is below the peak, which grows if it must: by `rise` the
    /// level was higher than before meanwhile.
    fn tell(&self, change: u64, rise: u64) -> u64 {
        let before = self.live.fetch_add(change, Relaxed);
        let now = before.wrapping_add(change).cast_signed();
        let highest = now.max(before.wrapping_add(rise).cast_signed()).max(0).cast_unsigned();
        let peak = self.peak.fetch_max(highest, Relaxed).max(highest);
        (peak.cast_signed() - now.max(0)).cast_unsigned()
    }

    /// What lives, as far as folds have told.
    pub(crate) fn told(&self) -> u64 {
        self.live.load(Relaxed)
    }

    /// The peak, which is not less than `at_least`. It never falls.
    fn peak(&self, at_least: u64) -> u64 {
        self.peak.fetch_max(at_least, Relaxed).max(at_least)
    }
}

/// The counters of one thread in one heap.
#[repr(C)]
pub(crate) struct Tally {
    given: AtomicU64,
    room: AtomicU64,
    over: AtomicU64,
    // What follows changes at folds only.
    /// What `room` was at the last fold.
    lent: AtomicU64,
    version: AtomicUsize,
    allocations: AtomicU64,
    allocated: AtomicU64,
    /// Blocks and bytes, allocated less freed, to the last fold; modulo 2^64, as a thread may free what others allocated.
    live_blocks: AtomicU64,
    live: AtomicU64,
}

/// What a tally says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    allocations: u64,
    allocated: u64,
    live_blocks: u64,
    live: u64,
    /// The part of `live` of which the level has not been told.
    untold: u64,
    /// How far the level has been above its last value, of which it does not know yet.
    rise: u64,
}

/// Keeps the compiler from making one instruction of load, addition and store. Such an instruction waits seven cycles for
/// the one before it on the same word; three separate ones are renamed by the CPU and do not wait.
#[inline(always)]
fn unfused(mut value: u64) -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri), not(bhc_loom)))]
    // SAFETY: no instruction at all.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
    }
    let _ = &mut value;
    value
}

impl Tally {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                given: AtomicU64::new(0),
                room: AtomicU64::new(NO_BLOCKS),
                over: AtomicU64::new(0),
                lent: AtomicU64::new(0),
                version: AtomicUsize::new(0),
                allocations: AtomicU64::new(0),
                allocated: AtomicU64::new(0),
                live_blocks: AtomicU64::new(0),
                live: AtomicU64::new(0),
            }
        }
    }

    /// Counts the allocation of a small block. The caller has the tally, as with all that follows (T1).
    #[inline(always)]
    pub(crate) fn record_alloc(&self, size: usize) {
        self.count(size);
        self.take_room(((size as u64) << BLOCKS) - 1);
    }

    /// Counts the deallocation of a small block.
    #[inline(always)]
    pub(crate) fn record_dealloc(&self, size: usize) {
        let room = unfused(self.room.load(Relaxed)).wrapping_add(((size as u64) << BLOCKS) - 1);
        self.room.store(room, Relaxed);
    }

    /// Counts a small block's change of size.
    #[inline]
    pub(crate) fn record_realloc(&self, old_size: usize, new_size: usize) {
        self.count(new_size);
        self.take_room((new_size as u64).wrapping_sub(old_size as u64) << BLOCKS);
    }

    /// Whether so much has changed since the last fold that there should be one.
    pub(crate) fn hides_much(&self) -> bool {
        let highest = self.lent.load(Relaxed).wrapping_add(self.over.load(Relaxed));
        let change = highest.wrapping_sub(self.room.load(Relaxed) >> BLOCKS);
        change.cast_signed().unsigned_abs() > MOST_HIDDEN as u64
    }

    #[inline(always)]
    fn count(&self, size: usize) {
        let (given, full) = self.given.load(Relaxed).overflowing_add(1 << COUNT | size as u64);
        if full {
            self.count_wide(size);
        } else {
            self.given.store(given, Relaxed);
        }
    }

    #[cold]
    #[inline(never)]
    fn count_wide(&self, size: usize) {
        self.change(|| self.widen(size as u64, 1));
    }

    /// Moves what `given` has to the wide counters, and adds to them.
    fn widen(&self, bytes: u64, blocks: u64) {
        let given = self.given.load(Relaxed);
        self.given.store(0, Relaxed);
        add(&self.allocations, (given >> COUNT) + blocks);
        add(&self.allocated, (given & ((1 << COUNT) - 1)) + bytes);
    }

    #[inline(always)]
    fn take_room(&self, taken: u64) {
        let room = self.room.load(Relaxed).wrapping_sub(taken);
        if room.cast_signed() < 0 {
            let beyond = room.cast_signed() >> BLOCKS;
            add(&self.over, beyond.unsigned_abs());
            self.room.store(room & ((1 << BLOCKS) - 1), Relaxed);
        } else {
            self.room.store(room, Relaxed);
        }
    }

    /// Runs `change`, which moves numbers between words, so that readers see all of it or nothing (T2).
    fn change<R>(&self, change: impl FnOnce() -> R) -> R {
        let version = self.version.load(Relaxed);
        self.version.store(version + 1, Relaxed);
        crate::sync::fence(Release);
        let result = change();
        self.version.store(version + 2, Release);
        result
    }

    /// Tells the level of all changes since the last time.
    pub(crate) fn fold(&self, level: &Level) {
        self.fold_with(level, 0, 0);
    }

    /// Counts a large block that comes (`new_size` not 0), goes (`old_size`), or changes its size.
    pub(crate) fn record_large(&self, level: &Level, old_size: usize, new_size: usize) {
        self.fold_with(level, old_size as u64, new_size as u64);
    }

    /// How far above its value at the last fold this tally has brought the level, if that was above the peak.
    fn rise(&self) -> u64 {
        match self.over.load(Relaxed) {
            0 => 0,
            over => self.lent.load(Relaxed).wrapping_add(over),
        }
    }

    fn fold_with(&self, level: &Level, old_size: u64, new_size: u64) {
        self.change(|| {
            let room = self.room.load(Relaxed);
            let highest = self.lent.load(Relaxed) + self.over.load(Relaxed);
            let small = highest.wrapping_sub(room >> BLOCKS);
            let blocks = (room & ((1 << BLOCKS) - 1)).wrapping_sub(NO_BLOCKS);
            let rise = self.rise();
            let large = new_size.wrapping_sub(old_size);
            let change = small.wrapping_add(large);
            let lent = level.tell(change, rise).min(MOST_ROOM);
            self.lent.store(lent, Relaxed);
            self.over.store(0, Relaxed);
            self.room.store(lent << BLOCKS | NO_BLOCKS, Relaxed);
            let came = u64::from(new_size != 0).wrapping_sub(u64::from(old_size != 0));
            add(&self.live_blocks, blocks.wrapping_add(came));
            add(&self.live, change);
            if new_size != 0 {
                self.widen(new_size, 1);
            }
        });
    }

    /// What it says now.
    pub(crate) fn counts(&self) -> Counts {
        loop {
            let version = self.version.load(Acquire);
            let room = self.room.load(Relaxed);
            let highest = self.lent.load(Relaxed).wrapping_add(self.over.load(Relaxed));
            let given = self.given.load(Relaxed);
            let untold = highest.wrapping_sub(room >> BLOCKS);
            let counts = Counts {
                allocations: self.allocations.load(Relaxed) + (given >> COUNT),
                allocated: self.allocated.load(Relaxed) + (given & ((1 << COUNT) - 1)),
                live_blocks: self
                    .live_blocks
                    .load(Relaxed)
                    .wrapping_add((room & ((1 << BLOCKS) - 1)).wrapping_sub(NO_BLOCKS)),
                live: self.live.load(Relaxed).wrapping_add(untold),
                untold,
                rise: self.rise(),
            };
            crate::sync::fence(Acquire);
            if version.is_multiple_of(2) && self.version.load(Relaxed) == version {
                return counts;
            }
            crate::sync::yield_now();
        }
    }
}

/// Adds to a counter that only this thread writes.
#[inline(always)]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.allocations += other.allocations;
        self.allocated += other.allocated;
        self.live_blocks = self.live_blocks.wrapping_add(other.live_blocks);
        self.live = self.live.wrapping_add(other.live);
        self.untold = self.untold.wrapping_add(other.untold);
        self.rise = self.rise.max(other.rise);
    }

    /// The statistics of a heap of which these are the sums; `told` is what its level said *before* they were read.
    ///
    /// What lives is the sum of what the tallies say, each of which is read at one moment: exact while nobody allocates or
    /// frees, though a thread that has ended may be giving its cache back. While others go on they are read at
    /// different moments, and the sum may be far off, but never below zero. So the peak, which remembers, goes by what was
    /// told and what is untold: what happens meanwhile makes that wrong by no more than is untold.
    pub(crate) fn stats(self, level: &Level, told: u64, failed_allocations: usize) -> AllocStats {
        let above = |change: u64| told.wrapping_add(change).cast_signed().max(0).cast_unsigned();
        let live = self.live.cast_signed().max(0).cast_unsigned().min(self.allocated);
        let live_blocks = self.live_blocks.cast_signed().max(0).cast_unsigned().min(self.allocations);
        let risen = if self.rise > 0 { above(self.rise) } else { 0 };
        AllocStats {
            total_allocated: self.allocated as usize,
            total_deallocated: (self.allocated - live) as usize,
            current_live: live as usize,
            allocation_count: self.allocations as usize,
            deallocation_count: (self.allocations - live_blocks) as usize,
            peak_usage: level.peak(risen.max(above(self.untold))) as usize,
            failed_allocations,
        }
    }
}
