//! Programs of operations on a general heap, raw and typed, and the same on a model of the heap.
//!
//! After every collection:
//! * the whole graph that roots lead to is the model's: every object in one place, with its shape, its data, its
//!   pointers
//!   and their tags;
//! * the heap was verified.
//!
//! After every step every number of the statistics is the model's, and nothing was refused but for a failure that was
//! ordered, or a limit. Where the program says [`Op::Look`], and at its end, the verifier finds what the model says, to
//! the object and the byte, garbage included.
//!
//! | file | what |
//! |---|---|
//! | `program` | the steps, and how they are done on both |
//! | `program/reference` | the model |
//!
//! Where the programs come from is the caller's business: `model` draws them at random, a fuzz target makes them of
//! bytes.

#[path = "program/reference.rs"]
pub mod reference;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use bhc_rts_alloc::general::raw::{Raw, RootVisitor};
use bhc_rts_alloc::general::{Array, Collection, Header, Info, Kind, Object as _, PtrArray, Stress};
use bhc_rts_alloc::{Align, Gc, GeneralHeap, Root, gc_object, os::fault};
use reference::{ANY, Id, LARGE, Model, Object, Place, To, WORD, slices};

gc_object! {
    /// A node of the typed graph.
    pub struct Node / NodeInit {
        ptr left: Node,
        ptr right: Node,
        ptr many: PtrArray<Node>,
        ptr line: Line,
        data number: usize,
        cell version: usize,
    }
}

type Line = Array<u32, Align<64>>;
type Word = *mut Header;

/// A heap's settings.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    pub nursery: usize,
    pub stress: Option<Stress>,
    pub quarantine: usize,
    pub portable: bool,
    pub remembered: usize,
    /// In bytes.
    pub limit: Option<usize>,
    /// In percent, and bytes.
    pub growth: (u32, usize),
}

impl Make {
    pub const USUAL: Self = Self {
        nursery: 64 << 10,
        stress: None,
        quarantine: 0,
        portable: false,
        remembered: usize::MAX,
        limit: None,
        growth: (100, 256 << 10),
    };
}

/// One step. Places and objects are chosen by a number: a root, and a walk from it.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    // Raw.
    /// Makes an object of a shape, of so many elements, with pointers as chosen, and puts a pointer to it into a root.
    Alloc {
        shape: usize,
        len: usize,
        to: usize,
        pick: usize,
    },
    /// Makes so many objects in room that is reserved, each of which leads to the one before.
    Reserved {
        count: usize,
        to: usize,
        pick: usize,
    },
    Write {
        at: usize,
        index: usize,
        value: usize,
    },
    Update {
        at: usize,
        value: usize,
    },
    /// A thunk becomes a black hole.
    Hole {
        at: usize,
    },
    /// Copies a pointer to a root, or takes it away.
    Place {
        to: usize,
        value: usize,
    },
    Clear {
        to: usize,
    },
    Truncate {
        depth: usize,
    },
    // Typed.
    NewNode {
        pick: usize,
    },
    NewNodes {
        count: usize,
        pick: usize,
    },
    NewMany {
        len: usize,
    },
    NewLine {
        len: usize,
    },
    CloneRoot {
        at: usize,
    },
    DropRoot {
        at: usize,
    },
    SetRoot {
        at: usize,
        value: usize,
    },
    SetField {
        at: usize,
        field: usize,
        value: usize,
    },
    SetElement {
        at: usize,
        index: usize,
        value: usize,
    },
    CopyElements {
        from: usize,
        to: usize,
        start: usize,
        count: usize,
        at: usize,
    },
    ChangeLine {
        at: usize,
    },
    // Both.
    Collect {
        full: bool,
    },
    Request {
        full: bool,
    },
    Trim,
    Look,
    /// The n-th request for memory from here on fails, counted from 0.
    Fail {
        nth: usize,
    },
}

/// What a raw, or typed, object looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(usize);

static PAIR: Info = Info::fixed("Pair", 2, 1);
static TUPLE: Info = Info::fixed("Tuple", 5, 2);
static UNIT: Info = Info::fixed("Unit", 0, 1);
static MIXED: Info = Info::bitmap("Mixed", 5, &[0b01101]);
static THUNK: Info = Info::thunk("Thunk", 2, 1);
static HOLE: Info = Info::thunk("Hole", 0, 3);
static LARGE_THUNK: Info = Info::thunk("LargeThunk", 1030, 1);
static LARGE_FIXED: Info = Info::fixed("LargeFixed", 1100, 1);
static PTRS: Info = Info::pointers("Ptrs");
static BYTES: Info = Info::data("Bytes", 1, 1);
static LINES: Info = Info::data("Lines", 8, 64);
static PAGES: Info = Info::data("Pages", 4, 4096);

/// The shapes of raw objects: with how many pointers, or bytes an element, and with which alignment.
static SHAPES: [(&Info, usize, usize); 12] = [
    (&PAIR, 2, 8),
    (&TUPLE, 5, 8),
    (&UNIT, 0, 8),
    (&MIXED, 3, 8),
    (&THUNK, 2, 8),
    (&HOLE, 0, 8),
    (&PTRS, 8, 8),
    (&BYTES, 1, 8),
    (&LINES, 8, 64),
    (&LARGE_THUNK, 1030, 8),
    (&LARGE_FIXED, 1100, 8),
    (&PAGES, 4, 4096),
];
const THUNK_SHAPE: Shape = Shape(4);
const HOLE_SHAPE: Shape = Shape(5);
const LARGE_THUNK_SHAPE: Shape = Shape(9);
/// Those of typed ones.
const NODE: Shape = Shape(12);
const MANY: Shape = Shape(13);
const LINE: Shape = Shape(14);
/// A static object: a header and three pointers.
const STATIC: Shape = Shape(15);
static STATIC_INFO: Info = Info::fixed("Static", 3, 0);

impl Shape {
    fn info(self) -> &'static Info {
        SHAPES[self.0].0
    }

    /// A new object, of so many elements if it is an array. Its pointers lead nowhere.
    fn object(self, len: usize) -> Object<Self> {
        let (kind, pointers, align) = match self {
            NODE => (Kind::Fixed, 4, 8),
            MANY => (Kind::Pointers, 0, 8),
            LINE => (Kind::Data, 4, 64),
            STATIC => (Kind::Fixed, 3, 8),
            _ => (self.info().kind(), SHAPES[self.0].1, SHAPES[self.0].2),
        };
        let (words, slots) = match kind {
            Kind::Pointers => (2 + len, len),
            Kind::Data => (2 + (len * pointers).div_ceil(WORD), 0),
            Kind::Bitmap => (6, 3),
            _ => (1 + pointers + self.data(), pointers),
        };
        let slack = align / WORD - 1;
        let place = match words + slack {
            _ if self == STATIC => Place::Static,
            LARGE.. => Place::Large,
            _ => Place::Young,
        };
        Object {
            shape: self,
            place,
            words,
            slack,
            slots: vec![None; slots],
            is_indirection: false,
            len: if matches!(kind, Kind::Pointers | Kind::Data) { len } else { 0 },
            version: 0,
            slices: if place == Place::Large { slices(words, slack) } else { 0 },
        }
    }

    /// Words of data behind the pointers.
    fn data(self) -> usize {
        match self {
            NODE | Shape(1) => 2,
            STATIC => 0,
            HOLE_SHAPE => 3,
            _ => 1,
        }
    }
}

/// Where the pointers of an object are in its payload.
fn slot(object: &Object<Shape>, index: usize) -> usize {
    match object.shape.info().kind() {
        _ if object.is_indirection => 0,
        Kind::Pointers => 1 + index,
        Kind::Bitmap => [0, 2, 3][index],
        _ => index,
    }
}

/// Which words of an object's payload are data, as numbers.
fn data_words(object: &Object<Shape>) -> std::ops::Range<usize> {
    match object.shape.info().kind() {
        _ if object.is_indirection => 0..0,
        Kind::Pointers | Kind::Data => 0..0,
        Kind::Bitmap => 4..5,
        _ => object.slots.len()..object.slots.len() + object.shape.data(),
    }
}

/// What byte `index` of an array of data is.
fn pattern(id: Id, index: usize) -> u8 {
    (id * 31 + index * 7 + index / 256) as u8
}

/// What an element of a typed array of data is.
fn element(id: Id, index: usize) -> u32 {
    (id * 1000 + index) as u32
}

/// A typed root.
enum Typed {
    Node(Root<Node>),
    Many(Root<PtrArray<Node>>),
    Line(Root<Line>),
}

/// A typed pointer.
#[derive(Clone, Copy)]
enum Seen<'h> {
    Node(Gc<'h, Node>),
    Many(Gc<'h, PtrArray<Node>>),
    Line(Gc<'h, Line>),
}

impl Seen<'_> {
    /// Where the object is.
    fn address(self) -> usize {
        match self {
            Self::Node(node) => ptr::from_ref(node.as_ref()).addr() - WORD,
            Self::Many(many) => many.as_ref().as_ptr().addr() - 2 * WORD,
            Self::Line(line) => line.as_ref().as_ptr().addr() - 2 * WORD,
        }
    }
}

/// The slots that a root callback shows.
const SHOWN: usize = 4;
const STATICS: usize = 2;
/// The slots of the shadow stack, and the typed roots, that a program has at most.
const STACK: usize = 24;
const ROOTS: usize = 24;
/// The words that a program may ask for; when they are used up its objects are small.
const BUDGET: usize = 1 << 19;

unsafe extern "C" fn show(visitor: &mut RootVisitor<'_>, data: *mut c_void) {
    for index in 0..SHOWN {
        // SAFETY: the data is so many slots.
        unsafe { visitor.slot(data.cast::<Word>().add(index)) };
    }
}

/// What a program did.
pub struct Outcome {
    /// How many requests for memory it made.
    pub requests: usize,
    /// Which of the [`CASES`](reference::CASES) it brought about.
    pub seen: BTreeSet<&'static str>,
}

struct World {
    heap: GeneralHeap,
    make: Make,
    model: Model<Shape>,
    stack: Vec<Option<To>>,
    shown: Box<[Cell<Word>; SHOWN]>,
    shows: [Option<To>; SHOWN],
    /// Header and three pointers each.
    statics: Box<[[Cell<Word>; 4]; STATICS]>,
    roots: Vec<(Typed, Option<To>)>,
    /// Where the objects are that roots lead to.
    at: BTreeMap<Id, Word>,
    collections: (u64, u64),
    strike: Option<usize>,
    struck: bool,
    requests: usize,
    /// The failure in this step was told.
    is_told: bool,
    budget: usize,
}

impl World {
    fn new(make: Make, strike: Option<usize>) -> Option<Self> {
        let mut builder = GeneralHeap::builder()
            .nursery(make.nursery)
            .shadow_stack(STACK * WORD)
            .reserve(64 << 20)
            .growth(make.growth.0, make.growth.1)
            .quarantine(make.quarantine)
            .remembered(make.remembered)
            .verify(true);
        if let Some(stress) = make.stress {
            builder = builder.stress(stress);
        }
        if make.portable {
            builder = builder.portable();
        }
        if let Some(limit) = make.limit {
            builder = builder.limit(limit);
        }
        let (heap, requests) = fault::fail_nth(strike.unwrap_or(usize::MAX), || builder.try_build().ok());
        let struck = strike.is_some_and(|nth| requests > nth);
        assert!(heap.is_some() || struck || make.limit.is_some(), "a heap is refused");
        let empty = || Cell::new(ptr::null_mut());
        let mut world = Self {
            heap: heap?,
            make,
            model: Model::new(),
            stack: Vec::new(),
            shown: Box::new(std::array::from_fn(|_| empty())),
            shows: [None; SHOWN],
            statics: Box::new(std::array::from_fn(|_| std::array::from_fn(|_| empty()))),
            roots: Vec::new(),
            at: BTreeMap::new(),
            collections: (0, 0),
            strike: strike.filter(|_| !struck).map(|nth| nth - requests),
            struck,
            requests,
            is_told: false,
            budget: BUDGET,
        };
        let (raw, shown) = (world.heap.raw(), world.shown.as_ptr().cast_mut().cast());
        // SAFETY: the slots stay as long as the heap.
        unsafe { raw.set_root_callback(Some(show), shown) };
        for index in 0..STATICS {
            world.statics[index][0].set(ptr::from_ref(&STATIC_INFO).cast_mut().cast());
            let object = NonNull::from(&world.statics[index]).cast::<Header>();
            let id = world.model.add(STATIC.object(0));
            assert_eq!(id, index);
            world.at.insert(id, object.as_ptr());
            let registered = world.with_failures(|world| {
                let raw = world.heap.raw();
                // SAFETY: an object with a header of its shape, which stays as long as the heap.
                unsafe { raw.register_static(object) }.is_ok()
            });
            if !registered {
                return None;
            }
        }
        Some(world)
    }

    /// Calls `body` with one of its requests failing, if it is the turn of one.
    fn with_failures<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> R {
        let nth = self.strike.unwrap_or(usize::MAX);
        let (result, made) = fault::fail_nth(nth, || body(self));
        self.requests += made;
        let struck = made > nth;
        self.struck |= struck;
        self.strike = if struck { None } else { self.strike.map(|nth| nth - made) };
        result
    }

    fn raw(&mut self) -> Raw<'_> {
        self.heap.raw()
    }

    /// A request was refused: there must be a reason.
    #[track_caller]
    fn refused(&mut self) {
        assert!(self.struck || self.make.limit.is_some(), "refused without a reason");
        self.model.saw(if self.struck { "a failure that is told" } else { "a request that the limit refuses" });
        self.is_told = true;
    }

    // ---- the model's roots, and choosing ----

    fn all_roots(&self) -> Vec<Option<To>> {
        let typed = self.roots.iter().map(|(_, to)| *to);
        self.stack.iter().copied().chain(self.shows).chain(typed).collect()
    }

    /// An object that raw roots lead to, or nothing: `choice` says from which root to walk how.
    fn pick(&self, choice: usize) -> Option<To> {
        let roots = self.stack.iter().chain(&self.shows).copied().flatten();
        let roots: Vec<_> = roots.chain((0..STATICS).map(|id| To { id, tag: 0 })).collect();
        self.walk(roots[choice % roots.len()], choice / 64)
    }

    fn walk(&self, mut to: To, mut choice: usize) -> Option<To> {
        for _ in 0..choice % 4 {
            choice /= 4;
            let slots = &self.model.object(to.id).slots;
            if slots.is_empty() {
                break;
            }
            match slots[choice % slots.len()] {
                Some(next) => to = next,
                None => break,
            }
        }
        Some(to).filter(|_| !choice.is_multiple_of(13))
    }

    /// A pointer to what was picked, with a tag.
    fn value(&self, choice: usize) -> Option<To> {
        self.pick(choice).map(|to| To { tag: if to.tag == ANY { 0 } else { (to.tag + choice / 3) % 8 }, ..to })
    }

    fn pointer(&self, to: Option<To>) -> Word {
        to.map_or(ptr::null_mut(), |to| self.at[&to.id].map_addr(|address| address | to.tag))
    }

    // ---- collections ----

    /// To be called after everything that may collect, before what it made is in the model.
    fn after(&mut self) {
        let stats = self.heap.gc_stats();
        let now = (stats.minor_collections, stats.full_collections);
        let (minor, full) = (now.0 - self.collections.0, now.1 - self.collections.1);
        if (minor, full) == (0, 0) {
            return;
        }
        assert!(minor <= 1 && full <= 1, "{minor} and {full} collections at once");
        self.collections = now;
        let stack = self.stack.iter_mut().chain(&mut self.shows);
        let mut roots: Vec<&mut Option<To>> = stack.chain(self.roots.iter_mut().map(|(_, to)| to)).collect();
        if (minor, full) == (1, 1) {
            self.model.saw("a minor and a full collection for one request");
        }
        if self.model.remembered.len() > self.make.remembered {
            self.model.saw("more to remember than there is room for");
        }
        if minor == 1 {
            self.model.minor(&mut roots);
        }
        if full == 1 {
            self.model.full(&mut roots);
        }
        self.compare();
    }

    fn check_counts(&self) {
        let (stats, counts) = (self.heap.gc_stats(), &self.model.counts);
        assert_eq!(stats.objects_promoted, counts.promoted as u64, "objects promoted");
        assert_eq!(stats.bytes_promoted, counts.promoted_bytes as u64, "bytes promoted");
        assert_eq!(stats.objects_copied, counts.copied as u64, "objects copied");
        assert_eq!(stats.bytes_copied, counts.copied_bytes as u64, "bytes copied");
        assert_eq!(stats.live_after_full, counts.live_after_full, "live after the last full collection");
        assert_eq!(stats.bytes_allocated, counts.allocated as u64, "bytes allocated");
        assert_eq!(stats.remembered, counts.remembered as u64, "remembered");
        assert_eq!(stats.bytes_large, counts.large as u64, "bytes of large objects");
        assert_eq!(stats.minor_pauses.count(), stats.minor_collections);
        assert_eq!(stats.full_pauses.count(), stats.full_collections);
        assert_eq!(self.heap.root_count(), self.roots.len());
    }

    /// The whole graph is the model's. From here on `at` says where everything is.
    fn compare(&mut self) {
        self.compare_raw();
        self.compare_typed();
    }

    fn compare_raw(&mut self) {
        let raw = self.heap.raw();
        let mut work: Vec<(Option<To>, Word)> = Vec::new();
        assert_eq!(raw.depth(), self.stack.len());
        // SAFETY: a slot of the shadow stack.
        self.stack.iter().enumerate().for_each(|(index, to)| work.push((*to, unsafe { *raw.slot(index) })));
        self.shows.iter().zip(&*self.shown).for_each(|(to, slot)| work.push((*to, slot.get())));
        let mut at = BTreeMap::new();
        for (id, object) in self.statics.iter().enumerate() {
            at.insert(id, ptr::from_ref(object).cast_mut().cast());
            let slots = &self.model.object(id).slots;
            slots.iter().zip(&object[1..]).for_each(|(to, slot)| work.push((*to, slot.get())));
        }
        let mut addresses = BTreeSet::new();
        while let Some((to, pointer)) = work.pop() {
            let Some(To { id, tag }) = to else {
                assert!(pointer.is_null(), "{pointer:p} where nothing is to be");
                continue;
            };
            assert!(
                tag == ANY || pointer.addr() % 8 == tag,
                "a pointer to object {id} has not tag {tag}, but is {pointer:p}"
            );
            let found = pointer.map_addr(|address| address & !7);
            if let Some(known) = at.insert(id, found) {
                assert_eq!(known, found, "object {id} is at two places");
                continue;
            }
            assert!(addresses.insert(found), "two objects at {found:p}");
            let object = self.model.object(id);
            check_raw(raw, found, id, object);
            for (index, to) in object.slots.iter().enumerate() {
                // SAFETY: a word of the object, which has been checked.
                work.push((*to, unsafe { *raw.word(found, slot(object, index)) }));
            }
        }
        self.at = at;
    }

    fn compare_typed(&mut self) {
        let mut work = Vec::new();
        for (root, to) in &self.roots {
            let seen = match root {
                Typed::Node(root) => Seen::Node(root.get(&self.heap)),
                Typed::Many(root) => Seen::Many(root.get(&self.heap)),
                Typed::Line(root) => Seen::Line(root.get(&self.heap)),
            };
            work.push((*to, Some(seen)));
        }
        let (mut at, mut addresses) = (BTreeMap::new(), BTreeSet::new());
        while let Some((to, seen)) = work.pop() {
            let (Some(To { id, .. }), Some(seen)) = (to, seen) else {
                assert!(to.is_none() && seen.is_none(), "{to:?} is to be something else");
                continue;
            };
            if let Some(known) = at.insert(id, seen.address()) {
                assert_eq!(known, seen.address(), "object {id} is at two places");
                continue;
            }
            assert!(addresses.insert(seen.address()), "two objects in one place");
            let object = self.model.object(id);
            match seen {
                Seen::Node(node) => {
                    assert_eq!((object.shape, node.number, node.version.get()), (NODE, id, object.version));
                    work.push((object.slots[0], node.get(Node::left).map(Seen::Node)));
                    work.push((object.slots[1], node.as_ref().right.get().map(Seen::Node)));
                    work.push((object.slots[2], node.get(Node::many).map(Seen::Many)));
                    work.push((object.slots[3], node.get(Node::line).map(Seen::Line)));
                }
                Seen::Many(many) => {
                    assert_eq!((object.shape, many.len()), (MANY, object.len));
                    let elements = (0..many.len()).map(|index| many.element(index).map(Seen::Node));
                    work.extend(object.slots.iter().copied().zip(elements));
                }
                Seen::Line(line) => {
                    assert_eq!((object.shape, line.len()), (LINE, object.len));
                    assert_eq!(line.as_ptr().addr() % 64, 0, "object {id} is not aligned");
                    for (index, found) in line.iter().enumerate() {
                        let changed = if index == 0 { object.version as u32 } else { 0 };
                        assert_eq!(*found, element(id, index) + changed, "element {index} of object {id}");
                    }
                }
            }
        }
    }

    fn look(&mut self) {
        self.compare();
        let verified = self.heap.verify().unwrap_or_else(|corruption| panic!("{corruption}"));
        let sums = self.model.sums(&self.all_roots());
        let found = reference::Sums {
            objects: verified.objects,
            bytes: verified.bytes,
            reachable: verified.reachable,
            reachable_bytes: verified.reachable_bytes,
            old_to_young: verified.old_to_young,
        };
        assert_eq!(found, sums);
    }

    // ---- raw steps ----

    /// Puts a pointer into a root: on the stack, in a slot of it, in one that the callback shows, or in a static
    /// object.
    fn place(&mut self, choice: usize, to: Option<To>) {
        let (value, index) = (self.pointer(to), choice / 4);
        match choice % 4 {
            0 if self.stack.len() < STACK => {
                // SAFETY: there is room; null or an object that lives.
                unsafe { self.raw().push(value) };
                self.stack.push(to);
            }
            0 | 1 if !self.stack.is_empty() => {
                let index = index % self.stack.len();
                self.stack[index] = to;
                // SAFETY: a slot that is there.
                unsafe { *self.raw().slot(index) = value };
            }
            2 => {
                let id = index % STATICS;
                self.model.object_mut(id).slots[index / STATICS % 3] = to;
                self.statics[id][1 + index / STATICS % 3].set(value);
            }
            _ => {
                self.shows[index % SHOWN] = to;
                self.shown[index % SHOWN].set(value);
            }
        }
    }

    fn afford(&mut self, words: usize) -> bool {
        let affordable = words <= self.budget;
        self.budget -= if affordable { words } else { 0 };
        affordable
    }

    fn alloc(&mut self, shape: Shape, len: usize, to: usize, pick: usize) {
        let mut object = shape.object(len);
        if !self.afford(object.words + object.slack) {
            return;
        }
        let is_array = matches!(shape.info().kind(), Kind::Pointers | Kind::Data);
        let found = self.with_failures(|world| {
            // SAFETY: what lives is reachable from roots; the object is initialised below.
            unsafe {
                match is_array {
                    true => world.raw().alloc_array(shape.info(), len),
                    false => world.raw().alloc(shape.info()),
                }
            }
        });
        self.after();
        let Some(found) = found.map(NonNull::as_ptr) else { return self.refused() };
        for index in 0..object.slots.len() {
            object.slots[index] =
                if index < 40 { self.value(pick.wrapping_mul(index + 7)) } else { object.slots[index % 40] };
        }
        let id = self.initialise(found, object);
        self.place(to, Some(To { id, tag: pick % 8 }));
    }

    /// Writes all of a new object.
    fn initialise(&mut self, found: Word, object: Object<Shape>) -> Id {
        let id = self.model.next();
        let raw = self.heap.raw();
        // SAFETY: words of a new object.
        unsafe {
            for (index, to) in object.slots.iter().enumerate() {
                let value = to.map_or(ptr::null_mut(), |to| self.at[&to.id].map_addr(|address| address | to.tag));
                raw.word(found, slot(&object, index)).write(value);
            }
            if object.shape.info().kind() == Kind::Bitmap {
                raw.word(found, 1).cast::<usize>().write(!id);
            }
            data_words(&object).for_each(|index| raw.word(found, index).cast::<usize>().write(id));
            let bytes = bytes_of(&object);
            (0..bytes).for_each(|index| raw.word(found, 1).cast::<u8>().add(index).write(pattern(id, index)));
        }
        let (is_large, kind) = (object.place == Place::Large, object.shape.info().kind());
        self.model.add(object);
        self.at.insert(id, found);
        if is_large && kind != Kind::Data {
            self.model.barrier(id, found.addr());
        }
        id
    }

    /// A chain of pairs, in room that is reserved.
    fn reserved(&mut self, count: usize, to: usize, pick: usize) {
        let words = count * 4;
        let reserved = self.with_failures(|world| {
            // SAFETY: what lives is reachable from roots.
            unsafe { world.raw().reserve(words) }
        });
        self.after();
        if !reserved {
            return self.refused();
        }
        let mut last = self.value(pick);
        for index in 0..count {
            // SAFETY: there is room, and the object is initialised at once.
            let found = unsafe { self.raw().alloc_reserved(&PAIR) }.expect("room that was reserved").as_ptr();
            let mut object = Shape(0).object(0);
            object.slots = vec![last, self.value(pick.wrapping_mul(index + 3))];
            last = Some(To { id: self.initialise(found, object), tag: index % 8 });
        }
        self.place(to, last);
    }

    fn write(&mut self, at: usize, index: usize, value: usize) {
        let (Some(To { id, .. }), value) = (self.pick(at), self.value(value)) else { return };
        let object = self.model.object(id);
        if object.slots.is_empty() || object.is_indirection || object.place == Place::Static {
            return;
        }
        let (index, found, word) = (index % object.slots.len(), self.at[&id], self.pointer(value));
        let (slot, kind) = (slot(object, index), object.shape.info().kind());
        let address = self.raw().word(found, slot).addr();
        // SAFETY: an object that lives, and has that pointer.
        unsafe {
            match kind {
                Kind::Pointers => self.raw().write_element(found, index, word),
                _ => self.raw().write(found, slot, word),
            }
        }
        let part = if kind == Kind::Pointers { card(found.addr(), address) } else { found.addr() };
        self.model.barrier(id, part);
        self.model.object_mut(id).slots[index] = value;
    }

    fn update(&mut self, at: usize, value: usize) {
        let (Some(To { id, .. }), Some(value)) = (self.pick(at), self.value(value)) else { return };
        let object = self.model.object(id);
        if object.is_indirection || ![THUNK_SHAPE, HOLE_SHAPE, LARGE_THUNK_SHAPE].contains(&object.shape) {
            return;
        }
        // Which member of a circle stays is the heap's choice; it is not to change how much memory there is.
        if self.leads_back(id, value) && (object.place == Place::Large || self.is_large_chain(value)) {
            return;
        }
        let (found, word) = (self.at[&id], self.pointer(Some(value)));
        // SAFETY: a thunk that lives, and what it is updated with.
        unsafe { self.raw().update(NonNull::new(found).unwrap(), NonNull::new(word).unwrap()) };
        self.model.barrier(id, found.addr());
        let object = self.model.object_mut(id);
        (object.is_indirection, object.words, object.slots) = (true, 2, vec![Some(value)]);
    }

    /// The indirections from `to` on, with what is behind them, which may be one of them.
    fn chain(&self, to: To) -> Vec<Id> {
        let mut chain = vec![to.id];
        while let Some(last) = chain.last().map(|id| self.model.object(*id)).filter(|last| last.is_indirection) {
            let next = last.slots[0].expect("an indirection leads somewhere").id;
            let is_circle = chain.contains(&next);
            chain.push(next);
            if is_circle {
                break;
            }
        }
        chain
    }

    fn leads_back(&self, id: Id, value: To) -> bool {
        self.chain(value).contains(&id)
    }

    fn is_large_chain(&self, value: To) -> bool {
        self.chain(value).iter().any(|id| self.model.object(*id).place == Place::Large)
    }

    fn hole(&mut self, at: usize) {
        let Some(To { id, .. }) = self.pick(at) else { return };
        let object = self.model.object(id);
        if object.is_indirection || object.shape != THUNK_SHAPE {
            return;
        }
        let (found, raw) = (self.at[&id], self.heap.raw());
        // SAFETY: a thunk of the same size, whose payload is then data.
        unsafe {
            raw.set_info(NonNull::new(found).unwrap(), &HOLE);
            (0..3).for_each(|index| raw.word(found, index).cast::<usize>().write(id));
        }
        let object = self.model.object_mut(id);
        (object.shape, object.slots) = (HOLE_SHAPE, Vec::new());
    }

    fn truncate(&mut self, depth: usize) {
        let depth = depth % (self.stack.len() + 1);
        self.stack.truncate(depth);
        // SAFETY: there are so many.
        unsafe { self.raw().truncate(depth) };
    }
}

/// What of an array of pointers the barrier logs for an element at an address.
fn card(array: usize, element: usize) -> usize {
    (element & !511).max(array)
}

/// The bytes of an array of data.
fn bytes_of(object: &Object<Shape>) -> usize {
    match object.shape.info().kind() {
        Kind::Data if !object.is_indirection => object.len * SHAPES[object.shape.0].1,
        _ => 0,
    }
}

/// An object has its shape, its length and its data.
fn check_raw(raw: Raw<'_>, found: Word, id: Id, object: &Object<Shape>) {
    // SAFETY: the heap was verified when it collected, and what has come since was initialised: there is an object.
    unsafe {
        let info = raw.info(NonNull::new(found).unwrap());
        if object.is_indirection {
            assert_eq!(info.kind(), Kind::Indirection, "object {id}");
            return;
        }
        assert!(ptr::eq(info, object.shape.info()), "object {id} is a {}", info.name());
        if matches!(info.kind(), Kind::Pointers | Kind::Data) {
            assert_eq!(raw.word(found, 0).cast::<usize>().read(), object.len, "the length of object {id}");
        }
        if info.kind() == Kind::Bitmap {
            assert_eq!(raw.word(found, 1).cast::<usize>().read(), !id);
        }
        for index in data_words(object) {
            assert_eq!(raw.word(found, index).cast::<usize>().read(), id, "word {index} of object {id}");
        }
        let align = SHAPES[object.shape.0].2;
        let elements = raw.word(found, 1).cast::<u8>();
        if info.kind() == Kind::Data {
            assert_eq!(elements.addr() % align, 0, "object {id} is not aligned to {align}");
        }
        for index in 0..bytes_of(object) {
            assert_eq!(elements.add(index).read(), pattern(id, index), "byte {index} of object {id}");
        }
    }
}

// ---- typed steps ----

impl World {
    /// All typed objects that roots lead to, those of roots first.
    fn typed(&self) -> Vec<(Id, Seen<'_>)> {
        fn meet<'h>(found: &mut Vec<(Id, Seen<'h>)>, met: &mut BTreeSet<Id>, id: Option<Id>, seen: Option<Seen<'h>>) {
            if let (Some(id), Some(seen)) = (id, seen)
                && met.insert(id)
            {
                found.push((id, seen));
            }
        }
        let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
        let (found, met) = (&mut all, &mut ids);
        for (root, to) in &self.roots {
            let seen = match root {
                Typed::Node(root) => Seen::Node(root.get(&self.heap)),
                Typed::Many(root) => Seen::Many(root.get(&self.heap)),
                Typed::Line(root) => Seen::Line(root.get(&self.heap)),
            };
            meet(found, met, to.map(|to| to.id), Some(seen));
        }
        let mut next = 0;
        while next < found.len() {
            let (id, seen): (Id, Seen<'_>) = found[next];
            let slots = &self.model.object(id).slots;
            let to = |index: usize| slots[index].map(|to| to.id);
            match seen {
                Seen::Node(node) => {
                    meet(found, met, to(0), node.get(Node::left).map(Seen::Node));
                    meet(found, met, to(1), node.get(Node::right).map(Seen::Node));
                    meet(found, met, to(2), node.get(Node::many).map(Seen::Many));
                    meet(found, met, to(3), node.get(Node::line).map(Seen::Line));
                }
                Seen::Many(many) => {
                    (0..many.len()).for_each(|index| meet(found, met, to(index), many.element(index).map(Seen::Node)));
                }
                Seen::Line(_) => {}
            }
            next += 1;
        }
        all
    }

    fn node(&self, choice: usize) -> Option<(Id, Gc<'_, Node>)> {
        choose(
            choice,
            self.typed().into_iter().filter_map(|(id, seen)| match seen {
                Seen::Node(node) => Some((id, node)),
                _ => None,
            }),
        )
    }

    fn many(&self, choice: usize) -> Option<(Id, Gc<'_, PtrArray<Node>>)> {
        choose(
            choice,
            self.typed().into_iter().filter_map(|(id, seen)| match seen {
                Seen::Many(many) => Some((id, many)),
                _ => None,
            }),
        )
    }

    fn line(&self, choice: usize) -> Option<(Id, Gc<'_, Line>)> {
        choose(
            choice,
            self.typed().into_iter().filter_map(|(id, seen)| match seen {
                Seen::Line(line) => Some((id, line)),
                _ => None,
            }),
        )
    }

    /// An object was made, or not, and a root of it.
    fn made(&mut self, object: Object<Shape>, root: Option<Typed>) {
        let bytes = self.heap.gc_stats().bytes_allocated;
        let is_made = bytes != self.model.counts.allocated as u64;
        assert!(is_made || root.is_none(), "an object was made, and is not counted");
        let is_refused = root.is_none();
        if is_made {
            // It leads nowhere yet, or to what a root leads to, and is not large: there is nothing to remember.
            let id = self.model.add(object);
            if let Some(root) = root {
                self.roots.push((root, Some(To { id, tag: 0 })));
                self.compare_typed();
            }
        }
        if is_refused {
            self.refused();
        }
    }

    fn new_node(&mut self, pick: usize) {
        if self.roots.len() >= ROOTS {
            return;
        }
        let number = self.model.next();
        let mut object = NODE.object(0);
        let count = self.roots.len().max(1);
        let mut chosen: [Option<usize>; 4] = [None; 4];
        for (index, chosen) in chosen.iter_mut().enumerate() {
            let at = pick.wrapping_mul(index + 5) / 3 % count;
            let is_right = match self.roots.get(at) {
                Some((Typed::Node(_), _)) => index < 2,
                Some((Typed::Many(_), _)) => index == 2,
                Some((Typed::Line(_), _)) => index == 3,
                None => false,
            };
            *chosen = Some(at).filter(|_| is_right);
        }
        let root = self.with_failures(|world| {
            let World { heap, roots, .. } = world;
            let node = |index: usize| match chosen[index].map(|at| &roots[at].0) {
                Some(Typed::Node(root)) => Some(root),
                _ => None,
            };
            let many = match chosen[2].map(|at| &roots[at].0) {
                Some(Typed::Many(root)) => Some(root),
                _ => None,
            };
            let line = match chosen[3].map(|at| &roots[at].0) {
                Some(Typed::Line(root)) => Some(root),
                _ => None,
            };
            let init = NodeInit { left: node(0), right: node(1), many, line, number, version: 0 };
            heap.try_new_root::<Node>(init).ok()
        });
        self.after();
        for (slot, at) in object.slots.iter_mut().zip(chosen) {
            *slot = at.and_then(|at| self.roots[at].1);
        }
        self.made(object, root.map(Typed::Node));
    }

    /// Nodes in room that is reserved, each of which leads to the one before.
    fn new_nodes(&mut self, count: usize, pick: usize) {
        if self.roots.len() >= ROOTS {
            return;
        }
        // Only to learn whether it is refused, and what it collects.
        let reserved = self.with_failures(|world| world.heap.try_reserve(count * Node::BYTES).is_ok());
        self.after();
        if !reserved {
            return self.refused();
        }
        let known = self.node(pick).map(|(id, _)| id);
        let first = self.model.next();
        let root = self.with_failures(|world| {
            let World { heap, roots, .. } = world;
            let Ok(space) = heap.try_reserve(count * Node::BYTES) else { panic!("room that was just reserved") };
            assert!(space.room() >= count * Node::BYTES);
            let at_root = roots.iter().find_map(|(root, to)| match root {
                Typed::Node(root) if to.map(|to| to.id) == known => Some(root.get(space.heap())),
                _ => None,
            });
            let mut last = at_root;
            for index in 0..count {
                let init =
                    NodeInit { left: last, right: at_root, many: None, line: None, number: first + index, version: 0 };
                last = Some(space.new_gc::<Node>(init));
            }
            last.map(|last| space.heap().try_root(last))
        });
        self.after();
        // It is known only if it is a root's.
        let known = known.filter(|id| {
            self.roots.iter().any(|(root, to)| matches!(root, Typed::Node(_)) && to.map(|to| to.id) == Some(*id))
        });
        let known = known.map(|id| To { id, tag: 0 });
        let mut last = known;
        for _ in 0..count {
            let mut object = NODE.object(0);
            (object.slots[0], object.slots[1]) = (last, known);
            last = Some(To { id: self.model.add(object), tag: 0 });
        }
        match root {
            Some(Ok(root)) => self.roots.push((Typed::Node(root), last)),
            Some(Err(_)) => self.refused(),
            None => {}
        }
        self.compare_typed();
    }

    fn new_many(&mut self, len: usize) {
        let object = MANY.object(len);
        if self.roots.len() < ROOTS && self.afford(object.words) {
            let root = self.with_failures(|world| world.heap.try_new_pointers::<Node>(len).ok());
            self.after();
            self.made(object, root.map(Typed::Many));
        }
    }

    fn new_line(&mut self, len: usize) {
        let (object, id) = (LINE.object(len), self.model.next());
        if self.roots.len() < ROOTS && self.afford(object.words) {
            let data: Vec<u32> = (0..len).map(|index| element(id, index)).collect();
            let root = self.with_failures(|world| world.heap.try_new_data::<u32, Align<64>>(&data).ok());
            self.after();
            self.made(object, root.map(Typed::Line));
        }
    }

    fn clone_root(&mut self, at: usize) {
        if self.roots.is_empty() || self.roots.len() >= ROOTS {
            return;
        }
        let at = at % self.roots.len();
        let root = self.with_failures(|world| match &world.roots[at].0 {
            Typed::Node(root) => root.try_clone().ok().map(Typed::Node),
            Typed::Many(root) => root.try_clone().ok().map(Typed::Many),
            Typed::Line(root) => root.try_clone().ok().map(Typed::Line),
        });
        let to = self.roots[at].1;
        match root {
            Some(root) => self.roots.push((root, to)),
            None => self.refused(),
        }
    }

    fn set_root(&mut self, at: usize, value: usize) {
        if self.roots.is_empty() {
            return;
        }
        let at = at % self.roots.len();
        // The root is taken out while what it is to lead to is borrowed.
        let (mut root, mut to) = self.roots.swap_remove(at);
        match &mut root {
            Typed::Node(root) => {
                if let Some((id, node)) = self.node(value) {
                    root.set(&self.heap, node);
                    to = Some(To { id, tag: 0 });
                }
            }
            Typed::Many(root) => {
                if let Some((id, many)) = self.many(value) {
                    root.set(&self.heap, many);
                    to = Some(To { id, tag: 0 });
                }
            }
            Typed::Line(root) => {
                if let Some((id, line)) = self.line(value) {
                    root.set(&self.heap, line);
                    to = Some(To { id, tag: 0 });
                }
            }
        }
        self.roots.push((root, to));
    }

    fn set_field(&mut self, at: usize, field: usize, value: usize) {
        let Some((id, node)) = self.node(at) else { return };
        let address = Seen::Node(node).address();
        let none = value.is_multiple_of(5);
        let to = match field % 5 {
            index @ (0 | 1) => {
                let value = self.node(value).filter(|_| !none);
                let token = if index == 0 { Node::left } else { Node::right };
                self.heap.set(node, token, value.map(|(_, node)| node));
                value.map(|(id, _)| id)
            }
            2 => {
                let value = self.many(value).filter(|_| !none);
                self.heap.set(node, Node::many, value.map(|(_, many)| many));
                value.map(|(id, _)| id)
            }
            3 => {
                let value = self.line(value).filter(|_| !none);
                self.heap.set(node, Node::line, value.map(|(_, line)| line));
                value.map(|(id, _)| id)
            }
            _ => {
                node.version.set(node.version.get() + 1);
                self.model.object_mut(id).version += 1;
                return;
            }
        };
        self.model.object_mut(id).slots[field % 5] = to.map(|id| To { id, tag: 0 });
        self.model.barrier(id, address);
    }

    fn set_element(&mut self, at: usize, index: usize, value: usize) {
        let Some((id, many)) = self.many(at).filter(|(_, many)| !many.is_empty()) else { return };
        let index = index % many.len();
        let value = self.node(value).filter(|_| !value.is_multiple_of(5));
        self.heap.set_element(many, index, value.map(|(_, node)| node));
        let part = card(Seen::Many(many).address(), ptr::from_ref(&many[index]).addr());
        let to = value.map(|(id, _)| To { id, tag: 0 });
        self.model.object_mut(id).slots[index] = to;
        self.model.barrier(id, part);
    }

    fn copy_elements(&mut self, from: usize, to: usize, start: usize, count: usize, at: usize) {
        let (Some((from_id, from)), Some((id, to))) = (self.many(from), self.many(to)) else { return };
        let start = start % (from.len() + 1);
        let at = at % (to.len() + 1);
        let count = count.min(from.len() - start).min(to.len() - at);
        self.heap.copy_elements(from, start..start + count, to, at);
        let address = Seen::Many(to).address();
        let parts: Vec<_> = (at..at + count).map(|index| card(address, ptr::from_ref(&to[index]).addr())).collect();
        let copied = self.model.object(from_id).slots[start..start + count].to_vec();
        self.model.object_mut(id).slots[at..at + count].copy_from_slice(&copied);
        parts.into_iter().for_each(|part| self.model.barrier(id, part));
    }

    fn change_line(&mut self, at: usize) {
        if self.roots.is_empty() {
            return;
        }
        let at = at % self.roots.len();
        let World { heap, roots, model, .. } = self;
        if let (Typed::Line(root), Some(to)) = &roots[at]
            && let Some(first) = heap.data_mut(root).first_mut()
        {
            *first += 1;
            model.object_mut(to.id).version += 1;
        }
    }

    fn drop_root(&mut self, at: usize) {
        if !self.roots.is_empty() {
            let at = at % self.roots.len();
            self.roots.swap_remove(at);
        }
    }

    fn step(&mut self, op: Op) {
        let kind = |full: bool| if full { Collection::Full } else { Collection::Minor };
        (self.struck, self.is_told) = (false, false);
        match op {
            Op::Alloc { shape, len, to, pick } => self.alloc(Shape(shape % SHAPES.len()), len, to, pick),
            Op::Reserved { count, to, pick } => self.reserved(count, to, pick),
            Op::Write { at, index, value } => self.write(at, index, value),
            Op::Update { at, value } => self.update(at, value),
            Op::Hole { at } => self.hole(at),
            Op::Place { to, value } => {
                let value = self.value(value);
                self.place(to, value);
            }
            Op::Clear { to } => self.place(to, None),
            Op::Truncate { depth } => self.truncate(depth),
            Op::NewNode { pick } => self.new_node(pick),
            Op::NewNodes { count, pick } => self.new_nodes(count, pick),
            Op::NewMany { len } => self.new_many(len),
            Op::NewLine { len } => self.new_line(len),
            Op::CloneRoot { at } => self.clone_root(at),
            Op::DropRoot { at } => self.drop_root(at),
            Op::SetRoot { at, value } => self.set_root(at, value),
            Op::SetField { at, field, value } => self.set_field(at, field, value),
            Op::SetElement { at, index, value } => self.set_element(at, index, value),
            Op::CopyElements { from, to, start, count, at } => self.copy_elements(from, to, start, count, at),
            Op::ChangeLine { at } => self.change_line(at),
            Op::Collect { full } => {
                self.with_failures(|world| world.heap.collect(kind(full)));
                self.after();
            }
            Op::Request { full } => {
                self.heap.safepoint_handle().request(kind(full));
                let before = self.collections;
                self.with_failures(|world| world.heap.safepoint());
                self.after();
                assert_ne!(self.collections, before, "a request was not followed");
            }
            Op::Trim => {
                self.heap.trim();
            }
            Op::Look => self.look(),
            Op::Fail { nth } => self.strike = Some(nth),
        }
        if self.struck && !self.is_told {
            self.model.saw("a failure that is not noticed");
        }
        self.check_counts();
    }
}

/// One of them, as a number says.
fn choose<T: Copy>(choice: usize, of: impl Iterator<Item = T>) -> Option<T> {
    let all: Vec<T> = of.collect();
    (!all.is_empty()).then(|| all[choice % all.len()])
}

/// Runs a program, with the request for memory of that number failing, counted from 0.
pub fn run(make: Make, ops: &[Op], strike: Option<usize>) -> Outcome {
    let Some(mut world) = World::new(make, strike) else {
        return Outcome { requests: strike.map_or(0, |nth| nth + 1), seen: BTreeSet::new() };
    };
    ops.iter().for_each(|op| world.step(*op));
    world.strike = None;
    world.look();
    world.step(Op::Collect { full: true });
    world.look();
    // Nothing is left when nothing is needed.
    world.truncate(0);
    (0..SHOWN).for_each(|index| world.step(Op::Clear { to: 3 + 4 * index }));
    (0..3 * STATICS).for_each(|index| world.step(Op::Clear { to: 2 + 4 * index }));
    world.roots.clear();
    world.step(Op::Collect { full: true });
    world.look();
    assert_eq!(world.heap.verify().unwrap().objects, 0);
    Outcome { requests: world.requests, seen: world.model.seen() }
}
