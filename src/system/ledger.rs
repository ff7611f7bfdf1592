//! Statistics for a region that all threads share, without an atomic read-modify-write on the way of a block.
//!
//! # Note: what is shared and what is not
//! Totals and counts are sums that can wait until somebody asks: each thread counts in a [`Tally`] of its own, with plain
//! loads and stores, and [`Ledger::snapshot`] adds them up. They are exact.
//!
//! The peak cannot wait, since it is about all threads at one moment. If every change of the live bytes went through one
//! number it would be exact, and every block would pay for it: an atomic addition takes 2 ns alone, waits for all the
//! stores before it (it made `from_slice` of 1 KiB 2 ns slower than the sum of its parts), and 50 ns and more when
//! threads allocate at the same moment. So a thread tells the others of its changes only once they add up to
//! [`UNTOLD`] bytes. What it knows is what all have told and what it has not told itself: with one thread the peak is
//! exact, and each other running thread can make it wrong by at most [`UNTOLD`]. Large blocks are told at once.
//!
//! Invariants:
//! * L1. A tally with `taken` set has one writer, the thread that set it. Setting is an acquire, clearing a release, so
//!   the next owner goes on from the numbers that the last one left.
//! * L2. Tallies are never freed; a thread that ends gives its own back for another thread. There are as many as there
//!   were ever threads *at once*.
//! * L3. A block is counted as live before its pointer is given out, and no longer before its memory is given back: at
//!   rest `told` and all `untold` add up to what is live. Each of them may be below zero, where threads free what others
//!   allocated; they are numbers modulo the word size, read as signed.
//!
//! Threads that have no tally (before there is memory for one, after their thread-local storage is gone, or in a profile
//! without threads) count in [`Ledger::shared`] with atomic additions and tell everything at once.

#![cfg_attr(not(any(feature = "std", bhc_loom)), expect(dead_code, reason = "nobody has a tally without threads"))]

use core::ptr;

use crate::stats::AllocStats;
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*, const_unless_loom};

/// The counters of one thread. Two cache lines apart from the next, so that no two threads write to one.
#[repr(align(128))]
pub(crate) struct Tally {
    allocated: AtomicUsize,
    deallocated: AtomicUsize,
    allocations: AtomicUsize,
    deallocations: AtomicUsize,
    failures: AtomicUsize,
    /// The change of the live bytes that this thread has not told yet: less than `UNTOLD`, either way.
    untold: AtomicUsize,
    taken: AtomicBool,
    /// The next older tally of the ledger. Written before the tally is published, never after.
    next: AtomicPtr<Tally>,
}

impl Tally {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                allocated: AtomicUsize::new(0),
                deallocated: AtomicUsize::new(0),
                allocations: AtomicUsize::new(0),
                deallocations: AtomicUsize::new(0),
                failures: AtomicUsize::new(0),
                untold: AtomicUsize::new(0),
                taken: AtomicBool::new(true),
                next: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }
}

/// How many bytes of change a thread keeps to itself, less one.
pub(crate) const UNTOLD: usize = 16 << 10;

/// The statistics of one region.
pub(crate) struct Ledger {
    /// The live bytes that threads have told of; L3.
    told: AtomicUsize,
    peak: AtomicUsize,
    shared: Tally,
    newest: AtomicPtr<Tally>,
}

/// Adds to a counter that only this thread writes (L1).
#[inline]
fn add_alone(counter: &AtomicUsize, amount: usize) {
    counter.store(counter.load(Relaxed).saturating_add(amount), Relaxed);
}

/// Adds to a counter that anybody may write.
#[cold]
fn add_together(counter: &AtomicUsize, amount: usize) {
    let _ = counter.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_add(amount)));
}

impl Ledger {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                told: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
                shared: Tally::new(),
                newest: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// Counts an allocation; `own` is the calling thread's tally, if it has one.
    #[inline]
    pub(crate) fn record_alloc(&self, own: Option<&Tally>, size: usize) {
        self.change_live(own, size);
        self.add(own, |tally| [(&tally.allocated, size), (&tally.allocations, 1)]);
    }

    /// Counts a deallocation.
    #[inline]
    pub(crate) fn record_dealloc(&self, own: Option<&Tally>, size: usize) {
        self.change_live(own, size.wrapping_neg());
        self.add(own, |tally| [(&tally.deallocated, size), (&tally.deallocations, 1)]);
    }

    /// Counts a change of size: an allocation and a deallocation that were never live together.
    #[inline]
    pub(crate) fn record_realloc(&self, own: Option<&Tally>, old_size: usize, new_size: usize) {
        self.change_live(own, new_size.wrapping_sub(old_size));
        self.add(own, |tally| {
            [
                (&tally.allocated, new_size),
                (&tally.allocations, 1),
                (&tally.deallocated, old_size),
                (&tally.deallocations, 1),
            ]
        });
    }

    /// Counts a request that was refused.
    #[cold]
    pub(crate) fn record_failure(&self, own: Option<&Tally>) {
        self.add(own, |tally| [(&tally.failures, 1)]);
    }

    #[inline]
    fn add<'a, const N: usize>(
        &'a self,
        own: Option<&'a Tally>,
        changes: impl FnOnce(&'a Tally) -> [(&'a AtomicUsize, usize); N],
    ) {
        match own {
            Some(tally) => changes(tally).into_iter().for_each(|(counter, amount)| add_alone(counter, amount)),
            None => changes(&self.shared).into_iter().for_each(|(counter, amount)| add_together(counter, amount)),
        }
    }

    /// Adds `change` (signed) to the live bytes, and raises the peak to what this thread knows.
    #[inline]
    fn change_live(&self, own: Option<&Tally>, change: usize) {
        let live = match own {
            Some(tally) => {
                let untold = tally.untold.load(Relaxed).wrapping_add(change);
                if untold.wrapping_add(UNTOLD - 1) < 2 * UNTOLD - 1 {
                    tally.untold.store(untold, Relaxed);
                    self.told.load(Relaxed).wrapping_add(untold)
                } else {
                    tally.untold.store(0, Relaxed);
                    self.tell(untold)
                }
            }
            None => self.tell(change),
        };
        self.raise_peak(live);
    }

    /// Tells all threads of a change; returns what is live then.
    fn tell(&self, change: usize) -> usize {
        self.told.fetch_add(change, Relaxed).wrapping_add(change)
    }

    /// The peak only grows: if `live` is not above a value it once had, it is not above the one it has.
    #[inline]
    fn raise_peak(&self, live: usize) {
        if live.cast_signed() > self.peak.load(Relaxed).cast_signed() {
            self.peak.fetch_max(live, Relaxed);
        }
    }

    /// Gives a tally back, when its thread ends.
    pub(crate) fn release(&self, own: &Tally) {
        self.tell(own.untold.load(Relaxed));
        own.untold.store(0, Relaxed);
        own.taken.store(false, Release);
    }

    /// A tally for the calling thread alone, until it [releases](Self::release) it: one that an ended thread left, or
    /// what `make` gives (already taken, never to be freed).
    pub(crate) fn claim(&self, make: impl FnOnce() -> Option<&'static Tally>) -> Option<&'static Tally> {
        let mut at = self.newest.load(Acquire);
        // SAFETY: only `&'static` tallies were ever linked (below), with a release that the load above acquires.
        while let Some(tally) = unsafe { at.as_ref::<'static>() } {
            if !tally.taken.load(Relaxed) && !tally.taken.swap(true, Acquire) {
                return Some(tally);
            }
            at = tally.next.load(Relaxed);
        }
        let tally = make()?;
        let mut newest = self.newest.load(Relaxed);
        loop {
            tally.next.store(newest, Relaxed);
            match self.newest.compare_exchange_weak(newest, ptr::from_ref(tally).cast_mut(), Release, Relaxed) {
                Ok(_) => return Some(tally),
                Err(other) => newest = other,
            }
        }
    }

    /// The sums. Exact when no other call is in progress; otherwise what threads are just doing may be seen in part.
    pub(crate) fn snapshot(&self) -> AllocStats {
        let mut stats = AllocStats::default();
        let mut live = self.told.load(Relaxed);
        let mut sum = |tally: &Tally| {
            for (total, counter) in [
                (&mut stats.total_allocated, &tally.allocated),
                (&mut stats.total_deallocated, &tally.deallocated),
                (&mut stats.allocation_count, &tally.allocations),
                (&mut stats.deallocation_count, &tally.deallocations),
                (&mut stats.failed_allocations, &tally.failures),
            ] {
                *total = total.saturating_add(counter.load(Relaxed));
            }
            live = live.wrapping_add(tally.untold.load(Relaxed));
        };
        sum(&self.shared);
        let mut at = self.newest.load(Acquire);
        // SAFETY: as in `claim`.
        while let Some(tally) = unsafe { at.as_ref::<'static>() } {
            sum(tally);
            at = tally.next.load(Relaxed);
        }
        // While threads go on, parts of one change may be seen and others not.
        stats.current_live = live.cast_signed().max(0).cast_unsigned();
        stats.peak_usage = self.peak.load(Relaxed).max(stats.current_live);
        stats
    }
}
