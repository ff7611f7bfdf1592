//! A buffer goes with the capability that its region is in, also when it has a type by then.

use bhc_rts_alloc::{Align, Alignment, Capability, HotArena, RegionKind, RuntimeBuffer, SimdBuffer};

fn made() -> RuntimeBuffer<'static, f32> {
    let capability = Capability::new();
    capability.place(RegionKind::System, Alignment::Simd512).try_zeroed(100).unwrap()
}

fn main() {
    let typed: SimdBuffer<f32, Align<64>, &HotArena>;
    {
        let capability = Capability::new();
        let buffer = capability.place(RegionKind::HotArena, Alignment::Simd512).try_zeroed(100).unwrap();
        typed = buffer.try_into_typed().unwrap();
    }
    println!("{} {}", made()[0], typed[0]);
}
