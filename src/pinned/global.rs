//! [`PinnedGlobal`]: a heap as the program's global allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::ptr::{NonNull, null_mut};

use super::builder::PinnedHeapBuilder;
use super::cells;
use super::heap::PinnedHeap;
use crate::error::{AllocError, AllocResult};
use crate::sync::{AtomicPtr, Ordering::*};

/// A [`PinnedHeap`] that is made when it is first used, and never dropped: for a `static`, above all for the global allocator.
///
/// The heap takes nothing from the global allocator itself, and can be used in the destructors of thread-locals.
///
/// ```
/// use bhc_rts_alloc::{MemoryRegion, PinnedGlobal};
///
/// #[global_allocator]
/// static GLOBAL: PinnedGlobal = PinnedGlobal::new();
///
/// let text = String::from("in the pinned heap");
/// let heap = GLOBAL.heap().expect("it has been used");
/// assert!(heap.contains(text.as_ptr()));
/// assert!(heap.stats().current_live >= text.len());
/// ```
pub struct PinnedGlobal {
    /// In a cell of its own; null until it is made.
    heap: AtomicPtr<PinnedHeap>,
}

impl PinnedGlobal {
    /// Makes nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: AtomicPtr::new(null_mut()) }
    }

    /// The heap, if it has been used.
    #[must_use]
    pub fn heap(&self) -> Option<&PinnedHeap> {
        // SAFETY: what is stored there was made before, with a release, and is never dropped.
        unsafe { self.heap.load(Acquire).as_ref() }
    }

    #[inline(always)]
    fn made(&self) -> Option<&PinnedHeap> {
        match self.heap() {
            Some(heap) => Some(heap),
            None => self.made_of(PinnedHeap::builder()).ok().map(|(heap, _)| heap),
        }
    }

    /// The heap, and whether it was made now, of `builder`.
    #[cold]
    #[inline(never)]
    pub(crate) fn made_of(&self, builder: PinnedHeapBuilder) -> AllocResult<(&PinnedHeap, bool)> {
        if let Some(heap) = self.heap() {
            return Ok((heap, false));
        }
        let refused = AllocError::OutOfMemory { requested: size_of::<PinnedHeap>(), available: 0 };
        let cell = cells::put(MaybeUninit::<PinnedHeap>::uninit()).ok_or(refused)?;
        let heap = match builder.try_build() {
            Ok(heap) => heap,
            Err(error) => {
                // SAFETY: nobody else has it.
                unsafe { cells::give_back(cell) };
                return Err(error);
            }
        };
        let cell = cell.cast::<PinnedHeap>();
        // SAFETY: a cell for a heap, which nobody else has.
        unsafe { cell.write(heap) };
        match self.heap.compare_exchange(null_mut(), cell.as_ptr(), AcqRel, Acquire) {
            // SAFETY: just made, and never dropped now.
            Ok(_) => Ok((unsafe { cell.as_ref() }, true)),
            // Another thread was first.
            Err(first) => {
                // SAFETY: ours is known to nobody; the other's is as above.
                unsafe {
                    cell.drop_in_place();
                    cells::give_back(cell);
                    Ok((&*first, false))
                }
            }
        }
    }
}

impl Default for PinnedGlobal {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for PinnedGlobal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("PinnedGlobal").field(&self.heap()).finish()
    }
}

fn or_null(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(null_mut(), NonNull::as_ptr)
}

// SAFETY: the blocks are the heap's, which keeps the same promises and does not unwind; it is never dropped.
unsafe impl GlobalAlloc for PinnedGlobal {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        or_null(self.made().and_then(|heap| heap.take(layout)))
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        or_null(self.made().and_then(|heap| heap.take_zeroed(layout)))
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let (Some(heap), Some(block)) = (self.heap(), NonNull::new(block)) {
            // SAFETY: the caller's promise.
            unsafe { heap.give(heap.own(block), layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let (Some(heap), Some(block)) = (self.heap(), NonNull::new(block)) else { return null_mut() };
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else { return null_mut() };
        // SAFETY: the caller's promise: neither size is 0.
        or_null(unsafe { heap.resize(heap.own(block), layout, new_layout) })
    }
}
