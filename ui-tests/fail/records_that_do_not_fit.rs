//! Records of a type that has not said its alignment, and of one that needs more than the bytes have.

use bhc_rts_alloc::{Align, SimdBuffer, element_align};
use zerocopy::{Immutable, KnownLayout, TryFromBytes};

#[derive(TryFromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Unsaid {
    time: u64,
}

#[derive(TryFromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Said {
    time: u64,
}
element_align!(Said);

fn main() {
    let _ = SimdBuffer::<u8>::zeroed(64).records::<Unsaid>();
    let _ = SimdBuffer::<u8, Align<2>>::zeroed(64).records::<Said>();
}
