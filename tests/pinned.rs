//! The Pinned Heap.
//!
//! | module | the promise |
//! |---|---|
//! | `contracts` | heaps of all kinds are memory regions |

#[path = "common/contract.rs"]
mod contract;

use contract::blocks;

#[path = "pinned/contracts.rs"]
mod contracts;
