//! Where [`System`](super::System)'s blocks come from and go to: what this thread kept, or the process allocator through
//! [`offset`]. `None` is "no memory"; nothing is counted here.

use alloc::alloc as process;
use core::alloc::Layout;
use core::ptr::NonNull;

use super::offset;
#[cfg(feature = "std")]
use super::thread::{keep, take};

/// Where there are no threads nothing is kept.
#[cfg(not(feature = "std"))]
fn take(_class: usize) -> Option<NonNull<u8>> {
    None
}
#[cfg(not(feature = "std"))]
fn keep(_class: usize, _block: NonNull<u8>) -> bool {
    false
}

/// # Safety
/// `layout.size()` is not zero.
#[inline]
pub(super) unsafe fn alloc(layout: Layout) -> Option<NonNull<u8>> {
    if crate::os::struck() {
        return None;
    }
    if let Some(block) = offset::class_of(layout).and_then(take) {
        return Some(block);
    }
    // SAFETY: the caller's promise.
    unsafe { offset::obtain(layout, process::alloc) }
}

/// # Safety
/// `layout.size()` is not zero.
#[inline]
pub(super) unsafe fn alloc_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    if crate::os::struck() {
        return None;
    }
    if let Some(block) = offset::class_of(layout).and_then(take) {
        // SAFETY: a block of the class, which is at least as long.
        unsafe { block.write_bytes(0, layout.size()) };
        return Some(block);
    }
    // SAFETY: the caller's promise.
    unsafe { offset::obtain(layout, process::alloc_zeroed) }
}

/// # Safety
/// `ptr` came from this module with `layout`, and is not used again.
#[inline]
pub(super) unsafe fn dealloc(ptr: NonNull<u8>, layout: Layout) {
    if !offset::class_of(layout).is_some_and(|class| keep(class, ptr)) {
        // SAFETY: all blocks are made by `offset`; the rest is the caller's promise.
        unsafe { offset::give_back(ptr, layout) };
    }
}

/// # Safety
/// As [`offset::realloc`].
pub(super) unsafe fn realloc(ptr: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
    if crate::os::struck() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { offset::realloc(ptr, old, new) }
}
