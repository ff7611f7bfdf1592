//! An arena promises a page, which is enough for the slice's alignment and not for the element's own.

use bhc_rts_alloc::{Align, HotArena};

#[derive(Clone, Copy)]
#[repr(align(8192))]
struct HugeTable([u64; 1024]);

fn main() {
    let arena = HotArena::new();
    arena.alloc_buffer_filled::<HugeTable, Align<64>>(2, HugeTable([0; 1024]))[0].0[0] = 1;
}
