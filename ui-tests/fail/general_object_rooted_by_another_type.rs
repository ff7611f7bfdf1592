//! A root is of what it is of.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, Root, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

gc_object! { pub struct Leaf / LeafInit { data value: u64, } }

fn main() {
    let mut heap = GeneralHeap::new();
    let mut root: Root<Leaf> = heap.new_root(LeafInit { value: 1 });
    let tree = heap.new_root::<Tree>(LEAF);
    root.set(&heap, tree.get(&heap));
    let _: Root<Leaf> = heap.root(tree.get(&heap));
}
