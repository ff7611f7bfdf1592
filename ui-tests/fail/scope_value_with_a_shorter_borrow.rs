//! A value in the arena is no longer-lived than what it borrows.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let view;
        {
            let samples = [1.0, 2.0];
            view = scope.alloc(&samples);
        }
        println!("{view:?}");
    });
}
