//! The `Allocator` trait of allocator-api2 (the major version that hashbrown uses), so that its collections and hashbrown's
//! live in a heap.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::heap::PinnedHeap;
use crate::region::dangling;

fn of_size(block: Option<NonNull<u8>>, size: usize) -> Result<NonNull<[u8]>, AllocError> {
    match block {
        Some(block) => Ok(NonNull::slice_from_raw_parts(block, size)),
        None => Err(AllocError),
    }
}

impl PinnedHeap {
    /// # Safety
    /// As for [`Allocator::grow`] and [`Allocator::shrink`].
    unsafe fn change(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if old.size() == 0 {
            return self.take(new);
        }
        let block = self.own(block);
        // SAFETY: the caller's promise; neither size is 0 where it must not be.
        unsafe {
            if new.size() == 0 {
                self.give(block, old);
                return Some(dangling(new.align()));
            }
            self.resize(block, old, new)
        }
    }
}

// SAFETY: the blocks are the heap's, and live until it is dropped, which cannot be while it is borrowed. Copies of the reference are
// the same heap.
unsafe impl Allocator for &PinnedHeap {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        of_size(self.take(layout), layout.size())
    }

    #[inline(always)]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        of_size(self.take_zeroed(layout), layout.size())
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.give(self.own(block), layout) };
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        of_size(unsafe { self.change(block, old, new) }, new.size())
    }

    #[inline]
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise; the end of the new block is written, which is the caller's by now.
        unsafe {
            let grown = self.change(block, old, new).ok_or(AllocError)?;
            grown.add(old.size()).write_bytes(0, new.size() - old.size());
            of_size(Some(grown), new.size())
        }
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        of_size(unsafe { self.change(block, old, new) }, new.size())
    }
}
