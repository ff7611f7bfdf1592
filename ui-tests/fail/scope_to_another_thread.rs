//! A scope stays on the thread that opened it; what it allocated may be lent to another.

use std::thread;

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        thread::scope(|threads| {
            threads.spawn(move || {
                scope.alloc(1);
            });
        });
    });
}
