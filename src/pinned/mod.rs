//! The Pinned Heap: a `malloc` that is told the layout when it frees.
//!
//! From the ground up, each file using those above it:
//!
//! | file | what |
//! |---|---|
//! | `tally` | exact counters of a thread |
//! | `tables` | what is known of the slices of a heap, apart from them |
//! | `magazine` | arrays of free blocks |
//! | `misuse` | what wrong frees are called |
//! | `depot` | of one class: spans cut into blocks, magazines for all threads |
//! | `control` | whether a heap is alive, for threads that end after it |
//! | `cells` | small pieces of memory that outlive heaps |
//! | `cache` | what a thread has of a heap |
//! | `observer` | who must know of memory before it is used |
//! | `engine` | all of these together: the slow paths |
//! | `thread` | which caches the calling thread has |
//! | `report` | usage, classes, live blocks, leaks |
//! | `builder`, `heap`, `global`, `allocator` | what users see; the fast paths are in `heap` |

#![cfg_attr(bhc_no_tls, allow(dead_code, reason = "without thread-locals there are no thread caches"))]

#[cfg(feature = "allocator-api2")]
mod allocator;
mod builder;
mod cache;
mod cells;
mod control;
mod depot;
mod engine;
mod global;
mod heap;
mod magazine;
mod misuse;
mod observer;
mod report;
mod tables;
mod tally;
mod thread;

pub use builder::PinnedHeapBuilder;
pub use global::PinnedGlobal;
pub use heap::PinnedHeap;
pub use misuse::{Layouts, Misuse, MisuseKind};
pub use observer::{Segment, SegmentObserver};
pub use report::{ClassTable, ClassUsage, LeakReport, PinnedBlock, PinnedUsage};

/// For the C ABI.
#[cfg(feature = "capi")]
pub(crate) use engine::MAX_ALIGN;
