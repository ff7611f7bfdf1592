//! Over-aligned blocks out of an allocator that is good at 16-byte alignment only.
//!
//! # Note: why not simply ask for the alignment
//! `std::alloc` above the alignment that `malloc` gives turns into `posix_memalign`, which knows neither `calloc`
//! nor `realloc`: a zeroed block is written byte by byte, and growing is allocate, copy, free. For 64 MiB that is 26 ms
//! instead of 6 µs, and 16 ms instead of 0.1 ms. It is also slow for small blocks: glibc serves it past its thread cache
//! (54 ns for 1 KiB where `malloc` and `free` of the larger block below take 17).
//!
//! So a block of `size` bytes at `align` is cut out of a *base* block of `size + align` bytes that `malloc` aligns:
//!
//! ```text
//! base                        ptr = align_up(base + MALLOC_ALIGN, align)
//! |<----- offset: MALLOC_ALIGN ..= align ----->|<------- size ------->|
//! |                            | base pointer  |
//! ```
//!
//! Invariants of an offset block, on which every function here relies:
//! * O1. `base` is aligned to `MALLOC_ALIGN`, hence `MALLOC_ALIGN <= ptr - base <= align`: the block ends inside the base.
//! * O2. The word in front of `ptr` holds `base`, with the provenance of the whole base block.
//! * O3. Which blocks are offset, and the size of their base, follows from the layout alone.
//!
//! A base block may be grown by `realloc` (by `mremap`, for large ones): pages move and nothing is copied. Only if the
//! new base is aligned differently do the bytes have to be shifted.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::align::align_up;
use crate::os::process;

/// What `malloc` aligns to: two words, on all targets that matter.
pub(super) const MALLOC_ALIGN: usize = 2 * size_of::<usize>();

/// Up to this alignment every block is offset. Above it, only those large enough that `align` more bytes do not
/// matter: a 4 KiB block at 4 KiB would take two pages where the allocator needs one.
const SMALL_ALIGN: usize = 256;
const LARGE_FACTOR: usize = 32;

/// The base layout of a block that is to be offset; `None` for a block that the allocator aligns itself (O3).
#[inline]
pub(super) fn base_layout(layout: Layout) -> Option<Layout> {
    let (size, align) = (layout.size(), layout.align());
    if align <= MALLOC_ALIGN || (align > SMALL_ALIGN && size / LARGE_FACTOR < align) {
        return None;
    }
    // A layout may be so large that its base is not one; the allocator then refuses the plain request, as it would the
    // base. The answer depends on the layout alone, as it must.
    Layout::from_size_align(size.checked_add(align)?, MALLOC_ALIGN).ok()
}

/// Makes the block out of its base (O1), and writes the base pointer in front of it (O2).
///
/// # Safety
/// `base` is a live block of `base_layout(layout)`.
#[inline]
unsafe fn cut(base: NonNull<u8>, align: usize) -> NonNull<u8> {
    let address = base.addr().get();
    let offset = align_up(address + MALLOC_ALIGN, align) - address;
    // SAFETY: by O1 the offset is at least one word and within the base block, and `ptr` is aligned to more than a word.
    unsafe {
        let ptr = base.add(offset);
        ptr.cast::<NonNull<u8>>().sub(1).write(base);
        ptr
    }
}

/// The base of an offset block (O2).
///
/// # Safety
/// `ptr` is the pointer that [`cut`] gave, for a block that is live.
#[inline]
unsafe fn base_of(ptr: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: O2, and the pointer still has the provenance of the base by the caller's promise.
    unsafe { ptr.cast::<NonNull<u8>>().sub(1).read() }
}

/// # Safety
/// `layout.size()` is not zero.
#[inline]
pub(super) unsafe fn alloc(layout: Layout) -> Option<NonNull<u8>> {
    match base_layout(layout) {
        // SAFETY: neither layout has size zero; the base is live.
        Some(base) => unsafe { Some(cut(process::alloc(base)?, layout.align())) },
        // SAFETY: not zero, by the caller's promise.
        None => unsafe { process::alloc(layout) },
    }
}

/// # Safety
/// `layout.size()` is not zero.
#[inline]
pub(super) unsafe fn alloc_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    match base_layout(layout) {
        // SAFETY: neither layout has size zero; the base is live, and the word that `cut` writes is not in the block.
        Some(base) => unsafe { Some(cut(process::alloc_zeroed(base)?, layout.align())) },
        // SAFETY: not zero, by the caller's promise.
        None => unsafe { process::alloc_zeroed(layout) },
    }
}

/// # Safety
/// `ptr` came from this module with `layout`, and is not used again.
#[inline]
pub(super) unsafe fn dealloc(ptr: NonNull<u8>, layout: Layout) {
    match base_layout(layout) {
        // SAFETY: by O3 the block is offset and its base has this layout.
        Some(base) => unsafe { process::dealloc(base_of(ptr), base) },
        // SAFETY: by O3 the allocator gave the block itself.
        None => unsafe { process::dealloc(ptr, layout) },
    }
}

/// # Safety
/// `ptr` came from this module with `old` and is not used again on `Some`; `new` has the same alignment; neither size is
/// zero.
pub(super) unsafe fn realloc(ptr: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
    let kept = old.size().min(new.size());
    match (base_layout(old), base_layout(new)) {
        // SAFETY: both are the allocator's own blocks (O3).
        (None, None) => unsafe { process::realloc(ptr, old, new.size()) },
        // SAFETY: both are offset (O3). `kept` bytes from the old offset lie in the new base too: by O1 the offset is at
        // most `align`, and the new base is at least `kept + align` long. They are moved before the word in front of the
        // new place is written, which may lie among them.
        (Some(old_base), Some(new_base)) => unsafe {
            let base = base_of(ptr);
            let old_offset = ptr.addr().get() - base.addr().get();
            let base = process::realloc(base, old_base, new_base.size())?;
            let address = base.addr().get();
            let new_offset = align_up(address + MALLOC_ALIGN, new.align()) - address;
            if new_offset != old_offset {
                base.add(old_offset).copy_to(base.add(new_offset), kept);
            }
            Some(cut(base, new.align()))
        },
        // SAFETY: two different live blocks of at least `kept` bytes; the old one is freed once, as what it is.
        _ => unsafe {
            let new_ptr = alloc(new)?;
            new_ptr.copy_from_nonoverlapping(ptr, kept);
            dealloc(ptr, old);
            Some(new_ptr)
        },
    }
}
