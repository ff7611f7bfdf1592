//! [`System`]: the process allocator as a region, with exact statistics and good manners above 16-byte alignment.
//!
//! [`offset`] makes over-aligned blocks that zero lazily and grow cheaply; [`ledger`] counts; [`thread`] is what each
//! thread has of both; [`blocks`] puts the first and the last together.

#[cfg(feature = "alloc")]
mod blocks;
#[cfg(feature = "alloc")]
pub(crate) mod ledger;
#[cfg(feature = "alloc")]
mod offset;
#[cfg(feature = "std")]
mod thread;

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::align::{Align, Alignment};
use crate::error::{AllocError, AllocResult};
use crate::region::{MemoryRegion, RegionKind, TypedRegion, array_layout, dangling};
use crate::stats::AllocStats;

/// The process allocator (`#[global_allocator]`) as a region: where buffers go unless told otherwise.
///
/// There is one, every `System` value is it. Above the alignment that `malloc` gives, it zeroes lazily and grows in
/// place or by remapping where `std::alloc` would write and copy every byte; each such block costs its alignment in
/// bytes on top.
///
/// Statistics are exact across threads, at the price of a few plain stores per block. Only the peak is not while several
/// threads run: each but the one that looks may hide up to 16 KiB of small blocks from it; with one thread it is exact
/// too.
///
/// Without the feature `alloc` it answers every request with [`RegionExhausted`](AllocError::RegionExhausted).
///
/// ```
/// use bhc_rts_alloc::{MemoryRegion, System};
/// use std::alloc::Layout;
///
/// let layout = Layout::from_size_align(1 << 20, 4096).unwrap();
/// let block = System.alloc_zeroed(layout)?; // no page is touched yet
/// assert!(block.addr().get() % 4096 == 0);
/// // SAFETY: allocated just above with the same layout, and not used again.
/// unsafe { System.dealloc(block, layout) };
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct System;

static_assertions::const_assert_eq!(size_of::<System>(), 0);

#[cfg(feature = "alloc")]
static LEDGER: ledger::Ledger = ledger::Ledger::new();

/// The calling thread's tally.
#[cfg(feature = "alloc")]
#[inline]
fn own() -> Option<&'static ledger::Tally> {
    #[cfg(feature = "std")]
    return thread::tally(&LEDGER);
    #[cfg(not(feature = "std"))]
    None
}

#[cfg(feature = "alloc")]
impl System {
    #[cold]
    #[inline(never)]
    fn out_of_memory(size: usize) -> AllocError {
        LEDGER.record_failure(own());
        AllocError::OutOfMemory { requested: size, available: 0 }
    }

    #[inline]
    fn counted(block: Option<NonNull<u8>>, size: usize) -> AllocResult<NonNull<u8>> {
        match block {
            Some(ptr) => {
                LEDGER.record_alloc(own(), size);
                Ok(ptr)
            }
            None => Err(Self::out_of_memory(size)),
        }
    }
}

// SAFETY: the blocks are the process allocator's, cut to the alignment by `offset` (O1: aligned and inside their base), so
// they overlap nothing and stay until freed, wherever `System` values go: all of them are the same region. Nothing here
// unwinds: the arithmetic is on sizes that make a layout, and errors allocate nothing.
#[cfg(feature = "alloc")]
unsafe impl MemoryRegion for System {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if layout.size() == 0 {
            return Ok(dangling(layout.align()));
        }
        // SAFETY: the size is not zero.
        Self::counted(unsafe { blocks::alloc(layout) }, layout.size())
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if layout.size() == 0 {
            return Ok(dangling(layout.align()));
        }
        // SAFETY: the size is not zero.
        Self::counted(unsafe { blocks::alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            LEDGER.record_dealloc(own(), layout.size());
            // SAFETY: a block of size not zero came from `blocks`; the rest is the caller's promise.
            unsafe { blocks::dealloc(ptr, layout) };
        }
    }

    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        let new_layout = crate::region::resized(old_layout, new_size)?;
        if old_layout.size() == 0 {
            return self.alloc(new_layout);
        }
        if new_size == 0 {
            // SAFETY: the caller's promise.
            unsafe { self.dealloc(ptr, old_layout) };
            return Ok(dangling(old_layout.align()));
        }
        // SAFETY: neither size is zero, so the block came from `blocks`; the rest is the caller's promise.
        match unsafe { blocks::realloc(ptr, old_layout, new_layout) } {
            Some(ptr) => {
                LEDGER.record_realloc(own(), old_layout.size(), new_size);
                Ok(ptr)
            }
            None => Err(Self::out_of_memory(new_size)),
        }
    }

    fn stats(&self) -> AllocStats {
        LEDGER.snapshot()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::System
    }
}

// SAFETY: gives no block at all, except those of zero size.
#[cfg(not(feature = "alloc"))]
unsafe impl MemoryRegion for System {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if layout.size() == 0 {
            return Ok(dangling(layout.align()));
        }
        Err(AllocError::RegionExhausted { region: "System, in a build without the feature `alloc`" })
    }

    unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {}

    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::System
    }
}

impl TypedRegion for System {
    type MaxAlign = Align<536870912>;
}

/// Allocates room for `count` elements of `T` from [`System`], aligned to `align` and to `T`. Uninitialised.
///
/// For zero bytes (`count` is 0, or `T` is zero-sized) the pointer is dangling, and aligned all the same.
///
/// # Errors
/// [`Overflow`](AllocError::Overflow) if the size does not fit the address space,
/// [`OutOfMemory`](AllocError::OutOfMemory) if the memory is not there.
///
/// ```
/// use bhc_rts_alloc::{Alignment, alloc_aligned, free_aligned};
/// let block = alloc_aligned::<f32>(1000, Alignment::Simd512)?;
/// assert!(block.addr().get() % 64 == 0);
/// // SAFETY: allocated just above with the same count and alignment, and not used again.
/// unsafe { free_aligned(block, 1000, Alignment::Simd512) };
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
pub fn alloc_aligned<T>(count: usize, align: Alignment) -> AllocResult<NonNull<T>> {
    System.alloc(array_layout::<T>(count, align)?).map(NonNull::cast)
}

/// Frees what [`alloc_aligned`] gave. Does not drop the elements.
///
/// # Safety
/// `ptr` came from `alloc_aligned::<T>(count, align)` with this `T`, `count` and `align`, and is not used again.
pub unsafe fn free_aligned<T>(ptr: NonNull<T>, count: usize, align: Alignment) {
    match array_layout::<T>(count, align) {
        // SAFETY: the layout is the one that `alloc_aligned` computed; the rest is the caller's promise.
        Ok(layout) => unsafe { System.dealloc(ptr.cast(), layout) },
        Err(_) => unreachable!("free_aligned: no block has such a layout"),
    }
}
