//! A leaked `ArenaBox` never drops its value; the memory under it ends with the scope all the same.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let name = arena.scope(|scope| scope.alloc_box(String::from("saxpy")).leak());
    name.push('!');
}
