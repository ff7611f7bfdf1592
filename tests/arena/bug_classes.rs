//! The bugs that other arenas had, each with a test that names it.
//!
//! Of the peers, and of the standard library's relatives:
//!
//! | bug | what happened | test |
//! |---|---|---|
//! | RUSTSEC-2020-0006 (bumpalo #69) | growing copied as many bytes as the new block has | `growing_copies_the_old_bytes_and_no_more` |
//! | RUSTSEC-2022-0078 | an iterator lost the arena's lifetime | `ui-tests/fail/scope_buffer_iterator_outlives_it.rs`, `arena_collection_outlives_it.rs` |
//! | GHSA-j7wg-xg3h-2pr6, bump-scope #91 | a value without size, on a fresh arena, wrote what all threads share | `values_without_size_on_fresh_arenas_of_many_threads_share_nothing` |
//! | GHSA-xhx6-q96x-pf9c | a block of an outer scope was reclaimed by an inner one | `an_outer_block_as_the_first_act_of_an_inner_scope_is_not_reclaimed`, `scopes` |
//! | bump-scope 2.3.3 | `Send` without asking it of the backing | `ui-tests/fail/arena_of_rc_to_another_thread.rs` |
//! | bump-scope `47f86b7` | a scope was taken for its arena, and reset | `ui-tests/fail/scope_taken_for_its_arena.rs`, `scope_reset.rs` |
//! | bump-scope `dc29841` | a second handle and a new chunk: the same memory twice | `no_depth_and_no_chunk_gives_memory_twice` |
//! | bump-scope #93 | freeing an odd size left the cursor misaligned | `freeing_an_odd_size_leaves_the_cursor_aligned` |
//! | bump-scope #127 | endless loop where the kept next chunk is too small | `a_kept_chunk_that_is_too_small_is_passed_over` |
//! | bump-scope 0.17.3 | the size of a chunk was wrong for a strict alignment | `a_first_request_of_any_alignment_gets_a_chunk_that_holds_it` |
//! | bumpalo #205 | a capacity above `isize::MAX` | `a_capacity_beyond_the_address_space_is_an_error`, `builder` |
//! | bumpalo 3.10, #232, #321, #335 | resizing with another alignment; overlapping copies; tails not zeroed | `resizing_keeps_contents_and_neighbours_for_every_pair_of_layouts` |
//! | bumpalo 3.20.3 | an initialiser that panics loses its room | `an_initialiser_that_panics_loses_no_room`, `values` |
//! | rust #67001, #67003 | an iterator that allocates from the arena that collects it | `values::code_that_runs_meanwhile_allocates_from_the_same_arena` |
//! | typed-arena #26, #52, #55, rust #60847 | `&mut` to the whole chunk ends earlier references | `earlier_references_stay_good` |
//! | rust #101899 | lengths near `usize::MAX` taken for layouts | `lengths` |
//! | Zig #15985 | a reset kept what it had freed; memory smaller than a header | `a_reset_after_many_chunks_keeps_what_it_may_use`, `builder` |
//! | poof #11 | leaving a scope over several chunks leaked them | `scopes::a_scope_over_many_chunks_gives_all_of_them_back` |
//!
//! Of the original implementation, by the numbers of the list in `research/arena.md`:
//!
//! | | what happened | test |
//! |---|---|---|
//! | 1 | the arena was used beside its open scope | `ui-tests/fail/arena_used_inside_its_scope.rs`, `scopes::an_arena_that_is_reached_while_a_scope_is_open_refuses` |
//! | 2 | scopes ended in any order | `ui-tests/fail/scope_beside_another.rs`; `upstream_02_marks_that_are_left_in_one_step_overlap_nothing` |
//! | 3, 16 | zeros as values of any `Copy` type, or any type at all | `ui-tests/fail/arena_zeroed_references.rs` |
//! | 4 | memory went back with another alignment | `upstream_04_chunks_go_back_with_the_layout_they_came_with` |
//! | 5 | no capacity was a request of size zero | `upstream_05_no_capacity_is_no_request` |
//! | 6 | `aligned + size` wrapped | `upstream_06_sums_that_wrap_are_refusals` |
//! | 7 | addresses made into pointers | `.ci/run`, step `provenance` |
//! | 8 | uninitialised memory as `&mut [T]`; no `Result`; no growth; an error without numbers | `ui-tests/fail/arena_uninitialised_as_values.rs`, `lengths`, `builder` |
//! | 9 | a scope's end was not counted, a reset forgot the lifetime totals, padding was nowhere | `upstream_09_ten_scopes_of_100_bytes_are_counted` |
//! | 10 | 67 instructions an allocation | `tests/codegen.rs`, the bench's `arena/u64` |
//! | 11 | no test looked at an alignment; examples did not compile | `contracts`; all examples are run |
//! | 12 | one live allocation at a time | `accepted::many_exclusive_references_live_at_once` |
//! | 13 | a double buffer whose first half cannot be held | `upstream_13_two_arenas_take_turns` |
//! | 14 | a panic between begin and end made every later frame panic | `upstream_14_a_panic_spoils_no_later_scope` |
//! | 15 | bytes of a frame without padding | `upstream_15_padding_is_part_of_what_is_used` |
//! | 17 | initialisation was a race | `ui-tests/fail/arena_as_a_static.rs`, `threads` |
//! | 18 | an error allocated a `String` | `upstream_18_a_refusal_allocates_nothing` |
//! | 19 | needed `std` | `.ci/nostd` |
//! | 20 | documents that were not true | examples are run, and these tests |
//! | 21 | is about pinned memory | – |

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use allocator_api2::alloc::Allocator;
use bhc_rts_alloc::{Align, AllocError, AllocStats, HotArena, KnownAlign, MemoryRegion, Scope, os::fault};

use super::region::{Audit, FRESH};
use super::vocabulary::{Barely, Live, address, expect_stats, layout};

#[test]
fn growing_copies_the_old_bytes_and_no_more() {
    let audit = Audit::new();
    let arena = HotArena::builder().within(&audit).build();
    for (size, new_size) in [(64, 128), (64, 65), (8, 4000)] {
        let block = arena.alloc_layout(layout(size, 8));
        let canary = arena.alloc([0x77u8; 4096]);
        // SAFETY: a fresh block; then live with its layout, and replaced. All bytes of the chunk were written by the audit.
        let grown = unsafe {
            block.write_bytes(1, size);
            let grown = arena.realloc(block, layout(size, 8), new_size).unwrap();
            std::slice::from_raw_parts(grown.as_ptr(), new_size)
        };
        assert!(grown[..size].iter().all(|byte| *byte == 1));
        assert!(grown[size..].iter().all(|byte| *byte == FRESH), "bytes of a neighbour were copied");
        assert!(canary.iter().all(|byte| *byte == 0x77));
    }
}

#[test]
fn values_without_size_on_fresh_arenas_of_many_threads_share_nothing() {
    #[derive(Debug, PartialEq)]
    #[repr(align(64))]
    struct Nothing;
    const THREADS: usize = 8;
    let barrier = Barrier::new(THREADS);
    thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                for _ in 0..50 {
                    let mut arena = HotArena::new();
                    barrier.wait();
                    assert_eq!(arena.alloc(Nothing), &mut Nothing);
                    let empty = arena.alloc_layout(layout(0, 4096));
                    // SAFETY: from a request of no size; then 8 bytes.
                    unsafe {
                        arena.dealloc(empty, layout(0, 4096));
                        let block = arena.realloc(empty, layout(0, 4096), 8).unwrap();
                        arena.dealloc(block, layout(8, 4096));
                    }
                    arena.scope(|scope| assert_eq!(scope.alloc_slice_fill_with(3, |_| ()), [(); 3]));
                    arena.reset();
                    assert_eq!(arena.alloc(Nothing), &mut Nothing);
                    assert_eq!(arena.stats().allocation_count, 1);
                }
            });
        }
    });
}

#[test]
fn an_outer_block_as_the_first_act_of_an_inner_scope_is_not_reclaimed() {
    for new_size in [0, 10, 64, 100, 5000] {
        HotArena::new().scope(|outer| {
            let old = layout(64, 8);
            let block = outer.alloc_layout(old);
            // SAFETY: a fresh block.
            unsafe { block.write_bytes(5, 64) };
            outer.scope(|inner| {
                // SAFETY: a live block with its layout; to size zero it is freed. It is not used again as this block: what
                // is read below is the memory of the outer scope.
                let moved = unsafe { inner.realloc(block, old, new_size) }.unwrap();
                assert_ne!(moved, block);
                inner.alloc([6u8; 200]);
            });
            let after = outer.alloc([7u8; 200]);
            assert!(address(after) >= block.addr().get() + 64, "given a second time");
            // SAFETY: nobody has this memory but the outer scope, which filled it.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), 64) };
            assert!(bytes.iter().all(|byte| *byte == 5));
        });
    }
}

/// Blocks of all sizes and alignments at every depth, on old and new chunks, kept until their scope ends.
fn fill<A: KnownAlign>(scope: &mut Scope<'_, '_, A>, live: &mut Live, seed: usize, depth: usize) {
    let give = |scope: &Scope<'_, '_, A>, live: &mut Live, size: usize, align: usize| {
        let block = scope.alloc_layout(layout(size, align));
        // SAFETY: fresh, of this size; the caller goes back to books without it when the scope ends.
        unsafe { live.add(block, layout(size, align)) };
    };
    for i in 0..12 {
        let mixed = (seed * 31 + i * 17 + depth * 7) % 97;
        give(scope, live, 1 + mixed * mixed % 700, 1 << (mixed % 9));
        if i % 4 == 3 {
            give(scope, live, 3000 * (depth + 1) + mixed * 100, 1 << (mixed % 13));
            if depth < 4 {
                scope.scope(|inner| fill(inner, &mut live.clone(), seed + i, depth + 1));
                live.check();
            }
        }
    }
    live.check();
}

#[test]
fn no_depth_and_no_chunk_gives_memory_twice() {
    fn with<A: KnownAlign, R: MemoryRegion>(mut arena: HotArena<A, R>) {
        for seed in 0..3 {
            arena.scope(|scope| fill(scope, &mut Live::default(), seed, 0));
        }
        arena.reset();
        arena.scope(|scope| fill(scope, &mut Live::default(), 3, 0));
    }
    with(HotArena::new());
    with(HotArena::<Align<1>>::default());
    with(HotArena::<Align<64>>::default());
    with(HotArena::builder().within(&Barely::default()).build());
    with(HotArena::builder().isolate_scopes(true).build());
}

#[test]
fn freeing_an_odd_size_leaves_the_cursor_aligned() {
    fn on<A: KnownAlign>(region: &(impl MemoryRegion + ?Sized)) {
        for size in 1..70 {
            for align in [1, 2, 16, 64] {
                let odd = layout(size, align);
                let first = region.alloc(odd).unwrap();
                let second = region.alloc(odd).unwrap();
                // SAFETY: live blocks with their layouts; the last, then one that is the last again, then resized.
                unsafe {
                    region.dealloc(second, odd);
                    let first = region.realloc(first, odd, size + 1).unwrap();
                    let first = region.realloc(first, layout(size + 1, align), size).unwrap();
                    region.dealloc(first, odd);
                }
                let next = region.alloc(layout(A::BYTES, A::BYTES)).unwrap();
                assert!(next.addr().get().is_multiple_of(A::BYTES), "after {odd:?}");
                // SAFETY: a fresh block, as long as it is aligned.
                unsafe { next.write_bytes(1, A::BYTES) };
            }
        }
    }
    fn with<A: KnownAlign>() {
        let mut arena = HotArena::<A>::default();
        on::<A>(&arena);
        arena.scope(|outer| {
            outer.alloc(1u8);
            outer.scope(|inner| on::<A>(&*inner));
            on::<A>(&*outer);
        });
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<64>>();
}

#[test]
fn a_kept_chunk_that_is_too_small_is_passed_over() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    arena.alloc(1u64);
    for round in 0..4 {
        // Leaves chunks behind of which the first is too small for what comes.
        let huge = 1_000_000 << round;
        arena.scope(|scope| {
            scope.alloc([1u8; 6000]);
            let _ = scope.alloc_layout(layout(huge, 8));
        });
        let requests = audit.requests();
        arena.scope(|scope| {
            let mut live = Live::default();
            for size in [huge, 6000, 1000] {
                let block = scope.alloc_layout(layout(size, 8));
                // SAFETY: fresh, of this size; the books end with the scope.
                unsafe { live.add(block, layout(size, 8)) };
            }
            live.check();
            assert_eq!(scope.used(), 8 + huge + 7000);
        });
        assert_eq!(audit.requests(), requests, "round {round}: what was passed over serves what it can hold");
        // And none of them will do.
        arena.scope(|scope| _ = scope.alloc_layout(layout(8, 1 << (18 + round))));
    }
    arena.reset();
    let _ = arena.alloc_layout(layout(9_000_000, 8));
    drop(arena);
    audit.expect_empty();
}

#[test]
fn a_first_request_of_any_alignment_gets_a_chunk_that_holds_it() {
    fn with<A: KnownAlign>() {
        let backing = Barely::default();
        for log2 in 0..=20 {
            for size in [1, 15, 31, 32, 33, 63, 64, 65, 4000, 4064, 4065, 4096, 10_000] {
                let wanted = layout(size, 1 << log2);
                let mut arena = HotArena::builder().align::<A>().within(&backing).build();
                let block = arena.alloc_layout(wanted);
                // SAFETY: fresh, of this size; the books end here.
                unsafe { Live::default().add(block, wanted) };
                assert_eq!(backing.asked().len(), 1);
                // And as the first of a scope, after another, and as the capacity.
                arena.scope(|scope| assert!(scope.alloc_layout(wanted).addr().get().is_multiple_of(wanted.align())));
                assert!(arena.alloc_layout(wanted).addr().get().is_multiple_of(wanted.align()));
                let capacious = HotArena::builder().align::<A>().capacity(size).within(&backing).build();
                backing.asked();
                let block = capacious.alloc_layout(layout(size, A::BYTES));
                // SAFETY: as above.
                unsafe { Live::default().add(block, layout(size, A::BYTES)) };
                assert!(backing.asked().is_empty());
            }
        }
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<64>>();
    with::<Align<65536>>();
}

#[test]
fn a_capacity_beyond_the_address_space_is_an_error() {
    assert_eq!(HotArena::try_with_capacity(usize::MAX).err(), Some(AllocError::Overflow));
    assert_eq!(HotArena::try_with_capacity(isize::MAX as usize).err(), Some(AllocError::Overflow));
}

/// What the `Allocator` trait can ask for, and `realloc` cannot: another alignment.
#[test]
fn resizing_keeps_contents_and_neighbours_for_every_pair_of_layouts() {
    fn on(region: impl Allocator + Copy, last: bool) {
        let layouts: Vec<Layout> = [0, 1, 7, 8, 9, 63, 64, 100, 1000, 5000]
            .into_iter()
            .flat_map(|size| [1, 8, 16, 64, 4096].map(|align| layout(size, align)))
            .collect();
        for &old in &layouts {
            for &new in &layouts {
                for zeroed in [false, true] {
                    let mut live = Live::default();
                    let mut give = |layout: Layout| {
                        let block = region.allocate(layout).unwrap().cast::<u8>();
                        // SAFETY: fresh, of this size; the books end with this round.
                        unsafe { live.add(block, layout) };
                        block
                    };
                    let before = give(layout(24, 8));
                    let block = give(old);
                    let after = (!last).then(|| give(layout(24, 8)));
                    live.remove(block);
                    // SAFETY: live blocks with their layouts, each freed once; the books have no block that is gone.
                    unsafe {
                        block.write_bytes(0xab, old.size());
                        let resized = if new.size() < old.size() {
                            region.shrink(block, old, new)
                        } else if zeroed {
                            region.grow_zeroed(block, old, new)
                        } else {
                            region.grow(block, old, new)
                        };
                        let resized = resized.unwrap().cast::<u8>();
                        let kept = old.size().min(new.size());
                        let bytes = std::slice::from_raw_parts(resized.as_ptr(), kept);
                        assert!(bytes.iter().all(|byte| *byte == 0xab), "{old:?} to {new:?}");
                        if zeroed && new.size() > old.size() {
                            let tail = std::slice::from_raw_parts(resized.add(kept).as_ptr(), new.size() - kept);
                            assert!(tail.iter().all(|byte| *byte == 0), "{old:?} to {new:?}: the tail is not zero");
                        }
                        live.add(resized, new);
                        live.check();
                        region.deallocate(resized, new);
                        after.inspect(|after| region.deallocate(*after, layout(24, 8)));
                        region.deallocate(before, layout(24, 8));
                    }
                }
            }
        }
    }
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    for last in [true, false] {
        on(&arena, last);
        assert_eq!(arena.stats().current_live, 0);
        arena.scope(|outer| {
            outer.alloc(1u8);
            outer.scope(|inner| on(&*inner, last));
        });
        arena.reset();
    }
    let stats = arena.stats();
    assert_eq!((stats.current_live, stats.total_allocated), (0, stats.total_deallocated));
}

#[test]
fn an_initialiser_that_panics_loses_no_room() {
    let mut arena = HotArena::new();
    arena.alloc(1u8);
    let used = arena.used();
    let panics = |body: &mut dyn FnMut()| assert!(catch_unwind(AssertUnwindSafe(body)).is_err());
    for _ in 0..100 {
        panics(&mut || _ = arena.alloc_with(|| -> [u8; 100] { panic!() }));
        panics(&mut || _ = arena.alloc_slice_fill_with(100, |i| assert!(i < 50)));
        panics(&mut || _ = arena.alloc_slice_fill_with(100, |i| i / (50 - i.min(50))));
        panics(&mut || _ = arena.alloc_slice_from_iter((0..100).map(|i| i / (50 - i.min(50)))));
        assert_eq!(arena.used(), used);
    }
    let capacity = arena.capacity();
    arena.scope(|scope| {
        panics(&mut || _ = scope.alloc_with(|| -> [u8; 100] { panic!() }));
        assert_eq!((scope.used(), scope.capacity()), (used, capacity));
    });
}

#[test]
fn earlier_references_stay_good() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let mut all: Vec<&mut [u64]> = Vec::new();
        for round in 0..50 {
            all.push(outer.alloc_slice_fill_with(1 + round * 3, |i| (round + i) as u64));
            // Every one of them is written after the next was made, after a scope came and went, and after a new chunk.
            outer.scope(|inner| {
                let copy = inner.alloc_slice_copy(&*all[round / 2]);
                all[round][0] += copy[0];
                all[round][0] -= copy[0];
            });
            for (i, slice) in all.iter_mut().enumerate() {
                slice[0] += 1;
                assert_eq!(slice[0], (round + 1) as u64, "slice {i}");
            }
        }
        let (first, rest) = all.split_first_mut().unwrap();
        rest.iter_mut().for_each(|slice| std::mem::swap(&mut first[0], &mut slice[0]));
    });
    let first = arena.alloc_str("first");
    let second = arena.alloc_str("second");
    first.make_ascii_uppercase();
    second.make_ascii_uppercase();
    assert_eq!((&*first, &*second), ("FIRST", "SECOND"));
}

#[test]
fn a_reset_after_many_chunks_keeps_what_it_may_use() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    for round in 0..5 {
        let mut live = Live::default();
        for size in [10, 5000, 20_000, 100, 3000 << round, 100_000] {
            let block = arena.alloc_layout(layout(size, 16));
            // SAFETY: fresh, of this size; the books end before the reset.
            unsafe { live.add(block, layout(size, 16)) };
        }
        live.check();
        assert!(audit.live() >= if round == 0 { 3 } else { 1 });
        arena.reset();
        assert_eq!((arena.used(), arena.stats().current_live), (0, 0));
        if round % 2 == 1 {
            arena.shrink();
            assert_eq!(audit.live(), 0);
        }
    }
    drop(arena);
    audit.expect_empty();
}

#[test]
fn upstream_02_marks_that_are_left_in_one_step_overlap_nothing() {
    let arena = HotArena::new();
    let mut live = Live::default();
    let give = |live: &mut Live, size| {
        let block = arena.alloc_layout(layout(size, 8));
        // SAFETY: fresh, of this size; the books go back when the mark is released.
        unsafe { live.add(block, layout(size, 8)) };
    };
    give(&mut live, 100);
    let (first, before) = (arena.mark(), live.clone());
    give(&mut live, 200);
    drop(arena.mark()); // skipped
    give(&mut live, 5000);
    live.check();
    // SAFETY: this arena's mark; what came after it is out of the books.
    unsafe { arena.release(first) };
    live = before;
    for size in [300, 10, 5000] {
        give(&mut live, size);
    }
    live.check();
    expect_stats(&arena, (6, 10_610), (2, 5200), 5410);
}

#[test]
fn upstream_04_chunks_go_back_with_the_layout_they_came_with() {
    fn with<A: KnownAlign>(audit: &Audit) {
        let arena = HotArena::builder().align::<A>().capacity(1000).within(audit).build();
        let _ = arena.alloc_layout(layout(100, 4096));
        let _ = arena.alloc_layout(layout(100_000, 1 << 16));
        // The audit compares each layout.
        drop(arena);
        audit.expect_empty();
    }
    let audit = Audit::new();
    with::<Align<1>>(&audit);
    with::<Align<16>>(&audit);
    with::<Align<64>>(&audit);
    with::<Align<4096>>(&audit);
}

#[test]
fn upstream_05_no_capacity_is_no_request() {
    let audit = Audit::new();
    let arena = HotArena::builder().capacity(0).within(&audit).build();
    assert_eq!((audit.requests(), arena.capacity()), (0, 0));
    assert_eq!(*arena.alloc(5), 5);
    let fixed = HotArena::builder().capacity(0).fixed().within(&audit).build();
    assert!(fixed.try_alloc(1u8).is_err());
}

#[test]
fn upstream_06_sums_that_wrap_are_refusals() {
    let arena = HotArena::with_capacity(4096);
    arena.alloc(1u8);
    let before = arena.used();
    for log2 in 0..=62 {
        let align = 1usize << log2;
        for size in [1, 64, 4000, isize::MAX as usize / 2, isize::MAX as usize] {
            let Ok(layout) = Layout::from_size_align(size.min(isize::MAX as usize - (align - 1)), align) else {
                continue;
            };
            if layout.size() < 1 << 40 && align < 1 << 40 {
                continue; // could be met
            }
            assert!(MemoryRegion::alloc(&arena, layout).is_err(), "{layout:?}");
            assert_eq!(arena.used(), before);
        }
    }
}

#[test]
fn upstream_09_ten_scopes_of_100_bytes_are_counted() {
    let mut arena = HotArena::new();
    for n in 1..=10 {
        arena.scope(|scope| {
            scope.alloc([0u8; 100]);
            assert_eq!((scope.used(), scope.padding()), (104, 4));
        });
        expect_stats(&arena, (n, 100 * n), (n, 100 * n), 100);
        assert_eq!((arena.used(), arena.padding()), (0, 0));
    }
    arena.alloc([0u8; 30]);
    arena.reset();
    expect_stats(&arena, (11, 1030), (11, 1030), 100);
}

#[test]
fn upstream_13_two_arenas_take_turns() {
    let (mut this, mut other) = (HotArena::new(), HotArena::new());
    let mut total = 0;
    for frame in 0..20u64 {
        // What the frame before made is read while this one is being made.
        let before: &[u64] = other.alloc_slice_fill_with(100, |i| frame + i as u64);
        for chunk in before.chunks(10) {
            total += *this.alloc(chunk.iter().sum::<u64>());
        }
        std::mem::swap(&mut this, &mut other);
        this.reset();
    }
    assert_eq!(total, (0..20).map(|frame| 4950 + 100 * frame).sum::<u64>());
}

#[test]
fn upstream_14_a_panic_spoils_no_later_scope() {
    let mut arena = HotArena::new();
    for _ in 0..5 {
        let result = catch_unwind(AssertUnwindSafe(|| arena.scope(|scope| panic!("{}", scope.alloc(1)))));
        assert!(result.is_err());
        assert_eq!(arena.scope(|scope| *scope.alloc(2)), 2);
        // A handle that is forgotten is no matter either: its scope ends with its closure.
        arena.scope(|scope| std::mem::forget(scope.alloc_box(String::new())));
        assert_eq!(*arena.alloc(3), 3);
    }
    assert_eq!(arena.stats().allocation_count, 20);
}

#[test]
fn upstream_15_padding_is_part_of_what_is_used() {
    let mut arena = HotArena::<Align<64>>::default();
    arena.scope(|scope| {
        scope.alloc(1u8);
        scope.alloc([0u8; 65]);
        assert_eq!((scope.used(), scope.padding(), scope.stats().current_live), (192, 126, 66));
    });
}

#[test]
fn upstream_18_a_refusal_allocates_nothing() {
    let arena = HotArena::builder().capacity(64).fixed().build();
    let (refused, requests) = fault::fail_nth(0, || {
        let first = arena.try_alloc([0u8; 100]).unwrap_err().1;
        (first, MemoryRegion::alloc(&arena, layout(1000, 8)).unwrap_err())
    });
    assert_eq!(requests, 0);
    assert_eq!(refused.0, AllocError::OutOfMemory { requested: 100, available: 64 });
    // Nor does it hold anything that was allocated.
    static_assertions::assert_impl_all!(AllocError: Send, Sync);
    assert!(!std::mem::needs_drop::<AllocError>());
    assert_eq!(arena.stats(), AllocStats { failed_allocations: 2, ..AllocStats::default() });
}
