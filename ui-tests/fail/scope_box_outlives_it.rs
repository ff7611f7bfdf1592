//! An `ArenaBox` owns its value, not the memory under it, which ends with the scope.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let mut names = Vec::new();
    arena.scope(|scope| names.push(scope.alloc_box(String::from("saxpy"))));
    println!("{}", names.len());
}
