//! Memory that nobody has is noticed when it is used: filled in debug builds, poisoned under AddressSanitizer, unmapped
//! where scopes have huge pages of their own.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, HotArena, HugePages, MemoryRegion, Scope};

use super::vocabulary::{child_is_to, in_a_child, layout, skipped};

/// What freed memory is filled with.
const FREED: u8 = 0xdf;

/// A way to have a pointer to memory that is gone: what to do, and with which arena.
struct Misuse {
    name: &'static str,
    /// Answers the block, and how long it is. The arena is alive.
    make: fn(&mut HotArena) -> (NonNull<u8>, usize),
}

/// A block with contents.
fn block(region: &dyn MemoryRegion, size: usize) -> NonNull<u8> {
    let block = region.alloc(layout(size, 8)).unwrap();
    // SAFETY: a fresh block of this size.
    unsafe { block.write_bytes(0x11, size) };
    block
}

/// Every way in which a block may end while its arena goes on.
const MISUSES: &[Misuse] = &[
    Misuse { name: "after its scope", make: |arena| (arena.scope(|scope| block(scope, 100)), 100) },
    Misuse {
        name: "after its inner scope",
        make: |arena| {
            arena.alloc([1u8; 50]);
            (arena.scope(|outer| outer.scope(|inner| block(inner, 3000))), 3000)
        },
    },
    Misuse {
        name: "after a scope that went on to other chunks",
        make: |arena| {
            let first = arena.scope(|scope| {
                let first = block(scope, 1000);
                (0..5).for_each(|_| _ = block(scope, 10_000));
                first
            });
            (first, 1000)
        },
    },
    Misuse {
        name: "after a scope, on its last chunk",
        make: |arena| {
            let last = |scope: &mut Scope<'_, '_>| (0..5).map(|_| block(scope, 10_000)).last().unwrap();
            (arena.scope(last), 10_000)
        },
    },
    Misuse {
        name: "after a scope that panicked",
        make: |arena| {
            let mut found = None;
            let result = catch_unwind(AssertUnwindSafe(|| {
                arena.scope(|outer| {
                    outer.alloc([1u8; 5000]);
                    outer.scope(|inner| {
                        found = Some(block(inner, 200));
                        panic!();
                    })
                })
            }));
            assert!(result.is_err());
            (found.unwrap(), 200)
        },
    },
    Misuse {
        name: "after its mark",
        make: |arena| {
            arena.alloc([1u8; 50]);
            let mark = arena.mark();
            let found = block(arena, 100);
            (0..5).for_each(|_| _ = block(arena, 10_000));
            // SAFETY: this arena's last mark. What is then done with the block is what is tested.
            unsafe { arena.release(mark) };
            (found, 100)
        },
    },
    Misuse {
        name: "after a reset",
        make: |arena| {
            let found = block(arena, 100);
            arena.reset();
            (found, 100)
        },
    },
    Misuse {
        name: "after a reset of several chunks",
        make: |arena| {
            let found = block(arena, 3000);
            (0..5).for_each(|_| _ = block(arena, 10_000));
            arena.reset();
            (found, 3000)
        },
    },
    Misuse {
        name: "after it was freed as the last",
        make: |arena| {
            let found = block(arena, 100);
            // SAFETY: a live block with its layout.
            unsafe { arena.dealloc(found, layout(100, 8)) };
            (found, 100)
        },
    },
    Misuse {
        name: "after it was freed, and not as the last",
        make: |arena| {
            let found = block(arena, 104);
            block(arena, 10);
            // SAFETY: a live block with its layout.
            unsafe { arena.dealloc(found, layout(104, 8)) };
            (found, 104)
        },
    },
    Misuse {
        name: "after it grew elsewhere",
        make: |arena| {
            let found = block(arena, 104);
            block(arena, 10);
            // SAFETY: a live block with its layout.
            unsafe { arena.realloc(found, layout(104, 8), 200) }.unwrap();
            (found, 104)
        },
    },
    Misuse {
        name: "beyond what it shrank to",
        make: |arena| {
            let found = block(arena, 104);
            // SAFETY: a live block with its layout; the new one is where it was.
            let shrunk = unsafe { arena.realloc(found, layout(104, 8), 40) }.unwrap();
            // SAFETY: within what was the block.
            (unsafe { shrunk.add(40) }, 64)
        },
    },
];

#[test]
fn freed_memory_is_filled_in_debug_builds() {
    if cfg!(not(debug_assertions)) || cfg!(bhc_asan) {
        return skipped("freed memory is filled in debug builds without a sanitizer only");
    }
    for misuse in MISUSES {
        let mut arena = HotArena::new();
        let (start, len) = (misuse.make)(&mut arena);
        // SAFETY: not a live block any more, but memory of a chunk of the arena, which is alive and keeps its chunks.
        // All of it was written, first as a block and then by the arena; and nobody else refers to it.
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), len) };
        assert!(bytes.iter().all(|byte| *byte == FREED), "{}: {bytes:x?}", misuse.name);
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

#[test]
fn address_sanitizer_ends_the_program_at_a_use_of_freed_memory() {
    const TEST: &str = "poison::address_sanitizer_ends_the_program_at_a_use_of_freed_memory";
    if cfg!(not(bhc_asan)) {
        return skipped("use of freed arena memory is reported by AddressSanitizer, which this is not built with");
    }
    if let Some(name) = child_is_to() {
        let found = MISUSES.iter().find(|one| one.name == name).unwrap();
        let mut arena = HotArena::new();
        let (start, len) = (found.make)(&mut arena);
        // SAFETY: as said there: this process is to die of it.
        unsafe { misuse(start.add(len / 2)) };
        return;
    }
    for misuse in MISUSES {
        let output = in_a_child(TEST, misuse.name);
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{}: {}", misuse.name, String::from_utf8_lossy(&output.stdout));
        assert!(report.contains("use-after-poison"), "{}: {report}", misuse.name);
    }
}

/// Memory that was never given, and what lies between blocks.
#[test]
fn address_sanitizer_ends_the_program_at_a_use_beyond_a_block() {
    const TEST: &str = "poison::address_sanitizer_ends_the_program_at_a_use_beyond_a_block";
    if cfg!(not(bhc_asan)) {
        return skipped("use beyond a block is reported by AddressSanitizer, which this is not built with");
    }
    type Case = (&'static str, fn(&HotArena<Align<64>>) -> NonNull<u8>);
    let cases: [Case; 3] = [
        ("after the last block", |arena| {
            let last = block(arena, 64);
            // SAFETY: the end of the block.
            unsafe { last.add(64) }
        }),
        ("in the padding between two", |arena| {
            let first = block(arena, 8);
            block(arena, 64);
            // SAFETY: the end of the block, and before the next.
            unsafe { first.add(8) }
        }),
        ("in a new chunk", |arena| {
            let first = block(arena, 10_000);
            // SAFETY: in the chunk, which is twice as long as the arena's first.
            unsafe { first.add(10_000_usize.next_multiple_of(64)) }
        }),
    ];
    if let Some(name) = child_is_to() {
        let arena = HotArena::<Align<64>>::default();
        let at = cases.iter().find(|case| case.0 == name).unwrap().1(&arena);
        // SAFETY: as said there: this process is to die of it.
        unsafe { misuse(at) };
        return;
    }
    for (name, _) in cases {
        let output = in_a_child(TEST, name);
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && report.contains("use-after-poison"), "{name}: {report}");
    }
}

/// What was poisoned is as good as new when it is given again, and when it goes back to where it came from. Under
/// AddressSanitizer this would end the program.
#[test]
fn memory_that_is_given_again_may_be_used() {
    let mut memory = [std::mem::MaybeUninit::new(0u8); 5000];
    for _ in 0..2 {
        let mut arena = HotArena::builder().align::<Align<1>>().over(&mut memory);
        for round in 0..3u8 {
            for size in [1, 7, 8, 9, 100, 1000] {
                let bytes = arena.alloc_slice_fill_with(size, |_| round);
                assert!(bytes.iter().all(|byte| *byte == round));
            }
            arena.scope(|scope| {
                let first = block(scope, 13);
                // SAFETY: a live block with its layout, the last; then it is 500 bytes long, all of which are written.
                unsafe {
                    let grown = scope.realloc(first, layout(13, 8), 500).unwrap();
                    grown.write_bytes(0x22, 500);
                    scope.dealloc(grown, layout(500, 8));
                }
                assert!(scope.alloc([3u8; 500]).iter().all(|byte| *byte == 3));
            });
            arena.reset();
        }
        drop(arena);
        memory.fill(std::mem::MaybeUninit::new(7));
    }
    // The backing's own again, which may write to it.
    let audit = super::region::Audit::new();
    let mut arena = HotArena::builder().isolate_scopes(true).within(&audit).build();
    arena.alloc([1u8; 10]);
    for _ in 0..3 {
        arena.scope(|scope| scope.scope(|inner| block(inner, 50_000)));
    }
    drop(arena);
    audit.expect_empty();
}

/// The switch with which any build notices: each scope's memory is unmapped when it ends.
#[test]
fn isolated_scopes_on_huge_pages_end_the_program_at_a_use_after_them() {
    const TEST: &str = "poison::isolated_scopes_on_huge_pages_end_the_program_at_a_use_after_them";
    if cfg!(any(not(unix), miri)) {
        return skipped("memory is mapped, and children are run, on Unix only");
    }
    type Case = (&'static str, fn(&mut HotArena<Align<8>, HugePages>) -> NonNull<u8>);
    let cases: [Case; 4] = [
        ("after its scope", |arena| arena.scope(|scope| block(scope, 100))),
        ("after its inner scope", |arena| {
            arena.alloc([1u8; 100]);
            let (mut inside, mut found) = (0, None);
            arena.scope(|outer| {
                outer.alloc([1u8; 100]);
                found = Some(outer.scope(|inner| block(inner, 100)));
                inside = outer.used();
            });
            assert!(inside > 100);
            found.unwrap()
        }),
        ("after its mark", |arena| {
            arena.alloc([1u8; 100]);
            let mark = arena.mark();
            let found = block(arena, 100);
            // SAFETY: this arena's last mark. What is then done with the block is what is tested.
            unsafe { arena.release(mark) };
            found
        }),
        ("after a scope that panicked", |arena| {
            let mut found = None;
            let result = catch_unwind(AssertUnwindSafe(|| {
                arena.scope(|scope| {
                    found = Some(block(scope, 100));
                    panic!();
                })
            }));
            assert!(result.is_err());
            found.unwrap()
        }),
    ];
    if let Some(name) = child_is_to() {
        let mut arena = HotArena::builder().huge_pages().isolate_scopes(true).build();
        let at = cases.iter().find(|case| case.0 == name).unwrap().1(&mut arena);
        // SAFETY: as said there: this process is to die of it.
        unsafe { misuse(at) };
        return;
    }
    #[cfg(unix)]
    for (name, _) in cases {
        use std::os::unix::process::ExitStatusExt;
        let output = in_a_child(TEST, name);
        let report = String::from_utf8_lossy(&output.stderr);
        // A sanitizer handles the signal, and says so.
        let died = output.status.signal() == Some(11) || (cfg!(bhc_asan) && report.contains("AddressSanitizer: SEGV"));
        assert!(died, "{name}: {:?}, {}, {report}", output.status, String::from_utf8_lossy(&output.stdout));
    }
}
