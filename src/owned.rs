//! Values in memory of the process allocator that may be refused: what `Box` and `Arc` are, where these end the program if
//! there is no memory.

use alloc::alloc as process;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::*, fence};

/// A value in memory of its own. `None` if there is none; then the value is dropped.
pub(crate) fn boxed<T>(value: T) -> Option<Box<T>> {
    const { assert!(size_of::<T>() != 0) };
    if crate::os::struck() {
        return None;
    }
    // SAFETY: not of size 0.
    let block = NonNull::new(unsafe { process::alloc(Layout::new::<T>()) })?.cast::<T>();
    // SAFETY: a block for a `T`, as a `Box` has it.
    unsafe {
        block.write(value);
        Some(Box::from_raw(block.as_ptr()))
    }
}

/// A value that several own, which goes with the last of them: as `Arc`, without weak references.
pub(crate) struct Shared<T> {
    /// Out of a `Box`; lives as long as `owners` is not 0.
    inner: NonNull<Inner<T>>,
}

struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: each owner gives references to the value, and whichever is last drops it: what `Arc` asks of a value.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// A value with one owner. `None` if there is no memory; then the value is dropped.
    pub(crate) fn try_new(value: T) -> Option<Self> {
        let inner = boxed(Inner { owners: AtomicUsize::new(1), value })?;
        Some(Self { inner: NonNull::from(Box::leak(inner)) })
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: this owner keeps it alive.
        let owners = unsafe { &self.inner.as_ref().owners };
        // Whoever has an owner to clone has seen the value already.
        if owners.fetch_add(1, Relaxed) > isize::MAX as usize {
            owners.fetch_sub(1, Relaxed);
            panic!("more owners than memory has room for");
        }
        Self { inner: self.inner }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this owner keeps it alive.
        unsafe { &self.inner.as_ref().value }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: this owner has kept it alive so far. The last one sees all that the others did.
        unsafe {
            if self.inner.as_ref().owners.fetch_sub(1, Release) == 1 {
                fence(Acquire);
                drop(Box::from_raw(self.inner.as_ptr()));
            }
        }
    }
}
