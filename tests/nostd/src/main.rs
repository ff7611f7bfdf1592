//! A program of pure `core`, to prove that the crate needs nothing else: typed buffers in a region over a static array,
//! the Hot Arena, errors, statistics, dispatch and kernels. Exits with 42, or with the number of the check that failed.
#![no_std]
#![no_main]

use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::fmt::Write;
use core::ptr::NonNull;

use bhc_rts_alloc::{
    Align, AlignVisitor, AlignedSlice, Alignment, AllocError, AllocResult, AllocStats, AtLeast, KnownAlign,
    MemoryRegion, Place, SimdBuffer, SimdLevel, System, TypedRegion, alloc_aligned, checked_align_up,
    detect_simd_alignment, simd_kernel, with_alignment,
};

mod arena;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

fn exit(code: i32) -> ! {
    // SAFETY: the `exit` system call ends the process; nothing runs after it.
    unsafe { core::arch::asm!("syscall", in("rax") 60, in("rdi") code, options(noreturn, nostack)) }
}

/// What the compiler itself asks of every program, and the C library has elsewhere.
mod memory {
    use core::arch::asm;

    /// # Safety
    /// As C's.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        // SAFETY: the caller promises both ranges; the direction flag is clear.
        unsafe { asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _) };
        to
    }

    /// # Safety
    /// As C's.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        for step in 0..count {
            let at = if to.addr() <= from.addr() { step } else { count - 1 - step };
            // SAFETY: the caller promises both ranges; away from the overlap. Volatile, or this would become a call of itself.
            unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        }
        to
    }

    /// # Safety
    /// As C's.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
        // SAFETY: the caller promises the range; the direction flag is clear.
        unsafe { asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8) };
        to
    }

    /// # Safety
    /// As C's.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        for at in 0..count {
            // SAFETY: the caller promises both ranges. Volatile, or the compiler would make a call to `bcmp` of this.
            let differ = unsafe { left.add(at).read_volatile() != right.add(at).read_volatile() };
            if differ {
                return 1;
            }
        }
        0
    }
}

/// Bumps through an array of its own and takes nothing back.
struct Static<const N: usize> {
    bytes: UnsafeCell<[u8; N]>,
    used: Cell<usize>,
    stats: Cell<AllocStats>,
}

impl<const N: usize> Static<N> {
    const fn new() -> Self {
        let stats = AllocStats {
            total_allocated: 0,
            total_deallocated: 0,
            current_live: 0,
            allocation_count: 0,
            deallocation_count: 0,
            peak_usage: 0,
            failed_allocations: 0,
        };
        Self { bytes: UnsafeCell::new([0; N]), used: Cell::new(0), stats: Cell::new(stats) }
    }

    fn record(&self, change: impl FnOnce(&mut AllocStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

// SAFETY: blocks are parts of the array, each after the one before; the region is borrowed and does not move while they
// live.
unsafe impl<const N: usize> MemoryRegion for &Borrowed<N> {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        let start = self.0.bytes.get().cast::<u8>();
        let from = checked_align_up(start.addr() + self.0.used.get(), layout.align()).ok_or(AllocError::Overflow)?;
        let offset = from - start.addr();
        if layout.size() > N.saturating_sub(offset) {
            self.0.record(AllocStats::record_failure);
            return Err(AllocError::OutOfMemory { requested: layout.size(), available: N - self.0.used.get() });
        }
        self.0.used.set(offset + layout.size());
        if layout.size() != 0 {
            self.0.record(|stats| stats.record_alloc(layout.size()));
        }
        // SAFETY: inside the array, or one past its end.
        NonNull::new(unsafe { start.add(offset) }).ok_or(AllocError::Overflow)
    }

    unsafe fn dealloc(&self, _: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            self.0.record(|stats| stats.record_dealloc(layout.size()));
        }
    }

    fn stats(&self) -> AllocStats {
        self.0.stats.get()
    }
}

impl<const N: usize> TypedRegion for &Borrowed<N> {
    type MaxAlign = Align<64>;
}

/// The region is implemented for references to it only, since its blocks move with it.
struct Borrowed<const N: usize>(Static<N>);

simd_kernel! {
    fn dot(x: &[f32], y: &[f32]) -> f32 {
        x.iter().zip(y).map(|(x, y)| x * y).sum()
    }
}

fn through_a_bound<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    dot(SimdLevel::detect(), x, x)
}

struct Bytes;
impl AlignVisitor for Bytes {
    type Floor = Align<16>;
    type Output = usize;
    fn visit<A: AtLeast<Align<16>>>(self) -> usize {
        A::BYTES
    }
}

/// Text into a fixed array.
struct Text([u8; 64], usize);
impl Text {
    fn new() -> Self {
        Self([0; 64], 0)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.1 + text.len();
        self.0.get_mut(self.1..end).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.1 = end;
        Ok(())
    }
}

/// Without `alloc`, `System` has nothing to give.
#[cfg(not(feature = "alloc"))]
fn system(check: &dyn Fn(i32, bool) -> Result<(), i32>) -> Result<(), i32> {
    check(8, matches!(System.alloc(Layout::new::<u64>()), Err(AllocError::RegionExhausted { .. })))?;
    check(9, alloc_aligned::<u8>(1, Alignment::Page).is_err() && SimdBuffer::<u8>::try_zeroed(1).is_err())
}

/// With `alloc` and without `std`: no thread-locals, every block counted together.
#[cfg(feature = "alloc")]
fn system(check: &dyn Fn(i32, bool) -> Result<(), i32>) -> Result<(), i32> {
    let mut words = SimdBuffer::<u64, Align<4096>>::zeroed(100);
    words.extend(0..1000);
    check(20, words.as_ptr().addr().is_multiple_of(4096) && words[99] == 0 && words[1099] == 999)?;
    let small = SimdBuffer::<f32>::from_slice(&[1.0; 20]);
    let other = small.clone();
    check(21, other.padded()[19] == 1.0 && other.padded()[20] == 0.0)?;
    let boxed: alloc::boxed::Box<dyn MemoryRegion> = alloc::boxed::Box::new(System);
    check(22, Place::<Align<64>>::new().within(boxed).try_filled(10, 1u8).is_ok())?;
    let live = System.stats();
    check(23, live.current_live >= 1100 * 8 + 2 * 128 && live.peak_usage >= live.current_live)?;
    let block = alloc_aligned::<u8>(1, Alignment::Page).map_err(|_| 24)?;
    // SAFETY: allocated just above.
    unsafe { bhc_rts_alloc::free_aligned(block, 1, Alignment::Page) };
    check(25, matches!(SimdBuffer::<u8>::try_zeroed(1 << 40), Err(AllocError::OutOfMemory { .. })))?;
    drop((words, small, other));
    let rest = System.stats();
    check(26, rest.current_live == 0 && rest.failed_allocations == 1)?;
    check(27, rest.total_allocated == rest.total_deallocated && rest.allocation_count == rest.deallocation_count)
}

#[cfg(feature = "alloc")]
extern crate alloc;

/// The program's allocator: bumps through a static array and takes nothing back.
#[cfg(feature = "alloc")]
mod allocator {
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const SIZE: usize = 1 << 20;

    /// How much of it is gone.
    pub fn used() -> usize {
        BUMP.1.load(Relaxed)
    }

    #[repr(align(16))]
    struct Bump(UnsafeCell<[u8; SIZE]>, AtomicUsize);

    // SAFETY: no two allocations share a byte.
    unsafe impl Sync for Bump {}

    // SAFETY: each block is a part of the array of its own, aligned within it.
    unsafe impl GlobalAlloc for Bump {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let start = self.0.get().cast::<u8>();
            let mut offset = 0;
            let bump = self.1.fetch_update(Relaxed, Relaxed, |used| {
                let from = bhc_rts_alloc::checked_align_up(start.addr() + used, layout.align())?;
                offset = from - start.addr();
                offset.checked_add(layout.size()).filter(|end| *end <= SIZE)
            });
            // SAFETY: inside the array.
            if bump.is_ok() { unsafe { start.add(offset) } } else { core::ptr::null_mut() }
        }
        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[global_allocator]
    static BUMP: Bump = Bump(UnsafeCell::new([0; SIZE]), AtomicUsize::new(0));
}

fn work() -> Result<(), i32> {
    let check = |number: i32, holds: bool| if holds { Ok(()) } else { Err(number) };
    let region = Borrowed(Static::<4096>::new());
    let place = || Place::<Align<64>>::new().within(&region);

    let mut x = place().from_fn(10, |i| i as f32);
    x.push(10.0);
    check(1, through_a_bound(x.padded()) == 385.0)?;
    check(2, x.padded().len() == 16 && x.as_ptr().addr().is_multiple_of(64))?;
    let bytes = place().try_zeroed::<u8>(64).map_err(|_| 3)?.cast::<u32>();
    check(4, bytes.len() == 16)?;
    check(5, matches!(place().try_zeroed::<u8>(1 << 20), Err(AllocError::OutOfMemory { requested: 0x10_0000, .. })))?;
    check(6, place().try_zeroed::<u64>(usize::MAX).err() == Some(AllocError::Overflow))?;
    drop((x, bytes));
    let stats = (&&region).stats();
    check(7, stats.current_live == 0 && stats.failed_allocations == 1 && stats.peak_usage != 0)?;

    system(&check)?;
    check(10, SimdBuffer::<u8>::default().is_empty())?;

    check(11, Alignment::Simd256.dispatch(Bytes).ok() == Some(32))?;
    check(12, with_alignment!(Alignment::Page, |A| A::BYTES) == 4096)?;
    check(13, detect_simd_alignment() >= Alignment::Simd128)?;
    let mut text = Text::new();
    write!(text, "{}", AllocError::UnsupportedAlignment(48)).map_err(|_| 14)?;
    check(15, text.as_bytes() == b"an alignment of 48 bytes is not supported here")?;

    arena::over_static_memory(&check)?;
    #[cfg(feature = "alloc")]
    arena::over_the_allocator(&check)?;
    Ok(())
}

/// The entry of the program.
#[unsafe(no_mangle)]
pub extern "C" fn start() -> ! {
    exit(match work() {
        Ok(()) => 42,
        Err(number) => number,
    })
}

core::arch::global_asm!(".globl _start", "_start:", "and rsp, -16", "call {}", "ud2", sym start);
