//! The General Heap.
//!
//! | module | the promise |
//! |---|---|
//! | `model` | random programs do what they do on a model: the whole graph, every count, at every collection |
//! | `stress` | programs are right when every allocation collects |
//! | `poison` | a stale pointer is noticed when it is used |
//! | `limits` | where memory ends, requests are refused, nothing is lost, and the heap goes on |
//! | `bug_classes` | what went wrong in other collectors does not here |
//! | `typed` | the safe interface, as programs use it |
//! | `raw` | the interface for compiled code, function by function |
//! | `barrier` | whatever is stored wherever, the next collection finds it |
//! | `sizes` | objects of all sizes and alignments, graphs of all shapes |
//! | `stats` | statistics are exact, and what the builder is told has its effect |
//! | `heaps` | heaps do not mix, leave nothing behind, and take no more than they need |
//! | `threads` | heaps of threads side by side, and requests from other threads |

#[path = "common/child.rs"]
mod child;
#[path = "common/contract.rs"]
mod contract;

#[path = "general/bytes.rs"]
mod bytes;

#[path = "general/barrier.rs"]
mod barrier;
#[path = "general/bug_classes.rs"]
mod bug_classes;
#[path = "general/heaps.rs"]
mod heaps;
#[path = "general/limits.rs"]
mod limits;
#[path = "general/model.rs"]
mod model;
#[path = "general/poison.rs"]
mod poison;
#[path = "general/program.rs"]
mod program;
#[path = "general/raw.rs"]
mod raw;
#[path = "general/shapes.rs"]
mod shapes;
#[path = "general/sizes.rs"]
mod sizes;
#[path = "general/stats.rs"]
mod stats;
#[path = "general/stress.rs"]
mod stress;
#[path = "general/threads.rs"]
mod threads;
#[path = "general/typed.rs"]
mod typed;
