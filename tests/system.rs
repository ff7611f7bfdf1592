//! `System`: the region contract, what its doc comments promise beyond it, and the forwarding impls for owners of regions.

#[path = "common/contract.rs"]
mod contract;

use std::alloc::Layout;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use bhc_rts_alloc::{
    Align, Alignment, AllocError, AllocResult, AllocStats, MemoryRegion, RegionKind, System, TypedRegion,
    alloc_aligned, free_aligned, os::fault,
};
use contract::Limits;

/// Runs a test when no other does: all tests of this process share `System`'s statistics. On a thread of its own, which has
/// ended when the next test begins: while it lives, its small blocks may be hidden from the peak that others see.
fn alone(test: impl FnOnce() + Send) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let result = thread::scope(|scope| scope.spawn(test).join());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

contract_tests!(region_contract, make = System, limits = Limits { max_align: 1 << 22, max_size: 1 << 18 }, run = alone);

/// Resident memory of this process in bytes, or a printed reason why it is not known.
fn resident() -> Option<usize> {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else {
        eprintln!("SKIPPED: no /proc/self/statm to read the resident memory from");
        return None;
    };
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * bhc_rts_alloc::page_size())
}

#[test]
fn zeroed_pages_of_large_over_aligned_blocks_are_not_touched() {
    alone(|| {
        if cfg!(bhc_asan) {
            eprintln!("SKIPPED: under AddressSanitizer memory is not zeroed by the operating system");
            return;
        }
        for align in [64, 4096, 1 << 20] {
            let layout = Layout::from_size_align(1 << 28, align).unwrap();
            let Some(before) = resident() else { return };
            let block = System.alloc_zeroed(layout).unwrap();
            // SAFETY: within the block.
            unsafe { assert_eq!((block.read(), block.add((1 << 28) - 1).read()), (0, 0)) };
            let touched = resident().unwrap().saturating_sub(before);
            assert!(touched < 1 << 24, "{touched} bytes of 256 MiB at {align} became resident");

            // SAFETY: a live block of this layout; afterwards one of the new size.
            unsafe {
                block.write_bytes(9, 4096);
                let grown = System.realloc(block, layout, 1 << 29).unwrap();
                assert_eq!(grown.addr().get() % align, 0);
                assert_eq!((grown.read(), grown.add(4095).read(), grown.add(4096).read()), (9, 9, 0));
                if align <= 4096 {
                    let touched = resident().unwrap().saturating_sub(before);
                    assert!(touched < 1 << 24, "growing copied: {touched} bytes became resident");
                }
                System.dealloc(grown, Layout::from_size_align(1 << 29, align).unwrap());
            }
        }
    });
}

#[test]
fn statistics_are_exact_across_threads_and_remote_frees() {
    alone(|| {
        let before = System.stats();
        let threads = 4;
        let rounds = 2000usize;
        let (to_next, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel::<(usize, Layout)>()).unzip();
        let handles: Vec<_> = inboxes
            .into_iter()
            .enumerate()
            .map(|(id, inbox)| {
                let next = to_next[(id + 1) % threads].clone();
                thread::spawn(move || {
                    let mut asked = 0;
                    let mut failed = 0;
                    for round in 0..rounds {
                        let size = 1 + (round * 37 + id * 101) % 5000;
                        let layout = Layout::from_size_align(size, 1 << ((round + id) % 9)).unwrap();
                        let block = System.alloc(layout).unwrap();
                        asked += size;
                        // SAFETY: within the block; the first byte is there for every size.
                        unsafe { block.write(id as u8) };
                        next.send((block.as_ptr().expose_provenance(), layout)).unwrap();
                        if round % 100 == 0 {
                            System.alloc(Layout::from_size_align(isize::MAX as usize - 63, 64).unwrap()).unwrap_err();
                            failed += 1;
                        }
                        while let Ok((address, layout)) = inbox.try_recv() {
                            let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
                            // SAFETY: a live block that another thread allocated with this layout and gave away.
                            unsafe { System.dealloc(block, layout) };
                        }
                    }
                    drop(next);
                    (asked, failed, inbox)
                })
            })
            .collect();
        drop(to_next);
        let mut asked = 0;
        let mut failed = 0;
        for handle in handles {
            let (bytes, refusals, inbox) = handle.join().unwrap();
            asked += bytes;
            failed += refusals;
            for (address, layout) in inbox {
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
                // SAFETY: as above.
                unsafe { System.dealloc(block, layout) };
            }
        }
        let after = System.stats();
        assert_eq!(after.total_allocated - before.total_allocated, asked);
        assert_eq!(after.total_deallocated - before.total_deallocated, asked);
        assert_eq!(after.current_live, before.current_live);
        assert_eq!(after.allocation_count - before.allocation_count, threads * rounds);
        assert_eq!(after.deallocation_count - before.deallocation_count, threads * rounds);
        assert_eq!(after.failed_allocations - before.failed_allocations, failed);
    });
}

#[test]
fn the_peak_is_that_of_all_threads_together() {
    alone(|| {
        let layout = Layout::from_size_align(1 << 31, 64).unwrap(); // more than anything else here; never touched
        let before = System.stats();
        let here = System.alloc(layout).unwrap();
        let elsewhere = thread::spawn(move || {
            let block = System.alloc(layout).unwrap();
            // SAFETY: allocated just above, not used again.
            unsafe { System.dealloc(block, layout) };
        });
        elsewhere.join().unwrap();
        // SAFETY: allocated above, not used again.
        unsafe { System.dealloc(here, layout) };
        assert_eq!(System.stats().peak_usage, before.current_live + (2 << 31));
    });
}

#[test]
fn a_typed_request_takes_the_stricter_alignment_and_checks_the_size() {
    #[repr(align(256))]
    struct Wide(#[expect(dead_code, reason = "only its layout matters")] [u8; 256]);

    alone(|| {
        let before = System.stats();
        let block = alloc_aligned::<Wide>(3, Alignment::Default).unwrap();
        assert_eq!(block.addr().get() % 256, 0, "class 12: the alignment of the element counts too");
        assert_eq!(System.stats().current_live, before.current_live + 3 * 256);
        // SAFETY: allocated just above with the same count and alignment.
        unsafe { free_aligned(block, 3, Alignment::Default) };

        for count in [usize::MAX, usize::MAX / 4, isize::MAX as usize / 4 + 1] {
            assert_eq!(alloc_aligned::<u32>(count, Alignment::Page), Err(AllocError::Overflow), "class 2: {count}");
        }
        assert_eq!(System.stats().failed_allocations, before.failed_allocations, "what has no size is no request");
        assert!(matches!(
            alloc_aligned::<u8>(isize::MAX as usize - 4095, Alignment::Page),
            Err(AllocError::OutOfMemory { available: 0, .. })
        ));

        for (count, align) in [(0, Alignment::Page), (0, Alignment::MIN)] {
            let nothing = alloc_aligned::<u64>(count, align).unwrap();
            assert_eq!(nothing.addr().get() % align.as_usize().max(8), 0, "class 11");
            // SAFETY: from a zero-size request with the same count and alignment.
            unsafe { free_aligned(nothing, count, align) };
        }
        let nothing = alloc_aligned::<()>(usize::MAX, Alignment::Simd512).unwrap();
        // SAFETY: as above.
        unsafe { free_aligned(nothing, usize::MAX, Alignment::Simd512) };
        assert_eq!(System.stats().current_live, before.current_live);

        let block: NonNull<f32> = System.alloc_typed::<f32, Align<4096>>(10).unwrap();
        assert_eq!(block.addr().get() % 4096, 0);
        // SAFETY: ten `f32` at 4096.
        unsafe { System.dealloc(block.cast(), Layout::from_size_align(40, 4096).unwrap()) };
        assert_eq!(System.alloc_typed::<f32, Align<4096>>(usize::MAX), Err(AllocError::Overflow));
    });
}

/// Small over-aligned blocks are kept by the thread that frees them; what it gets back later is as good as new.
#[test]
fn a_kept_block_serves_every_layout_of_its_class() {
    alone(|| {
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        for (freed, asked) in [
            (layout(64, 64), layout(1, 32)),
            (layout(1, 32), layout(64, 64)),
            (layout(4096, 32), layout(4033, 64)),
            (layout(129, 64), layout(192, 64)),
        ] {
            let block = System.alloc(freed).unwrap();
            // SAFETY: within the block; then freed with its layout.
            unsafe {
                block.write_bytes(0xff, freed.size());
                System.dealloc(block, freed);
            }
            let block = System.alloc_zeroed(asked).unwrap();
            assert_eq!(block.addr().get() % asked.align(), 0);
            for at in 0..asked.size() {
                // SAFETY: within the block, which is zeroed; all of it may be written.
                unsafe {
                    assert_eq!(block.add(at).read(), 0, "{freed:?} then {asked:?}");
                    block.add(at).write(1);
                }
            }
            // SAFETY: freed with its layout.
            unsafe { System.dealloc(block, asked) };
        }
    });
}

/// A region that says which of its methods was called.
struct Probe {
    called: Mutex<Vec<&'static str>>,
}

// SAFETY: gives no block but those of zero size; the pointers that it takes it gives back.
unsafe impl MemoryRegion for Probe {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.called.lock().unwrap().push("alloc");
        Err(AllocError::UnsupportedAlignment(layout.align()))
    }
    unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {
        self.called.lock().unwrap().push("dealloc");
    }
    unsafe fn realloc(&self, ptr: NonNull<u8>, _: Layout, _: usize) -> AllocResult<NonNull<u8>> {
        self.called.lock().unwrap().push("realloc");
        Ok(ptr)
    }
    fn alloc_zeroed(&self, _: Layout) -> AllocResult<NonNull<u8>> {
        self.called.lock().unwrap().push("alloc_zeroed");
        Err(AllocError::Overflow)
    }
    fn stats(&self) -> AllocStats {
        self.called.lock().unwrap().push("stats");
        AllocStats { failed_allocations: 77, ..AllocStats::default() }
    }
    fn kind(&self) -> RegionKind {
        self.called.lock().unwrap().push("kind");
        RegionKind::Pinned
    }
}

#[test]
fn owners_of_regions_forward_every_method_to_the_region_itself() {
    fn exercise(region: impl MemoryRegion) {
        let layout = Layout::new::<u64>();
        let ptr = NonNull::<u64>::dangling().cast();
        assert_eq!(region.alloc(layout), Err(AllocError::UnsupportedAlignment(8)));
        assert_eq!(region.alloc_zeroed(layout), Err(AllocError::Overflow));
        // SAFETY: the probe does nothing with the pointer.
        unsafe {
            assert_eq!(region.realloc(ptr, layout, 99), Ok(ptr));
            region.dealloc(ptr, layout);
        }
        assert_eq!(region.stats().failed_allocations, 77);
        assert_eq!(region.kind(), RegionKind::Pinned);
    }
    let all = ["alloc", "alloc_zeroed", "realloc", "dealloc", "stats", "kind"];
    let probe = || Probe { called: Mutex::default() };

    let region = probe();
    exercise(&region);
    assert_eq!(std::mem::take(&mut *region.called.lock().unwrap()), all, "&R");
    exercise(&&region as &dyn MemoryRegion);
    assert_eq!(std::mem::take(&mut *region.called.lock().unwrap()), all, "&dyn");
    exercise(Box::new(&region));
    assert_eq!(std::mem::take(&mut *region.called.lock().unwrap()), all, "Box");
    let region = Rc::new(region);
    exercise(Rc::clone(&region));
    assert_eq!(std::mem::take(&mut *region.called.lock().unwrap()), all, "Rc");
    let region = Arc::new(Rc::into_inner(region).unwrap());
    exercise(Arc::clone(&region));
    assert_eq!(std::mem::take(&mut *region.called.lock().unwrap()), all, "Arc");
    let region: Box<dyn MemoryRegion> = Box::new(probe());
    exercise(region);
}

/// The provided `realloc` and `alloc_zeroed`, which regions with nothing better use.
#[test]
fn the_provided_methods_allocate_copy_and_free() {
    struct Plain(System);
    // SAFETY: blocks are those of `System`.
    unsafe impl MemoryRegion for Plain {
        fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
            self.0.alloc(layout)
        }
        unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promise.
            unsafe { self.0.dealloc(ptr, layout) }
        }
        fn stats(&self) -> AllocStats {
            self.0.stats()
        }
    }
    alone(|| {
        let limits = Limits { max_align: 1 << 12, max_size: 1 << 14 };
        contract::zeroed_blocks_are_zero_after_dirty_ones(&Plain(System), limits);
        contract::realloc_keeps_the_contents_in_both_directions(&Plain(System), limits);
        contract::random_programs_behave_as_the_model(&Plain(System), limits);
        contract::a_failure_at_any_request_loses_nothing(&Plain(System), limits);
        assert_eq!(Plain(System).kind(), RegionKind::Other);
        // SAFETY: a block of zero size.
        let refused = unsafe { Plain(System).realloc(NonNull::dangling(), Layout::new::<()>(), usize::MAX) };
        assert_eq!(refused, Err(AllocError::Overflow));
    });
}

#[test]
fn blocks_come_and_go_in_destructors_of_thread_locals() {
    struct Late(NonNull<u8>);
    impl Drop for Late {
        fn drop(&mut self) {
            let layout = Layout::from_size_align(256, 64).unwrap();
            // SAFETY: the field is a live block of this layout; so are those made here.
            unsafe {
                System.dealloc(self.0, layout);
                for _ in 0..3 {
                    let block = System.alloc(layout).unwrap();
                    block.write_bytes(1, 256);
                    System.dealloc(block, layout);
                }
            }
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Vec<Late>> = const { std::cell::RefCell::new(Vec::new()) });

    alone(|| {
        let before = System.stats();
        for first in [true, false] {
            let layout = Layout::from_size_align(256, 64).unwrap();
            thread::spawn(move || {
                // Destructors run in some order: register this one before and after the crate's own.
                if first {
                    LATE.with_borrow_mut(|_| ());
                }
                let block = System.alloc(layout).unwrap();
                LATE.with_borrow_mut(|late| late.push(Late(block)));
            })
            .join()
            .unwrap();
        }
        let after = System.stats();
        assert_eq!(after.current_live, before.current_live);
        assert_eq!(after.allocation_count - before.allocation_count, 2 * 4);
        assert_eq!(after.deallocation_count - before.deallocation_count, 2 * 4);
    });
}

#[test]
fn the_fault_hook_is_per_thread_and_counts_requests() {
    alone(|| {
        let layout = Layout::new::<u64>();
        let ((), requests) = fault::fail_nth(1, || {
            let first = System.alloc(layout).unwrap();
            assert!(matches!(System.alloc(layout), Err(AllocError::OutOfMemory { requested: 8, .. })));
            thread::spawn(move || {
                let block = System.alloc(layout).expect("the hook is that of another thread");
                // SAFETY: allocated just above.
                unsafe { System.dealloc(block, layout) };
            })
            .join()
            .unwrap();
            let third = System.alloc_zeroed(layout).unwrap();
            // SAFETY: allocated above.
            unsafe {
                System.dealloc(first, layout);
                System.dealloc(third, layout);
            }
        });
        assert_eq!(requests, 3);
        assert!(std::panic::catch_unwind(|| fault::fail_nth(0, || panic!())).is_err());
        let block = System.alloc(layout).expect("a panic takes the hook away");
        // SAFETY: allocated just above.
        unsafe { System.dealloc(block, layout) };
    });
}

#[test]
fn statistics_never_wrap_and_tell_misuse_in_debug_builds() {
    let mut stats = AllocStats { total_allocated: usize::MAX, current_live: usize::MAX, ..AllocStats::default() };
    stats.record_alloc(100);
    assert_eq!((stats.total_allocated, stats.current_live, stats.peak_usage), (usize::MAX, usize::MAX, usize::MAX));
    stats.record_failure();
    assert_eq!(stats.failed_allocations, 1);

    let misuse = std::panic::catch_unwind(|| {
        let mut stats = AllocStats::default();
        stats.record_alloc(10);
        stats.record_dealloc(11);
    });
    assert!(misuse.is_err(), "tests are built with the feature `checked`");
}

#[test]
fn errors_say_what_happened() {
    let invalid = Layout::from_size_align(1, 3).unwrap_err();
    for (error, text) in [
        (AllocError::OutOfMemory { requested: 64, available: 8 }, "out of memory: 64 bytes requested, 8 available"),
        (AllocError::InvalidLayout(invalid.clone()), &*format!("invalid layout: {invalid}")),
        (AllocError::RegionExhausted { region: "arena" }, "the region is exhausted: arena"),
        (AllocError::UnsupportedAlignment(128), "an alignment of 128 bytes is not supported here"),
        (AllocError::Overflow, "the size of the allocation does not fit the address space"),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.clone(), error);
    }
    assert_eq!(AllocError::from(Alignment::try_from(48).unwrap_err()), AllocError::UnsupportedAlignment(48));
    assert_eq!(AllocError::from(invalid.clone()), AllocError::InvalidLayout(invalid));
}
