//! Zeros are no reference (the original arena made them in safe code).

use bhc_rts_alloc::{Align, HotArena};

fn main() {
    let arena = HotArena::new();
    let names = arena.alloc_buffer::<&str, Align<8>>(4);
    println!("{}", names[0]);
}
