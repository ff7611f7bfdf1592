//! Where the next block goes: the arithmetic of a bump pointer that moves up, on plain addresses.
//!
//! # Note: why there is no overflow check on the fast path
//! All addresses of a chunk are at most [`MAX_ADDRESS`], checked once when the chunk is taken in. A [`Layout`] bounds
//! `size + align - 1` by `isize::MAX`, and rounding the size up to the unit adds less than 2^29. So the sums below stay under
//! 2^64, and one comparison with the limit decides. That holds where user memory lies in the lower half of the address
//! space. Where it may not (32-bit targets, kernels, pointers with tags in their top byte), [`place`] compares distances
//! instead, which cannot overflow at any address and costs two more instructions.
//!
//! # Note: one formula
//! `(cursor + align - 1) & -align` for constant and run-time alignments alike. The caller tells the compiler that the cursor
//! is a multiple of the unit, so that the formula folds away where the alignment is a constant that the unit covers; for
//! others a branch on "is it covered?" would be mispredicted more dearly than the two instructions cost.
//!
//! [`Layout`]: core::alloc::Layout
#![forbid(unsafe_code)]

use crate::align::align_up;

/// Whether chunks may lie at any address.
const ANYWHERE: bool = cfg!(not(all(target_arch = "x86_64", target_pointer_width = "64", not(target_os = "none"))));

/// The largest address that a chunk may end at.
pub(super) const MAX_ADDRESS: usize = if ANYWHERE { usize::MAX } else { isize::MAX as usize - (1 << 30) };

/// Where a block of `size` bytes at `align` starts, and where the cursor stands after it; `None` if it does not fit below
/// `limit`. `cursor` is a multiple of `unit`, and so is the cursor after it. `size` and `align` make a layout, `align`
/// and `unit` are alignments. A limit below the cursor is one that nothing fits under.
#[inline(always)]
pub(super) const fn place(
    cursor: usize,
    limit: usize,
    size: usize,
    align: usize,
    unit: usize,
) -> Option<(usize, usize)> {
    if ANYWHERE {
        place_anywhere(cursor, limit, size, align, unit)
    } else {
        place_low(cursor, limit, size, align, unit)
    }
}

/// For a `limit` of at most [`MAX_ADDRESS`], and a cursor likewise.
#[inline(always)]
const fn place_low(cursor: usize, limit: usize, size: usize, align: usize, unit: usize) -> Option<(usize, usize)> {
    let before = cursor.wrapping_sub(1) | (align - 1);
    let start = before.wrapping_add(1);
    let end = before.wrapping_add(size.wrapping_sub(1) | (unit - 1)).wrapping_add(2);
    if end <= limit { Some((start, end)) } else { None }
}

/// For any addresses.
#[inline(always)]
const fn place_anywhere(cursor: usize, limit: usize, size: usize, align: usize, unit: usize) -> Option<(usize, usize)> {
    let gap = cursor.wrapping_neg() & (align - 1);
    let needed = gap + align_up(size, unit);
    match limit.checked_sub(cursor) {
        Some(room) if needed <= room => Some((cursor + gap, cursor + needed)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use core::alloc::Layout;
    use proptest::prelude::*;

    use super::*;

    /// The definition, in numbers that cannot overflow.
    fn exactly(cursor: usize, limit: usize, layout: Layout, unit: usize) -> Option<(usize, usize)> {
        let up = |value: u128, align: usize| value.next_multiple_of(align as u128);
        let start = up(cursor as u128, layout.align());
        let end = start + up(layout.size() as u128, unit);
        (end <= limit as u128).then_some((start as usize, end as usize))
    }

    fn near_a_power() -> impl Strategy<Value = usize> {
        (0..63u32, -3..=3isize)
            .prop_map(|(log2, more)| (1usize << log2).wrapping_add_signed(more) & isize::MAX as usize)
    }

    proptest! {
        #[test]
        fn both_forms_are_the_definition(
            cursor in prop_oneof![any::<usize>(), near_a_power(), Just(usize::MAX)],
            limit in prop_oneof![any::<usize>(), near_a_power(), Just(usize::MAX)],
            room in prop_oneof![Just(None), near_a_power().prop_map(Some)],
            size in prop_oneof![near_a_power(), 0..300usize],
            align in 0..63u32,
            unit in 0..30u32,
        ) {
            let unit = 1 << unit;
            let cursor = cursor & !(unit - 1);
            let limit = room.map_or(limit, |room| cursor.saturating_add(room));
            let Ok(layout) = Layout::from_size_align(size, 1 << align) else { return Ok(()) };
            let expected = exactly(cursor, limit, layout, unit);
            prop_assert_eq!(place_anywhere(cursor, limit, size, 1 << align, unit), expected);
            if cursor <= isize::MAX as usize - (1 << 30) && limit <= isize::MAX as usize - (1 << 30) {
                prop_assert_eq!(place_low(cursor, limit, size, 1 << align, unit), expected);
            }
        }
    }

    #[test]
    fn nothing_fits_under_a_limit_of_zero() {
        for size in [0, 1, 8, isize::MAX as usize] {
            assert_eq!(place_low(4096, 0, size, 1, 1), None);
            assert_eq!(place_anywhere(4096, 0, size, 1, 1), None);
        }
    }
}
