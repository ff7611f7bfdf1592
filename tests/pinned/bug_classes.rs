//! The bugs that other allocators had, and what their users asked for, each with a test that names it.
//!
//! By the numbers of `research/pinned.md` §2 (T18 and T19 are the C interface's, T20 to T24 and T26 those of `observer`):
//!
//! | case | where it was seen | test |
//! |---|---|---|
//! | T1 | ghc#13630, #19175, #20065, haskoin-core#300, bytestring#193: one object keeps a whole block | `memory::t01_..`, `memory::the_process_..` |
//! | T2 | ghc `cc2ea98`: what is left of a block at each collection | `memory::t02_..` |
//! | T3 | ghc#22994, bytestring#576: a shrunk block keeps its memory | `memory::t03_..` |
//! | T4 | ghc#7275: pinned memory is one lump in a profile | `t04_a_walk_finds_every_live_block_with_its_class` |
//! | T5 | ghc#22255: two answers to whether an object is pinned | `t05_what_is_the_heaps_is_said_of_all_of_it_and_of_nothing_else` |
//! | T6 | wai#426: one lock for every allocation of 3 KiB and more | `t06_blocks_of_4_kib_need_no_lock_that_others_hold`, `t06_two_threads_at_once_take_no_more_than_two_in_turn` |
//! | T7 | mimalloc#206, #577, #587, #602, #640, #700, #889, mimalloc_rust#82, #128, rpmalloc#9, #89, #345: alignment | `grid::t07_..` |
//! | T8 | RUSTSEC-2022-0094, tlsf#36: `realloc` loses the alignment | `grid::t08_..` |
//! | T9 | mimalloc#1138: a size near `isize::MAX` ends the program | `t09_what_no_heap_has_is_refused_counted_and_harms_nothing` |
//! | T10 | jemalloc#2353, jemallocator#143, rust#27023, #36278, dlmalloc-rs#41: freed with another layout | `t10_a_free_with_another_layout_names_both_and_ends_the_program`, `misuse` |
//! | T11 | tcmalloc's mismatched sized delete: found when the thread's blocks go back | `t11_so_it_does_in_a_usual_heap_when_the_block_goes_back`, `misuse` |
//! | T12 | mimalloc#177, #351, #994, #1117, #1364, snmalloc#846: a thread that only frees | `memory::t12_..` |
//! | T13 | mimalloc#214, #333: blocks of threads that ended | `memory::t13_..` |
//! | T14 | mimalloc#301, #1083, #1118, #1410: statistics below zero | `stats::t14_..` |
//! | T15 | mimalloc#1112: peaks across threads | `stats::t15_..` |
//! | T16 | mimalloc#1231, #1250: a thread's cache of a heap that was dropped | `t16_a_heap_that_was_dropped_is_never_met_again`, `t16_more_heaps_than_a_thread_has_slots_do_not_mix` |
//! | T17 | mimalloc#321, #809, #1177, #1198, gperftools#499, jemalloc#895: destructors of thread-locals | `t17_destructors_of_thread_locals_may_use_a_heap_before_and_after_its_own`, `t17_a_heap_may_be_a_thread_local` |
//! | T25 | pytorch#95823, RMM#1664: large blocks rounded up to powers of two | `memory::t25_..` |
//! | T27 | SPDK#2645: 8 MiB take 10 ms | `t27_a_histogram_of_how_long_calls_take` (printed, not judged) |
//!
//! Of the original implementation, by the numbers of the list there:
//!
//! | | what happened | test |
//! |---|---|---|
//! | 1 | a buffer was freed with the alignment of its element | `upstream_01_buffers_go_back_with_the_layout_they_came_with` |
//! | 2 | counters without synchronisation | `upstream_02_four_threads_count_exactly` |
//! | 3 | zero size was address 1, whatever the alignment | `upstream_03_nothing_is_aligned_too` |
//! | 4 | is about the arena | – |
//! | 5 | elements were never dropped; a shared buffer could be written to | `upstream_05_elements_are_dropped_once_and_only_an_owner_writes` |
//! | 6 | each buffer counted for itself | `upstream_06_one_heap_counts_all_that_is_in_it` |
//! | 7 | zero size was failure; `realloc` to zero looked like it; the new alignment freed the old block; nothing told a block's size or owner | `upstream_07_zero_is_no_failure`, `upstream_07_a_block_keeps_its_alignment_and_says_its_size_and_owner` |
//! | 8 | a double free vanished in a saturated counter; only a buffer's own peak; every `realloc` copied, every zeroed block was written | `upstream_08_..`; `memory::zeroed_..`, `memory::a_block_that_is_doubled_..` |
//! | 9 | an error allocated a `String` | `upstream_09_a_refusal_allocates_nothing` |
//! | 10 | nothing was pinned | `observer` |
//! | 11 | is about the C interface and the collector | – |

use std::alloc::GlobalAlloc;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use allocator_api2::vec::Vec as VecIn;
use bhc_rts_alloc::{
    Align, AllocError, AllocStats, FitsIn, KnownAlign, MemoryRegion, MisuseKind, PinnedGlobal, PinnedHeap, Place,
    Promises, Segment, SegmentObserver, SimdBuffer, os::fault,
};

use super::blocks::Blocks;
use super::child::{child_is_to, in_a_child};
use super::elements::{Tracked, tracked};
use super::region::Audit;
use super::vocabulary::{Filled, LARGEST, SEGMENT, SLICE, class_sizes, layout, telling};

/// A minute is for ever.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn t04_a_walk_finds_every_live_block_with_its_class() {
    let heap = &PinnedHeap::new();
    let sizes: Vec<_> = class_sizes().into_iter().chain([LARGEST + 1, 1 << 20, SEGMENT + 1]).collect();
    let some = |seed: usize| -> Vec<Filled<'_>> {
        let layouts = sizes.iter().flat_map(|size| [layout(*size, 1), layout(size / 2 + 1, 64)]);
        layouts
            .cycle()
            .take(5 * sizes.len())
            .enumerate()
            .map(|(i, layout)| Filled::new(heap, layout, (seed + i) as u8))
            .collect()
    };
    let mut live = some(0);
    live.extend(thread::scope(|threads| threads.spawn(|| some(1)).join().unwrap()));
    // Free ones in magazines, in depots, in spans, of this thread, of another, of one that has ended.
    drop(some(2));
    let (ready, done) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|threads| {
        threads.spawn(|| drop(some(3))).join().unwrap();
        threads.spawn(|| {
            drop(some(4));
            ready.wait();
            done.wait();
        });
        ready.wait();
        let mut at = 0;
        live.retain(|_| {
            at += 1;
            at % 3 != 0
        });
        let expected: BTreeMap<_, _> = live.iter().map(|block| (block.address(), block.usable())).collect();
        let mut found = Vec::new();
        heap.for_each_block(|block| found.push((block.ptr.addr().get(), block.size)));
        assert!(found.is_sorted());
        assert_eq!(found, Vec::from_iter(expected.clone()));
        // The table says the same by class.
        let table = heap.classes();
        for class in table.iter() {
            let live = expected.values().filter(|size| **size == class.size).count();
            assert_eq!((class.live, class.live + class.cached + class.free), (live, class.capacity), "{class:?}");
        }
        assert_eq!(table.large().live, expected.values().filter(|size| **size > LARGEST).count());
        done.wait();
    });
}

#[test]
fn t05_what_is_the_heaps_is_said_of_all_of_it_and_of_nothing_else() {
    static STATIC: u8 = 0;
    let (heap, other) = (PinnedHeap::new(), PinnedHeap::new());
    let sizes = class_sizes().into_iter().chain([LARGEST + 1, SEGMENT, 3 * SEGMENT + 1]);
    let live: Vec<_> =
        sizes.flat_map(|size| [&heap, &other].map(|heap| Filled::new(heap, layout(size, 1), 1))).collect();
    for (at, block) in live.iter().enumerate() {
        let (owner, stranger) = if at % 2 == 0 { (&heap, &other) } else { (&other, &heap) };
        for offset in [0, 1, block.layout().size() / 2, block.layout().size() - 1, block.usable() - 1] {
            let address = block.ptr().as_ptr().wrapping_add(offset).cast_const();
            assert!(owner.contains(address) && !stranger.contains(address), "{offset} bytes into {:?}", block.layout());
            let (segment, within) = owner.locate(address).unwrap();
            assert_eq!((segment.start.as_ptr().addr() + within, segment.size), (address.addr(), SEGMENT));
            assert!(within < SEGMENT && segment.start.addr().get().is_multiple_of(SEGMENT));
        }
    }
    let (segment, _) = heap.locate(live[0].ptr().as_ptr()).unwrap();
    let start = segment.start.as_ptr().wrapping_sub(segment.index * SEGMENT);
    let end = start.wrapping_add(heap.usage().segments * SEGMENT);
    assert!(heap.contains(start) && heap.contains(end.wrapping_sub(1)));
    // What is beside it in the address space: the heap's own data, and what is not memory yet.
    for beside in [start.wrapping_sub(1), start.wrapping_sub(SEGMENT), end, end.wrapping_add(SEGMENT)] {
        assert!(!heap.contains(beside) && heap.locate(beside).is_none());
    }
    let (stack, boxed) = (0u8, Box::new(0u8));
    for elsewhere in
        [&raw const stack, &raw const *boxed, &raw const STATIC, ptr::null(), ptr::without_provenance(usize::MAX)]
    {
        assert!(!heap.contains(elsewhere) && !other.contains(elsewhere));
    }
    // A free block is still the heap's memory.
    let address = live[0].ptr().as_ptr();
    drop(live);
    assert!(heap.contains(address));
}

/// Says when it is asked about a segment, and waits until it may answer.
struct Gate {
    closed: AtomicBool,
    asked: mpsc::Sender<()>,
    answer: Mutex<mpsc::Receiver<()>>,
}

impl SegmentObserver for Gate {
    fn added(&self, _: Segment) -> bool {
        if self.closed.swap(false, Relaxed) {
            self.asked.send(()).unwrap();
            self.answer.lock().unwrap().recv_timeout(PATIENCE).expect("others have gone on meanwhile");
        }
        true
    }

    fn removed(&self, _: Segment) -> bool {
        true
    }
}

#[test]
fn t06_blocks_of_4_kib_need_no_lock_that_others_hold() {
    let ((asked, is_asked), (may_answer, answer)) = (mpsc::channel(), mpsc::channel());
    let gate = Arc::new(Gate { closed: AtomicBool::new(false), asked, answer: Mutex::new(answer) });
    let heap = &PinnedHeap::builder().observer(Arc::<Gate>::clone(&gate)).build();
    let pair = |size: usize| {
        let (one, two) = (Filled::new(heap, layout(size, 8), 1), Filled::new(heap, layout(size, 8), 2));
        drop((one, two));
    };
    let sizes = [16, 1024, 4096, LARGEST];
    sizes.into_iter().for_each(pair);
    let freed_meanwhile = Filled::new(heap, layout(LARGEST + 1, 8), 3);
    gate.closed.store(true, Relaxed);
    thread::scope(|threads| {
        // In the midst of getting memory from the system, for as long as it takes.
        threads.spawn(|| drop(Filled::new(heap, layout(SEGMENT, SEGMENT), 4)));
        is_asked.recv_timeout(PATIENCE).unwrap();
        for _ in 0..5000 {
            sizes.into_iter().for_each(pair);
        }
        drop(freed_meanwhile);
        let stats = heap.stats();
        assert_eq!((stats.current_live, stats.allocation_count), (0, 2 * sizes.len() * 5001 + 1));
        assert_eq!(heap.usage().thread_caches, if cfg!(bhc_no_tls) { 0 } else { 2 });
        may_answer.send(()).unwrap();
    });
    assert_eq!(heap.stats().current_live, 0);
}

#[test]
fn t06_two_threads_at_once_take_no_more_than_two_in_turn() {
    const PAIRS: usize = 20_000;
    let heap = &PinnedHeap::new();
    let barrier = &Barrier::new(2);
    let pairs = |seed: u8| (0..PAIRS).for_each(|_| drop(Filled::new(heap, layout(4096, 8), seed)));
    thread::scope(|threads| {
        let both = [1, 2].map(|seed| {
            threads.spawn(move || {
                drop(Filled::new(heap, layout(4096, 8), seed));
                barrier.wait();
                let before = heap.usage();
                pairs(seed);
                barrier.wait();
                assert_eq!(heap.usage().committed, before.committed);
            })
        });
        both.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let stats = heap.stats();
    assert_eq!(
        (stats.allocation_count, stats.deallocation_count, stats.current_live),
        (2 * PAIRS + 2, 2 * PAIRS + 2, 0)
    );
    // Both may have found that there was none, and made one.
    assert!(heap.classes().iter().map(|class| class.spans).sum::<usize>() <= 2);
}

#[test]
fn t09_what_no_heap_has_is_refused_counted_and_harms_nothing() {
    for builder in [PinnedHeap::builder(), PinnedHeap::builder().thread_caches(false), PinnedHeap::builder().portable()]
    {
        let heap = builder.build();
        let mut live = [Filled::new(&heap, layout(100, 8), 1), Filled::new(&heap, layout(200_000, 8), 2)];
        let mut failures = 0;
        let most = isize::MAX as usize;
        for align in (0..63).map(|log2| 1usize << log2) {
            let largest = most - (align - 1);
            let sizes = [0, 1, SLICE - 1, SLICE, SEGMENT, 1 << 46].map(|less| largest.saturating_sub(less));
            for size in sizes.into_iter().chain([most / 2, 1]) {
                if size < 1 << 46 && align <= 1 << 46 {
                    continue; // could be met
                }
                let Ok(layout) = std::alloc::Layout::from_size_align(size, align) else { continue };
                let expected = |error: AllocError| match error {
                    AllocError::UnsupportedAlignment(found) => found == align && align > 1 << 30,
                    AllocError::OutOfMemory { requested, available } => requested == size && available < size,
                    _ => false,
                };
                assert!(expected(heap.alloc(layout).unwrap_err()), "{layout:?}");
                assert!(expected(heap.alloc_zeroed(layout).unwrap_err()), "{layout:?}");
                failures += 2;
                assert_eq!(heap.stats().failed_allocations, failures);
            }
        }
        for block in &mut live {
            assert!(matches!(block.resize(most - 7), Err(AllocError::OutOfMemory { .. })));
            failures += 1;
            block.check();
        }
        let stats = heap.stats();
        assert_eq!((stats.failed_allocations, stats.current_live, stats.allocation_count), (failures, 200_100, 2));
        drop(Filled::new(&heap, layout(5000, 4096), 3));
    }
}

/// Does `wrong` in a process of its own, which is to be ended by it.
fn expect_abort(test: &str, wrong: impl FnOnce()) -> String {
    if child_is_to().is_some() {
        wrong();
        return String::new();
    }
    let output = in_a_child(&format!("bug_classes::{test}"), "misuse");
    assert!(!output.status.success());
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(libc::SIGABRT));
    String::from_utf8(output.stderr).unwrap()
}

/// 1000 bytes are a block of 1024. It is freed as one of 16, and as one of 4096.
fn free_wrongly(heap: &PinnedHeap, align: usize) {
    let block = heap.alloc(layout(1000, 8)).unwrap();
    // SAFETY: none: that is what is to be found. The process ends before anybody relies on it.
    unsafe { heap.dealloc(block, layout(16, align)) };
}

const TRUTH: &str = "a block of 1024 bytes, for layouts of 897 to 1024 bytes (wrong layout)";

#[test]
fn t10_a_free_with_another_layout_names_both_and_ends_the_program() {
    let said = expect_abort("t10_a_free_with_another_layout_names_both_and_ends_the_program", || {
        free_wrongly(&PinnedHeap::builder().thread_caches(false).build(), 8);
    });
    let freed_as = "freed as a block of 16 bytes, for layouts of 1 to 16 bytes";
    assert!(child_is_to().is_some() || said.contains(freed_as) && said.contains(TRUTH), "{said}");
}

#[test]
fn t11_so_it_does_in_a_usual_heap_when_the_block_goes_back() {
    let said = expect_abort("t11_so_it_does_in_a_usual_heap_when_the_block_goes_back", || {
        let heap = PinnedHeap::new();
        free_wrongly(&heap, 4096);
        println!("not found yet");
        heap.trim();
    });
    let freed_as = "freed as a block of 4096 bytes, for layouts of 3585 to 4096 bytes";
    assert!(child_is_to().is_some() || said.contains(freed_as) && said.contains(TRUTH), "{said}");
}

#[test]
fn t16_a_heap_that_was_dropped_is_never_met_again() {
    const THREADS: usize = 32;
    const ROUNDS: usize = 30;
    let (barrier, current) = (&Barrier::new(THREADS), &Mutex::new(None::<Arc<PinnedHeap>>));
    // Heaps are dropped with live blocks and filled caches, and the next may stand where the last stood.
    let make = || PinnedHeap::builder().on_leak(&|_| ()).build();
    thread::scope(|threads| {
        for id in 0..THREADS {
            threads.spawn(move || {
                for round in 0..ROUNDS {
                    if barrier.wait().is_leader() {
                        *current.lock().unwrap() = Some(Arc::new(make()));
                    }
                    barrier.wait();
                    let shared = Arc::clone(current.lock().unwrap().as_ref().unwrap());
                    let own = make();
                    let seed = (id * ROUNDS + round) as u8;
                    let sizes = [24, 100, 1000, 5000, LARGEST + 1];
                    for heap in [&*shared, &own] {
                        let take = || sizes.map(|size| Filled::new(heap, layout(size, 16), seed));
                        let (kept, freed) = (take(), take());
                        assert!(kept.iter().chain(&freed).all(|block| heap.contains(block.ptr().as_ptr())));
                        drop(freed);
                        kept.iter().for_each(Filled::check);
                        std::mem::forget(kept);
                    }
                    assert_eq!(own.stats().current_live, sizes.iter().sum());
                    assert!(!own.contains(shared.alloc(layout(1, 1)).unwrap().as_ptr()));
                    barrier.wait();
                    current.lock().unwrap().take();
                    drop(shared); // the last to do so drops the heap
                }
            });
        }
    });
}

#[test]
fn t16_more_heaps_than_a_thread_has_slots_do_not_mix() {
    let heaps: Vec<_> = (0..40).map(|_| PinnedHeap::new()).collect();
    thread::scope(|threads| {
        for id in 0..4 {
            let heaps = &heaps;
            threads.spawn(move || {
                let mut live: Vec<Filled<'_>> = Vec::new();
                for round in 0..200 {
                    // Each after the other, and far and near ones to and fro.
                    for heap in heaps.iter().chain([&heaps[0], &heaps[8], &heaps[0], &heaps[16], &heaps[1]]) {
                        let block = Filled::new(heap, layout(1 + (round * 37 + id) % 900, 8), id as u8);
                        assert!(heap.contains(block.ptr().as_ptr()));
                        live.push(block);
                        if live.len() > 100 {
                            drop(live.swap_remove(round * 7 % 100));
                        }
                    }
                }
            });
        }
    });
    let counts: BTreeSet<_> = heaps.iter().map(|heap| heap.stats().allocation_count).collect();
    assert_eq!(counts, [800, 1600, 2400].into());
    assert!(heaps.iter().all(|heap| heap.stats().current_live == 0 && heap.usage().thread_caches <= 4));
}

/// What a thread's destructor does with heaps.
struct Late {
    heap: Arc<PinnedHeap>,
    /// Allocated while the thread lived.
    block: NonNull<u8>,
    done: mpsc::Sender<()>,
}

const OWNED: usize = 3000;

impl Late {
    fn new(heap: &Arc<PinnedHeap>, done: &mpsc::Sender<()>) -> Self {
        let block = heap.alloc(layout(OWNED, 64)).unwrap();
        Blocks::<PinnedHeap>::fill(block, 0, OWNED, 9);
        Self { heap: Arc::clone(heap), block, done: done.clone() }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let heap = &*self.heap;
        Blocks::<PinnedHeap>::check(self.block, OWNED, 9);
        // SAFETY: allocated with this layout by `new`, and freed once.
        unsafe { heap.dealloc(self.block, layout(OWNED, 64)) };
        for size in [16, 100, 5000, LARGEST, LARGEST + 1, 1 << 20] {
            let mut some: Vec<_> = (0..20).map(|i| Filled::new(heap, layout(size, 8), i)).collect();
            some[3].resize(2 * size).unwrap();
            some[5].resize(size / 2).unwrap();
            drop(some.split_off(10));
        }
        let mut text = heap.alloc_buffer::<u8, Align<64>>(100);
        text.extend([1; 1000]);
        assert!(text.iter().eq([0; 100].iter().chain(&[1; 1000])));
        // The program's own allocator, if it is such a heap, is used by then too.
        static GLOBAL: PinnedGlobal = PinnedGlobal::new();
        // SAFETY: a block of 50 bytes, then of 5000, freed with its layout.
        unsafe {
            let block = GLOBAL.alloc(layout(50, 8));
            block.write_bytes(1, 50);
            let block = GLOBAL.realloc(block, layout(50, 8), 5000);
            assert_eq!(block.add(49).read(), 1);
            GLOBAL.dealloc(block, layout(5000, 8));
        }
        // A heap of its own comes and goes.
        drop(Filled::new(&PinnedHeap::new(), layout(64, 64), 4));
        self.done.send(()).unwrap();
    }
}

thread_local!(static LATE: RefCell<Vec<Late>> = const { RefCell::new(Vec::new()) });

/// Destructors run in the order of registration or against it, so that ours is among those that were registered before, and
/// after, or alone.
#[test]
fn t17_destructors_of_thread_locals_may_use_a_heap_before_and_after_its_own() {
    let (builder, misuse) = telling!();
    let (done, all_done) = mpsc::channel();
    for (before, used, after) in [(1, true, 0), (0, true, 1), (1, true, 1), (1, false, 0), (3, true, 3)] {
        let heap = Arc::new(builder.clone().build());
        let (its, done) = (Arc::clone(&heap), done.clone());
        thread::spawn(move || {
            let late = |count| LATE.with_borrow_mut(|late| late.extend((0..count).map(|_| Late::new(&its, &done))));
            // Registered before the heap is used on this thread.
            LATE.with_borrow_mut(|_| ());
            late(before);
            if used {
                let some: Vec<_> = (0..1000).map(|i| Filled::new(&its, layout(1 + i % 300, 8), i as u8)).collect();
                drop(some);
            }
            late(after);
        })
        .join()
        .unwrap();
        assert_eq!(all_done.try_iter().count(), before + after);
        let stats = heap.stats();
        assert_eq!((stats.current_live, stats.deallocation_count), (0, stats.allocation_count));
        heap.trim();
        assert_eq!((heap.usage().cached, misuse.take()), (0, Vec::new()));
    }
}

#[test]
fn t17_a_heap_may_be_a_thread_local() {
    struct Own {
        heap: PinnedHeap,
        block: NonNull<u8>,
    }
    impl Drop for Own {
        fn drop(&mut self) {
            Blocks::<PinnedHeap>::check(self.block, 100, 6);
            // SAFETY: allocated with this layout below, and freed once.
            unsafe { self.heap.dealloc(self.block, layout(100, 8)) };
            assert_eq!(self.heap.stats().current_live, 0);
            drop(Filled::new(&self.heap, layout(LARGEST, 8), 1));
        }
    }
    thread_local!(static OWN: RefCell<Option<Own>> = const { RefCell::new(None) });
    for registered_first in [true, false] {
        let shared = Arc::new(PinnedHeap::new());
        let its = Arc::clone(&shared);
        thread::spawn(move || {
            if registered_first {
                OWN.with_borrow_mut(|_| ());
            }
            drop(Filled::new(&its, layout(64, 8), 1));
            let heap = PinnedHeap::new();
            let block = heap.alloc(layout(100, 8)).unwrap();
            Blocks::<PinnedHeap>::fill(block, 0, 100, 6);
            OWN.set(Some(Own { heap, block }));
        })
        .join()
        .unwrap();
        assert_eq!(shared.stats().current_live, 0);
    }
}

#[test]
fn t27_a_histogram_of_how_long_calls_take() {
    const CALLS: usize = 2000;
    let heap = PinnedHeap::new();
    println!("nanoseconds, powers of two: how many of {CALLS} allocations and frees took less");
    for size in [64, 4096, LARGEST, 1 << 20, 8 << 20] {
        let (mut buckets, mut live) = ([0usize; 64], Vec::new());
        let mut timed = |call: &mut dyn FnMut()| {
            let start = Instant::now();
            call();
            buckets[u64::BITS as usize - (start.elapsed().as_nanos() as u64).leading_zeros() as usize] += 1;
        };
        for at in 0..CALLS {
            timed(&mut || live.push(heap.alloc(layout(size, 64)).unwrap()));
            if live.len() == 20 {
                let block = live.swap_remove(at % 20);
                // SAFETY: a live block with its layout.
                timed(&mut || unsafe { heap.dealloc(block, layout(size, 64)) });
            }
        }
        for block in live {
            // SAFETY: as above.
            timed(&mut || unsafe { heap.dealloc(block, layout(size, 64)) });
        }
        assert_eq!(buckets.iter().sum::<usize>(), 2 * CALLS);
        let lines = buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        println!(
            "{size:>8} bytes: {}",
            lines.map(|(log2, count)| format!("<2^{log2}: {count}")).collect::<Vec<_>>().join(", ")
        );
    }
    let stats = heap.stats();
    assert_eq!((stats.allocation_count, stats.deallocation_count, stats.current_live), (5 * CALLS, 5 * CALLS, 0));
}

#[test]
fn upstream_01_buffers_go_back_with_the_layout_they_came_with() {
    // The audit compares each layout with the one that the block was given with.
    fn all_ways<'h, A: KnownAlign>(audit: &'h Audit<&'h PinnedHeap>)
    where
        &'h Audit<&'h PinnedHeap>: Promises<A>,
        u8: FitsIn<A>,
        u32: FitsIn<A>,
    {
        let place = Place::<A>::new().within(audit);
        for len in [0, 1, 7, 100, 5000, 40_000] {
            let mut buffer = place.filled(len, 1.5f64);
            buffer.extend([2.5; 300]);
            buffer.truncate(len / 2);
            buffer.shrink_to_fit();
            let copy = buffer.clone();
            drop(buffer.into_dynamic());
            let mut rest = copy.into_iter();
            rest.next();
            drop(rest);
            drop(place.filled(len, 1u8).try_cast::<u32>());
            let parts = place.filled(len, 3u16).into_raw_parts();
            // SAFETY: the parts are as they were.
            drop(unsafe { SimdBuffer::from_raw_parts(parts) });
        }
        audit.expect_empty();
    }
    let (builder, misuse) = telling!();
    for heap in [builder.clone().build(), builder.thread_caches(false).build()] {
        let audit = Audit::around(&heap);
        all_ways::<Align<8>>(&audit);
        all_ways::<Align<32>>(&audit);
        all_ways::<Align<64>>(&audit);
        all_ways::<Align<4096>>(&audit);
        all_ways::<Align<{ 2 << 20 }>>(&audit);
        heap.trim();
        assert_eq!((heap.stats().current_live, misuse.take()), (0, Vec::new()));
    }
}

#[test]
fn upstream_02_four_threads_count_exactly() {
    const PAIRS: usize = 100_000;
    for builder in [PinnedHeap::builder(), PinnedHeap::builder().thread_caches(false)] {
        let heap = &builder.build();
        thread::scope(|threads| {
            for id in 1..=4 {
                threads.spawn(move || {
                    for at in 0..PAIRS {
                        let layout = layout(id * 8 + at % 8, 8);
                        let block = heap.alloc(layout).unwrap();
                        // SAFETY: allocated just above.
                        unsafe { heap.dealloc(block, layout) };
                    }
                });
            }
        });
        let bytes: usize = (1..=4).map(|id| (0..PAIRS).map(|at| id * 8 + at % 8).sum::<usize>()).sum();
        let stats = heap.stats();
        assert_eq!((stats.allocation_count, stats.deallocation_count), (4 * PAIRS, 4 * PAIRS));
        assert_eq!((stats.total_allocated, stats.total_deallocated, stats.current_live), (bytes, bytes, 0));
    }
}

#[test]
fn upstream_03_nothing_is_aligned_too() {
    #[derive(Clone)]
    #[repr(align(64))]
    struct Nothing;
    let heap = PinnedHeap::new();
    for align in (0..63).map(|log2| 1usize << log2) {
        for block in [heap.alloc(layout(0, align)), heap.alloc_zeroed(layout(0, align))] {
            let block = block.unwrap();
            assert!(block.addr().get().is_multiple_of(align));
            // SAFETY: from a request of no size.
            unsafe { heap.dealloc(block, layout(0, align)) };
        }
    }
    let mut buffer: SimdBuffer<Nothing, Align<64>, &PinnedHeap> = Place::new().within(&heap).filled(5, Nothing);
    buffer.push(Nothing);
    assert!(buffer.as_ptr().addr().is_multiple_of(64) && buffer.len() == 6);
    let empty = heap.alloc_buffer::<u32, Align<4096>>(0);
    assert!(empty.as_ptr().addr().is_multiple_of(4096));
    assert_eq!(heap.stats(), AllocStats::default());
}

#[test]
fn upstream_05_elements_are_dropped_once_and_only_an_owner_writes() {
    type Elements<'h> = SimdBuffer<Tracked, Align<64>, &'h PinnedHeap>;
    let heap = PinnedHeap::new();
    let mut buffer: Elements<'_> = Place::new().within(&heap).from_fn(1000, |i| Tracked::new(i as u64));
    buffer.extend((1000..2000).map(Tracked::new));
    buffer.truncate(1500);
    drop(buffer.swap_remove(7));
    assert_eq!(tracked(), 1499);
    let copy = buffer.clone();
    assert_eq!(tracked(), 2 * 1499);
    let mut rest = copy.into_iter();
    rest.nth(9);
    drop(rest);
    assert_eq!(tracked(), 1499);
    drop(buffer);
    assert_eq!((tracked(), heap.stats().current_live), (0, 0));
    // Decided by types: what gives a pointer to write through takes the buffer for itself, and a length is not believed.
    type Elsewhere = SimdBuffer<Tracked, Align<64>, &'static PinnedHeap>;
    let _: for<'b> fn(&'b mut Elsewhere) -> *mut Tracked = Elsewhere::as_mut_ptr;
    let _: for<'b> unsafe fn(&'b mut Elsewhere, usize) = Elsewhere::set_len;
}

#[test]
fn upstream_06_one_heap_counts_all_that_is_in_it() {
    let heap = Arc::new(PinnedHeap::new());
    let floats = heap.alloc_buffer::<f32, Align<64>>(1024);
    let bytes = heap.alloc_buffer::<u8, Align<4096>>(4096);
    let owner: SimdBuffer<u64, Align<64>, Arc<PinnedHeap>> = Place::new().within(Arc::clone(&heap)).filled(512, 7);
    let raw = heap.alloc(layout(77, 1)).unwrap();
    let mut list = VecIn::with_capacity_in(10, &*heap);
    list.extend([1u16; 10]);
    let stats = heap.stats();
    assert_eq!((stats.current_live, stats.allocation_count), (3 * 4096 + 77 + 20, 5));
    drop((bytes, list));
    assert_eq!((heap.stats().current_live, heap.stats().peak_usage), (2 * 4096 + 77, 3 * 4096 + 77 + 20));
    // SAFETY: allocated above.
    unsafe { heap.dealloc(raw, layout(77, 1)) };
    drop((floats, owner));
    let stats = heap.stats();
    assert_eq!((stats.current_live, stats.total_deallocated), (0, stats.total_allocated));
}

#[test]
fn upstream_07_zero_is_no_failure() {
    let (builder, misuse) = telling!();
    let heap = builder.thread_caches(false).build();
    for align in [1, 8, 64, 4096, 1 << 20] {
        for size in [1, 100, LARGEST, LARGEST + 1] {
            let nothing = heap.alloc(layout(0, align)).unwrap();
            // SAFETY: each is live with its layout when it is given up: nothing, a block, nothing again.
            unsafe {
                let block = heap.realloc(nothing, layout(0, align), size).unwrap();
                block.write_bytes(1, size);
                assert_eq!(heap.stats().current_live, size);
                // Told apart from failure, so nobody frees the block a second time.
                let nothing = heap.realloc(block, layout(size, align), 0).unwrap();
                assert!(nothing.addr().get().is_multiple_of(align));
                assert_eq!(heap.stats().current_live, 0);
                let nothing = heap.realloc(nothing, layout(0, align), 0).unwrap();
                heap.dealloc(nothing, layout(0, align));
            }
        }
    }
    let stats = heap.stats();
    assert_eq!((stats.allocation_count, stats.deallocation_count, stats.failed_allocations), (20, 20, 0));
    assert_eq!(misuse.take(), []);
}

#[test]
fn upstream_07_a_block_keeps_its_alignment_and_says_its_size_and_owner() {
    let (builder, misuse) = telling!();
    let (heap, other) = (builder.clone().thread_caches(false).build(), builder.thread_caches(false).build());
    // From 64 to 4096 the old block went back as if it had been one at 4096.
    for align in [64, 4096] {
        let mut block = Filled::new(&heap, layout(64, align), 1);
        for size in [4096, 100, 100_000, 64, 8192] {
            block.resize(size).unwrap(); // checks the alignment
        }
    }
    assert_eq!((heap.stats().current_live, misuse.take()), (0, Vec::new()));
    // All that a block says that it has may be used.
    for size in [1, 17, 100, 1000, LARGEST - 1, LARGEST + 1, 100_000] {
        let wanted = layout(size, 8);
        let usable = PinnedHeap::usable_size(wanted);
        assert!(usable >= size);
        let block = heap.alloc(wanted).unwrap();
        let beside = Filled::new(&heap, wanted, 2);
        // SAFETY: so many bytes are the block's, which lives.
        unsafe { block.write_bytes(0xee, usable) };
        beside.check();
        assert_eq!(PinnedHeap::usable_size(layout(usable, 8)), usable);
        // It can be freed with what it was asked for, or with what it has; not in a heap that does not have it.
        // SAFETY: a live block, with a layout that is as good as its own; first, on purpose, not this heap's.
        unsafe {
            assert!(heap.contains(block.as_ptr()) && !other.contains(block.as_ptr()));
            other.dealloc(block, wanted);
            let found = misuse.take();
            assert_eq!((found.len(), found[0].kind, found[0].address), (1, MisuseKind::Foreign, block.addr().get()));
            heap.dealloc(block, layout(usable, 8));
        }
        assert_eq!(misuse.take(), []);
    }
}

#[test]
fn upstream_08_a_double_free_is_not_lost_in_the_counters() {
    let (builder, misuse) = telling!();
    let heap = builder.thread_caches(false).build();
    let other = Filled::new(&heap, layout(100, 8), 1);
    for size in [100, LARGEST + 1] {
        let block = heap.alloc(layout(size, 8)).unwrap();
        // SAFETY: the first is right; the second is what is to be found, and this heap does not act on it.
        unsafe {
            heap.dealloc(block, layout(size, 8));
            let before = heap.stats();
            heap.dealloc(block, layout(size, 8));
            assert_eq!((heap.stats(), before.current_live), (before, 100));
        }
        let found = misuse.take();
        assert_eq!((found.len(), found[0].kind, found[0].address), (1, MisuseKind::DoubleFree, block.addr().get()));
    }
    drop(other);
}

#[test]
fn upstream_08_a_change_of_size_that_fits_copies_nothing() {
    let heap = PinnedHeap::new();
    let mut small = Filled::new(&heap, layout(65, 8), 1);
    let mut large = Filled::new(&heap, layout(1 << 20, 8), 2);
    for (block, sizes) in [(&mut small, [80, 65, 79, 70]), (&mut large, [3 << 20, (3 << 20) + 1, 2 << 20, 9 << 20])] {
        let start = block.ptr();
        for size in sizes {
            block.resize(size).unwrap();
            assert_eq!(block.ptr(), start);
        }
    }
    let stats = heap.stats();
    assert_eq!((stats.allocation_count, stats.deallocation_count), (10, 8));
    assert_eq!((stats.current_live, stats.peak_usage), (70 + (9 << 20), 70 + (9 << 20)));
}

#[test]
fn upstream_09_a_refusal_allocates_nothing() {
    let heap = PinnedHeap::builder().limit(1 << 20).thread_caches(false).build();
    drop(Filled::new(&heap, layout(1, 1), 1));
    let ((), requests) = fault::fail_nth(usize::MAX, || {
        assert_eq!(heap.alloc(layout(1, 1 << 40)), Err(AllocError::UnsupportedAlignment(1 << 40)));
        assert_eq!(heap.try_alloc_buffer::<u64, Align<64>>(usize::MAX).err(), Some(AllocError::Overflow));
    });
    assert_eq!(requests, 0);
    let error = heap.alloc(layout(2 << 20, 8)).unwrap_err();
    assert_eq!(error, AllocError::OutOfMemory { requested: 2 << 20, available: 1 << 20 });
    // Nor does it hold anything that was allocated, and it can be printed where there is nothing.
    assert!(!std::mem::needs_drop::<AllocError>());
    struct Fixed([u8; 100], usize);
    impl Write for Fixed {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.get_mut(self.1..self.1 + text.len()).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
            self.1 += text.len();
            Ok(())
        }
    }
    let mut line = Fixed([0; 100], 0);
    write!(line, "{error}").unwrap();
    assert_eq!(&line.0[..line.1], b"out of memory: 2097152 bytes requested, 1048576 available");
    drop(Filled::new(&heap, layout(1000, 8), 1));
}
