//! The Hot Arena without an operating system: over memory that the program was linked with, and over its allocator if it
//! has one. Checks 50 to 82.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bhc_rts_alloc::{Align, AlignedSlice, AllocError, AllocStats, CallerMemory, HotArena, MemoryRegion, Place, Scope};
#[cfg(feature = "alloc")]
use bhc_rts_alloc::{System, with_arena};

#[cfg(feature = "alloc")]
use super::allocator::used as requested_elsewhere;
use super::{Text, through_a_bound};

type Check<'c> = &'c dyn Fn(i32, bool) -> Result<(), i32>;

/// Memory for one owner.
struct Memory<const N: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; N]>,
    taken: AtomicBool,
}

// SAFETY: the bytes are reached through `take` only, which gives them to the first who asks and to nobody else.
unsafe impl<const N: usize> Sync for Memory<N> {}

impl<const N: usize> Memory<N> {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([MaybeUninit::uninit(); N]), taken: AtomicBool::new(false) }
    }

    #[allow(clippy::mut_from_ref, reason = "it is given once")]
    fn take(&'static self) -> Option<&'static mut [MaybeUninit<u8>]> {
        // SAFETY: `swap` answers `false` once.
        (!self.taken.swap(true, Relaxed)).then(|| unsafe { &mut *self.bytes.get() }.as_mut_slice())
    }
}

const SIZE: usize = 16 << 10;
static MEMORY: Memory<SIZE> = Memory::new();

type Arena = HotArena<Align<64>, CallerMemory<'static>>;

/// All of it, without a request to anybody else.
pub fn over_static_memory(check: Check<'_>) -> Result<(), i32> {
    let elsewhere = requested_elsewhere();
    let memory = MEMORY.take().ok_or(50)?;
    check(51, MEMORY.take().is_none())?;
    // From an odd address: aligning is the arena's business.
    let mut arena = HotArena::builder().align::<Align<64>>().over(&mut memory[1..]);
    let capacity = arena.capacity();
    check(52, capacity.is_multiple_of(64) && capacity > SIZE - 256 && arena.used() == 0)?;
    check(53, arena.stats() == AllocStats::default())?;
    let mut expected = AllocStats::default();
    scopes(&mut arena, &mut expected, check)?;
    check(56, arena.stats() == expected && arena.used() == 0)?;
    buffers(&mut arena, check)?;
    exhaustion(&mut arena, check)?;
    marks(&mut arena, check)?;
    let stats = arena.stats();
    check(72, stats.current_live == 0 && stats.total_allocated == stats.total_deallocated)?;
    check(73, stats.allocation_count == stats.deallocation_count && arena.capacity() == capacity)?;
    check(74, requested_elsewhere() == elsewhere)
}

/// A function over any scope, as a program has them: squares that live as long as the scope.
fn squares<'s>(scope: &Scope<'s, '_, Align<64>>, count: usize) -> &'s mut [u64] {
    scope.alloc_slice_fill_with(count, |i| (i * i) as u64)
}

/// Values in nested scopes. `expected` counts along, in requested bytes.
fn scopes(arena: &mut Arena, expected: &mut AllocStats, check: Check<'_>) -> Result<(), i32> {
    for round in 0..3u64 {
        let sum = arena.scope(|outer| {
            let total = outer.alloc(round);
            let words = outer.alloc_str("one two three");
            for count in [10, 20, 30] {
                outer.scope(|inner| {
                    *total += squares(inner, count).iter().sum::<u64>();
                    inner.scope(|innermost| *total += *innermost.alloc_with(|| words.len() as u64));
                });
            }
            *total
        });
        let squares = |count: u64| (0..count).map(|i| i * i).sum::<u64>();
        check(54, sum == round + squares(10) + squares(20) + squares(30) + 3 * 13)?;
        expected.record_alloc(8);
        expected.record_alloc(13);
        for count in [10, 20, 30] {
            expected.record_alloc(count * 8);
            expected.record_alloc(8);
            expected.record_dealloc(8);
            expected.record_dealloc(count * 8);
        }
        expected.record_dealloc(13);
        expected.record_dealloc(8);
        check(55, arena.stats() == *expected)?;
    }
    Ok(())
}

/// Aligned buffers, of fixed length and growing.
fn buffers(arena: &mut Arena, check: Check<'_>) -> Result<(), i32> {
    let mut first = None;
    for _ in 0..2 {
        let (at, zero, sum) = arena.scope(|scope| {
            let x: &mut AlignedSlice<f32, Align<64>> = scope.alloc_buffer(112);
            let zero = x.iter().all(|x| x.to_bits() == 0);
            x.iter_mut().for_each(|x| *x = 2.0);
            (x.as_ptr().addr(), zero, through_a_bound(x))
        });
        check(57, at.is_multiple_of(64) && zero && sum == 448.0)?;
        // The second round has the memory of the first, and zeros again.
        check(58, *first.get_or_insert(at) == at)?;
    }
    arena.scope(|scope| {
        let mut growing = Place::<Align<64>>::new().within(&*scope).with_capacity::<f32>(16);
        let start = growing.as_ptr();
        growing.extend((0..1000u16).map(f32::from));
        check(59, growing.as_ptr() == start && growing.len() == 1000 && growing.padded().len() == 1008)?;
        let frozen = scope.freeze(growing);
        let doubled = scope.scope(|inner| inner.alloc_slice_copy(frozen).iter().map(|x| 2.0 * x).sum::<f32>());
        check(60, doubled == 999_000.0 && frozen[999] == 999.0)
    })
}

/// What does not fit is refused, by an error that can be shown, and nothing has changed.
fn exhaustion(arena: &mut Arena, check: Check<'_>) -> Result<(), i32> {
    let failed = arena.stats().failed_allocations;
    arena.scope(|scope| {
        let (used, available) = (scope.used(), scope.remaining());
        let refused = scope.try_alloc_buffer::<u8, Align<64>>(1 << 20).err();
        check(61, refused == Some(AllocError::OutOfMemory { requested: 1 << 20, available }))?;
        check(62, scope.used() == used && scope.remaining() == available)?;
        // No region could give that: not a request.
        check(63, scope.try_alloc_buffer::<u64, Align<64>>(usize::MAX).err() == Some(AllocError::Overflow))?;
        let rest = scope.try_alloc_buffer_uninit::<u8, Align<64>>(available).map_err(|_| 64)?;
        check(65, rest.len() == available && scope.remaining() == 0)?;
        let (value, error) = scope.try_alloc(7u64).err().ok_or(66)?;
        let mut text = Text::new();
        write!(text, "{error}").map_err(|_| 67)?;
        check(68, value == 7 && text.as_bytes() == b"out of memory: 8 bytes requested, 0 available")
    })?;
    check(69, arena.stats().failed_allocations == failed + 2 && arena.try_alloc(7u64).is_ok_and(|seven| *seven == 7))?;
    arena.reset();
    Ok(())
}

/// Scopes by hand, as compiled code has them; the inner one is left by an early return.
fn marks(arena: &mut Arena, check: Check<'_>) -> Result<(), i32> {
    let before = arena.stats();
    let kept = arena.alloc_layout(Layout::new::<u32>()).cast::<u32>();
    // SAFETY: a fresh block for a `u32`.
    unsafe { kept.write(5) };
    let outer = arena.mark();
    let block: NonNull<u8> = arena.alloc_layout(Layout::new::<[u8; 100]>());
    // Never released by itself: with the one before it.
    let _skipped = arena.mark();
    arena.alloc([0u8; 200]);
    check(70, arena.stats().current_live == before.current_live + 304)?;
    // SAFETY: the arena's mark, with no other before it; nobody uses the two blocks any more.
    unsafe { arena.release(outer) };
    let again = arena.alloc_layout(Layout::new::<[u8; 100]>());
    let after = arena.stats();
    let counted = after.allocation_count - before.allocation_count == 4
        && after.deallocation_count - before.deallocation_count == 2
        && after.total_deallocated - before.total_deallocated == 300;
    // SAFETY: allocated before the mark, and live.
    check(71, again == block && counted && unsafe { kept.read() } == 5)?;
    arena.reset();
    Ok(())
}

/// Without an allocator there is nobody to ask.
#[cfg(not(feature = "alloc"))]
fn requested_elsewhere() -> usize {
    0
}

/// Over the program's allocator an arena grows, up to its limit, and gives everything back.
#[cfg(feature = "alloc")]
pub fn over_the_allocator(check: Check<'_>) -> Result<(), i32> {
    let live = || System.stats().current_live;
    let before = live();
    let mut arena = HotArena::builder().align::<Align<64>>().limit(64 << 10).build();
    check(75, arena.capacity() == 0 && live() == before)?;
    for _ in 0..3 {
        let (sums, refused) = arena.scope(|scope| {
            // In several chunks.
            let blocks = [1000, 2000, 4000].map(|len| scope.alloc_buffer_filled::<f32, Align<64>>(len, 1.0));
            (blocks.map(|block| block.iter().sum::<f32>()), scope.try_alloc_buffer::<u8, Align<64>>(64 << 10).is_err())
        });
        check(76, sums == [1000.0, 2000.0, 4000.0] && refused)?;
    }
    let stats = arena.stats();
    check(77, stats.allocation_count == 9 && stats.total_deallocated == 3 * 28_000 && stats.peak_usage == 28_000)?;
    check(78, stats.failed_allocations == 3 && stats.current_live == 0)?;
    check(79, arena.capacity() >= 28_000 && live() - before <= 64 << 10 && live() > before)?;
    arena.shrink();
    check(80, arena.capacity() == 0 && live() == before)?;
    check(81, matches!(HotArena::try_with_capacity(1 << 40), Err(AllocError::OutOfMemory { .. })))?;
    check(82, with_arena(1000, |scope| scope.alloc_slice_fill_with(1000, |i| i as u8)[999]) == 231 && live() == before)
}
