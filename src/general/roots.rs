//! [`RootTable`]: the slots of owned roots, which collections update.
//!
//! Slots are in chunks that are aligned to their size, so that a root is one pointer: from its slot's address follow
//! its chunk and, from that, whose it is. Of each group of 64 slots it is known whether any was written since the last
//! collection, in a dense table of bytes; a minor collection looks at no others, since after a collection nothing young
//! is left for a slot to point to. A million roots that stay cost it a look at 16 KiB.
//!
//! Free slots are on a stack of pointers to them, and not linked through each other: the next allocation need not wait
//! for what a slot holds, and how many are owned follows from the stack's height.
//!
//! Invariants:
//! * T1. A slot is either free, then it holds [`FREE`] and the stack has it once, or owned by exactly one root, then it
//!   holds a pointer to an object.
//! * T2. A group with a slot that points into the nursery is dirty.
//! * T3. A table lives until its heap has been dropped and no root is left.
//! * T4. The stack has room for all slots, and `dirty` has a byte for each group of each chunk, in the order of
//!   `chunks`.

use alloc::alloc as process;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
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

pub(crate) type Slot = Cell<Word>;

/// The bytes of a group of slots.
const GROUP: usize = 512;
/// The groups of a chunk.
const GROUPS: usize = CHUNK / GROUP;

#[repr(C)]
struct Chunk {
    table: NonNull<RootTable>,
    /// The bytes of its groups.
    dirty: Cell<*mut u8>,
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

    /// The slots of a group.
    fn group(chunk: NonNull<Self>, group: usize) -> impl Iterator<Item = NonNull<Slot>> {
        let each = GROUP / size_of::<Slot>();
        // The first ones would be in the head of the chunk.
        let first = CHUNK / size_of::<Slot>() - SLOTS;
        // SAFETY: the slots follow the head of the chunk, within its block.
        (first.max(group * each)..(group + 1) * each).map(move |index| unsafe { chunk.cast::<Slot>().add(index) })
    }

    fn slots(chunk: NonNull<Self>) -> impl DoubleEndedIterator<Item = NonNull<Slot>> {
        let first = CHUNK / size_of::<Slot>() - SLOTS;
        // SAFETY: as above.
        (first..first + SLOTS).map(move |index| unsafe { chunk.cast::<Slot>().add(index) })
    }

    /// The byte of a slot's group.
    ///
    /// # Safety
    /// A slot of a table that lives.
    #[inline(always)]
    unsafe fn dirty_byte(slot: NonNull<Slot>) -> *mut u8 {
        // SAFETY: the caller's promise; T4.
        unsafe { Self::of(slot).as_ref().dirty.get().add(slot.addr().get() % CHUNK / GROUP) }
    }
}

static_assertions::const_assert!((CHUNK - size_of::<Chunk>()).is_multiple_of(size_of::<Slot>()));

pub(super) struct RootTable {
    /// The stack of free slots: behind its last one.
    top: Cell<*mut NonNull<Slot>>,
    /// Where it starts.
    bottom: Cell<*mut NonNull<Slot>>,
    /// If `top` comes here the table is not needed any more: never while there is a heap, then it is null.
    last: Cell<*mut NonNull<Slot>>,
    /// All slots.
    slots: Cell<usize>,
    lists: UnsafeCell<Lists>,
}

struct Lists {
    chunks: Vec<NonNull<Chunk>>,
    dirty: Vec<u8>,
    /// No elements, but room for the stack.
    stack: Vec<NonNull<Slot>>,
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
            slots: Cell::new(0),
            lists: UnsafeCell::new(Lists { chunks: Vec::new(), dirty: Vec::new(), stack: Vec::new() }),
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
                *Chunk::dirty_byte(slot) = 1;
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
                *Chunk::dirty_byte(slot) = 1;
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

    /// # Safety
    /// The table lives. Nothing that the caller does while it uses the result makes another chunk.
    #[expect(clippy::mut_from_ref, reason = "one thread's, and used by one caller at a time")]
    unsafe fn lists(&self) -> &mut Lists {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.lists.get() }
    }

    /// Makes another chunk, whose slots are then on the stack, which is empty.
    ///
    /// # Safety
    /// The table lives.
    #[cold]
    #[inline(never)]
    unsafe fn grow(table: NonNull<Self>) -> bool {
        // SAFETY: the caller's promise; the block has room for the head and so many slots, the stack for all.
        unsafe {
            let this = table.as_ref();
            let lists = this.lists();
            let slots = this.slots.get() + SLOTS;
            if crate::os::struck() {
                return false;
            }
            let Some(block) = NonNull::new(process::alloc(CHUNK_LAYOUT)) else { return false };
            let chunk = block.cast::<Chunk>();
            let has_room = lists.chunks.try_reserve(1).is_ok()
                && lists.dirty.try_reserve(GROUPS).is_ok()
                && lists.stack.try_reserve(slots).is_ok();
            if has_room {
                chunk.write(Chunk { table, dirty: Cell::new(ptr::null_mut()) });
                lists.chunks.push(chunk);
                lists.dirty.resize(lists.dirty.len() + GROUPS, 0);
            }
            // The lists may have moved, even if not all of them have room.
            for (index, chunk) in lists.chunks.iter().enumerate() {
                chunk.as_ref().dirty.set(lists.dirty.as_mut_ptr().add(index * GROUPS));
            }
            this.bottom.set(lists.stack.as_mut_ptr());
            this.top.set(this.bottom.get());
            if !this.last.get().is_null() {
                // A root of a heap that is gone is cloned.
                this.last.set(this.bottom.get().add(if has_room { slots } else { this.slots.get() }));
            }
            if !has_room {
                process::dealloc(block.as_ptr(), CHUNK_LAYOUT);
                return false;
            }
            for slot in Chunk::slots(chunk).rev() {
                slot.write(Cell::new(ptr::without_provenance_mut(FREE)));
                this.top.get().write(slot);
                this.top.set(this.top.get().add(1));
            }
            this.slots.set(slots);
        }
        true
    }

    /// Calls `visit` with each owned slot, or with those in groups that have been written since the last time only.
    ///
    /// # Safety
    /// `visit` leaves a pointer to an object in the slot, and one that is not young.
    pub(super) unsafe fn each(&self, all: bool, mut visit: impl FnMut(*mut Word)) {
        // SAFETY: nothing makes a root while this runs.
        let Lists { chunks, dirty, .. } = unsafe { self.lists() };
        for (chunk, dirty) in chunks.iter().zip(dirty.chunks_exact_mut(GROUPS)) {
            if !all && *dirty == [0; GROUPS] {
                continue;
            }
            for (group, byte) in dirty.iter_mut().enumerate() {
                if *byte == 0 && !all {
                    continue;
                }
                *byte = 0;
                for slot in Chunk::group(*chunk, group) {
                    // SAFETY: a slot of the chunk.
                    let slot = unsafe { slot.as_ref() };
                    if slot.get().addr() != FREE {
                        visit(slot.as_ptr());
                    }
                }
            }
        }
    }

    /// Calls `visit` with what each owned slot points to, and whether the slot's group is dirty.
    pub(super) fn look(&self, mut visit: impl FnMut(Word, bool)) {
        // SAFETY: as in `each`.
        let Lists { chunks, dirty, .. } = unsafe { self.lists() };
        for (chunk, dirty) in chunks.iter().zip(dirty.chunks_exact(GROUPS)) {
            for (group, byte) in dirty.iter().enumerate() {
                for slot in Chunk::group(*chunk, group) {
                    // SAFETY: a slot of the chunk.
                    let object = unsafe { slot.as_ref() }.get();
                    if object.addr() != FREE {
                        visit(object, *byte != 0);
                    }
                }
            }
        }
    }

    /// # Safety
    /// T3: nobody uses the table or its slots afterwards.
    #[cold]
    #[inline(never)]
    unsafe fn destroy(table: NonNull<Self>) {
        // SAFETY: blocks of the process allocator, made with these layouts, each freed once.
        unsafe {
            for chunk in &table.as_ref().lists().chunks {
                process::dealloc(chunk.as_ptr().cast(), CHUNK_LAYOUT);
            }
            table.drop_in_place();
            process::dealloc(table.as_ptr().cast(), Layout::new::<Self>());
        }
    }
}
