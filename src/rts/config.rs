//! [`Config`].

use alloc::sync::Arc;

use super::capability::Capability;
use super::shared::SharedPinned;
use crate::arena::{HotArena, HotArenaBuilder};
use crate::error::{AllocResult, or_panic};
use crate::general::{GeneralHeap, GeneralHeapBuilder};
use crate::pinned::{PinnedHeap, PinnedHeapBuilder};

/// How a [`Capability`] is to be: a builder for each of its regions, which has that region's sizes and limits.
///
/// ```
/// use bhc_rts_alloc::{Capability, Config, GeneralHeap, HotArena, PinnedHeap};
///
/// let first: Capability = Config::new()
///     .arena(HotArena::builder().capacity(1 << 20).limit(64 << 20))
///     .general(GeneralHeap::builder().nursery(256 << 10).limit(128 << 20))
///     .pinned(PinnedHeap::builder().limit(256 << 20))
///     .build();
/// // A second mutator, with the pinned heap of the first.
/// let second = Config::new().share_pinned(first.pinned().clone()).build();
/// assert!(std::ptr::eq(&**first.pinned(), &**second.pinned()));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until it builds"]
pub struct Config {
    arena: HotArenaBuilder,
    general: GeneralHeapBuilder,
    pinned: Pinned,
}

#[derive(Clone, Debug)]
enum Pinned {
    Own(PinnedHeapBuilder),
    Shared(SharedPinned),
}

impl Config {
    /// Each region as its builder makes it if it is told nothing; a Pinned Heap of its own.
    pub const fn new() -> Self {
        Self { arena: HotArena::builder(), general: GeneralHeap::builder(), pinned: Pinned::Own(PinnedHeap::builder()) }
    }

    /// How the Hot Arena is to be.
    pub fn arena(mut self, arena: HotArenaBuilder) -> Self {
        self.arena = arena;
        self
    }

    /// How the General Heap is to be.
    pub fn general(mut self, general: GeneralHeapBuilder) -> Self {
        self.general = general;
        self
    }

    /// A Pinned Heap of its own, which others may [share](Self::share_pinned), and how it is to be.
    pub fn pinned(mut self, pinned: PinnedHeapBuilder) -> Self {
        self.pinned = Pinned::Own(pinned);
        self
    }

    /// A Pinned Heap that there is already: another capability's, one in an `Arc`, or one in a `static`.
    pub fn share_pinned(mut self, pinned: impl Into<SharedPinned>) -> Self {
        self.pinned = Pinned::Shared(pinned.into());
        self
    }

    /// The capability.
    ///
    /// # Panics
    /// With the error's text.
    #[must_use]
    #[track_caller]
    pub fn build(self) -> Capability {
        or_panic(self.try_build())
    }

    /// The capability.
    ///
    /// # Errors
    /// What the builder of the region says that could not be made; the others are gone again.
    pub fn try_build(self) -> AllocResult<Capability> {
        let Self { arena, general, pinned } = self;
        let pinned = match pinned {
            Pinned::Own(builder) => Arc::new(builder.try_build()?).into(),
            Pinned::Shared(heap) => heap,
        };
        Ok(Capability::of(arena.try_build()?, general.try_build()?, pinned))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
