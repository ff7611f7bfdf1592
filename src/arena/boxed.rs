//! [`ArenaBox`]: a value in an arena that is dropped.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

/// Owns a value in an arena: dropped with the box, and freed with the scope or arena, which it cannot outlive. One word.
///
/// ```
/// use bhc_rts_alloc::HotArena;
/// let arena = HotArena::new();
/// let mut names = arena.alloc_box(vec![String::from("a")]);
/// names.push("b".into());
/// assert_eq!(names.len(), 2);
/// let names: Vec<String> = names.into_inner(); // moved out; or dropped, where this is not called
/// # drop(names);
/// ```
pub struct ArenaBox<'a, T>(&'a mut ManuallyDrop<T>);

// The compiler would find the same by itself, and name the standard library's insides where it does not hold.
// SAFETY: it is a `&mut T` that drops what it refers to.
unsafe impl<T: Send> Send for ArenaBox<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for ArenaBox<'_, T> {}

impl<'a, T> ArenaBox<'a, T> {
    /// Takes over a value that nobody else drops.
    #[inline]
    pub(super) const fn new(value: &'a mut ManuallyDrop<T>) -> Self {
        Self(value)
    }

    /// The value, moved out of the arena.
    #[inline]
    #[must_use]
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the box is never looked at again, so the value is taken once.
        unsafe { ManuallyDrop::take(this.0) }
    }

    /// The value for as long as the memory lives, without being dropped.
    #[inline]
    #[must_use]
    pub fn leak(self) -> &'a mut T {
        let mut this = ManuallyDrop::new(self);
        let value: *mut T = &raw mut **this.0;
        // SAFETY: the box, which had the only reference, is never looked at again.
        unsafe { &mut *value }
    }
}

impl<T> Drop for ArenaBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the value is the box's own, and this is the only time.
        unsafe { ManuallyDrop::drop(self.0) };
    }
}

impl<T> Deref for ArenaBox<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T> DerefMut for ArenaBox<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0
    }
}

impl<T> AsRef<T> for ArenaBox<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> AsMut<T> for ArenaBox<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

static_assertions::const_assert_eq!(size_of::<ArenaBox<'static, [u64; 9]>>(), size_of::<usize>());
static_assertions::assert_impl_all!(ArenaBox<'static, u8>: Send, Sync, Unpin);
static_assertions::assert_not_impl_any!(ArenaBox<'static, core::cell::Cell<u8>>: Sync);
static_assertions::assert_not_impl_any!(ArenaBox<'static, *const u8>: Send, Sync);
