//! The thread's arena is lent for one closure.

use bhc_rts_alloc::with_thread_arena;

fn main() {
    let sum = with_thread_arena(|scope| scope.alloc(41));
    println!("{sum}");
}
