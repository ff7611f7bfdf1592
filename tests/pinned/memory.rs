//! What the heap takes from the system is in proportion to what lives, goes back, and is not touched before somebody has it.
//!
//! Measured by what the heap says of itself (`usage().committed`), and by asking the system which of its pages are there.

use std::time::{Duration, Instant};
use std::{ptr, slice, thread};

use bhc_rts_alloc::{AllocError, MemoryRegion, PinnedHeap, PinnedHeapBuilder, Segment, SegmentObserver, page_size};

use super::child::{child_is_to, in_a_child, skipped};
use super::vocabulary::{Filled, LARGEST, SEGMENT, SLICE, class_sizes, layout};

/// A span of small blocks, in bytes, and the most that one of any class has.
const SPAN: usize = 64 << 10;
const LARGEST_SPAN: usize = 512 << 10;

/// How many bytes of the pages from `start` on are in memory; or, printed, why that is not known.
fn resident(start: *const u8, len: usize) -> Option<usize> {
    let huge = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if huge.contains("[always]") {
        skipped("resident pages: the system makes neighbours of a touched page resident");
        return None;
    }
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let page = page_size();
        assert!(start.addr().is_multiple_of(page));
        let mut pages = vec![0u8; len.div_ceil(page)];
        // SAFETY: room for a byte for each page; nothing of what is asked about is read or written.
        let result = unsafe { libc::mincore(start.cast_mut().cast(), len, pages.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Some(pages.iter().filter(|page| **page & 1 == 1).count() * page)
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    {
        let _ = (start, len);
        skipped("resident pages: nobody to ask");
        None
    }
}

/// Where all segments of a heap are that has this block, and how long they are together.
fn segments(heap: &PinnedHeap, block: *const u8) -> (*const u8, usize) {
    let (segment, _) = heap.locate(block).expect("a block of the heap");
    let first = segment.start.as_ptr().cast_const().wrapping_sub(segment.index * segment.size);
    (first, heap.usage().segments * segment.size)
}

/// That no more of the heap's memory is resident than it says that it has, and no more than `most`.
#[track_caller]
fn expect_resident(heap: &PinnedHeap, block: *const u8, most: usize) {
    let (first, len) = segments(heap, block);
    if let Some(resident) = resident(first, len) {
        // Asked last, as other threads may be allocating.
        let committed = heap.usage().committed;
        assert!(resident <= committed, "{resident} bytes are resident, the heap says {committed}");
        assert!(resident <= most, "{resident} bytes are resident, of {most} at most");
    }
}

/// Whether memory goes back to the system here; or, printed, that it does not.
fn gives_back() -> bool {
    let gives_back = cfg!(all(target_os = "linux", not(miri)));
    if !gives_back {
        skipped("memory that goes back: this system takes none before the heap is dropped");
    }
    gives_back
}

/// Calls `is_so` again and again until it is. A minute is for ever.
#[track_caller]
fn eventually(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never was");
        thread::sleep(Duration::from_millis(2));
    }
}

const FOR_EVER: Duration = Duration::from_secs(1 << 20);

/// What keeps what it has, as far as it is not told otherwise.
fn keeping() -> PinnedHeapBuilder {
    PinnedHeap::builder().decay(FOR_EVER)
}

struct Nobody;

impl SegmentObserver for Nobody {
    fn added(&self, _: Segment) -> bool {
        true
    }
    fn removed(&self, _: Segment) -> bool {
        true
    }
}

#[test]
fn t01_a_few_survivors_do_not_keep_the_memory_of_the_many() {
    const MANY: usize = 100_000;
    for builder in [keeping(), keeping().thread_caches(false), keeping().portable()] {
        let heap = builder.build();
        let fill = |sizes: &[usize]| -> Vec<Filled<'_>> {
            (0..MANY).map(|i| Filled::new(&heap, layout(sizes[i % sizes.len()], 8), i as u8)).collect()
        };
        let first = fill(&[24]);
        let alone = heap.usage().committed;
        assert!(alone <= 2 * heap.stats().current_live);
        let survivors: Vec<_> = first.into_iter().step_by(200).collect();
        assert_eq!(heap.stats().current_live, MANY / 200 * 24);

        // Again the same, into the holes.
        let again = fill(&[24]);
        let now = heap.usage().committed;
        assert!(now <= alone + 2 * SPAN, "{now} bytes, {alone} were enough for the same");
        expect_resident(&heap, again[0].ptr().as_ptr(), 2 * heap.stats().current_live);
        drop(again);

        // And other sizes.
        let others = fill(&[16, 40, 100, 200]);
        let live = heap.stats().current_live;
        assert!(heap.usage().committed <= 2 * live, "{} bytes for {live}", heap.usage().committed);
        expect_resident(&heap, others[0].ptr().as_ptr(), 2 * live);
        survivors.iter().for_each(Filled::check);
    }
}

#[test]
fn t02_opening_a_block_and_leaving_it_again_and_again_takes_nothing_more() {
    let heap = &keeping().build();
    let one_of_each = || {
        for size in class_sizes().into_iter().chain([LARGEST + 1]) {
            drop(Filled::new(heap, layout(size, 8), 1));
        }
    };
    one_of_each();
    let first = heap.usage();
    (0..200).for_each(|_| one_of_each());
    assert_eq!(heap.usage(), first);
    // As threads that come, take something, and go: what serves the first of them serves them all.
    let on_a_thread = || thread::scope(|threads| threads.spawn(one_of_each).join().unwrap());
    on_a_thread();
    let first = heap.usage();
    (0..30).for_each(|_| on_a_thread());
    assert_eq!(heap.usage(), first);
}

#[test]
fn t03_a_block_that_shrinks_gives_its_memory_back() {
    if !gives_back() {
        return;
    }
    const LARGE: usize = 64 << 20;
    let heap = keeping().build();
    for new_size in [LARGE - 1, 10 << 20, LARGEST + 1, LARGEST, 1] {
        let mut block = Filled::new(&heap, layout(LARGE, 4096), 3);
        assert_eq!(heap.usage().committed, LARGE);
        let start = block.address();
        block.resize(new_size).unwrap();
        assert_eq!(block.address() == start, new_size > LARGEST, "in place to {new_size}");
        heap.trim();
        let rest = if new_size > LARGEST { block.usable() } else { LARGEST_SPAN };
        assert!(heap.usage().committed <= rest, "{} bytes for one of {new_size}", heap.usage().committed);
        expect_resident(&heap, block.ptr().as_ptr(), rest);
        block.check();
        drop(block);
        heap.trim();
        assert_eq!(heap.usage().committed, 0);
    }
}

#[test]
fn t12_a_thread_that_only_frees_keeps_little_of_what_others_allocate() {
    const PRODUCERS: usize = 16;
    const EACH: usize = 6000;
    const SIZE: usize = 1024;
    const IN_FLIGHT: usize = 16 << 10;
    let heap = &keeping().build();
    let (to, from) = std::sync::mpsc::sync_channel(IN_FLIGHT);
    let most = thread::scope(|threads| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|id| {
                let to = to.clone();
                threads.spawn(move || {
                    (0..EACH).for_each(|_| to.send(Filled::new(heap, layout(SIZE, 64), id as u8)).unwrap());
                })
            })
            .collect();
        drop(to);
        let consumer = threads.spawn(move || {
            let mut most = 0;
            for (at, block) in from.into_iter().enumerate() {
                if at % 1000 == 0 {
                    most = heap.usage().committed.max(most);
                    expect_resident(heap, block.ptr().as_ptr(), usize::MAX);
                }
                drop(block); // with its pattern checked
            }
            heap.usage().committed.max(most)
        });
        // Joined, so that they have ended with all that belongs to it.
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        consumer.join().unwrap()
    });
    let live = (IN_FLIGHT + PRODUCERS + 1) * SIZE;
    assert!(EACH * PRODUCERS * SIZE > 4 * live, "the test would see what it is about");
    assert!(most <= live * 3 / 2, "{most} bytes for {live} that lived at once");
    assert_eq!(heap.stats().current_live, 0);
    if gives_back() {
        heap.trim();
        assert_eq!(heap.usage().committed, 0, "those who have ended kept nothing");
    }
}

#[test]
fn t13_what_a_thread_kept_goes_to_others_when_it_ends() {
    for size in [16, 64, 1000, 8192, LARGEST] {
        let heap = &keeping().build();
        let take =
            |count: usize| -> Vec<_> { (0..count).map(|i| Filled::new(heap, layout(size, 8), i as u8)).collect() };
        // Ends while its magazines are full.
        let count = (256 << 10) / size;
        let its = thread::scope(|threads| {
            let taken = threads.spawn(|| {
                let mut its: Vec<_> = take(count).iter().map(Filled::address).collect();
                assert_eq!(heap.usage().cached > 0, cfg!(not(bhc_no_tls)));
                its.sort_unstable();
                its
            });
            taken.join().unwrap()
        });
        let after = heap.usage();
        let mine = take(count);
        let known = mine.iter().filter(|block| its.binary_search(&block.address()).is_ok()).count();
        assert!(known * 2 > count, "{known} of {count} blocks of {size} bytes are those that the thread freed");
        assert_eq!(heap.usage().committed, after.committed);
        drop(mine);
        if gives_back() {
            heap.trim();
            assert_eq!(heap.usage().committed, 0, "nothing is left with who has ended");
        }
    }
}

#[test]
fn t25_large_blocks_waste_an_eighth_at_most() {
    let heap = keeping().build();
    let mut live = Vec::new();
    for size in (LARGEST + 1..8 * LARGEST).step_by(1021).chain([SEGMENT - 1, SEGMENT + 1, 20 << 20, (32 << 20) + 1]) {
        // Behind a block that leaves a gap before it: what is not the block's is nobody's, whatever the alignment.
        for align in [1, 4096, 1 << 20] {
            let before = heap.usage().committed;
            let block = Filled::new(&heap, layout(size, align), 1);
            assert!(block.usable() - size <= size / 8, "{} bytes for {size}", block.usable());
            assert_eq!(heap.usage().committed - before, block.usable());
            live.push(block);
        }
    }
    let (live_bytes, committed) = (heap.stats().current_live, heap.usage().committed);
    assert!((live_bytes..=live_bytes + live_bytes / 8).contains(&committed), "{committed} bytes for {live_bytes}");
    assert_eq!(heap.classes().large().bytes, committed);
}

/// The whole of the process's memory, so as a process of its own.
#[test]
fn the_process_is_not_larger_than_its_heap_says() {
    if child_is_to().is_some() {
        return measure_the_process();
    }
    let output = in_a_child("memory::the_process_is_not_larger_than_its_heap_says", "measure");
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).for_each(skipped);
    assert!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stdout));
}

/// Of this process: address space, and memory that is no file's, in bytes.
fn process() -> Option<(usize, usize)> {
    let size = std::fs::read_to_string("/proc/self/statm").ok()?;
    let size = size.split(' ').next()?.parse::<usize>().ok()? * page_size();
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    Some((size, line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10))
}

fn measure_the_process() {
    let Some((size, start)) = process() else { return skipped("resident memory: no /proc/self/smaps_rollup") };
    if size > 1 << 40 {
        return skipped("resident memory: a sanitizer's shadow memory would be counted too");
    }
    // The trace of the bench's `pinned/rss-after-fragmentation`, a quarter of it.
    let heap = PinnedHeap::new();
    let (mut live, mut sizes) = (Vec::with_capacity(60_000), (0u32..).map(|i| i.wrapping_mul(0x9e37_79b9) >> 8));
    let mut next = |least: usize, span: u32| layout(least + (sizes.next().unwrap() % span) as usize, 8);
    let table = live.capacity() * size_of::<Filled<'_>>();
    let expect = |what: &str, most: usize| {
        let now = process().unwrap().1.saturating_sub(start + table);
        let usage = heap.usage();
        assert!(now <= usage.committed + usage.overhead + (1 << 20), "{what}: {now} bytes, and {usage:?}");
        assert!(now <= most, "{what}: {now} bytes, {most} at most");
    };
    live.extend((0..50_000).map(|i| Filled::new(&heap, next(16, 500), i as u8)));
    let requested = heap.stats().current_live;
    expect("many", requested * 3 / 2 + (1 << 20));
    let mut at = 0;
    live.retain(|_| {
        at += 1;
        at % 8 == 0
    });
    live.extend((0..5000).map(|i| Filled::new(&heap, next(600, 3000), i as u8)));
    expect("after fragmentation", requested * 3 / 2 + 5000 * 3600 + (2 << 20));
    live.clear();
    heap.trim();
    expect("when all is free", 8 << 20);
    assert_eq!(heap.usage().committed, 0);
}

#[test]
fn trim_gives_back_what_is_free_and_leaves_what_is_not() {
    if !gives_back() {
        return;
    }
    let heap = keeping().build();
    let mut live: Vec<_> = (0..40).map(|i| Filled::new(&heap, layout((1 + i) * 50_000, 8), i as u8)).collect();
    let mut at = 0;
    let holes: Vec<_> = live
        .extract_if(.., |_| {
            at += 1;
            at % 2 == 0
        })
        .map(|block| (block.ptr(), block.usable())) // and frees it
        .collect();
    let small = Filled::new(&heap, layout(100, 8), 1);
    assert!(heap.usage().committed > 40 * 41 / 2 * 50_000);
    heap.trim();
    let needed: usize =
        live.iter().map(|block| if block.usable() > LARGEST { block.usable() } else { LARGEST_SPAN }).sum();
    assert!(heap.usage().committed <= needed + SPAN, "{} bytes for {needed}", heap.usage().committed);
    for (start, len) in holes.into_iter().filter(|(_, len)| *len > LARGEST) {
        if let Some(resident) = resident(start.as_ptr(), len) {
            assert!(resident < SPAN + page_size(), "{resident} of {len} bytes at {start:p}"); // `small` may be there
        }
    }
    live.iter().for_each(Filled::check);
    // Twice is once.
    let before = heap.usage();
    heap.trim();
    assert_eq!(heap.usage(), before);
    drop((live, small));
    heap.trim();
    assert_eq!((heap.usage().committed, heap.usage().cached), (0, 0));
}

#[test]
fn what_is_free_for_a_while_goes_back_at_a_slow_call_and_not_before() {
    if !gives_back() {
        return;
    }
    let slow_call = |heap: &PinnedHeap| drop(Filled::new(heap, layout(LARGEST + 1, 8), 1));
    let fill = |heap: &PinnedHeap| {
        let large = Filled::new(heap, layout(16 << 20, 8), 1);
        let small: Vec<_> = (0..40_000).map(|i| Filled::new(heap, layout(200, 8), i as u8)).collect();
        let committed = heap.usage().committed;
        drop((large, small));
        committed
    };
    let heap = PinnedHeap::builder().decay(Duration::from_millis(20)).build();
    assert!(fill(&heap) >= 16 << 20);
    eventually(|| {
        slow_call(&heap);
        heap.usage().committed <= 1 << 20
    });
    let slow = keeping().build();
    let before = fill(&slow);
    thread::sleep(Duration::from_millis(30));
    (0..100).for_each(|_| slow_call(&slow));
    assert_eq!(slow.usage().committed, before);
}

#[test]
fn the_limit_is_kept_at_every_moment_and_used_to_the_full() {
    const BLOCK: usize = 10 * SLICE;
    const LIMIT: usize = 7 * BLOCK;
    let heap = PinnedHeap::builder().limit(LIMIT).build();
    for _ in 0..3 {
        let mut live: Vec<_> = (0..7).map(|i| Filled::new(&heap, layout(BLOCK, 8), i)).collect();
        let refused = AllocError::OutOfMemory { requested: 1, available: 0 };
        assert_eq!(heap.usage().committed, LIMIT);
        assert_eq!(heap.alloc(layout(1, 1)), Err(refused));
        assert!(live[3].resize(BLOCK + 1).is_err());
        // What one gives back is another's.
        drop(live.pop());
        live[5].resize(BLOCK + SLICE).unwrap();
        live[2].resize(BLOCK - SLICE).unwrap();
        live.push(Filled::new(&heap, layout(9 * SLICE, 8), 9));
        assert!(heap.usage().committed <= LIMIT);
    }
    for size in class_sizes() {
        let all: Vec<_> = std::iter::from_fn(|| Filled::try_new(&heap, layout(size, 1), 1).ok()).collect();
        assert!(heap.usage().committed <= LIMIT && !all.is_empty(), "{size}");
        drop(all);
        heap.trim();
    }
}

/// The caller's own free blocks too, and whatever they were of.
#[test]
fn what_is_kept_is_given_back_before_a_request_is_refused() {
    const LIMIT: usize = 2 << 20;
    for size in class_sizes() {
        let heap = keeping().limit(LIMIT).build();
        let all: Vec<_> = std::iter::from_fn(|| Filled::try_new(&heap, layout(size, 1), 1).ok()).collect();
        drop(all);
        drop(
            Filled::try_new(&heap, layout(LIMIT, 8), 2)
                .unwrap_or_else(|error| panic!("after blocks of {size}: {error}")),
        );
        // And back.
        drop(Filled::new(&heap, layout(size, 1), 3));
    }
}

#[test]
fn a_block_grows_in_place_into_what_is_given_back_for_it() {
    let heap = keeping().limit(10 << 20).build();
    let kept = Filled::new(&heap, layout(4 << 20, 8), 1);
    let between = Filled::new(&heap, layout(LARGEST + 1, 8), 2);
    let mut block = Filled::new(&heap, layout(4 << 20, 8), 3);
    drop(kept);
    // Eight and a bit of ten: there is room, but for what is kept.
    let start = block.address();
    block.resize(8 << 20).unwrap();
    assert_eq!(block.address(), start);
    between.check();
}

#[test]
fn zeroed_blocks_of_fresh_memory_are_not_touched() {
    let heap = keeping().build();
    for size in [LARGEST + 1, SEGMENT, 64 << 20] {
        let layout = layout(size, 4096);
        for _ in 0..2 {
            let block = heap.alloc_zeroed(layout).unwrap();
            assert!(resident(block.as_ptr(), size).is_none_or(|resident| resident == 0), "{size}");
            // SAFETY: a live block, initialised.
            let bytes = unsafe { slice::from_raw_parts_mut(block.as_ptr(), size) };
            assert!((0..size).step_by(4096).chain([size - 1]).all(|at| bytes[at] == 0));
            bytes[size / 2] = 1;
            // SAFETY: allocated above.
            unsafe { heap.dealloc(block, layout) };
            // Not fresh now; then fresh again.
            let block = heap.alloc_zeroed(layout).unwrap();
            // SAFETY: as above.
            unsafe {
                assert!(slice::from_raw_parts(block.as_ptr(), size).iter().all(|byte| *byte == 0), "{size}");
                heap.dealloc(block, layout);
            }
            heap.trim();
        }
    }
}

#[test]
fn a_block_that_is_doubled_grows_where_it_is() {
    for builder in [keeping(), keeping().portable(), keeping().observer(std::sync::Arc::new(Nobody))] {
        let heap = builder.build();
        let mut block = Filled::new(&heap, layout(2 * LARGEST, 64), 1);
        let start = block.address();
        while block.layout().size() < 64 << 20 {
            block.resize(2 * block.layout().size()).unwrap();
            assert_eq!((block.address(), heap.usage().committed), (start, block.layout().size()));
        }
        // One that is full to the end of its slices does, too.
        let mut next = Filled::new(&heap, layout(LARGEST + 1, 8), 2);
        let start = next.address();
        next.resize(next.usable()).unwrap();
        next.resize(next.usable() + 1).unwrap();
        assert_eq!(next.address(), start);
        assert_eq!(heap.stats().peak_usage, heap.stats().current_live, "never had two of them");
    }
}

#[test]
fn a_block_that_has_to_move_loses_nothing_and_harms_nobody() {
    let observed = keeping().observer(std::sync::Arc::new(Nobody));
    if cfg!(bhc_asan) {
        skipped("whether blocks move by their pages: the mappings that a sanitizer makes may leave none for that");
    }
    for (by_pages, builder) in [(cfg!(not(bhc_asan)), keeping()), (false, keeping().portable()), (false, observed)] {
        for (old, new) in [(1 << 20, 2 << 20), ((1 << 20) + 12_345, 5 << 20), (3 << 20, 9 << 20), (200_000, 1 << 20)] {
            let heap = builder.clone().build();
            let before = Filled::new(&heap, layout(LARGEST + 1, 8), 1);
            let mut block = Filled::new(&heap, layout(old, 4096), 2);
            let after = Filled::new(&heap, layout(LARGEST + 1, 8), 3);
            let (start, len) = (block.ptr(), block.usable());
            let committed = heap.usage().committed;
            block.resize(new).unwrap(); // with its contents checked
            assert_ne!(block.ptr(), start);
            if cfg!(all(target_os = "linux", not(miri))) && by_pages && old >= 1 << 20 {
                // No copy, and nothing is left where it was.
                assert_eq!(heap.usage().committed, committed - len + block.usable());
                assert!(resident(start.as_ptr(), len).is_none_or(|resident| resident == 0));
            }
            before.check();
            after.check();
            // The old place is as good as any.
            let there: Vec<_> =
                (0..len / (10 * SLICE)).map(|i| Filled::new(&heap, layout(10 * SLICE, 8), i as u8)).collect();
            block.check();
            block.resize(old).unwrap();
            drop((before, there, after));
            block.check();
        }
    }
}

/// A process may have some ten thousands of mappings, for everything. The system moves pages one mapping after the other, and may
/// break off in the middle: here by a block that has many, as its owner gave each second slice an advice of its own.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_move_that_the_system_breaks_off_loses_nothing() {
    const TEST: &str = "memory::a_move_that_the_system_breaks_off_loses_nothing";
    if cfg!(bhc_asan) {
        return skipped("mappings: a sanitizer needs some of its own, and ends a process that has none left");
    }
    let Some(left) = child_is_to() else {
        for left in ["200", "100", "40", "8", "4"] {
            let output = in_a_child(TEST, left);
            let text = String::from_utf8_lossy(&output.stderr);
            text.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).for_each(skipped);
            assert!(output.status.success(), "with {left} mappings left: {}, {text}", output.status);
        }
        return;
    };
    let left: usize = left.parse().unwrap();
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let heap = keeping().build();
    let target = Filled::new(&heap, layout(16 << 20, 8), 1);
    let _between = Filled::new(&heap, layout(LARGEST + 1, 8), 2);
    let mut block = Filled::new(&heap, layout(1 << 20, 8), 3);
    let _after = Filled::new(&heap, layout(LARGEST + 1, 8), 4);
    drop(target);
    let advise = |start: ptr::NonNull<u8>, len: usize| {
        // SAFETY: whole pages of the block; the advice is about dumps of the process.
        assert_eq!(unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTDUMP) }, 0);
    };
    // SAFETY: within the block.
    (0..1 << 20).step_by(2 * SLICE).for_each(|at| advise(unsafe { block.ptr().add(at) }, SLICE));
    let (Ok(limit @ ..200_000), Ok(maps)) = (limit.trim().parse::<usize>(), std::fs::read_to_string("/proc/self/maps"))
    else {
        return skipped("mappings: there are too many to use them up, or nobody knows how many there are");
    };
    let page = page_size();
    let count = limit - maps.lines().count() - left;
    // SAFETY: a new mapping that is nobody's, of which every second page is made another kind of mapping.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let filler = libc::mmap(ptr::null_mut(), (count + 2) * page, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(filler, libc::MAP_FAILED);
        for at in (1..count).step_by(2) {
            assert_eq!(libc::mprotect(filler.wrapping_byte_add(at * page), page, libc::PROT_READ), 0);
        }
        let resized = block.resize(15 << 20); // with its contents checked
        libc::munmap(filler, (count + 2) * page);
        resized.unwrap();
    }
    block.check();
}

/// They stay few in a heap, as there are few in a process.
#[test]
fn the_systems_mappings_are_not_used_up_however_often_blocks_move() {
    let heap = keeping().build();
    let mut sizes = (1u32..).map(|i| (1 << 20) + (i.wrapping_mul(0x9e37_79b9) >> 10) as usize);
    let mut live: Vec<(ptr::NonNull<u8>, usize)> = Vec::new();
    for step in 0..5000 {
        let (size, place) = (sizes.next().unwrap(), step * 31 % 200);
        // SAFETY: blocks that are live, with their layouts; some bytes of each are written, so that there are pages to move.
        unsafe {
            let block = match live.get(place) {
                Some(&(block, old)) if step % 3 == 0 => {
                    heap.dealloc(block, layout(old, 8));
                    heap.alloc(layout(size, 8)).unwrap()
                }
                Some(&(block, old)) => heap.realloc(block, layout(old, 8), size).unwrap(),
                None => heap.alloc(layout(size, 8)).unwrap(),
            };
            (0..size).step_by(512 << 10).for_each(|at| block.add(at).write(1));
            match live.get_mut(place) {
                Some(old) => *old = (block, size),
                None => live.push((block, size)),
            }
        }
    }
    let (first, len) = segments(&heap, live[0].0.as_ptr());
    let range = first.addr()..first.addr() + len;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_else(|_| {
        skipped("mappings: no /proc/self/maps");
        String::new()
    });
    let start = |line: &str| usize::from_str_radix(line.split('-').next()?, 16).ok();
    let count = maps.lines().filter_map(start).filter(|start| range.contains(start)).count();
    assert!(count < 1000, "{count} mappings for {} segments", heap.usage().segments);
    for (block, size) in live {
        // SAFETY: live blocks with their layouts.
        unsafe { heap.dealloc(block, layout(size, 8)) };
    }
}
