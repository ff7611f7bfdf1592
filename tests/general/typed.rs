//! The safe interface as programs use it: heaps and roots in structs and closures, recursion, early returns, generic
//! code, objects of all declarations. That all of this needs no unsafe code, `ui-tests/pass` shows; here it is run.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use bhc_rts_alloc::general::{
    Array, Bytes, Collection::*, FieldOf, GcStats, Managed, Object, PtrArray, Reserved, Stress,
};
use bhc_rts_alloc::{Align, AlignedSlice, AllocResult, Gc, GeneralHeap, Root, gc_object};

use super::shapes::*;

/// Everything moves all the time.
fn hard() -> GeneralHeap {
    GeneralHeap::builder().stress(Stress::Alternating(1)).verify(true).quarantine(4).build()
}

mod elsewhere {
    use bhc_rts_alloc::gc_object;

    gc_object! {
        /// Seen from outside.
        #[allow(dead_code, reason = "attributes are those of the struct")]
        #[derive(Debug)]
        pub(crate) struct Public / PublicInit {
            /// A pointer, with a comment.
            ptr next: Public,
            /// Data.
            data name: [u8; 4],
            /// Changes.
            cell count: u32,
        }

        struct Private / PrivateInit { ptr to: super::Number, data value: i8 }
    }

    pub fn private(heap: &mut super::GeneralHeap) -> i64 {
        let seven = super::number(heap, 7);
        let root = heap.new_root::<Private>(PrivateInit { to: Some(&seven), value: -3 });
        let object = root.get(heap);
        i64::from(object.value) + object.get(Private::to).unwrap().value as i64
    }
}

#[test]
fn objects_are_declared_where_they_are_used_and_seen_where_they_are_public() {
    use elsewhere::{Public, PublicInit};
    let mut heap = hard();
    assert_eq!(elsewhere::private(&mut heap), 4);
    let one = heap.new_root::<Public>(PublicInit { next: None, name: *b"one ", count: 1 });
    let two = heap.new_root::<Public>(PublicInit { next: Some(&one), name: *b"two ", count: 2 });
    let two = two.get(&heap);
    two.next.get().unwrap().count.set(5);
    assert_eq!((one.get(&heap).count.get(), two.get(Public::next).unwrap().name), (5, *b"one "));
    // Derived code sees fields, and what they lead to.
    let text = format!("{:?}", two.as_ref());
    assert!(
        text.contains("Public {") && text.contains("[116, 119, 111, 32]") && text.contains("Some(Gc<Public>("),
        "{text}"
    );
    assert!(format!("{two:?}").starts_with("Gc<Public>(0x") && format!("{one:?}") == "Root<Public>");

    // Within a function, one after the other, leading to each other; without fields; with names of everything.
    gc_object! {
        struct Even / EvenInit { ptr next: Odd, data value: u32, }
        struct Odd / OddInit { ptr next: Even, cell value: u32, }
        struct Nothing / NothingInit {}
        struct Names / NamesInit { ptr heap: Names, ptr object: Nothing, data init: u8, data word: u16, cell cell: (), }
    }
    let zero = heap.new_root::<Even>(EvenInit { next: None, value: 0 });
    let one = heap.new_root::<Odd>(OddInit { next: Some(&zero), value: 1 });
    let nothing = heap.new_root::<Nothing>(NothingInit {});
    let names = NamesInit { heap: None, object: Some(&nothing), init: 1, word: 2, cell: () };
    let names = heap.new_root::<Names>(names);
    heap.set(zero.get(&heap), Even::next, Some(one.get(&heap)));
    heap.collect(Full);
    let zero = zero.get(&heap);
    assert!(zero.get(Even::next).unwrap().get(Odd::next).unwrap().ptr_eq(zero));
    let names = names.get(&heap);
    assert!(names.get(Names::heap).is_none() && names.get(Names::object).unwrap().ptr_eq(nothing.get(&heap)));
    assert_eq!((names.init, names.word, names.cell.get()), (1, 2, ()));
    assert_eq!((Nothing::BYTES, Names::BYTES, Tree::BYTES), (16, 32, 32));
}

/// A program's data structure: a heap with roots into it.
struct Interner {
    by_name: HashMap<String, Root<Bytes>>,
    root: Root<PtrArray<Bytes>>,
    len: usize,
    heap: GeneralHeap,
}

impl Interner {
    fn new() -> Self {
        let mut heap = hard();
        Self { by_name: HashMap::new(), root: heap.new_pointers(100), len: 0, heap }
    }

    fn intern(&mut self, name: &str) -> Gc<'_, Bytes> {
        if !self.by_name.contains_key(name) {
            let root = self.heap.new_data(name.as_bytes());
            self.heap.set_element(self.root.get(&self.heap), self.len, Some(root.get(&self.heap)));
            self.len += 1;
            self.by_name.insert(name.to_string(), root);
        }
        self.by_name[name].get(&self.heap)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        let bytes = self.root.get(&self.heap).as_ref().iter().map_while(|field| field.get());
        bytes.map(|bytes| std::str::from_utf8(bytes.as_ref()).unwrap())
    }
}

#[test]
fn heaps_and_roots_live_in_structs() {
    let mut interner = Interner::new();
    for name in ["map", "fold", "map", "zip", "fold", "map"] {
        assert_eq!(&interner.intern(name)[..], name.as_bytes());
    }
    let mut moved = Box::new(interner);
    assert_eq!(Vec::from_iter(moved.all()), ["map", "fold", "zip"]);
    assert_eq!(moved.intern("zip").len(), 3);
    assert_eq!(moved.heap.root_count(), 4);
}

#[test]
fn heaps_are_used_by_closures_and_by_reference() {
    let mut heap = hard();
    let mut made = 0;
    let mut make = |value: u64| {
        made += 1;
        number(&mut heap, value)
    };
    let roots: Vec<_> = (0..20).map(&mut make).collect();
    let sum = |heap: &GeneralHeap| roots.iter().map(|root| root.get(heap).value).sum::<u64>();
    assert_eq!((made, sum(&heap)), (20, 190));
    let by_ref: &mut GeneralHeap = &mut heap;
    let more: BTreeMap<u64, Root<Number>> = (0..5).map(|value| (value, number(by_ref, value))).collect();
    assert_eq!(sum(by_ref) + more.values().map(|root| root.get(by_ref).value).sum::<u64>(), 200);
    // A `Gc` may be in any structure, for as long as the heap is borrowed.
    let sorted: BTreeMap<std::cmp::Reverse<u64>, Gc<'_, Number>> =
        roots.iter().map(|root| root.get(&heap)).map(|number| (std::cmp::Reverse(number.value), number)).collect();
    assert_eq!(sorted.values().next().unwrap().value, 19);
}

/// A balanced tree of numbers, by recursion: each level makes its roots.
fn build(heap: &mut GeneralHeap, from: u64, to: u64) -> Option<Root<Tree>> {
    let middle = from.midpoint(to);
    (from < to).then(|| {
        let left = build(heap, from, middle);
        let right = build(heap, middle + 1, to);
        heap.new_root::<Tree>(TreeInit { left: left.as_ref(), right: right.as_ref(), value: middle })
    })
}

fn in_order<'h>(tree: Option<Gc<'h, Tree>>, all: &mut Vec<u64>) {
    if let Some(tree) = tree {
        in_order(tree.get(Tree::left), all);
        all.push(tree.value);
        in_order(tree.get(Tree::right), all);
    }
}

/// A new tree that shares all but a path with an old one: functional code, in a reservation, without roots.
fn insert<'h>(space: &Reserved<'h>, tree: Option<Gc<'h, Tree>>, value: u64) -> Gc<'h, Tree> {
    let Some(tree) = tree else { return space.new_gc::<Tree>(TreeInit { left: None, right: None, value }) };
    let (mut left, mut right) = (tree.get(Tree::left), tree.get(Tree::right));
    match value.cmp(&tree.value) {
        std::cmp::Ordering::Less => left = Some(insert(space, left, value)),
        std::cmp::Ordering::Greater => right = Some(insert(space, right, value)),
        std::cmp::Ordering::Equal => return tree,
    }
    space.new_gc::<Tree>(TreeInit { left, right, value: tree.value })
}

#[test]
fn recursion_makes_trees_with_roots_and_within_a_reservation() {
    let mut heap = hard();
    let mut tree = build(&mut heap, 0, 200).unwrap();
    assert_eq!(heap.root_count(), 1);
    let (mut model, mut random) = (Vec::from_iter(0..200), Random::new(4));
    let old = tree.clone();
    for _ in 0..200 {
        let value = 200 + random.below(500) as u64;
        let space = heap.reserve(600 * Tree::BYTES);
        let next = insert(&space, Some(tree.get(space.heap())), value);
        tree.set(space.heap(), next);
        model.push(value);
    }
    model.sort_unstable();
    model.dedup();
    let mut all = Vec::new();
    in_order(Some(tree.get(&heap)), &mut all);
    assert_eq!(all, model);
    all.clear();
    in_order(Some(old.get(&heap)), &mut all);
    assert!(all.into_iter().eq(0..200));
}

#[test]
fn a_reservation_says_what_it_has_and_ends_with_an_error() {
    let mut heap = GeneralHeap::builder().nursery(64 << 10).verify(true).build();
    let space = heap.reserve(10 * Tree::BYTES);
    assert!(space.room() >= 10 * Tree::BYTES);
    let (mut last, mut count) = (None, 0);
    let error = loop {
        let room = space.room();
        match space.try_new_gc::<Tree>(TreeInit { left: last, right: None, value: count }) {
            Ok(tree) => last = Some(tree),
            Err(error) => break error,
        }
        count += 1;
        assert_eq!(space.room(), room - Tree::BYTES);
    };
    assert!(count >= 10 && matches!(error, bhc_rts_alloc::AllocError::OutOfMemory { requested: 32, .. }), "{error}");
    assert!(panic_of(|| space.new_gc::<Tree>(TreeInit { left: None, right: None, value: 1 }).value).contains("memory"));
    assert!(space.try_new_data::<u8, Align<8>>(&[1; 100]).is_err());
    assert!(space.try_new_pointers::<Tree>(100).is_err());
    assert!(space.try_new_pointers::<Tree>(usize::MAX).is_err());
    let root = space.heap().root(last.unwrap());
    let chain = std::iter::successors(Some(root.get(&heap)), |tree| tree.get(Tree::left));
    assert!(chain.map(|tree| tree.value).eq((0..count).rev()));
    // The next one has all of it again.
    let space = heap.reserve(64 << 10);
    assert_eq!(space.room(), 64 << 10);
    let data = space.try_new_data::<u32, Align<64>>(&[5; 100]).unwrap();
    let array = space.try_new_pointers::<Array<u32, Align<64>>>(3).unwrap();
    space.heap().set_element(array, 1, Some(data));
    let copy = space.try_new_data::<u32, Align<64>>(&array.element(1).unwrap()).unwrap();
    assert!(copy.iter().eq(data.iter()) && !copy.ptr_eq(data));
    assert!(heap.try_reserve((64 << 10) + 1).is_err());
}

/// Fails at the step that it is told to.
fn several_steps(heap: &mut GeneralHeap, fail_at: usize) -> AllocResult<Root<Tree>> {
    let mut tree = heap.try_new_root::<Tree>(TreeInit { left: None, right: None, value: 0 })?;
    for step in 1..10 {
        if step == fail_at {
            heap.try_new_pointers::<Tree>(1 << 40)?;
        }
        let right = heap.try_new_root::<Tree>(TreeInit { left: None, right: None, value: 100 })?;
        tree = heap.try_new_root::<Tree>(TreeInit { left: Some(&tree), right: Some(&right), value: step as u64 })?;
        let seen = heap.try_new_gc::<Number>(NumberInit { value: step as u64 })?.value;
        assert_eq!(seen, step as u64);
    }
    Ok(tree)
}

#[test]
fn question_marks_leave_the_heap_as_it_was() {
    let mut heap = hard();
    for fail_at in 1..=10 {
        let result = several_steps(&mut heap, fail_at);
        assert_eq!(result.is_ok(), fail_at == 10);
        assert_eq!(heap.root_count(), usize::from(fail_at == 10));
    }
}

/// For any type of object.
fn copies<T: Managed>(heap: &mut GeneralHeap, object: &Root<T>, count: usize) -> Root<PtrArray<T>> {
    let array = heap.new_pointers::<T>(count);
    (0..count).for_each(|index| heap.set_element(array.get(heap), index, Some(object.get(heap))));
    array
}

fn made_by<T: Object>(
    heap: &mut GeneralHeap,
    init: impl Fn() -> T::Init<bhc_rts_alloc::general::Rooted<'static>>,
) -> Vec<Root<T>> {
    (0..5).map(|_| heap.new_root::<T>(init())).collect()
}

fn follow<'h, T: Managed>(mut at: Gc<'h, T>, field: FieldOf<T, T>, steps: usize) -> Option<Gc<'h, T>> {
    for _ in 0..steps {
        at = at.get(field)?;
    }
    Some(at)
}

/// A pair of roots that knows nothing of their types.
struct Pair<A: Managed, B: Managed>(Root<A>, Root<B>);

impl<A: Managed, B: Managed> Pair<A, B>
where
    A::View: fmt::Debug,
    B::View: fmt::Debug,
{
    fn show(&self, heap: &GeneralHeap) -> String {
        format!("{:?} {:?}", self.0.get(heap).as_ref(), self.1.get(heap).as_ref())
    }
}

#[test]
fn code_may_be_generic_over_objects() {
    let mut heap = hard();
    let numbers = made_by::<Number>(&mut heap, || NumberInit { value: 3 });
    assert!(numbers.iter().all(|number| number.get(&heap).value == 3));
    let array = copies(&mut heap, &numbers[0], 4);
    let arrays = copies(&mut heap, &array, 3); // arrays of arrays
    drop((array, numbers));
    heap.collect(Full);
    let element = arrays.get(&heap).element(2).unwrap().element(3).unwrap();
    assert_eq!(element.value, 3);
    let list = list(&mut heap, 50);
    assert_eq!(follow(list.get(&heap), Cons::tail, 49).unwrap().head, 0);
    assert!(follow(list.get(&heap), Cons::tail, 50).is_none());
    let data: Root<Array<i16>> = heap.new_data(&[1, -2]);
    let text: Root<Bytes> = heap.new_data(b"ab");
    assert_eq!(Pair(data, text).show(&heap), "[1, -2] [97, 98]");
}

#[test]
fn graphs_may_lead_to_themselves_and_be_changed_while_they_are_walked() {
    let mut heap = hard();
    let nodes: Vec<_> = (0..30).map(|value| tree(&mut heap, value)).collect();
    for (at, node) in nodes.iter().enumerate() {
        heap.set(node.get(&heap), Tree::left, Some(nodes[(at + 1) % 30].get(&heap)));
        heap.set(node.get(&heap), Tree::right, Some(node.get(&heap)));
    }
    let first = nodes[0].clone();
    drop(nodes);
    heap.collect(Full);
    // Every second one is taken out, while all are walked.
    let mut at = first.get(&heap);
    for _ in 0..15 {
        let next = at.get(Tree::left).unwrap();
        assert!(next.get(Tree::right).unwrap().ptr_eq(next));
        let after = next.get(Tree::left);
        heap.set(at, Tree::left, after);
        heap.set(at, Tree::right, after);
        at = after.unwrap();
    }
    assert!(at.ptr_eq(first.get(&heap)));
    heap.collect(Full);
    assert_eq!(heap.verify().unwrap().objects, 15);
    let values: Vec<_> = std::iter::successors(Some(first.get(&heap)), |tree| tree.get(Tree::right))
        .map(|tree| tree.value)
        .take(16)
        .collect();
    assert!(values.into_iter().eq((0..30).step_by(2).chain([0])));
}

#[test]
fn fields_are_read_by_token_and_by_name() {
    let mut heap = hard();
    let leaf = tree(&mut heap, 1);
    let root = heap.new_root::<Tree>(TreeInit { left: Some(&leaf), right: None, value: 2 });
    let tree = root.get(&heap);
    // By name, with the borrow of the object; by token, or through `as_ref`, with that of the heap.
    assert!(tree.left.get().unwrap().ptr_eq(tree.get(Tree::left).unwrap()));
    let object: &Tree = root.get(&heap).as_ref();
    assert!(object.left.get().unwrap().ptr_eq(leaf.get(&heap)) && object.right.get().is_none());
    assert!(format!("{:?} {:?}", object.left, object.right).contains("Gc<Tree>("));
    let tokens: [FieldOf<Tree, Tree>; 2] = [Tree::left, Tree::right];
    assert_eq!(tokens.map(|token| tree.get(token).map(|tree| tree.value)), [Some(1), None]);
}

#[test]
fn cells_and_data_are_written_in_place() {
    gc_object! { struct Counter / CounterInit { cell count: u64, cell name: [char; 2], } }
    let mut heap = hard();
    let counter = heap.new_root::<Counter>(CounterInit { count: 0, name: ['a', 'b'] });
    let samples = heap.new_zeroed::<f64, Align<64>>(20);
    for step in 0..50 {
        let object = counter.get(&heap);
        object.count.set(object.count.get() + step);
        object.name.update(|[a, b]| [b, a]);
        heap.data_mut(&samples)[step as usize % 20] += step as f64;
        heap.collect(if step % 2 == 0 { Minor } else { Full });
    }
    assert_eq!((counter.get(&heap).count.get(), counter.get(&heap).name.get()), (1225, ['a', 'b']));
    let view: &AlignedSlice<f64, Align<64>> = samples.get(&heap).as_ref();
    assert_eq!((view.iter().sum::<f64>(), view.as_ptr().addr() % 64), (1225.0, 0));
    let cell: &Cell<u64> = &counter.get(&heap).as_ref().count;
    cell.set(9);
    assert_eq!(counter.get(&heap).count.get(), 9);
}

#[test]
fn roots_may_be_cloned_pointed_elsewhere_and_stored_anywhere() {
    let mut heap = hard();
    let mut root = number(&mut heap, 1);
    let copy = root.clone();
    let second = number(&mut heap, 2);
    root.set(&heap, second.get(&heap));
    assert_eq!([&root, &copy, &second].map(|root| root.get(&heap).value), [2, 1, 2]);
    assert!(root.get(&heap).ptr_eq(second.get(&heap)) && !root.get(&heap).ptr_eq(copy.get(&heap)));
    let shared = std::rc::Rc::new(std::cell::RefCell::new(vec![root, copy, second]));
    let other = shared.clone();
    heap.collect(Full);
    other.borrow_mut().swap(0, 1);
    let boxed: Box<dyn Fn(&GeneralHeap) -> u64> = Box::new(move |heap| shared.borrow()[0].get(heap).value);
    assert_eq!((boxed(&heap), heap.root_count()), (1, 3));
    drop(other);
    drop(boxed);
    assert_eq!(heap.root_count(), 0);
    assert_eq!(size_of::<Root<Number>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Root<Number>>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Gc<'_, Number>>>(), size_of::<usize>());
}

#[test]
fn a_heap_says_what_is_its_own_and_shows_itself() {
    let mut heap = GeneralHeap::default();
    let root = number(&mut heap, 1);
    let outside = 5_u64;
    assert!(heap.contains(root.get(&heap).as_ref()) && !heap.contains(&outside) && !heap.contains(&raw const heap));
    let text = format!("{heap:?}");
    assert!(text.contains("GeneralHeap") && text.contains("roots: 1"), "{text}");
    let GcStats { minor_collections: 0, full_collections: 0, .. } = heap.gc_stats() else { panic!("{text}") };
}
