//! A buffer of over-aligned elements has its block from the element's alignment, not from its own: after a cast the
//! block would be freed with another layout than it was allocated with.

use bhc_rts_alloc::{Align, SimdBuffer};

fn main() {
    let words = SimdBuffer::<u64, Align<4>>::zeroed(8);
    let _ = words.cast::<u8>();
}
