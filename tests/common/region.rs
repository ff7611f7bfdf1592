//! [`Audit`]: a region for tests that looks over the shoulder of whoever allocates.
//!
//! It passes every request on to the region that it wraps and
//! * remembers each live block with its layout, and stops the test when `dealloc` or `realloc` comes with a pointer or a
//!   layout that `alloc` did not give, when two live blocks overlap, or when a block is not aligned;
//! * fills fresh memory with [`FRESH`] and blocks that are given back with [`STALE`], so that what was never written, or
//!   is read too late, does not look like zeros by luck;
//! * stops the test when it goes away while blocks are live ([`Audit::expect_empty`] asks earlier);
//! * fails the requests that it is told to fail, and refuses alignments above a limit.

#![allow(dead_code, reason = "a vocabulary: no test binary uses every word of it")]

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bhc_rts_alloc::{AllocError, AllocResult, AllocStats, MemoryRegion, RegionKind, System, TypedRegion};

/// What fresh memory is filled with.
pub const FRESH: u8 = 0xa5;
/// What a block is filled with before it is given back.
pub const STALE: u8 = 0x5f;

/// Sanitizers stop the program at a request that no machine can meet; the tests want to see the error instead.
#[cfg(bhc_asan)]
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
    c"allocator_may_return_null=1".as_ptr()
}

/// Which requests fail. Counted from the moment that it is set; requests of size zero, and those that only give memory
/// back, do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Never,
    /// The n-th, counted from 0.
    Nth(usize),
    /// The n-th and all after it.
    From(usize),
}

/// A region that checks how it is used. See the file's text.
#[derive(Debug)]
pub struct Audit<R = System> {
    inner: R,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By address. Blocks of size zero are not here.
    live: BTreeMap<usize, Block>,
    stats: AllocStats,
    failure: Failure,
    requests: usize,
    max_align: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    ptr: Owned,
    layout: Layout,
}

/// The pointer of a live block, kept for its provenance.
#[derive(Clone, Copy, Debug)]
struct Owned(NonNull<u8>);

// SAFETY: the pointer is only used under the lock of the state, and the block behind it is plain memory.
unsafe impl Send for Owned {}

impl Audit {
    /// Around the process allocator.
    pub fn new() -> Self {
        Self::around(System)
    }
}

impl<R: MemoryRegion> Audit<R> {
    pub fn around(inner: R) -> Self {
        let state = State {
            live: BTreeMap::new(),
            stats: AllocStats::default(),
            failure: Failure::Never,
            requests: 0,
            max_align: usize::MAX,
        };
        Self { inner, state: Mutex::new(state) }
    }

    /// The region that it looks over.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Refuses alignments above `bytes` with `UnsupportedAlignment`. Only the `try_` forms and `&dyn` should meet such a
    /// region: it gives less than its `MaxAlign` says.
    pub fn with_max_align(self, bytes: usize) -> Self {
        self.state().max_align = bytes;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A check that failed elsewhere should not hide behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which requests fail from now on; starts counting anew.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.state();
        state.failure = failure;
        state.requests = 0;
    }

    /// How many requests for memory there were since [`fail`](Self::fail), failed ones included.
    pub fn requests(&self) -> usize {
        self.state().requests
    }

    /// How many blocks are live.
    pub fn live(&self) -> usize {
        self.state().live.len()
    }

    /// The layout of the live block that starts at `address`.
    pub fn block_at(&self, address: usize) -> Option<Layout> {
        self.state().live.get(&address).map(|block| block.layout)
    }

    /// Stops the test if a block is live or the statistics do not say zero.
    #[track_caller]
    pub fn expect_empty(&self) {
        let state = self.state();
        assert!(state.live.is_empty(), "blocks are still live: {:?}", state.live);
        let stats = state.stats;
        assert_eq!((stats.current_live, stats.total_allocated), (0, stats.total_deallocated), "the statistics differ");
    }

    /// Gives back blocks that were leaked on purpose, so that leak checkers stay quiet. Returns how many there were.
    ///
    /// # Safety
    /// Nobody uses any live block of this region again.
    pub unsafe fn reclaim(&self) -> usize {
        let blocks: Vec<Block> = self.state().live.values().copied().collect();
        for block in &blocks {
            // SAFETY: live, with this layout, and not used again by the caller's promise.
            unsafe { self.dealloc(block.ptr.0, block.layout) };
        }
        blocks.len()
    }

    /// Counts a request, and answers whether it is to be refused.
    fn admit(&self, size: usize, align: usize) -> AllocResult<()> {
        let mut state = self.state();
        if size != 0 {
            let number = state.requests;
            state.requests += 1;
            let refused = match state.failure {
                Failure::Never => false,
                Failure::Nth(n) => number == n,
                Failure::From(n) => number >= n,
            };
            if refused {
                state.stats.record_failure();
                return Err(AllocError::OutOfMemory { requested: size, available: 0 });
            }
            if align > state.max_align {
                state.stats.record_failure();
                return Err(AllocError::UnsupportedAlignment(align));
            }
        }
        Ok(())
    }

    /// Takes a new block into the books.
    fn enter(&self, ptr: NonNull<u8>, layout: Layout) {
        let start = ptr.addr().get();
        assert!(start.is_multiple_of(layout.align()), "the region gave {ptr:?} for {layout:?}");
        if layout.size() == 0 {
            return;
        }
        let mut state = self.state();
        let end = start.checked_add(layout.size()).expect("a block ends in the address space");
        if let Some((&other, block)) = state.live.range(..end).next_back() {
            let other_end = other + block.layout.size();
            assert!(other_end <= start, "{start:#x}..{end:#x} overlaps the live block {other:#x}..{other_end:#x}");
        }
        state.live.insert(start, Block { ptr: Owned(ptr), layout });
        state.stats.record_alloc(layout.size());
    }

    /// Checks that `ptr` is a live block of exactly `layout`.
    #[track_caller]
    fn expect_block(&self, ptr: NonNull<u8>, layout: Layout, what: &str) {
        if layout.size() == 0 {
            assert!(ptr.addr().get().is_multiple_of(layout.align()), "{what} of {ptr:?} with {layout:?}");
            return;
        }
        match self.block_at(ptr.addr().get()) {
            None => panic!("{what} of {ptr:?}, which is no live block, with {layout:?}"),
            Some(given) => assert_eq!(given, layout, "{what} of {ptr:?} with another layout than it was given with"),
        }
    }

    /// Takes a block out of the books.
    fn leave(&self, ptr: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            let mut state = self.state();
            state.live.remove(&ptr.addr().get());
            state.stats.record_dealloc(layout.size());
        }
    }

    fn failed(&self, error: AllocError) -> AllocError {
        self.state().stats.record_failure();
        error
    }
}

// SAFETY: every block is the inner region's own, with its address and its lifetime, and a failed request leaves the inner
// region alone. Filling a block touches nothing but that block, at moments when nobody else may. The one difference from
// a well-behaved region is that methods unwind where the caller has already broken its promise, or the inner region its
// contract: that is what the audit is for.
unsafe impl<R: MemoryRegion> MemoryRegion for Audit<R> {
    fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.admit(layout.size(), layout.align())?;
        let ptr = self.inner.alloc(layout).map_err(|error| self.failed(error))?;
        self.enter(ptr, layout);
        // SAFETY: a fresh block of this size, which nobody else has yet.
        unsafe { ptr.write_bytes(FRESH, layout.size()) };
        Ok(ptr)
    }

    fn alloc_zeroed(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
        self.admit(layout.size(), layout.align())?;
        let ptr = self.inner.alloc_zeroed(layout).map_err(|error| self.failed(error))?;
        self.enter(ptr, layout);
        // SAFETY: a fresh block of this size, all of it initialised.
        let bytes = unsafe { std::slice::from_raw_parts(ptr.as_ptr(), layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == 0), "alloc_zeroed gave a block that is not zero");
        Ok(ptr)
    }

    unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
        self.expect_block(ptr, layout, "dealloc");
        self.leave(ptr, layout);
        // SAFETY: a live block of exactly this layout, as was just checked, which the caller does not use again.
        unsafe {
            ptr.write_bytes(STALE, layout.size());
            self.inner.dealloc(ptr, layout);
        }
    }

    unsafe fn realloc(&self, ptr: NonNull<u8>, old_layout: Layout, new_size: usize) -> AllocResult<NonNull<u8>> {
        self.expect_block(ptr, old_layout, "realloc");
        let new_layout = Layout::from_size_align(new_size, old_layout.align()).map_err(|_| AllocError::Overflow)?;
        self.admit(new_size, old_layout.align())?;
        // Off the books before it is given up: another thread may get the same address at once.
        let old = self.state().live.remove(&ptr.addr().get());
        // SAFETY: a live block of exactly this layout, as was just checked; the caller gives it up on `Ok`.
        let new_ptr = match unsafe { self.inner.realloc(ptr, old_layout, new_size) } {
            Ok(new_ptr) => new_ptr,
            Err(error) => {
                self.state().live.extend(old.map(|block| (ptr.addr().get(), block)));
                return Err(self.failed(error));
            }
        };
        if old_layout.size() != 0 {
            self.state().stats.record_dealloc(old_layout.size());
        }
        self.enter(new_ptr, new_layout);
        if new_size > old_layout.size() {
            // SAFETY: what the block gained lies in it, is nobody's yet, and holds nothing that must be kept.
            unsafe { new_ptr.add(old_layout.size()).write_bytes(FRESH, new_size - old_layout.size()) };
        }
        Ok(new_ptr)
    }

    fn stats(&self) -> AllocStats {
        self.state().stats
    }

    fn kind(&self) -> RegionKind {
        self.inner.kind()
    }
}

impl<R: TypedRegion> TypedRegion for Audit<R> {
    type MaxAlign = R::MaxAlign;
}

impl<R> Drop for Audit<R> {
    fn drop(&mut self) {
        // A test that is failing already says more than what it left behind.
        if !std::thread::panicking() {
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            assert!(state.live.is_empty(), "the region goes away while blocks are live: {:?}", state.live);
        }
    }
}
