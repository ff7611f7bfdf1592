//! The hot paths of the Hot Arena.

use core::alloc::Layout;
use core::hint::assert_unchecked;
use core::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocResult, HotArena, MemoryRegion, Scope};

/// Four vectors of 64 bytes.
#[repr(align(64))]
pub struct Vectors(pub [u8; 256]);

/// A value.
#[inline(never)]
pub fn alloc_word(arena: &HotArena, value: u64) -> &mut u64 {
    arena.alloc(value)
}

/// A value, in the form that answers with an error.
#[inline(never)]
pub fn try_alloc_word(arena: &HotArena, value: u64) -> Option<&mut u64> {
    arena.try_alloc(value).ok()
}

/// A value that is less than the arena's alignment.
#[inline(never)]
pub fn alloc_byte(arena: &HotArena, value: u8) -> &mut u8 {
    arena.alloc(value)
}

/// A block of whole vectors, in an arena of them.
#[inline(never)]
pub fn alloc_vectors(arena: &HotArena<Align<64>>) -> NonNull<u8> {
    arena.alloc_layout(Layout::new::<Vectors>())
}

/// The same by the region's trait.
#[inline(never)]
pub fn alloc_vectors_by_trait(arena: &HotArena<Align<64>>) -> AllocResult<NonNull<u8>> {
    MemoryRegion::alloc(arena, Layout::new::<Vectors>())
}

/// The same in an arena of words, which has to align.
#[inline(never)]
pub fn alloc_vectors_among_words(arena: &HotArena) -> NonNull<u8> {
    arena.alloc_layout(Layout::new::<Vectors>())
}

/// A layout of run time.
#[inline(never)]
pub fn alloc_any(arena: &HotArena, layout: Layout) -> NonNull<u8> {
    arena.alloc_layout(layout)
}

/// Nothing.
#[inline(never)]
pub fn alloc_nothing(arena: &HotArena) -> &mut [u8; 0] {
    arena.alloc([])
}

/// A value in a scope that is in memory, as in a function that is not inlined.
#[inline(never)]
pub fn alloc_in(scope: &Scope<'_, '_>, value: u64) {
    scope.alloc(value);
}

/// A loop in a scope.
#[inline(never)]
pub fn words_in_scope(arena: &mut HotArena, count: u64) {
    arena.scope(|scope| {
        for i in 0..count {
            scope.alloc(i);
        }
    });
}

/// The same in a scope of a scope.
#[inline(never)]
pub fn words_in_inner_scope(arena: &mut HotArena, count: u64) {
    arena.scope(|outer| {
        outer.scope(|inner| {
            for i in 0..count {
                inner.alloc(i);
            }
        });
    });
}

/// The same where the body may panic.
#[inline(never)]
pub fn checked_words_in_scope(arena: &mut HotArena, table: &[u64], indices: &[usize]) {
    arena.scope(|scope| {
        for i in indices {
            scope.alloc(table[*i]);
        }
    });
}

/// Layouts of run time in a scope.
///
/// # Safety
/// None is of size zero.
#[inline(never)]
pub unsafe fn layouts_in_scope(arena: &mut HotArena, layouts: &[Layout]) {
    arena.scope(|scope| {
        for layout in layouts {
            // SAFETY: the caller's promise. The block is fresh and has a byte.
            unsafe {
                assert_unchecked(layout.size() != 0);
                scope.alloc_layout(*layout).write(1);
            }
        }
    });
}

/// Open, eight values, close.
#[inline(never)]
pub fn scope_of_eight(arena: &mut HotArena, value: u64) {
    arena.scope(|scope| {
        for i in 0..8 {
            scope.alloc(value + i);
        }
    });
}

/// A scope for each value, in a scope.
#[inline(never)]
pub fn scope_for_each(arena: &mut HotArena, count: u64) {
    arena.scope(|outer| {
        for i in 0..count {
            outer.scope(|inner| {
                inner.alloc(i);
            });
        }
    });
}

/// Gives a block of words more bytes.
///
/// # Safety
/// As for [`MemoryRegion::realloc`] with an alignment of 8, and `new` is more than `old`, the size that it has.
#[inline(never)]
pub unsafe fn grow(arena: &HotArena, block: NonNull<u8>, old: usize, new: usize) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise.
    unsafe {
        assert_unchecked(new > old);
        arena.realloc(block, Layout::from_size_align_unchecked(old, 8), new).ok()
    }
}

/// The same in a scope that is in memory.
///
/// # Safety
/// As for [`grow`].
#[inline(never)]
pub unsafe fn grow_in(scope: &Scope<'_, '_>, block: NonNull<u8>, old: usize, new: usize) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise.
    unsafe {
        assert_unchecked(new > old);
        scope.realloc(block, Layout::from_size_align_unchecked(old, 8), new).ok()
    }
}
