//! The handle of a scope ends with the scope.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let mut kept = None;
    arena.scope(|scope| kept = Some(scope));
    kept.unwrap().alloc(1);
}
