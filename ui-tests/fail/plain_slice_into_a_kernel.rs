//! A plain slice says nothing about its alignment.

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast};

fn kernel<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn main() {
    let plain: &[f32] = &[1.0, 2.0];
    kernel(plain);
}
