//! The arena's memory ends with it.

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = HotArena::new();
    let x = arena.alloc(1);
    drop(arena);
    *x += 1;
}
