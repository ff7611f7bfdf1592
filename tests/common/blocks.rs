//! [`Blocks`]: the model of a memory region. It knows which blocks are live, what was written to them, and what the
//! statistics should say. Random programs are lists of [`Step`]s. Used by the contract suite and by the fuzz targets.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::slice;

use bhc_rts_alloc::{AllocError, AllocStats, MemoryRegion};

/// Patterns are written and compared by rows of so many bytes, with `memcpy` and `memcmp`: a loop over bytes is slow where a
/// sanitizer or the fuzzer looks into each of its steps.
const ROW: usize = 256;

/// 0 to 255 twice: every row of a pattern is a piece of it.
static RAMP: [u8; 2 * ROW] = {
    let mut ramp = [0; 2 * ROW];
    let mut at = 0;
    while at < ramp.len() {
        ramp[at] = at as u8;
        at += 1;
    }
    ramp
};

/// One step of a random program.
#[derive(Clone, Debug)]
pub enum Step {
    Alloc(Layout),
    AllocZeroed(Layout),
    /// Of which live block: any number, counted around.
    Dealloc(usize),
    /// Of which live block, and to what size.
    Realloc(usize, usize),
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

    /// How many blocks of a size that is not zero are live.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// The pattern of `seed` between two offsets, row by row: where each piece starts, and its bytes.
    fn rows(from: usize, to: usize, seed: u8) -> impl Iterator<Item = (usize, &'static [u8])> {
        (from / ROW..to.div_ceil(ROW)).map(move |row| {
            let shift = usize::from(seed.wrapping_mul(31).wrapping_add(row as u8));
            let (low, high) = (from.max(row * ROW), to.min(row * ROW + ROW));
            (low, &RAMP[shift + low % ROW..][..high - low])
        })
    }

    pub fn fill(ptr: NonNull<u8>, from: usize, to: usize, seed: u8) {
        for (at, row) in Self::rows(from, to, seed) {
            // SAFETY: within a live block of at least `to` bytes, which is nothing that is borrowed.
            unsafe { ptr.add(at).copy_from_nonoverlapping(NonNull::from(row).cast(), row.len()) };
        }
    }

    pub fn check(ptr: NonNull<u8>, len: usize, seed: u8) {
        for (at, row) in Self::rows(0, len, seed) {
            // SAFETY: within a live block, and written by `fill`.
            let bytes = unsafe { slice::from_raw_parts(ptr.add(at).as_ptr(), row.len()) };
            assert!(bytes == row, "the block at {ptr:p} has changed in the {} bytes from {at}", row.len());
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
        let result = self.region.alloc(layout);
        self.answered(layout, result)
    }

    pub fn alloc_zeroed(&mut self, layout: Layout) -> Result<(), AllocError> {
        let result = self.region.alloc_zeroed(layout);
        if let Ok(ptr) = result {
            // SAFETY: the block, which is initialised.
            let bytes = unsafe { slice::from_raw_parts(ptr.as_ptr(), layout.size()) };
            for (row, bytes) in bytes.chunks(ROW).enumerate() {
                assert!(bytes == &[0; ROW][..bytes.len()], "row {row} of {layout:?} is not zero");
            }
        }
        self.answered(layout, result)
    }

    /// Takes the answer to a request into the books.
    fn answered(&mut self, layout: Layout, result: Result<NonNull<u8>, AllocError>) -> Result<(), AllocError> {
        match result {
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

    /// Of a live block, or of one of zero size if there is no other.
    pub fn realloc(&mut self, choice: usize, new_size: usize) -> Result<(), AllocError> {
        let (ptr, layout, seed) = match (self.pick(choice), self.empty.last()) {
            (Some(address), _) => self.live[&address],
            (None, Some(&(ptr, layout))) => (ptr, layout, self.next_seed),
            (None, None) => return Ok(()),
        };
        // SAFETY: a live block with its layout, or one of zero size; on `Ok` it leaves the books.
        match unsafe { self.region.realloc(ptr, layout, new_size) } {
            Ok(new_ptr) => {
                let new_layout =
                    Layout::from_size_align(new_size, layout.align()).expect("an Ok for a layout that is none");
                Self::check(new_ptr, layout.size().min(new_size), seed);
                self.peak_with_copies = self.peak_with_copies.max(self.model.current_live + new_size);
                if layout.size() == 0 {
                    self.empty.pop();
                } else {
                    self.live.remove(&ptr.addr().get());
                    self.model.record_dealloc(layout.size());
                }
                if new_size != 0 {
                    self.model.record_alloc(new_size);
                }
                self.enter(new_ptr, new_layout, layout.size().min(new_size), Some(seed));
                Ok(())
            }
            Err(error) => {
                if error != AllocError::Overflow {
                    self.failed(); // what has no size is no request
                }
                Self::check(ptr, layout.size(), seed);
                Err(error)
            }
        }
    }

    /// One step of a program; a refusal is for the caller to judge.
    pub fn step(&mut self, step: &Step) -> Result<(), AllocError> {
        match *step {
            Step::Alloc(layout) => self.alloc(layout),
            Step::AllocZeroed(layout) => self.alloc_zeroed(layout),
            Step::Dealloc(choice) => {
                self.dealloc(choice);
                Ok(())
            }
            Step::Realloc(choice, size) => self.realloc(choice, size),
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
