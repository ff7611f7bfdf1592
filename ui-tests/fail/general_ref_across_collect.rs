//! A reference into an object is no better than the pointer that it came from.

use bhc_rts_alloc::general::{Collection, Rooted};
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    let value: &u64 = &root.get(&heap).as_ref().value;
    heap.collect(Collection::Minor);
    println!("{value}");
}
