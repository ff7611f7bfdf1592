//! How many `()` are eight bytes? Sizes are known when the cast is compiled, not before.

use bhc_rts_alloc::SimdBuffer;

fn main() {
    let _ = SimdBuffer::<u8>::zeroed(8).cast::<()>();
}
