//! A shared buffer is read-only.

use bhc_rts_alloc::SimdBuffer;

fn append(buffer: &SimdBuffer<f32>) {
    buffer.push(1.0);
    buffer[0] = 1.0;
    let _ = buffer.padded_mut();
}

fn main() {}
