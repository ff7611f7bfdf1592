//! A buffer that may still grow in a scope keeps inner scopes shut: its new memory would end with them. Freeze it first.

use bhc_rts_alloc::{Align, HotArena, Place};

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let mut sums = Place::<Align<64>>::new().within(&*scope).with_capacity(1);
        for i in 0..10 {
            scope.scope(|inner| sums.push(*inner.alloc(i)));
        }
    });
}
