//! The C ABI: the header and the library, as programs in C and C++ get them.
//!
//! | module | the promise |
//! |---|---|
//! | `header` | `include/bhc_rts_alloc.h` is what cbindgen makes of the source |
//! | `layout` | a header that says another layout than the library has does not compile |
//! | `attributes` | what the header promises to a compiler is what a compiler makes use of |
//! | `programs` | the programs in capi/c do what they are to: as C11 and C++17, with and without the fast paths, with the static and the dynamic library, plainly, under valgrind, under AddressSanitizer |
//! | `misuse` | what a program does wrong is noticed, where that was promised |
//!
//! | program | what it is about |
//! |---|---|
//! | `contract` | every function and what it is not made for: null, zero, bad alignments, overflow, other threads, exhaustion, heaps that collect |
//! | `trees` | the General Heap: binary-trees with the shadow stack, the write barrier, every kind of object and root |
//! | `kernel` | aligned temporaries in arenas |
//! | `threads` | a capability for each, blocks that go from one to the other, collections that others ask for |
//! | `inline` | the fast paths against the functions that they stand for, to the last address and number |
//! | `calls` | the fast paths call nothing where there is room |
//! | `misuse`, `attributes` | for the modules of these names |

// It builds libraries of its own, one for AddressSanitizer among them, whatever this test is built for: once is enough.
#![cfg(not(any(bhc_asan, miri)))]

#[path = "capi/attributes.rs"]
mod attributes;
#[path = "common/clib.rs"]
mod clib;
#[path = "capi/header.rs"]
mod header;
#[path = "capi/layout.rs"]
mod layout;
#[path = "capi/misuse.rs"]
mod misuse;
#[path = "capi/programs.rs"]
mod programs;

use std::path::{Path, PathBuf};

/// A program in capi/c.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capi/c").join(name).with_extension("c")
}
