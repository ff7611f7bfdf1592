//! What nobody has written is `MaybeUninit` (the original arena gave it out as values).

use bhc_rts_alloc::{Align, AlignedSlice, HotArena};

fn main() {
    let arena = HotArena::new();
    let sums: &mut AlignedSlice<f32, Align<64>> = arena.alloc_buffer_uninit(4);
    println!("{}", sums[0]);
}
