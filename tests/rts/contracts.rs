//! The contract of a region, for each kind that a capability has, by each of the ways to choose it at run time.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bhc_rts_alloc::{
    Alignment, AllocError, AllocResult, AllocStats, ByRegion, Capability, Config, HotArena, MemoryRegion, PinnedHeap,
    RegionKind, SharedPinned, page_size,
};

use super::contract::Limits;
use super::{KINDS, by_itself, contract, skipped};

/// Beyond all size classes.
const LIMITS: Limits = Limits { max_align: 1 << 18, max_size: 1 << 18 };

/// An arena is used up by all programs of a test.
const OF_AN_ARENA: Limits = Limits { max_align: 1 << 10, max_size: 1 << 13 };

/// An arena takes what is asked of it, and never gives it back. The suite asks for every alignment there is.
fn capability() -> Capability {
    let room = (64 << 20) * (proptest::test_runner::Config::default().cases as usize).div_ceil(256);
    Config::new().arena(HotArena::builder().limit(room)).build()
}

/// The region of a kind as [`Capability::alloc`] and [`Capability::dealloc`] have it.
struct ByKind<'c>(&'c Capability, RegionKind);

fn alignment(layout: Layout) -> Alignment {
    Alignment::new(layout.align()).expect("a layout's alignment is one")
}

// SAFETY: every block is one of the capability's region of that kind, which keeps the contract.
unsafe impl MemoryRegion for ByKind<'_> {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.0.alloc(self.1, layout.size(), alignment(layout))
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise; `alloc` was told the same kind, size and alignment.
        unsafe { self.0.dealloc(self.1, ptr, layout.size(), alignment(layout)) }
    }

    fn stats(&self) -> AllocStats {
        self.0.region(self.1).stats()
    }

    fn kind(&self) -> RegionKind {
        self.1
    }
}

/// Runs a test as it is: each has a capability of its own, with statistics of its own.
fn here(_: &str, _: &str, test: impl FnOnce()) {
    test();
}

macro_rules! contracts {
    ($($name:ident: $kind:ident, $limits:expr, $run:expr;)+) => {$(
        mod $name {
            use super::*;

            contracts!(@promises $kind, $limits, $run;
                every_size_and_alignment_gives_a_block_of_its_own
                zero_size_requests_take_nothing_and_are_aligned
                zeroed_blocks_are_zero_after_dirty_ones
                realloc_keeps_the_contents_in_both_directions
                requests_that_cannot_be_met_are_refused_and_counted
                random_programs_behave_as_the_model
                a_failure_at_any_request_loses_nothing
            );
        }
    )+};
    (@promises $kind:ident, $limits:expr, $run:expr; $($promise:ident)+) => {$(
        mod $promise {
            use super::*;

            #[test]
            fn by_region() {
                $run(module_path!(), "by_region", || {
                    contract::$promise(&capability().by_region(RegionKind::$kind), $limits);
                });
            }

            #[test]
            fn behind_dyn() {
                $run(module_path!(), "behind_dyn", || {
                    contract::$promise(capability().region(RegionKind::$kind), $limits);
                });
            }

            #[test]
            fn by_kind() {
                $run(module_path!(), "by_kind", || {
                    contract::$promise(&ByKind(&capability(), RegionKind::$kind), $limits);
                });
            }
        }
    )+};
}

contracts! {
    system: System, LIMITS, by_itself;
    hot_arena: HotArena, OF_AN_ARENA, here;
    pinned: Pinned, LIMITS, here;
    general: General, LIMITS, here;
}

#[test]
fn blocks_survive_moving_a_region_that_is_a_value() {
    let capability = capability();
    KINDS.iter().for_each(|kind| contract::blocks_survive_moving_the_region(capability.by_region(*kind)));
}

#[test]
fn a_region_says_of_which_kind_it_is() {
    let capability = capability();
    for kind in KINDS.into_iter().chain([RegionKind::Other]) {
        assert_eq!((capability.region(kind).kind(), capability.by_region(kind).kind()), (kind, kind));
    }
    assert_eq!(ByRegion::from(capability.arena()).kind(), RegionKind::HotArena);
    assert_eq!(ByRegion::from(&**capability.pinned()).kind(), RegionKind::Pinned);
    assert_eq!(ByRegion::from(capability.general().bytes()).kind(), RegionKind::General);
}

/// A block that one of them gave, the other takes back, whichever way they were come by.
#[test]
fn all_ways_to_a_region_lead_to_the_same() {
    let layout = Layout::from_size_align(1000, 64).unwrap();
    let capability = capability();
    for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General] {
        let by_kind = ByKind(&capability, kind);
        let by_region = capability.by_region(kind);
        let clone = by_region.clone();
        let all: [&dyn MemoryRegion; 4] = [&by_kind, &by_region, &clone, capability.region(kind)];
        for from in all {
            for to in all {
                let block = from.alloc(layout).expect("memory");
                assert!(all.iter().all(|region| region.stats().current_live == 1000), "{kind:?}");
                // SAFETY: live, of this layout, and not used again; `to` is the same region, which is what is tested.
                unsafe { to.dealloc(block, layout) };
                assert!(all.iter().all(|region| region.stats() == from.stats()), "{kind:?}");
            }
        }
        assert_eq!(by_region.stats().total_allocated, 16 * 1000);
        super::expect_empty(&capability, kind);
    }
}

#[test]
fn of_no_region_there_is_nothing_but_blocks_of_no_size() {
    let capability = capability();
    let nowhere = RegionKind::Other;
    let (by_region, by_kind) = (capability.by_region(nowhere), ByKind(&capability, nowhere));
    for region in [&by_region as &dyn MemoryRegion, &by_kind, capability.region(nowhere), &ByRegion::Nowhere] {
        contract::zero_size_requests_take_nothing_and_are_aligned(region, Limits { max_align: 0, max_size: 0 });
        for (size, align) in [(1, 1), (64, 64), (1 << 20, 4096), (1, 1 << 40), (isize::MAX as usize, 1)] {
            let layout = Layout::from_size_align(size, align).unwrap();
            for result in [region.alloc(layout), region.alloc_zeroed(layout)] {
                assert!(matches!(result, Err(AllocError::RegionExhausted { .. })), "{layout:?}: {result:?}");
            }
        }
        let nothing = Layout::from_size_align(0, 64).unwrap();
        let block = region.alloc(nothing).expect("nothing is asked for");
        // SAFETY: from a request of no size, then still that.
        let grown = unsafe { region.realloc(block, nothing, 100) };
        assert!(matches!(grown, Err(AllocError::RegionExhausted { .. })), "{grown:?}");
        // SAFETY: still the block of no size.
        unsafe { region.dealloc(block, nothing) };
        assert_eq!((region.stats().total_allocated, region.kind()), (0, RegionKind::Other));
    }
    let error = capability.alloc(nowhere, 1, Alignment::Default).unwrap_err().to_string();
    assert!(error.contains("a capability has no region of that kind"), "{error}");
}

mod shared_pinned {
    use super::*;

    /// A pinned heap in an `Arc`, and one that is there for ever.
    fn each(test: impl Fn(&SharedPinned)) {
        test(&SharedPinned::from(Arc::new(PinnedHeap::new())));
        static FOR_EVER: LazyLock<PinnedHeap> = LazyLock::new(PinnedHeap::new);
        let _one_at_a_time = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        test(&SharedPinned::from(&*FOR_EVER));
    }

    static TURN: Mutex<()> = Mutex::new(());

    macro_rules! promises {
        ($($promise:ident)+) => {$(
            #[test]
            fn $promise() {
                each(|heap| contract::$promise(heap, LIMITS));
            }
        )+};
    }

    promises! {
        every_size_and_alignment_gives_a_block_of_its_own
        zero_size_requests_take_nothing_and_are_aligned
        zeroed_blocks_are_zero_after_dirty_ones
        realloc_keeps_the_contents_in_both_directions
        requests_that_cannot_be_met_are_refused_and_counted
    }

    #[test]
    fn is_pinned_and_the_heap_that_it_was_made_of() {
        let heap = Arc::new(PinnedHeap::new());
        let shared = SharedPinned::from(heap.clone());
        assert_eq!(shared.kind(), RegionKind::Pinned);
        assert!(std::ptr::eq(&*shared, &*heap) && std::ptr::eq(&*shared.clone(), &*heap));
        assert_eq!(Arc::strong_count(&heap), 2);
        drop(shared);
        assert_eq!(Arc::strong_count(&heap), 1);
    }
}

/// What a region does better than the provided methods of the trait gets through: a block that grows in place is never
/// live twice.
#[test]
fn blocks_grow_in_place_whichever_way_the_region_was_come_by() {
    const SIZE: usize = 1 << 20;
    let old = Layout::from_size_align(SIZE, 64).unwrap();
    let grow = |region: &dyn MemoryRegion| {
        let block = region.alloc(old).expect("memory");
        // SAFETY: live, of this layout; then of the new size, and not used again.
        unsafe {
            let block = region.realloc(block, old, SIZE + 8192).expect("memory");
            region.dealloc(block, Layout::from_size_align(SIZE + 8192, 64).unwrap());
        }
        assert_eq!(region.stats().peak_usage, SIZE + 8192, "{:?}", region.kind());
    };
    for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General] {
        let arena = HotArena::builder().capacity(4 << 20);
        let capability = || Config::new().arena(arena).build();
        grow(capability().region(kind));
        grow(&capability().by_region(kind));
    }
    grow(&SharedPinned::from(Arc::new(PinnedHeap::new())));
}

/// Likewise: zeros that fresh pages have are not written.
#[test]
fn zeros_of_large_blocks_are_not_written_whichever_way_the_region_was_come_by() {
    if cfg!(any(not(target_os = "linux"), bhc_asan, miri)) {
        return skipped("which pages are in memory is asked of Linux, without a sanitizer's own");
    }
    by_itself(module_path!(), "zeros_of_large_blocks_are_not_written_whichever_way_the_region_was_come_by", || {
        const SIZE: usize = 64 << 20;
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
            pages.split(' ').nth(1).expect("of what is resident").parse::<usize>().expect("a number") * page_size()
        };
        let untouched = |region: &dyn MemoryRegion| {
            let layout = Layout::from_size_align(SIZE, 64).unwrap();
            let before = resident();
            let block = region.alloc_zeroed(layout).expect("memory");
            let more = resident().saturating_sub(before);
            assert!(more < SIZE / 8, "{:?}: {more} bytes were touched", region.kind());
            // SAFETY: live, of this layout, and not used again.
            unsafe { region.dealloc(block, layout) };
        };
        for kind in [RegionKind::System, RegionKind::Pinned, RegionKind::General] {
            untouched(capability().region(kind));
            untouched(&capability().by_region(kind));
        }
        untouched(&SharedPinned::from(Arc::new(PinnedHeap::new())));
    });
}
