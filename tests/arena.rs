//! The Hot Arena: the contract of a region, its bug classes, scopes at every depth, statistics, collections.

#[path = "common/contract.rs"]
mod contract;

use bhc_rts_alloc::{Align, HotArena};
use contract::Limits;

/// Runs a test as it is: each has an arena of its own, with statistics of its own.
fn here(test: impl FnOnce()) {
    test();
}

const LIMITS: Limits = Limits { max_align: 1 << 16, max_size: 1 << 18 };

contract_tests!(growing, make = HotArena::new(), limits = LIMITS, run = here);
contract_tests!(of_vectors, make = HotArena::<Align<64>>::default(), limits = LIMITS, run = here);
contract_tests!(of_bytes, make = HotArena::<Align<1>>::default(), limits = LIMITS, run = here);
