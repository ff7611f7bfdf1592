//! A field that is nowhere but in its object is never stale.

use bhc_rts_alloc::general::{Collection, Rooted};
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    let left = root.get(&heap).as_ref().left;
    let copy = Tree { value: 2, ..*root.get(&heap).as_ref() };
    heap.collect(Collection::Full);
    println!("{left:?} {}", copy.value);
}
