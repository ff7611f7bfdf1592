//! A view ends where the buffer grows, moves or goes.

use bhc_rts_alloc::SimdBuffer;

fn main() {
    let mut buffer = SimdBuffer::<f32>::zeroed(100);

    let view = buffer.view();
    buffer.push(1.0);
    view.iter().sum::<f32>();

    let padded = buffer.padded_mut();
    buffer.push(1.0);
    drop(padded);

    let bytes = buffer.as_bytes();
    let moved = buffer;
    bytes.len();

    let weaker = moved.view();
    drop(moved);
    weaker.len();
}
