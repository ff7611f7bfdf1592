//! A box goes where its value may go.

use std::rc::Rc;

use bhc_rts_alloc::HotArena;

fn send<T: Send>(_: T) {}

fn main() {
    let arena = HotArena::new();
    send(arena.alloc_box(Rc::new(1)));
}
