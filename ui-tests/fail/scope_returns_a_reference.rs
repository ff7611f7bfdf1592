//! What a scope allocated ends with it, so it cannot be the scope's result; a copy of the value can.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let sum = arena.scope(|scope| scope.alloc(41));
    println!("{sum}");
}
