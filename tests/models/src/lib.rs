//! Models of what threads share in `bhc-rts-alloc`, checked in every interleaving that loom can make of them.
#![cfg(all(bhc_loom, test))]

#[path = "../../../src/stats.rs"]
#[expect(dead_code, reason = "the models use a part")]
mod stats;
#[path = "../../../src/sync.rs"]
mod sync;

#[path = "../../../src/system/ledger.rs"]
mod ledger;

mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::ledger::{Ledger, Tally};

    fn make() -> Option<&'static Tally> {
        Some(Box::leak(Box::new(Tally::new())))
    }

    /// What a thread does in its life: claim a tally, allocate, free, end.
    fn life(ledger: &Ledger, size: usize) {
        let own = ledger.claim(make);
        ledger.record_alloc(own, size);
        ledger.record_dealloc(own, size);
        own.unwrap().release();
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
            assert!((10..=12).contains(&stats.peak_usage));
        });
    }

    #[test]
    fn the_peak_misses_nothing_that_was_live_at_once() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            let other = {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || ledger.record_alloc(None, 10))
            };
            ledger.record_alloc(None, 1);
            other.join().unwrap();
            assert_eq!(ledger.snapshot().peak_usage, 11);
            ledger.record_realloc(None, 1, 5);
            assert_eq!(ledger.snapshot().peak_usage, 15);
        });
    }

    #[test]
    fn two_threads_never_have_one_tally() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new());
            ledger.claim(make).unwrap().release(); // one to compete for
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
                thread::spawn(move || ledger.record_failure(None))
            };
            ledger.record_failure(None);
            other.join().unwrap();
            assert_eq!(ledger.snapshot().failed_allocations, 2);
        });
    }
}
