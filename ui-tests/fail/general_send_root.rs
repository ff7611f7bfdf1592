//! A root is updated by the collector of its own thread, and nobody waits for that elsewhere.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    std::thread::spawn(move || drop(root)).join().unwrap();
}
