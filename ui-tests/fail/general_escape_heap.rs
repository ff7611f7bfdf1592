//! A pointer does not leave the function that has the heap; a root does, but leads nowhere without it.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn make() -> Gc<'static, Tree> {
    let mut heap = GeneralHeap::new();
    heap.new_gc::<Tree>(LEAF)
}

fn main() {
    println!("{}", make().value);
}
