//! The memory that an arena was given outlives the arena.

use std::mem::MaybeUninit;

use bhc_rts_alloc::HotArena;

fn main() {
    let arena;
    {
        let mut memory = [MaybeUninit::uninit(); 4096];
        arena = HotArena::builder().over(&mut memory);
    }
    arena.alloc(1);
}
