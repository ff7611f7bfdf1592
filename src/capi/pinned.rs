//! The Pinned Heap: one for the process, that all threads and capabilities share.

use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::NonNull;

use super::error::{BhcStatus, Failure, answer, fail, pointer, status};
use super::stats::BhcRegionStats;
use super::{layout, valid_layout};
use crate::error::{AllocError, AllocResult};
use crate::pinned::{MAX_ALIGN, PinnedGlobal, PinnedHeap};
use crate::region::MemoryRegion;

/// Made when it is first used, and never dropped.
static HEAP: PinnedGlobal = PinnedGlobal::new();

/// The heap, made if need be.
pub(super) fn shared() -> Result<&'static PinnedHeap, Failure> {
    Ok(HEAP.made_of(PinnedHeap::builder())?.0)
}

/// What the Pinned Heap is to be, before it is first used: the most memory that its blocks may take, in bytes, and the
/// addresses that it reserves. 0: as usual. Later, or a second time: `BHC_STATUS_ALREADY_IN_USE`.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_pinned_configure(limit: usize, reserve: usize) -> BhcStatus {
    status(|| {
        let mut builder = PinnedHeap::builder();
        if limit != 0 {
            builder = builder.limit(limit);
        }
        if reserve != 0 {
            builder = builder.reserve(reserve);
        }
        match HEAP.made_of(builder)? {
            (_, true) => Ok(()),
            (_, false) => Err(Failure::AlreadyInUse),
        }
    })
}

/// Allocates by `take`; `or` is the same with its reason. The heap does not unwind, so there is nothing to catch.
#[inline(always)]
fn allocate(
    size: usize,
    align: usize,
    take: impl FnOnce(&PinnedHeap, Layout) -> Option<NonNull<u8>>,
    or: fn(&PinnedHeap, Layout) -> AllocResult<NonNull<u8>>,
) -> *mut c_void {
    let Some(layout) = valid_layout(size, align) else { return allocate_first(size, align, or) };
    let Some(heap) = HEAP.heap() else { return allocate_first(size, align, or) };
    match take(heap, layout) {
        Some(block) => pointer(block),
        None => refused(heap, layout),
    }
}

/// What is wrong, or the first allocation of all.
#[cold]
#[inline(never)]
fn allocate_first(
    size: usize,
    align: usize,
    alloc: fn(&PinnedHeap, Layout) -> AllocResult<NonNull<u8>>,
) -> *mut c_void {
    answer(|| {
        let layout = layout(size, align)?;
        Ok(pointer(alloc(shared()?, layout)?))
    })
}

#[cold]
#[inline(never)]
fn refused(heap: &PinnedHeap, layout: Layout) -> *mut c_void {
    fail(heap.refusal(layout).into())
}

/// Allocates `size` bytes, aligned to `align`, that never move. Any thread may free them.
///
/// cbindgen:postfix=BHC_ALLOCATES(1, 2)
#[unsafe(no_mangle)]
pub extern "C" fn bhc_pinned_alloc(size: usize, align: usize) -> *mut c_void {
    allocate(size, align, PinnedHeap::take, PinnedHeap::alloc)
}

/// As [`bhc_pinned_alloc`], and every byte is zero. Large blocks are not written for that.
///
/// cbindgen:postfix=BHC_ALLOCATES(1, 2)
#[unsafe(no_mangle)]
pub extern "C" fn bhc_pinned_alloc_zeroed(size: usize, align: usize) -> *mut c_void {
    allocate(size, align, PinnedHeap::take_zeroed, PinnedHeap::alloc_zeroed)
}

/// A live block, of the heap that is known to be there. `None` for what has no block: null, and what came of size zero.
fn block_of(block: *mut c_void, size: usize) -> Result<Option<(&'static PinnedHeap, NonNull<u8>)>, Failure> {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return Ok(None) };
    if size == 0 {
        return Ok(None);
    }
    match HEAP.heap() {
        // What C has may have come through another pointer: the heap's own is as good.
        Some(heap) if heap.owns(block) => Ok(Some((heap, heap.own(block)))),
        _ => Err(Failure::Invalid("the block is not in the pinned heap")),
    }
}

/// Changes the size of a block, in place or by moving it; the alignment stays. The first `min(old_size, new_size)` bytes
/// are kept. Null: it failed, and the block is as before. From null, or from size 0, it is an allocation; to size 0 a
/// deallocation, which answers an aligned address.
///
/// # Safety
/// A live block that this heap gave with `old_size` and `align`; unless the answer is null it is not used afterwards.
///
/// cbindgen:postfix=BHC_REALLOCATES(4, 3)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_pinned_realloc(
    block: *mut c_void,
    old_size: usize,
    align: usize,
    new_size: usize,
) -> *mut c_void {
    answer(|| {
        let old = layout(old_size, align)?;
        let new = layout(new_size, align)?;
        let moved = match block_of(block, old_size)? {
            None => shared()?.alloc(new)?,
            // SAFETY: the caller's promise.
            Some((heap, block)) => unsafe { heap.realloc(block, old, new_size)? },
        };
        Ok(pointer(moved))
    })
}

/// Gives a block back, with the size and the alignment that it was allocated with. To free null, or what came of size 0,
/// does nothing. What is not this heap's memory is refused: `BHC_STATUS_INVALID_ARGUMENT`.
///
/// What is its memory and no live block of that layout is found when it goes back to its span, and ends the program.
///
/// # Safety
/// A live block that this heap gave with `size` and `align`, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_pinned_free(block: *mut c_void, size: usize, align: usize) -> BhcStatus {
    if size != 0
        && let Some(layout) = valid_layout(size, align)
        && let Some(heap) = HEAP.heap()
        && let Some(block) = NonNull::new(block.cast())
        && heap.owns(block)
    {
        // SAFETY: the caller's promise. What C has may have come through another pointer: the heap's own is as good.
        unsafe { heap.give(heap.own(block), layout) };
        return BhcStatus::Ok;
    }
    free_nothing(block, size, align)
}

/// What is wrong, or no block.
#[cold]
#[inline(never)]
fn free_nothing(block: *mut c_void, size: usize, align: usize) -> BhcStatus {
    status(|| {
        if block.is_null() {
            return Ok(());
        }
        layout(size, align)?;
        block_of(block, size).map(|_| ())
    })
}

/// How many bytes a block of that size and alignment takes, for whoever has a use for all of them: they are to be asked for,
/// as [`bhc_pinned_alloc`] tells the compiler what was, and it costs nothing. 0 for what is no layout, or has no size.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_pinned_usable_size(size: usize, align: usize) -> usize {
    answer(|| match PinnedHeap::usable_size(layout(size, align)?) {
        _ if align > MAX_ALIGN => Err(AllocError::UnsupportedAlignment(align).into()),
        bytes if bytes > isize::MAX as usize => Err(AllocError::Overflow.into()),
        bytes => Ok(bytes),
    })
}

/// A segment of the Pinned Heap's memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BhcSegment {
    /// Its number.
    pub index: usize,
    /// Where it starts, a multiple of its size.
    pub start: *mut c_void,
    /// Its size, in bytes.
    pub size: usize,
}

/// In which segment an address is, and how far into it, in bytes: for devices that know memory by segments. Either of
/// `segment` and `offset` may be null. What is not memory of the heap is `BHC_STATUS_INVALID_ARGUMENT`.
///
/// # Safety
/// `segment` and `offset` are null or point to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_pinned_locate(
    address: *const c_void,
    segment: *mut BhcSegment,
    offset: *mut usize,
) -> BhcStatus {
    status(|| {
        let found = HEAP.heap().and_then(|heap| heap.locate(address.cast()));
        let (found, distance) = found.ok_or(Failure::Invalid("the address is not in the pinned heap"))?;
        // SAFETY: the caller's promise.
        unsafe {
            if !segment.is_null() {
                let (index, size) = (found.index, found.size);
                segment.write(BhcSegment { index, start: pointer(found.start), size });
            }
            if !offset.is_null() {
                offset.write(distance);
            }
        }
        Ok(())
    })
}

/// Gives back to the system what is not in use.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_pinned_trim() -> BhcStatus {
    status(|| {
        if let Some(heap) = HEAP.heap() {
            heap.trim();
        }
        Ok(())
    })
}

/// The statistics of the Pinned Heap.
///
/// # Safety
/// `stats` is null or points to memory for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_pinned_stats(stats: *mut BhcRegionStats) -> BhcStatus {
    status(|| {
        if stats.is_null() {
            return Err(Failure::Null("stats"));
        }
        let of_heap = HEAP.heap().map(|heap| heap.stats()).unwrap_or_default();
        // SAFETY: the caller's promise.
        unsafe { stats.write(of_heap.into()) };
        Ok(())
    })
}
