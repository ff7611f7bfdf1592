//! Fields are written and borrowed where they are, so they are aligned there.

use bhc_rts_alloc::gc_object;

gc_object! {
    #[repr(packed)]
    pub struct Packed / PackedInit { data small: u8, data large: u64, }
}

fn main() {}
