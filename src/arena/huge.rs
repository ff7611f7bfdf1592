//! [`HugePages`]: a backing of huge pages.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

use crate::align::checked_align_up;
use crate::error::{AllocError, AllocResult};
use crate::os;
use crate::region::{MemoryRegion, RegionKind, dangling};
use crate::stats::AllocStats;

/// A region that maps each block by itself, in whole huge pages, and asks the system to back them with such: an arena of
/// megabytes then takes a page fault for each 2 MiB and not for each 4 KiB, and hardly misses the TLB.
///
/// Made for chunks: each block takes a system call, and at least [`SIZE`](Self::SIZE) bytes. Freed blocks are unmapped at once, so using one
/// afterwards ends the program.
///
/// Whether pages are huge is the system's decision (on Linux: `/sys/kernel/mm/transparent_hugepage/enabled`), and where it has
/// none they are ordinary ones. Off Unix the blocks are those of the process allocator.
///
/// ```
/// use bhc_rts_alloc::{HotArena, HugePages};
/// let arena = HotArena::builder().huge_pages().capacity(1 << 20).build();
/// assert!(arena.capacity() > HugePages::SIZE / 2);
/// ```
#[derive(Debug, Default)]
pub struct HugePages {
    stats: Cell<AllocStats>,
}

impl HugePages {
    /// The size of a huge page, in bytes: 2 MiB, which is that of x86-64 and of ARM with pages of 4 KiB. Elsewhere it is
    /// what blocks are aligned to and made of.
    pub const SIZE: usize = 2 << 20;

    /// With statistics of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn count(&self, what: impl FnOnce(&mut AllocStats)) {
        let mut stats = self.stats.get();
        what(&mut stats);
        self.stats.set(stats);
    }

    /// What is mapped for a layout: whole huge pages.
    fn mapped(layout: Layout) -> Option<Layout> {
        let size = checked_align_up(layout.size(), Self::SIZE)?;
        Layout::from_size_align(size, layout.align().max(Self::SIZE)).ok()
    }
}

// SAFETY: each block is a mapping of its own, aligned and at least as long as asked, which stays until it is freed with the
// same layout.
unsafe impl MemoryRegion for HugePages {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        if layout.size() == 0 {
            return Ok(dangling(layout.align()));
        }
        let block = Self::mapped(layout).filter(|_| !os::struck()).and_then(os::map::map_huge);
        match block {
            Some(block) => {
                self.count(|stats| stats.record_alloc(layout.size()));
                Ok(block)
            }
            None => {
                self.count(AllocStats::record_failure);
                Err(AllocError::OutOfMemory { requested: layout.size(), available: 0 })
            }
        }
    }

    /// Nothing to write: fresh pages are zero.
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.alloc(layout)
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            self.count(|stats| stats.record_dealloc(layout.size()));
            if let Some(mapped) = Self::mapped(layout) {
                // SAFETY: the caller's promise; `alloc` mapped with this layout.
                unsafe { os::map::unmap(ptr, mapped) };
            }
        }
    }

    fn stats(&self) -> AllocStats {
        self.stats.get()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::Other
    }
}
