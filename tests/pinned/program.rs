//! Programs of operations on pinned heaps, which threads run in turn, and the same on a model of the heaps.
//!
//! After every step:
//! * a block that came overlaps no other of any heap, is aligned, zero if it was to be, and has what it had before it grew;
//!   one that went had its contents still;
//! * the statistics of the heap that it was done on are the model's in every field, the peak within its stated bound;
//! * nothing was refused but for a failure that was ordered, a limit, an observer, or what no heap can give;
//! * nothing was taken for misuse.
//!
//! Where the program says [`Op::Look`], and at its end, each heap is looked through: see [`World::look`].
//!
//! | file | what |
//! |---|---|
//! | `program` | the steps, and how they are done on both |
//! | `program/crew` | the threads that run them |
//! | `program/reference` | the model |
//!
//! Where the programs come from is the caller's business: `model` draws them at random, a fuzz target makes them of bytes.

#[path = "program/crew.rs"]
mod crew;
#[path = "program/reference.rs"]
pub mod reference;

use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use allocator_api2::alloc::Allocator;
use bhc_rts_alloc::{Align, AllocError, KnownAlign, MemoryRegion, PADDING_BLOCK, PinnedHeap, os::fault};

use super::blocks::Blocks;
use crew::Crew;
use reference::{Block, Heap, Model};

/// The patterns that blocks are filled with.
type Pattern = Blocks<'static, bhc_rts_alloc::System>;

/// What a heap is made as.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    pub caches: bool,
    pub portable: bool,
    /// In bytes.
    pub limit: Option<usize>,
    pub reserve: Option<usize>,
    /// In milliseconds.
    pub decay: u64,
    /// With an observer, which refuses one segment: the n-th that it is asked about, counted from 0.
    pub observed: Option<usize>,
}

impl Make {
    pub const USUAL: Self =
        Self { caches: true, portable: false, limit: None, reserve: None, decay: 1000, observed: None };
}

/// How a block is asked for.
#[derive(Clone, Copy, Debug)]
pub enum How {
    Region,
    Zeroed,
    Dyn,
    Allocator,
    AllocatorZeroed,
}

/// A buffer's alignment.
#[derive(Clone, Copy, Debug)]
pub enum BufferAlign {
    Sixteen,
    Line,
    Page,
}

/// One step. Heaps and blocks are chosen among the live ones by a number, the newest first, counted around; threads by a
/// number. Sizes are in bytes, alignments are powers of two, by their logarithm.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    // Who runs the steps.
    /// The steps from here on are that thread's. There is one of that number as soon as it is called.
    On(usize),
    /// That thread ends. The steps from here on are the first thread's.
    End(usize),
    /// That thread ends, and the steps from here on are those of the destructor of one of its thread-locals, which runs when
    /// the thread's caches are gone already.
    Late(usize),
    // Heaps.
    Make(Make),
    Drop(usize),
    Trim(usize),
    Look,
    /// The n-th request for memory from here on fails, counted from 0 over all threads.
    Fail(usize),
    // Blocks, one and many.
    Alloc(usize, How, usize, u32),
    Several(usize, usize, u32, usize),
    /// A block in each heap.
    Each(usize),
    Dealloc(usize),
    /// So many blocks, from the chosen one on, each so many after the one before it.
    DeallocSeveral(usize, usize, usize),
    Realloc(usize, usize),
    /// `grow` or `shrink` of allocator-api2, which also change the alignment. A growth may be asked to be zeroed.
    Resize(usize, usize, u32, bool),
    /// A buffer of so many words, which then gets room for so many, and gives back what it does not need.
    Buffer(usize, BufferAlign, usize, usize),
}

/// As many heaps as a thread has slots for, and some more.
const HEAPS: usize = 40;
/// As many threads.
const THREADS: usize = 4;
/// The blocks that a program has at once, at most.
const MOST_BLOCKS: usize = 1500;
/// Bytes that a program may ask for; when they are used up its blocks are small. The model looks at every byte.
const BUDGET: usize = 12 << 20;
/// The size of a buffer's element, in bytes.
const WORD: usize = size_of::<u32>();
/// What is larger is asked for to be refused.
const EARNEST: usize = 1 << 40;
/// The strongest alignment of which a heap has any number of blocks, and that it gives at all, in bytes.
const SURE_ALIGN: usize = 4 << 20;
const MAX_ALIGN: usize = 1 << 30;

/// Heaps, the model of them, and what is left of the program's means. It goes from thread to thread.
struct World {
    model: Model,
    budget: usize,
    /// How many requests for memory there will be before the one that fails.
    strike: Option<usize>,
    requests: usize,
}

#[track_caller]
fn expect_zeros(ptr: NonNull<u8>, from: usize, to: usize) {
    // SAFETY: within a block that was just given, and initialised there.
    let bytes = unsafe { slice::from_raw_parts(ptr.add(from).as_ptr(), to - from) };
    let mut rows = bytes.chunks(256);
    assert!(rows.all(|row| row == &[0; 256][..row.len()]), "not zero from byte {from} to {to}");
}

/// What a request was answered with; why it was refused, where that is told.
type Answer = Result<NonNull<u8>, Option<AllocError>>;

impl World {
    fn new(strike: Option<usize>) -> Self {
        Self { model: Model::new(), budget: BUDGET, strike, requests: 0 }
    }

    /// Does the steps, on the thread of that number, or in a destructor that runs late in it.
    fn run(mut self, thread: usize, late: bool, ops: &[Op]) -> Self {
        if late {
            self.model.ended(thread);
        } else {
            self.model.on(thread);
        }
        ops.iter().for_each(|op| self.step(op));
        self
    }

    /// A size that the program can still afford.
    fn afford(&mut self, size: usize) -> usize {
        if size >= EARNEST {
            return size;
        }
        let size = if size <= self.budget { size } else { size % 256 };
        self.budget -= size.min(self.budget);
        size
    }

    /// Calls `body` with one of its requests failing, if it is the turn of one. Answers whether one did.
    fn with_failures<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> (R, bool) {
        let nth = self.strike.unwrap_or(usize::MAX);
        let (result, made) = fault::fail_nth(nth, || body(self));
        self.requests += made;
        let struck = made > nth;
        self.strike = if struck { None } else { self.strike.map(|nth| nth - made) };
        if struck {
            self.model.saw("a request that failed on purpose");
        }
        (result, struck)
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::On(_) | Op::End(_) | Op::Late(_) => unreachable!("done by the crew"),
            Op::Fail(nth) => self.strike = Some(nth),
            Op::Look => self.look(),
            Op::Make(make) => self.make(make),
            Op::Drop(choice) => {
                if let Some(heap) = self.model.pick_heap(choice) {
                    self.model.end(heap);
                }
            }
            Op::Trim(choice) => {
                let heap = self.heap(choice);
                self.model.heap(heap).region.trim();
                self.model.trimmed(heap);
            }
            Op::Alloc(choice, how, size, align) => {
                let heap = self.heap(choice);
                let size = self.afford(size);
                let Some(layout) = layout(size, align) else { return };
                self.alloc(heap, how, layout);
            }
            Op::Several(choice, size, align, count) => {
                let heap = self.heap(choice);
                for _ in 0..count.min(MOST_BLOCKS - self.model.blocks.len().min(MOST_BLOCKS)) {
                    let size = self.afford(size);
                    let Some(layout) = layout(size, align) else { return };
                    if !self.alloc(heap, How::Region, layout) {
                        break;
                    }
                }
            }
            Op::Each(size) => {
                let Some(layout) = layout(size, 0) else { return };
                for choice in 0..self.model.heaps.len() {
                    let heap = self.heap(choice);
                    self.alloc(heap, How::Region, layout);
                }
            }
            Op::Dealloc(choice) => self.dealloc(choice, 1, 1),
            Op::DeallocSeveral(choice, count, step) => self.dealloc(choice, count, step.max(1)),
            Op::Realloc(choice, size) => {
                let size = self.afford(size);
                let Some(index) = self.model.pick(choice) else { return };
                let block = self.model.blocks[index];
                self.model.uses(block.heap);
                let (answer, struck) = self.with_failures(|world| {
                    // SAFETY: a live block with its layout; on `Ok` it leaves the books.
                    unsafe { world.model.heap(block.heap).region.realloc(block.ptr, block.layout, size) }
                });
                match layout(size, block.layout.align().ilog2()) {
                    Some(new) => self.resized(index, new, answer.map_err(Some), struck),
                    None => assert_eq!(answer, Err(AllocError::Overflow)),
                }
            }
            Op::Resize(choice, size, align, zeroed) => {
                let size = self.afford(size);
                let Some(index) = self.model.pick(choice) else { return };
                let block = self.model.blocks[index];
                let (old, Some(new)) = (block.layout, layout(size, align)) else { return };
                self.model.uses(block.heap);
                let (answer, struck) = self.with_failures(|world| {
                    let region: &PinnedHeap = &world.model.heap(block.heap).region;
                    // SAFETY: as above; `grow` and `shrink` are told sizes in their order.
                    unsafe {
                        if new.size() < old.size() {
                            region.shrink(block.ptr, old, new)
                        } else if zeroed {
                            region.grow_zeroed(block.ptr, old, new)
                        } else {
                            region.grow(block.ptr, old, new)
                        }
                    }
                });
                if let (Ok(block), true) = (answer, zeroed && new.size() > old.size()) {
                    expect_zeros(block.cast(), old.size(), new.size());
                }
                self.resized(index, new, answer.map(NonNull::cast).map_err(|_| None), struck);
            }
            Op::Buffer(choice, align, len, grown) => {
                let heap = self.heap(choice);
                let (len, grown) = (self.afford(len * WORD), self.afford(grown * WORD));
                match align {
                    BufferAlign::Sixteen => self.buffer::<Align<16>>(heap, len / WORD, grown / WORD),
                    BufferAlign::Line => self.buffer::<Align<64>>(heap, len / WORD, grown / WORD),
                    BufferAlign::Page => self.buffer::<Align<4096>>(heap, len / WORD, grown / WORD),
                }
            }
        }
    }

    /// The chosen heap, which is about to be used; a new one if there is none.
    fn heap(&mut self, choice: usize) -> usize {
        let heap = self.model.pick_heap(choice).unwrap_or_else(|| {
            let strike = self.strike.take();
            self.make(Make::USUAL);
            self.strike = strike;
            self.model.pick_heap(0).expect("a usual heap can be made")
        });
        self.model.uses(heap);
        heap
    }

    fn make(&mut self, make: Make) {
        if self.model.heaps.len() == HEAPS {
            return;
        }
        let (built, struck) = self.with_failures(|_| Heap::make(make));
        match built {
            Ok(heap) => self.model.begin(heap),
            Err(error) => assert!(struck, "{make:?}: {error}"),
        }
    }

    /// Allocates. `false` if that was refused.
    fn alloc(&mut self, heap: usize, how: How, layout: Layout) -> bool {
        let count_caches = |world: &Self| world.model.heap(heap).region.usage().thread_caches;
        let caches_before = self.model.has_no_caches().then(|| count_caches(self));
        let (answer, struck) = self.with_failures(|world| {
            let region: &PinnedHeap = &world.model.heap(heap).region;
            let dynamic: &dyn MemoryRegion = region;
            match how {
                How::Region => region.alloc(layout).map_err(Some),
                How::Dyn => dynamic.alloc(layout).map_err(Some),
                How::Zeroed => region.alloc_zeroed(layout).map_err(Some),
                How::Allocator => region.allocate(layout).map(NonNull::cast).map_err(|_| None),
                How::AllocatorZeroed => region.allocate_zeroed(layout).map(NonNull::cast).map_err(|_| None),
            }
        });
        if let (Ok(block), How::Zeroed | How::AllocatorZeroed) = (&answer, how) {
            expect_zeros(*block, 0, layout.size());
        }
        if let (Some(before), true) = (caches_before, answer.is_ok() && layout.size() > 0) {
            assert_eq!(count_caches(self), before, "a thread whose caches are gone gets no more");
            self.model.saw("served in a late destructor");
        }
        self.answered(heap, layout, answer, struck)
    }

    /// Takes the answer to a request into the books. `false` if it was refused.
    fn answered(&mut self, heap: usize, layout: Layout, answer: Answer, struck: bool) -> bool {
        let served = answer.is_ok();
        match answer {
            Ok(ptr) if layout.size() == 0 => {
                assert!(ptr.addr().get().is_multiple_of(layout.align()), "{ptr:p} for {layout:?}");
                // SAFETY: from a request of zero size.
                unsafe { self.model.heap(heap).region.dealloc(ptr, layout) };
            }
            Ok(ptr) => {
                self.model.come(heap, ptr, layout);
                let block = *self.model.blocks.last().expect("one has come");
                Pattern::fill(ptr, 0, block.usable(), block.seed);
            }
            Err(error) => self.model.refused(heap, layout, error, struck),
        }
        self.model.check_stats(heap);
        served
    }

    /// Takes the answer to a request for another layout into the books.
    fn resized(&mut self, index: usize, new: Layout, answer: Answer, struck: bool) {
        let Block { ptr: from, layout: old, heap, seed, .. } = self.model.blocks[index];
        match answer {
            Ok(to) => {
                let kept = old.size().min(new.size());
                if new.size() > 0 {
                    Pattern::check(to, kept, seed);
                }
                self.model.changed(index, to, new);
                if new.size() > 0 {
                    Pattern::fill(to, kept, self.model.blocks[index].usable(), seed);
                }
            }
            Err(error) => {
                Pattern::check(from, PinnedHeap::usable_size(old), seed);
                self.model.refused(heap, new, error, struck);
            }
        }
        self.model.check_stats(heap);
    }

    fn dealloc(&mut self, choice: usize, count: usize, step: usize) {
        let Some(newest) = self.model.pick(choice) else { return };
        // From the newest on: what stands before a block stays where it is when that goes.
        for index in (0..=newest).rev().step_by(step).take(count) {
            let Block { ptr, layout, heap, seed, .. } = self.model.blocks[index];
            Pattern::check(ptr, PinnedHeap::usable_size(layout), seed);
            self.model.uses(heap);
            self.with_failures(|world| {
                // SAFETY: a live block with its layout, which leaves the books.
                unsafe { world.model.heap(heap).region.dealloc(ptr, layout) };
            });
            self.model.go(index);
            self.model.check_stats(heap);
        }
    }

    /// A buffer's life, up to where its block is left to the model.
    fn buffer<A: KnownAlign>(&mut self, heap: usize, len: usize, grown: usize) {
        // The buffer borrows the heap while the model, which has it, is told of what the buffer does.
        let region = Arc::clone(&self.model.heap(heap).region);
        let ask = |bytes: usize| Layout::from_size_align(bytes, A::BYTES).expect("a small one");
        let rounded = |len: usize| (len * WORD).next_multiple_of(A::BYTES.min(PADDING_BLOCK));
        let (made, struck) = self.with_failures(|_| region.try_alloc_buffer::<u32, A>(len));
        let mut buffer = match made {
            Ok(buffer) => buffer,
            Err(error) => {
                self.model.refused(heap, ask(rounded(len)), Some(error), struck);
                return self.model.check_stats(heap);
            }
        };
        let mut had = 0;
        for step in 0..3 {
            let wanted = if step == 1 { grown.max(len) } else { len };
            if step > 0 {
                let (result, struck) = self.with_failures(|_| match step {
                    1 => buffer.try_reserve_exact(wanted - len).map_err(Some),
                    _ => {
                        buffer.shrink_to_fit(); // what is refused is not told
                        if buffer.capacity() * WORD == rounded(len) { Ok(()) } else { Err(None) }
                    }
                });
                if let Err(error) = result {
                    self.model.refused(heap, ask(rounded(wanted)), error, struck);
                }
            }
            assert!(buffer.len() == len && buffer.iter().all(|word| *word == 0), "zeros, and so they stay");
            let has = buffer.capacity() * WORD;
            let block = NonNull::new(buffer.as_mut_ptr()).expect("not null").cast();
            match (had, has) {
                _ if had == has => {}
                (0, _) => self.model.come(heap, block, ask(has)),
                _ => self.model.changed(self.model.blocks.len() - 1, block, ask(has)),
            }
            had = has;
            self.model.check_stats(heap);
        }
        let parts = buffer.into_raw_parts();
        assert_eq!(parts.layout, ask(had));
        if let Some(block) = self.model.blocks.last().filter(|_| had > 0) {
            assert_eq!(block.ptr, parts.ptr.cast());
            Pattern::fill(block.ptr, 0, block.usable(), block.seed);
        }
    }

    /// Looks through all heaps. No step is in progress, so they are at rest.
    /// * All blocks have their contents.
    /// * Of each class, what is free, kept and live is what there is, and what lives are the model's blocks.
    /// * The walk meets the model's blocks, each once, and no other.
    /// * Each block, from its first byte to its last, is where `locate` says, in its heap and in no other.
    /// * What is committed is enough for all of that, and within the limit.
    fn look(&mut self) {
        for block in &self.model.blocks {
            Pattern::check(block.ptr, block.usable(), block.seed);
        }
        for at in 0..self.model.heaps.len() {
            let heap = &self.model.heaps[at];
            let blocks = self.model.blocks.iter().filter(|block| block.heap == heap.id);
            look_through(heap, blocks, &self.model.heaps);
            self.model.check_stats(heap.id);
        }
    }
}

fn look_through<'b>(heap: &Heap, blocks: impl Iterator<Item = &'b Block> + Clone, heaps: &[Heap]) {
    let region = &heap.region;
    let classes = region.classes();
    let mut live: BTreeMap<usize, usize> = BTreeMap::new();
    let mut large = (0, 0);
    for block in blocks.clone() {
        if block.is_large() {
            large = (large.0 + 1, large.1 + block.usable());
        } else {
            *live.entry(block.usable()).or_default() += 1;
        }
    }
    let (mut spans, mut cached) = (0, 0);
    for class in classes.iter() {
        assert_eq!(class.capacity, class.free + class.cached + class.live, "{class:?}");
        assert_eq!(class.live, live.remove(&class.size).unwrap_or(0), "{class:?}");
        (spans, cached) = (spans + class.bytes, cached + class.cached * class.size);
    }
    assert!(live.is_empty(), "blocks of classes without spans: {live:?}\n{classes}");
    assert_eq!((classes.large().live, classes.large().bytes), large, "large blocks\n{classes}");
    let usage = region.usage();
    assert_eq!(usage.cached, cached, "{usage:?}\n{classes}");
    assert!(usage.committed >= spans + large.1, "{usage:?} for {} bytes", spans + large.1);
    assert!(usage.committed <= heap.make.limit.unwrap_or(usize::MAX), "{usage:?} beyond {:?}", heap.make.limit);
    assert!(usage.committed <= usage.segments << 22, "{usage:?}");

    let model: BTreeSet<(usize, usize)> = blocks.clone().map(|block| (block.address(), block.usable())).collect();
    let mut walked = Vec::new();
    region.for_each_block(|block| {
        assert!(region.contains(block.ptr.as_ptr()), "the heap may be used meanwhile");
        walked.push((block.ptr.addr().get(), block.size));
    });
    assert!(walked.iter().copied().eq(model), "walked {walked:x?}");

    let mut base = None;
    for block in blocks {
        let last = block.ptr.as_ptr().wrapping_add(block.usable() - 1);
        for ptr in [block.ptr.as_ptr(), last] {
            let (segment, offset) = region.locate(ptr).expect("a block is in its heap");
            assert_eq!(segment.start.addr().get() + offset, ptr.addr());
            assert!(offset < segment.size && segment.size == 4 << 20, "{segment:?} {offset}");
            let start = segment.start.addr().get() - segment.index * segment.size;
            assert_eq!(*base.get_or_insert(start), start, "segments lie side by side");
            let at_home = heaps.iter().filter(|other| other.region.contains(ptr)).count();
            assert_eq!(at_home, 1, "in no heap but its own");
            if let Some(observer) = &heap.observer {
                assert!(observer.has(segment), "{segment:?} holds a block and was not registered");
            }
        }
    }
    let local = 0u8;
    assert!(!region.contains(&local) && !region.contains(std::ptr::null()));
}

/// The layout of a size, in bytes, and the logarithm of an alignment.
fn layout(size: usize, align: u32) -> Option<Layout> {
    Layout::from_size_align(size, 1 << align).ok()
}

/// What a program did.
pub struct Outcome {
    /// Which of the [`CASES`](reference::CASES) it brought about.
    pub seen: BTreeSet<&'static str>,
    /// How many requests for memory it made.
    pub requests: usize,
}

/// Runs a program, with the request for memory of that number failing, counted from 0.
pub fn run(ops: &[Op], strike: Option<usize>) -> Outcome {
    let mut crew = Crew::new();
    let mut world = World::new(strike);
    let (mut thread, mut late, mut rest) = (0, false, ops);
    loop {
        let many = rest.iter().position(|op| matches!(op, Op::On(_) | Op::End(_) | Op::Late(_)));
        let (these, more) = rest.split_at(many.unwrap_or(rest.len()));
        world = if late { crew.end_with(thread, world, these) } else { crew.run(thread, world, these) };
        let Some((next, after)) = more.split_first() else { break };
        rest = after;
        (thread, late) = match *next {
            Op::End(number) => {
                let other = 1 + number % (THREADS - 1);
                crew.end(other);
                world.model.ended(other);
                (0, false)
            }
            // The first thread does not end.
            Op::Late(number) => (1 + number % (THREADS - 1), true),
            Op::On(number) => (number % THREADS, false),
            _ => unreachable!("looked for just now"),
        };
    }
    // The others still have caches in these heaps, and end after them.
    world = world.run(0, false, &[Op::Look]);
    world.strike = None;
    world.dealloc(0, usize::MAX, 1);
    world.look();
    while let Some(heap) = world.model.pick_heap(0) {
        world.model.wants_all(heap);
        world.model.heap(heap).region.trim();
        world.model.trimmed(heap);
        world.model.end(heap);
    }
    Outcome { requests: world.requests, seen: world.model.seen() }
}
