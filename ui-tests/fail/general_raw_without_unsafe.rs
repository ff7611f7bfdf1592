//! The heap for compiled code checks nothing; and it collects, so no pointer may be left.

use bhc_rts_alloc::general::{Collection, Info, Rooted};
use bhc_rts_alloc::{GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    static CONS: Info = Info::fixed("Cons", 1, 1);
    let mut heap = GeneralHeap::new();
    let root = heap.new_root::<Tree>(LEAF);
    let tree = root.get(&heap);
    let raw = heap.raw();
    raw.alloc(&CONS);
    raw.collect(Collection::Full);
    println!("{}", tree.value);
}
