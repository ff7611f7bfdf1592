//! What the builder is told has its effect. (Policies have it in `misuse`, an observer in `observer`.)

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{AllocError, MemoryRegion, PinnedHeap, Segment, SegmentObserver};

use super::blocks::Blocks;
use super::child::{child_is_to, in_a_child, skipped};
use super::vocabulary::{LARGEST, SEGMENT, SLICE, layout};

/// An observer for whom memory is kept, and nothing else.
struct Nobody;

impl SegmentObserver for Nobody {
    fn added(&self, _: Segment) -> bool {
        true
    }
    fn removed(&self, _: Segment) -> bool {
        true
    }
}

/// Whether memory goes back to the system here, if it may.
const GIVES_BACK: bool = cfg!(all(target_os = "linux", not(miri)));

fn free(heap: &PinnedHeap, block: NonNull<u8>, layout: Layout) {
    // SAFETY: a live block of this layout, which the test does not use again.
    unsafe { heap.dealloc(block, layout) };
}

/// Allocates blocks of this layout until there are no more, and tells why.
fn fill(heap: &PinnedHeap, layout: Layout) -> (Vec<NonNull<u8>>, AllocError) {
    let mut blocks = Vec::new();
    loop {
        match heap.alloc(layout) {
            Ok(block) => blocks.push(block),
            Err(error) => return (blocks, error),
        }
    }
}

fn refused(requested: usize, available: usize) -> AllocError {
    AllocError::OutOfMemory { requested, available }
}

#[test]
fn a_reserve_is_all_that_the_heap_can_ever_have() {
    for builder in [PinnedHeap::builder(), PinnedHeap::builder().portable()] {
        // Whole segments.
        for (told, given) in [(1, SEGMENT), (SEGMENT, SEGMENT), (2 * SEGMENT - 1, 2 * SEGMENT)] {
            let heap = builder.clone().reserve(told).build();
            assert!(heap.usage().reserved >= given);
            let small = layout(LARGEST, 8);
            let (blocks, error) = fill(&heap, small);
            assert_eq!((blocks.len(), error), (given / LARGEST, refused(LARGEST, 0)));
            assert_eq!(heap.stats().failed_allocations, 1);
            // What comes back can be had again, as blocks of any size.
            free(&heap, blocks[7], small);
            assert_eq!(heap.alloc(small), Ok(blocks[7]));
            blocks.into_iter().for_each(|block| free(&heap, block, small));
            heap.trim();
            assert_eq!(heap.alloc(layout(given + 1, 8)), Err(refused(given + 1, given)));
            let all = layout(given, SEGMENT);
            free(&heap, heap.alloc(all).unwrap(), all);
        }
    }
}

#[test]
fn a_reserve_that_nobody_has_is_cut_to_what_there_is() {
    for told in [1 << 45, 1 << 50, usize::MAX] {
        let heap = PinnedHeap::builder().reserve(told).build();
        let requested = isize::MAX as usize / 2;
        let Err(AllocError::OutOfMemory { available, .. }) = heap.alloc(layout(requested, 8)) else {
            panic!("nobody has so much")
        };
        // Slices are numbered by 32 bits.
        assert!((1 << 30..SLICE << 32).contains(&available), "{available:#x} of {told:#x}");
        let mut blocks = Blocks::new(&heap);
        [1, 100, 10_000, 1 << 20, 10 << 20].iter().for_each(|size| blocks.alloc(layout(*size, 8)).unwrap());
        blocks.free_all();
    }
}

/// `ulimit -v`, which services are run with.
#[test]
fn where_addresses_are_scarce_a_heap_takes_fewer() {
    const TEST: &str = "builder::where_addresses_are_scarce_a_heap_takes_fewer";
    if cfg!(any(not(target_os = "linux"), bhc_asan, miri)) {
        return skipped("a process's addresses are limited on Linux, and not where a sanitizer needs them");
    }
    #[cfg(target_os = "linux")]
    if let Some(gib) = child_is_to() {
        let usual = PinnedHeap::new().usage().reserved;
        let limit = gib.parse::<libc::rlim_t>().unwrap() << 30;
        let both = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: reads the two numbers.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const both) }, 0);
        if limit == 0 {
            let error = PinnedHeap::try_new().map(|_| ()).unwrap_err();
            assert!(matches!(error, AllocError::OutOfMemory { available: 0, .. }), "{error:?}");
            println!("refused");
            return;
        }
        let heaps = [PinnedHeap::new(), PinnedHeap::new()];
        for heap in &heaps {
            let reserved = heap.usage().reserved;
            assert!(reserved < usual && reserved as u64 <= limit, "{reserved:#x} of {usual:#x}");
            let mut blocks = Blocks::new(heap);
            [1, 100, 10_000, 1 << 20, 10 << 20].iter().for_each(|size| blocks.alloc(layout(*size, 8)).unwrap());
            blocks.free_all();
        }
        println!("took fewer");
        return;
    }
    for (gib, said) in [("4", "took fewer"), ("40", "took fewer"), ("0", "refused")] {
        let output = in_a_child(TEST, gib);
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains(said), "{gib} GiB: {out}{errors}");
    }
}

#[test]
fn a_limit_is_never_passed_and_can_be_used_up() {
    for builder in [PinnedHeap::builder(), PinnedHeap::builder().thread_caches(false), PinnedHeap::builder().portable()]
    {
        for limit in [0, SLICE, LARGEST, 100_000, SEGMENT, SEGMENT + 100_000] {
            let heap = builder.clone().limit(limit).build();
            let whole = limit / SLICE * SLICE;
            assert_eq!(heap.alloc(layout(whole + LARGEST, 8)), Err(refused(whole + LARGEST, whole)));
            let large = layout(LARGEST + SLICE, 8);
            let (blocks, error) = fill(&heap, large);
            assert_eq!(blocks.len(), whole / large.size(), "of {limit}");
            assert_eq!(error, refused(large.size(), whole - blocks.len() * large.size()));
            // Small ones of a class whose spans are the smallest, in what is left.
            let (small, _) = fill(&heap, layout(2048, 8));
            let left = whole - blocks.len() * large.size();
            assert_eq!(small.len() * 2048, left / LARGEST * LARGEST, "of {left}");
            assert!(heap.usage().committed <= limit);
            blocks.into_iter().for_each(|block| free(&heap, block, large));
            small.into_iter().for_each(|block| free(&heap, block, layout(2048, 8)));
        }
    }
}

/// Blocks of one size would otherwise keep those of all others from being had; also where no memory goes back.
#[test]
fn what_is_kept_for_reuse_is_given_up_before_a_request_is_refused() {
    let usual = PinnedHeap::builder();
    let observed = usual.clone().observer(Arc::new(Nobody));
    for builder in [usual.clone(), usual.clone().thread_caches(false), usual.portable(), observed] {
        let heap = builder.limit(2 * SEGMENT).build();
        for _ in 0..3 {
            for size in [16, 4096, LARGEST, 2 * LARGEST, SEGMENT + SEGMENT / 2] {
                let layout = layout(size, 8);
                let (blocks, _) = fill(&heap, layout);
                // All but what the thread has of the other sizes.
                assert!(blocks.len() * size >= SEGMENT, "{} of {size} bytes", blocks.len());
                assert!(heap.usage().committed <= 2 * SEGMENT);
                blocks.into_iter().for_each(|block| free(&heap, block, layout));
            }
        }
    }
}

#[test]
fn a_block_that_cannot_grow_for_the_limit_stays_as_it_is() {
    let heap = PinnedHeap::builder().limit(SEGMENT).build();
    let mut blocks = Blocks::new(&heap);
    blocks.alloc(layout(100, 8)).unwrap();
    blocks.alloc(layout(3 << 20, 8)).unwrap();
    for size in [SEGMENT, 4 * SEGMENT, isize::MAX as usize / 2] {
        for block in 0..2 {
            assert!(matches!(blocks.realloc(block, size), Err(AllocError::OutOfMemory { .. })));
            blocks.check_all();
            blocks.check_stats();
        }
    }
    blocks.realloc(0, 200_000).unwrap();
    blocks.free_all();
    blocks.check_stats();
}

#[test]
fn free_memory_goes_back_when_it_has_been_free_for_so_long_and_somebody_comes() {
    if !GIVES_BACK {
        return skipped("memory goes back to the system before the heap is dropped on Linux only");
    }
    let large = layout(1 << 20, 8);
    let come = |heap: &PinnedHeap| free(heap, heap.alloc(layout(100_000, 8)).unwrap(), layout(100_000, 8));
    let dirty = |time: Duration| {
        let heap = PinnedHeap::builder().decay(time).build();
        let mut blocks = Blocks::new(&heap);
        (0..4).for_each(|_| blocks.alloc(large).unwrap());
        blocks.free_all();
        drop(blocks);
        heap
    };
    for time in [0, 1, 20] {
        let heap = dirty(Duration::from_millis(time));
        let start = Instant::now();
        while heap.usage().committed >= 1 << 20 {
            assert!(start.elapsed() < Duration::from_secs(60), "it never goes back");
            thread::sleep(Duration::from_millis(1));
            come(&heap);
        }
    }
    // Looked at meanwhile, and left.
    let (start, heap) = (Instant::now(), dirty(Duration::from_secs(4)));
    while start.elapsed() < Duration::from_millis(1500) {
        thread::sleep(Duration::from_millis(10));
        come(&heap);
    }
    let committed = heap.usage().committed;
    if start.elapsed() < Duration::from_secs(3) {
        assert_eq!(committed, 4 << 20, "it is not time yet");
    } else {
        skipped("memory that has not been free for so long: this machine is too slow to say");
    }
    for time in [Duration::from_secs(3600), Duration::MAX] {
        let heap = dirty(time);
        assert_eq!(heap.usage().committed, 4 << 20);
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(1));
            come(&heap);
        }
        assert_eq!(heap.usage().committed, 4 << 20, "it never is");
        heap.trim();
        assert_eq!(heap.usage().committed, 0, "all at once");
    }
}

#[test]
fn without_thread_caches_nothing_is_kept_anywhere() {
    let heap = PinnedHeap::builder().thread_caches(false).build();
    for size in [16, 1000, LARGEST, 100_000] {
        let layout = layout(size, 8);
        let blocks: Vec<NonNull<u8>> = (0..300).map(|_| heap.alloc(layout).unwrap()).collect();
        // Freed by another thread, it is there for this one at once.
        let freed = Sent(blocks[150]);
        thread::scope(|scope| {
            let heap = &heap;
            scope.spawn(move || freed.free(heap, layout)).join().unwrap();
        });
        assert_eq!(heap.alloc(layout), Ok(blocks[150]));
        blocks.into_iter().for_each(|block| free(&heap, block, layout));
    }
    let usage = heap.usage();
    assert_eq!((usage.thread_caches, usage.cached, usage.peak_error_bound), (0, 0, 0));
    assert!(heap.classes().iter().all(|class| (class.free, class.cached) == (class.capacity, 0)));
}

#[test]
fn with_thread_caches_a_thread_keeps_what_it_freed() {
    let heap = PinnedHeap::new();
    let layout = layout(100, 8);
    let blocks = [heap.alloc(layout).unwrap(), heap.alloc(layout).unwrap()];
    if heap.usage().thread_caches == 0 {
        return blocks.into_iter().for_each(|block| free(&heap, block, layout));
    }
    free(&heap, blocks[0], layout);
    let other = thread::scope(|scope| {
        let heap = &heap;
        scope.spawn(move || heap.alloc(layout).unwrap().addr()).join().unwrap()
    });
    assert!(blocks.iter().all(|block| block.addr() != other), "it is not the other thread's");
    assert_eq!(heap.alloc(layout).unwrap(), blocks[0], "it is the next of its own");
    let usage = heap.usage();
    assert!(usage.thread_caches == 2 && usage.cached > 0 && usage.peak_error_bound > 0, "{usage:?}");
    blocks.into_iter().for_each(|block| free(&heap, block, layout));
    let other = blocks[1].with_addr(other);
    free(&heap, other, layout);
}

/// A block on its way to another thread.
struct Sent(NonNull<u8>);

// SAFETY: blocks may be freed by any thread.
unsafe impl Send for Sent {}

impl Sent {
    fn free(self, heap: &PinnedHeap, layout: Layout) {
        free(heap, self.0, layout);
    }
}

#[test]
fn a_portable_heap_is_one_block_of_the_standard_library_and_keeps_it() {
    let heap = PinnedHeap::builder().portable().build();
    let reserved = heap.usage().reserved;
    if cfg!(target_pointer_width = "64") {
        assert!((4 << 30..8 << 30).contains(&reserved), "{reserved:#x}");
    }
    let mut blocks = Blocks::new(&heap);
    (0..4).for_each(|_| blocks.alloc(layout(1 << 20, 8)).unwrap());
    blocks.free_all();
    heap.trim();
    assert_eq!(heap.usage().committed, 4 << 20, "nothing goes back");
    // What is kept is used again, and zeros are written where they are wanted.
    (0..4).for_each(|_| blocks.alloc_zeroed(layout(1 << 20, 8)).unwrap());
    assert_eq!(heap.usage().committed, 4 << 20);
    blocks.free_all();
}

#[test]
fn a_builder_makes_any_number_of_heaps_that_have_nothing_in_common() {
    let builder = PinnedHeap::builder().limit(SEGMENT);
    let [one, other] = [builder.clone().build(), builder.build()];
    let (blocks, _) = fill(&one, layout(LARGEST, 8));
    assert_eq!((blocks.len(), other.stats().allocation_count, other.usage().committed), (64, 0, 0));
    let (more, _) = fill(&other, layout(LARGEST, 8));
    assert_eq!(more.len(), 64);
    assert!(blocks.iter().all(|block| one.contains(block.as_ptr()) && !other.contains(block.as_ptr())));
    assert!(more.iter().all(|block| other.contains(block.as_ptr()) && !one.contains(block.as_ptr())));
    drop(PinnedHeap::builder().on_leak(&|_| ()).build());
    blocks.into_iter().for_each(|block| free(&one, block, layout(LARGEST, 8)));
    more.into_iter().for_each(|block| free(&other, block, layout(LARGEST, 8)));
}

#[test]
fn a_builder_shows_what_it_was_told() {
    let builder =
        PinnedHeap::builder().reserve(SEGMENT).limit(1000).decay(Duration::from_millis(7)).thread_caches(false);
    assert_eq!(
        format!("{builder:?}"),
        "PinnedHeapBuilder { reserve: 4194304, limit: 1000, decay: 7, thread_caches: false, source: Mapped, .. }"
    );
}

#[test]
fn a_heap_that_cannot_be_made_is_an_error_and_leaves_nothing_behind() {
    for builder in [PinnedHeap::builder(), PinnedHeap::builder().portable()] {
        let mut n = 0;
        loop {
            let (made, requests) = fault::fail_nth(n, || builder.clone().try_build().map(|_| ()));
            if requests <= n {
                assert_eq!(made, Ok(()));
                break;
            }
            assert!(matches!(made, Err(AllocError::OutOfMemory { available: 0, .. })), "request {n}: {made:?}");
            n += 1;
        }
        assert!(n >= 2, "addresses, and what outlives the heap");
    }
    let panic = std::panic::catch_unwind(|| fault::fail_nth(0, || drop(PinnedHeap::new()))).unwrap_err();
    let error = fault::fail_nth(0, PinnedHeap::try_new).0.unwrap_err();
    assert_eq!(panic.downcast_ref::<String>(), Some(&error.to_string()));
}
