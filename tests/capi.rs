//! The C ABI: the header and the library, as programs in C and C++ get them.
//!
//! | module | the promise |
//! |---|---|
//! | `header` | `include/bhc_rts_alloc.h` is what cbindgen makes of the source |
//! | `layout` | a header that says another layout than the library has does not compile |
//! | `attributes` | what the header promises to a compiler is what a compiler makes use of |
//! | `programs` | the programs in capi/c do what they are to: as C11 and C++17, with and without the fast paths, with the static and the dynamic library, plainly, under valgrind, under AddressSanitizer |
//! | `misuse` | what a program does wrong is noticed, where that was promised |

#![cfg(not(miri))]

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
