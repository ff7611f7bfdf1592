//! The statistics are exact whenever no call is in progress, whoever freed what; read at any other moment they are never
//! absurd. The peak is exact with one thread, and within its stated bound with more.

use std::alloc::Layout;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use bhc_rts_alloc::{AllocStats, MemoryRegion, PinnedHeap, os::fault};

use super::vocabulary::{Filled, LARGEST, class_sizes, layout};

/// A plain generator of numbers (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % limit
    }

    /// Mostly of small blocks.
    fn size(&mut self) -> usize {
        match self.below(10) {
            0 => LARGEST + 1 + self.below(4 * LARGEST),
            1 | 2 => 1 + self.below(LARGEST),
            _ => 1 + self.below(600),
        }
    }
}

/// One step of a program on a heap, and the same in the books. A change of size in place never has both sizes live, one that
/// moves the block does.
fn step<'h>(heap: &'h PinnedHeap, live: &mut Vec<Filled<'h>>, books: &mut AllocStats, random: &mut Random) {
    match random.below(20) {
        0 => {
            let refused = heap.alloc(layout(1 << 45, 8));
            assert!(refused.is_err());
            books.record_failure();
        }
        1 if random.below(10) == 0 => heap.trim(),
        2..6 if !live.is_empty() => {
            let at = random.below(live.len());
            let block = &mut live[at];
            let (old, old_size, new_size) = (block.ptr(), block.layout().size(), random.size());
            block.resize(new_size).unwrap();
            if block.ptr() == old {
                books.record_dealloc(old_size);
                books.record_alloc(new_size);
            } else {
                books.record_alloc(new_size);
                books.record_dealloc(old_size);
            }
        }
        6..13 if live.len() > random.below(200) => {
            let block = live.swap_remove(random.below(live.len()));
            books.record_dealloc(block.layout().size());
        }
        _ => {
            let layout = layout(random.size(), 1 << random.below(10));
            live.push(Filled::new(heap, layout, random.below(256) as u8));
            books.record_alloc(layout.size());
        }
    }
}

#[test]
fn t15_with_one_thread_every_number_is_exact_after_every_step() {
    for (seed, builder) in [PinnedHeap::builder(), PinnedHeap::builder().thread_caches(false)].into_iter().enumerate() {
        let heap = builder.build();
        let (mut live, mut books) = (Vec::new(), AllocStats::default());
        let mut random = Random(0x9e37_79b9_7f4a_7c15 + seed as u64);
        for _ in 0..8000 {
            step(&heap, &mut live, &mut books, &mut random);
            assert_eq!(heap.stats(), books);
        }
        books.total_deallocated += books.current_live;
        (books.deallocation_count, books.current_live) = (books.allocation_count, 0);
        live.clear();
        assert_eq!(heap.stats(), books);
        assert_eq!(heap.usage().peak_error_bound, 0);
    }
}

/// Blocks and bytes.
#[derive(Clone, Copy, Default)]
struct Sum(usize, usize);

impl Sum {
    fn of(blocks: &[Filled<'_>]) -> Self {
        Self(blocks.len(), blocks.iter().map(|block| block.layout().size()).sum())
    }

    fn add(&mut self, other: Self) {
        (self.0, self.1) = (self.0 + other.0, self.1 + other.1);
    }
}

#[test]
fn t14_at_rest_all_counts_are_exact_whoever_freed_what() {
    const PAIRS: usize = 4;
    let heap = &PinnedHeap::new();
    let (mut given, mut gone, mut kept) = (Sum::default(), Sum::default(), Vec::new());
    for round in 0..6 {
        thread::scope(|threads| {
            let (report, reports) = mpsc::channel();
            for pair in 0..PAIRS {
                let (to, from) = mpsc::channel::<Filled<'_>>();
                let producer = threads.spawn(move || {
                    let mut random = Random(1 + (round * PAIRS + pair) as u64);
                    let mut given = Sum::default();
                    for _ in 0..800 {
                        let block = Filled::new(heap, layout(random.size(), 16), random.below(256) as u8);
                        given.add(Sum::of(std::slice::from_ref(&block)));
                        to.send(block).unwrap();
                    }
                    given
                });
                let report = report.clone();
                threads.spawn(move || {
                    let all: Vec<_> = from.into_iter().collect();
                    let given = producer.join().unwrap();
                    let (kept, dropped): (Vec<_>, Vec<_>) =
                        all.into_iter().enumerate().partition(|(at, _)| at % 3 == 0);
                    let dropped: Vec<_> = dropped.into_iter().map(|(_, block)| block).collect();
                    let gone = Sum::of(&dropped);
                    drop(dropped);
                    report.send((given, gone, kept.into_iter().map(|(_, block)| block).collect::<Vec<_>>())).unwrap();
                });
            }
            drop(report);
            // What was kept the round before goes now, on a third thread, while the others run.
            let before = std::mem::take(&mut kept);
            gone.add(Sum::of(&before));
            drop(before);
            for (more, less, rest) in reports {
                given.add(more);
                gone.add(less);
                kept.extend(rest);
            }
        });
        let stats = heap.stats();
        assert_eq!((stats.allocation_count, stats.total_allocated), (given.0, given.1));
        assert_eq!((stats.deallocation_count, stats.total_deallocated), (gone.0, gone.1));
        assert_eq!((stats.current_live, stats.failed_allocations), (Sum::of(&kept).1, 0));
    }
    drop(kept);
    assert_eq!(heap.stats().current_live, 0);
}

/// Runs `watch` on all that three readers see, one after the other, while two threads pass blocks on to two others that free
/// them: at most [`LIVE`] bytes of them at once.
fn watch_traffic(heap: &PinnedHeap, watch: impl Fn(&AllocStats, &AllocStats) + Sync) {
    let (stop, watch) = (&AtomicBool::new(false), &watch);
    thread::scope(|threads| {
        let traffic: Vec<_> = (0..2)
            .flat_map(|pair| {
                let (to, from) = mpsc::sync_channel(IN_FLIGHT);
                let producer = threads.spawn(move || {
                    let mut random = Random(7 + pair);
                    for _ in 0..BLOCKS {
                        to.send(Passed::new(heap, layout(1 + random.below(SIZE), 8))).unwrap();
                    }
                });
                [producer, threads.spawn(move || from.into_iter().for_each(drop))]
            })
            .collect();
        for _ in 0..3 {
            threads.spawn(move || {
                let mut last = heap.stats();
                while !stop.load(Relaxed) {
                    let now = heap.stats();
                    watch(&last, &now);
                    last = now;
                }
            });
        }
        let ended: Vec<_> = traffic.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Relaxed);
        ended.into_iter().for_each(Result::unwrap);
    });
}

const BLOCKS: usize = 30_000;
const SIZE: usize = LARGEST;
const IN_FLIGHT: usize = 16;
/// Of each pair: those on their way, and one in the hands of either thread.
const LIVE: usize = 2 * (IN_FLIGHT + 2) * SIZE;

/// A block that is not written to: here the heap is to be busy, not the memory.
struct Passed<'h>(&'h PinnedHeap, std::ptr::NonNull<u8>, Layout);

// SAFETY: blocks of a heap may be freed by any thread, and this has its block to itself.
unsafe impl Send for Passed<'_> {}

impl<'h> Passed<'h> {
    fn new(heap: &'h PinnedHeap, layout: Layout) -> Self {
        Self(heap, heap.alloc(layout).unwrap(), layout)
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and freed once.
        unsafe { self.0.dealloc(self.1, self.2) };
    }
}

#[test]
fn t14_no_reading_is_ever_negative_while_threads_run() {
    let heap = PinnedHeap::new();
    watch_traffic(&heap, |last, now| {
        assert_eq!(now.total_allocated - now.total_deallocated, now.current_live, "{now:?}");
        assert!(now.deallocation_count <= now.allocation_count && now.current_live <= now.total_allocated, "{now:?}");
        assert!(now.total_allocated <= 2 * BLOCKS * SIZE && now.allocation_count <= 2 * BLOCKS, "{now:?}");
        assert!(now.total_allocated >= last.total_allocated && now.allocation_count >= last.allocation_count);
    });
    let stats = heap.stats();
    assert_eq!((stats.allocation_count, stats.deallocation_count, stats.current_live), (2 * BLOCKS, 2 * BLOCKS, 0));
}

#[test]
fn t15_the_peak_never_falls_nor_passes_the_truth_by_more_than_its_bound_while_threads_run() {
    let heap = PinnedHeap::new();
    watch_traffic(&heap, |last, now| {
        let bound = heap.usage().peak_error_bound;
        assert!(now.peak_usage >= last.peak_usage, "from {} to {}", last.peak_usage, now.peak_usage);
        assert!(now.peak_usage <= LIVE + bound, "{} of at most {LIVE}, and {bound}", now.peak_usage);
    });
}

#[test]
fn t15_the_peak_is_within_its_bound_however_many_threads_make_it() {
    const THREADS: usize = 8;
    let heap = &PinnedHeap::new();
    let (barrier, mut truth) = (&Barrier::new(THREADS), 0);
    // Waves of which each thread has a part: nobody frees before all have allocated, so the crest of each is known.
    for (wave, height) in [1usize, 3, 2, 4].into_iter().enumerate() {
        let parts = thread::scope(|threads| {
            let hands: Vec<_> = (0..THREADS)
                .map(|id| {
                    threads.spawn(move || {
                        let mut random = Random(1 + (wave * THREADS + id) as u64);
                        let mine: Vec<_> =
                            (0..height * 300).map(|_| Passed::new(heap, layout(random.size(), 8))).collect();
                        let sum: usize = mine.iter().map(|block| block.2.size()).sum();
                        barrier.wait();
                        drop(mine);
                        barrier.wait();
                        sum
                    })
                })
                .collect();
            hands.into_iter().map(|hand| hand.join().unwrap()).sum::<usize>()
        });
        truth = parts.max(truth);
        let (peak, bound) = (heap.stats().peak_usage, heap.usage().peak_error_bound);
        assert!(peak.abs_diff(truth) <= bound, "{peak} for {truth}, give or take {bound}");
        assert!(truth > bound * wave.min(1), "a bound of {bound} says nothing of {truth}");
        assert_eq!(heap.stats().current_live, 0);
    }
}

/// They need no slow call, so nobody is told of them.
#[test]
fn t15_changes_of_size_in_place_do_not_hide_from_the_peak() {
    const BLOCKS: usize = 400_000;
    let heap = PinnedHeap::new();
    // In one class, of which this thread has more than any magazine holds.
    let (wide, narrow) = (layout(64, 1), layout(49, 1));
    let blocks: Vec<_> = (0..BLOCKS).map(|_| heap.alloc(wide).unwrap()).collect();
    let mut truth = BLOCKS * wide.size();
    for block in &blocks {
        // SAFETY: a live block with its layout, which stays where it is, as the class is the same.
        assert_eq!(unsafe { heap.realloc(*block, wide, narrow.size()) }, Ok(*block));
    }
    assert_eq!(heap.stats().current_live, BLOCKS * narrow.size());
    // Another thread brings it back to what it was, and no higher.
    let large = layout(truth - BLOCKS * narrow.size(), 8);
    thread::scope(|threads| {
        threads.spawn(|| drop(Passed::new(&heap, large)));
    });
    let (peak, bound) = (heap.stats().peak_usage, heap.usage().peak_error_bound);
    assert!(peak.abs_diff(truth) <= bound, "{peak} for {truth}, give or take {bound}");
    // And the other way round: what grew in place is part of the crest that another thread makes.
    for block in &blocks {
        // SAFETY: as above.
        assert_eq!(unsafe { heap.realloc(*block, narrow, wide.size()) }, Ok(*block));
    }
    thread::scope(|threads| {
        threads.spawn(|| drop(Passed::new(&heap, large)));
    });
    truth = BLOCKS * wide.size() + large.size();
    let (peak, bound) = (heap.stats().peak_usage, heap.usage().peak_error_bound);
    assert!(peak.abs_diff(truth) <= bound, "{peak} for {truth}, give or take {bound}");
    for block in blocks {
        // SAFETY: live blocks with their layout.
        unsafe { heap.dealloc(block, wide) };
    }
}

/// There is no memory for a cache, or the thread is ending: such a thread can be at its work beside one that has a cache.
#[test]
fn t15_a_thread_without_a_cache_is_no_reason_for_the_peak_to_be_wrong() {
    let heap = &PinnedHeap::new();
    // The crest so far is far away.
    let crest = layout(64 << 20, 8);
    drop(Passed::new(heap, crest));
    // Magazines are filled: what follows tells nobody.
    let kept: Vec<_> = class_sizes().into_iter().map(|size| Passed::new(heap, layout(size, 1))).collect();
    drop(Passed::new(heap, layout(LARGEST + 1, 1)));
    let rest = layout(crest.size() - heap.stats().current_live, 8);
    let (go, gone) = (&Barrier::new(2), &Barrier::new(2));
    let mut truth = crest.size();
    thread::scope(|threads| {
        threads.spawn(|| {
            // The first that is asked for is the cache, if threads have any in this build.
            let first = if cfg!(bhc_no_tls) { usize::MAX } else { 0 };
            let (other, _) = fault::fail_nth(first, || Passed::new(heap, rest));
            go.wait();
            gone.wait();
            fault::fail_nth(first, || drop(other));
        });
        go.wait();
        let more: Vec<_> = class_sizes().into_iter().map(|size| Passed::new(heap, layout(size, 1))).collect();
        truth = truth.max(heap.stats().current_live);
        drop(more);
        gone.wait();
    });
    drop(kept);
    let (peak, bound) = (heap.stats().peak_usage, heap.usage().peak_error_bound);
    assert!(peak.abs_diff(truth) <= bound, "{peak} for {truth}, give or take {bound}");
}

#[test]
fn t15_what_an_ended_thread_left_is_not_hidden_from_the_peak() {
    let heap = &PinnedHeap::new();
    let small = layout(1000, 8);
    drop(Filled::new(heap, small, 0)); // so that this thread does not go on with the other's counters
    let left: Vec<_> = thread::scope(|threads| {
        threads.spawn(|| (0..20).map(|seed| Filled::new(heap, small, seed)).collect()).join().unwrap()
    });
    let more: Vec<_> = (0..500).map(|seed| Filled::new(heap, small, seed as u8)).collect();
    drop(more);
    drop(left);
    assert_eq!(heap.stats().peak_usage, 520 * 1000);
}
