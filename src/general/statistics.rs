//! What a heap counts: [`GcStats`], with a histogram of its pauses.

/// Which collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collection {
    /// Of the nursery: what lives there is moved to the old generation.
    Minor,
    /// Of all: nothing stays that cannot be reached.
    Full,
}

/// How often pauses took how long: a count for each power of two, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseHistogram {
    counts: [u64; Self::BUCKETS],
    total: u64,
    longest: u64,
}

impl Default for PauseHistogram {
    fn default() -> Self {
        Self { counts: [0; Self::BUCKETS], total: 0, longest: 0 }
    }
}

/// How many, the sum and the longest, and each power of two that occurs with how often: all in nanoseconds.
#[cfg(feature = "serde")]
impl serde::Serialize for PauseHistogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("PauseHistogram", 4)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("total", &self.total)?;
        fields.serialize_field("longest", &self.longest)?;
        fields.serialize_field("buckets", &Buckets(self))?;
        fields.end()
    }
}

#[cfg(feature = "serde")]
struct Buckets<'p>(&'p PauseHistogram);

#[cfg(feature = "serde")]
impl serde::Serialize for Buckets<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.buckets())
    }
}

impl PauseHistogram {
    /// Powers of two that are told apart; the last bucket has all that is longer.
    const BUCKETS: usize = 48;

    pub(super) fn record(&mut self, nanoseconds: u64) {
        // Bucket b has 2^(b-1) < ns <= 2^b.
        let bucket = (nanoseconds.max(1).next_power_of_two().trailing_zeros() as usize).min(Self::BUCKETS - 1);
        self.counts[bucket] += 1;
        self.total += nanoseconds;
        self.longest = self.longest.max(nanoseconds);
    }

    /// How many pauses there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What all of them took together, in nanoseconds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// What so many of a thousand pauses did not exceed, in nanoseconds: the upper end of a bucket, or the longest
    /// pause if that is less. 0 if there was none.
    ///
    /// ```
    /// use bhc_rts_alloc::general::{Collection, GeneralHeap};
    /// let mut heap = GeneralHeap::new();
    /// heap.collect(Collection::Full);
    /// let pauses = heap.gc_stats().full_pauses;
    /// assert!(pauses.quantile(500) <= pauses.longest());
    /// ```
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let wanted = (u128::from(self.count()) * u128::from(per_mille.min(1000))).div_ceil(1000) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return (1_u64 << bucket).min(self.longest);
            }
        }
        0
    }

    /// Each power of two, in nanoseconds, with the pauses up to that and above half of it, if there were any. The last
    /// bucket has longer ones, too.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bucket, count)| (1 << bucket, *count))
    }
}

/// What a heap's collector did so far. All in bytes where it says bytes, headers and alignment included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GcStats {
    /// Bytes of objects that were allocated, large ones included.
    pub bytes_allocated: u64,
    /// Bytes of large objects that were allocated.
    pub bytes_large: u64,
    /// Minor collections.
    pub minor_collections: u64,
    /// Full collections.
    pub full_collections: u64,
    /// Objects, and their bytes, that minor collections moved to the old generation.
    pub objects_promoted: u64,
    /// See [`objects_promoted`](Self::objects_promoted).
    pub bytes_promoted: u64,
    /// Objects, and their bytes, that full collections copied, out of nursery and old generation.
    pub objects_copied: u64,
    /// See [`objects_copied`](Self::objects_copied).
    pub bytes_copied: u64,
    /// Objects, and cards of arrays, that the write barrier remembered.
    pub remembered: u64,
    /// The bytes that were live after the last full collection: what it copied, and large objects in whole slices of 8
    /// KiB.
    pub live_after_full: usize,
    /// The most slices that were in use after a collection, in bytes; raw bytes included.
    pub peak_in_use: usize,
    /// Allocations that were refused, even after a full collection.
    pub failed: u64,
    /// How long minor collections took.
    pub minor_pauses: PauseHistogram,
    /// How long full collections took.
    pub full_pauses: PauseHistogram,
}
