//! A slice in an arena has the alignment it was allocated with, whatever the arena's own.

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, HotArena};

fn kernel<A: AtLeast<Align<64>>>(x: &mut AlignedSlice<f32, A>) {
    x.fill(1.0);
}

fn main() {
    let arena = HotArena::builder().align::<Align<64>>().build();
    kernel(arena.alloc_buffer::<f32, Align<16>>(100));
}
