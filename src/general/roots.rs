//! [`RootTable`]: the slots of owned roots, which collections update.
//!
//! Slots are in chunks that are aligned to their size, so that a root is one pointer: from its slot's address follow its
//! chunk and, from that, whose it is. A chunk remembers whether any of its slots was written since the last collection; a minor
//! collection looks at no others, since after a collection nothing young is left for a slot to point to. A million roots that
//! stay cost it nothing.
//!
//! Free slots are on a stack of pointers to them, and not linked through each other: the next allocation need not wait for what a slot
//! holds, and how many are owned follows from the stack's height.
//!
//! Invariants:
//! * T1. A slot is either free, then it holds [`FREE`] and the stack has it once, or owned by exactly one root, then it holds a
//!   pointer to an object.
//! * T2. A chunk with a slot that points into the nursery is dirty.
//! * T3. A table lives until its heap has been dropped and no root is left.
//! * T4. The stack has room for all slots.

use alloc::alloc as process;
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

use super::faults::{Fault, strikes};
use super::info::Word;

/// The bytes of a chunk.
const CHUNK: usize = 16 << 10;

const CHUNK_LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// What a free slot holds. It is no pointer to an object, which would be aligned.
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
    /// The stack of free slots: behind its last one.
    top: Cell<*mut NonNull<Slot>>,
    /// Where it starts.
    bottom: Cell<*mut NonNull<Slot>>,
    /// If `top` comes here the table is not needed any more: never while there is a heap, then it is null.
    last: Cell<*mut NonNull<Slot>>,
    /// How many slots the stack has room for.
    room: Cell<usize>,
    /// All slots.
    slots: Cell<usize>,
    chunks: Cell<*const Chunk>,
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
            top: Cell::new(ptr::null_mut()),
            bottom: Cell::new(ptr::null_mut()),
            last: Cell::new(ptr::null_mut()),
            room: Cell::new(0),
            slots: Cell::new(0),
            chunks: Cell::new(ptr::null()),
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
        self.slots.get() - (self.top.get().addr() - self.bottom.get().addr()) / size_of::<NonNull<Slot>>()
    }

    /// A slot that points to `object`. `None` if there is no memory for another chunk.
    ///
    /// # Safety
    /// `table` is a table that lives; `object` is an object of its heap.
    #[inline(always)]
    pub(super) unsafe fn own(table: NonNull<Self>, object: Word) -> Option<NonNull<Slot>> {
        // SAFETY: the caller's promise. What is on the stack is free slots of this table's chunks (T1).
        unsafe {
            let this = table.as_ref();
            if this.top.get() == this.bottom.get() && !Self::grow(table) {
                return None;
            }
            let top = this.top.get().sub(1);
            this.top.set(top);
            let slot = top.read();
            slot.as_ref().set(object);
            if !strikes(Fault::KeepsClean) {
                Chunk::of(slot).as_ref().dirty.set(true);
            }
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
            if !strikes(Fault::KeepsClean) {
                Chunk::of(slot).as_ref().dirty.set(true);
            }
        }
    }

    /// Frees a slot, and the table if it was the last one of a heap that is gone.
    ///
    /// # Safety
    /// The slot is owned, and is not used afterwards.
    #[inline(always)]
    pub(super) unsafe fn disown(slot: NonNull<Slot>) {
        let table = Self::of(slot);
        // SAFETY: the table of an owned slot lives (T3), and there is room on the stack (T4).
        unsafe {
            let this = table.as_ref();
            slot.as_ref().set(ptr::without_provenance_mut(FREE));
            let top = this.top.get();
            top.write(slot);
            this.top.set(top.add(1));
            if top.add(1) == this.last.get() {
                Self::destroy(table);
            }
        }
    }

    /// The heap is gone: no slot is read any more.
    ///
    /// # Safety
    /// The table lives, and is not used by the heap afterwards.
    pub(super) unsafe fn abandon(table: NonNull<Self>) {
        // SAFETY: the caller's promise; T4.
        unsafe {
            let this = table.as_ref();
            this.last.set(this.bottom.get().wrapping_add(this.slots.get()));
            if this.live() == 0 {
                Self::destroy(table);
            }
        }
    }

    /// Makes another chunk, whose slots are then on the stack, which is empty.
    ///
    /// # Safety
    /// The table lives.
    #[cold]
    #[inline(never)]
    unsafe fn grow(table: NonNull<Self>) -> bool {
        if crate::os::struck() {
            return false;
        }
        // SAFETY: layouts are not of zero size; the block has room for the head and so many slots, the stack for all.
        unsafe {
            let this = table.as_ref();
            let slots = this.slots.get() + SLOTS;
            if slots > this.room.get() {
                let room = slots.next_power_of_two();
                let Ok(layout) = Layout::array::<NonNull<Slot>>(room) else { return false };
                let Some(bottom) = NonNull::new(process::alloc(layout)) else { return false };
                this.free_stack(); // nothing is on it
                this.bottom.set(bottom.as_ptr().cast());
                this.top.set(this.bottom.get());
                this.room.set(room);
            }
            let Some(chunk) = NonNull::new(process::alloc(CHUNK_LAYOUT)) else { return false };
            let chunk = chunk.cast::<Chunk>();
            chunk.write(Chunk { table, next: Cell::new(this.chunks.get()), dirty: Cell::new(false) });
            this.chunks.set(chunk.as_ptr());
            for index in (0..SLOTS).rev() {
                let slot = Chunk::slots(chunk).add(index);
                slot.write(Cell::new(ptr::without_provenance_mut(FREE)));
                this.top.get().write(slot);
                this.top.set(this.top.get().add(1));
            }
            this.slots.set(slots);
            if !this.last.get().is_null() {
                this.last.set(this.bottom.get().add(slots)); // a root of a heap that is gone was cloned
            }
        }
        true
    }

    /// # Safety
    /// The stack is not used afterwards.
    unsafe fn free_stack(&self) {
        if self.room.get() > 0
            && let Ok(layout) = Layout::array::<NonNull<Slot>>(self.room.get())
        {
            // SAFETY: allocated with this layout.
            unsafe { process::dealloc(self.bottom.get().cast(), layout) };
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
                    if slot.get().addr() != FREE {
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
                if object.addr() != FREE {
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
            table.as_ref().free_stack();
            process::dealloc(table.as_ptr().cast(), Layout::new::<Self>());
        }
    }
}
