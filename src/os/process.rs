//! The process allocator: whatever `#[global_allocator]` is, with the fault hook in front.
//!
//! Plain forwarding, without counting; sizes are never zero here. `None` is "no memory".

use core::alloc::Layout;
use core::ptr::NonNull;

/// Whether the fault hook wants this request to fail. Nothing at all without the feature `checked`.
#[inline]
fn struck() -> bool {
    #[cfg(feature = "checked")]
    return super::fault::strikes();
    #[cfg(not(feature = "checked"))]
    false
}

/// # Safety
/// `layout.size()` is not zero.
#[inline]
pub(crate) unsafe fn alloc(layout: Layout) -> Option<NonNull<u8>> {
    if struck() {
        return None;
    }
    // SAFETY: not zero, by the caller's promise.
    NonNull::new(unsafe { alloc::alloc::alloc(layout) })
}

/// # Safety
/// As [`alloc`].
#[inline]
pub(crate) unsafe fn alloc_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    if struck() {
        return None;
    }
    // SAFETY: not zero, by the caller's promise.
    NonNull::new(unsafe { alloc::alloc::alloc_zeroed(layout) })
}

/// # Safety
/// `ptr` came from this module with `old`, which it is not used with again on `Some`; `new_size` is not zero and makes a
/// valid layout with `old.align()`.
#[inline]
pub(crate) unsafe fn realloc(ptr: NonNull<u8>, old: Layout, new_size: usize) -> Option<NonNull<u8>> {
    if struck() {
        return None;
    }
    // SAFETY: the caller's promise is that of `realloc`.
    NonNull::new(unsafe { alloc::alloc::realloc(ptr.as_ptr(), old, new_size) })
}

/// # Safety
/// `ptr` came from this module with `layout` and is not used again.
#[inline]
pub(crate) unsafe fn dealloc(ptr: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise is that of `dealloc`.
    unsafe { alloc::alloc::dealloc(ptr.as_ptr(), layout) };
}
