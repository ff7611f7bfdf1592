//! What a field leads to is there as long as the field's own heap is borrowed. (The first draft of this interface asked
//! for a heap there, and took the lifetime from it: also from another one.)

use bhc_rts_alloc::general::{Collection, Rooted};
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn left<'a>(_other: &'a GeneralHeap, tree: Gc<'_, Tree>) -> Option<Gc<'a, Tree>> {
    tree.left.get()
}

fn main() {
    let (mut heap, other) = (GeneralHeap::new(), GeneralHeap::new());
    let root = heap.new_root::<Tree>(LEAF);
    let left = left(&other, root.get(&heap));
    heap.collect(Collection::Full);
    println!("{left:?}");
}
