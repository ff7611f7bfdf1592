//! `u64` does not fit memory aligned to 4 bytes: owned, borrowed, and inside an array.

use bhc_rts_alloc::{Align, SimdBuffer};

fn main() {
    let bytes = SimdBuffer::<u8, Align<4>>::zeroed(64);
    let _ = bytes.view().cast::<u64>();
    let _ = bytes.view().try_cast::<[u64; 2]>();
    let _ = bytes.cast::<u64>();
}
