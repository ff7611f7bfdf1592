//! Programs of arena operations, on an arena of any make and on a model of it: after every step, at every depth of scopes,
//! each block is where it should be and has its contents, and every number is exact.

#![no_main]

#[path = "../../tests/common/blocks.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod blocks;
#[path = "../../tests/arena/program.rs"]
mod program;
#[path = "../../tests/common/region.rs"]
mod region;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use program::{BufferAlign, Content, How, Kind, Memory, Op, Setup, Size, Typed, Unit, run};
use region::Failure;

/// Longer programs find little that shorter ones do not.
const STEPS: usize = 200;

#[derive(Debug)]
struct Program {
    setup: Setup,
    ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let setup = setup(u)?;
        let mut ops = Vec::new();
        while !u.is_empty() && ops.len() < STEPS {
            ops.push(op(u)?);
        }
        Ok(Self { setup, ops })
    }
}

/// One of a few, each as likely.
fn one_of<T: Copy>(u: &mut Unstructured<'_>, of: &[T]) -> Result<T> {
    u.choose(of).copied()
}

fn number(u: &mut Unstructured<'_>) -> Result<usize> {
    u16::arbitrary(u).map(usize::from)
}

fn choice(u: &mut Unstructured<'_>) -> Result<usize> {
    u8::arbitrary(u).map(usize::from)
}

/// Mostly such that several blocks share a chunk.
fn size(u: &mut Unstructured<'_>) -> Result<Size> {
    Ok(match u8::arbitrary(u)? {
        0..100 => Size::Bytes(choice(u)?),
        100..170 => Size::Bytes(number(u)? % 5000),
        170..200 => Size::Bytes(number(u)?),
        200..245 => Size::Left(i8::arbitrary(u)?.into()),
        245..250 => Size::Bytes(isize::MAX as usize - number(u)?),
        250.. => Size::Bytes(usize::MAX - number(u)?),
    })
}

fn align(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(u32::from(match u8::arbitrary(u)? {
        log2 @ 0..240 => {
            if log2 % 8 == 0 {
                log2 / 8 % 14
            } else {
                log2 % 8
            }
        }
        log2 => 40 + log2 % 23,
    }))
}

fn failure(u: &mut Unstructured<'_>) -> Result<Failure> {
    let nth = usize::from(u8::arbitrary(u)? % 4);
    one_of(u, &[Failure::Never, Failure::Nth(nth), Failure::From(nth)])
}

fn setup(u: &mut Unstructured<'_>) -> Result<Setup> {
    let unit = one_of(u, &[Unit::One, Unit::Eight, Unit::Line])?;
    let memory = if u.ratio(1, 5)? {
        Memory::Caller(number(u)? % 8000)
    } else {
        let capacity = if u.arbitrary()? { 0 } else { number(u)? };
        let limit = if u.ratio(1, 4)? { Some(2 * number(u)?) } else { None };
        let fixed = u.ratio(1, 4)?;
        Memory::Backing { capacity, fixed, limit, failure: if u.ratio(1, 4)? { failure(u)? } else { Failure::Never } }
    };
    Ok(Setup { unit, memory, skew: number(u)?, isolate: u.ratio(1, 4)? })
}

fn typed(u: &mut Unstructured<'_>) -> Result<Typed> {
    let kind = one_of(u, &[Kind::Byte, Kind::Three, Kind::Word, Kind::Long, Kind::OverAligned])?;
    let len = choice(u)? / 4;
    Ok(match u8::arbitrary(u)? % 8 {
        0 => Typed::Value(kind),
        1 => Typed::With(kind),
        2 => Typed::Boxed(kind),
        3 => Typed::Copied(kind, len),
        4 => Typed::Cloned(kind, len),
        5 => Typed::Filled(kind, len),
        6 => Typed::Text(len),
        _ => {
            let content = one_of(u, &[Content::Zeros, Content::Copies, Content::Nothing])?;
            let align = one_of(u, &[BufferAlign::Sixteen, BufferAlign::Line, BufferAlign::Page])?;
            Typed::Buffer(content, align, u.arbitrary()?, len)
        }
    })
}

fn op(u: &mut Unstructured<'_>) -> Result<Op> {
    const HOW: [How; 6] = [How::Region, How::Zeroed, How::Dyn, How::Allocator, How::AllocatorZeroed, How::Inherent];
    Ok(match u8::arbitrary(u)? % 32 {
        0..8 => Op::Alloc(one_of(u, &HOW)?, size(u)?, align(u)?),
        8..11 => Op::Make(typed(u)?),
        11 => {
            let inner = if u.arbitrary()? { Some((size(u)?, align(u)?)) } else { None };
            Op::Interrupted { slice: u.arbitrary()?, inner }
        }
        12..15 => Op::Dealloc(choice(u)?),
        15..18 => Op::Realloc(choice(u)?, size(u)?),
        18..21 => Op::Resize(choice(u)?, size(u)?, align(u)?, u.arbitrary()?),
        21..23 => Op::Enter,
        23 | 24 => Op::Leave,
        25 => Op::Unwind(choice(u)? % 4),
        26 => Op::Fail(failure(u)?),
        27 => Op::Mark,
        28 => Op::Release(choice(u)?),
        29 => Op::Reset,
        30 => Op::Shrink,
        _ => Op::Move,
    })
}

fuzz_target!(|program: Program| {
    run(&program.setup, &program.ops);
});
