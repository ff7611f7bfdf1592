//! A persistent map from words to what is known of them, in a [`GeneralHeap`](bhc_rts_alloc::GeneralHeap).
//!
//! It is a tree as a Haskell program would have it: small boxed nodes that are never changed. To insert is to make new nodes
//! on the path from the root to the word; they share all others with the tree as it was, which is as good as before for
//! whoever still has it. If nobody has, its path is garbage.
//!
//! Trees are made in a [reservation](Reserved) of the heap, in which nothing collects. So pointers are plain [`Gc`]s, and the
//! code is what it would be without a collector.
//!
//! # Note: the balance
//! The *weight* of a tree is the number of its nodes and one. No subtree is more than [`DELTA`] times as heavy as the one
//! beside it. Where a new node has made one too heavy there is a rotation: a double one if the inner subtree of that one
//! has [`RATIO`] times the weight of the outer one, or more. These are Adams' trees (1993), those of `Data.Map`, with the
//! factors that Hirai and Yamamoto (2011) proved right.

use std::cmp::Ordering;

use bhc_rts_alloc::general::{Bytes, Object, Reserved};
use bhc_rts_alloc::{Gc, gc_object};

gc_object! {
    /// A word, the tree of those before it, and the tree of those after it.
    pub struct Node / NodeInit {
        ptr left: Node,
        ptr right: Node,
        ptr word: Bytes,
        data term: Term,
        data size: u32,
    }
}

/// No words, or a node.
pub type Tree<'h> = Option<Gc<'h, Node>>;

/// A word and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'h> {
    pub word: Gc<'h, Bytes>,
    pub term: Term,
}

/// What is known of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Its place in the order in which words were first met.
    pub id: u32,
    /// How many documents have it.
    pub documents: u32,
}

const DELTA: usize = 3;
const RATIO: usize = 2;

/// The most nodes there can be on a path: a subtree has at most 3/4 of the weight of the tree that it is in, and
/// (3/4)^78 of a weight of 2^32 is less than 1.
const LEVELS: usize = 78;

/// What to reserve for an [`insert`] and its word, in bytes: a node on each level, and two more for a double rotation.
pub fn room(word: &[u8]) -> usize {
    3 * LEVELS * Node::BYTES + Bytes::bytes(word.len())
}

/// How many words there are.
pub fn size(tree: Tree<'_>) -> u32 {
    tree.map_or(0, |node| node.size)
}

fn weight(tree: Tree<'_>) -> usize {
    size(tree) as usize + 1
}

/// The entry of a word.
pub fn find<'h>(mut tree: Tree<'h>, word: &[u8]) -> Option<Entry<'h>> {
    while let Some((left, entry, right)) = tree.map(parts) {
        tree = match word.cmp(&entry.word) {
            Ordering::Less => left,
            Ordering::Equal => return Some(entry),
            Ordering::Greater => right,
        };
    }
    None
}

/// Calls `visit` with each entry, in the order of words.
pub fn for_each<'h>(tree: Tree<'h>, visit: &mut impl FnMut(Entry<'h>)) {
    if let Some((left, entry, right)) = tree.map(parts) {
        for_each(left, visit);
        visit(entry);
        for_each(right, visit);
    }
}

/// The tree with one more entry, or with another one for that word. There is [`room`] for it.
pub fn insert<'h>(space: &Reserved<'h>, tree: Tree<'h>, new: Entry<'h>) -> Tree<'h> {
    let Some((left, entry, right)) = tree.map(parts) else {
        return node(space, None, new, None);
    };
    match new.word.as_ref().cmp(entry.word.as_ref()) {
        Ordering::Less => balanced(space, insert(space, left, new), entry, right),
        Ordering::Equal => node(space, left, new, right),
        Ordering::Greater => balanced(space, left, entry, insert(space, right, new)),
    }
}

/// What [`node`] makes, where one of the trees may have become too heavy by one insertion.
fn balanced<'h>(space: &Reserved<'h>, left: Tree<'h>, entry: Entry<'h>, right: Tree<'h>) -> Tree<'h> {
    let node = |left, entry, right| node(space, left, entry, right);
    let is_heavy = |tree, sibling| weight(tree) > DELTA * weight(sibling);
    let goes_up = |inner: Tree<'h>, outer| inner.filter(|_| weight(inner) >= RATIO * weight(outer)).map(parts);

    match (left.map(parts), right.map(parts)) {
        (Some((outer, child, inner)), _) if is_heavy(left, right) => match goes_up(inner, outer) {
            None => node(outer, child, node(inner, entry, right)),
            Some((before, top, after)) => node(node(outer, child, before), top, node(after, entry, right)),
        },
        (_, Some((inner, child, outer))) if is_heavy(right, left) => match goes_up(inner, outer) {
            None => node(node(left, entry, inner), child, outer),
            Some((before, top, after)) => node(node(left, entry, before), top, node(after, child, outer)),
        },
        _ => node(left, entry, right),
    }
}

fn node<'h>(space: &Reserved<'h>, left: Tree<'h>, Entry { word, term }: Entry<'h>, right: Tree<'h>) -> Tree<'h> {
    let size = size(left) + 1 + size(right);
    Some(space.new_gc::<Node>(NodeInit { left, right, word: Some(word), term, size }))
}

/// What a node was made of.
fn parts(node: Gc<'_, Node>) -> (Tree<'_>, Entry<'_>, Tree<'_>) {
    let word = node.get(Node::word).expect("no node is made without");
    (node.get(Node::left), Entry { word, term: node.term }, node.get(Node::right))
}
