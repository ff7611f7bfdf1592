//! [`GeneralHeap`]: the heap as its users see it.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU8};

use super::array::{Array, PtrArray};
use super::builder::GeneralHeapBuilder;
use super::bytes::{HeapBytes, OffItsThread};
use super::collector::{Collector, Settings};
use super::info::{Header, Info, WORD, len_of, word};
use super::mutator::{Mutator, Shared};
use super::object::{FieldOf, Gc, Live, Managed, Object, Pointers, Rooted};
use super::old::LARGE;
use super::raw::Raw;
use super::remember::{CARD, card_of};
use super::report::GcReport;
use super::reserved::Reserved;
use super::root::Root;
use super::roots::RootTable;
use super::safepoint::Safepoint;
use super::statistics::{Collection, GcStats};
use super::verify::{Corruption, Verified};
use crate::align::{Align, KnownAlign};
use crate::buffer::AlignedSlice;
use crate::error::{AllocError, AllocResult, or_panic};
use crate::owned;
use crate::region::{MemoryRegion, RegionKind, TypedRegion};
use crate::stats::AllocStats;

/// A garbage-collected heap for boxed values: precise, generational, moving.
///
/// `&GeneralHeap` means that nothing moves: objects are read, and changed, through [`Gc`]. `&mut GeneralHeap` means
/// that it may collect: then every object that [roots](Root) lead to moves, and the rest is gone, and the borrow
/// checker sees to it that no `Gc` is left. So a stale pointer is a compile error, and reading costs nothing.
///
/// * **Objects** are declared with [`gc_object!`](crate::gc_object); beside them there are [arrays of
///   pointers](PtrArray) and [aligned arrays of data](Array). No code of theirs ever runs in a collection, and they
///   have no destructors. Of any size: those of 8 KiB and more are never copied.
/// * **Allocating** is to move a pointer. [`new_gc`](Self::new_gc) takes pointers as roots, since it may collect; in
///   what was [reserved](Self::reserve) at once, pointers are plain `Gc`s and nothing collects: that is how functional
///   code is written, and the fastest way.
/// * **Generations**: new objects are in the nursery (1 MiB). When it is full those that live move to the old
///   generation; when that has doubled, it is copied in turn. Storing a pointer into an old object is remembered by a
///   write barrier, which [`set`](Self::set) has inside.
/// * **Many heaps** may be side by side, one thread each (a heap is not `Send`). Mixing their objects is caught.
///   Dropping one returns every page at once.
/// * **Raw bytes** that never move come from [`bytes`](Self::bytes), which is a [`MemoryRegion`]; the heap itself
///   forwards to it.
/// * **Compiled code** uses the heap [raw](Self::raw).
/// * **Memory**: full collections copy, so the heap takes up to about three times what lives. A
///   [limit](GeneralHeapBuilder::limit) is strict: what would go beyond is refused, with the heap as before, and a
///   collection never runs short in the middle.
///
/// Not for: objects with destructors, references to other memory, sharing between threads, weak references.
///
/// ```
/// use bhc_rts_alloc::{GeneralHeap, Gc, gc_object};
///
/// gc_object! {
///     /// A binary tree with numbers at its leaves.
///     pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, }
/// }
///
/// fn sum(tree: Gc<'_, Tree>) -> u64 {
///     let children = [Tree::left, Tree::right];
///     tree.value + children.into_iter().filter_map(|child| tree.get(child)).map(sum).sum::<u64>()
/// }
///
/// let mut heap = GeneralHeap::new();
/// let leaf = heap.new_root::<Tree>(TreeInit { left: None, right: None, value: 1 });
/// let tree = heap.new_root::<Tree>(TreeInit { left: Some(&leaf), right: Some(&leaf), value: 0 });
/// for value in 0..100_000 {
///     heap.new_gc::<Tree>(TreeInit { left: None, right: None, value }); // garbage
/// }
/// assert!(heap.gc_stats().minor_collections > 0);
/// assert_eq!(sum(tree.get(&heap)), 2);
/// ```
pub struct GeneralHeap {
    shared: owned::Shared<Shared>,
    collector: NonNull<Collector>,
    roots: NonNull<RootTable>,
    bytes: HeapBytes,
}

// SAFETY: never applies.
unsafe impl Send for GeneralHeap where for<'h> PhantomData<&'h GeneralHeap>: OffItsThread {}
// SAFETY: never applies.
unsafe impl Sync for GeneralHeap where for<'h> PhantomData<&'h GeneralHeap>: OffItsThread {}

static_assertions::assert_not_impl_any!(GeneralHeap: Send, Sync);

/// There is no memory for another root.
pub(super) const NO_ROOTS: AllocError = AllocError::OutOfMemory { requested: WORD, available: 0 };

impl GeneralHeap {
    /// An empty heap, as the [builder](Self::builder) makes it if it is told nothing.
    ///
    /// # Panics
    /// If there is no address space, or memory, for it.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        or_panic(Self::try_new())
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no address space, or memory, for it.
    pub fn try_new() -> AllocResult<Self> {
        Self::builder().try_build()
    }

    /// For a heap with other sizes, a limit, or checks.
    pub const fn builder() -> GeneralHeapBuilder {
        GeneralHeapBuilder::new()
    }

    pub(super) fn build(settings: Settings) -> AllocResult<Self> {
        let refused = || AllocError::OutOfMemory { requested: settings.nursery, available: 0 };
        let mut collector = Collector::new(settings).ok_or_else(refused)?;
        let space = collector.space.clone();
        let (stack, len) = (collector.stack.start().as_ptr(), collector.stack.len());
        let mutator = Mutator {
            hp: Cell::new(ptr::null_mut()),
            hp_lim: AtomicPtr::new(ptr::null_mut()),
            stack_top: Cell::new(stack.cast()),
            stack_lim: Cell::new(stack.wrapping_add(len).cast()),
            log_bias: Cell::new(space.log_bias()),
            limit: Cell::new(ptr::null_mut()),
            stack_base: Cell::new(stack.cast()),
            base: space.base().addr().get(),
            span: space.span(),
            collector: Cell::new(ptr::null_mut()),
            wanted: AtomicU8::new(0),
        };
        collector.open_nursery(&mutator);
        if mutator.room() == 0 {
            return Err(refused()); // nothing could ever be made in it
        }
        let roots = collector.roots;
        let made = move || {
            let (bytes, shared) = (HeapBytes::new(space)?, owned::Shared::try_new(Shared(mutator))?);
            let collector = NonNull::from(Box::leak(owned::boxed(collector)?));
            shared.0.collector.set(collector.as_ptr());
            Some(Self { shared, collector, roots, bytes })
        };
        made().ok_or_else(refused)
    }

    #[inline(always)]
    pub(super) fn mutator(&self) -> &Mutator {
        &self.shared.0
    }

    #[inline(always)]
    pub(super) fn roots(&self) -> NonNull<RootTable> {
        self.roots
    }

    fn collector(&self) -> &Collector {
        // SAFETY: it lives as long as the heap. Whoever changes it does so for the time of a call that none of the
        // users of this reference makes meanwhile.
        unsafe { self.collector.as_ref() }
    }

    /// # Panics
    /// If it is another heap's object.
    #[inline(always)]
    #[track_caller]
    pub(super) fn check<T: Managed>(&self, object: Gc<'_, T>) {
        if !self.mutator().owns(object.word().addr()) {
            wrong_heap();
        }
    }

    /// Whether an address is among those that the heap has reserved.
    #[must_use]
    pub fn contains<T>(&self, address: *const T) -> bool {
        self.mutator().owns(address.addr())
    }

    /// That so many bytes are not there.
    pub(crate) fn refused(&self, bytes: usize) -> AllocError {
        let space = &self.collector().space;
        AllocError::OutOfMemory { requested: bytes, available: space.available() * crate::runs::SLICE }
    }

    // ---- objects ----

    /// Makes an object. May collect.
    ///
    /// The result borrows the heap as `&mut` does: it is there to be read. What is to be kept is made by
    /// [`new_root`](Self::new_root); what is to be changed, or to be pointed to, too, or in a
    /// [reservation](Self::reserve).
    ///
    /// # Panics
    /// If there is no memory, or `init` has a root of another heap.
    #[inline(always)]
    #[track_caller]
    pub fn new_gc<T: Object>(&mut self, init: T::Init<Rooted<'_>>) -> Gc<'_, T> {
        T::check(&init, self);
        match self.make::<T>(init) {
            // SAFETY: a new object of that type.
            Some(object) => unsafe { Gc::new(object) },
            None => crate::error::refuse(&self.refused(T::BYTES)),
        }
    }

    /// As [`new_gc`](Self::new_gc).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory; the heap is as before.
    ///
    /// # Panics
    /// If `init` has a root of another heap.
    #[inline]
    pub fn try_new_gc<T: Object>(&mut self, init: T::Init<Rooted<'_>>) -> AllocResult<Gc<'_, T>> {
        T::check(&init, self);
        // SAFETY: a new object of that type.
        self.make::<T>(init).map(|object| unsafe { Gc::new(object) }).ok_or_else(|| self.refused(T::BYTES))
    }

    #[inline(always)]
    fn make<T: Object>(&mut self, init: T::Init<Rooted<'_>>) -> Option<NonNull<Header>> {
        // SAFETY: `&mut self`: nobody has references into the heap, and what lives is reachable from owned roots. The
        // object is initialised at once.
        unsafe {
            let object = self.mutator().alloc(T::INFO)?;
            T::write::<Rooted<'_>>(object, init);
            self.remember_large::<T>(object);
            Some(object)
        }
    }

    /// A large object is old from the start, and its fields may be young.
    ///
    /// # Safety
    /// A new object of that type.
    #[inline(always)]
    pub(super) unsafe fn remember_large<T: Object>(&self, object: NonNull<Header>) {
        if T::INFO.size as usize >= LARGE {
            // SAFETY: the caller's promise.
            unsafe { self.mutator().barrier(object.as_ptr()) };
        }
    }

    /// Makes an object and a root of it. May collect.
    ///
    /// # Panics
    /// If there is no memory, or `init` has a root of another heap.
    #[inline(always)]
    #[track_caller]
    pub fn new_root<T: Object>(&mut self, init: T::Init<Rooted<'_>>) -> Root<T> {
        let object = self.new_gc::<T>(init).object();
        // SAFETY: a new object of that type; nothing has collected since.
        or_panic(unsafe { self.own(Gc::new(object)) })
    }

    /// As [`new_root`](Self::new_root).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory; the heap is as before, but that the object may
    /// have been made.
    ///
    /// # Panics
    /// If `init` has a root of another heap.
    pub fn try_new_root<T: Object>(&mut self, init: T::Init<Rooted<'_>>) -> AllocResult<Root<T>> {
        let object = self.try_new_gc::<T>(init)?.object();
        // SAFETY: as in `new_root`.
        unsafe { self.own(Gc::new(object)) }
    }

    /// Makes a root of an object.
    ///
    /// # Panics
    /// If there is no memory for more roots, or it is another heap's object.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn root<T: Managed>(&self, object: Gc<'_, T>) -> Root<T> {
        or_panic(self.try_root(object))
    }

    /// Makes a root of an object.
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory for more roots.
    ///
    /// # Panics
    /// If it is another heap's object.
    #[inline(always)]
    #[track_caller]
    pub fn try_root<T: Managed>(&self, object: Gc<'_, T>) -> AllocResult<Root<T>> {
        self.check(object);
        // SAFETY: an object of this heap.
        unsafe { self.own(object) }
    }

    /// # Safety
    /// An object of this heap.
    #[inline(always)]
    unsafe fn own<T: Managed>(&self, object: Gc<'_, T>) -> AllocResult<Root<T>> {
        // SAFETY: the caller's promise; a slot that is owned belongs to one root.
        unsafe { RootTable::own(self.roots, object.word()).map(|slot| Root::new(slot)) }.ok_or(NO_ROOTS)
    }

    /// Points a field of an object to another object, or to nothing: with the write barrier. Never collects.
    ///
    /// Cost: two comparisons, a load, a test and a store; the first time after a collection that an old object is
    /// written, it is remembered.
    ///
    /// # Panics
    /// If one of them is another heap's object.
    #[inline(always)]
    #[track_caller]
    pub fn set<T: Managed, U: Managed>(&self, object: Gc<'_, T>, field: FieldOf<T, U>, value: Option<Gc<'_, U>>) {
        self.check(object);
        Live::check(value, self);
        // SAFETY: an object of this heap with that field; nobody has a reference to the field's word, which is in an
        // `UnsafeCell`.
        unsafe {
            self.mutator().barrier(object.word());
            word(object.word(), field.index).write(Live::word(value));
        }
    }

    // ---- arrays ----

    /// An array of `len` pointers to nothing. May collect.
    ///
    /// # Panics
    /// If there is no memory.
    #[must_use]
    #[track_caller]
    pub fn new_pointers<T: Managed>(&mut self, len: usize) -> Root<PtrArray<T>> {
        or_panic(self.try_new_pointers(len))
    }

    /// As [`new_pointers`](Self::new_pointers).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory, [`Overflow`](AllocError::Overflow) if no address
    /// space has room for it; the heap is as before.
    pub fn try_new_pointers<T: Managed>(&mut self, len: usize) -> AllocResult<Root<PtrArray<T>>> {
        // SAFETY: `&mut self`, see `make`.
        let array = unsafe { self.pointers::<T>(len, true) }?;
        self.try_root(array)
    }

    /// Points element `index` of an array to an object, or to nothing: as [`set`](Self::set).
    ///
    /// # Panics
    /// If there is no such element, or one of them is another heap's.
    #[inline]
    #[track_caller]
    pub fn set_element<T: Managed>(&self, array: Gc<'_, PtrArray<T>>, index: usize, value: Option<Gc<'_, T>>) {
        self.check(array);
        Live::check(value, self);
        assert!(index < array.as_ref().len(), "element {index} of an array of {}", array.as_ref().len());
        // SAFETY: as in `set`.
        unsafe {
            self.mutator().array_barrier(array.word(), index);
            word(array.word(), 2 + index).write(Live::word(value));
        }
    }

    /// Copies elements `range` of one array to another, or the same, from element `at` on, as if all were read first.
    /// Never collects.
    ///
    /// # Panics
    /// If an array has no such elements, or one of them is another heap's.
    #[track_caller]
    pub fn copy_elements<T: Managed>(
        &self,
        from: Gc<'_, PtrArray<T>>,
        range: Range<usize>,
        to: Gc<'_, PtrArray<T>>,
        at: usize,
    ) {
        self.check(from);
        self.check(to);
        let count = from.as_ref()[range.clone()].len();
        assert!(at <= to.as_ref().len() && count <= to.as_ref().len() - at, "the elements do not fit");
        if count == 0 {
            return; // of no card
        }
        // SAFETY: as in `set_element`, for each of them. Whether an element is really old or young is not asked: the
        // card is.
        unsafe {
            let first = word(to.word(), 2 + at).addr();
            for card in (card_of(first)..first + count * WORD).step_by(CARD) {
                self.mutator().card_barrier(to.word(), card);
            }
            word(to.word(), 2 + at).copy_from(word(from.word(), 2 + range.start), count);
        }
    }

    /// An array with the contents of a slice. May collect.
    ///
    /// # Panics
    /// If there is no memory.
    #[must_use]
    #[track_caller]
    pub fn new_data<T: Copy + 'static, A: KnownAlign>(&mut self, data: &[T]) -> Root<Array<T, A>> {
        const { _ = Array::<T, A>::ALIGN };
        or_panic(self.try_new_data(data))
    }

    /// As [`new_data`](Self::new_data).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory; the heap is as before.
    pub fn try_new_data<T: Copy + 'static, A: KnownAlign>(&mut self, data: &[T]) -> AllocResult<Root<Array<T, A>>> {
        const { _ = Array::<T, A>::ALIGN };
        // SAFETY: `&mut self`, see `make`.
        let array = unsafe { self.data(data, true) }?;
        self.try_root(array)
    }

    /// An array of `len` zeros. May collect.
    ///
    /// # Panics
    /// If there is no memory.
    #[must_use]
    #[track_caller]
    pub fn new_zeroed<T: Copy + bytemuck::Zeroable + 'static, A: KnownAlign>(
        &mut self,
        len: usize,
    ) -> Root<Array<T, A>> {
        const { _ = Array::<T, A>::ALIGN };
        or_panic(self.try_new_zeroed(len))
    }

    /// As [`new_zeroed`](Self::new_zeroed).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory, [`Overflow`](AllocError::Overflow) if no address
    /// space has room for it; the heap is as before.
    pub fn try_new_zeroed<T: Copy + bytemuck::Zeroable + 'static, A: KnownAlign>(
        &mut self,
        len: usize,
    ) -> AllocResult<Root<Array<T, A>>> {
        const { _ = Array::<T, A>::ALIGN };
        // SAFETY: `&mut self`, see `make`; zeros are elements.
        let array = unsafe { self.elements::<T, A>(len, true, true) }?;
        self.try_root(array)
    }

    /// The elements of an array of data, for writing.
    ///
    /// # Panics
    /// If it is another heap's root.
    #[track_caller]
    pub fn data_mut<T: Copy + 'static, A: KnownAlign>(&mut self, array: &Root<Array<T, A>>) -> &mut AlignedSlice<T, A> {
        let array = array.get(self).word();
        // SAFETY: `&mut self`: nobody has another reference to it; its elements are initialised, and aligned.
        unsafe {
            let elements = word(array, 2).cast::<T>();
            AlignedSlice::new_unchecked_mut(core::slice::from_raw_parts_mut(elements, len_of(array)))
        }
    }

    /// # Safety
    /// Nobody has references into the heap, if it may collect.
    unsafe fn array(
        &self,
        info: &'static Info,
        len: usize,
        may_collect: bool,
        zeroed: bool,
    ) -> AllocResult<NonNull<Header>> {
        let words = info.array_words(len).ok_or(AllocError::Overflow)?;
        // SAFETY: the caller's promise; what lives is reachable from owned roots.
        let array = unsafe { self.mutator().alloc_array(info, len, may_collect, zeroed) };
        array.ok_or_else(|| self.refused(words * WORD))
    }

    /// # Safety
    /// As for `array`.
    pub(super) unsafe fn pointers<'h, T: Managed>(
        &self,
        len: usize,
        may_collect: bool,
    ) -> AllocResult<Gc<'h, PtrArray<T>>> {
        // SAFETY: the caller's promise; zeros are pointers to nothing.
        unsafe { self.array(PtrArray::<T>::INFO, len, may_collect, true).map(|array| Gc::new(array)) }
    }

    /// # Safety
    /// As for `array`; elements that are not zeroed are initialised before anybody sees them.
    unsafe fn elements<'h, T: Copy + 'static, A: KnownAlign>(
        &self,
        len: usize,
        may_collect: bool,
        zeroed: bool,
    ) -> AllocResult<Gc<'h, Array<T, A>>> {
        // SAFETY: the caller's promise.
        unsafe { self.array(Array::<T, A>::INFO, len, may_collect, zeroed).map(|array| Gc::new(array)) }
    }

    /// # Safety
    /// As for `array`.
    pub(super) unsafe fn data<'h, T: Copy + 'static, A: KnownAlign>(
        &self,
        data: &[T],
        may_collect: bool,
    ) -> AllocResult<Gc<'h, Array<T, A>>> {
        // SAFETY: the caller's promise; as many elements as there is room for. The slice may be in this heap: then it
        // is borrowed, and nothing collects.
        unsafe {
            let array = self.elements::<T, A>(data.len(), may_collect, false)?;
            word(array.word(), 2).cast::<T>().copy_from_nonoverlapping(data.as_ptr(), data.len());
            Ok(array)
        }
    }

    // ---- collections ----

    /// Sees to it that the next objects of together `bytes` bytes can be made without collecting: by collecting now, if
    /// need be. What is to be reserved for an object is [`Object::BYTES`]; for an array, [`Array::bytes`] or
    /// [`PtrArray::bytes`]. What GHC calls a heap check.
    ///
    /// Objects of 8 KiB and more do not come from the nursery, and are not promised by it: near the limit a reservation may refuse
    /// them. The next one collects, and then they may be there.
    ///
    /// ```
    /// use bhc_rts_alloc::{Gc, GeneralHeap, gc_object};
    /// use bhc_rts_alloc::general::{Object, Reserved};
    ///
    /// gc_object! { pub struct Cons / ConsInit { ptr tail: Cons, data head: u64, } }
    ///
    /// fn range<'h>(space: &Reserved<'h>, from: u64, to: u64) -> Option<Gc<'h, Cons>> {
    ///     (from < to).then(|| space.new_gc::<Cons>(ConsInit { tail: range(space, from + 1, to), head: from }))
    /// }
    ///
    /// let mut heap = GeneralHeap::new();
    /// let space = heap.reserve(100 * Cons::BYTES);
    /// let list = range(&space, 0, 100).unwrap();
    /// assert_eq!(list.get(Cons::tail).unwrap().head, 1);
    /// ```
    ///
    /// # Panics
    /// If there is no memory, or the nursery is smaller than that.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn reserve(&mut self, bytes: usize) -> Reserved<'_> {
        or_panic(self.try_reserve(bytes))
    }

    /// As [`reserve`](Self::reserve).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no memory, or the nursery is smaller than that.
    #[inline(always)]
    pub fn try_reserve(&mut self, bytes: usize) -> AllocResult<Reserved<'_>> {
        // SAFETY: `&mut self`: nobody has references into the heap.
        if unsafe { self.mutator().reserve(bytes.div_ceil(WORD)) } {
            return Ok(Reserved::new(self));
        }
        Err(AllocError::OutOfMemory { requested: bytes, available: self.mutator().room() * WORD })
    }

    /// Collects. This cannot fail: what it may need is held beforehand.
    pub fn collect(&mut self, kind: Collection) {
        // SAFETY: `&mut self`: nobody has references into the heap, or uses the collector.
        unsafe { (*self.collector.as_ptr()).collect(self.mutator(), kind) };
    }

    /// What asks this heap to collect, from any thread.
    #[must_use]
    pub fn safepoint_handle(&self) -> Safepoint {
        Safepoint::new(self.shared.clone())
    }

    /// Collects, if a [`Safepoint`] has asked for it. For loops that do not allocate; what allocates looks by itself.
    /// Costs a load and a test.
    #[inline]
    pub fn safepoint(&mut self) {
        // SAFETY: `&mut self`: nobody has references into the heap.
        unsafe { self.raw().safepoint() };
    }

    /// Gives back to the system all memory that is not in use. Returns the bytes. Free memory that was not needed from
    /// one full collection to the next is given back anyway.
    pub fn trim(&mut self) -> usize {
        // SAFETY: `&mut self`: nobody uses the collector.
        self.bytes.trim() + unsafe { (*self.collector.as_ptr()).trim() }
    }

    /// The heap for compiled code. All of it is unsafe to use.
    #[must_use]
    pub fn raw(&mut self) -> Raw<'_> {
        Raw::new(self.mutator())
    }

    // ---- raw bytes ----

    /// Raw bytes of this heap: a handle that does not borrow it. Blocks never move, are freed explicitly, count in the
    /// heap's limit, and stay if the heap goes first.
    #[must_use]
    pub fn bytes(&self) -> HeapBytes {
        self.bytes.clone()
    }

    // ---- looking ----

    /// What the collector did so far.
    #[must_use]
    pub fn gc_stats(&self) -> GcStats {
        let collector = self.collector();
        GcStats { bytes_allocated: collector.bytes_allocated(self.mutator()), ..collector.stats }
    }

    /// What the heap has now, and what its collector did so far, as a text in the manner of GHC's `-s`.
    #[must_use]
    pub fn report(&self) -> GcReport {
        let collector = self.collector();
        GcReport::new(self.gc_stats(), collector, self.mutator(), self.bytes.stats())
    }

    /// Owned roots.
    #[must_use]
    pub fn root_count(&self) -> usize {
        // SAFETY: the table lives as long as the heap.
        unsafe { self.roots.as_ref() }.live()
    }

    /// Looks at everything: all objects, roots, tables and sums. Costs about as much as several full collections.
    ///
    /// # Errors
    /// What is wrong, if anything is: then the collector has an error, or unsafe code has.
    pub fn verify(&self) -> Result<Verified, Corruption> {
        self.collector().verify(self.mutator())
    }
}

impl Default for GeneralHeap {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for GeneralHeap {
    fn drop(&mut self) {
        // SAFETY: leaked when the heap was made; nobody uses it after this.
        drop(unsafe { Box::from_raw(self.collector.as_ptr()) });
    }
}

impl fmt::Debug for GeneralHeap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneralHeap").field("stats", &self.gc_stats()).field("roots", &self.root_count()).finish()
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn wrong_heap() -> ! {
    panic!("an object of another heap")
}

// SAFETY: each method is that of the heap's raw bytes, which keep the contract, are not moved or ended by anything that
// `&mut GeneralHeap` does, and outlive it.
unsafe impl MemoryRegion for GeneralHeap {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.bytes.alloc(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.bytes.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        // SAFETY: the caller's promise.
        unsafe { self.bytes.realloc(ptr, old_layout, new_size) }
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.bytes.alloc_zeroed(layout)
    }

    fn stats(&self) -> AllocStats {
        self.bytes.stats()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::General
    }
}

impl TypedRegion for GeneralHeap {
    type MaxAlign = Align<32768>;
}
