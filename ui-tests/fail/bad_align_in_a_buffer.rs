//! A buffer whose alignment is no alignment: 0, and 2^30, which is more than `repr(align)` takes.

use bhc_rts_alloc::{Align, SimdBuffer};

fn main() {
    let _ = SimdBuffer::<f32, Align<0>>::zeroed(4);
    let _: SimdBuffer<f32, Align<1073741824>>;
}
