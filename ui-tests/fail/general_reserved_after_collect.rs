//! A collection ends the reservation, and what was made in it.

use bhc_rts_alloc::general::{Collection, Rooted};
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let space = heap.reserve(1000);
    heap.collect(Collection::Minor);
    println!("{}", space.room());
}
