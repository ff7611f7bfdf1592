//! A buffer's iterator still owns the buffer's memory, which ends with the scope.

use bhc_rts_alloc::{Align, HotArena, Place};

fn main() {
    let mut arena = HotArena::new();
    let names = arena.scope(|scope| {
        let names = Place::<Align<64>>::new().within(&*scope).from_fn(3, |i| format!("kernel {i}"));
        names.into_iter()
    });
    println!("{}", names.count());
}
