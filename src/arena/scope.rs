//! [`Scope`]: a level on top of an arena, freed when its closure returns.
//!
//! # Note: why a closure, and why two lifetimes
//! A guard would have to hand out `&mut Scope`, and two of those can be exchanged with `mem::swap`: each guard then restores the
//! wrong arena. A closure that must work for every `'s` can neither let a reference escape nor exchange the handle with that of
//! another scope, without any check at run time. `'env` is what the arena is borrowed for: knowing that it outlives `'s`, the
//! compiler lets a value in an inner scope refer to an outer one.
//!
//! # Note: the stale cursor
//! While a scope is open, the cursor in the arena's memory is behind the scope's. Opening a scope sets the limit in memory to
//! [`CLOSED`]: a safety net for programs that are already wrong. Whoever reached the arena around the borrow checker, as compiled
//! code with a raw pointer might, gets an error and not memory that the scope has given away. Nothing else has to be undone when the closure unwinds: memory is free once the
//! scope's own cursor is forgotten. Its counts are settled, and the limit restored, by a destructor.
//!
//! # Note: registers
//! The scope's frame is a local variable that nothing takes the address of, as long as the closure is inlined and does not hand
//! the scope to a function that is not: then cursor, limit and counters live in registers, and an allocation is an add,
//! a compare and a jump (0.28 ns against 0.53 for an arena in memory). The slow path therefore takes and gives values
//! ([`Base::next_chunk`]). Handed on, a scope costs what the arena does.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::base::{Base, Store};
use super::chunk::Chunk;
use super::frame::{CLOSED, Frame};
use super::hot::{ForManyThreads, HotArena};
use crate::align::{Align, KnownAlign};
use crate::buffer::{AlignedSlice, SimdBuffer};
use crate::error::AllocError;
use crate::region::MemoryRegion;

/// A level of a [`HotArena`]: what is allocated through it is freed when the closure that got it ends. Scopes nest.
///
/// * `'s`: the scope. References into it cannot leave it; the borrow checker says so, nothing is checked at run time.
/// * `'env`: what is around it. `'s` is shorter.
/// * `A`: the arena's minimum alignment.
///
/// Functions take `&Scope<'s, '_>` and return `&'s mut T`. It is a [`MemoryRegion`], so buffers grow in it; while one does, it
/// borrows the scope, and no nested scope can be opened: [`freeze`](Self::freeze) ends that.
///
/// Blocks of a scope around this one may be given to `dealloc` here: they are left to their scope, and counted when it ends.
/// `realloc` moves their contents into this scope.
///
/// ```
/// use bhc_rts_alloc::{HotArena, Scope};
///
/// fn prefix_sums<'s>(scope: &Scope<'s, '_>, of: &[u64]) -> &'s mut [u64] {
///     let mut sum = 0;
///     scope.alloc_slice_fill_with(of.len(), |i| {
///         sum += of[i];
///         sum
///     })
/// }
///
/// let mut arena = HotArena::new();
/// let total = arena.scope(|outer| {
///     let numbers = outer.alloc_slice_copy(&[1, 2, 3, 4]);
///     for _ in 0..10 {
///         // Each round uses the same memory again.
///         outer.scope(|inner| prefix_sums(inner, numbers)[3]);
///     }
///     prefix_sums(outer, numbers)[3]
/// });
/// assert_eq!(total, 10);
/// ```
pub struct Scope<'s, 'env: 's, A: KnownAlign = Align<8>> {
    frame: Frame<false>,
    base: NonNull<Base>,
    _scope: PhantomData<&'s mut &'s ()>,
    _env: PhantomData<&'env mut &'env ()>,
    _align: PhantomData<A>,
}

// SAFETY: never applies.
unsafe impl<A: KnownAlign> Send for Scope<'_, '_, A> where PhantomData<A>: ForManyThreads {}
// SAFETY: never applies.
unsafe impl<A: KnownAlign> Sync for Scope<'_, '_, A> where PhantomData<A>: ForManyThreads {}

static_assertions::assert_not_impl_any!(Scope<'static, 'static>: Send, Sync, Clone);

/// A scope that is open, for the case that its body unwinds.
///
/// Its destructor hands values on and nothing else, and few of them, so that LLVM inlines it where it is called, however
/// cold that is. A destructor that was handed the scope's address would keep the frame out of registers on the way that
/// does not unwind, too.
struct Open<'s, 'env, A: KnownAlign, const IN_MEMORY: bool> {
    scope: Scope<'s, 'env, A>,
    /// Of the frame below: what it has live, and its chunk.
    live: usize,
    count: usize,
    chunk: Option<NonNull<Chunk>>,
}

impl<A: KnownAlign, const IN_MEMORY: bool> Drop for Open<'_, '_, A, IN_MEMORY> {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { scope: Scope { frame, base, .. }, live, count, chunk } = self;
        let (bytes, count) = (frame.live().wrapping_sub(*live), frame.count.get().wrapping_sub(*count));
        // SAFETY: `base` is live as the scope was; what was allocated in the scope cannot have left its closure.
        unsafe {
            if cfg!(any(debug_assertions, bhc_asan)) {
                Base::abandon(*base, *chunk, frame.start.get(), frame.chunk.get(), frame.address());
            }
            if IN_MEMORY {
                Base::unwound_on_arena(*base, frame.live(), bytes, count);
            } else {
                Base::unwound(*base, *chunk, frame.live(), bytes, count);
            }
        }
    }
}

/// Runs `body` with a scope on top of `below`, whose limit is `limit`. `IN_MEMORY`: that is the arena's own frame, which is closed
/// meanwhile.
///
/// # Safety
/// `base` is live, with provenance for the whole arena, whose minimum alignment is `A`. `below` is its topmost frame. Both stay so, and
/// nobody else uses them, until this returns.
#[inline(always)]
unsafe fn open<'env, A: KnownAlign, X, const IN_MEMORY: bool>(
    base: NonNull<Base>,
    below: &Frame<IN_MEMORY>,
    body: impl for<'s> FnOnce(&mut Scope<'s, 'env, A>) -> X,
) -> X {
    let limit = below.limit.get();
    if IN_MEMORY {
        below.limit.set(CLOSED);
    }
    let frame = below.open(limit);
    let scope = Scope { frame, base, _scope: PhantomData, _env: PhantomData, _align: PhantomData };
    let (live, count, chunk) = (below.live(), below.count.get(), below.chunk.get());
    let mut open = Open::<A, IN_MEMORY> { scope, live, count, chunk };
    let result = body(&mut open.scope);
    // SAFETY: the caller's promise; what was allocated in the scope cannot have left the closure.
    unsafe {
        let first = Base::close(base, &open.scope.frame, below);
        core::mem::forget(open);
        below.limit.set(limit);
        if let Some(first) = first {
            below.enter(first, below.live(), A::BYTES, (*base.as_ptr()).store.isolate);
        }
    }
    result
}

impl<A: KnownAlign, R: MemoryRegion> HotArena<A, R> {
    /// Runs `body` with a scope of the arena: what it allocates there is freed when it returns, or panics.
    ///
    /// Opening and closing a scope costs about as much as five allocations.
    ///
    /// ```
    /// use bhc_rts_alloc::HotArena;
    /// let mut arena = HotArena::new();
    /// let length = arena.scope(|scope| scope.alloc_str("temporary").len());
    /// assert_eq!((length, arena.used()), (9, 0));
    /// ```
    #[inline(always)]
    pub fn scope<'env, X>(&'env mut self, body: impl for<'s> FnOnce(&mut Scope<'s, 'env, A>) -> X) -> X {
        let base = NonNull::from_mut(self).cast::<Base>();
        // SAFETY: the arena is borrowed exclusively for as long as this runs; no other frame is open on its own.
        unsafe { open::<A, X, true>(base, &(*base.as_ptr()).frame, body) }
    }
}

impl<'s, 'env: 's, A: KnownAlign> Scope<'s, 'env, A> {
    /// Runs `body` with a scope on top of this one.
    #[inline(always)]
    pub fn scope<'inner, X>(&'inner mut self, body: impl for<'t> FnOnce(&mut Scope<'t, 'inner, A>) -> X) -> X {
        // SAFETY: the arena is borrowed exclusively for `'env`, and this scope, its topmost, for as long as this runs.
        unsafe { open::<A, X, false>(self.base, &self.frame, body) }
    }

    /// Allocates a block, uninitialised, that lives as long as the scope.
    ///
    /// # Panics
    /// With the error's text.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        match self.take(layout) {
            Some(block) => block,
            None => self.refuse(layout),
        }
    }

    #[inline(always)]
    pub(super) const fn frame(&self) -> &Frame<false> {
        &self.frame
    }

    /// The arena's base, with provenance for all of the arena.
    #[inline(always)]
    pub(super) const fn base(&self) -> NonNull<Base> {
        self.base
    }

    #[inline(always)]
    pub(super) const fn store(&self) -> &Store {
        // SAFETY: the arena outlives the scope.
        unsafe { &(*self.base.as_ptr()).store }
    }

    #[inline(always)]
    pub(super) fn refusal(&self, layout: Layout) -> AllocError {
        Frame::<false>::refusal(false, layout.size(), self.frame.remaining())
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn refuse(&self, layout: Layout) -> ! {
        refuse(layout.size(), self.frame.remaining())
    }

    /// Ends the growth of a buffer: its elements live as long as the scope, its spare capacity is given back where nothing was
    /// allocated after it, and scopes can be nested again. Destructors of the elements will not run.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, HotArena, Place};
    /// HotArena::new().scope(|scope| {
    ///     let mut growing = Place::<Align<64>>::new().within(&*scope).with_capacity::<f32>(1000);
    ///     growing.extend([1.0, 2.0, 3.0]);
    ///     let frozen = scope.freeze(growing);
    ///     scope.scope(|_| frozen[0] = 4.0);
    ///     assert_eq!(frozen[..], [4.0, 2.0, 3.0]);
    /// });
    /// ```
    pub fn freeze<T, B: KnownAlign>(&self, mut buffer: SimdBuffer<T, B, &Self>) -> &'s mut AlignedSlice<T, B> {
        buffer.shrink_to_fit();
        let elements = core::ptr::from_mut(buffer.leak());
        // SAFETY: the buffer's region is a scope with this very `'s`, and no two have the same: it is this one. So the block lives
        // for `'s`. Nobody else has it.
        unsafe { &mut *elements }
    }
}

/// Takes values only, so that the frame stays in registers.
#[cold]
#[inline(never)]
#[track_caller]
fn refuse(requested: usize, available: usize) -> ! {
    crate::error::refuse(&Frame::<false>::refusal(false, requested, available))
}

/// Runs `body` with a scope of a new arena over [`System`](crate::System) that has room for `capacity` bytes and grows when they are
/// used up. Everything is freed when it returns.
///
/// Where this is done again and again, keep a [`HotArena`], or use `with_thread_arena`: they keep the memory.
///
/// # Panics
/// With the error's text, if there is no memory of that capacity.
///
/// ```
/// use bhc_rts_alloc::with_arena;
/// let length = with_arena(1024, |scope| scope.alloc_slice_fill_with(10, |i| i * i).iter().sum::<usize>());
/// assert_eq!(length, 285);
/// ```
#[track_caller]
pub fn with_arena<X>(capacity: usize, body: impl for<'s, 'env> FnOnce(&mut Scope<'s, 'env>) -> X) -> X {
    HotArena::with_capacity(capacity).scope(body)
}
