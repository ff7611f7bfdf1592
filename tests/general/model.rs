//! Random programs, raw and typed, on heaps of all makes do what they do on the model.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bhc_rts_alloc::general::Stress;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::contract::cases::cases;
use super::program::reference::CASES;
use super::program::{Make, Op, run};

fn choice() -> impl Strategy<Value = usize> {
    0..1_000_000usize
}

/// Mostly few, often at the edge of a card or of what is large, rarely many.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..12usize, 8 => 50..80usize, 4 => 100..700usize, 1 => 1000..1040usize, 1 => 1000..4000usize]
}

fn op() -> impl Strategy<Value = Op> {
    let at = choice;
    // Many thunks. Large ones, and those aligned to pages, are rare.
    let shape = prop_oneof![30 => 0..9usize, 10 => Just(4), 2 => 9..12usize];
    prop_oneof![
        24 => (shape, len(), at(), at()).prop_map(|(shape, len, to, pick)| Op::Alloc { shape, len, to, pick }),
        3 => (0..30usize, at(), at()).prop_map(|(count, to, pick)| Op::Reserved { count, to, pick }),
        16 => (at(), at(), at()).prop_map(|(at, index, value)| Op::Write { at, index, value }),
        20 => (at(), at()).prop_map(|(at, value)| Op::Update { at, value }),
        2 => at().prop_map(|at| Op::Hole { at }),
        6 => (at(), at()).prop_map(|(to, value)| Op::Place { to, value }),
        2 => at().prop_map(|to| Op::Clear { to }),
        1 => at().prop_map(|depth| Op::Truncate { depth }),
        8 => at().prop_map(|pick| Op::NewNode { pick }),
        3 => (0..20usize, at()).prop_map(|(count, pick)| Op::NewNodes { count, pick }),
        3 => len().prop_map(|len| Op::NewMany { len }),
        3 => len().prop_map(|len| Op::NewLine { len }),
        3 => at().prop_map(|at| Op::CloneRoot { at }),
        8 => at().prop_map(|at| Op::DropRoot { at }),
        3 => (at(), at()).prop_map(|(at, value)| Op::SetRoot { at, value }),
        12 => (at(), at(), at()).prop_map(|(at, field, value)| Op::SetField { at, field, value }),
        8 => (at(), at(), at()).prop_map(|(at, index, value)| Op::SetElement { at, index, value }),
        3 => (at(), at(), at(), len(), at())
            .prop_map(|(from, to, start, count, at)| Op::CopyElements { from, to, start, count, at }),
        3 => at().prop_map(|at| Op::ChangeLine { at }),
        5 => any::<bool>().prop_map(|full| Op::Collect { full }),
        1 => any::<bool>().prop_map(|full| Op::Request { full }),
        1 => Just(Op::Trim),
        2 => Just(Op::Look),
    ]
}

fn program(len: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..len)
}

/// Of which some requests fail.
fn failing(len: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(prop_oneof![20 => op(), 1 => (0..8usize).prop_map(|nth| Op::Fail { nth })], 1..len)
}

/// Mostly less than a program would take.
fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 100_000..1_000_000usize, 1 => 500_000..4_000_000usize]
}

fn stress() -> impl Strategy<Value = Option<Stress>> {
    prop_oneof![
        4 => Just(None),
        1 => (1..4u32).prop_map(|each| Some(Stress::Minor(each))),
        1 => (1..4u32).prop_map(|each| Some(Stress::Full(each))),
        2 => (1..4u32).prop_map(|each| Some(Stress::Alternating(each))),
    ]
}

fn make() -> impl Strategy<Value = Make> {
    (
        prop_oneof![Just(8 << 10), Just(64 << 10), Just(1 << 20)],
        stress(),
        prop_oneof![3 => Just(0), 1 => 1..6usize],
        prop::bool::weighted(0.1),
        prop_oneof![3 => Just(usize::MAX), 1 => 0..4usize],
        prop_oneof![Just((100, 256 << 10)), Just((0, 1)), Just((50, 32 << 10))],
    )
        .prop_map(|(nursery, stress, quarantine, portable, remembered, growth)| Make {
            nursery,
            stress,
            quarantine,
            portable,
            remembered,
            limit: None,
            growth,
        })
}

fn check_all<T: std::fmt::Debug>(usual: u32, programs: impl Strategy<Value = T>, check: impl Fn(&T)) {
    let config = Config { cases: cases(usual), failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    TestRunner::new(config)
        .run(&programs, |program| {
            check(&program);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn random_programs_on_usual_heaps_match_the_model() {
    check_all(40, program(300), |ops| {
        run(Make::USUAL, ops, None);
    });
}

#[test]
fn random_programs_on_heaps_of_all_makes_match_the_model() {
    check_all(80, (make(), failing(150)), |(make, ops)| {
        run(*make, ops, None);
    });
}

#[test]
fn random_programs_on_heaps_with_a_limit_match_the_model() {
    check_all(60, (make(), limit(), failing(200)), |(make, limit, ops)| {
        run(Make { limit: Some(*limit), portable: false, ..*make }, ops, None);
    });
}

/// Of each program every request for memory fails once.
#[test]
fn a_failure_at_any_request_of_a_program_loses_nothing() {
    check_all(8, (make(), program(60)), |(make, ops)| {
        for nth in 0.. {
            if run(*make, ops, Some(nth)).requests <= nth {
                break;
            }
        }
    });
}

/// The same programs each time, so that this does not depend on luck.
#[test]
fn random_programs_reach_every_case() {
    let seen = RefCell::new(BTreeSet::new());
    let config = Config { cases: 160, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let limit = prop_oneof![Just(None), limit().prop_map(Some)];
    TestRunner::new_with_rng(config, rng)
        .run(&(make(), limit, failing(300)), |(make, limit, ops)| {
            let make = Make { limit, portable: make.portable && limit.is_none(), ..make };
            seen.borrow_mut().extend(run(make, &ops, None).seen);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    let missed: Vec<_> = CASES.iter().filter(|case| !seen.contains(*case)).collect();
    assert!(missed.is_empty(), "no program brought about: {missed:?}");
}
