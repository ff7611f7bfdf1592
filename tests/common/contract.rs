//! The contract of a memory region as one test suite: every promise of `MemoryRegion`, checked against whatever region is
//! given. `contract_tests!` at the end makes a module of tests out of it, directly and through `&dyn MemoryRegion`.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;

use bhc_rts_alloc::{AllocError, AllocStats, MemoryRegion, os::fault};
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

/// The live blocks of a region as a test knows them: where they are, and what was written to them.
///
/// Panics if a block overlaps another, is misaligned, or has lost its contents.
pub struct Blocks<'r, R: MemoryRegion + ?Sized> {
    region: &'r R,
    /// By address: the pointer, the layout and the seed of its pattern. Blocks of zero size are in `empty`.
    live: BTreeMap<usize, (NonNull<u8>, Layout, u8)>,
    empty: Vec<(NonNull<u8>, Layout)>,
    next_seed: u8,
    /// What the statistics should say, from a start of zero. Its peak counts a `realloc` as never having both blocks.
    model: AllocStats,
    /// The largest sum of live bytes if every `realloc` had both blocks at once.
    peak_with_copies: usize,
    start: AllocStats,
}

impl<'r, R: MemoryRegion + ?Sized> Blocks<'r, R> {
    pub fn new(region: &'r R) -> Self {
        Self {
            region,
            live: BTreeMap::new(),
            empty: Vec::new(),
            next_seed: 1,
            model: AllocStats::default(),
            peak_with_copies: 0,
            start: region.stats(),
        }
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    fn pattern(seed: u8, at: usize) -> u8 {
        seed.wrapping_mul(31).wrapping_add(at as u8).wrapping_add((at >> 8) as u8)
    }

    fn fill(ptr: NonNull<u8>, from: usize, to: usize, seed: u8) {
        for at in from..to {
            // SAFETY: within a live block of at least `to` bytes.
            unsafe { ptr.add(at).write(Self::pattern(seed, at)) };
        }
    }

    fn check(ptr: NonNull<u8>, len: usize, seed: u8) {
        for at in 0..len {
            // SAFETY: within a live block, and written by `fill`.
            let byte = unsafe { ptr.add(at).read() };
            assert_eq!(byte, Self::pattern(seed, at), "byte {at} of the block at {ptr:p} has changed");
        }
    }

    /// Takes a block into the books: aligned, and apart from all others.
    fn enter(&mut self, ptr: NonNull<u8>, layout: Layout, keep: usize, seed: Option<u8>) {
        let address = ptr.addr().get();
        assert_eq!(address % layout.align(), 0, "{ptr:p} is not aligned for {layout:?}");
        if layout.size() == 0 {
            self.empty.push((ptr, layout));
            return;
        }
        let end = address.checked_add(layout.size()).expect("a block does not wrap around the address space");
        if let Some((below, (_, lower, _))) = self.live.range(..end).next_back() {
            assert!(below + lower.size() <= address, "{ptr:p} of {layout:?} overlaps the block at {below:#x}");
        }
        let seed = seed.unwrap_or_else(|| {
            self.next_seed = self.next_seed.wrapping_add(1);
            self.next_seed
        });
        Self::fill(ptr, keep, layout.size(), seed);
        self.live.insert(address, (ptr, layout, seed));
        self.peak_with_copies = self.peak_with_copies.max(self.model.current_live);
    }

    fn failed(&mut self) {
        self.model.record_failure();
    }

    pub fn alloc(&mut self, layout: Layout) -> Result<(), AllocError> {
        match self.region.alloc(layout) {
            Ok(ptr) => {
                if layout.size() != 0 {
                    self.model.record_alloc(layout.size());
                }
                self.enter(ptr, layout, 0, None);
                Ok(())
            }
            Err(error) => {
                self.failed();
                Err(error)
            }
        }
    }

    pub fn alloc_zeroed(&mut self, layout: Layout) -> Result<(), AllocError> {
        match self.region.alloc_zeroed(layout) {
            Ok(ptr) => {
                for at in 0..layout.size() {
                    // SAFETY: within the block, which is initialised.
                    assert_eq!(unsafe { ptr.add(at).read() }, 0, "byte {at} of {layout:?} is not zero");
                }
                if layout.size() != 0 {
                    self.model.record_alloc(layout.size());
                }
                self.enter(ptr, layout, 0, None);
                Ok(())
            }
            Err(error) => {
                self.failed();
                Err(error)
            }
        }
    }

    /// The address of the live block that `choice` picks.
    fn pick(&self, choice: usize) -> Option<usize> {
        (!self.live.is_empty()).then(|| *self.live.keys().nth(choice % self.live.len()).unwrap())
    }

    pub fn dealloc(&mut self, choice: usize) {
        if let Some(address) = self.pick(choice) {
            let (ptr, layout, seed) = self.live.remove(&address).unwrap();
            Self::check(ptr, layout.size(), seed);
            // SAFETY: a live block with its layout; it is out of the books.
            unsafe { self.region.dealloc(ptr, layout) };
            self.model.record_dealloc(layout.size());
        } else if let Some((ptr, layout)) = self.empty.pop() {
            // SAFETY: came from a zero-size request.
            unsafe { self.region.dealloc(ptr, layout) };
        }
    }

    pub fn realloc(&mut self, choice: usize, new_size: usize) -> Result<(), AllocError> {
        let Some(address) = self.pick(choice) else { return Ok(()) };
        let (ptr, layout, seed) = self.live[&address];
        // SAFETY: a live block with its layout; on `Ok` it leaves the books.
        match unsafe { self.region.realloc(ptr, layout, new_size) } {
            Ok(new_ptr) => {
                self.live.remove(&address);
                let new_layout =
                    Layout::from_size_align(new_size, layout.align()).expect("an Ok for a layout that is none");
                Self::check(new_ptr, layout.size().min(new_size), seed);
                self.peak_with_copies = self.peak_with_copies.max(self.model.current_live + new_size);
                self.model.record_dealloc(layout.size());
                if new_size != 0 {
                    self.model.record_alloc(new_size);
                }
                self.enter(new_ptr, new_layout, layout.size().min(new_size), Some(seed));
                Ok(())
            }
            Err(error) => {
                self.failed();
                Self::check(ptr, layout.size(), seed);
                Err(error)
            }
        }
    }

    /// Every block still has its contents.
    pub fn check_all(&self) {
        for (ptr, layout, seed) in self.live.values() {
            Self::check(*ptr, layout.size(), *seed);
        }
    }

    /// The region's numbers are those of the model.
    #[track_caller]
    pub fn check_stats(&self) {
        let (now, start) = (self.region.stats(), self.start);
        let since = |field: fn(&AllocStats) -> usize| field(&now) - field(&start);
        assert_eq!(since(|s| s.total_allocated), self.model.total_allocated, "total_allocated");
        assert_eq!(since(|s| s.total_deallocated), self.model.total_deallocated, "total_deallocated");
        assert_eq!(since(|s| s.allocation_count), self.model.allocation_count, "allocation_count");
        assert_eq!(since(|s| s.deallocation_count), self.model.deallocation_count, "deallocation_count");
        assert_eq!(since(|s| s.failed_allocations), self.model.failed_allocations, "failed_allocations");
        assert_eq!(now.current_live - start.current_live, self.model.current_live, "current_live");
        assert_eq!(
            now.total_allocated - now.total_deallocated,
            now.current_live,
            "what is live is what did not go back"
        );
        let least = start.peak_usage.max(start.current_live + self.model.peak_usage);
        let most = start.peak_usage.max(start.current_live + self.peak_with_copies);
        assert!((least..=most).contains(&now.peak_usage), "peak {} not in {least}..={most}", now.peak_usage);
    }

    pub fn free_all(&mut self) {
        while self.len() != 0 || !self.empty.is_empty() {
            self.dealloc(self.len() / 2);
        }
    }
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
            blocks.dealloc(usize::from(blocks.live.keys().next() == blocks.pick(0).as_ref()));
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

/// One step of a random program.
#[derive(Clone, Debug)]
pub enum Step {
    Alloc(Layout),
    AllocZeroed(Layout),
    Dealloc(usize),
    Realloc(usize, usize),
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

fn step<R: MemoryRegion + ?Sized>(blocks: &mut Blocks<'_, R>, step: &Step) -> Result<(), AllocError> {
    match *step {
        Step::Alloc(layout) => blocks.alloc(layout),
        Step::AllocZeroed(layout) => blocks.alloc_zeroed(layout),
        Step::Dealloc(choice) => {
            blocks.dealloc(choice);
            Ok(())
        }
        Step::Realloc(choice, size) => blocks.realloc(choice, size),
    }
}

fn run_programs<R: MemoryRegion + ?Sized>(
    region: &R,
    limits: Limits,
    cases: u32,
    run: impl Fn(&R, &[Step]) -> Result<(), TestCaseError>,
) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&steps(limits), |program| run(region, &program)).unwrap();
}

pub fn random_programs_behave_as_the_model<R: MemoryRegion + ?Sized>(region: &R, limits: Limits) {
    run_programs(region, limits, 256, |region, program| {
        let mut blocks = Blocks::new(region);
        for one in program {
            step(&mut blocks, one).map_err(|error| TestCaseError::fail(format!("{one:?}: {error}")))?;
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
                    if let Err(error) = step(&mut blocks, one) {
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

/// A module of tests `$name` for the region that `$make` gives. `$serial` is held while a test runs, for a region whose
/// statistics all tests of the process share.
#[macro_export]
macro_rules! contract_tests {
    ($name:ident, make = $make:expr, limits = $limits:expr, serial = $serial:expr) => {
        mod $name {
            use super::*;
            use bhc_rts_alloc::MemoryRegion;

            $crate::contract_tests!(@promises $make, $limits, $serial;
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
                let _serial = $serial;
                $crate::contract::blocks_survive_moving_the_region($make);
            }
        }
    };
    (@promises $make:expr, $limits:expr, $serial:expr; $($promise:ident)+) => {$(
        mod $promise {
            use super::*;

            #[test]
            fn directly() {
                let _serial = $serial;
                let region = $make;
                $crate::contract::$promise(&region, $limits);
            }

            #[test]
            fn through_dyn() {
                let _serial = $serial;
                let region = $make;
                $crate::contract::$promise::<dyn MemoryRegion>(&region, $limits);
            }
        }
    )+};
}
