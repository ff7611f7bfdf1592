//! [`Misuse`]: what a heap found when it was given what is not a block of that layout.

use core::fmt;

use crate::units::Line;

/// A wrong `dealloc` or `realloc`, as the heap found it.
///
/// It is found when the block goes from a thread's magazine back to its span, some frees later (at once in a heap
/// [without thread caches](super::PinnedHeapBuilder::thread_caches), and for blocks above 64 KiB); what is in magazines yet when
/// the heap is dropped is not looked at. What the heap does then
/// is the [policy](super::PinnedHeapBuilder::on_misuse): by default it prints this and aborts. If the policy returns, the free is
/// left undone, and nothing else is harmed; but the statistics have counted it, if it went through a thread's magazine.
///
/// What was wrong may have done harm before it is found: a block that was freed twice may have been given to two owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The address that was freed.
    pub address: usize,
    /// The layouts that it was freed with.
    pub freed_as: Layouts,
    /// What is the matter.
    pub kind: MisuseKind,
}

/// What a [`Misuse`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MisuseKind {
    /// The block is free already.
    DoubleFree,
    /// The address is not where a block of the heap starts: inside of one, say, or of memory that the heap has not given.
    NotABlock,
    /// The address is not the heap's at all.
    Foreign,
    /// There is a block, allocated with another layout: one of these.
    WrongLayout(Layouts),
}

/// The layouts that share a kind of block: sizes, rounded up to the alignment, from one number of bytes to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// The least size, in bytes.
    pub least: usize,
    /// The largest size, in bytes: what the block has.
    pub most: usize,
}

impl fmt::Display for Layouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a block of {} bytes, for layouts of {} to {} bytes", self.most, self.least, self.most)
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, freed_as, kind } = self;
        write!(f, "pinned heap: {address:#x} was freed as {freed_as}, ")?;
        match kind {
            MisuseKind::DoubleFree => f.write_str("and is free already (double free)"),
            MisuseKind::NotABlock => f.write_str("and no block starts there (interior pointer, or never allocated)"),
            MisuseKind::Foreign => f.write_str("and is not this heap's memory"),
            MisuseKind::WrongLayout(layouts) => write!(f, "and is {layouts} (wrong layout)"),
        }
    }
}

impl core::error::Error for Misuse {}

/// Prints a line to the standard error output without allocating; nobody minds if it cannot be.
pub(super) fn complain(what: &dyn fmt::Display) {
    use std::io::Write;
    let line = Line::<512>::of(format_args!("{what}\n"));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Calls somebody else's code, out of which nothing may unwind: those who call a region rely on that. Aborts if it does.
pub(super) fn without_unwinding<R>(call: impl FnOnce() -> R) -> R {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            complain(&"pinned heap: a policy or an observer panicked");
            std::process::abort();
        }
    }
    let abort = Abort;
    let result = call();
    core::mem::forget(abort);
    result
}

/// The default policy.
pub(super) fn abort(misuse: &Misuse) {
    complain(misuse);
    std::process::abort();
}
