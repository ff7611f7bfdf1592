//! Behind `dyn`, too, the handle ends with the scope.

use bhc_rts_alloc::{HotArena, MemoryRegion};

fn main() {
    let mut arena = HotArena::new();
    let mut regions: Vec<&dyn MemoryRegion> = Vec::new();
    arena.scope(|scope| regions.push(scope));
    println!("{}", regions.len());
}
