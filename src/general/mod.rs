//! The General Heap: a precise, generational, moving collector that the borrow checker guards.
//!
//! [`GeneralHeap`] for Rust, [`raw`] for compiled code, [`HeapBytes`] for raw memory that never moves.
//!
//! | file | what |
//! |---|---|
//! | `info` | what the collector knows of an object, as constant data; the header word |
//! | `space` | the addresses of a heap, what each part is used for, and how much may be |
//! | `roots` | the slots of owned roots |
//! | `old` | blocks of the old generation, large objects |
//! | `remember` | old objects that may point to young ones |
//! | `faults` | faults of a collector, for its tests |
//! | `evacuate` | copies what can be reached |
//! | `statistics` | what is counted |
//! | `collector` | the collector: what it owns, when it collects |
//! | `mutator` | what compiled code and the collector share; fast paths |
//! | `verify` | looks at everything |
//! | `raw` | the heap for compiled code |
//! | `object`, `root`, `array` | typed objects, pointers and roots |
//! | `bytes` | raw bytes, a region |
//! | `reserved` | a piece of the nursery in which nothing collects |
//! | `safepoint` | what asks a heap to collect, from any thread |
//! | `report`, `builder`, `heap` | what users see |

mod array;
mod builder;
mod bytes;
mod collector;
mod evacuate;
mod faults;
mod heap;
mod info;
mod mutator;
mod object;
mod old;
pub mod raw;
mod remember;
mod report;
mod reserved;
mod root;
mod roots;
mod safepoint;
mod space;
mod statistics;
#[cfg(test)]
mod tests;
mod verify;

pub use array::{Array, Bytes, PtrArray};
pub use builder::GeneralHeapBuilder;
pub use bytes::HeapBytes;
pub use collector::Stress;
pub use heap::GeneralHeap;
pub use info::{Header, Info, Kind};
#[doc(hidden)]
pub use object::private as __private;
pub use object::{Field, FieldOf, Gc, Live, Managed, Object, Pointers, Rooted};
pub use report::GcReport;
pub use reserved::Reserved;
pub use root::Root;
pub use safepoint::Safepoint;
pub use statistics::{Collection, GcStats, PauseHistogram};
pub use verify::{Corruption, Verified};

/// For the C ABI.
#[cfg(feature = "capi")]
pub(crate) use info::{ELSEWHERE as INFO_ELSEWHERE, MAGIC as INFO_MAGIC};
#[cfg(feature = "capi")]
pub(crate) use old::LARGE as LARGE_WORDS;
#[cfg(feature = "capi")]
pub(crate) use remember::CARD;
