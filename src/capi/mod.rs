//! The C ABI: what compiled programs link against. `include/bhc_rts_alloc.h` declares it, with inline fast paths.
//!
//! `cargo rustc --release --features capi --crate-type staticlib` (or `cdylib`) builds the library. For what the
//! functions do, see the types that they stand for; here is what holds for all of them.
//!
//! # Conventions
//! * A function that gives memory answers null if it fails, one that does something a [`BhcStatus`]. Why it failed is
//!   told by [`bhc_last_error`], as a status, and by [`bhc_last_error_message`], in words, until the calling thread's
//!   next failure. Success does not clear them.
//! * **Zero size**: an address that is aligned and not null, and no block; to free it does nothing.
//! * **Null** for a handle, a descriptor or a result's place: `BHC_STATUS_NULL_POINTER`. To free null does nothing.
//! * **Alignment** that is no power of two: `BHC_STATUS_UNSUPPORTED_ALIGNMENT`, as for one that the region cannot give.
//! * **Overflow**, a size that with its alignment does not fit the address space: `BHC_STATUS_OVERFLOW`.
//! * **Exhaustion**: `BHC_STATUS_OUT_OF_MEMORY`, or `BHC_STATUS_REGION_EXHAUSTED` where the region gives nothing at all.
//!   The region and all blocks are as before.
//! * **Wrong thread**: capabilities, with their arenas and mutators, belong to the thread that made them. Functions know
//!   the calling thread's by their addresses, and look at no other: another thread's, or any other pointer, is
//!   `BHC_STATUS_WRONG_THREAD`; so is one that was destroyed, until its address is that of a new one. The Pinned Heap is
//!   every thread's.
//! * **Nothing unwinds**, and nothing ends the program but the proof that memory is corrupt: a block of the Pinned Heap
//!   that was freed twice, or is none; a General Heap that is not as it has to be, as its collector finds it. Any other
//!   panic, which would be a mistake in this crate, is caught and answered as `BHC_STATUS_INTERNAL`.
//! * What the header has inline checks nothing that it is given, and calls these functions where the fast path ends. With
//!   `BHC_CHECKED` defined it only calls them.
//!
//! * **fork**: the child may use what only its thread has used, which are its capabilities and arenas; the Pinned Heap
//!   only if no other thread was using it then. Nothing is for signal handlers.
//!
//! # Objects and roots
//! An object is a header word, which points to its descriptor, and its words. A pointer to one may have a tag in its low
//! three bits (two where pointers have four bytes), which collections keep. Pointers to what is not in the heap are left
//! alone.
//!
//! Whatever may collect ([`bhc_alloc`], [`bhc_alloc_array`], [`bhc_alloc_data`], [`bhc_gc_reserve`],
//! [`bhc_gc_safe_point`], [`bhc_gc_collect`]) moves objects, and updates the shadow stack, what the root callback shows,
//! stable pointers, and the words of static objects that are registered. A pointer anywhere else is stale then, and so is
//! one into the middle of an object.

mod arena;
mod capability;
mod error;
mod general;
mod layout;
mod machine;
mod pinned;
mod stats;

pub use arena::*;
pub use capability::*;
pub use error::{BhcStatus, bhc_last_error, bhc_last_error_message, bhc_status_name};
pub use general::*;
pub use layout::*;
pub use machine::*;
pub use pinned::*;
pub use stats::*;

use core::alloc::Layout;
use core::ffi::c_char;
use core::fmt;

use crate::align::Alignment;
use crate::error::AllocError;
use error::Failure;

/// A layout out of plain numbers, if they make one.
#[inline(always)]
fn valid_layout(size: usize, align: usize) -> Option<Layout> {
    // Asks for the power of two as well.
    Layout::from_size_align(size, align).ok()
}

/// A layout out of plain numbers, or why they make none.
#[inline]
fn layout(size: usize, align: usize) -> Result<Layout, Failure> {
    valid_layout(size, align).ok_or_else(|| {
        let error = match Alignment::is_valid(align) {
            true => AllocError::Overflow,
            false => AllocError::UnsupportedAlignment(align),
        };
        error.into()
    })
}

/// Writes a text as `snprintf` does: as much of it as there is room for, a zero behind it, and what its length would be.
///
/// # Safety
/// There is room for `size` bytes at `buffer`, or `size` is 0.
unsafe fn write_text(text: &dyn fmt::Display, buffer: *mut c_char, size: usize) -> usize {
    struct Writer {
        at: *mut u8,
        /// For bytes before the zero.
        room: usize,
        len: usize,
    }
    impl fmt::Write for Writer {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let fitting = text.len().min(self.room);
            // SAFETY: there is that much room.
            unsafe {
                self.at.copy_from_nonoverlapping(text.as_ptr(), fitting);
                self.at = self.at.add(fitting);
            }
            self.room -= fitting;
            self.len += text.len();
            Ok(())
        }
    }
    let mut writer = Writer { at: buffer.cast(), room: size.saturating_sub(1), len: 0 };
    // It writes whatever it is told to.
    let _ = fmt::Write::write_fmt(&mut writer, format_args!("{text}"));
    if size > 0 {
        // SAFETY: the last byte of the room, or before that.
        unsafe { writer.at.write(0) };
    }
    writer.len
}
