//! Heaps of several threads, side by side; and requests from other threads to collect.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bhc_rts_alloc::general::{Collection, Collection::*, Safepoint, raw::RootVisitor};
use bhc_rts_alloc::{GeneralHeap, MemoryRegion};

use super::shapes::*;

/// A minute is for ever.
const PATIENCE: Duration = Duration::from_secs(60);

fn collections(heap: &GeneralHeap) -> u64 {
    heap.gc_stats().minor_collections + heap.gc_stats().full_collections
}

#[test]
fn heaps_of_threads_do_not_see_each_other() {
    let start = Barrier::new(4);
    thread::scope(|threads| {
        for thread in 0..4_u64 {
            let start = &start;
            threads.spawn(move || {
                start.wait();
                for round in 0..6 {
                    let mut heap = GeneralHeap::builder().nursery(64 << 10).verify(round == 0).build();
                    let len = 10_000 + thread * 1000 + round;
                    let list = list(&mut heap, len);
                    let bytes = heap.bytes();
                    let layout = std::alloc::Layout::from_size_align(1000, 64).unwrap();
                    let block = bytes.alloc(layout).unwrap();
                    heap.collect(Full);
                    assert!(heads(list.get(&heap)).eq((0..len).rev()));
                    assert_eq!(heap.gc_stats().live_after_full as u64, len * 24);
                    // SAFETY: allocated above.
                    unsafe { bytes.dealloc(block, layout) };
                }
            });
        }
    });
}

/// A mutator of each kind, until it is told to stop; what it does finds requests.
type Mutator = fn(&mut GeneralHeap, u64);

const MUTATORS: [(&str, Mutator); 6] = [
    ("objects", |heap, value| drop(number(heap, value))),
    ("a reservation", |heap, value| {
        let space = heap.reserve(100);
        let _ = space.new_gc::<Number>(NumberInit { value });
    }),
    ("arrays", |heap, value| drop(heap.new_pointers::<Number>(value as usize % 50))),
    ("large arrays", |heap, _| drop(heap.new_pointers::<Number>(2000))),
    ("raw objects", |heap, value| {
        // SAFETY: a leaf has no pointers.
        unsafe { leaf(heap.raw(), value as usize) };
    }),
    ("no objects", |heap, _| heap.safepoint()),
];

#[test]
fn every_request_is_honoured_at_the_next_safepoint() {
    // One request at a time, from another thread: after it has been made, the next step collects.
    for (name, mutate) in MUTATORS {
        for kind in [Minor, Full] {
            let mut heap = GeneralHeap::builder().nursery(8 << 20).growth(u32::MAX, usize::MAX).build();
            let safepoint = heap.safepoint_handle();
            let (ask, asked) = mpsc::channel();
            let (tell, told) = mpsc::channel();
            thread::scope(|threads| {
                threads.spawn(move || {
                    while asked.recv().is_ok() {
                        safepoint.request(kind);
                        tell.send(()).unwrap();
                    }
                });
                for value in 0..50 {
                    mutate(&mut heap, value);
                    assert_eq!(collections(&heap), value, "{name}, {kind:?}");
                    ask.send(()).unwrap();
                    told.recv().unwrap();
                    mutate(&mut heap, value);
                    assert_eq!(collections(&heap), value + 1, "{name}, {kind:?}");
                    let full = if kind == Full { value + 1 } else { 0 };
                    assert_eq!(heap.gc_stats().full_collections, full, "{name}");
                }
                drop(ask);
            });
        }
    }
}

#[test]
fn no_request_is_lost_while_the_heap_is_busy() {
    const REQUESTS: u64 = 200;
    for (name, mutate) in MUTATORS {
        // No full collection but those that are asked for.
        let mut heap = GeneralHeap::builder().nursery(16 << 10).growth(u32::MAX, usize::MAX).build();
        let (full, minor) = (heap.safepoint_handle(), heap.safepoint_handle());
        let done = &AtomicU64::new(0);
        thread::scope(|threads| {
            // One thread waits for each collection that it has asked for: a request that is lost is waited for in
            // vain. Another asks for others in between.
            let waiting = threads.spawn(move || {
                for request in 0..REQUESTS {
                    full.request(Full);
                    let start = Instant::now();
                    while done.load(SeqCst) <= request {
                        thread::yield_now();
                        assert!(start.elapsed() < PATIENCE, "{name}: request {request} was lost");
                    }
                }
            });
            let others = threads.spawn(move || {
                for _ in 0..REQUESTS {
                    minor.request(Minor);
                    thread::yield_now();
                }
            });
            let mut value = 0;
            while !(waiting.is_finished() && others.is_finished()) {
                mutate(&mut heap, value);
                done.store(heap.gc_stats().full_collections, SeqCst);
                value += 1;
                if value % 16 == 0 {
                    thread::yield_now();
                }
            }
            waiting.join().unwrap();
        });
        // Each request is one collection, and none is left over.
        heap.safepoint();
        assert_eq!(heap.gc_stats().full_collections, REQUESTS, "{name}");
        let before = collections(&heap);
        heap.safepoint();
        assert_eq!(collections(&heap), before, "{name}");
        heap.verify().unwrap();
    }
}

#[test]
fn a_request_in_the_middle_of_a_collection_is_for_another_one() {
    /// What the callback has: how often it has yet to ask.
    struct Asks {
        safepoint: Safepoint,
        left: u32,
    }
    unsafe extern "C" fn ask(_: &mut RootVisitor<'_>, data: *mut c_void) {
        // SAFETY: what was registered below.
        let asks = unsafe { &mut *data.cast::<Asks>() };
        if asks.left > 0 {
            asks.left -= 1;
            thread::scope(|threads| threads.spawn(|| asks.safepoint.request(Full)).join().unwrap());
        }
    }
    for (name, mutate) in MUTATORS {
        let mut heap = GeneralHeap::new();
        let asks = Box::into_raw(Box::new(Asks { safepoint: heap.safepoint_handle(), left: 3 }));
        // SAFETY: a callback that shows nothing, as there is nothing; what it has is freed after the heap.
        unsafe { heap.raw().set_root_callback(Some(ask), asks.cast()) };
        heap.collect(Minor);
        for value in 1..=3 {
            mutate(&mut heap, value);
            assert_eq!(heap.gc_stats().full_collections, value, "{name}");
        }
        mutate(&mut heap, 4);
        assert_eq!(collections(&heap), 4, "{name}");
        drop(heap);
        // SAFETY: made above, and nobody uses it any more.
        drop(unsafe { Box::from_raw(asks) });
    }
}

#[test]
fn a_request_that_a_refusal_comes_between_is_kept() {
    let mut heap = GeneralHeap::builder().limit(16 << 20).build();
    let safepoint = heap.safepoint_handle();
    safepoint.request(Full);
    assert!(heap.try_reserve(1 << 30).is_err());
    heap.safepoint();
    assert_eq!(heap.gc_stats().full_collections, 1);
}

#[test]
fn requests_before_a_collection_are_one_and_the_strongest_counts() {
    let mut heap = GeneralHeap::new();
    for (requests, expected) in [
        (&[Minor, Minor, Minor][..], (1, 0)),
        (&[Minor, Full, Minor], (0, 1)),
        (&[Full, Minor, Minor], (0, 1)),
        (&[Full, Full], (0, 1)),
    ] {
        let before = heap.gc_stats();
        let handles: Vec<Safepoint> = requests.iter().map(|_| heap.safepoint_handle()).collect();
        thread::scope(|threads| {
            for (request, handle) in requests.iter().zip(&handles) {
                threads.spawn(move || handle.request(*request)).join().unwrap();
            }
        });
        (0..3).for_each(|_| heap.safepoint());
        let after = heap.gc_stats();
        let made =
            (after.minor_collections - before.minor_collections, after.full_collections - before.full_collections);
        assert_eq!(made, expected, "{requests:?}");
    }
}

#[test]
fn a_handle_may_outlive_its_heap_on_another_thread() {
    let (send, receive) = mpsc::channel::<Safepoint>();
    let other = thread::spawn(move || {
        let handles: Vec<_> = receive.into_iter().collect();
        for handle in &handles {
            handle.request(Full);
            assert!(format!("{handle:?}").contains("Safepoint"));
        }
        handles.len()
    });
    for value in 0..50 {
        let mut heap = GeneralHeap::new();
        number(&mut heap, value);
        send.send(heap.safepoint_handle()).unwrap();
    }
    drop(send);
    assert_eq!(other.join().unwrap(), 50);
}

#[test]
fn a_thread_may_end_with_its_heap_and_its_roots_in_thread_locals() {
    use std::cell::RefCell;
    thread_local! {
        static HEAP: RefCell<Option<GeneralHeap>> = const { RefCell::new(None) };
        static ROOTS: RefCell<Vec<bhc_rts_alloc::Root<Number>>> = const { RefCell::new(Vec::new()) };
    }
    // Whichever destructor comes first.
    for heap_first in [false, true] {
        thread::spawn(move || {
            if heap_first {
                HEAP.with(|_| ());
            } else {
                ROOTS.with(|_| ());
            }
            let mut heap = GeneralHeap::new();
            let roots: Vec<_> = (0..1000).map(|value| number(&mut heap, value)).collect();
            heap.collect(Collection::Full);
            ROOTS.with(|slot| *slot.borrow_mut() = roots);
            HEAP.with(|slot| *slot.borrow_mut() = Some(heap));
        })
        .join()
        .unwrap();
    }
}
