//! Memory that a region holds and nobody has: made so that using it is noticed.
//!
//! Under AddressSanitizer (`--cfg bhc_asan`) it is poisoned, and any access ends the program with a report. With debug
//! assertions the first megabyte of it is filled with [`FREED`], so that what is read from it looks wrong. Otherwise these functions are nothing.

use core::ptr::NonNull;

/// What freed memory is filled with.
#[cfg(debug_assertions)]
const FREED: u8 = 0xDF;

/// How much of one piece is filled, in bytes.
#[cfg(debug_assertions)]
const MOST_FILLED: usize = 1 << 20;

#[cfg(bhc_asan)]
unsafe extern "C" {
    fn __asan_poison_memory_region(start: *const core::ffi::c_void, size: usize);
    fn __asan_unpoison_memory_region(start: *const core::ffi::c_void, size: usize);
}

/// Nobody has these bytes yet. They are not filled, so that pages nobody will have are not touched; and the books of
/// AddressSanitizer, an eighth of the size, are not written for what cannot be meant to be used.
///
/// # Safety
/// The `size` bytes from `start` are memory, and nobody refers to them.
#[inline(always)]
pub(crate) unsafe fn fresh(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise: only accesses that are wrong are affected.
    #[cfg(bhc_asan)]
    unsafe {
        __asan_poison_memory_region(start.as_ptr().cast(), size.min(1 << 30));
    }
    let _ = (start, size);
}

/// Nobody has these bytes any more.
///
/// # Safety
/// The `size` bytes from `start` are memory that may be written, and nobody refers to them.
#[inline(always)]
pub(crate) unsafe fn freed(start: NonNull<u8>, size: usize) {
    #[cfg(debug_assertions)]
    {
        // Parts of it may be poisoned already.
        // SAFETY: the caller's promise.
        unsafe {
            in_use(start, size);
            // Not more than is looked at: a buffer of a gigabyte that was reserved and given back has not been touched.
            start.write_bytes(FREED, size.min(MOST_FILLED));
        }
    }
    // SAFETY: the caller's promise: only accesses that are wrong are affected.
    #[cfg(bhc_asan)]
    unsafe {
        __asan_poison_memory_region(start.as_ptr().cast(), size);
    }
    let _ = (start, size);
}

/// These bytes have been given to somebody, or back to where they came from.
///
/// # Safety
/// The `size` bytes from `start` are memory.
#[inline(always)]
pub(crate) unsafe fn in_use(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    #[cfg(bhc_asan)]
    unsafe {
        __asan_unpoison_memory_region(start.as_ptr().cast(), size);
    }
    let _ = (start, size);
}
