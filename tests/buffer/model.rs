//! Random programs do on a buffer what they do on a `Vec`, and keep its promises at every step.

use std::mem::ManuallyDrop;

use bhc_rts_alloc::{Align, Alignment, Place};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::cases::cases;
use super::program::{Op, Special, Wide, elements, run};
use super::region::Audit;
use super::vocabulary::{Tracked, expect, tracked};

fn op() -> impl Strategy<Value = Op> {
    // Around the padding blocks of all element types used here, and now and then far beyond.
    let count = || prop_oneof![4 => 0..5usize, 4 => 0..70usize, 1 => 0..600usize];
    let index = || 0..1000usize;
    let seed = any::<u32>;
    prop_oneof![
        8 => seed().prop_map(Op::Push),
        4 => Just(Op::Pop),
        2 => (index(), seed()).prop_map(|(at, seed)| Op::Insert(at, seed)),
        2 => index().prop_map(Op::Remove),
        2 => index().prop_map(Op::SwapRemove),
        2 => count().prop_map(Op::Truncate),
        1 => Just(Op::Clear),
        2 => (count(), seed()).prop_map(|(len, seed)| Op::Resize(len, seed)),
        2 => (count(), seed()).prop_map(|(len, seed)| Op::ResizeWith(len, seed)),
        2 => (count(), seed(), any::<bool>()).prop_map(|(count, seed, says)| Op::Extend(count, seed, says)),
        2 => (count(), seed()).prop_map(|(count, seed)| Op::ExtendFromSlice(count, seed)),
        2 => seed().prop_map(Op::Retain),
        1 => count().prop_map(Op::Reserve),
        1 => count().prop_map(Op::ReserveExact),
        1 => count().prop_map(Op::ShrinkTo),
        2 => Just(Op::ShrinkToFit),
        1 => Just(Op::Clone),
        1 => (count(), seed()).prop_map(|(len, seed)| Op::CloneFrom(len, seed)),
        2 => Just(Op::Switch),
        1 => Just(Op::RawParts),
        1 => (count(), count(), any::<bool>()).prop_map(|(front, back, rest)| Op::IntoIter(front, back, rest)),
        1 => Just(Op::Reverse),
        3 => seed().prop_map(Op::Special),
    ]
}

/// Runs many random programs with `run`, and makes sure that they leave no element behind.
fn random_programs(run: impl Fn(&[Op])) {
    let config = Config { cases: cases(64), failure_persistence: None, ..Config::default() };
    let before = tracked();
    TestRunner::new(config)
        .run(&vec(op(), 1..60), |ops| {
            run(&ops);
            assert_eq!(tracked(), before, "elements were leaked");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// At alignments with every kind of padding: none, less than a block, a block, and more alignment than padding.
fn at_every_alignment<T>()
where
    T: Special<Align<1>> + Special<Align<8>> + Special<Align<64>> + Special<Align<4096>>,
{
    random_programs(|ops| {
        run::<T, Align<1>>(None, ops);
        run::<T, Align<8>>(None, ops);
        run::<T, Align<64>>(None, ops);
        run::<T, Align<4096>>(None, ops);
    });
}

/// At the two that differ for elements whose bytes nobody looks at; fewer copies to compile.
fn at_two_alignments<T: Special<Align<8>> + Special<Align<64>>>() {
    random_programs(|ops| {
        run::<T, Align<8>>(None, ops);
        run::<T, Align<64>>(None, ops);
    });
}

#[test]
fn random_programs_on_bytes_match_a_vec() {
    at_every_alignment::<u8>();
}

#[test]
fn random_programs_on_words_match_a_vec() {
    at_every_alignment::<u32>();
}

#[test]
fn random_programs_on_elements_of_three_bytes_match_a_vec() {
    at_every_alignment::<[u8; 3]>();
}

#[test]
fn random_programs_on_elements_larger_than_the_padding_block_match_a_vec() {
    at_every_alignment::<[u16; 48]>();
}

#[test]
fn random_programs_on_over_aligned_elements_match_a_vec() {
    at_two_alignments::<Wide>();
}

#[test]
fn random_programs_on_elements_without_size_match_a_vec() {
    at_two_alignments::<()>();
}

#[test]
fn random_programs_on_strings_match_a_vec() {
    at_two_alignments::<String>();
}

#[test]
fn random_programs_drop_every_element_once() {
    at_two_alignments::<Tracked<0>>();
    at_two_alignments::<Tracked<10>>();
}

#[test]
fn random_programs_at_alignments_chosen_at_run_time_match_a_vec() {
    random_programs(|ops| {
        for log2 in [0, 1, 5, 6, 7, 16] {
            run::<[u8; 3], Align<64>>(Alignment::new(1 << log2), ops);
        }
    });
}

#[test]
fn every_run_time_alignment_keeps_the_promises() {
    for log2 in 0..=16 {
        let alignment = Alignment::new(1 << log2).unwrap();
        let audit = Audit::new();
        let place = Place::at(alignment).within(&audit);
        for len in (0..70).chain([127, 128, 129, 1000]) {
            let mut model = elements::<[u8; 3]>(len, 7);
            let mut buffer = place.try_from_slice(&model).unwrap();
            expect(&buffer, &model);
            buffer.push([9; 3]);
            model.push([9; 3]);
            expect(&buffer, &model);
            buffer.truncate(len / 2);
            model.truncate(len / 2);
            expect(&buffer, &model);
            let zeroed = place.try_zeroed::<[u8; 3]>(len).unwrap();
            expect(&zeroed, &vec![[0; 3]; len]);
            let grown = place.try_from_iter(model.iter().copied()).unwrap();
            expect(&grown, &model);
        }
        audit.expect_empty();
    }
}

/// That zeros follow is a promise that safe code can break, by forgetting the guard; nothing else may break with it.
#[test]
fn a_forgotten_padded_view_leaves_values_in_the_padding_and_harms_nothing() {
    let audit = Audit::new();
    let mut buffer = Place::<Align<64>>::new().within(&audit).from_slice(&[1u32; 5]);
    let mut padded = ManuallyDrop::new(buffer.padded_mut());
    padded.fill(7);
    assert_eq!(buffer.padded()[..], [7; 16]);
    buffer.push(1);
    assert_eq!(buffer, [7, 7, 7, 7, 7, 1]);
    drop(buffer.padded_mut());
    expect(&buffer, &[7, 7, 7, 7, 7, 1]);
}
