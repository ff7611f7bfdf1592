//! An arena is `Send` because nothing in it can be reached after the move: not even what itself could not be sent.

use std::rc::Rc;
use std::thread;

use bhc_rts_alloc::HotArena;

fn main() {
    let arena = HotArena::new();
    let shared = arena.alloc(Rc::new(1));
    let thread = thread::spawn(move || *arena.alloc(2));
    println!("{}", Rc::clone(shared));
    thread.join().unwrap();
}
