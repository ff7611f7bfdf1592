//! [`Backing`]: where the chunks of the arena under test come from. It can refuse, gives no more alignment than it must, and
//! writes down what it was asked for.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;

use bhc_rts_alloc::{AllocError, AllocResult, AllocStats, MemoryRegion, System};

use crate::region::Audit;

/// Gives blocks that are aligned as asked for, and no more strictly.
pub struct Grudging {
    skew: Cell<usize>,
    /// By the address given: the block that it lies in.
    outer: RefCell<BTreeMap<usize, (NonNull<u8>, Layout)>>,
}

/// More than programs ask for in earnest.
const TOO_LARGE: usize = 1 << 28;
/// Addresses of blocks follow from the program up to this alignment.
pub const KNOWN_ALIGN: usize = 1 << 14;

// SAFETY: a block is a part of one of `System`, which goes back as it came. Where it begins, the alignment is as asked for, since
// the distance to the start of the outer block, which is aligned more strictly, is a multiple of it.
unsafe impl MemoryRegion for Grudging {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        let refused = AllocError::OutOfMemory { requested: layout.size(), available: 0 };
        if layout.size() > TOO_LARGE {
            return Err(refused);
        }
        let skew = self.skew.get();
        self.skew.set(skew.wrapping_mul(29).wrapping_add(7));
        // An odd multiple.
        let distance = layout.align() * (skew % 128 * 2 + 1);
        let outer = Layout::from_size_align(distance + layout.size(), KNOWN_ALIGN).map_err(|_| refused)?;
        let block = System.alloc(outer)?;
        // SAFETY: inside the outer block.
        let given = unsafe { block.add(distance) };
        self.outer.borrow_mut().insert(given.addr().get(), (block, outer));
        Ok(given)
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, _: Layout) {
        let (block, outer) = self.outer.borrow_mut().remove(&ptr.addr().get()).expect("a block of this region");
        // SAFETY: a live block of `System` with its layout; the caller does not use its part of it again.
        unsafe { System.dealloc(block, outer) };
    }

    fn stats(&self) -> AllocStats {
        AllocStats::default()
    }
}

/// Where the arena's chunks come from: audited, and with a log.
pub struct Backing {
    pub audit: Audit<Grudging>,
    /// The sizes asked for, and the addresses given.
    pub log: RefCell<VecDeque<(usize, Option<usize>)>>,
}

impl Backing {
    pub fn new(skew: usize) -> Self {
        let region = Grudging { skew: Cell::new(skew), outer: RefCell::default() };
        Self { audit: Audit::around(region), log: RefCell::default() }
    }

    /// Stops the test if the blocks that are out are not those at the addresses, of which each is there once.
    pub fn expect_out(&self, addresses: impl Iterator<Item = usize> + Clone) {
        let blocks = self.audit.inner().outer.borrow();
        let as_expected =
            addresses.clone().count() == blocks.len() && addresses.clone().all(|at| blocks.contains_key(&at));
        assert!(
            as_expected,
            "the backing's blocks are at {:x?}, not {:x?}",
            blocks.keys(),
            addresses.collect::<Vec<_>>()
        );
    }
}

// SAFETY: the audit's blocks, as they are.
unsafe impl MemoryRegion for Backing {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        let result = self.audit.alloc(layout);
        self.log.borrow_mut().push_back((layout.size(), result.as_ref().ok().map(|block| block.addr().get())));
        result
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.audit.dealloc(ptr, layout) };
    }

    fn stats(&self) -> AllocStats {
        self.audit.stats()
    }
}
