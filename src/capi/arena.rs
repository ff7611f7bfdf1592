//! Hot Arenas: a capability's, and one that each thread has.

use core::ffi::c_void;
use core::ptr;
use std::thread_local;

use super::capability::has_arena;
use super::error::{BhcStatus, Failure, answer, pointer, status};
use super::layout;
use super::layout::{BhcArena, BhcArenaMark};
use crate::arena::{HotArena, Mark};
use crate::region::MemoryRegion;

/// The arena of a thread. When that ends, an empty one is left in its place: the inline path of whoever still has the
/// pointer then finds no room, and comes to where it is refused.
struct Own(HotArena);

impl Drop for Own {
    fn drop(&mut self) {
        drop(core::mem::take(&mut self.0));
    }
}

thread_local! {
    /// Its memory is kept from call to call, and goes when the thread ends.
    static ARENA: Own = const { Own(HotArena::new()) };
}

/// Calls `use_it` with an arena, if it is the calling thread's.
#[inline]
fn with<T>(arena: *const BhcArena, use_it: impl FnOnce(&HotArena) -> Result<T, Failure>) -> Result<T, Failure> {
    if arena.is_null() {
        return Err(Failure::Null("arena"));
    }
    let is_the_threads = || ARENA.try_with(|own| ptr::eq(handle(&own.0), arena)).unwrap_or(false);
    if !has_arena(arena) && !is_the_threads() {
        return Err(Failure::WrongThread("arena"));
    }
    // SAFETY: a pointer to an arena of a capability that lives, or of this thread, both of which are used by this thread
    // alone and through shared references.
    use_it(unsafe { &*arena.cast::<HotArena>() })
}

/// An arena, as C has it.
pub(super) fn handle(arena: &HotArena) -> *mut BhcArena {
    ptr::from_ref(arena).cast_mut().cast()
}

/// An arena of the calling thread, which is there without a capability; the same for the thread's life. Whoever uses it
/// marks it first and releases it last, so any number of callers can use it inside of each other. Null when the thread
/// is at its end; nothing can be allocated then any more, and what was is gone.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_thread_arena() -> *mut BhcArena {
    answer(|| ARENA.try_with(|own| handle(&own.0)).map_err(|_| Failure::WrongThread("arena any more")))
}

/// Opens a scope: what is allocated from now on is freed when `mark`, which this fills in, is
/// [released](bhc_arena_release).
///
/// # Safety
/// `mark` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_arena_mark(arena: *mut BhcArena, mark: *mut BhcArenaMark) -> BhcStatus {
    status(|| {
        if mark.is_null() {
            return Err(Failure::Null("mark"));
        }
        with(arena, |found| {
            // SAFETY: the caller's promise; there is room for a `Mark` in the frame.
            unsafe {
                (&raw mut (*mark).arena).write(arena);
                (&raw mut (*mark).frame).cast::<Mark>().write(found.mark());
            }
            Ok(())
        })
    })
}

/// Frees everything that was allocated since `mark` was made, also by marks after it that were not released.
///
/// A mark of another arena is refused: `BHC_STATUS_INVALID_ARGUMENT`.
///
/// # Safety
/// `mark` is null, or [`bhc_arena_mark`] filled it in, and neither it nor one made before it was released already, nor
/// was the arena destroyed since. What was allocated since then is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bhc_arena_release(arena: *mut BhcArena, mark: *const BhcArenaMark) -> BhcStatus {
    status(|| {
        if mark.is_null() {
            return Err(Failure::Null("mark"));
        }
        with(arena, |found| {
            // SAFETY: the caller's promise: what `bhc_arena_mark` wrote. No scope is open: none is, out of Rust, while
            // code of C runs that has the arena.
            unsafe {
                if (*mark).arena != arena {
                    return Err(Failure::Invalid("the mark is another arena's"));
                }
                found.release((&raw const (*mark).frame).cast::<Mark>().read());
            }
            Ok(())
        })
    })
}

/// Allocates `size` bytes, aligned to `align`, until the scope ends. `bhc_arena_alloc_inline` is faster.
///
/// cbindgen:postfix=BHC_ALLOCATES(2, 3)
#[unsafe(no_mangle)]
pub extern "C" fn bhc_arena_alloc(arena: *mut BhcArena, size: usize, align: usize) -> *mut c_void {
    answer(|| with(arena, |found| Ok(pointer(MemoryRegion::alloc(found, layout(size, align)?)?))))
}

/// How many bytes of the arena are in use, alignment included; 0 if that fails.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_arena_used(arena: *const BhcArena) -> usize {
    answer(|| with(arena, |found| Ok(found.used())))
}
