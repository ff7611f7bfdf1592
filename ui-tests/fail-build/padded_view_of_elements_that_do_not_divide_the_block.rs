//! Twelve-byte elements do not make whole 64-byte blocks, so there is no last one to pad.

use bhc_rts_alloc::SimdBuffer;

fn main() {
    let points = SimdBuffer::<[f32; 3]>::zeroed(5);
    let _ = points.padded();
}
