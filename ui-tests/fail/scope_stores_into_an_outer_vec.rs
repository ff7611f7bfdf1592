//! The `Vec` lives longer than the rows that the scope allocated.

use bhc_rts_alloc::HotArena;

fn main() {
    let mut arena = HotArena::new();
    let mut rows: Vec<&mut [f32]> = Vec::new();
    arena.scope(|scope| rows.push(scope.alloc_slice_fill_with(100, |_| 0.0)));
    println!("{rows:?}");
}
