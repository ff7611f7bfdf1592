//! Buffers trust a region, so whoever writes one signs for it.

use std::alloc::Layout;
use std::ptr::NonNull;

use bhc_rts_alloc::{AllocResult, AllocStats, MemoryRegion};

struct Null;

impl MemoryRegion for Null {
    fn alloc(&self, _: Layout) -> AllocResult<NonNull<u8>> {
        Ok(NonNull::dangling())
    }
    unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {}
    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }
}

fn main() {}
