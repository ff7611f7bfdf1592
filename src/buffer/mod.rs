//! Typed buffers: [`AlignedSlice`] borrows, [`SimdBuffer`] owns, [`Place`] says where.
//!
//! | file | what |
//! |---|---|
//! | `slice` | `AlignedSlice`: making, weakening, strengthening, splitting |
//! | `owned` | `SimdBuffer`: its invariants, its memory, its elements |
//! | `grow` | Vec's verbs: push, pop, insert, truncate, … |
//! | `padding` | the promise about the bytes after the last element |
//! | `place` | the constructors, once each |
//! | `cast` | other element types, bytes, validated records |
//! | `convert` | static ↔ run-time alignment, raw parts, leaking |
//! | `traits`, `into_iter`, `serde`, `file` | the standard traits, iteration by value, serde, whole files |
//!
//! The buffers know regions only through [`MemoryRegion`](crate::MemoryRegion).

mod cast;
mod convert;
#[cfg(feature = "std")]
mod file;
mod grow;
mod into_iter;
mod owned;
mod padding;
mod place;
#[cfg(feature = "serde")]
mod serde;
mod slice;
mod traits;

pub use cast::{RecordError, SizeMismatch};
pub use convert::RawParts;
#[cfg(feature = "std")]
pub use file::FileError;
pub use into_iter::IntoIter;
pub use owned::SimdBuffer;
pub use padding::{PADDING_BLOCK, PaddedMut};
pub use place::Place;
pub use slice::AlignedSlice;
