//! Values and slices: destructors, code of the caller that panics, or allocates from the same arena meanwhile, values
//! without size and of strict alignment.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bhc_rts_alloc::{Align, AllocStats, ArenaBox, HotArena, MemoryRegion, Scope};

use super::elements::{Tracked, blows, step, tracked};
use super::region::Audit;
use super::vocabulary::{address, on_both};

/// Runs a body with each of its steps panicking in turn, and after each panic: no element is left behind, no block is
/// live, and the room is there again. Answers how many steps can panic.
macro_rules! every_step {
    (|$region:ident| $body:expr) => {{
        let mut steps = [0; 2];
        let mut at = 0;
        on_both!(|$region| {
            let before = tracked();
            for n in 0.. {
                let (used, live) = ($region.used(), $region.stats().current_live);
                let blew = blows(n, || _ = $body);
                if !blew {
                    break;
                }
                assert_eq!(tracked(), before, "step {n}: elements leaked");
                assert_eq!(($region.used(), $region.stats().current_live), (used, live), "step {n}");
                steps[at] += 1;
            }
            at += 1;
        });
        assert_eq!(steps[0], steps[1]);
        steps[0]
    }};
}

thread_local! {
    static DROPS: Cell<usize> = const { Cell::new(0) };
}

/// Counts how often it is dropped.
#[derive(Clone)]
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.set(DROPS.get() + 1);
    }
}

#[test]
fn plain_forms_never_drop() {
    let before = tracked();
    let source: Vec<Tracked> = (0..10).map(Tracked::new).collect();
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    for _ in 0..2 {
        arena.alloc(Tracked::<3>::new(1));
        arena.try_alloc(Tracked::<3>::new(1)).unwrap();
        arena.alloc_with(|| Tracked::<3>::new(1));
        arena.alloc_slice_clone(&source);
        arena.alloc_slice_fill_with(10, |i| Tracked::<3>::new(i as u64));
        arena.alloc_slice_from_iter((0..10).map(Tracked::<3>::new));
        arena.scope(|scope| {
            scope.alloc(Tracked::<0>::new(1));
            scope.alloc_slice_clone(&source);
        });
        arena.reset();
    }
    drop(arena);
    assert_eq!(tracked() - before, 10 + 2 * (3 + 3 * 10 + 1 + 10));
    drop(source);
    audit.expect_empty();

    DROPS.set(0);
    let arena = HotArena::new();
    arena.alloc(Counted);
    arena.alloc_slice_clone(&[Counted][..]);
    assert_eq!(DROPS.get(), 1, "the source of the clone and nothing else");
}

#[test]
fn a_box_drops_its_value_once() {
    let before = tracked();
    on_both!(|region| {
        let boxed = region.alloc_box(Tracked::<2>::new(1));
        assert_eq!((boxed.value(), tracked() - before), (1, 1));
        drop(boxed);
        assert_eq!(tracked(), before);

        // Through every form, many at once, dropped out of order.
        let mut boxes: Vec<ArenaBox<'_, Tracked<2>>> = (0..10)
            .map(|i| match i % 2 {
                0 => region.alloc_box(Tracked::new(i)),
                _ => region.try_alloc_box(Tracked::new(i)).unwrap(),
            })
            .collect();
        assert!(boxes.iter().map(|boxed| boxed.value()).eq(0..10));
        drop(boxes.swap_remove(3));
        *boxes[0] = Tracked::new(100);
        assert_eq!((boxes[0].as_ref().value(), tracked() - before), (100, 9));
        std::mem::swap(boxes[1].as_mut(), &mut *region.alloc_box(Tracked::new(200)));
        assert_eq!((boxes[1].value(), tracked() - before), (200, 9));
        drop(boxes);
        assert_eq!(tracked(), before);

        // Moved out: the caller's to drop.
        let value = region.alloc_box(Tracked::<2>::new(5)).into_inner();
        assert_eq!((value.value(), tracked() - before), (5, 1));
        drop(value);
        assert_eq!(tracked(), before);
    });
    // Leaked: never, and as good as a plain one.
    let mut arena = HotArena::new();
    let leaked = arena.alloc_box(Tracked::<2>::new(6)).leak();
    let other = arena.alloc(1);
    *leaked = Tracked::new(7);
    assert_eq!((leaked.value(), *other, tracked() - before), (7, 1, 1));
    arena.reset();
    assert_eq!(tracked() - before, 1);
}

#[test]
fn a_box_whose_destructor_panics_is_dropped_once() {
    let before = tracked();
    let mut arena = HotArena::new();
    for _ in 0..2 {
        let (one, two) = (arena.alloc_box(Tracked::<1>::new(1)), arena.alloc_box(Tracked::<1>::new(2)));
        assert!(blows(0, || drop(one)));
        assert_eq!((two.value(), tracked() - before), (2, 1));
        assert!(blows(0, || drop(vec![two])));
        assert_eq!(tracked(), before);
        // While its scope ends.
        assert!(blows(0, || {
            arena.scope(|scope| {
                let _boxed = scope.alloc_box(Tracked::<1>::new(3));
                scope.alloc([0u8; 10_000]);
            });
        }));
        assert_eq!((tracked(), arena.stats().current_live), (before, 48));
        // Because of a panic in its scope.
        let result = catch_unwind(AssertUnwindSafe(|| {
            arena.scope(|scope| {
                let _boxes = [scope.alloc_box(Tracked::<1>::new(4)), scope.alloc_box(Tracked::<1>::new(5))];
                scope.scope(|inner| {
                    let _boxed = inner.alloc_box(Tracked::<1>::new(6));
                    panic!();
                })
            })
        }));
        assert!(result.is_err());
        assert_eq!((tracked(), arena.stats().current_live), (before, 48));
        arena.reset();
    }
}

#[test]
fn a_box_is_shown_as_its_value() {
    let arena = HotArena::new();
    let boxed = arena.alloc_box(1.5);
    assert_eq!(format!("{boxed} {boxed:?} {boxed:05.2}"), "1.5 1.5 01.50");
    let mut names = arena.alloc_box(vec![String::from("a")]);
    names.push("b".into());
    assert_eq!((names.len(), format!("{names:?}")), (2, r#"["a", "b"]"#.to_owned()));
}

#[test]
fn a_closure_that_panics_takes_no_room() {
    let steps = every_step!(|region| region.alloc_with(|| {
        step();
        let value = Tracked::<20>::new(1);
        step();
        value
    }));
    assert_eq!(steps, 2);
    every_step!(|region| region
        .try_alloc_with(|| {
            step();
            [0u8; 9000] // on a chunk of its own
        })
        .map(|value| value[0]));
}

#[test]
fn code_that_fills_a_slice_may_panic_at_every_step() {
    let steps = every_step!(|region| region
        .alloc_slice_fill_with(9, |i| {
            step();
            Tracked::<1>::new(i as u64)
        })
        .len());
    // In the drops of what was there already, a panic would be the second: `Tracked` does not panic then.
    assert_eq!(steps, 9);
    let steps = every_step!(|region| {
        let items = (0..9).map(|i| {
            step();
            Tracked::<1>::new(i)
        });
        region.alloc_slice_from_iter(items).len()
    });
    assert_eq!(steps, 9);
    // Without knowing how many there are: it grows, which moves no element twice.
    let steps = every_step!(|region| {
        let items = (0..40).filter(|i| i % 2 == 0).map(|i| {
            step();
            Tracked::<1>::new(i)
        });
        region.alloc_slice_from_iter(items).len()
    });
    assert_eq!(steps, 20);

    let source: Vec<Tracked<5>> = (0..9).map(Tracked::new).collect();
    assert_eq!(every_step!(|region| region.alloc_slice_clone(&source).len()), 9);
    // On a chunk of its own.
    let source: Vec<Tracked<100>> = (0..9).map(Tracked::new).collect();
    assert_eq!(every_step!(|region| region.try_alloc_slice_clone(&source).map(|slice| slice.len())), 9);
}

/// An iterator that says what it is told to about its length.
struct Liar<I>(I, usize);

impl<I: Iterator> Iterator for Liar<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        step();
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.1, Some(self.1))
    }
}

impl<I: Iterator> ExactSizeIterator for Liar<I> {}

#[test]
fn an_iterator_that_lies_about_its_length_gives_all_its_elements() {
    for (count, claim) in
        [(100, 0), (100, 1), (100, 99), (0, 100), (10, 5000), (10, isize::MAX as usize), (10, usize::MAX)]
    {
        on_both!(|region| {
            let before = region.alloc([7u8; 10]);
            let used = region.used();
            let slice = region.alloc_slice_from_iter(Liar(0..count, claim));
            assert!(slice.iter().copied().eq(0..count));
            if claim < 1000 && count <= claim {
                assert_eq!(region.used(), used + count * 8, "what was reserved and not used is there again");
            }
            let strings = region.alloc_slice_from_iter(Liar((0..count).map(|i| i.to_string()), claim));
            assert!(strings.iter().map(|s| s.parse::<usize>().unwrap()).eq(0..count));
            strings.iter_mut().for_each(|s| *s = String::new());
            assert_eq!(before, &[7; 10]);
        });
        let steps =
            every_step!(|region| region.alloc_slice_from_iter(Liar((0..5).map(Tracked::<1>::new), claim)).len());
        assert_eq!(steps, 6);
    }
}

/// Its `clone` allocates where it was told to, and keeps what it got.
struct Nested<'a> {
    arena: &'a HotArena,
    value: u64,
    own: &'a mut [u64],
}

impl<'a> Nested<'a> {
    fn new(arena: &'a HotArena, value: u64) -> Self {
        Self { arena, value, own: arena.alloc_slice_fill_with(1 + value as usize % 50, |_| value) }
    }
}

impl Clone for Nested<'_> {
    fn clone(&self) -> Self {
        step();
        Self::new(self.arena, self.value + 1)
    }
}

fn expect_nested(all: &mut [Nested<'_>], first: u64) {
    // Written, so that what overlaps is seen in another.
    all.iter_mut().for_each(|one| one.own.iter_mut().for_each(|x| *x += 1));
    for (i, one) in all.iter().enumerate() {
        assert_eq!((one.value, one.own.len()), (first + i as u64, 1 + (first as usize + i) % 50));
        assert!(one.own.iter().all(|x| *x == first + i as u64 + 1), "element {i} was overwritten");
    }
}

#[test]
fn code_that_runs_meanwhile_allocates_from_the_same_arena() {
    for capacity in [0, 1 << 20] {
        let arena = HotArena::with_capacity(capacity);
        let made = arena.alloc_slice_fill_with(100, |i| Nested::new(&arena, i as u64));
        let cloned = arena.alloc_slice_clone(made);
        let collected = arena.alloc_slice_from_iter((5..105).map(|i| Nested::new(&arena, i)));
        let unknown = arena.alloc_slice_from_iter((7..107).filter(|_| true).map(|i| Nested::new(&arena, i)));
        let lied = arena.alloc_slice_from_iter(Liar((9..109).map(|i| Nested::new(&arena, i)), 3));
        let one = arena.alloc_with(|| Nested::new(&arena, 1000));
        let mut boxed = arena.alloc_box(one.clone());
        expect_nested(made, 0);
        expect_nested(cloned, 1);
        expect_nested(collected, 5);
        expect_nested(unknown, 7);
        expect_nested(lied, 9);
        expect_nested(std::slice::from_mut(one), 1000);
        expect_nested(std::slice::from_mut(&mut boxed), 1001);
        let stats = arena.stats();
        assert_eq!(stats.total_allocated - stats.total_deallocated, stats.current_live);
    }
    // And panics: what it allocated itself stays, the slice does not.
    let arena = HotArena::new();
    let source: Vec<Nested<'_>> = (0..10).map(|i| Nested::new(&arena, i)).collect();
    for n in 0..10 {
        let live = arena.stats().current_live;
        assert!(blows(n, || _ = arena.alloc_slice_clone(&source).len()));
        let own: usize = (0..n).map(|i| 8 * (2 + i)).sum();
        assert_eq!(arena.stats().current_live, live + own, "step {n}");
        expect_nested(arena.alloc_slice_clone(&source), 1);
    }
}

#[test]
fn values_without_size_take_nothing() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(4096))]
    struct Page;
    on_both!(|region| {
        assert_eq!(region.alloc(()), &mut ());
        assert_eq!(address(region.alloc(Page)) % 4096, 0);
        assert_eq!(address(region.alloc_with(|| Page)) % 4096, 0);
        assert_eq!(address(&*region.alloc_box(Page)) % 4096, 0);
        assert_eq!(address(region.alloc_slice_fill_with(5, |_| Page)) % 4096, 0);
        assert_eq!(region.alloc_slice_copy(&[Page; 3]), [Page; 3]);
        assert_eq!((region.stats(), region.used(), region.capacity()), (AllocStats::default(), 0, 0));
    });
    DROPS.set(0);
    let arena = HotArena::new();
    drop(arena.alloc_box(Counted));
    assert_eq!(DROPS.get(), 1);
    drop(arena.alloc_box(Counted).into_inner());
    assert_eq!(DROPS.get(), 2);
    let _ = arena.alloc_box(Counted).leak();
    arena.alloc(Counted);
    assert_eq!(DROPS.get(), 2);
    assert_eq!(arena.stats(), AllocStats::default());
}

#[derive(Clone, Copy)]
#[repr(align(128))]
struct By128([u8; 128]);
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct By4096([u8; 3]);
#[derive(Clone, Copy)]
#[repr(align(65536))]
struct By65536([u8; 1]);

#[test]
fn values_of_strict_alignment_are_aligned() {
    fn all<R: Copy>(alloc: impl Fn() -> (usize, usize, usize, R)) {
        for _ in 0..5 {
            let (by_128, by_4096, by_65536, _) = alloc();
            assert_eq!((by_128 % 128, by_4096 % 4096, by_65536 % 65536), (0, 0, 0));
        }
    }
    fn on<A: bhc_rts_alloc::KnownAlign>() {
        let mut arena = HotArena::<A>::default();
        all(|| {
            (
                address(arena.alloc(By128([1; 128]))),
                address(arena.alloc(By4096([1; 3]))),
                address(arena.alloc(By65536([1]))),
                (),
            )
        });
        all(|| {
            arena.alloc(1u8);
            let boxed =
                (arena.alloc_box(By128([2; 128])), arena.alloc_box(By4096([2; 3])), arena.alloc_box(By65536([2])));
            (address(&*boxed.0), address(&*boxed.1), address(&*boxed.2), ())
        });
        arena.scope(|scope| {
            let scope: &Scope<'_, '_, A> = scope;
            all(|| {
                scope.alloc(1u8);
                let copies = (
                    scope.alloc_slice_copy(&[By128([3; 128]); 3]),
                    scope.alloc_slice_clone(&[By4096([3; 3]); 3]),
                    scope.alloc_slice_fill_with(3, |_| By65536([3])),
                );
                assert!(copies.0.iter().all(|x| x.0 == [3; 128]) && copies.1.iter().all(|x| x.0 == [3; 3]));
                assert!(copies.2.iter().all(|x| x.0 == [3]));
                (address(copies.0), address(copies.1), address(copies.2), ())
            });
            let buffer = scope.alloc_buffer_filled::<By128, Align<8>>(3, By128([4; 128]));
            assert_eq!(buffer.as_ptr().addr() % 128, 0, "of the two alignments the stricter counts");
            let by_type = scope.alloc_buffer::<u8, Align<4096>>(3);
            assert_eq!((by_type.as_ptr().addr() % 4096, &by_type[..]), (0, &[0; 3][..]));
        });
    }
    on::<Align<1>>();
    on::<Align<8>>();
    on::<Align<4096>>();
    // As the very first request.
    assert_eq!(address(HotArena::new().alloc(By65536([1]))) % 65536, 0);
    HotArena::new().scope(|scope| assert_eq!(address(scope.alloc(By65536([1]))) % 65536, 0));
}

#[test]
fn copies_are_the_source_and_apart_from_it() {
    on_both!(|region| {
        let source: Vec<u32> = (0..1000).collect();
        let copy = region.alloc_slice_copy(&source);
        assert_eq!(copy, source);
        copy[0] = 77;
        let again = region.try_alloc_slice_copy(copy).unwrap();
        copy[1] = 78;
        assert_eq!((source[0], again[0], again[1]), (0, 77, 1));
        let text = region.alloc_str("Grüße, 世界");
        text.make_ascii_uppercase();
        assert_eq!((&*text, &*region.try_alloc_str("ß").unwrap()), ("GRüßE, 世界", "ß"));
        let texts = region.alloc_slice_clone(&[String::from("one"), String::from("two")]);
        assert_eq!(texts, ["one", "two"]);
        texts.iter_mut().for_each(|text| *text = String::new());
    });
}

#[test]
fn buffers_are_zero_or_filled_also_where_others_were() {
    let audit = Audit::new();
    let mut arena = HotArena::builder().within(&audit).build();
    for round in 0..3 {
        arena.scope(|scope| {
            let zeros = scope.alloc_buffer::<u16, Align<64>>(100);
            assert!(zeros.iter().all(|x| *x == 0));
            zeros.fill(0xffff);
            let filled = scope.alloc_buffer_filled::<u16, Align<32>>(77, round);
            assert!(filled.iter().all(|x| *x == round));
            let slots = scope.alloc_buffer_uninit::<u16, Align<4096>>(50);
            slots.iter_mut().for_each(|slot| _ = slot.write(5));
            assert_eq!(
                (zeros.as_ptr().addr() % 64, filled.as_ptr().addr() % 32, slots.as_ptr().addr() % 4096),
                (0, 0, 0)
            );
            assert!(zeros.iter().all(|x| *x == 0xffff) && filled.iter().all(|x| *x == round));
            assert_eq!(scope.stats().current_live, 2 * (100 + 77 + 50), "the bytes of the elements and no more");
        });
    }
}
