//! The only place that asks the operating system for anything.
//!
//! Each part has one job: `file` reads into aligned memory, `map` maps pages, `range` reserves addresses
//! that become memory in parts, `poison` makes freed memory noticed, `clock` tells the time coarsely, [`page_size`] asks what its name says, and `fault` (feature
//! `checked`) makes requests for memory fail on purpose.

#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub(crate) mod clock;
#[cfg(feature = "checked")]
pub mod fault;
#[cfg(feature = "std")]
pub(crate) mod file;
#[cfg(feature = "std")]
pub(crate) mod map;
pub(crate) mod poison;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub(crate) mod range;

#[cfg(feature = "std")]
pub use file::{FileRead, NotDirect};

/// The size of a page of virtual memory on this machine, in bytes; a power of two.
///
/// Asked once per call, a few nanoseconds. Where there is nobody to ask (not Unix, or no feature `std`) it is 4096, or
/// 65536 on WebAssembly.
///
/// ```
/// assert!(bhc_rts_alloc::page_size().is_power_of_two());
/// ```
#[must_use]
pub fn page_size() -> usize {
    #[cfg(all(unix, feature = "std", not(miri)))]
    {
        // SAFETY: `sysconf` reads no memory of ours and is safe to call from any thread.
        let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        if let Ok(bytes) = usize::try_from(answer)
            && bytes.is_power_of_two()
        {
            return bytes;
        }
    }
    if cfg!(target_family = "wasm") { 65536 } else { 4096 }
}

/// How much memory the machine has, in bytes, as far as it tells.
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub(crate) fn physical_memory() -> usize {
    #[cfg(all(unix, not(miri)))]
    {
        // SAFETY: as above.
        let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
        usize::try_from(pages).map_or(0, |pages| pages.saturating_mul(page_size()))
    }
    #[cfg(not(all(unix, not(miri))))]
    0
}

/// Asked by every region before it obtains memory: whether the request is to fail, so that what happens then can be
/// tested. Constantly `false` without the feature `checked`.
#[cfg(feature = "alloc")]
#[inline]
pub(crate) fn struck() -> bool {
    #[cfg(feature = "checked")]
    return fault::strikes();
    #[cfg(not(feature = "checked"))]
    false
}
