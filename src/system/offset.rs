//! Over-aligned blocks out of an allocator that is good at 16-byte alignment only.
//!
//! # Note: why not simply ask for the alignment
//! `std::alloc` above the alignment that `malloc` gives turns into `posix_memalign`, which knows neither `calloc`
//! nor `realloc`: a zeroed block is written byte by byte, and growing is allocate, copy, free. For 64 MiB that is 26 ms
//! instead of 6 µs, and 16 ms instead of 0.1 ms. It is also slow for small blocks, which glibc serves past its thread
//! cache: 54 ns for 1 KiB and its free.
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
//! * O3. Which blocks are offset, and the base's layout and alignment of the cut ([`Cut`]), follow from the block's layout
//!   alone.
//!
//! A base block may be grown by `realloc` (by `mremap`, for large ones): pages move and nothing is copied. Only if the
//! new base is aligned differently do the bytes have to be shifted.
//!
//! # Note: small blocks
//! The larger base takes a 1 KiB buffer, the size of a kernel temporary, out of the sizes that glibc caches per thread
//! (17 ns instead of 9). Small blocks at up to 64 bytes therefore come in size classes of 64 bytes, all of a class alike, so
//! that a thread can keep a freed block for the next request of its class.

use alloc::alloc as process;
use core::alloc::Layout;
use core::ptr::NonNull;

use crate::align::align_up;

/// What `malloc` aligns to: two words, on all targets that matter.
const MALLOC_ALIGN: usize = 2 * size_of::<usize>();

/// Above `malloc`'s alignment and up to this one every block is offset; beyond, only those large enough that `align` more bytes do not
/// matter: a 4 KiB block at 4 KiB would take two pages where the allocator needs one.
const SMALL_ALIGN: usize = 256;
const LARGE_FACTOR: usize = 32;

/// The step of the size classes of small blocks, in bytes. No block is cut to less, so that all of a class are alike.
const CLASS: usize = 64;
/// How many classes there are: small blocks have up to 4 KiB.
pub(super) const CLASSES: usize = 64;

/// The size class of a small over-aligned block; its layout's size is not zero.
#[inline]
pub(super) fn class_of(layout: Layout) -> Option<usize> {
    let (size, align) = (layout.size(), layout.align());
    let small = align > MALLOC_ALIGN && align <= CLASS && size <= CLASS * CLASSES;
    small.then(|| size.wrapping_sub(1) / CLASS)
}

/// How an offset block is made.
#[derive(Clone, Copy)]
struct Cut {
    base: Layout,
    /// What the block is aligned to: what its layout asks for, or `CLASS` if that is more.
    align: usize,
}

impl Cut {
    /// `None` for a block that the allocator aligns itself (O3).
    #[inline]
    fn of(layout: Layout) -> Option<Self> {
        let (size, align) = (layout.size(), layout.align());
        if align <= MALLOC_ALIGN || (align > SMALL_ALIGN && size / LARGE_FACTOR < align) {
            return None;
        }
        let block = if class_of(layout).is_some() { align_up(size, CLASS) } else { size };
        let align = align.max(CLASS);
        // A layout may be so large that its base is not one; the allocator then refuses the plain request, as it would
        // the base. The answer depends on the layout alone, as it must.
        let base = Layout::from_size_align(block.checked_add(align)?, MALLOC_ALIGN).ok()?;
        Some(Self { base, align })
    }

    /// Makes the block out of its base (O1), and writes the base pointer in front of it (O2).
    ///
    /// # Safety
    /// `base` is a live block of `self.base`.
    #[inline]
    unsafe fn make(self, base: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: by O1 the offset is at least one word and within the base, and the block is aligned to more than a word.
        unsafe {
            let ptr = base.add(self.offset(base));
            ptr.cast::<NonNull<u8>>().sub(1).write(base);
            ptr
        }
    }

    /// From the start of `base` to the block (O1).
    #[inline]
    fn offset(self, base: NonNull<u8>) -> usize {
        let address = base.addr().get();
        align_up(address + MALLOC_ALIGN, self.align) - address
    }
}

/// The base of an offset block (O2).
///
/// # Safety
/// `ptr` is the pointer that [`Cut::make`] gave, for a block that is live.
#[inline]
unsafe fn base_of(ptr: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: O2, and the pointer still has the provenance of the base by the caller's promise.
    unsafe { ptr.cast::<NonNull<u8>>().sub(1).read() }
}

/// A fresh block: `alloc` is `alloc` or `alloc_zeroed` of the process allocator.
///
/// # Safety
/// `layout.size()` is not zero, and `alloc` is one of the two.
#[inline]
pub(super) unsafe fn obtain(layout: Layout, alloc: unsafe fn(Layout) -> *mut u8) -> Option<NonNull<u8>> {
    match Cut::of(layout) {
        // SAFETY: a base is never of size zero; it is live when it is cut, and the word that is written is not in the block.
        Some(cut) => unsafe { Some(cut.make(NonNull::new(alloc(cut.base))?)) },
        // SAFETY: not zero, by the caller's promise.
        None => NonNull::new(unsafe { alloc(layout) }),
    }
}

/// Gives a block back to the process allocator.
///
/// # Safety
/// `ptr` came from this module with `layout`, and is not used again.
#[inline]
pub(super) unsafe fn give_back(ptr: NonNull<u8>, layout: Layout) {
    match Cut::of(layout) {
        // SAFETY: by O3 the block is offset and its base has this layout.
        Some(cut) => unsafe { process::dealloc(base_of(ptr).as_ptr(), cut.base) },
        // SAFETY: by O3 the allocator gave the block itself.
        None => unsafe { process::dealloc(ptr.as_ptr(), layout) },
    }
}

/// A layout of size class `class`; all blocks of a class are made alike.
#[cfg(feature = "std")]
pub(super) fn of_class(class: usize) -> Layout {
    debug_assert!(class < CLASSES);
    // SAFETY: an alignment, and a size of at most a few pages.
    unsafe { Layout::from_size_align_unchecked((class + 1) * CLASS, CLASS) }
}

/// # Safety
/// `ptr` came from this module with `old` and is not used again on `Some`; `new` has the same alignment; neither size is
/// zero.
pub(super) unsafe fn realloc(ptr: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
    let kept = old.size().min(new.size());
    match (Cut::of(old), Cut::of(new)) {
        // SAFETY: both are the allocator's own blocks (O3).
        (None, None) => NonNull::new(unsafe { process::realloc(ptr.as_ptr(), old, new.size()) }),
        (Some(old), Some(new)) if old.base == new.base => Some(ptr),
        // SAFETY: both are offset, at one alignment (O3). `kept` bytes from the old offset lie in the new base too: by O1 the
        // offset is at most the alignment, and the new base is longer than `kept` by that. They are moved before the word
        // in front of the new place is written, which may lie among them.
        (Some(old), Some(new)) => unsafe {
            let base = base_of(ptr);
            let old_offset = ptr.addr().get() - base.addr().get();
            let base = NonNull::new(process::realloc(base.as_ptr(), old.base, new.base.size()))?;
            let new_offset = new.offset(base);
            if new_offset != old_offset {
                base.add(old_offset).copy_to(base.add(new_offset), kept);
            }
            Some(new.make(base))
        },
        // SAFETY: two different live blocks of at least `kept` bytes; the old one is freed once, as what it is.
        _ => unsafe {
            let new_ptr = obtain(new, process::alloc)?;
            new_ptr.copy_from_nonoverlapping(ptr, kept);
            give_back(ptr, old);
            Some(new_ptr)
        },
    }
}
