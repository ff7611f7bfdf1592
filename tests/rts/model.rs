//! Random programs of buffers in regions and at alignments that are chosen as they run, with conversions to types and
//! back, against `Vec`s. After each step the contents are the same and every region counts exactly what its buffers hold.

use std::collections::BTreeMap;

use bhc_rts_alloc::{
    Align, AlignSpec, Alignment, Capability, Config, HeapBytes, HotArena, KnownAlign, KnownRegion, MemoryRegion,
    PageAlign, PinnedHeap, RegionKind, RuntimeBuffer, SimdBuffer, System,
};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use super::contract::cases::cases;
use super::{KINDS, by_itself};

const ALIGNMENTS: [Alignment; 5] =
    [Alignment::Pow0, Alignment::Pow3, Alignment::Pow6, Alignment::Page, Alignment::Pow16];

#[derive(Clone, Debug)]
enum Op {
    /// In a region, at an alignment, of so many elements.
    Make(usize, usize, usize, u32),
    /// All below are of which buffer: any number, counted around.
    Drop(usize),
    Push(usize, u32),
    Extend(usize, usize, u32),
    Truncate(usize, usize),
    Shrink(usize),
    /// A clone beside it, or the contents of another in its place.
    Clone(usize),
    CloneFrom(usize, usize),
    /// To an alignment and a region in the type, which may be others than it has, something done there, and back.
    Typed(usize, usize, usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<usize>;
    let number = any::<u32>;
    let len = || prop_oneof![6 => 0..50usize, 2 => 0..1000usize, 1 => 0..20_000usize];
    prop_oneof![
        4 => (0..KINDS.len(), 0..ALIGNMENTS.len(), len(), number()).prop_map(|(k, a, l, s)| Op::Make(k, a, l, s)),
        2 => which().prop_map(Op::Drop),
        2 => (which(), number()).prop_map(|(at, value)| Op::Push(at, value)),
        2 => (which(), len(), number()).prop_map(|(at, len, seed)| Op::Extend(at, len, seed)),
        1 => (which(), len()).prop_map(|(at, len)| Op::Truncate(at, len)),
        1 => which().prop_map(Op::Shrink),
        2 => which().prop_map(Op::Clone),
        1 => (which(), which()).prop_map(|(at, from)| Op::CloneFrom(at, from)),
        6 => (which(), 0..ALIGNMENTS.len(), 0..KINDS.len(), number()).prop_map(|(at, a, k, s)| Op::Typed(at, a, k, s)),
    ]
}

fn elements(len: usize, seed: u32) -> impl Iterator<Item = u32> {
    (0..len as u32).map(move |i| i.wrapping_mul(2_654_435_761).wrapping_add(seed))
}

/// A buffer and what should be in it.
struct Pair<'c> {
    buffer: RuntimeBuffer<'c, u32>,
    model: Vec<u32>,
    kind: RegionKind,
    alignment: Alignment,
}

/// What is done while the buffer has a type.
fn work<A: AlignSpec, R: MemoryRegion + Clone>(buffer: &mut SimdBuffer<u32, A, R>, model: &mut Vec<u32>, seed: u32) {
    match seed % 4 {
        0 => {}
        1 => {
            buffer.try_push(seed).expect("memory");
            model.push(seed);
        }
        2 => {
            let more: Vec<u32> = elements(seed as usize % 3000, seed).collect();
            buffer.try_extend_from_slice(&more).expect("memory");
            model.extend_from_slice(&more);
        }
        _ => {
            buffer.truncate(seed as usize % 20);
            buffer.shrink_to_fit();
            model.truncate(seed as usize % 20);
        }
    }
}

/// To that type and back if the buffer is of it, else it must be as before.
fn through<'c, A: KnownAlign, R: KnownRegion<'c> + Clone>(
    buffer: RuntimeBuffer<'c, u32>,
    model: &mut Vec<u32>,
    right: bool,
    seed: u32,
) -> RuntimeBuffer<'c, u32> {
    let (start, len, capacity) = (buffer.as_ptr(), buffer.len(), buffer.capacity());
    match buffer.try_into_typed::<A, R>() {
        Ok(mut typed) => {
            assert!(right, "neither its alignment nor its region may be another");
            assert_eq!((typed.as_ptr(), typed.len(), typed.capacity()), (start, len, capacity));
            work(&mut typed, model, seed);
            assert!(typed.as_ptr().addr().is_multiple_of(A::BYTES));
            typed.into_dynamic().into_by_region()
        }
        Err(buffer) => {
            assert!(!right, "it is of that type");
            assert_eq!((buffer.as_ptr(), buffer.len(), buffer.capacity()), (start, len, capacity));
            // Of the region alone it may be.
            match buffer.try_into_region::<R>() {
                Ok(mut typed) => {
                    work(&mut typed, model, seed);
                    typed.into_by_region()
                }
                Err(buffer) => buffer,
            }
        }
    }
}

fn typed<'c, A: KnownAlign>(pair: Pair<'c>, kind: RegionKind, seed: u32) -> Pair<'c> {
    let Pair { buffer, mut model, kind: own, alignment } = pair;
    let right = own == kind && alignment == Alignment::of::<A>();
    let buffer = match kind {
        RegionKind::HotArena => through::<A, &HotArena>(buffer, &mut model, right, seed),
        RegionKind::Pinned => through::<A, &PinnedHeap>(buffer, &mut model, right, seed),
        RegionKind::General => through::<A, HeapBytes>(buffer, &mut model, right, seed),
        _ => through::<A, System>(buffer, &mut model, right, seed),
    };
    Pair { buffer, model, kind: own, alignment }
}

fn apply<'c>(capability: &'c Capability, pairs: &mut Vec<Pair<'c>>, op: &Op) {
    let len = pairs.len();
    let at = |index: usize| index % len.max(1);
    if len == 0 && !matches!(op, Op::Make(..)) {
        return;
    }
    match *op {
        Op::Make(kind, alignment, len, seed) => {
            let (kind, alignment) = (KINDS[kind], ALIGNMENTS[alignment]);
            let model: Vec<u32> = elements(len, seed).collect();
            let buffer = capability.place(kind, alignment).try_from_slice(&model).expect("memory");
            pairs.push(Pair { buffer, model, kind, alignment });
        }
        Op::Drop(index) => drop(pairs.swap_remove(at(index))),
        Op::Push(index, value) => {
            let pair = &mut pairs[at(index)];
            pair.buffer.try_push(value).expect("memory");
            pair.model.push(value);
        }
        Op::Extend(index, len, seed) => {
            let pair = &mut pairs[at(index)];
            pair.buffer.extend(elements(len, seed));
            pair.model.extend(elements(len, seed));
        }
        Op::Truncate(index, len) => {
            let pair = &mut pairs[at(index)];
            pair.buffer.truncate(len);
            pair.model.truncate(len);
        }
        Op::Shrink(index) => pairs[at(index)].buffer.shrink_to_fit(),
        Op::Clone(index) => {
            let Pair { ref buffer, ref model, kind, alignment } = pairs[at(index)];
            let (buffer, model) = (buffer.try_clone().expect("memory"), model.clone());
            pairs.push(Pair { buffer, model, kind, alignment });
        }
        Op::CloneFrom(index, from) => {
            let (from, model) = (pairs[at(from)].buffer.try_clone().expect("memory"), pairs[at(from)].model.clone());
            let pair = &mut pairs[at(index)];
            pair.buffer.clone_from(&from);
            // It keeps its region, and nothing else.
            (pair.model, pair.alignment) = (model, from.alignment());
        }
        Op::Typed(index, alignment, kind, seed) => {
            let pair = pairs.swap_remove(at(index));
            let kind = KINDS[kind];
            pairs.push(match alignment {
                0 => typed::<Align<1>>(pair, kind, seed),
                1 => typed::<Align<8>>(pair, kind, seed),
                2 => typed::<Align<64>>(pair, kind, seed),
                3 => typed::<PageAlign>(pair, kind, seed),
                _ => typed::<Align<65536>>(pair, kind, seed),
            });
        }
    }
}

/// The contents are those of the model, and each region has what its buffers hold, and nothing else.
fn look(capability: &Capability, pairs: &[Pair<'_>], start: &BTreeMap<String, usize>) {
    let mut expected = start.clone();
    for Pair { buffer, model, kind, alignment } in pairs {
        assert_eq!(buffer[..], model[..], "{kind:?}, {alignment:?}");
        assert_eq!((buffer.region().kind(), buffer.alignment()), (*kind, *alignment));
        assert!(buffer.as_ptr().addr().is_multiple_of(alignment.as_usize()), "{kind:?}, {alignment:?}");
        assert!(buffer.capacity() >= buffer.len());
        *expected.get_mut(&format!("{kind:?}")).expect("one of the kinds") += buffer.capacity() * size_of::<u32>();
    }
    assert_eq!(live(capability), expected);
}

fn live(capability: &Capability) -> BTreeMap<String, usize> {
    KINDS.iter().map(|kind| (format!("{kind:?}"), capability.region(*kind).stats().current_live)).collect()
}

#[test]
fn random_programs_of_buffers_do_what_they_do_on_vecs() {
    by_itself(module_path!(), "random_programs_of_buffers_do_what_they_do_on_vecs", || {
        let config = Cases { cases: cases(200), failure_persistence: None, ..Cases::default() };
        let programs = prop::collection::vec(op(), 1..60);
        let result = TestRunner::new(config).run(&programs, |program| {
            // With no chunk to come, which would be a block of the process allocator.
            let capability = Config::new().arena(HotArena::builder().capacity(64 << 20).fixed()).build();
            let start = live(&capability);
            let mut pairs = Vec::new();
            for op in &program {
                apply(&capability, &mut pairs, op);
                look(&capability, &pairs, &start);
            }
            drop(pairs);
            look(&capability, &[], &start);
            for kind in KINDS {
                let stats = capability.region(kind).stats();
                assert_eq!(stats.total_allocated - stats.total_deallocated, stats.current_live, "{kind:?}");
                assert_eq!(stats.failed_allocations, 0, "{kind:?}");
            }
            Ok(())
        });
        result.unwrap();
    });
}
