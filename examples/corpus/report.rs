//! Phase 7: what came of it, for a person at a terminal of 100 columns. Paths are never cut: they are there to be copied.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bhc_rts_alloc::{Align, CapabilityStats, KnownAlign, PageAlign, RegionKind, SimdLevel, page_size};
use indicatif::{HumanBytes, HumanCount};

use super::read::{Reads, Skip, Skipped};
use super::run::Phases;
use super::vectors::Features;

/// Two documents with different words.
#[derive(Clone, Debug)]
pub struct SimilarPair {
    pub similarity: f32,
    pub left: PathBuf,
    /// How many more files have the words of the left one.
    pub left_copies: usize,
    pub right: PathBuf,
    pub right_copies: usize,
}

/// The result of a run. Paths are as seen from the root.
#[derive(Clone, Debug)]
pub struct Report {
    pub root: PathBuf,
    /// How many pairs were asked for.
    pub top: usize,
    /// Everything below the root that is not a folder.
    pub looked_at: usize,
    pub reads: Reads,
    pub skipped: Skipped,
    /// Bytes of the files that were compared.
    pub text_bytes: u64,
    /// Files that were compared.
    pub texts: usize,
    /// Files of them that have different words.
    pub documents: usize,
    /// The most similar documents, best first.
    pub pairs: Vec<SimilarPair>,
    /// Files with the same words, each as often: the largest sets first.
    pub same: Vec<Vec<PathBuf>>,
    pub features: Features,
    /// How many words were not counted because there are too many different ones.
    pub refused_words: u64,
    pub level: SimdLevel,
    pub phases: Phases,
    /// Which region the vectors are in.
    pub vectors: RegionKind,
    /// The statistics of all regions at the end of comparing: the vectors are live, and the heap of the index has been
    /// collected as a whole when it was complete.
    pub memory: CapabilityStats,
}

/// Files of a set that are shown by name.
const SHOWN_OF_A_SET: usize = 3;

impl Report {
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_pairs(out)?;
        self.write_same(out)?;
        self.write_files(out)?;
        self.write_vectors(out)?;
        self.write_machine(out)?;
        self.write_time(out)?;
        self.write_memory(out)
    }

    fn write_pairs(&self, out: &mut impl Write) -> io::Result<()> {
        let root = printable(&self.root);
        let pairs = self.documents * self.documents.saturating_sub(1) / 2;
        match self.documents {
            0 => return writeln!(out, "There is no text in {root}"),
            1 if self.texts == 1 => {
                return writeln!(out, "There is one text in {root}, and nothing to compare it with");
            }
            1 => return writeln!(out, "All texts in {root} have the same words"),
            _ if self.top == 0 => return writeln!(out, "{} in {root}, none asked for", Counted(pairs, "pair")),
            _ if self.pairs.is_empty() => return writeln!(out, "No two texts in {root} have a word in common"),
            _ => {}
        }
        writeln!(out, "The most similar of {} in {root}", Counted(pairs, "pair"))?;
        let digits = self.pairs.len().to_string().len();
        for (rank, pair) in self.pairs.iter().enumerate() {
            let (left, right) = (printable(&pair.left), printable(&pair.right));
            writeln!(
                out,
                "\n  {:>digits$}  {}  {left}{}",
                rank + 1,
                Similarity(pair.similarity),
                Copies(pair.left_copies)
            )?;
            writeln!(out, "  {:digits$}          {right}{}", "", Copies(pair.right_copies))?;
        }
        Ok(())
    }

    fn write_same(&self, out: &mut impl Write) -> io::Result<()> {
        if self.same.is_empty() || self.top == 0 {
            return Ok(());
        }
        let files: usize = self.same.iter().map(Vec::len).sum();
        let sets = self.same.len();
        writeln!(out, "\nThe same words, each as often: {} in {}", Counted(files, "file"), Counted(sets, "set"),)?;
        for paths in self.same.iter().take(self.top) {
            writeln!(out)?;
            for (nth, path) in paths.iter().take(SHOWN_OF_A_SET).enumerate() {
                match nth {
                    0 => writeln!(out, "  {:>6} ×  {}", count(paths.len()), printable(path))?,
                    _ => writeln!(out, "            {}", printable(path))?,
                }
            }
            if let more @ 1.. = paths.len().saturating_sub(SHOWN_OF_A_SET) {
                writeln!(out, "            … and {} more", count(more))?;
            }
        }
        match sets.saturating_sub(self.top) {
            0 => Ok(()),
            more => writeln!(out, "\n            … and {}", Counted(more, "more set")),
        }
    }

    fn write_files(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nFiles: {} seen", count(self.looked_at))?;
        let line = |out: &mut dyn Write, number: usize, what: &dyn fmt::Display| match number {
            0 => Ok(()),
            _ => writeln!(out, "  {:>10}  {what}", count(number)),
        };
        let mut compared = format!("compared, {}", HumanBytes(self.text_bytes));
        if self.documents != self.texts {
            compared += &format!(", {} of them with different words", count(self.documents));
        }
        line(out, self.texts, &compared)?;
        for why in Skip::ALL {
            line(out, self.skipped.count(why), &format_args!("skipped: {}", why.text()))?;
            if why == Skip::Unreadable {
                for (path, reason) in &self.skipped.examples {
                    writeln!(out, "                {}: {}", printable(&relative(&self.root, path)), Escaped(reason))?;
                }
                if let more @ 1.. = self.skipped.count(why) - self.skipped.examples.len() {
                    writeln!(out, "                … and {} more", count(more))?;
                }
            }
        }
        if self.reads.files() != 0 {
            writeln!(out, "\nReading: {} in {}", HumanBytes(self.reads.bytes), Counted(self.reads.files(), "file"))?;
            line(out, self.reads.direct, &"by direct IO into page-aligned memory")?;
            for (why, files) in &self.reads.buffered {
                line(out, *files, &format_args!("through the page cache: {why}"))?;
            }
        }
        Ok(())
    }

    fn write_vectors(&self, out: &mut impl Write) -> io::Result<()> {
        if self.documents == 0 {
            return Ok(());
        }
        let Features { terms, shared, columns } = self.features;
        let region = match self.vectors {
            RegionKind::Pinned => "the Pinned Heap",
            RegionKind::General => "the General Heap",
            _ => "memory of the system",
        };
        writeln!(out, "\nVectors: {} of {} in {region}", count(self.documents), Counted(columns, "column"))?;
        writeln!(out, "  {:>10}  words in all", count(terms))?;
        write!(out, "  {:>10}  words in more than one text, ", count(shared))?;
        if self.features.folded() {
            let error = 1.0 / (columns as f64).sqrt();
            writeln!(out, "folded into the columns: similarities are good to about {error:.3}")?;
        } else {
            writeln!(out, "a column each: similarities are exact to rounding")?;
        }
        if self.refused_words != 0 {
            writeln!(out, "  {:>10}  words not counted: too many different ones", count(self.refused_words as usize))?;
        }
        Ok(())
    }

    fn write_machine(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nMachine: {}", std::env::consts::ARCH)?;
        let (level, wanted) = (self.level.name(), self.level.alignment());
        writeln!(out, "  {level:>10}  is the level of the kernels; they want data aligned to {wanted} bytes")?;
        writeln!(out, "  {:>10}  bytes is the alignment of vectors, by their type", Align::<64>::BYTES)?;
        writeln!(
            out,
            "  {:>10}  bytes is that of file bytes; a page has {}",
            count(PageAlign::BYTES),
            count(page_size())
        )
    }

    fn write_time(&self, out: &mut impl Write) -> io::Result<()> {
        let Phases { walk, read, words, vectors, compare } = self.phases;
        let phases = [
            ("walk the tree", walk),
            ("read files", read),
            ("count words", words),
            ("build vectors", vectors),
            ("compare pairs", compare),
        ];
        let total: Duration = phases.iter().map(|(_, time)| time).sum();
        writeln!(out, "\nTime: {:.3} s", total.as_secs_f64())?;
        for (phase, time) in phases {
            writeln!(out, "  {:>10.1}  ms to {phase}", time.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }

    fn write_memory(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nMemory, by region")?;
        self.memory.to_string().lines().try_for_each(|line| writeln!(out, "  {line}"))
    }
}

/// A path for the screen: what is not UTF-8 is replaced, and what would move the cursor is written as an escape.
pub fn printable(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

/// `path` as seen from the root; if it is the root, its last part.
pub fn relative(root: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix(root) {
        Ok(rest) if !rest.as_os_str().is_empty() => rest.to_owned(),
        _ => path.file_name().map_or_else(|| path.to_owned(), PathBuf::from),
    }
}

/// Four digits, rounded down: documents that differ are not shown as 1.
struct Similarity(f32);

impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", (f64::from(self.0) * 1e4).floor() / 1e4)
    }
}

/// ` (and 2 copies)`, or nothing.
struct Copies(usize);

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {})", Counted(more, "copy")),
        }
    }
}

/// A number with its thousands apart.
fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// A number of things, in singular or plural.
struct Counted(usize, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, thing) = *self;
        match thing.strip_suffix('y') {
            _ if number == 1 => write!(f, "1 {thing}"),
            Some(stem) => write!(f, "{} {stem}ies", count(number)),
            None => write!(f, "{} {thing}s", count(number)),
        }
    }
}
