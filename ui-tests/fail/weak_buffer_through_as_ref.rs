//! The same mistake through `AsRef`, which weakens and never strengthens.

use bhc_rts_alloc::{Align, AlignedSlice, SimdBuffer};

fn kernel(x: impl AsRef<AlignedSlice<f32, Align<64>>>) -> f32 {
    x.as_ref().iter().sum()
}

fn main() {
    let weak = SimdBuffer::<f32, Align<16>>::zeroed(100);
    kernel(&weak);
}
