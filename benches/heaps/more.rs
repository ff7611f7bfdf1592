//! The peers of the feature `all-peers`.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;

use snmalloc_sys as sn;
use spinning_top::RawSpinlock;
use talc::TalcLock;
use talc::source::Claim;
use tikv_jemalloc_sys as je;

use super::Peer;

/// jemalloc, as its crate calls it.
#[derive(Default)]
pub struct Jemalloc;

impl Jemalloc {
    const fn flags(layout: Layout) -> c_int {
        if layout.align() <= 16 && layout.align() <= layout.size() { 0 } else { je::MALLOCX_ALIGN(layout.align()) }
    }
}

// SAFETY: jemalloc keeps the contract of its functions, and aligns as asked.
unsafe impl GlobalAlloc for Jemalloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise: the size is not zero.
        unsafe { je::mallocx(layout.size(), Self::flags(layout)).cast() }
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: a live block of jemalloc that was requested so.
        unsafe { je::sdallocx(block.cast::<c_void>(), layout.size(), Self::flags(layout)) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`, and the new size is not zero.
        unsafe { je::rallocx(block.cast::<c_void>(), new_size, Self::flags(layout)).cast() }
    }
}

impl Peer for Jemalloc {
    fn trim() {
        // "arena.4096" is all arenas.
        for command in [c"thread.tcache.flush", c"arena.4096.purge"] {
            // SAFETY: the name is a C string, and the commands take and give nothing.
            unsafe { je::mallctl(command.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
        }
    }
}

/// snmalloc, as its crate calls it.
#[derive(Default)]
pub struct Snmalloc;

// SAFETY: snmalloc keeps the contract of its functions, which were made for this trait.
unsafe impl GlobalAlloc for Snmalloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { sn::sn_rust_alloc(layout.align(), layout.size()).cast() }
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { sn::sn_rust_dealloc(block.cast::<c_void>(), layout.align(), layout.size()) };
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { sn::sn_rust_realloc(block.cast(), layout.align(), layout.size(), new_size).cast() }
    }
}

impl Peer for Snmalloc {
    fn trim() {}
}

/// talc behind a spin lock, on a range that the kernel makes resident as it is touched.
#[derive(Default)]
pub struct Talc;

/// For the largest row: twenty blocks of up to 64 MiB and what lies between them.
const RANGE: usize = 8 << 30;

static TALC: LazyLock<TalcLock<RawSpinlock, Claim>> = LazyLock::new(|| {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a mapping wherever the kernel likes, of which nobody else knows.
    let base = unsafe { libc::mmap(null_mut(), RANGE, access, flags, -1, 0) };
    assert_ne!(base, libc::MAP_FAILED, "address space for talc");
    // SAFETY: the range is talc's alone and stays mapped.
    TalcLock::new(unsafe { Claim::new(base.cast(), RANGE) })
});

// SAFETY: talc's own implementation does it all.
unsafe impl GlobalAlloc for Talc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { TALC.alloc(layout) }
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { TALC.dealloc(block, layout) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { TALC.realloc(block, layout, new_size) }
    }
}

impl Peer for Talc {
    fn trim() {}
}
