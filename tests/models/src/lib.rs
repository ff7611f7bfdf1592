//! Models of what threads share in `bhc-rts-alloc`, checked in every interleaving that loom can make of them.
#![cfg(all(bhc_loom, test))]

#[path = "../../../src/stats.rs"]
#[expect(dead_code, reason = "the models use a part")]
mod stats;
#[path = "../../../src/sync.rs"]
#[expect(unused_imports, reason = "as above")]
mod sync;

/// What `class` needs of the file of this name. The rest of it shares nothing.
mod runs {
    pub(crate) const SLICE: usize = 8 << 10;
}

#[path = "../../../src/class.rs"]
mod class;
#[path = "../../../src/system/ledger.rs"]
mod ledger;

mod pinned;

mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::ledger::{Ledger, Tally, UNTOLD};

    fn make() -> Option<&'static Tally> {
        Some(Box::leak(Box::new(Tally::new())))
    }

    /// What a thread does in its life: claim a tally, allocate, free, end.
    fn life(ledger: &Ledger, size: usize) {
        let own = ledger.claim(make);
        ledger.record_alloc(own, size);
        ledger.record_dealloc(own, size);
        ledger.release(own.unwrap());
    }

    #[test]
    fn sums_are_exact_whichever_thread_inherits_whose_tally() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            let other = {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || life(&ledger, 10))
            };
            life(&ledger, 1);
            life(&ledger, 2); // may take over what the other thread left
            other.join().unwrap();
            let stats = ledger.snapshot();
            assert_eq!((stats.total_allocated, stats.total_deallocated, stats.current_live), (13, 13, 0));
            assert_eq!((stats.allocation_count, stats.deallocation_count), (3, 3));
            assert!((10..=13).contains(&stats.peak_usage), "small blocks are told when the thread ends at the latest");
        });
    }

    #[test]
    fn the_peak_misses_nothing_large_that_was_live_at_once() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            let other = {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || {
                    let own = ledger.claim(make);
                    ledger.record_alloc(own, 10 * UNTOLD);
                    ledger.release(own.unwrap());
                })
            };
            let own = ledger.claim(make);
            ledger.record_alloc(own, UNTOLD);
            other.join().unwrap();
            assert_eq!(ledger.snapshot().peak_usage, 11 * UNTOLD);
            ledger.record_realloc(own, UNTOLD, 5 * UNTOLD);
            ledger.record_dealloc(own, 5 * UNTOLD);
            let stats = ledger.snapshot();
            assert_eq!((stats.peak_usage, stats.current_live), (15 * UNTOLD, 10 * UNTOLD));
        });
    }

    #[test]
    fn small_blocks_freed_by_another_thread_add_up() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            let own = ledger.claim(make);
            ledger.record_alloc(own, 100);
            let other = {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || {
                    let own = ledger.claim(make);
                    ledger.record_dealloc(own, 100); // it has told nothing, and knows less than nothing
                    ledger.record_alloc(own, 7);
                    ledger.release(own.unwrap());
                })
            };
            ledger.record_alloc(own, 10);
            other.join().unwrap();
            let stats = ledger.snapshot();
            assert_eq!(stats.current_live, 17);
            assert!((110..=117).contains(&stats.peak_usage), "{}", stats.peak_usage);
        });
    }

    #[test]
    fn two_threads_never_have_one_tally() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            ledger.release(ledger.claim(make).unwrap()); // one to compete for
            let other = {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || std::ptr::from_ref(ledger.claim(make).unwrap()).addr())
            };
            let own = std::ptr::from_ref(ledger.claim(make).unwrap()).addr();
            assert_ne!(own, other.join().unwrap());
        });
    }

    #[test]
    fn counting_together_without_tallies_loses_nothing() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            let other = {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || {
                    ledger.record_alloc(None, 10);
                    ledger.record_failure(None);
                })
            };
            ledger.record_alloc(None, 1);
            other.join().unwrap();
            let stats = ledger.snapshot();
            assert_eq!((stats.failed_allocations, stats.total_allocated, stats.peak_usage), (1, 11, 11));
        });
    }
}
