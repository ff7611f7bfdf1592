//! The index of the words against plain maps, and its tree and its heap against what is known of such trees.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use bhc_rts_alloc::general::{Collection, Object, Stress};
use bhc_rts_alloc::{AllocError, GeneralHeap, Root};
use proptest::prelude::*;

use crate::corpus::terms::TermIndex;
use crate::corpus::tree::{self, Entry, Node, Term, Tree};
use crate::similarity::words;

/// The bytes that a word takes: header and length, and whole words of memory.
pub fn bytes_of(word: &str) -> usize {
    16 + word.len().next_multiple_of(8)
}

/// What an index of these words takes.
pub fn bytes_of_all<'w>(words: impl IntoIterator<Item = &'w String>) -> usize {
    words.into_iter().map(|word| Node::BYTES + bytes_of(word)).sum()
}

/// A heap in which everything moves all the time, and that is looked at whenever it does.
fn restless() -> GeneralHeap {
    GeneralHeap::builder().nursery(16 << 10).stress(Stress::Alternating(3)).verify(true).build()
}

/// The words of a tree, in its order, after a look at each node: that words are sorted, sizes right, and no subtree is too
/// heavy for its sibling.
fn contents(tree: Tree<'_>) -> Vec<(String, Term)> {
    fn visit(tree: Tree<'_>, into: &mut Vec<(String, Term)>) -> usize {
        let Some(node) = tree else { return 0 };
        let left = visit(node.get(Node::left), into);
        let word = node.get(Node::word).expect("a word");
        into.push((String::from_utf8(word.to_vec()).expect("UTF-8"), node.term));
        let right = visit(node.get(Node::right), into);
        let (lighter, heavier) = (left.min(right) + 1, left.max(right) + 1);
        assert!(heavier <= 3 * lighter, "{left} before and {right} after {word:?}");
        assert_eq!(node.size as usize, left + 1 + right);
        left + 1 + right
    }
    let mut words = Vec::new();
    visit(tree, &mut words);
    assert!(words.is_sorted_by(|(a, _), (b, _)| a < b), "each word once, in order: {words:?}");
    words
}

fn depth(tree: Tree<'_>) -> usize {
    tree.map_or(0, |node| 1 + depth(node.get(Node::left)).max(depth(node.get(Node::right))))
}

/// The words from the root down to where `word` is, or would be.
fn path(heap: &GeneralHeap, tree: &Option<Root<Node>>, word: &str) -> Vec<String> {
    let mut tree = tree.as_ref().map(|root| root.get(heap));
    let mut path = Vec::new();
    while let Some(node) = tree {
        let at = str::from_utf8(node.get(Node::word).expect("a word").as_ref()).expect("UTF-8");
        path.push(at.to_owned());
        tree = match word.cmp(at) {
            Ordering::Less => node.get(Node::left),
            Ordering::Equal => break,
            Ordering::Greater => node.get(Node::right),
        };
    }
    path
}

/// Where the nodes are. Good until something collects.
fn addresses(tree: Tree<'_>, into: &mut HashSet<usize>) {
    if let Some(node) = tree {
        into.insert(std::ptr::from_ref(node.as_ref()).addr());
        [Node::left, Node::right].into_iter().for_each(|child| addresses(node.get(child), into));
    }
}

fn nodes(heap: &GeneralHeap, tree: &Option<Root<Node>>) -> HashSet<usize> {
    let mut nodes = HashSet::new();
    addresses(tree.as_ref().map(|root| root.get(heap)), &mut nodes);
    nodes
}

/// The tree with a word more, or with another term for it.
fn insert(heap: &mut GeneralHeap, tree: &Option<Root<Node>>, word: &str, term: Term) -> Option<Root<Node>> {
    let space = heap.reserve(tree::room(word.as_bytes()));
    let word = space.new_data(word.as_bytes());
    let tree = tree.as_ref().map(|root| root.get(space.heap()));
    tree::insert(&space, tree, Entry { word, term }).map(|tree| space.heap().root(tree))
}

/// Words in an order, each with a term of its own.
fn insertions() -> impl Strategy<Value = Vec<String>> {
    let word = |n: u32| format!("word{n:05}");
    prop_oneof![
        (1u32..400).prop_map(move |n| (0..n).map(word).collect()),
        (1u32..400).prop_map(move |n| (0..n).rev().map(word).collect()),
        prop::collection::vec("[a-c]{0,5}", 0..300),
        prop::collection::vec(any::<String>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn an_index_has_the_words_of_its_documents_in_the_order_in_which_they_came(
        texts in prop::collection::vec(("[a-d ]{0,60}|[ÄäSsſß ]{0,30}", any::<bool>()), 0..20)
    ) {
        let mut heap = restless();
        let mut index = TermIndex::new(&mut heap, usize::MAX);
        let mut order: Vec<String> = Vec::new();
        let mut documents: Vec<u32> = Vec::new();
        for (text, is_added) in &texts {
            let mut met = order.clone();
            let mut bag: BTreeMap<u32, u32> = BTreeMap::new();
            for word in words(text) {
                let id = met.iter().position(|known| *known == word).unwrap_or(met.len());
                if id == met.len() {
                    met.push(word);
                }
                *bag.entry(id as u32).or_default() += 1;
            }
            let counted = index.count(text).expect("memory");
            prop_assert_eq!(counted.bag.to_vec(), bag.clone().into_iter().collect::<Vec<_>>());
            if *is_added {
                index.add(counted);
                order = met;
                documents.resize(order.len(), 0);
                bag.keys().for_each(|id| documents[*id as usize] += 1);
            }
            prop_assert_eq!((index.len(), index.documents()), (order.len(), documents.clone()));
        }

        // And nothing else is left of it all: a node and its word for each, below one root.
        index.tidy();
        let (verified, live) = (index.heap.verify().expect("in order"), bytes_of_all(&order));
        prop_assert_eq!((verified.objects, verified.reachable), (2 * order.len(), 2 * order.len()));
        prop_assert_eq!((verified.bytes, index.heap.gc_stats().live_after_full), (live, live));
        prop_assert_eq!(index.heap.root_count(), usize::from(!order.is_empty()));
    }

    #[test]
    fn a_tree_is_balanced_after_every_insertion_which_makes_new_nodes_for_its_path_and_shares_the_others(
        words in insertions()
    ) {
        let mut heap = GeneralHeap::builder().nursery(256 << 10).build();
        let mut tree = None;
        let mut expected = BTreeMap::new();
        for (n, word) in words.iter().enumerate() {
            let term = Term { id: n as u32, documents: 1 };
            // Collecting first, so that nothing moves while both trees are looked at.
            drop(heap.reserve(100 << 10));
            let (allocated, nodes_before) = (heap.gc_stats().bytes_allocated, nodes(&heap, &tree));
            let next = insert(&mut heap, &tree, word, term);
            let allocated = heap.gc_stats().bytes_allocated - allocated;

            let mut made = path(&heap, &tree, word);
            if !expected.contains_key(word) {
                made.push(word.clone());
            }
            let new = nodes(&heap, &next).difference(&nodes_before).count();
            let bytes_of = |nodes: usize| (nodes * Node::BYTES + bytes_of(word)) as u64;
            if path(&heap, &next, word) == made {
                prop_assert_eq!((new, allocated), (made.len(), bytes_of(made.len())));
            } else {
                // A rotation makes one or two more, of nodes that may have been new themselves.
                prop_assert!(made.len() <= new && bytes_of(new) <= allocated, "{new} nodes, {allocated} bytes");
                prop_assert!(allocated <= tree::room(word.as_bytes()) as u64, "{allocated} bytes");
            }

            tree = next;
            expected.insert(word.clone(), term);
            let now = tree.as_ref().map(|root| root.get(&heap));
            prop_assert_eq!(contents(now), expected.clone().into_iter().collect::<Vec<_>>());
            // Each child has at most 3/4 of the weight.
            let most = (expected.len() as f64 + 1.0).log(4.0 / 3.0);
            prop_assert!(depth(now) as f64 <= most, "{} levels of {}", depth(now), expected.len());
        }
    }

    #[test]
    fn a_tree_that_was_inserted_into_is_as_it_was(words in prop::collection::vec("[a-e]{1,2}", 1..60)) {
        let mut heap = restless();
        let mut expected = vec![BTreeMap::new()];
        let mut trees = vec![None];
        for (n, word) in words.iter().enumerate() {
            let term = Term { id: n as u32, documents: 7 };
            let (mut next, last) = (expected[n].clone(), &trees[n]);
            next.insert(word.clone(), term);
            expected.push(next);
            trees.push(insert(&mut heap, last, word, term));
        }
        heap.collect(Collection::Full);
        for (tree, expected) in trees.iter().zip(expected) {
            let tree = tree.as_ref().map(|root| root.get(&heap));
            for word in &words {
                prop_assert_eq!(tree::find(tree, word.as_bytes()).map(|known| known.term), expected.get(word).copied());
            }
            prop_assert_eq!(contents(tree), expected.into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_full_index_counts_no_new_words_and_says_how_many() {
    let mut heap = GeneralHeap::new();
    let mut index = TermIndex::new(&mut heap, 2);
    let text = index.count("one two three one four two two").expect("memory");
    assert_eq!(text.bag[..], [(0, 2), (1, 3)]);
    index.add(text);
    assert_eq!((index.len(), index.refused(), index.documents()), (2, 2, vec![1, 1]));
}

#[test]
fn a_heap_that_is_too_small_is_an_error_and_the_index_is_as_before() {
    let text = |words: std::ops::Range<u32>| words.map(|n| format!("word{n} ")).collect::<String>();
    let mut heap = GeneralHeap::builder().nursery(64 << 10).limit(1 << 20).verify(true).build();
    let mut index = TermIndex::new(&mut heap, usize::MAX);
    let small = index.count(&text(0..1000)).expect("memory");
    index.add(small);
    for _ in 0..3 {
        let error = index.count(&text(500..100_000)).expect_err("more than a mebibyte");
        assert!(matches!(error, AllocError::OutOfMemory { .. }), "{error:?}");
        assert_eq!(index.documents(), vec![1; 1000]);
    }
    let next = index.count(&text(900..1100)).expect("what the failed one took is free again");
    index.add(next);
    let expected = (0..1100).map(|n| if (900..1000).contains(&n) { 2 } else { 1 });
    assert_eq!(index.documents(), expected.collect::<Vec<u32>>());
    index.tidy();
    assert_eq!(index.heap.verify().expect("in order").objects, 2 * 1100);
}
