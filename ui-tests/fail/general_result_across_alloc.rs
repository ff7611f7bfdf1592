//! A result that may hold a pointer is a pointer. (An error alone holds none: `?` is fine.)

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let result = heap.try_new_gc::<Tree>(LEAF);
    heap.new_gc::<Tree>(LEAF);
    println!("{}", result.is_ok());
}
