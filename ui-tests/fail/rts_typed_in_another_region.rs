//! A buffer whose region was chosen at run time becomes one over a region that a `ByRegion` may be, and no other.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;

use bhc_rts_alloc::{
    Align, AllocResult, AllocStats, Capability, HotArena, MemoryRegion, PinnedHeap, RuntimeBuffer, System,
};

struct Own;

unsafe impl MemoryRegion for Own {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
    fn stats(&self) -> AllocStats {
        System.stats()
    }
}

fn behind_dyn(buffer: RuntimeBuffer<'_, f32>) {
    let _ = buffer.try_into_typed::<Align<64>, &dyn MemoryRegion>();
}

fn shared(buffer: RuntimeBuffer<'_, f32>) {
    let _ = buffer.try_into_typed::<Align<64>, Arc<PinnedHeap>>();
}

fn own(buffer: RuntimeBuffer<'_, f32>) {
    let _ = buffer.try_into_region::<Own>();
}

fn arena_of_vectors(buffer: RuntimeBuffer<'_, f32>) {
    let _ = buffer.try_into_region::<&HotArena<Align<64>>>();
}

fn main() {
    let _ = Capability::new();
}
