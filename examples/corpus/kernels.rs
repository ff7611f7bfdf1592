//! The vector kernels of the corpus program over `f32`: [`dot`], [`saxpy`] and [`sum`].
//!
//! The file uses nothing but `bhc_rts_alloc`, so that the tests and the benchmarks include it as it is.
//!
//! Each kernel is written once and compiled once per instruction set by [`simd_kernel!`]. It takes plain slices of any
//! length: only slice parameters are `noalias`, and a buffer or a view derefs to one. The typed forms ([`dot_padded`],
//! [`saxpy_padded`], [`sum_padded`]) are what generated code calls: they want memory that is aligned to a whole vector,
//! and with the padded view of a buffer they run in whole vectors and never reach the scalar tail.
//!
//! # Note: the shape of the loops
//! * Floating-point addition does not reassociate, so the compiler vectorises a sum only over accumulators that are
//!   independent in the source. There are 64 at all levels: 4 vectors of AVX-512 or 8 of AVX, which is what it takes to
//!   keep the adders busy, and 16 of SSE2, of which two are spilled. (With 32 the loop over them is unrolled before it is
//!   vectorised, and the tree of additions at the end then makes the vectoriser pair elements up, half a vector a time.)
//! * What is left after the steps of 64 goes in steps of 16, which is what padded views are made of. A loop over chunks of
//!   16 that *writes* them would become gathers and scatters with AVX-512; [`saxpy`] is a plain loop instead, as the
//!   compiler vectorises that by itself.
//! * The accumulators are added up as a tree: vector additions down to the last few.
//! * `mul_add` only where it is one instruction; elsewhere it is a call of the C library.
//!
//! tests/codegen.rs looks at the machine code of all copies; benches/rows/kernel.rs measures them.

#![allow(dead_code, reason = "each of the programs that include this file uses some of it")]

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdLevel, simd_kernel};

/// The elements of one 64-byte block.
const BLOCK: usize = 16;

/// The elements of one wide step, and the number of independent accumulators.
const WIDE: usize = 4 * BLOCK;

/// `acc + x·y`, by the instructions at hand.
#[inline(always)]
pub fn multiply_add<const FUSED: bool>(x: f32, y: f32, acc: f32) -> f32 {
    if FUSED { x.mul_add(y, acc) } else { acc + x * y }
}

/// The sum of all lanes, as a tree.
#[inline(always)]
pub fn add_up<const LANES: usize>(mut lanes: [f32; LANES]) -> f32 {
    const { assert!(LANES.is_power_of_two()) };
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

simd_kernel! {
    /// The dot product of the first `min(x.len(), y.len())` elements.
    pub fn dot<const FUSED: bool>(x: &[f32], y: &[f32]) -> f32 {
        let len = x.len().min(y.len());
        let (x_wide, x) = x[..len].as_chunks::<WIDE>();
        let (y_wide, y) = y[..len].as_chunks::<WIDE>();
        let mut lanes = [0.0; WIDE];
        for (x, y) in x_wide.iter().zip(y_wide) {
            for i in 0..WIDE {
                lanes[i] = multiply_add::<FUSED>(x[i], y[i], lanes[i]);
            }
        }
        let (x_blocks, x) = x.as_chunks::<BLOCK>();
        let (y_blocks, y) = y.as_chunks::<BLOCK>();
        for (x, y) in x_blocks.iter().zip(y_blocks) {
            for i in 0..BLOCK {
                lanes[i] = multiply_add::<FUSED>(x[i], y[i], lanes[i]);
            }
        }
        let mut total = add_up(lanes);
        for (x, y) in x.iter().zip(y) {
            total = multiply_add::<FUSED>(*x, *y, total);
        }
        total
    }
}

simd_kernel! {
    /// `y[i] += a * x[i]` for the first `min(x.len(), y.len())` elements.
    pub fn saxpy<const FUSED: bool>(a: f32, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.iter().zip(y) {
            *y = multiply_add::<FUSED>(a, *x, *y);
        }
    }
}

simd_kernel! {
    /// The sum of all elements.
    pub fn sum(x: &[f32]) -> f32 {
        let (x_wide, x) = x.as_chunks::<WIDE>();
        let mut lanes = [0.0; WIDE];
        for x in x_wide {
            for i in 0..WIDE {
                lanes[i] += x[i];
            }
        }
        let (x_blocks, x) = x.as_chunks::<BLOCK>();
        // There are no more than that; said, it keeps the compiler from unrolling for more.
        for x in x_blocks.iter().take(WIDE / BLOCK - 1) {
            for i in 0..BLOCK {
                lanes[i] += x[i];
            }
        }
        let mut total = add_up(lanes);
        for x in x {
            total += x;
        }
        total
    }
}

/// [`dot`] over whole vectors: `dot_padded(level, x.padded(), y.padded())`.
#[inline]
pub fn dot_padded<A: AtLeast<Align<64>>>(level: SimdLevel, x: &AlignedSlice<f32, A>, y: &AlignedSlice<f32, A>) -> f32 {
    dot(level, x, y)
}

/// [`saxpy`] over whole vectors: `saxpy_padded(level, a, x.padded(), &mut y.padded_mut())`.
#[inline]
pub fn saxpy_padded<A: AtLeast<Align<64>>>(
    level: SimdLevel,
    a: f32,
    x: &AlignedSlice<f32, A>,
    y: &mut AlignedSlice<f32, A>,
) {
    saxpy(level, a, x, y);
}

/// [`sum`] over whole vectors: `sum_padded(level, x.padded())`.
#[inline]
pub fn sum_padded<A: AtLeast<Align<64>>>(level: SimdLevel, x: &AlignedSlice<f32, A>) -> f32 {
    sum(level, x)
}
