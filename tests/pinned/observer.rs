//! Who watches a heap's memory is told of all of it in time, and it stays where it is: for devices that have it registered.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bhc_rts_alloc::{AllocError, MemoryRegion, PinnedHeap, Segment, SegmentObserver};

use super::blocks::Blocks;
use super::child::{child_is_to, in_a_child, skipped};
use super::vocabulary::{LARGEST, SEGMENT, SLICE, layout};

/// An observer that believes nothing: it checks all that it is told against the blocks that there were.
#[derive(Default)]
struct Watch {
    books: Mutex<Books>,
    /// Whether it refuses segments from now on, and whether it keeps them at the end.
    refuses: AtomicBool,
    keeps: AtomicBool,
    asked: AtomicUsize,
}

#[derive(Default)]
struct Books {
    /// The start of each segment that was added and not removed, by its number.
    segments: BTreeMap<usize, usize>,
    /// The addresses of all blocks that there ever were.
    blocks: Vec<Range<usize>>,
    removed: usize,
}

impl SegmentObserver for Watch {
    fn added(&self, segment: Segment) -> bool {
        self.asked.fetch_add(1, Relaxed);
        let Segment { index, start, size } = segment;
        let start = start.addr().get();
        let mut books = self.books();
        assert!(size == SEGMENT && start.is_multiple_of(SEGMENT), "{segment:?}");
        let mut others = books.segments.iter();
        assert!(others.all(|(other, at)| at.wrapping_sub(other * SEGMENT) == start.wrapping_sub(index * SEGMENT)));
        let memory = start..start + size;
        let touches = |block: &Range<usize>| block.start < memory.end && memory.start < block.end;
        assert!(!books.blocks.iter().any(touches), "{segment:?} was used before it was told");
        if self.refuses.load(Relaxed) {
            return false;
        }
        assert_eq!(books.segments.insert(index, start), None, "{segment:?} is told twice");
        true
    }

    fn removed(&self, segment: Segment) -> bool {
        let mut books = self.books();
        assert_eq!(books.segments.remove(&segment.index), Some(segment.start.addr().get()), "it was never added");
        books.removed += 1;
        !self.keeps.load(Relaxed)
    }
}

impl Watch {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which segments there are.
    fn segments(&self) -> Vec<usize> {
        self.books().segments.keys().copied().collect()
    }

    /// How many were taken away.
    fn segments_removed(&self) -> usize {
        self.books().removed
    }

    /// A block was given: all of it is in segments that it was told of, and the heap says in which.
    #[track_caller]
    fn given(&self, heap: &PinnedHeap, block: NonNull<u8>, layout: Layout) {
        let start = block.addr().get();
        let end = start + PinnedHeap::usable_size(layout);
        let mut books = self.books();
        for at in (start..end).step_by(SLICE.min(end - start)).chain([end - 1]) {
            let (segment, offset) = heap.locate(std::ptr::without_provenance(at)).expect("it is the heap's");
            assert_eq!(segment.start.addr().get() + offset, at);
            assert_eq!((offset < SEGMENT, segment.size), (true, SEGMENT));
            assert_eq!(books.segments.get(&segment.index), Some(&segment.start.addr().get()), "{layout:?} at {at:#x}");
        }
        books.blocks.push(start..end);
    }
}

fn observed() -> (Arc<Watch>, PinnedHeap) {
    let watch = Arc::new(Watch::default());
    (Arc::clone(&watch), PinnedHeap::builder().observer(watch).build())
}

fn alloc(watch: &Watch, heap: &PinnedHeap, layout: Layout) -> NonNull<u8> {
    let block = heap.alloc(layout).unwrap();
    watch.given(heap, block, layout);
    block
}

fn free(heap: &PinnedHeap, block: NonNull<u8>, layout: Layout) {
    // SAFETY: a live block of this layout, which the test does not use again.
    unsafe { heap.dealloc(block, layout) };
}

/// How many of the whole pages in these bytes are in memory, of how many.
#[cfg(target_os = "linux")]
fn resident(start: NonNull<u8>, len: usize) -> (usize, usize) {
    let page = bhc_rts_alloc::page_size();
    let from = start.addr().get().next_multiple_of(page);
    let mut pages = vec![0u8; (start.addr().get() + len - from) / page];
    let from = start.as_ptr().with_addr(from).cast();
    // SAFETY: it asks about addresses, and writes a byte for each page, for which there is room.
    let known = unsafe { libc::mincore(from, pages.len() * page, pages.as_mut_ptr()) };
    assert_eq!(known, 0, "{}", std::io::Error::last_os_error());
    (pages.iter().filter(|page| **page & 1 == 1).count(), pages.len())
}

#[test]
fn every_block_lies_in_segments_that_were_told_of_before() {
    let (watch, heap) = observed();
    assert_eq!(watch.segments(), [], "nothing is memory yet");
    let mut blocks = Vec::new();
    for align in [1, 64, 4096, LARGEST, SEGMENT, 2 * SEGMENT] {
        for size in [1, 100, 4096, LARGEST, LARGEST + 1, 1 << 20, SEGMENT, SEGMENT + 1, 10 << 20] {
            let layout = layout(size, align);
            blocks.push((alloc(&watch, &heap, layout), layout));
        }
    }
    // Growing, in place and elsewhere.
    for (block, old) in &mut blocks {
        let new = layout(old.size() * 2, old.align());
        // SAFETY: a live block with its layout; then it has the new one.
        *block = unsafe { heap.realloc(*block, *old, new.size()) }.unwrap();
        *old = new;
        watch.given(&heap, *block, new);
    }
    assert_eq!(heap.usage().segments, watch.segments().len());
    let first = watch.books().segments[&0];
    for at in [first - 1, first + (1 << 35)] {
        assert_eq!(heap.locate(std::ptr::without_provenance(at)), None);
    }
    blocks.into_iter().for_each(|(block, layout)| free(&heap, block, layout));
}

#[test]
fn threads_that_need_memory_at_once_do_not_tell_twice() {
    let (watch, heap) = observed();
    thread::scope(|scope| {
        for thread in 0..3 {
            let (watch, heap) = (&watch, &heap);
            scope.spawn(move || {
                for size in [100, 5000, LARGEST, 1 << 20, 6 << 20] {
                    let layout = layout(size + thread, 8);
                    let blocks: Vec<_> = (0..5).map(|_| alloc(watch, heap, layout)).collect();
                    blocks.into_iter().for_each(|block| free(heap, block, layout));
                }
            });
        }
    });
    assert_eq!(heap.usage().segments, watch.segments().len());
}

#[test]
fn the_segments_are_the_same_after_a_hundred_thousand_blocks() {
    let (watch, heap) = observed();
    let layouts: Vec<Layout> =
        (0..250).map(|n| layout([24, 200, 1500, 4096, 9000][n % 5] + n, 1 << (n % 13))).collect();
    // Room for all that lives and what is kept for reuse, in whatever order; a hundred times of that is used.
    free(&heap, alloc(&watch, &heap, layout(2 * SEGMENT, 8)), layout(2 * SEGMENT, 8));
    let told = watch.segments();
    for round in 0..420 {
        let mut blocks: Vec<_> = layouts.iter().map(|layout| (heap.alloc(*layout).unwrap(), *layout)).collect();
        let large = layout(LARGEST * (1 + round % 20), 8);
        free(&heap, heap.alloc(large).unwrap(), large);
        blocks.rotate_left(round % layouts.len());
        blocks.into_iter().for_each(|(block, layout)| free(&heap, block, layout));
        if round % 50 == 0 {
            heap.trim();
        }
    }
    let stats = heap.stats();
    assert!(stats.allocation_count > 100_000 && stats.total_allocated > 100 * SEGMENT);
    assert_eq!((watch.segments(), watch.asked.load(Relaxed)), (told.clone(), told.len()));
    let block = alloc(&watch, &heap, layouts[0]);
    free(&heap, block, layouts[0]);
}

#[test]
fn a_segment_that_is_refused_is_an_error_and_is_asked_for_again() {
    let (watch, heap) = observed();
    let (small, large, several) = (layout(100, 8), layout(1 << 20, 8), layout(3 * SEGMENT, 8));
    watch.refuses.store(true, Relaxed);
    for (round, layout) in [small, large, several, small].into_iter().enumerate() {
        let asked = watch.asked.load(Relaxed);
        for result in [heap.alloc(layout), heap.alloc_zeroed(layout)] {
            assert!(matches!(result, Err(AllocError::OutOfMemory { requested, .. }) if requested == layout.size()));
        }
        assert!(watch.asked.load(Relaxed) >= asked + 2, "each request asks");
        let stats = heap.stats();
        assert_eq!((stats.failed_allocations, stats.allocation_count), (2 * round + 2, 0));
        assert_eq!((heap.usage().committed, heap.usage().segments), (0, 0));
    }
    watch.refuses.store(false, Relaxed);
    let first = [alloc(&watch, &heap, small), alloc(&watch, &heap, large)];
    assert_eq!(watch.segments(), [0], "the very first, which was refused");

    // What it has it goes on with, and what it had not it has not.
    watch.refuses.store(true, Relaxed);
    let mut neighbours = Blocks::new(&heap);
    (0..100).for_each(|_| neighbours.alloc(small).unwrap());
    assert!(heap.alloc(several).is_err() && heap.alloc(layout(SEGMENT, SEGMENT)).is_err());
    // SAFETY: a live block with its layout; it cannot grow and stays.
    assert!(unsafe { heap.realloc(first[1], large, 4 * SEGMENT) }.is_err());
    assert_eq!((watch.segments(), heap.usage().segments), (vec![0], 1));
    (0..100).for_each(|_| neighbours.alloc(small).unwrap());
    let left = neighbours.alloc(large);
    assert!(left.is_ok(), "there is room in what it has: {left:?}");
    neighbours.check_all();

    watch.refuses.store(false, Relaxed);
    let last = alloc(&watch, &heap, several);
    neighbours.check_all();
    neighbours.free_all();
    free(&heap, first[0], small);
    free(&heap, first[1], large);
    free(&heap, last, several);
    let refused = watch.asked.load(Relaxed) - watch.segments().len();
    assert!(refused > 8, "{refused}");
    drop(heap);
    assert_eq!((watch.segments().len(), watch.segments_removed() + refused), (0, watch.asked.load(Relaxed)));
}

#[test]
fn a_refusal_in_the_middle_of_a_block_leaves_the_segments_before_it() {
    struct Third(AtomicUsize);
    impl SegmentObserver for Third {
        fn added(&self, _: Segment) -> bool {
            self.0.fetch_add(1, Relaxed) != 2
        }
        fn removed(&self, _: Segment) -> bool {
            self.0.fetch_sub(1, Relaxed);
            true
        }
    }
    let third = Arc::new(Third(AtomicUsize::new(0)));
    let heap = PinnedHeap::builder().observer(Arc::<Third>::clone(&third)).build();
    let mut blocks = Blocks::new(&heap);
    // Refused once; the request looks a second time, when memory may have been given back meanwhile.
    blocks.alloc(layout(4 * SEGMENT, 8)).unwrap();
    assert_eq!((third.0.load(Relaxed), heap.usage().segments), (5, 4), "two, none, and two");
    blocks.free_all();
    blocks.check_stats();
    drop(heap);
    assert_eq!((third.0.load(Relaxed), Arc::strong_count(&third)), (1, 1));
}

#[test]
fn every_segment_is_taken_away_when_the_heap_goes_and_the_observer_with_it() {
    let (watch, heap) = observed();
    for size in [100, 1 << 20, 5 << 20] {
        free(&heap, alloc(&watch, &heap, layout(size, 8)), layout(size, 8));
    }
    let segments = watch.segments().len();
    heap.trim();
    assert_eq!((watch.segments_removed(), watch.segments().len()), (0, segments), "not before");
    drop(heap);
    assert_eq!((watch.segments_removed(), watch.segments().len()), (segments, 0));
    assert_eq!(Arc::strong_count(&watch), 1);
    // A heap that never had memory has nothing to take away.
    let (watch, heap) = observed();
    drop(heap);
    assert_eq!((watch.asked.load(Relaxed), watch.segments_removed()), (0, 0));
}

/// In a child: in this process another heap may come to where one was.
#[test]
fn memory_that_the_observer_does_not_let_go_of_stays_mapped() {
    const TEST: &str = "observer::memory_that_the_observer_does_not_let_go_of_stays_mapped";
    if cfg!(any(not(target_os = "linux"), miri)) {
        return skipped("what is mapped is asked of Linux only");
    }
    #[cfg(target_os = "linux")]
    if let Some(what) = child_is_to() {
        let (watch, heap) = observed();
        watch.keeps.store(what == "keep", Relaxed);
        let block = alloc(&watch, &heap, layout(5 << 20, 8));
        Blocks::<PinnedHeap>::fill(block, 0, 5 << 20, 7);
        // It is not freed: that would be the heap's right to write to it, in a debug build.
        drop(heap);
        let page = bhc_rts_alloc::page_size();
        let mut there = 0;
        // SAFETY: it asks about an address and writes a byte.
        let mapped = unsafe { libc::mincore(block.as_ptr().cast(), page, &raw mut there) } == 0;
        if mapped {
            Blocks::<PinnedHeap>::check(block, 5 << 20, 7);
        }
        println!("it is {}", if mapped { "mapped" } else { "gone" });
        return;
    }
    for (what, said) in [("keep", "it is mapped"), ("let go", "it is gone")] {
        let output = in_a_child(TEST, what);
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains(said), "{what}: {out}{errors}");
        assert!(errors.contains("pinned heap: dropped with 1 live blocks of 5242880 bytes"), "{errors}");
    }
}

/// The pages of these blocks after the heap has had every reason to give them back: freed, trimmed, and left for a while.
#[cfg(target_os = "linux")]
fn pages_after_all_was_freed(heap: &PinnedHeap) -> Vec<(usize, usize)> {
    let mut kept = Blocks::new(heap);
    let layouts = [layout(LARGEST, 8), layout(4096, 4096), layout(1 << 20, 8), layout(6 << 20, 1 << 20)];
    let mut blocks = Vec::new();
    for layout in layouts.into_iter().cycle().take(40) {
        let block = heap.alloc(layout).unwrap();
        Blocks::<PinnedHeap>::fill(block, 0, layout.size(), 1);
        blocks.push((block, layout));
    }
    kept.alloc(layout(100, 8)).unwrap();
    for (block, layout) in &blocks {
        free(heap, *block, *layout);
    }
    heap.trim();
    thread::sleep(Duration::from_millis(20));
    // Somebody comes, and it is time.
    kept.alloc(layout(100_000, 8)).unwrap();
    kept.free_all();
    heap.trim();
    let seen = blocks.iter().filter(|(_, layout)| layout.size() >= LARGEST);
    seen.map(|(block, layout)| resident(*block, layout.size())).collect()
}

#[test]
fn pages_of_an_observed_heap_never_go_back() {
    #[cfg(any(not(target_os = "linux"), miri))]
    skipped("whether pages are in memory is asked of Linux only");
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let decay = Duration::from_millis(4);
        let (watch, builder) = (Arc::new(Watch::default()), PinnedHeap::builder().decay(decay));
        let observed = builder.clone().observer(Arc::<Watch>::clone(&watch)).build();
        for (there, pages) in pages_after_all_was_freed(&observed) {
            assert_eq!(there, pages);
        }
        assert!(observed.usage().committed >= 10 * (7 << 20));
        // That it would be seen if they did:
        let usual = builder.build();
        for (there, _) in pages_after_all_was_freed(&usual) {
            assert_eq!(there, 0);
        }
        assert_eq!(usual.usage().committed, 0);
    }
}

#[test]
fn blocks_of_an_observed_heap_move_by_their_bytes_and_not_by_their_pages() {
    #[cfg(any(not(target_os = "linux"), miri))]
    skipped("whether pages are in memory is asked of Linux only");
    #[cfg(bhc_asan)]
    skipped("whether blocks move by their pages: the mappings that a sanitizer makes may leave none for that");
    #[cfg(all(target_os = "linux", not(miri)))]
    for observed in [true, false] {
        let builder = PinnedHeap::builder();
        let heap = if observed { builder.observer(Arc::new(Watch::default())) } else { builder }.build();
        let (old, new) = (layout(2 << 20, 8), layout(3 << 20, 8));
        let block = heap.alloc(old).unwrap();
        let in_the_way = heap.alloc(old).unwrap();
        Blocks::<PinnedHeap>::fill(block, 0, old.size(), 3);
        // SAFETY: a live block with its layout; then it has the new one.
        let moved = unsafe { heap.realloc(block, old, new.size()) }.unwrap();
        assert_ne!(moved, block);
        Blocks::<PinnedHeap>::check(moved, old.size(), 3);
        let (there, pages) = resident(block, old.size());
        if observed || cfg!(not(bhc_asan)) {
            assert_eq!(there, if observed { pages } else { 0 }, "the pages where it was");
        }
        free(&heap, moved, new);
        free(&heap, in_the_way, old);
    }
}
