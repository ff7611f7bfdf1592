//! While a scope is open, the arena belongs to it: allocate through the scope.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let x = scope.alloc(1);
        let y = arena.alloc(2);
        println!("{}", *x + *y);
    });
}
