//! What may collect takes roots; what does not, pointers.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{Gc, GeneralHeap, Root, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn cons(heap: &mut GeneralHeap, left: Gc<'_, Tree>) {
    heap.new_gc::<Tree>(TreeInit { left: Some(left), right: None, value: 1 });
}

fn reserved(heap: &mut GeneralHeap, left: &Root<Tree>) {
    let space = heap.reserve(1000);
    space.new_gc::<Tree>(TreeInit { left: Some(left), right: None, value: 1 });
}

fn main() {
    let _ = LEAF;
}
