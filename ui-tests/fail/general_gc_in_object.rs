//! Pointers from object to object are `ptr` fields: the collector does not know of any others.

use bhc_rts_alloc::{Gc, gc_object};

gc_object! {
    pub struct Pair / PairInit { data other: Gc<Pair>, }
    pub struct Cell / CellInit { cell to: Option<Gc<Cell>>, }
}

fn main() {}
