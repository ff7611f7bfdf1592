//! A panic's payload outlives the scope that it leaves, even one of an arena that nobody drops.

use std::panic::panic_any;

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = Box::leak(Box::new(HotArena::new()));
    arena.scope(|scope| {
        let code: &u32 = scope.alloc(7);
        if *code != 0 {
            panic_any(code);
        }
    });
}
