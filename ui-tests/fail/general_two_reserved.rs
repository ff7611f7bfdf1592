//! The second reservation may collect what was made in the first one.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let first = heap.reserve(1000);
    let one = first.new_gc::<Tree>(TreeInit { left: None, right: None, value: 1 });
    let second = heap.reserve(1000);
    second.new_gc::<Tree>(TreeInit { left: Some(one), right: None, value: 2 });
}
