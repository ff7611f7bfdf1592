//! A collection whose allocator is a scope ends before the scope does.

use allocator_api2::vec::Vec;
use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let squares = arena.scope(|scope| {
        let mut squares = Vec::new_in(&*scope);
        squares.extend((0..100).map(|i| i * i));
        squares
    });
    println!("{}", squares[99]);
}
