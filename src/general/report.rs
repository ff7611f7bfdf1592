//! [`GcReport`]: what a heap has and did, as a text in the manner of GHC's `-s`.

use core::fmt;

use super::collector::Collector;
use super::mutator::Mutator;
use super::old::BLOCK;
use super::statistics::{GcStats, PauseHistogram};
use crate::runs::SLICE;
use crate::stats::AllocStats;
use crate::units::{Bytes, Time};

/// What a heap has now, and what its collector did so far. Its `Display` is some lines of text.
///
/// ```
/// use bhc_rts_alloc::GeneralHeap;
/// let text = GeneralHeap::new().report().to_string();
/// assert!(text.contains("minor collections") && text.contains("full collections"), "{text}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GcReport {
    /// What the collector did.
    pub gc: GcStats,
    /// Raw bytes.
    pub bytes: AllocStats,
    /// Bytes of the nursery, and of it what has been allocated.
    pub nursery: usize,
    /// See [`nursery`](Self::nursery).
    pub nursery_used: usize,
    /// Bytes in the old generation, large objects not counted; some of them may be garbage.
    pub old: usize,
    /// Bytes of large objects, in whole slices of 8 KiB; some may be garbage.
    pub large: usize,
    /// Bytes of memory in use: nursery, blocks, large objects, raw bytes, quarantine.
    pub in_use: usize,
    /// Bytes of blocks that are held for copies, and not in use. Most of them have no pages yet.
    pub reserve: usize,
    /// Bytes that may be in use.
    pub limit: usize,
}

impl GcReport {
    pub(super) fn new(gc: GcStats, collector: &Collector, mutator: &Mutator, bytes: AllocStats) -> Self {
        Self {
            gc,
            bytes,
            nursery: collector.nursery.1 * SLICE,
            nursery_used: collector.young_words(mutator) * super::info::WORD,
            old: collector.old.blocks.len() * BLOCK * SLICE,
            large: collector.large.slices * SLICE,
            in_use: collector.space.in_use() * SLICE,
            reserve: collector.space.spare.get() * SLICE,
            limit: collector.space.limit() * SLICE,
        }
    }
}

impl fmt::Display for GcReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GcStats { bytes_allocated, bytes_large, bytes_promoted, bytes_copied, .. } = self.gc;
        let bytes = |bytes: usize| Bytes(bytes as u64);
        writeln!(
            f,
            "{:>12} allocated in the heap, {} of it in large objects",
            Bytes(bytes_allocated),
            Bytes(bytes_large)
        )?;
        writeln!(f, "{:>12} promoted in {} objects", Bytes(bytes_promoted), self.gc.objects_promoted)?;
        writeln!(f, "{:>12} copied by full collections in {} objects", Bytes(bytes_copied), self.gc.objects_copied)?;
        writeln!(f, "{:>12} live after the last full collection", bytes(self.gc.live_after_full))?;
        writeln!(
            f,
            "{:>12} in use: nursery {}, old {}, large {}, raw bytes {}",
            bytes(self.in_use),
            bytes(self.nursery),
            bytes(self.old),
            bytes(self.large),
            bytes(self.bytes.current_live),
        )?;
        writeln!(f, "{:>12} in use at the most, {} kept for copies", bytes(self.gc.peak_in_use), bytes(self.reserve))?;
        writeln!(f, "{:>12} remembered, {} requests refused", self.gc.remembered, self.gc.failed)?;
        for (name, count, pauses) in [
            ("minor", self.gc.minor_collections, &self.gc.minor_pauses),
            ("full", self.gc.full_collections, &self.gc.full_pauses),
        ] {
            writeln!(
                f,
                "{count:>12} {name} collections in {}; pauses: half within {}, 99 % within {}, longest {}",
                Time(pauses.total()),
                Time(pauses.quantile(500)),
                Time(pauses.quantile(990)),
                Time(pauses.longest()),
            )?;
            histogram(f, pauses)?;
        }
        Ok(())
    }
}

/// A line for each power of two that occurs.
fn histogram(f: &mut fmt::Formatter<'_>, pauses: &PauseHistogram) -> fmt::Result {
    let most = pauses.buckets().map(|(_, count)| count).max().unwrap_or(1);
    for (end, count) in pauses.buckets() {
        let stars = (count * 40).div_ceil(most) as usize;
        writeln!(f, "{:>18} {:<40} {count}", Time(end), "*".repeat(stars))?;
    }
    Ok(())
}
