//! Programs of arena operations, run on a [`HotArena`] through scopes and marks of any depth, and on a model of it.
//!
//! After every step, at the depth that it was made at:
//! * every live block, of this level and of those around it, has its contents, is aligned, and overlaps no other;
//! * the statistics are the model's in every field, and so are `used`, `padding`, `remaining` and `capacity`;
//! * the backing was asked for what the policy of growth says and nothing else, and has back what it should.
//!
//! | file | what |
//! |---|---|
//! | `program` | the steps, and how they are done on both |
//! | `program/reference` | the model |
//! | `program/level` | the arena and its scopes as one trait; allocation by type |
//! | `program/backing` | where chunks come from: audited, grudging, with a log |
//!
//! Where the programs come from is the caller's business: `model` draws them at random, a fuzz target makes them of bytes.

#[path = "program/backing.rs"]
mod backing;
#[path = "program/level.rs"]
mod level;
#[path = "program/reference.rs"]
pub mod reference;

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::slice;

use bhc_rts_alloc::{Align, AllocError, HotArena, KnownAlign, Mark, MemoryRegion, Scope, System};

use super::blocks::Blocks;
use super::region::Failure;
use backing::{Backing, KNOWN_ALIGN};
pub use level::{BufferAlign, Content, Kind, Typed};
use level::{HALF, Level, Unwinding};
use reference::{Block, Model, expect_refusal};

/// The patterns that blocks are filled with.
type Pattern = Blocks<'static, System>;

/// What the arena is made as.
#[derive(Clone, Debug)]
pub struct Setup {
    pub unit: Unit,
    pub memory: Memory,
    /// Where blocks of the backing lie: any number, from which the addresses follow.
    pub skew: usize,
    pub isolate: bool,
}

/// The arena's minimum alignment.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    One,
    Eight,
    Line,
}

#[derive(Clone, Debug)]
pub enum Memory {
    /// So many bytes of the caller's.
    Caller(usize),
    Backing {
        capacity: usize,
        fixed: bool,
        limit: Option<usize>,
        failure: Failure,
    },
}

/// A size, in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    Bytes(usize),
    /// So many more or less than are left in the current chunk; of a block that grows, with what it has.
    Left(isize),
}

/// How a block is asked for.
#[derive(Clone, Copy, Debug)]
pub enum How {
    Region,
    Zeroed,
    Dyn,
    Allocator,
    AllocatorZeroed,
    /// By the inherent method, which panics where there is no memory.
    Inherent,
}

/// One step. Blocks are chosen among the live ones by a number, the newest first, counted around. Alignments are powers of
/// two, by their logarithm.
#[derive(Clone, Debug)]
pub enum Op {
    Alloc(How, Size, u32),
    Make(Typed),
    /// Code of the caller's panics in the middle of an allocation, by `alloc_with` or by filling a slice, having
    /// allocated a block of its own or not.
    Interrupted {
        slice: bool,
        inner: Option<(Size, u32)>,
    },
    Dealloc(usize),
    Realloc(usize, Size),
    /// `grow` or `shrink` of allocator-api2, which also change the alignment. A growth may be asked to be zeroed.
    Resize(usize, Size, u32, bool),
    Enter,
    Leave,
    /// Leaves the scope by a panic, and so many around it.
    Unwind(usize),
    /// Which requests to the backing fail from now on.
    Fail(Failure),
    // These are for the arena itself: inside a scope they are nothing.
    Mark,
    /// The mark of that number, the newest first, counted around; those after it are skipped.
    Release(usize),
    Reset,
    Shrink,
    /// Moves the arena in memory.
    Move,
}

#[track_caller]
fn expect_zeros(ptr: NonNull<u8>, from: usize, to: usize) {
    // SAFETY: within a block that was just given, and initialised there.
    let bytes = unsafe { slice::from_raw_parts(ptr.add(from).as_ptr(), to - from) };
    assert!(bytes.iter().all(|byte| *byte == 0), "not zero from byte {from} to {to}");
}

/// The steps of a program that are left.
type Ops<'p> = slice::Iter<'p, Op>;

/// A step that every level can do.
fn step<A: KnownAlign, L: Level<A>>(level: &mut L, op: &Op, ops: &mut Ops<'_>, model: &mut Model) {
    match *op {
        Op::Alloc(how, size, align) => {
            let Some(layout) = model.layout(size, align, 0) else { return };
            let sure = model.has_room(layout);
            let region: &dyn MemoryRegion = level;
            let answer = match how {
                How::Zeroed => region.alloc_zeroed(layout).map_err(Some),
                How::Dyn => region.alloc(layout).map_err(Some),
                How::Allocator => level.allocate(layout, false).ok_or(None),
                How::AllocatorZeroed => level.allocate(layout, true).ok_or(None),
                How::Inherent if sure => Ok(level.alloc_layout(layout)),
                How::Region | How::Inherent => MemoryRegion::alloc(level, layout).map_err(Some),
            };
            if let (Ok(block), How::Zeroed | How::AllocatorZeroed) = (&answer, how) {
                expect_zeros(*block, 0, layout.size());
            }
            let seed = model.next_seed();
            model.answered(layout, seed, answer, true);
        }
        Op::Make(typed) => {
            let (layout, seed) = (typed.layout(), model.next_seed());
            let answer = level.make(typed, seed, model.has_room(layout));
            if let Ok(block) = answer {
                Pattern::check(block, layout.size(), seed);
            }
            model.answered(layout, seed, answer.map_err(Some), false);
        }
        Op::Interrupted { slice, inner } => {
            // Both forms take this.
            let layout = Layout::new::<[u64; 2 * HALF]>();
            let inner = inner.and_then(|(size, align)| model.layout(size, align, 0));
            let mut block = None;
            let result = level.interrupted(slice, || {
                block = inner.map(|inner| MemoryRegion::alloc(level, inner));
                Unwinding(0)
            });
            match (result, model.take(layout)) {
                (Ok(()), Ok(address)) => {
                    if let (Some(inner), Some(answer)) = (inner, block) {
                        let seed = model.next_seed();
                        model.answered(inner, seed, answer.map_err(Some), true);
                    }
                    model.free(address, layout);
                }
                (Err(error), Err(available)) => expect_refusal(Some(error), layout.size(), available),
                (result, expected) => panic!("{result:?} and not {expected:x?}"),
            }
        }
        Op::Dealloc(choice) => {
            let Some(index) = model.pick(choice) else { return };
            let Block { ptr, layout, .. } = model.block(index);
            // SAFETY: a live block with its layout and the pointer that was given; nobody uses it again.
            unsafe { level.dealloc(ptr, layout) };
            model.give_up(index);
        }
        Op::Realloc(choice, size) => {
            let Some(index) = model.pick(choice) else { return };
            let Block { ptr, layout: old, .. } = model.block(index);
            let new = model.layout(size, old.align().ilog2(), old.size());
            // SAFETY: a live block with its layout and the pointer that was given; on `Ok` it leaves the books.
            let answer = unsafe { level.realloc(ptr, old, model.bytes(size, old.size())) };
            match new {
                Some(new) => model.resized(index, new, answer.map_err(Some)),
                None => assert_eq!(answer, Err(AllocError::Overflow)),
            }
        }
        Op::Resize(choice, size, align, zeroed) => {
            let Some(index) = model.pick(choice) else { return };
            let Block { ptr, layout: old, .. } = model.block(index);
            let Some(new) = model.layout(size, align, old.size()) else { return };
            // SAFETY: a live block with its layout and the pointer that was given; on `Ok` it leaves the books.
            let answer = unsafe { level.resize(ptr, old, new, zeroed) };
            if let (Some(block), true) = (answer, zeroed && new.size() > old.size()) {
                expect_zeros(block, old.size(), new.size());
            }
            model.resized(index, new, answer.ok_or(None));
        }
        Op::Enter => {
            model.open();
            let number = model.level();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                level.nested(|scope| {
                    model.check(scope);
                    steps(scope, ops, model);
                });
            }));
            let further = match outcome {
                Ok(()) => None,
                Err(panic) => match panic.downcast::<Unwinding>() {
                    Ok(unwinding) => Some(unwinding.0),
                    Err(panic) => resume_unwind(panic),
                },
            };
            model.close(number, further.is_some());
            if further.is_some() && !L::IS_SCOPE {
                model.unwound_on_arena();
            }
            model.check(level);
            if let Some(further @ 1..) = further
                && L::IS_SCOPE
            {
                resume_unwind(Box::new(Unwinding(further - 1)));
            }
        }
        Op::Fail(failure) => model.backing().audit.fail(failure),
        Op::Leave | Op::Unwind(_) | Op::Mark | Op::Release(_) | Op::Reset | Op::Shrink | Op::Move => {}
    }
}

/// The steps of a scope, up to its end.
fn steps<A: KnownAlign>(scope: &mut Scope<'_, '_, A>, ops: &mut Ops<'_>, model: &mut Model) {
    while let Some(op) = ops.next() {
        match *op {
            Op::Leave => return,
            Op::Unwind(levels) => resume_unwind(Box::new(Unwinding(levels))),
            _ => step(scope, op, ops, model),
        }
        model.check(scope);
    }
}

/// The steps of the arena itself.
fn program<A: KnownAlign, R: MemoryRegion>(arena: HotArena<A, R>, mut ops: Ops<'_>, model: &mut Model) {
    let mut arena = Box::new(arena);
    let mut marks: Vec<Mark> = Vec::new();
    model.check(&*arena);
    while let Some(op) = ops.next() {
        match *op {
            Op::Mark => {
                marks.push(arena.mark());
                model.open();
            }
            Op::Release(choice) if !marks.is_empty() => {
                let level = marks.len() - choice % marks.len();
                marks.truncate(level);
                let mark = marks.pop().unwrap();
                // SAFETY: not released before, and none before it was; those after it are gone. The model forgets the blocks
                // of its level and of those above, and no scope is open here.
                unsafe { arena.release(mark) };
                model.close(level, false);
            }
            Op::Reset => {
                arena.reset();
                marks.clear();
                model.reset();
            }
            Op::Shrink => {
                arena.shrink();
                model.shrink();
            }
            Op::Move => {
                // Made before the old place is given up, so that it is another one.
                let moved = Box::new(*arena);
                arena = moved;
            }
            _ => step(&mut *arena, op, &mut ops, model),
        }
        model.check(&*arena);
    }
}

fn run_at<A: KnownAlign>(setup: &Setup, ops: &[Op]) -> BTreeSet<&'static str> {
    let backing = Backing::new(setup.skew);
    let mut model = Model::new(A::BYTES, setup.isolate, &backing);
    let builder = HotArena::builder().align::<A>().isolate_scopes(setup.isolate);
    match setup.memory {
        Memory::Caller(len) => {
            let mut memory = vec![MaybeUninit::<u8>::uninit(); len + 2 * KNOWN_ALIGN];
            let start = memory.as_ptr().align_offset(KNOWN_ALIGN) + setup.skew % 256;
            let memory = &mut memory[start..start + len];
            model.build_over(memory.as_ptr().addr(), len);
            program(builder.over(memory), ops.iter(), &mut model);
        }
        Memory::Backing { capacity, fixed, limit, failure } => {
            backing.audit.fail(failure);
            let limit = limit.unwrap_or(usize::MAX);
            let builder = builder.capacity(capacity).limit(limit);
            let builder = if fixed { builder.fixed() } else { builder };
            let built = builder.within(&backing).try_build();
            assert_eq!(built.is_ok(), model.build(capacity, fixed, limit), "whether the arena can be made");
            match built {
                Ok(arena) => program(arena, ops.iter(), &mut model),
                Err(AllocError::OutOfMemory { requested, .. }) => assert_eq!(requested, capacity),
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    backing.audit.expect_empty();
    model.seen()
}

/// Runs a program. Answers which of the [`CASES`](reference::CASES) it brought about.
pub fn run(setup: &Setup, ops: &[Op]) -> BTreeSet<&'static str> {
    match setup.unit {
        Unit::One => run_at::<Align<1>>(setup, ops),
        Unit::Eight => run_at::<Align<8>>(setup, ops),
        Unit::Line => run_at::<Align<64>>(setup, ops),
    }
}
