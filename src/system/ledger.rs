//! Exact statistics for a region that all threads share, at two uncontended atomic additions per block.
//!
//! # Note: what is shared and what is not
//! The peak of all threads together is exact only if every change of the live bytes goes through one number, so
//! [`Ledger::live`] is one atomic. Everything else is a sum that can wait until somebody asks: each thread counts in a
//! [`Tally`] of its own, with plain loads and stores, and [`Ledger::snapshot`] adds them up.
//!
//! Invariants:
//! * L1. A tally with `taken` set has one writer, the thread that set it. Setting is an acquire, clearing a release, so
//!   the next owner goes on from the numbers that the last one left.
//! * L2. Tallies are never freed; a thread that ends gives its own back for another thread. There are as many as there
//!   were ever threads *at once*.
//! * L3. A block is counted as live before its pointer is given out, and no longer before its memory is given back, so
//!   `live` is never negative and never more than what the allocator gave.
//!
//! Threads that have no tally (before there is memory for one, after their thread-local storage is gone, or in a profile
//! without threads) count in [`Ledger::shared`] with atomic additions.

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
                taken: AtomicBool::new(true),
                next: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// Gives the tally back, when its thread ends.
    pub(crate) fn release(&self) {
        self.taken.store(false, Release);
    }
}

/// The statistics of one region.
pub(crate) struct Ledger {
    live: AtomicUsize,
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
                live: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
                shared: Tally::new(),
                newest: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// Counts an allocation; `own` is the calling thread's tally, if it has one.
    #[inline]
    pub(crate) fn record_alloc(&self, own: Option<&Tally>, size: usize) {
        self.raise(size);
        self.add(own, |tally| [(&tally.allocated, size), (&tally.allocations, 1)]);
    }

    /// Counts a deallocation.
    #[inline]
    pub(crate) fn record_dealloc(&self, own: Option<&Tally>, size: usize) {
        self.lower(size);
        self.add(own, |tally| [(&tally.deallocated, size), (&tally.deallocations, 1)]);
    }

    /// Counts a change of size: an allocation and a deallocation that were never live together.
    #[inline]
    pub(crate) fn record_realloc(&self, own: Option<&Tally>, old_size: usize, new_size: usize) {
        if new_size >= old_size {
            self.raise(new_size - old_size);
        } else {
            self.lower(old_size - new_size);
        }
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

    #[inline]
    fn raise(&self, size: usize) {
        let live = self.live.fetch_add(size, Relaxed).wrapping_add(size);
        // The peak only grows: if `live` is not above a value it once had, it is not above the one it has.
        if live > self.peak.load(Relaxed) {
            self.peak.fetch_max(live, Relaxed);
        }
    }

    #[inline]
    fn lower(&self, size: usize) {
        let live = self.live.fetch_sub(size, Relaxed);
        debug_assert!(size <= live, "{size} bytes deallocated of {live} live");
    }

    /// A tally for the calling thread alone, until it [releases](Tally::release) it: one that an ended thread left, or
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

    /// The sums. Exact when no call is in progress; otherwise each number is one that it had at some moment of the call.
    pub(crate) fn snapshot(&self) -> AllocStats {
        let mut stats = AllocStats {
            current_live: self.live.load(Relaxed),
            peak_usage: self.peak.load(Relaxed),
            ..AllocStats::default()
        };
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
        };
        sum(&self.shared);
        let mut at = self.newest.load(Acquire);
        // SAFETY: as in `claim`.
        while let Some(tally) = unsafe { at.as_ref::<'static>() } {
            sum(tally);
            at = tally.next.load(Relaxed);
        }
        stats
    }
}
