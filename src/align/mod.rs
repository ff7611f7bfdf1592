//! Alignment, as a type and as a value, and the ways between them.
//!
//! | you have | you want | use |
//! |---|---|---|
//! | a constant | a type | [`Align<N>`](crate::Align) |
//! | a type | a value | [`Alignment::of`](crate::Alignment::of), free |
//! | a value | a type | [`Alignment::dispatch`](crate::Alignment::dispatch), [`with_alignment!`](crate::with_alignment) |
//! | nothing | what this CPU wants | [`detect_simd_alignment`](crate::detect_simd_alignment) |
//! | nothing | what this CPU *can do* | [`SimdLevel`](crate::SimdLevel), [`simd_kernel!`](crate::simd_kernel) |

pub(crate) mod arith;
pub(crate) mod detect;
mod dispatch;
mod kernel;
pub(crate) mod marker;
pub(crate) mod value;

pub use arith::{align_down, align_up, checked_align_up, is_aligned, is_ptr_aligned};
pub use detect::{SimdLevel, detect_simd_alignment};
pub use dispatch::{AlignVisitor, DispatchFloor, strictly_descending};
pub use marker::{
    Align, AtLeast, CacheLineAlign, DefaultAlign, FitsIn, KnownAlign, PageAlign, Simd128Align, Simd256Align,
    Simd512Align,
};
pub use value::{AlignSpec, Alignment, CACHE_LINE, ChosenFor, FALSE_SHARING_RANGE, InvalidAlignment};
