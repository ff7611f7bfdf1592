//! An immutable map that is rebuilt along a path at each insertion: a weight-balanced tree after Adams, with the parameters
//! of Haskell's `Data.Map`. The algorithm stands here once; contenders say how nodes are made, read and shared.

use std::mem;
use std::rc::Rc;

use bhc_rts_alloc::general::{Object, Reserved};
use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};
use gc_arena::{Arena, Collect, Mutation, Rootable};
use safe_gc::{Collector, Heap, Root, Trace};

/// A node as it is read, with maps of the type `M` below it.
struct Node<M> {
    size: u64,
    key: u64,
    value: u64,
    left: M,
    right: M,
}

/// How maps are made and read.
trait Maps {
    /// A map, maybe empty.
    type Map: Default;
    /// The same, only to be read.
    type View<'m>: Copy;

    fn view(map: &Self::Map) -> Self::View<'_>;
    /// A map that is the one seen, not a copy of its nodes.
    fn share(view: Self::View<'_>) -> Self::Map;
    /// `None` if the map is empty.
    fn open<'m>(&self, view: Self::View<'m>) -> Option<Node<Self::View<'m>>>;
    fn make(&mut self, node: Node<Self::Map>) -> Self::Map;

    fn size(&self, view: Self::View<'_>) -> u64 {
        self.open(view).map_or(0, |node| node.size)
    }
}

/// One side may be so many times as heavy as the other.
const DELTA: u64 = 3;
/// A heavy side is turned once if its outer half is not lighter than this part of its inner one, else twice.
const RATIO: u64 = 2;

/// A node above two maps that are in balance.
fn join<M: Maps>(maps: &mut M, key: u64, value: u64, left: M::Map, right: M::Map) -> M::Map {
    let size = 1 + maps.size(M::view(&left)) + maps.size(M::view(&right));
    maps.make(Node { size, key, value, left, right })
}

/// A node above two maps, of which one may have grown by one.
fn balance<M: Maps>(maps: &mut M, key: u64, value: u64, left: M::Map, right: M::Map) -> M::Map {
    let (l, r) = (maps.size(M::view(&left)), maps.size(M::view(&right)));
    if l + r <= 1 {
        return join(maps, key, value, left, right);
    }
    if r > DELTA * l
        && let Some(root) = maps.open(M::view(&right))
    {
        if maps.size(root.left) < RATIO * maps.size(root.right) {
            let left = join(maps, key, value, left, M::share(root.left));
            return join(maps, root.key, root.value, left, M::share(root.right));
        }
        if let Some(middle) = maps.open(root.left) {
            let left = join(maps, key, value, left, M::share(middle.left));
            let right = join(maps, root.key, root.value, M::share(middle.right), M::share(root.right));
            return join(maps, middle.key, middle.value, left, right);
        }
    }
    if l > DELTA * r
        && let Some(root) = maps.open(M::view(&left))
    {
        if maps.size(root.right) < RATIO * maps.size(root.left) {
            let right = join(maps, key, value, M::share(root.right), right);
            return join(maps, root.key, root.value, M::share(root.left), right);
        }
        if let Some(middle) = maps.open(root.right) {
            let left = join(maps, root.key, root.value, M::share(root.left), M::share(middle.left));
            let right = join(maps, key, value, M::share(middle.right), right);
            return join(maps, middle.key, middle.value, left, right);
        }
    }
    join(maps, key, value, left, right)
}

/// The map with an entry more, or with another value for the key.
fn insert<M: Maps>(maps: &mut M, map: M::View<'_>, key: u64, value: u64) -> M::Map {
    let Some(node) = maps.open(map) else {
        return join(maps, key, value, M::Map::default(), M::Map::default());
    };
    if key < node.key {
        let left = insert(maps, node.left, key, value);
        balance(maps, node.key, node.value, left, M::share(node.right))
    } else if key > node.key {
        let right = insert(maps, node.right, key, value);
        balance(maps, node.key, node.value, M::share(node.left), right)
    } else {
        maps.make(Node { size: node.size, key, value, left: M::share(node.left), right: M::share(node.right) })
    }
}

const LOW_WORD: u64 = u32::MAX as u64;

/// Goes on with `sum` over the entries in their order. No step overflows in any language's integers.
fn check<M: Maps>(maps: &M, map: M::View<'_>, sum: u64) -> u64 {
    let Some(node) = maps.open(map) else { return sum };
    let sum = check(maps, node.left, sum);
    let sum = (sum * 31 + node.key + node.value) & LOW_WORD;
    check(maps, node.right, sum)
}

/// Entries with keys of 32 bits in random order, all different: xorshift. Values count up.
fn entries(count: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut key: u64 = 2_463_534_242;
    (0..count).map(move |value| {
        key ^= (key << 13) & LOW_WORD;
        key ^= key >> 17;
        key ^= (key << 5) & LOW_WORD;
        (key, value)
    })
}

gc_object! {
    /// A map that is not empty.
    struct Entry / EntryInit {
        ptr left: Entry,
        ptr right: Entry,
        data size: u64,
        data key: u64,
        data value: u64,
    }
}

const NURSERY: usize = 4 << 20;
/// What an insertion may need: there are at most 48 levels in a tree of a million, and a level has at most three new nodes.
const ROOM: usize = 3 * 48 * Entry::BYTES;

impl<'h> Maps for Reserved<'h> {
    type Map = Option<Gc<'h, Entry>>;
    type View<'m> = Self::Map;

    fn view(map: &Self::Map) -> Self::Map {
        *map
    }

    fn share(map: Self::Map) -> Self::Map {
        map
    }

    fn open<'m>(&self, map: Self::View<'m>) -> Option<Node<Self::View<'m>>> {
        map.map(|entry| {
            let Entry { size, key, value, .. } = *entry;
            Node { size, key, value, left: entry.get(Entry::left), right: entry.get(Entry::right) }
        })
    }

    fn make(&mut self, node: Node<Self::Map>) -> Self::Map {
        let Node { size, key, value, left, right } = node;
        Some(self.new_gc::<Entry>(EntryInit { left, right, size, key, value }))
    }
}

/// Ours, without unsafe code: an insertion is made in a reservation.
pub fn ours(count: u64) -> u64 {
    let mut heap = GeneralHeap::builder().nursery(NURSERY).build();
    let mut map = None;
    for (key, value) in entries(count) {
        let mut space = heap.reserve(ROOM);
        let old = map.as_ref().map(|root: &bhc_rts_alloc::Root<Entry>| root.get(space.heap()));
        let new = insert(&mut space, old, key, value);
        map = new.map(|entry| space.heap().root(entry));
    }
    let space = heap.reserve(0);
    check(&space, map.as_ref().map(|root| root.get(space.heap())), 0)
}

struct RcNode(Node<RcMap>);

type RcMap = Option<Rc<RcNode>>;

struct Counted;

impl Maps for Counted {
    type Map = RcMap;
    type View<'m> = &'m RcMap;

    fn view(map: &RcMap) -> &RcMap {
        map
    }

    fn share(map: &RcMap) -> RcMap {
        map.clone()
    }

    fn open<'m>(&self, map: Self::View<'m>) -> Option<Node<Self::View<'m>>> {
        map.as_deref().map(|node| {
            let Node { size, key, value, ref left, ref right } = node.0;
            Node { size, key, value, left, right }
        })
    }

    fn make(&mut self, node: Node<RcMap>) -> RcMap {
        Some(Rc::new(RcNode(node)))
    }
}

pub fn counted(count: u64) -> u64 {
    let mut map = None;
    for (key, value) in entries(count) {
        map = insert(&mut Counted, &map, key, value);
    }
    check(&Counted, &map, 0)
}

#[derive(Clone, Copy, Collect)]
#[collect(no_drop)]
struct ArenaNode<'gc> {
    size: u64,
    key: u64,
    value: u64,
    left: Option<gc_arena::Gc<'gc, Self>>,
    right: Option<gc_arena::Gc<'gc, Self>>,
}

struct GcArena<'a, 'gc>(&'a Mutation<'gc>);

impl<'gc> Maps for GcArena<'_, 'gc> {
    type Map = Option<gc_arena::Gc<'gc, ArenaNode<'gc>>>;
    type View<'m> = Self::Map;

    fn view(map: &Self::Map) -> Self::Map {
        *map
    }

    fn share(map: Self::Map) -> Self::Map {
        map
    }

    fn open<'m>(&self, map: Self::View<'m>) -> Option<Node<Self::View<'m>>> {
        map.map(|node| {
            let ArenaNode { size, key, value, left, right } = *node;
            Node { size, key, value, left, right }
        })
    }

    fn make(&mut self, node: Node<Self::Map>) -> Self::Map {
        let Node { size, key, value, left, right } = node;
        Some(gc_arena::Gc::new(self.0, ArenaNode { size, key, value, left, right }))
    }
}

/// As gc-arena's documentation has it: an insertion is one `mutate`, and the debt of that is paid after it.
pub fn gc_arena(count: u64) -> u64 {
    let mut arena = Arena::<Rootable![Option<gc_arena::Gc<'_, ArenaNode<'_>>>]>::new(|_| None);
    for (key, value) in entries(count) {
        arena.mutate_root(|mc, root| *root = insert(&mut GcArena(mc), *root, key, value));
        arena.collect_debt();
    }
    arena.mutate(|mc, root| check(&GcArena(mc), *root, 0))
}

struct SafeNode(Node<Option<safe_gc::Gc<SafeNode>>>);

impl Trace for SafeNode {
    fn trace(&self, collector: &mut Collector) {
        [self.0.left, self.0.right].into_iter().flatten().for_each(|child| collector.edge(child));
    }
}

/// A map of safe-gc, where any allocation may collect: one just made is rooted, and one that is part of a rooted one is
/// not, as that would only cost.
#[derive(Default)]
enum SafeMap {
    #[default]
    Empty,
    Part(safe_gc::Gc<SafeNode>),
    New(Root<SafeNode>),
}

impl SafeMap {
    fn unrooted(&self) -> Option<safe_gc::Gc<SafeNode>> {
        match self {
            Self::Empty => None,
            Self::Part(node) => Some(*node),
            Self::New(root) => Some(root.unrooted()),
        }
    }
}

impl Maps for Heap {
    type Map = SafeMap;
    type View<'m> = Option<safe_gc::Gc<SafeNode>>;

    fn view(map: &SafeMap) -> Self::View<'_> {
        map.unrooted()
    }

    fn share(view: Self::View<'_>) -> SafeMap {
        view.map_or(SafeMap::Empty, SafeMap::Part)
    }

    fn open<'m>(&self, view: Self::View<'m>) -> Option<Node<Self::View<'m>>> {
        view.map(|node| {
            let Node { size, key, value, left, right } = self[node].0;
            Node { size, key, value, left, right }
        })
    }

    fn make(&mut self, node: Node<SafeMap>) -> SafeMap {
        let Node { size, key, value, ref left, ref right } = node;
        // Both stay rooted until the node is.
        SafeMap::New(self.alloc(SafeNode(Node { size, key, value, left: left.unrooted(), right: right.unrooted() })))
    }
}

pub fn safe_gc(count: u64) -> u64 {
    let mut heap = Heap::new();
    let mut map = SafeMap::Empty;
    for (key, value) in entries(count) {
        // The old map stays rooted until the new one is.
        let new = insert(&mut heap, map.unrooted(), key, value);
        drop(mem::replace(&mut map, new));
    }
    check(&heap, map.unrooted(), 0)
}
