//! The calling thread's [`Tally`]: claimed at its first use, given back when the thread ends.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::thread_local;

use super::ledger::{Ledger, Tally};

thread_local! {
    // Needs no destructor, so it can be read at any time, also while the thread's other destructors run.
    static OWN: Cell<Option<&'static Tally>> = const { Cell::new(None) };
    static EXIT: Exit = const { Exit };
}

/// Its destructor runs when the thread ends.
struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        if let Some(tally) = OWN.take() {
            tally.release();
        }
    }
}

/// The calling thread's tally in `ledger`, which must be the same one at every call. `None` once the thread's
/// destructors have begun, or while there is no memory for a tally.
#[inline]
pub(super) fn tally(ledger: &'static Ledger) -> Option<&'static Tally> {
    match OWN.get() {
        Some(tally) => Some(tally),
        None => claim(ledger),
    }
}

#[cold]
#[inline(never)]
fn claim(ledger: &'static Ledger) -> Option<&'static Tally> {
    // Registers the destructor. After it has run nobody would give a tally back.
    EXIT.try_with(|_| ()).ok()?;
    let tally = ledger.claim(make)?;
    OWN.set(Some(tally));
    Some(tally)
}

fn make() -> Option<&'static Tally> {
    // Not a `Box`, which would abort if there is no memory; and not counted, nor refused by the fault hook.
    // SAFETY: the layout is not of size zero.
    let block = unsafe { std::alloc::alloc(Layout::new::<Tally>()) };
    let tally = NonNull::new(block)?.cast::<Tally>();
    // SAFETY: freshly allocated for a `Tally`, written before a reference is made, and never freed.
    unsafe {
        tally.write(Tally::new());
        Some(tally.as_ref())
    }
}
