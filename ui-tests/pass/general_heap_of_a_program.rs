//! All of the safe interface of the General Heap, from a program without `unsafe`: the store of an interpreter, a
//! shared graph, arrays, functional code in reservations, limits, and code that may fail.
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]

use std::fmt::Write;

use bhc_rts_alloc::general::{
    Array, Bytes, Collection, FieldOf, GcStats, Live, Managed, Object, PtrArray, Reserved, Rooted, Stress,
};
use bhc_rts_alloc::{
    Align, AlignedSlice, AllocError, AllocResult, AtLeast, Gc, GeneralHeap, HeapBytes, MemoryRegion, PageAlign, Place,
    RegionKind, Root, gc_object,
};

gc_object! {
    /// A value of the interpreter. Fields have comments, too.
    #[derive(Debug)]
    pub struct Value / ValueInit {
        /// What it is applied to, or consists of.
        ///
        /// May be nothing.
        ptr arguments: PtrArray<Value>,
        ptr text: Bytes,
        /// Which one it is.
        data tag: Tag,
        data number: f64,
        /// How often it was evaluated.
        cell evaluated: u32,
        cell mark: bool
    }

    /// A balanced tree.
    pub struct Node / NodeInit { ptr left: Node, ptr right: Node, data key: u32, data size: u32, }

    /// Only pointers.
    struct Pair / PairInit { ptr first: Value, ptr second: Pair, }

    /// Nothing.
    pub(crate) struct Unit / UnitInit {}

    /// Numbers for kernels.
    struct Series / SeriesInit { ptr samples: Array<f32, Align<64>>, cell unit: &'static str, }
}

/// Plain data of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they speak for themselves")]
pub enum Tag {
    Number,
    Text,
    Apply,
}

const NUMBER: ValueInit<Rooted<'static>> =
    ValueInit { arguments: None, text: None, tag: Tag::Number, number: 0.0, evaluated: 0, mark: false };

/// Roots are plain values, and may be anywhere.
struct Interpreter {
    heap: GeneralHeap,
    globals: Vec<(String, Root<Value>)>,
    empty: Option<Root<Unit>>,
}

impl Interpreter {
    fn text(&mut self, text: &str) -> AllocResult<Root<Value>> {
        let bytes: Root<Bytes> = self.heap.try_new_data(text.as_bytes())?;
        self.heap.try_new_root(ValueInit { text: Some(&bytes), tag: Tag::Text, ..NUMBER })
    }

    fn apply(&mut self, arguments: &[&Root<Value>]) -> AllocResult<Root<Value>> {
        let array = self.heap.try_new_pointers::<Value>(arguments.len())?;
        for (index, argument) in arguments.iter().enumerate() {
            self.heap.set_element(array.get(&self.heap), index, Some(argument.get(&self.heap)));
        }
        self.heap.try_new_root(ValueInit { arguments: Some(&array), tag: Tag::Apply, ..NUMBER })
    }
}

/// Generic over what is given, and over what lives in a heap.
fn show<'h>(value: Gc<'h, Value>, to: &mut String) {
    value.evaluated.set(value.evaluated.get() + 1);
    match value.tag {
        Tag::Number => write!(to, "{}", value.number).unwrap(),
        Tag::Text => {
            let text: &'h AlignedSlice<u8, Align<8>> = value.get(Value::text).unwrap().as_ref();
            to.push_str(std::str::from_utf8(text).unwrap());
        }
        Tag::Apply => {
            to.push('(');
            let arguments = value.get(Value::arguments).unwrap();
            for argument in arguments.iter().filter_map(|field| field.get()) {
                show(argument, to);
                to.push(' ');
            }
            to.push(')');
        }
    }
}

fn follow<'h, T: Managed>(mut from: Gc<'h, T>, field: FieldOf<T, T>) -> (Gc<'h, T>, usize) {
    let mut steps = 0;
    while let Some(next) = from.get(field) {
        (from, steps) = (next, steps + 1);
    }
    (from, steps)
}

fn size(node: Option<Gc<'_, Node>>) -> u32 {
    node.map_or(0, |node| node.size)
}

/// Functional code: nothing moves in a reservation, so it reads like any other.
fn build<'h>(space: &Reserved<'h>, keys: std::ops::Range<u32>) -> Option<Gc<'h, Node>> {
    if keys.is_empty() {
        return None;
    }
    let key = keys.start + (keys.end - keys.start) / 2;
    let (left, right) = (build(space, keys.start..key), build(space, key + 1..keys.end));
    let node: NodeInit<Live<'h>> = NodeInit { left, right, key, size: 1 + size(left) + size(right) };
    Some(space.new_gc::<Node>(node))
}

/// A new path to a copy of one node: the rest is shared.
fn with_key<'h>(space: &Reserved<'h>, node: Gc<'h, Node>, key: u32, new: u32) -> Gc<'h, Node> {
    let (mut left, mut right) = (node.get(Node::left), node.get(Node::right));
    let mut own = node.key;
    match key.cmp(&own) {
        std::cmp::Ordering::Less => left = left.map(|left| with_key(space, left, key, new)),
        std::cmp::Ordering::Greater => right = right.map(|right| with_key(space, right, key, new)),
        std::cmp::Ordering::Equal => own = new,
    }
    space.new_gc::<Node>(NodeInit { left, right, key: own, size: node.size })
}

fn keys(node: Option<Gc<'_, Node>>) -> Vec<u32> {
    node.map_or(vec![], |node| [keys(node.left.get()), vec![node.key], keys(node.right.get())].concat())
}

fn sum<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn interpreter() -> AllocResult<()> {
    let heap =
        GeneralHeap::builder().nursery(64 << 10).stress(Stress::Alternating(1)).verify(true).quarantine(2).build();
    let mut interpreter = Interpreter { heap, globals: vec![], empty: None };
    let hello = interpreter.text("hello")?;
    let seven = interpreter.heap.try_new_root::<Value>(ValueInit { number: 7.0, ..NUMBER })?;
    let call = interpreter.apply(&[&hello, &seven, &hello])?;
    interpreter.globals.push(("call".into(), call.clone()));
    interpreter.empty = Some(interpreter.heap.new_root::<Unit>(UnitInit {}));

    let Interpreter { heap, globals, .. } = &mut interpreter;
    let mut text = String::new();
    show(globals[0].1.get(heap), &mut text);
    assert_eq!((text.as_str(), hello.get(heap).evaluated.get()), ("(hello 7 hello )", 2));

    // Circles; the same object by two ways; what a root leads to, changed.
    let last = heap.new_root::<Pair>(PairInit { first: Some(&call), second: None });
    let first = heap.new_root::<Pair>(PairInit { first: None, second: Some(&last) });
    assert_eq!(follow(first.get(heap), Pair::second).1, 1);
    heap.set(last.get(heap), Pair::second, Some(first.get(heap)));
    heap.collect(Collection::Full);
    let (a, b) = (first.get(heap), last.get(heap));
    assert!(b.get(Pair::second).unwrap().ptr_eq(a) && !a.ptr_eq(b));
    heap.set(b, Pair::second, None);
    assert!(a.second.get().unwrap().as_ref().second.get().is_none());
    let mut moving = first.clone();
    moving.set(heap, last.get(heap));
    assert!(moving.get(heap).ptr_eq(last.get(heap)));

    // Elements move as if all were read first.
    let array = globals[0].1.get(heap).get(Value::arguments).unwrap();
    heap.copy_elements(array, 0..2, array, 1);
    assert!(array.element(1).unwrap().ptr_eq(hello.get(heap)) && array.element(2).unwrap().ptr_eq(seven.get(heap)));
    drop(interpreter.globals);
    assert!(interpreter.heap.verify().is_ok());
    println!("{:?} {:?} {}", call, call.get(&interpreter.heap), interpreter.heap.report());
    Ok(())
}

fn functional() {
    let mut heap = GeneralHeap::new();
    let tree = {
        let space = heap.reserve(1000 * Node::BYTES);
        assert!(space.room() >= 1000 * Node::BYTES);
        space.heap().root(build(&space, 0..1000).unwrap())
    };
    let mut versions = vec![tree];
    for step in 1..100 {
        let space = heap.reserve(11 * Node::BYTES);
        let newest = versions.last().unwrap().get(space.heap());
        let next = with_key(&space, newest, step * 10, step * 10 + 1);
        versions.push(space.heap().root(next));
    }
    heap.collect(Collection::Minor);
    assert_eq!(keys(Some(versions[0].get(&heap))), (0..1000).collect::<Vec<_>>());
    assert_eq!(keys(Some(versions[99].get(&heap))).iter().filter(|key| *key % 10 == 1).count(), 199);
    let space = heap.reserve(4096);
    let array = space.new_pointers::<Node>(10);
    let text: Gc<'_, Bytes> = space.new_data(b"text");
    space.heap().set_element(array, 9, build(&space, 0..3));
    assert_eq!((array.element(9).unwrap().size, text.len()), (3, 4));
    assert!(space.try_new_data::<u64, Align<8>>(&[0; 100]).is_ok());
    assert_eq!(space.try_new_pointers::<Node>(usize::MAX).err(), Some(AllocError::Overflow));
    let mut used_up = std::iter::repeat_with(|| space.try_new_gc::<Pair>(PairInit { first: None, second: None }));
    assert!(matches!(used_up.find_map(Result::err), Some(AllocError::OutOfMemory { .. })));
}

fn arrays() {
    let mut heap = GeneralHeap::new();
    let samples = heap.new_data::<f32, Align<64>>(&[0.5; 1000]);
    heap.data_mut(&samples)[0] = 100.5;
    let series = heap.new_root::<Series>(SeriesInit { samples: Some(&samples), unit: "m" });
    drop(samples);
    heap.collect(Collection::Full);
    series.get(&heap).unit.set("mm");
    let samples = series.get(&heap).get(Series::samples).unwrap();
    assert_eq!((sum(samples.as_ref()), samples.as_ptr().addr() % 64), (600.0, 0));
    assert!(heap.contains(samples.as_ptr()));

    let big = heap.new_zeroed::<u64, PageAlign>(1 << 20);
    let address = big.get(&heap).as_ptr();
    heap.collect(Collection::Full);
    assert_eq!((big.get(&heap).as_ptr(), big.get(&heap).len()), (address, 1 << 20)); // large: never copied
    drop(big);
    heap.collect(Collection::Full);
    println!("{} bytes go back", heap.trim());
}

fn limits() {
    let mut heap = GeneralHeap::builder().nursery(64 << 10).limit(8 << 20).growth(100, 1 << 20).build();
    let mut list: Option<Root<Pair>> = None;
    let refused = loop {
        match heap.try_new_root::<Pair>(PairInit { first: None, second: list.as_ref() }) {
            Ok(next) => list = Some(next),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AllocError::OutOfMemory { .. }));
    assert!(heap.verify().is_ok());
    drop(list);
    heap.new_gc::<Pair>(PairInit { first: None, second: None });
    assert_eq!(heap.try_new_zeroed::<u64, Align<8>>(usize::MAX).err(), Some(AllocError::Overflow));
}

fn region() {
    let mut heap = GeneralHeap::new();
    let bytes: HeapBytes = heap.bytes();
    let mut buffer = Place::<Align<64>>::new().within(bytes.clone()).zeroed::<f32>(1000);
    heap.collect(Collection::Full); // the buffer borrows the handle, not the heap
    buffer[0] = 1.0;
    assert_eq!((sum(&buffer), heap.stats().current_live), (1.0, bytes.stats().current_live));
    assert_eq!(heap.kind(), RegionKind::General);
    drop(heap);
    assert_eq!(buffer[0], 1.0); // and stays when that goes
}

fn safepoints() {
    let mut heap = GeneralHeap::new();
    let handle = heap.safepoint_handle();
    std::thread::spawn(move || handle.request(Collection::Full)).join().unwrap();
    heap.safepoint();
    let GcStats { full_collections, .. } = heap.gc_stats();
    assert_eq!((full_collections, heap.root_count()), (1, 0));
}

fn main() {
    interpreter().unwrap();
    functional();
    arrays();
    limits();
    region();
    safepoints();
}
