//! [`SharedPinned`].

use alloc::sync::Arc;
use core::alloc::Layout;
use core::fmt;
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
/// let text = String::from("in the program's heap");
/// let heap = GLOBAL.heap().expect("it has been used");
/// let capability = Config::new().share_pinned(heap).build();
/// assert!(capability.pinned().contains(text.as_ptr()));
/// // What a buffer holds may go to another thread.
/// let buffer = Place::<Align<64>>::new().within(capability.pinned().clone()).zeroed::<f32>(100);
/// std::thread::spawn(move || drop(buffer)).join().unwrap();
/// ```
#[derive(Clone)]
pub struct SharedPinned {
    /// Lives as long as `counted`, or for ever without. As a pointer, so that no allocation asks which.
    heap: NonNull<PinnedHeap>,
    counted: Option<Arc<PinnedHeap>>,
}

// SAFETY: it stands for an `Arc<PinnedHeap>` or a `&PinnedHeap`, which both may be sent and shared.
unsafe impl Send for SharedPinned {}
// SAFETY: as above.
unsafe impl Sync for SharedPinned {}

static_assertions::assert_impl_all!(Arc<PinnedHeap>: Send, Sync);

impl From<Arc<PinnedHeap>> for SharedPinned {
    fn from(heap: Arc<PinnedHeap>) -> Self {
        Self { heap: NonNull::from(&*heap), counted: Some(heap) }
    }
}

impl From<&'static PinnedHeap> for SharedPinned {
    fn from(heap: &'static PinnedHeap) -> Self {
        Self { heap: NonNull::from(heap), counted: None }
    }
}

impl Deref for SharedPinned {
    type Target = PinnedHeap;

    #[inline(always)]
    fn deref(&self) -> &PinnedHeap {
        // SAFETY: it lives as long as this, which nobody has as `&mut`.
        unsafe { self.heap.as_ref() }
    }
}

impl fmt::Debug for SharedPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owners = self.counted.as_ref().map(Arc::strong_count);
        f.debug_struct("SharedPinned").field("heap", &**self).field("owners", &owners).finish()
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
