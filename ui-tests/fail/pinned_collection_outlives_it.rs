//! A collection whose allocator is a heap goes before the heap does.

use allocator_api2::vec::Vec;
use bhc_rts_alloc::PinnedHeap;
use hashbrown::{DefaultHashBuilder, HashMap};

fn table<'h>() -> HashMap<u32, u32, DefaultHashBuilder, &'h PinnedHeap> {
    let heap = PinnedHeap::new();
    HashMap::new_in(&heap)
}

fn main() {
    let mut kept = Vec::new_in(&PinnedHeap::new());
    kept.push(1);
    drop(table());
}
