//! Phase 6: every vector times every other.
//!
//! # Note: the order of the work
//! A vector of many columns does not fit the first-level cache, and all vectors together do not fit the second. So pairs
//! are taken in blocks of [`BLOCK`] × [`BLOCK`] documents, and in a block the columns in panels of [`PANEL`]: the panels
//! of one block (256 KiB) stay in the second-level cache while each is used [`BLOCK`] times.
//!
//! # Note: the temporaries
//! The sums of a block live as long as the block: they are the temporaries of a kernel, and each block is a scope of the
//! arena that they come from. The first block makes the arena take a chunk of memory, all others use it again. It need
//! not be an arena for vectors: what is allocated for [`Align<64>`] is aligned so in any.

use std::collections::BinaryHeap;

use bhc_rts_alloc::{Align, AlignedSlice, AllocResult, HotArena, KnownAlign, MemoryRegion, Scope, SimdLevel};

use super::kernels::dot_padded;
use super::vectors::Vector;

/// Documents on each side of a block of pairs.
pub const BLOCK: usize = 32;

/// What the temporaries of a block are at the most, in bytes.
pub const TEMPORARIES: usize = BLOCK * BLOCK * size_of::<f32>();

/// Columns that are multiplied at a time: a whole number of 64-byte vectors, so every panel is aligned as its vector.
const PANEL: usize = 1024;

/// Calls `visit` with each pair `i < j` and its dot product, block by block, and `block_done` after each block.
///
/// # Errors
/// If there is no memory for the temporaries.
pub fn for_each_pair<V: MemoryRegion, A: KnownAlign, R: MemoryRegion>(
    level: SimdLevel,
    vectors: &[Vector<V>],
    temporaries: &mut HotArena<A, R>,
    mut visit: impl FnMut(usize, usize, f32),
    mut block_done: impl FnMut(),
) -> AllocResult<()> {
    for (row, rows) in vectors.chunks(BLOCK).enumerate() {
        for (column, columns) in vectors.chunks(BLOCK).enumerate().skip(row) {
            temporaries.scope(|scope| -> AllocResult<()> {
                let sums = multiply_block(level, rows, columns, row == column, scope)?;
                for (i, sums) in sums.chunks_exact(columns.len()).enumerate() {
                    let first = if row == column { i + 1 } else { 0 };
                    for (j, sum) in sums.iter().enumerate().skip(first) {
                        visit(row * BLOCK + i, column * BLOCK + j, *sum);
                    }
                }
                Ok(())
            })?;
            block_done();
        }
    }
    Ok(())
}

/// How many blocks [`for_each_pair`] goes through.
pub fn blocks(documents: usize) -> usize {
    let side = documents.div_ceil(BLOCK);
    side * (side + 1) / 2
}

/// The products of all `rows` with all `columns`, row by row; on the diagonal only those above it.
fn multiply_block<'s, V: MemoryRegion, A: KnownAlign>(
    level: SimdLevel,
    rows: &[Vector<V>],
    columns: &[Vector<V>],
    diagonal: bool,
    scope: &Scope<'s, '_, A>,
) -> AllocResult<&'s mut AlignedSlice<f32, Align<64>>> {
    let sums = scope.try_alloc_buffer::<f32, Align<64>>(rows.len() * columns.len())?;
    let len = rows.first().map_or(0, |vector| vector.padded().len());
    for start in (0..len).step_by(PANEL) {
        for (i, (x, sums)) in rows.iter().zip(sums.chunks_exact_mut(columns.len())).enumerate() {
            let x = panel(x.padded(), start);
            let first = if diagonal { i + 1 } else { 0 };
            for (y, sum) in columns.iter().zip(sums).skip(first) {
                *sum += dot_padded(level, x, panel(y.padded(), start));
            }
        }
    }
    Ok(sums)
}

/// The columns of `vector` from `start` on, at most [`PANEL`].
fn panel(vector: &AlignedSlice<f32, Align<64>>, start: usize) -> &AlignedSlice<f32, Align<64>> {
    match vector.split_at_aligned(start) {
        Some((_, rest)) => rest.prefix(PANEL.min(rest.len())),
        None => AlignedSlice::empty(),
    }
}

/// Two documents, by their place in the list, and how similar they are.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub similarity: f32,
    pub left: usize,
    pub right: usize,
}

/// What comes first in the report is less: the more similar, then the earlier documents. The list of documents is sorted
/// by path, so ties are broken by path.
impl Ord for Pair {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_similarity = other.similarity.total_cmp(&self.similarity);
        by_similarity.then((self.left, self.right).cmp(&(other.left, other.right)))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

/// The best pairs seen so far, and no more than asked for.
#[derive(Debug)]
pub struct Top {
    /// The worst of them on top.
    heap: BinaryHeap<Pair>,
    limit: usize,
}

impl Top {
    pub fn new(limit: usize) -> Self {
        Self { heap: BinaryHeap::new(), limit }
    }

    /// Takes the pair in if it is among the best. Pairs without a word in common never are.
    #[inline]
    pub fn offer(&mut self, pair: Pair) {
        if pair.similarity <= 0.0 {
            return;
        }
        if self.heap.len() < self.limit {
            self.heap.push(pair);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && pair < *worst
        {
            *worst = pair;
        }
    }

    /// Best first.
    pub fn into_sorted(self) -> Vec<Pair> {
        self.heap.into_sorted_vec()
    }
}
