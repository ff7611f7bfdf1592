//! What a compiler makes of the attributes of the header: see c/attributes.c.

use std::process::Command;

use super::clib::{C11, Cpp17, library, skip};
use super::source;

/// The tests of c/attributes.c.
const TESTS: &[&str] = &[
    "alignment_pinned_alloc",
    "alignment_pinned_alloc_zeroed",
    "alignment_pinned_realloc",
    "alignment_region_alloc",
    "alignment_arena_alloc",
    "alignment_arena_alloc_inline",
    "alignment_alloc",
    "alignment_alloc_array",
    "alignment_alloc_data",
    "alignment_alloc_reserved",
    "sized_pinned_alloc",
    "sized_pinned_alloc_zeroed",
    "sized_pinned_realloc",
    "sized_region_alloc",
    "sized_arena_alloc",
    "fresh_pinned_alloc",
    "fresh_pinned_alloc_zeroed",
    "fresh_region_alloc",
    "fresh_arena_alloc",
    "fresh_arena_alloc_inline",
];

/// The functions whose answer is not to be dropped.
const ANSWERS: &[&str] = &[
    "bhc_pinned_alloc",
    "bhc_pinned_alloc_zeroed",
    "bhc_pinned_realloc",
    "bhc_region_alloc",
    "bhc_arena_alloc",
    "bhc_arena_alloc_inline",
    "bhc_alloc",
    "bhc_alloc_inline",
    "bhc_alloc_array",
    "bhc_alloc_data",
    "bhc_alloc_reserved",
    "bhc_alloc_reserved_inline",
    "bhc_try_alloc_inline",
];

/// What is made of the attributes is a compiler's own affair; it is known of this one.
fn is_gcc() -> bool {
    let is_one = library().is_some()
        && Command::new("cc").args(["-dM", "-E", "-xc", "/dev/null"]).output().is_ok_and(|macros| {
            let macros = String::from_utf8_lossy(&macros.stdout);
            macros.contains("__GNUC__") && !macros.contains("__clang__")
        });
    if !is_one {
        skip("what a compiler makes of attributes is looked at in GCC");
    }
    is_one
}

/// Whether something of a test is left.
fn is_left(test: &str, assembly: &str) -> bool {
    let name = format!("left_over_{test}");
    let is_end = |rest: &str| !rest.starts_with(|next: char| next == '_' || next.is_alphanumeric());
    assembly.match_indices(&name).any(|(at, _)| is_end(&assembly[at + name.len()..]))
}

#[test]
fn what_is_promised_is_known_when_it_is_compiled() {
    if !is_gcc() {
        return;
    }
    for language in [C11, Cpp17] {
        let flags = ["-O2"];
        let assembly = language.assembly(&source("attributes"), &flags).expect("it compiles");
        let weaker = language.assembly(&source("attributes"), &[&flags[..], &["-DWEAKER"]].concat());
        let weaker = weaker.expect("it compiles");
        for test in TESTS {
            assert!(assembly.contains(&format!("\n{test}:")), "{language:?}: there is a test {test}");
            assert!(!is_left(test, &assembly), "{language:?}: {test} is left over");
            assert!(is_left(test, &weaker), "{language:?}: {test} asks for something that was promised");
        }
    }
}

#[test]
fn memory_is_not_dropped_without_a_warning() {
    if !is_gcc() {
        return;
    }
    for language in [C11, Cpp17] {
        let errors = language.assembly(&source("attributes"), &["-DIGNORE"]).expect_err("it compiles");
        for function in ANSWERS {
            let warned = errors.lines().any(|line| {
                let mut words = line.split(|one: char| one != '_' && !one.is_alphanumeric());
                line.contains("ignoring return value") && words.any(|word| word == *function)
            });
            assert!(warned, "{language:?}: {function}:\n{errors}");
        }
    }
}
