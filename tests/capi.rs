//! The C ABI.
//!
//! | module | the promise |
//! |---|---|
//! | `header` | `include/bhc_rts_alloc.h` is what cbindgen makes of the source |

#![cfg(not(miri))]

#[path = "capi/header.rs"]
mod header;
