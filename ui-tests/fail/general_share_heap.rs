//! A heap is one thread's: it allocates without a lock.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let heap = GeneralHeap::new();
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{}", heap.root_count()));
    });
}
