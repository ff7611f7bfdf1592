//! Random programs do on an arena what they do on the model, at every depth.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::contract::cases::cases;
use super::program::reference::CASES;
use super::program::{BufferAlign, Content, How, Kind, Memory, Op, Setup, Size, Typed, Unit, run};
use super::region::Failure;

/// Mostly blocks of which many share a chunk, now and then some that need one of their own, rarely one that nothing can hold.
fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        20 => (0..200usize).prop_map(Size::Bytes),
        8 => (0..3000usize).prop_map(Size::Bytes),
        5 => (0..40_000usize).prop_map(Size::Bytes),
        6 => (-70..=70isize).prop_map(Size::Left),
        1 => (0..300usize).prop_map(|less| Size::Bytes(isize::MAX as usize - less)),
        1 => (0..300usize).prop_map(|less| Size::Bytes(usize::MAX - less)),
    ]
}

fn align() -> impl Strategy<Value = u32> {
    prop_oneof![16 => 0..8u32, 3 => 8..14u32, 1 => 40..63u32]
}

fn choice() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 2 => 1..4usize, 2 => 0..1000usize]
}

fn typed() -> impl Strategy<Value = Typed> {
    let kind = || {
        prop_oneof![Just(Kind::Byte), Just(Kind::Three), Just(Kind::Word), Just(Kind::Long), Just(Kind::OverAligned)]
    };
    let len = || prop_oneof![8 => 0..40usize, 1 => 0..400usize];
    let content = prop_oneof![Just(Content::Zeros), Just(Content::Copies), Just(Content::Nothing)];
    let align = prop_oneof![Just(BufferAlign::Sixteen), Just(BufferAlign::Line), Just(BufferAlign::Page)];
    prop_oneof![
        3 => kind().prop_map(Typed::Value),
        1 => kind().prop_map(Typed::With),
        1 => kind().prop_map(Typed::Boxed),
        1 => (kind(), len()).prop_map(|(kind, len)| Typed::Copied(kind, len)),
        1 => (kind(), len()).prop_map(|(kind, len)| Typed::Cloned(kind, len)),
        1 => (kind(), len()).prop_map(|(kind, len)| Typed::Filled(kind, len)),
        1 => len().prop_map(Typed::Text),
        2 => (content, align, any::<bool>(), len())
            .prop_map(|(content, align, words, len)| Typed::Buffer(content, align, words, len)),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        2 => Just(Failure::Never),
        2 => (0..3usize).prop_map(Failure::Nth),
        1 => (0..3usize).prop_map(Failure::From),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let how = prop_oneof![
        2 => Just(How::Region),
        1 => Just(How::Zeroed),
        1 => Just(How::Dyn),
        1 => Just(How::Allocator),
        1 => Just(How::AllocatorZeroed),
        2 => Just(How::Inherent),
    ];
    prop_oneof![
        14 => (how, size(), align()).prop_map(|(how, size, align)| Op::Alloc(how, size, align)),
        6 => typed().prop_map(Op::Make),
        2 => (any::<bool>(), option::of((size(), align())))
            .prop_map(|(slice, inner)| Op::Interrupted { slice, inner }),
        6 => choice().prop_map(Op::Dealloc),
        8 => (choice(), size()).prop_map(|(choice, size)| Op::Realloc(choice, size)),
        6 => (choice(), size(), align(), any::<bool>())
            .prop_map(|(choice, size, align, zeroed)| Op::Resize(choice, size, align, zeroed)),
        7 => Just(Op::Enter),
        5 => Just(Op::Leave),
        1 => (0..3usize).prop_map(Op::Unwind),
        1 => failure().prop_map(Op::Fail),
        3 => Just(Op::Mark),
        2 => choice().prop_map(Op::Release),
        2 => Just(Op::Reset),
        2 => Just(Op::Shrink),
        1 => Just(Op::Move),
    ]
}

fn setup(memory: impl Strategy<Value = Memory>, isolate: impl Strategy<Value = bool>) -> impl Strategy<Value = Setup> {
    let unit = prop_oneof![Just(Unit::One), Just(Unit::Eight), Just(Unit::Line)];
    (unit, memory, 0..10_000usize, isolate).prop_map(|(unit, memory, skew, isolate)| Setup {
        unit,
        memory,
        skew,
        isolate,
    })
}

const GROWING: Memory = Memory::Backing { capacity: 0, fixed: false, limit: None, failure: Failure::Never };

fn capacity() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 3 => 1..300usize, 3 => 0..10_000usize, 1 => 0..200_000usize]
}

fn any_memory() -> impl Strategy<Value = Memory> {
    let limit = option::of(0..100_000usize);
    let fixed = prop_oneof![3 => Just(false), 1 => Just(true)];
    prop_oneof![
        1 => (0..6000usize).prop_map(Memory::Caller),
        4 => (capacity(), fixed, limit, failure()).prop_map(|(capacity, fixed, limit, failure)| {
            Memory::Backing { capacity, fixed, limit, failure }
        }),
    ]
}

fn random_programs(setup: impl Strategy<Value = Setup>) {
    let config = Config { cases: cases(256), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(setup, vec(op(), 1..80)), |(setup, ops)| {
            run(&setup, &ops);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn random_programs_on_a_growing_arena_match_the_model() {
    random_programs(setup(Just(GROWING), Just(false)));
}

#[test]
fn random_programs_on_a_fixed_arena_match_the_model() {
    random_programs(setup(
        capacity().prop_map(|capacity| Memory::Backing { capacity, fixed: true, limit: None, failure: Failure::Never }),
        Just(false),
    ));
}

#[test]
fn random_programs_under_a_limit_match_the_model() {
    random_programs(setup(
        (capacity(), 0..60_000usize).prop_map(|(capacity, limit)| Memory::Backing {
            capacity,
            fixed: false,
            limit: Some(limit),
            failure: Failure::Never,
        }),
        Just(false),
    ));
}

#[test]
fn random_programs_on_the_callers_memory_match_the_model() {
    random_programs(setup((0..6000usize).prop_map(Memory::Caller), any::<bool>()));
}

#[test]
fn random_programs_with_isolated_scopes_match_the_model() {
    random_programs(setup(
        capacity().prop_map(|capacity| Memory::Backing {
            capacity,
            fixed: false,
            limit: None,
            failure: Failure::Never,
        }),
        Just(true),
    ));
}

#[test]
fn random_programs_on_a_backing_that_fails_match_the_model() {
    random_programs(setup(
        (capacity(), failure()).prop_map(|(capacity, failure)| Memory::Backing {
            capacity,
            fixed: false,
            limit: None,
            failure,
        }),
        any::<bool>(),
    ));
}

#[test]
fn random_programs_on_any_arena_match_the_model() {
    random_programs(setup(any_memory(), any::<bool>()));
}

/// Each request is for one byte more than the newest chunk has left. What the chunks must be is the model's affair.
#[test]
fn chunks_double_up_to_the_largest_regular_size() {
    let alloc = |size| Op::Alloc(How::Region, size, 3);
    let mut ops = vec![alloc(Size::Left(1)); 14];
    // More than any regular chunk, and then little again.
    ops.extend([Size::Bytes(20 << 20), Size::Left(0), Size::Left(1)].map(alloc));
    ops.extend([Op::Reset, alloc(Size::Left(0)), Op::Reset, Op::Shrink]);
    for unit in [Unit::One, Unit::Eight, Unit::Line] {
        let seen = run(&Setup { unit, memory: GROWING, skew: 0, isolate: false }, &ops);
        assert!(seen.contains("a request for more than a regular chunk"));
    }
}

/// The same programs each time, so that this does not depend on luck.
#[test]
fn random_programs_reach_every_case() {
    let seen = RefCell::new(BTreeSet::new());
    let config = Config { cases: 600, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&(setup(any_memory(), any::<bool>()), vec(op(), 1..80)), |(setup, ops)| {
            seen.borrow_mut().extend(run(&setup, &ops));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    let missed: Vec<_> = CASES.iter().filter(|case| !seen.contains(*case)).collect();
    assert!(missed.is_empty(), "no program brought about: {missed:?}");
}
