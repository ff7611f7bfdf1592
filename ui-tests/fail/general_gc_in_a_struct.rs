//! A struct with a pointer borrows the heap; with a root it does not.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

struct Zipper<'h> {
    focus: Gc<'h, Tree>,
    above: Vec<Gc<'h, Tree>>,
}

fn main() {
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    let mut zipper = Zipper { focus: root.get(&heap), above: vec![] };
    let root = heap.new_root::<Tree>(LEAF);
    zipper.above.push(zipper.focus);
    zipper.focus = root.get(&heap);
}
