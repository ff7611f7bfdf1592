//! A box drops its value in the arena's memory, so it goes before the arena does.

use bhc_rts_alloc::{ArenaBox, HotArena};

struct Plan<'a> {
    name: Option<ArenaBox<'a, String>>,
}

fn main() {
    let mut plan = Plan { name: None };
    let arena = HotArena::new();
    plan.name = Some(arena.alloc_box(String::from("saxpy")));
}
