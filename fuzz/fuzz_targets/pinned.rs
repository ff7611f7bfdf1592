//! Programs on several pinned heaps of all makes, run by threads in turn, and on a model of them: after every step the blocks
//! are where they should be and have their contents, and every number is exact.

#![no_main]

#[path = "../../tests/common/blocks.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod blocks;
#[path = "../../tests/pinned/program.rs"]
#[allow(dead_code, reason = "as above")]
mod program;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use program::{BufferAlign, How, Make, Op, run};

/// Longer programs find little that shorter ones do not.
const STEPS: usize = 120;

#[derive(Debug)]
struct Program {
    strike: Option<usize>,
    ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let strike = if u.ratio(1, 4)? { Some(choice(u)?) } else { None };
        // Now and then more heaps than a thread has slots for.
        let first = if u.ratio(1, 16)? { 36 } else { 1 };
        let mut ops = vec![Op::Make(make(u)?); first];
        while !u.is_empty() && ops.len() < STEPS {
            ops.push(op(u)?);
        }
        Ok(Self { strike, ops })
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

/// Mostly small, often at the edge of a class or of what has one, rarely more than any heap has.
fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match u8::arbitrary(u)? {
        0..90 => choice(u)?,
        kind @ 90..200 => {
            let (log2, quarters) = (6 + kind % 11, u8::arbitrary(u)?);
            let more = isize::from(quarters / 4 % 5) - 2;
            ((4 + usize::from(quarters % 4)) << (log2 - 2)).saturating_add_signed(more)
        }
        200..230 => number(u)?,
        230..247 => 8 * number(u)?,
        247..250 => 64 * number(u)?,
        250..253 => isize::MAX as usize - choice(u)?,
        253.. => usize::MAX - choice(u)?,
    })
}

fn align(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(u32::from(match u8::arbitrary(u)? {
        log2 @ 0..160 => log2 % 7,
        log2 @ 160..220 => 7 + log2 % 10,
        log2 @ 220..248 => 17 + log2 % 6,
        log2 @ 248..252 => 23 + log2 % 8,
        log2 @ 252.. => 31 + log2 % 32,
    }))
}

fn make(u: &mut Unstructured<'_>) -> Result<Make> {
    Ok(Make {
        caches: u.ratio(3, 4)?,
        portable: u.ratio(1, 8)?,
        limit: if u.ratio(1, 5)? { Some(64 * number(u)?) } else { None },
        reserve: if u.ratio(1, 5)? { Some(one_of(u, &[4 << 20, 12 << 20])?) } else { None },
        decay: one_of(u, &[0, 1000])?,
        observed: if u.ratio(1, 5)? { Some(one_of(u, &[0, 1, 2, usize::MAX])?) } else { None },
    })
}

fn op(u: &mut Unstructured<'_>) -> Result<Op> {
    const HOW: [How; 5] = [How::Region, How::Zeroed, How::Dyn, How::Allocator, How::AllocatorZeroed];
    const ALIGN: [BufferAlign; 3] = [BufferAlign::Sixteen, BufferAlign::Line, BufferAlign::Page];
    Ok(match u8::arbitrary(u)? % 64 {
        0..6 => Op::On(choice(u)?),
        6 | 7 => Op::End(choice(u)?),
        8 | 9 => Op::Late(choice(u)?),
        10..14 => Op::Make(make(u)?),
        14 => Op::Drop(choice(u)?),
        15 | 16 => Op::Trim(choice(u)?),
        17 => Op::Look,
        18 | 19 => Op::Fail(choice(u)? % 16),
        20..32 => Op::Alloc(choice(u)?, one_of(u, &HOW)?, size(u)?, align(u)?),
        32 => Op::Each(choice(u)?),
        33..38 => Op::Several(choice(u)?, size(u)?, align(u)? % 7, choice(u)? + 1),
        38..42 => Op::Dealloc(number(u)?),
        42..48 => Op::DeallocSeveral(number(u)?, 2 * choice(u)? + 1, choice(u)? % 4 + 1),
        48..55 => Op::Realloc(number(u)?, size(u)?),
        55..60 => Op::Resize(number(u)?, size(u)?, align(u)?, u.arbitrary()?),
        _ => Op::Buffer(choice(u)?, one_of(u, &ALIGN)?, number(u)? / 4, number(u)? / 2),
    })
}

fuzz_target!(|program: Program| {
    run(&program.ops, program.strike);
});
