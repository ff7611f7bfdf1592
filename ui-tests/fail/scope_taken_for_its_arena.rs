//! A scope is not its arena and does not give it out: `&mut HotArena` could reset it under the open scope.

use bhc_rts_alloc::HotArena;

fn frame(arena: &mut HotArena) {
    arena.reset();
}

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| frame(scope));
}
