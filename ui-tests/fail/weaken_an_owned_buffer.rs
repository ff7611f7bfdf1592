//! An owned buffer keeps the alignment that its block was allocated with, because the block is freed with it.

use bhc_rts_alloc::{Align, SimdBuffer};

fn main() {
    let buffer = SimdBuffer::<f32, Align<64>>::zeroed(100);
    let _: SimdBuffer<f32, Align<16>> = buffer;

    let buffer = SimdBuffer::<f32, Align<64>>::zeroed(100);
    let _: SimdBuffer<f32, Align<16>> = buffer.weaken();
}
