//! A scope needs the arena to itself: what must live longer is allocated in an outer scope.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let sum = arena.alloc(0);
    arena.scope(|scope| *sum += *scope.alloc(1));
    println!("{sum}");
}
