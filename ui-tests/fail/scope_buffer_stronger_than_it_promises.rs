//! A scope promises what its arena does.

use bhc_rts_alloc::{Align, HotArena};

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| scope.alloc_buffer::<f32, Align<8192>>(100)[0] = 1.0);
}
