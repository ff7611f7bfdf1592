//! Allocating from an arena, ours and every peer in each setting that may be its fastest: with the alignments that its
//! cursor may keep (the figure after the name), and bump-scope upwards and downwards. Ours counts exactly what the
//! peers do not: blocks and requested bytes, live and at the peak.
//!
//! Memory is warm. All contenders work in one chunk that fits the level-2 cache, and take it back, by a reset or the end
//! of a scope, after each batch of [`BATCH`] allocations. Where a row does not say otherwise, a repetition is one
//! allocation of a batch, whose share of taking back is a thousandth. Every block [escapes](escape).

use std::alloc::Layout;
use std::hint::black_box;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as VecIn;
use bhc_rts_alloc::{Align, HotArena};
use bumpalo::Bump;

use crate::arenas::{Allocate, Arena, ScopeBump, Work};
use crate::harness::{Bar, Contender, Contenders, Row, Unit};

use super::{Random, by_four, escape};

pub const ROWS: &[Row] = &[
    Row { name: "arena/u64", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: u64s },
    Row { name: "arena/256B-align64", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: blocks },
    // The same with an arena that is not made for such blocks. Only shown.
    Row { name: "arena/256B-align64-default", unit: Unit::Nanoseconds, bars: &[], contenders: blocks_default },
    Row { name: "arena/mixed-in-scope", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: mixed_in_scope },
    Row { name: "arena/mixed-outside", unit: Unit::Nanoseconds, bars: &[Bar::best(2.0)], contenders: mixed_outside },
    Row { name: "arena/in-scope-u64", unit: Unit::Nanoseconds, bars: &[Bar::best(0.6)], contenders: in_scope_u64s },
    Row {
        name: "arena/in-scope-u64-checked",
        unit: Unit::Nanoseconds,
        bars: &[Bar::best(1.0)],
        contenders: in_scope_u64s_checked,
    },
    Row { name: "arena/scope-of-8", unit: Unit::Nanoseconds, bars: &[Bar::best(0.75)], contenders: scope_of_8 },
    Row { name: "arena/8-and-reset", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: reset_after_8 },
    Row {
        name: "arena/grow-last",
        unit: Unit::Nanoseconds,
        bars: &[Bar::peer(0.1, "bumpalo"), Bar::peer(1.0, "bump-scope up")],
        contenders: grow_last,
    },
    Row { name: "arena/slice-fill-1KiB-f32", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: slice_fill },
    Row { name: "arena/vec-push-1000", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: vec_push },
];

/// Allocations between two times of taking all memory back; a multiple of four.
const BATCH: u64 = 1000;
/// For a batch of the largest blocks, and in a level-2 cache.
const ROOM: usize = 512 << 10;

/// Several arenas, each at another distance from its chunk and from the other arenas. Where the low bits of a block's
/// address are those of the arena's cursor, reading the cursor waits for the write to the block; the median over several
/// places does not depend on that accident. Nor on another: an arena that keeps its cursor in its chunk is the faster the
/// more of the first blocks share the cursor's cache line.
fn places<A: Arena>() -> Vec<Box<A>> {
    // glibc maps a block of this size, always at the same offset in its page, until it has seen a larger one freed.
    drop(black_box(vec![1u8; 24 << 20]));
    let mut gaps = Vec::new();
    (0..5)
        .map(|i| {
            gaps.push(vec![0u8; 300 + 208 * i]);
            Box::new(A::with_room(ROOM))
        })
        .collect()
}

/// Batches outside of scopes, with a reset after each.
fn outside<A: Arena>(work: &impl Work) -> Contender {
    let work = work.clone();
    Contender::batched(places::<A>(), BATCH, move |arena, count| {
        work.run(arena.outside(), count);
        arena.reset();
    })
}

/// Batches each in a scope.
fn in_scope<A: Arena>(work: &impl Work) -> Contender {
    let work = work.clone();
    Contender::batched(places::<A>(), BATCH, move |arena, count| arena.in_scope::<BATCH>(&work, count))
}

/// So many allocations and a reset are one repetition.
fn reset_after<A: Arena, const COUNT: u64>(work: &impl Work) -> Contender {
    let work = work.clone();
    Contender::rotating(places::<A>(), move |arena| {
        work.run(arena.outside(), COUNT);
        arena.reset();
    })
}

/// A scope with so many allocations is one repetition.
fn scope_of<A: Arena, const COUNT: u64>(work: &impl Work) -> Contender {
    let work = work.clone();
    Contender::rotating(places::<A>(), move |arena| arena.in_scope::<COUNT>(&work, COUNT))
}

/// All arenas at `$work`, in the way of `$contender`.
macro_rules! contenders {
    ($ours:ty, $contender:ident $(::<$count:literal>)?, $work:expr) => {{
        let work = $work;
        Contenders::ours($contender::<$ours $(, $count)?>(&work))
            .against("bumpalo 1", $contender::<Bump<1> $(, $count)?>(&work))
            .against("bumpalo 8", $contender::<Bump<8> $(, $count)?>(&work))
            .against("bumpalo 16", $contender::<Bump<16> $(, $count)?>(&work))
            .against("bump-scope up 1", $contender::<ScopeBump<1, true> $(, $count)?>(&work))
            .against("bump-scope up 8", $contender::<ScopeBump<8, true> $(, $count)?>(&work))
            .against("bump-scope up 16", $contender::<ScopeBump<16, true> $(, $count)?>(&work))
            .against("bump-scope down 1", $contender::<ScopeBump<1, false> $(, $count)?>(&work))
            .against("bump-scope down 8", $contender::<ScopeBump<8, false> $(, $count)?>(&work))
            .against("bump-scope down 16", $contender::<ScopeBump<16, false> $(, $count)?>(&work))
    }};
}

/// Values of eight bytes.
#[derive(Clone)]
struct U64s;

impl Work for U64s {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        by_four(count, |i| escape(arena.value(i)));
    }
}

fn u64s() -> Contenders {
    contenders!(HotArena, outside, U64s)
}

fn in_scope_u64s() -> Contenders {
    contenders!(HotArena, in_scope, U64s)
}

fn scope_of_8() -> Contenders {
    contenders!(HotArena, scope_of::<8>, U64s)
}

fn reset_after_8() -> Contenders {
    contenders!(HotArena, reset_after::<8>, U64s)
}

/// The same values, read from a slice: each time a check that may panic.
#[derive(Clone)]
struct Checked(Vec<u64>);

impl Work for Checked {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        let values = black_box(&self.0[..]);
        by_four(count, |i| escape(arena.value(values[i as usize])));
    }
}

fn in_scope_u64s_checked() -> Contenders {
    contenders!(HotArena, in_scope, Checked((0..BATCH).collect()))
}

/// Blocks for four lines of a cache. Nothing is written to them, here and in [`Mixed`].
#[derive(Clone)]
struct Blocks;

impl Work for Blocks {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        const LAYOUT: Layout = match Layout::from_size_align(256, 64) {
            Ok(layout) => layout,
            Err(_) => unreachable!(),
        };
        by_four(count, |_| escape(arena.block(LAYOUT)));
    }
}

fn blocks() -> Contenders {
    contenders!(HotArena<Align<64>>, outside, Blocks)
}

fn blocks_default() -> Contenders {
    contenders!(HotArena, outside, Blocks)
}

/// Blocks of 1 to 200 bytes, aligned to 1 to 64, in an order that no branch predictor learns.
#[derive(Clone)]
struct Mixed(Vec<Layout>);

impl Mixed {
    fn new() -> Self {
        let mut random = Random::new(0);
        Self(
            (0..BATCH)
                .map(|_| Layout::from_size_align(1 + random.below(200), 1 << random.below(7)).expect("a layout"))
                .collect(),
        )
    }
}

impl Work for Mixed {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        for layout in &black_box(&self.0[..])[..count as usize] {
            escape(arena.block(*layout));
        }
    }
}

fn mixed_outside() -> Contenders {
    contenders!(HotArena, outside, Mixed::new())
}

fn mixed_in_scope() -> Contenders {
    contenders!(HotArena, in_scope, Mixed::new())
}

/// A block that grows from 32 B to 16 KiB by doubling. What is written to it does not matter: nobody may look.
#[derive(Clone)]
struct Grow;

impl Work for Grow {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        let arena = arena.allocator();
        let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
        for _ in 0..count {
            let mut old = layout(black_box(32));
            let mut block = arena.allocate(old).expect("room");
            escape(block);
            while old.size() < 16 << 10 {
                let new = layout(old.size() * 2);
                // SAFETY: the block is the arena's, lives, and has the old layout; the new size is greater.
                block = unsafe { arena.grow(block.cast(), old, new) }.expect("room");
                escape(block);
                old = new;
            }
        }
    }
}

fn grow_last() -> Contenders {
    contenders!(HotArena, reset_after::<1>, Grow)
}

/// Slices of 256 equal elements. The number is a constant, so that the loop is unrolled for everybody: a loop over a number
/// not known takes one or two cycles for 32 bytes as its code happens to lie, and that was all that this row showed.
#[derive(Clone)]
struct Filled;

impl Work for Filled {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        for _ in 0..count {
            escape(arena.filled(256, black_box(1.0)));
        }
    }
}

/// Sixteen of them and a reset are one repetition; more would not fit the level-1 cache.
fn slice_fill() -> Contenders {
    contenders!(HotArena, reset_after::<16>, Filled)
}

/// A vector that grows from nothing.
#[derive(Clone)]
struct Push;

impl Work for Push {
    #[inline(always)]
    fn run(&self, arena: &impl Allocate, count: u64) {
        let mut vec = VecIn::new_in(arena.allocator());
        for i in 0..black_box(count) {
            vec.push(i);
        }
        black_box(&mut vec);
    }
}

/// The vector, dropped, and a reset are one repetition.
fn vec_push() -> Contenders {
    contenders!(HotArena, reset_after::<1000>, Push)
}
