//! Not every byte is a `bool`, and no bytes at all are a reference.

use bhc_rts_alloc::SimdBuffer;

fn main() {
    let bytes = SimdBuffer::<u8>::zeroed(64);
    let _ = bytes.view().cast::<bool>();
    let _ = bytes.cast::<&u8>();
}
