//! Objects are aligned to words, wherever they are moved.

use bhc_rts_alloc::gc_object;

gc_object! {
    pub struct Wide / WideInit { data value: u128, }

    #[repr(align(64))]
    pub struct Line / LineInit { data value: u64, }
}

fn main() {}
