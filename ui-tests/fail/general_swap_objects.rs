//! Nobody has an object by `&mut`: a swap would store pointers without the write barrier, also into another heap.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let (a, b) = (heap.new_root::<Tree>(LEAF), heap.new_root::<Tree>(LEAF));
    let (a, b) = (a.get(&heap), b.get(&heap));
    std::mem::swap(&mut *a, &mut *b);
    std::mem::swap(&mut a.left, &mut b.left);
}
