//! [`Remembered`]: the old objects that may point to young ones.
//!
//! # Note: the barrier
//! Whoever stores a pointer into an object first looks at the object's log byte. If it is 1 the object is remembered
//! already, or young; if it is 0 it is remembered now, with all its pointers, and the byte is 1 from then on. So an
//! object that is written a thousand times between two collections is remembered once, and the log of the nursery, all
//! ones, makes young objects cost no more than the look. (Blackburn and McKinley's object-remembering barrier; the byte
//! is in a table beside the heap, since a thunk's update overwrites its header.)
//!
//! Arrays of pointers are remembered in cards of [`CARD`] bytes, each with a log byte. Only a new large array, which is
//! old from the start, is remembered as a whole.
//!
//! If there is no memory to remember one more, it is not lost: the next collection looks at the whole old generation
//! instead.
//!
//! Invariants:
//! * M1. Between collections every old object (or card) with a pointer into the nursery is remembered: its log byte is
//!   1, and it is in the list, unless `overflowed`.
//! * M2. After a collection nothing is young, so nothing is remembered, and all log bytes but those of the nursery are
//!   0.

use alloc::vec::Vec;
use core::ops::Range;

use super::faults::{Fault, strikes};
use super::info::{Header, WORD, len_of, word};

/// An array's card, in bytes.
pub(crate) const CARD: usize = 512;

/// An object, or a card of it.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) object: *mut Header,
    /// Where the card starts, or [`WHOLE`].
    pub(super) card: usize,
}

/// For [`Entry::card`]: not a card, but the object.
pub(super) const WHOLE: usize = 0;

pub(super) struct Remembered {
    pub(super) entries: Vec<Entry>,
    /// Some were not put into the list.
    pub(super) overflowed: bool,
    /// How many the list may hold.
    pub(super) most: usize,
}

impl Remembered {
    pub(super) const fn new(most: usize) -> Self {
        Self { entries: Vec::new(), overflowed: false, most }
    }

    /// Puts one into the list, whose log byte has been set.
    pub(super) fn push(&mut self, object: *mut Header, card: usize) {
        let full = self.entries.len() == self.entries.capacity();
        if self.entries.len() >= self.most || full && (crate::os::struck() || self.entries.try_reserve(1).is_err()) {
            self.overflowed = !strikes(Fault::ForgetsOverflow);
            return;
        }
        self.entries.push(Entry { object, card });
    }
}

/// The card of an address: where it starts.
#[inline(always)]
pub(super) fn card_of(address: usize) -> usize {
    address & !(CARD - 1)
}

/// The address whose log byte is for a card of an array: the card's first address that is the array's. Not the array's
/// last word, as that may share its log byte with the header behind it.
///
/// # Safety
/// `array` is an array of pointers of which some word is in the card.
#[inline(always)]
pub(super) unsafe fn logged_at(array: *mut Header, card: usize) -> usize {
    // SAFETY: the caller's promise.
    let last = array.addr() + unsafe { len_of(array) } * WORD;
    card.min(last).max(array.addr()) // `clamp` would ask, on every store, whether these two are in order
}

/// The elements of an array of pointers that are in a card.
///
/// # Safety
/// `array` is an array of pointers.
pub(super) unsafe fn elements_in(array: *mut Header, card: usize) -> Range<usize> {
    // SAFETY: the caller's promise.
    let len = unsafe { len_of(array) };
    let index_of = |address: usize| (address.saturating_sub(word(array, 2).addr()) / WORD).min(len);
    index_of(card)..index_of(card + CARD)
}
