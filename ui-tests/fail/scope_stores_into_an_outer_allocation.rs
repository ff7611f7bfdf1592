//! An allocation of the outer scope lives longer than one of the inner scope.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let head = outer.alloc(None);
        outer.scope(|inner| *head = Some(inner.alloc(1)));
        println!("{head:?}");
    });
}
