//! Which region it is, and so what it can give, is known at run time only: the infallible forms are not there.

use bhc_rts_alloc::{Align, Alignment, Capability, Place, RegionKind};

fn main() {
    let capability = Capability::new();
    let _ = capability.place(RegionKind::Pinned, Alignment::Simd512).zeroed::<f32>(100);
    let _ = Place::<Align<64>>::new().within(capability.by_region(RegionKind::Pinned)).filled(100, 1.0f32);
}
