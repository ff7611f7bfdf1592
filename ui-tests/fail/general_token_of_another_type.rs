//! A token is of one field of one type, and leads to one type.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

gc_object! { pub struct Leaf / LeafInit { data value: u64, } }

fn main() {
    let mut heap = GeneralHeap::new();
    let tree = heap.new_root::<Tree>(LEAF);
    let leaf = heap.new_root::<Leaf>(LeafInit { value: 1 });
    let (tree, leaf) = (tree.get(&heap), leaf.get(&heap));
    heap.set(tree, Tree::left, Some(leaf));
    heap.set(leaf, Tree::left, Some(tree));
    leaf.get(Tree::left);
    heap.set(tree, Tree::value, Some(tree));
}
