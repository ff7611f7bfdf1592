//! Small pieces of memory for what outlives a heap: [`Control`](super::control::Control) blocks, and threads' notes of heaps.
//!
//! They come from pages mapped for this, which are never given back but used again: there are as many as were ever needed
//! at once. Not from the global allocator, which may be a pinned heap.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use crate::os::range::{Range, Source};
use crate::sync::Lock;

const CELL: usize = 64;
/// So much is mapped at a time.
const CHUNK: Layout = match Layout::from_size_align(64 << 10, 64 << 10) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

struct Free(*mut Link);

struct Link(*mut Link);

// SAFETY: free cells are nobody's.
unsafe impl Send for Free {}

static FREE: Lock<Free> = Lock::new(Free(ptr::null_mut()));

/// Puts `value` into a cell. `None` if there is no memory; the value is lost.
pub(super) fn put<T>(value: T) -> Option<NonNull<T>> {
    const { assert!(size_of::<T>() <= CELL && align_of::<T>() <= CELL && !core::mem::needs_drop::<T>()) };
    if crate::os::struck() {
        return None;
    }
    let mut free = FREE.lock();
    if free.0.is_null() {
        let range = Range::reserve(CHUNK, Source::NATIVE)?;
        if !range.commit(0, CHUNK.size()) {
            return None;
        }
        let start = range.start().cast::<[u8; CELL]>();
        core::mem::forget(range); // cells are for ever
        for index in 0..CHUNK.size() / CELL {
            // SAFETY: a cell of the new memory, which nobody has.
            unsafe {
                let cell = start.add(index).cast::<Link>();
                cell.write(Link(free.0));
                free.0 = cell.as_ptr();
            }
        }
    }
    let cell = NonNull::new(free.0)?;
    // SAFETY: a free cell holds a link; it is large enough for the value (asserted), and ours now.
    unsafe {
        free.0 = cell.read().0;
        cell.cast::<T>().write(value);
    }
    Some(cell.cast())
}

/// Gives a cell back.
///
/// # Safety
/// It came from `put`, and is not used afterwards.
pub(super) unsafe fn give_back<T>(cell: NonNull<T>) {
    let mut free = FREE.lock();
    let cell = cell.cast::<Link>();
    // SAFETY: the caller's promise; a cell is large enough for a link.
    unsafe { cell.write(Link(free.0)) };
    free.0 = cell.as_ptr();
}
