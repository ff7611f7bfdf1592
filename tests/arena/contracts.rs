//! The contract of a region, for arenas of all kinds and for all that opens on one: scopes, scopes in scopes, marks.

use bhc_rts_alloc::{Align, HotArena, KnownAlign, MemoryRegion};
use proptest::test_runner::Config;

use super::region::Audit;
use super::vocabulary::Barely;
use super::{contract, contract::Limits};
use crate::contract_tests;

/// Runs a test as it is: each has an arena of its own, with statistics of its own.
fn here(test: impl FnOnce()) {
    test();
}

/// Each region is used up by all programs of a test, so that long runs need memory in proportion.
const ALL: Limits = Limits { max_align: 1 << 14, max_size: 1 << 16 };

contract_tests!(growing, make = HotArena::new(), limits = ALL, run = here);
contract_tests!(of_vectors, make = HotArena::<Align<64>>::default(), limits = ALL, run = here);
contract_tests!(of_bytes, make = HotArena::<Align<1>>::default(), limits = ALL, run = here);

/// Around the sizes of the first chunks, and some times as large; what is larger was asked of the arenas above.
const LIMITS: Limits = Limits { max_align: 1 << 10, max_size: 1 << 13 };

/// Room for all that a test asks for, where nothing is given back but the last block. Also the limit of arenas that grow: the
/// suite asks for every alignment there is, and what is lost to a large one is filled by audits and by debug builds.
fn room() -> usize {
    (64 << 20) * (Config::default().cases as usize).div_ceil(256)
}

contract_tests!(fixed, make = HotArena::builder().capacity(room()).fixed().build(), limits = LIMITS, run = here);
contract_tests!(huge_pages, make = HotArena::builder().huge_pages().limit(room()).build(), limits = LIMITS, run = here);

fn arena() -> HotArena {
    HotArena::builder().limit(room()).build()
}

/// One promise of the contract, to be tested on a region of any type.
trait Promise {
    fn test<R: MemoryRegion>(self, region: &R);
}

/// What `contract_tests!` does, for regions that exist only inside a function: `$inside` calls a [`Promise`] there.
macro_rules! contract_tests_inside {
    ($($inside:ident),+) => {$(
        contract_tests_inside!(@module $inside; random_programs_behave_as_the_model a_failure_at_any_request_loses_nothing);
    )+};
    (@module $inside:ident; $($random:ident)*) => {
        mod $inside {
            use super::*;

            contract_tests_inside!(@promises $inside;
                every_size_and_alignment_gives_a_block_of_its_own
                zero_size_requests_take_nothing_and_are_aligned
                zeroed_blocks_are_zero_after_dirty_ones
                realloc_keeps_the_contents_in_both_directions
                requests_that_cannot_be_met_are_refused_and_counted
                $($random)*
            );
        }
    };
    (@promises $inside:ident; $($promise:ident)+) => {$(
        mod $promise {
            use super::*;

            #[test]
            fn directly() {
                struct Directly;
                impl Promise for Directly {
                    fn test<R: MemoryRegion>(self, region: &R) {
                        contract::$promise(region, LIMITS);
                    }
                }
                super::super::$inside(Directly);
            }

            #[test]
            fn through_dyn() {
                struct ThroughDyn;
                impl Promise for ThroughDyn {
                    fn test<R: MemoryRegion>(self, region: &R) {
                        contract::$promise::<dyn MemoryRegion + '_>(region, LIMITS);
                    }
                }
                super::super::$inside(ThroughDyn);
            }
        }
    )+};
}

contract_tests_inside!(
    callers_memory,
    audited_backing,
    backing_that_aligns_barely,
    scope,
    scope_in_a_scope,
    mark,
    scope_in_a_mark
);

// Random programs for these are in `model`: every block is a chunk here, of which each program leaves more for the next to
// look through.
contract_tests_inside!(@module isolated_scope;);

fn callers_memory(promise: impl Promise) {
    let mut memory = Box::new_uninit_slice(room());
    promise.test(&HotArena::builder().over(&mut memory));
}

fn audited_backing(promise: impl Promise) {
    let audit = Audit::new();
    promise.test(&HotArena::builder().limit(room()).within(&audit).build());
    audit.expect_empty();
}

fn backing_that_aligns_barely(promise: impl Promise) {
    let audit = Audit::around(Barely::default());
    promise.test(&HotArena::builder().align::<Align<64>>().limit(room()).within(&audit).build());
    audit.expect_empty();
}

/// After the scope, the arena is as before and counts everything as gone.
fn expect_unchanged<A: KnownAlign, R: MemoryRegion>(
    arena: &mut HotArena<A, R>,
    inside: impl FnOnce(&mut HotArena<A, R>),
) {
    arena.alloc([1u8; 99]);
    let before = (arena.used(), arena.padding());
    inside(arena);
    assert_eq!((arena.used(), arena.padding()), before);
    let stats = arena.stats();
    assert_eq!((stats.current_live, stats.allocation_count - stats.deallocation_count), (99, 1));
}

fn scope(promise: impl Promise) {
    expect_unchanged(&mut arena(), |arena| arena.scope(|scope| promise.test(&*scope)));
}

fn scope_in_a_scope(promise: impl Promise) {
    let mut arena = HotArena::builder().align::<Align<64>>().limit(room()).build();
    expect_unchanged(&mut arena, |arena| {
        arena.scope(|outer| {
            let numbers = outer.alloc_slice_fill_with(1000, |i| i);
            outer.scope(|inner| promise.test(&*inner));
            assert!(numbers.iter().copied().eq(0..1000));
        });
    });
}

fn isolated_scope(promise: impl Promise) {
    let audit = Audit::new();
    let mut arena = HotArena::builder().isolate_scopes(true).limit(room()).within(&audit).build();
    expect_unchanged(&mut arena, |arena| arena.scope(|scope| promise.test(&*scope)));
    assert_eq!(audit.live(), 1, "only what the arena itself allocated is still there");
}

/// Runs `inside` with a mark that is released afterwards.
fn marked(arena: &mut HotArena, inside: impl FnOnce(&mut HotArena)) {
    let mark = arena.mark();
    inside(arena);
    // SAFETY: this arena's only mark; the arena was not reset, the suite has freed all its blocks, and no scope is open.
    unsafe { arena.release(mark) };
}

fn mark(promise: impl Promise) {
    expect_unchanged(&mut arena(), |arena| marked(arena, |arena| promise.test(&*arena)));
}

fn scope_in_a_mark(promise: impl Promise) {
    expect_unchanged(&mut arena(), |arena| {
        marked(arena, |arena| {
            arena.alloc([2u8; 5000]);
            arena.scope(|scope| promise.test(&*scope));
        });
    });
}
