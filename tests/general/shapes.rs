//! What the tests of the General Heap's promises share: shapes of objects, programs that make some, and looks from
//! outside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use bhc_rts_alloc::general::{Header, Info, raw::Raw};
use bhc_rts_alloc::{Gc, GeneralHeap, Root, gc_object};

/// The unit of a heap's memory, in bytes. Objects of so many bytes or more are large.
pub const SLICE: usize = 8 << 10;
/// Words of a large object.
pub const LARGE: usize = SLICE / 8;

gc_object! {
    /// A tree, or any graph of which each node has two edges.
    pub struct Tree / TreeInit { ptr left: Tree, ptr right: Tree, data value: u64, }
    /// A list.
    pub struct Cons / ConsInit { ptr tail: Cons, data head: u64, }
    /// The smallest object that is something.
    pub struct Number / NumberInit { data value: u64, }
    /// Large, and with pointers.
    pub struct Wide / WideInit { ptr first: Number, ptr second: Wide, data padding: [u64; LARGE], }
}

pub static LEAF: Info = Info::fixed("Leaf", 0, 1);
pub static CELL: Info = Info::fixed("Cell", 1, 1);
pub static POINTERS: Info = Info::pointers("Pointers");
pub static BYTES: Info = Info::data("Bytes", 1, 8);
pub static THUNK: Info = Info::thunk("Thunk", 1, 1);

pub fn number(heap: &mut GeneralHeap, value: u64) -> Root<Number> {
    heap.new_root::<Number>(NumberInit { value })
}

/// A tree of one node.
pub fn tree(heap: &mut GeneralHeap, value: u64) -> Root<Tree> {
    heap.new_root::<Tree>(TreeInit { left: None, right: None, value })
}

/// The list `len - 1, ..., 1, 0`; not empty.
pub fn list(heap: &mut GeneralHeap, len: u64) -> Root<Cons> {
    let mut list = heap.new_root::<Cons>(ConsInit { tail: None, head: 0 });
    for head in 1..len {
        list = heap.new_root::<Cons>(ConsInit { tail: Some(&list), head });
    }
    list
}

/// What is in a list, from its beginning.
pub fn heads<'h>(list: Gc<'h, Cons>) -> impl Iterator<Item = u64> + use<'h> {
    std::iter::successors(Some(list), |cons| cons.get(Cons::tail)).map(|cons| cons.head)
}

/// A leaf in a raw heap.
///
/// # Safety
/// As for [`Raw::alloc`].
pub unsafe fn leaf(raw: Raw<'_>, value: usize) -> NonNull<Header> {
    // SAFETY: the caller's promise; it has no pointers.
    unsafe {
        let leaf = raw.alloc(&LEAF).expect("there is memory");
        raw.word(leaf.as_ptr(), 0).cast::<usize>().write(value);
        leaf
    }
}

/// What is in a leaf that a pointer, with any tag, leads to.
///
/// # Safety
/// It does.
pub unsafe fn value_of(raw: Raw<'_>, leaf: *mut Header) -> usize {
    let leaf = leaf.map_addr(|address| address & !7);
    // SAFETY: the caller's promise.
    unsafe {
        assert_eq!(raw.info(NonNull::new(leaf).expect("a leaf")).name(), "Leaf");
        raw.word(leaf, 0).cast::<usize>().read()
    }
}

/// What a panic says.
pub fn panic_of<T>(body: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(body)) else { panic!("it should have panicked") };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
}

/// How many bytes of a heap's slices are really there; `None` if this system does not say.
pub fn resident(heap: &GeneralHeap) -> Option<usize> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let (mut ours, mut bytes) = (false, 0);
    for line in smaps.lines() {
        if let Some(address) = line.split_once('-').and_then(|(start, _)| usize::from_str_radix(start, 16).ok()) {
            ours = heap.contains(std::ptr::without_provenance::<u8>(address));
        } else if let Some(kib) = line.strip_prefix("Rss:").filter(|_| ours) {
            bytes += kib.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10;
        }
    }
    Some(bytes)
}

/// Numbers without an order that could help anybody (xorshift), the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
