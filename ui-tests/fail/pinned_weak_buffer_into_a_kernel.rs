//! Every block of a heap may be better aligned than was asked for; the type says what was.

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, PinnedHeap};

fn kernel<A: AtLeast<Align<64>>>(x: &mut AlignedSlice<f32, A>) {
    x.fill(1.0);
}

fn main() {
    let heap = PinnedHeap::new();
    kernel(&mut heap.alloc_buffer::<f32, Align<16>>(100));
}
