//! `&mut` of a region is not a region: whoever holds one may call the methods that end all blocks.

use bhc_rts_alloc::{Align, Place, System};

fn main() {
    let mut region = System;
    let _ = Place::<Align<64>>::new().within(&mut region);
}
