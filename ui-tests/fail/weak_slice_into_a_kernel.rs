//! The mistake this crate exists for: a slice aligned to 16 bytes given to a kernel that needs 64.

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast};

fn kernel<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn caller(x: &AlignedSlice<f32, Align<16>>) -> f32 {
    kernel(x)
}

fn main() {}
