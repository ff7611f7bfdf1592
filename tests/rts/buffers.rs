//! Buffers whose region and alignment were chosen at run time, and their way to a type and back.

use std::fmt::Debug;
use std::sync::Arc;

use bhc_rts_alloc::{
    Align, Alignment, AllocError, AllocStats, Capability, Config, HeapBytes, HotArena, KnownAlign, KnownRegion,
    MemoryRegion, PageAlign, PinnedHeap, Place, RegionKind, RuntimeBuffer, SimdBuffer, System, detect_simd_alignment,
};

use super::{KINDS, by_itself, expect_empty};

/// An arena with all its memory from the start: its chunks are blocks of the process allocator, whose statistics are
/// looked at.
fn capability() -> Capability {
    Config::new().arena(HotArena::builder().capacity(64 << 20).fixed()).build()
}

/// Alignments of cache lines, vectors, pages and beyond, and weaker ones than the elements have.
const ALIGNMENTS: [Alignment; 8] = [
    Alignment::Pow0,
    Alignment::Pow2,
    Alignment::Pow4,
    Alignment::Pow5,
    Alignment::Pow6,
    Alignment::Pow8,
    Alignment::Page,
    Alignment::Pow16,
];

fn numbers(len: usize, start: u64) -> impl Iterator<Item = u64> + Clone {
    (0..len as u64).map(move |i| i * 3 + start)
}

/// All that a conversion must not change.
fn facts<T: Clone + Debug, A: bhc_rts_alloc::AlignSpec, R: MemoryRegion>(
    buffer: &SimdBuffer<T, A, R>,
) -> (*const T, usize, usize, Alignment, RegionKind, AllocStats) {
    let region = buffer.region();
    (buffer.as_ptr(), buffer.len(), buffer.capacity(), buffer.alignment(), region.kind(), region.stats())
}

#[test]
fn buffers_of_every_region_at_every_alignment_are_buffers() {
    by_itself(module_path!(), "buffers_of_every_region_at_every_alignment_are_buffers", || {
        let capability = capability();
        for kind in KINDS {
            let start = capability.region(kind).stats().current_live;
            for alignment in ALIGNMENTS {
                let place = capability.place(kind, alignment);
                let mut buffer: RuntimeBuffer<'_, u64> = place.clone().try_from_iter(numbers(100, 0)).expect("memory");
                let look = |buffer: &RuntimeBuffer<'_, u64>, len: usize| {
                    assert!(buffer.iter().copied().eq(numbers(len, 0)), "{kind:?}, {alignment:?}");
                    assert!(buffer.as_ptr().addr().is_multiple_of(alignment.as_usize()));
                    assert_eq!((buffer.alignment(), buffer.region().kind()), (alignment, kind));
                };
                look(&buffer, 100);
                numbers(5000, 0).skip(100).for_each(|number| buffer.push(number));
                look(&buffer, 5000);
                let clone = buffer.try_clone().expect("memory");
                look(&clone, 5000);
                assert_ne!(clone.as_ptr(), buffer.as_ptr());
                let live = (buffer.capacity() + clone.capacity()) * size_of::<u64>();
                assert_eq!(capability.region(kind).stats().current_live, start + live, "{kind:?}, {alignment:?}");
                buffer.truncate(10);
                buffer.shrink_to_fit();
                look(&buffer, 10);
                look(&clone, 5000);
                buffer.clone_from(&clone);
                look(&buffer, 5000);
                drop((buffer, clone));

                let zeroed = place.clone().try_zeroed::<f32>(1001).expect("memory");
                assert!(zeroed.iter().all(|zero| zero.to_bits() == 0));
                let empty: RuntimeBuffer<'_, u64> = place.try_with_capacity(0).expect("nothing is asked for");
                assert_eq!((empty.len(), empty.capacity()), (0, 0));
            }
            let stats = capability.region(kind).stats();
            assert_eq!(stats.current_live, start, "{kind:?}");
            assert_eq!(stats.failed_allocations, 0);
        }
    });
}

/// Takes a buffer through all wrong types, which it must come out of as it went in, and the right one and back.
fn convert<'c, A: KnownAlign, R: KnownRegion<'c>, B: KnownAlign, Q: KnownRegion<'c>>(
    buffer: RuntimeBuffer<'c, u64>,
) -> RuntimeBuffer<'c, u64> {
    let before = facts(&buffer);
    let (contents, capacity) = (buffer.to_vec(), buffer.capacity());
    // The wrong alignment, the wrong region, both.
    let buffer = buffer.try_into_typed::<B, R>().expect_err("another alignment");
    assert_eq!(facts(&buffer), before);
    let buffer = buffer.try_into_typed::<A, Q>().expect_err("another region");
    assert_eq!(facts(&buffer), before);
    let buffer = buffer.try_into_typed::<B, Q>().expect_err("another region and alignment");
    assert_eq!(facts(&buffer), before);
    let buffer = buffer.try_into_region::<Q>().expect_err("another region");
    let buffer = buffer.try_into_static::<B>().expect_err("another alignment");
    assert_eq!((facts(&buffer), &buffer[..]), (before, &contents[..]));
    // One after the other, in both orders, and at once.
    let buffer: SimdBuffer<u64, Alignment, R> = buffer.try_into_region().expect("its region");
    assert_eq!(facts(&buffer), before);
    let buffer: SimdBuffer<u64, A, R> = buffer.try_into_static().expect("its alignment");
    assert_eq!(facts(&buffer), before);
    let buffer: RuntimeBuffer<'c, u64> = buffer.into_dynamic().into_by_region();
    assert_eq!(facts(&buffer), before);
    let buffer: SimdBuffer<u64, A, R> = buffer.try_into_typed().expect("its region and alignment");
    assert_eq!((facts(&buffer), &buffer[..]), (before, &contents[..]));
    let buffer: RuntimeBuffer<'c, u64> = buffer.into_dynamic().into_by_region();
    assert_eq!((facts(&buffer), &buffer[..], buffer.capacity()), (before, &contents[..], capacity));
    buffer
}

/// A buffer is freed with the layout that it was allocated with, by the region that gave it, in each of its forms.
fn free_in_each_form<'c, A: KnownAlign, R: KnownRegion<'c>>(make: impl Fn() -> RuntimeBuffer<'c, u64>) {
    let expect_freed = |before: AllocStats, size: usize, region: &dyn MemoryRegion| {
        let mut expected = before;
        expected.record_dealloc(size);
        assert_eq!(region.stats(), expected);
    };
    let buffer = make();
    let (region, before, size) = (buffer.region().clone(), buffer.region().stats(), buffer.capacity() * 8);
    drop(buffer);
    expect_freed(before, size, &region);
    let by_region = make().try_into_region::<R>().expect("its region");
    let before = region.stats();
    drop(by_region);
    expect_freed(before, size, &region);
    let typed = make().try_into_typed::<A, R>().expect("its type");
    let before = region.stats();
    drop(typed);
    expect_freed(before, size, &region);
    // Grown as what it is by then.
    let mut typed = make().try_into_typed::<A, R>().expect("its type");
    typed.extend(numbers(10_000, 1));
    assert!(typed.as_ptr().addr().is_multiple_of(A::BYTES));
    let back = typed.into_dynamic().into_by_region();
    let (before, size) = (region.stats(), back.capacity() * 8);
    drop(back);
    expect_freed(before, size, &region);
}

fn from_one_region<'c, R: KnownRegion<'c>, Q: KnownRegion<'c>>(capability: &'c Capability, kind: RegionKind) {
    let made = |alignment: Alignment, len: usize| {
        let place = capability.place(kind, alignment);
        move || place.clone().try_from_iter(numbers(len, 7)).expect("memory")
    };
    for len in [0, 1, 8, 100, 5000] {
        convert::<Align<1>, R, Align<2>, Q>(made(Alignment::Pow0, len)());
        convert::<Align<8>, R, Align<64>, Q>(made(Alignment::Pow3, len)());
        convert::<Align<64>, R, Align<32>, Q>(made(Alignment::Pow6, len)());
        convert::<PageAlign, R, Align<64>, Q>(made(Alignment::Page, len)());
        convert::<Align<65536>, R, PageAlign, Q>(made(Alignment::Pow16, len)());
    }
    free_in_each_form::<Align<1>, R>(made(Alignment::Pow0, 100));
    free_in_each_form::<Align<64>, R>(made(Alignment::Pow6, 100));
    free_in_each_form::<PageAlign, R>(made(Alignment::Page, 100));
}

#[test]
fn a_buffer_becomes_a_typed_one_exactly_if_it_is_one_and_no_byte_moves() {
    by_itself(module_path!(), "a_buffer_becomes_a_typed_one_exactly_if_it_is_one_and_no_byte_moves", || {
        let capability = capability();
        let start = System.stats().current_live;
        from_one_region::<System, &HotArena>(&capability, RegionKind::System);
        from_one_region::<System, &PinnedHeap>(&capability, RegionKind::System);
        from_one_region::<&HotArena, &PinnedHeap>(&capability, RegionKind::HotArena);
        from_one_region::<&HotArena, System>(&capability, RegionKind::HotArena);
        from_one_region::<&PinnedHeap, HeapBytes>(&capability, RegionKind::Pinned);
        from_one_region::<&PinnedHeap, &HotArena>(&capability, RegionKind::Pinned);
        from_one_region::<HeapBytes, System>(&capability, RegionKind::General);
        from_one_region::<HeapBytes, &PinnedHeap>(&capability, RegionKind::General);
        for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General] {
            expect_empty(&capability, kind);
        }
        assert_eq!(System.stats().current_live, start);
    });
}

#[test]
fn a_buffer_of_no_region_is_empty_and_has_no_type() {
    let capability = capability();
    let place = capability.place(RegionKind::Other, Alignment::Simd512);
    let refused = place.clone().try_zeroed::<u64>(1).expect_err("there is no region");
    assert!(matches!(refused, AllocError::RegionExhausted { .. }), "{refused:?}");
    let mut buffer = place.try_with_capacity::<u64>(0).expect("nothing is asked for");
    assert!(matches!(buffer.try_push(1), Err((1, AllocError::RegionExhausted { .. }))));
    let buffer = buffer.try_into_region::<System>().expect_err("none");
    let buffer = buffer.try_into_region::<&HotArena>().expect_err("none");
    let buffer = buffer.try_into_region::<&PinnedHeap>().expect_err("none");
    let buffer = buffer.try_into_typed::<Align<64>, HeapBytes>().expect_err("none");
    assert_eq!(buffer.capacity(), 0);
}

/// Two regions of one kind are two regions: a buffer keeps to its own.
#[test]
fn a_buffer_stays_in_its_own_region_among_others_of_that_kind() {
    let (first, second) = (capability(), capability());
    for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General] {
        let buffer = first.place(kind, Alignment::Simd512).try_from_iter(numbers(100, 0)).expect("memory");
        let size = buffer.capacity() * size_of::<u64>();
        let live = |capability: &Capability| capability.region(kind).stats().current_live;
        let mut buffer = match kind {
            RegionKind::HotArena => {
                let typed: SimdBuffer<_, Align<64>, &HotArena> = buffer.try_into_typed().expect("its type");
                assert!(std::ptr::eq(*typed.region(), first.arena()));
                typed.into_dynamic().into_by_region()
            }
            RegionKind::Pinned => {
                let typed: SimdBuffer<_, Align<64>, &PinnedHeap> = buffer.try_into_typed().expect("its type");
                assert!(std::ptr::eq(*typed.region(), &**first.pinned()));
                typed.into_dynamic().into_by_region()
            }
            _ => {
                let typed: SimdBuffer<_, Align<64>, HeapBytes> = buffer.try_into_typed().expect("its type");
                assert!(first.general().contains(typed.as_ptr()));
                typed.into_dynamic().into_by_region()
            }
        };
        assert_eq!((live(&first), live(&second)), (size, 0), "{kind:?}");
        let theirs = second.place(kind, Alignment::Simd512).try_from_slice(&[1u64, 2]).expect("memory");
        buffer.clone_from(&theirs);
        assert_eq!(live(&second), 64, "a clone of the elements is where the buffer was");
        drop(buffer);
        assert_eq!((live(&first), live(&second)), (0, 64), "{kind:?}");
    }
}

/// Where every request is refused in turn, the elements are those before, and a typed buffer is still one.
#[test]
fn a_refusal_leaves_a_buffer_as_it_was() {
    let pinned = Arc::new(PinnedHeap::builder().limit(1 << 20).build());
    let capability = Config::new().arena(HotArena::builder().limit(1 << 20)).share_pinned(pinned).build();
    for kind in [RegionKind::HotArena, RegionKind::Pinned] {
        let mut buffer = capability.place(kind, Alignment::Simd512).try_from_iter(numbers(100, 0)).expect("memory");
        let before = facts(&buffer);
        let error = buffer.try_reserve(1 << 20).expect_err("beyond the limit");
        assert!(matches!(error, AllocError::OutOfMemory { .. }), "{kind:?}: {error:?}");
        let after = facts(&buffer);
        assert_eq!(after.5, AllocStats { failed_allocations: 1, ..before.5 }, "{kind:?}");
        assert_eq!((after.0, after.1, after.2), (before.0, before.1, before.2));
        assert_eq!(buffer.try_reserve(usize::MAX / 8), Err(AllocError::Overflow));
        assert_eq!(buffer.region().stats(), after.5, "no region was asked");
        assert!(buffer.iter().copied().eq(numbers(100, 0)));
    }
}

/// Elements with destructors, and elements of no size.
#[test]
fn elements_of_any_type_go_through_all_forms() {
    let capability = capability();
    let counted = Arc::new(());
    for kind in KINDS {
        let place = capability.place(kind, Alignment::Simd256);
        let owners = place.clone().try_filled(50, counted.clone()).expect("memory");
        assert_eq!(Arc::strong_count(&counted), 51);
        let owners = owners.try_into_region::<System>().map(SimdBuffer::into_by_region).unwrap_or_else(|same| same);
        let owners = owners.try_into_static::<Align<32>>().expect("its alignment");
        assert_eq!(Arc::strong_count(&counted), 51);
        drop(owners.into_dynamic());
        assert_eq!(Arc::strong_count(&counted), 1, "{kind:?}");
        let nothing = place.try_filled(1000, ()).expect("they take no memory");
        assert_eq!(nothing.try_into_static::<Align<32>>().expect("its alignment").len(), 1000);
    }
}

/// What the crate's documents show: data comes at run time, a kernel wants a type.
#[test]
fn a_kernel_takes_a_buffer_that_turned_out_to_be_right() {
    fn kernel(x: &SimdBuffer<f32, Align<64>, &PinnedHeap>) -> f32 {
        x.padded().iter().sum()
    }
    let capability = capability();
    let chosen = detect_simd_alignment();
    let buffer = capability.place(RegionKind::Pinned, chosen).try_filled(1000, 1.0f32).expect("memory");
    match buffer.try_into_typed::<Align<64>, &PinnedHeap>() {
        Ok(typed) => assert_eq!((chosen, kernel(&typed)), (Alignment::Simd512, 1000.0)),
        Err(buffer) => {
            assert_ne!(chosen, Alignment::Simd512);
            let typed = Place::<Align<64>>::new().within(&**capability.pinned()).from_slice(&buffer);
            assert_eq!(kernel(&typed), 1000.0);
        }
    }
}
