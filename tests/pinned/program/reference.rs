//! [`Model`]: what a test knows of its heaps with plain means: a list of blocks, a map of the addresses they take, and what
//! each heap should have counted.

use std::alloc::Layout;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bhc_rts_alloc::{AllocError, AllocStats, LeakReport, MemoryRegion, Misuse, PinnedHeap, Segment, SegmentObserver};

use super::{EARNEST, MAX_ALIGN, Make, SURE_ALIGN, THREADS};

/// What programs are to bring about: [`run`](super::run) answers which of these it saw.
pub const CASES: [&str; 22] = [
    "a request that failed on purpose",
    "freed by another thread",
    "freed after the end of the thread that allocated",
    "freed in a late destructor",
    "served in a late destructor",
    "more heaps than slots",
    "a heap dropped with live blocks",
    "a heap dropped that several threads have caches in",
    "changed in place",
    "moved to another class",
    "moved to another alignment",
    "a large block grown in place",
    "a large block made smaller in place",
    "a large block moved",
    "more than any heap has",
    "an alignment that no heap gives",
    "refused by a limit",
    "refused by an observer",
    "refused for lack of addresses",
    "served after a refusal",
    "all memory given back",
    "all addresses had in one piece",
];

/// What has a size class is at most so large, in bytes; the rest is in whole slices.
const LARGEST_SMALL: usize = 64 << 10;
/// What heaps reserve is whole segments of so many bytes.
const SEGMENT: usize = 4 << 20;
/// Large blocks are whole slices of so many bytes.
const SLICE: usize = 8 << 10;
/// What a span takes at most, in bytes.
const LARGEST_SPAN: usize = 512 << 10;
/// The portable heaps of programs are of so many bytes.
const PORTABLE_RESERVE: usize = 64 << 20;
/// As many heaps as a thread finds at once.
const SLOTS: usize = 32;

/// How often a heap spoke of misuse. Programs do not misuse anything.
static MISUSES: AtomicUsize = AtomicUsize::new(0);

fn note_misuse(misuse: &Misuse) {
    MISUSES.fetch_add(1, SeqCst);
    eprintln!("{misuse}");
}

/// What a report of leaks said: blocks, bytes, and a sum over the blocks in their order.
type Leaks = (usize, usize, usize);

thread_local!(static LEAKS: Cell<Option<Leaks>> = const { Cell::new(None) });

fn sum_up(sum: usize, address: usize, size: usize) -> usize {
    sum.wrapping_mul(0x9e37_79b9).wrapping_add(address ^ size)
}

fn note_leaks(report: &LeakReport<'_>) {
    let mut sum = 0;
    report.for_each_block(|block| sum = sum_up(sum, block.ptr.addr().get(), block.size));
    LEAKS.set(Some((report.blocks, report.bytes, sum)));
}

/// Knows which segments a heap has. It refuses three times one after the other, so that a heap that asks twice is refused too.
pub struct Observer {
    asked: AtomicUsize,
    refuses_from: usize,
    refusals: AtomicUsize,
    segments: Mutex<BTreeMap<usize, usize>>,
}

impl Observer {
    fn new(refuses_from: usize) -> Self {
        let (asked, refusals) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { asked, refuses_from, refusals, segments: Mutex::new(BTreeMap::new()) }
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has(&self, segment: Segment) -> bool {
        self.segments().get(&segment.index) == Some(&segment.start.addr().get())
    }
}

impl SegmentObserver for Observer {
    fn added(&self, segment: Segment) -> bool {
        let number = self.asked.fetch_add(1, SeqCst);
        if (self.refuses_from..self.refuses_from.saturating_add(3)).contains(&number) {
            self.refusals.fetch_add(1, SeqCst);
            return false;
        }
        let before = self.segments().insert(segment.index, segment.start.addr().get());
        assert_eq!(before, None, "{segment:?} was added before");
        true
    }

    fn removed(&self, segment: Segment) -> bool {
        let start = self.segments().remove(&segment.index);
        assert_eq!(start, Some(segment.start.addr().get()), "{segment:?} was not added");
        true
    }
}

/// A heap, and what it should say.
pub struct Heap {
    /// Never used twice.
    pub id: usize,
    pub make: Make,
    pub region: Arc<PinnedHeap>,
    pub observer: Option<Arc<Observer>>,
    /// Its peak counts a `realloc` as never having both blocks.
    stats: AllocStats,
    /// The largest sum of live bytes if every `realloc` had both blocks at once.
    peak_with_copies: usize,
    /// The threads that live and have used it.
    users: BTreeSet<usize>,
    /// What its observer had refused before this step.
    refusals: usize,
    /// Something was refused for a limit, and nothing was served since.
    is_full: bool,
}

impl Heap {
    /// A heap as the program wants it.
    pub fn make(make: Make) -> Result<Self, AllocError> {
        let Make { caches, portable, limit, reserve, decay, observed } = make;
        let mut builder = PinnedHeap::builder()
            .thread_caches(caches)
            .decay(Duration::from_millis(decay))
            .on_misuse(&note_misuse)
            .on_leak(&note_leaks);
        if let Some(limit) = limit {
            builder = builder.limit(limit);
        }
        if portable {
            builder = builder.portable().reserve(PORTABLE_RESERVE);
        }
        if let Some(reserve) = reserve {
            builder = builder.reserve(reserve);
        }
        let observer = observed.map(|refuses_from| Arc::new(Observer::new(refuses_from)));
        if let Some(observer) = &observer {
            builder = builder.observer(Arc::clone(observer) as Arc<dyn SegmentObserver>);
        }
        Ok(Self {
            id: 0,
            make,
            region: Arc::new(builder.try_build()?),
            observer,
            stats: AllocStats::default(),
            peak_with_copies: 0,
            users: BTreeSet::new(),
            refusals: 0,
            is_full: false,
        })
    }

    /// Whether it can surely give a block of that layout: of memory and of addresses it has as much as there is.
    fn has_room(&self, layout: Layout) -> bool {
        let Make { portable, limit, reserve, .. } = self.make;
        limit.is_none() && !portable && reserve.is_none() && layout.align() <= SURE_ALIGN
    }

    fn gives_memory_back(&self) -> bool {
        !self.make.portable && self.make.observed.is_none()
    }

    /// Whether it surely can if nothing lives in it: no thread keeps anything then, and what spans
    /// keep is given up before a request is refused.
    fn has_room_when_empty(&self, layout: Layout) -> bool {
        let needed = if is_large(layout) { layout.size().next_multiple_of(SLICE) } else { LARGEST_SPAN };
        let enough = self.make.reserve.unwrap_or(PORTABLE_RESERVE) >= needed
            && self.make.limit.is_none_or(|limit| limit >= needed && self.gives_memory_back());
        enough && !self.make.caches && layout.align() <= LARGEST_SMALL
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub ptr: NonNull<u8>,
    pub layout: Layout,
    pub seed: u8,
    /// The heap's id.
    pub heap: usize,
    /// The thread that allocated it; a destructor that runs late is none.
    by: Option<usize>,
}

// SAFETY: says where a block is; the block is used by the thread that has the model.
unsafe impl Send for Block {}

impl Block {
    pub fn address(&self) -> usize {
        self.ptr.addr().get()
    }

    pub fn usable(&self) -> usize {
        PinnedHeap::usable_size(self.layout)
    }

    pub fn is_large(&self) -> bool {
        is_large(self.layout)
    }
}

/// Whether blocks of that layout have no size class.
fn is_large(layout: Layout) -> bool {
    layout.pad_to_align().size() > LARGEST_SMALL
}

pub struct Model {
    pub heaps: Vec<Heap>,
    pub blocks: Vec<Block>,
    /// Where blocks end, by where they start.
    taken: BTreeMap<usize, usize>,
    next_heap: usize,
    next_seed: u8,
    /// Which thread each number stands for: one that is never used twice.
    threads: [usize; THREADS],
    next_thread: usize,
    /// Who does the steps; `None` if that is a destructor that runs late.
    running: Option<usize>,
    /// The threads that have had a cache somewhere.
    cached: BTreeSet<usize>,
    /// The late destructor is one of a thread that had caches. Else it is the first to need them, and gets them.
    had_caches: bool,
    seen: BTreeSet<&'static str>,
}

impl Model {
    pub fn new() -> Self {
        Self {
            heaps: Vec::new(),
            blocks: Vec::new(),
            taken: BTreeMap::new(),
            next_heap: 0,
            next_seed: 0,
            threads: std::array::from_fn(|number| number),
            next_thread: THREADS,
            running: Some(0),
            cached: BTreeSet::new(),
            had_caches: false,
            seen: BTreeSet::new(),
        }
    }

    pub fn saw(&mut self, case: &'static str) {
        assert!(CASES.contains(&case), "{case}");
        self.seen.insert(case);
    }

    pub fn seen(self) -> BTreeSet<&'static str> {
        self.seen
    }

    // ---- threads ----

    /// The steps from here on are that thread's.
    pub fn on(&mut self, thread: usize) {
        self.running = Some(self.threads[thread]);
    }

    /// That thread is no more; the steps from here on are those of a late destructor.
    pub fn ended(&mut self, thread: usize) {
        let gone = std::mem::replace(&mut self.threads[thread], self.next_thread);
        self.next_thread += 1;
        self.running = None;
        self.had_caches = self.cached.remove(&gone);
        self.heaps.iter_mut().for_each(|heap| _ = heap.users.remove(&gone));
    }

    /// The steps are done when the thread's caches are gone for good.
    pub fn has_no_caches(&self) -> bool {
        self.running.is_none() && self.had_caches
    }

    /// The thread is about to use that heap.
    pub fn uses(&mut self, heap: usize) {
        if let Some(thread) = self.running {
            self.heap_mut(heap).users.insert(thread);
            if self.heaps.iter().filter(|heap| heap.users.contains(&thread)).count() > SLOTS {
                self.saw("more heaps than slots");
            }
        }
    }

    // ---- heaps ----

    pub fn heap(&self, id: usize) -> &Heap {
        self.heaps.iter().find(|heap| heap.id == id).expect("a live heap")
    }

    fn heap_mut(&mut self, id: usize) -> &mut Heap {
        self.heaps.iter_mut().find(|heap| heap.id == id).expect("a live heap")
    }

    /// The id of a live heap: of the newest, or so many before it, counted around.
    pub fn pick_heap(&self, choice: usize) -> Option<usize> {
        let newest = self.heaps.len().checked_sub(1)?;
        Some(self.heaps[newest - choice % self.heaps.len()].id)
    }

    pub fn begin(&mut self, heap: Heap) {
        self.next_heap += 1;
        self.heaps.push(Heap { id: self.next_heap, ..heap });
    }

    /// Drops a heap, with what lives in it.
    pub fn end(&mut self, id: usize) {
        let at = self.heaps.iter().position(|heap| heap.id == id).expect("a live heap");
        let heap = self.heaps.remove(at);
        let mut leaked: Vec<_> = self.blocks.extract_if(.., |block| block.heap == id).collect();
        leaked.sort_by_key(Block::address);
        let mut expected: Option<Leaks> = None;
        for block in &leaked {
            self.taken.remove(&block.address());
            let (blocks, bytes, sum) = expected.unwrap_or((0, 0, 0));
            expected = Some((blocks + 1, bytes + block.layout.size(), sum_up(sum, block.address(), block.usable())));
        }
        LEAKS.set(None);
        drop(Arc::into_inner(heap.region).expect("nobody else has it"));
        assert_eq!(LEAKS.take(), expected, "leaks, in blocks, bytes, and a sum");
        if let Some(observer) = heap.observer {
            assert!(observer.segments().is_empty(), "segments that were not removed");
        }
        if expected.is_some() {
            self.saw("a heap dropped with live blocks");
        }
        if heap.make.caches && heap.users.len() > 1 {
            self.saw("a heap dropped that several threads have caches in");
        }
    }

    fn is_empty(&self, id: usize) -> bool {
        self.blocks.iter().all(|block| block.heap != id)
    }

    /// Nothing lives in the heap, and nobody but whoever runs keeps anything of it.
    fn is_all_free(&self, id: usize) -> bool {
        let heap = self.heap(id);
        let alone = !heap.make.caches || heap.users.iter().all(|user| Some(*user) == self.running);
        alone && self.is_empty(id)
    }

    /// The heap was trimmed by whoever runs. What other threads keep they give back later.
    pub fn trimmed(&mut self, id: usize) {
        if self.is_all_free(id) && self.heap(id).gives_memory_back() {
            assert_eq!(self.heap(id).region.usage().committed, 0, "nothing lives, and nobody keeps anything");
            self.saw("all memory given back");
        }
    }

    /// Whoever runs has freed all, and wants it in one piece. That is not counted here, so nothing else may follow.
    pub fn wants_all(&mut self, id: usize) {
        let Heap { make, region, .. } = self.heap(id);
        let size = match make {
            Make { limit: None, observed: None, reserve: Some(reserve), .. } => reserve.next_multiple_of(SEGMENT),
            Make { limit: None, observed: None, portable: true, .. } => PORTABLE_RESERVE,
            _ => return,
        };
        if self.is_all_free(id) {
            let all = Layout::from_size_align(size, 1).expect("a small one");
            let block = region.alloc(all).expect("nothing is in the way");
            // SAFETY: allocated just above, with the same layout.
            unsafe { region.dealloc(block, all) };
            self.saw("all addresses had in one piece");
        }
    }

    // ---- blocks ----

    /// The index of a live block: of the newest, or so many before it, counted around.
    pub fn pick(&self, choice: usize) -> Option<usize> {
        let newest = self.blocks.len().checked_sub(1)?;
        Some(newest - choice % self.blocks.len())
    }

    /// Takes the addresses of a block into the books.
    fn enter(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let (start, size) = (ptr.addr().get(), PinnedHeap::usable_size(layout));
        assert!(start.is_multiple_of(layout.align()), "{ptr:p} for {layout:?}");
        assert!(size >= layout.size(), "{size} bytes for {layout:?}");
        let end = start.checked_add(size).expect("a block does not wrap around the address space");
        if let Some((below, below_end)) = self.taken.range(..end).next_back() {
            assert!(*below_end <= start, "{start:#x}..{end:#x} overlaps the block {below:#x}..{below_end:#x}");
        }
        self.taken.insert(start, end);
    }

    /// A block has come.
    pub fn come(&mut self, id: usize, ptr: NonNull<u8>, layout: Layout) {
        self.enter(ptr, layout);
        self.next_seed = self.next_seed.wrapping_add(1);
        self.blocks.push(Block { ptr, layout, seed: self.next_seed, heap: id, by: self.running });
        let heap = self.heap_mut(id);
        heap.stats.record_alloc(layout.size());
        heap.peak_with_copies = heap.peak_with_copies.max(heap.stats.current_live);
        let (caches, was_full) = (heap.make.caches, std::mem::take(&mut heap.is_full));
        if was_full {
            self.saw("served after a refusal");
        }
        if caches {
            self.cached.extend(self.running);
        }
    }

    /// A block has gone.
    pub fn go(&mut self, index: usize) {
        let block = self.blocks.remove(index);
        self.taken.remove(&block.address());
        self.heap_mut(block.heap).stats.record_dealloc(block.layout.size());
        match self.running {
            None => self.saw("freed in a late destructor"),
            running if running == block.by => {}
            _ => self.saw("freed by another thread"),
        }
        if block.by.is_none_or(|thread| !self.threads.contains(&thread)) {
            self.saw("freed after the end of the thread that allocated");
        }
    }

    /// A block has got another layout, and stands elsewhere or not.
    pub fn changed(&mut self, index: usize, ptr: NonNull<u8>, new: Layout) {
        let block = self.blocks[index];
        let old = block.layout;
        let heap = self.heap_mut(block.heap);
        heap.peak_with_copies = heap.peak_with_copies.max(heap.stats.current_live + new.size());
        heap.stats.record_dealloc(old.size());
        if new.size() > 0 {
            heap.stats.record_alloc(new.size());
        }
        self.taken.remove(&block.address());
        if new.size() == 0 {
            assert!(ptr.addr().get().is_multiple_of(new.align()), "{ptr:p} for {new:?}");
            self.blocks.remove(index);
            return;
        }
        self.enter(ptr, new);
        self.blocks[index] = Block { ptr, layout: new, ..block };
        let in_place = ptr == block.ptr;
        self.saw(match (is_large(old) && is_large(new), in_place) {
            _ if old.align() != new.align() && !in_place => "moved to another alignment",
            (true, true) if old.size() < new.size() => "a large block grown in place",
            (true, true) if old.size() > new.size() => "a large block made smaller in place",
            (true, false) => "a large block moved",
            (_, true) => "changed in place",
            (false, false) => "moved to another class",
        });
    }

    /// A request was refused: there must be a reason, and the answer, where it is told, must be that.
    pub fn refused(&mut self, id: usize, layout: Layout, error: Option<AllocError>, struck: bool) {
        let heap = self.heap_mut(id);
        heap.stats.record_failure();
        if layout.align() > MAX_ALIGN {
            let expected = AllocError::UnsupportedAlignment(layout.align());
            assert_eq!(error.unwrap_or_else(|| expected.clone()), expected);
            return self.saw("an alignment that no heap gives");
        }
        match error {
            None => {}
            Some(AllocError::OutOfMemory { requested, .. }) => assert_eq!(requested, layout.size()),
            Some(error) => panic!("{layout:?} was refused with {error:?}"),
        }
        let observed = heap.observer.as_ref().is_some_and(|one| one.refusals.load(SeqCst) > heap.refusals);
        let (room, room_when_empty) = (heap.has_room(layout), heap.has_room_when_empty(layout));
        let limited = heap.make.limit.is_some();
        let what = format!("{layout:?} was refused by {:?}", heap.make);
        if struck {
        } else if layout.size() >= EARNEST {
            self.saw("more than any heap has");
        } else if observed {
            self.saw("refused by an observer");
        } else {
            assert!(!room, "{what}");
            assert!(!(room_when_empty && self.is_empty(id)), "{what}, in which nothing lives");
            self.heap_mut(id).is_full = true;
            self.saw(if limited { "refused by a limit" } else { "refused for lack of addresses" });
        }
    }

    /// What the heap has counted is what it should have.
    #[track_caller]
    pub fn check_stats(&mut self, id: usize) {
        let heap = self.heap_mut(id);
        heap.refusals = heap.observer.as_ref().map_or(0, |observer| observer.refusals.load(SeqCst));
        let (now, model) = (heap.region.stats(), heap.stats);
        assert_eq!(AllocStats { peak_usage: model.peak_usage, ..now }, model);
        let (least, most) = (model.peak_usage, heap.peak_with_copies);
        if !(least..=most).contains(&now.peak_usage) {
            let bound = heap.region.usage().peak_error_bound;
            let expected = least.saturating_sub(bound)..=most + bound;
            assert!(expected.contains(&now.peak_usage), "peak {} not in {least}..={most} ± {bound}", now.peak_usage);
        }
        assert_eq!(MISUSES.load(SeqCst), 0, "what is no misuse was taken for it");
    }
}
