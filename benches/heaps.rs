//! The general-purpose allocators that the benchmarks compare, behind one interface that is compiled away.

use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};
use std::ffi::c_void;
use std::ptr::NonNull;

use bhc_rts_alloc::{MemoryRegion, PinnedHeap};
use libmimalloc_sys as mi;

/// What allocates, from several threads. Requests are for at least a byte, and where there is no memory the process ends.
pub trait Heap: Send + Sync + 'static {
    /// A heap of its own; of a peer that has only one, that one.
    fn new() -> Self;
    fn alloc(&self, layout: Layout) -> NonNull<u8>;
    /// # Safety
    /// The block is this heap's, lives, and was requested (or last resized) with this layout. It is not used afterwards.
    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout);
    /// # Safety
    /// As for [`dealloc`](Self::dealloc). The new size is not zero.
    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> NonNull<u8>;
    /// Gives memory that is free back to the system, as far as the allocator has a way to ask for that.
    fn trim(&self);
}

impl Heap for PinnedHeap {
    fn new() -> Self {
        Self::new()
    }
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> NonNull<u8> {
        MemoryRegion::alloc(self, layout).unwrap_or_else(|_| handle_alloc_error(layout))
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { MemoryRegion::dealloc(self, block, layout) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> NonNull<u8> {
        // SAFETY: the caller's promise.
        unsafe { MemoryRegion::realloc(self, block, layout, new_size) }.unwrap_or_else(|_| handle_alloc_error(layout))
    }
    fn trim(&self) {
        self.trim();
    }
}

/// A peer is what it is in Rust programs: a global allocator, here called directly.
pub trait Peer: GlobalAlloc + Default + Send + Sync + 'static {
    fn trim();
}

impl<P: Peer> Heap for P {
    fn new() -> Self {
        Self::default()
    }
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> NonNull<u8> {
        // SAFETY: requests are for at least a byte.
        NonNull::new(unsafe { GlobalAlloc::alloc(self, layout) }).unwrap_or_else(|| handle_alloc_error(layout))
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { GlobalAlloc::dealloc(self, block.as_ptr(), layout) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> NonNull<u8> {
        // SAFETY: the caller's promise; sizes that the benchmarks ask for are far from `isize::MAX`.
        NonNull::new(unsafe { GlobalAlloc::realloc(self, block.as_ptr(), layout, new_size) })
            .unwrap_or_else(|| handle_alloc_error(layout))
    }
    fn trim(&self) {
        P::trim();
    }
}

/// `malloc`, `posix_memalign`, `realloc` and `free` of the C library.
impl Peer for System {
    fn trim() {
        #[cfg(target_env = "gnu")]
        // SAFETY: the call takes no pointers.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// mimalloc, as its crate calls it.
#[derive(Default)]
pub struct Mimalloc;

impl Mimalloc {
    /// Whether plain `mi_malloc` aligns such a block well enough.
    const fn is_plain(layout: Layout) -> bool {
        layout.align() <= 16 && layout.align() <= layout.size()
    }
}

// SAFETY: mimalloc keeps the contract of C's allocation functions, and aligns as asked.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two will do.
        unsafe {
            if Self::is_plain(layout) {
                mi::mi_malloc(layout.size()).cast()
            } else {
                mi::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's promise: a live block of mimalloc.
        unsafe { mi::mi_free(block.cast::<c_void>()) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc` and `alloc`.
        unsafe { mi::mi_realloc_aligned(block.cast::<c_void>(), new_size, layout.align()).cast() }
    }
}

impl Peer for Mimalloc {
    fn trim() {
        // SAFETY: the call takes no pointers.
        unsafe { mi::mi_collect(true) }
    }
}

#[cfg(feature = "all-peers")]
pub mod more;
