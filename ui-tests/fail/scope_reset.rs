//! A scope has no `reset`: open an inner scope, whose end gives the memory back.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        for i in 0..10 {
            scope.alloc(i);
            scope.reset();
        }
    });
}
