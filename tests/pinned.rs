//! The Pinned Heap.
//!
//! | module | the promise |
//! |---|---|
//! | `contracts` | heaps of all kinds are memory regions |
//! | `bug_classes` | what went wrong in other allocators does not here |
//! | `grid` | every size at every alignment is a block of its own, and stays so when its size changes |
//! | `builder` | what the builder is told has its effect |
//! | `misuse` | wrong frees are found, told, and harm nothing else; leaks are told of exactly |
//! | `memory` | what is taken from the system is in proportion to what lives, goes back, and is not touched too early |
//! | `stats` | the statistics are exact at rest and never absurd; the peak is within its bound |
//! | `io_uring` | a device that has the segments registered writes to blocks, whatever the heap did before |
//! | `observer` | who watches a heap's memory is told of it in time, and it stays where it is |
//! | `collections` | hash tables, vectors and buffers live in a heap, whoever owns it and whichever thread they are on |
//! | `model` | random programs, run by threads in turn, do what they do on a model |
//! | `threads` | all of that holds for threads at once, and whenever one of them ends |
//! | `poison` | memory that nobody has is noticed when it is used |

#[path = "common/child.rs"]
mod child;
#[path = "common/collections.rs"]
mod collection_programs;
#[path = "common/contract.rs"]
mod contract;
#[path = "buffer/vocabulary.rs"]
#[allow(dead_code, reason = "a vocabulary: no test binary uses every word of it")]
mod elements;
#[path = "pinned/program.rs"]
mod program;
#[path = "common/region.rs"]
mod region;
#[path = "pinned/vocabulary.rs"]
mod vocabulary;

use contract::blocks;

#[path = "pinned/bug_classes.rs"]
mod bug_classes;
#[path = "pinned/builder.rs"]
mod builder;
#[path = "pinned/collections.rs"]
mod collections;
#[path = "pinned/contracts.rs"]
mod contracts;
#[path = "pinned/grid.rs"]
mod grid;
#[cfg(target_os = "linux")]
#[path = "pinned/io_uring.rs"]
mod io_uring;
#[path = "pinned/memory.rs"]
mod memory;
#[path = "pinned/misuse.rs"]
mod misuse;
#[path = "pinned/model.rs"]
mod model;
#[path = "pinned/observer.rs"]
mod observer;
#[path = "pinned/poison.rs"]
mod poison;
#[path = "pinned/stats.rs"]
mod stats;
#[path = "pinned/threads.rs"]
mod threads;
