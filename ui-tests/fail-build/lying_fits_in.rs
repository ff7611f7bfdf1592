//! `FitsIn` is safe to implement, so a lie must not get further than the compiler.

use bhc_rts_alloc::{Align, FitsIn, SimdBuffer};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Word(u64);

// SAFETY: a number, which zeros and any other bytes are.
unsafe impl bytemuck::Zeroable for Word {}
// SAFETY: as above; no padding, no pointers.
unsafe impl bytemuck::Pod for Word {}

impl FitsIn<Align<1>> for Word {}

fn main() {
    let bytes = SimdBuffer::<u8, Align<1>>::zeroed(64);
    let _ = bytes.view().cast::<Word>();
    let _ = bytes.cast::<Word>();
}
