//! The atomics of this crate: `core`'s, or loom's when a model is being checked (`--cfg bhc_loom`).

#[cfg(not(bhc_loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
#[cfg(bhc_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

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
