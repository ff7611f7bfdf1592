//! Makes the n-th request for memory fail, to see what the code around it does then. Feature `checked`.
//!
//! Every place of this crate that obtains memory asks here first. The hook is per thread, so tests that use it run side
//! by side.

use std::cell::Cell;
use std::thread_local;

thread_local! {
    /// Requests made since [`fail_nth`] began, and which of them is to fail.
    static HOOK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Runs `body` with its `n`-th request for memory on this thread (counted from 0) failing, and returns what it gave and
/// how many requests it made. To try every failure, count `n` up until fewer than `n + 1` requests are made.
///
/// Calls do not nest: an inner one takes the place of the outer one until it returns.
///
/// ```
/// use bhc_rts_alloc::{SimdBuffer, os::fault};
///
/// let (refused, requests) = fault::fail_nth(0, || SimdBuffer::<f32>::try_zeroed(100).is_err());
/// assert!(refused);
/// assert_eq!(requests, 1);
/// ```
pub fn fail_nth<R>(n: usize, body: impl FnOnce() -> R) -> (R, usize) {
    struct Restore(Option<(usize, usize)>);
    impl Drop for Restore {
        fn drop(&mut self) {
            HOOK.set(self.0);
        }
    }
    let _restore = Restore(HOOK.replace(Some((0, n))));
    let result = body();
    let requests = HOOK.get().map_or(0, |(made, _)| made);
    (result, requests)
}

/// Asked before memory is obtained: whether this request is the one to fail.
pub(crate) fn strikes() -> bool {
    HOOK.with(|hook| match hook.get() {
        None => false,
        Some((made, n)) => {
            hook.set(Some((made + 1, n)));
            made == n
        }
    })
}
