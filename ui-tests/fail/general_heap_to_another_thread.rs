//! Roots, and handles to its bytes, stay behind, and are one thread's.

use bhc_rts_alloc::general::Rooted;
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let heap = GeneralHeap::new();
    let bytes = heap.bytes();
    std::thread::spawn(move || drop(heap));
    std::thread::spawn(move || drop(bytes));
}
