//! Only an arena opens scopes: with a handle from elsewhere, `mem::take` would exchange the one that is open.

use std::mem;

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| mem::take(scope).used());
}
