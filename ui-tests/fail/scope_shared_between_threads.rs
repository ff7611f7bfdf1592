//! Two threads with one scope would move its cursor at the same time.

use bhc_rts_alloc::{HotArena, Scope};

fn share<T: Sync>(_: &T) {}

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope: &mut Scope| share(scope));
}
