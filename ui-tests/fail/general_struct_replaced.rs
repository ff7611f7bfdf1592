//! An attribute takes the struct away that the macro has declared, and another one, whose pointer anybody may write,
//! would be what the collector trusts.

use bhc_rts_alloc::gc_object;

use std::cell::Cell;

#[repr(C)]
pub struct Forged {
    pub next: Cell<usize>,
    pub value: u64,
}

gc_object! {
    #[cfg(any())]
    pub struct Forged / ForgedInit { ptr next: Forged, data value: u64, }
}

fn main() {}
