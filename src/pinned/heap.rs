//! [`PinnedHeap`]: the heap as its users see it, and the fast paths.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytemuck::Zeroable;

use super::builder::PinnedHeapBuilder;
use super::cache::Cache;
use super::cells;
use super::control::Control;
use super::engine::{Contents, Engine, MAX_ALIGN, SEGMENT, Settings};
use super::observer::Segment;
use super::report::{ClassTable, PinnedBlock, PinnedUsage};
use super::thread::{self, Key};
use crate::align::{Align, KnownAlign};
use crate::buffer::{Place, SimdBuffer};
use crate::class::Class;
use crate::error::{AllocError, AllocResult, or_panic};
use crate::os::poison;
use crate::region::{MemoryRegion, Promises, RegionKind, TypedRegion, dangling, resized};
use crate::runs::{SLICE, Slices};
use crate::stats::AllocStats;

/// A general-purpose heap whose blocks never move: for foreign functions, device IO, and whatever is freed in another order
/// than it was allocated, from any thread.
///
/// It is told the layout of a block when it is freed, as all regions are, and lives off that: the size class is known
/// without looking at the block, and for a constant layout at compile time. Each thread keeps some free blocks of each class
/// for itself; with a constant layout an allocation, or a free, is about twenty instructions, statistics included. Nothing
/// of the heap's is ever written into a block, nor beside it.
///
/// * **Threads**: all methods take `&self`. Share a heap by reference, in a `static` (see [`PinnedGlobal`](super::PinnedGlobal)),
///   or as `Arc<PinnedHeap>`, which is a region too. A block may be freed by any thread. When a thread ends, what it kept goes
///   back to the heap.
/// * **Many heaps** may exist side by side. Dropping one ends all of its blocks at once, and reports those that
///   [live](PinnedHeapBuilder::on_leak).
/// * **Alignment** up to 1 GiB, and it costs nothing: 100 bytes at 4096 are a block of 4096. A `TypedRegion` up to 4 MiB.
/// * **Large blocks** (above 64 KiB) are whole 8 KiB slices: at most an eighth more than asked for. They grow in place where
///   there is room, else by moving their pages, not their bytes.
/// * **Zeros** are not written where fresh memory has them, from 4 KiB on.
/// * **Memory goes back** to the system when it has been free for a [while](PinnedHeapBuilder::decay), seen at the next slow
///   call; [`trim`](Self::trim) gives back all at once.
/// * **Statistics** are exact, in requested bytes. Only the peak is not while several threads run: by at most
///   [`peak_error_bound`](PinnedUsage::peak_error_bound); with one thread it is exact.
/// * **Misuse** (double free, interior pointer, wrong layout) is [found](super::Misuse) when the block goes back to its span.
///
/// Not for: a child process after `fork` while other threads used the heap (their locks stay locked), and signal handlers.
///
/// The shape is Bonwick's magazines over slabs, with jemalloc's classes, snmalloc's rule of alignment and SPDK's registration of
/// segments.
///
/// ```
/// use bhc_rts_alloc::{Align, MemoryRegion, PinnedHeap, SimdBuffer};
/// use std::alloc::Layout;
///
/// let heap = PinnedHeap::new();
/// let mut page: SimdBuffer<u8, Align<4096>, &PinnedHeap> = heap.alloc_buffer(4096);
/// page[0] = 1;
///
/// let layout = Layout::from_size_align(100, 64).unwrap();
/// let block = heap.alloc(layout)?;
/// assert!(heap.contains(block.as_ptr()) && block.addr().get() % 64 == 0);
/// // SAFETY: allocated just above with the same layout, and not used again.
/// unsafe { heap.dealloc(block, layout) };
///
/// assert_eq!(heap.stats().current_live, 4096);
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
pub struct PinnedHeap {
    key: Key,
    /// Where its slices start: what blocks are derived from.
    base: NonNull<u8>,
    engine: NonNull<Engine>,
    control: NonNull<Control>,
}

// SAFETY: the engine is shared by all threads behind locks and atomics; what is a thread's own is found by thread.
unsafe impl Send for PinnedHeap {}
// SAFETY: as above.
unsafe impl Sync for PinnedHeap {}

static_assertions::assert_impl_all!(PinnedHeap: Send, Sync, Unpin);

/// From this size on, in bytes, zeros are rather looked for than written.
const UNWRITTEN: usize = 4096;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl PinnedHeap {
    /// An empty heap, as the [builder](Self::builder) makes it if it is told nothing.
    ///
    /// # Panics
    /// If there is no address space for it.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        or_panic(Self::try_new())
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if there is no address space for it.
    pub fn try_new() -> AllocResult<Self> {
        Self::builder().try_build()
    }

    /// For a heap that is limited, or observed, or unusual in another way.
    pub const fn builder() -> PinnedHeapBuilder {
        PinnedHeapBuilder::new()
    }

    pub(super) fn build(settings: Settings) -> AllocResult<Self> {
        let requested = size_of::<Engine>();
        let refused = || AllocError::OutOfMemory { requested, available: 0 };
        let control = cells::put(Control::new()).ok_or_else(refused)?;
        let Some(engine) = Engine::build(settings) else {
            // SAFETY: nobody has it.
            unsafe { cells::give_back(control) };
            return Err(refused());
        };
        // SAFETY: just built.
        let base = unsafe { engine.as_ref() }.tables.base();
        Ok(Self { key: Key::new(NEXT_ID.fetch_add(1, Relaxed)), base, engine, control })
    }

    #[cfg(not(bhc_no_tls))]
    pub(super) fn key(&self) -> Key {
        self.key
    }

    #[cfg(not(bhc_no_tls))]
    pub(super) fn control(&self) -> NonNull<Control> {
        self.control
    }

    /// The pointer to a block as the heap gave it. A `Box` or a reference that the caller's pointer went through may have narrowed what
    /// it may be used for; regions are promised the pointer that they gave, global allocators and `Allocator`s are not.
    #[inline(always)]
    pub(crate) fn own(&self, block: NonNull<u8>) -> NonNull<u8> {
        self.base.with_addr(block.addr())
    }

    /// Whether an address is among those that the heap has reserved.
    #[cfg(feature = "capi")]
    #[inline(always)]
    pub(crate) fn owns(&self, block: NonNull<u8>) -> bool {
        self.engine().tables.offset_of(block.addr().get()).is_some()
    }

    #[inline(always)]
    pub(super) fn engine(&self) -> &Engine {
        // SAFETY: it lives as long as the heap, which closes it when it is dropped.
        unsafe { self.engine.as_ref() }
    }

    /// The calling thread's cache, if it can have one.
    #[inline(always)]
    pub(super) fn cache(&self) -> Option<&Cache> {
        let cache = thread::cache(self.key).or_else(|| thread::find_cache(self));
        // SAFETY: caches live as long as the heap. This one is the calling thread's, and is used by it alone: none of the
        // references made here is kept over the end of a call, or given to another thread.
        cache.map(|cache| unsafe { cache.as_ref() })
    }

    /// Allocates; `None` if that fails, which is counted.
    #[inline(always)]
    pub(crate) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if let Some(class) = Class::of(layout)
            && let Some(cache) = thread::cache(self.key)
        {
            // SAFETY: the calling thread's cache in this heap, see `cache`.
            unsafe {
                if let Some(block) = cache.as_ref().pop(class) {
                    poison::in_use(block, class.size());
                    cache.as_ref().tally.record_alloc(layout.size());
                    return Some(block);
                }
            }
        }
        self.take_slow(layout)
    }

    #[cold]
    #[inline(never)]
    fn take_slow(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return Some(dangling(layout.align()));
        }
        let block = match Class::of(layout) {
            Some(class) => {
                let cache = self.cache();
                // It may only have been in no slot.
                // SAFETY: the calling thread's cache, see `cache`.
                let block = match cache.and_then(|cache| unsafe { cache.pop(class) }.zip(Some(cache))) {
                    Some((block, cache)) => {
                        cache.tally.record_alloc(layout.size());
                        Some(block)
                    }
                    None => self.engine().alloc_small(cache, class, layout.size()),
                };
                if let Some(block) = block {
                    // SAFETY: nobody has the block yet.
                    unsafe { poison::in_use(block, class.size()) };
                }
                block
            }
            None => self.engine().alloc_large(self.cache(), layout, Contents::Any),
        };
        if block.is_none() {
            self.engine().count_failure();
        }
        block
    }

    /// Allocates zeros; `None` if that fails.
    #[inline]
    pub(crate) fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() >= UNWRITTEN {
            return self.take_unwritten(layout);
        }
        let block = self.take(layout)?;
        // SAFETY: the block is so long, and nobody has it yet.
        unsafe { block.write_bytes(0, layout.size()) };
        Some(block)
    }

    /// Allocates zeros that are not written, where there are such.
    #[inline(never)]
    fn take_unwritten(&self, layout: Layout) -> Option<NonNull<u8>> {
        let (engine, cache) = (self.engine(), self.cache());
        let Some(class) = Class::of(layout) else {
            let block = engine.alloc_large(cache, layout, Contents::Zeros);
            if block.is_none() {
                engine.count_failure();
            }
            return block;
        };
        let at_hand = cache.is_some_and(|cache| cache.count(class) > 0);
        if !at_hand && let Some(block) = engine.alloc_fresh(cache, class, layout.size()) {
            // SAFETY: nobody has the block yet.
            unsafe { poison::in_use(block, class.size()) };
            return Some(block);
        }
        let block = self.take(layout)?;
        // SAFETY: the block is so long, and nobody has it yet.
        unsafe { block.write_bytes(0, layout.size()) };
        Some(block)
    }

    /// # Safety
    /// As for [`MemoryRegion::dealloc`].
    #[inline(always)]
    pub(crate) unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(class) = Class::of(layout)
            && let Some(cache) = thread::cache(self.key)
        {
            // SAFETY: the calling thread's cache in this heap, see `cache`.
            unsafe {
                if cache.as_ref().push(class, block) {
                    self.poison(class, block);
                    cache.as_ref().tally.record_dealloc(layout.size());
                    return;
                }
            }
        }
        self.give_slow(block, layout);
    }

    #[cold]
    #[inline(never)]
    fn give_slow(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        match Class::of(layout) {
            Some(class) => {
                self.poison(class, block);
                let cache = self.cache();
                // SAFETY: the calling thread's cache, see `cache`.
                match cache.filter(|cache| unsafe { cache.push(class, block) }) {
                    Some(cache) => cache.tally.record_dealloc(layout.size()),
                    None => self.engine().free_small(cache, class, block, layout.size()),
                }
            }
            None => self.engine().free_large(self.cache(), block, layout.size()),
        }
    }

    /// Makes the use of a freed block noticed, if it is one: what is not is found later, and is not to be written to.
    #[inline(always)]
    fn poison(&self, class: Class, block: NonNull<u8>) {
        if cfg!(any(debug_assertions, bhc_asan))
            && super::depot::find(&self.engine().tables, class, block.addr().get()).is_ok()
        {
            // SAFETY: a block of this heap, which nobody has any more.
            unsafe { poison::freed(block, class.size()) };
        }
    }

    /// # Safety
    /// As for [`MemoryRegion::realloc`]; neither size is 0.
    pub(super) unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        match (Class::of(old), Class::of(new)) {
            (Some(class), Some(new_class)) if class == new_class => {
                self.engine().resize_small(self.cache(), old.size(), new.size());
                Some(block)
            }
            (None, None) if old.align() == new.align() => {
                let moved = self.engine().resize_large(self.cache(), block, old, new.size());
                if moved.is_none() {
                    self.engine().count_failure();
                }
                moved
            }
            _ => {
                let moved = self.take(new)?;
                // SAFETY: both blocks are live, of at least the smaller size, and not the same; the old one is freed once.
                unsafe {
                    moved.copy_from_nonoverlapping(block, old.size().min(new.size()));
                    self.give(block, old);
                }
                Some(moved)
            }
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refusal(&self, layout: Layout) -> AllocError {
        if layout.align() > MAX_ALIGN {
            return AllocError::UnsupportedAlignment(layout.align());
        }
        AllocError::OutOfMemory { requested: layout.size(), available: self.engine().available() }
    }

    #[inline(always)]
    fn answer(&self, block: Option<NonNull<u8>>, layout: Layout) -> AllocResult<NonNull<u8>> {
        match block {
            Some(block) => Ok(block),
            None => Err(self.refusal(layout)),
        }
    }

    /// A buffer of `len` zeroed elements, aligned to `A`.
    ///
    /// # Panics
    /// If the size does not fit the address space, or the memory is not there.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, PinnedHeap};
    /// let heap = PinnedHeap::new();
    /// let x = heap.alloc_buffer::<f32, Align<64>>(1000);
    /// assert_eq!(x[999], 0.0);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn alloc_buffer<'h, T: Zeroable, A: KnownAlign>(&'h self, len: usize) -> SimdBuffer<T, A, &'h Self>
    where
        &'h Self: Promises<A>,
    {
        Place::<A>::new().within(self).zeroed(len)
    }

    /// As [`alloc_buffer`](Self::alloc_buffer).
    ///
    /// # Errors
    /// [`Overflow`](AllocError::Overflow) if the size does not fit the address space, else what
    /// [`alloc`](MemoryRegion::alloc) says.
    pub fn try_alloc_buffer<T: Zeroable, A: KnownAlign>(&self, len: usize) -> AllocResult<SimdBuffer<T, A, &Self>> {
        Place::<A>::new().within(self).try_zeroed(len)
    }

    /// How many bytes a block of that layout really has; 0 if its size is 0. All of them may be used if it is freed with that
    /// layout, or one of which the same is true.
    ///
    /// ```
    /// use bhc_rts_alloc::PinnedHeap;
    /// use std::alloc::Layout;
    /// assert_eq!(PinnedHeap::usable_size(Layout::from_size_align(130, 8).unwrap()), 160);
    /// assert_eq!(PinnedHeap::usable_size(Layout::from_size_align(100, 4096).unwrap()), 4096);
    /// ```
    #[must_use]
    pub fn usable_size(layout: Layout) -> usize {
        match Class::of(layout) {
            Some(class) => class.size(),
            None => layout.size().next_multiple_of(SLICE),
        }
    }

    /// Whether the address is in memory of this heap: of a block, live or free. Takes a few instructions.
    #[must_use]
    pub fn contains(&self, address: *const u8) -> bool {
        self.locate(address).is_some()
    }

    /// In which segment an address is, and how far into it, in bytes. The same for the life of the heap. `None` for what is
    /// not memory of this heap.
    #[must_use]
    pub fn locate(&self, address: *const u8) -> Option<(Segment, usize)> {
        super::report::locate(self.engine(), address.addr())
    }

    /// What the heap takes from the system, and for what.
    #[must_use]
    pub fn usage(&self) -> PinnedUsage {
        PinnedUsage::of(self.engine())
    }

    /// A table of the size classes in use, to be printed or looked through.
    #[must_use]
    pub fn classes(&self) -> ClassTable {
        ClassTable::of(self.engine())
    }

    /// Calls `each` with every live block, in the order of their addresses.
    ///
    /// Exact while no other thread uses the heap. Otherwise blocks that others allocate or free meanwhile may be told of or not,
    /// and free blocks that they move may be told of.
    /// Takes the time of looking at every slice that is, and a lock for each span; `each` may use the heap. Calls on one heap wait
    /// for each other, so `each` must not call this.
    pub fn for_each_block(&self, each: impl FnMut(PinnedBlock)) {
        super::report::for_each_block(self.engine(), each);
    }

    /// Gives back to the system what is not in use: the calling thread's free blocks, those that no thread has, and the pages
    /// that are free then. Other threads give back theirs at their next slow call.
    ///
    /// ```
    /// use bhc_rts_alloc::PinnedHeap;
    /// let heap = PinnedHeap::new();
    /// drop(heap.alloc_buffer::<u8, bhc_rts_alloc::Align<64>>(1 << 20));
    /// assert!(heap.usage().committed >= 1 << 20);
    /// heap.trim();
    /// # #[cfg(all(target_os = "linux", not(miri)))]
    /// assert_eq!(heap.usage().committed, 0);
    /// ```
    pub fn trim(&self) {
        self.engine().trim(self.cache());
    }
}

// SAFETY: blocks come from spans and runs, which overlap nothing (runs.rs R1, R2, depot.rs D1): they are aligned by their
// class's size, or by the run; they stay until they are given back, or the heap is dropped, wherever the handle moves. Nothing
// here unwinds: policies and observers are asked not to. It does not call into anything that it may be a part of.
unsafe impl MemoryRegion for PinnedHeap {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.answer(self.take(layout), layout)
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.answer(self.take_zeroed(layout), layout)
    }

    #[inline(always)]
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.give(ptr, layout) };
    }

    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        let new_layout = resized(old_layout, new_size)?;
        if old_layout.size() == 0 {
            return self.alloc(new_layout);
        }
        if new_size == 0 {
            // SAFETY: the caller's promise.
            unsafe { self.give(ptr, old_layout) };
            return Ok(dangling(old_layout.align()));
        }
        // SAFETY: the caller's promise; neither size is 0.
        self.answer(unsafe { self.resize(ptr, old_layout, new_layout) }, new_layout)
    }

    fn stats(&self) -> AllocStats {
        self.engine().stats()
    }

    fn kind(&self) -> RegionKind {
        RegionKind::Pinned
    }
}

impl TypedRegion for PinnedHeap {
    type MaxAlign = Align<SEGMENT>;
}

impl Default for PinnedHeap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PinnedHeap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedHeap").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for PinnedHeap {
    fn drop(&mut self) {
        // SAFETY: the heap holds its control block, and after it nobody pins it, nobody has the heap, and it was built once.
        unsafe {
            self.control.as_ref().close();
            super::report::leaks(self.engine());
            Engine::close(self.engine);
            if self.control.as_ref().let_go() {
                cells::give_back(self.control);
            }
        }
    }
}
