//! Lengths and sizes that no memory has are refused before anything happens: no closure is called, nothing is counted that
//! was no request, and values come back.

use std::alloc::Layout;
use std::mem::MaybeUninit;

use bhc_rts_alloc::{Align, AlignedSlice, AllocError, AllocStats, HotArena, KnownAlign, MemoryRegion};

use super::elements::{Tracked, panic_text, tracked};
use super::vocabulary::{layout, on_both};

const TOO_LONG: [usize; 3] = [usize::MAX, isize::MAX as usize + 1, isize::MAX as usize];

#[test]
fn slices_of_impossible_lengths_are_no_requests() {
    on_both!(|region| {
        for len in TOO_LONG {
            let made = |_| -> u16 { unreachable!("nothing is made without room for it") };
            assert_eq!(region.try_alloc_slice_fill_with(len, made), Err(AllocError::Overflow), "{len}");
            let text = panic_text(|| region.alloc_slice_fill_with(len, made));
            assert_eq!(text, AllocError::Overflow.to_string());
        }
        assert_eq!(region.stats(), AllocStats::default());
        assert_eq!(region.capacity(), 0);
    });
}

#[test]
fn buffers_of_impossible_lengths_are_no_requests() {
    fn refused<T, A: KnownAlign>(result: Result<&mut AlignedSlice<T, A>, AllocError>) {
        assert_eq!(result.map(|slice| slice.len()).unwrap_err(), AllocError::Overflow);
    }
    on_both!(|region| {
        for len in TOO_LONG {
            refused(region.try_alloc_buffer::<u16, Align<1>>(len));
            refused(region.try_alloc_buffer::<u8, Align<64>>(len));
            refused(region.try_alloc_buffer_filled::<u16, Align<1>>(len, 1));
            refused(region.try_alloc_buffer_filled::<u8, Align<64>>(len, 1));
            refused(region.try_alloc_buffer_uninit::<u16, Align<1>>(len));
            refused(region.try_alloc_buffer_uninit::<[u64; 3], Align<4096>>(len));
            let overflow = AllocError::Overflow.to_string();
            assert_eq!(panic_text(|| region.alloc_buffer::<u64, Align<8>>(len).len()), overflow);
            assert_eq!(panic_text(|| region.alloc_buffer_filled::<u64, Align<8>>(len, 1).len()), overflow);
            assert_eq!(panic_text(|| region.alloc_buffer_uninit::<u64, Align<8>>(len).len()), overflow);
        }
        assert_eq!(region.stats(), AllocStats::default());
        assert_eq!(region.capacity(), 0);
    });
}

/// The largest layouts that there are: requests, which are counted, and for which there is no memory.
#[test]
fn the_largest_possible_sizes_are_requests_and_refused() {
    on_both!(|region| {
        const MOST: usize = isize::MAX as usize;
        let layouts = [layout(MOST, 1), layout(MOST - 7, 8), layout(MOST - 4095, 4096), layout(1 << 62, 1 << 62)];
        for (at, layout) in layouts.into_iter().enumerate() {
            let refused = AllocError::OutOfMemory { requested: layout.size(), available: 0 };
            assert_eq!(MemoryRegion::alloc(region, layout), Err(refused.clone()));
            assert_eq!(region.stats().failed_allocations, 3 * at + 1);
            assert_eq!(region.alloc_zeroed(layout), Err(refused.clone()));
            assert_eq!(panic_text(|| region.alloc_layout(layout)), refused.to_string());
        }
        let refused = AllocError::OutOfMemory { requested: MOST, available: 0 };
        assert_eq!(region.try_alloc_slice_fill_with(MOST, |_| -> u8 { unreachable!() }), Err(refused.clone()));
        assert_eq!(region.try_alloc_buffer_uninit::<u8, Align<1>>(MOST).map(|x| x.len()).unwrap_err(), refused);
        let stats = region.stats();
        assert_eq!((stats.failed_allocations, stats.allocation_count, region.capacity()), (14, 0, 0));
        // And it works on.
        assert_eq!(*region.alloc(5), 5);
    });
}

#[test]
fn elements_without_size_have_any_length() {
    on_both!(|region| {
        for len in [0, 1, usize::MAX] {
            assert_eq!(region.alloc_slice_copy(&[(); usize::MAX][..len]).len(), len);
            assert_eq!(region.alloc_buffer::<(), Align<64>>(len).len(), len);
            assert_eq!(region.alloc_buffer_uninit::<[u64; 0], Align<64>>(len).as_ptr().addr() % 64, 0);
        }
        let mut calls = 0;
        assert_eq!(
            region.alloc_slice_fill_with(1000, |i| assert_eq!(i, std::mem::replace(&mut calls, i + 1))).len(),
            1000
        );
        assert_eq!(region.alloc_buffer_filled::<(), Align<4096>>(1000, ()).as_ptr().addr() % 4096, 0);
        assert_eq!(region.alloc_slice_clone(&[[0u64; 0]; 77]).len(), 77);
        assert_eq!(region.alloc_slice_from_iter((0..1000).map(|_| ())).len(), 1000);
        assert_eq!((region.stats(), region.capacity()), (AllocStats::default(), 0));
    });
}

#[test]
fn slices_of_no_length_take_nothing_and_are_aligned() {
    #[derive(Clone, Copy)]
    #[repr(align(256))]
    struct Wide(#[expect(dead_code, reason = "only its layout matters")] u8);
    on_both!(|region| {
        assert_eq!(region.alloc_slice_copy::<Wide>(&[]).as_ptr().addr() % 256, 0);
        assert_eq!(region.alloc_slice_clone::<Wide>(&[]).as_ptr().addr() % 256, 0);
        assert_eq!(region.alloc_slice_fill_with(0, |_| Wide(1)).as_ptr().addr() % 256, 0);
        assert_eq!(region.alloc_slice_from_iter(std::iter::empty::<Wide>()).as_ptr().addr() % 256, 0);
        assert_eq!(region.alloc_str(""), "");
        assert_eq!(region.alloc_buffer::<u8, Align<4096>>(0).as_ptr().addr() % 4096, 0);
        assert_eq!(region.alloc_buffer_filled::<Wide, Align<64>>(0, Wide(1)).as_ptr().addr() % 256, 0);
        assert_eq!(region.alloc_buffer_uninit::<Wide, Align<1>>(0).as_ptr().addr() % 256, 0);
        assert_eq!((region.stats(), region.capacity()), (AllocStats::default(), 0));
    });
}

#[test]
fn what_there_is_no_room_for_comes_back() {
    let full = || HotArena::builder().capacity(16).fixed().build();
    fn check(result: Result<&mut Tracked<10>, (Tracked<10>, AllocError)>) {
        let (value, error) = result.unwrap_err();
        assert_eq!((value.value(), error), (5, AllocError::OutOfMemory { requested: 96, available: 16 }));
    }
    let before = tracked();
    let arena = full();
    check(arena.try_alloc(Tracked::new(5)));
    check(arena.try_alloc_box(Tracked::new(5)).map(|_| unreachable!()));
    full().scope(|scope| {
        check(scope.try_alloc(Tracked::new(5)));
        check(scope.try_alloc_box(Tracked::new(5)).map(|_| unreachable!()));
        assert_eq!(scope.stats().failed_allocations, 2);
    });
    assert_eq!(tracked(), before);
    // The plain forms drop it and say why.
    let text = AllocError::OutOfMemory { requested: 96, available: 16 }.to_string();
    assert_eq!(panic_text(|| arena.alloc(Tracked::<10>::new(5)).value()), text);
    assert_eq!(panic_text(|| arena.alloc_box(Tracked::<10>::new(5)).value()), text);
    assert_eq!(panic_text(|| arena.alloc_with(|| -> Tracked<10> { unreachable!() }).value()), text);
    assert_eq!(tracked(), before);
    assert_eq!(arena.stats().failed_allocations, 5);
    assert_eq!((arena.alloc([1u64; 2]), arena.remaining()), (&mut [1, 1], 0), "what there is can still be had");
}

#[test]
fn every_form_that_fails_says_what_was_asked_for_and_what_is_left() {
    #[track_caller]
    fn refused<T: ?Sized>(result: Result<&mut T, AllocError>, asked: usize) {
        assert_eq!(result.map(|_| ()).unwrap_err(), AllocError::OutOfMemory { requested: asked, available: 88 });
    }
    let arena = HotArena::builder().capacity(96).fixed().build();
    arena.alloc(1u64);
    let before = tracked();
    let source: Vec<Tracked> = (0..20).map(Tracked::new).collect();
    refused(arena.try_alloc_with(|| -> [u8; 96] { unreachable!() }), 96);
    refused(arena.try_alloc_slice_copy(&[1u32; 30]), 120);
    refused(arena.try_alloc_slice_clone(&source), 320);
    refused(arena.try_alloc_slice_fill_with(30, |_| -> u32 { unreachable!() }), 120);
    refused(arena.try_alloc_str(&"x".repeat(100)), 100);
    refused(arena.try_alloc_buffer::<u32, Align<8>>(30), 120);
    refused(arena.try_alloc_buffer_filled::<u32, Align<8>>(30, 1), 120);
    refused(arena.try_alloc_buffer_uninit::<u32, Align<8>>(30), 120);
    assert_eq!(tracked() - before, 20, "nothing was cloned");
    assert_eq!((arena.used(), arena.stats().failed_allocations), (8, 8));
    // Of an iterator, what there was is dropped, and its room is there again.
    let items = || source.iter().filter(|_| true).cloned();
    assert!(arena.try_alloc_slice_from_iter(items()).is_err());
    let text = panic_text(|| arena.alloc_slice_from_iter(items()).len());
    assert!(text.starts_with("out of memory: "), "{text}");
    assert_eq!((tracked() - before, arena.stats().current_live), (20, 8));
    assert_eq!(Layout::for_value(arena.alloc_slice_copy(&[MaybeUninit::<u8>::uninit(); 88])).size(), 88);
}
