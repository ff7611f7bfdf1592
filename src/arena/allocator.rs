//! The `Allocator` trait of allocator-api2 (the major version that hashbrown uses), so that its collections and hashbrown's
//! live in an arena.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::hot::HotArena;
use super::scope::Scope;
use crate::align::KnownAlign;
use crate::region::MemoryRegion;

fn of_size(block: Option<NonNull<u8>>, size: usize) -> Result<NonNull<[u8]>, AllocError> {
    match block {
        Some(block) => Ok(NonNull::slice_from_raw_parts(block, size)),
        None => Err(AllocError),
    }
}

macro_rules! allocator {
    ($([$($generics:tt)*] $arena:ty;)+) => {$(
        // SAFETY: the blocks are those of the region, and live until it is dropped or reset or the scope ends, which cannot be
        // while it is borrowed. Copies of the reference are the same region.
        unsafe impl<$($generics)*> Allocator for &$arena {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                of_size(self.take(layout), layout.size())
            }

            #[inline(always)]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise.
                unsafe { self.dealloc(block, layout) };
            }

            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's promise, of which the compiler is told what saves a branch.
                unsafe {
                    core::hint::assert_unchecked(new.size() >= old.size());
                    of_size(self.resize(block, old, new), new.size())
                }
            }

            #[inline]
            unsafe fn grow_zeroed(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's promise; the end of the new block is written, which is the caller's by now.
                unsafe {
                    let grown = self.resize(block, old, new).ok_or(AllocError)?;
                    grown.add(old.size()).write_bytes(0, new.size() - old.size());
                    of_size(Some(grown), new.size())
                }
            }

            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's promise.
                of_size(unsafe { self.resize(block, old, new) }, new.size())
            }
        }
    )+};
}

allocator! {
    [A: KnownAlign, R: MemoryRegion] HotArena<A, R>;
    [A: KnownAlign] Scope<'_, '_, A>;
}
