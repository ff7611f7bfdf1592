//! Which of two heaps a pointer is from is known, also where both are borrowed.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{Gc, GeneralHeap, Root, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn either<'a, 'b>(a: &'a GeneralHeap, b: &'b GeneralHeap, root: &Root<Tree>) -> Gc<'a, Tree> {
    if a.root_count() > 0 { root.get(a) } else { root.get(b) }
}

fn forever<'h>(tree: Gc<'h, Tree>) -> Gc<'static, Tree> {
    tree
}

fn main() {
    let _ = LEAF;
}
