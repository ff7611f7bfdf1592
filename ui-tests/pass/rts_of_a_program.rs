//! What a program does with its capability: data comes to a region that is chosen as it runs, a kernel takes it typed,
//! its temporaries are in the arena while objects move, and another thread has one with the same Pinned Heap.

use bhc_rts_alloc::general::Collection;
use bhc_rts_alloc::{
    Align, AlignedSlice, Alignment, AtLeast, ByRegion, Capability, Config, GeneralHeap, HotArena, KnownRegion,
    MemoryRegion, Parts, PinnedHeap, Place, RegionKind, RuntimeBuffer, SimdBuffer, gc_object,
};

gc_object! { pub struct Boxed / BoxedInit { data value: f64, } }

fn sum<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

/// By bytes: what is large is pinned.
fn choose(bytes: usize) -> (RegionKind, Alignment) {
    if bytes >= 4096 { (RegionKind::Pinned, Alignment::Page) } else { (RegionKind::General, Alignment::Simd512) }
}

/// Of whichever region it is, copied only if it has to be.
fn typed<'c, R: KnownRegion<'c> + Copy>(
    buffer: RuntimeBuffer<'c, f32>,
    region: R,
) -> Result<SimdBuffer<f32, Align<64>, R>, bhc_rts_alloc::AllocError> {
    buffer.try_into_typed().or_else(|other| Place::<Align<64>>::new().within(region).try_from_slice(&other))
}

fn main() -> Result<(), bhc_rts_alloc::AllocError> {
    let mut capability: Capability = Config::new()
        .arena(HotArena::builder().capacity(64 << 10))
        .general(GeneralHeap::builder().nursery(64 << 10).limit(64 << 20))
        .pinned(PinnedHeap::builder().limit(64 << 20))
        .try_build()?;

    for len in [100, 10_000] {
        let (kind, alignment) = choose(4 * len);
        let buffer = capability.place(kind, alignment).try_filled(len, 1.0f32)?;
        assert_eq!(buffer.region().kind(), kind);
        let buffer = typed(buffer, &**capability.pinned())?;
        assert_eq!(sum(&buffer), len as f32);
    }
    assert_eq!(capability.pinned().stats().current_live, 0);

    let Parts { arena, general, pinned } = capability.parts();
    let kept = Place::at(Alignment::Simd512).within(ByRegion::from(&**pinned)).try_filled(16, 2.0f32)?;
    let total = general.new_root::<Boxed>(BoxedInit { value: 10.0 });
    let found = arena.scope(|scope| {
        let temporary = scope.alloc_buffer::<f32, Align<64>>(16);
        temporary.copy_from_slice(&kept);
        general.collect(Collection::Full);
        f64::from(sum(temporary)) + total.get(general).value
    });
    assert_eq!(found, 42.0);
    drop(kept);

    let shared = capability.pinned().clone();
    let theirs = std::thread::spawn(move || {
        let theirs = Config::new().share_pinned(shared).build();
        let block = theirs.alloc(RegionKind::Pinned, 100, Alignment::Page).expect("memory");
        // SAFETY: allocated just above from that region with that size and alignment, and not used again.
        unsafe { theirs.dealloc(RegionKind::Pinned, block, 100, Alignment::Page) };
        Place::<Align<64>>::new().within(theirs.pinned().clone()).from_slice(&[7u8; 64])
    });
    assert_eq!(theirs.join().expect("it does not panic")[63], 7);
    println!("{}", capability.stats());
    Ok(())
}
