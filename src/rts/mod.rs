//! The runtime's side: one mutator's regions, chosen from at run time.
//!
//! | file | what |
//! |---|---|
//! | `by_region` | a region chosen at run time, as a value; buffers over it, and their way back to a type |
//! | `shared` | a Pinned Heap that several capabilities share |
//! | `stats` | the statistics of all regions, as a table and as data |
//! | `config`, `capability` | what a mutator has |

mod by_region;
mod capability;
mod config;
mod shared;
mod stats;

pub use by_region::{ByRegion, KnownRegion, RuntimeBuffer};
pub use capability::{Capability, Parts};
pub use config::Config;
pub use shared::SharedPinned;
pub use stats::CapabilityStats;
