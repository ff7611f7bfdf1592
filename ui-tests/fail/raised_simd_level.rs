//! Nor can a `SimdLevel` be raised, or made out of nothing or out of an alignment.

use bhc_rts_alloc::__private::Isa;
use bhc_rts_alloc::{Alignment, SimdLevel};

fn main() {
    let mut level = SimdLevel::detect();
    level.isa = Isa::Avx512;
    let _ = SimdLevel::default();
    let _: SimdLevel = Alignment::Simd512.into();
}
