//! A program that lives in a pinned heap: `PinnedGlobal` is its global allocator, threads and all. And what ThreadSanitizer is
//! to look at in pinned heaps: it knows nothing of such an allocator, so a block that goes from thread to thread is a race
//! unless the heap orders it. So this is a program without a test harness, and threads meet by atomics and by being joined.

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hint::{black_box, spin_loop};
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*};
use std::thread::{self, JoinHandle};

use bhc_rts_alloc::{Align, MemoryRegion, PinnedGlobal, PinnedHeap};

#[global_allocator]
static GLOBAL: PinnedGlobal = PinnedGlobal::new();

fn heap() -> &'static PinnedHeap {
    GLOBAL.heap().expect("the program has begun")
}

/// The blocks that live, by the statistics. At rest the walk must agree.
fn live_blocks() -> usize {
    let stats = heap().stats();
    let live = stats.allocation_count - stats.deallocation_count;
    let mut walked = 0;
    heap().for_each_block(|_| walked += 1);
    assert_eq!(walked, live, "blocks that the walk meets, and that are counted");
    live
}

/// `run` gives back all that it takes; what only its first call keeps is for those after it.
fn leaves_nothing(run: fn()) {
    run();
    let before = live_blocks();
    for _ in 0..3 {
        run();
    }
    assert_eq!(live_blocks(), before);
}

fn together<const N: usize>(run: impl Fn(usize) + Send + Sync + 'static) {
    let run = Arc::new(run);
    let threads: [JoinHandle<()>; N] = std::array::from_fn(|id| {
        let run = Arc::clone(&run);
        thread::spawn(move || run(id))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Numbers that look random, the same each time.
struct Random(usize);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

fn the_program_itself_lives_in_the_heap() {
    let (text, boxed, big) = black_box((String::from("in the heap"), Box::new([1u64; 9]), vec![7u8; 10 << 20]));
    for block in [text.as_ptr(), boxed.as_ptr().cast(), big.as_ptr()] {
        assert!(heap().contains(block));
    }
    #[repr(align(4096))]
    struct Page([u8; 100]);
    let page = black_box(Box::new(Page([3; 100])));
    assert!((&raw const *page).addr().is_multiple_of(4096) && page.0[99] == 3);
    assert!(heap().stats().current_live >= (10 << 20) + 4096);
    // The walk may be written down in the heap that it is about.
    let mut found = Vec::new();
    heap().for_each_block(|block| found.push((block.ptr, block.size)));
    assert!(found.iter().any(|(ptr, _)| ptr.as_ptr().cast_const() == text.as_ptr()));
}

/// What a program does all day.
fn collections(seed: usize) {
    let mut random = Random(seed);
    let mut table: HashMap<String, Vec<usize>> = HashMap::new();
    let mut tree: BTreeMap<usize, Box<[u8]>> = BTreeMap::new();
    let mut queue: VecDeque<Rc<String>> = VecDeque::new();
    for step in 0..400 {
        let (key, size) = (random.below(60), random.below(3000));
        let numbers = table.entry(format!("key {key}")).or_default();
        numbers.extend(0..size % 40);
        if numbers.len() > 200 {
            numbers.truncate(3);
            numbers.shrink_to_fit();
        }
        if let Some(bytes) = tree.insert(key, vec![step as u8; size].into_boxed_slice()) {
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        }
        let text = Rc::new("x".repeat(size % 100));
        queue.push_back(Rc::clone(&text));
        if queue.len() > 50 {
            queue.pop_front();
        }
        if step % 100 == 99 {
            tree.retain(|key, _| key % 2 == 0);
        }
    }
    assert!(table.values().flatten().all(|number| *number < 40));
}

fn collections_of_threads() {
    together::<4>(|id| collections(id + 1));
}

/// Blocks change their sizes, and zeroed ones are zero after dirty ones, on several threads.
fn sizes_of_threads() {
    together::<3>(|id| {
        let mut bytes: Vec<u8> = Vec::new();
        for power in 4..21 {
            bytes.resize(1 << power, power as u8);
            bytes.reserve_exact(17);
        }
        assert!((5..21).all(|power| bytes[(1 << power) - 1] == power as u8), "thread {id}");
        bytes.truncate(1000);
        bytes.shrink_to_fit();
        for size in [100, 5000, 40_000, 300_000] {
            drop(black_box(vec![0xffu8; size]));
            assert!(black_box(vec![0u8; size]).iter().all(|byte| *byte == 0));
        }
    });
}

struct Letter {
    lines: Vec<String>,
}

/// Blocks that wait for another thread.
struct Post<const N: usize>([AtomicPtr<Letter>; N]);

impl<const N: usize> Post<N> {
    fn new() -> Self {
        Self([const { AtomicPtr::new(null_mut()) }; N])
    }

    /// Puts a letter into a box, and answers with what was there.
    fn exchange(&self, at: usize, letter: Option<Box<Letter>>) -> Option<Box<Letter>> {
        let old = self.0[at].swap(letter.map_or(null_mut(), Box::into_raw), AcqRel);
        // SAFETY: what is in a box came from `into_raw`, and the swap took it out for this thread alone.
        (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
    }
}

impl<const N: usize> Drop for Post<N> {
    fn drop(&mut self) {
        (0..N).for_each(|at| drop(self.exchange(at, None)));
    }
}

/// Threads free what others have allocated, and make it longer.
fn blocks_that_go_from_thread_to_thread() {
    let post: Arc<Post<16>> = Arc::new(Post::new());
    together::<4>(move |id| {
        let mut random = Random(id);
        for step in 0..600 {
            let lines = (0..step % 7).map(|line| format!("{line} of {step} by {id}")).collect();
            if let Some(mut letter) = post.exchange(random.below(16), Some(Box::new(Letter { lines }))) {
                for (line, text) in letter.lines.iter_mut().enumerate() {
                    assert!(text.starts_with(&format!("{line} of ")), "{text}");
                    text.push_str(", read, and from now on much longer than it was");
                }
                letter.lines.extend((0..20).map(|line| line.to_string()));
            }
        }
    });
}

static SUM: AtomicUsize = AtomicUsize::new(0);

/// Allocates and frees when its thread ends.
struct Late(Vec<String>);

impl Drop for Late {
    fn drop(&mut self) {
        self.0.extend((0..300).map(|number| number.to_string()));
        collections(self.0.len());
        let sum = self.0.iter().map(|number| number.parse::<usize>().unwrap()).sum::<usize>();
        SUM.fetch_add(sum, Relaxed);
    }
}

thread_local! {
    static FIRST: RefCell<Option<Late>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Both allocate, free, and free what the thread allocated before: one registered before it did anything, one after.
fn destructors_that_allocate() {
    SUM.store(0, SeqCst);
    together::<3>(|_| {
        FIRST.with(|_| ());
        let words = || (0..10).map(|number| number.to_string()).collect();
        FIRST.set(Some(Late(words())));
        collections(1);
        LAST.set(Some(Late(words())));
    });
    assert_eq!(SUM.load(SeqCst), 3 * 2 * (45 + 299 * 300 / 2));
}

/// A block that is full of one byte.
struct Held(NonNull<u8>, Layout, u8);

// SAFETY: a block of a heap that threads share; one thread at a time has it.
unsafe impl Send for Held {}

impl Held {
    fn new(heap: &PinnedHeap, random: &mut Random) -> Self {
        let log2 = random.below(15);
        let layout = Layout::from_size_align(1 + random.below(1 << log2), 1 << random.below(8)).unwrap();
        let byte = random.below(256) as u8;
        let block = if byte.is_multiple_of(3) { heap.alloc_zeroed(layout) } else { heap.alloc(layout) }.unwrap();
        // SAFETY: a fresh block of that size.
        unsafe { block.write_bytes(byte, layout.size()) };
        Self(block, layout, byte)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the block, which is initialised.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.1.size()) }
    }

    fn free(self, heap: &PinnedHeap) {
        assert!(self.bytes().iter().all(|byte| *byte == self.2));
        // SAFETY: a live block with its layout.
        unsafe { heap.dealloc(self.0, self.1) };
    }
}

/// One thread does as it likes with a heap; returns what it still has.
fn program(heap: &PinnedHeap, seed: usize) -> Vec<Held> {
    let (mut random, mut held) = (Random(seed), Vec::new());
    for _ in 0..150 {
        if random.below(2) == 0 && held.len() < 500 {
            held.extend((0..random.below(30)).map(|_| Held::new(heap, &mut random)));
        } else {
            let from = random.below(held.len() + 1);
            held.drain(from..).for_each(|block: Held| block.free(heap));
        }
    }
    held
}

/// Other heaps than the program's own: used by threads, looked at and trimmed meanwhile.
fn heaps_beside_the_programs_own() {
    let heap = Arc::new(PinnedHeap::new());
    let stop = Arc::new(AtomicBool::new(false));
    let looker = {
        let (heap, stop) = (Arc::clone(&heap), Arc::clone(&stop));
        thread::spawn(move || {
            while !stop.load(Acquire) {
                let stats = heap.stats();
                assert_eq!(stats.total_allocated - stats.total_deallocated, stats.current_live);
                heap.for_each_block(|block| assert!(heap.contains(block.ptr.as_ptr())));
                black_box((heap.usage(), heap.classes()));
                heap.trim();
                thread::yield_now();
            }
        })
    };
    let threads: [_; 3] = std::array::from_fn(|id| {
        let heap = Arc::clone(&heap);
        thread::spawn(move || program(&heap, id))
    });
    let held = threads.map(|thread| thread.join().unwrap());
    stop.store(true, Release);
    looker.join().unwrap();
    // Freed here, where they were not allocated.
    held.into_iter().flatten().for_each(|block| block.free(&heap));
    assert_eq!(heap.stats().current_live, 0);
    let buffer = heap.alloc_buffer::<u32, Align<64>>(1000);
    assert!(buffer.iter().all(|word| *word == 0));
}

/// The last owner drops a heap while other threads that have used it end.
fn heaps_that_go_while_threads_end() {
    for round in 0..10 {
        let heap = Arc::new(PinnedHeap::new());
        let started = Arc::new(AtomicUsize::new(0));
        let threads: [_; 3] = std::array::from_fn(|id| {
            let (heap, started) = (Arc::clone(&heap), Arc::clone(&started));
            thread::spawn(move || {
                program(&heap, id).into_iter().for_each(|block| block.free(&heap));
                started.fetch_add(1, AcqRel);
                while started.load(Acquire) < 3 {
                    spin_loop();
                }
                (0..round * id * 50).for_each(|_| spin_loop());
                drop(heap);
            })
        });
        drop(heap);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn main() {
    let mut passed = 0;
    let mut run = |name: &str, test: &dyn Fn()| {
        test(); // a panic ends the program with a failure
        println!("test {name} ... ok");
        passed += 1;
    };
    run("the_program_itself_lives_in_the_heap", &the_program_itself_lives_in_the_heap);
    run("collections_give_everything_back", &|| leaves_nothing(|| collections(0)));
    run("collections_of_threads_give_everything_back", &|| leaves_nothing(collections_of_threads));
    run("blocks_of_threads_change_their_sizes", &|| leaves_nothing(sizes_of_threads));
    run("blocks_go_from_thread_to_thread", &|| leaves_nothing(blocks_that_go_from_thread_to_thread));
    run("destructors_of_thread_locals_may_allocate", &|| leaves_nothing(destructors_that_allocate));
    run("heaps_beside_the_programs_own_are_used_by_threads", &|| leaves_nothing(heaps_beside_the_programs_own));
    run("heaps_may_go_while_threads_end", &|| leaves_nothing(heaps_that_go_while_threads_end));
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}
