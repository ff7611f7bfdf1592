//! One thread at a time allocates in an arena: the cursor is a plain field.

use std::thread;

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = HotArena::new();
    thread::scope(|threads| {
        threads.spawn(|| arena.alloc(1));
    });
}
