//! [`Raw`]: the heap for compiled code, and for whoever writes its runtime. Nothing here is checked.
//!
//! An object is a header word and a payload, see [`Info`]. A pointer to one may have a tag in its low three bits (two
//! on 32-bit targets), which collections keep. Pointers to what is not in this heap are left alone: static objects,
//! which never move. Null is a pointer to nothing.
//!
//! # What may collect
//! Allocation, [`reserve`](Raw::reserve), [`safepoint`](Raw::safepoint) and [`collect`](Raw::collect). When they do,
//! every object that is reachable from a root moves, the rest is gone, and only these roots are updated: the shadow
//! stack, slots that a root callback shows, fields of registered static objects, and [`Root`]s. A pointer
//! that is anywhere else is stale then; so is any pointer into the middle of an object.
//!
//! ```
//! use bhc_rts_alloc::general::{Collection, GeneralHeap, Info};
//!
//! static CONS: Info = Info::fixed("Cons", 1, 1); // tail, then a number
//!
//! let mut heap = GeneralHeap::new();
//! let raw = heap.raw();
//! // SAFETY: every object is initialised before the next one is allocated, and the list is on the shadow stack meanwhile.
//! let sum = unsafe {
//!     raw.push(std::ptr::null_mut());
//!     for number in 0..1000_u64 {
//!         let cell = raw.alloc(&CONS).expect("memory").as_ptr();
//!         raw.word(cell, 0).write(raw.pop());
//!         raw.word(cell, 1).cast::<u64>().write(number);
//!         raw.push(cell);
//!     }
//!     raw.collect(Collection::Full);
//!     let (mut cell, mut sum) = (raw.pop(), 0);
//!     while !cell.is_null() {
//!         sum += raw.word(cell, 1).cast::<u64>().read();
//!         cell = raw.word(cell, 0).read();
//!     }
//!     sum
//! };
//! assert_eq!(sum, 499_500);
//! ```

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use super::collector::Callback;
use super::info::{self, First, INDIRECTION, Kind, TAG, Word, fill, words_of, write_header};
pub use super::info::{Header, Info};
pub use super::mutator::Mutator;
use super::object::Managed;
use super::root::Root;
use super::roots::RootTable;
#[cfg(feature = "capi")]
pub(crate) use super::roots::Slot;
use super::statistics::Collection;
use crate::error::{AllocError, AllocResult};

/// A heap as compiled code uses it: see the [module](self). Made by [`GeneralHeap::raw`](super::GeneralHeap::raw);
/// while it is used, nothing else of the heap is.
#[derive(Clone, Copy)]
pub struct Raw<'h> {
    mutator: &'h Mutator,
    /// Not for other threads.
    _here: PhantomData<*mut ()>,
}

/// What a root callback shows its slots to.
pub struct RootVisitor<'v> {
    visit: &'v mut dyn FnMut(*mut Word),
}

impl<'v> RootVisitor<'v> {
    pub(super) fn new(visit: &'v mut dyn FnMut(*mut Word)) -> Self {
        Self { visit }
    }

    /// A root: the slot is updated if what it points to has moved.
    ///
    /// # Safety
    /// The slot holds null or a pointer to an object, with any tag.
    pub unsafe fn slot(&mut self, slot: *mut *mut Header) {
        (self.visit)(slot);
    }
}

impl<'h> Raw<'h> {
    pub(super) fn new(mutator: &'h Mutator) -> Self {
        Self { mutator, _here: PhantomData }
    }

    /// What compiled code works on; valid as long as the heap is.
    #[must_use]
    pub fn mutator(self) -> *const Mutator {
        self.mutator
    }

    /// The heap again, of which compiled code has only what [`mutator`](Self::mutator) gave.
    ///
    /// # Safety
    /// The heap lives for `'h`, this is its thread, and nothing else of the heap is used while this is.
    #[must_use]
    pub unsafe fn from_mutator(mutator: *const Mutator) -> Self {
        // SAFETY: the caller's promise.
        Self::new(unsafe { &*mutator })
    }

    /// An object of a shape that is in its `Info` (any but an array), its payload uninitialised. `None` if there is no
    /// memory. May collect.
    ///
    /// Cost: with a constant `Info`, an addition, a comparison and two stores.
    ///
    /// # Safety
    /// Roots are as the [module](self) says. All pointers of the object are initialised before anything may collect
    /// again.
    #[inline(always)]
    pub unsafe fn alloc(self, info: &'static Info) -> Option<NonNull<Header>> {
        debug_assert!(info.size != 0, "an array has a length");
        // SAFETY: the caller's promise.
        let object = unsafe { self.mutator.alloc(info) }?;
        if info.size as usize >= super::old::LARGE {
            // SAFETY: just allocated; its fields may be young, and it is not.
            unsafe { self.mutator.barrier(object.as_ptr()) };
        }
        Some(object)
    }

    /// An array of `len` elements, uninitialised. `None` if there is no memory. May collect.
    ///
    /// # Safety
    /// As [`alloc`](Self::alloc); `info` is of arrays.
    pub unsafe fn alloc_array(self, info: &'static Info, len: usize) -> Option<NonNull<Header>> {
        // SAFETY: the caller's promise.
        unsafe { self.mutator.alloc_array(info, len, true, false) }
    }

    /// An array of `len` elements, all bytes zero: pointers to nothing. `None` if there is no memory. May collect.
    ///
    /// # Safety
    /// Roots are as the [module](self) says; `info` is of arrays.
    pub unsafe fn alloc_array_zeroed(self, info: &'static Info, len: usize) -> Option<NonNull<Header>> {
        // SAFETY: the caller's promise.
        unsafe { self.mutator.alloc_array(info, len, true, true) }
    }

    /// As [`alloc_array`](Self::alloc_array), out of what was [reserved](Self::reserve): never collects. `None` if it
    /// is used up.
    ///
    /// # Safety
    /// As [`alloc_reserved`](Self::alloc_reserved); `info` is of arrays.
    pub unsafe fn alloc_array_reserved(self, info: &'static Info, len: usize) -> Option<NonNull<Header>> {
        // SAFETY: the caller's promise.
        unsafe { self.mutator.alloc_array(info, len, false, false) }
    }

    /// Sees to it that the next allocations of together `words` words, headers included, do not collect. `false` if
    /// there is no memory, or the nursery is smaller. May collect.
    ///
    /// # Safety
    /// Roots are as the [module](self) says.
    #[inline]
    pub unsafe fn reserve(self, words: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.mutator.reserve(words) }
    }

    /// As [`alloc`](Self::alloc), out of what was [reserved](Self::reserve): never collects. `None` if it is used up.
    ///
    /// # Safety
    /// All pointers of the object are initialised before anything may collect.
    #[inline(always)]
    pub unsafe fn alloc_reserved(self, info: &'static Info) -> Option<NonNull<Header>> {
        // SAFETY: the caller's promise.
        let object = unsafe { self.mutator.alloc_reserved(info) }?;
        if info.size as usize >= super::old::LARGE {
            // SAFETY: as in `alloc`.
            unsafe { self.mutator.barrier(object.as_ptr()) };
        }
        Some(object)
    }

    /// Collects, if a [`Safepoint`](super::Safepoint) has asked for it. For loops that do not allocate.
    ///
    /// # Safety
    /// Roots are as the [module](self) says.
    #[inline]
    pub unsafe fn safepoint(self) {
        if self.mutator.hp_lim.load(Relaxed).is_null() {
            // SAFETY: the caller's promise.
            unsafe { self.mutator.poll() };
        }
    }

    /// Collects. This cannot fail: what it may need is held beforehand.
    ///
    /// # Safety
    /// Roots are as the [module](self) says.
    pub unsafe fn collect(self, kind: Collection) {
        // SAFETY: the caller's promise; nobody else has the collector.
        unsafe { (*self.mutator.collector.get()).collect(self.mutator, kind) };
    }

    /// Pushes a pointer to an object, or null, onto the shadow stack. Every collection looks at all of the stack, about
    /// a nanosecond a slot.
    ///
    /// # Panics
    /// If the shadow stack is full.
    ///
    /// # Safety
    /// Null, or an object that lives, with any tag; until it is popped.
    #[inline(always)]
    pub unsafe fn push(self, object: *mut Header) {
        // SAFETY: the caller's promise.
        if !unsafe { self.try_push(object) } {
            stack_overflow();
        }
    }

    /// As [`push`](Self::push); `false` if the shadow stack is full, which is as before then.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    #[inline(always)]
    #[must_use]
    pub unsafe fn try_push(self, object: *mut Header) -> bool {
        let top = self.mutator.stack_top.get();
        if top == self.mutator.stack_lim.get() {
            return false;
        }
        // SAFETY: below the end of the stack.
        unsafe { top.write(object) };
        self.mutator.stack_top.set(top.wrapping_add(1));
        true
    }

    /// Pops what was pushed last, as it is now.
    ///
    /// # Safety
    /// There is something on the shadow stack.
    #[inline(always)]
    pub unsafe fn pop(self) -> *mut Header {
        let top = self.mutator.stack_top.get().wrapping_sub(1);
        debug_assert!(top >= self.mutator.stack_base.get(), "the shadow stack is empty");
        self.mutator.stack_top.set(top);
        // SAFETY: a slot that was pushed.
        unsafe { top.read() }
    }

    /// How many slots are on the shadow stack.
    #[must_use]
    pub fn depth(self) -> usize {
        (self.mutator.stack_top.get().addr() - self.mutator.stack_base.get().addr()) / size_of::<Word>()
    }

    /// A slot of the shadow stack, counted from the bottom.
    ///
    /// # Safety
    /// There are more than `index`; what is written follows the rules of [`push`](Self::push).
    #[must_use]
    pub unsafe fn slot(self, index: usize) -> *mut *mut Header {
        debug_assert!(index < self.depth(), "a slot that is not there");
        self.mutator.stack_base.get().wrapping_add(index)
    }

    /// Pops all but so many slots.
    ///
    /// # Safety
    /// There are at least so many.
    pub unsafe fn truncate(self, depth: usize) {
        debug_assert!(depth <= self.depth(), "fewer slots than are to stay");
        self.mutator.stack_top.set(self.mutator.stack_base.get().wrapping_add(depth));
    }

    /// Word `index` of an object's payload. An array's first word is its length.
    ///
    /// For reading, for initialising, and for writing plain data. A pointer is stored with [`write`](Self::write).
    #[inline(always)]
    #[must_use]
    pub fn word(self, object: *mut Header, index: usize) -> *mut *mut Header {
        info::word(object, 1 + index)
    }

    /// Stores a pointer into word `index` of the payload of an object that is no array: with the write barrier. Never
    /// collects.
    ///
    /// Cost: a load, a test and the store, but for the first store into an old object after a collection.
    ///
    /// # Safety
    /// An object of this heap, without a tag, which has a pointer there; `value` is null or an object that lives, with
    /// any tag.
    #[inline(always)]
    pub unsafe fn write(self, object: *mut Header, index: usize, value: *mut Header) {
        // SAFETY: the caller's promise.
        unsafe {
            self.mutator.barrier(object);
            self.word(object, index).write(value);
        }
    }

    /// The write barrier alone, to be called before a pointer is stored into an object that is no array.
    ///
    /// # Safety
    /// An object of this heap, without a tag.
    #[inline]
    pub unsafe fn barrier(self, object: *mut Header) {
        // SAFETY: the caller's promise.
        unsafe { self.mutator.barrier(object) };
    }

    /// Stores a pointer into element `index` of an array of pointers: with the write barrier. Never collects.
    ///
    /// # Safety
    /// An array of this heap, without a tag, which has that element; `value` as for [`write`](Self::write).
    #[inline(always)]
    pub unsafe fn write_element(self, array: *mut Header, index: usize, value: *mut Header) {
        // SAFETY: the caller's promise.
        unsafe {
            self.mutator.array_barrier(array, index);
            self.word(array, 1 + index).write(value);
        }
    }

    /// Replaces a thunk by an indirection to `value`: with the write barrier. Never collects. Later collections put
    /// `value`, with its tag, in place of pointers to the thunk.
    ///
    /// # Safety
    /// A thunk of this heap, without a tag; its header may have been replaced by another of that size (a black hole).
    /// `value` is an object that lives, with any tag, and not null.
    pub unsafe fn update(self, thunk: NonNull<Header>, value: NonNull<Header>) {
        let object = thunk.as_ptr();
        // SAFETY: the caller's promise. What the thunk's words were is nobody's after this, so that the heap can still
        // be walked.
        unsafe {
            let First::Object(info) = Header::read(object) else { return };
            let words = words_of(object, info);
            if self.mutator.owns(object.addr()) {
                self.mutator.barrier(object);
            }
            write_header(thunk, &INDIRECTION);
            info::word(object, 1).write(value.as_ptr());
            fill(info::word(object, 2), words - 2);
        }
    }

    /// Replaces an object's header by that of another shape of the same size: a black hole for a thunk.
    ///
    /// # Safety
    /// An object of this heap, without a tag; the payload is valid for the new shape.
    pub unsafe fn set_info(self, object: NonNull<Header>, info: &'static Info) {
        // SAFETY: the caller's promise.
        unsafe { write_header(object, info) };
    }

    /// Makes the pointers of a static object roots: one outside of any heap, as a global that is evaluated once. Every
    /// collection looks at them; it needs no barrier.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no memory to remember it.
    ///
    /// # Safety
    /// The object, with a header of its shape, stays where it is and valid as long as the heap lives.
    pub unsafe fn register_static(self, object: NonNull<Header>) -> AllocResult<()> {
        // SAFETY: nobody else has the collector.
        let statics = unsafe { &mut (*self.mutator.collector.get()).statics };
        if crate::os::struck() || statics.try_reserve(1).is_err() {
            return Err(AllocError::OutOfMemory { requested: size_of::<Word>(), available: 0 });
        }
        statics.push(object.as_ptr());
        Ok(())
    }

    /// What is called in every collection, to show roots that only the runtime knows, as those of its stacks. `None`:
    /// nothing.
    ///
    /// # Safety
    /// `call` shows all of those slots, with `data`, whenever it is called until another one is set; it uses nothing of
    /// the heap.
    pub unsafe fn set_root_callback(
        self,
        call: Option<unsafe extern "C" fn(&mut RootVisitor<'_>, *mut c_void)>,
        data: *mut c_void,
    ) {
        // SAFETY: nobody else has the collector.
        unsafe { (*self.mutator.collector.get()).callback = call.map(|call| Callback { call, data }) };
    }

    /// A [`Root`] of an object: for code on the other side of a call, as GHC's stable pointers are.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no memory for more roots.
    ///
    /// # Safety
    /// An object of this heap, without a tag, which has the shape of `T` and is no thunk.
    pub unsafe fn root<T: Managed>(self, object: NonNull<Header>) -> AllocResult<Root<T>> {
        // SAFETY: the caller's promise; nobody else has the collector.
        unsafe {
            let roots = (*self.mutator.collector.get()).roots;
            RootTable::own(roots, object.as_ptr()).map(|slot| Root::new(slot)).ok_or(super::heap::NO_ROOTS)
        }
    }

    /// A slot of the root table that points to an object: what a [`Root`] has, for code without types.
    ///
    /// # Safety
    /// An object of this heap, with any tag.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn own_slot(self, object: NonNull<Header>) -> AllocResult<NonNull<Slot>> {
        // SAFETY: the caller's promise; nobody else has the collector.
        let slot = unsafe { RootTable::own((*self.mutator.collector.get()).roots, object.as_ptr()) };
        slot.ok_or(super::heap::NO_ROOTS)
    }

    /// Frees such a slot.
    ///
    /// # Safety
    /// It came from [`own_slot`](Self::own_slot) of this heap, and is not used afterwards.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn disown_slot(self, slot: NonNull<Slot>) {
        // SAFETY: the caller's promise.
        unsafe { RootTable::disown(slot) };
    }

    /// The object that a pointer, with any tag, leads to: itself, or what it was [updated](Self::update) with. The
    /// result may have a tag.
    ///
    /// # Safety
    /// Null, or an object that lives; the thunks that it leads to were not updated with each other in a circle.
    #[must_use]
    pub unsafe fn follow(self, mut pointer: *mut Header) -> *mut Header {
        // SAFETY: the caller's promise.
        unsafe {
            loop {
                let object = pointer.map_addr(|address| address & !TAG);
                if object.is_null() {
                    return pointer;
                }
                match Header::read(object) {
                    First::Object(info) if info.kind() == Kind::Indirection => pointer = *info::word(object, 1),
                    _ => return pointer,
                }
            }
        }
    }

    /// The shape of an object.
    ///
    /// # Safety
    /// An object, without a tag.
    #[must_use]
    pub unsafe fn info(self, object: NonNull<Header>) -> &'static Info {
        // SAFETY: the caller's promise.
        match unsafe { Header::read(object.as_ptr()) } {
            First::Object(info) => info,
            _ => unreachable!("not an object"),
        }
    }
}

#[cold]
#[inline(never)]
fn stack_overflow() -> ! {
    panic!("the shadow stack is full")
}
