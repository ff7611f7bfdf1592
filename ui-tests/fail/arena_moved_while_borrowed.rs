//! Who owns the arena can reset it, so it stays where it is while an allocation lives.

use bhc_rts_alloc::HotArena;

struct Machine {
    arena: HotArena,
}

fn main() {
    let arena = HotArena::new();
    let x = arena.alloc(1);
    let mut machine = Machine { arena };
    *x += 1;
    machine.arena.reset();
}
