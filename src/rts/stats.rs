//! [`CapabilityStats`]: the statistics of all regions, as one table and as data.

use core::fmt;

use super::capability::Capability;
use crate::general::GcReport;
use crate::pinned::PinnedUsage;
use crate::region::MemoryRegion;
use crate::stats::AllocStats;
use crate::system::System;
use crate::units::{Bytes, Time};

/// What all regions of a [`Capability`] have given and taken back so far, and what its collector did. Printed, it is a
/// table, ninety-eight columns wide; with the feature `serde` it is data.
///
/// The pinned heap's figures are those of all who share it, the process allocator's those of the process; chunks of the
/// arena are blocks of the latter, and in its figures too.
///
/// ```
/// use bhc_rts_alloc::{Alignment, Capability, RegionKind};
/// let capability = Capability::new();
/// capability.alloc(RegionKind::HotArena, 1000, Alignment::Simd512)?;
/// let stats = capability.stats();
/// assert_eq!(stats.hot_arena.current_live, 1000);
/// assert!(stats.to_string().contains("HotArena"), "{stats}");
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CapabilityStats {
    /// Blocks of the Hot Arena.
    pub hot_arena: AllocStats,
    /// What its chunks have room for, in bytes.
    pub hot_arena_capacity: usize,
    /// Blocks of the Pinned Heap.
    pub pinned: AllocStats,
    /// What the Pinned Heap takes from the system.
    pub pinned_usage: PinnedUsage,
    /// The General Heap: its objects, and its raw bytes.
    pub general: GcReport,
    /// The process allocator.
    pub system: AllocStats,
}

impl CapabilityStats {
    pub(super) fn of(capability: &Capability) -> Self {
        Self {
            hot_arena: capability.arena().stats(),
            hot_arena_capacity: capability.arena().capacity(),
            pinned: capability.pinned().stats(),
            pinned_usage: capability.pinned().usage(),
            general: capability.general().report(),
            system: System.stats(),
        }
    }
}

/// One line: a name and what there is to say.
fn line(f: &mut fmt::Formatter<'_>, name: &str, cells: &[&dyn fmt::Display]) -> fmt::Result {
    write!(f, "{name:<12}")?;
    // The wider ones are numbers.
    for (cell, width) in cells.iter().zip([11, 11, 11, 11, 12, 12, 7, 11]) {
        write!(f, "{cell:>width$}")?;
    }
    writeln!(f)
}

impl fmt::Display for CapabilityStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: usize| Bytes(bytes as u64);
        line(f, "", &[&"allocated", &"freed", &"live", &"peak", &"allocations", &"frees", &"failed", &"held"])?;
        let regions = [
            ("HotArena", &self.hot_arena, self.hot_arena_capacity),
            ("PinnedHeap", &self.pinned, self.pinned_usage.committed),
            ("GeneralHeap", &self.general.bytes, self.general.in_use),
            // What that holds beside nobody knows.
            ("System", &self.system, self.system.current_live),
        ];
        for (name, stats, held) in regions {
            line(
                f,
                name,
                &[
                    &bytes(stats.total_allocated),
                    &bytes(stats.total_deallocated),
                    &bytes(stats.current_live),
                    &bytes(stats.peak_usage),
                    &stats.allocation_count,
                    &stats.deallocation_count,
                    &stats.failed_allocations,
                    &bytes(held),
                ],
            )?;
        }
        line(
            f,
            "",
            &[&"allocated", &"promoted", &"copied", &"live", &"minor GCs", &"full GCs", &"failed", &"max pause"],
        )?;
        let gc = &self.general.gc;
        line(
            f,
            "  objects",
            &[
                &Bytes(gc.bytes_allocated),
                &Bytes(gc.bytes_promoted),
                &Bytes(gc.bytes_copied),
                &bytes(gc.live_after_full),
                &gc.minor_collections,
                &gc.full_collections,
                &gc.failed,
                &Time(gc.minor_pauses.longest().max(gc.full_pauses.longest())),
            ],
        )
    }
}
