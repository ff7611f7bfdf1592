//! A frozen buffer lives as long as its scope, not longer.

use bhc_rts_alloc::{Align, HotArena, Place};

fn main() {
    let mut arena = HotArena::new();
    let squares = arena.scope(|scope| {
        let buffer = Place::<Align<64>>::new().within(&*scope).from_fn(100, |i| i * i);
        scope.freeze(buffer)
    });
    println!("{}", squares[99]);
}
