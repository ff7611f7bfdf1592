//! An arena promises alignments up to a page at compile time.

use bhc_rts_alloc::{Align, HotArena};

fn main() {
    let arena = HotArena::new();
    arena.alloc_buffer::<f32, Align<8192>>(100)[0] = 1.0;
}
