//! A buffer whose alignment was chosen at run time has to be asked before a kernel takes it.

use bhc_rts_alloc::{Align, AlignedSlice, Alignment, AtLeast, SimdBuffer};

fn kernel<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn through_as_ref(x: impl AsRef<AlignedSlice<f32, Align<64>>>) -> f32 {
    x.as_ref().iter().sum()
}

fn main() {
    let buffer = SimdBuffer::<f32, Alignment>::new(100, Alignment::Page).unwrap();
    kernel(&buffer);
    through_as_ref(&buffer);
    buffer.view();
    buffer.padded();
}
