//! Nothing keeps references from outliving a raw mark, so releasing to it is a promise that needs `unsafe`.

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = HotArena::new();
    let mark = arena.mark();
    let x = arena.alloc(1);
    arena.release(mark);
    *x += 1;
}
