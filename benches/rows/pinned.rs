//! The pinned heap against general-purpose allocators: ours is told the layout when a block is freed, and counts exactly
//! (blocks and bytes, live and at the peak), which of the peers none does.
//!
//! PinnedHeap is one heap object for a row, the peers are what they are to the whole process. Layouts are constants, as they are
//! in most Rust programs, and whoever can make use of that may; where sizes are random or a row is called `runtime` they
//! are not. Every block [escapes](escape). Shown is the time of one block, allocated and freed; in
//! `realloc-double-to-64MiB`, the time of it all.
//!
//! Rows on threads of their own (`larson`, `remote-free`) are in CPU time. The rows `rss` are the resident memory of a
//! process that does nothing else.

use std::alloc::Layout;
use std::arch::asm;
use std::ptr::NonNull;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bhc_rts_alloc::PinnedHeap;

use crate::harness::child::Resident;
use crate::harness::threads::{Worker, cpu_time};
use crate::harness::{Bar, Contender, Contenders, Row, Unit};
use crate::heaps::{Heap, Mimalloc};

use super::{Random, by_four, escape};

/// `unit, bar => { name: work, .. }`, where `work::<Heap, constants>()` makes a contender.
macro_rules! rows {
    ($($unit:ident, $bar:expr => {
        $($name:literal: $work:ident $(::<$($constant:literal),+>)?,)+
    })+) => {
        pub const ROWS: &[Row] = &[$($(Row {
            name: $name,
            unit: Unit::$unit,
            bars: &[$bar],
            contenders: || {
                let contenders = Contenders::ours($work::<PinnedHeap $($(, $constant)+)?>())
                    .against("mimalloc", $work::<Mimalloc $($(, $constant)+)?>())
                    .against("malloc", $work::<std::alloc::System $($(, $constant)+)?>());
                #[cfg(feature = "all-peers")]
                let contenders = contenders
                    .against("jemalloc", $work::<crate::heaps::more::Jemalloc $($(, $constant)+)?>())
                    .against("snmalloc", $work::<crate::heaps::more::Snmalloc $($(, $constant)+)?>())
                    .against("talc", $work::<crate::heaps::more::Talc $($(, $constant)+)?>());
                contenders
            },
        }),+),+];
    };
}

rows! {
    // size, alignment
    Nanoseconds, Bar::peer(0.65, "mimalloc") => {
        "pinned/pair-const-16": pair::<16, 8>,
        "pinned/pair-const-64": pair::<64, 8>,
        "pinned/pair-const-256": pair::<256, 8>,
    }
    Nanoseconds, Bar::peer(0.35, "mimalloc") => {
        "pinned/pair-const-1K": pair::<1024, 8>,
        "pinned/pair-const-4K": pair::<4096, 8>,
        "pinned/pair-const-64K": pair::<65536, 8>,
    }
    Nanoseconds, Bar::peer(1.0, "mimalloc") => {
        "pinned/pair-runtime-16": pair_runtime::<16, 8>,
        "pinned/pair-runtime-64": pair_runtime::<64, 8>,
        "pinned/pair-runtime-256": pair_runtime::<256, 8>,
    }
    Nanoseconds, Bar::peer(0.8, "mimalloc") => {
        "pinned/align-64@64": pair::<64, 64>,
        "pinned/align-192@64": pair::<192, 64>,
        "pinned/align-1000@64": pair::<1000, 64>,
        "pinned/align-100@4096": pair::<100, 4096>,
        "pinned/align-4096@4096": pair::<4096, 4096>,
        "pinned/align-64K@64K": pair::<65536, 65536>,
    }
    Nanoseconds, Bar::peer(0.05, "mimalloc") => {
        "pinned/align-1M@1M": pair::<1_048_576, 1_048_576>,
    }
    Nanoseconds, Bar::peer(1.0, "mimalloc") => {
        "pinned/batch-1000-random-16": batch::<16, 8>,
        "pinned/batch-1000-random-64": batch::<64, 8>,
        "pinned/batch-1000-random-256": batch::<256, 8>,
        "pinned/batch-1000-random-1K": batch::<1024, 8>,
        "pinned/batch-1000-random-4K": batch::<4096, 8>,
    }
    // threads
    Nanoseconds, Bar::peer(0.9, "mimalloc") => {
        "pinned/larson-1": larson::<1>,
        "pinned/larson-2": larson::<2>,
    }
    Nanoseconds, Bar::peer(0.9, "mimalloc") => {
        "pinned/remote-free-64": remote_free::<64, 8>,
        "pinned/remote-free-1K": remote_free::<1024, 8>,
        "pinned/remote-free-4K": remote_free::<4096, 8>,
    }
    Microseconds, Bar::peer(0.5, "mimalloc") => {
        "pinned/realloc-double-to-64MiB": realloc_double,
    }
    Nanoseconds, Bar::best(1.1) => {
        "pinned/large-churn": large_churn,
    }
    Mebibytes, Bar::peer(1.05, "mimalloc") => {
        "pinned/rss-after-fragmentation": after_fragmentation,
    }
    Mebibytes, Bar::absolute(8.0) => {
        "pinned/rss-after-trim": after_trim,
    }
    Mebibytes, Bar::peer(1.2, "mimalloc") => {
        "pinned/rss-dead-threads": dead_threads,
    }
}

/// A layout that is as constant as its parameters.
const fn constant<const SIZE: usize, const ALIGN: usize>() -> Layout {
    const {
        match Layout::from_size_align(SIZE, ALIGN) {
            Ok(layout) => layout,
            Err(_) => panic!("a row's layout"),
        }
    }
}

/// The layout of the rows with random sizes: of a vector of words.
fn words(size: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and the rows' sizes are far below `isize::MAX`. A vector does not check
    // either.
    unsafe { Layout::from_size_align_unchecked(size, 8) }
}

/// The same layout, of which the compiler knows nothing any more. `black_box` would write it to the stack and read it back.
#[inline(always)]
fn opaque(layout: Layout) -> Layout {
    let (mut size, mut align) = (layout.size(), layout.align());
    // SAFETY: there is no instruction, so both numbers are as before and a layout's.
    unsafe {
        asm!("/* {0} {1} */", inout(reg) size, inout(reg) align, options(nomem, nostack, preserves_flags));
        Layout::from_size_align_unchecked(size, align)
    }
}

/// Writes the first word of a block and lets the block escape.
///
/// # Safety
/// The block is the caller's, has 16 bytes or more, and is aligned to 8 or more.
#[inline(always)]
unsafe fn write_word(block: NonNull<u8>, word: usize) {
    // SAFETY: the caller's promise.
    unsafe { block.cast().write(word) };
    escape(block);
}

/// A block, allocated and freed, again and again. Each time it is the same one, and it is not touched.
fn pair<H: Heap, const SIZE: usize, const ALIGN: usize>() -> Contender {
    Contender::batched(vec![H::new()], u64::MAX, |heap, count| {
        by_four(count, |_| {
            let layout = constant::<SIZE, ALIGN>();
            let block = heap.alloc(layout);
            escape(block);
            // SAFETY: the heap's, just made with this layout.
            unsafe { heap.dealloc(block, layout) };
        });
    })
}

/// The same with a layout that neither the allocation nor the deallocation knows beforehand, nor one from the other.
fn pair_runtime<H: Heap, const SIZE: usize, const ALIGN: usize>() -> Contender {
    Contender::batched(vec![H::new()], u64::MAX, |heap, count| {
        by_four(count, |_| {
            let layout = constant::<SIZE, ALIGN>();
            let block = heap.alloc(opaque(layout));
            escape(block);
            // SAFETY: the heap's, just made with this layout.
            unsafe { heap.dealloc(block, opaque(layout)) };
        });
    })
}

/// A thousand blocks, a word written to each, freed in an order that is random and always the same.
fn batch<H: Heap, const SIZE: usize, const ALIGN: usize>() -> Contender {
    const BLOCKS: usize = 1000;
    /// For an index that is visibly within bounds.
    const ROOM: usize = BLOCKS.next_power_of_two();

    let heap = H::new();
    let mut order: Vec<usize> = (0..BLOCKS).collect();
    let mut random = Random::new(0);
    for i in 1..BLOCKS {
        order.swap(i, random.below(i + 1));
    }
    let mut blocks = Box::new([NonNull::<u8>::dangling(); ROOM]);
    Contender::repeating(move || {
        let layout = constant::<SIZE, ALIGN>();
        for (i, block) in blocks[..BLOCKS].iter_mut().enumerate() {
            *block = heap.alloc(layout);
            // SAFETY: just made with such a layout.
            unsafe { write_word(*block, i) };
        }
        for i in &order {
            // SAFETY: the heap's, made above with this layout; the order names each block once.
            unsafe { heap.dealloc(blocks[i % ROOM], layout) };
        }
    })
    .operations(BLOCKS as u64)
}

/// Blocks of many sizes that live at the same time, of one thread.
struct Live<H: Heap> {
    heap: Arc<H>,
    /// With sizes, as a vector has them.
    blocks: Vec<(NonNull<u8>, usize)>,
}

impl<H: Heap> Live<H> {
    fn new(heap: Arc<H>, sizes: impl Iterator<Item = usize>) -> Self {
        let blocks = sizes.map(|size| (heap.alloc(words(size)), size)).collect();
        Self { heap, blocks }
    }

    /// Frees a block and puts a new one in its place.
    #[inline(always)]
    fn replace(&mut self, at: usize, size: usize) -> NonNull<u8> {
        let slot = &mut self.blocks[at];
        // SAFETY: what is in the list is live and the heap's, with the layout of its size.
        unsafe { self.heap.dealloc(slot.0, words(slot.1)) };
        *slot = (self.heap.alloc(words(size)), size);
        slot.0
    }
}

impl<H: Heap> Drop for Live<H> {
    fn drop(&mut self) {
        for (block, size) in self.blocks.drain(..) {
            // SAFETY: as in `replace`.
            unsafe { self.heap.dealloc(block, words(size)) };
        }
    }
}

/// After Larson and Krishnan: each thread has 2000 blocks of 16 to 1015 bytes and replaces random ones, which is one
/// operation. Their mean over the threads, in CPU time.
fn larson<H: Heap, const THREADS: usize>() -> Contender {
    const BLOCKS: usize = 2000;

    let heap = Arc::new(H::new());
    let barrier = Arc::new(Barrier::new(THREADS));
    let workers: Vec<Worker<u64, Duration>> = (0..THREADS)
        .map(|thread| {
            let (heap, barrier) = (Arc::clone(&heap), Arc::clone(&barrier));
            Worker::new(move || {
                let mut random = Random::new(thread as u64);
                let mut sizes = random.clone();
                let mut live = Live::new(heap, (0..BLOCKS).map(|_| 16 + sizes.below(1000)));
                move |times| {
                    barrier.wait();
                    let start = cpu_time();
                    for i in 0..times {
                        let at = random.below(BLOCKS);
                        // SAFETY: just made, of 16 bytes or more and aligned to 8.
                        unsafe { write_word(live.replace(at, 16 + random.below(1000)), i as usize) };
                    }
                    cpu_time() - start
                }
            })
        })
        .collect();
    Contender::timed(move |times| {
        workers.iter().for_each(|worker| worker.start(times));
        workers.iter().map(Worker::wait).sum::<Duration>() / THREADS as u32
    })
}

/// Blocks that one thread hands to another.
struct Handed(Vec<NonNull<u8>>);

// SAFETY: whoever has the list owns the blocks in it, and the heaps are `Sync`.
unsafe impl Send for Handed {}

/// One thread allocates 20,000 blocks and writes a word to each, another frees them, in turns: the CPU time of both.
fn remote_free<H: Heap, const SIZE: usize, const ALIGN: usize>() -> Contender {
    const BLOCKS: usize = 20_000;

    let heap = Arc::new(H::new());
    let allocating = Worker::new({
        let heap = Arc::clone(&heap);
        move || {
            move |mut list: Handed| {
                let start = cpu_time();
                for (i, block) in list.0.iter_mut().enumerate() {
                    *block = heap.alloc(constant::<SIZE, ALIGN>());
                    // SAFETY: just made with such a layout.
                    unsafe { write_word(*block, i) };
                }
                (list, cpu_time() - start)
            }
        }
    });
    let freeing = Worker::new(move || {
        move |list: Handed| {
            let start = cpu_time();
            for block in &list.0 {
                // SAFETY: the heap's, made by the other thread with this layout and handed over; freed once, as the
                // other thread overwrites the list.
                unsafe { heap.dealloc(*block, constant::<SIZE, ALIGN>()) };
            }
            (list, cpu_time() - start)
        }
    });
    let mut list = Handed(vec![NonNull::dangling(); BLOCKS]);
    Contender::timed(move |times| {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            for worker in [&allocating, &freeing] {
                worker.start(Handed(std::mem::take(&mut list.0)));
                let (returned, time) = worker.wait();
                list = returned;
                took += time;
            }
        }
        took
    })
    .operations(BLOCKS as u64)
}

const PAGE: usize = 4096;

/// A block that grows from 64 bytes to 64 MiB by doubling. Each page is written once, when it is new.
fn realloc_double<H: Heap>() -> Contender {
    /// # Safety
    /// The block is the caller's, and at least as long as the range says.
    unsafe fn touch(block: NonNull<u8>, new: std::ops::Range<usize>) {
        for offset in new.step_by(PAGE) {
            // SAFETY: the caller's promise.
            unsafe { block.add(offset).write(1) };
        }
        escape(block);
    }
    let heap = H::new();
    Contender::repeating(move || {
        let mut size = 64;
        let mut block = heap.alloc(words(size));
        // SAFETY: just made, so large.
        unsafe { touch(block, 0..size) };
        while size < 64 << 20 {
            // SAFETY: the heap's, live, and so large as was asked for last.
            unsafe {
                block = heap.realloc(block, opaque(words(size)), size * 2);
                touch(block, size..size * 2);
            }
            size *= 2;
        }
        // SAFETY: the heap's, live, and so large.
        unsafe { heap.dealloc(block, opaque(words(size))) };
    })
}

/// Twenty blocks of 1 to 64 MiB, of which random ones are replaced. A byte of a block's first and last page is written.
fn large_churn<H: Heap>() -> Contender {
    const BLOCKS: usize = 20;

    fn size(random: &mut Random) -> usize {
        (1 << 20) + random.below(63 << 20)
    }
    let mut random = Random::new(0);
    let mut live =
        Live::new(Arc::new(H::new()), (0..BLOCKS).map(|_| size(&mut random)).collect::<Vec<_>>().into_iter());
    Contender::timed(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            let (at, size) = (random.below(BLOCKS), size(&mut random));
            let block = live.replace(at, size);
            // SAFETY: the block is that long.
            unsafe {
                block.write(1);
                block.add(size - 1).write(1);
            }
            escape(block);
        }
        start.elapsed()
    })
}

/// A block of a process whose memory is measured, with its size. All of its bytes are written.
#[derive(Clone, Copy)]
struct Block(NonNull<u8>, usize);

// SAFETY: whoever has the value owns the block, and the heaps are `Sync`.
unsafe impl Send for Block {}

impl Block {
    /// For a place in a list that is made, and made resident, before memory is measured.
    const NONE: Self = Self(NonNull::dangling(), usize::MAX);

    fn new(heap: &impl Heap, size: usize) -> Self {
        let block = heap.alloc(words(size));
        // SAFETY: the block is that long.
        unsafe { block.write_bytes(0xA5, size) };
        Self(block, size)
    }

    /// # Safety
    /// `new` made the value from this heap, and no copy of it was freed.
    unsafe fn free(self, heap: &impl Heap) {
        // SAFETY: the caller's promise.
        unsafe { heap.dealloc(self.0, words(self.1)) };
    }
}

/// 200,000 blocks of 16 to 515 bytes, of which a random eighth stays; then 20,000 of 0.6 to 3.6 KiB. What that took, and
/// the heap with the blocks.
fn fragment<H: Heap>() -> (Resident, H, Vec<Block>) {
    const SMALL: usize = 200_000;
    const LARGER: usize = 20_000;

    let mut blocks = vec![Block::NONE; SMALL + LARGER];
    blocks.clear();
    let mut random = Random::new(0);
    let start = Resident::now();
    let heap = H::new();
    blocks.extend((0..SMALL).map(|_| Block::new(&heap, 16 + random.below(500))));
    blocks.retain(|block| {
        let stays = random.below(8) == 0;
        if !stays {
            // SAFETY: made above, and now taken from the list.
            unsafe { block.free(&heap) };
        }
        stays
    });
    blocks.extend((0..LARGER).map(|_| Block::new(&heap, 600 + random.below(3000))));
    (start, heap, blocks)
}

fn after_fragmentation<H: Heap>() -> Contender {
    Contender::in_child(|| {
        let (start, heap, blocks) = fragment::<H>();
        let taken = start.taken_since();
        // SAFETY: the list has the heap's live blocks, and ends.
        blocks.into_iter().for_each(|block| unsafe { block.free(&heap) });
        taken
    })
}

/// After the same, with all blocks freed and the heap trimmed.
fn after_trim<H: Heap>() -> Contender {
    Contender::in_child(|| {
        let (start, heap, mut blocks) = fragment::<H>();
        // The list itself stays: its memory was there before.
        // SAFETY: the list has the heap's live blocks, and is empty afterwards.
        blocks.drain(..).for_each(|block| unsafe { block.free(&heap) });
        heap.trim();
        start.taken_since()
    })
}

/// 2000 threads, four at a time, of which each allocates 300 blocks of 16 bytes to 4 KiB and frees all but 20.
fn dead_threads<H: Heap>() -> Contender {
    const THREADS: usize = 2000;
    const AT_ONCE: usize = 4;
    const BLOCKS: usize = 300;
    const LEFT: usize = 20;

    fn short_lived(heap: &impl Heap, seed: usize, left: &mut [Block]) {
        let mut random = Random::new(seed as u64);
        let mut blocks = [Block::NONE; BLOCKS];
        for block in &mut blocks {
            // As many from 16 to 31 bytes as from 2048 to 4095.
            let least = 16 << random.below(8);
            *block = Block::new(heap, least + random.below(least));
        }
        for (i, block) in blocks.into_iter().enumerate() {
            if i % (BLOCKS / LEFT) == 0 {
                left[i / (BLOCKS / LEFT)] = block;
            } else {
                // SAFETY: made above, and in no other list.
                unsafe { block.free(heap) };
            }
        }
    }

    Contender::in_child(|| {
        let mut left = vec![Block::NONE; THREADS * LEFT];
        // The C library keeps the stacks of threads.
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| escape(NonNull::from(&[Block::NONE; BLOCKS])));
            }
        });
        let start = Resident::now();
        let heap = H::new();
        for (turn, left) in left.chunks_mut(AT_ONCE * LEFT).enumerate() {
            std::thread::scope(|scope| {
                for (i, left) in left.chunks_mut(LEFT).enumerate() {
                    let heap = &heap;
                    scope.spawn(move || short_lived(heap, turn * AT_ONCE + i, left));
                }
            });
        }
        let taken = start.taken_since();
        // SAFETY: the threads filled the list with live blocks of the heap; it ends.
        left.into_iter().for_each(|block| unsafe { block.free(&heap) });
        taken
    })
}
