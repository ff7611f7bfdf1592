//! [`HotArena`]: the arena and its own frame.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

use super::base::{Backing, Base, Policy, Store};
use super::builder::HotArenaBuilder;
use super::chunk::{Chunk, block_layout};
use super::frame::{CLOSED, Frame};
use crate::align::{Align, KnownAlign};
use crate::error::{AllocError, AllocResult, or_panic};
use crate::region::{MemoryRegion, dangling};
use crate::system::System;

/// A bump-pointer arena: allocation moves a cursor, and everything is freed at once, at the end of a
/// [`scope`](Self::scope) or by [`reset`](Self::reset). For the temporaries of kernels.
///
/// * `A`: the minimum alignment. Every block starts and ends at a multiple of it, and a request whose alignment it covers pays
///   nothing for alignment. The default is 8 bytes; an arena of vectors is best `HotArena<Align<64>>`.
/// * `R`: the backing, a region that chunks come from. They start at 4 KiB, double up to 8 MiB, and are kept until the arena is
///   dropped or [`shrink`](Self::shrink) is called. [`builder`](Self::builder) has fixed capacities, limits, memory of the
///   caller's and huge pages.
///
/// **Destructors do not run** for what [`alloc`](Self::alloc) and the other plain forms give: they are for plain data, or for
/// what need not be dropped. [`alloc_box`](Self::alloc_box) gives a handle that drops its value.
///
/// It is a [`MemoryRegion`]: a [`SimdBuffer`](crate::SimdBuffer) over `&HotArena` grows in place as long as it is what was
/// allocated last. `dealloc` and `realloc` reclaim in place for the last block, and for others only count. (The trait's `alloc`
/// takes a layout. `arena.alloc(value)` is the method here; only on a `Box` or `Rc` of an arena is it the trait's, and
/// `(*arena).alloc(value)` this one.)
///
/// It can be sent to another thread, and is not shared between threads. A moved arena keeps its blocks where they are.
///
/// Statistics are exact, in requested bytes; [`used`](Self::used) and [`padding`](Self::padding) say what was consumed.
///
/// ```
/// use bhc_rts_alloc::{Align, HotArena, MemoryRegion, Place};
///
/// let mut arena = HotArena::new();
/// let sum: f32 = arena.scope(|scope| {
///     let weights = scope.alloc_slice_fill_with(100, |i| i as f32);
///     let padded = Place::<Align<64>>::new().within(&*scope).from_slice(weights);
///     padded.padded().iter().sum()
/// });
/// assert_eq!(sum, 4950.0);
/// assert_eq!(arena.stats().current_live, 0);
/// assert_eq!(arena.stats().deallocation_count, 2);
/// ```
///
/// # Where it comes from
/// Arenas in this form go back to Hanson, *Fast allocation and deallocation of memory based on object lifetimes* (1990).
#[repr(C)]
pub struct HotArena<A: KnownAlign = Align<8>, R: MemoryRegion = System> {
    // First, so that a pointer to the arena is one to its base.
    base: Base,
    region: R,
    _align: PhantomData<A>,
}

// SAFETY: the chunks belong to the arena alone, and whoever borrows from it keeps it from being sent. The region comes along,
// and its blocks may be given back wherever it is.
unsafe impl<A: KnownAlign, R: MemoryRegion + Send> Send for HotArena<A, R> {}

// SAFETY: never applies.
unsafe impl<A: KnownAlign, R: MemoryRegion> Sync for HotArena<A, R> where PhantomData<R>: ForManyThreads {}

/// What would have to hold for an arena or a scope to be used by several threads. Nothing implements it: without the impls that
/// ask for it, the compiler would name each `Cell` inside in place of the reason.
#[diagnostic::on_unimplemented(
    message = "arenas and scopes are for one thread at a time",
    label = "two threads would move its cursor at once",
    note = "move the arena itself to the other thread, lend that thread what was allocated here, or give each its own: `with_thread_arena`"
)]
pub(super) trait ForManyThreads {}

// A panic leaves an arena as it was before the call that panicked.
impl<A: KnownAlign, R: MemoryRegion> UnwindSafe for HotArena<A, R> {}
impl<A: KnownAlign, R: MemoryRegion> RefUnwindSafe for HotArena<A, R> {}

static_assertions::assert_not_impl_any!(HotArena: Sync, Clone);
static_assertions::assert_impl_all!(HotArena: Send, Unpin, UnwindSafe);
static_assertions::assert_not_impl_any!(HotArena<Align<8>, &dyn MemoryRegion>: Send);

/// [`Backing::obtain`] for the region of `HotArena<A, R>`.
///
/// # Safety
/// `base` is the start of a live `HotArena<A, R>`, with provenance for all of it. The size makes a layout for a chunk.
unsafe extern "C" fn obtain<A: KnownAlign, R: MemoryRegion>(base: NonNull<Base>, size: usize) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise. Nobody holds `&mut` to the region.
    let region = unsafe { &(*base.cast::<HotArena<A, R>>().as_ptr()).region };
    region.alloc(block_layout(size)?).ok()
}

/// [`Backing::give_back`] for the region of `HotArena<A, R>`.
///
/// # Safety
/// As for [`obtain`], which gave the block for this size; the block is not used afterwards.
unsafe extern "C" fn give_back<A: KnownAlign, R: MemoryRegion>(base: NonNull<Base>, block: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    let region = unsafe { &(*base.cast::<HotArena<A, R>>().as_ptr()).region };
    if let Some(layout) = block_layout(size) {
        // SAFETY: the caller's promise; `obtain` used this layout.
        unsafe { region.dealloc(block, layout) };
    }
}

impl HotArena {
    /// An arena with a minimum alignment of 8 bytes, over [`System`]. Allocates nothing yet.
    ///
    /// For another alignment: `HotArena::<Align<64>>::default()`, or the [`builder`](Self::builder).
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self::made_of(Policy::DEFAULT, System)
    }

    /// An arena with room for `capacity` bytes, in one chunk; it grows when they are used up.
    ///
    /// # Panics
    /// With the error's text.
    #[must_use]
    #[track_caller]
    pub fn with_capacity(capacity: usize) -> Self {
        or_panic(Self::try_with_capacity(capacity))
    }

    /// As [`with_capacity`](Self::with_capacity).
    ///
    /// # Errors
    /// [`OutOfMemory`](AllocError::OutOfMemory) if the memory is not there, [`Overflow`](AllocError::Overflow) if there can be
    /// none of that size.
    pub fn try_with_capacity(capacity: usize) -> AllocResult<Self> {
        Self::builder().capacity(capacity).try_build()
    }

    /// All the ways to make an arena.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, HotArena};
    /// let arena = HotArena::builder().align::<Align<64>>().capacity(1 << 20).limit(16 << 20).build();
    /// assert!(arena.capacity() >= 1 << 20);
    /// ```
    #[inline]
    pub const fn builder() -> HotArenaBuilder {
        HotArenaBuilder::new()
    }
}

impl<A: KnownAlign, R: MemoryRegion> HotArena<A, R> {
    /// Where the cursor, the limit, the count and the balance of its own frame are, in bytes: for code that allocates
    /// without being Rust.
    #[cfg(feature = "capi")]
    pub(crate) const OFFSETS: [usize; 4] = {
        use core::mem::offset_of;
        let frame = offset_of!(Self, base) + offset_of!(Base, frame);
        [
            frame + offset_of!(Frame<true>, cursor),
            frame + offset_of!(Frame<true>, limit),
            frame + offset_of!(Frame<true>, count),
            frame + offset_of!(Frame<true>, balance),
        ]
    };

    const BACKING: &'static Backing = &Backing { obtain: obtain::<A, R>, give_back: give_back::<A, R> };

    /// Without a chunk.
    pub(super) const fn made_of(policy: Policy, region: R) -> Self {
        let (frame, store) = (Frame::new(A::BYTES), Store::new(A::BYTES, policy, Self::BACKING));
        Self { base: Base { frame, store }, region, _align: PhantomData }
    }

    /// Makes a chunk the arena's first.
    ///
    /// # Safety
    /// The arena has none. The chunk was made with its minimum alignment, and is in use by nobody.
    pub(super) unsafe fn adopt(&self, chunk: NonNull<Chunk>) {
        self.store().head.set(Some(chunk));
        // SAFETY: the caller's promise.
        unsafe { self.frame().enter(chunk, 0, A::BYTES, self.store().isolate) };
        self.store().in_first.set(!self.store().isolate);
    }

    /// The base, with provenance for all of the arena.
    #[inline(always)]
    pub(super) const fn base(&self) -> NonNull<Base> {
        NonNull::from_ref(self).cast()
    }

    #[inline(always)]
    pub(super) const fn store(&self) -> &Store {
        &self.base.store
    }

    #[inline(always)]
    pub(super) const fn frame(&self) -> &Frame<true> {
        &self.base.frame
    }

    /// Allocates a block, uninitialised: the trait's [`alloc`](MemoryRegion::alloc) with a panic in place of an error. For a
    /// constant layout that `A` covers this is a load, an add, a compare, a store and one increment.
    ///
    /// # Panics
    /// With the error's text.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        if layout.size() == 0 {
            return dangling(layout.align());
        }
        let balance = self.frame().balance.get();
        match self.frame().bump::<A>(layout, balance) {
            Some(block) => block,
            None => self.take_or_refuse(layout, balance),
        }
    }

    /// The slow path of what panics: one call, so that the fast path in a function of its own saves no register for a second.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn take_or_refuse(&self, layout: Layout, balance: usize) -> NonNull<u8> {
        // SAFETY: the arena is live, with its own frame; the fast path has dealt with size zero.
        match unsafe { Base::take_slowly(self.base(), layout, balance) } {
            Some(block) => block,
            None => self.refuse(layout),
        }
    }

    /// Not `inline(never)`, nor is that of the frame: their copies for the default arena would be shared by all crates, and
    /// none would see that whoever drops the error need not make it.
    #[cold]
    pub(super) fn refusal(&self, layout: Layout) -> AllocError {
        let frame = self.frame();
        Frame::<true>::refusal(frame.limit.get() == CLOSED, layout.size(), frame.remaining())
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn refuse(&self, layout: Layout) -> ! {
        crate::error::refuse(&self.refusal(layout))
    }

    /// Frees everything at once and keeps the chunks. Destructors do not run. Marks that are outstanding are void.
    ///
    /// Constant time, unless several chunks are held.
    ///
    /// ```
    /// use bhc_rts_alloc::HotArena;
    /// let mut arena = HotArena::new();
    /// arena.alloc([0u8; 100]);
    /// let capacity = arena.capacity();
    /// arena.reset();
    /// assert_eq!((arena.used(), arena.capacity()), (0, capacity));
    /// ```
    #[inline]
    pub fn reset(&mut self) {
        // SAFETY: the arena is borrowed exclusively, so no reference into it is left; raw blocks are void as documented.
        unsafe { Base::reset(NonNull::from_mut(self).cast(), A::BYTES) };
    }

    /// Gives the chunks after the current one back to the backing, and if nothing is allocated all of them. An arena of a fixed
    /// capacity keeps its own.
    ///
    /// ```
    /// use bhc_rts_alloc::HotArena;
    /// let mut arena = HotArena::new();
    /// arena.scope(|scope| drop(scope.alloc_slice_fill_with(100_000, |_| 0u8)));
    /// assert!(arena.capacity() >= 100_000);
    /// arena.shrink();
    /// assert_eq!(arena.capacity(), 0);
    /// ```
    pub fn shrink(&mut self) {
        let base = NonNull::from_mut(self).cast::<Base>();
        // SAFETY: nothing after the frame's chunk is live (A1). If no mark is open, which would come back to that chunk, and
        // the frame holds nothing, neither is anything else: then the frame of an arena without a chunk takes its place.
        unsafe {
            let Base { frame, store } = &*base.as_ptr();
            if store.fixed.get() {
                return;
            }
            Base::release_after(base, frame.chunk.get());
            if frame.start.get() == 0 && store.used(frame.chunk.get(), frame.address()) == 0 {
                Base::release_after(base, None);
                if store.head.get().is_none() {
                    (*base.as_ptr()).frame = Frame::new(A::BYTES);
                }
            }
        }
    }

    /// The backing.
    #[must_use]
    pub const fn region(&self) -> &R {
        &self.region
    }
}

impl<A: KnownAlign> Default for HotArena<A> {
    fn default() -> Self {
        Self::made_of(Policy::DEFAULT, System)
    }
}

impl<A: KnownAlign, R: MemoryRegion> Drop for HotArena<A, R> {
    fn drop(&mut self) {
        // SAFETY: nothing of the arena is borrowed any more. The region is dropped after this. What is left is the caller's.
        unsafe {
            Base::release_after(NonNull::from_mut(self).cast(), None);
            if let Some(callers) = self.store().head.get() {
                Chunk::into_block(callers);
            }
        }
    }
}
