//! The contract of a memory region as one test suite: every promise of `MemoryRegion`, checked against whatever region is
//! given. `contract_tests!` at the end makes a module of tests out of it, directly and through `&dyn MemoryRegion`.

pub mod blocks;
pub mod cases;

use std::alloc::Layout;

use bhc_rts_alloc::{AllocError, MemoryRegion, os::fault};
use blocks::{Blocks, Step};
use cases::cases;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// What the suite has to know about a region to ask it for the right things.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The strongest alignment that it must be able to give, in bytes.
    pub max_align: usize,
    /// The largest block that it must be able to give, in bytes.
    pub max_size: usize,
}

/// Sizes around everything that a region may treat as a boundary.
fn sizes(limits: Limits) -> Vec<usize> {
    let mut sizes: Vec<usize> = (0..=72).collect();
    let mut power = 128;
    while power <= limits.max_size {
        sizes.extend([power - 1, power, power + 1, power + power / 2]);
        power *= 2;
    }
    sizes.retain(|size| *size <= limits.max_size);
    sizes
}

fn aligns(limits: Limits) -> impl Iterator<Item = usize> + Clone {
    (0..usize::BITS).map(|log2| 1usize << log2).take_while(move |align| *align <= limits.max_align)
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// A refusal names a reason that a valid layout can be refused for.
#[track_caller]
fn assert_refusal(error: &AllocError) {
    assert!(!matches!(error, AllocError::InvalidLayout(_)), "{error:?} for a layout that is valid");
}

pub fn every_size_and_alignment_gives_a_block_of_its_own<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    let mut blocks = Blocks::new(region);
    for align in aligns(limits) {
        for (at, size) in sizes(limits).into_iter().enumerate() {
            let layout = layout(size, align);
            let result = if at % 2 == 0 { blocks.alloc(layout) } else { blocks.alloc_zeroed(layout) };
            result.unwrap_or_else(|error| panic!("{layout:?}: {error}"));
            // Keep some, so that blocks have neighbours, but not everything at the strongest alignments.
            while blocks.len() > 40 {
                blocks.dealloc(at.wrapping_mul(7919));
            }
        }
        blocks.check_all();
        blocks.check_stats();
    }
    blocks.free_all();
    blocks.check_stats();
}

pub fn zero_size_requests_take_nothing_and_are_aligned<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    let before = region.stats();
    for align in (0..usize::BITS - 1).map(|log2| 1usize << log2) {
        for ptr in [region.alloc(layout(0, align)).unwrap(), region.alloc_zeroed(layout(0, align)).unwrap()] {
            assert_eq!(ptr.addr().get() % align, 0);
            // SAFETY: from a zero-size request of this layout.
            unsafe {
                let still = region.realloc(ptr, layout(0, align), 0).unwrap();
                region.dealloc(still, layout(0, align));
            }
        }
    }
    assert_eq!(region.stats(), before);
    for align in aligns(limits) {
        let ptr = region.alloc(layout(0, align)).unwrap();
        // SAFETY: from a zero-size request; then a block of 100 bytes, written within, and given back by growing it to
        // nothing.
        unsafe {
            let block = region.realloc(ptr, layout(0, align), 100).unwrap();
            assert_eq!(block.addr().get() % align, 0);
            block.write_bytes(7, 100);
            assert_eq!(region.stats().current_live, before.current_live + 100);
            let nothing = region.realloc(block, layout(100, align), 0).unwrap();
            assert_eq!(nothing.addr().get() % align, 0);
        }
        assert_eq!(region.stats().current_live, before.current_live);
    }
}

pub fn zeroed_blocks_are_zero_after_dirty_ones<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    let mut blocks = Blocks::new(region);
    for align in aligns(limits).filter(|align| *align <= 1 << 16) {
        for size in sizes(limits) {
            blocks.alloc(layout(size, align)).unwrap(); // filled with a pattern
            blocks.dealloc(0);
            blocks.alloc_zeroed(layout(size, align)).unwrap(); // checks that it is zero
            blocks.dealloc(0);
        }
    }
    blocks.free_all();
    blocks.check_stats();
}

pub fn realloc_keeps_the_contents_in_both_directions<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    let mut blocks = Blocks::new(region);
    let sizes: Vec<usize> = sizes(limits).into_iter().filter(|size| size % 3 != 1).step_by(3).collect();
    for align in aligns(limits).filter(|align| *align <= 1 << 13) {
        for old in &sizes {
            for new in sizes.iter().step_by(2) {
                blocks.alloc(layout(*old, align)).unwrap();
                blocks.realloc(0, *new).unwrap();
                blocks.realloc(0, *old).unwrap();
                blocks.dealloc(0);
            }
        }
    }
    blocks.free_all();
    blocks.check_stats();
}

/// Sizes up to the largest that a layout can have, at every alignment up to the largest there is.
pub fn requests_that_cannot_be_met_are_refused_and_counted<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    let mut blocks = Blocks::new(region);
    blocks.alloc(layout(100, 8)).unwrap();
    for log2 in 0..usize::BITS - 1 {
        let align = 1usize << log2;
        let most = isize::MAX as usize - (align - 1);
        for size in [most, most.saturating_sub(1), most.saturating_sub(align), most / 2, 1 << 60] {
            let Ok(layout) = Layout::from_size_align(size, align) else { continue };
            if size < limits.max_size {
                continue; // could be met
            }
            assert_refusal(&blocks.alloc(layout).expect_err("more memory than there is"));
            assert_refusal(&blocks.alloc_zeroed(layout).expect_err("more memory than there is"));
        }
        // An alignment that leaves hardly any address may be given or refused, not mistaken.
        if let Err(error) = blocks.alloc(layout(64, align)) {
            assert_refusal(&error);
            assert!(align > limits.max_align, "an alignment of {align} was refused: {error}");
        } else if blocks.len() > 1 {
            blocks.dealloc(1);
        }
        blocks.check_stats();
    }
    blocks.free_all();

    let mut blocks = Blocks::new(region);
    blocks.alloc(layout(100, 64)).unwrap();
    for new_size in [usize::MAX, isize::MAX as usize + 1, isize::MAX as usize] {
        assert_eq!(blocks.realloc(0, new_size), Err(AllocError::Overflow), "no layout has that size");
    }
    assert_refusal(&blocks.realloc(0, isize::MAX as usize - 63).expect_err("more memory than there is"));
    blocks.check_all();
    blocks.check_stats();
    blocks.realloc(0, 200).expect("a refusal leaves the region usable");
    blocks.free_all();
    blocks.check_stats();
}

pub fn steps(limits: Limits) -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![
        4 => 0..=200usize,
        3 => (0..=limits.max_size.ilog2()).prop_flat_map(|log2| (0..=4usize).prop_map(move |d| ((1 << log2) + d).saturating_sub(2))),
        1 => 0..=limits.max_size,
    ]
    .prop_map(move |size| size.min(limits.max_size));
    let align = prop_oneof![3 => 0..=8u32, 1 => 0..=limits.max_align.ilog2()].prop_map(|log2| 1usize << log2);
    let layout = (size.clone(), align).prop_map(|(size, align)| Layout::from_size_align(size, align).unwrap());
    let step = prop_oneof![
        3 => layout.clone().prop_map(Step::Alloc),
        2 => layout.prop_map(Step::AllocZeroed),
        3 => any::<usize>().prop_map(Step::Dealloc),
        3 => (any::<usize>(), size).prop_map(|(choice, size)| Step::Realloc(choice, size)),
    ];
    prop::collection::vec(step, 1..60)
}

fn run_programs<R: MemoryRegion + ?Sized>(
    region: &R,
    limits: Limits,
    usual: u32,
    run: impl Fn(&R, &[Step]) -> Result<(), TestCaseError>,
) {
    let mut runner = TestRunner::new(Config { cases: cases(usual), failure_persistence: None, ..Config::default() });
    runner.run(&steps(limits), |program| run(region, &program)).unwrap();
}

pub fn random_programs_behave_as_the_model<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    run_programs(region, limits, 256, |region, program| {
        let mut blocks = Blocks::new(region);
        for one in program {
            blocks.step(one).map_err(|error| TestCaseError::fail(format!("{one:?}: {error}")))?;
            blocks.check_stats();
        }
        blocks.check_all();
        blocks.free_all();
        blocks.check_stats();
        Ok(())
    });
}

/// Runs programs with each of their requests for memory failing in turn.
pub fn a_failure_at_any_request_loses_nothing<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    run_programs(region, limits, 24, |region, program| {
        for n in 0.. {
            let ((), requests) = fault::fail_nth(n, || {
                let mut blocks = Blocks::new(region);
                for one in program {
                    if let Err(error) = blocks.step(one) {
                        assert_refusal(&error);
                    }
                    blocks.check_stats();
                }
                blocks.check_all();
                blocks.free_all();
                blocks.check_stats();
            });
            if requests <= n {
                break;
            }
        }
        Ok(())
    });
}

pub fn blocks_survive_moving_the_region<R: MemoryRegion>(region: R) {
    let block = region.alloc(layout(1000, 64)).unwrap();
    Blocks::<R>::fill(block, 0, 1000, 42);
    let elsewhere = Box::new(region);
    Blocks::<R>::check(block, 1000, 42);
    // SAFETY: the block is of this region, moved.
    unsafe { elsewhere.dealloc(block, layout(1000, 64)) };
}

/// A module of tests `$name` for the region that `$make` gives. `$run` is a function that runs each test, a closure: where
/// the tests of a process share the region's statistics, one after the other.
#[macro_export]
macro_rules! contract_tests {
    ($name:ident, make = $make:expr, limits = $limits:expr, run = $run:expr) => {
        mod $name {
            use super::*;
            use bhc_rts_alloc::MemoryRegion;

            $crate::contract_tests!(@promises $make, $limits, $run;
                every_size_and_alignment_gives_a_block_of_its_own
                zero_size_requests_take_nothing_and_are_aligned
                zeroed_blocks_are_zero_after_dirty_ones
                realloc_keeps_the_contents_in_both_directions
                requests_that_cannot_be_met_are_refused_and_counted
                random_programs_behave_as_the_model
                a_failure_at_any_request_loses_nothing
            );

            #[test]
            fn blocks_survive_moving_the_region() {
                $run(|| $crate::contract::blocks_survive_moving_the_region($make));
            }
        }
    };
    (@promises $make:expr, $limits:expr, $run:expr; $($promise:ident)+) => {$(
        mod $promise {
            use super::*;

            #[test]
            fn directly() {
                $run(|| $crate::contract::$promise(&$make, $limits));
            }

            #[test]
            fn through_dyn() {
                $run(|| $crate::contract::$promise::<dyn MemoryRegion>(&$make, $limits));
            }
        }
    )+};
}
