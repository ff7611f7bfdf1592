//! Alignment arithmetic on plain integers: no pointers, no `unsafe`, all `const` where it can be.
//!
//! This is the only file that rounds. Everything else in the crate calls it, so that the edge cases (values near
//! `usize::MAX`, an alignment of the top bit) are decided, documented and tested once.
//!
//! An *alignment* here is a power of two, in bytes. Passing anything else to a plain form is a bug in the caller: debug
//! builds panic, release builds return an unspecified number (never undefined behaviour). The checked form answers
//! `None`.

/// Whether `align` is an alignment: a power of two, hence not zero.
#[inline]
pub(crate) const fn is_alignment(align: usize) -> bool {
    align.is_power_of_two()
}

/// Rounds `value` up to a multiple of `align`, both in bytes.
///
/// For values that come from outside use [`checked_align_up`]. Cost: two instructions when `align` is a constant.
///
/// # Panics
/// With debug assertions, if `align` is not a power of two or the result does not fit `usize`. Without them the result
/// of such a call is unspecified for a bad `align`, and **0** where it does not fit: `align_up(usize::MAX, 64) == 0`.
///
/// ```
/// use bhc_rts_alloc::align_up;
/// assert_eq!(align_up(0, 64), 0);
/// assert_eq!(align_up(1, 64), 64);
/// assert_eq!(align_up(64, 64), 64);
/// ```
#[inline]
#[must_use]
pub const fn align_up(value: usize, align: usize) -> usize {
    debug_assert!(is_alignment(align), "align_up: the alignment must be a power of two");
    let mask = align.wrapping_sub(1);
    debug_assert!(value <= usize::MAX - mask, "align_up: the result does not fit usize");
    value.wrapping_add(mask) & !mask
}

/// Rounds `value` up to a multiple of `align`, or `None` where `align` is not a power of two or the result does not
/// fit `usize`. This is the form that memory regions use.
///
/// ```
/// use bhc_rts_alloc::checked_align_up;
/// assert_eq!(checked_align_up(65, 64), Some(128));
/// assert_eq!(checked_align_up(65, 48), None); // not a power of two
/// assert_eq!(checked_align_up(usize::MAX, 64), None); // does not fit
/// assert_eq!(checked_align_up(usize::MAX, 1), Some(usize::MAX));
/// ```
#[inline]
#[must_use]
pub const fn checked_align_up(value: usize, align: usize) -> Option<usize> {
    if !is_alignment(align) {
        return None;
    }
    match value.checked_add(align - 1) {
        Some(raised) => Some(raised & !(align - 1)),
        None => None,
    }
}

/// Rounds `value` down to a multiple of `align`, both in bytes. Defined for every value, `usize::MAX` included.
///
/// # Panics
/// With debug assertions, if `align` is not a power of two; without them such a call returns an unspecified number.
///
/// ```
/// use bhc_rts_alloc::align_down;
/// assert_eq!(align_down(63, 64), 0);
/// assert_eq!(align_down(64, 64), 64);
/// assert_eq!(align_down(usize::MAX, 64), usize::MAX - 63);
/// ```
#[inline]
#[must_use]
pub const fn align_down(value: usize, align: usize) -> usize {
    debug_assert!(is_alignment(align), "align_down: the alignment must be a power of two");
    value & !align.wrapping_sub(1)
}

/// Whether `value` is a multiple of `align`, both in bytes. Zero is a multiple of every alignment.
///
/// # Panics
/// With debug assertions, if `align` is not a power of two; without them such a call returns an unspecified answer.
///
/// ```
/// use bhc_rts_alloc::is_aligned;
/// assert!(is_aligned(128, 64));
/// assert!(!is_aligned(96, 64));
/// ```
#[inline]
#[must_use]
pub const fn is_aligned(value: usize, align: usize) -> bool {
    debug_assert!(is_alignment(align), "is_aligned: the alignment must be a power of two");
    value & align.wrapping_sub(1) == 0
}

/// Whether the address of `ptr` is a multiple of `align` bytes. Looks at the address only: the pointer may be null,
/// dangling or one past the end.
///
/// # Panics
/// As [`is_aligned`].
///
/// ```
/// use bhc_rts_alloc::is_ptr_aligned;
/// let word = 7u64;
/// assert!(is_ptr_aligned(&word, align_of::<u64>()));
/// ```
#[inline]
#[must_use]
pub fn is_ptr_aligned<T: ?Sized>(ptr: *const T, align: usize) -> bool {
    is_aligned(ptr.addr(), align)
}
