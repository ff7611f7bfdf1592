//! What the collector knows of an object has 32 bits for its size.

use bhc_rts_alloc::gc_object;

gc_object! { pub struct Huge / HugeInit { data numbers: [u64; 1 << 32], } }

fn main() {}
