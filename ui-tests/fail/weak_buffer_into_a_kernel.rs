//! The same mistake with an owned buffer, which dereferences to its slice.

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer};

fn kernel<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn main() {
    let weak = SimdBuffer::<f32, Align<16>>::zeroed(100);
    kernel(&weak);
}
