//! One scope of a parent at a time: two siblings would allocate over each other.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|parent| {
        parent.scope(|left| {
            parent.scope(|right| *left.alloc(1) + *right.alloc(2));
        });
    });
}
