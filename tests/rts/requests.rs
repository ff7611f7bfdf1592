//! `Capability::alloc` and `dealloc`, at sizes and alignments up to the largest there are.

use std::ptr::NonNull;

use bhc_rts_alloc::{Alignment, AllocError, AllocResult, Capability, Config, HotArena, PinnedHeap, RegionKind};

use super::{KINDS, by_itself};

fn capability() -> Capability {
    Config::new().arena(HotArena::builder().limit(256 << 20)).build()
}

/// Asks, and looks at what is counted.
fn ask(capability: &Capability, kind: RegionKind, size: usize, alignment: Alignment) -> AllocResult<NonNull<u8>> {
    let mut expected = capability.region(kind).stats();
    let result = capability.alloc(kind, size, alignment);
    match &result {
        Ok(block) if size == 0 => assert_eq!(block.addr().get() % alignment.as_usize(), 0),
        Ok(block) => {
            assert_eq!(block.addr().get() % alignment.as_usize(), 0);
            // SAFETY: the first and the last byte of the block.
            unsafe {
                block.write(1);
                block.add(size - 1).write(2);
            }
            expected.record_alloc(size);
        }
        Err(AllocError::Overflow) => {}
        Err(_) => expected.record_failure(),
    }
    let stats = capability.region(kind).stats();
    expected.peak_usage = stats.peak_usage; // is looked at in the contracts
    assert_eq!(stats, expected, "{kind:?}, {size} bytes, {alignment:?}: {result:?}");
    result
}

/// Takes a block back, and looks at what is counted.
fn free(capability: &Capability, kind: RegionKind, block: NonNull<u8>, size: usize, alignment: Alignment) {
    let mut expected = capability.region(kind).stats();
    if size != 0 {
        expected.record_dealloc(size);
    }
    // SAFETY: `ask` gave the block for this kind, size and alignment; it is not used again.
    unsafe { capability.dealloc(kind, block, size, alignment) };
    assert_eq!(capability.region(kind).stats(), expected, "{kind:?}, {size} bytes, {alignment:?}");
}

#[test]
fn every_size_at_every_alignment_from_every_region_is_given_or_refused_and_counted_once() {
    by_itself(
        module_path!(),
        "every_size_at_every_alignment_from_every_region_is_given_or_refused_and_counted_once",
        || {
            for log2 in 0..=30 {
                let alignment = Alignment::new(1 << log2).unwrap();
                // A new one each time: an arena does not give back what is lost to an alignment.
                let capability = capability();
                for kind in KINDS {
                    for size in [0, 1, 7, 8, 64, 100, 4096, 4097, 100_000] {
                        match ask(&capability, kind, size, alignment) {
                            Ok(block) => free(&capability, kind, block, size, alignment),
                            Err(error) => assert!(log2 > 20, "{kind:?}, {size} bytes, {alignment:?}: {error}"),
                        }
                    }
                }
            }
        },
    );
}

#[test]
fn what_does_not_fit_the_address_space_is_an_overflow_that_no_region_is_asked_for() {
    by_itself(module_path!(), "what_does_not_fit_the_address_space_is_an_overflow_that_no_region_is_asked_for", || {
        let capability = capability();
        let most = isize::MAX as usize;
        for log2 in 0..usize::BITS - 1 {
            let alignment = Alignment::new(1 << log2).unwrap();
            let largest = most - (alignment.as_usize() - 1);
            for kind in KINDS.into_iter().chain([RegionKind::Other]) {
                for size in [largest + 1, most + 1, usize::MAX] {
                    let before = capability.region(kind).stats();
                    assert_eq!(capability.alloc(kind, size, alignment), Err(AllocError::Overflow), "{kind:?}: {size}");
                    assert_eq!(capability.region(kind).stats(), before, "{kind:?} was asked");
                }
            }
            for kind in KINDS {
                let error = ask(&capability, kind, largest, alignment).expect_err("more memory than there is");
                assert_ne!(error, AllocError::Overflow, "{kind:?}: {largest} bytes at {alignment:?} are a layout");
            }
            let error = capability.alloc(RegionKind::Other, largest, alignment).expect_err("there is none");
            assert!(matches!(error, AllocError::RegionExhausted { .. }), "{error:?}");
        }
    });
}

/// Blocks of many sizes and alignments from all regions at once: each is its own, and the statistics are of its region.
#[test]
fn regions_do_not_mix_blocks_up() {
    by_itself(module_path!(), "regions_do_not_mix_blocks_up", || {
        // With no chunk to come, which would be a block of the process allocator.
        let capability = Config::new().arena(HotArena::builder().capacity(64 << 20).fixed()).build();
        let start = KINDS.map(|kind| capability.region(kind).stats().current_live);
        let mut blocks = Vec::new();
        let mut expected = start;
        for n in 0..600 {
            let kind = KINDS[n % 4];
            let (size, alignment) = (1 + n * 37 % 9000, Alignment::new(1 << (n % 13)).unwrap());
            let block = ask(&capability, kind, size, alignment).expect("memory");
            // SAFETY: a new block of so many bytes.
            unsafe { block.write_bytes(n as u8, size) };
            blocks.push((block, kind, size, alignment, n as u8));
            expected[n % 4] += size;
        }
        assert_eq!(KINDS.map(|kind| capability.region(kind).stats().current_live), expected);
        assert!(blocks.iter().all(|(block, kind, ..)| match kind {
            RegionKind::Pinned => capability.pinned().contains(block.as_ptr()),
            RegionKind::General => capability.general().contains(block.as_ptr()),
            _ => !capability.pinned().contains(block.as_ptr()) && !capability.general().contains(block.as_ptr()),
        }));
        for (block, kind, size, alignment, byte) in blocks {
            // SAFETY: live, so long, and all of it was written.
            let contents = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
            assert!(contents.iter().all(|content| *content == byte), "{kind:?}");
            free(&capability, kind, block, size, alignment);
        }
        assert_eq!(KINDS.map(|kind| capability.region(kind).stats().current_live), start);
    });
}

#[test]
fn a_refusal_is_the_regions_own_and_the_others_go_on() {
    let capability =
        Config::new().arena(HotArena::builder().limit(16 << 10)).pinned(PinnedHeap::builder().limit(1 << 20)).build();
    for kind in [RegionKind::HotArena, RegionKind::Pinned] {
        let error = ask(&capability, kind, 2 << 20, Alignment::Page).expect_err("beyond its limit");
        assert!(matches!(error, AllocError::OutOfMemory { requested, .. } if requested >= 2 << 20), "{error:?}");
        assert_eq!(capability.region(kind).stats().failed_allocations, 1);
        let block = ask(&capability, kind, 1000, Alignment::Simd512).expect("there is room for that");
        free(&capability, kind, block, 1000, Alignment::Simd512);
    }
    let block = ask(&capability, RegionKind::General, 2 << 20, Alignment::Page).expect("it has no such limit");
    free(&capability, RegionKind::General, block, 2 << 20, Alignment::Page);
}
