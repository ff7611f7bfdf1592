//! [`RootTable`]: the slots of owned roots, which collections update.
//!
//! Slots are in chunks that are aligned to their size, so that a root is one pointer: from its slot's address follow its
//! chunk and, from that, whose it is. A chunk remembers whether any of its slots was written since the last collection; a minor
//! collection looks at no others, since after a collection nothing young is left for a slot to point to. A million roots that
//! stay cost it nothing.
//!
//! Invariants:
//! * T1. A slot is either free, then it holds the next free slot with bit 0 set, or owned by exactly one root, then it holds
//!   a pointer to an object.
//! * T2. A chunk with a slot that points into the nursery is dirty.
//! * T3. A table lives until its heap has been dropped and no root is left.

use alloc::alloc as process;
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

use super::info::{Header, Word};

/// The bytes of a chunk.
const CHUNK: usize = 16 << 10;

const CHUNK_LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// A free slot has this bit; pointers to objects have not, as those of the typed interface have no tags.
const FREE: usize = 1;

pub(super) type Slot = Cell<Word>;

#[repr(C)]
struct Chunk {
    table: NonNull<RootTable>,
    next: Cell<*const Chunk>,
    dirty: Cell<bool>,
}

/// The slots of a chunk.
const SLOTS: usize = (CHUNK - size_of::<Chunk>()) / size_of::<Slot>();

impl Chunk {
    /// The chunk of a slot.
    #[inline(always)]
    fn of(slot: NonNull<Slot>) -> NonNull<Self> {
        // Never null: chunks are not at address 0.
        let start = slot.as_ptr().map_addr(|address| address & !(CHUNK - 1));
        // SAFETY: the address of a chunk that was allocated.
        unsafe { NonNull::new_unchecked(start.cast()) }
    }

    fn slots(chunk: NonNull<Self>) -> NonNull<Slot> {
        // SAFETY: the slots follow the head of the chunk, within its block.
        unsafe { chunk.add(1).cast() }
    }
}

pub(super) struct RootTable {
    free: Cell<*const Slot>,
    chunks: Cell<*const Chunk>,
    /// Owned slots.
    live: Cell<usize>,
    /// The heap is there; see T3.
    has_heap: Cell<bool>,
}

impl RootTable {
    /// An empty table, with a heap. `None` if there is no memory.
    pub(super) fn new() -> Option<NonNull<Self>> {
        if crate::os::struck() {
            return None;
        }
        // SAFETY: not of zero size.
        let table = NonNull::new(unsafe { process::alloc(Layout::new::<Self>()) })?.cast::<Self>();
        let empty = Self {
            free: Cell::new(ptr::null()),
            chunks: Cell::new(ptr::null()),
            live: Cell::new(0),
            has_heap: Cell::new(true),
        };
        // SAFETY: just allocated for it.
        unsafe { table.write(empty) };
        Some(table)
    }

    /// The table of a slot.
    #[inline(always)]
    pub(super) fn of(slot: NonNull<Slot>) -> NonNull<Self> {
        // SAFETY: a slot's chunk lives as long as the slot, and knows its table.
        unsafe { Chunk::of(slot).as_ref().table }
    }

    /// Owned slots.
    pub(super) fn live(&self) -> usize {
        self.live.get()
    }

    /// A slot that points to `object`. `None` if there is no memory for another chunk.
    ///
    /// # Safety
    /// `table` is a table that lives; `object` is an object of its heap.
    #[inline(always)]
    pub(super) unsafe fn own(table: NonNull<Self>, object: Word) -> Option<NonNull<Slot>> {
        // SAFETY: the caller's promise. A free slot belongs to a chunk of this table (T1).
        unsafe {
            let this = table.as_ref();
            let slot = match NonNull::new(this.free.get().cast_mut()) {
                Some(slot) => slot,
                None => Self::grow(table)?,
            };
            this.free.set(slot.as_ref().get().map_addr(|next| next & !FREE).cast_const().cast());
            this.live.set(this.live.get() + 1);
            slot.as_ref().set(object);
            Chunk::of(slot).as_ref().dirty.set(true);
            Some(slot)
        }
    }

    /// Points an owned slot to another object of its heap.
    ///
    /// # Safety
    /// The slot is owned; `object` is an object of its heap.
    #[inline(always)]
    pub(super) unsafe fn point(slot: NonNull<Slot>, object: Word) {
        // SAFETY: the caller's promise.
        unsafe {
            slot.as_ref().set(object);
            Chunk::of(slot).as_ref().dirty.set(true);
        }
    }

    /// Frees a slot, and the table if it was the last one of a heap that is gone.
    ///
    /// # Safety
    /// The slot is owned, and is not used afterwards.
    #[inline(always)]
    pub(super) unsafe fn disown(slot: NonNull<Slot>) {
        let table = Self::of(slot);
        // SAFETY: the table of an owned slot lives (T3).
        unsafe {
            let this = table.as_ref();
            slot.as_ref().set(this.free.get().cast_mut().cast::<Header>().map_addr(|next| next | FREE));
            this.free.set(slot.as_ptr());
            this.live.set(this.live.get() - 1);
            if this.live.get() == 0 && !this.has_heap.get() {
                Self::destroy(table);
            }
        }
    }

    /// The heap is gone: no slot is read any more.
    ///
    /// # Safety
    /// The table lives, and is not used by the heap afterwards.
    pub(super) unsafe fn abandon(table: NonNull<Self>) {
        // SAFETY: the caller's promise.
        unsafe {
            table.as_ref().has_heap.set(false);
            if table.as_ref().live.get() == 0 {
                Self::destroy(table);
            }
        }
    }

    /// Makes another chunk, and returns the first of its slots, which is the first free one.
    ///
    /// # Safety
    /// The table lives.
    #[cold]
    #[inline(never)]
    unsafe fn grow(table: NonNull<Self>) -> Option<NonNull<Slot>> {
        if crate::os::struck() {
            return None;
        }
        // SAFETY: not of zero size; the block has room for the head and so many slots.
        unsafe {
            let chunk = NonNull::new(process::alloc(CHUNK_LAYOUT))?.cast::<Chunk>();
            let this = table.as_ref();
            chunk.write(Chunk { table, next: Cell::new(this.chunks.get()), dirty: Cell::new(false) });
            this.chunks.set(chunk.as_ptr());
            let slots = Chunk::slots(chunk);
            for index in (0..SLOTS).rev() {
                let next = this.free.get().cast_mut().cast::<Header>().map_addr(|next| next | FREE);
                slots.add(index).write(Cell::new(next));
                this.free.set(slots.add(index).as_ptr());
            }
            Some(slots)
        }
    }

    /// Calls `visit` with each owned slot, or with those in chunks that have been written since the last time only.
    ///
    /// # Safety
    /// `visit` leaves a pointer to an object in the slot, and one that is not young.
    pub(super) unsafe fn each(&self, all: bool, mut visit: impl FnMut(*mut Word)) {
        let mut next = NonNull::new(self.chunks.get().cast_mut());
        while let Some(chunk) = next {
            // SAFETY: chunks live as long as their table.
            let head = unsafe { chunk.as_ref() };
            if head.dirty.replace(false) || all {
                for index in 0..SLOTS {
                    // SAFETY: a slot of the chunk.
                    let slot = unsafe { Chunk::slots(chunk).add(index).as_ref() };
                    if slot.get().addr() & FREE == 0 {
                        visit(slot.as_ptr());
                    }
                }
            }
            next = NonNull::new(head.next.get().cast_mut());
        }
    }

    /// Calls `visit` with what each owned slot points to, and whether the slot's chunk is dirty.
    pub(super) fn look(&self, mut visit: impl FnMut(Word, bool)) {
        let mut next = NonNull::new(self.chunks.get().cast_mut());
        while let Some(chunk) = next {
            // SAFETY: as in `each`.
            let head = unsafe { chunk.as_ref() };
            for index in 0..SLOTS {
                // SAFETY: as in `each`.
                let object = unsafe { Chunk::slots(chunk).add(index).as_ref() }.get();
                if object.addr() & FREE == 0 {
                    visit(object, head.dirty.get());
                }
            }
            next = NonNull::new(head.next.get().cast_mut());
        }
    }

    /// # Safety
    /// T3; nobody uses the table or its slots afterwards.
    #[cold]
    #[inline(never)]
    unsafe fn destroy(table: NonNull<Self>) {
        // SAFETY: blocks of the process allocator, made with these layouts, each freed once.
        unsafe {
            let mut next = table.as_ref().chunks.get().cast_mut();
            while !next.is_null() {
                let chunk = next;
                next = (*chunk).next.get().cast_mut();
                process::dealloc(chunk.cast(), CHUNK_LAYOUT);
            }
            process::dealloc(table.as_ptr().cast(), Layout::new::<Self>());
        }
    }
}
