//! The hot paths of the Pinned Heap.

use core::alloc::Layout;
use core::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocResult, MemoryRegion, PinnedHeap, SimdBuffer};

const SMALL: Layout = Layout::new::<[u64; 8]>();
const PAGE: Layout = match Layout::from_size_align(100, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!(),
};

/// A block of a layout that is known here.
#[inline(never)]
pub fn alloc_const(heap: &PinnedHeap) -> Option<NonNull<u8>> {
    heap.alloc(SMALL).ok()
}

/// The same, better aligned than it is long.
#[inline(never)]
pub fn alloc_aligned_const(heap: &PinnedHeap) -> Option<NonNull<u8>> {
    heap.alloc(PAGE).ok()
}

/// Frees such a block.
///
/// # Safety
/// As for [`MemoryRegion::dealloc`].
#[inline(never)]
pub unsafe fn dealloc_const(heap: &PinnedHeap, block: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { heap.dealloc(block, SMALL) };
}

/// The same, better aligned than it is long.
///
/// # Safety
/// As for [`MemoryRegion::dealloc`].
#[inline(never)]
pub unsafe fn dealloc_aligned_const(heap: &PinnedHeap, block: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { heap.dealloc(block, PAGE) };
}

/// A layout of run time.
#[inline(never)]
pub fn alloc_any(heap: &PinnedHeap, layout: Layout) -> Option<NonNull<u8>> {
    heap.alloc(layout).ok()
}

/// Frees a block of a layout of run time.
///
/// # Safety
/// As for [`MemoryRegion::dealloc`].
#[inline(never)]
pub unsafe fn dealloc_any(heap: &PinnedHeap, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { heap.dealloc(block, layout) };
}

/// By the trait's answer, which goes through memory.
#[inline(never)]
pub fn alloc_by_trait(heap: &PinnedHeap) -> AllocResult<NonNull<u8>> {
    MemoryRegion::alloc(heap, SMALL)
}

/// A block that is freed at once.
#[inline(never)]
pub fn pair(heap: &PinnedHeap, value: u8) -> Option<u8> {
    let block = heap.alloc(SMALL).ok()?;
    // SAFETY: a fresh block, which is freed with its layout.
    unsafe {
        block.as_ptr().write_volatile(value);
        let value = block.as_ptr().read_volatile();
        heap.dealloc(block, SMALL);
        Some(value)
    }
}

/// A buffer of a size that is known here goes.
#[inline(never)]
pub fn drop_buffer(buffer: SimdBuffer<f32, Align<64>, &PinnedHeap>) {
    drop(buffer);
}
