//! Phase 5: from words to vectors whose dot product is the cosine of the documents.
//!
//! # Note: the weights
//! TF-IDF in its usual smoothed form: a word that stands `t` times in a document, and in `d` of all `n` documents, weighs
//! `(1 + ln t) · (1 + ln((1 + n) / (1 + d)))`. Vectors are divided by their length, in `f64`, and stored as `f32`.
//!
//! # Note: which words get a column
//! A kernel wants dense vectors, and a folder of source code has a hundred thousand words. Two thirds of them stand in
//! one document only, and **such a word cannot contribute to any product: it counts in the length of its vector and
//! needs no column.** That is exact. So the columns are the words that documents share, one each, as long as memory and
//! time allow ([`columns`]).
//!
//! If there are more, the shared words are folded into the columns there are by a count sketch (Charikar, Chen,
//! Farach-Colton, 2002): each word has a column and a sign, both drawn by a fixed hash. Words that meet in a column cancel
//! as often as they add up, so a product of two vectors keeps its expectation and is off by about `1 / sqrt(columns)`;
//! as the length is taken after folding, documents with the same words still have the similarity 1. The report says
//! which of the two it was.

use bhc_rts_alloc::{Align, AllocResult, MemoryRegion, Place, SimdBuffer};

use super::options::Limits;
use super::terms::Bag;

/// The vector of one document.
pub type Vector<R> = SimdBuffer<f32, Align<64>, R>;

/// The fewest columns that words are folded into: a similarity is then good to about 0.03.
pub const MIN_COLUMNS: usize = 1024;

/// What the columns of the vectors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Words in all documents.
    pub terms: usize,
    /// Words that stand in two documents or more.
    pub shared: usize,
    /// Elements of a vector; one for each shared word, or fewer if words were folded.
    pub columns: usize,
}

impl Features {
    /// Whether words share columns, so that similarities are approximate.
    pub fn folded(&self) -> bool {
        self.columns < self.shared
    }
}

/// How many columns vectors may have so that all of them fit in memory and all pairs are multiplied in a few seconds.
fn columns(documents: usize, limits: &Limits) -> usize {
    let pairs = documents * documents.saturating_sub(1) / 2;
    let by_memory = limits.vector_bytes / size_of::<f32>() / documents.max(1);
    let by_time = limits.products / pairs.max(1);
    by_memory.min(by_time).max(MIN_COLUMNS)
}

/// The vectors of documents, in memory from `place`. `documents_with` says how many of them have each word.
///
/// # Errors
/// If memory is short.
pub fn build<R: MemoryRegion + Clone>(
    bags: &[Bag],
    documents_with: &[u32],
    limits: &Limits,
    place: &Place<Align<64>, R>,
) -> AllocResult<(Features, Vec<Vector<R>>)> {
    let terms = documents_with.len();
    let shared = documents_with.iter().filter(|documents| **documents > 1).count();
    let features = Features { terms, shared, columns: shared.min(columns(bags.len(), limits)) };

    // Where each shared word goes: column and sign.
    let mut next = 0;
    let targets: Vec<(usize, f64)> = (0..terms)
        .map(|term| match documents_with[term] {
            0 | 1 => (usize::MAX, 0.0),
            _ if features.folded() => sketch(term, features.columns),
            _ => {
                next += 1;
                (next - 1, 1.0)
            }
        })
        .collect();

    let mut sums = vec![0.0f64; features.columns];
    let vectors = bags.iter().map(|bag| {
        sums.fill(0.0);
        let mut alone = 0.0;
        for &(term, times) in bag.iter() {
            let documents = documents_with[term as usize];
            let weight = weight(times, documents, bags.len());
            match (documents, targets[term as usize]) {
                (1, _) => alone += weight * weight,
                (_, (column, sign)) => sums[column] += sign * weight,
            }
        }
        let length = (alone + sums.iter().map(|sum| sum * sum).sum::<f64>()).sqrt();
        // Without any word all sums are 0, and so is the vector.
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        place.clone().try_from_fn(features.columns, |column| (sums[column] * scale) as f32)
    });
    Ok((features, vectors.collect::<AllocResult<_>>()?))
}

/// What a word weighs that stands `times` times in a document, and in `documents` of `all`.
fn weight(times: u32, documents: u32, all: usize) -> f64 {
    let rarity = (1.0 + all as f64) / (1.0 + f64::from(documents));
    (1.0 + f64::from(times).ln()) * (1.0 + rarity.ln())
}

/// The column and the sign of a word, by a hash whose every bit depends on every bit of the word (the finaliser of
/// SplitMix64).
fn sketch(term: usize, columns: usize) -> (usize, f64) {
    let mut hash = (term as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // The upper half chooses the column without bias worth the name, the lowest bit the sign.
    let column = ((hash >> 32) * columns as u64) >> 32;
    (column as usize, if hash & 1 == 0 { 1.0 } else { -1.0 })
}
