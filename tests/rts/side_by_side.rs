//! Several regions, capabilities and threads at once.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Arc, mpsc};
use std::thread;

use bhc_rts_alloc::general::{Collection, Stress};
use bhc_rts_alloc::{
    Align, Alignment, Capability, Config, GeneralHeap, MemoryRegion, Parts, PinnedGlobal, PinnedHeap, Place,
    RegionKind, Root, SimdBuffer, gc_object,
};

use super::expect_empty;

gc_object! {
    /// A list.
    struct Node / NodeInit { ptr next: Node, data value: u64, }
}

fn list(heap: &mut GeneralHeap, len: u64) -> Root<Node> {
    let mut first = heap.new_root::<Node>(NodeInit { next: None, value: 0 });
    for value in 1..len {
        first = heap.new_root::<Node>(NodeInit { next: Some(&first), value });
    }
    first
}

fn sum(heap: &GeneralHeap, list: &Root<Node>) -> u64 {
    std::iter::successors(Some(list.get(heap)), |node| node.get(Node::next)).map(|node| node.value).sum()
}

/// Every object moves at every third allocation, temporaries live in two scopes, a pinned block grows, and raw bytes of
/// the heap stay where they are: none of it disturbs another.
#[test]
fn a_scope_is_open_while_objects_move_and_pinned_blocks_are_used() {
    let general = GeneralHeap::builder().nursery(32 << 10).stress(Stress::Alternating(3)).verify(true);
    let mut capability = Config::new().general(general).build();
    let raw = Place::at(Alignment::Simd512).within(capability.general().bytes()).try_filled(1000, 7u8).expect("memory");
    let place = raw.as_ptr();

    let Parts { arena, general, pinned } = capability.parts();
    let pinned: &PinnedHeap = pinned;
    let mut kept: SimdBuffer<u64, Align<64>, _> = Place::new().within(pinned).from_slice(&[1]);
    let objects = list(general, 100);
    let collected = general.gc_stats();
    arena.scope(|outer| {
        let numbers = outer.alloc_slice_fill_with(500, |i| i as u64);
        for round in 0..20 {
            outer.scope(|inner| {
                let temporary = Place::<Align<64>>::new().within(&*inner).from_fn(300, |i| i as u64 + round);
                let others = list(general, 50);
                kept.push(sum(general, &others) + temporary.iter().sum::<u64>());
                if round % 5 == 0 {
                    general.collect(if round % 10 == 0 { Collection::Full } else { Collection::Minor });
                }
                assert!(temporary.iter().copied().eq(round..300 + round));
            });
        }
        assert!(numbers.iter().copied().eq(0..500));
    });
    assert_eq!(sum(general, &objects), 99 * 50);
    assert!(general.gc_stats().minor_collections > collected.minor_collections + 100);
    let expected = (0..20).map(|round| 49 * 25 + 299 * 150 + 300 * round);
    assert!(kept[1..].iter().copied().eq(expected), "{kept:?}");
    assert!(kept.as_ptr().addr().is_multiple_of(64) && pinned.contains(kept.as_ptr().cast()));
    assert_eq!((raw.as_ptr(), &raw[..]), (place, &[7; 1000][..]), "raw bytes stay");
    drop((kept, raw, objects));
    for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General] {
        expect_empty(&capability, kind);
    }
}

#[test]
fn what_was_allocated_by_kind_is_there_while_the_parts_are_used() {
    let mut capability = Capability::new();
    let blocks = [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General].map(|kind| {
        let block = capability.alloc(kind, 1000, Alignment::Simd512).expect("memory");
        // SAFETY: a block of so many bytes.
        unsafe { block.write_bytes(kind as u8, 1000) };
        (kind, block)
    });
    let parts = capability.parts();
    parts.arena.scope(|scope| scope.alloc([1u64; 1000])[0]);
    let objects = list(parts.general, 1000);
    parts.general.collect(Collection::Full);
    drop(Place::<Align<64>>::new().within(&**parts.pinned).zeroed::<u8>(1000));
    assert_eq!(sum(parts.general, &objects), 999 * 500);
    for (kind, block) in blocks {
        // SAFETY: live, so long, and all of it was written; it is not used afterwards.
        unsafe {
            let contents = std::slice::from_raw_parts(block.as_ptr(), 1000);
            assert!(contents.iter().all(|byte| *byte == kind as u8), "{kind:?}");
            capability.dealloc(kind, block, 1000, Alignment::Simd512);
        }
        expect_empty(&capability, kind);
    }
}

#[test]
fn capabilities_do_not_share_their_arenas_and_objects() {
    let (mut first, second) = (Capability::new(), Capability::new());
    for kind in [RegionKind::HotArena, RegionKind::Pinned, RegionKind::General] {
        let block = first.alloc(kind, 100, Alignment::Default).expect("memory");
        assert_eq!(first.region(kind).stats().current_live, 100);
        assert_eq!(second.region(kind).stats(), Default::default());
        // SAFETY: allocated just now with that kind, size and alignment, and not used.
        unsafe { first.dealloc(kind, block, 100, Alignment::Default) };
    }
    list(first.parts().general, 10);
    assert!(first.stats().general.gc.bytes_allocated > 0);
    assert_eq!(second.stats().general.gc.bytes_allocated, 0);
}

/// Sends a buffer of a heap that both share there and back, with both sides allocating meanwhile.
#[test]
fn a_pinned_heap_is_shared_by_capabilities_of_several_threads() {
    let first = Capability::new();
    let shared = first.pinned().clone();
    let (to, from) = mpsc::channel();
    let heap = &**first.pinned();
    thread::scope(|scope| {
        for n in 0..4u64 {
            let (shared, to) = (shared.clone(), to.clone());
            scope.spawn(move || {
                let mut capability = Config::new().share_pinned(shared).build();
                assert!(std::ptr::eq(heap, &**capability.pinned()));
                let mine = list(capability.parts().general, 1000 * (n + 1));
                for round in 0..200 {
                    let all = capability.alloc(RegionKind::Pinned, 100 + round, Alignment::Page).expect("memory");
                    let sent = Place::<Align<64>>::new().within(heap).from_slice(&[n, round as u64]);
                    to.send(sent).expect("somebody listens");
                    // SAFETY: allocated just now with that kind, size and alignment.
                    unsafe { capability.dealloc(RegionKind::Pinned, all, 100 + round, Alignment::Page) };
                }
                let parts = capability.parts();
                assert_eq!(sum(parts.general, &mine), (0..1000 * (n + 1)).sum::<u64>());
                assert_eq!(capability.region(RegionKind::HotArena).stats(), Default::default());
            });
        }
        drop(to);
        let mut received = [0; 4];
        for buffer in from {
            assert_eq!(buffer[1], received[buffer[0] as usize], "in order");
            received[buffer[0] as usize] += 1;
        }
        assert_eq!(received, [200; 4]);
    });
    let stats = first.region(RegionKind::Pinned).stats();
    assert_eq!((stats.allocation_count, stats.current_live), (2 * 4 * 200, 0));
    expect_empty(&first, RegionKind::Pinned);
}

#[test]
fn a_shared_pinned_heap_lives_as_long_as_anybody_shares_it() {
    // Made by the first, made elsewhere, and made on a thread that has ended, by one that is gone.
    let made_elsewhere = Arc::new(PinnedHeap::new());
    let theirs = thread::spawn(|| {
        let theirs = Capability::new();
        Place::<Align<64>>::new().within(theirs.pinned().clone()).from_slice(&[5u8; 64])
    });
    let left_behind = theirs.join().expect("it does not panic");
    let from_a_thread = left_behind.region().clone();
    let first = Capability::new();
    for (heap, live) in [
        (Config::new().share_pinned(first.pinned().clone()), 0),
        (Config::new().share_pinned(made_elsewhere.clone()), 0),
        (Config::new().share_pinned(from_a_thread.clone()), 64),
    ]
    .map(|(config, live)| (config.build(), live))
    {
        let second = Config::new().share_pinned(heap.pinned().clone()).build();
        let third = second.pinned().clone();
        let block = heap.alloc(RegionKind::Pinned, 100, Alignment::Page).expect("memory");
        // SAFETY: a block of so many bytes.
        unsafe { block.write_bytes(9, 100) };
        drop(heap);
        assert_eq!(second.region(RegionKind::Pinned).stats().current_live, live + 100);
        // SAFETY: the block lives as long as its heap, which `second` shares; it was written.
        assert_eq!(unsafe { block.add(99).read() }, 9);
        // SAFETY: live, of the shared heap, with this size and alignment, and not used again.
        unsafe { second.dealloc(RegionKind::Pinned, block, 100, Alignment::Page) };
        drop(second);
        assert_eq!(third.stats().current_live, live);
        drop(Place::<Align<64>>::new().within(&*third).zeroed::<u8>(100));
    }
    assert!(from_a_thread.contains(left_behind.as_ptr()));
    drop(from_a_thread);
    assert_eq!(left_behind[..], [5; 64], "a buffer is one of those who share it");
}

#[test]
fn a_pinned_heap_in_a_static_is_shared_and_stays() {
    static GLOBAL: PinnedGlobal = PinnedGlobal::new();
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: a layout with a size; the block goes back with the same.
    unsafe { GLOBAL.dealloc(GLOBAL.alloc(layout), layout) };
    let heap = GLOBAL.heap().expect("it has been used");
    let (first, second) = (Config::new().share_pinned(heap).build(), Config::new().share_pinned(heap).build());
    assert!(std::ptr::eq(heap, &**first.pinned()) && std::ptr::eq(heap, &**second.pinned()));
    let kept = first.place(RegionKind::Pinned, Alignment::Simd512).try_filled(10, 3u8).expect("memory");
    assert_eq!(second.stats().pinned.current_live, kept.capacity());
    drop(second);
    assert_eq!(kept[..], [3; 10]);
    drop(kept);
    let sent = Place::<Align<64>>::new().within(first.pinned().clone()).from_slice(&[4u8; 100]);
    drop(first);
    assert_eq!(thread::spawn(move || sent[99]).join().expect("it does not panic"), 4);
    assert_eq!((heap.stats().current_live, heap.stats().allocation_count), (0, 3));
}

#[test]
fn dropping_a_capability_ends_objects_and_arena_and_not_what_is_pinned() {
    let capability = Capability::new();
    let pinned = capability.pinned().clone();
    let kept = Place::<Align<64>>::new().within(&*pinned).from_slice(&[1.0f32, 2.0]);
    let raw = Place::<Align<64>>::new().within(capability.general().bytes()).from_slice(&[3.0f32, 4.0]);
    let mut other = Capability::new();
    let objects = list(other.parts().general, 100);
    drop(capability);
    assert_eq!((&kept[..], &raw[..]), (&[1.0, 2.0][..], &[3.0, 4.0][..]), "raw bytes have their own handle");
    assert_eq!(sum(other.general(), &objects), 99 * 50);
    drop(other);
    drop(objects); // after its heap, which is allowed
}
