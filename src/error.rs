//! What can go wrong when memory is asked for.

use core::alloc::LayoutError;

use crate::align::InvalidAlignment;

/// Why memory was not given. Making, cloning and printing one allocates nothing.
///
/// ```
/// use bhc_rts_alloc::{AllocError, SimdBuffer};
/// let refused = SimdBuffer::<f32>::try_zeroed(usize::MAX).unwrap_err();
/// assert_eq!(refused, AllocError::Overflow);
/// assert_eq!(refused.to_string(), "the size of the allocation does not fit the address space");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocError {
    /// The memory is not there.
    #[error("out of memory: {requested} bytes requested, {available} available")]
    OutOfMemory {
        /// The size asked for, in bytes; by a buffer, with its padding.
        requested: usize,
        /// What the region could still have given, in bytes; 0 where it cannot know, as [`System`](crate::System). An arena
        /// says what is left of its current chunk.
        available: usize,
    },

    /// A size and an alignment, given as plain numbers, do not make a [`Layout`](core::alloc::Layout).
    #[error("invalid layout: {0}")]
    InvalidLayout(#[from] LayoutError),

    /// The region gives nothing now, whatever the size: a profile without memory, or an arena that an open scope has.
    #[error("the region is exhausted: {region}")]
    RegionExhausted {
        /// Which region, and why if that needs saying.
        region: &'static str,
    },

    /// This region cannot give that alignment (in bytes), or the number is not an alignment at all.
    #[error("an alignment of {0} bytes is not supported here")]
    UnsupportedAlignment(usize),

    /// The size, rounded up to its alignment, is more than `isize::MAX` bytes: no region can ever give that.
    #[error("the size of the allocation does not fit the address space")]
    Overflow,
}

impl From<InvalidAlignment> for AllocError {
    fn from(invalid: InvalidAlignment) -> Self {
        Self::UnsupportedAlignment(invalid.0)
    }
}

/// A result of asking for memory.
pub type AllocResult<T> = Result<T, AllocError>;

static_assertions::const_assert_eq!(size_of::<AllocError>(), 3 * size_of::<usize>());
static_assertions::assert_impl_all!(AllocError: Send, Sync, Unpin, Clone, Eq, core::error::Error);

/// What the infallible forms do with an error: panic with its text, at the caller's line.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn refuse(error: &AllocError) -> ! {
    panic!("{error}")
}

/// Unwraps, for the infallible forms.
#[inline]
#[track_caller]
pub(crate) fn or_panic<T>(result: AllocResult<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => refuse(&error),
    }
}
