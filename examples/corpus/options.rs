//! The command line, and the limits that keep time and memory bounded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bhc_rts_alloc::RegionKind;

/// What to do.
#[derive(Debug)]
pub enum Command {
    Help,
    Run(Options),
}

/// What [`run`](super::run::run) is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder to look through, or a single file.
    pub root: PathBuf,
    /// How many pairs to print at most.
    pub top: usize,
    /// Whether to show progress on standard error.
    pub progress: bool,
    /// Which region the vectors are in: one of [`VECTOR_REGIONS`]. Any other has no room for them. (The arena would have,
    /// but its scopes want it for themselves while the vectors are used.)
    pub vectors: RegionKind,
    pub limits: Limits,
}

/// Where vectors may be, by the names that the command line has for it.
pub const VECTOR_REGIONS: [(&str, RegionKind); 3] =
    [("pinned", RegionKind::Pinned), ("general", RegionKind::General), ("system", RegionKind::System)];

impl Options {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), top: 10, progress: false, vectors: RegionKind::Pinned, limits: Limits::default() }
    }
}

/// Where to stop. What is left out because of a limit is counted in the report.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files that are looked at.
    pub files: usize,
    /// The size of one file, in bytes.
    pub file_bytes: u64,
    /// All text together, in bytes; bounds what the words take.
    pub text_bytes: u64,
    /// Different words.
    pub terms: usize,
    /// What the index of the words may take, in bytes. Nothing is left out because of that: there is an error.
    pub index_bytes: usize,
    /// Different documents.
    pub documents: usize,
    /// All vectors together, in bytes.
    pub vector_bytes: usize,
    /// Multiplications in comparing all pairs, as far as [`MIN_COLUMNS`](super::vectors::MIN_COLUMNS) allows: a few seconds.
    pub products: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 1 << 20,
            file_bytes: 16 << 20,
            text_bytes: 512 << 20,
            terms: 4 << 20,
            index_bytes: 1 << 30,
            documents: 1 << 16,
            vector_bytes: 256 << 20,
            products: 1 << 35,
        }
    }
}

/// More than anybody reads, and little enough that the list of the best is small.
const MAX_TOP: usize = 100_000;

pub const USAGE: &str = "\
Finds the most similar text files below a folder.

usage: corpus [PATH] [--top N] [--vectors REGION]

  PATH              a folder, or a single file (default: the checkout this was built from)
  --top N           how many pairs to print, 0 to 100000 (default: 10)
  --vectors REGION  which memory vectors are in: pinned, general or system (default: pinned)
  --help            this text

Text is UTF-8 without a NUL byte. Hidden files, and what a .gitignore or .ignore in the folder
names, are not looked at; symbolic links are not followed. Words are runs of letters and digits, of
2 to 40 characters, in lower case. The similarity of two texts is the cosine of their TF-IDF
vectors: 1 for the same words in the same proportions, 0 for no word in common. Files that have the
same words, each as often, are one text and are listed apart.

Limits: 16 MiB for a file, 512 MiB for all text, 1048576 files, 4194304 different words, 65536
different texts, 256 MiB for all vectors. What is left out is counted. If there are more words than
vectors have room for, words share columns and the similarity is approximate; the report says so.
If the index of the words needs more than 1 GiB, memory is short.

Exit code: 0 if done, 1 if memory is short or the report cannot be written, 2 if the arguments make
no sense or PATH cannot be read.
";

/// Understands the arguments after the program's name.
///
/// # Errors
/// What is wrong with them, as a sentence.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let (mut root, mut only_paths) = (None, false);
    let mut options = Options::new("");
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if only_paths || !text.starts_with('-') || text == "-" {
            if root.replace(PathBuf::from(&argument)).is_some() {
                return Err("more than one PATH is given".to_owned());
            }
            continue;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*text, None),
        };
        let mut value = |wanted: &str| {
            let next = || arguments.next().map(|value| value.to_string_lossy().into_owned());
            value.clone().or_else(next).ok_or_else(|| format!("{name} wants {wanted}"))
        };
        match name {
            "--" if text == name => only_paths = true,
            "--help" | "-h" if text == name => return Ok(Command::Help),
            "--top" => options.top = parse_top(&value("a number")?)?,
            "--vectors" => options.vectors = parse_vectors(&value("a region")?)?,
            _ => return Err(format!("there is no option `{}`", super::report::printable(Path::new(&argument)))),
        }
    }
    options.root = match root {
        // `ignore` takes a lone `-` for standard input.
        Some(path) if path.as_os_str() == "-" => PathBuf::from("./-"),
        Some(path) => path,
        None => default_root(),
    };
    Ok(Command::Run(options))
}

fn parse_top(value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| *number <= MAX_TOP);
    number.ok_or_else(|| format!("--top wants a number from 0 to {MAX_TOP}, not `{}`", value.escape_debug()))
}

fn parse_vectors(value: &str) -> Result<RegionKind, String> {
    let named = VECTOR_REGIONS.into_iter().find(|(name, _)| *name == value);
    let kind = named.map(|(_, kind)| kind);
    kind.ok_or_else(|| format!("--vectors wants `pinned`, `general` or `system`, not `{}`", value.escape_debug()))
}

/// The checkout that this was built from, or where we are if that is gone.
fn default_root() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    if checkout.is_dir() { checkout.to_owned() } else { PathBuf::from(".") }
}
