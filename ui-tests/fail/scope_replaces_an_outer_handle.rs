//! A variable for "the current scope" that is outside the inner closure would keep its handle after its end.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut first = HotArena::new();
    let mut second = HotArena::new();
    first.scope(|outer| {
        let mut current = outer;
        second.scope(|inner| current = inner);
        current.alloc(1);
    });
}
