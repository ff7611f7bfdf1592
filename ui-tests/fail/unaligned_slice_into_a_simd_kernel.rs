//! A simd kernel on a plain type: the generic function around it is what accepts stronger alignments.

use bhc_rts_alloc::{Align, AlignedSlice, SimdBuffer, SimdLevel, simd_kernel};

simd_kernel! {
    fn scale(a: f32, x: &mut AlignedSlice<f32, Align<64>>) {
        x.iter_mut().for_each(|x| *x *= a);
    }
}

fn main() {
    let mut weak = SimdBuffer::<f32, Align<16>>::zeroed(100);
    scale(SimdLevel::detect(), 2.0, &mut weak);
}
