//! What goes wrong, as a status and in words; and the frame around every function that may fail.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread_local;

use super::write_text;
use crate::error::AllocError;
use crate::general::Corruption;

/// How a call ended. 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum BhcStatus {
    /// All went well.
    Ok = 0,
    /// The memory is not there.
    OutOfMemory = 1,
    /// The region gives nothing now, whatever the size.
    RegionExhausted = 2,
    /// The region cannot give that alignment, or it is no power of two.
    UnsupportedAlignment = 3,
    /// The size does not fit the address space.
    Overflow = 4,
    /// A pointer that must not be null is.
    NullPointer = 5,
    /// An argument is not what it has to be.
    InvalidArgument = 6,
    /// The calling thread has no such capability, arena or mutator.
    WrongThread = 7,
    /// A root callback used the heap that it shows roots of.
    Busy = 8,
    /// The shadow stack has no room.
    StackFull = 9,
    /// The shadow stack has nothing to pop.
    StackEmpty = 10,
    /// The Pinned Heap is in use, and can be configured no more.
    AlreadyInUse = 11,
    /// The General Heap is not as it has to be: generated code, or the collector, has an error.
    Corrupt = 12,
    /// The library has an error: it panicked.
    Internal = 13,
}

impl BhcStatus {
    /// As in the header.
    fn name(self) -> &'static CStr {
        match self {
            Self::Ok => c"BHC_STATUS_OK",
            Self::OutOfMemory => c"BHC_STATUS_OUT_OF_MEMORY",
            Self::RegionExhausted => c"BHC_STATUS_REGION_EXHAUSTED",
            Self::UnsupportedAlignment => c"BHC_STATUS_UNSUPPORTED_ALIGNMENT",
            Self::Overflow => c"BHC_STATUS_OVERFLOW",
            Self::NullPointer => c"BHC_STATUS_NULL_POINTER",
            Self::InvalidArgument => c"BHC_STATUS_INVALID_ARGUMENT",
            Self::WrongThread => c"BHC_STATUS_WRONG_THREAD",
            Self::Busy => c"BHC_STATUS_BUSY",
            Self::StackFull => c"BHC_STATUS_STACK_FULL",
            Self::StackEmpty => c"BHC_STATUS_STACK_EMPTY",
            Self::AlreadyInUse => c"BHC_STATUS_ALREADY_IN_USE",
            Self::Corrupt => c"BHC_STATUS_CORRUPT",
            Self::Internal => c"BHC_STATUS_INTERNAL",
        }
    }

    const ALL: [Self; 14] = [
        Self::Ok,
        Self::OutOfMemory,
        Self::RegionExhausted,
        Self::UnsupportedAlignment,
        Self::Overflow,
        Self::NullPointer,
        Self::InvalidArgument,
        Self::WrongThread,
        Self::Busy,
        Self::StackFull,
        Self::StackEmpty,
        Self::AlreadyInUse,
        Self::Corrupt,
        Self::Internal,
    ];
}

/// The name of a status (a `BhcStatus`), as in this header, for logs; of another number, "?".
#[unsafe(no_mangle)]
pub extern "C" fn bhc_status_name(status: i32) -> *const c_char {
    let status = BhcStatus::ALL.into_iter().find(|one| *one as i32 == status);
    status.map_or(c"?", BhcStatus::name).as_ptr()
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Memory(#[from] AllocError),
    #[error("`{0}` is null")]
    Null(&'static str),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("the calling thread has no such {0}: it is another thread's, or was destroyed, or never was one")]
    WrongThread(&'static str),
    #[error("the heap is collecting: a root callback shows roots, and does nothing else with the heap")]
    Busy,
    #[error("the shadow stack is full")]
    StackFull,
    #[error("the shadow stack is empty")]
    StackEmpty,
    #[error("the pinned heap is in use, and can be configured no more")]
    AlreadyInUse,
    #[error("{0}")]
    Corrupt(Corruption),
    #[error("the library has panicked, which is an error in it")]
    Internal,
}

impl Failure {
    pub(super) fn status(&self) -> BhcStatus {
        match self {
            Self::Memory(AllocError::OutOfMemory { .. }) => BhcStatus::OutOfMemory,
            Self::Memory(AllocError::RegionExhausted { .. }) => BhcStatus::RegionExhausted,
            Self::Memory(AllocError::UnsupportedAlignment(_)) => BhcStatus::UnsupportedAlignment,
            Self::Memory(AllocError::Overflow) => BhcStatus::Overflow,
            Self::Null(_) => BhcStatus::NullPointer,
            Self::Memory(AllocError::InvalidLayout(_)) | Self::Invalid(_) => BhcStatus::InvalidArgument,
            Self::WrongThread(_) => BhcStatus::WrongThread,
            Self::Busy => BhcStatus::Busy,
            Self::StackFull => BhcStatus::StackFull,
            Self::StackEmpty => BhcStatus::StackEmpty,
            Self::AlreadyInUse => BhcStatus::AlreadyInUse,
            Self::Corrupt(_) => BhcStatus::Corrupt,
            Self::Internal => BhcStatus::Internal,
        }
    }
}

thread_local! {
    /// The calling thread's last failure. There is none any more when the thread's destructors run.
    static LAST: Cell<Option<Failure>> = const { Cell::new(None) };
}

#[cold]
#[inline(never)]
fn remember(failure: Failure) {
    let _ = LAST.try_with(move |last| last.set(Some(failure)));
}

/// Calls `look` with the calling thread's last failure.
fn with_last<T>(look: impl FnOnce(Option<&Failure>) -> T) -> T {
    let failure = LAST.try_with(Cell::take).ok().flatten();
    let result = look(failure.as_ref());
    if let Some(failure) = failure {
        remember(failure);
    }
    result
}

/// What a function answers if it fails.
pub(super) trait Answer {
    fn failed(status: BhcStatus) -> Self;
}

impl<T> Answer for *mut T {
    fn failed(_: BhcStatus) -> Self {
        null_mut()
    }
}

impl Answer for BhcStatus {
    fn failed(status: BhcStatus) -> Self {
        status
    }
}

impl Answer for usize {
    fn failed(_: BhcStatus) -> Self {
        0
    }
}

#[cold]
#[inline(never)]
pub(super) fn fail<T: Answer>(failure: Failure) -> T {
    let status = failure.status();
    remember(failure);
    T::failed(status)
}

/// Runs the body of a function: remembers why it failed, and lets nothing unwind.
#[inline]
pub(super) fn answer<T: Answer>(body: impl FnOnce() -> Result<T, Failure>) -> T {
    // What a panic may have left half done is what the regions promise about panics: nothing.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => fail(failure),
        Err(_) => fail(Failure::Internal),
    }
}

/// As [`answer`], for functions that may collect or verify: a panic there is the proof that the heap is corrupt, or half
/// moved, and nobody may go on with it. Its text has been printed; at the function's end it ends the program.
#[inline]
pub(super) fn answer_or_end<T: Answer>(body: impl FnOnce() -> Result<T, Failure>) -> T {
    match body() {
        Ok(value) => value,
        Err(failure) => fail(failure),
    }
}

/// As [`answer`], for what succeeds or does not.
#[inline]
pub(super) fn status(body: impl FnOnce() -> Result<(), Failure>) -> BhcStatus {
    answer(|| body().map(|()| BhcStatus::Ok))
}

/// A block, as C has it.
#[inline]
pub(super) fn pointer<T>(block: core::ptr::NonNull<T>) -> *mut c_void {
    block.as_ptr().cast()
}

/// The status of the calling thread's last call that failed; `BHC_STATUS_OK` if none has.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_last_error() -> BhcStatus {
    with_last(|failure| failure.map_or(BhcStatus::Ok, Failure::status))
}

/// Why the calling thread's last call that failed did, in words, as `snprintf` writes: at most `size` bytes into
/// `buffer`, with a zero at the end. Answers how long the text is, without the zero; so a `size` of 0 asks for that, and
/// `buffer` may be null then. Of a thread without failures the text is empty.
///
/// # Safety
/// There is room for `size` bytes at `buffer`, or `size` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_last_error_message(buffer: *mut c_char, size: usize) -> usize {
    let size = if buffer.is_null() { 0 } else { size };
    with_last(|failure| match failure {
        // SAFETY: the caller's promise.
        Some(failure) => unsafe { write_text(failure, buffer, size) },
        // SAFETY: as above.
        None => unsafe { write_text(&"", buffer, size) },
    })
}
