//! A copy of the bytes of an owner would own its memory a second time.

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = HotArena::new();
    let names = [String::from("saxpy")];
    println!("{:?}", arena.alloc_slice_copy(&names));
}
