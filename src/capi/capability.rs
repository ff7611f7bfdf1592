//! Capabilities: made, found by the thread that they belong to, destroyed; and allocation from a region that is chosen
//! at run time.
//!
//! Invariants:
//! * K1. The list from [`FIRST`] has the calling thread's capabilities, the current one first, and no others. They live
//!   as long as they are in it. So who finds a pointer in the list, without looking at what it points to, has a
//!   capability that lives and is this thread's.
//! * K2. No `&mut BhcCapability` exists while it is in the list. What changes in it is in cells.

use core::alloc::Layout;
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull, null_mut};
use std::boxed::Box;
use std::thread_local;

use super::arena::handle;
use super::error::{BhcStatus, Failure, answer, pointer, status};
use super::general::Callback;
use super::layout::{BhcArena, BhcCollection, BhcMutator, BhcRegion};
use super::{layout, pinned};
use crate::arena::HotArena;
use crate::error::AllocError;
use crate::general::raw::{Mutator, Raw};
use crate::general::{Collection, GeneralHeap, Safepoint, Stress};
use crate::owned::boxed;
use crate::region::{MemoryRegion, RegionKind};
use crate::rts::{Capability, Config};

/// One mutator's regions, as C has them: see [`Capability`].
pub struct BhcCapability {
    pub(super) capability: Capability,
    mutator: *const Mutator,
    /// K1: the next one of the thread.
    next: Cell<*mut BhcCapability>,
    safepoint: Safepoint,
    /// A root callback is running.
    pub(super) busy: Cell<bool>,
    pub(super) callback: Cell<Option<Callback>>,
}

thread_local! {
    /// K1. It needs no destructor, so it can be used in those of other thread-locals.
    static FIRST: Cell<*mut BhcCapability> = const { Cell::new(null_mut()) };
}

/// How a capability is to be. Sizes are in bytes. 0 is what is usual, everywhere: all zeros, as [`bhc_config_default`]
/// gives them, have no limits and no checks.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BhcConfig {
    /// Room for so many bytes in the Hot Arena at once.
    pub arena_capacity: usize,
    /// The most that the Hot Arena takes from the process allocator.
    pub arena_limit: usize,
    /// The nursery of the General Heap.
    pub nursery: usize,
    /// The most memory that the General Heap takes.
    pub general_limit: usize,
    /// The addresses that the General Heap reserves.
    pub general_reserve: usize,
    /// What the shadow stack holds.
    pub shadow_stack: usize,
    /// For tests of generated code: a collection at every n-th allocation, a full one every other time.
    pub stress: u32,
    /// For tests of generated code: memory that objects were moved out of is made inaccessible, and used again after so
    /// many other pieces of it.
    pub quarantine: u32,
    /// For tests of generated code: looks at the whole heap after every collection, and ends the program if it is not as
    /// it has to be.
    pub verify: bool,
}

/// What is usual: no limits, no checks.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_config_default() -> BhcConfig {
    BhcConfig {
        arena_capacity: 0,
        arena_limit: 0,
        nursery: 0,
        general_limit: 0,
        general_reserve: 0,
        shadow_stack: 0,
        stress: 0,
        quarantine: 0,
        verify: false,
    }
}

impl BhcConfig {
    fn build(&self) -> Result<Capability, Failure> {
        let mut arena = HotArena::builder().capacity(self.arena_capacity);
        if self.arena_limit != 0 {
            arena = arena.limit(self.arena_limit);
        }
        let mut general = GeneralHeap::builder().verify(self.verify).quarantine(self.quarantine as usize);
        if self.general_limit != 0 {
            general = general.limit(self.general_limit);
        }
        if self.nursery != 0 {
            general = general.nursery(self.nursery);
        }
        if self.general_reserve != 0 {
            general = general.reserve(self.general_reserve);
        }
        if self.shadow_stack != 0 {
            general = general.shadow_stack(self.shadow_stack);
        }
        if self.stress != 0 {
            general = general.stress(Stress::Alternating(self.stress));
        }
        Ok(Config::new().arena(arena).general(general).share_pinned(pinned::shared()?).try_build()?)
    }
}

/// The first of the calling thread's capabilities that `is_it` accepts.
#[inline]
fn find(is_it: impl Fn(&BhcCapability) -> bool) -> Option<&'static BhcCapability> {
    let mut at = FIRST.get();
    // SAFETY: K1, K2. The lifetime is too long; who calls this lets go of it before the capability can go.
    while let Some(capability) = unsafe { at.as_ref() } {
        if is_it(capability) {
            return Some(capability);
        }
        at = capability.next.get();
    }
    None
}

/// Takes a capability out of the calling thread's list, if it is in it.
fn take(capability: *const BhcCapability) -> Option<Box<BhcCapability>> {
    let before = find(|one| ptr::eq(one.next.get(), capability)).map(|before| &before.next);
    // As it came out of its box, which the argument may not be.
    let taken = before.map_or_else(|| FIRST.get(), Cell::get);
    if taken.is_null() || !ptr::eq(taken, capability) {
        return None;
    }
    // SAFETY: K1: it is in the list, so it came out of a box; after this it is not.
    let taken = unsafe { Box::from_raw(taken) };
    match before {
        Some(link) => link.set(taken.next.get()),
        None => FIRST.set(taken.next.get()),
    }
    Some(taken)
}

/// Calls `use_it` with a capability, if it is the calling thread's.
#[inline]
pub(super) fn with<T>(
    capability: *const BhcCapability,
    use_it: impl FnOnce(&BhcCapability) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if capability.is_null() {
        return Err(Failure::Null("capability"));
    }
    use_it(find(|one| ptr::eq(one, capability)).ok_or(Failure::WrongThread("capability"))?)
}

/// Calls `use_it` with the heap of a mutator, if it is the calling thread's and not collecting.
#[inline]
pub(super) fn with_mutator<T>(
    mutator: *const BhcMutator,
    use_it: impl FnOnce(&BhcCapability, Raw<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if mutator.is_null() {
        return Err(Failure::Null("mutator"));
    }
    let capability = find(|one| one.mutator.cast() == mutator).ok_or(Failure::WrongThread("mutator"))?;
    if capability.busy.get() {
        return Err(Failure::Busy);
    }
    // SAFETY: the heap lives, and nothing else of it is used meanwhile: it is this thread's, and not collecting.
    use_it(capability, unsafe { Raw::from_mutator(capability.mutator) })
}

/// Whether an arena is one of the calling thread's capabilities'.
#[inline]
pub(super) fn has_arena(arena: *const BhcArena) -> bool {
    find(|one| ptr::from_ref(one.capability.arena()).cast() == arena).is_some()
}

/// Makes a capability, which belongs to the calling thread and is its [current](bhc_capability_current) one. With
/// `config` null it is as usual. Null if there is no address space, or memory, for it.
///
/// It is to be destroyed by the thread that made it. If that ends first, the memory stays taken.
///
/// # Safety
/// `config` is null or points to one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_capability_create(config: *const BhcConfig) -> *mut BhcCapability {
    answer(|| {
        // SAFETY: the caller's promise.
        let config = unsafe { config.as_ref() }.copied().unwrap_or_else(|| bhc_config_default());
        let mut capability = config.build()?;
        let raw = capability.parts().general;
        let (mutator, safepoint) = (raw.raw().mutator(), raw.safepoint_handle());
        let handle = BhcCapability {
            capability,
            mutator,
            next: Cell::new(FIRST.get()),
            safepoint,
            busy: Cell::new(false),
            callback: Cell::new(None),
        };
        let refused = AllocError::OutOfMemory { requested: size_of::<BhcCapability>(), available: 0 };
        let handle = Box::into_raw(boxed(handle).ok_or(refused)?);
        FIRST.set(handle);
        Ok(handle)
    })
}

/// The capability that the calling thread made last, of those that it has not destroyed; null if it has none, which is
/// no failure.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_capability_current() -> *mut BhcCapability {
    FIRST.get()
}

/// Ends a capability: its arena, its objects and raw bytes with it. Blocks of the Pinned Heap stay. To destroy null does
/// nothing.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_capability_destroy(capability: *mut BhcCapability) -> BhcStatus {
    status(|| {
        if capability.is_null() {
            return Ok(());
        }
        if with(capability, |found| Ok(found.busy.get()))? {
            return Err(Failure::Busy);
        }
        drop(take(capability));
        Ok(())
    })
}

/// The Hot Arena of a capability; the same for its life.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_capability_arena(capability: *mut BhcCapability) -> *mut BhcArena {
    answer(|| with(capability, |found| Ok(handle(found.capability.arena()))))
}

/// The mutator of a capability, by which its General Heap is used; the same for its life.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_capability_mutator(capability: *mut BhcCapability) -> *mut BhcMutator {
    answer(|| with(capability, |found| Ok(found.mutator.cast_mut().cast())))
}

/// Asks for a collection at the next safepoint of the capability's thread: an allocation, or
/// [`bhc_gc_safe_point`](super::bhc_gc_safe_point). The one function that may be called by any thread with another's
/// capability.
///
/// # Safety
/// The capability is not destroyed before this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_gc_request(capability: *const BhcCapability, collection: i32) -> BhcStatus {
    status(|| {
        if capability.is_null() {
            return Err(Failure::Null("capability"));
        }
        let collection = collection_of(collection)?;
        // SAFETY: the caller's promise. No reference is made but to this field, which other threads may use.
        unsafe { &(*capability).safepoint }.request(collection);
        Ok(())
    })
}

/// Out of what C has: a plain number.
pub(super) fn collection_of(number: i32) -> Result<Collection, Failure> {
    const MINOR: i32 = BhcCollection::Minor as i32;
    const FULL: i32 = BhcCollection::Full as i32;
    match number {
        MINOR => Ok(Collection::Minor),
        FULL => Ok(Collection::Full),
        _ => Err(Failure::Invalid("there is no such collection")),
    }
}

/// A region of a capability, and a layout, to be used.
fn with_region<T>(
    capability: *const BhcCapability,
    region: i32,
    size: usize,
    align: usize,
    use_it: impl FnOnce(&dyn MemoryRegion, Layout) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with(capability, |found| {
        let kind = BhcRegion::kind_of(region).ok_or(Failure::Invalid("there is no such region"))?;
        if found.busy.get() && kind == RegionKind::General {
            return Err(Failure::Busy);
        }
        use_it(found.capability.region(kind), layout(size, align)?)
    })
}

/// Allocates `size` bytes, aligned to `align`, from the region (a `BhcRegion`) of the capability.
///
/// cbindgen:postfix=BHC_ALLOCATES(3, 4)
#[unsafe(no_mangle)]
pub extern "C" fn bhc_region_alloc(
    capability: *mut BhcCapability,
    region: i32,
    size: usize,
    align: usize,
) -> *mut c_void {
    answer(|| with_region(capability, region, size, align, |region, layout| Ok(pointer(region.alloc(layout)?))))
}

/// Gives a block back to the region (a `BhcRegion`) of the capability. To free null does nothing.
///
/// # Safety
/// A live block that [`bhc_region_alloc`] gave for this capability, region, size and alignment, which is not used
/// afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_region_free(
    capability: *mut BhcCapability,
    region: i32,
    block: *mut c_void,
    size: usize,
    align: usize,
) -> BhcStatus {
    status(|| {
        let Some(block) = NonNull::new(block) else { return Ok(()) };
        // SAFETY: the caller's promise.
        with_region(capability, region, size, align, |region, layout| unsafe {
            region.dealloc(block.cast(), layout);
            Ok(())
        })
    })
}
