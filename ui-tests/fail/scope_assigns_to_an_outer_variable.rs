//! A variable outside the scope lives longer than what the scope allocated.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let mut largest = None;
    arena.scope(|scope| largest = Some(scope.alloc(2.0)));
    println!("{largest:?}");
}
