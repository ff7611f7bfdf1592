//! Programs of requests to `System`, compared with the model of the contract suite, with one request failing where the
//! input says so. Blocks overlap nothing, are aligned, keep their contents; the statistics are the model's; and what the
//! machine can give is refused only where the failure was ordered.

#![no_main]

#[path = "../../tests/common/blocks.rs"]
mod blocks;

use std::alloc::Layout;

use arbitrary::Arbitrary;
use bhc_rts_alloc::{AllocError, System, os::fault};
use blocks::{Blocks, Step};
use libfuzzer_sys::fuzz_target;

/// The largest size that is asked for in earnest, in bytes.
const LARGE: usize = 4 << 20;
/// The strongest alignment that is asked for in earnest, in bytes.
const STRICT: usize = 1 << 20;
/// Bytes that a program may ask for in earnest; when they are used up its blocks are small. The model looks at every
/// byte, and slow programs find little.
const BUDGET: usize = LARGE + LARGE / 2;
/// Longer programs find little that shorter ones do not.
const STEPS: usize = 200;

#[derive(Arbitrary, Debug)]
struct Program {
    fail: Option<u8>,
    steps: Vec<Request>,
}

#[derive(Arbitrary, Debug)]
enum Request {
    Alloc(Size, Align),
    AllocZeroed(Size, Align),
    Dealloc(u8),
    Realloc(u8, Size),
}

#[derive(Arbitrary, Debug)]
enum Size {
    Small(u8),
    Medium(u16),
    /// A power of two, and so much more or less.
    Around(u8, i8),
    /// Any size, the smaller the likelier.
    Any(u32),
    /// Rarely: so much less than the largest number, or than the largest size of a block.
    Absurd(u8, u16),
}

#[derive(Arbitrary, Debug)]
enum Align {
    Usual(u8),
    Strict(u8),
    /// Rarely: more than AddressSanitizer gives, 2^42 to 2^62. What lies between it would give, and write gigabytes of its
    /// own books for it.
    Absurd(u8),
}

impl Size {
    fn bytes(&self, budget: &mut usize) -> usize {
        let asked = match *self {
            Self::Small(size) => size.into(),
            Self::Medium(size) => size.into(),
            Self::Around(log2, more) => (1usize << (log2 % 23)).saturating_add_signed(more.into()),
            Self::Any(size) => size as usize >> (10 + size % 22),
            Self::Absurd(0..16, less) => return usize::MAX - usize::from(less),
            Self::Absurd(16..32, less) => return isize::MAX as usize - usize::from(less),
            Self::Absurd(_, size) => size.into(),
        };
        let size = asked.min(LARGE);
        let size = if size <= *budget { size } else { size % 256 };
        *budget = budget.saturating_sub(size);
        size
    }
}

impl Align {
    fn bytes(&self) -> usize {
        match *self {
            Self::Strict(log2) => 1 << (log2 % (STRICT.ilog2() as u8 + 1)),
            Self::Absurd(log2 @ 235..) => 1 << (42 + (log2 - 235)),
            Self::Usual(log2) | Self::Absurd(log2) => 1 << (log2 % 9),
        }
    }
}

impl Request {
    /// `None` if what it asks for makes no layout.
    fn step(&self, budget: &mut usize) -> Option<Step> {
        let mut layout = |size: &Size, align: &Align| Layout::from_size_align(size.bytes(budget), align.bytes()).ok();
        Some(match self {
            Self::Alloc(size, align) => Step::Alloc(layout(size, align)?),
            Self::AllocZeroed(size, align) => Step::AllocZeroed(layout(size, align)?),
            Self::Dealloc(choice) => Step::Dealloc(usize::from(*choice)),
            Self::Realloc(choice, size) => Step::Realloc(usize::from(*choice), size.bytes(budget)),
        })
    }
}

/// Whether the machine can surely meet the request. A block at an absurd alignment may be there, and may not grow.
fn in_earnest(step: &Step, any_absurd_alignment: bool) -> bool {
    match *step {
        Step::Alloc(layout) | Step::AllocZeroed(layout) => layout.size() <= LARGE && layout.align() <= STRICT,
        Step::Dealloc(_) => true,
        Step::Realloc(_, size) => size <= LARGE && !any_absurd_alignment,
    }
}

/// Runs the program, and answers how many requests were refused that the machine can surely meet.
fn run(program: &Program) -> usize {
    let mut blocks = Blocks::new(&System);
    let mut budget = BUDGET;
    let mut refused = 0;
    let mut any_absurd_alignment = false;
    for step in program.steps.iter().take(STEPS).filter_map(|request| request.step(&mut budget)) {
        if let Step::Alloc(layout) | Step::AllocZeroed(layout) = step {
            any_absurd_alignment |= layout.align() > STRICT;
        }
        if let Err(error) = blocks.step(&step) {
            refused += usize::from(in_earnest(&step, any_absurd_alignment));
            let allowed = match step {
                Step::Realloc(_, size) if size > isize::MAX as usize => error == AllocError::Overflow,
                Step::Realloc(..) => matches!(error, AllocError::Overflow | AllocError::OutOfMemory { .. }),
                _ => matches!(error, AllocError::OutOfMemory { .. }),
            };
            assert!(allowed, "{step:?} was refused with {error:?}");
        }
        blocks.check_stats();
    }
    blocks.check_all();
    blocks.free_all();
    blocks.check_stats();
    refused
}

fuzz_target!(|program: Program| {
    let (refused, struck) = match program.fail {
        None => (run(&program), false),
        Some(n) => {
            let (refused, requests) = fault::fail_nth(n.into(), || run(&program));
            (refused, requests > n.into())
        }
    };
    assert!(refused <= usize::from(struck), "{refused} requests were refused that could be met");
});
