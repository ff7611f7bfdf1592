//! The real thing: `io_uring` has each segment as a fixed buffer, registered once, and reads files into blocks of the heap.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bhc_rts_alloc::{MemoryRegion, PinnedHeap, Segment, SegmentObserver};
use io_uring::{IoUring, opcode, types};

use super::blocks::Blocks;
use super::child::skipped;
use super::vocabulary::{LARGEST, SEGMENT, layout};

/// More segments than the test needs.
const BUFFERS: u32 = 64;

/// A ring with a fixed buffer for each segment, by the segment's number.
struct Ring {
    ring: Mutex<IoUring>,
    registered: AtomicUsize,
    registrations: AtomicUsize,
}

impl Ring {
    fn new() -> io::Result<Self> {
        let ring = IoUring::new(8)?;
        ring.submitter().register_buffers_sparse(BUFFERS)?;
        Ok(Self { ring: Mutex::new(ring), registered: AtomicUsize::new(0), registrations: AtomicUsize::new(0) })
    }

    /// Makes some memory the fixed buffer of that number, or none.
    fn set(&self, buffer: usize, start: *mut u8, size: usize) -> bool {
        let memory = [libc::iovec { iov_base: start.cast(), iov_len: size }];
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the heap keeps the memory of a segment where it is until the segment is removed, and then this is called with
        // nothing in its place.
        unsafe { ring.submitter().register_buffers_update(buffer as u32, &memory, None) }.is_ok()
    }

    /// Reads `len` bytes of the file from byte `at` on to `offset` bytes into the segment.
    ///
    /// # Safety
    /// Of a block that is the caller's, and that nobody refers to.
    unsafe fn read(&self, file: &File, at: usize, (segment, offset): (Segment, usize), len: usize) {
        // SAFETY: within the segment.
        let target = unsafe { segment.start.add(offset) };
        let read =
            opcode::ReadFixed::new(types::Fd(file.as_raw_fd()), target.as_ptr(), len as u32, segment.index as u16);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the file is open, and the memory the caller's, until the read has ended, which is waited for.
        unsafe { ring.submission().push(&read.offset(at as u64).build()) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        let result = ring.completion().next().unwrap().result();
        assert_eq!(result, len as i32, "{}", io::Error::from_raw_os_error(-result));
    }
}

impl SegmentObserver for Ring {
    fn added(&self, segment: Segment) -> bool {
        let done = self.set(segment.index, segment.start.as_ptr(), segment.size);
        self.registered.fetch_add(usize::from(done), Relaxed);
        self.registrations.fetch_add(1, Relaxed);
        done
    }

    fn removed(&self, segment: Segment) -> bool {
        let done = self.set(segment.index, std::ptr::null_mut(), 0);
        self.registered.fetch_sub(usize::from(done), Relaxed);
        done
    }
}

/// Reads a part of the file into a block, piece by piece where the block goes on in another segment.
fn read_into(ring: &Ring, heap: &PinnedHeap, file: &File, at: usize, block: NonNull<u8>, len: usize) {
    let mut done = 0;
    while done < len {
        let place = heap.locate(block.as_ptr().wrapping_add(done)).expect("a block of the heap");
        let piece = (len - done).min(SEGMENT - place.1);
        // SAFETY: the block is the test's, and nobody refers to it.
        unsafe { ring.read(file, at + done, place, piece) };
        done += piece;
    }
}

/// A block with a part of the file in it: where it is, how long, and from where in the file.
type Read = (NonNull<u8>, usize, usize);

fn check(contents: &[u8], (block, len, at): Read) {
    // SAFETY: a live block, all of which was read into.
    let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), len) };
    assert!(bytes == &contents[at..at + len], "what the device wrote to {block:p} is not there");
}

#[test]
fn a_device_writes_to_blocks_by_segment_and_offset_whatever_the_heap_did_before() {
    let ring = match Ring::new() {
        Ok(ring) => Arc::new(ring),
        Err(error) => return skipped(&format!("io_uring with fixed buffers: {error}")),
    };
    let heap = PinnedHeap::builder().decay(Duration::from_millis(4)).observer(Arc::<Ring>::clone(&ring)).build();
    if let Err(error) = heap.alloc(layout(1, 1)).map(|block| {
        // SAFETY: allocated just now.
        unsafe { heap.dealloc(block, layout(1, 1)) }
    }) {
        return skipped(&format!("io_uring with fixed buffers: a segment could not be registered: {error}"));
    }

    // Words that are there once.
    let contents: Vec<u8> =
        (0..3 * SEGMENT as u32 / 4).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, &contents).unwrap();

    let sizes = [100, 4096, LARGEST, 100_000, 1 << 20, SEGMENT + LARGEST];
    let mut kept: Vec<Read> = Vec::new();
    for round in 0..6 {
        // Everything that makes a heap give memory back: much of it, written, freed, trimmed, and left for a while.
        let mut churn = Blocks::new(&heap);
        for size in sizes.into_iter().cycle().take(60) {
            churn.alloc(layout(size + round, 8)).unwrap();
        }
        churn.free_all();
        heap.trim();
        thread::sleep(Duration::from_millis(10));

        let mut reads: Vec<Read> = Vec::new();
        for (n, size) in sizes.into_iter().enumerate() {
            let block = heap.alloc(layout(size, 8)).unwrap();
            let at = 512 * (n + 7 * round);
            read_into(&ring, &heap, &file, at, block, size);
            reads.push((block, size, at));
        }
        reads.iter().chain(&kept).for_each(|read| check(&contents, *read));
        // One stays, and is looked at again each time.
        kept.push(reads.swap_remove(round));
        for (block, size, _) in reads {
            // SAFETY: a live block with its layout, which the device has done with.
            unsafe { heap.dealloc(block, layout(size, 8)) };
        }
    }
    let segments = heap.usage().segments;
    assert_eq!((ring.registered.load(Relaxed), ring.registrations.load(Relaxed)), (segments, segments), "once each");
    for (block, size, _) in kept {
        // SAFETY: as above.
        unsafe { heap.dealloc(block, layout(size, 8)) };
    }
    drop(heap);
    assert_eq!(ring.registered.load(Relaxed), 0);
}
