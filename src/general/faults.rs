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
    /// A block that all has been copied out of is in no list.
    LosesBlock,
    /// The words of a block that is full are not counted.
    LosesWords,
    /// A spare block that is used is still counted as spare.
    LosesSpare,
    /// The table does not say what a block is used for.
    ForgetsUse,
    /// The pointers of a block's copies are not followed.
    SkipsBlock,
    /// The last word of an object stays behind.
    CopiesShort,
    /// A pointer loses its tag.
    ForgetsTag,
    /// A pointer to a chain of indirections keeps pointing to its beginning.
    KeepsIndirection,
    /// A large object is marked, and its pointers are not followed.
    SkipsGray,
    /// A large object that cannot be reached is kept.
    KeepsDead,
    /// The last element of a remembered card is not looked at.
    SkipsElement,
    /// A static object is not looked at.
    SkipsStatic,
    /// The root callback is not called.
    SkipsCallback,
    /// A chunk of roots is not dirty, though one was written.
    KeepsClean,
    /// What does not fit into the list is not remembered in any other way.
    ForgetsOverflow,
    /// When everything old is looked at, a block is not.
    SkipsOldBlock,
    /// When everything old is looked at, a large object is not.
    SkipsOldLarge,
    /// When the log is cleared, that of a block stays.
    KeepsBlockLog,
    /// The log of another nursery is not all ones.
    ForgetsNurseryLog,
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

    /// Lets a fault strike at its `n`-th occasion from now on, on this thread; or none. Returns what was to strike and
    /// has not.
    pub(in crate::general) fn arm(fault: Option<(Fault, usize)>) -> Option<(Fault, usize)> {
        ARMED.replace(fault)
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
