//! What the tests of the buffers share: the check of a buffer's promises, elements that are counted, and code that
//! panics at a chosen step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bhc_rts_alloc::{AlignSpec, PADDING_BLOCK, SimdBuffer};

use super::region::Audit;

/// A buffer in an audited region: what nearly all tests use.
pub type Audited<'r, T, A> = SimdBuffer<T, A, &'r Audit>;

/// The bytes from the end of the elements to the next multiple of `min(alignment, 64)`, read as they stand in memory.
/// Checks on the way that they lie in the block, and that the block's layout is what the documents say.
#[track_caller]
pub fn padding<T, A: AlignSpec>(buffer: &Audited<'_, T, A>) -> Vec<u8> {
    let alignment = buffer.alignment().as_usize();
    let block = alignment.min(PADDING_BLOCK);
    let end = size_of_val(buffer.as_slice());
    let stop = end.next_multiple_of(block);
    let start = buffer.as_ptr().cast::<u8>();
    let layout = buffer.region().block_at(start.addr());
    match layout {
        Some(layout) => {
            assert_eq!(layout.align(), alignment.max(align_of::<T>()), "the block is aligned otherwise than promised");
            assert!(layout.size().is_multiple_of(block), "{layout:?} is not whole blocks of {block} bytes");
            assert_eq!(buffer.capacity(), layout.size() / size_of::<T>(), "the capacity is not that of the block");
        }
        None => assert_eq!(end, 0, "elements without a block"),
    }
    let room = layout.map_or(0, |layout| layout.size());
    assert!(stop <= room, "the padding up to byte {stop} is outside the block of {room} bytes");
    // SAFETY: the audit says that a block of `room` bytes starts at `start`, whose pointer comes from the region and not
    // from a reference to the elements, so it may read the whole block. The bytes are initialised: the audit wrote all of
    // them, and later writes between the elements' end and `stop` are zeros.
    (end..stop).map(|at| unsafe { start.add(at).read() }).collect()
}

/// Checks everything that a buffer promises at rest.
#[track_caller]
pub fn check<T, A: AlignSpec>(buffer: &Audited<'_, T, A>) {
    let align = buffer.alignment().as_usize().max(align_of::<T>());
    assert_eq!(buffer.as_ptr().addr() % align, 0, "the start is not aligned to {align} bytes");
    assert!(buffer.capacity() >= buffer.len(), "{} elements, room for {}", buffer.len(), buffer.capacity());
    let padding = padding(buffer);
    assert!(padding.iter().all(|&byte| byte == 0), "after {} elements the padding is {padding:x?}", buffer.len());
}

/// [`check`], and that the elements are `expected`.
#[track_caller]
pub fn expect<T: PartialEq + fmt::Debug, A: AlignSpec>(buffer: &Audited<'_, T, A>, expected: &[T]) {
    assert_eq!(buffer.as_slice(), expected);
    check(buffer);
}

thread_local! {
    /// The elements of type [`Tracked`] that exist on this thread.
    static LIVE: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// How many steps are left until one panics.
    static FUSE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a panic of [`step`] says.
pub const FUSE_BLEW: &str = "the fuse blew";

/// User code that may panic calls this: the step that the fuse was set to panics.
pub fn step() {
    match FUSE.get() {
        Some(0) => {
            FUSE.set(None);
            panic!("{FUSE_BLEW}");
        }
        Some(left) => FUSE.set(Some(left - 1)),
        None => {}
    }
}

/// How many [`Tracked`] elements exist on this thread.
pub fn tracked() -> usize {
    LIVE.with_borrow(BTreeSet::len)
}

/// An element that is dropped exactly once or stops the test, whose `Clone` and `Drop` are [`step`]s, and whose size is
/// `16 + 8 * EXTRA` bytes.
pub struct Tracked<const EXTRA: usize = 0> {
    token: u64,
    value: u64,
    extra: [u64; EXTRA],
}

impl<const EXTRA: usize> Tracked<EXTRA> {
    pub fn new(value: u64) -> Self {
        let token = NEXT.replace(NEXT.get() + 1);
        LIVE.with_borrow_mut(|live| live.insert(token));
        Self { token, value, extra: [value; EXTRA] }
    }

    /// The value, once it is sure that the element is one.
    pub fn value(&self) -> u64 {
        assert!(LIVE.with_borrow(|live| live.contains(&self.token)), "token {} is not live", self.token);
        assert_eq!(self.extra, [self.value; EXTRA]);
        self.value
    }
}

impl<const EXTRA: usize> Clone for Tracked<EXTRA> {
    fn clone(&self) -> Self {
        step();
        Self::new(self.value())
    }
}

impl<const EXTRA: usize> Drop for Tracked<EXTRA> {
    fn drop(&mut self) {
        let was_live = LIVE.with_borrow_mut(|live| live.remove(&self.token));
        assert!(was_live, "token {} dropped twice, or never made", self.token);
        if !std::thread::panicking() {
            step();
        }
    }
}

impl<const EXTRA: usize> PartialEq for Tracked<EXTRA> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl<const EXTRA: usize> fmt::Debug for Tracked<EXTRA> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracked({})", self.value())
    }
}

/// Runs `body` with its `n`-th step panicking. Answers whether it did; any other panic goes on.
pub fn blows(n: usize, body: impl FnOnce()) -> bool {
    FUSE.set(Some(n));
    let result = catch_unwind(AssertUnwindSafe(body));
    FUSE.set(None);
    match result {
        Ok(()) => false,
        Err(payload) if text(&payload) == FUSE_BLEW => true,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

fn text(payload: &Box<dyn std::any::Any + Send>) -> &str {
    match payload.downcast_ref::<String>() {
        Some(text) => text,
        None => payload.downcast_ref::<&str>().copied().unwrap_or(""),
    }
}

/// The text that `body` panics with.
#[track_caller]
pub fn panic_text<T>(body: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => text(&payload).to_owned(),
    }
}
