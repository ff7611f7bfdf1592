//! The runtime's side: one mutator's regions, chosen from at run time.
//!
//! | module | the promise |
//! |---|---|
//! | `contracts` | whatever way a region is chosen at run time, it is a memory region; of no region there is none |
//! | `requests` | at any size and alignment `Capability::alloc` gives a block or says why not, and counts it once |
//! | `side_by_side` | regions of a capability are used at once; a pinned heap is shared, whoever of them ends first |
//! | `config` | what a configuration is told has its effect, and one that cannot be built leaves nothing behind |
//! | `buffers` | a buffer chosen at run time becomes a typed one exactly if it is one, and no byte moves |
//! | `model` | random programs of such buffers do what they do on `Vec`s, and the statistics are exact |
//! | `stats` | the statistics of all regions are a table of known form, and data |
//!
//! The process allocator's statistics are those of the process. What looks at them runs [`by_itself`].

#[path = "common/child.rs"]
mod child;
#[path = "common/contract.rs"]
mod contract;

#[path = "rts/buffers.rs"]
mod buffers;
#[path = "rts/config.rs"]
mod config;
#[path = "rts/contracts.rs"]
mod contracts;
#[path = "rts/model.rs"]
mod model;
#[path = "rts/requests.rs"]
mod requests;
#[path = "rts/side_by_side.rs"]
mod side_by_side;
#[path = "rts/stats.rs"]
mod stats;

use bhc_rts_alloc::{Capability, RegionKind};
use child::{child_is_to, in_a_child, skipped};

/// The kinds that a capability has regions of.
const KINDS: [RegionKind; 4] = [RegionKind::System, RegionKind::HotArena, RegionKind::Pinned, RegionKind::General];

/// Runs a test in a process of its own, where nobody else uses the process allocator. Of the test: its name without
/// modules, and the [`module_path!`] of where it is.
fn by_itself(module: &str, name: &str, test: impl FnOnce()) {
    if child_is_to().is_some() {
        return test();
    }
    let (_, module) = module.split_once("::").expect("a test is in a module of its program");
    let name = format!("{module}::{name}");
    let output = in_a_child(&name, "be alone");
    let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{told}{complaints}", output.status);
    assert!(told.contains("1 passed"), "{name} is no test:\n{told}");
    complaints.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).for_each(skipped);
}

/// Everything that was allocated has been given back.
#[track_caller]
fn expect_empty(capability: &Capability, kind: RegionKind) {
    let stats = capability.region(kind).stats();
    assert_eq!((stats.current_live, stats.total_allocated), (0, stats.total_deallocated), "{kind:?}: {stats:?}");
    assert_eq!(stats.allocation_count, stats.deallocation_count, "{kind:?}: {stats:?}");
}
