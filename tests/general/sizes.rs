//! Objects of all sizes, at all alignments, in graphs of all shapes.

use std::collections::BTreeMap;
use std::ptr::{self, NonNull};

use bhc_rts_alloc::general::{Array, Collection::*, Info, Object};
use bhc_rts_alloc::{Align, Gc, GeneralHeap, KnownAlign, Root, gc_object};

use super::child::skipped;
use super::shapes::*;

gc_object! {
    /// Nothing but a header, and what that needs.
    pub struct Unit / UnitInit {}
    /// Fields that are smaller than words, and not at the ends of words.
    pub struct Crumbs / CrumbsInit {
        ptr next: Crumbs,
        data a: u8,
        data b: [u8; 3],
        data c: u16,
        data d: (),
        cell e: bool,
        cell f: [u8; 5],
    }
    /// More words than 16 bits can count.
    pub struct Long / LongInit { ptr next: Long, data bytes: [u8; 600_000], }
}

#[test]
fn objects_without_fields_are_objects() {
    let mut heap = GeneralHeap::builder().verify(true).build();
    let units: Vec<_> = (0..100).map(|_| heap.new_root::<Unit>(UnitInit {})).collect();
    let array = heap.new_pointers::<Unit>(100);
    for (at, unit) in units.iter().enumerate() {
        heap.set_element(array.get(&heap), at, Some(unit.get(&heap)));
    }
    assert_eq!(Unit::BYTES, 16);
    for kind in [Minor, Full, Full] {
        heap.collect(kind);
        for (at, unit) in units.iter().enumerate() {
            let unit = unit.get(&heap);
            assert!(array.get(&heap).element(at).unwrap().ptr_eq(unit));
            assert!(units[..at].iter().all(|other| !other.get(&heap).ptr_eq(unit)));
        }
    }
    assert_eq!(heap.verify().unwrap().reachable, 101);
}

#[test]
fn fields_of_less_than_a_word_keep_their_values() {
    let mut heap = GeneralHeap::builder().verify(true).build();
    let init = |seed: u8| CrumbsInit {
        next: None,
        a: seed,
        b: [seed, 1, 2],
        c: u16::from(seed) * 257,
        d: (),
        e: seed < 100,
        f: [3, seed, 4, seed, 5],
    };
    let all: Vec<_> = (0..=255).map(|seed| heap.new_root::<Crumbs>(init(seed))).collect();
    for pair in all.windows(2) {
        heap.set(pair[0].get(&heap), Crumbs::next, Some(pair[1].get(&heap)));
    }
    for kind in [Minor, Full] {
        heap.collect(kind);
        for (seed, root) in (0..=255).zip(&all) {
            let (crumbs, expected) = (root.get(&heap), init(seed));
            assert_eq!((crumbs.a, crumbs.b, crumbs.c, crumbs.d), (expected.a, expected.b, expected.c, ()));
            assert_eq!((crumbs.e.get(), crumbs.f.get()), (expected.e, expected.f));
            assert_eq!(crumbs.get(Crumbs::next).map(|next| next.a), seed.checked_add(1));
            crumbs.e.set(crumbs.e.get());
        }
    }
}

#[test]
fn an_object_may_have_more_than_65536_fields() {
    static WIDE: Info = Info::fixed("Wide", 100_000, 7);
    // The last of each four, or the last but one: in turn, for 64 words each.
    static STRIPES: [u64; 1563] = {
        let mut stripes = [0x8888_8888_8888_8888; 1563];
        let mut at = 1;
        while at < stripes.len() {
            stripes[at] >>= 1;
            at += 2;
        }
        stripes
    };
    static STRIPED: Info = Info::bitmap("Striped", 100_000, &STRIPES);
    let is_striped = |index: usize| index % 4 == 3 - index / 64 % 2;
    let mut heap = GeneralHeap::builder().verify(true).nursery(8 << 20).build();
    let raw = heap.raw();
    // SAFETY: all words are initialised before anything else is allocated; both objects are on the shadow stack.
    unsafe {
        for info in [&WIDE, &STRIPED] {
            let object = raw.alloc(info).unwrap().as_ptr();
            (0..100_000).for_each(|index| raw.word(object, index).write(ptr::null_mut()));
            raw.push(object);
        }
        for index in 0..100_000 {
            let leaf = leaf(raw, index).as_ptr();
            raw.write(raw.slot(0).read(), index, leaf);
            if is_striped(index) {
                raw.write(raw.slot(1).read(), index, leaf);
            }
        }
        for kind in [Minor, Full, Full] {
            raw.collect(kind);
            for index in 0..100_000 {
                let field = raw.word(raw.slot(0).read(), index).read();
                assert_eq!(value_of(raw, field), index);
                let stripe = raw.word(raw.slot(1).read(), index).read();
                assert_eq!(stripe, if is_striped(index) { field } else { ptr::null_mut() });
            }
        }
        raw.truncate(0);
        raw.collect(Full);
    }
    assert_eq!(heap.verify().unwrap().objects, 0);

    let mut list: Option<Root<Long>> = None;
    for byte in 0..3 {
        list = Some(heap.new_root::<Long>(LongInit { next: list.as_ref(), bytes: [byte; 600_000] }));
    }
    heap.collect(Full);
    let list = list.unwrap();
    let all = std::iter::successors(Some(list.get(&heap)), |long| long.get(Long::next));
    assert!(all.map(|long| (long.bytes[0], long.bytes[599_999])).eq([(2, 2), (1, 1), (0, 0)]));
}

#[test]
fn objects_around_the_size_from_which_they_are_large() {
    let mut heap = GeneralHeap::builder().verify(true).build();
    for words in LARGE - 5..LARGE + 5 {
        let (before, allocated) = (heap.report(), heap.gc_stats().bytes_allocated);
        let pointers = heap.new_pointers::<Number>(words - 2);
        let data = heap.new_data::<u64, Align<8>>(&vec![words as u64; words - 2]);
        let large = heap.report().large - before.large;
        let expected = if words < LARGE { 0 } else { 2 * (words * 8).next_multiple_of(SLICE) };
        assert_eq!(large, expected, "{words}");
        let taken = if words < LARGE { 2 * words * 8 } else { expected };
        assert_eq!(heap.gc_stats().bytes_allocated - allocated, taken as u64);
        let value = number(&mut heap, 1);
        heap.set_element(pointers.get(&heap), words - 3, Some(value.get(&heap)));
        for kind in [Minor, Full] {
            heap.collect(kind);
            assert_eq!(pointers.get(&heap).element(words - 3).unwrap().value, 1);
            assert!(data.get(&heap).iter().all(|value| *value == words as u64));
        }
    }
    heap.collect(Full);
    let verified = heap.verify().unwrap();
    assert_eq!((verified.objects, heap.report().large), (0, 0));
}

#[test]
fn an_array_may_have_more_than_4_gib() {
    const LEN: usize = (4 << 30) + 12_345;
    if cfg!(target_pointer_width = "32") || cfg!(bhc_asan) {
        return skipped("an array of 4 GiB: no addresses for it, or a sanitizer that writes some for each");
    }
    let mut heap = GeneralHeap::new();
    let raw = heap.raw();
    // SAFETY: it has no pointers; what is read was written. It is on the shadow stack, and large objects do not move.
    unsafe {
        // Only what is written is memory.
        let Some(array) = raw.alloc_array(&BYTES, LEN) else {
            return skipped("an array of 4 GiB: the system gives no memory for it");
        };
        raw.push(array.as_ptr());
        let bytes = raw.word(array.as_ptr(), 1).cast::<u8>();
        let marks = [0, 1 << 31, (4 << 30) - 1, 4 << 30, LEN - 1];
        for (value, at) in (1..).zip(marks) {
            bytes.add(at).write(value);
        }
        for kind in [Full, Minor, Full] {
            raw.collect(kind);
            assert_eq!((raw.slot(0).read(), raw.word(array.as_ptr(), 0).cast::<usize>().read()), (array.as_ptr(), LEN));
            assert!((1..).zip(marks).all(|(value, at)| bytes.add(at).read() == value));
        }
        raw.pop();
    }
    assert_eq!(heap.report().large, (LEN + 16).next_multiple_of(SLICE));
    heap.collect(Full);
    assert_eq!((heap.report().large, heap.gc_stats().bytes_large), (0, (LEN + 16).next_multiple_of(SLICE) as u64));
}

/// Arrays at one alignment, of lengths around what matters, kept through collections while others come and go beside
/// them.
fn is_kept<A: KnownAlign>() {
    let mut heap = GeneralHeap::builder().verify(true).nursery(256 << 10).build();
    let mut arrays = Vec::new();
    let edges = [0, 8, A::BYTES, 2 * A::BYTES, SLICE - A::BYTES.min(SLICE), SLICE, 3 * SLICE];
    for len in edges.into_iter().flat_map(|edge| edge.saturating_sub(9)..edge + 10) {
        let data: Vec<u8> = (0..len).map(|at| (at * 31 + len) as u8).collect();
        arrays.push((heap.new_data::<u8, A>(&data), data));
        number(&mut heap, 1); // so that not everything is in step
    }
    for round in 0..6 {
        for (array, data) in &arrays {
            let array = array.get(&heap);
            assert!(array.as_ptr().addr().is_multiple_of(A::BYTES), "{:p} for {}", array.as_ptr(), A::BYTES);
            assert_eq!(array[..], data[..]);
        }
        heap.collect(if round % 2 == 0 { Minor } else { Full });
        let mut at = 0;
        arrays.retain(|_| {
            at += 1;
            at % 7 != round
        });
    }
    drop(arrays);
    heap.collect(Full);
    assert_eq!(heap.verify().unwrap().objects, 0);
}

#[test]
fn alignments_from_8_to_32768_are_kept_through_collections() {
    is_kept::<Align<8>>();
    is_kept::<Align<16>>();
    is_kept::<Align<32>>();
    is_kept::<Align<64>>();
    is_kept::<Align<128>>();
    is_kept::<Align<256>>();
    is_kept::<Align<512>>();
    is_kept::<Align<1024>>();
    is_kept::<Align<2048>>();
    is_kept::<Align<4096>>();
    is_kept::<Align<8192>>();
    is_kept::<Align<16384>>();
    is_kept::<Align<32768>>();
}

#[test]
fn elements_are_aligned_even_if_nobody_asked() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(C, align(64))]
    struct Line([u8; 64]);
    let mut heap = GeneralHeap::builder().verify(true).build();
    number(&mut heap, 0);
    let lines = heap.new_data::<Line, Align<64>>(&[Line([7; 64]); 5]);
    let wide = heap.new_data::<u128, Align<16>>(&[u128::MAX / 3; 5]);
    let odd = heap.new_data::<[u8; 3], Align<8>>(&[[1, 2, 3]; 1001]);
    for kind in [Minor, Full] {
        heap.collect(kind);
        assert_eq!(lines.get(&heap)[4], Line([7; 64]));
        assert_eq!(wide.get(&heap)[4], u128::MAX / 3);
        assert!(odd.get(&heap).iter().all(|element| *element == [1, 2, 3]));
        assert_eq!(odd.get(&heap).len(), 1001);
    }
}

#[test]
fn what_no_memory_could_hold_is_refused() {
    let mut heap = GeneralHeap::new();
    let overflow = |error: bhc_rts_alloc::AllocError| matches!(error, bhc_rts_alloc::AllocError::Overflow);
    for len in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8 + 1] {
        assert!(overflow(heap.try_new_pointers::<Tree>(len).unwrap_err()), "{len}");
        assert!(overflow(heap.try_new_zeroed::<u64, Align<8>>(len).unwrap_err()), "{len}");
        // SAFETY: it is not there.
        assert!(unsafe { heap.raw().alloc_array(&POINTERS, len) }.is_none());
    }
    // An address space could, this heap's cannot.
    for len in [1 << 40, isize::MAX as usize / 8 - (1 << 20)] {
        assert!(!overflow(heap.try_new_pointers::<Tree>(len).unwrap_err()), "{len}");
    }
    assert_eq!(heap.verify().unwrap().objects, 0);
    number(&mut heap, 1);
}

/// Cells of the longest list, and levels of the deepest tree.
const LONG: u64 = 10_000_000;

#[test]
fn a_list_of_ten_million_cells_takes_no_stack() {
    let mut heap = GeneralHeap::new();
    let list = list(&mut heap, LONG);
    heap.collect(Full);
    let mut expected = (0..LONG).rev();
    let mut at = Some(list.get(&heap));
    while let Some(cons) = at {
        assert_eq!(Some(cons.head), expected.next());
        at = cons.get(Cons::tail);
    }
    assert_eq!((expected.next(), heap.gc_stats().live_after_full as u64), (None, LONG * 24));
    heap.verify().unwrap(); // nor does the verifier
    drop(list);
    heap.collect(Full);
    assert_eq!(heap.gc_stats().live_after_full, 0);
}

#[test]
fn a_tree_of_ten_million_levels_takes_no_stack() {
    let mut heap = GeneralHeap::new();
    let leaf = tree(&mut heap, u64::MAX);
    let mut root = leaf.clone();
    for value in 0..LONG {
        root = heap.new_root::<Tree>(TreeInit { left: Some(&root), right: Some(&leaf), value });
    }
    heap.collect(Full);
    let (mut at, leaf) = (root.get(&heap), leaf.get(&heap));
    for value in (0..LONG).rev() {
        assert!(at.value == value && at.get(Tree::right).unwrap().ptr_eq(leaf));
        at = at.get(Tree::left).unwrap();
    }
    assert!(at.ptr_eq(leaf));
}

/// How many objects there are after everything that can go has gone.
fn objects(heap: &mut GeneralHeap) -> usize {
    heap.collect(Full);
    let verified = heap.verify().unwrap();
    assert_eq!(verified.objects, verified.reachable);
    verified.objects
}

#[test]
fn circles_live_as_long_as_they_are_reached_and_go_as_a_whole() {
    let mut heap = GeneralHeap::builder().verify(true).nursery(64 << 10).build();
    for len in [1, 2, 3, 1000, 50_000] {
        let first = tree(&mut heap, 0);
        let mut last = first.clone();
        for value in 1..len {
            let next = heap.new_root::<Tree>(TreeInit { left: None, right: Some(&last), value });
            heap.set(last.get(&heap), Tree::left, Some(next.get(&heap)));
            last = next;
        }
        heap.set(last.get(&heap), Tree::left, Some(first.get(&heap)));
        heap.set(first.get(&heap), Tree::right, Some(last.get(&heap)));
        drop(last);
        assert_eq!(objects(&mut heap) as u64, len);
        let mut at = first.get(&heap);
        for value in 0..3 * len {
            assert_eq!(at.value, value % len);
            assert!(at.get(Tree::left).unwrap().get(Tree::right).unwrap().ptr_eq(at));
            at = at.get(Tree::left).unwrap();
        }
        drop(first);
        assert_eq!(objects(&mut heap), 0);
    }
}

#[test]
fn everything_may_point_to_everything() {
    const LEN: usize = 80;
    let mut heap = GeneralHeap::builder().verify(true).build();
    // Arrays of arrays cannot be typed without an object between them.
    gc_object! { pub struct Node / NodeInit { ptr edges: bhc_rts_alloc::general::PtrArray<Node>, data value: usize, } }
    let nodes: Vec<_> = (0..LEN)
        .map(|value| {
            let edges = heap.new_pointers::<Node>(LEN);
            heap.new_root::<Node>(NodeInit { edges: Some(&edges), value })
        })
        .collect();
    for from in &nodes {
        let edges = from.get(&heap).get(Node::edges).unwrap();
        for (at, to) in nodes.iter().enumerate() {
            heap.set_element(edges, at, Some(to.get(&heap)));
        }
    }
    let one = nodes[17].clone();
    drop(nodes);
    for _ in 0..3 {
        assert_eq!(objects(&mut heap), 2 * LEN);
        let edges = one.get(&heap).get(Node::edges).unwrap().as_ref();
        let all: Vec<_> = edges.iter().map(|field| field.get().unwrap()).collect();
        for (value, node) in all.iter().enumerate() {
            assert_eq!(node.value, value);
            let edges = node.get(Node::edges).unwrap();
            assert!((0..LEN).all(|at| edges.element(at).unwrap().ptr_eq(all[at])));
        }
    }
    drop(one);
    assert_eq!(objects(&mut heap), 0);
}

#[test]
fn what_is_shared_stays_shared() {
    let mut heap = GeneralHeap::builder().verify(true).build();
    // 2^60 ways lead to the last one.
    let mut root = tree(&mut heap, 0);
    for value in 1..=60 {
        root = heap.new_root::<Tree>(TreeInit { left: Some(&root), right: Some(&root), value });
        if value % 20 == 0 {
            heap.collect(Minor);
        }
    }
    assert_eq!(objects(&mut heap), 61);
    let mut at: Gc<'_, Tree> = root.get(&heap);
    while let (Some(left), Some(right)) = (at.get(Tree::left), at.get(Tree::right)) {
        assert!(left.ptr_eq(right) && left.value + 1 == at.value);
        at = left;
    }
    assert_eq!(at.value, 0);
}

#[test]
fn a_million_roots_may_go_in_any_order() {
    const ROOTS: usize = 1_000_000;
    let mut heap = GeneralHeap::new();
    let mut random = Random::new(1);
    let mut roots: Vec<_> = (0..ROOTS as u64).map(|value| (value, number(&mut heap, value))).collect();
    assert_eq!(heap.root_count(), ROOTS);
    for left in [ROOTS, ROOTS / 2, 1000, 1, 0] {
        while roots.len() > left {
            roots.swap_remove(random.below(roots.len()));
        }
        assert_eq!((heap.root_count(), objects(&mut heap)), (left, left));
        assert!(roots.iter().all(|(value, root)| root.get(&heap).value == *value));
    }
    // Slots that are free serve again.
    let again: Vec<_> = (0..1000).map(|value| number(&mut heap, value)).collect();
    assert_eq!(objects(&mut heap), 1000);
    drop(again);
}

#[test]
fn a_million_roots_may_outlive_their_heap() {
    let mut heap = GeneralHeap::new();
    let object = number(&mut heap, 1);
    let mut roots: Vec<_> = (0..1_000_000).map(|_| object.clone()).collect();
    drop(heap);
    let mut random = Random::new(2);
    while !roots.is_empty() {
        let root = roots.swap_remove(random.below(roots.len()));
        if roots.len() % 100_000 == 0 {
            drop(root.clone());
        }
    }
    // The very last one.
    drop(object);
}

#[test]
fn arrays_of_all_kinds_are_told_apart_by_their_shapes() {
    // Elements of every size, in one heap: each has its own.
    let mut heap = GeneralHeap::builder().verify(true).build();
    let mut model = Checks::new();
    type Checks = BTreeMap<usize, Box<dyn Fn(&GeneralHeap)>>;
    fn add<T: Copy + PartialEq + std::fmt::Debug + 'static>(heap: &mut GeneralHeap, model: &mut Checks, element: T) {
        for len in [0, 1, 2, 7, 100, 5000] {
            let array: Root<Array<T>> = heap.new_data(&vec![element; len]);
            let check = move |heap: &GeneralHeap| {
                let array = array.get(heap);
                assert!(array.len() == len && array.iter().all(|found| *found == element));
            };
            model.insert(model.len(), Box::new(check));
        }
    }
    add(&mut heap, &mut model, 1u8);
    add(&mut heap, &mut model, [2u8; 3]);
    add(&mut heap, &mut model, 3u32);
    add(&mut heap, &mut model, [4u16; 7]);
    add(&mut heap, &mut model, (5u64, 6u8));
    add(&mut heap, &mut model, [0.7f64; 33]);
    for kind in [Minor, Full, Full] {
        heap.collect(kind);
        model.values().for_each(|check| check(&heap));
    }
    assert_eq!(objects(&mut heap), 36);
    // A length is a number, and nothing like a pointer.
    let raw = heap.raw();
    // SAFETY: both are initialised, and on the shadow stack.
    unsafe {
        let address = leaf(raw, 1).as_ptr();
        raw.push(address);
        let array = raw.alloc_array(&POINTERS, 0).unwrap();
        raw.push(array.as_ptr());
        raw.collect(Minor);
        assert_eq!(raw.word(raw.slot(1).read(), 0).cast::<usize>().read(), 0);
        assert_eq!(raw.info(NonNull::new(raw.slot(1).read()).unwrap()).name(), "Pointers");
    }
}
