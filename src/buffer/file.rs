//! Whole files in aligned memory.

use std::io;
use std::path::Path;

use super::{Place, SimdBuffer};
use crate::align::AlignSpec;
use crate::error::AllocError;
use crate::os::file::{FileRead, OpenFile};
use crate::region::MemoryRegion;

/// What is first made room for, in bytes, if a file does not know its length.
const CHUNK: usize = 64 << 10;

/// Why a file could not be read into a buffer.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There was no memory for it.
    #[error(transparent)]
    Memory(#[from] AllocError),
}

static_assertions::assert_impl_all!(FileError: Send, Sync, std::error::Error);
static_assertions::assert_impl_all!(FileRead: Send, Sync, Copy, Eq);

impl<A: AlignSpec, R: MemoryRegion> Place<A, R> {
    /// The bytes of the file at `path`, read by direct IO where the file system can, the memory is aligned enough (a page
    /// always is) and the file knows its length; otherwise through the page cache. The second value says which, and why.
    ///
    /// A file that grows meanwhile is read as long as it was when opened; one that shrinks, as far as it goes. The
    /// buffer's capacity is the length in whole blocks of the device.
    ///
    /// A file that does not know its length is read to its end; one without an end until the region has no more memory, so
    /// give it a region with a limit.
    ///
    /// # Errors
    /// What the operating system says, or that there is no memory for the file.
    ///
    /// ```
    /// use bhc_rts_alloc::{FileRead, PageAlign, Place};
    /// let (bytes, how) = Place::<PageAlign>::new().read_file("Cargo.toml")?;
    /// assert_eq!(bytes, std::fs::read("Cargo.toml")?[..]);
    /// match how {
    ///     FileRead::Direct => println!("straight from the device"),
    ///     FileRead::Buffered(why) => println!("through the page cache: {why}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_file(self, path: impl AsRef<Path>) -> Result<(SimdBuffer<u8, A, R>, FileRead), FileError> {
        let mut file = OpenFile::open(path.as_ref(), A::alignment(self.spec).as_usize())?;
        let mut bytes = self.try_zeroed::<u8>(file.room().ok_or(AllocError::Overflow)?)?;
        let mut filled = 0;
        loop {
            if filled == bytes.len() {
                if file.len() != 0 {
                    break;
                }
                bytes.try_resize(filled.saturating_mul(2).max(CHUNK), 0)?; // how long it is shows at its end
            }
            match file.read(&mut bytes.as_mut_slice()[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        // The last block may hold what was appended after the file was opened.
        let wanted = match usize::try_from(file.len()) {
            Ok(0) | Err(_) => filled,
            Ok(len) => len.min(filled),
        };
        bytes.truncate(wanted);
        Ok((bytes, file.mode()))
    }
}
