//! [`Control`]: whether a heap is alive, for those who cannot know: threads that end after it.
//!
//! A thread keeps a note of each heap it has a cache in; when it ends it gives the cache back, if the heap is still there. The
//! heap may be dropped at the same moment, by another thread. So each heap has a control block that outlives it as long as
//! there are notes of it. Who ends [pins](Control::pin) the heap first; who drops it [closes](Control::close) the block and
//! waits for those who pinned it before.
//!
//! Invariants:
//! * C1. Once closed it is never pinned again.
//! * C2. `close` returns when nobody has it pinned.

use crate::sync::{AtomicUsize, Ordering::*, const_unless_loom};

const CLOSED: usize = 1;
const PIN: usize = 2;

pub(crate) struct Control {
    /// `CLOSED`, and `PIN` times the number of those who have it pinned.
    state: AtomicUsize,
    /// The heap, and the notes of it.
    holders: AtomicUsize,
}

impl Control {
    const_unless_loom! {
        /// For a heap, which holds it.
        pub(crate) fn new() -> Self {
            Self { state: AtomicUsize::new(0), holders: AtomicUsize::new(1) }
        }
    }

    /// One more holds it. The caller does already, or has the heap.
    pub(crate) fn hold(&self) {
        self.holders.fetch_add(1, Relaxed);
    }

    /// One less holds it. `true` if that was the last: it is the caller's to reuse.
    #[must_use]
    pub(crate) fn let_go(&self) -> bool {
        self.holders.fetch_sub(1, AcqRel) == 1
    }

    /// Keeps the heap from going away until `unpin`. `false` if it is going, or gone.
    #[must_use]
    pub(crate) fn pin(&self) -> bool {
        self.state.fetch_update(Acquire, Relaxed, |state| (state & CLOSED == 0).then_some(state + PIN)).is_ok()
    }

    pub(crate) fn unpin(&self) {
        self.state.fetch_sub(PIN, Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Relaxed) & CLOSED != 0
    }

    /// Closes it, and waits for those who have it pinned: they are giving a cache back, and do not wait for anybody.
    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Relaxed);
        while self.state.load(Acquire) != CLOSED {
            crate::sync::yield_now();
        }
    }
}
