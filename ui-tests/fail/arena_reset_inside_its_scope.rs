//! `reset` would end what the open scope allocated.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let x = scope.alloc(1);
        arena.reset();
        *x += 1;
    });
}
