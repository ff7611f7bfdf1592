//! How an object is traced is derived from its declaration. By hand a field is forgotten sooner or later, so safe code
//! cannot do it, nor say how pointers are given.

use bhc_rts_alloc::GeneralHeap;
use bhc_rts_alloc::general::{Info, Managed, Object, Pointers};

struct List {
    next: Option<Box<List>>,
}

impl Managed for List {
    type View = Self;
    const INFO: &'static Info = &const { Info::fixed("List", 0, 1) };
}

impl Object for List {
    type Init<P: Pointers> = List;
}

struct Forged;

impl Pointers for Forged {
    type To<T: Managed> = usize;
}

fn main() {
    let _ = GeneralHeap::new();
}
