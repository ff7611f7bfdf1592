//! The arenas that the benchmarks compare, behind one interface that is compiled away.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use bhc_rts_alloc::{HotArena, KnownAlign, Scope};
use bump_scope::BumpScope;
use bump_scope::alloc::Global;
use bump_scope::settings::{BumpSettings, MinimumAlignment, SupportedMinimumAlignment};
use bump_scope::traits::BumpAllocatorTyped;
use bumpalo::Bump;

/// bump-scope's arena whose cursor keeps that alignment, bumping up or down.
pub type ScopeBump<const MIN_ALIGN: usize, const UP: bool> = bump_scope::Bump<Global, Settings<MIN_ALIGN, UP>>;
/// Without `claim`, which no row needs and leaving a scope would have to check for.
pub type Settings<const MIN_ALIGN: usize, const UP: bool> = BumpSettings<MIN_ALIGN, UP, true, false>;

/// What allocates: an arena or a scope. The results are pointers, for `black_box`.
pub trait Allocate {
    /// Moves a value into the arena.
    fn value<T: Copy + 'static>(&self, value: T) -> NonNull<T>;
    /// Memory that is not written.
    fn block(&self, layout: Layout) -> NonNull<u8>;
    /// A slice of `len` times `value`.
    fn filled(&self, len: usize, value: f32) -> NonNull<[f32]>;
    /// What a collection takes.
    fn allocator(&self) -> impl Allocator;
}

/// Allocations, compiled for each arena.
pub trait Work: Clone + 'static {
    /// Allocates `count` times.
    fn run(&self, arena: &impl Allocate, count: u64);
}

pub trait Arena: 'static {
    /// An arena with room for `bytes` in its one chunk.
    fn with_room(bytes: usize) -> Self;
    /// Allocates outside of scopes.
    fn outside(&self) -> &impl Allocate;
    /// Takes all memory back and keeps the chunk.
    fn reset(&mut self);
    /// Works in a scope. An arena without scopes is reset instead: that comes nearest.
    ///
    /// `USE` tells uses apart: a closure of which there is one use is inlined into it, however long, as most closures in
    /// programs are; one that two rows share is not.
    #[inline(always)]
    fn in_scope<const USE: u64>(&mut self, work: &impl Work, count: u64) {
        work.run(self.outside(), count);
        self.reset();
    }
}

/// Ours and its scope, and bumpalo's, whose methods have the same names.
macro_rules! allocate {
    ([$($generics:tt)*] $arena:ty) => {
        impl<$($generics)*> Allocate for $arena {
            #[inline(always)]
            fn value<T: Copy + 'static>(&self, value: T) -> NonNull<T> {
                self.alloc(value).into()
            }
            #[inline(always)]
            fn block(&self, layout: Layout) -> NonNull<u8> {
                self.alloc_layout(layout)
            }
            #[inline(always)]
            fn filled(&self, len: usize, value: f32) -> NonNull<[f32]> {
                self.alloc_slice_fill_with(len, |_| value).into()
            }
            #[inline(always)]
            fn allocator(&self) -> impl Allocator {
                self
            }
        }
    };
}
allocate!([A: KnownAlign] HotArena<A>);
allocate!([A: KnownAlign] Scope<'_, '_, A>);
allocate!([const MIN_ALIGN: usize] Bump<MIN_ALIGN>);

impl<A: KnownAlign> Arena for HotArena<A> {
    fn with_room(bytes: usize) -> Self {
        HotArena::builder().align::<A>().capacity(bytes).build()
    }
    #[inline(always)]
    fn outside(&self) -> &impl Allocate {
        self
    }
    #[inline(always)]
    fn reset(&mut self) {
        self.reset();
    }
    #[inline(always)]
    fn in_scope<const USE: u64>(&mut self, work: &impl Work, count: u64) {
        self.scope(|scope| work.run(scope, count));
    }
}

impl<const MIN_ALIGN: usize> Arena for Bump<MIN_ALIGN> {
    fn with_room(bytes: usize) -> Self {
        Self::with_min_align_and_capacity(bytes)
    }
    #[inline(always)]
    fn outside(&self) -> &impl Allocate {
        self
    }
    #[inline(always)]
    fn reset(&mut self) {
        self.reset();
    }
}

impl<const MIN_ALIGN: usize, const UP: bool> Allocate for BumpScope<'_, Global, Settings<MIN_ALIGN, UP>>
where
    MinimumAlignment<MIN_ALIGN>: SupportedMinimumAlignment,
{
    #[inline(always)]
    fn value<T: Copy + 'static>(&self, value: T) -> NonNull<T> {
        self.alloc(value).into_raw()
    }
    #[inline(always)]
    fn block(&self, layout: Layout) -> NonNull<u8> {
        self.allocate_layout(layout)
    }
    #[inline(always)]
    fn filled(&self, len: usize, value: f32) -> NonNull<[f32]> {
        self.alloc_slice_fill_with(len, || value).into_raw()
    }
    #[inline(always)]
    fn allocator(&self) -> impl Allocator {
        self
    }
}

impl<const MIN_ALIGN: usize, const UP: bool> Arena for ScopeBump<MIN_ALIGN, UP>
where
    MinimumAlignment<MIN_ALIGN>: SupportedMinimumAlignment,
{
    fn with_room(bytes: usize) -> Self {
        Self::with_size(bytes)
    }
    #[inline(always)]
    fn outside(&self) -> &impl Allocate {
        self.as_scope()
    }
    #[inline(always)]
    fn reset(&mut self) {
        self.reset_to_start();
    }
    #[inline(always)]
    fn in_scope<const USE: u64>(&mut self, work: &impl Work, count: u64) {
        self.scoped(|scope| work.run(scope, count));
    }
}
