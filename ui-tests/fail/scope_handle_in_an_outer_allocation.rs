//! An allocation of the outer scope lives longer than the inner scope's handle.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let current = outer.alloc(None);
        outer.scope(|inner| *current = Some(inner));
    });
}
