//! Programs on general heaps of all makes, raw and typed, and on a model of them: after every collection the whole
//! graph is
//! the model's, and every number is exact.

#![no_main]

#[path = "../../tests/general/program.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod program;

use arbitrary::{Arbitrary, Result, Unstructured};
use bhc_rts_alloc::general::Stress;
use libfuzzer_sys::fuzz_target;
use program::{Make, Op, run};

/// Longer programs find little that shorter ones do not.
const STEPS: usize = 150;

#[derive(Debug)]
struct Program {
    make: Make,
    strike: Option<usize>,
    ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let strike = if u.ratio(1, 4)? { Some(usize::from(u8::arbitrary(u)?)) } else { None };
        let make = make(u)?;
        let mut ops = Vec::new();
        while !u.is_empty() && ops.len() < STEPS {
            ops.push(op(u)?);
        }
        Ok(Self { make, strike, ops })
    }
}

fn make(u: &mut Unstructured<'_>) -> Result<Make> {
    let each = u.int_in_range(1..=4)?;
    let stress = [None, None, Some(Stress::Minor(each)), Some(Stress::Full(each)), Some(Stress::Alternating(each))];
    Ok(Make {
        nursery: *u.choose(&[8 << 10, 64 << 10])?,
        stress: *u.choose(&stress)?,
        quarantine: if u.ratio(1, 4)? { u.int_in_range(1..=5)? } else { 0 },
        portable: u.ratio(1, 16)?,
        remembered: if u.ratio(1, 4)? { u.int_in_range(0..=4)? } else { usize::MAX },
        limit: if u.ratio(1, 4)? { Some(u.int_in_range(300_000..=4_000_000)?) } else { None },
        growth: *u.choose(&[(100, 256 << 10), (0, 1), (50, 32 << 10)])?,
    })
}

/// Where, which and what.
fn choice(u: &mut Unstructured<'_>) -> Result<usize> {
    u16::arbitrary(u).map(|number| usize::from(number) * 15)
}

/// Mostly few, often at the edge of a card or of what is large, rarely many.
fn len(u: &mut Unstructured<'_>) -> Result<usize> {
    let number = usize::from(u8::arbitrary(u)?);
    Ok(match number {
        0..160 => number % 12,
        160..210 => number - 110,
        210..240 => 20 * (number - 205),
        240..252 => 775 + number,
        _ => 4 * number * (number - 251),
    })
}

fn op(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(match u8::arbitrary(u)? % 128 {
        0..24 => {
            let shape = usize::from(u8::arbitrary(u)?);
            // Large ones, and those aligned to pages, are rare.
            let shape = if shape < 248 { shape % 9 } else { 9 + shape % 3 };
            Op::Alloc { shape, len: len(u)?, to: choice(u)?, pick: choice(u)? }
        }
        24..27 => Op::Reserved { count: len(u)? % 64, to: choice(u)?, pick: choice(u)? },
        27..43 => Op::Write { at: choice(u)?, index: choice(u)?, value: choice(u)? },
        43..51 => Op::Update { at: choice(u)?, value: choice(u)? },
        51..53 => Op::Hole { at: choice(u)? },
        53..59 => Op::Place { to: choice(u)?, value: choice(u)? },
        59..61 => Op::Clear { to: choice(u)? },
        61 => Op::Truncate { depth: choice(u)? },
        62..70 => Op::NewNode { pick: choice(u)? },
        70..73 => Op::NewNodes { count: len(u)? % 64, pick: choice(u)? },
        73..76 => Op::NewMany { len: len(u)? },
        76..79 => Op::NewLine { len: len(u)? },
        79..82 => Op::CloneRoot { at: choice(u)? },
        82..90 => Op::DropRoot { at: choice(u)? },
        90..93 => Op::SetRoot { at: choice(u)?, value: choice(u)? },
        93..105 => Op::SetField { at: choice(u)?, field: choice(u)?, value: choice(u)? },
        105..113 => Op::SetElement { at: choice(u)?, index: choice(u)?, value: choice(u)? },
        113..116 => {
            Op::CopyElements { from: choice(u)?, to: choice(u)?, start: choice(u)?, count: len(u)?, at: choice(u)? }
        }
        116..119 => Op::ChangeLine { at: choice(u)? },
        119..124 => Op::Collect { full: bool::arbitrary(u)? },
        124 => Op::Request { full: bool::arbitrary(u)? },
        125 => Op::Trim,
        126 => Op::Look,
        _ => Op::Fail { nth: usize::from(u8::arbitrary(u)? % 16) },
    })
}

fuzz_target!(|program: Program| {
    run(program.make, &program.ops, program.strike);
});
