//! [`Mark`]: scopes without closures and without the borrow checker, for compiled code.

use core::ptr::NonNull;

use super::base::Base;
use super::frame::Frame;
use super::hot::HotArena;
use crate::align::KnownAlign;
use crate::region::MemoryRegion;

/// Where an arena stood: what [`HotArena::mark`] gives and [`HotArena::release`] takes.
///
/// It may be forgotten: a mark that is skipped, as by an early return, is released together with the one before it. Until then
/// blocks from before it are neither reclaimed nor counted when they are freed.
#[derive(Debug)]
#[must_use = "what is allocated after a mark is freed when the mark is released"]
pub struct Mark {
    below: Frame<true>,
}

impl<A: KnownAlign, R: MemoryRegion> HotArena<A, R> {
    /// Opens a scope by hand: what is allocated from now on is freed by [`release`](Self::release).
    ///
    /// `realloc` and `dealloc` treat it as any scope: blocks from before the mark stay what they are until then.
    ///
    /// ```
    /// use bhc_rts_alloc::HotArena;
    /// use std::alloc::Layout;
    ///
    /// let arena = HotArena::new();
    /// let mark = arena.mark();
    /// let block = arena.alloc_layout(Layout::new::<[u64; 100]>());
    /// // SAFETY: `mark` is this arena's last, and nobody uses `block` any more.
    /// unsafe { arena.release(mark) };
    /// assert_eq!(arena.used(), 0);
    /// ```
    #[inline]
    pub fn mark(&self) -> Mark {
        let frame = self.frame();
        let below = frame.clone();
        let above = below.open(below.limit.get());
        self.store().in_first.set(false);
        frame.floor.set(above.floor.get());
        frame.start_chunk.set(above.start_chunk.get());
        frame.start.set(above.start.get());
        Mark { below }
    }

    /// Frees everything that was allocated since `mark` was made, also by marks after it that were not released.
    ///
    /// # Safety
    /// * `mark` is of this arena, and neither it nor one made before it was released already; the arena was not reset since.
    /// * What was allocated since the mark is not used any more. That includes what `realloc` gave for a block from before it,
    ///   also where that got smaller: its contents moved above the mark. So does a buffer from before the mark that grew or
    ///   shrank since.
    /// * No [`Scope`](super::Scope) is open on the arena.
    #[inline]
    pub unsafe fn release(&self, mark: Mark) {
        let base: NonNull<Base> = self.base();
        let (frame, below) = (self.frame(), mark.below);
        // SAFETY: the caller's promise. `below` becomes the arena's frame again.
        unsafe {
            let first = Base::close(base, frame, &below);
            frame.replace(&below);
            if let Some(first) = first {
                frame.enter(first, frame.live(), A::BYTES, self.store().isolate);
            }
        }
    }
}
