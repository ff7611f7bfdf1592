//! Raw bytes of a heap: a region that never moves, never collects, does not borrow the heap, and outlives it.

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::ptr::NonNull;

use bhc_rts_alloc::general::{Collection, Stress};
use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{
    Align, AllocError, AllocStats, GeneralHeap, GeneralHeapBuilder, HeapBytes, MemoryRegion, Place, RegionKind, Root,
    SimdBuffer, gc_object,
};
use proptest::prelude::*;

use super::child::{child_is_to, in_a_child, skipped};
use super::contract::blocks::{Blocks, Step};
use super::contract::{Limits, cases::cases, steps};
use crate::contract_tests;

/// What large blocks are made of, in bytes.
const SLICE: usize = 8 << 10;

/// Beyond all size classes, into zeros that come from the system, and alignments beyond what the heap's range has.
const LIMITS: Limits = Limits { max_align: 1 << 22, max_size: (1 << 21) + (1 << 16) };
/// In one block of the process allocator.
const PORTABLE: Limits = Limits { max_align: 1 << 18, max_size: 1 << 18 };

/// Runs a test as it is: each has a heap of its own, with statistics of its own.
fn here(test: impl FnOnce()) {
    test();
}

/// What a heap's bytes are once it has collected, and has gone.
fn of_a_heap_that_was() -> HeapBytes {
    let mut heap = GeneralHeap::new();
    garbage(&mut heap, 1 << 20);
    heap.collect(Collection::Full);
    heap.bytes()
}

fn portable() -> GeneralHeapBuilder {
    GeneralHeap::builder().portable().reserve(64 << 20)
}

contract_tests!(of_a_heap, make = GeneralHeap::new(), limits = LIMITS, run = here);
contract_tests!(handle_of_a_heap_that_was, make = of_a_heap_that_was(), limits = LIMITS, run = here);
contract_tests!(portable_handle, make = portable().build().bytes(), limits = PORTABLE, run = here);

gc_object! {
    /// A list.
    struct Node / NodeInit { ptr next: Node, data value: u64, }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Allocates so many bytes of objects that nobody keeps.
fn garbage(heap: &mut GeneralHeap, bytes: usize) {
    for value in 0..bytes as u64 / 24 {
        heap.new_gc::<Node>(NodeInit { next: None, value });
    }
}

fn list(heap: &mut GeneralHeap, len: u64) -> Root<Node> {
    let mut first = heap.new_root::<Node>(NodeInit { next: None, value: 0 });
    for value in 1..len {
        first = heap.new_root::<Node>(NodeInit { next: Some(&first), value });
    }
    first
}

fn check_list(heap: &GeneralHeap, first: &Root<Node>, len: u64) {
    let mut at = Some(first.get(heap));
    for value in (0..len).rev() {
        let node = at.expect("a node was lost");
        assert_eq!(node.value, value);
        at = node.get(Node::next);
    }
    assert!(at.is_none());
}

/// Allocates until it is refused; the blocks, and the refusal.
fn fill(bytes: &HeapBytes, layout: Layout) -> (Vec<NonNull<u8>>, AllocError) {
    let mut blocks = Vec::new();
    loop {
        match bytes.alloc(layout) {
            Ok(block) => blocks.push(block),
            Err(error) => return (blocks, error),
        }
    }
}

fn free_all(bytes: &HeapBytes, blocks: Vec<NonNull<u8>>, layout: Layout) {
    // SAFETY: live blocks with their layout.
    blocks.into_iter().for_each(|block| unsafe { bytes.dealloc(block, layout) });
}

/// Collects when it is told to, or short of memory, only.
fn lazy() -> GeneralHeapBuilder {
    GeneralHeap::builder().nursery(256 << 10).growth(1_000_000, 1 << 40)
}

#[test]
fn handles_are_the_same_region_and_say_what_they_are() {
    let heap = GeneralHeap::new();
    let (one, other) = (heap.bytes(), heap.bytes().clone());
    let block = one.alloc(layout(100, 8)).unwrap();
    assert_eq!(one.stats(), other.stats());
    assert_eq!(heap.stats().current_live, 100);
    assert!(other.contains(block.as_ptr()) && heap.contains(block.as_ptr()));
    assert!(!other.contains(&raw const other as *const u8));
    assert!(!GeneralHeap::new().bytes().contains(block.as_ptr()));
    // SAFETY: a live block of the same region.
    unsafe { other.dealloc(block, layout(100, 8)) };
    assert_eq!(heap.stats().current_live, 0);
    assert_eq!((one.kind(), heap.kind()), (RegionKind::General, RegionKind::General));
    assert!(format!("{one:?}").contains("current_live: 0"), "{one:?}");
}

#[test]
fn buffers_live_in_a_heap_that_collects_and_outlive_it() {
    let mut heap = GeneralHeap::builder().nursery(64 << 10).verify(true).build();
    let bytes = heap.bytes();
    // A promise at compile time: the infallible form.
    let page: SimdBuffer<u8, Align<32768>, HeapBytes> = Place::<Align<32768>>::new().within(bytes.clone()).zeroed(100);
    assert!(page.as_ptr().addr().is_multiple_of(32768));
    let mut growing = Place::<Align<64>>::new().within(bytes.clone()).try_with_capacity::<u64>(0).unwrap();
    let kept = list(&mut heap, 1000);
    for value in 0..50_000 {
        growing.push(value);
        heap.new_root::<Node>(NodeInit { next: Some(&kept), value });
        if value.is_power_of_two() {
            heap.collect(Collection::Full);
        }
    }
    assert!(heap.gc_stats().minor_collections > 10 && heap.gc_stats().full_collections > 10);
    check_list(&heap, &kept, 1000);
    drop(heap);
    assert!(growing.iter().copied().eq(0..50_000));
    growing.push(50_000);
    assert!(page.iter().all(|byte| *byte == 0));
    drop(page);
    drop(growing);
    assert_eq!(bytes.stats().current_live, 0);
}

#[test]
fn what_objects_had_is_for_bytes_when_the_heap_is_gone() {
    let mut heap = GeneralHeap::builder().nursery(1 << 20).limit(16 << 20).build();
    let bytes = heap.bytes();
    let kept = list(&mut heap, 100_000);
    assert!(bytes.alloc(layout(16 << 20, 8)).is_err());
    drop(kept);
    drop(heap);
    let all = bytes.alloc(layout(16 << 20, 8)).unwrap();
    // SAFETY: a fresh block of that size, freed once.
    unsafe {
        all.write_bytes(1, 16 << 20);
        bytes.dealloc(all, layout(16 << 20, 8));
    }
}

#[test]
fn bytes_up_to_the_limit_are_no_harm_to_collections_and_let_one_happen() {
    for size in [16, 100, 1000, SLICE, 100_000] {
        let layout = layout(size, 8);
        let mut heap = lazy().limit(16 << 20).verify(true).build();
        let bytes = heap.bytes();
        let kept = list(&mut heap, 1000);
        let (mut blocks, error) = fill(&bytes, layout);
        let AllocError::OutOfMemory { requested, available } = error else { panic!("{error}") };
        assert!(requested == size && available < size.next_multiple_of(SLICE), "{error}");
        assert!(blocks.len() * size > 8 << 20, "{} blocks of {size} bytes", blocks.len());
        let report = heap.report();
        assert!(report.in_use + report.reserve <= report.limit, "{report}");
        assert_eq!(available, report.limit - report.in_use - report.reserve);
        assert_eq!(bytes.stats().failed_allocations, 1);

        // Whatever lives can be copied, again and again.
        for kind in [Collection::Full, Collection::Minor, Collection::Full, Collection::Full] {
            heap.collect(kind);
            check_list(&heap, &kept, 1000);
        }
        garbage(&mut heap, 10 << 20);
        check_list(&heap, &kept, 1000);

        // With room for minor collections, a full one is made at the next occasion, and one only.
        let most = blocks.len();
        fill(&bytes, layout).0.into_iter().for_each(|block| blocks.push(block));
        free_all(&bytes, blocks.split_off(blocks.len() / 2), layout);
        let before = heap.gc_stats().full_collections;
        for _ in 0..2 {
            garbage(&mut heap, 300 << 10);
            assert_eq!(heap.gc_stats().full_collections, before + 1);
        }
        free_all(&bytes, blocks, layout);
        let (blocks, _) = fill(&bytes, layout);
        let least = most - (256 << 10) / size; // the list has a block now
        assert!(blocks.len() >= least, "memory was lost: {} blocks, {most} before", blocks.len());
        free_all(&bytes, blocks, layout);
    }
}

#[test]
fn a_collection_that_a_refusal_asked_for_makes_room_for_bytes() {
    let mut heap = lazy().limit(16 << 20).build();
    let bytes = heap.bytes();
    let mut kept = Some(list(&mut heap, 100_000));
    let (blocks, _) = fill(&bytes, layout(SLICE, 8));
    assert!(kept.take().is_some());
    garbage(&mut heap, 600 << 10);
    let (more, _) = fill(&bytes, layout(SLICE, 8));
    assert!(more.len() * SLICE > 100_000 * 24, "{} slices more", more.len());
    free_all(&bytes, blocks, layout(SLICE, 8));
    free_all(&bytes, more, layout(SLICE, 8));
}

#[test]
fn what_no_collection_can_help_with_asks_for_none() {
    let mut heap = lazy().limit(16 << 20).build();
    let bytes = heap.bytes();
    let refused = bytes.alloc(layout(17 << 20, 8)).unwrap_err();
    let AllocError::OutOfMemory { requested, available } = refused else { panic!("{refused}") };
    assert!(requested == 17 << 20 && (1..16 << 20).contains(&available), "{refused}");
    assert_eq!(bytes.alloc(layout(1, 1 << 50)), Err(AllocError::UnsupportedAlignment(1 << 50)));
    assert_eq!(bytes.stats(), AllocStats { failed_allocations: 2, ..AllocStats::default() });
    garbage(&mut heap, 1 << 20);
    assert_eq!(heap.gc_stats().full_collections, 0);
    assert!(heap.gc_stats().minor_collections > 0);
}

#[test]
fn what_small_blocks_had_can_be_one_large_one() {
    let heap = lazy().limit(16 << 20).build();
    let bytes = heap.bytes();
    let (one, _) = fill(&bytes, layout(SLICE, 8));
    let most = one.len() * SLICE;
    free_all(&bytes, one, layout(SLICE, 8));
    // Every class keeps what it has for itself, until it is needed.
    for size in (16..=SLICE).step_by(16) {
        free_all(&bytes, vec![bytes.alloc(layout(size, 8)).unwrap()], layout(size, 8));
    }
    free_all(&bytes, vec![bytes.alloc(layout(most, 8)).unwrap()], layout(most, 8));
    let (many, _) = fill(&bytes, layout(48, 8));
    assert!(many.len() * 48 > most / 100 * 98, "{} blocks in {most} bytes", many.len());
    free_all(&bytes, many, layout(48, 8));
    free_all(&bytes, vec![bytes.alloc(layout(most, 8)).unwrap()], layout(most, 8));
}

#[test]
fn large_blocks_grow_in_place_and_give_back_what_they_do_not_need() {
    let heap = GeneralHeap::new();
    let bytes = heap.bytes();
    let block = bytes.alloc(layout(5 * SLICE, 64)).unwrap();
    Blocks::<HeapBytes>::fill(block, 0, 5 * SLICE, 1);
    let realloc = |block, old, new| {
        // SAFETY: live blocks with their sizes.
        unsafe { bytes.realloc(block, layout(old, 64), new) }.unwrap()
    };
    // Nothing is after it.
    for (old, new) in [(5 * SLICE, 5 * SLICE + 1), (5 * SLICE + 1, 6 * SLICE), (6 * SLICE, 700 * SLICE)] {
        assert_eq!(realloc(block, old, new), block);
    }
    assert_eq!(bytes.stats().peak_usage, 700 * SLICE, "in place, both sizes are never live at once");
    let after = bytes.alloc(layout(3 * SLICE, 8)).unwrap();
    Blocks::<HeapBytes>::fill(after, 0, 3 * SLICE, 2);
    assert_eq!(after, block.map_addr(|address| address.checked_add(700 * SLICE).unwrap()));
    // What it gives back is there for others at once, and for itself again.
    assert_eq!(realloc(block, 700 * SLICE, 5 * SLICE - 100), block);
    let between = bytes.alloc(layout(100 * SLICE, 8)).unwrap();
    assert_eq!(between, block.map_addr(|address| address.checked_add(5 * SLICE).unwrap()));
    free_all(&bytes, vec![between], layout(100 * SLICE, 8));
    assert_eq!(realloc(block, 5 * SLICE - 100, 700 * SLICE), block);
    // Something is after it: it moves.
    let moved = realloc(block, 700 * SLICE, 701 * SLICE);
    assert_ne!(moved, block);
    Blocks::<HeapBytes>::check(moved, 5 * SLICE - 100, 1);
    Blocks::<HeapBytes>::check(after, 3 * SLICE, 2);
    free_all(&bytes, vec![moved], layout(701 * SLICE, 64));
    free_all(&bytes, vec![after], layout(3 * SLICE, 8));
    assert_eq!(bytes.stats().peak_usage, (701 + 700 + 3) * SLICE, "what moves is there twice");
    assert_eq!(bytes.stats().current_live, 0);
}

#[test]
fn small_blocks_stay_where_they_are_within_their_class() {
    let bytes = GeneralHeap::new().bytes();
    let mut block = bytes.alloc(layout(1025, 8)).unwrap();
    Blocks::<HeapBytes>::fill(block, 0, 1025, 1);
    let mut size = 1025;
    for (new, stays) in [(1280, true), (1025, true), (1281, false), (1280, false), (1100, true)] {
        // SAFETY: a live block with its layout.
        let now = unsafe { bytes.realloc(block, layout(size, 8), new) }.unwrap();
        assert_eq!(now == block, stays, "{size} to {new}");
        (block, size) = (now, new);
        Blocks::<HeapBytes>::check(block, 1025, 1);
    }
    free_all(&bytes, vec![block], layout(size, 8));
    assert_eq!(bytes.stats().peak_usage, 1281 + 1280, "only what moved was there twice");
}

#[test]
fn holes_are_filled_before_more_memory_is_taken() {
    for size in [16, 100, 1000, 5000] {
        const MANY: usize = 10_000;
        let heap = lazy().build();
        let bytes = heap.bytes();
        let fill = |count: usize| -> Vec<_> { (0..count).map(|_| bytes.alloc(layout(size, 8)).unwrap()).collect() };
        let mut blocks = fill(MANY);
        let most = heap.report().in_use;
        for kept in [MANY / 2, MANY / 10, MANY / 100] {
            let (keep, free) = blocks.into_iter().enumerate().partition::<Vec<_>, _>(|(at, _)| at % (MANY / kept) == 0);
            free_all(&bytes, free.into_iter().map(|(_, block)| block).collect(), layout(size, 8));
            blocks = keep.into_iter().map(|(_, block)| block).collect();
            blocks.extend(fill(MANY - kept));
            assert_eq!(blocks.len(), MANY);
            let now = heap.report().in_use;
            assert!(now <= most + (64 << 10), "{now} bytes in use, {most} were enough for as many of {size}");
        }
        free_all(&bytes, blocks, layout(size, 8));
    }
}

#[test]
fn endless_churn_takes_no_more_memory() {
    let mut heap = lazy().build();
    let bytes = heap.bytes();
    let mut blocks = Vec::new();
    let mut most = 0;
    for round in 0..200_000_usize {
        let layout = layout(1 + round.wrapping_mul(7919) % 3000, 8);
        blocks.push((bytes.alloc(layout).unwrap(), layout));
        if blocks.len() > 1000 {
            let (block, layout) = blocks.swap_remove(round.wrapping_mul(104_729) % blocks.len());
            // SAFETY: a live block with its layout.
            unsafe { bytes.dealloc(block, layout) };
        }
        if round == 20_000 {
            heap.collect(Collection::Full);
            most = heap.report().in_use;
        }
    }
    let now = heap.report().in_use;
    assert!(now <= most + most / 4, "{now} bytes in use, {most} were enough");
    for (block, layout) in blocks {
        // SAFETY: a live block with its layout.
        unsafe { bytes.dealloc(block, layout) };
    }
}

#[test]
fn bytes_that_come_pace_full_collections_and_those_that_go_do_not() {
    let mut heap = GeneralHeap::builder().nursery(256 << 10).growth(100, 8 << 20).build();
    let bytes = heap.bytes();
    // Come and go.
    for _ in 0..100 {
        free_all(&bytes, vec![bytes.alloc(layout(1 << 20, 8)).unwrap()], layout(1 << 20, 8));
        garbage(&mut heap, 256 << 10);
    }
    assert_eq!(heap.gc_stats().full_collections, 0);
    assert!(heap.gc_stats().minor_collections >= 90);
    // Come and stay; small ones count as large ones do.
    let mut kept = Vec::new();
    for round in 0..100 {
        let (count, size) = if round < 50 { (1, 1 << 20) } else { (256, 4096) };
        kept.extend((0..count).map(|_| (bytes.alloc(layout(size, 8)).unwrap(), layout(size, 8))));
        garbage(&mut heap, 256 << 10);
    }
    let full = heap.gc_stats().full_collections;
    assert!((10..=13).contains(&full), "{full} full collections for 100 MiB, one each 8");
    for (block, layout) in kept {
        // SAFETY: a live block with its layout.
        unsafe { bytes.dealloc(block, layout) };
    }
}

/// A failure at each request for memory, one after the other: counted once, and all is as before.
#[test]
fn a_failure_at_any_request_is_counted_once_and_changes_nothing() {
    type Request = fn(&HeapBytes, NonNull<u8>) -> Result<NonNull<u8>, AllocError>;
    let size = 3 * SLICE;
    // Each with the places that can fail.
    let requests: [(&str, usize, usize, Request); 4] = [
        ("a span", 100, 1, |bytes, _| bytes.alloc(layout(100, 8))),
        ("a run", 50 * SLICE, 1, |bytes, _| bytes.alloc(layout(50 * SLICE, 8))),
        ("zeros", 300 * SLICE, 1, |bytes, _| bytes.alloc_zeroed(layout(300 * SLICE, 8))),
        // SAFETY: the live block with its layout, which is forgotten on success.
        ("more", 2000 * SLICE, 2, |bytes, block| unsafe { bytes.realloc(block, layout(3 * SLICE, 8), 2000 * SLICE) }),
    ];
    for (name, new_size, least, request) in requests {
        let mut failures = 0;
        for n in 0.. {
            let heap = GeneralHeap::new();
            let bytes = heap.bytes();
            let block = bytes.alloc(layout(size, 8)).unwrap();
            Blocks::<HeapBytes>::fill(block, 0, size, 1);
            // So it does not grow in place, where that is refused it would be moved.
            let after = bytes.alloc(layout(size, 8)).unwrap();
            let before = bytes.stats();
            let (result, requests) = fault::fail_nth(n, || request(&bytes, block));
            let (new, done) = match result {
                Ok(new) => (new, true),
                Err(error) => {
                    assert_eq!(error, AllocError::OutOfMemory { requested: new_size, available: 0 }, "{name}");
                    assert_eq!(bytes.stats(), AllocStats { failed_allocations: 1, ..before }, "{name}");
                    Blocks::<HeapBytes>::check(block, size, 1);
                    failures += 1;
                    (request(&bytes, block).unwrap(), false)
                }
            };
            free_all(&bytes, vec![new], layout(new_size, 8));
            if name != "more" {
                free_all(&bytes, vec![block], layout(size, 8));
            }
            free_all(&bytes, vec![after], layout(size, 8));
            assert_eq!(bytes.stats().current_live, 0);
            if done && requests <= n {
                break;
            }
        }
        assert!(failures >= least, "{name}: {failures} places can fail");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes beside objects that move at every allocation, by a collector that looks at everything after each
    /// collection.
    #[test]
    fn blocks_neither_move_nor_change_while_the_heap_collects(
        program in steps(LIMITS),
        limit in prop_oneof![Just(8_usize << 20), Just(1 << 40)],
    ) {
        let mut heap = GeneralHeap::builder()
            .nursery(64 << 10).limit(limit).stress(Stress::Alternating(2)).verify(true).quarantine(4).build();
        let bytes = heap.bytes();
        let mut blocks = Blocks::new(&bytes);
        let mut kept = list(&mut heap, 100);
        for (round, step) in program.iter().enumerate() {
            if blocks.step(step).is_err() {
                prop_assert!(limit < 1 << 40 || matches!(step, Step::Alloc(_)), "{step:?}");
            }
            blocks.check_stats();
            if let Ok(node) = heap.try_new_root::<Node>(NodeInit { next: Some(&kept), value: 100 + round as u64 }) {
                drop(node);
            }
            if round % 16 == 0 {
                kept = list(&mut heap, 100);
            }
            blocks.check_all();
        }
        check_list(&heap, &kept, 100);
        drop(heap);
        blocks.check_all();
        blocks.free_all();
        blocks.check_stats();
    }
}

/// What the heap knows of blocks is not among them, so a program that writes where it must not spoils its own data
/// only.
#[test]
fn writing_to_what_is_free_or_past_the_end_of_blocks_does_not_harm_the_heap() {
    if cfg!(any(bhc_asan, miri)) {
        return skipped("wrong writes that do no harm: a sanitizer ends the program at the first");
    }
    let mut heap = lazy().verify(true).build();
    let bytes = heap.bytes();
    for size in [16, 40, 100, 1000, 5000] {
        let room = if size <= 64 { 512 } else { 8 };
        let mut blocks: Vec<_> = (0..room).map(|_| bytes.alloc(layout(size, 8)).unwrap()).collect();
        blocks.sort();
        let span = blocks[room - 1].addr().get() - blocks[0].addr().get() + size;
        free_all(&bytes, blocks.split_off(1), layout(size, 8));
        // SAFETY: memory of the heap, of which nobody else has any, though it is not ours any more.
        unsafe { black_box(blocks[0]).write_bytes(0xff, span) };
        heap.collect(Collection::Full);
        let again: Vec<_> = (0..3 * room).map(|_| bytes.alloc(layout(size, 8)).unwrap()).collect();
        let apart: BTreeSet<_> = again.iter().chain(&blocks).map(|block| block.addr().get() / size.min(16)).collect();
        assert_eq!(apart.len(), 3 * room + 1);
        free_all(&bytes, again, layout(size, 8));
        free_all(&bytes, blocks, layout(size, 8));
    }
    assert_eq!(bytes.stats().current_live, 0);
    heap.verify().unwrap();
}

/// Reads a byte that nobody has.
///
/// # Safety
/// None: this is the misuse that the process is to be ended for.
unsafe fn misuse(at: NonNull<u8>) {
    // SAFETY: it is not. The child does this to die of it, and only there.
    let byte = unsafe { black_box(at.as_ptr()).read_volatile() };
    println!("read {byte:#x} and lived on");
}

/// A way to have a pointer to what nobody has, of a heap that is there.
type Misuse = (&'static str, fn(&HeapBytes) -> NonNull<u8>);

const MISUSES: &[Misuse] = &[
    ("past the end of a small block", |bytes| past(bytes.alloc(layout(100, 4)).unwrap(), 100)),
    ("past the end of a large block", |bytes| past(bytes.alloc(layout(9001, 4)).unwrap(), 9001)),
    ("past the end of zeros", |bytes| past(bytes.alloc_zeroed(layout(9001, 4)).unwrap(), 9001)),
    ("past the end of a small block that was longer", |bytes| past(resized(bytes, 112, 100), 100)),
    ("past the end of a small block that was shorter", |bytes| past(resized(bytes, 98, 108), 108)),
    ("past the end of a large block that was longer", |bytes| past(resized(bytes, 90_000, 9001), 9001)),
    ("past the end of a large block that was a little longer", |bytes| past(resized(bytes, 9010, 9001), 9001)),
    ("past the end of a large block that was shorter", |bytes| past(resized(bytes, 9001, 90_001), 90_001)),
    ("far past the end of a large block that was longer", |bytes| past(resized(bytes, 90_000, 9001), 80_000)),
    ("a small block that was freed", |bytes| freed(bytes, 100)),
    ("a large block that was freed", |bytes| freed(bytes, 100_000)),
    ("a small block that has moved", |bytes| {
        let block = bytes.alloc(layout(100, 4)).unwrap();
        // SAFETY: a live block with its layout.
        assert_ne!(unsafe { bytes.realloc(block, layout(100, 4), 1000) }.unwrap(), block);
        block
    }),
    ("the next block of a span", |bytes| past(bytes.alloc(layout(112, 4)).unwrap(), 112)),
];

fn past(block: NonNull<u8>, size: usize) -> NonNull<u8> {
    // SAFETY: within the slices that the block is in, or the next ones.
    unsafe { block.add(size) }
}

fn resized(bytes: &HeapBytes, old: usize, new: usize) -> NonNull<u8> {
    let block = bytes.alloc(layout(old, 4)).unwrap();
    // SAFETY: a live block with its layout.
    let resized = unsafe { bytes.realloc(block, layout(old, 4), new) }.unwrap();
    assert_eq!(resized, block);
    resized
}

fn freed(bytes: &HeapBytes, size: usize) -> NonNull<u8> {
    let block = bytes.alloc(layout(size, 4)).unwrap();
    free_all(bytes, vec![block], layout(size, 4));
    block
}

#[test]
fn address_sanitizer_ends_the_program_at_a_use_of_what_nobody_has() {
    const TEST: &str = "bytes::address_sanitizer_ends_the_program_at_a_use_of_what_nobody_has";
    if cfg!(not(bhc_asan)) {
        return skipped("use of a heap's free bytes is reported by AddressSanitizer, which this is not built with");
    }
    if let Some(wanted) = child_is_to() {
        let (_, make) = MISUSES.iter().find(|(name, _)| *name == wanted).unwrap();
        let bytes = GeneralHeap::new().bytes();
        let at = make(&bytes);
        // SAFETY: as said there: this process is to die of it.
        unsafe { misuse(at) };
        return;
    }
    for (name, _) in MISUSES {
        let output = in_a_child(TEST, name);
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(report.contains("use-after-poison"), "{name}: {report}");
    }
}

/// What was poisoned is as good as new when it is given again, to its last byte, also at the addresses of a heap that
/// is gone.
#[test]
fn memory_that_is_given_again_may_be_used() {
    for (_, make) in MISUSES {
        let bytes = GeneralHeap::new().bytes();
        make(&bytes);
        for size in [1, 16, 100, 1000, 5000, 9001, 100_000, 2 << 20] {
            let block = bytes.alloc(layout(size, 8)).unwrap();
            // SAFETY: a block of so many bytes.
            unsafe { block.write_bytes(1, size) };
            free_all(&bytes, vec![block], layout(size, 8));
            let block = bytes.alloc_zeroed(layout(size, 8)).unwrap();
            // SAFETY: a live block of this size, then one of twice that.
            unsafe {
                assert!(std::slice::from_raw_parts(block.as_ptr(), size).iter().all(|byte| *byte == 0), "{size}");
                let grown = bytes.realloc(block, layout(size, 8), 2 * size).unwrap();
                grown.write_bytes(2, 2 * size);
                bytes.dealloc(grown, layout(2 * size, 8));
            }
        }
    }
}

/// The heap's addresses are gone with the last of heap and handles, and not before.
#[test]
fn the_last_handle_takes_the_memory_with_it() {
    const TEST: &str = "bytes::the_last_handle_takes_the_memory_with_it";
    if cfg!(any(not(unix), miri)) {
        return skipped("memory is mapped, and children are run, on Unix only");
    }
    if let Some(last) = child_is_to() {
        let heap = GeneralHeap::new();
        let (one, other) = (heap.bytes(), heap.bytes());
        let block = one.alloc(layout(100_000, 8)).unwrap();
        let use_it = || {
            // SAFETY: as long as it lives it may be written and read. After the last owner is gone this process is to
            // die of it.
            unsafe { black_box(block.as_ptr()).write_volatile(1) };
        };
        use_it();
        match last.as_str() {
            "heap" => {
                drop((one, other));
                use_it();
                println!("so far");
                drop(heap);
            }
            _ => {
                drop((heap, other));
                use_it();
                println!("so far");
                drop(one);
            }
        }
        use_it();
        println!("and lived on");
        return;
    }
    #[cfg(unix)]
    for last in ["heap", "handle"] {
        use std::os::unix::process::ExitStatusExt;
        let output = in_a_child(TEST, last);
        let (report, text) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(text.contains("so far"), "{last}: {text}");
        // A sanitizer handles the signal, and says so.
        let died = output.status.signal() == Some(11) || (cfg!(bhc_asan) && report.contains("AddressSanitizer: SEGV"));
        assert!(died, "{last}: {:?}, {text}, {report}", output.status);
    }
}
