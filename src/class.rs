//! Size classes: which class serves a layout, and what blocks of a class are like. Pure arithmetic.
//!
//! Sizes go in steps of 16 bytes to 128, then in four steps to each doubling, up to [`LARGEST`]. So a block is less than a
//! fifth larger than asked for, from 64 bytes on.
//!
//! # Note: alignment comes for free
//! The class is that of the size *rounded up to its alignment*. A class holds the sizes above the class before it, and
//! each class is a multiple of the largest power of two that any rounded size in it can be a multiple of at least: sizes
//! between 2^k and 2^(k+1) that are multiples of an alignment above 2^(k-2) fall on a class exactly, and a smaller alignment
//! divides 2^(k-2), of which all classes there are multiples. Spans start at 64 KiB, so a block at a multiple of its
//! class's size is aligned (the rule of snmalloc's `aligned_size` and jemalloc's `sa2u`). The tests try every one.
//!
//! # Note: a table
//! The class is looked up, not computed: 4 KiB of bytes, of which sizes to 1 KiB use one cache line. Computed without a
//! branch it takes nine instructions after the logarithm, and was a fifth of a pair of allocation and free. The table is a
//! constant and not a static: other crates see what is in it, so that the class of a constant layout is a constant there.

use core::alloc::Layout;

use crate::runs::SLICE;

/// The largest size that has a class, in bytes.
pub(crate) const LARGEST: usize = 64 << 10;
/// How many classes there are.
pub(crate) const CLASSES: usize = 44;
/// Sizes are told apart in steps of so many bytes.
const STEP: usize = 16;
/// Where spans start: at multiples of so many slices.
pub(crate) const SPAN_ALIGN: usize = LARGEST / SLICE;
/// The most slices that a span has.
pub(crate) const MAX_SPAN: usize = 64;
/// The most blocks that a magazine takes.
pub(crate) const MAX_CAPACITY: usize = 126;

/// The class of a size by arithmetic: what the table is made of.
const fn computed(size: usize) -> usize {
    let last = size - 1;
    let log2 = (last | 64).ilog2() as usize;
    log2 * 4 - 24 + (last >> (log2 - 2))
}

const fn size_of_class(class: usize) -> usize {
    if class < 8 { (class + 1) * STEP } else { (4 + 1 + (class - 8) % 4) << (5 + (class - 8) / 4) }
}

/// What is known of a class.
#[derive(Clone, Copy)]
struct Facts {
    size: u32,
    /// Of a span.
    slices: u8,
    /// Of a magazine: about 64 KiB, but never less than 4 blocks.
    capacity: u8,
    /// In a span.
    blocks: u16,
    /// `⌈2^40 / size⌉`, for dividing by the size.
    reciprocal: u64,
}

const fn facts(class: usize) -> Facts {
    let size = size_of_class(class);
    let slices = match size {
        0..=2048 => 8,
        2049..=8192 => 16,
        8193..=16384 => 32,
        _ => MAX_SPAN,
    };
    let capacity = match LARGEST / size {
        fit if fit > MAX_CAPACITY => MAX_CAPACITY,
        fit if fit < 4 => 4,
        fit => fit,
    };
    Facts {
        size: size as u32,
        slices: slices as u8,
        capacity: capacity as u8,
        blocks: (slices * SLICE / size) as u16,
        reciprocal: (1u64 << 40).div_ceil(size as u64),
    }
}

static FACTS: [Facts; CLASSES] = {
    let mut all = [facts(0); CLASSES];
    let mut class = 0;
    while class < CLASSES {
        all[class] = facts(class);
        class += 1;
    }
    all
};

const TABLE: &[u8; LARGEST / STEP] = &{
    let mut table = [0; LARGEST / STEP];
    let mut at = 0;
    while at < table.len() {
        table[at] = computed((at + 1) * STEP) as u8;
        at += 1;
    }
    table
};

/// `layout`'s size as a multiple of its alignment. No overflow: a layout's size rounded up is at most `isize::MAX`.
#[inline(always)]
pub(crate) const fn rounded(layout: Layout) -> usize {
    (layout.size() + (layout.align() - 1)) & layout.align().wrapping_neg()
}

/// A size class: a number below [`CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(u8);

impl Class {
    /// The class that serves `layout`. `None` for what is too large, and for zero size.
    #[inline(always)]
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        let last = rounded(layout).wrapping_sub(1); // of zero size: the largest number there is
        if last >= LARGEST {
            return None;
        }
        // SAFETY: `last` is below `LARGEST`, so its step is below the table's length.
        Some(Self(unsafe { *TABLE.get_unchecked(last / STEP) }))
    }

    pub(crate) const fn from_index(index: usize) -> Option<Self> {
        if index < CLASSES { Some(Self(index as u8)) } else { None }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES as u8).map(Self)
    }

    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    const fn facts(self) -> &'static Facts {
        &FACTS[self.0 as usize]
    }

    /// Of a block, in bytes.
    pub(crate) const fn size(self) -> usize {
        self.facts().size as usize
    }

    /// The sizes, rounded to their alignment, that it serves, in bytes.
    pub(crate) const fn sizes(self) -> (usize, usize) {
        let above = if self.0 == 0 { 0 } else { size_of_class(self.0 as usize - 1) };
        (above + 1, self.size())
    }

    /// The slices of a span.
    pub(crate) const fn slices(self) -> usize {
        self.facts().slices as usize
    }

    /// The blocks in a span.
    pub(crate) const fn blocks(self) -> usize {
        self.facts().blocks as usize
    }

    /// The blocks in a full magazine.
    pub(crate) const fn capacity(self) -> usize {
        self.facts().capacity as usize
    }

    /// Which block of a span starts `offset` bytes into it; `None` if none does.
    pub(crate) const fn block_at(self, offset: usize) -> Option<usize> {
        let facts = self.facts();
        let index = ((offset as u64 * facts.reciprocal) >> 40) as usize;
        if index < facts.blocks as usize && index * facts.size as usize == offset { Some(index) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: usize, align: usize) -> Option<Class> {
        Class::of(Layout::from_size_align(size, align).unwrap())
    }

    #[test]
    fn the_table_is_the_least_class_that_fits() {
        assert_eq!(size_of_class(CLASSES - 1), LARGEST);
        for size in 1..=LARGEST {
            let class = of(size, 1).unwrap();
            assert_eq!(class.index(), computed(size));
            let (least, most) = class.sizes();
            assert!((least..=most).contains(&size), "{size} in {least}..={most}");
            assert!(
                size < 64 || (class.size() - size) * 5 < class.size(),
                "{size} wastes too much of {}",
                class.size()
            );
        }
        assert_eq!(of(0, 8), None);
        assert_eq!(of(LARGEST + 1, 1), None);
        assert_eq!(of(1, 2 * LARGEST), None);
        assert_eq!(of(isize::MAX as usize, 1), None);
    }

    #[test]
    fn every_block_is_aligned_as_any_layout_of_its_class_asks() {
        for align in (0..=16).map(|log2| 1usize << log2) {
            for size in (align..=LARGEST).step_by(align) {
                let class = of(size, align).unwrap();
                assert_eq!(class.size() % align, 0, "{size} at {align} in {}", class.size());
            }
        }
        assert_eq!(SPAN_ALIGN * SLICE % LARGEST, 0, "so spans are as aligned as any class");
    }

    #[test]
    fn blocks_are_found_by_where_they_start_and_nowhere_else() {
        for class in Class::all() {
            let span = class.slices() * SLICE;
            assert!(class.blocks() * class.size() <= span && span < (class.blocks() + 1) * class.size());
            assert!(class.slices() <= MAX_SPAN && (4..=MAX_CAPACITY).contains(&class.capacity()));
            for offset in 0..span {
                let block = offset.is_multiple_of(class.size()).then(|| offset / class.size());
                assert_eq!(class.block_at(offset), block.filter(|block| *block < class.blocks()), "{offset}");
            }
        }
    }
}
