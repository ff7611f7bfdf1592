//! What threads share: atomics, `core`'s or, when a model is being checked (`--cfg bhc_loom`), loom's; and a [`Lock`].

#[cfg(not(bhc_loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
#[cfg(all(feature = "std", target_has_atomic = "64", not(bhc_loom)))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, fence};
#[cfg(bhc_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(any(all(feature = "std", target_has_atomic = "64"), bhc_loom))]
pub(crate) use lock::{Guard, Lock};

/// Atomics are `const`-constructible except loom's, so a constructor over them is `const` except in a model.
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        #[cfg(not(bhc_loom))]
        $(#[$attribute])* $visibility const fn $($rest)*
        #[cfg(bhc_loom)]
        $(#[$attribute])* $visibility fn $($rest)*
    };
}
pub(crate) use const_unless_loom;

/// Lets other threads go on: somebody else has to do something first.
#[cfg(any(all(feature = "std", target_has_atomic = "64"), bhc_loom))]
pub(crate) fn yield_now() {
    #[cfg(not(bhc_loom))]
    std::thread::yield_now();
    #[cfg(bhc_loom)]
    loom::thread::yield_now();
}

#[cfg(all(feature = "std", target_has_atomic = "64", not(bhc_loom)))]
mod lock {
    //! # Note: why not `std::sync::Mutex`
    //! An allocator's lock must not allocate, must not panic in the path of a `GlobalAlloc` (a poisoned mutex does, and the
    //! code for it is carried by every caller), and must be four bytes in a table of fifty. It is mostly held for less than
    //! a microsecond, so a thread that finds it taken looks again some times before it sleeps.

    use core::cell::UnsafeCell;
    use core::ops::{Deref, DerefMut};

    use super::{AtomicU32, Ordering::*};

    const FREE: u32 = 0;
    const TAKEN: u32 = 1;
    /// Taken, and somebody may be asleep for it.
    const AWAITED: u32 = 2;

    /// A value that one thread at a time may use. Not re-entrant.
    pub(crate) struct Lock<T> {
        state: AtomicU32,
        value: UnsafeCell<T>,
    }

    // SAFETY: a reference to the value is only given to the thread that took the lock, and taking is an acquire of the
    // release with which the last one let go. So the value goes from thread to thread, which `Send` allows.
    unsafe impl<T: Send> Sync for Lock<T> {}

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
        }

        #[inline]
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            if self.state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_err() {
                self.wait();
            }
            Guard(self)
        }

        /// Takes the lock if nobody has it.
        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).ok().map(|_| Guard(self))
        }

        #[cold]
        fn wait(&self) {
            for _ in 0..100 {
                if self.state.load(Relaxed) == FREE
                    && self.state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_ok()
                {
                    return;
                }
                core::hint::spin_loop();
            }
            // Others may be asleep too, so it is taken as awaited: who lets go wakes one, at worst for nothing.
            while self.state.swap(AWAITED, Acquire) != FREE {
                sleep(&self.state);
            }
        }
    }

    /// Sleeps while the state is `AWAITED`. May wake for no reason.
    fn sleep(state: &AtomicU32) {
        #[cfg(target_os = "linux")]
        // SAFETY: the address of a live word, which the kernel compares and does not write; no timeout.
        unsafe {
            let none = core::ptr::null::<libc::timespec>();
            let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
            libc::syscall(libc::SYS_futex, state.as_ptr(), wait, AWAITED, none);
        }
        #[cfg(not(target_os = "linux"))]
        if state.load(Relaxed) == AWAITED {
            super::yield_now();
        }
    }

    fn wake_one(state: &AtomicU32) {
        #[cfg(target_os = "linux")]
        // SAFETY: the address of a word, which the kernel only looks up.
        unsafe {
            libc::syscall(libc::SYS_futex, state.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
        }
        let _ = state;
    }

    pub(crate) struct Guard<'l, T>(&'l Lock<T>);

    impl<T> Deref for Guard<'_, T> {
        type Target = T;
        #[inline]
        fn deref(&self) -> &T {
            // SAFETY: this thread has the lock, and references from the guard end with it.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as in `deref`, and the guard is borrowed mutably.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for Guard<'_, T> {
        #[inline]
        fn drop(&mut self) {
            if self.0.state.swap(FREE, Release) == AWAITED {
                wake_one(&self.0.state);
            }
        }
    }
}

#[cfg(bhc_loom)]
mod lock {
    pub(crate) use loom::sync::MutexGuard as Guard;

    /// loom's mutex in the clothes of ours.
    pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
