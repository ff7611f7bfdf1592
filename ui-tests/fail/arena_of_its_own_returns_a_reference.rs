//! The arena of `with_arena` ends with its closure, and all that was allocated with it.

use bhc_rts_alloc::with_arena;

fn main() {
    let sum = with_arena(4096, |scope| scope.alloc(41));
    println!("{sum}");
}
