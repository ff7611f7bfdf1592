//! What a heap says of itself is exact; and what its builder is told has its effect.
//!
//! | field of the builder | test |
//! |---|---|
//! | `nursery` | `builder_nursery_is_what_a_minor_collection_empties` |
//! | `reserve` | `builder_reserve_is_all_there_can_be` |
//! | `limit` | `builder_limit_is_kept` |
//! | `huge_pages` | `builder_huge_pages_are_asked_for_unless_they_are_not_wanted` |
//! | `shadow_stack` | `builder_shadow_stack_holds_so_many_slots` |
//! | `growth` | `builder_growth_paces_full_collections`, `builder_growth_is_as_documented_if_nothing_is_said` |
//! | `stress` | `builder_stress_collects_at_every_nth_allocation` |
//! | `verify` | `builder_verify_finds_what_unsafe_code_has_done` |
//! | `quarantine` | `builder_quarantine_keeps_addresses_from_being_used_again` |
//! | `remembered` | `builder_remembered_bounds_the_list` |
//! | `portable` | `builder_portable_takes_one_block_and_keeps_it` |

use std::collections::BTreeSet;
use std::ptr;
use std::time::Instant;

use bhc_rts_alloc::general::{
    Array, Collection, Collection::*, GcReport, GcStats, Object, PauseHistogram, PtrArray, Stress,
};
use bhc_rts_alloc::{Align, AllocError, GeneralHeap, MemoryRegion, Root};

use super::child::skipped;
use super::shapes::*;

/// What the statistics should say, and what lives.
#[derive(Default)]
struct Oracle {
    expected: GcStats,
    live: Vec<Live>,
}

/// An object that a root keeps.
struct Live {
    root: Kept,
    /// What it takes, with what its alignment may cost.
    bytes: usize,
    young: bool,
    /// The barrier has remembered it.
    logged: bool,
}

enum Kept {
    Tree(Root<Tree>),
    Pointers(Root<PtrArray<Tree>>),
    Data { _root: Root<Array<u8, Align<64>>> },
}

impl Oracle {
    fn add(&mut self, root: Kept, bytes: usize) {
        self.expected.bytes_allocated += bytes as u64;
        let large = bytes >= SLICE;
        if large {
            self.expected.bytes_large += bytes as u64;
        }
        self.live.push(Live { root, bytes, young: !large, logged: false });
    }

    fn collect(&mut self, heap: &mut GeneralHeap, kind: Collection) {
        heap.collect(kind);
        let expected = &mut self.expected;
        let small = || self.live.iter().filter(|object| object.bytes < SLICE);
        match kind {
            Minor => {
                expected.minor_collections += 1;
                let promoted = || small().filter(|object| object.young);
                expected.objects_promoted += promoted().count() as u64;
                expected.bytes_promoted += promoted().map(|object| object.bytes as u64).sum::<u64>();
            }
            Full => {
                expected.full_collections += 1;
                expected.objects_copied += small().count() as u64;
                let copied = small().map(|object| object.bytes).sum::<usize>();
                expected.bytes_copied += copied as u64;
                let large = self.live.iter().filter(|object| object.bytes >= SLICE);
                expected.live_after_full = copied + large.map(|object| object.bytes).sum::<usize>();
            }
        }
        expected.peak_in_use = expected.peak_in_use.max(heap.report().in_use);
        self.live.iter_mut().for_each(|object| (object.young, object.logged) = (false, false));
    }

    /// Points a field of one object to a tree.
    fn store(&mut self, heap: &GeneralHeap, at: usize, to: usize) {
        let Kept::Tree(to) = &self.live[to].root else { return };
        let to = Some(to.get(heap));
        let object = &self.live[at];
        match &object.root {
            Kept::Tree(tree) => heap.set(tree.get(heap), Tree::left, to),
            Kept::Pointers(array) if !array.get(heap).is_empty() && object.bytes < 512 => {
                // Of one card only if the array is in one: so one element, always the same.
                heap.set_element(array.get(heap), 0, to)
            }
            _ => return,
        }
        // What was stored is taken away again: an object lives as long as its root.
        match &object.root {
            Kept::Tree(tree) => heap.set(tree.get(heap), Tree::left, None),
            Kept::Pointers(array) => heap.set_element(array.get(heap), 0, None),
            Kept::Data { .. } => {}
        }
        let object = &mut self.live[at];
        if !object.young && !object.logged {
            object.logged = true;
            self.expected.remembered += 1;
        }
    }

    fn check(&self, heap: &GeneralHeap) {
        let stats = heap.gc_stats();
        let mut expected = self.expected;
        (expected.minor_pauses, expected.full_pauses) = (stats.minor_pauses, stats.full_pauses);
        assert_eq!(stats, expected);
        assert_eq!(stats.minor_pauses.count(), stats.minor_collections);
        assert_eq!(stats.full_pauses.count(), stats.full_collections);
        let report = heap.report();
        assert_eq!(report.gc, stats);
        assert_eq!(report.bytes, heap.bytes().stats());
        assert_eq!(heap.root_count(), self.live.len());
    }
}

#[test]
fn every_count_is_that_of_an_oracle() {
    for seed in 0..8 {
        // Nothing collects but what the oracle knows of.
        let mut heap = GeneralHeap::builder().nursery(4 << 20).growth(u32::MAX, usize::MAX).build();
        let (mut oracle, mut random) = (Oracle::default(), Random::new(seed));
        for step in 0..3000 {
            match random.below(100) {
                0..40 => {
                    let tree = tree(&mut heap, step);
                    oracle.add(Kept::Tree(tree), Tree::BYTES);
                }
                40..50 => {
                    let most = [60, 3000][usize::from(random.below(10) == 0)];
                    let len = random.below(most);
                    let words = 2 + len;
                    let bytes = if words < LARGE { words * 8 } else { (words * 8).next_multiple_of(SLICE) };
                    let array = heap.new_pointers(len);
                    oracle.add(Kept::Pointers(array), bytes);
                }
                50..60 => {
                    let most = [300, 30_000][usize::from(random.below(10) == 0)];
                    let len = random.below(most);
                    // Seven words are kept for the alignment; a large one starts where it is aligned, two words
                    // before.
                    let words = 2 + len.div_ceil(8) + 7;
                    let bytes = match words < LARGE {
                        true => words * 8,
                        false => (48 + 16 + len.next_multiple_of(8)).next_multiple_of(SLICE),
                    };
                    let data = heap.new_zeroed(len);
                    oracle.add(Kept::Data { _root: data }, bytes);
                }
                60..80 if !oracle.live.is_empty() => {
                    oracle.live.swap_remove(random.below(oracle.live.len()));
                }
                80..96 if !oracle.live.is_empty() => {
                    let len = oracle.live.len();
                    oracle.store(&heap, random.below(len), random.below(len));
                }
                96..99 => oracle.collect(&mut heap, Minor),
                _ => oracle.collect(&mut heap, Full),
            }
            if step % 50 == 0 {
                oracle.check(&heap);
            }
            if step % 1000 == 0 {
                heap.verify().unwrap();
            }
        }
        oracle.live.clear();
        oracle.collect(&mut heap, Full);
        oracle.check(&heap);
        assert_eq!((heap.gc_stats().live_after_full, heap.verify().unwrap().objects), (0, 0));
    }
}

#[test]
fn refusals_are_counted_once_each() {
    let mut heap = GeneralHeap::builder().limit(4 << 20).build();
    for n in 0..5 {
        assert_eq!(heap.gc_stats().failed, n);
        assert!(matches!(heap.try_new_zeroed::<u8, Align<8>>(8 << 20), Err(AllocError::OutOfMemory { .. })));
    }
    assert!(heap.try_new_pointers::<Tree>(1 << 20).is_err());
    assert!(heap.try_reserve(1 << 30).is_err());
    assert_eq!(heap.gc_stats().failed, 7);
    number(&mut heap, 1);
    assert_eq!(heap.gc_stats().failed, 7);
}

#[test]
fn raw_bytes_are_counted_in_the_report() {
    let heap = GeneralHeap::new();
    let before = heap.report();
    let layout = std::alloc::Layout::from_size_align(100_000, 64).unwrap();
    let block = heap.alloc(layout).unwrap();
    let with = heap.report();
    assert_eq!(
        (with.bytes.current_live, with.in_use - before.in_use),
        (100_000, 100_000_usize.next_multiple_of(SLICE))
    );
    // SAFETY: allocated above.
    unsafe { heap.dealloc(block, layout) };
    let after = heap.report();
    assert_eq!((after.bytes.current_live, after.in_use), (0, before.in_use));
}

/// Collects, and returns the pause by the heap's clock and by this one.
fn pause(heap: &mut GeneralHeap, kind: Collection) -> (u64, u64) {
    let total = |heap: &GeneralHeap| heap.gc_stats().minor_pauses.total() + heap.gc_stats().full_pauses.total();
    let (before, start) = (total(heap), Instant::now());
    heap.collect(kind);
    let outside = start.elapsed().as_nanos() as u64;
    (total(heap) - before, outside)
}

#[test]
fn pauses_are_measured_around_what_is_collected() {
    let mut heap = GeneralHeap::builder().nursery(32 << 20).build();
    let mut list = Some(list(&mut heap, 1_000_000));
    for (kind, objects) in [(Minor, 1_000_000), (Full, 1_000_000), (Minor, 0), (Full, 1_000_000)] {
        let copied = |heap: &GeneralHeap| heap.gc_stats().objects_promoted + heap.gc_stats().objects_copied;
        let before = copied(&heap);
        let (inside, outside) = pause(&mut heap, kind);
        assert_eq!(copied(&heap) - before, objects);
        assert!(inside <= outside, "{inside} of {outside} ns");
        // No machine copies 24 MB in a tenth of a millisecond.
        assert!(objects == 0 || inside > 100_000, "{objects} objects in {inside} ns");
    }
    list.take();
    pause(&mut heap, Full);
    let GcStats { minor_pauses, full_pauses, .. } = heap.gc_stats();
    for pauses in [minor_pauses, full_pauses] {
        check_histogram(&pauses);
    }
    assert_eq!((minor_pauses.count(), full_pauses.count()), (2, 3));
}

/// What must be true of any histogram with something in it.
fn check_histogram(pauses: &PauseHistogram) {
    let buckets: Vec<_> = pauses.buckets().collect();
    assert!(buckets.is_sorted() && buckets.iter().all(|(end, count)| end.is_power_of_two() && *count > 0));
    assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), pauses.count());
    assert!(pauses.longest() <= pauses.total() && pauses.total() <= pauses.longest() * pauses.count());
    let (last, _) = buckets.last().unwrap();
    assert!(pauses.longest() <= *last && *last < 2 * pauses.longest().max(1));
    let quantiles: Vec<_> = (0..=1001).map(|per_mille| pauses.quantile(per_mille)).collect();
    assert!(quantiles.is_sorted());
    assert_eq!((quantiles[1000], quantiles[1001]), (pauses.longest(), pauses.longest()));
    for (per_mille, quantile) in quantiles.iter().enumerate().take(1001) {
        // So many pauses, in whole buckets, did not take longer.
        let within = buckets.iter().filter(|(end, _)| end / 2 < *quantile).map(|(_, count)| count).sum::<u64>();
        assert!(within * 1000 >= pauses.count() * per_mille as u64, "{per_mille}: {quantile}");
    }
}

#[test]
fn a_histogram_of_many_pauses_has_all_of_them() {
    let mut heap = GeneralHeap::builder().nursery(4 << 20).build();
    for round in 0..2000_u64 {
        let _kept: Vec<_> = (0..round % 50 * 20).map(|value| number(&mut heap, value)).collect();
        pause(&mut heap, if round % 3 == 0 { Full } else { Minor });
    }
    let GcStats { minor_pauses, full_pauses, .. } = heap.gc_stats();
    check_histogram(&minor_pauses);
    check_histogram(&full_pauses);
    assert_eq!((minor_pauses.count(), full_pauses.count()), (1333, 667));
}

#[test]
fn a_histogram_of_nothing_is_zeros() {
    let pauses = PauseHistogram::default();
    assert_eq!((pauses.count(), pauses.total(), pauses.longest(), pauses.buckets().count()), (0, 0, 0, 0));
    assert!([0, 1, 500, 1000, u64::MAX].into_iter().all(|per_mille| pauses.quantile(per_mille) == 0));
    assert_eq!(GeneralHeap::new().gc_stats().full_pauses, pauses);
}

/// Of numbers of bytes, as the report writes them.
fn written(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[test]
fn the_report_has_every_figure() {
    let mut heap = GeneralHeap::new();
    heap.collect(Minor);
    heap.collect(Full);
    let mut report: GcReport = heap.report();
    // Numbers that cannot be taken for one another.
    let mut next = 100_u64;
    let mut number = || {
        next += 1;
        next
    };
    let gc = &mut report.gc;
    let mut expected = Vec::new();
    for count in [&mut gc.objects_promoted, &mut gc.objects_copied, &mut gc.remembered, &mut gc.failed] {
        *count = number() * 1_000_003;
        expected.push(count.to_string());
    }
    for count in [&mut gc.minor_collections, &mut gc.full_collections] {
        *count = number() * 1009;
    }
    expected.push(format!("{} minor collections", gc.minor_collections));
    expected.push(format!("{} full collections", gc.full_collections));
    for bytes in [&mut gc.bytes_allocated, &mut gc.bytes_large, &mut gc.bytes_promoted, &mut gc.bytes_copied] {
        *bytes = number() << 30;
        expected.push(written(*bytes));
    }
    let sizes = [
        &mut gc.live_after_full,
        &mut gc.peak_in_use,
        &mut report.nursery,
        &mut report.old,
        &mut report.large,
        &mut report.in_use,
        &mut report.reserve,
        &mut report.bytes.current_live,
    ];
    for bytes in sizes {
        *bytes = number() as usize * 1_100_000;
        expected.push(written(*bytes as u64));
    }
    let text = report.to_string();
    for figure in expected {
        assert!(text.contains(&figure), "{figure} is not in\n{text}");
    }
    // A line for each power of two that occurs, with stars.
    let lines = report.gc.minor_pauses.buckets().count() + report.gc.full_pauses.buckets().count();
    assert_eq!(text.lines().filter(|line| line.contains('*')).count(), lines);
    assert!(lines == 2 && text.lines().all(|line| line.len() <= 120), "{text}");
    for words in ["half within", "99 % within", "longest"] {
        assert_eq!(text.matches(words).count(), 2);
    }
}

#[test]
fn sizes_are_written_for_people() {
    let mut report = GeneralHeap::new().report();
    for (bytes, text) in
        [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (7 << 30, "7.0 GiB")]
    {
        report.gc.bytes_allocated = bytes;
        let first = report.to_string().lines().next().unwrap().trim_start().to_string();
        assert!(first.starts_with(&format!("{text} allocated")), "{first}");
    }
}

#[test]
fn builder_nursery_is_what_a_minor_collection_empties() {
    for (asked, given) in [(0, SLICE), (1, SLICE), (100_000, 13 * SLICE), (1 << 20, 1 << 20), (5 << 20, 5 << 20)] {
        let mut heap = GeneralHeap::builder().nursery(asked).build();
        assert_eq!(heap.report().nursery, given);
        let per_nursery = given / Number::BYTES;
        for number in 1..=(3 * per_nursery) {
            heap.new_gc::<Number>(NumberInit { value: 1 });
            assert_eq!(heap.gc_stats().minor_collections as usize, (number - 1) / per_nursery);
            assert_eq!(heap.report().nursery_used, ((number - 1) % per_nursery + 1) * Number::BYTES);
        }
    }
    assert_eq!(GeneralHeap::new().report().nursery, 1 << 20);
    // No more than a sixteenth of what there can be.
    for builder in [GeneralHeap::builder().reserve(64 << 20), GeneralHeap::builder().limit(64 << 20)] {
        assert_eq!(builder.clone().nursery(usize::MAX).build().report().nursery, 4 << 20);
        assert_eq!(builder.nursery(3 << 20).build().report().nursery, 3 << 20);
    }
}

#[test]
fn builder_reserve_is_all_there_can_be() {
    const STEP: usize = 4 << 20;
    for (asked, given) in [(1, STEP), (STEP, STEP), (STEP + 1, 2 * STEP), (64 << 20, 64 << 20)] {
        let mut heap = GeneralHeap::builder().reserve(asked).nursery(64 << 10).build();
        assert_eq!(heap.report().limit, given);
        let mut all = Vec::new();
        let error = loop {
            match heap.try_new_zeroed::<u8, Align<8>>(500_000) {
                Ok(array) => all.push(array),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AllocError::OutOfMemory { requested: 500_000.., .. }), "{error}");
        let report = heap.report();
        assert!(report.in_use + report.reserve <= given && report.large > given / 2, "{report}");
        assert!(all.iter().all(|array| heap.contains(array.get(&heap).as_ptr())));
    }
    assert!(matches!(GeneralHeap::builder().reserve(usize::MAX).try_build(), Err(AllocError::OutOfMemory { .. })));
}

#[test]
fn builder_limit_is_kept() {
    for limit in [1 << 20, 8 << 20, 33_333_333] {
        let mut heap = GeneralHeap::builder().limit(limit).verify(true).build();
        assert_eq!(heap.report().limit, limit / SLICE * SLICE);
        assert!(heap.report().nursery <= (limit / 16).next_multiple_of(SLICE));
        let mut list: Option<Root<Cons>> = None;
        let mut len = 0;
        let error = loop {
            match heap.try_new_root::<Cons>(ConsInit { tail: list.as_ref(), head: len }) {
                Ok(cons) => list = Some(cons),
                Err(error) => break error,
            }
            len += 1;
            if len % 1000 == 0 {
                assert!(heap.report().in_use + heap.report().reserve <= limit);
            }
        };
        assert!(matches!(error, AllocError::OutOfMemory { requested: 24, .. }), "{error}");
        // What is said: nearly half of it can be small objects that live.
        let live = len as usize * 24;
        assert!(live * 2 <= limit && (limit < 8 << 20 || live * 3 > limit), "{live} of {limit}");
        assert!(heads(list.as_ref().unwrap().get(&heap)).eq((0..len).rev()));
        // And it goes on when there is room again.
        drop(list);
        for value in 0..len {
            heap.try_new_gc::<Number>(NumberInit { value }).unwrap();
        }
    }
    assert!(GeneralHeap::builder().limit(0).try_build().is_err());
}

#[test]
fn builder_huge_pages_are_asked_for_unless_they_are_not_wanted() {
    let advised = |huge_pages: bool| -> Option<usize> {
        let mut heap = GeneralHeap::builder().huge_pages(huge_pages).build();
        let list = list(&mut heap, 1_000_000);
        heap.collect(Full);
        let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let (mut ours, mut count) = (false, 0);
        for line in smaps.lines() {
            if let Some(address) = line.split_once('-').and_then(|(start, _)| usize::from_str_radix(start, 16).ok()) {
                ours = heap.contains(ptr::without_provenance::<u8>(address));
            }
            if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| ours) {
                count += usize::from(flags.split_whitespace().any(|flag| flag == "hg"));
            }
        }
        drop(list);
        Some(count)
    };
    match (advised(true), advised(false)) {
        (Some(with), Some(without)) => {
            assert_eq!(without, 0);
            if with == 0 {
                skipped("huge pages: this system has none");
            }
        }
        _ => skipped("huge pages: no /proc/self/smaps"),
    }
}

#[test]
fn builder_shadow_stack_holds_so_many_slots() {
    let page = 4096;
    for (asked, given) in
        [(0, page), (1, page), (page, page), (page + 1, 2 * page), (1 << 20, 1 << 20), (64 << 20, 64 << 20)]
    {
        let mut heap = match asked {
            67_108_864 => GeneralHeap::new(),
            asked => GeneralHeap::builder().shadow_stack(asked).build(),
        };
        let raw = heap.raw();
        // SAFETY: nothing is pushed but null.
        let push = || unsafe { raw.push(ptr::null_mut()) };
        (0..given / 8).for_each(|_| push());
        assert_eq!(raw.depth(), given / 8);
        assert_eq!(panic_of(push), "the shadow stack is full");
        // SAFETY: as above: what it holds is in order.
        unsafe {
            raw.collect(Full);
            raw.truncate(0);
            raw.push(leaf(raw, 1).as_ptr());
            raw.collect(Minor);
            assert_eq!(value_of(raw, raw.pop()), 1);
        }
    }
    for bytes in [usize::MAX, isize::MAX as usize] {
        assert!(matches!(GeneralHeap::builder().shadow_stack(bytes).try_build(), Err(AllocError::OutOfMemory { .. })));
    }
}

/// How many bytes have to be promoted for a full collection, with `live` bytes that lived after the last one.
fn promoted_before_full(heap: &mut GeneralHeap, live: u64) -> u64 {
    let kept = list(heap, live / 24);
    heap.collect(Full);
    let before = heap.gc_stats();
    let mut all = Vec::new();
    while heap.gc_stats().full_collections == before.full_collections {
        all.push(list(heap, 1000));
    }
    let promoted = heap.gc_stats().bytes_promoted - before.bytes_promoted;
    drop((kept, all));
    promoted
}

#[test]
fn builder_growth_paces_full_collections() {
    const MIB: u64 = 1 << 20;
    for (percent, at_least, live, expected) in [
        (100, 4 * MIB, MIB, 4 * MIB), // at least
        (100, 4 * MIB, 12 * MIB, 12 * MIB),
        (50, 4 * MIB, 12 * MIB, 6 * MIB),
        (300, 4 * MIB, 5 * MIB, 15 * MIB),
        (100, 0, 6 * MIB, 6 * MIB),
        (0, 3 * MIB, 12 * MIB, 3 * MIB),
    ] {
        let builder = GeneralHeap::builder().nursery(256 << 10).growth(percent, at_least as usize);
        let promoted = promoted_before_full(&mut builder.build(), live);
        // Asked when the nursery is full: it is one nursery more at most.
        assert!((expected..=expected + MIB / 4).contains(&promoted), "{percent} %, {at_least}, {live}: {promoted}");
    }
}

#[test]
fn builder_growth_is_as_documented_if_nothing_is_said() {
    const MIB: u64 = 1 << 20;
    for (nursery, live, expected) in [(MIB, MIB, 16 * MIB), (MIB, 24 * MIB, 24 * MIB), (4 * MIB, MIB, 32 * MIB)] {
        let mut heap = GeneralHeap::builder().nursery(nursery as usize).build();
        let promoted = promoted_before_full(&mut heap, live);
        assert!((expected..=expected + nursery).contains(&promoted), "{nursery}, {live}: {promoted}");
    }
}

#[test]
fn builder_stress_collects_at_every_nth_allocation() {
    for each in [1, 2, 7] {
        for (stress, minor, full) in
            [(Stress::Minor(each), 140, 0), (Stress::Full(each), 0, 140), (Stress::Alternating(each), 70, 70)]
        {
            let mut heap = GeneralHeap::builder().stress(stress).verify(true).build();
            for value in 0..140 * u64::from(each) {
                heap.new_gc::<Number>(NumberInit { value });
            }
            let GcStats { minor_collections, full_collections, .. } = heap.gc_stats();
            assert_eq!((minor_collections, full_collections), (minor, full), "{stress:?}");
        }
    }
    // Of arrays, large objects and raw ones, too.
    let mut heap = GeneralHeap::builder().stress(Stress::Full(1)).build();
    drop(heap.new_pointers::<Number>(3));
    drop(heap.new_pointers::<Number>(3000));
    // SAFETY: a leaf has no pointers.
    unsafe { leaf(heap.raw(), 1) };
    assert_eq!(heap.gc_stats().full_collections, 3);
}

#[test]
fn builder_verify_finds_what_unsafe_code_has_done() {
    for verify in [false, true] {
        let mut heap = GeneralHeap::builder().verify(verify).build();
        let raw = heap.raw();
        // SAFETY: no: a pointer is stored into an old object without the barrier. It is stale after the collection,
        // and never followed.
        unsafe {
            raw.push(raw.alloc(&CELL).unwrap().as_ptr());
            raw.word(raw.slot(0).read(), 0).write(ptr::null_mut());
            raw.word(raw.slot(0).read(), 1).cast::<usize>().write(0);
            raw.collect(Minor);
            let young = leaf(raw, 1).as_ptr();
            raw.word(raw.slot(0).read(), 0).write(young);
        }
        let error = heap.verify().unwrap_err();
        assert!(error.what().contains("is not remembered") && error.to_string().contains(error.what()), "{error}");
        if verify {
            let text = panic_of(|| heap.collect(Minor));
            assert!(text.contains("heap corruption") && text.contains("Cell"), "{text}");
        } else {
            heap.collect(Minor);
            assert!(heap.verify().unwrap_err().what().contains("where no object is"));
        }
        // SAFETY: the stale pointer is taken away.
        unsafe {
            let raw = heap.raw();
            raw.word(raw.slot(0).read(), 0).write(ptr::null_mut());
        }
        heap.collect(Full);
        heap.verify().unwrap();
    }
}

#[test]
fn builder_quarantine_keeps_addresses_from_being_used_again() {
    // Where the first object of the nursery is, from one minor collection to the next.
    let starts = |pieces: usize| -> Vec<usize> {
        let mut heap = GeneralHeap::builder().nursery(64 << 10).quarantine(pieces).build();
        let start = |heap: &mut GeneralHeap| {
            let start = ptr::from_ref(number(heap, 1).get(heap).as_ref());
            heap.collect(Minor);
            start.addr()
        };
        (0..20).map(|_| start(&mut heap)).collect()
    };
    assert_eq!(BTreeSet::from_iter(starts(0)).len(), 1);
    for pieces in [1, 4, 7] {
        let starts = starts(pieces);
        // One is in use, and one was in use before so many that are in quarantine.
        let seen = |some: &[usize]| some.iter().collect::<BTreeSet<_>>().len();
        assert!(starts.windows(pieces + 2).all(|some| seen(some) == pieces + 2), "{starts:?}");
        assert_eq!(seen(&starts), pieces + 2, "and no longer than that");
    }
}

#[test]
fn builder_remembered_bounds_the_list() {
    // A list that is full makes the collector look at all old objects. So it finds what it was not told of.
    for (entries, found) in [(0, true), (1, true), (2, false), (usize::MAX, false)] {
        let mut heap = GeneralHeap::builder().remembered(entries).build();
        let raw = heap.raw();
        // SAFETY: the last object is stored into without the barrier; if it is not found, nobody follows what is
        // stale then.
        unsafe {
            for _ in 0..3 {
                raw.push(raw.alloc(&CELL).unwrap().as_ptr());
                raw.word(raw.slot(raw.depth() - 1).read(), 0).write(ptr::null_mut());
                raw.word(raw.slot(raw.depth() - 1).read(), 1).cast::<usize>().write(0);
            }
            raw.collect(Minor);
            let young = leaf(raw, 7).as_ptr();
            raw.write(raw.slot(0).read(), 0, young);
            raw.write(raw.slot(1).read(), 0, young);
            raw.word(raw.slot(2).read(), 0).write(young);
            raw.collect(Minor);
            let after = raw.word(raw.slot(2).read(), 0).read();
            assert_eq!(after != young, found, "{entries}");
            assert!(!found || value_of(raw, after) == 7);
        }
        assert_eq!(heap.gc_stats().remembered, 2);
    }
}

#[test]
fn builder_portable_takes_one_block_and_keeps_it() {
    let mut heap = GeneralHeap::builder().portable().verify(true).build();
    assert_eq!(heap.report().limit, 1 << 30);
    let kept = list(&mut heap, 200_000);
    heap.collect(Full);
    assert!(heads(kept.get(&heap)).eq((0..200_000).rev()));
    drop(kept);
    heap.collect(Full);
    assert_eq!(heap.trim(), 0);
    let mut mapped = GeneralHeap::new();
    drop(list(&mut mapped, 200_000));
    mapped.collect(Full);
    assert!(mapped.trim() > 0 || cfg!(not(unix)));
    assert_eq!(GeneralHeap::builder().portable().reserve(8 << 20).build().report().limit, 8 << 20);
}

#[test]
fn a_builder_may_be_kept_and_used_again() {
    let builder = GeneralHeap::builder().nursery(64 << 10);
    let heaps = [builder.clone().build(), builder.clone().limit(16 << 20).try_build().unwrap(), builder.build()];
    assert!(heaps.iter().all(|heap| heap.report().nursery == 64 << 10));
    assert_eq!(heaps.map(|heap| heap.report().limit), [64 << 30, 16 << 20, 64 << 30]);
}
