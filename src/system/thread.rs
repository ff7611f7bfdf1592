//! What the calling thread has of its own: its [`Tally`], and the free blocks that it keeps.
//!
//! Both are given back when the thread ends. Until the first is asked for nothing is registered, and once the thread's
//! destructors have run nothing is kept any more; blocks can be allocated and freed at any time all the same, in the
//! destructors of other thread-locals too.
//!
//! # Note: one block a class
//! Buffers come and go: a temporary is allocated, filled, read and freed, and the next is of the same size. Keeping the
//! last freed block of each class serves that at the price of a load and a store, and bounds what an idle thread holds:
//! [`CLASSES`] blocks, 140 KiB in all.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::thread_local;

use super::ledger::{Ledger, Tally};
use super::offset::{CLASSES, give_back, of_class};

thread_local! {
    // These two need no destructor, so they can be used at any time.
    static OWN: Cell<Option<&'static Tally>> = const { Cell::new(None) };
    static KEPT: [Cell<Option<NonNull<u8>>>; CLASSES] = const { [const { Cell::new(None) }; CLASSES] };
    static EXIT: Exit = const { Exit(Cell::new(None)) };
}

/// Its destructor runs when the thread ends. Knows the ledger that the tally is of.
struct Exit(Cell<Option<&'static Ledger>>);

impl Drop for Exit {
    fn drop(&mut self) {
        // Without a tally nothing is kept (see `keep`), and by now no new one can be had (see `claim`).
        if let (Some(tally), Some(ledger)) = (OWN.take(), self.0.get()) {
            ledger.release(tally);
        }
        KEPT.with(|kept| {
            for (class, slot) in kept.iter().enumerate() {
                if let Some(block) = slot.take() {
                    // SAFETY: it was kept as a block of this class, and is out of the slot.
                    unsafe { give_back(block, of_class(class)) };
                }
            }
        });
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
    EXIT.try_with(|exit| exit.0.set(Some(ledger))).ok()?;
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

/// The block of `class` that this thread keeps, if it does; it is the caller's then.
#[inline]
pub(super) fn take(class: usize) -> Option<NonNull<u8>> {
    KEPT.with(|kept| kept.get(class)?.take())
}

/// Keeps a freed block of `class` for the next request, if there is none yet. If the answer is `false` the block is still
/// the caller's.
///
/// Not for a thread whose end nobody would notice, and not under a sanitizer, which is to see every free.
#[inline]
pub(super) fn keep(class: usize, block: NonNull<u8>) -> bool {
    if cfg!(any(bhc_asan, miri)) || OWN.get().is_none() {
        return false;
    }
    KEPT.with(|kept| match kept.get(class) {
        Some(slot) if slot.get().is_none() => {
            slot.set(Some(block));
            true
        }
        _ => false,
    })
}
