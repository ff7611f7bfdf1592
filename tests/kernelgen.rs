//! The kernel generator, phase by phase and as a whole.
//!
//! | module | the promise |
//! |---|---|
//! | `language` | what is grammatical is understood, anything else is refused with its place; no text makes the parser panic |
//! | `planning` | what can share a loop does; executed loop by loop, a plan computes what the program means |
//! | `interpreter` | the meaning itself: each operation, and the order of sums |
//! | `emitted` | emitted text is named and formatted as people write it |
//! | `compiled` | random programs, compiled as Rust and as C, compute what the interpreter does, to the bit, and allocate nothing |
//! | `alignment` | a generator that forgets an alignment does not get past the compiler, which says why |
//! | `assembly` | a fused reduction is one loop in whole vectors, without a call |
//! | `command_line` | arguments are understood or refused; a program runs on real files |
//!
//! The generator's modules are included as they are, nothing is copied.

// It builds packages of its own, whatever this test is built for: once is enough.
#![cfg(not(any(bhc_asan, miri)))]

#[allow(dead_code, reason = "the tests look at what they need")]
#[path = "../examples/kernelgen"]
mod generator {
    pub mod driver;
    pub mod element;
    pub mod emit_c;
    pub mod emit_rust;
    pub mod graph;
    pub mod interpret;
    pub mod language;
    pub mod names;
    pub mod options;
    pub mod package;
    pub mod plan;
    pub mod run;
}

#[cfg(not(any(bhc_asan, miri)))]
#[path = "common/clib.rs"]
mod clib;

#[cfg(not(any(bhc_asan, miri)))]
#[path = "kernelgen/alignment.rs"]
mod alignment;
#[cfg(not(any(bhc_asan, miri)))]
#[path = "kernelgen/assembly.rs"]
mod assembly;
#[path = "kernelgen/command_line.rs"]
mod command_line;
#[cfg(not(any(bhc_asan, miri)))]
#[path = "kernelgen/compiled.rs"]
mod compiled;
#[path = "kernelgen/emitted.rs"]
mod emitted;
#[path = "kernelgen/interpreter.rs"]
mod interpreter;
#[path = "kernelgen/language.rs"]
mod language;
#[path = "kernelgen/planning.rs"]
mod planning;
#[path = "kernelgen/programs.rs"]
mod programs;

/// Says, past the capture of the test harness, that something was not tested.
fn skip(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: generated kernels: {why}");
}
