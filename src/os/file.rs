//! Reading files past the page cache.
//!
//! # Note: what direct IO demands
//! `O_DIRECT` wants the memory address, the file offset and the length of every read to be multiples of a block size that
//! depends on the file system and the device (`statx` tells it, on Linux 6.1 and later). Not every file system can, some
//! accept the flag at `open` and refuse the first read, and the last read of a file ends where the file does. So a
//! direct read is an attempt: [`OpenFile`] starts direct where it can, and goes on buffered from where it is when the
//! system refuses, and remembers why.

use std::fs::File;
use std::io;
use std::path::Path;

/// How the bytes of a file came into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRead {
    /// With `O_DIRECT`: past the page cache into the buffer, as far as the file system has one (one in memory accepts the
    /// flag too).
    Direct,
    /// Through the page cache.
    Buffered(NotDirect),
}

/// Why a file was not read by direct IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDirect {
    /// There is no direct IO on this platform, as far as this crate knows.
    #[error("this platform has no direct IO")]
    Platform,
    /// The file system, or this file, does not do direct IO, or not to the end: the rest came through the page cache.
    #[error("the file system does not do direct IO here")]
    FileSystem,
    /// The buffer is aligned less strictly than the device wants.
    #[error("the device wants memory aligned to {needed} bytes, the buffer has {given}")]
    Memory {
        /// What the device wants, in bytes.
        needed: usize,
        /// What the buffer has, in bytes.
        given: usize,
    },
    /// The file says that its length is 0: it is empty, or a pipe, a device, a file made up by the kernel.
    #[error("the file does not say how long it is")]
    UnknownLength,
}

/// A file that is being read from its start.
pub(crate) struct OpenFile {
    file: File,
    mode: FileRead,
    /// What offsets and lengths of direct reads are multiples of.
    block: usize,
    /// What the file says its length is; 0 if it does not know.
    len: u64,
    at: u64,
}

impl OpenFile {
    /// Opens `path` for reading into memory aligned to `given` bytes.
    pub(crate) fn open(path: &Path, given: usize) -> io::Result<Self> {
        // Opened once, and without `O_DIRECT`: a pipe refuses that flag only after its other end has seen a reader come,
        // and the writer would be cut off when the refused descriptor goes.
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let len = if metadata.is_file() { metadata.len() } else { 0 };
        let (mode, block) = match Self::go_direct(&file, len, given) {
            Ok(block) => (FileRead::Direct, block),
            Err(why) => (FileRead::Buffered(why), 1),
        };
        Ok(Self { file, mode, block, len, at: 0 })
    }

    /// Makes reads direct, and returns what their offsets and lengths are multiples of, in bytes.
    fn go_direct(file: &File, len: u64, given: usize) -> Result<usize, NotDirect> {
        if len == 0 {
            return Err(NotDirect::UnknownLength);
        }
        let (needed, block) = direct::demands(file)?;
        if needed > given {
            return Err(NotDirect::Memory { needed, given });
        }
        direct::set(file, true).map_err(|_| NotDirect::FileSystem)?;
        Ok(block)
    }

    fn go_buffered(&mut self, why: NotDirect) -> io::Result<()> {
        direct::set(&self.file, false)?;
        self.mode = FileRead::Buffered(why);
        self.block = 1;
        Ok(())
    }

    /// The file's length, in bytes, when it was opened; 0 for one that does not know.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) const fn mode(&self) -> FileRead {
        self.mode
    }

    /// How long the memory has to be to take the whole file: its length in whole blocks.
    pub(crate) fn room(&self) -> Option<usize> {
        crate::align::checked_align_up(usize::try_from(self.len).ok()?, self.block)
    }

    /// Reads on, into the start of `memory`. Returns how much; 0 at the end of the file. When direct, `memory` must be
    /// aligned as promised to [`open`](Self::open), and where it starts must be that many bytes into the file.
    pub(crate) fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.mode == FileRead::Direct && !self.at.is_multiple_of(self.block as u64) {
                // A read that ended off a block has seen the end of the file; what may have been appended since is not
                // wanted. Before the end it was cut short, and the rest cannot be asked for in blocks.
                if self.at >= self.len {
                    return Ok(0);
                }
                self.go_buffered(NotDirect::FileSystem)?;
            }
            match direct::read_at(&self.file, memory, self.at) {
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && self.mode == FileRead::Direct => {
                    self.go_buffered(NotDirect::FileSystem)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod direct {
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;

    use super::NotDirect;

    /// The alignment of memory, and of offsets and lengths, that direct reads of this file want, in bytes; or why
    /// it cannot be read so.
    pub(super) fn demands(file: &File) -> Result<(usize, usize), NotDirect> {
        let page = crate::os::page_size();
        // SAFETY: `statx` is plain numbers, of which zeros are fine.
        let mut answer: libc::statx = unsafe { core::mem::zeroed() };
        // SAFETY: an open descriptor, an empty C string, and room for the answer.
        let answered = unsafe {
            libc::statx(file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &raw mut answer)
        };
        if answered != 0 || answer.stx_mask & libc::STATX_DIOALIGN == 0 {
            return Ok((page, page)); // an older kernel: a page has always been enough
        }
        let told = |bytes: u32| usize::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two());
        let (memory, offset) = (told(answer.stx_dio_mem_align), told(answer.stx_dio_offset_align));
        memory.zip(offset).ok_or(NotDirect::FileSystem)
    }

    /// Makes reads direct, or buffered again.
    pub(super) fn set(file: &File, direct: bool) -> io::Result<()> {
        // SAFETY: an open descriptor; the call reads its flags only.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
        let wanted = if direct { flags | libc::O_DIRECT } else { flags & !libc::O_DIRECT };
        // SAFETY: an open descriptor; the call writes its flags only.
        let done = flags != -1 && unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, wanted) } != -1;
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn read_at(file: &File, memory: &mut [u8], at: u64) -> io::Result<usize> {
        match file.read_at(memory, at) {
            // A pipe or a terminal has no offsets.
            Err(error) if error.kind() == io::ErrorKind::NotSeekable => (&mut &*file).read(memory),
            result => result,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod direct {
    use std::fs::File;
    use std::io::{self, Read};

    use super::NotDirect;

    pub(super) fn demands(_: &File) -> Result<(usize, usize), NotDirect> {
        Err(NotDirect::Platform)
    }

    pub(super) fn set(_: &File, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// The file's own position is `_at`: it is read from start to end.
    pub(super) fn read_at(file: &File, memory: &mut [u8], _at: u64) -> io::Result<usize> {
        (&mut &*file).read(memory)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::prelude::rust_2024::*;
    use std::{eprintln, vec};

    use super::*;

    /// Local file systems do not cut direct reads short, so the state after one is made by hand.
    #[test]
    fn a_direct_read_that_was_cut_short_goes_on_through_the_page_cache() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
        file.write_all(&bytes).unwrap();
        file.as_file().sync_all().unwrap();
        let mut open = OpenFile::open(file.path(), crate::os::page_size()).unwrap();
        if open.mode() != FileRead::Direct {
            eprintln!("SKIPPED: no direct IO in the folder for temporary files");
            return;
        }
        open.at = 100;
        let mut rest = vec![0; bytes.len()];
        assert_eq!(open.read(&mut rest).unwrap(), bytes.len() - 100);
        assert_eq!(rest[..bytes.len() - 100], bytes[100..]);
        assert_eq!(open.mode(), FileRead::Buffered(NotDirect::FileSystem));
        assert_eq!(open.read(&mut rest).unwrap(), 0);
    }
}
