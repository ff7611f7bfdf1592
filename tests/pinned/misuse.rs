//! A wrong free is found, in release builds too: told with all that is needed to mend it, and nothing else is harmed. And
//! blocks that nobody freed are told of when their heap goes.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bhc_rts_alloc::{
    Align, AllocError, Layouts, LeakReport, MemoryRegion, Misuse, MisuseKind, PinnedBlock, PinnedHeap,
    PinnedHeapBuilder, SimdBuffer,
};

use super::blocks::Blocks;
use super::child::{child_is_to, in_a_child, skipped};
use super::vocabulary::{LARGEST, SLICE, Told, layout, telling};

fn is_large(layout: Layout) -> bool {
    layout.pad_to_align().size() > LARGEST
}

/// The layouts that share a kind of block with this one.
fn like(layout: Layout) -> Layouts {
    let most = PinnedHeap::usable_size(layout);
    let is_least = |size: &usize| PinnedHeap::usable_size(Layout::from_size_align(*size, 1).unwrap()) == most;
    let least = if is_large(layout) { most - SLICE + 1 } else { (1..=most).find(is_least).unwrap() };
    Layouts { least, most }
}

/// A wrong free that is about to be made.
#[derive(Clone, Copy)]
struct Wrong {
    at: NonNull<u8>,
    layout: Layout,
    kind: MisuseKind,
    /// The block that it is about, if one lives: it can be freed as it should be afterwards.
    owner: Option<(NonNull<u8>, Layout)>,
}

// SAFETY: addresses, which nobody reads or writes through; blocks may be freed by any thread.
unsafe impl Send for Wrong {}
// SAFETY: as above.
unsafe impl Sync for Wrong {}

impl Wrong {
    fn expected(&self) -> Misuse {
        Misuse { address: self.at.addr().get(), freed_as: like(self.layout), kind: self.kind }
    }

    /// Makes it.
    fn free(self, heap: &PinnedHeap) {
        // SAFETY: it breaks the contract of `dealloc`, which is what is tested: the heap is one that finds it and tells its policy.
        // Nobody allocates of these classes until it has, so that no wrong block is given out.
        unsafe { heap.dealloc(self.at, self.layout) };
    }
}

/// A heap with blocks in it, next to each other.
struct Ground<'h> {
    heap: &'h PinnedHeap,
    /// Live blocks, which must keep their contents.
    neighbours: Blocks<'h, PinnedHeap>,
}

impl<'h> Ground<'h> {
    fn new(heap: &'h PinnedHeap) -> Self {
        Self { heap, neighbours: Blocks::new(heap) }
    }

    /// A block with contents, between two others of its kind.
    fn block(&mut self, layout: Layout) -> NonNull<u8> {
        self.neighbours.alloc(layout).unwrap();
        let block = self.heap.alloc(layout).unwrap();
        // SAFETY: a fresh block of this size.
        unsafe { block.write_bytes(0x77, layout.size()) };
        self.neighbours.alloc(layout).unwrap();
        block
    }

    /// Frees a block as it should be.
    fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: a live block with its layout; if it is freed again, that is what is tested.
        unsafe { self.heap.dealloc(block, layout) };
    }

    /// All blocks are as they were, nothing is lost, and the heap goes on.
    fn expect_unharmed(mut self, wrong: &Wrong) {
        let blocks = |heap: &PinnedHeap| {
            let mut blocks = 0;
            heap.for_each_block(|_| blocks += 1);
            blocks
        };
        self.neighbours.check_all();
        assert_eq!(blocks(self.heap), self.neighbours.len() + usize::from(wrong.owner.is_some()), "the live blocks");
        for size in [1, 16, 100, 1000, 5000, 60_000, 100_000, 5 << 20] {
            self.neighbours.alloc(layout(size, 8)).unwrap();
        }
        if let Some((block, layout)) = wrong.owner {
            // SAFETY: a live block of this size: the wrong free was not carried out.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
            assert!(bytes.iter().all(|byte| *byte == 0x77), "the block of the wrong free has changed");
            self.free(block, layout);
        }
        self.neighbours.check_all();
        self.neighbours.free_all();
        self.heap.trim();
        assert_eq!(blocks(self.heap), 0);
        for class in self.heap.classes().iter() {
            assert_eq!((class.free, class.live, class.cached), (class.capacity, 0, 0), "{class:?}");
        }
        assert_eq!(self.heap.classes().large().live, 0);
    }
}

/// Of each of these one block, where it makes sense: every kind of class, and large ones of one and more segments.
static LAYOUTS: [(usize, usize); 13] = [
    (1, 1),
    (16, 16),
    (64, 64),
    (100, 8),
    (192, 64),
    (1000, 8),
    (100, 4096),
    (4096, 4096),
    (LARGEST, 8),
    (LARGEST + 1, 8),
    (100_000, 64),
    (1 << 20, 1 << 20),
    ((4 << 20) + 1, 4096),
];

/// A way to free wrongly.
struct Case {
    name: &'static str,
    /// `None` where there is no such thing for that layout.
    make: fn(&mut Ground<'_>, Layout) -> Option<Wrong>,
}

/// A block that lives, with what is wrong about the free of `offset` bytes into it with the layout `freed`.
fn alive(ground: &mut Ground<'_>, owned: Layout, offset: usize, freed: Layout, kind: MisuseKind) -> Option<Wrong> {
    let block = ground.block(owned);
    // SAFETY: within the block, or at most at its end.
    let at = unsafe { block.add(offset) };
    Some(Wrong { at, layout: freed, kind, owner: Some((block, owned)) })
}

/// A live block that is freed with a layout of another kind.
fn with_another(ground: &mut Ground<'_>, owned: Layout, freed: Layout) -> Option<Wrong> {
    if like(owned) == like(freed) {
        return None;
    }
    alive(ground, owned, 0, freed, MisuseKind::WrongLayout(like(owned)))
}

/// An address that no heap of ours has.
fn foreign(at: *mut u8, layout: Layout) -> Option<Wrong> {
    Some(Wrong { at: NonNull::new(at)?, layout, kind: MisuseKind::Foreign, owner: None })
}

/// A heap whose blocks are foreign to all others.
fn another_heap() -> &'static PinnedHeap {
    static ANOTHER: OnceLock<PinnedHeap> = OnceLock::new();
    ANOTHER.get_or_init(|| PinnedHeap::builder().on_leak(&|_| ()).build())
}

const CASES: &[Case] = &[
    Case {
        name: "double free",
        make: |ground, layout| {
            let at = ground.block(layout);
            ground.free(at, layout);
            Some(Wrong { at, layout, kind: MisuseKind::DoubleFree, owner: None })
        },
    },
    Case {
        name: "double free, the first of which has gone to its span",
        make: |ground, layout| {
            let at = ground.block(layout);
            ground.free(at, layout);
            ground.heap.trim();
            Some(Wrong { at, layout, kind: MisuseKind::DoubleFree, owner: None })
        },
    },
    Case {
        name: "a byte into a block",
        make: |ground, layout| alive(ground, layout, 1, layout, MisuseKind::NotABlock),
    },
    Case {
        name: "the middle of a block",
        make: |ground, layout| {
            let middle = PinnedHeap::usable_size(layout) / 2;
            alive(ground, layout, middle, layout, MisuseKind::NotABlock)
        },
    },
    Case {
        name: "whole slices into a block",
        make: |ground, owned| {
            let fits = owned.size() > 2 * SLICE;
            fits.then(|| alive(ground, owned, SLICE, layout(SLICE, 8), MisuseKind::NotABlock)).flatten()
        },
    },
    Case { name: "twice its size", make: |ground, owned| with_another(ground, owned, layout(owned.size() * 2, 1)) },
    Case {
        name: "half its size",
        make: |ground, owned| with_another(ground, owned, layout(owned.size().div_ceil(2), 1)),
    },
    Case {
        name: "a stricter alignment",
        make: |ground, owned| with_another(ground, owned, layout(owned.size(), LARGEST)),
    },
    Case { name: "a weaker alignment", make: |ground, owned| with_another(ground, owned, layout(owned.size(), 1)) },
    Case {
        name: "a slice more",
        make: |ground, owned| {
            is_large(owned).then(|| with_another(ground, owned, layout(owned.size() + SLICE, 8))).flatten()
        },
    },
    Case {
        name: "a slice less",
        make: |ground, owned| {
            let large = is_large(owned) && owned.size() > LARGEST + SLICE;
            large.then(|| with_another(ground, owned, layout(owned.size() - SLICE, 8))).flatten()
        },
    },
    Case { name: "small as large", make: |ground, owned| with_another(ground, owned, layout(100_000, 8)) },
    Case { name: "large as small", make: |ground, owned| with_another(ground, owned, layout(64, 8)) },
    Case {
        name: "a block of another heap",
        make: |_, layout| foreign(another_heap().alloc(layout).unwrap().as_ptr(), layout),
    },
    Case {
        name: "the stack",
        make: |_, layout| {
            let mut here = 0u64;
            foreign((&raw mut here).cast(), layout)
        },
    },
    Case { name: "a static", make: |_, layout| foreign((&raw const LAYOUTS).cast_mut().cast(), layout) },
    Case {
        name: "a block of the C library",
        make: |_, layout| {
            // SAFETY: the size is not zero. It is given back at once; only the address is kept.
            let at = unsafe {
                let at = std::alloc::System.alloc(layout);
                std::alloc::System.dealloc(at, layout);
                at
            };
            foreign(at, layout)
        },
    },
    Case {
        name: "a block of its span that was never given",
        make: |ground, layout| {
            if is_large(layout) {
                return None;
            }
            let first = ground.heap.alloc(layout).unwrap();
            let usable = PinnedHeap::usable_size(layout);
            let classes = ground.heap.classes();
            let class = classes.iter().find(|class| class.size == usable).unwrap();
            ground.free(first, layout);
            if class.free == 0 {
                return None; // the thread took all of them
            }
            // The heap is new, and a span is given from its start.
            // SAFETY: the last block of the span.
            let last = unsafe { first.add((class.capacity - 1) * usable) };
            Some(Wrong { at: last, layout, kind: MisuseKind::NotABlock, owner: None })
        },
    },
    Case {
        name: "memory that nobody was ever given",
        make: |ground, layout| {
            let mut wrong = alive(ground, layout, 0, layout, MisuseKind::NotABlock)?;
            wrong.at = NonNull::new(wrong.at.as_ptr().wrapping_add(2 << 20))?;
            Some(wrong)
        },
    },
    Case {
        name: "addresses that are no memory yet",
        make: |ground, layout| {
            let mut wrong = alive(ground, layout, 0, layout, MisuseKind::NotABlock)?;
            wrong.at = NonNull::new(wrong.at.as_ptr().wrapping_add(32 << 20))?;
            Some(wrong)
        },
    },
];

/// Tries every case on every layout in heaps of this kind; `find` makes the heap look at what it has taken back.
fn every_case(what: &str, builder: &PinnedHeapBuilder, told: &Told<Misuse>, find: fn(&PinnedHeap)) {
    for (size, align) in LAYOUTS {
        for case in CASES {
            let heap = builder.clone().build();
            let mut ground = Ground::new(&heap);
            let Some(wrong) = (case.make)(&mut ground, layout(size, align)) else { continue };
            let what = format!("{what}: {}, of {size} bytes at {align}", case.name);
            assert_eq!(told.take(), [], "{what}: nothing is wrong yet");
            let before = heap.stats();
            wrong.free(&heap);
            // Without caches, and if it is large, it is looked at where it is freed.
            if is_large(wrong.layout) || heap.usage().thread_caches == 0 {
                assert_eq!(told.take(), [wrong.expected()], "{what}");
                assert_eq!(heap.stats(), before, "{what}: a free that was not carried out does not count");
            } else {
                assert_eq!(told.take(), [], "{what}: the thread keeps it");
                find(&heap);
                assert_eq!(told.take(), [wrong.expected()], "{what}");
            }
            ground.expect_unharmed(&wrong);
            assert_eq!(told.take(), [], "{what}: it is told once");
        }
    }
}

#[test]
fn every_wrong_free_is_found_when_the_thread_trims() {
    let (builder, told) = telling!();
    every_case("usual", &builder, told, PinnedHeap::trim);
}

#[test]
fn every_wrong_free_is_found_at_once_without_thread_caches() {
    let (builder, told) = telling!();
    every_case("without caches", &builder.thread_caches(false), told, |_| panic!("it should have been found"));
}

#[test]
fn every_wrong_free_is_found_in_memory_of_the_standard_library() {
    let (builder, told) = telling!();
    every_case("portable", &builder.portable().reserve(64 << 20), told, PinnedHeap::trim);
}

/// A pointer into a block of this size, which is freed by somebody soon.
fn interior(ground: &mut Ground<'_>, size: usize) -> Wrong {
    let layout = layout(size, 8);
    alive(ground, layout, 8, layout, MisuseKind::NotABlock).unwrap()
}

/// Blocks of a test that go to a thread.
struct Sent(Vec<NonNull<u8>>);

// SAFETY: blocks may be freed by any thread.
unsafe impl Send for Sent {}

impl Sent {
    fn new(heap: &PinnedHeap, layout: Layout, count: usize) -> Self {
        Self((0..count).map(|_| heap.alloc(layout).unwrap()).collect())
    }

    fn free(self, heap: &PinnedHeap, layout: Layout) {
        for block in self.0 {
            // SAFETY: blocks of this layout, which the test allocated and does not use again.
            unsafe { heap.dealloc(block, layout) };
        }
    }
}

/// Runs `body` on a thread, and waits until the thread has ended with all that it does then.
fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join().unwrap())
}

/// Whether what a test does here would be found at once, as threads keep nothing.
fn keeps_nothing(heap: &PinnedHeap) -> bool {
    let nothing = heap.usage().thread_caches == 0;
    if nothing {
        skipped("when threads' free blocks are looked at: threads keep none in this build");
    }
    nothing
}

#[test]
fn a_wrong_free_is_found_when_its_thread_ends() {
    let (builder, told) = telling!();
    let heap = builder.build();
    let mut ground = Ground::new(&heap);
    let wrong = interior(&mut ground, 100);
    on_a_thread(|| wrong.free(&heap));
    assert_eq!(told.take(), [wrong.expected()]);
    ground.expect_unharmed(&wrong);
}

#[test]
fn a_block_freed_by_two_threads_is_found_when_both_have_given_it_back() {
    let (builder, told) = telling!();
    let heap = builder.build();
    let mut ground = Ground::new(&heap);
    let at = ground.block(layout(100, 8));
    let wrong = Wrong { at, layout: layout(100, 8), kind: MisuseKind::DoubleFree, owner: None };
    on_a_thread(|| wrong.free(&heap)); // not yet: it was live
    assert_eq!(told.take(), []);
    on_a_thread(|| wrong.free(&heap));
    assert_eq!(told.take(), [wrong.expected()]);
    ground.expect_unharmed(&wrong);
}

#[test]
fn a_wrong_free_is_found_when_so_much_is_freed_that_blocks_go_back() {
    let (builder, told) = telling!();
    let heap = builder.build();
    let mut ground = Ground::new(&heap);
    let wrong = interior(&mut ground, LARGEST);
    let [before, after] = [100; 2].map(|count| Sent::new(&heap, wrong.layout, count));
    // All that may be kept for reuse is.
    before.free(&heap, wrong.layout);
    if keeps_nothing(&heap) {
        after.free(&heap, wrong.layout);
        return ground.expect_unharmed(&wrong);
    }
    wrong.free(&heap);
    assert_eq!(told.take(), []);
    after.free(&heap, wrong.layout);
    assert_eq!(told.take(), [wrong.expected()]);
    ground.expect_unharmed(&wrong);
}

#[test]
fn a_wrong_free_is_found_when_another_thread_trims_and_this_one_comes_for_more() {
    let (builder, told) = telling!();
    let heap = builder.build();
    let mut ground = Ground::new(&heap);
    let wrong = interior(&mut ground, 100);
    if keeps_nothing(&heap) {
        return ground.expect_unharmed(&wrong);
    }
    wrong.free(&heap);
    on_a_thread(|| heap.trim());
    assert_eq!(told.take(), [], "a thread's own is its own");
    // A large block is no business of the thread's cache.
    ground.neighbours.alloc(layout(100_000, 8)).unwrap();
    assert_eq!(told.take(), [wrong.expected()]);
    ground.expect_unharmed(&wrong);
}

#[test]
fn a_wrong_free_is_found_when_nobody_has_wanted_the_blocks_for_a_while() {
    let (builder, told) = telling!();
    let heap = builder.decay(Duration::from_millis(4)).build();
    let mut ground = Ground::new(&heap);
    let wrong = interior(&mut ground, LARGEST);
    if keeps_nothing(&heap) {
        return ground.expect_unharmed(&wrong);
    }
    // As many as a thread keeps together: they go as they are to those who look for some next.
    let blocks = Sent::new(&heap, wrong.layout, 3);
    on_a_thread(|| {
        wrong.free(&heap);
        blocks.free(&heap, wrong.layout);
    });
    assert_eq!(told.take(), []);
    let start = Instant::now();
    let found = loop {
        // Nobody looks while nobody comes.
        ground.neighbours.alloc(layout(100_000, 8)).unwrap();
        ground.neighbours.dealloc(usize::MAX);
        match told.take() {
            found if !found.is_empty() => break found,
            _ => assert!(start.elapsed() < Duration::from_secs(60), "it is never looked at"),
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(found, [wrong.expected()]);
    ground.expect_unharmed(&wrong);
}

#[test]
fn a_large_block_that_is_resized_as_what_it_is_not_stays_as_it_is() {
    let (builder, told) = telling!();
    let heap = builder.build();
    let mut ground = Ground::new(&heap);
    let owned = layout(100_000, 8);
    for new_size in [90_000, 200_000, 5 << 20] {
        let wrongs = [
            with_another(&mut ground, owned, layout(200_000, 8)),
            alive(&mut ground, owned, SLICE, owned, MisuseKind::NotABlock),
            foreign((&raw const LAYOUTS).cast_mut().cast(), owned),
        ];
        for wrong in wrongs.into_iter().flatten() {
            let failures = heap.stats().failed_allocations;
            // SAFETY: it breaks the contract, which is what is tested: the heap is one that finds it.
            let result = unsafe { heap.realloc(wrong.at, wrong.layout, new_size) };
            assert!(matches!(result, Err(AllocError::OutOfMemory { .. })), "{result:?}");
            assert_eq!((told.take(), heap.stats().failed_allocations), (vec![wrong.expected()], failures + 1));
            if let Some((block, layout)) = wrong.owner {
                ground.free(block, layout);
            }
        }
    }
    let wrong = interior(&mut ground, 100_000);
    ground.expect_unharmed(&wrong);
    assert_eq!(told.take(), []);
}

/// A small block that moves is freed where it was.
#[test]
fn a_small_block_that_is_resized_as_what_it_is_not_is_found_as_a_free_of_it_is() {
    let (builder, told) = telling!();
    let heap = builder.build();
    let mut ground = Ground::new(&heap);
    let wrong = with_another(&mut ground, layout(1000, 8), layout(100, 8)).unwrap();
    // SAFETY: it breaks the contract, which is what is tested: the heap is one that finds it. The bytes that it copies are a
    // live block's.
    let moved = unsafe { heap.realloc(wrong.at, wrong.layout, 5000) }.unwrap();
    ground.free(moved, layout(5000, 8));
    heap.trim();
    assert_eq!(told.take(), [wrong.expected()]);
    ground.expect_unharmed(&wrong);
}

#[test]
fn the_message_names_the_address_what_it_was_freed_as_and_what_it_is() {
    let freed_as = Layouts { least: 97, most: 112 };
    let text = |kind| Misuse { address: 0x1234, freed_as, kind }.to_string();
    let start = "pinned heap: 0x1234 was freed as a block of 112 bytes, for layouts of 97 to 112 bytes, and is ";
    assert_eq!(text(MisuseKind::DoubleFree), format!("{start}free already (double free)"));
    assert_eq!(text(MisuseKind::Foreign), format!("{start}not this heap's memory"));
    assert_eq!(
        text(MisuseKind::WrongLayout(Layouts { least: 4097, most: 5120 })),
        format!("{start}a block of 5120 bytes, for layouts of 4097 to 5120 bytes (wrong layout)")
    );
    let start = start.strip_suffix("is ").unwrap();
    assert_eq!(
        text(MisuseKind::NotABlock),
        format!("{start}no block starts there (interior pointer, or never allocated)")
    );
}

/// It is called with nothing half done: the policy may be a runtime's, which writes it to a log in this very heap.
#[test]
fn a_policy_may_use_the_heap() {
    static HEAP: OnceLock<PinnedHeap> = OnceLock::new();
    static TOLD: Told<Misuse> = Told::new();
    fn policy(misuse: &Misuse) {
        TOLD.add(*misuse);
        let heap = HEAP.get().unwrap();
        let mut blocks = Blocks::new(heap);
        for size in [16, 100, 1000, LARGEST, 100_000] {
            (0..20).for_each(|_| blocks.alloc(layout(size, 8)).unwrap());
        }
        blocks.free_all();
        assert!(heap.usage().committed > 0 && heap.contains(std::ptr::without_provenance(misuse.address)));
        heap.for_each_block(|_| ());
        heap.trim();
    }
    let heap = HEAP.get_or_init(|| PinnedHeap::builder().on_misuse(&policy).build());
    let mut ground = Ground::new(heap);
    for size in [16, 100, 1000, LARGEST, 100_000] {
        let wrong = interior(&mut ground, size);
        let [before, after] = [1, 1].map(|count| Sent::new(heap, wrong.layout, count));
        heap.trim();
        // All of these fit one magazine, which is out of the policy's reach when it is called.
        before.free(heap, wrong.layout);
        wrong.free(heap);
        wrong.free(heap);
        after.free(heap, wrong.layout);
        heap.trim();
        assert_eq!(TOLD.take(), [wrong.expected(); 2]);
        let (block, layout) = wrong.owner.unwrap();
        ground.free(block, layout);
    }
    let wrong = interior(&mut ground, 100);
    ground.expect_unharmed(&wrong);
    assert_eq!(TOLD.take(), []);
}

/// Runs the test of this name in a child, which is to die of an abort having said `what`.
fn expect_abort(test: &str, case: &str) -> String {
    let output = in_a_child(test, case);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{case}: {:?}: {said}", output.status);
    }
    assert!(!output.status.success(), "{case}: {said}");
    let expected = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected =
        expected.lines().find_map(|line| line.split_once("expected: ")).expect("the child says what it expects");
    assert_eq!(said.lines().filter(|line| *line == expected.1).count(), 1, "{case}: {:?} in {said}", expected.1);
    said
}

#[test]
fn by_default_a_wrong_free_ends_the_program_and_says_why() {
    const TEST: &str = "misuse::by_default_a_wrong_free_ends_the_program_and_says_why";
    if cfg!(any(not(unix), miri)) {
        return skipped("children are run on Unix only");
    }
    let cases = || CASES.iter().flat_map(|case| [(100, 8), (100_000, 8)].map(|layout| (case, layout)));
    let name = |case: &Case, size: usize| format!("{}, of {size} bytes", case.name);
    if let Some(wanted) = child_is_to() {
        let (case, (size, align)) = cases().find(|(case, (size, _))| name(case, *size) == wanted).unwrap();
        let heap = PinnedHeap::new();
        if let Some(wrong) = (case.make)(&mut Ground::new(&heap), layout(size, align)) {
            println!("\nexpected: {}", wrong.expected());
            wrong.free(&heap);
            heap.trim();
            println!("it lived on");
        }
        return;
    }
    // The message and the abort are one piece of code: a case for each of its texts, small and large.
    let shown =
        ["double free", "a byte into a block", "twice its size", "a static", "small as large", "large as small"];
    for (case, (size, _)) in cases().filter(|(case, _)| shown.contains(&case.name)) {
        if (case.name == "small as large" && size > LARGEST) || (case.name == "large as small" && size <= LARGEST) {
            continue;
        }
        expect_abort(TEST, &name(case, size));
    }
}

#[test]
fn a_policy_that_panics_ends_the_program() {
    const TEST: &str = "misuse::a_policy_that_panics_ends_the_program";
    if cfg!(any(not(unix), miri)) {
        return skipped("children are run on Unix only");
    }
    match child_is_to().as_deref() {
        Some("misuse") => {
            let heap = PinnedHeap::builder().on_misuse(&|misuse| panic!("{misuse}")).build();
            let wrong = interior(&mut Ground::new(&heap), 100);
            println!("\nexpected: {}", wrong.expected());
            wrong.free(&heap);
            heap.trim();
            println!("it lived on");
        }
        Some("leak") => {
            let heap = PinnedHeap::builder().on_leak(&|report| panic!("{report}")).build();
            let block = heap.alloc(layout(1, 1)).unwrap();
            println!("\nexpected: {}", Leak::expected(&[(block, layout(1, 1))]).text);
            drop(heap);
            println!("it lived on");
        }
        _ => ["misuse", "leak"].iter().for_each(|case| _ = expect_abort(TEST, case)),
    }
}

/// Small numbers without a pattern.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Blocks of all sizes that wander between threads: nothing is wrong, and nothing is said.
#[test]
fn right_programs_are_never_told_of() {
    static LEAKS: Told<usize> = Told::new();
    let (telling, told) = telling!();
    let telling = telling.on_leak(&|report| LEAKS.add(report.blocks));
    for builder in [telling.clone(), telling.clone().thread_caches(false), telling.portable()] {
        let heap = builder.build();
        thread::scope(|scope| {
            let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel()).unzip();
            senders.rotate_left(1);
            for (seed, (sender, receiver)) in (1..).zip(senders.into_iter().zip(receivers)) {
                let (heap, mut random) = (&heap, Random(seed));
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let power = random.below(18);
                        let old = layout(1 + random.below(1 << power), 1 << random.below(8));
                        let new = layout(1 + random.below(2 * old.size()), old.align());
                        let block = heap.alloc(old).unwrap();
                        // SAFETY: a live block with its layout.
                        let block = unsafe { heap.realloc(block, old, new.size()) }.unwrap();
                        sender.send((Sent(vec![block]), new)).unwrap();
                        if random.below(3) > 0
                            && let Ok((block, layout)) = receiver.try_recv()
                        {
                            block.free(heap, layout);
                        }
                        if random.below(200) == 0 {
                            heap.trim();
                        }
                    }
                    drop(sender);
                    receiver.iter().for_each(|(block, layout)| block.free(heap, layout));
                });
            }
        });
        drop(heap);
        assert_eq!((told.take(), LEAKS.take()), (vec![], vec![]));
    }
}

/// What a policy for leaks was told: the count, the bytes, and where each block is and what it has.
#[derive(Debug, PartialEq)]
struct Leak {
    blocks: usize,
    bytes: usize,
    list: Vec<(usize, usize)>,
    text: String,
}

impl Leak {
    fn of(report: &LeakReport<'_>) -> Self {
        let mut list = Vec::new();
        report.for_each_block(|PinnedBlock { ptr, size, .. }| list.push((ptr.addr().get(), size)));
        Self { blocks: report.blocks, bytes: report.bytes, list, text: report.to_string() }
    }

    /// These blocks of a heap.
    fn expected(blocks: &[(NonNull<u8>, Layout)]) -> Self {
        let place = |(block, layout): &(NonNull<u8>, Layout)| (block.addr().get(), PinnedHeap::usable_size(*layout));
        let mut list: Vec<(usize, usize)> = blocks.iter().map(place).collect();
        list.sort_unstable();
        let bytes = blocks.iter().map(|(_, layout)| layout.size()).sum();
        let mut text = format!("pinned heap: dropped with {} live blocks of {bytes} bytes requested", blocks.len());
        list.iter().take(8).for_each(|(address, size)| text += &format!("; {size} bytes at {address:#x}"));
        if list.len() > 8 {
            text += "; ...";
        }
        Self { blocks: blocks.len(), bytes, list, text }
    }
}

#[test]
fn blocks_that_live_when_their_heap_goes_are_told_of_exactly() {
    static LEAKS: Told<Leak> = Told::new();
    let recording = PinnedHeap::builder().on_leak(&|report| LEAKS.add(Leak::of(report)));
    for builder in [recording.clone(), recording.clone().thread_caches(false), recording.portable()] {
        for leaked in [&[][..], &[(1, 1)], &[(100_000, 8)], &LAYOUTS] {
            let heap = builder.clone().build();
            let alloc = |&(size, align): &(usize, usize)| {
                let layout = layout(size, align);
                (heap.alloc(layout).unwrap(), layout)
            };
            let free = |blocks: Vec<(NonNull<u8>, Layout)>| {
                // SAFETY: live blocks with their layouts, which are not used again.
                blocks.into_iter().for_each(|(block, layout)| unsafe { heap.dealloc(block, layout) });
            };
            // Those that were freed are nobody's, wherever they are kept: here, by a thread that is gone, in their spans.
            free(LAYOUTS.iter().map(alloc).collect());
            let gone = Sent(LAYOUTS.iter().map(|layout| alloc(layout).0).collect());
            on_a_thread(|| {
                let gone = gone;
                free(gone.0.into_iter().zip(LAYOUTS.map(|(size, align)| layout(size, align))).collect());
            });
            let _ = heap.alloc(layout(0, 8)).unwrap();
            drop(SimdBuffer::<f32, Align<64>, _>::clone(&heap.alloc_buffer(1000)));

            let mut blocks: Vec<(NonNull<u8>, Layout)> = leaked.iter().map(alloc).collect();
            // A thread is no owner: what it leaves behind lives.
            let left = on_a_thread(|| Sent(leaked.iter().map(|layout| alloc(layout).0).collect()));
            blocks.extend(left.0.into_iter().zip(leaked.iter().map(|&(size, align)| layout(size, align))));
            for (block, old) in &mut blocks {
                // SAFETY: a live block with its layout, which is another on `Ok`.
                *block = unsafe { heap.realloc(*block, *old, old.size() + 5) }.unwrap();
                *old = layout(old.size() + 5, old.align());
            }
            drop(heap);
            let expected = if blocks.is_empty() { vec![] } else { vec![Leak::expected(&blocks)] };
            assert_eq!(LEAKS.take(), expected);
        }
    }
}

#[test]
fn a_heap_that_goes_after_its_last_buffer_leaks_nothing() {
    static LEAKS: Told<usize> = Told::new();
    let heap = PinnedHeap::builder().on_leak(&|report| LEAKS.add(report.blocks)).build();
    let forgotten = heap.alloc_buffer::<u64, Align<64>>(100);
    let bytes = heap.stats().current_live;
    drop(forgotten);
    std::mem::forget(heap.alloc_buffer::<u64, Align<64>>(100));
    assert_eq!(heap.stats().current_live, bytes);
    drop(heap);
    assert_eq!(LEAKS.take(), [1], "only what was forgotten");
}

/// What was freed wrongly is counted as freed; it must not stand in for what was not freed at all.
#[test]
fn a_wrong_free_hides_no_leak() {
    static LEAKS: Told<usize> = Told::new();
    let (telling, told) = telling!();
    let telling = telling.on_leak(&|report| LEAKS.add(report.blocks));
    for builder in [telling.clone(), telling.thread_caches(false)] {
        let heap = builder.build();
        let mut ground = Ground::new(&heap);
        let layout = layout(100, 8);
        let _leaked = heap.alloc(layout).unwrap();
        let at = ground.block(layout);
        ground.neighbours.free_all();
        (0..2).for_each(|_| ground.free(at, layout));
        heap.trim();
        assert_eq!(told.take(), [Wrong { at, layout, kind: MisuseKind::DoubleFree, owner: None }.expected()]);
        drop(ground);
        drop(heap);
        assert_eq!(LEAKS.take(), [1]);
    }
}

#[test]
fn by_default_leaks_are_printed() {
    const TEST: &str = "misuse::by_default_leaks_are_printed";
    if cfg!(any(not(unix), miri)) {
        return skipped("children are run on Unix only");
    }
    if let Some(count) = child_is_to() {
        let heap = PinnedHeap::new();
        let layouts = LAYOUTS.map(|(size, align)| layout(size, align));
        let leaked = layouts.into_iter().cycle().take(count.parse().unwrap());
        let blocks: Vec<_> = leaked.map(|layout| (heap.alloc(layout).unwrap(), layout)).collect();
        println!("\nexpected: {}", Leak::expected(&blocks).text);
        return;
    }
    for count in [0, 1, 8, 9, 1000] {
        let output = in_a_child(TEST, &count.to_string());
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        let expected = out.lines().find_map(|line| Some(line.split_once("expected: ")?.1)).unwrap();
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("pinned heap: ")).collect();
        assert_eq!(lines, if count == 0 { vec![] } else { vec![expected] });
    }
}
