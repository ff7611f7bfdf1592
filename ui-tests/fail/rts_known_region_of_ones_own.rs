//! What comes out of a `ByRegion` frees the blocks of what went in, so nobody else says what that is.

use std::alloc::Layout;
use std::ptr::NonNull;

use bhc_rts_alloc::{AllocResult, AllocStats, ByRegion, KnownRegion, MemoryRegion, System};

struct Own;

unsafe impl MemoryRegion for Own {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {}
    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }
}

impl From<Own> for ByRegion<'_> {
    fn from(_: Own) -> Self {
        Self::System
    }
}

impl<'r> KnownRegion<'r> for Own {
    fn recover(_: ByRegion<'r>) -> Result<Self, ByRegion<'r>> {
        Ok(Own)
    }
}

fn main() {}
