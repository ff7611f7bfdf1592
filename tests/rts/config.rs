//! What a configuration is told, and what happens if it cannot be.

use std::sync::Arc;

use bhc_rts_alloc::general::Collection;
use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{
    Alignment, AllocError, Capability, Config, GeneralHeap, HotArena, MemoryRegion, PinnedHeap, RegionKind, System,
};

use super::by_itself;
use super::child::skipped;

const MIB: usize = 1 << 20;

/// Whether the region of that kind has so many bytes at once.
fn has(capability: &Capability, kind: RegionKind, bytes: usize) -> bool {
    match capability.alloc(kind, bytes, Alignment::Page) {
        Ok(block) => {
            // SAFETY: allocated just now with that kind, size and alignment, and not used.
            unsafe { capability.dealloc(kind, block, bytes, Alignment::Page) };
            true
        }
        Err(AllocError::OutOfMemory { .. }) => false,
        Err(other) => panic!("{kind:?}: {other:?}"),
    }
}

/// Which of them give four times as much as any of the limits here.
fn unlimited(capability: &Capability) -> Vec<RegionKind> {
    let kinds = [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General];
    kinds.into_iter().filter(|kind| has(capability, *kind, 32 * MIB)).collect()
}

#[test]
fn each_region_has_the_limit_that_it_was_told_and_no_other() {
    use RegionKind::{General, HotArena as Arena, Pinned};
    assert_eq!(unlimited(&Config::new().build()), [Arena, Pinned, General]);
    let config = Config::default().arena(HotArena::builder().limit(MIB));
    assert_eq!(unlimited(&config.clone().build()), [Pinned, General]);
    let config = config.pinned(PinnedHeap::builder().limit(2 * MIB));
    assert_eq!(unlimited(&config.clone().build()), [General]);
    let config = config.general(GeneralHeap::builder().limit(8 * MIB));
    assert_eq!(unlimited(&config.clone().build()), []);

    let capability = config.build();
    for (kind, granted, refused) in [(Arena, MIB / 2, MIB), (Pinned, MIB, 2 * MIB + 1), (General, 6 * MIB, 8 * MIB)] {
        assert!(has(&capability, kind, granted) && !has(&capability, kind, refused), "{kind:?}");
    }
}

#[test]
fn the_arena_has_its_capacity_at_once() {
    let capacity = |config: Config| config.build().arena().capacity();
    assert_eq!(capacity(Config::new()), 0);
    assert!(capacity(Config::new().arena(HotArena::builder().capacity(MIB))) >= MIB);
    let fixed = Config::new().arena(HotArena::builder().capacity(MIB).fixed()).build();
    assert!(has(&fixed, RegionKind::HotArena, MIB / 2) && !has(&fixed, RegionKind::HotArena, 2 * MIB));
}

#[test]
fn the_general_heap_has_its_nursery() {
    for nursery in [64 << 10, 256 << 10] {
        let capability = Config::new().general(GeneralHeap::builder().nursery(nursery)).build();
        assert_eq!(capability.stats().general.nursery, nursery);
    }
}

#[test]
fn what_a_configuration_is_told_last_counts() {
    let heap = Arc::new(PinnedHeap::new());
    let limited = || PinnedHeap::builder().limit(MIB);
    let shared = Config::new().pinned(limited()).share_pinned(heap.clone()).build();
    assert!(std::ptr::eq(&*heap, &**shared.pinned()) && has(&shared, RegionKind::Pinned, 32 * MIB));
    let own = Config::new().share_pinned(heap.clone()).pinned(limited()).build();
    assert!(!std::ptr::eq(&*heap, &**own.pinned()) && !has(&own, RegionKind::Pinned, 32 * MIB));
    let arena = Config::new().arena(HotArena::builder().limit(MIB)).arena(HotArena::builder());
    assert!(has(&arena.build(), RegionKind::HotArena, 32 * MIB));
}

#[test]
fn a_configuration_makes_any_number_of_capabilities() {
    let config = Config::new().pinned(PinnedHeap::builder().limit(MIB));
    let (first, second) = (config.clone().build(), config.clone().build());
    assert!(!std::ptr::eq(&**first.pinned(), &**second.pinned()), "each has a Pinned Heap of its own");
    let config = config.share_pinned(first.pinned().clone());
    let (third, fourth) = (config.clone().build(), config.build());
    assert!(std::ptr::eq(&**third.pinned(), &**fourth.pinned()));
}

/// One that asks all three regions for memory.
fn full() -> Config {
    Config::new().arena(HotArena::builder().capacity(MIB))
}

#[test]
fn a_region_that_cannot_be_made_gives_its_own_error() {
    let arena =
        full().arena(HotArena::builder().capacity(2 * MIB).limit(MIB)).try_build().expect_err("beyond the limit");
    let expected = HotArena::builder().capacity(2 * MIB).limit(MIB).try_build().expect_err("as above");
    assert_eq!(arena, expected);
    let arena = full().arena(HotArena::builder().capacity(usize::MAX)).try_build().expect_err("more than there is");
    assert_eq!(arena, AllocError::Overflow);
    let general = full().general(GeneralHeap::builder().limit(0)).try_build().expect_err("not even a nursery");
    let expected = GeneralHeap::builder().limit(0).try_build().expect_err("as above");
    assert_eq!(general, expected);
    let panicked = std::panic::catch_unwind(|| full().general(GeneralHeap::builder().limit(0)).build());
    let text = panicked.expect_err("there is none").downcast::<String>().expect("a text");
    assert_eq!(*text, general.to_string());
}

/// Bytes of addresses that this process has, or none where that is not told, or not of the program alone.
fn addresses() -> Option<u64> {
    if cfg!(bhc_asan) {
        return None;
    }
    let told = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(told.split(' ').next()?.parse::<u64>().ok()? * bhc_rts_alloc::page_size() as u64)
}

#[test]
fn whichever_request_for_memory_fails_there_is_an_error_and_nothing_of_the_others_is_left() {
    by_itself(
        module_path!(),
        "whichever_request_for_memory_fails_there_is_an_error_and_nothing_of_the_others_is_left",
        || {
            let shared = Arc::new(PinnedHeap::new());
            for (name, config) in [("own", full()), ("shared", full().share_pinned(shared.clone()))] {
                drop(config.clone().try_build().expect("nothing fails"));
                let (blocks, owners) = (System.stats().current_live, Arc::strong_count(&shared));
                let before = addresses();
                let (mut failed, mut errors) = (0, 0);
                loop {
                    let attempt = || config.clone().try_build().map(drop);
                    let (result, requests) = fault::fail_nth(failed, attempt);
                    assert_eq!(System.stats().current_live, blocks, "{name}: request {failed}");
                    assert_eq!(Arc::strong_count(&shared), owners, "{name}: request {failed}");
                    if requests <= failed {
                        result.expect("nothing failed");
                        break;
                    }
                    match result {
                        Err(AllocError::OutOfMemory { .. }) => errors += 1,
                        Err(other) => panic!("{name}: request {failed}: {other:?}"),
                        Ok(()) => {} // there is something else that does
                    }
                    // Each time again: what is left of a part would add up.
                    (0..8).for_each(|_| drop(fault::fail_nth(failed, attempt)));
                    failed += 1;
                }
                assert!(errors >= if name == "own" { 3 } else { 2 }, "{name}: {errors} errors in {failed} requests");
                match before.zip(addresses()) {
                    // A part has 64 MiB of addresses at the least.
                    Some((before, after)) => {
                        assert!(after < before + (32 << 20), "{name}: {before} bytes, {after} now")
                    }
                    None => skipped("addresses of parts that were not made: no /proc, or a sanitizer has some"),
                }
            }
        },
    );
}

#[test]
fn capabilities_come_and_go_and_leave_nothing() {
    by_itself(module_path!(), "capabilities_come_and_go_and_leave_nothing", || {
        let blocks = System.stats().current_live;
        let once = |n: usize| {
            let mut capability = full().build();
            for kind in super::KINDS {
                let block = capability.alloc(kind, 100_000 + n, Alignment::Page).expect("memory");
                if kind == RegionKind::System {
                    // SAFETY: allocated just now with that kind, size and alignment. Of the others it goes with them.
                    unsafe { capability.dealloc(kind, block, 100_000 + n, Alignment::Page) };
                }
            }
            capability.parts().general.collect(Collection::Full);
        };
        once(0);
        let before = addresses();
        (0..100).for_each(once);
        assert_eq!(System.stats().current_live, blocks);
        match before.zip(addresses()) {
            Some((before, after)) => assert!(after < before + (64 << 20), "{before} bytes, {after} now"),
            None => skipped("addresses of capabilities that are gone: no /proc, or a sanitizer has some"),
        }
    });
}
