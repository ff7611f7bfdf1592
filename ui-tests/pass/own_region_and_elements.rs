//! A region and elements from outside the crate: typed code generic over the region, records out of bytes, casts.

#![deny(warnings)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use bhc_rts_alloc::{
    Align, AlignedSlice, AllocError, AllocResult, AllocStats, AtLeast, KnownAlign, MemoryRegion, Place, RecordError,
    RegionKind, SimdBuffer, System, TypedRegion, element_align,
};
use bytemuck::{Pod, Zeroable};
use zerocopy::{Immutable, KnownLayout, TryFromBytes};

/// `System` with a limit in bytes, and statistics of its own.
struct Budget {
    limit: usize,
    stats: Cell<AllocStats>,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, stats: Cell::default() }
    }

    fn count(&self, change: impl FnOnce(&mut AllocStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

// SAFETY: the blocks are `System`'s; nothing is counted or refused after the block was obtained, and nothing unwinds.
unsafe impl MemoryRegion for Budget {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        let left = self.limit - self.stats.get().current_live;
        let block = if layout.size() > left {
            Err(AllocError::OutOfMemory { requested: layout.size(), available: left })
        } else {
            System.alloc(layout)
        };
        self.count(|stats| match &block {
            Ok(_) if layout.size() == 0 => {}
            Ok(_) => stats.record_alloc(layout.size()),
            Err(_) => stats.record_failure(),
        });
        block
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            self.count(|stats| stats.record_dealloc(layout.size()));
        }
        // SAFETY: the block came from `System` with this layout; the rest is the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    fn stats(&self) -> AllocStats {
        self.stats.get()
    }
}

impl TypedRegion for Budget {
    type MaxAlign = Align<4096>;
}

/// Typed code that works in every region strong enough.
fn iota<A, R>(region: R, len: usize) -> SimdBuffer<u32, A, R>
where
    A: KnownAlign,
    R: TypedRegion,
    R::MaxAlign: AtLeast<A>,
{
    Place::<A>::new().within(region).from_fn(len, |i| i as u32)
}

/// The same with the region borrowed, as kernels hold it.
fn sum_of_iota<R>(region: &R, len: usize) -> u32
where
    R: TypedRegion,
    R::MaxAlign: AtLeast<Align<64>>,
{
    iota::<Align<64>, &R>(region, len).iter().sum()
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Complex {
    re: f32,
    im: f32,
}
// SAFETY: two floats, which zeros and any other bytes are; no padding, no pointers.
unsafe impl Zeroable for Complex {}
// SAFETY: as above.
unsafe impl Pod for Complex {}

#[derive(TryFromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Sample {
    time: u32,
    valid: bool,
    channel: [u8; 3],
}

element_align!(Complex, Sample);

fn conjugate<A: AtLeast<Align<4>>>(xs: &mut AlignedSlice<f32, A>) {
    // `Align<4>` is all that a `Complex` needs; `A` is at least that, so the cast is known to be right in generic code.
    for x in xs.cast_mut::<Complex>().iter_mut() {
        x.im = -x.im;
    }
}

fn main() {
    let region = Budget::new(10_000);
    assert_eq!(sum_of_iota(&region, 100), 4950);
    assert_eq!(sum_of_iota(&System, 100), 4950);
    assert_eq!(region.kind(), RegionKind::Other);
    assert_eq!((region.stats().current_live, region.stats().allocation_count), (0, 1));

    let shared = Rc::new(region);
    let mut buffer = iota::<Align<4096>, _>(Rc::clone(&shared), 100);
    assert_eq!(shared.stats().current_live, 448, "400 bytes in whole 64-byte blocks");
    let dynamic: &dyn MemoryRegion = &*shared;
    let refused = Place::<Align<64>>::new().within(dynamic).try_zeroed::<u8>(20_000).unwrap_err();
    assert_eq!(refused, AllocError::OutOfMemory { requested: 20_032, available: 9552 });
    assert!(buffer.try_reserve(100_000).is_err());
    assert_eq!(buffer[99], 99, "a refused growth leaves the buffer as it was");
    drop(buffer);
    assert_eq!(shared.stats().current_live, 0);
    assert_eq!(shared.stats().failed_allocations, 2);

    let mut floats = SimdBuffer::<f32, Align<16>>::from_slice(&[1.0, 2.0, 3.0, 4.0]);
    conjugate(&mut floats);
    let complex = floats.cast::<Complex>();
    assert_eq!(complex[1], Complex { re: 3.0, im: -4.0 });

    let mut bytes = SimdBuffer::<u8>::zeroed(16);
    bytes[8] = 7;
    bytes[4] = 1;
    let samples = bytes.records::<Sample>().unwrap();
    assert_eq!((samples[0].valid, samples[1].time, samples[1].channel), (true, 7, [0; 3]));
    bytes[12] = 2;
    assert_eq!(bytes.records::<Sample>().err(), Some(RecordError::Invalid { index: 1 }));
}
