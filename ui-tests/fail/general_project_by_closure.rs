//! Which field is meant is said by a constant. A closure could come by a field of another object on its way.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    let tree: Gc<'_, Tree> = root.get(&heap);
    heap.set(tree, |tree: &Tree| &tree.left, Some(tree));
    heap.set(tree, &tree.left, Some(tree));
}
