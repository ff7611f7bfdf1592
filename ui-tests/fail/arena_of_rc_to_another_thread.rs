//! An arena goes where the region of its chunks may go: an `Rc` of one stays on its thread.

use std::rc::Rc;
use std::thread;

use bhc_rts_alloc::{Align, HotArena, System};

fn main() {
    let arena: HotArena<Align<8>, Rc<System>> = HotArena::builder().within(Rc::new(System)).build();
    thread::spawn(move || *arena.alloc(1)).join().unwrap();
}
