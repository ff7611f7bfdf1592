//! Random programs on several heaps, run by threads in turn, do what they do on the model.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::contract::cases::cases;
use super::program::reference::CASES;
use super::program::{BufferAlign, How, Make, Op, run};

/// Mostly small, often at the edge of a class or of what has one, rarely more than any heap has.
fn size() -> impl Strategy<Value = usize> {
    let around = |log2: std::ops::RangeInclusive<u32>| {
        (log2, 0..4usize, -2..=2isize)
            .prop_map(|(log2, quarters, more)| ((4 + quarters) << (log2 - 2)).saturating_add_signed(more))
    };
    prop_oneof![
        20 => 0..300usize,
        20 => around(6..=16),
        8 => 0..70_000usize,
        6 => around(16..=19),
        1 => around(20..=22),
        1 => (0..300usize).prop_map(|less| isize::MAX as usize - less),
        1 => (0..300usize).prop_map(|less| usize::MAX - less),
    ]
}

fn align() -> impl Strategy<Value = u32> {
    prop_oneof![20 => 0..7u32, 6 => 7..17u32, 2 => 17..23u32, 1 => 23..31u32, 1 => 31..63u32]
}

fn choice() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 2 => 1..4usize, 3 => 0..1500usize]
}

fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 4 => 1..2_000usize, 4 => 0..100_000usize]
}

fn make() -> impl Strategy<Value = Make> {
    let limit = prop_oneof![1 => 0..200_000usize, 3 => 0..4_000_000usize];
    let reserve = prop_oneof![Just(4 << 20), Just(12 << 20)];
    let observed = prop_oneof![1 => 0..3usize, 1 => Just(usize::MAX)];
    let rarely = || prop::bool::weighted(0.2);
    (
        prop::bool::weighted(0.7),
        rarely(),
        option::weighted(0.2, limit),
        option::weighted(0.2, reserve),
        prop_oneof![Just(0), Just(1000)],
        option::weighted(0.2, observed),
    )
        .prop_map(|(caches, portable, limit, reserve, decay, observed)| Make {
            caches,
            portable,
            limit,
            reserve,
            decay,
            observed,
        })
}

fn op(make: impl Strategy<Value = Make> + 'static) -> impl Strategy<Value = Op> {
    let how = prop_oneof![
        3 => Just(How::Region),
        2 => Just(How::Zeroed),
        1 => Just(How::Dyn),
        1 => Just(How::Allocator),
        1 => Just(How::AllocatorZeroed),
    ];
    let buffer = prop_oneof![Just(BufferAlign::Sixteen), Just(BufferAlign::Line), Just(BufferAlign::Page)];
    // Several of one layout, so that magazines change hands.
    let several = (choice(), size(), 0..7u32, prop_oneof![1..20usize, 1..300usize]);
    let words = || bytes().prop_map(|bytes| bytes / 4);
    prop_oneof![
        8 => (0..4usize).prop_map(Op::On),
        2 => (0..3usize).prop_map(Op::End),
        2 => (0..3usize).prop_map(Op::Late),
        4 => make.prop_map(Op::Make),
        1 => choice().prop_map(Op::Drop),
        2 => choice().prop_map(Op::Trim),
        1 => Just(Op::Look),
        1 => (0..12usize).prop_map(Op::Fail),
        12 => (choice(), how, size(), align()).prop_map(|(heap, how, size, align)| Op::Alloc(heap, how, size, align)),
        8 => several.prop_map(|(heap, size, align, count)| Op::Several(heap, size, align, count)),
        1 => (0..200usize).prop_map(Op::Each),
        6 => choice().prop_map(Op::Dealloc),
        8 => (choice(), 1..400usize, 1..4usize).prop_map(|(choice, count, step)| Op::DeallocSeveral(choice, count, step)),
        8 => (choice(), size()).prop_map(|(choice, size)| Op::Realloc(choice, size)),
        5 => (choice(), size(), align(), any::<bool>())
            .prop_map(|(choice, size, align, zeroed)| Op::Resize(choice, size, align, zeroed)),
        3 => (choice(), buffer, words(), words())
            .prop_map(|(heap, align, len, grown)| Op::Buffer(heap, align, len, grown)),
    ]
}

/// Programs that begin with a heap or more, of which they make others too.
fn program<S: Strategy<Value = Make> + 'static>(make: fn() -> S) -> impl Strategy<Value = Vec<Op>> {
    let first = prop_oneof![12 => vec(make(), 1..4), 1 => vec(make(), 34..40)];
    (first, vec(op(make()), 1..60)).prop_map(|(first, ops)| first.into_iter().map(Op::Make).chain(ops).collect())
}

fn check_all(usual: u32, programs: impl Strategy<Value = Vec<Op>>, check: impl Fn(&[Op])) {
    let config = Config { cases: cases(usual), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&programs, |ops| {
            check(&ops);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn random_programs<S: Strategy<Value = Make> + 'static>(make: fn() -> S) {
    check_all(96, program(make), |ops| {
        run(ops, None);
    });
}

#[test]
fn random_programs_on_usual_heaps_match_the_model() {
    random_programs(|| Just(Make::USUAL));
}

#[test]
fn random_programs_on_heaps_without_caches_match_the_model() {
    random_programs(|| make().prop_map(|make| Make { caches: false, ..make }));
}

#[test]
fn random_programs_on_portable_heaps_match_the_model() {
    random_programs(|| make().prop_map(|make| Make { portable: true, ..make }));
}

#[test]
fn random_programs_on_heaps_that_are_short_of_memory_match_the_model() {
    random_programs(|| {
        (make(), 0..2_000_000usize).prop_map(|(make, limit)| Make { limit: Some(limit), portable: false, ..make })
    });
}

#[test]
fn random_programs_on_heaps_of_all_makes_match_the_model() {
    random_programs(make);
}

/// Of each program every request for memory fails once, by whichever thread it is made.
#[test]
fn a_failure_at_any_request_of_a_program_loses_nothing() {
    check_all(8, program(make), |ops| {
        for nth in 0.. {
            if run(ops, Some(nth)).requests <= nth {
                break;
            }
        }
    });
}

/// The same programs each time, so that this does not depend on luck.
#[test]
fn random_programs_reach_every_case() {
    let seen = RefCell::new(BTreeSet::new());
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&program(make), |ops| {
            seen.borrow_mut().extend(run(&ops, None).seen);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    let missed: Vec<_> = CASES.iter().filter(|case| !seen.contains(*case)).collect();
    assert!(missed.is_empty(), "no program brought about: {missed:?}");
}
