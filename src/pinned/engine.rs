//! [`Engine`]: a heap, all but the few instructions that most calls are. It stands at the start of the heap's own range.
//!
//! Locks are taken in this order: a depot's, that of the runs, that of the store; growth and purging before runs. None is held
//! while a policy is called; growth is while an observer is.

use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::{self, NonNull};
use std::sync::Arc;

use crate::align::{align_down, align_up};
use crate::os::range::{self, Source};
use crate::os::{clock, poison};
use crate::runs::{Dirty, Runs, SLICE, Slices, Used, Wish};
use crate::stats::AllocStats;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Lock, Ordering::*};

use super::cache::Cache;
use super::depot::{self, Depot};
use super::magazine::{Magazine, Stack};
use super::misuse::{self, Misuse, MisuseKind};
use super::observer::{Segment, SegmentObserver};
use super::report::LeakReport;
use super::tables::{Entry, Plan, Tables};
use super::tally::{Counts, Level, Tally};
use crate::class::{CLASSES, Class, SPAN_ALIGN};

/// The size of a segment, in bytes: what memory is asked of the system in.
pub(crate) const SEGMENT: usize = 4 << 20;
pub(crate) const SEGMENT_SLICES: usize = SEGMENT / SLICE;
/// The strongest alignment that a heap gives, in bytes.
pub(crate) const MAX_ALIGN: usize = 1 << 30;
/// The most that a heap reserves, in bytes: its slices have numbers of 32 bits.
const MAX_RESERVE: usize = if usize::BITS == 64 { SLICE << 31 } else { isize::MAX as usize / 4 };
/// The part of the range for caches and magazines, of the part for slices: one of so many.
const STORE_SHARE: usize = 64;
const LEAST_STORE: usize = 32 << 20;
/// What the store commits at a time, in bytes.
const STORE_STEP: usize = 64 << 10;
/// From this size on, in bytes, a block that has to move is moved by its pages.
const RELOCATED: usize = 1 << 20;
/// How often the process moves blocks by their pages, in heaps that are there: each time leaves some mappings more, of which
/// a process may have 65,530 on Linux, and which never become one again.
const MOST_RELOCATED: usize = 4096;
static RELOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// How much a tick gives back to the system at most, in runs and in slices.
const TICK: (usize, usize) = (256, (256 << 20) / SLICE);
/// The empty magazines that a depot keeps for itself.
const EMPTIES: usize = 8;

pub(crate) type MisusePolicy = &'static (dyn Fn(&Misuse) + Send + Sync);
pub(crate) type LeakPolicy = &'static (dyn Fn(&LeakReport<'_>) + Send + Sync);

/// How a heap is to be. See the builder for what each means.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) reserve: usize,
    pub(crate) limit: usize,
    /// In milliseconds.
    pub(crate) decay: u32,
    pub(crate) caches: bool,
    pub(crate) source: Source,
    pub(crate) on_misuse: MisusePolicy,
    pub(crate) on_leak: LeakPolicy,
    pub(crate) observer: Option<Arc<dyn SegmentObserver>>,
}

/// Memory for caches and magazines, which is taken from its part of the range in order, and magazines that nobody has.
struct Store {
    next: usize,
    committed: usize,
    end: usize,
    empty: Stack,
}

#[repr(C)]
pub(crate) struct Engine {
    pub(crate) tables: Tables,
    pub(crate) settings: Settings,
    pub(crate) level: Level,
    /// The counters of those who have no cache.
    shared: Lock<Tally>,
    failures: AtomicUsize,
    depots: [Lock<Depot>; CLASSES],
    runs: Lock<Runs>,
    /// Taken by who makes a segment memory.
    growth: Lock<()>,
    /// Taken by who has free runs out to give their memory back; so who finds none can wait for them.
    purging: Lock<()>,
    store: Lock<Store>,
    /// Taken by who walks the heap: the marks in the tables are its own.
    pub(crate) walk: Lock<()>,
    /// The newest cache. Caches stay until the heap goes; a thread that ends leaves its own to another.
    caches: AtomicPtr<Cache>,
    /// Changes when all threads shall empty their magazines.
    epoch: AtomicU32,
    /// A policy has been told of misuse, so that the statistics may be wrong.
    pub(crate) misused: AtomicBool,
    /// The counters in `shared` have been used.
    pub(crate) shared_used: AtomicBool,
    /// How often this heap has moved pages.
    relocations: AtomicUsize,
    /// When [`tick`](Self::tick) ran last.
    ticked: AtomicU32,
    plan: Plan,
    /// Where the slices start in the range.
    data: usize,
    range: ManuallyDrop<range::Range>,
}

/// A block's contents, wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    Any,
    Zeros,
}

fn slices_for(size: usize) -> usize {
    size.div_ceil(SLICE)
}

impl Engine {
    /// Makes a heap. `None` if there are no addresses or no memory for it. It is the caller's to [close](Self::close).
    pub(crate) fn build(settings: Settings) -> Option<NonNull<Self>> {
        if crate::os::struck() {
            return None;
        }
        let mut reserve = align_up(settings.reserve.clamp(SEGMENT, MAX_RESERVE), SEGMENT);
        loop {
            let slices = reserve / SLICE;
            let plan = Plan::new(align_up(size_of::<Self>(), 1 << 16), slices);
            let store = align_up(plan.end(), STORE_STEP);
            let store_end = store + align_up((reserve / STORE_SHARE).max(LEAST_STORE), STORE_STEP);
            let data = align_up(store_end, SEGMENT);
            let layout = Layout::from_size_align(data + reserve, SEGMENT).ok()?;
            let Some(range) = range::Range::reserve(layout, settings.source) else {
                // Address space may be limited (`ulimit -v`), or full of other heaps.
                if reserve < 16 * SEGMENT {
                    return None;
                }
                reserve = align_up(reserve / 2, SEGMENT);
                continue;
            };
            if !range.commit(0, size_of::<Self>()) {
                return None;
            }
            let engine = range.start().cast::<Self>();
            // SAFETY: the range is that large, and lives as long as the engine that has the tables; what the plan's bytes
            // are made memory by is `grow`. The engine's own bytes are memory, and aligned, as the range is.
            unsafe {
                let tables = Tables::new(range.start(), &plan, slices, range.start().add(data));
                engine.write(Self {
                    tables,
                    settings,
                    level: Level::new(),
                    shared: Lock::new(Tally::new()),
                    failures: AtomicUsize::new(0),
                    depots: [const { Lock::new(Depot::new()) }; CLASSES],
                    runs: Lock::new(Runs::new()),
                    growth: Lock::new(()),
                    purging: Lock::new(()),
                    store: Lock::new(Store { next: store, committed: store, end: store_end, empty: Stack::new() }),
                    walk: Lock::new(()),
                    caches: AtomicPtr::new(ptr::null_mut()),
                    epoch: AtomicU32::new(0),
                    misused: AtomicBool::new(false),
                    shared_used: AtomicBool::new(false),
                    relocations: AtomicUsize::new(0),
                    ticked: AtomicU32::new(clock::milliseconds()),
                    plan,
                    data,
                    range: ManuallyDrop::new(range),
                });
            }
            return Some(engine);
        }
    }

    /// Ends a heap: all its memory goes, unless its observer has not let go of it.
    ///
    /// # Safety
    /// From [`build`](Self::build), and not used afterwards, by anybody.
    pub(crate) unsafe fn close(engine: NonNull<Self>) {
        // SAFETY: the caller's promise. The range, in which the engine is, is taken out of it first.
        unsafe {
            let range = ptr::read(&raw const (*engine.as_ptr()).range);
            let mut let_go = true;
            {
                let engine = engine.as_ref();
                // What the address sanitizer thinks of these addresses must not outlive the heap.
                poison::in_use(engine.tables.base(), engine.tables.ready() * SLICE);
                if let Some(observer) = &engine.settings.observer {
                    for segment in engine.segments() {
                        let_go &= misuse::without_unwinding(|| observer.removed(segment));
                    }
                }
            }
            RELOCATIONS.fetch_sub(engine.as_ref().relocations.load(Relaxed), Relaxed);
            engine.drop_in_place();
            if let_go {
                drop(ManuallyDrop::into_inner(range));
            }
        }
    }

    fn depot(&self, class: Class) -> crate::sync::Guard<'_, Depot> {
        self.depots[class.index()].lock()
    }

    pub(crate) fn with_depot<R>(&self, class: Class, look: impl FnOnce(&Depot) -> R) -> R {
        look(&self.depot(class))
    }

    // ---- numbers ----

    pub(crate) fn count_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn stats(&self) -> AllocStats {
        let told = self.level.told();
        let mut counts = Counts::default();
        self.all_caches().for_each(|cache| counts.add(cache.tally.counts()));
        counts.add(self.shared.lock().counts());
        counts.stats(&self.level, told, self.failures.load(Relaxed))
    }

    /// The segments that are memory.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        (0..self.tables.ready() / SEGMENT_SLICES)
            .filter_map(|index| self.segment_of(index * SEGMENT_SLICES).map(|(segment, _)| segment))
    }

    /// The segment of a slice, if that is memory, and how far into it the slice is, in slices.
    pub(crate) fn segment_of(&self, slice: usize) -> Option<(Segment, usize)> {
        // By the slice alone: a segment is told of unit by unit, and blocks may be made of the first meanwhile.
        let committed = slice < self.tables.ready() && self.is_committed(slice..slice + 1);
        committed.then(|| (self.segment(slice / SEGMENT_SLICES), slice % SEGMENT_SLICES))
    }

    fn segment(&self, index: usize) -> Segment {
        Segment { index, start: self.tables.at(index * SEGMENT_SLICES), size: SEGMENT }
    }

    /// All caches that there ever were.
    pub(crate) fn all_caches(&self) -> impl Iterator<Item = &Cache> {
        // SAFETY: caches that are linked live as long as the heap; linking is a release of their making.
        core::iter::successors(unsafe { self.caches.load(Acquire).as_ref() }, |cache| unsafe {
            cache.next.load(Relaxed).as_ref()
        })
    }

    /// Counts what `change` is told of, for a caller with or without a cache, and tells all.
    fn count(&self, cache: Option<&Cache>, change: impl FnOnce(&Tally)) {
        let count = |tally: &Tally| {
            change(tally);
            tally.fold(&self.level);
        };
        match cache {
            Some(cache) => count(&cache.tally),
            None => {
                self.shared_used.store(true, Relaxed);
                count(&self.shared.lock());
            }
        }
    }

    // ---- caches ----

    /// A cache for the calling thread, until it [retires](Self::retire) it.
    pub(crate) fn claim_cache(&self) -> Option<NonNull<Cache>> {
        for cache in self.all_caches() {
            if !cache.taken.load(Relaxed) && !cache.taken.swap(true, Acquire) {
                return Some(NonNull::from(cache));
            }
        }
        let cache = self.allot(Layout::new::<Cache>())?.cast::<Cache>();
        // SAFETY: fresh memory for a cache.
        let cache = unsafe {
            cache.write(Cache::new());
            cache.as_ref()
        };
        let mut newest = self.caches.load(Relaxed);
        loop {
            cache.next.store(newest, Relaxed);
            match self.caches.compare_exchange_weak(newest, ptr::from_ref(cache).cast_mut(), Release, Relaxed) {
                Ok(_) => return Some(NonNull::from(cache)),
                Err(other) => newest = other,
            }
        }
    }

    /// Takes a cache back from its thread.
    pub(crate) fn retire(&self, cache: &Cache) {
        self.empty_magazines(cache, true);
        cache.tally.fold(&self.level);
        cache.taken.store(false, Release);
    }

    /// Takes all blocks from a cache's magazines: full ones go to their depots as they are, if they may and there is room.
    fn empty_magazines(&self, cache: &Cache, as_they_are: bool) {
        for class in Class::all() {
            for (magazine, count) in cache.unload(class).into_iter().flatten() {
                let mut depot = self.depot(class);
                if as_they_are && count == class.capacity() && depot.has_room(class) {
                    // SAFETY: it was the cache's; magazines live as long as the heap.
                    unsafe { depot.full.push(magazine) };
                } else {
                    drop(depot);
                    self.release_all(class, magazine, count);
                    self.give_magazine(magazine);
                }
            }
        }
    }

    /// Memory for the heap's own use, for ever.
    fn allot(&self, layout: Layout) -> Option<NonNull<u8>> {
        if crate::os::struck() {
            return None;
        }
        let mut store = self.store.lock();
        let at = align_up(store.next, layout.align());
        let next = at + layout.size();
        if next > store.end {
            return None;
        }
        if next > store.committed {
            let wanted = align_up(next, STORE_STEP);
            if !self.range.commit(store.committed, wanted) {
                return None;
            }
            store.committed = wanted;
        }
        store.next = next;
        // SAFETY: within the range.
        Some(unsafe { self.range.start().add(at) })
    }

    /// An empty magazine.
    fn take_magazine(&self) -> Option<NonNull<Magazine>> {
        let empty = self.store.lock().empty.pop();
        // Fresh memory is zeros, which are a magazine.
        empty.or_else(|| self.allot(Layout::new::<Magazine>()).map(NonNull::cast))
    }

    fn give_magazine(&self, magazine: NonNull<Magazine>) {
        // SAFETY: it was the caller's; magazines live as long as the heap.
        unsafe { self.store.lock().empty.push(magazine) };
    }

    /// Gives an empty magazine to those who look for one of `class` next.
    fn put_aside(&self, depot: &mut Depot, magazine: NonNull<Magazine>) {
        if depot.empty.count() < EMPTIES {
            // SAFETY: as above.
            unsafe { depot.empty.push(magazine) };
        } else {
            self.give_magazine(magazine);
        }
    }

    // ---- small blocks ----

    /// Allocates a block of `class` for `size` bytes, when the loaded magazine has none, or there is no cache.
    pub(crate) fn alloc_small(&self, cache: Option<&Cache>, class: Class, size: usize) -> Option<NonNull<u8>> {
        self.upkeep(cache);
        let block = loop {
            let found = match cache {
                Some(cache) => self.refill(cache, class),
                None => self.take_one(class),
            };
            if found.is_some() {
                break found;
            }
            if !self.new_span(cache, class) {
                break self.last_resort(class);
            }
        }?;
        self.count(cache, |tally| tally.record_alloc(size));
        Some(block)
    }

    /// Allocates a block of `class` of which nothing was ever written, so that it is zeros; when there is no used one at hand.
    /// `None` means that there is none either, not that there is no memory.
    pub(crate) fn alloc_fresh(&self, cache: Option<&Cache>, class: Class, size: usize) -> Option<NonNull<u8>> {
        self.upkeep(cache);
        let take = || {
            let mut depot = self.depot(class);
            if depot.full.count() > 0 { None } else { depot.take_fresh(&self.tables, class) }
        };
        let block = match take() {
            Some(block) => block,
            None if self.with_depot(class, Depot::is_used_up) && self.new_span(cache, class) => take()?,
            None => return None,
        };
        self.count(cache, |tally| tally.record_alloc(size));
        Some(block)
    }

    /// Makes a span of `class`. No lock is held, as memory may have to be asked for.
    fn new_span(&self, cache: Option<&Cache>, class: Class) -> bool {
        let wish = Wish { len: class.slices(), align: SPAN_ALIGN };
        let Some((span, used)) = self.take_run(cache, wish, Contents::Any) else { return false };
        // SAFETY: the run is ours, and nobody refers to it.
        unsafe { poison::fresh(self.tables.at(span), class.slices() * SLICE) };
        self.depot(class).add_span(&self.tables, class, span, used);
        true
    }

    /// Takes a block from the loaded magazine, or loads one that has some, if there are any without asking for memory.
    fn refill(&self, cache: &Cache, class: Class) -> Option<NonNull<u8>> {
        loop {
            // SAFETY: the calling thread has the cache.
            if let Some(block) = unsafe { cache.pop(class) } {
                return Some(block);
            }
            let loaded = cache.loaded(class).map(|(loaded, _)| loaded);
            if let (Some(loaded), Some((previous, count @ 1..))) = (loaded, cache.previous(class)) {
                cache.load(class, previous, count);
                cache.keep(class, loaded, false);
                continue;
            }
            let mut depot = self.depot(class);
            if let Some(full) = depot.pop_full() {
                if let Some(loaded) = loaded {
                    self.put_aside(&mut depot, loaded);
                }
                cache.load(class, full, class.capacity());
                continue;
            }
            let Some(magazine) = loaded.or_else(|| depot.empty.pop()).or_else(|| self.take_magazine()) else {
                drop(depot);
                return self.take_one(class);
            };
            let mut blocks = [ptr::null_mut(); crate::class::MAX_CAPACITY];
            let mut next = blocks.iter_mut();
            let count = depot.take(&self.tables, class, class.capacity(), |block| {
                if let Some(place) = next.next() {
                    *place = block.as_ptr();
                }
            });
            drop(depot);
            cache.load_empty(class, magazine);
            if count == 0 {
                return None;
            }
            // SAFETY: magazines live as long as the heap.
            let slots = unsafe { magazine.as_ref() }.slots(class);
            // The first that is taken is the one with the least address.
            for (slot, block) in slots.iter().zip(blocks[..count].iter().rev()) {
                slot.store(*block, Relaxed);
            }
            cache.load(class, magazine, count);
        }
    }

    /// Takes one block from a span, if one has any.
    fn take_one(&self, class: Class) -> Option<NonNull<u8>> {
        let mut block = None;
        self.depot(class).take(&self.tables, class, 1, |found| block = Some(found));
        block
    }

    /// A block from a full magazine, for who found no memory: those with caches have looked there already.
    fn last_resort(&self, class: Class) -> Option<NonNull<u8>> {
        let full = self.depot(class).pop_full()?;
        self.release_all(class, full, class.capacity());
        self.give_magazine(full);
        self.take_one(class)
    }

    /// Takes back a block of `class`, when the loaded magazine is full, or there is no cache.
    pub(crate) fn free_small(&self, cache: Option<&Cache>, class: Class, block: NonNull<u8>, size: usize) {
        match cache {
            Some(cache) => {
                self.upkeep(Some(cache));
                self.make_room(cache, class);
                // SAFETY: the calling thread has the cache.
                if !unsafe { cache.push(class, block) } {
                    self.release(class, block.addr().get());
                }
                self.count(Some(cache), |tally| tally.record_dealloc(size));
            }
            None => {
                self.upkeep(None);
                if self.release(class, block.addr().get()) {
                    self.count(None, |tally| tally.record_dealloc(size));
                }
            }
        }
    }

    /// Loads a magazine that is not full, if there is one or memory for it.
    ///
    /// Releasing blocks may call the policy for misuse, and that may use the heap: a magazine is taken out of the cache before, and
    /// the cache looked at anew after it.
    fn make_room(&self, cache: &Cache, class: Class) {
        loop {
            let loaded = match cache.loaded(class) {
                Some((loaded, count)) if count == class.capacity() => loaded,
                Some(_) => return,
                None => {
                    if let Some(empty) = self.take_empty(class) {
                        cache.load_empty(class, empty);
                    }
                    return;
                }
            };
            let previous = cache.previous(class);
            let empty = match previous {
                Some((previous, 0)) => Some(previous),
                Some((previous, _)) => self.exchange(class, previous),
                None => self.take_empty(class),
            };
            if let Some(empty) = empty {
                cache.keep(class, loaded, true);
                cache.load_empty(class, empty);
                return;
            }
            let full = match previous {
                Some((previous, _)) => {
                    cache.keep_none(class);
                    previous
                }
                None => {
                    // There is no memory for a second magazine.
                    cache.load_none(class);
                    loaded
                }
            };
            self.release_all(class, full, class.capacity());
            self.give_magazine(full);
        }
    }

    fn take_empty(&self, class: Class) -> Option<NonNull<Magazine>> {
        let empty = self.depot(class).empty.pop();
        empty.or_else(|| self.take_magazine())
    }

    /// Gives a full magazine for an empty one, if there is room for it.
    fn exchange(&self, class: Class, full: NonNull<Magazine>) -> Option<NonNull<Magazine>> {
        let mut depot = self.depot(class);
        if !depot.has_room(class) {
            return None;
        }
        let empty = depot.empty.pop().or_else(|| self.take_magazine())?;
        // SAFETY: it is the cache's, which gets another; magazines live as long as the heap.
        unsafe { depot.full.push(full) };
        Some(empty)
    }

    /// Tells the policy. No lock is held, and no magazine on its way is in a cache: it may use this heap.
    fn report(&self, misuse: &Misuse) {
        self.misused.store(true, Relaxed);
        misuse::without_unwinding(|| (self.settings.on_misuse)(misuse));
    }

    /// Gives the blocks in a magazine, which is in no cache or depot, back to their spans.
    fn release_all(&self, class: Class, magazine: NonNull<Magazine>, count: usize) {
        // SAFETY: magazines live as long as the heap.
        let mut slots = unsafe { magazine.as_ref() }.slots(class)[..count].iter();
        while slots.len() > 0 {
            let mut depot = self.depot(class);
            let found = slots.find_map(|slot| {
                let address = slot.load(Relaxed).addr();
                self.release_in(&mut depot, class, address).err()
            });
            drop(depot);
            if let Some(misuse) = found {
                self.report(&misuse);
            }
        }
    }

    /// Gives a block back to its span. `false` if it was none.
    fn release(&self, class: Class, address: usize) -> bool {
        let result = self.release_in(&mut self.depot(class), class, address);
        if let Err(misuse) = &result {
            self.report(misuse);
        }
        result.is_ok()
    }

    fn release_in(&self, depot: &mut Depot, class: Class, address: usize) -> Result<(), Misuse> {
        if let Some(span) = depot.release(&self.tables, class, address)? {
            self.give_run(span..span + class.slices(), true);
        }
        Ok(())
    }

    /// Counts a change of size that stays in one class.
    pub(crate) fn resize_small(&self, cache: Option<&Cache>, old_size: usize, new_size: usize) {
        match cache {
            Some(cache) => {
                cache.tally.record_realloc(old_size, new_size);
                // No magazine has to be exchanged for this, however often it is done.
                if cache.tally.hides_much() {
                    cache.tally.fold(&self.level);
                }
            }
            None => self.count(None, |tally| tally.record_realloc(old_size, new_size)),
        }
    }

    // ---- large blocks ----

    pub(crate) fn alloc_large(&self, cache: Option<&Cache>, layout: Layout, contents: Contents) -> Option<NonNull<u8>> {
        if layout.align() > MAX_ALIGN {
            return None;
        }
        self.upkeep(cache);
        let wish = Wish { len: slices_for(layout.size()), align: layout.align().div_ceil(SLICE) };
        let (start, _) = self.take_run(cache, wish, contents)?;
        self.tables.head(start).len.store(wish.len as u32, Relaxed);
        self.tables.set_entry(start, Entry::Large);
        self.count(cache, |tally| tally.record_large(&self.level, 0, layout.size()));
        Some(self.tables.at(start))
    }

    /// The large block of `size` bytes at `address`, by its first slice.
    fn find_large(&self, address: usize, size: usize) -> Result<usize, Misuse> {
        let len = slices_for(size);
        let freed_as = depot::large_layouts(len);
        let wrong = |kind| Misuse { address, freed_as, kind };
        let offset = self.tables.offset_of(address).ok_or(wrong(MisuseKind::Foreign))?;
        let start = offset / SLICE;
        if start >= self.tables.ready() {
            return Err(wrong(MisuseKind::NotABlock));
        }
        match self.tables.entry(start) {
            Entry::Large if offset.is_multiple_of(SLICE) => match self.tables.head(start).len.load(Relaxed) as usize {
                found if found == len => Ok(start),
                found => Err(wrong(MisuseKind::WrongLayout(depot::large_layouts(found)))),
            },
            Entry::Span { class, .. } => Err(match depot::find(&self.tables, class, address) {
                Ok(_) => wrong(MisuseKind::WrongLayout(depot::layouts(class))),
                Err(kind) => wrong(kind),
            }),
            Entry::Free if offset.is_multiple_of(SLICE) => Err(wrong(MisuseKind::DoubleFree)),
            // A large block that was freed and has become part of a larger free run is not known any more.
            Entry::Large | Entry::Free | Entry::Inside => Err(wrong(MisuseKind::NotABlock)),
        }
    }

    pub(crate) fn free_large(&self, cache: Option<&Cache>, block: NonNull<u8>, size: usize) {
        self.upkeep(cache);
        let mut runs = self.runs.lock();
        match self.find_large(block.addr().get(), size) {
            Ok(start) => {
                self.tables.set_entry(start, Entry::Inside);
                // SAFETY: it was a block, and nobody has it any more.
                unsafe { poison::freed(block, size) };
                runs.give(&self.tables, start, slices_for(size), clock::milliseconds(), self.usage(true));
                drop(runs);
                self.count(cache, |tally| tally.record_large(&self.level, size, 0));
            }
            Err(misuse) => {
                drop(runs);
                self.report(&misuse);
            }
        }
    }

    /// Changes the size of a large block to another large size.
    pub(crate) fn resize_large(
        &self,
        cache: Option<&Cache>,
        block: NonNull<u8>,
        old: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        self.upkeep(cache);
        let (len, wanted) = (slices_for(old.size()), slices_for(new_size));
        let start = match self.find_large(block.addr().get(), old.size()) {
            Ok(start) => start,
            Err(misuse) => {
                self.report(&misuse);
                return None;
            }
        };
        if wanted < len {
            // SAFETY: the end of the block, which nobody has from now on.
            unsafe { poison::freed(self.tables.at(start + wanted), (len - wanted) * SLICE) };
            self.tables.head(start).len.store(wanted as u32, Relaxed);
            self.give_run(start + wanted..start + len, true);
        } else if wanted > len && !self.grow_large(start, len, wanted) {
            if let Some(moved) = self.move_large(cache, start, old, new_size) {
                return Some(moved);
            }
            // What was given back for the move may be what was missing.
            if !self.grow_large(start, len, wanted) {
                return None;
            }
        }
        self.count(cache, |tally| tally.record_large(&self.level, old.size(), new_size));
        Some(block)
    }

    /// Makes a large block longer by what is free after it.
    fn grow_large(&self, start: usize, len: usize, wanted: usize) -> bool {
        if crate::os::struck()
            || !self.runs.lock().extend(&self.tables, start, len, wanted, |top| self.grow(top, wanted - len))
        {
            return false;
        }
        if self.make_usable(start + len..start + wanted, Contents::Any).is_none() {
            return false;
        }
        self.tables.head(start).len.store(wanted as u32, Relaxed);
        true
    }

    fn move_large(&self, cache: Option<&Cache>, start: usize, old: Layout, new_size: usize) -> Option<NonNull<u8>> {
        let new = Layout::from_size_align(new_size, old.align()).ok()?;
        let to = self.alloc_large(cache, new, Contents::Any)?;
        let from = self.tables.at(start);
        let len = slices_for(old.size());
        let target = self.tables.offset_of(to.addr().get())? / SLICE;
        // SAFETY: the first slices of the new block, which is longer, and all of the old one; both are the caller's.
        let moved = unsafe { self.relocate(start, target, len) };
        self.tables.set_entry(start, Entry::Inside);
        if moved {
            self.tables.set_clean(start..start + len);
            // SAFETY: pages that nobody has from now on. They are not filled: they are zeros, and nothing else is told.
            unsafe { poison::fresh(from, len * SLICE) };
        } else {
            // SAFETY: both blocks are live and of at least that size; then nobody has the old one any more.
            unsafe {
                to.copy_from_nonoverlapping(from, old.size());
                poison::freed(from, old.size());
            }
        }
        self.give_run(start..start + len, !moved);
        self.count(cache, |tally| tally.record_large(&self.level, old.size(), 0));
        Some(to)
    }

    /// Moves the pages of some slices, if that is worth it.
    ///
    /// # Safety
    /// As for [`Range::relocate`](range::Range::relocate).
    unsafe fn relocate(&self, from: usize, to: usize, len: usize) -> bool {
        let few = |count: usize| (count < MOST_RELOCATED).then_some(count + 1);
        if len < RELOCATED / SLICE
            || self.usage(true) != Used::Returnable
            || !SLICE.is_multiple_of(crate::os::page_size())
            || RELOCATIONS.fetch_update(Relaxed, Relaxed, few).is_err()
        {
            return false;
        }
        self.relocations.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise; whole pages, as slices are.
        unsafe { self.range.relocate(self.data + from * SLICE, self.data + to * SLICE, len * SLICE) }
    }

    // ---- slices ----

    /// Takes a run of slices that are memory; and whether any of it may have been written before.
    fn take_run(&self, cache: Option<&Cache>, wish: Wish, contents: Contents) -> Option<(usize, bool)> {
        // What can never be had is no reason to turn the heap over.
        if crate::os::struck() || wish.len > self.tables.slices().min(self.settings.limit / SLICE) {
            return None;
        }
        let run = self.runs.lock().take(&self.tables, wish, |top| self.grow(top, wish.len));
        if let Some(start) = run
            && let Some(used) = self.make_usable(start..start + wish.len, contents)
        {
            return Some((start, used));
        }
        // What magazines hold may be what is missing; so may memory that could go back to the system, or stay in use.
        if let Some(cache) = cache {
            self.empty_magazines(cache, false);
        }
        self.release_depots();
        self.purge();
        let mut runs = self.runs.lock();
        let dirtiest = runs.take_dirtiest(&self.tables, wish);
        let start = dirtiest.or_else(|| runs.take(&self.tables, wish, |top| self.grow(top, wish.len)))?;
        drop(runs);
        let used = self.make_usable(start..start + wish.len, contents)?;
        Some((start, used))
    }

    /// Makes slices that the caller took memory, or gives them back. Says whether any of them may have been written before.
    fn make_usable(&self, slices: Range<usize>, contents: Contents) -> Option<bool> {
        let clean = self.tables.count_clean(slices.clone());
        let budget = |dirty: usize| (dirty + clean <= self.settings.limit / SLICE).then_some(dirty + clean);
        let used = clean < slices.len();
        if self.tables.dirty_slices.fetch_update(Relaxed, Relaxed, budget).is_err() {
            self.give_run(slices, used);
            return None;
        }
        if !self.commit(slices.clone()) {
            self.tables.dirty_slices.fetch_sub(clean, Relaxed);
            self.give_run(slices, used);
            return None;
        }
        let start = self.tables.at(slices.start);
        // SAFETY: the caller's slices, and memory by now.
        unsafe { poison::in_use(start, slices.len() * SLICE) };
        if contents == Contents::Zeros {
            let mut rest = slices.clone();
            while let Some(dirty) = self.tables.next_dirty(rest.clone()) {
                // SAFETY: as above.
                unsafe { self.tables.at(dirty.start).write_bytes(0, dirty.len() * SLICE) };
                rest.start = dirty.end;
            }
        }
        self.tables.set_dirty(slices);
        Some(used)
    }

    /// Gives slices back, whose entries are `Inside`.
    fn give_run(&self, slices: Range<usize>, used: bool) {
        let used = self.usage(used);
        self.runs.lock().give(&self.tables, slices.start, slices.len(), clock::milliseconds(), used);
    }

    fn usage(&self, used: bool) -> Used {
        // What a device has registered must stay where it is.
        let returnable = self.settings.observer.is_none() && self.settings.source == Source::Mapped;
        match used {
            false => Used::No,
            true if returnable => Used::Returnable,
            true => Used::Stuck,
        }
    }

    /// Makes tables for slices to `top`, of which `wanted` are to be used. Called with the runs locked.
    fn grow(&self, top: usize, wanted: usize) -> bool {
        let ready = self.tables.ready();
        let dirty = self.tables.dirty_slices.load(Relaxed) + wanted.min(top.saturating_sub(ready));
        if dirty > self.settings.limit / SLICE {
            return false; // they would all be clean
        }
        let wanted = align_up(top, SEGMENT_SLICES);
        if wanted <= ready {
            return true;
        }
        if crate::os::struck() || !self.plan.parts(ready..wanted).all(|part| self.range.commit(part.start, part.end)) {
            return false;
        }
        // SAFETY: all parts are memory now.
        unsafe { self.tables.set_ready(wanted) };
        true
    }

    fn is_committed(&self, slices: Range<usize>) -> bool {
        self.tables.committed(slices).iter().all(|unit| unit.load(Acquire) == 1)
    }

    /// Makes the segments of some slices memory.
    fn commit(&self, slices: Range<usize>) -> bool {
        if self.is_committed(slices.clone()) {
            return true;
        }
        let _growth = self.growth.lock();
        let segments = align_down(slices.start, SEGMENT_SLICES)..align_up(slices.end, SEGMENT_SLICES);
        for start in segments.step_by(SEGMENT_SLICES) {
            let segment = start..start + SEGMENT_SLICES;
            if self.is_committed(segment.clone()) {
                continue;
            }
            let from = self.data + start * SLICE;
            if crate::os::struck()
                || !self.range.commit(from, from + SEGMENT)
                || self.settings.observer.as_ref().is_some_and(|observer| {
                    !misuse::without_unwinding(|| observer.added(self.segment(start / SEGMENT_SLICES)))
                })
            {
                return false;
            }
            // SAFETY: new memory, which nobody refers to.
            unsafe { poison::fresh(self.tables.at(start), SEGMENT) };
            for unit in self.tables.committed(segment) {
                unit.store(1, Release);
            }
        }
        true
    }

    // ---- upkeep ----

    /// What is to be done now and then, at the slow calls.
    fn upkeep(&self, cache: Option<&Cache>) {
        if let Some(cache) = cache {
            let epoch = self.epoch.load(Relaxed);
            if cache.epoch.load(Relaxed) != epoch {
                cache.epoch.store(epoch, Relaxed);
                self.empty_magazines(cache, false);
            }
        }
        let (now, last) = (clock::milliseconds(), self.ticked.load(Relaxed));
        if now.wrapping_sub(last) >= (self.settings.decay / 4).max(1)
            && self.ticked.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
        {
            self.tick();
        }
    }

    #[cold]
    fn tick(&self) {
        for class in Class::all() {
            let idle = self.depot(class).idle();
            self.release_full(class, idle.magazines);
            if idle.spans {
                self.release_unused(class);
            }
        }
        // One thread at a time, and not for long: the rest is for the next tick.
        let Some(_purging) = self.purging.try_lock() else { return };
        let (now, (mut runs, mut slices)) = (clock::milliseconds(), TICK);
        while runs > 0 && slices > 0 {
            let Some(len) = self.purge_one(now, self.settings.decay) else { return };
            (runs, slices) = (runs - 1, slices.saturating_sub(len));
        }
    }

    /// Gives the blocks of some full magazines back to their spans.
    fn release_full(&self, class: Class, count: usize) {
        for _ in 0..count {
            let Some(full) = self.depot(class).pop_full() else { return };
            self.release_all(class, full, class.capacity());
            self.give_magazine(full);
        }
    }

    fn release_depots(&self) {
        for class in Class::all() {
            self.release_full(class, usize::MAX);
            self.release_unused(class);
        }
    }

    /// Gives up the spans that nobody has any block of.
    fn release_unused(&self, class: Class) {
        loop {
            let unused = self.depot(class).take_unused(&self.tables, class);
            let Some(span) = unused else { return };
            self.give_run(span..span + class.slices(), true);
        }
    }

    /// Gives all free memory back to the system; waits for who is doing so.
    fn purge(&self) {
        let _purging = self.purging.lock();
        let now = clock::milliseconds();
        while self.purge_one(now, 0).is_some() {}
    }

    /// Gives the memory of the oldest free run back to the system, if it is `age` milliseconds old. Returns its length.
    fn purge_one(&self, now: u32, age: u32) -> Option<usize> {
        let (start, len) = self.runs.lock().take_old(&self.tables, now, age)?;
        let (end, mut at, mut used) = (start + len, start, Used::No);
        let page = crate::os::page_size().div_ceil(SLICE);
        while let Some(dirty) = (at < end).then(|| self.tables.next_dirty(at..end)).flatten() {
            at = dirty.end;
            // Of a page that is in part somebody else's, or locked, the system takes nothing.
            let whole = align_up(dirty.start, page)..align_down(dirty.end, page);
            // SAFETY: slices that are nobody's while they are taken out, and memory, since they are dirty.
            let gone = !whole.is_empty()
                && unsafe { self.range.decommit(self.data + whole.start * SLICE, self.data + whole.end * SLICE) };
            if gone {
                self.tables.set_clean(whole.clone());
            }
            if !gone || whole != dirty {
                used = Used::Stuck;
            }
        }
        self.runs.lock().give(&self.tables, start, len, now, used);
        Some(len)
    }

    /// Gives back all that is not in use.
    pub(crate) fn trim(&self, cache: Option<&Cache>) {
        let epoch = self.epoch.fetch_add(1, Relaxed).wrapping_add(1);
        if let Some(cache) = cache {
            cache.epoch.store(epoch, Relaxed);
            self.empty_magazines(cache, false);
        }
        self.release_depots();
        self.purge();
    }

    /// The bytes that the longest request which could be met would have, without what magazines hold.
    pub(crate) fn available(&self) -> usize {
        let unused = |class: Class| self.with_depot(class, |depot| depot.count_unused(&self.tables)) * class.slices();
        let unused: usize = Class::all().map(unused).sum();
        let runs = self.runs.lock();
        let in_use = runs.in_use().saturating_sub(unused);
        runs.longest(&self.tables).min((self.settings.limit / SLICE).saturating_sub(in_use)) * SLICE
    }

    /// The bytes of the heap's own range that are memory beside its slices.
    pub(crate) fn overhead(&self) -> usize {
        let store = self.store.lock();
        let tables: usize = self.plan.parts(0..self.tables.ready()).map(|part| part.len()).sum();
        let start = align_up(self.plan.end(), STORE_STEP);
        size_of::<Self>() + tables + (store.committed - start)
    }

    pub(crate) fn reserved(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn top(&self) -> usize {
        self.runs.lock().top()
    }
}
