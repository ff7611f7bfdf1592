//! What regions count.

/// What a region has given and taken back, in **requested** bytes: the sizes of the layouts, without padding,
/// headers or rounding. Zero-size requests are not counted.
///
/// At rest (no call in progress) `total_allocated - total_deallocated == current_live`, until a total saturates. A `realloc` counts as one
/// allocation of the new size and one deallocation of the old, whether or not the block moved; a region that grows in
/// place does not count both as live at once.
///
/// The totals are over the region's lifetime and saturate at `usize::MAX`, which a 32-bit program can reach.
///
/// ```
/// use bhc_rts_alloc::AllocStats;
/// let mut stats = AllocStats::default();
/// stats.record_alloc(100);
/// stats.record_alloc(50);
/// stats.record_dealloc(100);
/// assert_eq!((stats.current_live, stats.peak_usage), (50, 150));
/// assert_eq!((stats.allocation_count, stats.deallocation_count), (2, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AllocStats {
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
    /// The most that [`current_live`](Self::current_live) has been, in bytes.
    pub peak_usage: usize,
    /// Number of requests that ended in an error. A size that does not fit the address space is not a request.
    pub failed_allocations: usize,
}

impl AllocStats {
    /// Counts an allocation of `size` bytes.
    #[inline]
    pub fn record_alloc(&mut self, size: usize) {
        self.total_allocated = self.total_allocated.saturating_add(size);
        self.current_live = self.current_live.saturating_add(size);
        self.allocation_count = self.allocation_count.saturating_add(1);
        self.peak_usage = self.peak_usage.max(self.current_live);
    }

    /// Counts a deallocation of `size` bytes.
    ///
    /// # Panics
    /// With debug assertions or the feature `checked`, if more is given back than is live. Otherwise only what is live
    /// is taken off: no field ever wraps.
    #[inline]
    #[track_caller]
    pub fn record_dealloc(&mut self, size: usize) {
        if cfg!(any(debug_assertions, feature = "checked")) {
            assert!(size <= self.current_live, "{size} bytes deallocated of {} live", self.current_live);
        }
        let size = size.min(self.current_live);
        self.total_deallocated = self.total_deallocated.saturating_add(size);
        self.current_live -= size;
        self.deallocation_count = self.deallocation_count.saturating_add(1);
    }

    /// Counts a request that ended in an error.
    #[inline]
    pub fn record_failure(&mut self) {
        self.failed_allocations = self.failed_allocations.saturating_add(1);
    }
}

static_assertions::const_assert_eq!(size_of::<AllocStats>(), 7 * size_of::<usize>());
