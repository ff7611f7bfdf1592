//! Phase 1: which files there are.
//!
//! The tree is walked by the `ignore` crate. Hidden files, and what a `.gitignore` or `.ignore` in the tree names, are not
//! looked at, whether or not there is a repository; ignore files above the root and the user's own have no say, so that
//! the same tree gives the same result everywhere. Symbolic links below the root are counted and not followed: there are
//! no loops and no file comes twice. Files of length 0 are not opened: there is nothing to compare, and what the kernel
//! makes up (`/proc`) says 0 as well and may never end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::options::Limits;
use super::read::{Skip, Skipped};

/// What a walk found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files to read, sorted by path.
    pub files: Vec<PathBuf>,
    pub skipped: Skipped,
}

/// Walks everything below `root`, or takes `root` itself if it is a file.
///
/// # Errors
/// If `root` itself cannot be looked at or is neither a folder nor a file. Everything below is counted, never fatal.
pub fn walk(root: &Path, limits: &Limits) -> io::Result<Found> {
    let metadata = fs::metadata(root)?;
    if metadata.is_dir() {
        fs::read_dir(root)?; // a folder that cannot be opened is an error, not an empty one
    } else if !metadata.is_file() {
        return Err(io::Error::other("neither a folder nor a file"));
    }
    let mut found = Found::default();
    let mut walk = WalkBuilder::new(root);
    walk.require_git(false).parents(false).git_global(false);
    // Sorted on the way, so that also what a limit leaves out does not depend on the file system.
    walk.sort_by_file_name(|a, b| a.cmp(b));
    for entry in walk.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.skipped.walk_error(root, &error);
                continue;
            }
        };
        // Without a type it is standard input, which was not asked for.
        let Some(kind) = entry.file_type() else { continue };
        if kind.is_dir() || (kind.is_symlink() && entry.depth() == 0 && metadata.is_dir()) {
            continue;
        }
        if kind.is_symlink() {
            found.skipped.add(Skip::Link);
        } else if !kind.is_file() {
            found.skipped.add(Skip::NoFile);
        } else if found.files.len() == limits.files {
            found.skipped.add(Skip::TooManyFiles);
        } else {
            match entry.metadata() {
                Ok(metadata) if metadata.len() == 0 => found.skipped.add(Skip::Empty),
                Ok(metadata) if metadata.len() > limits.file_bytes => found.skipped.add(Skip::TooLarge),
                Ok(_) => found.files.push(entry.into_path()),
                Err(error) => found.skipped.walk_error(entry.path(), &error),
            }
        }
    }
    Ok(found)
}

impl Skipped {
    /// Counts what the walk could not look at; `path` is where it was, unless the error knows better. A pattern in an
    /// ignore file that makes no sense excludes nothing and is no error here.
    fn walk_error(&mut self, path: &Path, error: &ignore::Error) {
        if let Some(reason) = error.io_error() {
            self.unreadable(path_of(error).unwrap_or(path), &reason.to_string());
        }
    }
}

/// The path that an error is about.
fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}
