//! A value being made in a scope may allocate there, and may not open an inner scope: its own place would end with it.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let sum = scope.alloc_with(|| scope.scope(|inner| *inner.alloc(1)));
        println!("{sum}");
    });
}
