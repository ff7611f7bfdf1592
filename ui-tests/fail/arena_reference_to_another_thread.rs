//! A reference allocates as well as the arena itself, so it stays on the thread; the arena may go.

use bhc_rts_alloc::HotArena;

fn send<T: Send>(_: T) {}

fn main() {
    let arena = HotArena::new();
    send(&arena);
}
