//! A buffer that `place` made borrows the capability: its arena cannot be reset, nor its objects moved, meanwhile. Over
//! `ByRegion::from(&**parts.pinned)` it would borrow that alone.

use bhc_rts_alloc::general::Collection;
use bhc_rts_alloc::{Alignment, Capability, RegionKind};

fn main() {
    let mut capability = Capability::new();
    let buffer = capability.place(RegionKind::HotArena, Alignment::Simd512).try_zeroed::<f32>(100).unwrap();
    capability.parts().arena.reset();
    capability.parts().general.collect(Collection::Full);
    println!("{}", buffer[0]);
}
