//! Programs that do something wrong: what ends them.

use std::process::Output;

use super::clib::{C11, library, printed, sanitized};
use super::source;

const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

/// Whether a signal ended it, and the message has these words.
#[cfg(unix)]
fn was_ended(output: &Output, signal: i32, words: &str) -> bool {
    use std::os::unix::process::ExitStatusExt;
    output.status.signal() == Some(signal) && String::from_utf8_lossy(&output.stderr).contains(words)
}

#[cfg(not(unix))]
fn was_ended(_: &Output, _: i32, _: &str) -> bool {
    false
}

#[test]
fn a_block_that_is_freed_twice_ends_the_program_with_a_message() {
    let Some(library) = library() else { return };
    let program = library.compile(C11, &source("contract"), &["-O2"]).expect("the program compiles");
    // Of a thread's cache, of a span, of pages.
    for size in ["100", "100000", "5000000"] {
        let output = program.run(&["free-twice", size]);
        assert!(was_ended(&output, SIGABRT, "double free"), "{size}: {}", printed(&output));
    }
}

#[test]
fn a_collector_that_finds_its_heap_corrupt_ends_the_program_with_a_message() {
    let Some(library) = library() else { return };
    let program = library.compile(C11, &source("contract"), &["-O2"]).expect("the program compiles");
    let output = program.run(&["corrupt"]);
    assert!(was_ended(&output, SIGABRT, "heap corruption"), "{}", printed(&output));
}

#[test]
fn a_stale_pointer_into_quarantine_ends_the_program() {
    let Some(library) = library() else { return };
    let program = library.compile(C11, &source("contract"), &["-O2"]).expect("the program compiles");
    let output = program.run(&["stale"]);
    assert!(was_ended(&output, SIGSEGV, "the root is read"), "{}", printed(&output));
}

#[test]
fn address_sanitizer_sees_memory_that_nobody_has() {
    let Some(library) = sanitized() else { return };
    for flags in [&["-O2"][..], &["-O0", "-DBHC_CHECKED"]] {
        let program = library.compile(C11, &source("misuse"), flags).expect("the program compiles");
        let output = program.run(&["nothing"]);
        assert!(output.status.success(), "{flags:?}: {}", printed(&output));
        for what in [
            "arena block's end",
            "inline arena block's end",
            "arena beyond its cursor",
            "arena after release",
            "thread arena after release",
            "arena after release, beside what is new",
            "pinned after free",
            "pinned after realloc",
            "raw bytes after free",
            "nursery beyond hp",
            "inline nursery beyond hp",
            "object that has moved",
            "arena after destroy",
            "mutator after destroy",
        ] {
            let output = program.run(&[what]);
            let report = String::from_utf8_lossy(&output.stderr);
            let seen = !output.status.success() && report.contains("ERROR: AddressSanitizer");
            assert!(seen, "{what} with {flags:?}: {}", printed(&output));
        }
    }
}
