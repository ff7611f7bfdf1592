//! A scope has one handle: two would have a cursor each and give the same memory twice.

use bhc_rts_alloc::{HotArena, Scope};

fn fork<'s, 'env>(scope: &Scope<'s, 'env>) -> Scope<'s, 'env> {
    scope.clone()
}

fn main() {
    HotArena::new().scope(|scope| fork(scope).alloc(1) as *mut i32);
}
