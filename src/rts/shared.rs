//! [`SharedPinned`].

use alloc::sync::Arc;
use core::alloc::Layout;
use core::ops::Deref;
use core::ptr::NonNull;

use crate::error::AllocResult;
use crate::pinned::PinnedHeap;
use crate::region::{MemoryRegion, RegionKind, TypedRegion};
use crate::stats::AllocStats;

/// A Pinned Heap that several [capabilities](super::Capability) share, of any threads: behind an `Arc`, or in a
/// `static`, as the program's [global allocator](crate::PinnedGlobal) is. It is a region, so buffers can hold it.
///
/// ```
/// use bhc_rts_alloc::{Align, Capability, Config, MemoryRegion, PinnedGlobal, Place};
///
/// #[global_allocator]
/// static GLOBAL: PinnedGlobal = PinnedGlobal::new();
///
/// let heap = GLOBAL.heap().expect("it has been used");
/// let capability = Config::new().share_pinned(heap).build();
/// // What a buffer holds may go to another thread.
/// let buffer = Place::<Align<64>>::new().within(capability.pinned().clone()).zeroed::<f32>(100);
/// std::thread::spawn(move || drop(buffer)).join().unwrap();
/// ```
#[derive(Clone, Debug)]
pub enum SharedPinned {
    /// It goes with the last who shares it.
    Counted(Arc<PinnedHeap>),
    /// It is there for ever.
    Static(&'static PinnedHeap),
}

static_assertions::assert_impl_all!(SharedPinned: Send, Sync);

impl From<Arc<PinnedHeap>> for SharedPinned {
    fn from(heap: Arc<PinnedHeap>) -> Self {
        Self::Counted(heap)
    }
}

impl From<&'static PinnedHeap> for SharedPinned {
    fn from(heap: &'static PinnedHeap) -> Self {
        Self::Static(heap)
    }
}

impl Deref for SharedPinned {
    type Target = PinnedHeap;

    #[inline(always)]
    fn deref(&self) -> &PinnedHeap {
        match self {
            Self::Counted(heap) => heap,
            Self::Static(heap) => heap,
        }
    }
}

// SAFETY: every method is that of one heap, always the same, which keeps the contract and lives as long as whoever shares
// it. A clone is the same heap.
unsafe impl MemoryRegion for SharedPinned {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        (**self).alloc(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is about this same heap.
        unsafe { (**self).dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        // SAFETY: the caller's promise is about this same heap.
        unsafe { (**self).realloc(ptr, old_layout, new_size) }
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        (**self).alloc_zeroed(layout)
    }

    fn stats(&self) -> AllocStats {
        (**self).stats()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::Pinned
    }
}

impl TypedRegion for SharedPinned {
    type MaxAlign = <PinnedHeap as TypedRegion>::MaxAlign;
}
