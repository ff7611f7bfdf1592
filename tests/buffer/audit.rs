//! The audit catches what it is there for; otherwise the tests that lean on it could not fail.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use bhc_rts_alloc::{AllocError, AllocResult, AllocStats, MemoryRegion, System};

use super::region::{Audit, FRESH, Failure};
use super::vocabulary::panic_text;

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

#[test]
fn a_block_given_back_with_another_layout_is_caught() {
    let audit = Audit::new();
    let block = audit.alloc(LAYOUT).unwrap();
    for wrong in [Layout::new::<[u64; 7]>(), Layout::from_size_align(64, 64).unwrap()] {
        // SAFETY: the audit checks the layout before it touches the block, and panics: that is what is tested.
        let text = panic_text(|| unsafe { audit.dealloc(block, wrong) });
        assert!(text.contains("another layout"), "{text}");
        // SAFETY: as above.
        let text = panic_text(|| unsafe { audit.realloc(block, wrong, 128) });
        assert!(text.contains("another layout"), "{text}");
    }
    // SAFETY: live, with this layout.
    unsafe { audit.dealloc(block, LAYOUT) };
    audit.expect_empty();
}

#[test]
fn a_pointer_that_is_no_live_block_is_caught() {
    let audit = Audit::new();
    let block = audit.alloc(LAYOUT).unwrap();
    // SAFETY: eight bytes into a block of 64. The audit does not know the pointer, and panics before it touches anything.
    let text = panic_text(|| unsafe { audit.dealloc(block.add(8), LAYOUT) });
    assert!(text.contains("no live block"), "{text}");
    // SAFETY: live, with this layout.
    unsafe { audit.dealloc(block, LAYOUT) };
    // SAFETY: given back already: the audit does not know it any more, and panics before it touches anything.
    let text = panic_text(|| unsafe { audit.dealloc(block, LAYOUT) });
    assert!(text.contains("no live block"), "{text}");
}

#[test]
fn a_block_that_is_still_live_is_caught_at_the_end() {
    let audit = Audit::new();
    audit.alloc(LAYOUT).unwrap();
    let text = panic_text(|| audit.expect_empty());
    assert!(text.contains("still live"), "{text}");
    // SAFETY: nobody uses the block again.
    assert_eq!(unsafe { audit.reclaim() }, 1);
    audit.expect_empty();

    let text = panic_text(|| {
        let dropped = Audit::around(&audit);
        dropped.alloc(LAYOUT).unwrap();
    });
    assert!(text.contains("goes away"), "{text}");
    // SAFETY: the inner region still has the block that the dropped one did not give back; nobody uses it again.
    unsafe { audit.reclaim() };
}

#[test]
fn overlapping_and_misaligned_blocks_are_caught() {
    /// Gives 64 bytes out of its one block, from the offset that it is told.
    struct Broken(NonNull<u8>, Cell<usize>);
    // SAFETY: it does not keep the contract; nothing but the audit uses it, which panics before the block is used.
    unsafe impl MemoryRegion for Broken {
        fn alloc(&self, _: Layout) -> AllocResult<NonNull<u8>> {
            // SAFETY: the offsets below are inside the block.
            Ok(unsafe { self.0.add(self.1.get()) })
        }
        unsafe fn dealloc(&self, _: NonNull<u8>, _: Layout) {}
        fn stats(&self) -> AllocStats {
            AllocStats::default()
        }
    }
    let big = Layout::new::<[u64; 32]>();
    let memory = System.alloc(big).unwrap();
    let audit = Audit::around(Broken(memory, Cell::new(64)));
    let alloc_at = |offset| {
        audit.inner().1.set(offset);
        audit.alloc(LAYOUT).unwrap()
    };
    alloc_at(64);
    for offset in [64, 8, 120] {
        let text = panic_text(|| alloc_at(offset));
        assert!(text.contains("overlaps"), "{text}");
    }
    alloc_at(128); // side by side is fine
    alloc_at(0);
    let text = panic_text(|| alloc_at(196));
    assert!(text.contains("the region gave"), "{text}");
    // SAFETY: no block is used again.
    assert_eq!(unsafe { audit.reclaim() }, 3);
    // SAFETY: allocated above with this layout.
    unsafe { System.dealloc(memory, big) };
}

#[test]
fn fresh_memory_is_not_zero_and_zeroed_memory_is() {
    let audit = Audit::new();
    let block = audit.alloc(LAYOUT).unwrap();
    // SAFETY: a live block of 64 bytes, which the audit filled.
    assert_eq!(unsafe { block.cast::<[u8; 64]>().read() }, [FRESH; 64]);
    // SAFETY: live, with this layout, and replaced.
    let block = unsafe { audit.realloc(block, LAYOUT, 128) }.unwrap();
    // SAFETY: a live block of 128 bytes; the second half is what it gained.
    assert_eq!(unsafe { block.cast::<[u8; 128]>().read() }, [FRESH; 128]);
    // SAFETY: live, with the new size.
    unsafe { audit.dealloc(block, Layout::new::<[u64; 16]>()) };
    let block = audit.alloc_zeroed(LAYOUT).unwrap();
    // SAFETY: a live block of 64 bytes, all written.
    assert_eq!(unsafe { block.cast::<[u8; 64]>().read() }, [0; 64]);
    // SAFETY: live, with this layout.
    unsafe { audit.dealloc(block, LAYOUT) };
}

#[test]
fn it_counts_as_a_region_does_and_fails_on_demand() {
    let audit = Audit::new().with_max_align(64);
    let empty = Layout::from_size_align(0, 4096).unwrap();
    let nothing = audit.alloc(empty).unwrap();
    // SAFETY: from a request of size zero.
    let block = unsafe { audit.realloc(nothing, Layout::from_size_align(0, 8).unwrap(), 64) }.unwrap();
    assert_eq!(audit.stats().allocation_count, 1);
    audit.fail(Failure::Nth(1));
    // SAFETY: live, with this layout, and replaced.
    let block = unsafe { audit.realloc(block, LAYOUT, 256) }.unwrap();
    let large = Layout::new::<[u64; 32]>();
    // SAFETY: live, with this layout; refused, so it stays.
    let refused = unsafe { audit.realloc(block, large, 512) };
    assert_eq!(refused, Err(AllocError::OutOfMemory { requested: 512, available: 0 }));
    // SAFETY: live, with this layout; to size zero it is given back.
    let end = unsafe { audit.realloc(block, large, 0) }.unwrap();
    // SAFETY: from a request of size zero.
    unsafe { audit.dealloc(end, Layout::from_size_align(0, 8).unwrap()) };
    let strict = Layout::from_size_align(8, 128).unwrap();
    assert_eq!(audit.alloc(strict), Err(AllocError::UnsupportedAlignment(128)));
    audit.fail(Failure::From(1));
    let first = audit.alloc(LAYOUT).unwrap();
    assert!(audit.alloc(LAYOUT).is_err());
    assert!(audit.alloc_zeroed(LAYOUT).is_err());
    assert_eq!(audit.requests(), 3);
    // SAFETY: live, with this layout.
    unsafe { audit.dealloc(first, LAYOUT) };
    let stats = audit.stats();
    assert_eq!((stats.allocation_count, stats.deallocation_count, stats.failed_allocations), (3, 3, 4));
    assert_eq!((stats.total_allocated, stats.peak_usage), (64 + 256 + 64, 256));
    audit.expect_empty();
}
