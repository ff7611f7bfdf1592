//! A thread that nobody joins may outlive the scope, even if nobody drops the arena.

use std::thread;

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = Box::leak(Box::new(HotArena::new()));
    arena.scope(|scope| {
        let x = scope.alloc(1);
        thread::spawn(move || *x += 1);
    });
}
