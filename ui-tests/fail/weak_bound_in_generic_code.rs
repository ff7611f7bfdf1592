//! A generic caller that promises less than what it calls needs.

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, KnownAlign};

fn kernel<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn promises_sixteen<A: AtLeast<Align<16>>>(x: &AlignedSlice<f32, A>) -> f32 {
    kernel(x)
}

fn promises_nothing<A: KnownAlign>(x: &AlignedSlice<f32, A>) -> f32 {
    kernel(x)
}

fn main() {}
