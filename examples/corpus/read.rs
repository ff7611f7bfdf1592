//! Phase 2: a file's bytes, in page-aligned memory, by direct IO where the file system can.
//!
//! The memory is the caller's choice: `place` is where file bytes go, one buffer at a time, given back as soon as the
//! words are counted. Direct IO wants memory that is aligned and does not move: that is what the Pinned Heap is for.

use std::path::{Path, PathBuf};

use bhc_rts_alloc::{FileError, FileRead, MemoryRegion, NotDirect, PageAlign, Place, SimdBuffer};

/// Reads the file at `path` into memory from `place`.
///
/// # Errors
/// If it cannot be read, whatever the reason: that it is gone, that it is a folder by now, or that memory is short.
pub fn read<R: MemoryRegion>(
    place: Place<PageAlign, R>,
    path: &Path,
) -> Result<(SimdBuffer<u8, PageAlign, R>, FileRead), FileError> {
    place.read_file(path)
}

/// The bytes as text: UTF-8 without a NUL byte. That is strict on purpose: UTF-16 and Latin-1 would need to be guessed,
/// and guessed words are worse than a counted omission.
///
/// # Errors
/// Why they are not text.
pub fn as_text(bytes: &[u8]) -> Result<&str, Skip> {
    if bytes.is_empty() {
        return Err(Skip::Empty);
    }
    if bytes.contains(&0) {
        return Err(Skip::Binary);
    }
    str::from_utf8(bytes).map_err(|_| Skip::NotUtf8)
}

/// How files came into memory.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    pub direct: usize,
    /// By reason.
    pub buffered: Vec<(NotDirect, usize)>,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Reads {
    pub fn add(&mut self, how: FileRead, bytes: usize) {
        self.bytes += bytes as u64;
        match how {
            FileRead::Direct => self.direct += 1,
            FileRead::Buffered(why) => match self.buffered.iter_mut().find(|(known, _)| *known == why) {
                Some((_, count)) => *count += 1,
                None => self.buffered.push((why, 1)),
            },
        }
    }

    pub fn files(&self) -> usize {
        self.direct + self.buffered.iter().map(|(_, count)| count).sum::<usize>()
    }
}

/// Why something below the root is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    Unreadable,
    Binary,
    NotUtf8,
    Empty,
    NoWords,
    Link,
    NoFile,
    TooLarge,
    TooMuchText,
    TooManyFiles,
    TooManyDocuments,
}

impl Skip {
    /// In the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Unreadable,
        Self::Binary,
        Self::NotUtf8,
        Self::Empty,
        Self::NoWords,
        Self::Link,
        Self::NoFile,
        Self::TooLarge,
        Self::TooMuchText,
        Self::TooManyFiles,
        Self::TooManyDocuments,
    ];

    pub const fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "could not be read",
            Self::Binary => "binary (a NUL byte)",
            Self::NotUtf8 => "not UTF-8",
            Self::Empty => "empty",
            Self::NoWords => "without words",
            Self::Link => "symbolic links, not followed",
            Self::NoFile => "neither files nor folders",
            Self::TooLarge => "too large",
            Self::TooMuchText => "beyond the limit of text in all",
            Self::TooManyFiles => "beyond the limit of files",
            Self::TooManyDocuments => "beyond the limit of different texts",
        }
    }
}

/// What was skipped, by reason.
#[derive(Clone, Debug, Default)]
pub struct Skipped {
    counts: [usize; Skip::ALL.len()],
    /// The first that could not be read, and why. A few: the count is exact, the list is to give an idea.
    pub examples: Vec<(PathBuf, String)>,
}

impl Skipped {
    const EXAMPLES: usize = 10;

    pub fn add(&mut self, why: Skip) {
        self.counts[why as usize] += 1;
    }

    pub fn unreadable(&mut self, path: &Path, reason: &str) {
        self.add(Skip::Unreadable);
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push((path.to_owned(), reason.to_owned()));
        }
    }

    pub fn count(&self, why: Skip) -> usize {
        self.counts[why as usize]
    }

    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}
