//! What the builder is told has its effect: capacity, limit, growth, backing; on memory of any size and alignment.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::thread;

use bhc_rts_alloc::{
    Align, AllocError, AllocResult, AllocStats, HotArena, HotArenaBuilder, HugePages, KnownAlign, MemoryRegion,
    RegionKind, System, with_arena,
};

use super::elements::{Tracked, panic_text, tracked};
use super::region::{Audit, Failure};
use super::vocabulary::{Barely, Live, address, layout, skipped};

/// The first chunk that is not asked to be larger, and the largest that is not needed to be.
const FIRST: usize = 4096;
const LARGEST: usize = 8 << 20;

/// Allocates all that is left in the current chunk.
fn use_up<A: KnownAlign, R: MemoryRegion>(arena: &HotArena<A, R>) {
    let _ = arena.alloc_layout(layout(arena.remaining(), 1));
}

#[test]
fn nothing_is_asked_for_before_it_is_needed() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().align::<Align<64>>().limit(1 << 20).within(&audit).build();
    assert_eq!((arena.capacity(), arena.used(), arena.padding(), arena.remaining()), (0, 0, 0, 0));
    arena.reset();
    arena.shrink();
    arena.scope(|scope| assert_eq!((scope.capacity(), scope.used(), scope.remaining()), (0, 0, 0)));
    arena.reset();
    assert_eq!(audit.requests(), 0);
    arena.alloc(1u8);
    assert_eq!((audit.requests(), arena.used(), arena.padding()), (1, 64, 63));
}

#[test]
fn a_capacity_is_there_in_one_piece() {
    fn with<A: KnownAlign>() {
        for capacity in (1..200).chain([1000, FIRST, FIRST + 1, 100_000]) {
            let backing = Barely::default();
            let arena = HotArena::builder().align::<A>().capacity(capacity).within(&backing).build();
            assert_eq!(backing.asked().len(), 1, "asked for at once");
            assert!(arena.capacity() >= capacity && arena.remaining() == arena.capacity());
            let block = arena.alloc_layout(layout(capacity, A::BYTES));
            assert!(block.addr().get().is_multiple_of(A::BYTES));
            assert_eq!((backing.asked().len(), arena.used()), (0, capacity.next_multiple_of(A::BYTES)));
        }
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<64>>();
    with::<Align<4096>>();
    // And it grows beyond, by more than it has.
    let backing = Barely::default();
    let arena = HotArena::builder().capacity(100_000).within(&backing).build();
    let first = backing.asked()[0];
    use_up(&arena);
    arena.alloc(1u8);
    assert_eq!(backing.asked(), [2 * first]);
}

#[test]
fn a_fixed_capacity_is_exact_and_final() {
    fn with<A: KnownAlign>() {
        for capacity in (1..200).chain([1000, FIRST, 100_000]) {
            let backing = Barely::default();
            let mut arena = HotArena::builder().align::<A>().capacity(capacity).fixed().within(&backing).build();
            let exact = capacity.next_multiple_of(A::BYTES);
            assert_eq!((arena.capacity(), arena.remaining(), backing.asked().len()), (exact, exact, 1));
            for round in 1..=3 {
                let blocks = (0..).take_while(|_| arena.try_alloc(1u8).is_ok()).count();
                assert_eq!(blocks, exact / A::BYTES);
                let refused = AllocError::OutOfMemory { requested: 1, available: 0 };
                assert_eq!(arena.try_alloc(1u8), Err((1, refused)));
                assert_eq!(arena.stats().failed_allocations, 2 * round);
                arena.shrink();
                arena.reset();
                arena.shrink();
                assert_eq!(arena.capacity(), exact, "what is fixed is kept");
            }
            assert!(backing.asked().is_empty());
        }
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<64>>();
    // Without a capacity there is nothing.
    let arena = HotArena::builder().fixed().build();
    assert_eq!((arena.capacity(), arena.try_alloc(1u8).is_err()), (0, true));
    assert_eq!(arena.alloc(()), &mut ());
}

#[test]
fn chunks_double_up_to_the_largest() {
    let backing = Barely::default();
    let arena = HotArena::builder().within(&backing).build();
    for size in std::iter::successors(Some(FIRST), |size| Some((size * 2).min(LARGEST))).take(15) {
        arena.alloc(1u8);
        assert_eq!(backing.asked(), [size]);
        use_up(&arena);
    }
}

#[test]
fn a_large_request_makes_nothing_after_it_large() {
    const LARGE: usize = 32 << 20;
    let backing = Barely::default();
    let arena = HotArena::builder().within(&backing).build();
    arena.alloc(1u8);
    let _ = arena.alloc_layout(layout(LARGE, 8));
    let asked = backing.asked();
    assert_eq!((asked[0], asked.len()), (FIRST, 2));
    assert!((LARGE..LARGE + 128).contains(&asked[1]), "{} bytes for {LARGE}", asked[1]);
    for large in [LARGE, 2 * LARGE] {
        use_up(&arena);
        arena.alloc(1u8);
        let asked = backing.asked();
        assert!(asked.len() == 1 && asked[0] <= 16 * FIRST, "{asked:?} after a large one");
        let _ = arena.alloc_layout(layout(large, 8));
        assert!((large..large + 128).contains(&backing.asked()[0]));
    }
}

#[test]
fn a_limit_is_kept_and_used_up() {
    for limit in [0, 40, 64, 100, 1000, FIRST, FIRST + 63, 5000, 10_000, 100_000, 1 << 20] {
        let backing = Barely::default();
        let arena = HotArena::builder().limit(limit).within(&backing).build();
        let mut blocks = 0;
        while arena.try_alloc([0u8; 8]).is_ok() {
            blocks += 1;
        }
        let asked = backing.asked();
        assert!(asked.iter().sum::<usize>() <= limit, "{asked:?} of {limit}");
        // What is lost: headers, and the rest that is too small for a chunk.
        assert!(blocks * 8 + 32 * asked.len() + 128 > limit, "{blocks} blocks of {limit}");
        let stats = arena.stats();
        assert_eq!((stats.failed_allocations, stats.current_live), (1, 8 * blocks));
        assert!(asked.windows(2).all(|pair| pair[1] <= 2 * pair[0]));
        if limit == 10_000 {
            assert_eq!(asked, [FIRST, limit - FIRST], "smaller than doubled, so that it fits");
        }
    }
    // A capacity beyond it is refused at once.
    let refused = HotArena::builder().limit(1000).capacity(1001).try_build().unwrap_err();
    assert_eq!(refused, AllocError::OutOfMemory { requested: 1001, available: 1000 });
    // What goes back may be asked for again.
    let mut arena = HotArena::builder().limit(100_000).build();
    for _ in 0..5 {
        arena.scope(|scope| scope.alloc([1u8; 60_000])[0]);
        arena.shrink();
        arena.scope(|scope| assert!(scope.try_alloc([1u8; 101_000]).is_err()));
    }
}

#[test]
fn memory_is_kept_and_the_backing_is_left_in_peace() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    let job = |arena: &mut HotArena<Align<8>, &Audit>| {
        for i in 0..50 {
            arena.alloc_slice_fill_with(i * 20, |i| i as u32);
            arena.scope(|scope| {
                scope.alloc_slice_fill_with(i * 200, |i| i as u8);
                scope.scope(|inner| inner.alloc_buffer::<u8, Align<4096>>(10_000)[0]);
            });
        }
        let largest = arena.capacity();
        arena.reset();
        assert_eq!((arena.used(), arena.stats().current_live, arena.capacity()), (0, 0, largest));
    };
    // A reset puts the largest chunk first, so that a few rounds may ask for one more.
    (0..3).for_each(|_| job(&mut arena));
    audit.fail(Failure::From(0));
    (0..10).for_each(|_| job(&mut arena));
    assert_eq!(audit.requests(), 0);
    drop(arena);
    audit.expect_empty();
}

#[test]
fn after_a_reset_the_largest_chunk_is_next() {
    for sizes in [[100, 20_000, 5000], [5000, 100, 60_000], [60_000, 5000, 100]] {
        let audit = Audit::new();
        let mut arena = HotArena::builder().within(&audit).build();
        let sum: usize = sizes.iter().sum();
        for _ in 0..3 {
            let mut live = Live::default();
            for size in sizes {
                let block = arena.alloc_layout(layout(size, 8));
                // SAFETY: fresh, of this size; the books end before the reset.
                unsafe { live.add(block, layout(size, 8)) };
            }
            live.check();
            assert!(arena.used() >= sum);
            let requests = audit.requests();
            arena.reset();
            assert!(arena.remaining() >= *sizes.iter().max().unwrap());
            assert_eq!(audit.requests(), requests);
        }
        drop(arena);
        audit.expect_empty();
    }
}

#[test]
fn shrinking_gives_back_what_holds_nothing() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    let kept = arena.alloc_slice_fill_with(100, |i| i).as_ptr();
    arena.scope(|scope| {
        for _ in 0..10 {
            scope.alloc([0u8; 10_000]);
        }
    });
    assert!(audit.live() >= 3);
    arena.shrink();
    assert_eq!((audit.live(), arena.capacity() < FIRST), (1, true));
    // SAFETY: a block of the arena, which was neither reset nor dropped.
    assert!(unsafe { std::slice::from_raw_parts(kept, 100) }.iter().copied().eq(0..100));
    arena.alloc([1u8; 10_000]);
    assert_eq!(audit.live(), 2);
    arena.shrink();
    assert_eq!(audit.live(), 2);
    arena.reset();
    arena.shrink();
    assert_eq!((audit.live(), arena.capacity()), (0, 0));
    assert_eq!(*arena.alloc(5), 5);
    drop(arena);
    audit.expect_empty();
}

#[test]
fn isolated_scopes_give_their_chunks_back_at_once() {
    for capacity in [0, 100_000] {
        let audit = Audit::new();
        let mut arena = HotArena::builder().capacity(capacity).isolate_scopes(true).within(&audit).build();
        let own = arena.alloc([1u8; 100]).as_ptr();
        let before = audit.live();
        for _ in 0..3 {
            arena.scope(|outer| {
                assert_eq!(audit.live(), before, "not before it allocates");
                let text = outer.alloc_str("outer");
                assert_eq!(audit.live(), before + 1, "also when the arena has room");
                outer.scope(|inner| {
                    inner.alloc([2u8; 100]);
                    inner.alloc([2u8; 10]);
                    assert_eq!(audit.live(), before + 3, "every block has a chunk");
                });
                assert_eq!(audit.live(), before + 1);
                outer.alloc([3u8; 100]);
                assert_eq!((audit.live(), &*text), (before + 2, "outer"));
            });
            assert_eq!(audit.live(), before);
            // SAFETY: of the arena itself, which was neither reset nor dropped.
            assert_eq!(unsafe { own.read() }, 1);
        }
        arena.alloc([4u8; 20_000]);
        arena.reset();
        assert_eq!(audit.live(), 0, "a reset ends all that there is");
        drop(arena);
        audit.expect_empty();
    }
}

/// Over every small piece of memory, wherever it starts: blocks lie in it, and nothing outside it is written.
#[test]
fn callers_memory_of_any_size_and_start_is_all_that_is_used() {
    fn with<A: KnownAlign>() {
        const AROUND: usize = 64;
        for size in 0..200 {
            for start in (0..16).chain([31, 63]) {
                let mut memory = [MaybeUninit::new(0xeeu8); 64 + 200 + AROUND];
                let base = memory.as_ptr().addr();
                let mut arena = HotArena::builder().align::<A>().over(&mut memory[start..start + size]);
                let capacity = arena.capacity();
                // A header of four words, and what is lost to alignment at both ends.
                assert!(capacity + 32 + 15 + 2 * A::BYTES > size, "{capacity} of {size} at {start}");
                for _ in 0..2 {
                    let mut live = Live::default();
                    let mut given = 0;
                    while let Ok(block) = MemoryRegion::alloc(&arena, layout(3, 1)) {
                        let offset = block.addr().get() - base;
                        assert!(offset >= start && offset + 3 <= start + size);
                        // SAFETY: fresh, of this size; the books end before the reset.
                        unsafe { live.add(block, layout(3, 1)) };
                        given += 1;
                    }
                    live.check();
                    assert_eq!(given, capacity / 3usize.next_multiple_of(A::BYTES));
                    arena.scope(|scope| assert!(scope.try_alloc([0u64; 30]).is_err()));
                    arena.shrink();
                    arena.reset();
                    arena.shrink();
                    assert_eq!((arena.capacity(), arena.used()), (capacity, 0));
                }
                drop(arena);
                let untouched = |part: &[MaybeUninit<u8>]| {
                    // SAFETY: all of it was written where it was made.
                    part.iter().all(|byte| unsafe { byte.assume_init() } == 0xee)
                };
                assert!(untouched(&memory[..start]) && untouched(&memory[start + size..]), "{size} bytes at {start}");
            }
        }
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<32>>();
}

#[test]
fn callers_memory_is_refused_and_counted_when_it_is_full_whatever_else_was_asked_for() {
    let all: [fn(HotArenaBuilder) -> HotArenaBuilder; 5] = [
        |builder| builder,
        |builder| builder.capacity(1 << 40),
        |builder| builder.fixed(),
        |builder| builder.limit(1),
        |builder| builder.isolate_scopes(true),
    ];
    for told in all {
        let mut memory = [MaybeUninit::uninit(); 1024];
        let range = memory.as_ptr_range();
        let mut arena = told(HotArena::builder()).over(&mut memory);
        for _ in 0..3 {
            arena.scope(|scope| {
                let Ok(block) = scope.try_alloc([1u8; 500]) else { panic!("there is room") };
                assert!(range.contains(&block.as_ptr().cast()));
                assert!(scope.try_alloc([1u8; 500]).is_err());
                scope.scope(|inner| assert!(inner.try_alloc([2u8; 100]).is_ok()));
            });
        }
        let stats = arena.stats();
        assert_eq!((stats.failed_allocations, stats.allocation_count, stats.current_live), (3, 6, 0));
        assert_eq!(arena.region().stats(), AllocStats::default());
    }
}

#[test]
fn a_backing_that_aligns_as_asked_and_no_better_will_do() {
    fn with<A: KnownAlign>() {
        let audit = Audit::around(Barely::default());
        for first in [1, 64, 4096, 1 << 16] {
            let mut arena = HotArena::builder().align::<A>().within(&audit).build();
            let mut live = Live::default();
            // The first request may need more for its alignment than for its size.
            for align in [first, 1, 2, 16, 128, 4096, 1 << 16, 8] {
                for size in [1, 33, 5000] {
                    let block = arena.alloc_layout(layout(size, align));
                    assert!(block.addr().get().is_multiple_of(A::BYTES));
                    // SAFETY: fresh, of this size; the books end before the reset.
                    unsafe { live.add(block, layout(size, align)) };
                }
            }
            live.check();
            arena.reset();
            arena.scope(|scope| assert_eq!(address(scope.alloc_buffer::<u8, Align<4096>>(100)) % 4096, 0));
        }
        audit.expect_empty();
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<64>>();
    with::<Align<4096>>();
}

/// A job over several chunks and scopes; what it could not get it does without.
fn job<R: MemoryRegion>(arena: &mut HotArena<Align<8>, R>) -> AllocResult<()> {
    fn part<R: MemoryRegion>(region: &R, live: &mut Live, sizes: &[usize]) -> AllocResult<()> {
        let mut result = Ok(());
        for &size in sizes {
            match region.alloc(layout(size, 16)) {
                // SAFETY: fresh, of this size; the books are checked before the scope ends or the arena is reset.
                Ok(block) => unsafe { live.add(block, layout(size, 16)) },
                Err(error) => result = Err(error),
            }
        }
        live.check();
        result
    }
    let mut live = Live::default();
    let before = part(&*arena, &mut live, &[100, 5000, 100]);
    let inside = arena.scope(|outer| {
        let mut live = live.clone();
        let before = part(&*outer, &mut live, &[3000, 10_000]);
        let inner = outer.scope(|inner| part(&*inner, &mut live.clone(), &[50_000, 10, 1000]));
        before.and(inner).and(part(&*outer, &mut live, &[2000, 30_000]))
    });
    before.and(inside).and(part(&*arena, &mut live, &[7000, 1]))
}

#[test]
fn a_backing_that_fails_at_any_request_costs_that_request_and_no_more() {
    for isolate in [false, true] {
        for (n, forever) in (0..20).flat_map(|n| [(n, false), (n, true)]) {
            let audit = Audit::new();
            let mut arena = HotArena::builder().isolate_scopes(isolate).within(&audit).build();
            audit.fail(if forever { Failure::From(n) } else { Failure::Nth(n) });
            let result = job(&mut arena);
            let (stats, backing) = (arena.stats(), audit.stats());
            assert_eq!(stats.total_allocated - stats.total_deallocated, stats.current_live);
            match result {
                Ok(()) => assert_eq!(stats.failed_allocations, 0),
                Err(AllocError::OutOfMemory { requested, .. }) => {
                    assert!(requested > 0 && stats.failed_allocations > 0)
                }
                Err(other) => panic!("{other}"),
            }
            if !forever {
                // The regular size was refused; the least that will do was given. Only where those are the same is a request lost.
                assert!(
                    stats.failed_allocations <= 1,
                    "one failure of the backing, {} of the arena",
                    stats.failed_allocations
                );
            }
            assert!(backing.failed_allocations > 0 || requests_of_the_job(isolate) <= n);
            // As soon as the backing gives again, so does the arena.
            audit.fail(Failure::Never);
            arena.reset();
            job(&mut arena).unwrap();
            drop(arena);
            audit.expect_empty();
        }
    }
}

#[test]
fn a_backing_that_refuses_the_regular_size_is_asked_for_the_least_that_will_do() {
    let audit = Audit::new();
    let arena = HotArena::builder().within(&audit).build();
    for (n, size) in [100, 5000, 20].into_iter().enumerate() {
        audit.fail(Failure::Nth(0));
        let before = audit.stats().current_live;
        let _ = arena.alloc_layout(layout(size, 64));
        assert_eq!((audit.requests(), audit.live()), (2, n + 1));
        assert!(audit.stats().current_live - before < size + 200);
        use_up(&arena);
    }
    assert_eq!(arena.stats().failed_allocations, 0, "it got what it was asked for");
}

/// How many requests the job makes when none fails.
fn requests_of_the_job(isolate: bool) -> usize {
    let audit = Audit::new();
    let mut arena = HotArena::builder().isolate_scopes(isolate).within(&audit).build();
    job(&mut arena).unwrap();
    audit.requests()
}

#[test]
fn capacities_that_no_memory_has_are_errors() {
    for capacity in
        [usize::MAX, usize::MAX - 64, isize::MAX as usize + 1, isize::MAX as usize, isize::MAX as usize - 31]
    {
        assert_eq!(HotArena::try_with_capacity(capacity).err(), Some(AllocError::Overflow), "{capacity}");
        let built = HotArena::builder().align::<Align<4096>>().capacity(capacity).fixed().try_build();
        assert_eq!(built.err(), Some(AllocError::Overflow));
        let overflow = AllocError::Overflow.to_string();
        assert_eq!(panic_text(|| HotArena::with_capacity(capacity).used()), overflow);
        assert_eq!(panic_text(|| with_arena(capacity, |scope| scope.used())), overflow);
    }
    let refused = AllocError::OutOfMemory { requested: 1 << 62, available: 0 };
    assert_eq!(HotArena::try_with_capacity(1 << 62).err(), Some(refused.clone()));
    assert_eq!(panic_text(|| HotArena::builder().capacity(1 << 62).build().used()), refused.to_string());
    assert_eq!(HotArena::try_with_capacity(0).unwrap().capacity(), 0);
}

#[test]
fn a_minimum_alignment_is_that_of_every_block() {
    fn with<A: KnownAlign>() {
        let mut arena = HotArena::builder().align::<A>().build();
        for size in 1..100 {
            let used = arena.used();
            let block = arena.alloc_layout(layout(size, 1));
            assert!(block.addr().get().is_multiple_of(A::BYTES));
            assert_eq!(arena.used() - used, size.next_multiple_of(A::BYTES));
        }
        assert_eq!(arena.padding(), arena.used() - 4950);
        arena.scope(|scope| assert!(address(scope.alloc(1u8)).is_multiple_of(A::BYTES)));
    }
    with::<Align<1>>();
    with::<Align<2>>();
    with::<Align<8>>();
    with::<Align<64>>();
    with::<Align<4096>>();
    with::<Align<65536>>();
}

#[test]
fn a_moved_arena_keeps_its_blocks_and_finds_its_backing() {
    let mut arena = HotArena::builder().within(Audit::new()).build();
    let mut live = Live::default();
    for size in [100, 3000, 10_000, 40, 50_000] {
        let block = arena.alloc_layout(layout(size, 8));
        // SAFETY: fresh, of this size; the arena is not reset before the books end.
        unsafe { live.add(block, layout(size, 8)) };
        // Elsewhere, with the region that it holds.
        let there = Box::new(arena);
        live.check();
        let there = vec![there].pop().unwrap();
        arena = *there;
        live.check();
    }
    assert!(arena.region().live() >= 3);
    arena.scope(|scope| scope.alloc([0u8; 200_000])[0]);
    live.check();
}

/// What is in an arena goes with it.
struct Sent {
    arena: HotArena,
    value: NonNull<Vec<String>>,
    counted: NonNull<Tracked>,
}

// SAFETY: the arena may be sent, and the pointers are to values in it that may be sent too and that nobody else has. The
// `Tracked` is only read as plain memory.
unsafe impl Send for Sent {}

#[test]
fn an_arena_goes_to_another_thread_with_what_is_in_it() {
    let before = tracked();
    let arena = HotArena::new();
    let value = NonNull::from(arena.alloc(vec![String::from("one"), String::from("two")]));
    let counted = NonNull::from(arena.alloc_box(Tracked::new(5)).leak());
    let sent = Sent { arena, value, counted };
    let mut back = thread::spawn(move || {
        let mut sent = { sent };
        // SAFETY: live in the arena that came along, and nobody else has it.
        unsafe { sent.value.as_mut() }.push("three".to_owned());
        sent.arena.scope(|scope| scope.alloc([0u8; 100_000])[0]);
        sent
    })
    .join()
    .unwrap();
    // SAFETY: as above; dropped once, here.
    unsafe {
        assert_eq!(back.value.as_ref().join(" "), "one two three");
        assert_eq!(back.counted.as_ref().value(), 5);
        back.value.drop_in_place();
        back.counted.drop_in_place();
    }
    assert_eq!(tracked(), before);
    back.arena.reset();
    // A box is lent to another thread, which drops its value.
    let boxed = back.arena.alloc_box(vec![String::from("boxed")]);
    let text = thread::scope(|threads| threads.spawn(move || boxed.into_inner().concat()).join().unwrap());
    assert_eq!(text, "boxed");
    let boxed = back.arena.alloc_box(String::from("dropped there"));
    thread::scope(|threads| _ = threads.spawn(move || drop(boxed)));
}

#[test]
fn a_builder_makes_as_many_arenas_as_wanted() {
    let audit = Audit::new();
    let builder = HotArena::builder().align::<Align<32>>().capacity(1000).limit(100_000).within(&audit);
    let (one, two) = (builder.build(), builder.build());
    assert_eq!((audit.live(), one.alloc([1u8; 500]), two.alloc([2u8; 500])), (2, &mut [1; 500], &mut [2; 500]));
    assert!(!format!("{builder:?}").is_empty());
}

#[test]
fn an_arena_of_its_own_grows_and_goes() {
    let sum = with_arena(100, |scope| {
        let capacity = scope.capacity();
        assert!(capacity >= 100);
        let numbers = scope.alloc_slice_fill_with(10_000, |i| i as u64);
        assert!(scope.capacity() > capacity);
        scope.scope(|inner| inner.alloc_slice_copy(numbers).iter().sum::<u64>())
    });
    assert_eq!(sum, 49_995_000);
    assert_eq!(with_arena(0, |scope| (scope.capacity(), *scope.alloc(5))), (0, 5));
    let result = catch_unwind(AssertUnwindSafe(|| with_arena(10, |scope| assert_eq!(*scope.alloc(1), 2))));
    assert!(result.is_err());
}

#[test]
fn huge_pages_are_whole_and_aligned() {
    let mut arena = HotArena::builder().huge_pages().build();
    assert_eq!((arena.region().stats(), arena.region().kind()), (AllocStats::default(), RegionKind::Other));
    let first = address(arena.alloc(1u8));
    assert!(first % HugePages::SIZE <= 64, "a chunk starts with its page");
    assert_eq!(arena.region().stats().current_live, HugePages::SIZE);
    let large = arena.alloc_buffer::<u8, Align<64>>(3 * HugePages::SIZE);
    large[0] = 1;
    assert!(large.iter().skip(1).all(|byte| *byte == 0));
    let held = arena.region().stats();
    assert_eq!((held.allocation_count, held.current_live % HugePages::SIZE), (2, 0));
    assert!(arena.capacity() <= held.current_live && arena.capacity() + 2 * 4096 > held.current_live);
    arena.reset();
    arena.shrink();
    assert_eq!(arena.region().stats().current_live, 0);
    // What is refused is counted.
    assert!(MemoryRegion::alloc(arena.region(), layout(1 << 62, 8)).is_err());
    assert_eq!(arena.region().stats().failed_allocations, 1);
    let nothing = MemoryRegion::alloc(arena.region(), layout(0, 4096)).unwrap();
    assert_eq!(nothing.addr().get() % 4096, 0);
    // Blocks of its own, more strictly aligned than a page.
    let strict = layout(100, 4 * HugePages::SIZE);
    let block = arena.region().alloc_zeroed(strict).unwrap();
    assert_eq!(block.addr().get() % strict.align(), 0);
    // SAFETY: a live block of 100 bytes; then given back with its layout.
    unsafe {
        assert_eq!(block.add(99).read(), 0);
        block.write_bytes(1, 100);
        arena.region().dealloc(block, strict);
    }
}

/// Whether the pages become huge is for the system to say; that it was asked is shown in its list of mappings.
#[test]
fn huge_pages_are_asked_for() {
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !matches!(&enabled, Ok(which) if !which.contains("[never]")) {
        return skipped("this system has no transparent huge pages, so there is nothing to ask for");
    }
    let arena = HotArena::builder().huge_pages().capacity(1 << 20).build();
    let at = address(arena.alloc(1u8));
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else {
        return skipped("no /proc/self/smaps to see mappings in");
    };
    let mut inside = false;
    for line in mappings.lines() {
        let ends = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |hex| usize::from_str_radix(hex, 16);
        if let Some((Ok(start), Ok(end))) = ends.map(|(start, end)| (number(start), number(end))) {
            inside = (start..end).contains(&at);
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && inside
        {
            assert!(flags.split(' ').any(|flag| flag == "hg"), "not advised: {flags}");
            return;
        }
    }
    skipped("/proc/self/smaps does not show what was advised for a mapping");
}

/// The backing may be anything that gives memory: another arena, or one behind `dyn`.
#[test]
fn an_arena_lives_in_another() {
    let audit = Audit::new();
    let mut outer = HotArena::builder().within(&audit).build();
    for _ in 0..3 {
        outer.scope(|scope| {
            let region: &dyn MemoryRegion = scope;
            let mut inner = HotArena::builder().within(region).build();
            let sum = inner.scope(|scope| scope.alloc_slice_fill_with(5000, |i| i as u64).iter().sum::<u64>());
            assert_eq!((sum, *inner.alloc(7)), (12_497_500, 7));
        });
        let stats = outer.stats();
        assert_eq!((stats.current_live, stats.allocation_count), (0, stats.deallocation_count));
    }
    let _: HotArena<Align<8>, System> = HotArena::builder().within(&audit).within(System).build();
    drop(outer);
    audit.expect_empty();
}
