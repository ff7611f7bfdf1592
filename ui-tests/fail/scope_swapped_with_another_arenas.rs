//! Each scope ends with its own closure. Exchanged handles would allocate in the other scope's arena.

use std::mem;

use bhc_rts_alloc::HotArena;

fn main() {
    let mut first = HotArena::new();
    let mut second = HotArena::new();
    first.scope(|a| {
        second.scope(|b| mem::swap(a, b));
        a.alloc(1);
    });
}
