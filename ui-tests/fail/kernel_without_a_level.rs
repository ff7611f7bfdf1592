//! A kernel takes the proof first; the alignment is not it.

use bhc_rts_alloc::{Alignment, SimdBuffer, SimdLevel, simd_kernel};

simd_kernel! {
    fn scale(a: f32, x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x *= a);
    }
}

fn main() {
    let mut x = SimdBuffer::<f32>::zeroed(100);
    scale(2.0, &mut x);
    scale(Alignment::Simd512, 2.0, &mut x);
    scale(SimdLevel::detect(), &mut x);
}
