//! What `try_into_static` found to be 4096 is not a buffer of 64.

use bhc_rts_alloc::{Align, Alignment, SimdBuffer};

fn main() {
    let buffer = SimdBuffer::<f32, Alignment>::new(100, Alignment::Page).unwrap();
    let page_aligned = buffer.try_into_static::<Align<4096>>().unwrap();
    let _: SimdBuffer<f32, Align<64>> = page_aligned;
}
