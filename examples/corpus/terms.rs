//! Phase 4: which words there are, how many documents have each, and how often a document has it.
//!
//! The index is many small objects that point to each other and die in no order: what a garbage-collected heap is for.
//! It is a [`tree`](super::tree) that never changes, so a text is counted into a new one, which is the index of all texts so
//! far and this one. If that turns out to have the words of another, its tree is dropped and it has left no trace.

use std::collections::HashMap;
use std::rc::Rc;

use bhc_rts_alloc::general::Collection;
use bhc_rts_alloc::{AllocResult, GeneralHeap, Root};

use super::tokens::for_each_word;
use super::tree::{self, Entry, Node, Term, Tree};

/// How often each word stands in a document, by [`Term::id`]: sorted by word, each word once.
pub type Bag = Rc<[(u32, u32)]>;

/// The words of all documents so far.
#[derive(Debug)]
pub struct TermIndex<'h> {
    /// Where it is.
    pub heap: &'h mut GeneralHeap,
    /// Of no words at all there is none.
    tree: Option<Root<Node>>,
    limit: u32,
    refused: u64,
}

/// A text that may become a document of the index.
#[derive(Debug)]
pub struct Counted {
    pub bag: Bag,
    /// What the index is with it.
    tree: Option<Root<Node>>,
}

impl<'h> TermIndex<'h> {
    /// An index of at most `limit` words, of objects in `heap`.
    pub fn new(heap: &'h mut GeneralHeap, limit: usize) -> Self {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self { heap, tree: None, limit, refused: 0 }
    }

    /// Counts the words of a text. Words that are new when the index is full are not counted.
    ///
    /// # Errors
    /// If memory is short.
    pub fn count(&mut self, text: &str) -> AllocResult<Counted> {
        let mut tree = self.tree.as_ref().map(Root::try_clone).transpose()?;
        let mut entries: HashMap<Box<str>, (u32, u32)> = HashMap::new();
        for_each_word(text, |word| {
            if let Some((_, times)) = entries.get_mut(word) {
                *times = times.saturating_add(1);
            } else if let Some(id) = self.count_document(&mut tree, word.as_bytes())? {
                entries.insert(word.into(), (id, 1));
            }
            AllocResult::Ok(())
        })?;
        let mut bag: Vec<_> = entries.into_values().collect();
        bag.sort_unstable();
        Ok(Counted { bag: bag.into(), tree })
    }

    /// One document more has this word: makes that tree, and returns the word's id, if there is one.
    fn count_document(&mut self, root: &mut Option<Root<Node>>, word: &[u8]) -> AllocResult<Option<u32>> {
        // Here the heap may collect, and whatever lives may move; from here on nothing does.
        let space = self.heap.try_reserve(tree::room(word))?;
        let tree = root.as_ref().map(|root| root.get(space.heap()));
        let entry = match tree::find(tree, word) {
            Some(Entry { word, term }) => Entry { word, term: Term { documents: term.documents + 1, ..term } },
            None if tree::size(tree) == self.limit => {
                self.refused += 1;
                return Ok(None);
            }
            None => Entry { word: space.new_data(word), term: Term { id: tree::size(tree), documents: 1 } },
        };
        *root = tree::insert(&space, tree, entry).map(|tree| space.heap().try_root(tree)).transpose()?;
        Ok(Some(entry.term.id))
    }

    /// Makes a text that has just been counted a document of the index.
    pub fn add(&mut self, text: Counted) {
        self.tree = text.tree;
    }

    /// Collects all that is garbage. What is left lies together, for whoever reads it now.
    pub fn tidy(&mut self) {
        self.heap.collect(Collection::Full);
    }

    fn tree(&self) -> Tree<'_> {
        self.tree.as_ref().map(|root| root.get(self.heap))
    }

    /// How many documents have each word, by [`Term::id`].
    pub fn documents(&self) -> Vec<u32> {
        let mut documents = vec![0; self.len()];
        tree::for_each(self.tree(), &mut |Entry { term, .. }| documents[term.id as usize] = term.documents);
        documents
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        tree::size(self.tree()) as usize
    }

    /// How often a word was not counted because the index was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
