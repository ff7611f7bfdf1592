//! What the tests of the arenas share: numbers to expect, a check that nothing overlaps, backings that are difficult, and
//! child processes that are to die.

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output};
use std::ptr::NonNull;

use bhc_rts_alloc::{AllocError, AllocResult, AllocStats, MemoryRegion, System};

pub fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Where a value is.
pub fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).addr()
}

/// Says past the capture of the harness what was not tested, and why.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Blocks and bytes: what was allocated, what of it is gone, and the most bytes that were live at once. No request failed.
#[track_caller]
pub fn expect_stats<R: MemoryRegion + ?Sized>(region: &R, given: (usize, usize), gone: (usize, usize), peak: usize) {
    let expected = AllocStats {
        total_allocated: given.1,
        total_deallocated: gone.1,
        current_live: given.1 - gone.1,
        allocation_count: given.0,
        deallocation_count: gone.0,
        peak_usage: peak,
        failed_allocations: 0,
    };
    assert_eq!(region.stats(), expected);
}

/// The live blocks of a test, each filled with a pattern of its own: none overlaps another, all keep their contents.
///
/// A clone is the state to go back to when a scope ends.
#[derive(Clone, Default)]
pub struct Live {
    /// By address: the block, its size, its pattern.
    blocks: BTreeMap<usize, (NonNull<u8>, usize, u8)>,
    seed: u8,
}

impl Live {
    /// Takes a new block into the books and fills it.
    ///
    /// # Safety
    /// A block of at least this size, which nobody refers to and which lives until it is removed.
    #[track_caller]
    pub unsafe fn add(&mut self, block: NonNull<u8>, layout: Layout) {
        let (start, size) = (block.addr().get(), layout.size());
        assert!(start.is_multiple_of(layout.align()), "{block:p} is not aligned for {layout:?}");
        if size == 0 {
            return;
        }
        if let Some((below, (_, len, _))) = self.blocks.range(..start + size).next_back() {
            assert!(below + len <= start, "{size} bytes at {start:#x} overlap {len} at {below:#x}");
        }
        self.seed = self.seed.wrapping_add(41);
        // SAFETY: the caller's promise.
        unsafe { block.write_bytes(self.seed, size) };
        self.blocks.insert(start, (block, size, self.seed));
    }

    /// Takes a block out of the books.
    pub fn remove(&mut self, block: NonNull<u8>) {
        self.blocks.remove(&block.addr().get());
    }

    /// Every block has its contents.
    #[track_caller]
    pub fn check(&self) {
        for &(block, size, seed) in self.blocks.values() {
            // SAFETY: a live block that was filled, by the promise at `add`.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
            assert!(bytes.iter().all(|byte| *byte == seed), "the {size} bytes at {block:p} have changed");
        }
    }
}

/// A backing whose blocks are aligned as asked and never better, and which writes down what it was asked for.
#[derive(Debug, Default)]
pub struct Barely {
    asked: RefCell<Vec<usize>>,
}

impl Barely {
    /// The sizes asked for since the last call.
    pub fn asked(&self) -> Vec<usize> {
        self.asked.take()
    }

    /// What the block is cut out of: twice as well aligned, so that `align` bytes into it are aligned to that and no more.
    fn gross(layout: Layout) -> AllocResult<Layout> {
        let size = layout.size().checked_add(layout.align()).ok_or(AllocError::Overflow)?;
        Ok(Layout::from_size_align(size, 2 * layout.align())?)
    }
}

// SAFETY: each block is a part of one of `System`'s, of its size and aligned, and is given back as what it was cut out of.
unsafe impl MemoryRegion for Barely {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.asked.borrow_mut().push(layout.size());
        // SAFETY: so many bytes were added.
        System.alloc(Self::gross(layout)?).map(|gross| unsafe { gross.add(layout.align()) })
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise; `alloc` cut it out of this.
        unsafe { System.dealloc(ptr.sub(layout.align()), Self::gross(layout).unwrap()) };
    }

    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }
}

/// Set in a child process, to what it is to do.
const CHILD: &str = "BHC_ARENA_CHILD";

/// What this process is to do, if it is a child.
pub fn child_is_to() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// Runs one test of this program, by its full name, in a process of its own that is to do `what`.
pub fn in_a_child(test: &str, what: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, what)
        .output()
        .unwrap()
}

/// Runs a test on an arena, and on a scope of one: the methods are the same, and not the same code.
macro_rules! on_both {
    (|$region:ident| $test:expr) => {{
        let arena = bhc_rts_alloc::HotArena::new();
        let $region = &arena;
        $test;
        bhc_rts_alloc::HotArena::new().scope(|scope| {
            let $region = &*scope;
            $test;
        });
    }};
}
pub(crate) use on_both;
