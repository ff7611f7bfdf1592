//! Memory that nobody has is noticed when it is used: filled in debug builds, poisoned under AddressSanitizer, and unmapped
//! when its heap is gone.

use std::hint::black_box;
use std::ptr::NonNull;
use std::thread;

use bhc_rts_alloc::{Align, MemoryRegion, PinnedHeap};

use super::child::{child_is_to, in_a_child, skipped};
use super::vocabulary::{LARGEST, SEGMENT, layout};

/// What freed memory is filled with.
const FREED: u8 = 0xdf;

/// A way to have a pointer to memory that is gone.
struct Misuse {
    name: &'static str,
    /// Answers the memory, and how long it is. The heap is alive.
    make: fn(&PinnedHeap) -> (NonNull<u8>, usize),
}

/// A block with contents.
fn block(heap: &PinnedHeap, size: usize) -> NonNull<u8> {
    let block = heap.alloc(layout(size, 8)).unwrap();
    // SAFETY: a fresh block of this size.
    unsafe { block.write_bytes(0x11, size) };
    block
}

fn free(heap: &PinnedHeap, block: NonNull<u8>, size: usize) {
    // SAFETY: a live block with its layout.
    unsafe { heap.dealloc(block, layout(size, 8)) };
}

fn realloc(heap: &PinnedHeap, block: NonNull<u8>, size: usize, new_size: usize) -> NonNull<u8> {
    // SAFETY: a live block with its layout.
    unsafe { heap.realloc(block, layout(size, 8), new_size) }.unwrap()
}

/// Frees a block on a thread of its own.
fn free_elsewhere(heap: &PinnedHeap, block: NonNull<u8>, size: usize) {
    struct Sent(NonNull<u8>);
    // SAFETY: blocks may be freed by any thread.
    unsafe impl Send for Sent {}
    let sent = Sent(block);
    thread::scope(|scope| {
        let free = move || {
            let sent = sent;
            free(heap, sent.0, size);
        };
        scope.spawn(free).join().unwrap()
    });
}

/// Every way in which memory may end that is the heap's still, with its pages.
const MISUSES: &[Misuse] = &[
    Misuse {
        name: "a small block",
        make: |heap| {
            let found = block(heap, 100);
            free(heap, found, 100);
            (found, 100)
        },
    },
    Misuse {
        name: "the largest block of a class",
        make: |heap| {
            let found = block(heap, LARGEST);
            free(heap, found, LARGEST);
            (found, LARGEST)
        },
    },
    Misuse {
        name: "one of many",
        make: |heap| {
            let blocks: Vec<_> = (0..1000).map(|_| block(heap, 100)).collect();
            blocks.iter().for_each(|block| free(heap, *block, 100));
            (blocks[500], 100)
        },
    },
    Misuse {
        name: "a small block that is in its span again",
        make: |heap| {
            let blocks = [block(heap, 100), block(heap, 100), block(heap, 100)];
            free(heap, blocks[1], 100);
            heap.trim();
            (blocks[1], 100)
        },
    },
    Misuse {
        name: "a small block that another thread freed",
        make: |heap| {
            let blocks = [block(heap, 100), block(heap, 100), block(heap, 100)];
            free_elsewhere(heap, blocks[1], 100);
            (blocks[1], 100)
        },
    },
    Misuse {
        name: "a small block that has moved",
        make: |heap| {
            let found = block(heap, 100);
            assert_ne!(realloc(heap, found, 100, 200), found);
            (found, 100)
        },
    },
    Misuse {
        name: "a large block",
        make: |heap| {
            let found = block(heap, 100_000);
            free(heap, found, 100_000);
            (found, 100_000)
        },
    },
    Misuse {
        name: "a large block that another thread freed",
        make: |heap| {
            let found = block(heap, 100_000);
            free_elsewhere(heap, found, 100_000);
            (found, 100_000)
        },
    },
    Misuse {
        name: "the first megabyte of a block of many",
        make: |heap| {
            let found = block(heap, 9 << 20);
            free(heap, found, 9 << 20);
            (found, 1 << 20)
        },
    },
    Misuse {
        name: "a large block that has moved by its bytes",
        make: |heap| {
            let found = block(heap, 100_000);
            let _in_the_way = block(heap, 100_000);
            assert_ne!(realloc(heap, found, 100_000, 300_000), found);
            (found, 100_000)
        },
    },
    Misuse {
        name: "a large block that has become small",
        make: |heap| {
            let found = block(heap, 100_000);
            assert_ne!(realloc(heap, found, 100_000, 100), found);
            (found, 100_000)
        },
    },
    Misuse {
        name: "beyond what a large block shrank to",
        make: |heap| {
            let found = block(heap, 300_000);
            assert_eq!(realloc(heap, found, 300_000, 100_000), found);
            // SAFETY: within what was the block, from the next slice on.
            (unsafe { found.add(13 << 13) }, 300_000 - (13 << 13))
        },
    },
    Misuse {
        name: "what a buffer had before it grew",
        make: |heap| {
            let mut buffer = heap.alloc_buffer::<u64, Align<64>>(10);
            let found = NonNull::new(buffer.as_mut_ptr()).unwrap().cast();
            buffer.extend(0..1000);
            assert_ne!(buffer.as_mut_ptr().cast(), found.as_ptr());
            (found, 80)
        },
    },
];

/// Heaps of every kind.
fn heaps() -> [PinnedHeap; 3] {
    let quiet = PinnedHeap::builder().on_leak(&|_| ());
    [quiet.clone().build(), quiet.clone().thread_caches(false).build(), quiet.portable().build()]
}

#[test]
fn freed_memory_is_filled_in_debug_builds() {
    if cfg!(not(debug_assertions)) || cfg!(bhc_asan) {
        return skipped("freed memory is filled in debug builds without a sanitizer only");
    }
    for misuse in MISUSES {
        for heap in heaps() {
            let (start, len) = (misuse.make)(&heap);
            // SAFETY: not a live block any more, but memory of the heap, which is alive and was not asked to give it back. All of
            // it was written, first as a block and then by the heap; and nobody else refers to it.
            let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), len) };
            let other = bytes.iter().position(|byte| *byte != FREED);
            assert_eq!(other, None, "{}: of {len} bytes at {start:p}", misuse.name);
        }
    }
}

/// In a child that must die: reads what nobody has.
///
/// # Safety
/// None: this is the misuse that the process is to be ended for.
unsafe fn misuse(at: NonNull<u8>) {
    // SAFETY: it is not. The child does this to die of it, and only there.
    let byte = unsafe { black_box(at.as_ptr()).read_volatile() };
    println!("read {byte:#x} and lived on");
}

/// Memory of which nothing can be said in other builds: its pages are gone, or were never touched.
const UNTOUCHED: &[Misuse] = &[
    Misuse {
        name: "what was given back to the system",
        make: |heap| {
            let found = block(heap, 100_000);
            free(heap, found, 100_000);
            heap.trim();
            (found, 100_000)
        },
    },
    Misuse {
        name: "a span that was given back to the system",
        make: |heap| {
            let found = block(heap, 100);
            free(heap, found, 100);
            heap.trim();
            (found, 100)
        },
    },
    Misuse {
        name: "a large block that has moved by its pages",
        make: |heap| {
            let found = block(heap, 2 << 20);
            let _in_the_way = block(heap, 100_000);
            assert_ne!(realloc(heap, found, 2 << 20, 3 << 20), found);
            (found, 2 << 20)
        },
    },
    Misuse {
        name: "the next block, which nobody was given",
        make: |heap| {
            let found = block(heap, 128);
            // SAFETY: its end, which is in the same span.
            (unsafe { found.add(128) }, 128)
        },
    },
    Misuse {
        name: "the last block of the span, which nobody was given",
        make: |heap| {
            let found = block(heap, 128);
            // SAFETY: in the same span of 64 KiB, of which it is the first.
            (unsafe { found.add(LARGEST - 128) }, 128)
        },
    },
    Misuse {
        name: "after a large block",
        make: |heap| {
            let found = block(heap, 13 << 13);
            // SAFETY: its end, which is in the same segment.
            (unsafe { found.add(13 << 13) }, 100)
        },
    },
    Misuse {
        name: "the end of the segment",
        make: |heap| {
            let found = block(heap, SEGMENT / 2);
            // SAFETY: in the same segment, of which it is the first half.
            (unsafe { found.add(SEGMENT - 100) }, 100)
        },
    },
];

#[test]
fn address_sanitizer_ends_the_program_at_a_use_of_what_nobody_has() {
    const TEST: &str = "poison::address_sanitizer_ends_the_program_at_a_use_of_what_nobody_has";
    if cfg!(not(bhc_asan)) {
        return skipped("use of a heap's free memory is reported by AddressSanitizer, which this is not built with");
    }
    let all = || MISUSES.iter().chain(UNTOUCHED).flat_map(|misuse| (0..3).map(move |kind| (misuse, kind)));
    let name = |(misuse, kind): (&Misuse, usize)| format!("{kind} {}", misuse.name);
    if let Some(wanted) = child_is_to() {
        let (found, kind) = all().find(|one| name(*one) == wanted).unwrap();
        let heap = &heaps()[kind];
        let (start, len) = (found.make)(heap);
        // SAFETY: as said there: this process is to die of it.
        unsafe { misuse(start.add(len / 2)) };
        return;
    }
    for one in all() {
        let output = in_a_child(TEST, &name(one));
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{}: {}", name(one), String::from_utf8_lossy(&output.stdout));
        assert!(report.contains("use-after-poison"), "{}: {report}", name(one));
    }
}

/// All blocks of a heap end with it, and any build notices.
#[test]
fn a_use_after_the_heap_ends_the_program() {
    const TEST: &str = "poison::a_use_after_the_heap_ends_the_program";
    if cfg!(any(not(unix), miri)) {
        return skipped("memory is mapped, and children are run, on Unix only");
    }
    let sizes = [100, LARGEST, 100_000, 9 << 20];
    if let Some(size) = child_is_to() {
        let size = size.parse().unwrap();
        let heap = PinnedHeap::new();
        let found = block(&heap, size);
        drop(heap);
        // SAFETY: as said there: this process is to die of it.
        unsafe { misuse(found.add(size / 2)) };
        return;
    }
    #[cfg(unix)]
    for size in sizes {
        use std::os::unix::process::ExitStatusExt;
        let output = in_a_child(TEST, &size.to_string());
        let report = String::from_utf8_lossy(&output.stderr);
        // A sanitizer handles the signal, and says so.
        let died = output.status.signal() == Some(11) || (cfg!(bhc_asan) && report.contains("AddressSanitizer: SEGV"));
        assert!(died, "{size}: {:?}, {}, {report}", output.status, String::from_utf8_lossy(&output.stdout));
    }
}

/// What was poisoned is as good as new when it is given again, to its last byte, also at the addresses of a heap that is gone.
/// Under AddressSanitizer this would end the program.
#[test]
fn memory_that_is_given_again_may_be_used() {
    let sizes = [1, 16, 100, 1000, 5000, LARGEST, 100_000, 2 << 20];
    for misuse in MISUSES.iter().chain(UNTOUCHED) {
        for heap in heaps() {
            (misuse.make)(&heap);
            for size in sizes {
                let block = heap.alloc(layout(size, 8)).unwrap();
                // SAFETY: a block of so many bytes, all of which may be used.
                unsafe { block.write_bytes(1, PinnedHeap::usable_size(layout(size, 8))) };
                free(&heap, block, size);
            }
            for size in sizes {
                let block = heap.alloc_zeroed(layout(size, 8)).unwrap();
                // SAFETY: a fresh block of this size, which is initialised.
                let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
                assert!(bytes.iter().all(|byte| *byte == 0), "{size}");
                let grown = realloc(&heap, block, size, 2 * size);
                // SAFETY: so long now.
                unsafe { grown.write_bytes(2, 2 * size) };
                free(&heap, grown, 2 * size);
            }
        }
    }
}
