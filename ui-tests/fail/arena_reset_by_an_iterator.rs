//! The iterator that fills a slice may not reset the arena under it.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let squares = arena.alloc_slice_from_iter((0..10).map(|i| {
        arena.reset();
        i * i
    }));
    println!("{squares:?}");
}
