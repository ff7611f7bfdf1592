//! Random programs on hash tables and vectors of other crates, beside the standard library's: `run` them in any region.

use std::collections::HashMap as StdMap;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as ApiVec;
use hashbrown::{DefaultHashBuilder, HashMap};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::elements::{Tracked, tracked};

/// One step on a map or a vector; which of them it means is up to the test.
#[derive(Clone, Debug)]
pub enum Op {
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

pub fn random_programs(run: impl Fn(&[Op])) {
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

pub fn run_map<A: Allocator + Copy>(region: A, ops: &[Op]) {
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

pub fn run_vec<A: Allocator + Copy>(region: A, ops: &[Op]) {
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
