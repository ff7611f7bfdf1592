//! A `SimdLevel` is proof that the CPU has the instructions, so it is made by detection only: its fields are private, also
//! to those who know the macro's own types.

use bhc_rts_alloc::__private::Isa;
use bhc_rts_alloc::{Alignment, SimdLevel};

fn main() {
    let _ = SimdLevel { isa: Isa::Avx512, alignment: Alignment::Simd512 };
    let _ = SimdLevel { isa: Isa::Avx512, ..SimdLevel::detect() };
}
