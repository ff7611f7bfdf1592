//! Scopes that are opened and closed by hand, as compiled code does: nested, skipped, over several chunks, isolated.

use std::ptr::NonNull;

use bhc_rts_alloc::{Align, HotArena, KnownAlign, Mark, MemoryRegion};

use super::region::Audit;
use super::vocabulary::{Live, expect_stats, layout};

/// # Safety
/// As for [`HotArena::release`]: the mark is the arena's, neither it nor one before it was released, no scope is open, and
/// what was allocated since is not used any more.
unsafe fn release<A: KnownAlign, R: MemoryRegion>(arena: &HotArena<A, R>, mark: Mark) {
    // SAFETY: the caller's promise.
    unsafe { arena.release(mark) };
}

/// A block in the books.
fn give<A: KnownAlign, R: MemoryRegion>(arena: &HotArena<A, R>, live: &mut Live, size: usize) -> NonNull<u8> {
    let block = arena.alloc_layout(layout(size, 8));
    // SAFETY: fresh, of this size; the tests go back to books without it when they release the mark before it.
    unsafe { live.add(block, layout(size, 8)) };
    block
}

/// With memory that is small, large, and large with chunks of their own for each mark.
fn each_kind(test: impl Fn(&HotArena<Align<8>, &Audit>)) {
    for (capacity, isolate) in [(0, false), (1 << 20, false), (0, true), (1 << 20, true)] {
        let audit = Audit::new();
        let arena = HotArena::builder().capacity(capacity).isolate_scopes(isolate).within(&audit).build();
        test(&arena);
        drop(arena);
        audit.expect_empty();
    }
}

#[test]
fn nested_marks_free_what_came_after_them() {
    each_kind(|arena| {
        let mut live = Live::default();
        give(arena, &mut live, 100);
        let outer = (arena.mark(), live.clone(), arena.used());
        give(arena, &mut live, 3000);
        let inner = (arena.mark(), live.clone(), arena.used());
        give(arena, &mut live, 30_000);
        live.check();
        // SAFETY: the last mark; the books without what came after it.
        unsafe { release(arena, inner.0) };
        live = inner.1;
        assert_eq!(arena.used(), inner.2);
        expect_stats(arena, (3, 33_100), (1, 30_000), 33_100);
        give(arena, &mut live, 50);
        live.check();
        // SAFETY: as above.
        unsafe { release(arena, outer.0) };
        live = outer.1;
        assert_eq!(arena.used(), outer.2);
        give(arena, &mut live, 60);
        live.check();
        expect_stats(arena, (5, 33_210), (3, 33_050), 33_100);
    });
}

#[test]
fn marks_that_an_early_return_skips_are_released_with_the_one_before() {
    each_kind(|arena| {
        let mut live = Live::default();
        give(arena, &mut live, 40);
        let used = arena.used();
        for depth in [1, 2, 3, 10] {
            let outer = (arena.mark(), live.clone());
            let before = arena.stats();
            let mut bytes = 0;
            // The inner ones are never released.
            for size in (1..=depth).map(|i| i * 1000) {
                let skipped = arena.mark();
                give(arena, &mut live, size);
                bytes += size;
                drop(skipped);
            }
            live.check();
            // SAFETY: this arena's, and everything after it is out of the books.
            unsafe { release(arena, outer.0) };
            live = outer.1;
            live.check();
            let after = arena.stats();
            assert_eq!(after.allocation_count - before.allocation_count, depth);
            assert_eq!(after.deallocation_count - before.deallocation_count, depth);
            assert_eq!(after.total_allocated - before.total_allocated, bytes);
            assert_eq!((after.current_live, arena.used()), (40, used));
        }
        assert_eq!(arena.stats().peak_usage, 40 + 55_000);
    });
}

#[test]
fn a_mark_before_the_first_chunk_comes_back_to_an_empty_arena() {
    each_kind(|arena| {
        for size in [10, 10_000, 100_000] {
            let mark = arena.mark();
            let mut live = Live::default();
            (0..5).for_each(|_| _ = give(arena, &mut live, size));
            live.check();
            // SAFETY: the only mark; the books are gone with the round.
            unsafe { release(arena, mark) };
            assert_eq!((arena.used(), arena.stats().current_live), (0, 0));
        }
    });
}

#[test]
fn marks_go_over_chunks_and_back_without_asking_again() {
    let audit = Audit::new();
    let arena = HotArena::builder().within(&audit).build();
    let round = || {
        let outer = arena.mark();
        let mut live = Live::default();
        (0..30).for_each(|_| _ = give(&arena, &mut live, 1000));
        let inner = (arena.mark(), live.clone());
        (0..100).for_each(|_| _ = give(&arena, &mut live, 1000));
        live.check();
        // SAFETY: the last mark, and the books without what came after it.
        unsafe { release(&arena, inner.0) };
        live = inner.1;
        (0..100).for_each(|_| _ = give(&arena, &mut live, 1000));
        live.check();
        // SAFETY: the only mark left; the books go.
        unsafe { release(&arena, outer) };
    };
    round();
    assert!(audit.live() >= 3, "{} chunks", audit.live());
    let requests = audit.requests();
    (0..3).for_each(|_| round());
    assert_eq!(audit.requests(), requests);
    expect_stats(&arena, (4 * 230, 4 * 230_000), (4 * 230, 4 * 230_000), 130_000);
    drop(arena);
    audit.expect_empty();
}

#[test]
fn chunks_of_isolated_marks_go_back_at_once() {
    let audit = Audit::new();
    let arena = HotArena::builder().isolate_scopes(true).within(&audit).build();
    arena.alloc(1u64);
    let mut marks = Vec::new();
    for depth in 1..=5 {
        assert_eq!(audit.live(), depth);
        marks.push(arena.mark());
        arena.alloc(1u64);
    }
    let fourth = marks.remove(3);
    // SAFETY: nothing that came after the mark is used. The fifth is released with it.
    unsafe { release(&arena, fourth) };
    assert_eq!(audit.live(), 4);
    arena.alloc(1u64);
    assert_eq!(audit.live(), 5, "every block has a chunk");
    marks.truncate(3);
    for (depth, mark) in marks.into_iter().enumerate().rev() {
        // SAFETY: the last mark each time.
        unsafe { release(&arena, mark) };
        assert_eq!(audit.live(), depth + 1);
    }
    expect_stats(&arena, (7, 56), (6, 48), 48);
    drop(arena);
    audit.expect_empty();
}

#[test]
fn blocks_from_before_a_mark_are_left_alone_until_it_is_released() {
    let arena = HotArena::new();
    let old = layout(64, 8);
    for new_size in [8, 64, 100, 5000] {
        let block = arena.alloc_layout(old);
        // SAFETY: a fresh block of 64 bytes.
        unsafe { block.write_bytes(7, 64) };
        let (used, live) = (arena.used(), arena.stats().current_live);
        let mark = arena.mark();
        // SAFETY: live blocks with their layouts. The first is the arena's again when the mark is released: what is freed
        // after a mark and is from before it stays until then.
        unsafe {
            arena.dealloc(block, old);
            assert_eq!((arena.used(), arena.stats().current_live), (used, live));
            let moved = arena.realloc(block, old, new_size).unwrap();
            assert!(moved.addr().get() >= block.addr().get() + 64 || moved < block);
            assert_eq!((moved.read(), moved.add(new_size.min(64) - 1).read()), (7, 7));
            arena.release(mark);
        }
        assert_eq!((arena.used(), arena.stats().current_live), (used, live));
        // SAFETY: the last block, of the level that it was allocated on.
        unsafe { arena.dealloc(block, old) };
        assert_eq!(arena.used(), used - 64, "now it is reclaimed");
    }
    assert_eq!(arena.stats().current_live, 0);
}

#[test]
fn scopes_and_marks_nest_in_each_other() {
    let mut arena = HotArena::<Align<64>>::default();
    arena.alloc([1u8; 10]);
    let outer = arena.mark();
    let kept = arena.alloc_layout(layout(100, 64));
    // SAFETY: fresh, of this size.
    unsafe { kept.write_bytes(2, 100) };
    for _ in 0..3 {
        arena.scope(|scope| {
            scope.alloc([3u8; 10_000]);
            scope.scope(|inner| inner.alloc([4u8; 10_000])[0]);
        });
        let inner = arena.mark();
        arena.alloc([5u8; 20_000]);
        arena.scope(|scope| scope.alloc([6u8; 20_000])[0]);
        // SAFETY: the last mark; nothing that came after it is used.
        unsafe { release(&arena, inner) };
        assert_eq!(arena.used(), 64 + 128);
    }
    // SAFETY: a live block, written above.
    assert!(unsafe { std::slice::from_raw_parts(kept.as_ptr(), 100) }.iter().all(|byte| *byte == 2));
    // SAFETY: the last mark; the block is not used again.
    unsafe { release(&arena, outer) };
    expect_stats(&arena, (14, 180_110), (13, 180_100), 40_110);
}

#[test]
fn a_scope_that_panics_after_a_mark_comes_back_to_it() {
    for isolate in [false, true] {
        let audit = Audit::new();
        let mut arena = HotArena::builder().isolate_scopes(isolate).within(&audit).build();
        let mut live = Live::default();
        give(&arena, &mut live, 100);
        let outer = (arena.mark(), live.clone());
        for first in [true, false] {
            if !first {
                give(&arena, &mut live, 100);
            }
            let used = arena.used();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                arena.scope(|scope| {
                    scope.alloc([0u8; 10_000]);
                    panic!();
                })
            }));
            assert!(result.is_err());
            assert_eq!(arena.used(), used);
            // What comes next is still the mark's, and not on a chunk that is gone.
            give(&arena, &mut live, 100);
            live.check();
        }
        // SAFETY: the only mark, and the books without what came after it.
        unsafe { release(&arena, outer.0) };
        outer.1.check();
        assert_eq!(arena.stats().current_live, 100);
        assert!(!isolate || audit.live() == 1);
    }
}

#[test]
fn a_mark_survives_a_move_of_the_arena_and_shrinking() {
    for isolate in [false, true] {
        let audit = Audit::new();
        let arena = HotArena::builder().isolate_scopes(isolate).within(&audit).build();
        arena.alloc([0u8; 5000]);
        let used = arena.used();
        let outer = arena.mark();
        let mut moved = Box::new(arena);
        let arena = &mut *moved;
        arena.shrink();
        arena.alloc([1u8; 10_000]);
        arena.shrink();
        arena.alloc([1u8; 10]);
        // SAFETY: this arena's, moved; nothing that came after it is used.
        unsafe { release(arena, outer) };
        assert_eq!(arena.used(), used);
        arena.shrink();
        assert_eq!(audit.live(), 1);
    }
    // On an arena that holds a chunk and nothing in it.
    let audit = Audit::new();
    let mut arena = HotArena::builder().capacity(1000).within(&audit).build();
    let outer = arena.mark();
    arena.shrink();
    assert_eq!(audit.live(), 1, "the mark comes back to it");
    arena.alloc([1u8; 100]);
    // SAFETY: the only mark; nothing that came after it is used.
    unsafe { release(&arena, outer) };
    assert_eq!(*arena.alloc(5), 5);
}
