//! Many heaps: they do not mix, they come and go without a trace, and none takes more than it needs.

use std::alloc::Layout;
use std::ptr;

use bhc_rts_alloc::general::{Array, Collection::*, Object};
use bhc_rts_alloc::{Align, GeneralHeap, MemoryRegion, Root};

use super::child::{child_is_to, in_a_child, skipped};
use super::shapes::*;

const OBJECT: &str = "an object of another heap";
const ROOT: &str = "a root of another heap";

#[test]
fn what_is_of_another_heap_is_refused_and_nothing_happens() {
    let [mut one, mut other] = [0; 2].map(|_| GeneralHeap::builder().verify(true).build());
    let (mine, theirs) = (tree(&mut one, 1), tree(&mut other, 2));
    let (arrays, strangers) = (one.new_pointers::<Tree>(4), other.new_pointers::<Tree>(4));
    let data = other.new_zeroed::<u8, Align<8>>(4);
    let before = |heap: &GeneralHeap| (heap.gc_stats(), heap.root_count(), heap.verify().unwrap());
    let all = (before(&one), before(&other));

    // Objects and fields.
    assert_eq!(panic_of(|| theirs.get(&one)), ROOT);
    assert_eq!(panic_of(|| one.root(theirs.get(&other))), OBJECT);
    assert_eq!(panic_of(|| one.try_root(theirs.get(&other))), OBJECT);
    assert_eq!(panic_of(|| one.set(mine.get(&one), Tree::left, Some(theirs.get(&other)))), OBJECT);
    assert_eq!(panic_of(|| one.set(theirs.get(&other), Tree::left, Some(mine.get(&one)))), OBJECT);
    assert_eq!(panic_of(|| one.set(theirs.get(&other), Tree::left, None)), OBJECT);
    // Arrays.
    assert_eq!(panic_of(|| one.set_element(arrays.get(&one), 0, Some(theirs.get(&other)))), OBJECT);
    assert_eq!(panic_of(|| one.set_element(strangers.get(&other), 0, Some(mine.get(&one)))), OBJECT);
    assert_eq!(panic_of(|| one.set_element(strangers.get(&other), 9, None)), OBJECT);
    assert_eq!(panic_of(|| one.copy_elements(arrays.get(&one), 0..1, strangers.get(&other), 0)), OBJECT);
    assert_eq!(panic_of(|| one.copy_elements(strangers.get(&other), 0..1, arrays.get(&one), 0)), OBJECT);
    assert_eq!(panic_of(|| one.data_mut(&data).len()), ROOT);
    // Roots.
    let mut root = mine.clone();
    assert_eq!(panic_of(|| root.set(&one, theirs.get(&other))), OBJECT);
    assert_eq!(panic_of(|| root.set(&other, theirs.get(&other))), ROOT);
    assert_eq!(root.get(&one).value, 1);
    drop(root);
    // What is to be made of them.
    let init = || TreeInit { left: Some(&mine), right: Some(&theirs), value: 3 };
    assert_eq!(panic_of(|| one.new_gc::<Tree>(init()).value), ROOT);
    assert_eq!(panic_of(|| one.try_new_gc::<Tree>(init()).map(|tree| tree.value)), ROOT);
    assert_eq!(panic_of(|| one.new_root::<Tree>(init())), ROOT);
    assert_eq!(panic_of(|| one.try_new_root::<Tree>(init())), ROOT);
    {
        let space = one.reserve(Tree::BYTES);
        let theirs = theirs.get(&other);
        let there = panic_of(|| space.new_gc::<Tree>(TreeInit { left: Some(theirs), right: None, value: 3 }).value);
        assert_eq!(there, OBJECT);
    }
    assert_eq!((before(&one), before(&other)), all);
    for heap in [&mut one, &mut other] {
        heap.collect(Minor);
        heap.collect(Full);
    }
    assert_eq!((mine.get(&one).value, theirs.get(&other).value), (1, 2));
    assert!(arrays.get(&one).iter().chain(strangers.get(&other).iter()).all(|field| field.get().is_none()));
}

#[test]
fn a_root_of_a_heap_that_is_gone_is_no_root_of_the_next_one() {
    // The next heap has the same addresses, as a rule; what matters is that it is another one.
    let mut same = 0;
    for _ in 0..20 {
        let mut gone = GeneralHeap::new();
        let mut root = number(&mut gone, 1);
        let address = ptr::from_ref(root.get(&gone).as_ref());
        drop(gone);
        let mut heap = GeneralHeap::new();
        same += usize::from(heap.contains(address));
        assert_eq!(panic_of(|| root.get(&heap)), ROOT);
        assert_eq!(panic_of(|| root.clone().get(&heap)), ROOT);
        let other = number(&mut heap, 2);
        assert_eq!(panic_of(|| root.set(&heap, other.get(&heap))), ROOT);
        assert_eq!(heap.root_count(), 1);
    }
    if same == 0 {
        skipped("heaps at the same addresses: the system gave none");
    }
}

#[test]
fn heaps_side_by_side_keep_what_is_theirs() {
    let mut heaps: Vec<_> = (0..100).map(|_| GeneralHeap::builder().nursery(16 << 10).build()).collect();
    let mut lists: Vec<Option<Root<Cons>>> = heaps.iter().map(|_| None).collect();
    for head in 0..2000 {
        for (heap, list) in heaps.iter_mut().zip(&mut lists) {
            *list = Some(heap.new_root::<Cons>(ConsInit { tail: list.as_ref(), head }));
        }
    }
    for (at, heap) in heaps.iter_mut().enumerate() {
        heap.collect(if at % 2 == 0 { Full } else { Minor });
        assert!(heap.gc_stats().minor_collections > 1);
    }
    // They go in any order.
    let mut random = Random::new(3);
    while !heaps.is_empty() {
        let at = random.below(heaps.len());
        let (heap, list) = (heaps.swap_remove(at), lists.swap_remove(at).unwrap());
        assert!(heads(list.get(&heap)).eq((0..2000).rev()));
        let first = ptr::from_ref(list.get(&heap).as_ref());
        assert!(heap.contains(first) && heaps.iter().all(|other| !other.contains(first)));
    }
}

#[test]
fn a_thousand_heaps_live_at_once() {
    // Of the default size: addresses cost nothing.
    let mut heaps = Vec::new();
    for value in 0..1000 {
        match GeneralHeap::try_new() {
            Ok(mut heap) => {
                let root = number(&mut heap, value);
                heaps.push((heap, root));
            }
            Err(error) => {
                skipped(&format!("a thousand heaps: after {value}, {error}"));
                break;
            }
        }
    }
    for (value, (heap, root)) in heaps.iter_mut().enumerate() {
        heap.collect(Minor);
        assert_eq!(root.get(heap).value, value as u64);
    }
}

/// The mappings and open files of this process.
fn traces() -> Option<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    Some((maps.lines().count(), std::fs::read_dir("/proc/self/fd").ok()?.count()))
}

/// Bytes of this process that are there.
fn process_resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10)
}

/// A heap that has had everything: objects of all kinds, collections, raw bytes, roots and handles that outlive it or
/// do not.
fn use_a_heap(seed: u64) {
    let mut heap = match seed % 3 {
        0 => GeneralHeap::new(),
        1 => GeneralHeap::builder().quarantine(3).nursery(64 << 10).build(),
        _ => GeneralHeap::builder().limit(64 << 20).build(),
    };
    let kept = list(&mut heap, 5000);
    let wide = heap.new_zeroed::<u8, Align<4096>>(100_000);
    heap.collect(Full);
    let safepoint = heap.safepoint_handle();
    let bytes = heap.bytes();
    let layout = Layout::from_size_align(10_000, 8).unwrap();
    let block = bytes.alloc(layout).unwrap();
    drop(list(&mut heap, 5000));
    heap.collect(Minor);
    match seed % 2 {
        0 => drop((heap, kept, wide)),
        _ => drop((kept, wide, heap)),
    }
    safepoint.request(Full);
    // SAFETY: allocated above; its memory stays as long as the handle.
    unsafe {
        block.write_bytes(1, layout.size());
        bytes.dealloc(block, layout);
    }
}

#[test]
fn a_thousand_heaps_leave_nothing_behind() {
    if cfg!(bhc_asan) {
        return skipped("resident memory: a sanitizer's shadow memory would be counted too");
    }
    const NAME: &str = "heaps::a_thousand_heaps_leave_nothing_behind";
    if child_is_to().is_none() {
        let output = in_a_child(NAME, "count");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if String::from_utf8_lossy(&output.stderr).contains("SKIPPED") {
            skipped("what a thousand heaps leave: no /proc/self");
        }
        return;
    }
    (0..10).for_each(use_a_heap);
    let (Some(before), Some(resident)) = (traces(), process_resident()) else { return skipped("no /proc/self") };
    (0..1000).for_each(use_a_heap);
    let (after, resident_after) = (traces().unwrap(), process_resident().unwrap());
    // The process allocator may have got a mapping or two for itself.
    assert!(after.0 <= before.0 + 3 && after.1 == before.1, "{before:?}, then {after:?}");
    // A page of each would be four megabytes.
    assert!(resident_after <= resident + (2 << 20), "{resident} bytes, then {resident_after}");
}

#[test]
fn dropping_a_heap_gives_every_page_back_at_once() {
    if cfg!(bhc_asan) {
        return skipped("resident memory: a sanitizer's shadow memory would be counted too");
    }
    const NAME: &str = "heaps::dropping_a_heap_gives_every_page_back_at_once";
    if child_is_to().is_none() {
        let output = in_a_child(NAME, "measure");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if String::from_utf8_lossy(&output.stderr).contains("SKIPPED") {
            skipped("pages of a heap that is dropped: no /proc/self");
        }
        return;
    }
    drop(GeneralHeap::new());
    let (Some(before), Some(traces_before)) = (process_resident(), traces()) else { return skipped("no /proc/self") };
    let mut heap = GeneralHeap::new();
    let kept = list(&mut heap, 2_000_000);
    let data = heap.new_data::<u64, Align<64>>(&vec![7; 4_000_000]);
    let bytes = heap.bytes();
    let layout = Layout::from_size_align(16 << 20, 8).unwrap();
    let block = bytes.alloc_zeroed(layout).unwrap();
    // SAFETY: so many bytes were allocated.
    unsafe { block.write_bytes(5, layout.size()) };
    assert!(process_resident().unwrap() > before + (96 << 20));
    let safepoint = heap.safepoint_handle();
    drop(heap);
    // The block is there, in the same place, and little else.
    // SAFETY: it is live, and all of it was written.
    let block_is_whole =
        || unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) }.iter().all(|byte| *byte == 5);
    assert!(block_is_whole());
    let with_block = process_resident().unwrap();
    assert!(with_block < before + (20 << 20), "{before} bytes before, {with_block} with a block of 16 MiB");
    // What is good for nothing any more may be used, and dropped.
    safepoint.request(Full);
    let again = safepoint.clone();
    drop((kept, data, safepoint));
    assert!(block_is_whole() && bytes.contains(block.as_ptr()));
    // More may be allocated from what is left of the heap.
    let other = bytes.alloc(layout).unwrap();
    // SAFETY: both are live, with this layout.
    unsafe {
        bytes.dealloc(block, layout);
        bytes.dealloc(other, layout);
    }
    drop((bytes, again));
    let after = process_resident().unwrap();
    assert!(after < before + (1 << 20), "{before} bytes before, {after} after");
    assert!(traces().unwrap().0 <= traces_before.0 + 3);
}

#[test]
fn what_was_in_quarantine_is_free_when_the_heap_is_gone() {
    let mut heap = GeneralHeap::builder().reserve(32 << 20).nursery(1 << 20).quarantine(16).build();
    for _ in 0..20 {
        drop(list(&mut heap, 10_000));
        heap.collect(Minor);
    }
    assert!(heap.report().in_use > 16 << 20);
    let bytes = heap.bytes();
    let layout = Layout::from_size_align(32 << 20, 8).unwrap();
    assert!(bytes.alloc(layout).is_err());
    drop(heap);
    // All of it, and all of it can be written.
    let block = bytes.alloc_zeroed(layout).unwrap();
    // SAFETY: so many bytes, just allocated.
    unsafe {
        block.write_bytes(1, layout.size());
        bytes.dealloc(block, layout);
    }
}

#[test]
fn endless_churn_takes_no_more_than_three_times_what_lives() {
    // A window over a long list of numbers, of which 16 MiB live at any time.
    const LIVE: usize = 16 << 20;
    let mut heap = GeneralHeap::new();
    let slots = LIVE / (Tree::BYTES + 8);
    let window = heap.new_pointers::<Tree>(slots);
    let mut random = Random::new(9);
    let mut most = 0;
    for value in 0..20 * slots as u64 {
        let next = tree(&mut heap, value);
        heap.set_element(window.get(&heap), random.below(slots), Some(next.get(&heap)));
        if value % (slots as u64 / 4) == 0 {
            most = most.max(resident(&heap).unwrap_or(0));
        }
    }
    let stats = heap.gc_stats();
    assert!(stats.full_collections >= 5 && stats.live_after_full <= LIVE + SLICE, "{}", heap.report());
    // What lives, as much again before it is copied, and the copy; a nursery, and blocks that are not full.
    assert!(heap.gc_stats().peak_in_use <= 2 * LIVE + (4 << 20), "{}", heap.report());
    match most {
        0 => skipped("resident memory: no /proc/self/smaps"),
        most => assert!(most <= 3 * LIVE + (8 << 20), "{most} bytes are there\n{}", heap.report()),
    }
}

#[test]
fn endless_garbage_takes_no_more_than_a_nursery() {
    let mut heap = GeneralHeap::new();
    for value in 0..10_000_000 {
        heap.new_gc::<Number>(NumberInit { value });
        if value % 100_000 == 0 {
            // Some of it large.
            drop(heap.new_zeroed::<u64, Align<64>>(100_000));
        }
    }
    let report = heap.report();
    assert_eq!(report.gc.objects_promoted + report.gc.objects_copied, 0);
    assert!(report.gc.bytes_allocated >= 160_000_000 + 80_000_000, "{report}");
    assert!(report.gc.peak_in_use < 24 << 20, "{report}");
    match resident(&heap) {
        None => skipped("resident memory: no /proc/self/smaps"),
        Some(bytes) => assert!(bytes < 24 << 20, "{bytes} bytes are there\n{report}"),
    }
}

/// A heap whose list of 1.5 million cells has just died, its resident bytes when it lived, and a list of a thousand.
fn after_a_peak() -> Option<(GeneralHeap, usize, Root<Cons>)> {
    let mut heap = GeneralHeap::new();
    let small = list(&mut heap, 1000);
    let large = list(&mut heap, 1_500_000);
    heap.collect(Full);
    let peak = resident(&heap)?;
    assert!(peak > 1_500_000 * 24);
    drop(large);
    Some((heap, peak, small))
}

#[test]
fn trim_gives_back_what_a_peak_has_left() {
    let Some((mut heap, peak, small)) = after_a_peak() else { return skipped("no /proc/self/smaps") };
    heap.collect(Full);
    let before = resident(&heap).unwrap();
    let trimmed = heap.trim();
    let after = resident(&heap).unwrap();
    assert!(trimmed >= before - after, "said {trimmed}, was {before}, is {after}");
    assert!(after <= 3 << 20, "{peak} at the peak, {after} after it\n{}", heap.report());
    assert!(heads(small.get(&heap)).eq((0..1000).rev()));
    // It is as good as new.
    let again = list(&mut heap, 100_000);
    heap.collect(Full);
    assert!(heads(again.get(&heap)).eq((0..100_000).rev()));
    heap.verify().unwrap();
}

#[test]
fn a_peak_goes_back_by_itself_with_a_few_full_collections() {
    let Some((mut heap, peak, small)) = after_a_peak() else { return skipped("no /proc/self/smaps") };
    for _ in 0..4 {
        heap.collect(Full);
    }
    let after = resident(&heap).unwrap();
    assert!(after <= 5 << 20, "{peak} at the peak, {after} after it\n{}", heap.report());
    assert!(heads(small.get(&heap)).eq((0..1000).rev()));
}

#[test]
fn trim_gives_back_what_raw_bytes_have_left() {
    let mut heap = GeneralHeap::new();
    let bytes = heap.bytes();
    let layouts: Vec<_> = (0..2000).map(|at| Layout::from_size_align(1 + at * 37 % 9000, 8).unwrap()).collect();
    let blocks: Vec<_> = layouts.iter().map(|layout| bytes.alloc(*layout).unwrap()).collect();
    let before = heap.report().in_use;
    for (block, layout) in blocks.into_iter().zip(layouts) {
        // SAFETY: allocated above.
        unsafe { bytes.dealloc(block, layout) };
    }
    heap.trim();
    let report = heap.report();
    assert!(report.in_use < before && report.in_use <= report.nursery + report.old, "{report}");
}

#[test]
fn large_objects_go_back_too() {
    let mut heap = GeneralHeap::new();
    let large: Vec<Root<Array<u64>>> = (0..64).map(|value| heap.new_data(&vec![value; 100_000])).collect();
    let Some(peak) = resident(&heap) else { return skipped("no /proc/self/smaps") };
    assert!(peak > 64 * 800_000);
    drop(large);
    heap.collect(Full);
    assert_eq!(heap.report().large, 0);
    heap.trim();
    let after = resident(&heap).unwrap();
    assert!(after < 3 << 20, "{peak}, then {after}");
}
