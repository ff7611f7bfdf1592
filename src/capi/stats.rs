//! Statistics, as numbers and as a table.

use core::ffi::c_char;

use super::capability::{BhcCapability, with};
use super::error::{BhcStatus, Failure, answer, status};
use super::write_text;
use crate::rts::CapabilityStats;
use crate::stats::AllocStats;

/// What a region has given and taken back, in requested bytes: as [`AllocStats`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BhcRegionStats {
    /// Bytes allocated over the lifetime.
    pub total_allocated: usize,
    /// Bytes deallocated over the lifetime.
    pub total_deallocated: usize,
    /// Bytes allocated and not yet deallocated.
    pub current_live: usize,
    /// Number of allocations.
    pub allocation_count: usize,
    /// Number of deallocations.
    pub deallocation_count: usize,
    /// The most that `current_live` has been.
    pub peak_usage: usize,
    /// Number of requests that ended in an error.
    pub failed_allocations: usize,
}

impl From<AllocStats> for BhcRegionStats {
    fn from(stats: AllocStats) -> Self {
        let AllocStats {
            total_allocated,
            total_deallocated,
            current_live,
            allocation_count,
            deallocation_count,
            peak_usage,
            failed_allocations,
        } = stats;
        Self {
            total_allocated,
            total_deallocated,
            current_live,
            allocation_count,
            deallocation_count,
            peak_usage,
            failed_allocations,
        }
    }
}

/// The statistics of a capability: as [`CapabilityStats`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BhcStats {
    /// Blocks of the Hot Arena.
    pub hot_arena: BhcRegionStats,
    /// Blocks of the Pinned Heap, which all capabilities share.
    pub pinned: BhcRegionStats,
    /// Raw bytes of the General Heap.
    pub general_bytes: BhcRegionStats,
    /// The process allocator, as Rust uses it.
    pub system: BhcRegionStats,
    /// What the chunks of the Hot Arena have room for, in bytes.
    pub hot_arena_capacity: usize,
    /// Memory of the Pinned Heap, in bytes.
    pub pinned_committed: usize,
    /// Memory of the General Heap in use, in bytes.
    pub general_in_use: usize,
    /// Bytes of objects that were allocated.
    pub bytes_allocated: u64,
    /// Bytes that minor collections moved to the old generation.
    pub bytes_promoted: u64,
    /// Bytes that full collections copied.
    pub bytes_copied: u64,
    /// The bytes of objects that were live after the last full collection.
    pub live_after_full: usize,
    /// Minor collections.
    pub minor_collections: u64,
    /// Full collections.
    pub full_collections: u64,
    /// Objects, and cards of arrays, that the write barrier remembered.
    pub remembered: u64,
    /// Allocations of objects that were refused.
    pub failed_objects: u64,
    /// How long all minor collections took together, in nanoseconds.
    pub minor_pauses: u64,
    /// The longest of them.
    pub longest_minor_pause: u64,
    /// How long all full collections took together, in nanoseconds.
    pub full_pauses: u64,
    /// The longest of them.
    pub longest_full_pause: u64,
}

impl From<CapabilityStats> for BhcStats {
    fn from(stats: CapabilityStats) -> Self {
        let gc = &stats.general.gc;
        Self {
            hot_arena: stats.hot_arena.into(),
            pinned: stats.pinned.into(),
            general_bytes: stats.general.bytes.into(),
            system: stats.system.into(),
            hot_arena_capacity: stats.hot_arena_capacity,
            pinned_committed: stats.pinned_usage.committed,
            general_in_use: stats.general.in_use,
            bytes_allocated: gc.bytes_allocated,
            bytes_promoted: gc.bytes_promoted,
            bytes_copied: gc.bytes_copied,
            live_after_full: gc.live_after_full,
            minor_collections: gc.minor_collections,
            full_collections: gc.full_collections,
            remembered: gc.remembered,
            failed_objects: gc.failed,
            minor_pauses: gc.minor_pauses.total(),
            longest_minor_pause: gc.minor_pauses.longest(),
            full_pauses: gc.full_pauses.total(),
            longest_full_pause: gc.full_pauses.longest(),
        }
    }
}

fn stats_of(capability: *const BhcCapability) -> Result<CapabilityStats, Failure> {
    with(capability, |found| match found.busy.get() {
        true => Err(Failure::Busy),
        false => Ok(found.capability.stats()),
    })
}

/// The statistics of all regions of a capability.
///
/// # Safety
/// `stats` is null or points to memory for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_stats(capability: *const BhcCapability, stats: *mut BhcStats) -> BhcStatus {
    status(|| {
        if stats.is_null() {
            return Err(Failure::Null("stats"));
        }
        let of_capability = stats_of(capability)?;
        // SAFETY: the caller's promise.
        unsafe { stats.write(of_capability.into()) };
        Ok(())
    })
}

/// As [`bhc_stats`], as a table for people, written as `snprintf` does: at most `size` bytes into `buffer`, with a zero at
/// the end. Answers how long the text is, without the zero; 0 if that fails.
///
/// # Safety
/// There is room for `size` bytes at `buffer`, or `size` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_stats_text(capability: *const BhcCapability, buffer: *mut c_char, size: usize) -> usize {
    let size = if buffer.is_null() { 0 } else { size };
    // SAFETY: the caller's promise.
    answer(|| Ok(unsafe { write_text(&stats_of(capability)?, buffer, size) }))
}
