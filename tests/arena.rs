//! The Hot Arena.
//!
//! | module | the promise |
//! |---|---|
//! | `contracts` | arenas of all kinds, scopes and marks are memory regions |
//! | `accepted` | the types of scopes accept what they should |
//! | `bug_classes` | what went wrong in other arenas does not here |
//! | `scopes` | a scope frees what is its own, also when it panics, and touches nothing of those around it |
//! | `marks` | so do scopes that are opened and closed by hand |
//! | `threads` | the arena of a thread: re-entry, panics, the thread's end |
//! | `values` | destructors, code of the caller that panics or allocates, values without size and of strict alignment |
//! | `lengths` | lengths that no memory has are refused before anything happens |
//! | `builder` | what the builder is told has its effect, on any memory |
//! | `backings` | a backing that misbehaves or refuses spoils nothing, and kept chunks are in nobody's way |
//! | `poison` | memory that nobody has is noticed when it is used |
//! | `model` | random programs do what they do on a model, at every depth |
//! | `collections` | hash tables and vectors of other crates live in an arena |

#[path = "common/contract.rs"]
mod contract;
#[path = "buffer/vocabulary.rs"]
#[allow(dead_code, reason = "a vocabulary: no test binary uses every word of it")]
mod elements;
#[path = "arena/program.rs"]
mod program;
#[path = "common/region.rs"]
mod region;
#[path = "arena/vocabulary.rs"]
mod vocabulary;

use contract::blocks;

#[path = "arena/accepted.rs"]
mod accepted;
#[path = "arena/backings.rs"]
mod backings;
#[path = "arena/bug_classes.rs"]
mod bug_classes;
#[path = "arena/builder.rs"]
mod builder;
#[path = "arena/collections.rs"]
mod collections;
#[path = "arena/contracts.rs"]
mod contracts;
#[path = "arena/lengths.rs"]
mod lengths;
#[path = "arena/marks.rs"]
mod marks;
#[path = "arena/model.rs"]
mod model;
#[path = "arena/poison.rs"]
mod poison;
#[path = "arena/scopes.rs"]
mod scopes;
#[path = "arena/threads.rs"]
mod threads;
#[path = "arena/values.rs"]
mod values;
