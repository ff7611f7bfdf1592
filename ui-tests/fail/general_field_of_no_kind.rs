//! Each field says what it is to the collector.

use bhc_rts_alloc::gc_object;

gc_object! { pub struct First / FirstInit { value: u64, } }
gc_object! { pub struct Second / SecondInit { pub data value: u64, } }
gc_object! { pub struct Third / ThirdInit { data value u64 } }
gc_object! { pub struct Fourth / FourthInit { ptr next: Self, } }
gc_object! { pub struct Fifth / FifthInit { #[cfg(unix)] data value: u64, } }
gc_object! { pub struct Sixth { data value: u64, } }

fn main() {}
