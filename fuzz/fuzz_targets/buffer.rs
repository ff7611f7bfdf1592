//! Programs of buffer operations, on a buffer and on a `Vec`, in a region that looks over the buffer's shoulder: after
//! every step the elements are the same, the start is aligned, and the padding is zero and inside the block.

#![no_main]

#[path = "../../tests/buffer/program.rs"]
#[allow(dead_code, reason = "shared with the tests, which have more element types")]
mod program;
#[path = "../../tests/common/region.rs"]
mod region;
#[path = "../../tests/buffer/vocabulary.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod vocabulary;

use arbitrary::{Arbitrary, Result, Unstructured};
use bhc_rts_alloc::{Align, Alignment};
use libfuzzer_sys::fuzz_target;
use program::{Op, Special, run};

/// Longer programs find little that shorter ones do not.
const STEPS: usize = 200;

#[derive(Arbitrary, Debug)]
struct Program {
    element: Element,
    start: Start,
    ops: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Element {
    Byte,
    Word,
    ThreeBytes,
    Text,
}

/// What the buffer starts as.
#[derive(Arbitrary, Debug)]
enum Start {
    One,
    Line,
    Page,
    /// At an alignment chosen at run time.
    Chosen(u8),
}

#[derive(Debug)]
struct Operation(Op);

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Around the padding blocks of all element types used here, and now and then far beyond.
        fn count(u: &mut Unstructured<'_>) -> Result<usize> {
            let count = u16::arbitrary(u)?;
            Ok(usize::from(if count % 8 == 0 { count / 8 % 2000 } else { count / 8 % 70 }))
        }
        fn index(u: &mut Unstructured<'_>) -> Result<usize> {
            u16::arbitrary(u).map(usize::from)
        }
        fn seed(u: &mut Unstructured<'_>) -> Result<u32> {
            u32::arbitrary(u)
        }
        Ok(Self(match u8::arbitrary(u)? % 24 {
            0 => Op::Pop,
            1 => Op::Insert(index(u)?, seed(u)?),
            2 => Op::Remove(index(u)?),
            3 => Op::SwapRemove(index(u)?),
            4 => Op::Truncate(count(u)?),
            5 => Op::Clear,
            6 => Op::Resize(count(u)?, seed(u)?),
            7 => Op::ResizeWith(count(u)?, seed(u)?),
            8 => Op::Extend(count(u)?, seed(u)?, u.arbitrary()?),
            9 => Op::ExtendFromSlice(count(u)?, seed(u)?),
            10 => Op::Retain(seed(u)?),
            11 => Op::Reserve(count(u)?),
            12 => Op::ReserveExact(count(u)?),
            13 => Op::ShrinkTo(count(u)?),
            14 => Op::ShrinkToFit,
            15 => Op::Clone,
            16 => Op::CloneFrom(count(u)?, seed(u)?),
            17 => Op::Switch,
            18 => Op::RawParts,
            19 => Op::IntoIter(count(u)?, count(u)?, u.arbitrary()?),
            20 => Op::Reverse,
            21 => Op::Special(seed(u)?),
            _ => Op::Push(seed(u)?),
        }))
    }
}

fn start<T>(start: &Start, ops: &[Op])
where
    T: Special<Align<1>> + Special<Align<64>> + Special<Align<4096>>,
{
    match *start {
        Start::One => run::<T, Align<1>>(None, ops),
        Start::Line => run::<T, Align<64>>(None, ops),
        Start::Page => run::<T, Align<4096>>(None, ops),
        Start::Chosen(log2) => run::<T, Align<64>>(Alignment::new(1 << (log2 % 17)), ops),
    }
}

fuzz_target!(|program: Program| {
    let ops: Vec<Op> = program.ops.into_iter().take(STEPS).map(|Operation(op)| op).collect();
    match program.element {
        Element::Byte => start::<u8>(&program.start, &ops),
        Element::Word => start::<u32>(&program.start, &ops),
        Element::ThreeBytes => start::<[u8; 3]>(&program.start, &ops),
        Element::Text => start::<String>(&program.start, &ops),
    }
});
