//! Mapping memory from the system.

use core::alloc::Layout;
use core::ptr::NonNull;

/// Maps fresh zeroed pages with that `access`, and `flags` besides the usual. Size and alignment are multiples of a page's.
/// `None` if the system refuses.
#[cfg(all(unix, not(miri)))]
pub(super) fn map_aligned(layout: Layout, access: libc::c_int, flags: libc::c_int) -> Option<NonNull<u8>> {
    let (size, align) = (layout.size(), layout.align());
    // The system aligns to a page: so much more that there is an aligned part, of which the rest is given back.
    let gross = size.checked_add(align)?;
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, wherever the system wants.
    let start = unsafe { libc::mmap(core::ptr::null_mut(), gross, access, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let start = start.cast::<u8>();
    let before = crate::align::align_up(start.addr(), align) - start.addr();
    // SAFETY: the parts before and after the aligned one, which are whole pages of the new mapping.
    unsafe {
        let block = start.add(before);
        for (part, size) in [(start, before), (block.add(size), align - before)] {
            if size != 0 {
                libc::munmap(part.cast(), size);
            }
        }
        NonNull::new(block)
    }
}

/// Maps fresh zeroed pages and asks for them to be huge. Size and alignment are multiples of a page's. `None` if the system
/// refuses.
#[cfg(all(unix, not(miri)))]
pub(crate) fn map_huge(layout: Layout) -> Option<NonNull<u8>> {
    let block = map_aligned(layout, libc::PROT_READ | libc::PROT_WRITE, 0)?;
    // Advice: a system without huge pages says no, and its pages are as good.
    #[cfg(target_os = "linux")]
    // SAFETY: the new mapping.
    unsafe {
        libc::madvise(block.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE);
    }
    Some(block)
}

/// Takes a mapping away.
///
/// # Safety
/// What [`map_huge`] gave for this layout, not used afterwards.
#[cfg(all(unix, not(miri)))]
pub(crate) unsafe fn unmap(block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(block.as_ptr().cast(), layout.size()) };
}

#[cfg(not(all(unix, not(miri))))]
pub(crate) fn map_huge(layout: Layout) -> Option<NonNull<u8>> {
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
}

/// # Safety
/// What [`map_huge`] gave for this layout, not used afterwards.
#[cfg(not(all(unix, not(miri))))]
pub(crate) unsafe fn unmap(block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { std::alloc::dealloc(block.as_ptr(), layout) };
}
