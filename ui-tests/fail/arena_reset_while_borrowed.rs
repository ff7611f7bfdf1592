//! `reset` ends every allocation of the arena.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let x = arena.alloc(1);
    arena.reset();
    *x += 1;
}
