//! What a region behind `dyn` can give is known at run time only, so the infallible forms are not there.

use bhc_rts_alloc::{Align, MemoryRegion, Place};

fn temporary(region: &dyn MemoryRegion) {
    let _ = Place::<Align<64>>::new().within(region).zeroed::<f32>(100);
}

fn main() {}
