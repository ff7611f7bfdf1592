//! A buffer whose region is a scope ends before the scope does.

use bhc_rts_alloc::{Align, HotArena, Place};

fn main() {
    let mut arena = HotArena::new();
    let mut squares = None;
    arena.scope(|scope| {
        squares = Some(Place::<Align<64>>::new().within(&*scope).from_fn(100, |i| i * i));
    });
    println!("{squares:?}");
}
