//! Objects with pointers are made by the heap: a field has no constructor.

use bhc_rts_alloc::general::{Field, Rooted};
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};

gc_object! { pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, } }

const LEAF: TreeInit<Rooted<'static>> = TreeInit { left: None, right: None, value: 1 };

fn main() {
    let mut heap = GeneralHeap::new();
    let gc = heap.new_gc::<Tree>(LEAF);
    let field = Field::<Tree>(gc);
    let tree = Tree { left: Field::default(), right: Field::new(None), value: 1 };
    let again: Gc<'static, Tree> = Gc { object: tree, _borrow: field };
    println!("{again:?}");
}
