//! What alignment and padding are worth to the vector kernels of examples/corpus, at the level of this CPU.
//!
//! The rows `…-L1` and `…-L2` run one and the same kernel, ours on a `SimdBuffer`, the peer on `Vec` data 16 bytes after a
//! multiple of 64, which is where `malloc` puts large blocks. The numbered rows are about padding alone: all contenders
//! read the same aligned elements; ours in whole vectors, the peers by the length and with a scalar tail.
//!
//! What a CPU can show: where the level-2 cache gives 32 bytes a cycle (Zen 4), both contenders of `sum-L2` wait for it
//! and are equally fast; where 64 bytes, misaligned loads are what is waited for. Where two stores of 16 or 32 bytes take
//! no longer than one of 64 (Zen 4 again), `saxpy-63` saves no more than the scalar stores of the tail, and its time
//! includes opening and closing the guard of `padded_mut`.
//!
//! The rows `fused-sum-map` are a kernel that examples/kernelgen makes of `sum (map (*2) xs)`, in Rust and in C (see
//! build.rs), and its peers are what one writes by hand over a `Vec`: a chain of iterators (`Vec-iter`), which adds in
//! order and so does not vectorise, and the best loop over lanes that we know, compiled for this CPU's level (`Vec-lanes`,
//! with fused multiply-add where there is) and for the target's baseline alone (`Vec-baseline`). Ours may not fuse, so that
//! Rust and C agree to the bit. A million elements come from a level-3 cache or from memory, for which all but `Vec-iter`
//! wait alike, whatever they do meanwhile (prefetching gains nothing either): the ratio is 1.000, give or take a thousandth,
//! so the bar of 1 is met in every other run. The rows `-L1` have what the loops themselves are worth.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use bhc_rts_alloc::{Align, AlignedSlice, SimdBuffer, SimdLevel, simd_kernel};

use crate::harness::{Bar, Contender, Contenders, Row, Unit};

#[path = "../../examples/corpus/kernels.rs"]
mod kernels;

pub const ROWS: &[Row] = &[
    Row { name: "kernel/saxpy-L1", unit: Unit::Nanoseconds, bars: &[Bar::best(0.8)], contenders: saxpy_l1 },
    Row { name: "kernel/dot-L1", unit: Unit::Nanoseconds, bars: &[Bar::best(0.8)], contenders: dot_l1 },
    Row { name: "kernel/sum-L2", unit: Unit::Nanoseconds, bars: &[Bar::best(0.8)], contenders: sum_l2 },
    Row { name: "kernel/dot-127", unit: Unit::Nanoseconds, bars: &[Bar::best(0.6)], contenders: dot_127 },
    Row { name: "kernel/saxpy-63", unit: Unit::Nanoseconds, bars: &[Bar::best(0.8)], contenders: saxpy_63 },
    Row { name: "kernel/fused-sum-map", unit: Unit::Microseconds, bars: &[Bar::best(1.0)], contenders: fused_sum_map },
    Row {
        name: "kernel/fused-sum-map-c",
        unit: Unit::Microseconds,
        bars: &[Bar::best(1.0)],
        contenders: fused_sum_map_c,
    },
    Row {
        name: "kernel/fused-sum-map-L1",
        unit: Unit::Nanoseconds,
        bars: &[Bar::best(1.0)],
        contenders: fused_sum_map_l1,
    },
    Row {
        name: "kernel/fused-sum-map-c-L1",
        unit: Unit::Nanoseconds,
        bars: &[Bar::best(1.0)],
        contenders: fused_sum_map_c_l1,
    },
];

/// What the kernels are measured at.
pub fn level() -> SimdLevel {
    SimdLevel::detect()
}

/// Two arrays of 8 KiB: half of the smallest level-1 cache in use.
const L1: usize = 2048;
/// One array of 256 KiB: eight times the level-1 cache, and half of a small level-2 cache.
const L2: usize = 65536;

fn element(i: usize) -> f32 {
    (i % 7) as f32 * 0.25 - 0.5
}

fn buffer(len: usize) -> SimdBuffer<f32> {
    SimdBuffer::from_fn(len, element)
}

/// The elements of a buffer in a `Vec`, at an address 16 bytes further within the page: not aligned, and otherwise as
/// likely to collide in a cache.
struct InVec {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl InVec {
    fn new(like: &SimdBuffer<f32>) -> Self {
        const PAGE: usize = 4096;
        let mut memory = vec![0.0f32; like.len() + PAGE / size_of::<f32>()];
        let wanted = like.as_ptr().addr() + 16;
        let start = wanted.wrapping_sub(memory.as_ptr().addr()) % PAGE / size_of::<f32>();
        memory[start..start + like.len()].copy_from_slice(like);
        let this = Self { memory, start, len: like.len() };
        assert_eq!(this.elements().as_ptr().addr() % 64, 16);
        this
    }

    fn elements(&self) -> &[f32] {
        &self.memory[self.start..][..self.len]
    }

    fn elements_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.len]
    }
}

type Pairs<Array> = Vec<(Array, Array)>;

/// Two arrays for a row, several times at different distances from each other, for us and for the peer.
///
/// Distance matters: a load close behind a store to an address with the same low bits waits for it, and where `y` lies
/// right behind `x` that made saxpy take 80 to 240 ns from one run to the next. The median over several distances does
/// not depend on such accidents.
fn pairs(len: usize) -> (Pairs<SimdBuffer<f32>>, Pairs<InVec>) {
    let mut gaps = Vec::new();
    let ours: Vec<_> = (0..7)
        .map(|i| {
            let x = buffer(len);
            gaps.push(buffer(256 + 160 * i));
            (x, buffer(len))
        })
        .collect();
    let theirs = ours.iter().map(|(x, y)| (InVec::new(x), InVec::new(y))).collect();
    (ours, theirs)
}

fn saxpy_l1() -> Contenders {
    let level = level();
    let (ours, theirs) = pairs(L1);
    Contenders::ours(Contender::rotating(ours, move |(x, y)| {
        kernels::saxpy(level, black_box(1e-6), black_box(x), black_box(y));
    }))
    .against(
        "Vec",
        Contender::rotating(theirs, move |(x, y)| {
            kernels::saxpy(level, black_box(1e-6), black_box(x.elements()), black_box(y.elements_mut()));
        }),
    )
}

fn dot_l1() -> Contenders {
    let level = level();
    let (ours, theirs) = pairs(L1);
    Contenders::ours(Contender::rotating(ours, move |(x, y)| {
        black_box(kernels::dot(level, black_box(x), black_box(y)));
    }))
    .against(
        "Vec",
        Contender::rotating(theirs, move |(x, y)| {
            black_box(kernels::dot(level, black_box(x.elements()), black_box(y.elements())));
        }),
    )
}

fn sum_l2() -> Contenders {
    let level = level();
    let (ours, theirs) = pairs(L2);
    Contenders::ours(Contender::rotating(ours, move |(x, _)| {
        black_box(kernels::sum(level, black_box(x)));
    }))
    .against(
        "Vec",
        Contender::rotating(theirs, move |(x, _)| {
            black_box(kernels::sum(level, black_box(x.elements())));
        }),
    )
}

/// A dot product as one writes it without padding: whole groups of lanes, then a scalar tail.
#[inline(always)]
fn unpadded_dot<const FUSED: bool, const LANES: usize>(x: &[f32], y: &[f32]) -> f32 {
    let len = x.len().min(y.len());
    let (x, x_tail) = x[..len].as_chunks::<LANES>();
    let (y, y_tail) = y[..len].as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (x, y) in x.iter().zip(y) {
        for i in 0..LANES {
            lanes[i] = kernels::multiply_add::<FUSED>(x[i], y[i], lanes[i]);
        }
    }
    let mut total = kernels::add_up(lanes);
    for (x, y) in x_tail.iter().zip(y_tail) {
        total = kernels::multiply_add::<FUSED>(*x, *y, total);
    }
    total
}

/// `y += a·x`, in the same way.
#[inline(always)]
fn unpadded_saxpy<const FUSED: bool, const LANES: usize>(a: f32, x: &[f32], y: &mut [f32]) {
    let len = x.len().min(y.len());
    let (x, x_tail) = x[..len].as_chunks::<LANES>();
    let (y, y_tail) = y[..len].as_chunks_mut::<LANES>();
    for (x, y) in x.iter().zip(y) {
        for i in 0..LANES {
            y[i] = kernels::multiply_add::<FUSED>(a, x[i], y[i]);
        }
    }
    for (x, y) in x_tail.iter().zip(y_tail) {
        *y = kernels::multiply_add::<FUSED>(a, *x, *y);
    }
}

/// The unpadded kernels with so many lanes, compiled for each level as ours are.
macro_rules! unpadded {
    ($dot:ident, $saxpy:ident: $lanes:literal) => {
        simd_kernel! {
            fn $dot<const FUSED: bool>(x: &[f32], y: &[f32]) -> f32 {
                unpadded_dot::<FUSED, $lanes>(x, y)
            }
        }
        simd_kernel! {
            fn $saxpy<const FUSED: bool>(a: f32, x: &[f32], y: &mut [f32]) {
                unpadded_saxpy::<FUSED, $lanes>(a, x, y)
            }
        }
    };
}
unpadded!(dot_8, saxpy_8: 8);
unpadded!(dot_16, saxpy_16: 16);
unpadded!(dot_64, saxpy_64: 64);

/// How many short vectors take turns. With one alone its next load would wait for the store just made, and the row would
/// measure that; all of them fit the level-1 cache.
const SHORT: usize = 16;

/// So many short vectors, taken in turn by `work`.
fn short(len: usize, mut work: impl FnMut(&SimdBuffer<f32>, &mut SimdBuffer<f32>) + 'static) -> Contender {
    let xs: [SimdBuffer<f32>; SHORT] = std::array::from_fn(|_| buffer(len));
    let mut ys: [SimdBuffer<f32>; SHORT] = std::array::from_fn(|_| buffer(len));
    Contender::timed(move |times| {
        let start = Instant::now();
        for turn in 0..times as usize {
            // One opaque argument keeps the calls apart; more would be stores that take as long as the work.
            work(black_box(&xs[turn % SHORT]), &mut ys[turn % SHORT]);
        }
        let took = start.elapsed();
        black_box(&mut ys);
        took
    })
}

/// A contender for the row of dot products. Generic, so that each kernel's dispatch is inlined, as in our own.
fn short_dot(dot: impl Fn(SimdLevel, &[f32], &[f32]) -> f32 + 'static) -> Contender {
    let level = level();
    short(127, move |x, y| {
        black_box(dot(level, x, y));
    })
}

fn dot_127() -> Contenders {
    let level = level();
    Contenders::ours(short(127, move |x, y| {
        black_box(kernels::dot_padded(level, x.padded(), y.padded()));
    }))
    .against("slice-8", short_dot(dot_8))
    .against("slice-16", short_dot(dot_16))
    .against("slice-64", short_dot(dot_64))
}

/// A contender for the row of saxpys.
fn short_saxpy(saxpy: impl Fn(SimdLevel, f32, &[f32], &mut [f32]) + 'static) -> Contender {
    let (level, a) = (level(), black_box(1e-6));
    short(63, move |x, y| saxpy(level, a, x, y))
}

fn saxpy_63() -> Contenders {
    let (level, a) = (level(), black_box(1e-6));
    Contenders::ours(short(63, move |x, y| {
        kernels::saxpy_padded(level, a, x.padded(), &mut y.padded_mut());
    }))
    .against("slice-8", short_saxpy(saxpy_8))
    .against("slice-16", short_saxpy(saxpy_16))
    .against("slice-64", short_saxpy(saxpy_64))
}

/// Made by the generator.
mod fused {
    include!(concat!(env!("OUT_DIR"), "/fused_sum_map.rs"));

    /// In C.
    pub fn fused_sum_map_c<A: AtLeast<Align<64>>>(xs: &AlignedSlice<f32, A>) -> f32 {
        mod c {
            unsafe extern "C" {
                pub unsafe fn fused_sum_map(xs: *const f32, xs_len: usize) -> f32;
            }
        }
        // SAFETY: so many elements, at an address that is aligned as the function says.
        unsafe { c::fused_sum_map(xs.as_ptr(), xs.len()) }
    }
}

/// `sum (map (*2) xs)` as it is written first.
fn sum_map_iter(xs: &[f32]) -> f32 {
    xs.iter().map(|x| x * 2.0).sum()
}

/// As [`unpadded_dot`].
#[inline(always)]
fn sum_map<const FUSED: bool>(xs: &[f32]) -> f32 {
    const LANES: usize = 64;
    let (chunks, tail) = xs.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for xs in chunks {
        for i in 0..LANES {
            lanes[i] = kernels::multiply_add::<FUSED>(xs[i], 2.0, lanes[i]);
        }
    }
    tail.iter().fold(kernels::add_up(lanes), |total, x| kernels::multiply_add::<FUSED>(*x, 2.0, total))
}

simd_kernel! {
    fn sum_map_lanes<const FUSED: bool>(xs: &[f32]) -> f32 {
        sum_map::<FUSED>(xs)
    }
}

/// 4 MB: more than a level-2 cache.
const MILLION: usize = 1_000_000;

fn fused_sum_map() -> Contenders {
    let level = level();
    against_loops::<MILLION>(move |xs| fused::fused_sum_map(level, xs))
}

fn fused_sum_map_c() -> Contenders {
    against_loops::<MILLION>(fused::fused_sum_map_c)
}

fn fused_sum_map_l1() -> Contenders {
    let level = level();
    against_loops::<L1>(move |xs| fused::fused_sum_map(level, xs))
}

fn fused_sum_map_c_l1() -> Contenders {
    against_loops::<L1>(fused::fused_sum_map_c)
}

/// A generated kernel against what is written by hand.
///
/// All read the same memory, ours from its start, the peers 16 bytes further: how its pages share the sets of a cache, and
/// what of it is in one when a sample begins, is luck, and would be more than what is measured.
fn against_loops<const LEN: usize>(generated: impl Fn(&AlignedSlice<f32, Align<64>>) -> f32 + 'static) -> Contenders {
    const OFFSET: usize = 16 / size_of::<f32>();

    /// A loop over as many elements as ours, but where they lie in a `Vec`.
    fn by_hand(memory: &Rc<SimdBuffer<f32>>, sum: impl Fn(&[f32]) -> f32 + 'static) -> Contender {
        let memory = Rc::clone(memory);
        Contender::repeating(move || {
            black_box(sum(black_box(&memory[OFFSET..])));
        })
    }

    let level = level();
    let memory = Rc::new(buffer(LEN + OFFSET));
    let xs = memory.prefix(LEN);
    assert_eq!(generated(xs), sum_map_lanes(level, xs), "multiples of a half, whose sums are exact");
    let iter = by_hand(&memory, sum_map_iter);
    let lanes = by_hand(&memory, move |xs| sum_map_lanes(level, xs));
    let baseline = by_hand(&memory, sum_map::<false>);
    let ours = Contender::repeating(move || {
        black_box(generated(black_box(memory.prefix(LEN))));
    });
    Contenders::ours(ours).against("Vec-iter", iter).against("Vec-lanes", lanes).against("Vec-baseline", baseline)
}
