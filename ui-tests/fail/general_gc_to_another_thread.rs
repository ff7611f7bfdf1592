//! Neither a pointer, nor a reservation, nor an object with pointers goes to another thread, not even while the heap
//! waits.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    let space = heap.reserve(1000);
    let tree: Gc<'_, Tree> = root.get(space.heap());
    std::thread::scope(|scope| {
        scope.spawn(move || println!("{}", tree.value));
        scope.spawn(move || println!("{}", space.room()));
        let tree: &Tree = tree.as_ref();
        scope.spawn(move || println!("{}", tree.value));
    });
}
