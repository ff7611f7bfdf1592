//! The whole job: takes the phases in turn, times them, and decides where memory comes from.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bhc_rts_alloc::{
    Align, AllocError, AllocResult, ByRegion, Capability, Config, GeneralHeap, HotArena, MemoryRegion, PageAlign,
    Parts, PinnedHeap, Place, RegionKind, SimdLevel,
};

use super::compare::{self, Pair, TEMPORARIES, Top};
use super::options::{Limits, Options};
use super::read::{self, Reads, Skip, Skipped};
use super::report::{Report, SimilarPair, printable, relative};
use super::terms::{Bag, TermIndex};
use super::vectors::{self, MIN_COLUMNS, Vector};
use super::{progress, walk};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot read `{}`: {}", printable(path), error)]
    Root { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Memory(#[from] AllocError),
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

impl RunError {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Root { .. } => 2,
            Self::Memory(_) | Self::Output(_) => 1,
        }
    }
}

/// How long each phase took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    pub walk: Duration,
    pub read: Duration,
    pub words: Duration,
    pub vectors: Duration,
    pub compare: Duration,
}

/// Finds the most similar text files below `options.root` and writes the report to `out`.
///
/// # Errors
/// If the root cannot be read, memory for the vectors or the temporaries is short, or `out` does not take the report.
/// What is wrong with single files is in the report.
pub fn run(options: &Options, out: &mut impl Write) -> Result<Report, RunError> {
    // All memory is of one capability's regions, by the four kinds of use there are. File bytes live from a read to the
    // end of counting words and want to be pinned for the device; the nodes of the index live until none points to them
    // any more, which is what the General Heap finds out; temporaries of the kernels live as long as a block of pairs,
    // which is a scope of the Hot Arena; vectors live as long as the job, in a region that is known only now. So that
    // one is a value, and the alignment, which the kernels rely on, stays in the type.
    let mut capability = config(options).try_build()?;
    let pinned = capability.pinned().clone();
    let vector_memory = Place::<Align<64>>::new().within(vector_region(&capability, &pinned, options.vectors));
    let Parts { arena, general, .. } = capability.parts();
    let index = TermIndex::new(general, options.limits.terms);
    let file_bytes = Place::<PageAlign>::new().within(&*pinned);

    let mut phases = Phases::default();
    let found = timed(&mut phases.walk, || walk::walk(&options.root, &options.limits))
        .map_err(|error| RunError::Root { path: options.root.clone(), error })?;
    let looked_at = found.files.len() + found.skipped.total();

    let mut texts = Texts::new(index, found.skipped);
    texts.read_all(&found.files, options, file_bytes, &mut phases)?;
    let Texts { bags, paths, index, reads, skipped, text_bytes, .. } = texts;

    let (features, vectors) =
        timed(&mut phases.vectors, || vectors::build(&bags, &index.documents(), &options.limits, &vector_memory))?;
    let refused_words = index.refused();

    let level = SimdLevel::detect();
    let pairs = timed(&mut phases.compare, || best_pairs(level, &vectors, options, arena))?;

    let name = |document: usize| relative(&options.root, &paths[document][0]);
    let pairs = pairs.into_iter().map(|pair| SimilarPair {
        similarity: pair.similarity,
        left: name(pair.left),
        left_copies: paths[pair.left].len() - 1,
        right: name(pair.right),
        right_copies: paths[pair.right].len() - 1,
    });
    let mut same: Vec<Vec<PathBuf>> = paths
        .iter()
        .filter(|paths| paths.len() > 1)
        .map(|paths| paths.iter().map(|path| relative(&options.root, path)).collect())
        .collect();
    // The largest sets first; a stable sort, so those of one size stay sorted by path.
    same.sort_by_key(|paths| std::cmp::Reverse(paths.len()));

    let report = Report {
        root: options.root.clone(),
        top: options.top,
        looked_at,
        reads,
        skipped,
        text_bytes,
        texts: paths.iter().map(Vec::len).sum(),
        documents: paths.len(),
        pairs: pairs.collect(),
        same,
        features,
        refused_words,
        level,
        phases,
        vectors: options.vectors,
        memory: capability.stats(),
    };
    report.write(out)?;
    out.flush()?;
    Ok(report)
}

/// The young nodes of the index: those of some texts, in a part of the level-2 cache that leaves room for the texts.
const NURSERY: usize = 512 << 10;

/// What the regions may take, so that a job that needs more than it should ends with an error.
pub fn config(options: &Options) -> Config {
    let limits = &options.limits;
    let vectors = |kind| if options.vectors == kind { vector_bytes(limits) } else { 0 };
    let pinned = file_bytes(limits).saturating_add(vectors(RegionKind::Pinned));
    let general = limits.index_bytes.saturating_add(vectors(RegionKind::General));
    Config::new()
        .pinned(PinnedHeap::builder().limit(pinned))
        .general(GeneralHeap::builder().nursery(NURSERY).limit(general))
        // Chunks have headers, and are of sizes that double.
        .arena(HotArena::builder().limit(4 * TEMPORARIES))
}

/// A file, and what a heap keeps of those before it. A file that has grown since it was looked at does not fit, and
/// cannot be read.
fn file_bytes(limits: &Limits) -> usize {
    const KEPT: usize = 16 << 20;
    usize::try_from(limits.file_bytes).unwrap_or(usize::MAX).saturating_add(KEPT)
}

/// All vectors. They have the fewest columns even where that is more than there should be, and a block is a quarter
/// larger than asked for at the most.
fn vector_bytes(limits: &Limits) -> usize {
    let fewest = limits.documents.saturating_mul(MIN_COLUMNS * size_of::<f32>());
    limits.vector_bytes.max(fewest).saturating_mul(5) / 4
}

/// The region of the vectors. What the [parts](Capability::parts) borrow is not in it, so both are used side by side.
fn vector_region<'p>(capability: &Capability, pinned: &'p PinnedHeap, kind: RegionKind) -> ByRegion<'p> {
    match kind {
        RegionKind::Pinned => pinned.into(),
        RegionKind::General => capability.general().bytes().into(),
        RegionKind::System => ByRegion::System,
        _ => ByRegion::Nowhere,
    }
}

/// The texts read so far. Those with the same words are one document, known by the first of its paths.
struct Texts<'h> {
    index: TermIndex<'h>,
    bags: Vec<Bag>,
    /// Of each document, sorted. As files come sorted, so are documents by their first path.
    paths: Vec<Vec<PathBuf>>,
    by_bag: HashMap<Bag, usize>,
    reads: Reads,
    skipped: Skipped,
    text_bytes: u64,
}

impl<'h> Texts<'h> {
    fn new(index: TermIndex<'h>, skipped: Skipped) -> Self {
        Self {
            index,
            bags: Vec::new(),
            paths: Vec::new(),
            by_bag: HashMap::new(),
            reads: Reads::default(),
            skipped,
            text_bytes: 0,
        }
    }

    /// Reads the files one after the other and counts their words. Of the bytes, those of one file are in memory.
    fn read_all<R: MemoryRegion + Clone>(
        &mut self,
        files: &[PathBuf],
        options: &Options,
        place: Place<PageAlign, R>,
        phases: &mut Phases,
    ) -> AllocResult<()> {
        let bar = progress::bar(options.progress, "reading", files.len());
        for path in files {
            self.read_one(path, options, place.clone(), phases)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        timed(&mut phases.words, || self.index.tidy());
        Ok(())
    }

    fn read_one<R: MemoryRegion>(
        &mut self,
        path: &Path,
        options: &Options,
        place: Place<PageAlign, R>,
        phases: &mut Phases,
    ) -> AllocResult<()> {
        if self.text_bytes >= options.limits.text_bytes {
            return self.skip(Skip::TooMuchText);
        }
        let bytes = match timed(&mut phases.read, || read::read(place, path)) {
            Ok((bytes, how)) => {
                self.reads.add(how, bytes.len());
                bytes
            }
            Err(error) => {
                self.skipped.unreadable(path, &error.to_string());
                return Ok(());
            }
        };
        let text = match timed(&mut phases.read, || read::as_text(&bytes)) {
            Ok(text) => text,
            Err(why) => return self.skip(why),
        };
        let counted = timed(&mut phases.words, || self.index.count(text))?;
        let bag = &counted.bag;
        if bag.is_empty() {
            return self.skip(Skip::NoWords);
        }
        if let Some(&document) = self.by_bag.get(bag) {
            self.paths[document].push(path.to_owned());
        } else if self.bags.len() == options.limits.documents {
            return self.skip(Skip::TooManyDocuments);
        } else {
            self.by_bag.insert(bag.clone(), self.bags.len());
            self.bags.push(bag.clone());
            self.paths.push(vec![path.to_owned()]);
            self.index.add(counted);
        }
        self.text_bytes += bytes.len() as u64;
        Ok(())
    }

    fn skip(&mut self, why: Skip) -> AllocResult<()> {
        self.skipped.add(why);
        Ok(())
    }
}

/// Compares all pairs and keeps the best.
fn best_pairs<V: MemoryRegion>(
    level: SimdLevel,
    vectors: &[Vector<V>],
    options: &Options,
    temporaries: &mut HotArena,
) -> AllocResult<Vec<Pair>> {
    if options.top == 0 {
        return Ok(Vec::new());
    }
    let mut top = Top::new(options.top);
    let bar = progress::bar(options.progress, "comparing", compare::blocks(vectors.len()));
    compare::for_each_pair(
        level,
        vectors,
        temporaries,
        // A cosine is at most 1; what rounding put above is taken off.
        |left, right, product| top.offer(Pair { similarity: product.min(1.0), left, right }),
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    Ok(top.into_sorted())
}

/// Adds to `total` what `work` takes.
fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}
