//! What is to stay beyond the reservation is to be rooted: `space.heap().root(tree)`.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let tree = {
        let space = heap.reserve(1000);
        space.new_gc::<Tree>(TreeInit { left: None, right: None, value: 1 })
    };
    heap.new_gc::<Tree>(LEAF);
    println!("{}", tree.value);
}
