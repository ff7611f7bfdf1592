//! All threads share a static; an arena is for one at a time. `with_thread_arena` has one for each.

use bhc_rts_alloc::HotArena;

static ARENA: HotArena = HotArena::new();

fn main() {
    ARENA.alloc(1);
}
