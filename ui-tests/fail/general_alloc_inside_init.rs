//! Arguments are evaluated in order: what the first one points to, the second one's allocation may move. Make roots
//! first.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    heap.new_gc::<Tree>(TreeInit { left: Some(&root), right: Some(&heap.new_root(LEAF)), value: 2 });
}
