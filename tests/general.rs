//! The General Heap.
//!
//! | module | the promise |
//! |---|---|
//! | `model` | random programs do what they do on a model: the whole graph, every count, at every collection |
//! | `stress` | programs are right when every allocation collects |
//! | `poison` | a stale pointer is noticed when it is used |
//! | `limits` | where memory ends, requests are refused, nothing is lost, and the heap goes on |

#[path = "common/cases.rs"]
mod cases;
#[path = "common/child.rs"]
mod child;
#[path = "common/contract.rs"]
mod contract;

#[path = "general/bytes.rs"]
mod bytes;

#[path = "general/model.rs"]
mod model;
#[path = "general/program.rs"]
mod program;
