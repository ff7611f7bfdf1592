//! `binary-trees`, as in the benchmarks game: a tree of one level more than asked for, then one that stays to the end, and
//! beside it many smaller ones that are made, counted and dropped. A leaf is a node like any other.

use std::ptr;
use std::rc::Rc;

use bhc_rts_alloc::general::raw::Raw;
use bhc_rts_alloc::general::{Header, Info, Object, Reserved};
use bhc_rts_alloc::{Gc, GeneralHeap, Root, gc_object};
use bumpalo::Bump;
use gc_arena::{Arena, Collect, Mutation, Rootable};
use safe_gc::{Collector, Heap, Trace};

/// What makes trees. One of depth 0 is a leaf.
pub trait Trees: Default {
    /// Makes a tree, counts its nodes and drops it.
    fn short_lived(&mut self, depth: u64) -> u64;

    /// The same with a tree that stays until `rest` is done: the nodes of both.
    fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64;
}

const LEAST_DEPTH: u64 = 4;

/// The nodes of all trees together; 67 million, roughly, where the depth is 18.
pub fn run<T: Trees>(depth: u64) -> u64 {
    let mut trees = T::default();
    let stretch = trees.short_lived(depth + 1);
    let rest = trees.long_lived(depth, |trees| {
        let mut nodes = 0;
        for shallow in (LEAST_DEPTH..=depth).step_by(2) {
            for _ in 0..1 << (depth - shallow + LEAST_DEPTH) {
                nodes += trees.short_lived(shallow);
            }
        }
        nodes
    });
    stretch + rest
}

const NURSERY: usize = 4 << 20;

static NODE: Info = Info::fixed("Node", 2, 0);

/// Ours, as compiled code uses it: what lives across a call is on the shadow stack meanwhile, and what lives across an
/// allocation only if that has to collect.
pub struct OursRaw(GeneralHeap);

impl Default for OursRaw {
    fn default() -> Self {
        Self(GeneralHeap::builder().nursery(NURSERY).build())
    }
}

/// # Safety
/// Both are trees or null, and live. What else is to stay is on the shadow stack.
unsafe fn node(raw: Raw<'_>, mut left: *mut Header, mut right: *mut Header) -> *mut Header {
    // SAFETY: the caller's promise; what is pushed is popped, and both fields are written.
    unsafe {
        let node = raw.alloc_reserved(&NODE).unwrap_or_else(|| {
            raw.push(left);
            raw.push(right);
            let node = raw.alloc(&NODE).expect("memory");
            right = raw.pop();
            left = raw.pop();
            node
        });
        raw.word(node.as_ptr(), 0).write(left);
        raw.word(node.as_ptr(), 1).write(right);
        node.as_ptr()
    }
}

/// # Safety
/// What is to stay is on the shadow stack.
unsafe fn make(raw: Raw<'_>, depth: u64) -> *mut Header {
    // SAFETY: the caller's promise; the left tree is on the shadow stack while the right one is made.
    unsafe {
        if depth == 0 {
            return node(raw, ptr::null_mut(), ptr::null_mut());
        }
        raw.push(make(raw, depth - 1));
        let right = make(raw, depth - 1);
        node(raw, raw.pop(), right)
    }
}

/// # Safety
/// A tree that lives.
unsafe fn count(raw: Raw<'_>, node: *mut Header) -> u64 {
    // SAFETY: the caller's promise: both are trees, or null.
    unsafe {
        let (left, right) = (raw.word(node, 0).read(), raw.word(node, 1).read());
        if left.is_null() || right.is_null() { 1 } else { 1 + count(raw, left) + count(raw, right) }
    }
}

impl Trees for OursRaw {
    fn short_lived(&mut self, depth: u64) -> u64 {
        let raw = self.0.raw();
        // SAFETY: nothing collects between the two.
        unsafe { count(raw, make(raw, depth)) }
    }

    fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64 {
        let raw = self.0.raw();
        // SAFETY: nothing else is to stay.
        unsafe { raw.push(make(raw, depth)) };
        let nodes = rest(self);
        let raw = self.0.raw();
        // SAFETY: `rest` has popped what it pushed, so that this is the tree.
        nodes + unsafe { count(raw, raw.pop()) }
    }
}

/// The same in C, over the header.
pub fn in_c(depth: u64) -> u64 {
    unsafe extern "C" {
        fn bench_trees(depth: u64) -> u64;
    }
    // SAFETY: of c/trees.c. It uses nothing of this program's but functions of the C ABI, which the crate has.
    unsafe { bench_trees(depth) }
}

gc_object! {
    /// A tree.
    struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, }
}

/// Trees of this depth are made in one go, without looking whether to collect, and larger ones of such trees.
const AT_ONCE: u64 = 10;

/// Ours without unsafe code.
pub struct OursSafe(GeneralHeap);

impl Default for OursSafe {
    fn default() -> Self {
        Self(GeneralHeap::builder().nursery(NURSERY).build())
    }
}

impl Tree {
    fn make_in<'h>(space: &Reserved<'h>, depth: u64) -> Gc<'h, Self> {
        if depth == 0 {
            return space.new_gc::<Self>(TreeInit { left: None, right: None });
        }
        let (left, right) = (Self::make_in(space, depth - 1), Self::make_in(space, depth - 1));
        space.new_gc::<Self>(TreeInit { left: Some(left), right: Some(right) })
    }

    fn make(heap: &mut GeneralHeap, depth: u64) -> Root<Self> {
        if depth <= AT_ONCE {
            let nodes = (2 << depth) - 1;
            let space = heap.reserve(nodes * Self::BYTES);
            return space.heap().root(Self::make_in(&space, depth));
        }
        let (left, right) = (Self::make(heap, depth - 1), Self::make(heap, depth - 1));
        heap.new_root::<Self>(TreeInit { left: Some(&left), right: Some(&right) })
    }

    fn count(tree: Gc<'_, Self>) -> u64 {
        match (tree.get(Self::left), tree.get(Self::right)) {
            (Some(left), Some(right)) => 1 + Self::count(left) + Self::count(right),
            _ => 1,
        }
    }
}

impl Trees for OursSafe {
    fn short_lived(&mut self, depth: u64) -> u64 {
        let tree = Tree::make(&mut self.0, depth);
        Tree::count(tree.get(&self.0))
    }

    fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64 {
        let tree = Tree::make(&mut self.0, depth);
        rest(self) + Tree::count(tree.get(&self.0))
    }
}

/// Nodes owned by whatever points to them: by a `$pointer<$node>`.
macro_rules! owned {
    ($trees:ident, $node:ident, $pointer:ident) => {
        struct $node {
            left: Option<$pointer<$node>>,
            right: Option<$pointer<$node>>,
        }

        impl $node {
            fn make(depth: u64) -> $pointer<Self> {
                if depth == 0 {
                    return $pointer::new(Self { left: None, right: None });
                }
                $pointer::new(Self { left: Some(Self::make(depth - 1)), right: Some(Self::make(depth - 1)) })
            }

            fn count(&self) -> u64 {
                match (&self.left, &self.right) {
                    (Some(left), Some(right)) => 1 + left.count() + right.count(),
                    _ => 1,
                }
            }
        }

        #[derive(Default)]
        pub struct $trees;

        impl Trees for $trees {
            fn short_lived(&mut self, depth: u64) -> u64 {
                $node::make(depth).count()
            }

            fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64 {
                let tree = $node::make(depth);
                rest(self) + tree.count()
            }
        }
    };
}

owned!(Boxes, BoxNode, Box);
owned!(Counted, RcNode, Rc);

/// A tree, in an arena of which no more than its memory is taken back: the floor.
struct BumpNode<'b> {
    left: Option<&'b BumpNode<'b>>,
    right: Option<&'b BumpNode<'b>>,
}

impl<'b> BumpNode<'b> {
    fn make(bump: &'b Bump, depth: u64) -> &'b Self {
        if depth == 0 {
            return bump.alloc(Self { left: None, right: None });
        }
        let (left, right) = (Some(Self::make(bump, depth - 1)), Some(Self::make(bump, depth - 1)));
        bump.alloc(Self { left, right })
    }

    fn count(&self) -> u64 {
        match (self.left, self.right) {
            (Some(left), Some(right)) => 1 + left.count() + right.count(),
            _ => 1,
        }
    }
}

/// The arena of the trees that do not stay, reset after each of them.
#[derive(Default)]
pub struct Bumped(Bump);

impl Trees for Bumped {
    fn short_lived(&mut self, depth: u64) -> u64 {
        let nodes = BumpNode::make(&self.0, depth).count();
        self.0.reset();
        nodes
    }

    fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64 {
        let bump = Bump::new();
        let tree = BumpNode::make(&bump, depth);
        rest(self) + tree.count()
    }
}

/// gc-arena as its documentation has it: each tree is made within one `mutate`, and the debt of that is paid after it.
#[derive(Collect)]
#[collect(no_drop)]
struct ArenaNode<'gc> {
    left: Option<gc_arena::Gc<'gc, Self>>,
    right: Option<gc_arena::Gc<'gc, Self>>,
}

impl<'gc> ArenaNode<'gc> {
    fn make(mc: &Mutation<'gc>, depth: u64) -> gc_arena::Gc<'gc, Self> {
        if depth == 0 {
            return gc_arena::Gc::new(mc, Self { left: None, right: None });
        }
        let (left, right) = (Some(Self::make(mc, depth - 1)), Some(Self::make(mc, depth - 1)));
        gc_arena::Gc::new(mc, Self { left, right })
    }

    fn count(&self) -> u64 {
        match (self.left, self.right) {
            (Some(left), Some(right)) => 1 + left.count() + right.count(),
            _ => 1,
        }
    }
}

type ArenaTree = Rootable![Option<gc_arena::Gc<'_, ArenaNode<'_>>>];

pub struct GcArena(Arena<ArenaTree>);

impl Default for GcArena {
    fn default() -> Self {
        Self(Arena::new(|_| None))
    }
}

impl Trees for GcArena {
    fn short_lived(&mut self, depth: u64) -> u64 {
        let nodes = self.0.mutate(|mc, _| ArenaNode::make(mc, depth).count());
        self.0.collect_debt();
        nodes
    }

    fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64 {
        self.0.mutate_root(|mc, root| *root = Some(ArenaNode::make(mc, depth)));
        self.0.collect_debt();
        rest(self) + self.0.mutate(|_, root| root.map_or(0, |tree| tree.count()))
    }
}

/// safe-gc: what an allocation may need is rooted meanwhile, and only reading does without roots.
struct SafeNode {
    left: Option<safe_gc::Gc<SafeNode>>,
    right: Option<safe_gc::Gc<SafeNode>>,
}

impl Trace for SafeNode {
    fn trace(&self, collector: &mut Collector) {
        [self.left, self.right].into_iter().flatten().for_each(|child| collector.edge(child));
    }
}

impl SafeNode {
    fn make(heap: &mut Heap, depth: u64) -> safe_gc::Root<Self> {
        if depth == 0 {
            return heap.alloc(Self { left: None, right: None });
        }
        let (left, right) = (Self::make(heap, depth - 1), Self::make(heap, depth - 1));
        heap.alloc(Self { left: Some(left.unrooted()), right: Some(right.unrooted()) })
    }

    fn count(&self, heap: &Heap) -> u64 {
        match (self.left, self.right) {
            (Some(left), Some(right)) => 1 + heap[left].count(heap) + heap[right].count(heap),
            _ => 1,
        }
    }
}

#[derive(Default)]
pub struct SafeGc(Heap);

impl Trees for SafeGc {
    fn short_lived(&mut self, depth: u64) -> u64 {
        let tree = SafeNode::make(&mut self.0, depth);
        self.0[&tree].count(&self.0)
    }

    fn long_lived(&mut self, depth: u64, rest: impl FnOnce(&mut Self) -> u64) -> u64 {
        let tree = SafeNode::make(&mut self.0, depth);
        rest(self) + self.0[&tree].count(&self.0)
    }
}
