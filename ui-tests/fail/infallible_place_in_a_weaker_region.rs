//! A region that promises 16 bytes cannot hold a buffer aligned to 64.

use std::alloc::Layout;
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocResult, AllocStats, MemoryRegion, Place, System, TypedRegion};

struct Weak;

// SAFETY: it is `System`, by another name.
unsafe impl MemoryRegion for Weak {
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

impl TypedRegion for Weak {
    type MaxAlign = Align<16>;
}

fn main() {
    let _ = Place::<Align<64>>::new().within(&Weak).zeroed::<f32>(100);
    let _ = Weak.alloc_typed::<f32, Align<64>>(100);
}
