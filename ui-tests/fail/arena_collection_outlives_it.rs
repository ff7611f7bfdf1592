//! A collection whose allocator is an arena goes before the arena does.

use allocator_api2::vec::Vec;
use bhc_rts_alloc::HotArena;

fn main() {
    let mut kept = Vec::new_in(&HotArena::new());
    kept.push(1);
}
