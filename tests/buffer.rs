//! The typed buffers: `AlignedSlice`, `SimdBuffer`, `Place`.
//!
//! | module | the promise |
//! |---|---|
//! | `audit` | the region that watches the others' memory does catch what it is there for |
//! | `bug_classes` | what went wrong in other crates does not here |
//! | `model` | random programs do what they do on a `Vec`, and keep alignment and padding at every step |
//! | `panics` | code of the element type may panic at any step |
//! | `failure` | every request for memory may fail |
//! | `traits` | the standard traits are those of the slice |
//! | `slices` | borrowed slices: making, splitting, casting, records |

#[path = "common/cases.rs"]
mod cases;
#[path = "common/region.rs"]
mod region;

#[path = "buffer/program.rs"]
mod program;
#[path = "buffer/vocabulary.rs"]
mod vocabulary;

#[path = "buffer/audit.rs"]
mod audit;
#[path = "buffer/bug_classes.rs"]
mod bug_classes;
#[path = "buffer/failure.rs"]
mod failure;
#[path = "buffer/model.rs"]
mod model;
#[path = "buffer/panics.rs"]
mod panics;
#[path = "buffer/slices.rs"]
mod slices;
#[path = "buffer/traits.rs"]
mod traits;
