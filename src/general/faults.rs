//! Faults of a collector, injected to see that they are found: what nobody can break, nobody checks.
//!
//! They exist in the crate's unit tests only; elsewhere [`strikes`] is `false` at compile time.

/// What goes wrong, once armed, at its n-th occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A root's slot is not looked at.
    SkipsRoot,
    /// A slot of the shadow stack is not looked at.
    SkipsStack,
    /// A remembered object is not looked at.
    SkipsRemembered,
    /// The barrier does not remember an object.
    SkipsBarrier,
    /// The first pointer of an object is not followed.
    SkipsField,
    /// It is not noted that an object has been moved.
    ForgetsMove,
    /// A large object is not marked.
    SkipsMark,
    /// The log byte of a remembered object stays.
    KeepsLog,
    /// A block is used, and is in no list.
    LosesBlock,
}

/// Whether a fault strikes here and now.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn strikes(_: Fault) -> bool {
    false
}

#[cfg(test)]
pub(super) use armed::{arm, strikes};

#[cfg(test)]
mod armed {
    use super::Fault;
    use core::cell::Cell;

    std::thread_local! {
        static ARMED: Cell<Option<(Fault, usize)>> = const { Cell::new(None) };
    }

    /// Lets a fault strike at its `n`-th occasion from now on, on this thread; or none.
    pub(in crate::general) fn arm(fault: Option<(Fault, usize)>) {
        ARMED.set(fault);
    }

    pub(in crate::general) fn strikes(fault: Fault) -> bool {
        match ARMED.get() {
            Some((armed, 0)) if armed == fault => {
                ARMED.set(None);
                true
            }
            Some((armed, n)) if armed == fault => {
                ARMED.set(Some((armed, n - 1)));
                false
            }
            _ => false,
        }
    }
}
