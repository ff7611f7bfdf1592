//! Pointers come first: how many there are is all that the collector is told.

use bhc_rts_alloc::gc_object;

gc_object! { pub struct First / FirstInit { data value: u64, ptr next: First, } }
gc_object! { pub struct Second / SecondInit { cell count: u64, data value: u64, } }
gc_object! { pub struct Third / ThirdInit { ptr a: Third, cell count: u64, ptr b: Third, } }

fn main() {}
