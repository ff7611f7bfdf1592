//! Hash tables and vectors of other crates live in an arena, and do what the standard library's do.

use std::collections::HashMap as StdMap;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::boxed::Box as ApiBox;
use allocator_api2::vec::Vec as ApiVec;
use bhc_rts_alloc::{HotArena, MemoryRegion};
use hashbrown::{DefaultHashBuilder, HashMap};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::elements::{Tracked, tracked};
use super::region::Audit;
use super::vocabulary::{address, layout};

/// One step on a map or a vector; which of them it means is up to the test.
#[derive(Clone, Debug)]
enum Op {
    Put(u16, u32),
    Take(u16),
    Extend(u16, u32),
    Retain(u32),
    Reserve(usize),
    Shrink,
    Clear,
    Clone,
    Drain(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Few keys, so that they meet again.
    let key = || 0..200u16;
    let op = prop_oneof![
        8 => (key(), any::<u32>()).prop_map(|(key, value)| Op::Put(key, value)),
        4 => key().prop_map(Op::Take),
        2 => (key(), any::<u32>()).prop_map(|(count, seed)| Op::Extend(count, seed)),
        1 => any::<u32>().prop_map(Op::Retain),
        1 => (0..500usize).prop_map(Op::Reserve),
        1 => Just(Op::Shrink),
        1 => Just(Op::Clear),
        1 => Just(Op::Clone),
        1 => (0..100usize).prop_map(Op::Drain),
    ];
    vec(op, 1..60)
}

fn random_programs(run: impl Fn(&[Op])) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let before = tracked();
    TestRunner::new(config)
        .run(&ops(), |ops| {
            run(&ops);
            assert_eq!(tracked(), before, "elements were leaked");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

type Map<A> = HashMap<u16, Tracked, DefaultHashBuilder, A>;

fn check_map<A: Allocator>(map: &Map<A>, model: &StdMap<u16, u64>) {
    assert_eq!(map.len(), model.len());
    for (key, value) in model {
        assert_eq!(map.get(key).map(Tracked::value), Some(*value), "{key}");
    }
    assert!(map.iter().all(|(key, value)| model.get(key) == Some(&value.value())));
}

fn run_map<A: Allocator + Copy>(region: A, ops: &[Op]) {
    let mut map: Map<A> = HashMap::with_hasher_in(DefaultHashBuilder::default(), region);
    let mut model = StdMap::new();
    let mut earlier = Vec::new();
    for op in ops {
        match *op {
            Op::Put(key, value) => {
                let old = map.insert(key, Tracked::new(value.into()));
                assert_eq!(old.map(|old| old.value()), model.insert(key, value.into()));
            }
            Op::Take(key) => assert_eq!(map.remove(&key).map(|value| value.value()), model.remove(&key)),
            Op::Extend(count, seed) => {
                let items = || (0..count).map(|i| (i.wrapping_mul(7) % 300, u64::from(seed) + u64::from(i)));
                map.extend(items().map(|(key, value)| (key, Tracked::new(value))));
                model.extend(items());
            }
            Op::Retain(bits) => {
                let keep = |key: &u16| bits >> (key % 32) & 1 == 1;
                map.retain(|key, _| keep(key));
                model.retain(|key, _| keep(key));
            }
            Op::Reserve(additional) => {
                map.reserve(additional);
                assert!(map.capacity() >= map.len() + additional);
            }
            Op::Shrink => map.shrink_to_fit(),
            Op::Clear => {
                map.clear();
                model.clear();
            }
            Op::Clone => earlier.push((map.clone(), model.clone())),
            Op::Drain(count) => {
                let drained: Vec<(u16, Tracked)> = map.drain().take(count).collect();
                assert_eq!(drained.len(), count.min(model.len()));
                assert!(drained.iter().all(|(key, value)| model[key] == value.value()));
                model.clear();
            }
        }
        check_map(&map, &model);
    }
    for (map, model) in &earlier {
        check_map(map, model);
    }
}

fn run_vec<A: Allocator + Copy>(region: A, ops: &[Op]) {
    let mut vec: ApiVec<Tracked, A> = ApiVec::new_in(region);
    let mut model: Vec<u64> = Vec::new();
    let mut earlier: Vec<(ApiVec<Tracked, A>, Vec<u64>)> = Vec::new();
    let check = |vec: &ApiVec<Tracked, A>, model: &[u64]| {
        assert!(vec.iter().map(Tracked::value).eq(model.iter().copied()));
    };
    for op in ops {
        match *op {
            Op::Put(at, value) => {
                let at = usize::from(at) % (model.len() + 1);
                vec.insert(at, Tracked::new(value.into()));
                model.insert(at, value.into());
            }
            Op::Take(_) => assert_eq!(vec.pop().map(|value| value.value()), model.pop()),
            Op::Extend(count, seed) => {
                let items = || (0..count).map(|i| u64::from(seed) + u64::from(i));
                vec.extend(items().map(Tracked::new));
                model.extend(items());
            }
            Op::Retain(bits) => {
                let keep = |value: u64| bits >> (value % 32) & 1 == 1;
                vec.retain(|value| keep(value.value()));
                model.retain(|value| keep(*value));
            }
            Op::Reserve(additional) => vec.reserve(additional),
            Op::Shrink => {
                vec.shrink_to_fit();
                assert_eq!(vec.capacity(), model.len());
            }
            Op::Clear => {
                vec.clear();
                model.clear();
            }
            Op::Clone => earlier.push((vec.clone(), model.clone())),
            Op::Drain(count) => {
                let count = count.min(model.len());
                let drained: ApiVec<Tracked, A> = {
                    let mut drained = ApiVec::new_in(region);
                    drained.extend(vec.drain(..count));
                    drained
                };
                check(&drained, &model.drain(..count).collect::<Vec<_>>());
            }
        }
        check(&vec, &model);
    }
    for (vec, model) in &earlier {
        check(vec, model);
    }
}

/// Runs programs on an arena, on a scope, and on a scope in a scope; after the collections are gone nothing is live.
macro_rules! random_programs_everywhere {
    ($run:ident) => {{
        let audit = Audit::new();
        random_programs(|ops| {
            let mut arena = HotArena::builder().within(&audit).build();
            $run(&arena, ops);
            assert_eq!(arena.stats().current_live, 0);
            arena.scope(|outer| {
                $run(&*outer, ops);
                assert_eq!(outer.stats().current_live, 0);
                let kept = outer.alloc_slice_fill_with(100, |i| i);
                outer.scope(|inner| $run(&*inner, ops));
                assert!(kept.iter().copied().eq(0..100));
            });
        });
        audit.expect_empty();
    }};
}

#[test]
fn random_programs_on_a_hash_table_match_the_standard_one() {
    random_programs_everywhere!(run_map);
}

#[test]
fn random_programs_on_a_vector_match_the_standard_one() {
    random_programs_everywhere!(run_vec);
}

#[test]
fn a_vector_that_was_allocated_last_grows_in_place() {
    let mut arena = HotArena::with_capacity(1 << 20);
    let grow = |vec: &mut dyn FnMut(u64) -> usize| {
        let first = vec(0);
        assert!((1..10_000).all(|i| vec(i) == first), "it moved");
    };
    {
        let mut vec = ApiVec::new_in(&arena);
        grow(&mut |i| {
            vec.push(i);
            vec.as_ptr().addr()
        });
        assert!(vec.iter().copied().eq(0..10_000));
        assert_eq!(arena.stats().peak_usage, vec.capacity() * 8, "never two of it");
        // Something else is allocated: it moves once, and grows there.
        let start = vec.as_ptr().addr();
        arena.alloc(1u8);
        vec.extend(0..10_000);
        assert_ne!(vec.as_ptr().addr(), start);
        vec.truncate(5);
        vec.shrink_to_fit();
        assert_eq!((vec.capacity(), &vec[..]), (5, &[0, 1, 2, 3, 4][..]));
    }
    arena.reset();
    arena.scope(|scope| {
        scope.alloc(1u8);
        let used = scope.used();
        let mut vec = ApiVec::new_in(&*scope);
        grow(&mut |i| {
            vec.push(i);
            vec.as_ptr().addr()
        });
        drop(vec);
        assert_eq!(scope.used(), used, "and its room is there again");
    });
}

#[test]
fn growing_to_a_stricter_alignment_moves_where_it_must() {
    let arena = HotArena::new();
    let _shift = arena.alloc(1u64);
    for align in [8, 16, 64, 4096, 1 << 16] {
        let old = layout(40, 8);
        let block = (&arena).allocate(old).unwrap().cast::<u8>();
        // SAFETY: a fresh block, then a live one with its layout each time, of which so many bytes are written.
        unsafe {
            block.write_bytes(9, 40);
            let grown = (&arena).grow(block, old, layout(100, align)).unwrap().cast::<u8>();
            assert!(grown.addr().get().is_multiple_of(align));
            assert_eq!(grown == block, block.addr().get().is_multiple_of(align), "in place if it is aligned already");
            assert!((0..40).all(|at| grown.add(at).read() == 9));
            // To a weaker one it stays.
            let shrunk = (&arena).shrink(grown, layout(100, align), layout(30, 1)).unwrap().cast::<u8>();
            assert_eq!(shrunk, grown);
            (&arena).deallocate(shrunk, layout(30, 1));
        }
    }
    assert_eq!(arena.stats().current_live, 8);
}

#[test]
fn a_full_arena_is_an_error_and_changes_nothing() {
    let arena = HotArena::builder().capacity(1000).fixed().build();
    let mut vec = ApiVec::new_in(&arena);
    vec.extend(0..100u64);
    let start = vec.as_ptr();
    assert!(vec.try_reserve(1000).is_err());
    assert_eq!((vec.as_ptr(), arena.stats().failed_allocations), (start, 1));
    assert!(vec.iter().copied().eq(0..100));
    let mut map: HashMap<u64, u64, DefaultHashBuilder, &HotArena> = HashMap::new_in(&arena);
    assert!(map.try_reserve(1000).is_err());
    assert!(map.is_empty());
    assert_eq!((&arena).allocate(layout(1000, 1)), Err(AllocError));
    assert_eq!(ApiBox::try_new_in([0u8; 1000], &arena).err(), Some(AllocError));
    // SAFETY: a live block of this layout, which stays.
    let grown =
        unsafe { (&arena).grow((&arena).allocate(layout(8, 8)).unwrap().cast(), layout(8, 8), layout(1000, 8)) };
    assert_eq!(grown, Err(AllocError));
}

#[test]
fn a_box_of_another_crate_drops_its_value_and_gives_the_room_back() {
    let before = tracked();
    let arena = HotArena::new();
    arena.alloc(1u64);
    let used = arena.used();
    let boxed = ApiBox::new_in(Tracked::<3>::new(5), &arena);
    assert_eq!((boxed.value(), address(&*boxed) % 8), (5, 0));
    drop(boxed);
    assert_eq!((tracked(), arena.used()), (before, used));
    let slice: ApiBox<[u16], _> = {
        let mut vec = ApiVec::with_capacity_in(100, &arena);
        vec.extend(0..10u16);
        vec.into_boxed_slice()
    };
    assert_eq!((slice.len(), arena.used()), (10, used + 24));
}
