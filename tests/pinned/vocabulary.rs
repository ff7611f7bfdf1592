//! What the tests of the pinned heap share: blocks that look after themselves, the size classes as a user sees them, and how
//! much of some memory is really there.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use bhc_rts_alloc::{AllocError, MemoryRegion, PinnedHeap};

use super::blocks::Blocks;

/// The slices that large blocks are made of, in bytes.
pub const SLICE: usize = 8 << 10;
/// The largest block that has a size class, in bytes.
pub const LARGEST: usize = 64 << 10;
/// The size of a segment, in bytes.
pub const SEGMENT: usize = 4 << 20;

pub fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// The sizes of all classes' blocks, from the smallest.
pub fn class_sizes() -> Vec<usize> {
    let next = |below: usize| (below < LARGEST).then(|| PinnedHeap::usable_size(layout(below + 1, 1)));
    std::iter::successors(next(0), |size| next(*size)).collect()
}

/// A block of a heap, filled with a pattern of its own. When it is dropped the pattern is checked and the block freed.
pub struct Filled<'h> {
    heap: &'h PinnedHeap,
    block: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

// SAFETY: blocks of a heap may be used and freed by any thread, and this has its block to itself.
unsafe impl Send for Filled<'_> {}

impl<'h> Filled<'h> {
    #[track_caller]
    pub fn new(heap: &'h PinnedHeap, layout: Layout, seed: u8) -> Self {
        Self::try_new(heap, layout, seed).unwrap_or_else(|error| panic!("{layout:?}: {error}"))
    }

    #[track_caller]
    pub fn try_new(heap: &'h PinnedHeap, layout: Layout, seed: u8) -> Result<Self, AllocError> {
        let block = heap.alloc(layout)?;
        assert!(block.addr().get().is_multiple_of(layout.align()), "{block:p} is not aligned for {layout:?}");
        Blocks::<PinnedHeap>::fill(block, 0, layout.size(), seed);
        Ok(Self { heap, block, layout, seed })
    }

    pub fn ptr(&self) -> NonNull<u8> {
        self.block
    }

    pub fn address(&self) -> usize {
        self.block.addr().get()
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What it really has, in bytes.
    pub fn usable(&self) -> usize {
        PinnedHeap::usable_size(self.layout)
    }

    #[track_caller]
    pub fn check(&self) {
        Blocks::<PinnedHeap>::check(self.block, self.layout.size(), self.seed);
    }

    /// Changes its size. It has the pattern then, in all of its length; or it is as it was.
    #[track_caller]
    pub fn resize(&mut self, new_size: usize) -> Result<(), AllocError> {
        let (old, new) = (self.layout, layout(new_size, self.layout.align()));
        // SAFETY: a live block with its layout, which is given up if there is another. Sizes of zero are blocks too.
        self.block = unsafe { self.heap.realloc(self.block, old, new_size) }?;
        self.layout = new;
        assert!(self.address().is_multiple_of(new.align()), "{:p} is not aligned for {new:?}", self.block);
        Blocks::<PinnedHeap>::check(self.block, old.size().min(new_size), self.seed);
        Blocks::<PinnedHeap>::fill(self.block, old.size().min(new_size), new_size, self.seed);
        Ok(())
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        // A test that is failing already says more than its blocks.
        if !std::thread::panicking() {
            self.check();
        }
        // SAFETY: the block, which is this one's alone, with its layout.
        unsafe { self.heap.dealloc(self.block, self.layout) };
    }
}

/// What a policy was told.
pub struct Told<T>(Mutex<Vec<T>>);

impl<T> Told<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub fn add(&self, one: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }

    /// What came since the last time.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A builder of heaps that write down misuse, and where to.
macro_rules! telling {
    () => {{
        static TOLD: $crate::vocabulary::Told<bhc_rts_alloc::Misuse> = $crate::vocabulary::Told::new();
        (bhc_rts_alloc::PinnedHeap::builder().on_misuse(&|misuse| TOLD.add(*misuse)), &TOLD)
    }};
}
pub(crate) use telling;
