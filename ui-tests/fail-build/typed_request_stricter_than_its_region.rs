//! As `element_stricter_than_its_region`, for a raw typed request.

use std::alloc::Layout;
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocResult, AllocStats, MemoryRegion, System, TypedRegion};

struct Line64;

// SAFETY: it is `System`, by another name.
unsafe impl MemoryRegion for Line64 {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
    fn stats(&self) -> AllocStats {
        System.stats()
    }
}

impl TypedRegion for Line64 {
    type MaxAlign = Align<64>;
}

#[repr(align(4096))]
struct PageTable;

fn main() {
    let _ = Line64.alloc_typed::<PageTable, Align<64>>(1);
}
