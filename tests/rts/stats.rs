//! The statistics of all regions, as a table and as data.

use bhc_rts_alloc::general::{Collection, GcStats};
use bhc_rts_alloc::{Alignment, AllocStats, Capability, CapabilityStats, Config, HotArena, RegionKind, gc_object};
use serde_json::{Map, Value, json, to_value};

use super::by_itself;

gc_object! { struct Leaf / LeafInit { data value: [u64; 7], } }

/// Numbers that are all different, and told apart by the units that they are printed in.
fn known() -> CapabilityStats {
    let region = |unit: usize| AllocStats {
        total_allocated: 9 * unit,
        total_deallocated: 7 * unit,
        current_live: 2 * unit,
        allocation_count: unit + 90,
        deallocation_count: unit + 70,
        peak_usage: 5 * unit,
        failed_allocations: unit % 997,
    };
    let mut stats = Capability::new().stats();
    (stats.hot_arena, stats.hot_arena_capacity) = (region(1), 4096);
    (stats.pinned, stats.pinned_usage.committed) = (region(1000), 3 << 30);
    (stats.general.bytes, stats.general.in_use) = (region(1_000_000), 5 << 20);
    stats.system = region(1_000_000_000);
    let gc = &mut stats.general.gc;
    (gc.bytes_allocated, gc.bytes_promoted, gc.bytes_copied) = (1 << 40, 10 << 30, 1023);
    (gc.live_after_full, gc.minor_collections, gc.full_collections, gc.failed) = (1024, 123_456, 78, 9);
    stats
}

#[test]
fn the_table_of_known_numbers_is_known() {
    let expected = [
        "              allocated      freed       live       peak allocations       frees failed       held\n",
        "HotArena            9 B        7 B        2 B        5 B          91          71      1    4.0 KiB\n",
        "PinnedHeap      8.8 KiB    6.8 KiB    2.0 KiB    4.9 KiB        1090        1070      3    3.0 GiB\n",
        "GeneralHeap     8.6 MiB    6.7 MiB    1.9 MiB    4.8 MiB     1000090     1000070      9    5.0 MiB\n",
        "System          8.4 GiB    6.5 GiB    1.9 GiB    4.7 GiB  1000000090  1000000070     27    1.9 GiB\n",
        "              allocated   promoted     copied       live   minor GCs    full GCs failed  max pause\n",
        "  objects    1024.0 GiB   10.0 GiB     1023 B    1.0 KiB      123456          78      9       0 ns\n",
    ];
    assert_eq!(known().to_string(), expected.concat());
}

/// The numbers that a program has, at their largest, do not run into each other; nothing is cut off.
#[test]
fn columns_are_aligned_and_fit_a_terminal() {
    let capability = Capability::new();
    capability.alloc(RegionKind::HotArena, 123_456, Alignment::Page).expect("memory");
    for stats in [known(), capability.stats(), Capability::new().stats()] {
        let table = stats.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 7, "{table}");
        for line in &lines {
            assert!(line.len() <= 98 && *line == line.trim_end(), "{table}");
        }
        // Where the columns of each heading end.
        let ends = |line: &str| -> Vec<usize> {
            let next = |at: usize| line.as_bytes().get(at + 1).is_none_or(|next| *next == b' ');
            let words = |at: &usize| line.as_bytes()[*at] != b' ' && next(*at);
            (12..line.len()).filter(words).collect()
        };
        let heading = ends(lines[0]);
        assert_eq!(heading.len(), 8, "{table}");
        for row in &lines[1..5] {
            let row = ends(row);
            assert!(heading.iter().all(|end| row.contains(end)), "{table}");
        }
        let objects = ends(lines[6]);
        assert!(heading.iter().all(|end| objects.contains(end)), "{table}");
    }
}

#[test]
fn each_row_is_of_its_region() {
    by_itself(module_path!(), "each_row_is_of_its_region", || {
        let start = Capability::new().stats().system;
        let mut capability = Config::new().arena(HotArena::builder().capacity(1 << 20).fixed()).build();
        let mut stats = capability.stats();
        let counted = |size: usize| AllocStats {
            total_allocated: size,
            current_live: size,
            allocation_count: 1,
            peak_usage: size,
            ..AllocStats::default()
        };
        assert_eq!((stats.hot_arena, stats.pinned, stats.general.bytes), Default::default());
        assert!(stats.hot_arena_capacity >= 1 << 20);
        assert_eq!(stats.hot_arena_capacity, capability.arena().capacity());
        let chunk = stats.system.current_live - start.current_live;
        assert!(chunk >= 1 << 20, "the chunk of the arena is a block of the process allocator: {chunk}");
        assert_eq!(stats.system.allocation_count, start.allocation_count + 1);

        let requests = [
            (RegionKind::HotArena, 1000),
            (RegionKind::Pinned, 20_000),
            (RegionKind::General, 300_000),
            (RegionKind::System, 4_000_000),
        ];
        let mut blocks = Vec::new();
        for (kind, size) in requests {
            blocks.push((kind, capability.alloc(kind, size, Alignment::Simd512).expect("memory"), size));
            match kind {
                RegionKind::HotArena => stats.hot_arena = counted(1000),
                RegionKind::Pinned => stats.pinned = counted(20_000),
                RegionKind::General => stats.general.bytes = counted(300_000),
                _ => stats.system.record_alloc(4_000_000),
            }
            let now = capability.stats();
            assert_eq!(
                (now.hot_arena, now.pinned, now.general.bytes, now.system),
                (stats.hot_arena, stats.pinned, stats.general.bytes, stats.system),
                "{kind:?}"
            );
            assert_eq!(now.hot_arena_capacity, stats.hot_arena_capacity);
        }
        assert_eq!(capability.stats().pinned_usage, capability.pinned().usage());
        assert!(capability.stats().pinned_usage.committed >= 20_000);

        let heap = capability.parts().general;
        let kept = heap.new_root::<Leaf>(LeafInit { value: [1; 7] });
        for _ in 0..9 {
            heap.new_gc::<Leaf>(LeafInit { value: [2; 7] });
        }
        heap.collect(Collection::Full);
        let gc: GcStats = capability.stats().general.gc;
        assert_eq!((gc.bytes_allocated, gc.live_after_full, gc.full_collections), (640, 64, 1));
        assert_eq!(gc, capability.general().gc_stats());
        let table = capability.stats().to_string();
        let objects = "  objects         640 B        0 B       64 B       64 B           0           1      0 ";
        assert!(table.contains(objects), "{table}");
        drop(kept);

        for (kind, block, size) in blocks {
            // SAFETY: allocated above with that kind, size and alignment, and not used.
            unsafe { capability.dealloc(kind, block, size, Alignment::Simd512) };
        }
        let now = capability.stats();
        let live = [now.hot_arena, now.pinned, now.general.bytes].map(|region| region.current_live);
        assert_eq!((live, now.system.current_live), ([0; 3], start.current_live + chunk));
    });
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn as_data_there_is_every_field_with_its_number() {
    let stats = known();
    let data = to_value(stats).expect("data");
    assert_eq!(keys(&data), ["general", "hot_arena", "hot_arena_capacity", "pinned", "pinned_usage", "system"]);
    let region = |stats: &AllocStats| {
        json!({
            "total_allocated": stats.total_allocated,
            "total_deallocated": stats.total_deallocated,
            "current_live": stats.current_live,
            "allocation_count": stats.allocation_count,
            "deallocation_count": stats.deallocation_count,
            "peak_usage": stats.peak_usage,
            "failed_allocations": stats.failed_allocations,
        })
    };
    for (name, expected) in [("hot_arena", stats.hot_arena), ("pinned", stats.pinned), ("system", stats.system)] {
        assert_eq!(data[name], region(&expected), "{name}");
    }
    assert_eq!(data["hot_arena_capacity"], 4096);
    let usage = stats.pinned_usage;
    assert_eq!(
        data["pinned_usage"],
        json!({
            "reserved": usage.reserved,
            "committed": 3u64 << 30,
            "cached": usage.cached,
            "overhead": usage.overhead,
            "segments": usage.segments,
            "thread_caches": usage.thread_caches,
            "peak_error_bound": usage.peak_error_bound,
        })
    );
    let general = &data["general"];
    let names = ["bytes", "gc", "in_use", "large", "limit", "nursery", "nursery_used", "old", "reserve"];
    assert_eq!(keys(general), names);
    assert_eq!(general["bytes"], region(&stats.general.bytes));
    let no_pauses = json!({ "count": 0, "total": 0, "longest": 0, "buckets": [] });
    let gc = &stats.general.gc;
    assert_eq!(
        general["gc"],
        json!({
            "bytes_allocated": 1u64 << 40,
            "bytes_large": gc.bytes_large,
            "minor_collections": 123_456,
            "full_collections": 78,
            "objects_promoted": gc.objects_promoted,
            "bytes_promoted": 10u64 << 30,
            "objects_copied": gc.objects_copied,
            "bytes_copied": 1023,
            "remembered": gc.remembered,
            "live_after_full": 1024,
            "peak_in_use": gc.peak_in_use,
            "failed": 9,
            "minor_pauses": no_pauses,
            "full_pauses": no_pauses,
        })
    );
    for (name, number) in [
        ("nursery", stats.general.nursery),
        ("nursery_used", stats.general.nursery_used),
        ("old", stats.general.old),
        ("large", stats.general.large),
        ("in_use", 5 << 20),
        ("reserve", stats.general.reserve),
        ("limit", stats.general.limit),
    ] {
        assert_eq!(general[name], number, "{name}");
    }
}

#[test]
fn pauses_are_data_too() {
    let mut capability = Capability::new();
    (0..3).for_each(|_| capability.parts().general.collect(Collection::Full));
    let pauses = capability.stats().general.gc.full_pauses;
    let data = to_value(capability.stats()).expect("data")["general"]["gc"]["full_pauses"].clone();
    let buckets: Vec<(u64, u64)> = pauses.buckets().collect();
    let expected = json!({ "count": 3, "total": pauses.total(), "longest": pauses.longest(), "buckets": buckets });
    assert_eq!(data, expected);
}

#[test]
fn the_statistics_of_a_region_go_through_json_unchanged() {
    for stats in [AllocStats::default(), known().hot_arena, AllocStats { peak_usage: usize::MAX, ..known().system }] {
        let text = serde_json::to_string(&stats).expect("data");
        assert_eq!(serde_json::from_str::<AllocStats>(&text).expect("statistics"), stats, "{text}");
        // A field that is missing is no zero, and what is no number is none.
        let fields: Map<String, Value> = serde_json::from_str(&text).expect("an object");
        assert_eq!(fields.len(), 7);
        for name in fields.keys() {
            let mut fewer = fields.clone();
            fewer.remove(name);
            assert!(serde_json::from_value::<AllocStats>(fewer.into()).is_err(), "{name} is missing");
            let mut wrong = fields.clone();
            wrong.insert(name.clone(), json!(-1));
            assert!(serde_json::from_value::<AllocStats>(wrong.into()).is_err(), "{name} is negative");
        }
    }
}

#[test]
fn statistics_are_those_of_the_moment() {
    let capability = Capability::new();
    let before = capability.stats();
    assert_eq!((before, before.to_string()), (before, before.to_string()));
    let block = capability.alloc(RegionKind::Pinned, 100, Alignment::Default).expect("memory");
    assert_eq!((before.pinned, capability.stats().pinned.current_live), (AllocStats::default(), 100));
    // SAFETY: allocated just now with that kind, size and alignment, and not used.
    unsafe { capability.dealloc(RegionKind::Pinned, block, 100, Alignment::Default) };
    assert_eq!(capability.region(RegionKind::Pinned).stats(), capability.stats().pinned);
}
