//! What a heap tells of itself: usage, classes, live blocks, leaks.

use core::fmt;
use core::ptr::NonNull;

use crate::runs::{SLICE, Slices};
use crate::sync::Ordering::*;

use super::engine::Engine;
use super::misuse;
use super::observer::Segment;
use super::tables::{Entry, WORDS};
use super::tally::UNTOLD;
use crate::class::{CLASSES, Class, MAX_SPAN};

/// What a [`PinnedHeap`](super::PinnedHeap) takes from the system, and for what. In bytes where it does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PinnedUsage {
    /// Addresses. They cost nothing.
    pub reserved: usize,
    /// Memory for blocks: slices that have been used and not given back to the system since. Pages of them that were never
    /// touched take no memory all the same.
    pub committed: usize,
    /// Of the committed memory, blocks that are free but kept by threads and depots for reuse.
    pub cached: usize,
    /// Memory for the heap itself: tables, magazines, caches. At most; what of it was never touched takes none.
    pub overhead: usize,
    /// How many segments of 4 MiB were ever used.
    pub segments: usize,
    /// How many threads have had a cache at once, at most.
    pub thread_caches: usize,
    /// How far [`peak_usage`](crate::AllocStats::peak_usage) may be from the truth, in bytes: what threads may have moved without
    /// telling each other. 0 if there was never more than one at once, threads without a cache included.
    pub peak_error_bound: usize,
}

impl PinnedUsage {
    pub(super) fn of(engine: &Engine) -> Self {
        let thread_caches = engine.all_caches().count();
        let tallies = thread_caches + usize::from(engine.shared_used.load(Relaxed));
        Self {
            reserved: engine.reserved(),
            committed: engine.tables.dirty_slices.load(Relaxed) * SLICE,
            cached: Class::all().map(|class| cached(engine, class) * class.size()).sum(),
            overhead: engine.overhead(),
            segments: engine.segments().count(),
            thread_caches,
            peak_error_bound: if tallies > 1 { tallies * UNTOLD } else { 0 },
        }
    }
}

/// The blocks of `class` in magazines.
fn cached(engine: &Engine, class: Class) -> usize {
    let in_caches: usize = engine.all_caches().map(|cache| cache.count(class)).sum();
    in_caches + engine.with_depot(class, |depot| depot.full.count()) * class.capacity()
}

/// What a [`PinnedHeap`](super::PinnedHeap) has of one size class, in blocks where it does not say otherwise. Exact while no thread uses the
/// heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassUsage {
    /// Of a block, in bytes; of large ones, which are of many sizes, 0.
    pub size: usize,
    /// How many spans there are.
    pub spans: usize,
    /// The blocks in them.
    pub capacity: usize,
    /// Those that users have.
    pub live: usize,
    /// Those that threads and depots keep for reuse.
    pub cached: usize,
    /// Those that are free in their spans.
    pub free: usize,
    /// The bytes of all of them together.
    pub bytes: usize,
}

/// The size classes of a [`PinnedHeap`](super::PinnedHeap), as they were at one moment.
///
/// ```
/// use bhc_rts_alloc::{Align, PinnedHeap};
/// let heap = PinnedHeap::new();
/// let x = heap.alloc_buffer::<u8, Align<64>>(100);
/// let classes = heap.classes();
/// let class = classes.iter().find(|class| class.live > 0).unwrap();
/// assert_eq!((class.size, class.live), (128, 1));
/// print!("{classes}");
/// ```
#[derive(Clone, Debug)]
pub struct ClassTable {
    classes: [ClassUsage; CLASSES],
    large: ClassUsage,
}

impl ClassTable {
    pub(super) fn of(engine: &Engine) -> Self {
        let mut table = Self {
            classes: core::array::from_fn(|index| ClassUsage {
                size: Class::from_index(index).map_or(0, Class::size),
                ..ClassUsage::default()
            }),
            large: ClassUsage::default(),
        };
        each_run(engine, |start, run| match run {
            Run::Large(len) => {
                let large = &mut table.large;
                (large.spans, large.capacity, large.live) = (large.spans + 1, large.capacity + 1, large.live + 1);
                large.bytes += len * SLICE;
            }
            Run::Span(class) => {
                let usage = &mut table.classes[class.index()];
                let out = engine.with_depot(class, |_| {
                    let head = engine.tables.head(start);
                    head.fresh.load(Relaxed).saturating_sub(head.free.load(Relaxed)) as usize
                });
                usage.spans += 1;
                usage.capacity += class.blocks();
                usage.free += class.blocks().saturating_sub(out);
                usage.bytes += class.slices() * SLICE;
            }
        });
        for class in Class::all() {
            let usage = &mut table.classes[class.index()];
            usage.cached = cached(engine, class).min(usage.capacity - usage.free);
            usage.live = usage.capacity - usage.free - usage.cached;
        }
        table
    }

    /// The classes that have any block, from the smallest.
    pub fn iter(&self) -> impl Iterator<Item = &ClassUsage> {
        self.classes.iter().filter(|class| class.spans > 0)
    }

    /// The blocks above 64 KiB, together. Each counts as a span of one block.
    #[must_use]
    pub fn large(&self) -> ClassUsage {
        self.large
    }
}

impl fmt::Display for ClassTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>10} {:>8} {:>10} {:>10} {:>10} {:>10} {:>14}",
            "size", "spans", "blocks", "live", "cached", "free", "bytes"
        )?;
        let mut line = |name: &dyn fmt::Display, usage: &ClassUsage| {
            let ClassUsage { size: _, spans, capacity, live, cached, free, bytes } = usage;
            writeln!(f, "{name:>10} {spans:>8} {capacity:>10} {live:>10} {cached:>10} {free:>10} {bytes:>14}")
        };
        self.iter().try_for_each(|class| line(&class.size, class))?;
        line(&"large", &self.large)
    }
}

/// A live block of a [`PinnedHeap`](super::PinnedHeap).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedBlock {
    /// Where it starts.
    pub ptr: NonNull<u8>,
    /// What it really has, in bytes: the size of its class, or whole slices.
    pub size: usize,
}

/// What starts at a slice that is no free run.
#[derive(Clone, Copy)]
enum Run {
    /// So many slices.
    Large(usize),
    Span(Class),
}

fn each_run(engine: &Engine, mut each: impl FnMut(usize, Run)) {
    let (top, mut slice) = (engine.top(), 0);
    while slice < top {
        // Others may make and unmake runs meanwhile; then one may be missed, but none made up.
        let len = match engine.tables.entry(slice) {
            Entry::Large => {
                let len = engine.tables.head(slice).len.load(Relaxed) as usize;
                each(slice, Run::Large(len));
                len
            }
            Entry::Span { class, back: 0 } => {
                each(slice, Run::Span(class));
                class.slices()
            }
            Entry::Free => engine.tables.head(slice).len.load(Relaxed) as usize,
            Entry::Inside | Entry::Span { .. } => 1,
        };
        slice += len.max(1);
    }
}

pub(super) fn for_each_block(engine: &Engine, mut each: impl FnMut(PinnedBlock)) {
    let _walk = engine.walk.lock();
    let tables = &engine.tables;
    each_run(engine, |start, run| {
        if let Run::Span(class) = run {
            tables.marks_of(start, class).iter().for_each(|word| word.store(0, Relaxed));
        }
    });
    // A block in a magazine is neither free in its span nor anybody's: it is marked.
    for class in Class::all() {
        let mark = |address: usize| {
            if let Ok((span, index)) = super::depot::find(tables, class, address) {
                tables.marks_of(span, class)[index / 64].fetch_or(1 << (index % 64), Relaxed);
            }
        };
        for cache in engine.all_caches() {
            for (magazine, count) in [cache.loaded(class), cache.previous(class)].into_iter().flatten() {
                // SAFETY: magazines live as long as the heap.
                unsafe { magazine.as_ref() }.slots(class)[..count]
                    .iter()
                    .for_each(|slot| mark(slot.load(Relaxed).addr()));
            }
        }
        engine.with_depot(class, |depot| {
            depot
                .full
                .iter()
                .for_each(|full| full.slots(class).iter().for_each(|slot| mark(slot.load(Relaxed).addr())));
        });
    }
    each_run(engine, |start, run| match run {
        Run::Large(len) => each(PinnedBlock { ptr: tables.at(start), size: len * SLICE }),
        Run::Span(class) => {
            // Copied under the lock, told without it.
            let mut live = [0u64; MAX_SPAN * WORDS];
            engine.with_depot(class, |_| {
                let fresh = tables.head(start).fresh.load(Relaxed) as usize;
                let bits = tables.free_bits(start, class).iter().zip(tables.marks_of(start, class));
                for (at, (live, (free, marked))) in live.iter_mut().zip(bits).enumerate() {
                    let out = match fresh.saturating_sub(at * 64) {
                        0 => 0,
                        count @ 1..64 => (1 << count) - 1,
                        _ => u64::MAX,
                    };
                    *live = out & !free.load(Relaxed) & !marked.load(Relaxed);
                }
            });
            for (at, mut word) in live.into_iter().enumerate() {
                while word != 0 {
                    let index = at * 64 + word.trailing_zeros() as usize;
                    // SAFETY: a block of the span.
                    let ptr = unsafe { tables.at(start).add(index * class.size()) };
                    each(PinnedBlock { ptr, size: class.size() });
                    word &= word - 1;
                }
            }
        }
    });
}

pub(super) fn locate(engine: &Engine, address: usize) -> Option<(Segment, usize)> {
    let offset = engine.tables.offset_of(address)?;
    let (segment, slices) = engine.segment_of(offset / SLICE)?;
    Some((segment, slices * SLICE + offset % SLICE))
}

/// The live blocks of a [`PinnedHeap`](super::PinnedHeap) that is being dropped.
///
/// Printed it is a line: the numbers, and where the first few blocks are.
#[derive(Clone, Copy)]
pub struct LeakReport<'h> {
    engine: &'h Engine,
    /// How many there are.
    pub blocks: usize,
    /// What was asked for by those who allocated them, in bytes.
    pub bytes: usize,
}

impl LeakReport<'_> {
    /// Calls `each` with every one of them, in the order of their addresses. `each` must not call this.
    pub fn for_each_block(&self, each: impl FnMut(PinnedBlock)) {
        for_each_block(self.engine, each);
    }
}

impl fmt::Debug for LeakReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakReport").field("blocks", &self.blocks).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl fmt::Display for LeakReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, bytes, .. } = self;
        write!(f, "pinned heap: dropped with {blocks} live blocks of {bytes} bytes requested")?;
        const SHOWN: usize = 8;
        let (mut shown, mut result) = (0, Ok(()));
        self.for_each_block(|block| {
            if shown < SHOWN && result.is_ok() {
                result = write!(f, "; {} bytes at {:p}", block.size, block.ptr);
            }
            shown += 1;
        });
        result?;
        if shown > SHOWN { f.write_str("; ...") } else { Ok(()) }
    }
}

/// The default policy for leaks.
pub(super) fn complain(report: &LeakReport<'_>) {
    misuse::complain(report);
}

/// Reports live blocks, if there are any, of a heap that nobody uses any more.
pub(super) fn leaks(engine: &Engine) {
    if engine.stats().current_live == 0 && !engine.misused.load(Relaxed) {
        return; // a walk would touch the tables
    }
    let mut blocks = 0;
    for_each_block(engine, |_| blocks += 1);
    if blocks > 0 {
        let report = LeakReport { engine, blocks, bytes: engine.stats().current_live };
        misuse::without_unwinding(|| (engine.settings.on_leak)(&report));
    }
}
