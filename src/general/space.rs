//! [`Space`]: the addresses of a heap, what each part of them is used for, and how much may be.
//!
//! A heap reserves one range. It begins with its tables; slices of 8 KiB follow, given out in [runs](crate::runs): the
//! nursery, the blocks of the old generation, each large object, and what raw bytes are cut from. So whether an address
//! is the heap's is one subtraction and comparison, and what is there is one look into a table of bytes.
//!
//! Invariants:
//! * A1. Tables and slices are memory below `ready`, which never goes down.
//! * A2. The byte of each slice of a run with an owner says what the run is for; [`Use::Nothing`] or a free end
//!   otherwise.
//! * A3. The log bytes of the nursery are 1. Those of other slices are 0 except where an object, or a card of an array,
//!   is remembered (see [`remember`](super::remember)).
//! * A4. No more slices are taken than the limit. Blocks for copies are taken beforehand, and held (O2): so a
//!   collection never asks for memory.

use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use super::info::WORD;
use crate::os::clock;
use crate::os::range::{Range, Source};
use crate::runs::{Head, NONE, Runs, SLICE, Slices, Used, Wish};

/// Bytes that one log byte is for: the smallest object.
pub(super) const LOGGED: usize = 2 * WORD;

/// Tables and slices become memory so many slices at a time: 4 MiB.
const STEP: usize = 512;

/// The clock goes on when so many slices of raw bytes were freed, 16 MiB, and a second has passed.
const RETURNED: usize = 2048;

/// What slice 0 is aligned to: the pages that the system may put together.
const BASE_ALIGN: usize = 2 << 20;

/// What a slice is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Use {
    Nothing = 0,
    Nursery = 1,
    /// A block of the old generation, which takes turns: what is copied goes to blocks of the other sort.
    OldA = 2,
    OldB = 3,
    /// A large object.
    Large = 4,
    /// Raw bytes.
    Bytes = 5,
    /// Was used before a collection, and is kept to see whether anybody still does.
    Quarantine = 6,
    /// A block for copies that has none yet.
    Spare = 7,
}

/// In place of [`Use::Nothing`]: the first or the last slice of a free run.
const FREE_END: u8 = 8;

/// The tables of a heap; see A1.
struct Tables {
    uses: NonNull<u8>,
    heads: NonNull<Head>,
    log: NonNull<u8>,
    base: NonNull<u8>,
    slices: usize,
    ready: Cell<usize>,
}

impl Tables {
    fn use_at(&self, slice: usize) -> *mut u8 {
        assert!(slice < self.ready.get(), "a slice that is not in use");
        // SAFETY: the table has a byte for each slice.
        unsafe { self.uses.add(slice).as_ptr() }
    }
}

impl Slices for Tables {
    fn slices(&self) -> usize {
        self.slices
    }

    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn head(&self, slice: usize) -> &Head {
        assert!(slice < self.ready.get(), "a slice that is not in use");
        // SAFETY: memory (A1), and zeros are a head.
        unsafe { self.heads.add(slice).as_ref() }
    }

    fn is_free_end(&self, slice: usize) -> bool {
        // SAFETY: memory (A1), and written by this thread only.
        unsafe { *self.use_at(slice) == FREE_END }
    }

    fn set_free_end(&self, slice: usize) {
        // SAFETY: as above.
        unsafe { *self.use_at(slice) = FREE_END };
    }

    fn clear(&self, slice: usize) {
        // SAFETY: as above.
        unsafe { *self.use_at(slice) = Use::Nothing as u8 };
    }
}

pub(super) struct Space {
    tables: Tables,
    runs: RefCell<Runs>,
    range: Range,
    /// Where the tables start, in bytes from the start of the range; and its slices.
    starts: Starts,
    /// Slices that may be taken at once.
    limit: usize,
    /// Whether the system is asked for huge pages.
    huge_pages: bool,
    /// Slices in spare blocks.
    pub(super) spare: Cell<usize>,
    /// The clock by which free runs age.
    cycle: Cell<u32>,
    /// Slices of raw bytes that were freed since it went on, and when it did because of that, in milliseconds.
    returned: Cell<usize>,
    looked: Cell<u32>,
    /// Raw bytes that live, in whole slices: collections are paced by them, too.
    pub(super) byte_slices: Cell<usize>,
    /// Something was refused: a full collection may help.
    pub(super) pressed: Cell<bool>,
    /// A full collection may find something to free: objects have come to the old generation since the last one.
    pub(super) may_have_garbage: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Starts {
    heads: usize,
    log: usize,
    base: usize,
}

impl Starts {
    /// `None` if no address space has so many slices.
    fn new(slices: usize) -> Option<Self> {
        let up = |bytes: usize| crate::align::checked_align_up(bytes, BASE_ALIGN);
        let heads = up(slices)?;
        let log = up(heads.checked_add(slices.checked_mul(size_of::<Head>())?)?)?;
        let base = up(log.checked_add(slices.checked_mul(SLICE / LOGGED)?)?)?;
        Some(Self { heads, log, base })
    }
}

/// How many bytes of addresses a heap wants, and how many will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserve {
    pub(super) wanted: usize,
    pub(super) least: usize,
}

impl Space {
    /// Reserves bytes for slices, as many of `reserve` as are granted, of which `limit` bytes may be in use. `None` if there is no
    /// address space.
    pub(super) fn new(reserve: Reserve, limit: usize, huge_pages: bool, source: Source) -> Option<Self> {
        let mut slices = reserve.wanted.div_ceil(STEP * SLICE).checked_mul(STEP)?;
        if crate::os::struck() || slices >= NONE as usize {
            return None;
        }
        let (starts, range) = loop {
            let starts = Starts::new(slices)?;
            let size = starts.base.checked_add(slices.checked_mul(SLICE)?)?;
            if let Some(range) = Range::reserve(Layout::from_size_align(size, BASE_ALIGN).ok()?, source) {
                break (starts, range);
            }
            // Address space may be limited (`ulimit -v`, valgrind), or full of other heaps.
            if slices / 2 * SLICE < reserve.least {
                return None;
            }
            slices = (slices / 2).next_multiple_of(STEP);
        };
        let start = range.start();
        // SAFETY: within the range, as just laid out.
        let tables = unsafe {
            Tables {
                uses: start,
                heads: start.add(starts.heads).cast(),
                log: start.add(starts.log),
                base: start.add(starts.base),
                slices,
                ready: Cell::new(0),
            }
        };
        Some(Self {
            tables,
            runs: RefCell::new(Runs::new()),
            range,
            starts,
            limit: (limit / SLICE).min(slices),
            huge_pages,
            spare: Cell::new(0),
            cycle: Cell::new(0),
            returned: Cell::new(0),
            looked: Cell::new(clock::milliseconds()),
            byte_slices: Cell::new(0),
            pressed: Cell::new(false),
            may_have_garbage: Cell::new(false),
        })
    }

    /// Where the slices are.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.tables.base
    }

    /// The bytes of all slices that can be.
    pub(super) fn span(&self) -> usize {
        self.tables.slices * SLICE
    }

    /// The bytes of all slices that are, or were, in use.
    pub(super) fn ready(&self) -> usize {
        self.tables.ready.get() * SLICE
    }

    /// The limit, in slices.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What the slices are used for, a byte each.
    pub(super) fn uses(&self) -> *const u8 {
        self.tables.uses.as_ptr()
    }

    /// The log byte of address `address`, plus this, is at `address >> log2(LOGGED)`.
    pub(super) fn log_bias(&self) -> *mut u8 {
        self.tables.log.as_ptr().wrapping_sub(self.tables.base.addr().get() / LOGGED)
    }

    /// The log bytes of `len` slices from `start` on.
    pub(super) fn log(&self, start: usize, len: usize) -> (NonNull<u8>, usize) {
        assert!(start + len <= self.tables.ready.get(), "slices that are not in use");
        // SAFETY: the table has that many bytes for each slice.
        (unsafe { self.tables.log.add(start * (SLICE / LOGGED)) }, len * (SLICE / LOGGED))
    }

    pub(super) fn head(&self, slice: usize) -> &Head {
        self.tables.head(slice)
    }

    /// Which slice an address is in, if it is in any that is or was in use.
    pub(super) fn slice_of(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.tables.base.addr().get());
        (offset < self.ready()).then_some(offset / SLICE)
    }

    /// The address of a slice.
    pub(super) fn at(&self, slice: usize) -> NonNull<u8> {
        debug_assert!(slice <= self.tables.slices);
        // SAFETY: the range has so many slices.
        unsafe { self.tables.base.add(slice * SLICE) }
    }

    /// What a slice is used for.
    pub(super) fn use_of(&self, slice: usize) -> Use {
        // SAFETY: memory (A1), written by this thread only.
        match unsafe { *self.tables.use_at(slice) } {
            1 => Use::Nursery,
            2 => Use::OldA,
            3 => Use::OldB,
            4 => Use::Large,
            5 => Use::Bytes,
            6 => Use::Quarantine,
            7 => Use::Spare,
            _ => Use::Nothing,
        }
    }

    /// Says what a run with an owner is used for.
    pub(super) fn set_use(&self, start: usize, len: usize, what: Use) {
        assert!(start + len <= self.tables.ready.get(), "slices that are not in use");
        // SAFETY: memory (A1).
        unsafe { self.tables.uses.add(start).write_bytes(what as u8, len) };
    }

    /// Slices that have an owner, spare blocks included.
    pub(super) fn taken(&self) -> usize {
        self.runs.borrow().in_use()
    }

    /// Slices in use, spare blocks not included.
    pub(super) fn in_use(&self) -> usize {
        self.taken() - self.spare.get()
    }

    /// Slices from the first to the last that ever was in use.
    pub(super) fn top(&self) -> usize {
        self.runs.borrow().top()
    }

    /// How many more slices may be taken (A4).
    pub(super) fn available(&self) -> usize {
        self.limit.saturating_sub(self.taken())
    }

    /// Asks for a full collection at the next slow allocation, if it may help.
    pub(super) fn press(&self) {
        self.pressed.set(self.pressed.get() || self.may_have_garbage.get());
    }

    /// Takes `len` slices, from a multiple of `align` slices' bytes on. Their contents are anything. `None` if there
    /// are none, or they would be more than the limit.
    pub(super) fn take(&self, len: usize, align: usize, what: Use) -> Option<usize> {
        if crate::os::struck() {
            return None;
        }
        let mut runs = self.runs.borrow_mut();
        if len == 0 || len > self.limit.saturating_sub(runs.in_use()) {
            return None;
        }
        let start = runs.take(&self.tables, Wish { len, align }, |top| self.grow(top))?;
        drop(runs);
        self.set_use(start, len, what);
        Some(start)
    }

    /// Gives a run back, or a part of one.
    ///
    /// # Safety
    /// It was taken, and nobody refers to it.
    pub(super) unsafe fn give(&self, start: usize, len: usize) {
        let bytes = self.use_of(start) == Use::Bytes;
        self.set_use(start, len, Use::Nothing);
        self.runs.borrow_mut().give(&self.tables, start, len, self.cycle.get(), Used::Returnable);
        // Raw bytes may come and go without any collection.
        if bytes {
            self.returned.set(self.returned.get() + len);
            let now = clock::milliseconds();
            if self.returned.get() >= RETURNED && now.wrapping_sub(self.looked.get()) >= 1000 {
                self.looked.set(now);
                self.tick();
            }
        }
    }

    /// Free runs are older by one; those that were free through a whole cycle go back to the system.
    pub(super) fn tick(&self) {
        self.returned.set(0);
        self.cycle.set(self.cycle.get().wrapping_add(1));
        self.purge(2);
    }

    /// Makes a run longer, in place.
    pub(super) fn extend(&self, start: usize, len: usize, longer: usize, what: Use) -> bool {
        let mut runs = self.runs.borrow_mut();
        if crate::os::struck()
            || longer - len > self.limit.saturating_sub(runs.in_use())
            || !runs.extend(&self.tables, start, len, longer, |top| self.grow(top))
        {
            return false;
        }
        drop(runs);
        self.set_use(start + len, longer - len, what);
        true
    }

    /// Makes a run zeros: large ones by giving their memory back to the system.
    ///
    /// # Safety
    /// It was taken, and nobody refers to it.
    pub(super) unsafe fn zero(&self, start: usize, len: usize) {
        let from = self.starts.base + start * SLICE;
        // SAFETY: the caller's promise.
        unsafe {
            if len * SLICE < 1 << 20 || !self.range.decommit(from, from + len * SLICE) {
                self.at(start).write_bytes(0, len * SLICE);
            }
        }
    }

    /// Gives the memory of a run back to the system. Returns the bytes that it took.
    ///
    /// # Safety
    /// Nobody refers to it.
    pub(super) unsafe fn discard(&self, start: usize, len: usize) -> usize {
        let from = self.starts.base + start * SLICE;
        // SAFETY: the caller's promise.
        if unsafe { self.range.decommit(from, from + len * SLICE) } { len * SLICE } else { 0 }
    }

    /// Takes access to a run away, or gives it back. `false` if the system does not do that.
    ///
    /// # Safety
    /// Nobody uses the run while it is not accessible.
    pub(super) unsafe fn protect(&self, start: usize, len: usize, accessible: bool) -> bool {
        let from = self.starts.base + start * SLICE;
        // SAFETY: the caller's promise.
        unsafe { self.range.protect(from, from + len * SLICE, accessible) }
    }

    /// Gives the memory of free runs back to the system that have been free for `age` cycles. Returns the
    /// bytes.
    pub(super) fn purge(&self, age: u32) -> usize {
        let (mut runs, now) = (self.runs.borrow_mut(), self.cycle.get());
        let mut purged = 0;
        while let Some((start, len)) = runs.take_old(&self.tables, now, age) {
            let from = self.starts.base + start * SLICE;
            // SAFETY: free, so nobody's.
            let used = match unsafe { self.range.decommit(from, from + len * SLICE) } {
                true => {
                    purged += len * SLICE;
                    Used::No
                }
                false => Used::Stuck,
            };
            runs.give(&self.tables, start, len, now, used);
        }
        purged
    }

    /// Makes slices to `top` and their tables memory.
    fn grow(&self, top: usize) -> bool {
        let ready = self.tables.ready.get();
        if top <= ready {
            return true;
        }
        if crate::os::struck() {
            return false;
        }
        let wanted = top.next_multiple_of(STEP);
        let part = |start: usize, bytes: usize| self.range.commit(start + ready * bytes, start + wanted * bytes);
        let Starts { heads, log, base } = self.starts;
        if !(part(0, 1) && part(heads, size_of::<Head>()) && part(log, SLICE / LOGGED) && part(base, SLICE)) {
            return false;
        }
        if self.huge_pages && ready > 0 {
            // Not the first ones: a small heap is to be small.
            self.range.prefer_huge(base + ready * SLICE, base + wanted * SLICE);
        }
        self.tables.ready.set(wanted);
        true
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // Whoever gets these addresses next has not freed anything there.
        // SAFETY: memory (A1), and nobody's any more.
        unsafe { crate::os::poison::in_use(self.tables.base, self.ready()) };
    }
}
