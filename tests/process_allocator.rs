//! What `System` asks of the process allocator: every block goes back, with the layout that it was allocated with,
//! also when threads end. The global allocator here checks that, and counts; so this is a program of its own without
//! a test harness, in which nothing else allocates meanwhile.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use bhc_rts_alloc::general::Collection;
use bhc_rts_alloc::{
    Align, GeneralHeap, HotArena, MemoryRegion, Place, Root, SimdBuffer, System, gc_object, with_thread_arena,
};

/// Writes the layout of each block in front of it, and compares when the block comes back.
struct Auditor;

static BLOCKS: AtomicUsize = AtomicUsize::new(0);

impl Auditor {
    /// The real layout, and how far into it the block starts. Room for two words in front, at any alignment.
    fn with_header(layout: Layout) -> (Layout, usize) {
        let offset = layout.align().max(32);
        (Layout::from_size_align(layout.size() + offset, offset).expect("tests ask for less"), offset)
    }

    fn check(ptr: *mut u8, layout: Layout) {
        // SAFETY: the block came from `enter`, which wrote two words in front of it.
        let (size, align) = unsafe { ptr.cast::<(usize, usize)>().sub(1).read() };
        if (size, align) != (layout.size(), layout.align()) {
            eprintln!("a block of {size} bytes at {align} came back as {layout:?}");
            std::process::abort();
        }
    }

    /// # Safety
    /// `real` is null or the start of a fresh block of `with_header(layout)`.
    unsafe fn enter(real: *mut u8, layout: Layout) -> *mut u8 {
        if real.is_null() {
            return real;
        }
        BLOCKS.fetch_add(1, SeqCst);
        // SAFETY: the offset is within the block and leaves at least two aligned words before it.
        unsafe {
            let ptr = real.add(Self::with_header(layout).1);
            ptr.cast::<(usize, usize)>().sub(1).write((layout.size(), layout.align()));
            ptr
        }
    }
}

// SAFETY: forwards to the standard library's allocator, with a header in front of each block that keeps its
// alignment.
unsafe impl GlobalAlloc for Auditor {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; the size is not zero.
        unsafe { Self::enter(std::alloc::System.alloc(Self::with_header(layout).0), layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { Self::enter(std::alloc::System.alloc_zeroed(Self::with_header(layout).0), layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        Self::check(ptr, layout);
        BLOCKS.fetch_sub(1, SeqCst);
        let (real, offset) = Self::with_header(layout);
        // SAFETY: the block came from `enter` with this layout (just checked).
        unsafe { std::alloc::System.dealloc(ptr.sub(offset), real) };
    }
    // `realloc` is the provided one: allocate, copy, free.
}

#[global_allocator]
static AUDITOR: Auditor = Auditor;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn every_block_goes_back_with_its_own_layout() {
    for align in (0..16).map(|log2| 1 << log2) {
        for size in (1..200).chain([1000, 4095, 4096, 4097, 1 << 17, (1 << 20) + 1]) {
            let mut block = System.alloc(layout(size, align)).unwrap();
            let mut at = size;
            for next in [size + 1, size * 2, size / 2 + 1, 40, 5000, size] {
                // SAFETY: a live block of `at` bytes; then one of `next`.
                block = unsafe { System.realloc(block, layout(at, align), next) }.unwrap();
                // SAFETY: within the block.
                unsafe { block.add(next - 1).write(1) };
                at = next;
            }
            // SAFETY: a live block of `at` bytes.
            unsafe { System.dealloc(block, layout(at, align)) };
        }
    }
}

/// `run` on a thread of its own leaves nothing behind. The first thread of that kind may: a tally is never freed, it
/// serves the next thread.
fn a_thread_that_ends_leaves_nothing(run: fn()) {
    let on_a_thread = || thread::Builder::new().spawn(run).unwrap().join().unwrap();
    on_a_thread();
    let before = BLOCKS.load(SeqCst);
    for _ in 0..20 {
        on_a_thread();
    }
    assert_eq!(BLOCKS.load(SeqCst), before);
}

fn keeping_blocks() {
    for align in [32, 64] {
        for size in (1..=4096).step_by(61) {
            let block = System.alloc(layout(size, align)).unwrap();
            // SAFETY: allocated just above.
            unsafe { System.dealloc(block, layout(size, align)) };
        }
    }
}

fn keeping_blocks_after_the_end() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            keeping_blocks();
        }
    }
    thread_local!(static LATE: Late = const { Late });
    // Registered before the crate's own destructor, so it runs after it.
    LATE.with(|_| ());
    keeping_blocks();
}

fn buffers_of_all_kinds() {
    let mut strings = SimdBuffer::<String>::default();
    for i in 0..1000 {
        strings.push(i.to_string());
    }
    strings.truncate(500);
    strings.shrink_to_fit();
    let mut iter = strings.into_iter();
    iter.next();
    drop(iter);
    let mut bytes = Place::<Align<4096>>::new().filled(10, 1u8);
    bytes.extend((0..100_000).map(|i| i as u8));
    let words = bytes.clone().into_dynamic().try_into_static::<Align<4096>>().unwrap();
    drop((bytes, words.try_cast::<u16>()));
}

/// The memory that a thread keeps for its arenas goes with the thread; so does what a destructor after that asks for.
fn arenas_of_a_thread() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            with_thread_arena(|scope| scope.alloc_slice_fill_with(3000, |i| i)[7] = 1);
        }
    }
    thread_local!(static LATE: Late = const { Late });
    LATE.with(|_| ());
    with_thread_arena(|outer| {
        let outer = outer.alloc([1u8; 10_000]);
        with_thread_arena(|inner| inner.alloc_slice_copy(outer)[9] = 2);
    });
    HotArena::<Align<64>>::default().scope(|scope| {
        scope.alloc([0u64; 1000]);
        scope.scope(|inner| inner.alloc([0u64; 100_000])[5] = 3);
    });
}

gc_object! { struct Cons / ConsInit { ptr tail: Cons, data head: u64, } }

/// Heaps, with all that they keep beside their own memory: roots, remembered objects, spans of raw bytes, handles.
/// Which of them goes last does not matter.
fn general_heaps() {
    for roots_last in [false, true] {
        let mut heap = GeneralHeap::builder().nursery(16 << 10).quarantine(2).build();
        let (bytes, safepoint) = (heap.bytes(), heap.safepoint_handle());
        let array = heap.new_pointers::<Cons>(3000);
        let mut roots: Vec<Root<Cons>> = Vec::new();
        for head in 0..3000 {
            let cons = heap.new_root::<Cons>(ConsInit { tail: roots.last(), head });
            heap.set_element(array.get(&heap), head as usize, Some(cons.get(&heap)));
            roots.push(cons);
        }
        heap.collect(Collection::Full);
        let block = bytes.alloc(layout(100, 8)).unwrap();
        match roots_last {
            true => drop((array, heap, roots)),
            false => drop((roots, array, heap)),
        }
        // SAFETY: allocated above; its memory stays as long as the handle.
        unsafe { bytes.dealloc(block, layout(100, 8)) };
        safepoint.request(Collection::Full);
    }
}

/// A thread that frees what another allocated gives it back to the allocator, not to the other.
fn blocks_freed_by_another_thread() {
    let block = System.alloc(layout(1024, 64)).unwrap().as_ptr().expose_provenance();
    thread::spawn(move || {
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut(block)).unwrap();
        // SAFETY: the block that the other thread allocated, with its layout.
        unsafe { System.dealloc(block, layout(1024, 64)) };
    })
    .join()
    .unwrap();
}

/// Also what ThreadSanitizer is to look at.
fn threads_at_once() {
    let threads: Vec<_> = (0..4)
        .map(|id| {
            thread::spawn(move || {
                for round in 0..500 {
                    let layout = layout(1 + round * 17 % 5000, 1 << (id + round % 6));
                    let block = System.alloc_zeroed(layout).unwrap();
                    std::hint::black_box(System.stats());
                    // SAFETY: allocated just above.
                    unsafe { System.dealloc(block, layout) };
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(System.stats().current_live, 0);

    // An arena that never got a chunk shares nothing with another: the first value of each, without a size and with
    // one. And an arena goes from thread to thread.
    let threads: Vec<_> = (0..4)
        .map(|id| {
            thread::spawn(move || {
                let mut arena = HotArena::new();
                for _ in 0..100 {
                    let fresh = HotArena::new();
                    std::hint::black_box((fresh.alloc(()), fresh.alloc(id)));
                    arena.scope(|scope| *scope.alloc(id) += 1);
                    with_thread_arena(|scope| *scope.alloc(id) += 1);
                }
                arena
            })
        })
        .collect();
    for thread in threads {
        let arena = thread.join().unwrap();
        assert_eq!((arena.stats().allocation_count, arena.used()), (100, 0));
        arena.alloc(1u8);
    }
}

/// Threads with a heap each, of which every other thread asks for collections meanwhile. Each request is honoured: a
/// thread that asks for a full one waits for that, and nothing else makes one.
fn requests_to_collect() {
    const REQUESTS: u64 = 100;
    let threads: Vec<_> = (0..2)
        .map(|id| {
            thread::spawn(move || {
                let mut heap = GeneralHeap::builder().nursery(8 << 10).growth(u32::MAX, usize::MAX).build();
                let (full, minor) = (heap.safepoint_handle(), heap.safepoint_handle());
                let done = AtomicU64::new(0);
                thread::scope(|others| {
                    let waiting = others.spawn(|| {
                        for request in 0..REQUESTS {
                            full.request(Collection::Full);
                            while done.load(SeqCst) <= request {
                                thread::yield_now();
                            }
                        }
                    });
                    others.spawn(move || (0..REQUESTS).for_each(|_| minor.request(Collection::Minor)));
                    let mut list = heap.new_root::<Cons>(ConsInit { tail: None, head: 0 });
                    for head in 1.. {
                        list = match head % 100 == id {
                            true => heap.new_root::<Cons>(ConsInit { tail: None, head }),
                            false => heap.new_root::<Cons>(ConsInit { tail: Some(&list), head }),
                        };
                        done.store(heap.gc_stats().full_collections, SeqCst);
                        if waiting.is_finished() {
                            break;
                        }
                    }
                });
                assert_eq!(heap.gc_stats().full_collections, REQUESTS);
                heap.verify().unwrap();
                full // outlives the heap
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().request(Collection::Full);
    }
}

fn main() {
    let mut passed = 0;
    let mut run = |name: &str, test: &dyn Fn()| {
        test(); // a panic ends the program with a failure
        println!("test {name} ... ok");
        passed += 1;
    };
    run("every_block_goes_back_with_its_own_layout", &every_block_goes_back_with_its_own_layout);
    run("a_thread_that_ends_gives_back_the_blocks_it_kept", &|| a_thread_that_ends_leaves_nothing(keeping_blocks));
    run("nothing_is_kept_after_the_threads_own_end", &|| {
        a_thread_that_ends_leaves_nothing(keeping_blocks_after_the_end);
    });
    run("buffers_give_everything_back", &|| a_thread_that_ends_leaves_nothing(buffers_of_all_kinds));
    run("arenas_give_everything_back_when_their_thread_ends", &|| {
        a_thread_that_ends_leaves_nothing(arenas_of_a_thread)
    });
    run("blocks_may_be_freed_by_another_thread", &|| a_thread_that_ends_leaves_nothing(blocks_freed_by_another_thread));
    run("threads_allocate_and_count_at_once", &threads_at_once);
    run("general_heaps_give_everything_back", &|| a_thread_that_ends_leaves_nothing(general_heaps));
    run("every_request_to_collect_is_honoured", &requests_to_collect);
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}
