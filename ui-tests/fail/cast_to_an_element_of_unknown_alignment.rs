//! A plain type of the user's own that has not said its alignment with `element_align!`.

use bhc_rts_alloc::SimdBuffer;

#[derive(Clone, Copy)]
#[repr(C)]
struct Complex {
    re: f32,
    im: f32,
}

// SAFETY: two floats, for which zeros and any other bytes are values.
unsafe impl bytemuck::Zeroable for Complex {}
// SAFETY: as above; no padding, no pointers.
unsafe impl bytemuck::Pod for Complex {}

fn main() {
    let floats = SimdBuffer::<f32>::zeroed(64);
    let _ = floats.cast::<Complex>();
}
