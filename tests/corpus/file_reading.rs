//! `Place::read_file`: the file's bytes, whatever its length and however it is read.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{
    Align, Alignment, AllocError, FileError, FileRead, KnownAlign, MemoryRegion, NotDirect, PageAlign, Place,
    SimdBuffer,
};
use tempfile::TempDir;

use crate::region::Audit;
#[cfg(target_os = "linux")]
use crate::skip;

/// Around every boundary there is: of blocks (512), of pages, and larger than any single step.
const SIZES: [usize; 13] = [0, 1, 63, 64, 511, 512, 513, 4095, 4096, 4097, 65536, 65537, (1 << 20) + 3];

/// Bytes that repeat in no power of two.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// A file of this length in a folder of its own.
fn file(len: usize) -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().expect("a folder for the test");
    let path = folder.path().join("file");
    fs::write(&path, pattern(len)).expect("a file");
    (folder, path)
}

/// Reads `path` at the alignment `A` and checks what must hold of any file that was read.
fn read<A: KnownAlign>(path: &Path) -> (Vec<u8>, FileRead) {
    let region = Audit::new();
    let (bytes, how) = Place::<A>::new().within(&region).read_file(path).expect("the file is read");
    assert!(bytes.as_ptr().addr().is_multiple_of(A::BYTES));
    let padded = bytes.padded();
    assert_eq!(padded.len(), bytes.len().next_multiple_of(A::BYTES.min(64)));
    assert!(padded[bytes.len()..].iter().all(|byte| *byte == 0), "the padding is zero");
    let content = bytes.to_vec();
    drop(bytes);
    region.expect_empty();
    (content, how)
}

#[test]
fn every_length_is_read_whole_at_every_alignment() {
    for len in SIZES {
        let (_folder, path) = file(len);
        let expected = fs::read(&path).expect("the file");
        assert_eq!(expected.len(), len);
        for (bytes, how) in [
            read::<Align<1>>(&path),
            read::<Align<16>>(&path),
            read::<Align<64>>(&path),
            read::<Align<512>>(&path),
            read::<PageAlign>(&path),
            read::<Align<65536>>(&path),
        ] {
            assert!(bytes == expected, "{len} bytes, {how:?}: {} bytes, or others", bytes.len());
        }
    }
}

#[test]
fn an_alignment_chosen_at_run_time_reads_the_same() {
    let (_folder, path) = file(5000);
    for alignment in [Alignment::Default, Alignment::Simd512, Alignment::Page] {
        let (bytes, _) = Place::at(alignment).read_file(&path).expect("the file is read");
        assert_eq!(bytes.alignment(), alignment);
        assert_eq!(bytes[..], pattern(5000)[..]);
    }
}

#[test]
fn a_region_behind_a_trait_object_takes_a_file() {
    let audit = Audit::new();
    let region: &dyn MemoryRegion = &audit;
    let (_folder, path) = file(5000);
    let (bytes, _) = Place::<PageAlign>::new().within(region).read_file(&path).expect("the file is read");
    assert_eq!(audit.live(), 1, "in one block of that region");
    assert_eq!(bytes[..], pattern(5000)[..]);
}

#[test]
fn what_was_read_grows_like_any_buffer() {
    let (_folder, path) = file(4097);
    let (mut bytes, _): (SimdBuffer<u8, PageAlign>, _) = Place::new().read_file(&path).expect("the file is read");
    bytes.extend_from_slice(&[1, 2, 3]);
    assert_eq!(bytes[..4097], pattern(4097)[..]);
    assert_eq!(bytes[4097..], [1, 2, 3]);
    assert!(bytes.padded()[4100..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_file_that_is_not_there_is_the_systems_error() {
    let (_folder, path) = file(1);
    match Place::<PageAlign>::new().read_file(path.with_extension("gone")) {
        Err(FileError::Io(error)) => assert_eq!(error.kind(), ErrorKind::NotFound),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_is_the_systems_error_and_costs_no_memory_in_the_end() {
    let (folder, _) = file(1);
    let region = Audit::new();
    match Place::<PageAlign>::new().within(&region).read_file(folder.path()) {
        Err(FileError::Io(error)) if cfg!(unix) => assert_eq!(error.kind(), ErrorKind::IsADirectory),
        Err(FileError::Io(_)) => {}
        other => panic!("{other:?}"),
    }
    region.expect_empty();
}

/// Makes every request for memory fail that reading `path` makes, one at a time, and returns how many there were.
fn refuse_each_request(path: &Path) -> usize {
    let region = Audit::new();
    let place = Place::<PageAlign>::new().within(&region);
    let mut refused = 0;
    loop {
        let before = region.stats();
        let (result, requests) = fault::fail_nth(refused, || place.read_file(path).map(|(bytes, _)| bytes.len()));
        region.expect_empty();
        let after = region.stats();
        if requests <= refused {
            assert_eq!(result.expect("nothing was refused"), fs::read(path).expect("the file").len());
            assert_eq!(after.failed_allocations, before.failed_allocations);
            return refused;
        }
        match result {
            Err(FileError::Memory(_)) => {}
            other => panic!("request {refused} was refused and gave {other:?}"),
        }
        assert_eq!(after.failed_allocations, before.failed_allocations + 1);
        refused += 1;
    }
}

#[test]
fn without_memory_there_is_an_error_and_nothing_leaks() {
    let (_folder, path) = file((1 << 20) + 3);
    assert!(refuse_each_request(&path) >= 1);
}

/// Linux is where direct IO is, and where there are files to try it on.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    use super::*;

    /// Whether this file can be read by direct IO into page-aligned memory: tried by hand.
    fn direct_io_works(path: &Path) -> bool {
        let mut page = SimdBuffer::<u8, PageAlign>::zeroed(4096);
        let open = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
        open.is_ok_and(|file| file.read_at(&mut page, 0).is_ok())
    }

    /// What the kernel says that memory for direct IO must be aligned to, if it says.
    fn wanted_alignment(path: &Path) -> Option<usize> {
        let file = File::open(path).ok()?;
        // SAFETY: `statx` is plain numbers, of which zeros are fine.
        let mut told: libc::statx = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor, an empty C string, and room for the answer.
        let answered = unsafe {
            libc::statx(file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &raw mut told)
        };
        let known = answered == 0 && told.stx_mask & libc::STATX_DIOALIGN != 0;
        known.then_some(told.stx_dio_mem_align as usize).filter(|bytes| *bytes != 0)
    }

    /// How many pages of the file are in the page cache.
    fn cached_pages(path: &Path) -> usize {
        let file = File::open(path).expect("the file");
        let len = usize::try_from(file.metadata().expect("its length").len()).expect("a small file");
        let mut pages = vec![0u8; len.div_ceil(bhc_rts_alloc::page_size())];
        // SAFETY: a fresh mapping of the whole file, never read; `mincore` writes one byte a page, for which there is
        // room; the mapping ends here.
        let known = unsafe {
            let start = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
            assert_ne!(start, libc::MAP_FAILED);
            let known = libc::mincore(start, len, pages.as_mut_ptr());
            libc::munmap(start, len);
            known
        };
        assert_eq!(known, 0);
        pages.iter().filter(|page| **page & 1 != 0).count()
    }

    #[test]
    fn direct_io_goes_past_the_page_cache() {
        let (_folder, path) = file((1 << 20) + 3);
        if !direct_io_works(&path) {
            return skip("direct IO", "the file system of the temporary folder has none");
        }
        let file = File::open(&path).expect("the file");
        file.sync_all().expect("written to the device");
        // SAFETY: an open descriptor; it is advice about the page cache.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        if cached_pages(&path) != 0 {
            return skip("direct IO past the page cache", "the system keeps the file in the cache");
        }
        let (bytes, how) = read::<PageAlign>(&path);
        assert_eq!(how, FileRead::Direct);
        assert!(bytes == pattern((1 << 20) + 3));
        assert_eq!(cached_pages(&path), 0, "nothing came into the page cache");
        fs::read(&path).expect("the file");
        assert_ne!(cached_pages(&path), 0, "a buffered read would have been seen");
    }

    #[test]
    fn page_aligned_memory_is_read_into_directly_at_every_length() {
        for len in SIZES.into_iter().filter(|len| *len != 0) {
            let (_folder, path) = file(len);
            if !direct_io_works(&path) {
                return skip("direct IO", "the file system of the temporary folder has none");
            }
            assert_eq!(read::<PageAlign>(&path).1, FileRead::Direct, "{len} bytes");
        }
    }

    #[test]
    fn memory_that_is_aligned_too_weakly_is_read_into_buffered_and_says_what_was_wanted() {
        let (_folder, path) = file(5000);
        let (Some(needed), true) = (wanted_alignment(&path), direct_io_works(&path)) else {
            return skip("weakly aligned memory", "the system does not say what direct IO wants");
        };
        let expected = |given: usize| match needed > given {
            true => FileRead::Buffered(NotDirect::Memory { needed, given }),
            false => FileRead::Direct,
        };
        assert_eq!(read::<Align<1>>(&path).1, expected(1));
        assert_eq!(read::<Align<2>>(&path).1, expected(2));
        assert_eq!(read::<Align<16>>(&path).1, expected(16));
        assert_eq!(read::<Align<256>>(&path).1, expected(256));
        assert_eq!(read::<PageAlign>(&path).1, expected(4096));
        let (_, how) = Place::at(Alignment::Simd128).read_file(&path).expect("the file is read");
        assert_eq!(how, expected(16), "an alignment chosen at run time is held to the same");
        assert_ne!(expected(1), FileRead::Direct, "no device takes any address");
        let why = NotDirect::Memory { needed, given: 1 }.to_string();
        assert!(why.contains(&format!("aligned to {needed} bytes, the buffer has 1")), "{why}");
    }

    #[test]
    fn a_file_system_without_direct_io_is_read_buffered_and_says_so() {
        let memory = TempDir::new_in("/dev/shm").and_then(|folder| {
            fs::write(folder.path().join("file"), pattern(5000))?;
            Ok(folder)
        });
        let in_memory = memory.as_ref().map_or("/dev/shm".into(), |folder| folder.path().join("file"));
        // Attributes of the kernel say that they are a page long, and are shorter.
        for path in [in_memory.as_path(), Path::new("/sys/class/net/lo/mtu"), Path::new("/sys/class/net/lo/address")] {
            let Ok(expected) = fs::read(path) else {
                skip("a file system without direct IO", &format!("{} is not there", path.display()));
                continue;
            };
            let (bytes, how) = read::<PageAlign>(path);
            assert_eq!(bytes, expected);
            if direct_io_works(path) {
                skip("a file system without direct IO", &format!("{} is on one that has it", path.display()));
            } else {
                assert_eq!(how, FileRead::Buffered(NotDirect::FileSystem), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_file_without_a_length_is_read_to_its_end() {
        let path = Path::new("/proc/self/status");
        if fs::metadata(path).is_err() {
            return skip("files without a length", "there is no /proc");
        }
        assert_eq!(fs::metadata(path).expect("metadata").len(), 0);
        let (bytes, how) = read::<PageAlign>(path);
        assert!(bytes.starts_with(b"Name:") && bytes.ends_with(b"\n"), "{}", String::from_utf8_lossy(&bytes));
        assert!(matches!(how, FileRead::Buffered(_)));
    }

    #[test]
    fn a_long_file_without_a_length_is_read_in_steps_each_of_which_may_fail() {
        let path = Path::new("/proc/kallsyms");
        match fs::read(path) {
            Ok(expected) if expected.len() > 200_000 => {
                assert!(read::<PageAlign>(path).0 == expected, "the same bytes");
                assert!(refuse_each_request(path) >= 3, "it grows by steps");
            }
            _ => skip("long files without a length", "/proc/kallsyms is not there or short"),
        }
    }

    #[test]
    fn a_pipe_is_opened_once_so_its_writer_is_never_cut_off() {
        let folder = TempDir::new().expect("a folder for the test");
        let path = folder.path().join("pipe");
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL byte");
        // SAFETY: a C string; the call makes a file.
        if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
            return skip("pipes", &std::io::Error::last_os_error().to_string());
        }
        // A second open cuts the writer off only if it comes at the wrong moment: so, many times.
        for _ in 0..500 {
            let writer = std::thread::spawn({
                let path = path.clone();
                move || fs::write(path, pattern(100_000))
            });
            let (bytes, how) = read::<PageAlign>(&path);
            writer.join().expect("the writer does not panic").expect("all of it is taken");
            assert!(bytes == pattern(100_000));
            assert_eq!(how, FileRead::Buffered(NotDirect::UnknownLength));
        }
    }

    #[test]
    fn nothing_to_read_is_an_empty_buffer() {
        let (bytes, how) = read::<PageAlign>(Path::new("/dev/null"));
        assert!(bytes.is_empty());
        assert!(matches!(how, FileRead::Buffered(_)));
    }

    #[test]
    fn a_file_longer_than_the_address_space_is_an_error_and_not_an_abort() {
        let made = TempDir::new_in("/dev/shm").and_then(|made| {
            let file = File::create(made.path().join("file"))?;
            file.set_len(i64::MAX as u64)?;
            Ok(made)
        });
        let made = match made {
            Ok(made) => made,
            Err(error) => return skip("a file as long as can be", &error.to_string()),
        };
        let region = Audit::new();
        match Place::<PageAlign>::new().within(&region).read_file(made.path().join("file")) {
            Err(FileError::Memory(error)) => assert_eq!(error, AllocError::Overflow),
            other => panic!("{:?}", other.map(|(bytes, how)| (bytes.len(), how))),
        }
        assert_eq!(region.requests(), 0, "the region was not even asked");
    }
}
