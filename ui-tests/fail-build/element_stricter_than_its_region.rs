//! The region promises 64 bytes, which is enough for the buffer's alignment and not for the element's own.

use std::alloc::Layout;
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocResult, AllocStats, MemoryRegion, Place, System, TypedRegion};

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

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct PageTable([u64; 512]);

fn main() {
    let _ = Place::<Align<64>>::new().within(&Line64).filled(2, PageTable([0; 512]));
}
