//! `weaken` goes down only.

use bhc_rts_alloc::{Align, SimdBuffer};

fn main() {
    let mut buffer = SimdBuffer::<f32, Align<16>>::zeroed(100);
    let _ = buffer.weaken::<Align<64>>();
    let _ = buffer.weaken_mut::<Align<64>>();
}
