//! The write barrier: whatever is stored wherever, the next collection finds it.
//!
//! What must be remembered is seen by the verifier, which is asked before each collection; what was not remembered in
//! time is stale after it. Most programs here are run with a list of remembered objects that is long enough, with one
//! that holds three, and with one that holds none: then the collector looks at all old objects.

use std::collections::BTreeSet;
use std::ptr::{self, NonNull};

use bhc_rts_alloc::general::{Collection, Collection::*, GeneralHeapBuilder, Header, Info, PtrArray};
use bhc_rts_alloc::{Align, Gc, GeneralHeap, Root};

use super::shapes::*;

/// How old an object is when something is stored in it, or when it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Young,
    /// Promoted.
    Old,
    /// Promoted, and copied by a full collection.
    Copied,
}

const AGES: [Age; 3] = [Age::Young, Age::Old, Age::Copied];

fn heap() -> GeneralHeapBuilder {
    GeneralHeap::builder().verify(true)
}

/// Runs `program` with each length of the list.
fn with_any_list(program: impl Fn(&mut GeneralHeap)) {
    for entries in [usize::MAX, 3, 0] {
        program(&mut heap().remembered(entries).build());
    }
}

/// What `make` makes, once for each age.
fn one_of_each<T>(heap: &mut GeneralHeap, mut make: impl FnMut(&mut GeneralHeap) -> T) -> [T; 3] {
    let copied = make(heap);
    heap.collect(Minor);
    heap.collect(Full);
    let old = make(heap);
    heap.collect(Minor);
    [make(heap), old, copied]
}

/// How many entries `body` makes the barrier remember.
fn remembered(heap: &GeneralHeap, body: impl FnOnce()) -> u64 {
    let before = heap.gc_stats().remembered;
    body();
    heap.gc_stats().remembered - before
}

#[test]
fn a_field_of_any_age_keeps_an_object_of_any_age() {
    with_any_list(|heap| {
        for (holder, value, kind) in cases() {
            let pairs = one_of_each(heap, |heap| (tree(heap, 0), tree(heap, 100)));
            let entries = remembered(heap, || {
                let to = pairs[value as usize].1.get(heap);
                heap.set(pairs[holder as usize].0.get(heap), Tree::left, Some(to));
            });
            assert_eq!(entries, u64::from(holder != Age::Young), "{holder:?} to {value:?}");
            heap.verify().unwrap();
            let holders = pairs.map(|(holder, _)| holder);
            heap.collect(kind);
            heap.collect(Minor);
            let kept = holders[holder as usize].get(heap).get(Tree::left).expect("what was stored");
            assert_eq!(kept.value, 100, "{holder:?} to {value:?}");
            // And it is kept no longer than it is stored.
            heap.set(holders[holder as usize].get(heap), Tree::left, None);
            heap.collect(Full);
            assert_eq!(heap.verify().unwrap().objects, 3, "{holder:?} to {value:?}");
        }
    });
}

fn cases() -> impl Iterator<Item = (Age, Age, Collection)> {
    let pairs = AGES.into_iter().flat_map(|holder| AGES.map(|value| (holder, value)));
    pairs.flat_map(|(holder, value)| [Minor, Full].map(|kind| (holder, value, kind)))
}

/// In one card, in several, in an array that is large.
const LENGTHS: [usize; 4] = [1, 61, 1000, 5000];

#[test]
fn an_element_of_an_array_of_any_age_keeps_an_object_of_any_age() {
    with_any_list(|heap| {
        for (holder, value, kind) in cases() {
            for len in LENGTHS {
                for at in [0, len / 3, len - 1] {
                    let pairs = one_of_each(heap, |heap| (heap.new_pointers::<Tree>(len), tree(heap, 100)));
                    let to = pairs[value as usize].1.get(heap);
                    heap.set_element(pairs[holder as usize].0.get(heap), at, Some(to));
                    heap.verify().unwrap();
                    let holders = pairs.map(|(holder, _)| holder);
                    heap.collect(kind);
                    heap.collect(Minor);
                    let array = holders[holder as usize].get(heap);
                    let filled: Vec<_> = (0..len).filter(|index| array.element(*index).is_some()).collect();
                    assert_eq!(filled, [at], "{holder:?} to {value:?}, {len}");
                    assert_eq!(array.element(at).unwrap().value, 100);
                }
            }
        }
    });
}

#[test]
fn an_object_may_be_stored_into_itself() {
    with_any_list(|heap| {
        for (at, root) in one_of_each(heap, |heap| tree(heap, 7)).into_iter().enumerate() {
            let before = root.get(heap);
            heap.set(before, Tree::right, Some(before));
            heap.collect(if at == 0 { Minor } else { Full });
            let after = root.get(heap);
            assert!(after.get(Tree::right).unwrap().ptr_eq(after) && after.value == 7);
        }
    });
}

#[test]
fn a_million_stores_into_an_object_are_one_entry() {
    let mut heap = heap().nursery(64 << 20).build();
    let (old, array) = (tree(&mut heap, 0), heap.new_pointers::<Number>(64 * 64));
    heap.collect(Full);
    let entries = remembered(&heap, || {
        let old = old.get(&heap);
        for i in 0..1_000_000 {
            heap.set(old, if i % 2 == 0 { Tree::left } else { Tree::right }, Some(old));
        }
    });
    assert_eq!(entries, 1);
    let value = number(&mut heap, 5);
    let entries = remembered(&heap, || {
        for i in 0..1_000_000 {
            heap.set_element(array.get(&heap), i * 61 % (64 * 64), Some(value.get(&heap)));
        }
    });
    // 64 elements are a card; the array is large, so its elements begin behind two words of a slice.
    assert_eq!(entries, 65);
    heap.collect(Minor);
    // All of that is forgotten, and the next store is remembered again.
    let entries = remembered(&heap, || {
        for _ in 0..3 {
            heap.set(old.get(&heap), Tree::left, None);
            heap.set_element(array.get(&heap), 0, None);
            heap.set_element(array.get(&heap), 1, None);
        }
    });
    assert_eq!(entries, 2);
    assert_eq!(heap.verify().unwrap().objects, 3);
}

#[test]
fn a_store_into_what_this_very_collection_promoted_is_remembered() {
    with_any_list(|heap| {
        // Each object is promoted, is stored into at once, and what is stored is promoted by the next collection.
        let first = tree(heap, 0);
        let mut last = first.clone();
        for value in 1..200 {
            heap.collect(if value % 7 == 0 { Full } else { Minor });
            let next = tree(heap, value);
            let entries = remembered(heap, || heap.set(last.get(heap), Tree::left, Some(next.get(heap))));
            assert_eq!(entries, 1);
            let root = heap.root(last.get(heap).get(Tree::left).unwrap());
            last = root;
        }
        heap.collect(Minor);
        let chain = std::iter::successors(Some(first.get(heap)), |tree| tree.get(Tree::left));
        assert!(chain.map(|tree| tree.value).eq(0..200));
    });
}

#[test]
fn a_young_object_between_old_ones_is_found_through_them() {
    with_any_list(|heap| {
        // old -> young -> young -> old, and back.
        let (first, last) = (tree(heap, 1), tree(heap, 4));
        heap.collect(Minor);
        let third = heap.new_root::<Tree>(TreeInit { left: Some(&last), right: Some(&first), value: 3 });
        let second = heap.new_root::<Tree>(TreeInit { left: Some(&third), right: None, value: 2 });
        heap.set(first.get(heap), Tree::left, Some(second.get(heap)));
        heap.set(last.get(heap), Tree::right, Some(third.get(heap)));
        drop((second, third, last));
        heap.collect(Minor);
        let first = first.get(heap);
        let chain = std::iter::successors(Some(first), |tree| tree.get(Tree::left));
        assert!(chain.map(|tree| tree.value).eq(1..=4));
        let third = first.get(Tree::left).unwrap().get(Tree::left).unwrap();
        assert!(third.get(Tree::right).unwrap().ptr_eq(first));
        assert!(third.get(Tree::left).unwrap().get(Tree::right).unwrap().ptr_eq(third));
    });
}

/// An old object that stands among others.
enum Neighbour {
    Array(Root<PtrArray<Number>>),
    Tree(Root<Tree>),
    Cons(Root<Cons>),
}

/// Where an array's first element is, in words of its card.
fn offset_of(array: Gc<'_, PtrArray<Number>>) -> usize {
    array.as_ref().as_ptr().addr() / 8 % 64
}

#[test]
fn arrays_that_share_granules_and_cards_with_their_neighbours_lose_nothing() {
    for entries in [usize::MAX, 100] {
        let mut heap = heap().nursery(4 << 20).remembered(entries).build();
        let mut random = Random::new(5);
        // Short arrays, arrays of about a card, and between them objects whose first words are in the granules of the
        // arrays' last ones.
        let neighbours: Vec<_> = (0..6000)
            .map(|_| match random.below(6) {
                0 => Neighbour::Tree(tree(&mut heap, 0)),
                1 => Neighbour::Cons(list(&mut heap, 1)),
                2 => Neighbour::Array(heap.new_pointers(60 + random.below(72))),
                _ => Neighbour::Array(heap.new_pointers(random.below(5))),
            })
            .collect();
        let all_offsets_occur = |heap: &GeneralHeap| {
            let mut starts = BTreeSet::new();
            for neighbour in &neighbours {
                if let Neighbour::Array(array) = neighbour {
                    let array = array.get(heap);
                    starts.insert((array.len().min(4), offset_of(array)));
                }
            }
            starts.len() == 5 * 64
        };
        heap.collect(Minor);
        assert!(all_offsets_occur(&heap));
        for round in 0..24 {
            // One element of each: the first, the last, the one before or behind the edge of a card, or any.
            let mut stored = Vec::new();
            let value = number(&mut heap, round);
            let mut order: Vec<usize> = (0..neighbours.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order.into_iter().filter(|at| round < 12 || at % 3 == round as usize % 3) {
                let to = Some(value.get(&heap));
                match &neighbours[at] {
                    Neighbour::Tree(tree) => heap.set(tree.get(&heap), Tree::right, Some(tree.get(&heap))),
                    Neighbour::Cons(cons) => heap.set(cons.get(&heap), Cons::tail, Some(cons.get(&heap))),
                    Neighbour::Array(array) => {
                        let array = array.get(&heap);
                        let Some(last) = array.len().checked_sub(1) else { continue };
                        let edge = (64 - offset_of(array)) % 64;
                        let index = match round / 2 % 6 {
                            0 => 0,
                            1 => last,
                            2 => edge.min(last),
                            3 => edge.saturating_sub(1).min(last),
                            4 => (edge + 63).min(last),
                            _ => random.below(last + 1),
                        };
                        heap.set_element(array, index, to);
                        stored.push((at, index));
                    }
                }
            }
            drop(value);
            heap.verify().unwrap();
            heap.collect(if round % 8 == 7 { Full } else { Minor });
            let mut values = BTreeSet::new();
            for (at, index) in &stored {
                let Neighbour::Array(array) = &neighbours[*at] else { unreachable!() };
                let number = array.get(&heap).element(*index).unwrap();
                values.insert((number.value, &raw const *number.as_ref()));
                heap.set_element(array.get(&heap), *index, None);
            }
            assert!(values.len() == 1 && values.iter().all(|(value, _)| *value == round));
            for neighbour in &neighbours {
                match neighbour {
                    Neighbour::Array(array) => assert!(array.get(&heap).iter().all(|field| field.get().is_none())),
                    Neighbour::Tree(tree) => assert_eq!(tree.get(&heap).value, 0),
                    Neighbour::Cons(cons) => assert_eq!(cons.get(&heap).head, 0),
                }
            }
        }
    }
}

#[test]
fn elements_that_are_copied_in_bulk_are_found_and_may_overlap() {
    with_any_list(|heap| {
        for len in LENGTHS {
            for (from, at, count) in
                [(0, 0, len), (0, 1, len - 1), (1, 0, len - 1), (0, len / 2, len / 2), (0, len - 1, 1)]
            {
                let array = heap.new_pointers::<Number>(len);
                heap.collect(Minor);
                let mut model: Vec<_> = (0..len as u64).map(|value| (value % 3 != 0).then_some(value)).collect();
                for (index, value) in model.iter().enumerate() {
                    let number = value.map(|value| number(heap, value));
                    heap.set_element(array.get(heap), index, number.as_ref().map(|number| number.get(heap)));
                }
                let read = |heap: &GeneralHeap, array: &Root<PtrArray<Number>>| -> Vec<_> {
                    array.get(heap).iter().map(|field| field.get().map(|number| number.value)).collect()
                };
                // Within the array, whose elements are young.
                heap.copy_elements(array.get(heap), from..from + count, array.get(heap), at);
                model.copy_within(from..from + count, at);
                heap.verify().unwrap();
                assert_eq!(read(heap, &array), model);
                heap.collect(Minor);
                assert_eq!(read(heap, &array), model);
                // From a young array to an old one.
                let young = heap.new_pointers::<Number>(len);
                let value = number(heap, 9999);
                (0..len).for_each(|index| heap.set_element(young.get(heap), index, Some(value.get(heap))));
                drop(value);
                heap.copy_elements(young.get(heap), from..from + count, array.get(heap), at);
                model[at..at + count].fill(Some(9999));
                drop(young);
                heap.verify().unwrap();
                heap.collect(Minor);
                assert_eq!(read(heap, &array), model);
                // And to a young one.
                let young = heap.new_pointers::<Number>(len);
                heap.copy_elements(array.get(heap), from..from + count, young.get(heap), at);
                drop(array);
                heap.collect(Full);
                let mut expected = vec![None; len];
                expected[at..at + count].copy_from_slice(&model[from..from + count]);
                assert_eq!(read(heap, &young), expected);
            }
        }
    });
}

#[test]
fn what_is_copied_must_be_there_and_fit() {
    let mut heap = heap().build();
    let (long, short) = (heap.new_pointers::<Number>(10), heap.new_pointers::<Number>(3));
    let copy = |range: std::ops::Range<usize>, at| {
        panic_of(|| heap.copy_elements(long.get(&heap), range, short.get(&heap), at))
    };
    assert!(copy(0..4, 0).contains("do not fit"));
    assert!(copy(0..1, 3).contains("do not fit"));
    assert!(copy(0..0, 4).contains("do not fit"));
    assert!(copy(0..1, usize::MAX).contains("do not fit"));
    assert!(copy(9..11, 0).contains("out of range"));
    heap.copy_elements(long.get(&heap), 10..10, short.get(&heap), 3);
    let text = panic_of(|| heap.set_element(short.get(&heap), 3, None));
    assert!(text.contains("element 3 of an array of 3"), "{text}");
    heap.verify().unwrap();
}

#[test]
fn a_thunk_of_any_age_may_be_updated_with_a_value_of_any_age_and_tag() {
    // A black hole has a thunk's shape, and nothing in it that must be kept.
    static BLACK_HOLE: Info = Info::fixed("Black hole", 0, 2);
    with_any_list(|heap| {
        let raw = heap.raw();
        let cases = AGES.into_iter().flat_map(|thunk| AGES.map(|value| (thunk, value)));
        for (number, (thunk_age, value_age)) in cases.enumerate() {
            for tag in 0..8 {
                // SAFETY: everything is initialised at once, and on the shadow stack while anything collects: three
                // thunks, three values.
                unsafe {
                    for slot in 0..3 {
                        let thunk = raw.alloc(&THUNK).unwrap().as_ptr();
                        raw.word(thunk, 0).write(ptr::null_mut());
                        raw.word(thunk, 1).cast::<usize>().write(usize::MAX);
                        raw.push(thunk);
                        raw.push(leaf(raw, 1000 + slot).as_ptr());
                        if slot < 2 {
                            raw.collect(Minor);
                        }
                        if slot == 0 {
                            raw.collect(Full);
                        }
                    }
                    let slot_of = |age: Age| 4 - 2 * age as usize;
                    let thunk = NonNull::new(raw.slot(slot_of(thunk_age)).read()).unwrap();
                    let value = raw.slot(slot_of(value_age) + 1).read().map_addr(|address| address | tag);
                    if number % 2 == 0 {
                        raw.set_info(thunk, &BLACK_HOLE);
                    }
                    raw.update(thunk, NonNull::new(value).unwrap());
                    assert_eq!(raw.follow(thunk.as_ptr()), value);
                    // The thunk is all that keeps the value.
                    raw.slot(0).write(thunk.as_ptr().map_addr(|address| address | 1));
                    raw.truncate(1);
                    raw.collect(if tag % 2 == 0 { Minor } else { Full });
                    let expected = 1000 + (2 - value_age as usize);
                    let after = raw.follow(raw.slot(0).read());
                    assert_eq!((value_of(raw, after), after.addr() & 7), (expected, tag));
                    raw.collect(Full);
                    // What leads to the thunk leads to the value now, with its tag.
                    let after = raw.pop();
                    assert_eq!(raw.follow(after), after);
                    assert_eq!((value_of(raw, after), after.addr() & 7), (expected, tag));
                }
            }
        }
        // SAFETY: nothing is on the shadow stack.
        unsafe { heap.raw().collect(Full) };
        assert_eq!(heap.verify().unwrap().objects, 0);
    });
}

#[test]
fn a_root_may_be_pointed_from_old_to_young_and_back() {
    with_any_list(|heap| {
        // So many that the collector looks at a part of them only: at those near one that was written. The roots of new objects
        // are far from the ones that change.
        let mut roots: Vec<_> = (0..10_000).map(|value| number(heap, value)).collect();
        let anchors: Vec<_> = (0..100).map(|value| number(heap, 1_000_000 + value)).collect();
        heap.collect(Full);
        let mut model: Vec<u64> = (0..10_000).collect();
        for round in 0..10 {
            for at in (round..roots.len()).step_by(1999) {
                if (at + round) % 3 == 0 {
                    let old = anchors[at % 100].get(heap);
                    roots[at].set(heap, old);
                    model[at] = old.value;
                } else {
                    model[at] = (round * 10_000 + at) as u64;
                    let young = number(heap, model[at]);
                    roots[at].set(heap, young.get(heap));
                }
            }
            heap.verify().unwrap();
            heap.collect(if round % 4 == 3 { Full } else { Minor });
            assert!(roots.iter().map(|root| root.get(heap).value).eq(model.iter().copied()));
        }
        // A slot that was free, among ones that nobody has written.
        for at in [9000, 6000, 3000, 0] {
            drop(roots.swap_remove(at));
            let young = number(heap, at as u64);
            heap.collect(Minor);
            assert_eq!(young.get(heap).value, at as u64);
        }
    });
}

#[test]
fn static_objects_and_callbacks_need_no_barrier() {
    unsafe extern "C" fn show(visitor: &mut bhc_rts_alloc::general::raw::RootVisitor<'_>, data: *mut std::ffi::c_void) {
        // SAFETY: what the test below registered: a slot.
        unsafe { visitor.slot(data.cast()) };
    }
    with_any_list(|heap| {
        let raw = heap.raw();
        let mut cell = Box::new([ptr::null_mut::<Header>(); 3]);
        let mut slot: *mut Header = ptr::null_mut();
        // SAFETY: a static object is a header and its payload: written as an object of the heap is, and copied out.
        // Both stay as long as the heap is used.
        unsafe {
            let model = raw.alloc(&CELL).unwrap().as_ptr();
            raw.word(model, 0).write(ptr::null_mut());
            raw.word(model, 1).cast::<usize>().write(0);
            let cell = NonNull::from(&mut *cell).cast::<*mut Header>();
            cell.copy_from_nonoverlapping(NonNull::new_unchecked(model.cast()), 3);
            raw.register_static(cell.cast()).unwrap();
            raw.set_root_callback(Some(show), (&raw mut slot).cast());
            for round in 0..20 {
                // From nothing to young; from old to young; and it stays old for a while.
                if round % 3 != 2 {
                    cell.add(1).write(leaf(raw, round).as_ptr());
                    (&raw mut slot).write(leaf(raw, 100 + round).as_ptr().map_addr(|address| address | 5));
                }
                raw.collect(if round % 5 == 4 { Full } else { Minor });
                let last = round - round % 3 + (round % 3).min(1);
                assert_eq!(value_of(raw, cell.add(1).read()), last);
                let shown = (&raw const slot).read();
                assert_eq!((value_of(raw, shown), shown.addr() & 7), (100 + last, 5));
            }
            cell.add(1).write(ptr::null_mut());
            raw.set_root_callback(None, ptr::null_mut());
            raw.collect(Full);
        }
        assert_eq!(heap.verify().unwrap().objects, 0);
    });
}

#[test]
fn large_objects_are_old_from_birth_and_may_be_born_with_young_fields() {
    with_any_list(|heap| {
        let young = number(heap, 1);
        let inner = heap.new_root::<Wide>(WideInit { first: Some(&young), second: None, padding: [2; LARGE] });
        let outer = heap.new_root::<Wide>(WideInit { first: None, second: Some(&inner), padding: [3; LARGE] });
        drop((young, inner));
        heap.verify().unwrap();
        assert_eq!(heap.verify().unwrap().old_to_young, 1);
        heap.collect(Minor);
        // Stored into later, twice between the same collections.
        for value in [10, 11] {
            let young = number(heap, value);
            heap.set(outer.get(heap), Wide::first, Some(young.get(heap)));
        }
        heap.collect(Minor);
        let outer = outer.get(heap);
        let inner = outer.get(Wide::second).unwrap();
        assert_eq!((outer.get(Wide::first).unwrap().value, inner.get(Wide::first).unwrap().value), (11, 1));
        assert_eq!((outer.padding[LARGE - 1], inner.padding[0]), (3, 2));
    });
}

#[test]
fn large_objects_made_in_a_reservation_are_remembered_too() {
    with_any_list(|heap| {
        let space = heap.reserve(1000);
        let young = space.new_gc::<Number>(NumberInit { value: 1 });
        let wide = space.new_gc::<Wide>(WideInit { first: Some(young), second: None, padding: [2; LARGE] });
        let array = space.try_new_pointers::<Wide>(3 * LARGE).unwrap();
        space.heap().set_element(array, 3 * LARGE - 1, Some(wide));
        let root = space.heap().root(array);
        heap.verify().unwrap();
        heap.collect(Minor);
        let wide = root.get(heap).element(3 * LARGE - 1).unwrap();
        assert_eq!((wide.padding[5], wide.get(Wide::first).unwrap().value), (2, 1));
    });
}

#[test]
fn large_shapes_of_all_kinds_are_born_with_young_fields() {
    static WIDE: Info = Info::fixed("Wide", 1500, 10);
    static STRIPED: Info = Info::bitmap("Striped", 1500, &[0xaaaa_aaaa_aaaa_aaaa; 24]);
    with_any_list(|heap| {
        let raw = heap.raw();
        for kind in [Minor, Full] {
            // SAFETY: all pointers are initialised with nothing before anything else is allocated, and the three
            // objects are on the shadow stack.
            unsafe {
                let clear = |object, words| (0..words).for_each(|index| raw.word(object, index).write(ptr::null_mut()));
                raw.push(raw.alloc(&WIDE).unwrap().as_ptr());
                clear(raw.slot(0).read(), 1510);
                raw.push(raw.alloc(&STRIPED).unwrap().as_ptr());
                clear(raw.slot(1).read(), 1500);
                raw.push(raw.alloc_array(&POINTERS, 1500).unwrap().as_ptr());
                (0..1500).for_each(|index| raw.word(raw.slot(2).read(), 1 + index).write(ptr::null_mut()));
                // Initialising needs no barrier, as long as nothing collects.
                assert!(raw.reserve(1500 * 2));
                for index in (1..1500).step_by(2) {
                    let young = raw.alloc_reserved(&LEAF).unwrap().as_ptr();
                    raw.word(young, 0).cast::<usize>().write(index);
                    raw.word(raw.slot(0).read(), index).write(young);
                    raw.word(raw.slot(1).read(), index).write(young);
                    raw.word(raw.slot(2).read(), 1 + index).write(young);
                }
                // What is no pointer may look like one.
                raw.word(raw.slot(1).read(), 0).write(raw.slot(0).read().wrapping_byte_add(8));
                raw.collect(kind);
                for index in (1..1500).step_by(2) {
                    let young = raw.word(raw.slot(0).read(), index).read();
                    assert_eq!(value_of(raw, young), index);
                    assert_eq!(raw.word(raw.slot(1).read(), index).read(), young);
                    assert_eq!(raw.word(raw.slot(2).read(), 1 + index).read(), young);
                }
                raw.truncate(0);
            }
        }
    });
}

#[test]
fn data_needs_no_barrier() {
    let mut heap = heap().build();
    let array = heap.new_zeroed::<u64, Align<8>>(100);
    let large = heap.new_zeroed::<u64, Align<64>>(10_000);
    heap.collect(Full);
    for i in 0..100 {
        heap.data_mut(&array)[i] = i as u64;
        heap.data_mut(&large)[99 * i] = i as u64;
    }
    assert_eq!(heap.gc_stats().remembered, 0);
    heap.collect(Minor);
    let sum = |data: &[u64]| data.iter().sum::<u64>();
    assert_eq!((sum(&array.get(&heap)), sum(&large.get(&heap))), (4950, 4950));
}
