//! A scope frees what is its own, also when its body panics, and touches nothing of the scopes around it.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bhc_rts_alloc::{Align, AlignedSlice, AllocError, HotArena, KnownAlign, MemoryRegion, Place, Scope};

use super::elements::panic_text;
use super::region::Audit;
use super::vocabulary::{Live, address, expect_stats, layout};

/// What the statistics must say, kept beside what is done.
#[derive(Clone, Copy, Default)]
struct Model {
    given: (usize, usize),
    gone: (usize, usize),
    peak: usize,
}

impl Model {
    fn gave(&mut self, bytes: usize) {
        self.given = (self.given.0 + 1, self.given.1 + bytes);
        self.peak = self.peak.max(self.given.1 - self.gone.1);
    }

    fn took(&mut self, bytes: usize) {
        self.gone = (self.gone.0 + 1, self.gone.1 + bytes);
    }

    fn live(&self) -> (usize, usize) {
        (self.given.0 - self.gone.0, self.given.1 - self.gone.1)
    }

    /// A scope ended that was opened when so much was live.
    fn ended(&mut self, live: (usize, usize)) {
        self.gone = (self.given.0 - live.0, self.given.1 - live.1);
    }

    #[track_caller]
    fn expect<R: MemoryRegion + ?Sized>(&self, region: &R) {
        expect_stats(region, self.given, self.gone, self.peak);
    }
}

/// Allocates, frees and nests, down to `depth`, with the statistics checked after every step. `moves`: the last block does not
/// grow in place.
fn every_depth<A: KnownAlign>(scope: &mut Scope<'_, '_, A>, model: &mut Model, depth: usize, moves: bool) {
    for size in [1, 24, 100, 3000, 10_000 * depth + 1] {
        let block = scope.alloc_layout(layout(size, 1 << depth));
        model.gave(size);
        model.expect(&*scope);
        if size == 100 {
            scope.alloc([0u8; 7]);
            model.gave(7);
            // SAFETY: a live block of this scope with its layout; not the last, so it is counted and nothing else.
            unsafe { scope.dealloc(block, layout(size, 1 << depth)) };
            model.took(size);
            model.expect(&*scope);
        }
    }
    let last = scope.alloc_layout(layout(500, 8));
    model.gave(500);
    // SAFETY: the last block of this scope, with its layout; then with the new one.
    unsafe {
        let grown = scope.realloc(last, layout(500, 8), 600).unwrap();
        if moves {
            model.gave(600);
            model.took(500);
        } else {
            model.took(500);
            model.gave(600);
        }
        model.expect(&*scope);
        scope.dealloc(grown, layout(600, 8));
        model.took(600);
    }
    model.expect(&*scope);
    if depth > 0 {
        for _ in 0..2 {
            let live = model.live();
            scope.scope(|inner| every_depth(inner, model, depth - 1, moves));
            model.ended(live);
            model.expect(&*scope);
        }
    }
    scope.alloc([0u8; 50]);
    model.gave(50);
    model.expect(&*scope);
}

#[test]
fn statistics_are_exact_at_every_depth() {
    fn with<A: KnownAlign, R: MemoryRegion>(mut arena: HotArena<A, R>, moves: bool) {
        let mut model = Model::default();
        for _ in 0..2 {
            arena.alloc([0u8; 30]);
            model.gave(30);
            let live = model.live();
            arena.scope(|scope| every_depth(scope, &mut model, 4, moves));
            model.ended(live);
            model.expect(&arena);
        }
        arena.reset();
        model.ended((0, 0));
        model.expect(&arena);
        assert_eq!((arena.used(), arena.padding()), (0, 0));
    }
    with(HotArena::new(), false);
    with(HotArena::<Align<1>>::default(), false);
    with(HotArena::<Align<64>>::default(), false);
    with(HotArena::with_capacity(1 << 20), false);
    let audit = Audit::new();
    with(HotArena::builder().isolate_scopes(true).within(&audit).build(), true);
    audit.expect_empty();
}

/// Opens `depth` scopes in each other. The innermost panics; the one at `catcher` catches it and goes on.
fn panicking(scope: &mut Scope<'_, '_>, model: &mut Model, depth: usize, catcher: usize) {
    let numbers = scope.alloc_slice_fill_with(100 * (depth + 1), |i| i + depth);
    model.gave(size_of_val(numbers));
    let text = scope.alloc_str("outer");
    model.gave(5);
    if depth == 0 {
        // On a new chunk, so that unwinding comes back from there.
        scope.alloc([1u8; 20_000]);
        model.gave(20_000);
        panic!("the innermost scope");
    }
    let live = model.live();
    let mut inside = || scope.scope(|inner| panicking(inner, model, depth - 1, catcher));
    if depth == catcher {
        let here = panic_text(inside);
        assert_eq!(here, "the innermost scope");
        model.ended(live);
        model.expect(&*scope);
        assert!(numbers.iter().copied().eq(depth..100 * (depth + 1) + depth), "what is of this scope is as it was");
        assert_eq!(text, "outer");
        // What the inner ones had is there again.
        let used = scope.used();
        let again = scope.alloc([0u8; 64]);
        model.gave(64);
        assert_eq!((scope.used(), &again[..]), (used + 64, &[0; 64][..]));
        let live = model.live();
        scope.scope(|inner| {
            inner.alloc([0u8; 64]);
        });
        model.gave(64);
        model.ended(live);
        model.expect(&*scope);
    } else {
        inside();
    }
}

#[test]
fn a_panic_at_any_depth_is_settled_at_all_that_it_leaves() {
    for depth in 1..=5 {
        for catcher in 1..=depth {
            let mut arena = HotArena::new();
            let mut model = Model::default();
            let kept = *arena.alloc(7u64);
            model.gave(8);
            let (used, live) = (arena.used(), model.live());
            arena.scope(|scope| panicking(scope, &mut model, depth, catcher));
            model.ended(live);
            model.expect(&arena);
            assert_eq!((arena.used(), kept), (used, 7));
        }
        // And out of all of them.
        let audit = Audit::new();
        for isolate in [false, true] {
            let mut arena = HotArena::builder().isolate_scopes(isolate).within(&audit).build();
            let mut model = Model::default();
            let kept = std::ptr::from_mut(arena.alloc(7u64));
            model.gave(8);
            let (used, live) = (arena.used(), model.live());
            for _ in 0..3 {
                let text = panic_text(|| arena.scope(|scope| panicking(scope, &mut model, depth, usize::MAX)));
                assert_eq!(text, "the innermost scope");
                model.ended(live);
                model.expect(&arena);
                assert_eq!(arena.used(), used);
                // SAFETY: a block of the arena itself, which was neither reset nor dropped.
                assert_eq!(unsafe { kept.read() }, 7);
                assert!(!isolate || audit.live() == 1, "the chunks of isolated scopes go back when they unwind, too");
            }
            // The same memory again, without asking for more.
            let requests = audit.requests();
            arena.scope(|scope| assert!(isolate || address(scope.alloc(1u8)) == kept.addr() + 8));
            assert_eq!(audit.requests(), requests);
        }
        audit.expect_empty();
    }
}

#[test]
fn a_panic_in_an_arena_without_a_chunk_leaves_it_usable() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    for size in [10, 10_000, 10] {
        let result = catch_unwind(AssertUnwindSafe(|| {
            arena.scope(|scope| {
                scope.alloc_buffer_filled::<u8, Align<64>>(size, 1);
                scope.scope(|inner| {
                    inner.alloc_buffer_filled::<u8, Align<64>>(10 * size, 1);
                    panic!();
                })
            })
        }));
        assert!(result.is_err());
        assert_eq!((arena.used(), arena.stats().current_live), (0, 0));
    }
    let requests = audit.requests();
    assert_eq!(arena.scope(|scope| scope.alloc_slice_copy(&[1, 2, 3]).iter().sum::<i32>()), 6);
    assert_eq!(*arena.alloc(5), 5);
    assert_eq!(audit.requests(), requests, "its chunks are used, no new ones");
}

#[test]
fn what_an_inner_scope_took_of_a_new_chunk_is_no_concern_of_the_outer_one() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    arena.scope(|outer| {
        let first = outer.alloc([1u8; 104]);
        for round in 0..3 {
            let inner_block = outer.scope(|inner| {
                let block = inner.alloc([2u8; 10_000]);
                inner.scope(|innermost| innermost.alloc([3u8; 50_000])[0] = 4);
                assert!(block.iter().all(|byte| *byte == 2));
                address(block)
            });
            let next = outer.alloc([5u8; 8]);
            // The outer one goes on where it was …
            assert_eq!(address(next), address(first) + 104 + 8 * round);
            assert!(inner_block.abs_diff(address(next)) >= 8);
        }
        let requests = audit.requests();
        // … and when its chunk is full, on the chunks that the inner ones needed.
        let blocks: Vec<_> = (0..20).map(|i| outer.alloc([i as u8; 2000])).collect();
        assert_eq!(audit.requests(), requests);
        for (i, block) in blocks.iter().enumerate() {
            assert!(block.iter().all(|byte| *byte == i as u8));
        }
        assert_eq!(first, &[1; 104]);
    });
    drop(arena);
    audit.expect_empty();
}

#[test]
fn a_scope_over_many_chunks_gives_all_of_them_back() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    let counts: Vec<usize> = (0..3)
        .map(|_| {
            arena.scope(|scope| {
                for i in 0..200 {
                    scope.alloc([i as u8; 1000]);
                }
                assert!(audit.live() >= 3, "{} chunks", audit.live());
                scope.scope(|inner| inner.alloc([0u8; 100_000])[0]);
            });
            assert_eq!(arena.used(), 0);
            audit.live()
        })
        .collect();
    assert_eq!(counts, [counts[0]; 3], "kept and used again");
    arena.shrink();
    assert_eq!((arena.capacity(), audit.live()), (0, 0));
    arena.scope(|scope| scope.alloc([0u8; 100_000])[0]);
    drop(arena);
    audit.expect_empty();
}

/// A block of an outer scope, given to an inner one as the first thing it sees. `far`: the inner scope is two levels up.
/// `between`: what the outer scope allocates after the block. The block is the outer scope's until that ends.
fn outer_block<A: KnownAlign>(
    far: bool,
    between: Option<Layout>,
    block_layout: Layout,
    first_act: impl Fn(&Scope<'_, '_, A>, std::ptr::NonNull<u8>, &mut Live, &mut Model),
) {
    let mut arena = HotArena::<A>::default();
    arena.alloc([9u8; 40]);
    let mut model = Model::default();
    model.gave(40);
    arena.scope(|outer| {
        let mut live = Live::default();
        let give = |scope: &Scope<'_, '_, A>, live: &mut Live, model: &mut Model, layout: Layout| {
            let block = scope.alloc_layout(layout);
            model.gave(layout.size());
            // SAFETY: fresh, of this size, and of a scope that is open until the check.
            unsafe { live.add(block, layout) };
            block
        };
        let block = give(outer, &mut live, &mut model, block_layout);
        if let Some(layout) = between {
            give(outer, &mut live, &mut model, layout);
        }
        let before = (outer.used(), model.live());
        let mut act = |scope: &mut Scope<'_, '_, A>| {
            let mut live = live.clone();
            first_act(scope, block, &mut live, &mut model);
            model.expect(&*scope);
            for size in [1, 64, 5000] {
                give(scope, &mut live, &mut model, layout(size, 8));
            }
            live.check();
            model.expect(&*scope);
        };
        if far {
            outer.scope(|middle| middle.scope(act))
        } else {
            outer.scope(&mut act)
        }
        model.ended(before.1);
        assert_eq!(outer.used(), before.0, "nothing was reclaimed");
        model.expect(&*outer);
        // The block is not given a second time.
        for size in [1, 64, 5000] {
            give(outer, &mut live, &mut model, layout(size, 8));
        }
        live.check();
        model.expect(&*outer);
    });
    model.ended((1, 40));
    model.expect(&arena);
}

fn every_outer_block<A: KnownAlign>(
    first_act: impl Fn(&Scope<'_, '_, A>, std::ptr::NonNull<u8>, Layout, &mut Live, &mut Model),
) {
    for far in [false, true] {
        for size in [1, 64, 100, 3000, 20_000] {
            // Last of its scope; not last; in another chunk than the one that the inner scope starts in.
            for between in [None, Some(layout(8, 8)), Some(layout(100_000, 8))] {
                let block_layout = layout(size, 16);
                outer_block::<A>(far, between, block_layout, |scope, block, live, model| {
                    first_act(scope, block, block_layout, live, model);
                });
            }
        }
    }
}

#[test]
fn a_block_of_an_outer_scope_is_freed_by_an_inner_one_to_no_effect() {
    fn with<A: KnownAlign>() {
        every_outer_block::<A>(|scope, block, layout, _, model| {
            let used = scope.used();
            // SAFETY: a live block with its layout; what is left to its scope stays as it is, which the books check.
            unsafe { scope.dealloc(block, layout) };
            assert_eq!(scope.used(), used);
            model.expect(scope);
        });
    }
    with::<Align<1>>();
    with::<Align<8>>();
    with::<Align<64>>();
}

#[test]
fn a_block_of_an_outer_scope_goes_on_in_the_inner_one_when_it_is_resized() {
    fn with<A: KnownAlign>() {
        for new_size in [1usize, 64, 65, 4000, 30_000] {
            every_outer_block::<A>(|scope, block, old, live, model| {
                // SAFETY: a live block, filled by the books; its first byte.
                let pattern = unsafe { block.read() };
                // SAFETY: a live block with its layout. The old one is not used again, except by the books, which make
                // sure that it was left as it was: it is the outer scope's memory until that ends.
                let moved = unsafe { scope.realloc(block, old, new_size) }.unwrap();
                model.gave(new_size);
                assert_ne!(moved, block);
                let kept = old.size().min(new_size);
                // SAFETY: so many bytes of the new block were copied.
                let bytes = unsafe { std::slice::from_raw_parts(moved.as_ptr(), kept) };
                assert!(bytes.iter().all(|byte| *byte == pattern));
                // SAFETY: fresh, of this size, and of a scope that is open until the check.
                unsafe { live.add(moved, layout(new_size, old.align())) };
                live.check();
            });
        }
    }
    with::<Align<1>>();
    with::<Align<8>>();
}

#[test]
fn what_is_reclaimed_is_of_the_scope_itself() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let outer_block = outer.alloc_layout(layout(64, 8));
        let end = outer.used();
        outer.scope(|inner| {
            let block = inner.alloc_layout(layout(32, 8));
            // SAFETY: live blocks with their layouts, each freed once; the outer one is not this scope's, and stays.
            unsafe {
                inner.dealloc(block, layout(32, 8));
                assert_eq!(inner.used(), end, "the last block of the scope is reclaimed");
                inner.dealloc(outer_block, layout(64, 8));
            }
            assert_eq!(inner.used(), end);
            assert_eq!(address(inner.alloc([0u8; 16])), block.addr().get());
        });
        // SAFETY: still live in its own scope, with its layout.
        unsafe { outer.dealloc(outer_block, layout(64, 8)) };
        assert_eq!(outer.used(), end - 64);
        assert_eq!(address(outer.alloc([0u8; 16])), outer_block.addr().get());
    });
}

#[test]
fn a_scope_is_a_region_behind_dyn() {
    fn sum(region: &dyn MemoryRegion, depth: u32) -> u64 {
        let mut buffer = Place::<Align<64>>::new().within(region).try_with_capacity::<u64>(1).unwrap();
        buffer.extend(0..100u64);
        assert_eq!(buffer.as_ptr().addr() % 64, 0);
        buffer.iter().sum::<u64>() + u64::from(depth)
    }
    let mut arena = HotArena::new();
    arena.scope(|first| {
        assert_eq!(sum(first, 1), 4951);
        first.scope(|second| {
            assert_eq!(sum(second, 2), 4952);
            let region: &dyn MemoryRegion = second;
            assert_eq!(region.stats().current_live, 0, "buffers that are gone are counted as such");
        });
        first.alloc(1u64);
        assert_eq!((first as &dyn MemoryRegion).stats().current_live, 8);
    });
    assert_eq!(arena.stats().current_live, 0);
}

#[test]
fn an_error_leaves_all_scopes_in_order() {
    fn parse(arena: &mut HotArena, numbers: &[&str]) -> Result<u64, std::num::ParseIntError> {
        arena.scope(|outer| {
            let mut total = 0;
            for number in numbers {
                total += outer.scope(|inner| {
                    let text = inner.alloc_str(number);
                    inner.alloc([0u8; 3000]);
                    let value = inner.scope(|innermost| Ok(*innermost.alloc(text.parse::<u64>()?)))?;
                    Ok(*inner.alloc(value))
                })?;
                outer.alloc(total);
            }
            Ok(total)
        })
    }
    let mut arena = HotArena::new();
    assert_eq!(parse(&mut arena, &["1", "20", "300"]), Ok(321));
    expect_stats(&arena, (15, 3 * (3000 + 24) + 6), (15, 3 * (3000 + 24) + 6), 3 + 3000 + 8 + 16);
    assert!(parse(&mut arena, &["1", "x", "300"]).is_err());
    let stats = arena.stats();
    assert_eq!((arena.used(), stats.current_live, stats.allocation_count), (0, 0, 15 + 5 + 2));
    assert_eq!(stats.deallocation_count, 22);
    assert_eq!(parse(&mut arena, &["4"]), Ok(4));
}

#[test]
fn results_leave_a_scope_by_value() {
    let mut arena = HotArena::new();
    let (owned, array) = arena.scope(|outer| {
        let text = outer.alloc_str("temporary");
        let array = outer.scope(|inner| {
            let numbers = inner.alloc_slice_fill_with(4, |i| i * i);
            <[usize; 4]>::try_from(&*numbers).unwrap()
        });
        (text.to_owned(), array)
    });
    arena.reset();
    arena.alloc([0xffu8; 1000]);
    assert_eq!((owned.as_str(), array), ("temporary", [0, 1, 4, 9]));
}

#[test]
fn freezing_gives_the_spare_capacity_back_and_admits_scopes() {
    let mut arena = HotArena::<Align<64>>::default();
    arena.scope(|scope| {
        let mut growing = Place::<Align<64>>::new().within(&*scope).with_capacity::<u32>(700);
        growing.extend(0..100);
        assert_eq!(scope.used(), 2816, "2800 bytes in whole blocks of padding");
        let frozen: &mut AlignedSlice<u32, Align<64>> = scope.freeze(growing);
        assert_eq!(scope.used(), 448, "400 bytes likewise");
        for round in 0..10 {
            scope.scope(|inner| frozen[round] += inner.alloc_slice_fill_with(100, |i| i as u32)[round]);
        }
        assert!(frozen.iter().copied().eq((0..100).map(|i| if i < 10 { 2 * i } else { i })));
        assert_eq!(frozen.as_ptr().addr() % 64, 0);

        // Something came after it: the elements stay where they are.
        let growing = Place::<Align<64>>::new().within(&*scope).from_fn(10, |i| i);
        let (start, used) = (growing.as_ptr(), scope.used());
        let after = scope.alloc([5u8; 64]);
        let frozen = scope.freeze(growing);
        assert_eq!((frozen.as_ptr(), scope.used()), (start, used + 64));
        scope.scope(|inner| inner.alloc([0u8; 10_000])[0]);
        assert_eq!((&frozen[..], &after[..]), (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..], &[5u8; 64][..]));

        // Nothing in it.
        let used = scope.used();
        let growing = Place::<Align<64>>::new().within(&*scope).with_capacity::<u64>(1000);
        let frozen = scope.freeze(growing);
        assert_eq!((frozen.len(), frozen.as_ptr().addr() % 64, scope.used()), (0, 0, used));
    });
    assert_eq!(arena.stats().current_live, 0);
}

#[test]
fn a_buffer_that_was_allocated_last_grows_in_place() {
    HotArena::builder().align::<Align<64>>().capacity(100_000).build().scope(|scope| {
        scope.alloc([0u8; 640]);
        let remaining = scope.remaining();
        let mut growing = Place::<Align<64>>::new().within(&*scope).with_capacity::<u8>(1);
        let start = growing.as_ptr();
        while growing.capacity() * 2 <= remaining {
            growing.push(growing.len() as u8);
        }
        assert_eq!(growing.as_ptr(), start);
        assert!(growing.capacity() > 32_000, "it had to grow some times");
        assert!(growing.iter().enumerate().all(|(i, byte)| *byte == i as u8));
        let stats = scope.stats();
        assert_eq!(stats.current_live, 640 + growing.capacity());
        assert_eq!(stats.peak_usage, stats.current_live, "never two of it");
    });
}

#[test]
fn rounds_of_scopes_use_the_same_memory() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    arena.scope(|outer| {
        outer.alloc(1u64);
        let round = |outer: &mut Scope<'_, '_>| {
            outer.scope(|inner| {
                let first = address(inner.alloc([0u8; 100]));
                let large = address(inner.alloc([0u8; 30_000]));
                (first, large, inner.scope(|innermost| address(innermost.alloc([0u8; 30_000]))))
            })
        };
        let addresses = round(outer);
        audit.fail(super::region::Failure::From(0));
        for _ in 0..10 {
            assert_eq!(round(outer), addresses);
        }
        assert_eq!(audit.requests(), 0, "the backing is not asked in a steady state");
    });
    drop(arena);
    audit.expect_empty();
}

#[test]
fn an_arena_without_a_chunk_goes_on_in_the_one_that_its_scope_got() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    arena.scope(|outer| {
        let first = outer.scope(|inner| address(inner.alloc(1u8)));
        assert_eq!(outer.remaining(), outer.capacity());
        assert_eq!(outer.scope(|inner| address(inner.alloc(1u8))), first);
        assert_eq!(address(outer.alloc(1u8)), first);
    });
    assert_eq!((arena.remaining(), arena.used()), (arena.capacity(), 0));
    arena.alloc(1u8);
    assert_eq!(audit.requests(), 1);
}

#[test]
fn a_scope_that_allocates_nothing_costs_nothing() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    let depth = arena.scope(|one| one.scope(|two| two.scope(|three| three.alloc_slice_copy::<u64>(&[]).len() + 3)));
    assert_eq!((depth, audit.requests(), arena.capacity()), (3, 0, 0));
    expect_stats(&arena, (0, 0), (0, 0), 0);
}

#[test]
fn numbers_of_a_scope_are_those_of_the_whole_arena() {
    let mut arena = HotArena::<Align<16>>::default();
    arena.alloc([0u8; 20]);
    assert_eq!((arena.used(), arena.padding()), (32, 12));
    let capacity = arena.capacity();
    arena.scope(|scope| {
        assert_eq!((scope.used(), scope.padding(), scope.capacity()), (32, 12, capacity));
        assert_eq!(scope.remaining(), capacity - 32);
        let _ = scope.alloc_layout(layout(5, 64));
        let gap = scope.used() - 32 - 16;
        assert!(gap < 64 && gap.is_multiple_of(16));
        assert_eq!(scope.padding(), 12 + gap + 11);
        assert_eq!(scope.remaining(), capacity - scope.used());
        scope.alloc([0u8; 10_000]);
        assert_eq!(scope.used(), 32 + 16 + gap + 10_000, "the rest of the first chunk is not counted");
        assert!(scope.capacity() >= capacity + 10_000);
        assert!(format!("{scope:?}").starts_with(&format!("Scope {{ used: {}, capacity: ", scope.used())));
    });
    assert_eq!((arena.used(), arena.padding()), (32, 12));
    assert!(format!("{arena:?}").starts_with("HotArena { used: 32, capacity: "));
}

/// An arena that is reached around the borrow checker, as by compiled code that holds its address, refuses while a scope has
/// its memory, and says why.
#[test]
#[cfg_attr(miri, ignore = "what is tested is outside Rust's rules for references, as compiled code is")]
fn an_arena_that_is_reached_while_a_scope_is_open_refuses() {
    let mut arena = HotArena::new();
    let mut model = Model::default();
    arena.alloc(1u64);
    model.gave(8);
    // Neither the compiler nor the test knows more of the arena through this than foreign code would.
    let foreign = std::hint::black_box(&raw mut arena);
    let reach = move |size| {
        // SAFETY: the arena is live, and used by this thread only. That it is borrowed exclusively meanwhile is what Rust
        // forbids its own code; this stands for an external call, which `black_box` makes of it as far as the
        // compiler can see. What it may touch while refusing is all in `Cell`s.
        let region: &HotArena = unsafe { &*{ foreign } };
        MemoryRegion::alloc(region, layout(size, 8))
    };
    let exhausted = AllocError::RegionExhausted { region: "HotArena, whose memory an open scope has" };
    // SAFETY: live; the borrow is what a safe call would take.
    unsafe { &mut *foreign }.scope(|outer| {
        let block = outer.alloc([3u8; 100]);
        for size in [1, 100, 100_000] {
            assert_eq!(reach(size), Err(exhausted.clone()));
        }
        outer.scope(|inner| {
            inner.alloc([4u8; 100]);
            assert_eq!(reach(8), Err(exhausted.clone()));
        });
        assert_eq!(outer.alloc([5u8; 8]), &[5; 8]);
        assert_eq!(outer.stats().failed_allocations, 4);
        assert_eq!(block, &[3; 100]);
        assert_eq!(reach(0).map(|nothing| nothing.addr().get() % 8), Ok(0), "what has no size needs no memory");
    });
    assert_eq!(reach(8).map(|block| block.addr().get() % 8), Ok(0), "it is open again");
    let stats = arena.stats();
    assert_eq!((stats.failed_allocations, stats.current_live, stats.allocation_count), (4, 16, 5));
}
