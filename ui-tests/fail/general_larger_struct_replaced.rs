//! An attribute takes away the struct that the macro has declared: in its place there is one with a field that nobody
//! initialises.

use bhc_rts_alloc::gc_object;

pub struct Larger {
    pub value: u64,
    pub nobody_writes: Option<&'static str>,
}

gc_object! { #[cfg(any())] pub struct Larger / LargerInit { data value: u64, } }

fn main() {}
