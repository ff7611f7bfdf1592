//! While an inner scope is open, the outer one waits: an allocation there would end with the inner scope.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let kept = outer.scope(|inner| {
            let temporary = inner.alloc(1);
            outer.alloc(*temporary)
        });
        println!("{kept}");
    });
}
