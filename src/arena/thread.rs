//! [`with_thread_arena`]: an arena per thread, whose memory is kept from call to call.

use std::cell::Cell;
use std::thread_local;
use std::vec::Vec;

use super::hot::HotArena;
use super::scope::Scope;

thread_local! {
    /// The arenas of this thread that nobody uses. An arena in use is not here: it stands on the stack of whoever took it.
    static IDLE: Cell<Vec<HotArena>> = const { Cell::new(Vec::new()) };
}

/// An arena on its way back to the thread.
struct Taken(HotArena);

impl Drop for Taken {
    fn drop(&mut self) {
        let arena = core::mem::take(&mut self.0);
        // At the thread's end, or without memory for the list, the arena is dropped.
        let _ = IDLE.try_with(move |idle| {
            let mut arenas = idle.take();
            if arenas.len() < arenas.capacity() || arenas.try_reserve(1).is_ok() {
                arenas.push(arena);
            }
            idle.set(arenas);
        });
    }
}

/// Runs `body` with a scope of an arena of this thread, which keeps its memory for the next call.
///
/// It may be called again inside `body`, and gets another arena then: the thread keeps as many as were ever in use at once. In
/// the destructor of a thread-local value it works too, with an arena that may be made for the call.
///
/// ```
/// use bhc_rts_alloc::with_thread_arena;
/// let sum = with_thread_arena(|outer| {
///     let one = outer.alloc(1);
///     with_thread_arena(|inner| *inner.alloc(2) + *one)
/// });
/// assert_eq!(sum, 3);
/// ```
pub fn with_thread_arena<X>(body: impl for<'s, 'env> FnOnce(&mut Scope<'s, 'env>) -> X) -> X {
    let arena = IDLE.try_with(|idle| {
        let mut arenas = idle.take();
        let arena = arenas.pop();
        idle.set(arenas);
        arena
    });
    let mut taken = Taken(arena.ok().flatten().unwrap_or_default());
    taken.0.scope(body)
}
