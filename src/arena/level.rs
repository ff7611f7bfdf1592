//! What [`HotArena`] and [`Scope`] are alike: both are memory regions over a [`Frame`](super::frame::Frame), and say how full it is.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use super::hot::HotArena;
use super::scope::Scope;
use crate::align::{Align, KnownAlign};
use crate::error::AllocResult;
use crate::region::{MemoryRegion, RegionKind, TypedRegion, resized};
use crate::stats::AllocStats;

/// `$level` has `frame`, `base`, `store` and `refusal`.
macro_rules! level {
    ($name:literal, [$($generics:tt)*] $level:ty) => {
        impl<$($generics)*> $level {
            #[inline(always)]
            pub(super) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
                self.frame().take::<A>(self.base(), layout)
            }

            /// # Safety
            /// As for [`MemoryRegion::realloc`]; the alignment may change.
            #[inline(always)]
            pub(super) unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
                // SAFETY: the caller's promise.
                unsafe { self.frame().resize::<A>(self.base(), block, old, new) }
            }

            /// Bytes consumed, by this level and those around it: by live blocks, and [`padding`](Self::padding). The rests of chunks that
            /// were too small for what came next are not part of it. Linear in the number of chunks.
            #[must_use]
            #[inline]
            pub fn used(&self) -> usize {
                self.store().used(self.frame().chunk.get(), self.frame().address())
            }

            /// Bytes consumed that no live block asked for: for alignment, for rounding sizes up to `A`, and by blocks that were freed
            /// while others stood above them. Linear in the number of chunks.
            #[must_use]
            #[inline]
            pub fn padding(&self) -> usize {
                self.used() - self.frame().live()
            }

            /// Bytes that all chunks of the arena together have room for, used or not. Linear in their number.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.store().capacity()
            }

            /// Bytes left in the current chunk.
            #[must_use]
            #[inline]
            pub fn remaining(&self) -> usize {
                self.frame().remaining()
            }
        }

        impl<$($generics)*> fmt::Debug for $level {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name)
                    .field("used", &self.used())
                    .field("capacity", &self.capacity())
                    .field("stats", &self.stats())
                    .finish()
            }
        }

        // Or a message about another type would point into this macro.
        #[diagnostic::do_not_recommend]
        // SAFETY: blocks lie in chunks above everything that is live (F2), aligned and of the size of their layout, and stay until
        // the arena is dropped or reset, or the frame that they are of is closed. Chunks do not move with the arena. Nothing
        // unwinds: the arithmetic cannot overflow (see `bump`), and the backing does not unwind by its own contract.
        unsafe impl<$($generics)*> MemoryRegion for $level {
            #[inline(always)]
            fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
                match self.take(layout) {
                    Some(block) => Ok(block),
                    None => Err(self.refusal(layout)),
                }
            }

            #[inline(always)]
            unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise.
                unsafe { self.frame().dealloc::<A>(self.base(), ptr, layout) };
            }

            #[inline]
            unsafe fn realloc(
                &self,
                ptr: NonNull<u8>,
                old_layout: Layout,
                new_size: usize,
            ) -> AllocResult<NonNull<u8>> {
                let new = resized(old_layout, new_size)?;
                // SAFETY: the caller's promise.
                match unsafe { self.resize(ptr, old_layout, new) } {
                    Some(block) => Ok(block),
                    None => Err(self.refusal(new)),
                }
            }

            #[inline]
            fn stats(&self) -> AllocStats {
                self.store().stats(self.frame())
            }

            #[inline]
            fn kind(&self) -> RegionKind {
                RegionKind::HotArena
            }
        }

        /// An arena that cannot grow may have no address of the alignment left, and then says so as it does when it is full.
        impl<$($generics)*> TypedRegion for $level {
            type MaxAlign = Align<4096>;
        }
    };
}

level!("HotArena", [A: KnownAlign, R: MemoryRegion] HotArena<A, R>);
level!("Scope", [A: KnownAlign] Scope<'_, '_, A>);
