//! While an arena lives over it, the memory is the arena's.

use std::mem::MaybeUninit;

use bhc_rts_alloc::HotArena;

fn main() {
    let mut memory = [MaybeUninit::uninit(); 4096];
    let arena = HotArena::builder().over(&mut memory);
    let x = arena.alloc(1);
    memory[0].write(0);
    *x += 1;
}
