//! What a backing does, or refuses, and the chunks that an arena keeps.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocError, AllocResult, AllocStats, HotArena, MemoryRegion, System};

type Backed = HotArena<Align<8>, &'static Reentrant>;

/// A backing that uses the arena that it backs, which it must not.
#[derive(Default)]
struct Reentrant {
    arena: Cell<Option<&'static Backed>>,
    answers: RefCell<Vec<Result<NonNull<u8>, AllocError>>>,
}

impl Reentrant {
    fn use_the_arena(&self) {
        if let Some(arena) = self.arena.get() {
            let answer = MemoryRegion::alloc(arena, Layout::new::<[u8; 3000]>());
            self.answers.borrow_mut().push(answer);
        }
    }
}

// SAFETY: blocks are those of `System`. What it does besides is refused.
unsafe impl MemoryRegion for Reentrant {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.use_the_arena();
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        self.use_the_arena();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) };
    }
    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }
}

#[test]
fn a_backing_that_uses_its_arena_gets_an_error_and_overlaps_nothing() {
    let leaked_backing = Box::into_raw(Box::<Reentrant>::default());
    // SAFETY: just leaked; freed at the end.
    let backing: &'static Reentrant = unsafe { &*leaked_backing };
    let leaked_arena = Box::into_raw(Box::new(HotArena::builder().within(backing).build()));
    // SAFETY: likewise.
    let arena: &'static Backed = unsafe { &*leaked_arena };
    let first = arena.alloc([1u8; 3000]);
    backing.arena.set(Some(arena));
    let second = arena.alloc([2u8; 8000]);
    let mark = arena.mark();
    arena.alloc([3u8; 100_000]);
    // SAFETY: the arena's last mark, and nothing since is used.
    unsafe { arena.release(mark) };
    backing.arena.set(None);
    let third = arena.alloc([4u8; 3000]);
    assert!(first == &[1; 3000] && second == &[2; 8000] && third == &[4; 3000]);
    let answers = backing.answers.borrow();
    assert!(answers.len() >= 2);
    assert!(answers.iter().all(|answer| matches!(answer, Err(AllocError::RegionExhausted { .. }))), "{answers:?}");
    let stats = arena.stats();
    assert_eq!((stats.allocation_count, stats.current_live), (4, 14_000));
    assert_eq!(stats.failed_allocations, answers.len());
    drop(answers);
    // SAFETY: from `into_raw` above, the arena before its backing, and no reference to either is used any more.
    unsafe {
        drop(Box::from_raw(leaked_arena));
        drop(Box::from_raw(leaked_backing));
    }
}

#[test]
fn kept_chunks_that_are_too_small_make_way_when_the_limit_asks_for_it() {
    let mut arena = HotArena::builder().limit(64 << 10).build();
    arena.alloc(1u8);
    arena.scope(|scope| while scope.try_alloc([0u8; 1000]).is_ok() {});
    let kept = arena.capacity();
    assert!(kept > 50_000, "the limit was used up: {kept}");
    assert!(arena.try_alloc([0u8; 40_000]).is_ok(), "nothing but a byte is live");
    // What even the whole limit does not allow takes nothing away.
    arena.scope(|scope| scope.alloc([0u8; 10_000])[0] = 1);
    let kept = arena.capacity();
    let refused = arena.try_alloc([0u8; 100_000]).map(|_| ()).unwrap_err();
    assert!(matches!(refused.1, AllocError::OutOfMemory { requested: 100_000, .. }));
    assert_eq!(arena.capacity(), kept);
}

#[test]
fn a_first_chunk_that_is_too_small_for_the_limit_goes_with_shrink() {
    let mut arena = HotArena::builder().limit(64 << 10).capacity(30_000).build();
    assert!(arena.try_alloc([0u8; 50_000]).is_err());
    arena.shrink();
    assert!(arena.try_alloc([0u8; 50_000]).is_ok());
}

#[test]
fn isolated_blocks_of_a_fixed_arena_share_its_capacity_as_a_limit() {
    let mut arena = HotArena::builder().capacity(4096).fixed().isolate_scopes(true).build();
    for _ in 0..10 {
        let given = arena.scope(|scope| (0..1000).take_while(|_| scope.try_alloc([1u8; 100]).is_ok()).count());
        assert!((10..40).contains(&given), "{given} blocks of 100 bytes");
        assert_eq!(arena.capacity(), 0, "they went back");
    }
    arena.alloc([2u8; 3000]);
    arena.reset();
    assert_eq!(arena.capacity(), 0);
    assert!(arena.try_alloc([2u8; 5000]).is_err());
}

#[test]
fn the_last_backing_that_is_named_counts() {
    let arena = HotArena::builder().huge_pages().within(System).build();
    arena.alloc(1u8);
    assert!(arena.capacity() < 8192, "chunks of the size that the process allocator gets: {}", arena.capacity());
}
