//! Chunks: the pieces of memory that an arena bumps through, as a list.
//!
//! Invariants:
//! * C1. A `NonNull<Chunk>` of this module is the pointer that the backing gave for the whole block, or one made from the
//!   caller's for all of its memory, so it reaches every byte of it. The header stands at the start, in the caller's memory at
//!   the first address that is aligned for it.
//! * C2. `data(unit) <= end`, both within the block, and `end <= MAX_ADDRESS`; so are the addresses between them.

use core::alloc::Layout;
use core::cell::Cell;
use core::num::NonZero;
use core::ptr::NonNull;

use super::bump::MAX_ADDRESS;
use crate::align::{align_down, align_up, checked_align_up};

/// The header of a chunk, at the start of its block.
#[repr(C, align(16))]
pub(super) struct Chunk {
    /// The next chunk of the list.
    pub(super) next: Cell<Option<NonNull<Chunk>>>,
    /// The address at which the chunk ends.
    pub(super) end: usize,
    /// The size of the block that it was made of; 0 if that is the caller's and does not go back.
    size: usize,
    /// Where the cursor stood when a frame went on to another chunk: up to here the chunk was used.
    pub(super) left_at: Cell<usize>,
}

pub(super) const HEADER: usize = size_of::<Chunk>();
/// What blocks for chunks are aligned to: what `malloc` gives anyway.
pub(super) const CHUNK_ALIGN: usize = align_of::<Chunk>();

static_assertions::const_assert!(HEADER.is_multiple_of(CHUNK_ALIGN));

/// How long the block of a chunk must be so that a layout fits into it, whatever address the block has. `None` if no block
/// can be that long.
pub(super) fn block_for(layout: Layout, unit: usize) -> Option<usize> {
    // The data start at a multiple of the unit, the block at a multiple of the stricter of that and its alignment: what
    // is lost to both is less than this.
    let gap = layout.align().max(unit).saturating_sub(CHUNK_ALIGN);
    let size = checked_align_up(layout.size(), unit)?;
    let block = size.checked_add(gap)?.checked_add(HEADER)?;
    (block <= isize::MAX as usize).then_some(block)
}

/// The layout to ask the backing for; `None` if there is none that large.
pub(super) fn block_layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, CHUNK_ALIGN).ok()
}

/// Whether two are the same chunk, or both none: as pointers, which is one comparison.
#[inline(always)]
pub(super) fn same(one: Option<NonNull<Chunk>>, other: Option<NonNull<Chunk>>) -> bool {
    let address = |chunk: Option<NonNull<Chunk>>| chunk.map_or(core::ptr::null_mut(), NonNull::as_ptr);
    core::ptr::eq(address(one), address(other))
}

impl Chunk {
    /// Makes a chunk of a block; `None` if the block is too small for the header and the alignment, or lies too high.
    ///
    /// # Safety
    /// The block is `size` bytes long, may be written, belongs to the caller and stays where it is. If `goes_back`,
    /// it starts aligned to [`CHUNK_ALIGN`] and is a block of the backing.
    pub(super) unsafe fn make(block: NonNull<u8>, size: usize, unit: usize, goes_back: bool) -> Option<NonNull<Self>> {
        let end = block.addr().get().checked_add(size)?;
        let start = NonZero::new(checked_align_up(block.addr().get(), CHUNK_ALIGN)?)?;
        let data = checked_align_up(start.get().checked_add(HEADER)?, unit)?;
        // The cursor stays a multiple of the unit, so a limit between two of them helps nobody.
        let limit = align_down(end, unit);
        if data > limit || limit > MAX_ADDRESS {
            return None;
        }
        let chunk = block.with_addr(start).cast::<Self>();
        let size = if goes_back { size } else { 0 };
        // SAFETY: aligned, and the header ends at or before `data`, inside the block.
        unsafe { chunk.write(Self { next: Cell::new(None), end: limit, size, left_at: Cell::new(data) }) };
        // SAFETY: the rest of the block, of which nobody knows yet.
        unsafe { crate::os::poison::fresh(Self::data(chunk, unit), limit - data) };
        Some(chunk)
    }

    /// Where the data start.
    ///
    /// # Safety
    /// A live chunk, made with this unit.
    #[inline(always)]
    pub(super) unsafe fn data(chunk: NonNull<Self>, unit: usize) -> NonNull<u8> {
        // SAFETY: within the block (C1, C2).
        unsafe {
            let after = chunk.add(1).cast::<u8>();
            if unit <= CHUNK_ALIGN {
                return after; // the header is whole units of that
            }
            after.add(align_up(after.addr().get(), unit) - after.addr().get())
        }
    }

    /// Makes the chunk end after `size` bytes of data, if it is longer.
    ///
    /// # Safety
    /// A live chunk of which nothing is in use, made with this unit, of which the size is a multiple.
    pub(super) unsafe fn cut(chunk: NonNull<Self>, size: usize, unit: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let end = &raw mut (*chunk.as_ptr()).end;
            end.write(end.read().min(Self::data(chunk, unit).addr().get() + size));
        }
    }

    /// The size of the block that it was made of; 0 if that is the caller's and does not go back.
    ///
    /// # Safety
    /// A live chunk.
    pub(super) unsafe fn block_size(chunk: NonNull<Self>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { (*chunk.as_ptr()).size }
    }

    /// The block, whose memory may be used by anybody again.
    ///
    /// # Safety
    /// A live chunk, which is not used afterwards.
    pub(super) unsafe fn into_block(chunk: NonNull<Self>) -> NonNull<u8> {
        // SAFETY: the header, which is read for the last time, and the block that it stands in (C1).
        unsafe {
            let Self { end, size, .. } = chunk.read();
            let len = if size == 0 { end - chunk.addr().get() } else { size };
            crate::os::poison::in_use(chunk.cast(), len);
            chunk.cast()
        }
    }
}
