//! What breaks the collector, or the heap, is found: by the verifier, or by whoever knows what the heap should contain.
//!
//! A verifier that finds nothing wrong may be one that looks at nothing. So faults of every kind are put into the
//! collector, one at a time, at many occasions each, and every one that changes anything has to be found; and heaps are
//! spoilt by hand.

use std::boxed::Box;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::vec;
use std::vec::Vec;

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use super::builder::GeneralHeapBuilder;
use super::faults::{Fault, arm};
use super::heap::GeneralHeap;
use super::info::{First, Header, INDIRECTION, Info, Kind, TAG, WORD, Word, fill, len_of, word, write_header};
use super::object::{Gc, Managed};
use super::old::LARGE;
use super::raw::{Raw, RootVisitor};
use super::root::Root;
use super::statistics::Collection;
use crate::gc_object;

gc_object! {
    struct Node / NodeInit { ptr a: Node, ptr b: Node, ptr c: Node, data stamp: usize, }
}

static PTRS: Info = Info::pointers("Ptrs");
static BIG: Info = Info::fixed("Big", 1100, 1);
static THUNK: Info = Info::thunk("Thunk", 3, 1);
static LINE: Info = Info::data("Line", WORD, 64);
static MIXED: Info = Info::bitmap("Mixed", 5, &[0b01101]);

/// A pointer: an object's number, and a tag.
type To = (usize, usize);

/// What an object should be.
struct Object {
    info: &'static Info,
    pointers: Vec<Option<To>>,
    /// For an array of data: how many.
    len: usize,
    /// An indirection now, of which `pointers` is where to.
    updated: bool,
    /// Where it is, if it is known to live.
    at: Word,
}

impl Object {
    /// Where the pointers are in the payload.
    fn slot(&self, index: usize) -> usize {
        match self.info.kind() {
            Kind::Pointers => 1 + index,
            Kind::Bitmap => [0, 2, 3][index],
            _ => index,
        }
    }

    /// Where its number is in the payload.
    fn stamps(&self) -> Vec<usize> {
        match self.info.kind() {
            _ if self.updated => Vec::new(),
            Kind::Pointers => Vec::new(),
            Kind::Data => (1..1 + self.len).collect(),
            Kind::Bitmap => vec![1, 4],
            _ => vec![self.pointers.len()],
        }
    }
}

/// Header, three pointers and a number.
type Static = Box<[Cell<Word>; 5]>;

/// A heap with roots of all kinds, and what should be in it. No allocation collects: the nursery has room for all.
struct World {
    heap: GeneralHeap,
    objects: Vec<Object>,
    stack: Vec<Option<To>>,
    shown: Box<[Cell<Word>; 3]>,
    shows: [Option<To>; 3],
    /// Static objects: a `Node` each, whose fields lead where.
    statics: Vec<(Static, [Option<To>; 3])>,
    roots: Vec<(Root<Node>, usize)>,
}

unsafe extern "C" fn show(visitor: &mut RootVisitor<'_>, data: *mut c_void) {
    for index in 0..3 {
        // SAFETY: the data is three slots.
        unsafe { visitor.slot(data.cast::<Word>().add(index)) };
    }
}

impl World {
    fn new(builder: GeneralHeapBuilder) -> Self {
        let mut world = Self {
            heap: builder.nursery(512 << 10).reserve(32 << 20).shadow_stack(1 << 12).build(),
            objects: Vec::new(),
            stack: Vec::new(),
            shown: Box::new([const { Cell::new(ptr::null_mut()) }; 3]),
            shows: [None; 3],
            statics: Vec::new(),
            roots: Vec::new(),
        };
        let shown = world.shown.as_ptr().cast_mut().cast();
        // SAFETY: three slots, which stay as long as the heap.
        unsafe { world.heap.raw().set_root_callback(Some(show), shown) };
        world
    }

    fn raw(&mut self) -> Raw<'_> {
        self.heap.raw()
    }

    fn pointer(&self, to: Option<To>) -> Word {
        to.map_or(ptr::null_mut(), |(id, tag)| {
            let at = self.objects[id].at;
            assert!(!at.is_null(), "object {id} is gone");
            at.map_addr(|address| address | tag)
        })
    }

    /// Makes an object, which nothing leads to yet.
    fn add(&mut self, info: &'static Info, len: usize, pointers: Vec<Option<To>>) -> usize {
        // SAFETY: there is room, so nothing collects; all of the object is initialised.
        unsafe {
            let raw = self.heap.raw();
            let at = match info.kind() {
                Kind::Pointers => raw.alloc_array(info, pointers.len()),
                Kind::Data => raw.alloc_array(info, len),
                _ => raw.alloc(info),
            };
            let at = at.expect("memory").as_ptr();
            let id = self.objects.len();
            let object = Object { info, pointers, len, updated: false, at };
            for (index, to) in object.pointers.iter().enumerate() {
                word(at, 1 + object.slot(index)).write(self.pointer(*to));
            }
            object.stamps().iter().for_each(|index| word(at, 1 + index).cast::<usize>().write(id));
            self.objects.push(object);
            id
        }
    }

    fn node(&mut self, to: [Option<To>; 3]) -> usize {
        self.add(Node::INFO, 0, to.to_vec())
    }

    fn write(&mut self, id: usize, index: usize, to: Option<To>) {
        let (value, object) = (self.pointer(to), &mut self.objects[id]);
        object.pointers[index] = to;
        let (at, slot) = (object.at, object.slot(index));
        // SAFETY: an object that lives, and has that slot.
        unsafe {
            match self.objects[id].info.kind() {
                Kind::Pointers => self.raw().write_element(at, index, value),
                _ => self.raw().write(at, slot, value),
            }
        }
    }

    fn update(&mut self, id: usize, to: To) {
        let value = NonNull::new(self.pointer(Some(to))).unwrap();
        let thunk = NonNull::new(self.objects[id].at).unwrap();
        // SAFETY: a thunk that lives.
        unsafe { self.raw().update(thunk, value) };
        let object = &mut self.objects[id];
        (object.pointers, object.updated) = (vec![Some(to)], true);
    }

    fn push(&mut self, to: Option<To>) {
        let value = self.pointer(to);
        self.stack.push(to);
        // SAFETY: an object that lives, or null.
        unsafe { self.raw().push(value) };
    }

    fn show(&mut self, index: usize, to: Option<To>) {
        self.shown[index].set(self.pointer(to));
        self.shows[index] = to;
    }

    fn add_static(&mut self, to: [Option<To>; 3]) {
        let object = Box::new([const { Cell::new(ptr::null_mut()) }; 5]);
        to.iter().enumerate().for_each(|(index, to)| object[1 + index].set(self.pointer(*to)));
        let at = NonNull::from(&*object).cast::<Header>();
        // SAFETY: memory for a `Node`, which stays.
        unsafe {
            write_header(at, Node::INFO);
            self.raw().register_static(at).unwrap();
        }
        self.statics.push((object, to));
    }

    fn root(&mut self, id: usize) {
        // SAFETY: a `Node` that lives.
        let object = unsafe { Gc::<Node>::new(NonNull::new(self.objects[id].at).unwrap()) };
        let root = self.heap.root(object);
        self.roots.push((root, id));
    }

    /// Where a pointer leads when indirections are left out; `None` if they go round in a circle.
    fn end(&self, mut to: To) -> Option<To> {
        for _ in 0..self.objects.len() {
            match &self.objects[to.0] {
                object if object.updated => to = object.pointers[0].unwrap(),
                _ => return Some(to),
            }
        }
        None
    }

    /// Compares the whole graph with what it should be. Returns how many objects there are.
    fn compare(&mut self) -> Result<usize, String> {
        let raw = self.heap.raw();
        let mut work: Vec<(Option<To>, Word)> = Vec::new();
        // SAFETY: slots of the shadow stack, of which there are so many.
        self.stack.iter().enumerate().for_each(|(index, to)| work.push((*to, unsafe { *raw.slot(index) })));
        (0..3).for_each(|index| work.push((self.shows[index], self.shown[index].get())));
        for (object, to) in &self.statics {
            (0..3).for_each(|index| work.push((to[index], object[1 + index].get())));
        }
        self.roots.iter().for_each(|(root, id)| work.push((Some((*id, 0)), root.word())));
        let mut at = vec![ptr::null_mut::<Header>(); self.objects.len()];
        let (mut ids, mut circles) = (HashMap::new(), HashSet::new());
        let mut from = String::from("a root");
        while let Some((to, mut pointer)) = work.pop() {
            let Some(to) = to else {
                if !pointer.is_null() {
                    return Err(format!("{from} leads to {pointer:p}, not to nothing"));
                }
                continue;
            };
            let Some((id, tag)) = self.end(to) else {
                // However many of them are left, they lead round in a circle.
                let mut pointer = pointer;
                loop {
                    let found = pointer.map_addr(|address| address & !TAG);
                    // SAFETY: what is there has been verified.
                    match unsafe { Header::read(found) } {
                        First::Object(info) if ptr::eq(info, &INDIRECTION) => {}
                        _ => return Err(format!("{from} leads to {found:p}, not to a circle")),
                    }
                    if !circles.insert(found.addr()) {
                        break;
                    }
                    // SAFETY: an indirection.
                    pointer = unsafe { *word(found, 1) };
                }
                continue;
            };
            // SAFETY: what is there has been verified.
            pointer = unsafe { self.heap.raw().follow(pointer) };
            if pointer.is_null() || pointer.addr() & TAG != tag {
                return Err(format!("{from} leads to {pointer:p}, not to object {id} with tag {tag}"));
            }
            let found = pointer.map_addr(|address| address & !TAG);
            if !at[id].is_null() {
                if at[id] != found {
                    return Err(format!("object {id} is at {:p}, and at {found:p}", at[id]));
                }
                continue;
            }
            at[id] = found;
            if let Some(other) = ids.insert(found.addr(), id) {
                return Err(format!("at {found:p} is object {id}, and object {other}"));
            }
            let object = &self.objects[id];
            // SAFETY: what is there has been verified to be an object.
            unsafe {
                let First::Object(info) = Header::read(found) else { unreachable!("it was verified") };
                let is = if object.updated { &INDIRECTION } else { object.info };
                if !ptr::eq(info, is) || info.kind() == Kind::Data && len_of(found) != object.len {
                    return Err(format!("object {id} is no {}, but a {}", is.name(), info.name()));
                }
                for index in object.stamps() {
                    let stamp = *word(found, 1 + index).cast::<usize>();
                    if stamp != id {
                        return Err(format!("object {id} has {stamp:#x} in word {index}"));
                    }
                }
                for (index, to) in object.pointers.iter().enumerate() {
                    work.push((*to, *word(found, 1 + object.slot(index))));
                }
            }
            from = format!("object {id}");
        }
        self.objects.iter_mut().zip(at).for_each(|(object, at)| object.at = at);
        Ok(ids.len() + circles.len())
    }

    fn look(&mut self) -> Result<(), String> {
        self.heap.verify().map_err(|corruption| format!("{corruption}"))?;
        self.compare().map(|_| ())
    }

    fn collect(&mut self, kind: Collection) -> Result<(), String> {
        // SAFETY: what lives is reachable from roots.
        unsafe { self.raw().collect(kind) };
        let verified = self.heap.verify().map_err(|corruption| format!("{corruption}"))?;
        let live = self.compare()?;
        if kind == Collection::Full && (verified.objects, verified.reachable) != (live, live) {
            return Err(format!("{verified:?}, and {live} objects live"));
        }
        Ok(())
    }

    /// Nodes that lead to each other and to what is given, the last of which leads to all of them.
    fn web(&mut self, count: usize, to: &[usize]) -> usize {
        let mut nodes = to.to_vec();
        for index in 0..count {
            let pick = |n: usize| Some((nodes[n % nodes.len()], n % 8)).filter(|_| !nodes.is_empty());
            let last = nodes.len().wrapping_sub(1);
            let targets = [pick(last), pick(index * 7 + 1), pick(index / 2)];
            let node = self.node(targets);
            nodes.push(node);
        }
        nodes[nodes.len() - 1]
    }
}

/// Uses all that a collector does: three minor collections and three full ones.
fn workout(world: &mut World) -> Result<(), String> {
    let leaf = world.node([None; 3]);
    let web = world.web(40, &[leaf]);
    // More than a block of them, each between others.
    let lines: Vec<_> = (0..60).map(|index| world.add(&LINE, 300 + index, Vec::new())).collect();
    let lined = world.add(&PTRS, 0, lines.iter().map(|line| Some((*line, 0))).collect());
    let thunks: Vec<_> = (0..5).map(|_| world.add(&THUNK, 0, vec![Some((web, 1)), None, Some((leaf, 0))])).collect();
    world.update(thunks[0], (thunks[1], 3));
    world.update(thunks[1], (web, 2));
    // A circle.
    world.update(thunks[2], (thunks[3], 1));
    world.update(thunks[3], (thunks[2], 2));
    let mixed = world.add(&MIXED, 0, vec![Some((web, 1)), Some((thunks[0], 0)), Some((leaf, 5))]);
    let few = world.add(&PTRS, 0, vec![Some((mixed, 1)), None, Some((thunks[4], 0))]);
    let many = world.add(&PTRS, 0, vec![Some((leaf, 0)); 300]);
    let big = world.add(&BIG, 0, vec![Some((web, 4)); 1100]);
    let large = world.add(&PTRS, 0, vec![Some((big, 0)); 3000]);
    let data = world.add(&LINE, LARGE * 3, Vec::new());
    let head = world.node([Some((lined, 0)), Some((few, 0)), Some((large, 7))]);
    let other = world.node([Some((head, 2)), Some((data, 0)), Some((many, 1))]);
    world.root(head);
    world.root(other);
    world.push(Some((thunks[2], 6)));
    world.push(None);
    world.push(Some((thunks[0], 3)));
    world.show(0, Some((web, 1)));
    world.show(2, Some((mixed, 0)));
    world.add_static([Some((few, 3)), None, Some((many, 0))]);
    world.look()?;
    world.collect(Collection::Minor)?;

    for round in 0..4 {
        // Young ones in old ones of every kind.
        let young = |world: &mut World| {
            let web = world.web(12, &[leaf]);
            Some((web, 3))
        };
        let (a, b) = (young(world), young(world));
        world.write(other, 0, a);
        world.write(mixed, 1, b);
        let thunk = world.add(&THUNK, 0, vec![a, b, None]);
        world.write(few, 1, Some((thunk, 2)));
        world.update(thunk, b.unwrap());
        if round == 1 {
            world.update(thunks[4], a.unwrap());
        }
        // Some of them are the last of a card.
        for index in (0..300).step_by(23).chain(280..300) {
            let value = young(world);
            world.write(many, index, value);
        }
        let value = young(world);
        world.write(many, 299, value);
        for index in [0, 63, 64, 1000, 2999] {
            let value = young(world);
            world.write(large, index, value);
        }
        let value = young(world);
        world.write(big, 1099, value);
        for index in 0..3 {
            let value = young(world);
            world.show(index, value);
        }
        world.show(1, a);
        let value = young(world);
        world.statics[0].1[1] = value;
        world.statics[0].0[2].set(world.pointer(value));
        let next = world.node([a, Some((head, 0)), Some((other, 1))]);
        world.root(next);
        let value = young(world);
        world.push(value);
        // Large ones that nobody needs for long.
        let dead = world.add(&BIG, 0, vec![a; 1100]);
        world.show(0, Some((dead, 0)));
        world.look()?;
        world.collect(if round % 2 == 0 { Collection::Minor } else { Collection::Full })?;
    }
    // Nothing else is young, and no other root was written.
    let alone = world.node([None; 3]);
    world.root(alone);
    world.look()?;
    // Most of it goes.
    world.roots.drain(1..);
    world.write(head, 2, None);
    world.collect(Collection::Full)?;
    world.look()
}

/// Who finds a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    /// [`GeneralHeap::verify`].
    Verifier,
    /// Whoever knows what the heap should contain: it is in order, and wrong.
    Model,
}

/// What came of a fault: whether it struck, and who found it with which words.
struct Outcome {
    struck: bool,
    occasions: usize,
    found: Option<(By, String)>,
}

fn run(builder: GeneralHeapBuilder, armed: Option<(Fault, usize)>) -> Outcome {
    let mut world = World::new(builder);
    arm(armed);
    let result = catch_unwind(AssertUnwindSafe(|| workout(&mut world)));
    let left = arm(None);
    let words = match result {
        Ok(result) => result.err(),
        Err(panic) => Some(match panic.downcast::<String>() {
            Ok(words) => *words,
            Err(panic) => panic.downcast::<&str>().map_or_else(|_| "a panic".into(), |words| String::from(*words)),
        }),
    };
    let found = words.map(|words| (if words.contains("heap corruption") { By::Verifier } else { By::Model }, words));
    let occasions = armed.zip(left).map_or(0, |((_, n), (_, left))| n - left);
    Outcome { struck: armed.is_some() && left.is_none(), occasions, found }
}

/// Heaps on which the collector takes different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Usual,
    /// Next to nothing is remembered one by one.
    Overflow,
    Quarantine,
}

impl On {
    fn builder(self) -> GeneralHeapBuilder {
        let builder = GeneralHeap::builder();
        match self {
            Self::Usual => builder,
            Self::Overflow => builder.remembered(4),
            Self::Quarantine => builder.quarantine(2),
        }
    }
}

/// On how many occasions each fault is tried.
const TRIES: usize = 5;

/// How many of the tries of a fault are found at least: all, or some. The others change nothing: what is not looked at
/// has not moved, what is not remembered is so by the next store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    All,
    Some,
}

#[test]
fn a_collector_without_faults_is_found_to_be_right() {
    for on in [On::Usual, On::Overflow, On::Quarantine] {
        assert_eq!(run(on.builder(), None).found, None, "{on:?}");
    }
}

/// The table of faults, and of who finds them.
#[test]
fn every_fault_of_the_collector_is_found() {
    use By::*;
    use Fault::*;
    use Found::*;
    use On::*;
    let faults = [
        (SkipsRoot, Usual, Found::Some, Verifier),
        (SkipsStack, Usual, Found::Some, Verifier),
        (SkipsStatic, Usual, All, Verifier),
        (SkipsCallback, Usual, All, Verifier),
        (KeepsClean, Usual, Found::Some, Verifier),
        (SkipsBarrier, Usual, Found::Some, Verifier),
        (SkipsRemembered, Usual, All, Verifier),
        (SkipsElement, Usual, Found::Some, Verifier),
        (KeepsLog, Usual, All, Verifier),
        (ForgetsOverflow, Overflow, Found::Some, Verifier),
        (SkipsOldBlock, Overflow, Found::Some, Verifier),
        (SkipsOldLarge, Overflow, Found::Some, Verifier),
        (KeepsBlockLog, Overflow, Found::Some, Verifier),
        (ForgetsNurseryLog, Quarantine, All, Verifier),
        (SkipsField, Usual, All, Verifier),
        (SkipsBlock, Usual, All, Verifier),
        (SkipsMark, Usual, Found::Some, Verifier),
        (SkipsGray, Usual, Found::Some, Verifier),
        (ForgetsMove, Usual, Found::Some, Model),
        (CopiesShort, Usual, All, Model),
        (ForgetsTag, Usual, All, Model),
        (KeepsIndirection, Usual, Found::Some, Model),
        (KeepsDead, Usual, All, Model),
        (LosesBlock, Usual, All, Verifier),
        (LosesWords, Usual, All, Verifier),
        (LosesSpare, Usual, All, Verifier),
        (ForgetsUse, Usual, All, Verifier),
    ];
    for (fault, on, expected, by) in faults {
        // An occasion that never comes.
        let occasions = run(on.builder(), Option::Some((fault, usize::MAX))).occasions;
        assert!(occasions > 0, "{fault:?} has no occasion");
        let tries = occasions.min(TRIES);
        let mut found = Vec::new();
        for index in 0..tries {
            // The first and the last, and some between.
            let n = if tries == 1 { 0 } else { index * (occasions - 1) / (tries - 1) };
            let outcome = run(on.builder(), Option::Some((fault, n)));
            assert!(outcome.struck, "{fault:?} has had its occasion {n}");
            found.extend(outcome.found);
        }
        let who = found.iter().any(|(who, _)| *who == by);
        assert!(who, "{fault:?}, of {occasions} occasions, is not found by the {by:?}, but {found:?}");
        assert!(expected == Found::Some || found.len() == tries, "{fault:?} is not found each time, but {found:?}");
    }
}

/// What a heap is that is spoilt by hand: an old node and its leaf, an old array and a large one, a young node, and
/// where something was.
struct Spoilt {
    world: World,
    old: Word,
    array: Word,
    large: Word,
    young: Word,
    stale: Word,
}

/// What the verifier says of a heap that `spoil` has spoilt.
fn verdict(spoil: impl FnOnce(&mut Spoilt)) -> String {
    let mut world = World::new(GeneralHeap::builder());
    let leaf = world.node([None; 3]);
    let old = world.node([Some((leaf, 1)), None, None]);
    let array = world.add(&PTRS, 0, vec![Some((leaf, 0)); 200]);
    let large = world.add(&PTRS, 0, vec![Some((leaf, 0)); 2000]);
    let top = world.node([Some((old, 0)), Some((array, 0)), Some((large, 0))]);
    world.push(Some((top, 0)));
    world.add_static([Some((old, 0)), None, None]);
    // Behind what is young later.
    let stale = world.objects[top].at;
    world.collect(Collection::Minor).unwrap();
    let young = world.node([None; 3]);
    world.push(Some((young, 0)));
    world.look().unwrap();
    let at = |id: usize| world.objects[id].at;
    let mut spoilt = Spoilt { old: at(old), array: at(array), large: at(large), young: at(young), stale, world };
    spoil(&mut spoilt);
    match spoilt.world.heap.verify() {
        Ok(verified) => format!("{verified:?}"),
        Err(corruption) => String::from(corruption.what()),
    }
}

/// Writes a word of an object, without any barrier.
fn poke(object: Word, index: usize, value: Word) {
    // SAFETY: a word of the heap. It is spoilt, which the verifier is to bear.
    unsafe { *word(object, index) = value };
}

/// Changes a word of an object that is a number, or a header as one.
fn poke_bits(object: Word, index: usize, change: fn(usize) -> usize) {
    let word = word(object, index).cast::<usize>();
    // SAFETY: as in `poke`.
    unsafe { *word = change(*word) };
}

/// Puts a filler in place of an object.
fn filler(object: Word, words: usize) {
    // SAFETY: as in `poke`.
    unsafe { fill(object.cast(), words) };
}

/// Sets the log byte of an address.
fn log(spoilt: &Spoilt, address: Word, byte: u8) {
    // SAFETY: the table has a byte for each address of the heap.
    unsafe { *spoilt.world.heap.mutator().log(address.addr()) = byte };
}

/// An element is written with a barrier, one of another card without.
fn other_card(spoilt: &mut Spoilt) {
    let (array, young) = (spoilt.array, spoilt.young);
    // SAFETY: an array that lives and has that element, and an object that lives.
    unsafe { spoilt.world.raw().write_element(array, 1, young) };
    poke(array, 190, young);
}

fn stale_root(spoilt: &mut Spoilt) {
    let stale = spoilt.stale;
    // SAFETY: there is room. What is pushed is no object, which the verifier is to find.
    unsafe { spoilt.world.raw().push(stale) };
}

/// What was remembered is not logged any more.
fn forgotten(spoilt: &mut Spoilt) {
    let old = spoilt.old;
    // SAFETY: an object that lives, and has that pointer.
    unsafe { spoilt.world.raw().write(old, 1, ptr::null_mut()) };
    log(spoilt, old, 0);
}

/// 16 bytes that could be an `Info`, by their address, and are none.
#[repr(align(16))]
struct NoInfo(#[expect(dead_code, reason = "only looked at as bytes")] [u64; 8]);

static NO_INFO: NoInfo = NoInfo([0; 8]);

#[test]
fn what_is_wrong_is_said() {
    type Spoil = fn(&mut Spoilt);
    let cases: [(&str, Spoil, &str); 22] = [
        ("nothing", |_| {}, "Verified"),
        ("a stale pointer", |s| poke(s.old, 2, s.stale), "of Node at"),
        ("a stale pointer", |s| poke(s.old, 2, s.stale.map_addr(|at| at | 5)), "where no object is"),
        ("a pointer into an object", |s| poke(s.old, 2, word(s.array, 4).cast()), "where no object is"),
        ("a stale element", |s| poke(s.array, 150, s.stale), "of Ptrs at"),
        ("a stale element of a large array", |s| poke(s.large, 1999, s.stale), "where no object is"),
        ("no barrier", |s| poke(s.old, 3, s.young), "which is young, and is not remembered"),
        ("no barrier", |s| poke(s.array, 100, s.young), "which is young, and is not remembered"),
        ("a barrier for another card", other_card, "which is young, and is not remembered"),
        ("a stale root", stale_root, "a root leads to"),
        ("a stale field of a static object", |s| s.world.statics[0].0[2].set(s.stale), "a root leads to"),
        ("a stale slot that the callback shows", |s| s.world.shown[1].set(s.stale), "a root leads to"),
        ("no header", |s| poke_bits(s.old, 0, |_| 0), "which is no header"),
        ("no header", |s| poke_bits(s.young, 0, |_| 0xdfdf_dfdf), "which is no header"),
        ("no info", |s| poke(s.old, 0, ptr::from_ref(&NO_INFO).cast_mut().cast()), "leads to no info"),
        ("a header of a collection", |s| poke_bits(s.young, 0, |bits| bits | 1), "header"),
        ("a filler that is too long", |s| filler(s.young, 1000), "words, more than there are"),
        ("a filler in place of an object", |s| filler(s.old, 5), "where no object is"),
        ("an array that is too long", |s| poke_bits(s.array, 1, |len| len + 50_000), "more than there are"),
        ("a large array that is too long", |s| poke_bits(s.large, 1, |len| len + 9000), "is not one"),
        ("a log byte", |s| log(s, s.array.wrapping_add(64), 1), "and nothing is remembered there"),
        ("no log byte", forgotten, "is remembered, and its log byte is 0"),
    ];
    for (what, spoil, words) in cases {
        let verdict = verdict(spoil);
        assert!(verdict.contains(words), "of {what} the verifier says: {verdict}");
    }
}

#[test]
fn a_nursery_that_is_not_logged_is_said_to_be_so() {
    let verdict = verdict(|spoilt| log(spoilt, spoilt.young, 0));
    assert!(verdict.contains("is not all ones"), "{verdict}");
}
