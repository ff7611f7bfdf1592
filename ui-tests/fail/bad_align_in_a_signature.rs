//! Signatures are checked although nobody calls the functions: a number that is no power of two, a const parameter that
//! may be anything, a type that is no alignment at all.

use bhc_rts_alloc::{Align, AlignedSlice, SimdBuffer};

fn three(_: &AlignedSlice<f32, Align<3>>) {}

fn any<const N: usize>(_: &AlignedSlice<f32, Align<N>>) {}

fn unbounded<A>(_: &AlignedSlice<f32, A>) {}

fn number(_: SimdBuffer<f32, f32>) {}

fn main() {}
