//! Where the alignment is in the type there is no alignment to pass, and nobody can wonder which of two counts.

use bhc_rts_alloc::{Align, Alignment, Place, SimdBuffer};

fn main() {
    let _ = SimdBuffer::<f32, Align<64>>::new(100, Alignment::Page);
    let _ = SimdBuffer::<f32>::zeroed(100, Alignment::Page);
    let _ = Place::<Align<64>>::at(Alignment::Page);
}
