//! The second allocation may move the first object.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let one = heap.new_gc::<Tree>(LEAF);
    let two = heap.new_gc::<Tree>(LEAF);
    println!("{}", one.value + two.value);
}
