//! What a heap promises, it promises to many threads at once, and whenever one of them ends.

use std::alloc::Layout;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier, Mutex, RwLock};
use std::thread::{self, ScopedJoinHandle};

use bhc_rts_alloc::{AllocResult, AllocStats, LeakReport, MemoryRegion, PinnedHeap, RegionKind, System};

use super::blocks::Blocks;
use super::contract::{self, Limits};

type Pattern = Blocks<'static, System>;

/// The same numbers each time (splitmix).
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as usize
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() % end
    }

    /// Mostly small, now and then without a class.
    fn layout(&mut self) -> Layout {
        let most = if self.below(40) == 0 { 19 } else { 13 };
        let log2 = self.below(most);
        let align = if self.below(4) == 0 { self.below(13) } else { self.below(5) };
        Layout::from_size_align(1 + self.below(2 << log2), 1 << align).unwrap()
    }
}

/// A block that is full of a pattern.
struct Held {
    ptr: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

// SAFETY: a block of a heap that threads share, and which one owner at a time has.
unsafe impl Send for Held {}

impl Held {
    fn new(heap: &PinnedHeap, layout: Layout, seed: usize) -> Self {
        let (ptr, seed) = (heap.alloc(layout).unwrap(), seed as u8);
        assert!(ptr.addr().get().is_multiple_of(layout.align()), "{ptr:p} for {layout:?}");
        Pattern::fill(ptr, 0, PinnedHeap::usable_size(layout), seed);
        Self { ptr, layout, seed }
    }

    fn check(&self) {
        Pattern::check(self.ptr, PinnedHeap::usable_size(self.layout), self.seed);
    }

    fn resize(&mut self, heap: &PinnedHeap, size: usize) {
        self.check();
        let kept = size.min(self.layout.size());
        // SAFETY: a live block with its layout, which is replaced.
        self.ptr = unsafe { heap.realloc(self.ptr, self.layout, size) }.unwrap();
        Pattern::check(self.ptr, kept, self.seed);
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        Pattern::fill(self.ptr, kept, PinnedHeap::usable_size(self.layout), self.seed);
    }

    fn free(self, heap: &PinnedHeap) {
        self.check();
        // SAFETY: a live block with its layout, which is gone.
        unsafe { heap.dealloc(self.ptr, self.layout) };
    }
}

/// Waits for threads to their very end. A scope by itself waits for what they run only, while their caches may still be on the
/// way back to the heap.
fn join_all<'s, T>(threads: impl IntoIterator<Item = ScopedJoinHandle<'s, T>>) -> Vec<T> {
    // All are started before the first is waited for.
    let threads: Vec<_> = threads.into_iter().collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// The heap is at rest: what it says of itself fits together, and these are the blocks that live.
#[track_caller]
fn check_at_rest<'b>(heap: &PinnedHeap, live: impl IntoIterator<Item = &'b Held>) {
    let mut expected = BTreeSet::new();
    let mut bytes = 0;
    for block in live {
        block.check();
        bytes += block.layout.size();
        expected.insert((block.ptr.addr().get(), PinnedHeap::usable_size(block.layout)));
    }
    let stats = heap.stats();
    assert_eq!(stats.current_live, bytes);
    assert_eq!(stats.allocation_count - stats.deallocation_count, expected.len());
    assert_eq!(stats.total_allocated - stats.total_deallocated, bytes);
    let mut walked = Vec::new();
    heap.for_each_block(|block| walked.push((block.ptr.addr().get(), block.size)));
    assert!(walked.iter().copied().eq(expected.iter().copied()), "{} walked, {} live", walked.len(), expected.len());
    let classes = heap.classes();
    for class in classes.iter() {
        assert_eq!(class.capacity, class.free + class.cached + class.live, "{class:?}");
        assert_eq!(class.live, expected.iter().filter(|(_, size)| *size == class.size).count(), "{class:?}");
    }
}

/// What one thread does on a heap that others use too: the heap's blocks, and this thread's own statistics.
struct Part<'h> {
    heap: &'h PinnedHeap,
    stats: Cell<AllocStats>,
}

impl Part<'_> {
    fn count(&self, change: impl FnOnce(&mut AllocStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    fn answered(&self, layout: Layout, answer: AllocResult<NonNull<u8>>) -> AllocResult<NonNull<u8>> {
        match &answer {
            Ok(_) if layout.size() == 0 => {}
            Ok(_) => self.count(|stats| stats.record_alloc(layout.size())),
            Err(_) => self.count(AllocStats::record_failure),
        }
        answer
    }
}

// SAFETY: every block is the heap's own, and nothing is done to it here.
unsafe impl MemoryRegion for Part<'_> {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.answered(layout, self.heap.alloc(layout))
    }

    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.answered(layout, self.heap.alloc_zeroed(layout))
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.heap.dealloc(ptr, layout) };
        if layout.size() > 0 {
            self.count(|stats| stats.record_dealloc(layout.size()));
        }
    }

    unsafe fn realloc(&self, ptr: NonNull<u8>, old: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        // SAFETY: the caller's promise.
        let answer = unsafe { self.heap.realloc(ptr, old, new_size) };
        match Layout::from_size_align(new_size, old.align()) {
            Ok(new) => {
                if answer.is_ok() && old.size() > 0 {
                    self.count(|stats| stats.record_dealloc(old.size()));
                }
                self.answered(new, answer)
            }
            Err(_) => answer, // no request
        }
    }

    fn stats(&self) -> AllocStats {
        self.stats.get()
    }

    fn kind(&self) -> RegionKind {
        self.heap.kind()
    }
}

/// Every promise of the contract, from several threads at once, each in another order.
fn contract_from_threads<'h>(heap: &'h PinnedHeap) {
    const THREADS: usize = 4;
    const LIMITS: Limits = Limits { max_align: 1 << 17, max_size: 1 << 17 };
    let promises: [fn(&Part<'h>, Limits); 7] = [
        contract::every_size_and_alignment_gives_a_block_of_its_own,
        contract::zero_size_requests_take_nothing_and_are_aligned,
        contract::zeroed_blocks_are_zero_after_dirty_ones,
        contract::realloc_keeps_the_contents_in_both_directions,
        contract::requests_that_cannot_be_met_are_refused_and_counted,
        contract::random_programs_behave_as_the_model,
        contract::a_failure_at_any_request_loses_nothing,
    ];
    let parts = thread::scope(|threads| {
        join_all((0..THREADS).map(|id| {
            threads.spawn(move || {
                let part = Part { heap, stats: Cell::default() };
                for turn in 0..promises.len() {
                    promises[(turn + 2 * id) % promises.len()](&part, LIMITS);
                }
                part.stats.get()
            })
        }))
    });
    check_at_rest(heap, []);
    let stats = heap.stats();
    let sum = |field: fn(&AllocStats) -> usize| parts.iter().map(field).sum::<usize>();
    assert_eq!(stats.total_allocated, sum(|s| s.total_allocated));
    assert_eq!(stats.total_deallocated, sum(|s| s.total_deallocated));
    assert_eq!(stats.allocation_count, sum(|s| s.allocation_count));
    assert_eq!(stats.deallocation_count, sum(|s| s.deallocation_count));
    assert_eq!(stats.failed_allocations, sum(|s| s.failed_allocations));
    // A block that grows by being copied is there twice.
    let most = sum(|s| s.peak_usage) + THREADS * LIMITS.max_size;
    assert!(stats.peak_usage <= most + heap.usage().peak_error_bound, "{} of {most}", stats.peak_usage);
}

#[test]
fn every_promise_of_the_contract_holds_for_threads_at_once() {
    contract_from_threads(&PinnedHeap::new());
}

#[test]
fn every_promise_of_the_contract_holds_for_threads_at_once_without_caches() {
    contract_from_threads(&PinnedHeap::builder().thread_caches(false).build());
}

/// Lets a thread look at the heap in every way, and trim it, until it is told to stop: what it sees is never less than nothing.
fn look_meanwhile(heap: &PinnedHeap, stop: &AtomicBool) {
    let mut before = AllocStats::default();
    for round in 0.. {
        if stop.load(SeqCst) {
            break;
        }
        let now = heap.stats();
        assert!(now.allocation_count >= before.allocation_count && now.total_allocated >= before.total_allocated);
        assert!(now.current_live <= now.total_allocated && now.deallocation_count <= now.allocation_count, "{now:?}");
        assert_eq!(now.total_allocated - now.total_deallocated, now.current_live, "{now:?}");
        assert!(now.peak_usage >= before.peak_usage, "{now:?} after {before:?}");
        before = now;
        for class in heap.classes().iter() {
            assert!(class.live <= class.capacity && class.cached <= class.capacity, "{class:?}");
        }
        heap.for_each_block(|block| assert!(heap.contains(block.ptr.as_ptr())));
        let usage = heap.usage();
        assert!(usage.committed <= usage.reserved, "{usage:?}");
        if round % 8 == 0 {
            heap.trim();
        }
    }
}

#[test]
fn random_programs_of_threads_at_once_are_counted_exactly_and_may_be_looked_at() {
    const THREADS: usize = 4;
    let heap = &PinnedHeap::new();
    let stop = &AtomicBool::new(false);
    let left = thread::scope(|threads| {
        let looker = threads.spawn(|| look_meanwhile(heap, stop));
        let left = join_all((0..THREADS).map(|id| {
            threads.spawn(move || {
                let (mut random, mut held) = (Random(id as u64), Vec::new());
                for _ in 0..20_000 {
                    match random.below(8) {
                        0..4 if held.len() < 400 => {
                            // Several of a kind, so that magazines are exchanged.
                            let (layout, count) = (random.layout(), 1 + random.below(24));
                            held.extend((0..count).map(|_| Held::new(heap, layout, random.next())));
                        }
                        4 if !held.is_empty() => {
                            let at = random.below(held.len());
                            let size = random.layout().size();
                            held[at].resize(heap, size);
                        }
                        _ if !held.is_empty() => {
                            let (at, count) = (random.below(held.len()), 1 + random.below(24));
                            let end = held.len().min(at + count);
                            held.drain(at..end).for_each(|block| block.free(heap));
                        }
                        _ => {}
                    }
                }
                held
            })
        }));
        stop.store(true, SeqCst);
        looker.join().unwrap();
        left
    });
    check_at_rest(heap, left.iter().flatten());
    left.into_iter().flatten().for_each(|block| block.free(heap));
    check_at_rest(heap, []);
    heap.trim();
    assert_eq!(heap.usage().committed, 0, "the threads have ended, and this one keeps nothing");
}

/// Producers allocate, consumers free and allocate nothing: neither runs out of what the other has too much of.
#[test]
fn blocks_that_other_threads_free_come_back_to_those_who_allocate() {
    const PAIRS: usize = 3;
    const BATCHES: usize = 300;
    for layout in [Layout::new::<[u64; 8]>(), Layout::new::<[u64; 128]>(), Layout::new::<[u8; 20_000]>()] {
        let heap = &PinnedHeap::new();
        let batch = (1 << 17) / layout.size();
        thread::scope(|threads| {
            join_all((0..PAIRS).flat_map(|id| {
                let (sender, receiver): (SyncSender<Vec<Held>>, Receiver<_>) = sync_channel(2);
                let producer = threads.spawn(move || {
                    for number in 0..BATCHES {
                        let blocks = (0..batch).map(|at| Held::new(heap, layout, id + number + at));
                        sender.send(blocks.collect()).unwrap();
                    }
                });
                [producer, threads.spawn(move || receiver.iter().flatten().for_each(|block| block.free(heap)))]
            }));
        });
        check_at_rest(heap, []);
        let stats = heap.stats();
        assert_eq!(stats.allocation_count, PAIRS * BATCHES * batch);
        assert_eq!(stats.total_allocated, stats.allocation_count * layout.size());
        // Of each pair four batches are on their way; threads and the depot keep some more.
        let usage = heap.usage();
        let most = 4 * (PAIRS * 4 * batch * layout.size()) + (8 << 20);
        assert!(usage.committed <= most, "{} committed, where {most} would do: {usage:?}", usage.committed);
    }
}

/// Generations of threads: each checks and frees half of what those before it have left, and leaves as much when it ends.
#[test]
fn blocks_of_threads_that_died_keep_their_contents_and_are_freed_by_others() {
    const THREADS: usize = 16;
    const EACH: usize = 60;
    for heap in [PinnedHeap::new(), PinnedHeap::builder().thread_caches(false).build()] {
        let heap = &heap;
        let estate: Mutex<Vec<Held>> = Mutex::new(Vec::new());
        for generation in 0..12 {
            thread::scope(|threads| {
                join_all((0..THREADS).map(|id| {
                    let estate = &estate;
                    threads.spawn(move || {
                        let mut random = Random((generation * THREADS + id) as u64);
                        let mut own: Vec<_> =
                            (0..EACH).map(|_| Held::new(heap, random.layout(), random.next())).collect();
                        let inherited = {
                            let mut estate = estate.lock().unwrap();
                            let half = estate.len() / 2;
                            let at = random.below(estate.len() - half + 1);
                            let count = half.min(EACH);
                            estate.drain(at..(at + count).min(at + half)).collect::<Vec<_>>()
                        };
                        inherited.into_iter().for_each(|block| block.free(heap));
                        // Some of its own are free already when it dies, in its magazines.
                        own.drain(..EACH / 4).for_each(|block| block.free(heap));
                        estate.lock().unwrap().append(&mut own);
                    })
                }));
            });
            check_at_rest(heap, &*estate.lock().unwrap());
            assert!(heap.usage().thread_caches <= THREADS + 1, "caches of the dead are used again");
        }
        estate.into_inner().unwrap().into_iter().for_each(|block| block.free(heap));
        check_at_rest(heap, []);
    }
}

/// What heaps of the next test said when they were dropped: blocks, and bytes.
static LEFT: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

fn count_left(report: &LeakReport<'_>) {
    report.for_each_block(|_| _ = LEFT[0].fetch_add(1, SeqCst));
    LEFT[1].fetch_add(report.bytes, SeqCst);
}

/// Whoever lets go of the heap last drops it, while others that have caches in it are ending.
#[test]
fn a_heap_may_be_dropped_while_threads_that_used_it_end() {
    const THREADS: usize = 6;
    const ROUNDS: usize = 250;
    let layout = Layout::new::<[u64; 5]>();
    for round in 0..ROUNDS {
        let heap = Arc::new(PinnedHeap::builder().on_leak(&count_left).build());
        let start = Arc::new(Barrier::new(THREADS));
        let threads: [_; THREADS] = std::array::from_fn(|id| {
            let (heap, start) = (Arc::clone(&heap), Arc::clone(&start));
            thread::spawn(move || {
                let held: Vec<_> = (0..200).map(|at| Held::new(&heap, layout, at)).collect();
                let mut held = held.into_iter();
                held.by_ref().take(199).for_each(|block| block.free(&heap));
                start.wait();
                // They go at slightly different times, each time others.
                (0..(round * (id + 1)) % 97 * 20).for_each(|_| std::hint::spin_loop());
                drop(heap);
                // Its caches go back, if there is anything to give them back to.
            })
        });
        drop(heap);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    // Exact, though the caches of some had gone back and those of others had not.
    let left = LEFT.each_ref().map(|number| number.load(SeqCst));
    assert_eq!(left, [ROUNDS * THREADS, ROUNDS * THREADS * layout.size()]);
}

static LOST: AtomicUsize = AtomicUsize::new(0);

fn count_lost(report: &LeakReport<'_>) {
    LOST.fetch_add(report.blocks, SeqCst);
}

/// Threads that live long have slots of heaps that are no more, at the places of those that came after.
#[test]
fn threads_are_not_misled_by_slots_of_heaps_that_are_gone() {
    const THREADS: usize = 3;
    // More than a thread has slots for, so that heaps are in each other's way all the time.
    const HEAPS: usize = 40;
    const STEPS: usize = 20_000;
    let make = || Arc::new(PinnedHeap::builder().on_leak(&count_lost).build());
    let heaps: &RwLock<[Arc<PinnedHeap>; HEAPS]> = &RwLock::new(std::array::from_fn(|_| make()));
    thread::scope(|threads| {
        join_all((0..THREADS).map(|id| {
            threads.spawn(move || {
                let (mut random, mut held) = (Random(1000 + id as u64), Vec::new());
                for step in 0..STEPS {
                    let heap = Arc::clone(&heaps.read().unwrap()[random.below(HEAPS)]);
                    let block = Held::new(&heap, random.layout(), step);
                    assert!(heap.contains(block.ptr.as_ptr()), "a block of this heap");
                    held.push((heap, block));
                    if held.len() > 60 {
                        let (heap, block) = held.swap_remove(random.below(held.len()));
                        block.free(&heap);
                    }
                    if step % 16 == id {
                        // Old ones live on as long as somebody has blocks there; the last such thread drops them.
                        let new = make();
                        let old = std::mem::replace(&mut heaps.write().unwrap()[random.below(HEAPS)], new);
                        drop(old);
                    }
                }
                held.into_iter().for_each(|(heap, block)| block.free(&heap));
            })
        }));
    });
    for heap in heaps.read().unwrap().iter() {
        check_at_rest(heap, []);
    }
    assert_eq!(LOST.load(SeqCst), 0, "each block was freed in its own heap before that went");
}
