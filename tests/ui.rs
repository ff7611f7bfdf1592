//! What must not compile, and in which words the compiler says so; and what must compile and run.
//!
//! Each program under `ui-tests/fail` and `ui-tests/fail-build` is one mistake that a user or a kernel generator makes;
//! the `.stderr` beside it is what they read. The words are the promise: a message that stops naming the two alignments
//! and what to do fails the test. To accept new words after reading them: `TRYBUILD=overwrite cargo test --test ui`.
//!
//! rustc's own part of a message changes from release to release, so both tests run on the release that the words were
//! accepted on and are reported as ignored, with this reason, on any other.
//!
//! Sanitizers, loom and miri change what is built, not what is accepted: with them this file is empty.
#![cfg(not(any(bhc_asan, bhc_loom, miri)))]

/// Mistakes in types, found by `cargo check`. No `pass` case among them, so that one `cargo check` is all that runs.
#[rustversion::attr(not(stable(1.95)), ignore = "the messages were accepted on stable 1.95, this is another toolchain")]
#[test]
fn mistakes_in_types_are_refused_in_our_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui-tests/fail/*.rs");
}

/// Mistakes that only the compiled code shows (sizes, a hand-written `FitsIn`), found by `cargo build`; a `pass` case is
/// what makes trybuild run that. The programs that must compile are run, too.
#[rustversion::attr(not(stable(1.95)), ignore = "the messages were accepted on stable 1.95, this is another toolchain")]
#[test]
fn mistakes_in_sizes_are_refused_and_generated_programs_run() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui-tests/pass/*.rs");
    cases.compile_fail("ui-tests/fail-build/*.rs");
}
