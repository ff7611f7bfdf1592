//! Which caches the calling thread has.
//!
//! Each thread has a few [`Slot`]s, at which heaps look by their number: a slot that has the heap's id has the thread's cache in
//! it. Ids are never used twice, so a slot of a heap that was dropped is never mistaken for another's, and nobody has to
//! look for such slots. What a slot does not have stands in its list of notes, one for each heap that the thread has a cache
//! in and that looks there. When the thread ends, the destructor of the lists gives the caches back.
//!
//! Slots need no destructor, so that finding one is one comparison, at any time. In the destructors of other thread-locals
//! that run after ours there are no caches any more, and heaps take and give each block under the lock of its class; as they do
//! always in a build for targets without thread-locals (`--cfg bhc_no_tls`).

use core::ptr::NonNull;

use super::cache::Cache;
use super::heap::PinnedHeap;

#[cfg(not(bhc_no_tls))]
pub(super) use with_thread_locals::*;
#[cfg(bhc_no_tls)]
pub(super) use without_thread_locals::*;

#[cfg(not(bhc_no_tls))]
mod with_thread_locals {
    use core::cell::Cell;
    use core::ptr::null_mut;
    use std::thread_local;

    use super::super::cells;
    use super::super::control::Control;
    use super::super::engine::Engine;
    use super::*;

    /// How many slots a thread has.
    const SLOTS: usize = 32;

    /// What [`cache`] needs to know of a heap.
    #[derive(Clone, Copy)]
    pub(crate) struct Key {
        /// Never 0, never used twice.
        id: u64,
        /// Where the heap's slot is, in bytes from the first.
        slot: usize,
    }

    impl Key {
        pub(crate) fn new(id: u64) -> Self {
            Self { id, slot: id as usize % SLOTS * size_of::<Slot>() }
        }
    }

    struct Slot {
        id: Cell<u64>,
        cache: Cell<*mut Cache>,
    }

    thread_local! {
        static HERE: [Slot; SLOTS] =
            const { [const { Slot { id: Cell::new(0), cache: Cell::new(null_mut()) } }; SLOTS] };
        static NOTES: Notes = const { Notes([const { Cell::new(None) }; SLOTS]) };
    }

    /// The calling thread's cache in the heap of that key, if a slot has it.
    #[inline(always)]
    pub(crate) fn cache(key: Key) -> Option<NonNull<Cache>> {
        HERE.with(|slots| {
            // SAFETY: `Key::new` makes the offset of one of the slots.
            let slot = unsafe { &*slots.as_ptr().byte_add(key.slot) };
            if slot.id.get() == key.id { NonNull::new(slot.cache.get()) } else { None }
        })
    }

    /// A thread's note of its cache in a heap.
    #[derive(Clone, Copy)]
    struct Note {
        id: u64,
        cache: NonNull<Cache>,
        /// Alive while its control block can be pinned.
        engine: NonNull<Engine>,
        control: NonNull<Control>,
        next: Option<NonNull<Note>>,
    }

    const _: () = assert!(size_of::<Note>() <= 64);

    /// The notes of a thread: a list for each slot, of the heaps that look there.
    struct Notes([Cell<Option<NonNull<Note>>>; SLOTS]);

    impl Notes {
        /// Takes notes off a list that `is_old` says so of. `last` is called with each before.
        fn sweep(list: &Cell<Option<NonNull<Note>>>, is_old: impl Fn(&Note) -> bool, last: impl Fn(&Note)) {
            let (mut rest, mut kept) = (list.take(), None);
            while let Some(mut note) = rest {
                // SAFETY: notes on the list are alive, and the list is this thread's.
                let this = unsafe { note.as_mut() };
                rest = this.next;
                if is_old(this) {
                    last(this);
                    let control = this.control;
                    // SAFETY: the note holds the control block, and is the last to use its cell.
                    unsafe {
                        if control.as_ref().let_go() {
                            cells::give_back(control);
                        }
                        cells::give_back(note);
                    }
                } else {
                    this.next = kept;
                    kept = Some(note);
                }
            }
            list.set(kept);
        }

        /// The cache in the heap of that id. Its note is the first of the list then: whoever has more heaps than slots may
        /// well come to few of them in turn.
        fn find(list: &Cell<Option<NonNull<Note>>>, id: u64) -> Option<NonNull<Cache>> {
            let (mut before, mut at) = (None::<NonNull<Note>>, list.get());
            while let Some(mut note) = at {
                // SAFETY: as above; `before` is another note than this.
                unsafe {
                    if note.as_ref().id == id {
                        if let Some(mut before) = before {
                            before.as_mut().next = note.as_ref().next;
                            note.as_mut().next = list.replace(Some(note));
                        }
                        return Some(note.as_ref().cache);
                    }
                    (before, at) = (at, note.as_ref().next);
                }
            }
            None
        }
    }

    impl Drop for Notes {
        fn drop(&mut self) {
            HERE.with(|slots| slots.iter().for_each(|slot| slot.id.set(0)));
            let hand_back = |note: &Note| {
                // SAFETY: the note holds the control block; while the heap is pinned its engine and caches are there, and the
                // cache is this thread's.
                unsafe {
                    if note.control.as_ref().pin() {
                        note.engine.as_ref().retire(note.cache.as_ref());
                        note.control.as_ref().unpin();
                    }
                }
            };
            self.0.iter().for_each(|list| Self::sweep(list, |_| true, hand_back));
        }
    }

    /// The calling thread's cache in `heap`, made if there is none; it is in its slot then. `None` if there is no memory for one, or
    /// the thread is ending.
    #[cold]
    #[inline(never)]
    pub(crate) fn find_cache(heap: &PinnedHeap) -> Option<NonNull<Cache>> {
        let (key, engine) = (heap.key(), heap.engine());
        if !engine.settings.caches {
            return None;
        }
        let slot = key.slot / size_of::<Slot>();
        let in_list = |notes: &Notes| {
            let list = &notes.0[slot];
            Notes::find(list, key.id).or_else(|| enter(list, heap))
        };
        let cache = NOTES.try_with(in_list).ok().flatten()?;
        HERE.with(|slots| {
            let slot = &slots[slot];
            slot.id.set(key.id);
            slot.cache.set(cache.as_ptr());
        });
        Some(cache)
    }

    fn enter(list: &Cell<Option<NonNull<Note>>>, heap: &PinnedHeap) -> Option<NonNull<Cache>> {
        // A thread that outlives many heaps does not keep notes of them all.
        // SAFETY: the note holds the control block.
        Notes::sweep(list, |note| unsafe { note.control.as_ref() }.is_closed(), |_| ());
        let cache = heap.engine().claim_cache()?;
        let (control, engine) = (heap.control(), NonNull::from(heap.engine()));
        let note = Note { id: heap.key().id, cache, engine, control, next: list.get() };
        match cells::put(note) {
            Some(note) => {
                // SAFETY: the heap holds it.
                unsafe { control.as_ref() }.hold();
                list.set(Some(note));
                Some(cache)
            }
            None => {
                // SAFETY: claimed above.
                heap.engine().retire(unsafe { cache.as_ref() });
                None
            }
        }
    }
}

#[cfg(bhc_no_tls)]
mod without_thread_locals {
    use super::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Key;

    impl Key {
        pub(crate) fn new(_: u64) -> Self {
            Self
        }
    }

    #[inline(always)]
    pub(crate) fn cache(_: Key) -> Option<NonNull<Cache>> {
        None
    }

    #[inline(always)]
    pub(crate) fn find_cache(_: &PinnedHeap) -> Option<NonNull<Cache>> {
        None
    }
}
