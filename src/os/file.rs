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
    /// By direct IO, from the device into the buffer.
    Direct,
    /// Through the page cache.
    Buffered(Unaligned),
}

/// Why a file was not read by direct IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unaligned {
    /// There is no direct IO on this platform, as far as this crate knows.
    #[error("this platform has no direct IO")]
    Platform,
    /// The file system, or this file, does not do direct IO.
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
    /// The file's length is not known in advance: a pipe, a device, a file made up by the kernel.
    #[error("the file has no length of its own")]
    Endless,
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
        let (file, direct) = direct::open(path)?;
        let metadata = file.metadata()?;
        let len = if metadata.is_file() { metadata.len() } else { 0 };
        let mut open = Self { file, mode: FileRead::Direct, block: 1, len, at: 0 };
        match direct {
            Err(why) => open.mode = FileRead::Buffered(why),
            Ok(()) if len == 0 => open.go_buffered(Unaligned::Endless)?,
            Ok(()) => match direct::demands(&open.file) {
                None => open.go_buffered(Unaligned::FileSystem)?,
                Some((needed, _)) if needed > given => open.go_buffered(Unaligned::Memory { needed, given })?,
                Some((_, block)) => open.block = block,
            },
        }
        Ok(open)
    }

    fn go_buffered(&mut self, why: Unaligned) -> io::Result<()> {
        direct::clear(&self.file)?;
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
            // A direct read that ended off a block has seen the end of the file: what may have been appended since is
            // not wanted.
            if self.mode == FileRead::Direct && !self.at.is_multiple_of(self.block as u64) {
                return Ok(0);
            }
            match direct::read_at(&self.file, memory, self.at) {
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && self.mode == FileRead::Direct => {
                    self.go_buffered(Unaligned::FileSystem)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod direct {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    use std::path::Path;

    use super::Unaligned;

    /// Opens with `O_DIRECT`, or without it where that is refused.
    pub(super) fn open(path: &Path) -> io::Result<(File, Result<(), Unaligned>)> {
        match OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path) {
            Ok(file) => Ok((file, Ok(()))),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Ok((File::open(path)?, Err(Unaligned::FileSystem)))
            }
            Err(error) => Err(error),
        }
    }

    /// The alignment of memory, and of offsets and lengths, that direct reads of this file want, in bytes. `None` if it
    /// cannot be read so.
    pub(super) fn demands(file: &File) -> Option<(usize, usize)> {
        let page = crate::os::page_size();
        // SAFETY: `statx` is plain numbers, of which zeros are fine.
        let mut told: libc::statx = unsafe { core::mem::zeroed() };
        // SAFETY: an open descriptor, an empty C string, and room for the answer.
        let answered = unsafe {
            libc::statx(file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &raw mut told)
        };
        if answered != 0 || told.stx_mask & libc::STATX_DIOALIGN == 0 {
            return Some((page, page)); // an older kernel: a page has always been enough
        }
        let memory = usize::try_from(told.stx_dio_mem_align).ok().filter(|bytes| bytes.is_power_of_two())?;
        let offset = usize::try_from(told.stx_dio_offset_align).ok().filter(|bytes| bytes.is_power_of_two())?;
        Some((memory, offset))
    }

    /// Goes on through the page cache.
    pub(super) fn clear(file: &File) -> io::Result<()> {
        // SAFETY: an open descriptor; the calls read and write its flags only.
        let done = unsafe {
            let flags = libc::fcntl(file.as_raw_fd(), libc::F_GETFL);
            flags != -1 && libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags & !libc::O_DIRECT) != -1
        };
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
    use std::path::Path;

    use super::Unaligned;

    pub(super) fn open(path: &Path) -> io::Result<(File, Result<(), Unaligned>)> {
        Ok((File::open(path)?, Err(Unaligned::Platform)))
    }

    pub(super) fn demands(_: &File) -> Option<(usize, usize)> {
        None
    }

    pub(super) fn clear(_: &File) -> io::Result<()> {
        Ok(())
    }

    /// The file's own position is `_at`: it is read from start to end.
    pub(super) fn read_at(file: &File, memory: &mut [u8], _at: u64) -> io::Result<usize> {
        (&mut &*file).read(memory)
    }
}
