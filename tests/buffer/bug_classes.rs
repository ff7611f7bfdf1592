//! The classes of bugs that aligned buffers of other crates had, each with a test that names it. The comment above each
//! says where the class was seen.
//!
//! Classes 6, 14, 15, 16 and 18 are answered by types: their tests are assertions that the compiler decides, and what
//! runs is there to show the same promise at work.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::mem::{MaybeUninit, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;

use bhc_rts_alloc::{
    Align, AlignedSlice, Alignment, AllocError, AllocResult, KnownAlign, MemoryRegion, PaddedMut, Place, RawParts,
    SimdBuffer, System, is_ptr_aligned,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use super::region::{Audit, FRESH, Failure};
use super::vocabulary::{Audited, Tracked, check, expect, padding, tracked};

// RUSTSEC-2023-0017 (maligned): an over-aligned block became a `Vec`, which freed it with the alignment of the element.
#[test]
fn class_01_a_block_is_freed_with_the_alignment_it_was_allocated_with() {
    let audit = Audit::new();
    let place = Place::<Align<4096>>::new().within(&audit);
    // Every way in which the alignment could get lost on the way to the free; the audit compares each layout.
    drop(place.from_slice(&[1u8; 100]).into_dynamic());
    drop(place.from_slice(&[1u8; 100]).cast::<u32>());
    drop(place.from_slice(&[1u8; 100]).into_iter());
    drop(Vec::from(place.from_slice(&[1u8; 100])));
    drop(place.from_slice(&[1u8; 100]).into_dynamic().try_into_static::<Align<64>>().unwrap_err());
    drop(place.from_slice(&[1u8; 100]).into_dynamic().try_into_static::<Align<4096>>().unwrap());
    let parts = place.from_slice(&[1u8; 100]).into_raw_parts();
    assert_eq!((parts.layout.size(), parts.layout.align()), (128, 4096));
    // SAFETY: the parts are as they were.
    drop(unsafe { SimdBuffer::from_raw_parts(parts) });
    audit.expect_empty();
}

// RUSTSEC-2026-0151 (jxl-grid), RUSTSEC-2020-0038 (ordnung), and aligned-vec 0.6.4, which leaves the check out on 64 bits.
#[test]
fn class_02_sizes_that_overflow_are_errors_also_after_rounding() {
    // The product wraps to something small.
    assert_eq!(SimdBuffer::<u64>::try_zeroed((1 << 61) + 1).unwrap_err(), AllocError::Overflow);
    // The product fits, the padding does not.
    assert_eq!(SimdBuffer::<u8>::try_zeroed(isize::MAX as usize).unwrap_err(), AllocError::Overflow);
    // With its padding it fits, rounded to its alignment it does not.
    let len = isize::MAX as usize - 4096 + 1 + 1;
    let place = Place::<Align<4096>>::new();
    assert_eq!(place.try_zeroed::<u8>(len).unwrap_err(), AllocError::Overflow);
    assert!(matches!(place.try_zeroed::<u8>(len - 1 - 64), Err(AllocError::OutOfMemory { .. })));
    // Length and addition overflow before any product does.
    let mut buffer = SimdBuffer::<u8>::filled(1, 1);
    assert_eq!(buffer.try_reserve(usize::MAX), Err(AllocError::Overflow));
}

// RUSTSEC-2025-0163 (trailer), RUSTSEC-2023-0033 (borsh); aligned_box 0.3.1 divides by zero for `()`.
#[test]
fn class_03_elements_without_size_never_reach_the_region() {
    let audit = Audit::new();
    audit.fail(Failure::From(0));
    let mut buffer = Place::<Align<64>>::new().within(&audit).from_fn(5, |_| ());
    assert_eq!(buffer.capacity(), usize::MAX);
    buffer.push(());
    buffer.reserve(1 << 40);
    buffer.shrink_to_fit();
    buffer.resize(3, ());
    assert_eq!(buffer.padded().len(), 3);
    expect(&buffer, &[(); 3]);
    assert_eq!(buffer.into_iter().count(), 3);
    // With `Drop`, and aligned more strictly than the buffer.
    thread_local!(static DROPS: Cell<usize> = const { Cell::new(0) });
    #[repr(align(256))]
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.set(DROPS.get() + 1);
            assert_eq!(std::ptr::from_ref(self).addr() % 256, 0);
        }
    }
    let mut buffer = Place::<Align<8>>::new().within(&audit).from_fn(9, |_| Nothing);
    buffer.truncate(7);
    drop(buffer.pop());
    drop(buffer.swap_remove(0));
    drop(buffer);
    assert_eq!(DROPS.get(), 9);
    assert_eq!(audit.requests(), 0);
}

// aligned-vec 0.6.4, issue 27: shrinking to nothing reallocates to size zero and takes the null it gets for a pointer.
#[test]
fn class_04_shrinking_to_nothing_gives_the_block_back_and_keeps_the_start_aligned() {
    let audit = Audit::new();
    let mut buffer = Place::<Align<4096>>::new().within(&audit).from_slice(&[1u32; 100]);
    buffer.clear();
    buffer.shrink_to_fit();
    assert_eq!((buffer.capacity(), audit.live()), (0, 0));
    check(&buffer);
    buffer.shrink_to(0);
    buffer.push(1);
    expect(&buffer, &[1]);
    // The same in `System`, and a block that cannot be made smaller stays.
    let mut buffer = SimdBuffer::<u8>::filled(1000, 1);
    let (_, requests) = bhc_rts_alloc::os::fault::fail_nth(0, || buffer.shrink_to(10));
    assert_eq!((requests, buffer.len()), (0, 1000), "there is nothing to give back yet");
    buffer.truncate(10);
    let (_, requests) = bhc_rts_alloc::os::fault::fail_nth(0, || buffer.shrink_to_fit());
    assert_eq!((requests, buffer.capacity()), (1, 1024));
    assert_eq!(buffer, [1; 10]);
}

// aligned-vec 0.6.4: `extend_from_slice` copies the bytes of elements that are only `Clone`, and both are dropped.
#[test]
fn class_05_elements_are_cloned_not_copied_bitwise() {
    let original: Rc<str> = Rc::from("one");
    let source = [Rc::clone(&original), Rc::clone(&original)];
    let mut buffer = SimdBuffer::<Rc<str>>::from_slice(&source);
    buffer.extend_from_slice(&source);
    buffer.extend_from_slice(&source);
    buffer.resize(8, Rc::clone(&original));
    assert_eq!(Rc::strong_count(&original), 1 + 2 + 8);
    let copy = buffer.clone();
    assert_eq!(Rc::strong_count(&original), 1 + 2 + 16);
    drop((buffer, copy, source));
    assert_eq!(Rc::strong_count(&original), 1);
}

// aligned-vec 0.6.4 (`__copy_from_ptr` is safe), RUSTSEC-2025-0170 (hugepage-rs): a safe function believes a raw pointer.
// Decided by types: only safe functions implement `FnOnce`, and those that take raw parts or a bare length do not.
#[test]
fn class_06_what_takes_raw_parts_or_a_bare_length_is_unsafe() {
    struct Probe<F>(F);
    trait Callable<Arguments> {
        fn is_safe(&self) -> bool {
            true
        }
    }
    impl<F: FnOnce(X) -> Y, X, Y> Callable<(X,)> for Probe<F> {}
    impl<F: FnOnce(W, X) -> Y, W, X, Y> Callable<(W, X)> for Probe<F> {}
    /// What the method call below falls back to.
    trait NotCallable {
        fn is_safe(&self) -> bool {
            false
        }
    }
    impl<F> NotCallable for &Probe<F> {}
    macro_rules! is_safe {
        ($function:expr) => {
            (&Probe($function)).is_safe()
        };
    }

    type Slice = AlignedSlice<u8, Align<64>>;
    // The probe tells them apart …
    assert!(is_safe!(Slice::new));
    assert!(is_safe!(SimdBuffer::<u8>::truncate));
    // … and these are not safe.
    assert!(!is_safe!(Slice::new_unchecked));
    assert!(!is_safe!(Slice::new_unchecked_mut));
    assert!(!is_safe!(SimdBuffer::<u8>::set_len));
    assert!(!is_safe!(SimdBuffer::<u8>::from_raw_parts));
    assert!(!is_safe!(SimdBuffer::<MaybeUninit<u8>>::assume_init));
}

// RUSTSEC-2026-0103 (thin-vec), RUSTSEC-2018-0003 (smallvec), aligned_box 0.3.1: a panic finds a length that is not true.
// Every operation at every step: `panics`.
#[test]
fn class_07_a_panic_in_user_code_finds_a_true_length() {
    let before = tracked();
    let source: Vec<Tracked> = (0..5).map(Tracked::new).collect();
    let seen = RefCell::new(Vec::new());
    let audit = Audit::new();
    let mut buffer = Place::<Align<64>>::new().within(&audit).from_slice(&source);
    let result = catch_unwind(AssertUnwindSafe(|| {
        buffer.retain(|element| {
            seen.borrow_mut().push(element.value());
            assert!(element.value() < 3, "that is enough");
            element.value() == 1
        });
    }));
    assert!(result.is_err());
    // All are still there, each once.
    let mut values: Vec<u64> = buffer.iter().map(Tracked::value).collect();
    values.sort_unstable();
    assert_eq!((values, seen.into_inner()), (vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3]));
    check(&buffer);
    drop((buffer, source));
    assert_eq!(tracked(), before);
}

// RUSTSEC-2020-0033 (alg_ds), RUSTSEC-2020-0034 (arr): assigning to uninitialised memory drops what was never there.
#[test]
fn class_08_memory_without_elements_is_written_and_never_dropped() {
    let before = tracked();
    let audit = Audit::new();
    // `Tracked` stops the test when something is dropped that was never made, such as the audit's filling.
    let mut buffer = Place::<Align<8>>::new().within(&audit).with_capacity::<Tracked>(10);
    assert_eq!(tracked(), before);
    buffer.push(Tracked::new(1));
    buffer.insert(0, Tracked::new(0));
    buffer.extend_from_slice(&[Tracked::new(2)]);
    buffer.resize_with(6, || Tracked::new(3));
    assert_eq!(tracked() - before, 6);
    drop(buffer);
    // What was reserved and never filled is not dropped either.
    let mut slots = Place::<Align<8>>::new().within(&audit).uninit::<Tracked>(3);
    slots.iter_mut().for_each(|slot| _ = slot.write(Tracked::new(4)));
    // SAFETY: all three were just written.
    drop(unsafe { slots.assume_init() });
    drop(Place::<Align<8>>::new().within(&audit).uninit::<Tracked>(3));
    assert_eq!(tracked(), before);
}

// RUSTSEC-2021-0003 (smallvec), RUSTSEC-2021-0028 (toodee): the size hint of an iterator is believed.
#[test]
fn class_09_a_size_hint_is_never_believed() {
    struct Liar(usize, usize);
    impl Iterator for Liar {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            self.0 = self.0.checked_sub(1)?;
            Some(self.0 as u8)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.1, Some(self.1))
        }
    }
    impl ExactSizeIterator for Liar {}
    for (truth, claim) in [(100, 0), (100, 1), (0, 100), (10, usize::MAX), (10, isize::MAX as usize)] {
        let audit = Audit::new();
        let mut buffer = Place::<Align<64>>::new().within(&audit).try_from_iter(Liar(truth, claim)).unwrap();
        assert_eq!(buffer.len(), truth);
        check(&buffer);
        buffer.extend(Liar(truth, claim));
        assert_eq!(buffer.len(), 2 * truth);
        check(&buffer);
    }
}

// arrow-rs 6397, simd-json 301, RUSTSEC-2024-0435 (fyrox), maligned 6: uninitialised bytes are shown as data.
#[test]
fn class_10_no_uninitialised_byte_is_ever_shown() {
    let audit = Audit::new();
    for len in 0..70 {
        let place = Place::<Align<64>>::new().within(&audit);
        // The audit fills fresh memory with this byte: it must be nowhere in what safe code can see.
        let seen = |buffer: Audited<'_, u8, Align<64>>, how: &str| {
            assert!(!buffer.contains(&FRESH) && !buffer.padded().contains(&FRESH), "{how} of {len}");
            assert!(padding(&buffer).iter().all(|&byte| byte == 0), "{how} of {len}");
        };
        seen(place.zeroed(len), "zeroed");
        seen(place.filled(len, 1), "filled");
        seen(place.from_fn(len, |_| 1), "from_fn");
        seen(place.from_slice(&vec![1; len]), "from_slice");
        seen(place.try_from_iter(vec![1; len]).unwrap(), "from_iter");
        let mut pushed = place.with_capacity(0);
        (0..len).for_each(|_| pushed.push(1));
        seen(pushed, "push");
        let mut resized = place.with_capacity(200);
        resized.resize(len, 1);
        seen(resized, "resize");
        // Uninitialised on request; once it is filled the padding shows nothing either.
        let mut slots = place.uninit::<u8>(len);
        assert!(padding(&slots).iter().all(|&byte| byte == 0), "uninit of {len}");
        slots.fill(MaybeUninit::new(1));
        // SAFETY: all elements were just written.
        seen(unsafe { slots.assume_init() }, "assume_init");
    }
    // Bytes between the fields of an element cannot be looked at.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Gap(u8, u32);
    assert_eq!((size_of_val(&Gap(1, 2)), offset_of!(Gap, 1)), (8, 4));
    assert_not_impl_any!(Gap: bytemuck::NoUninit);
    assert_not_impl_any!(MaybeUninit<u8>: bytemuck::NoUninit);
}

// RUSTSEC-2021-0120 (abomonation), RUSTSEC-2024-0424 (libafl), aligned-buffer 0.2.0: an empty buffer stands at address 1.
#[test]
fn class_11_every_view_is_aligned_and_not_null_also_when_it_is_empty() {
    fn at_each<A: KnownAlign>() {
        let buffer = SimdBuffer::<u8, A>::default();
        let aligned = |start: *const u8| !start.is_null() && is_ptr_aligned(start, A::BYTES);
        assert!(aligned(buffer.as_ptr()) && aligned(buffer.as_slice().as_ptr()));
        assert!(aligned(buffer.view().as_ptr()) && aligned(buffer.view().as_bytes().as_ptr()));
        assert!(aligned(AlignedSlice::<u8, A>::empty().as_ptr()));
        assert!(aligned(AlignedSlice::<u8, A>::new(&[]).unwrap().as_ptr()));
        assert!(aligned(buffer.into_iter().as_slice().as_ptr()));
    }
    at_each::<Align<1>>();
    at_each::<Align<64>>();
    at_each::<Align<4096>>();
    // Bytes that are not aligned to the element are no slice of it, and empty ones are.
    let words = SimdBuffer::<u64>::zeroed(8);
    let bytes = words.view().as_bytes();
    assert!(AlignedSlice::<u8, Align<8>>::new(&bytes[1..9]).is_none());
    let empty = AlignedSlice::<u8, Align<8>>::new(&bytes[1..1]).unwrap();
    assert_eq!(empty.cast::<u64>().as_ptr().addr() % 8, 0);
    assert_eq!(empty.records::<u64>().unwrap().as_ptr().addr() % 8, 0);
}

// RUSTSEC-2022-0041 (crossbeam: `u64` for `AtomicU64`), RUSTSEC-2022-0094 (mimalloc): an alignment that nobody promised.
#[test]
fn class_12_a_buffer_asks_for_the_alignment_it_relies_on() {
    /// Gives each block exactly the alignment that it was asked for and not a bit more.
    struct Grudging(RefCell<Vec<(usize, NonNull<u8>)>>);
    fn generous(layout: Layout) -> Layout {
        let align = layout.align() * 2;
        Layout::from_size_align(layout.size() + align, align).unwrap()
    }
    // SAFETY: each block is the second part of one of `System`'s, which lives as long; it is aligned to `align`, since the
    // base is to twice that, and ends with the base. Sizes and alignments are small in this test.
    unsafe impl MemoryRegion for Grudging {
        fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
            if layout.size() == 0 {
                return System.alloc(layout);
            }
            let base = System.alloc(generous(layout))?;
            // SAFETY: the base is longer than that.
            let block = unsafe { base.add(layout.align()) };
            self.0.borrow_mut().push((block.addr().get(), base));
            Ok(block)
        }
        unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
            if layout.size() != 0 {
                let mut blocks = self.0.borrow_mut();
                let at = blocks.iter().position(|(address, _)| *address == block.addr().get()).unwrap();
                // SAFETY: the base of this block, which is not used again.
                unsafe { System.dealloc(blocks.swap_remove(at).1, generous(layout)) };
            }
        }
        fn stats(&self) -> bhc_rts_alloc::AllocStats {
            Default::default()
        }
    }
    #[repr(align(128))]
    #[derive(Clone, Debug, PartialEq)]
    struct Wide(u8);
    let audit = Audit::around(Grudging(RefCell::default()));
    fn exactly<T: Clone + PartialEq + std::fmt::Debug>(
        region: &dyn MemoryRegion,
        bytes: usize,
        alignment: Alignment,
        value: T,
    ) {
        let mut buffer = Place::at(alignment).within(region).try_filled(3, value.clone()).unwrap();
        for _ in 0..100 {
            buffer.push(value.clone());
            assert_eq!(buffer.as_ptr().addr() % (2 * bytes), bytes, "aligned otherwise than asked");
        }
        buffer.truncate(1);
        buffer.shrink_to_fit();
        assert_eq!(buffer.as_ptr().addr() % (2 * bytes), bytes);
        assert_eq!(buffer, [value]);
    }
    exactly(&audit, 64, Alignment::Simd512, 7u8);
    exactly(&audit, 4096, Alignment::Page, 7u8);
    exactly(&audit, 1, Alignment::MIN, 7u8);
    exactly(&audit, align_of::<u64>(), Alignment::MIN, 7u64);
    exactly(&audit, 128, Alignment::Simd128, Wide(7));
    audit.expect_empty();
}

// RUSTSEC-2019-0008 (simd-json), pic-scale 161: whole vectors are loaded beyond the end.
#[test]
fn class_13_whole_vectors_over_the_padded_view_stay_inside_the_block() {
    let audit = Audit::new();
    for len in 0..200 {
        let mut buffer = Place::<Align<64>>::new().within(&audit).from_fn(len, |i| i as f32);
        buffer.shrink_to_fit(); // nothing to spare
        let (vectors, rest) = buffer.padded().as_chunks::<16>();
        assert!(rest.is_empty());
        let inside = audit.block_at(buffer.as_ptr().addr()).map_or(0, |layout| layout.size());
        assert_eq!(size_of_val(vectors), inside, "the padded view is the whole block, for {len} elements");
        let sum: f32 = vectors.iter().map(|vector| vector.iter().sum::<f32>()).sum();
        assert_eq!(sum, (0..len).map(|i| i as f32).sum::<f32>());
    }
}

// RUSTSEC-2020-0034 (arr) and some thirty-five more: `Send` or `Sync` without a bound on the element. Decided by types.
#[test]
fn class_14_threads_are_bounded_by_element_and_region() {
    type InRc = SimdBuffer<u8, Align<64>, Rc<System>>;
    assert_not_impl_any!(SimdBuffer<Rc<u8>>: Send, Sync);
    assert_not_impl_any!(SimdBuffer<u8, Align<64>, Rc<System>>: Send, Sync);
    assert_not_impl_any!(bhc_rts_alloc::IntoIter<Rc<u8>, Align<64>, System>: Send, Sync);
    assert_not_impl_any!(bhc_rts_alloc::IntoIter<u8, Align<64>, Rc<System>>: Send, Sync);
    assert_not_impl_any!(AlignedSlice<Rc<u8>, Align<64>>: Send, Sync);
    assert_not_impl_any!(PaddedMut<'static, *const u8, Align<64>>: Send, Sync);
    assert_not_impl_any!(RawParts<u8, Align<64>, System>: Send, Sync);
    assert_not_impl_any!(SimdBuffer<Cell<u8>>: Sync);
    assert_impl_all!(SimdBuffer<Cell<u8>>: Send);
    // Not a region that may not go to, or not be used from, another thread.
    struct OneThread(System, Cell<u8>);
    // SAFETY: forwards to `System`.
    unsafe impl MemoryRegion for OneThread {
        fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
            self.1.set(self.1.get().wrapping_add(1));
            self.0.alloc(layout)
        }
        unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promise is about the same block.
            unsafe { self.0.dealloc(ptr, layout) }
        }
        fn stats(&self) -> bhc_rts_alloc::AllocStats {
            self.0.stats()
        }
    }
    assert_not_impl_any!(SimdBuffer<u8, Align<64>, &'static OneThread>: Send, Sync);
    assert_impl_all!(SimdBuffer<u8, Align<64>, OneThread>: Send);
    assert_not_impl_any!(SimdBuffer<u8, Align<64>, OneThread>: Sync);
    // At work.
    let buffer = Place::<Align<64>>::new().within(OneThread(System, Cell::new(0))).try_filled(3, 1u8).unwrap();
    let buffer = std::thread::spawn(move || buffer).join().unwrap();
    assert_eq!((&buffer[..], buffer.region().1.get()), (&[1; 3][..], 1));
    drop(InRc::from(Place::new().within(Rc::new(System)).from_slice(&[1u8])));
}

// RUSTSEC-2018-0013 (safe-transmute: arguments swapped), RUSTSEC-2019-0009 (smallvec: growing to the same size frees
// twice), RUSTSEC-2020-0006 (bumpalo: copies the new size). Decided by types for the first: the parts have names.
#[test]
fn class_15_raw_parts_have_names_and_growing_to_the_same_size_is_nothing() {
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    let mut buffer = place.from_slice(&[1u32; 16]);
    let RawParts { ptr, len, layout, alignment: (), region } = buffer.into_raw_parts();
    let _: (NonNull<u32>, usize, Layout, &Audit) = (ptr, len, layout, region);
    assert_eq!((len, layout.size(), layout.align()), (16, 64, 64));
    // SAFETY: the parts are as they were.
    buffer = unsafe { SimdBuffer::from_raw_parts(RawParts { ptr, len, layout, alignment: (), region }) };
    // To the room that is there already: no request at all.
    audit.fail(Failure::From(0));
    buffer.reserve(0);
    buffer.reserve_exact(0);
    buffer.shrink_to(buffer.capacity());
    buffer.shrink_to_fit();
    assert_eq!(audit.requests(), 0);
    audit.fail(Failure::Never);
    // Growing and shrinking keep the smaller of the two sizes.
    buffer.reserve_exact(1);
    expect(&buffer, &[1; 16]);
    buffer.shrink_to_fit();
    expect(&buffer, &[1; 16]);
}

// RUSTSEC-2022-0078 (bumpalo: an iterator outlives its arena), RUSTSEC-2025-0166 (stackvector: a public length field).
// Decided by types: the iterator has the region's lifetime (these signatures compile only if it does), and the length is
// private; programs that break either are among the compile-fail cases.
#[test]
fn class_16_iterators_and_leaked_slices_live_no_longer_than_the_region() {
    type A = Align<64>;
    fn owned<'r>(buffer: Audited<'r, u32, A>) -> bhc_rts_alloc::IntoIter<u32, A, &'r Audit> {
        buffer.into_iter()
    }
    fn leaked<'r>(buffer: Audited<'r, u32, A>) -> &'r mut AlignedSlice<u32, A> {
        buffer.leak()
    }
    assert_not_impl_any!(bhc_rts_alloc::IntoIter<u32, A, &'static Audit>: Copy);
    let audit = Audit::new();
    let place = Place::<A>::new().within(&audit);
    let items = owned(place.from_slice(&[1, 2, 3]));
    assert_eq!((audit.live(), items.sum::<u32>(), audit.live()), (1, 6, 0));
    assert_eq!(leaked(place.from_slice(&[1, 2, 3]))[..], [1, 2, 3]);
    // SAFETY: the leaked slice is not used again.
    unsafe { audit.reclaim() };
    // The stored size is the allocated one, whatever happens to the length.
    let mut buffer = place.from_slice(&[1u8; 1000]);
    buffer.truncate(3);
    let parts = buffer.into_raw_parts();
    assert_eq!(audit.block_at(parts.ptr.addr().get()), Some(parts.layout));
    // SAFETY: the parts are as they were.
    drop(unsafe { SimdBuffer::from_raw_parts(parts) });
}

// RUSTSEC-2023-0078 (tracing): `mem::forget(self)` and then a read through the old place.
#[test]
fn class_17_what_takes_the_buffer_apart_moves_every_part_once() {
    /// A region with a destructor that must run once.
    struct Counted(Audit, Rc<Cell<usize>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
        }
    }
    // SAFETY: forwards to the audited region, which goes with it.
    unsafe impl MemoryRegion for Counted {
        fn alloc(&self, layout: Layout) -> AllocResult<NonNull<u8>> {
            self.0.alloc(layout)
        }
        unsafe fn dealloc(&self, ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promise is about the same block.
            unsafe { self.0.dealloc(ptr, layout) }
        }
        fn stats(&self) -> bhc_rts_alloc::AllocStats {
            self.0.stats()
        }
    }
    type Owned<T> = SimdBuffer<T, Align<64>, Counted>;
    fn each_once<T>(make: impl Fn() -> T, take_apart: impl FnOnce(Owned<T>)) {
        let before = tracked();
        let drops = Rc::new(Cell::new(0));
        let region = Counted(Audit::new(), Rc::clone(&drops));
        take_apart(Place::new().within(region).try_from_fn(9, |_| make()).unwrap());
        assert_eq!((tracked(), drops.get()), (before, 1));
    }
    let make = || Tracked::<0>::new(1);
    each_once(make, drop);
    each_once(make, |buffer| drop(buffer.into_dynamic()));
    each_once(make, |buffer| drop(buffer.into_dynamic().try_into_static::<Align<64>>().unwrap()));
    each_once(make, |buffer| drop(buffer.into_dynamic().try_into_static::<Align<32>>().unwrap_err()));
    each_once(make, |buffer| assert_eq!(buffer.into_iter().skip(3).count(), 6));
    each_once(make, |buffer| drop(Vec::from(buffer)));
    each_once(make, |buffer| {
        // SAFETY: the parts are as they were.
        drop(unsafe { SimdBuffer::from_raw_parts(buffer.into_raw_parts()) });
    });
    each_once(|| 1u8, |buffer| drop(buffer.try_cast::<u32>().unwrap_err()));
    each_once(|| [1u8; 8], |buffer| drop(buffer.cast::<u64>()));
    each_once(
        || MaybeUninit::new(Tracked::<0>::new(1)),
        |buffer| {
            // SAFETY: every element was made by `MaybeUninit::new`.
            drop(unsafe { buffer.assume_init() });
        },
    );
}

// aligned-vec 0.6.4: `avec_rt![[4096] | 1, 2, 3]` builds the type with a constant alignment, and panics. Decided by types:
// the annotations compile only if the macro and the constructors give exactly these.
#[test]
fn class_18_macros_and_constructors_build_the_type_they_say() {
    let _: fn(usize) -> SimdBuffer<f32, Align<64>> = SimdBuffer::<f32>::zeroed;
    let _: fn(usize) -> SimdBuffer<f32, Align<4096>, System> = SimdBuffer::<f32, Align<4096>>::zeroed;
    type AtRunTime = SimdBuffer<f32, Alignment, System>;
    let _: fn(usize, Alignment) -> AllocResult<AtRunTime> = SimdBuffer::<f32, _>::new;
    let _: fn(usize) -> SimdBuffer<MaybeUninit<f32>, Align<8>> = SimdBuffer::<f32, Align<8>>::uninit;
    let _: fn(SimdBuffer<f32, Align<32>>) -> SimdBuffer<f32, Alignment> = SimdBuffer::into_dynamic;
    for (value, expected) in [(1, 1), (8, 8), (16, 16), (32, 32), (64, 64), (128, 64), (4096, 4096), (65536, 4096)] {
        let value = Alignment::new(value).unwrap();
        let (stated, aligned, kept) = bhc_rts_alloc::with_alignment!(value, |A| {
            let buffer: SimdBuffer<u8, A> = SimdBuffer::filled(3, 1);
            (A::BYTES, is_ptr_aligned(buffer.as_ptr(), A::BYTES), buffer.alignment().as_usize())
        });
        assert_eq!((stated, aligned, kept), (expected, true, expected));
    }
}

// By reasoning (research/align.md): a slice type that is itself over-aligned covers bytes after its last element.
#[test]
fn class_19_a_slice_covers_its_elements_and_nothing_else() {
    let mut buffer = SimdBuffer::<f32>::from_fn(35, |i| i as f32);
    assert_eq!(size_of_val(buffer.prefix(3)), 12);
    assert_eq!(align_of_val(buffer.prefix(3)), align_of::<f32>());
    let (head, rest) = buffer.split_at_aligned_mut(16).unwrap();
    let end = |slice: &AlignedSlice<f32, Align<64>>| std::ptr::from_ref(slice).addr() + size_of_val(slice);
    assert_eq!(end(head), rest.as_ptr().addr());
    // A part that ends off a vector, and the part after it, both written.
    let (head, tail) = head.split_at_mut(3);
    let head = AlignedSlice::<f32, Align<64>>::new_mut(head).unwrap();
    assert_eq!(end(head), tail.as_ptr().addr());
    head.fill(-1.0);
    tail[0] = -2.0;
    rest[0] = -3.0;
    assert_eq!(buffer[..5], [-1.0, -1.0, -1.0, -2.0, 4.0]);
    assert_eq!(buffer[15..17], [15.0, -3.0]);
}

/// Class 1 once more, found in review: parts of a buffer whose elements were stricter than its alignment, put together with
/// elements that are not.
#[test]
fn class_01_parts_of_another_layout_are_refused() {
    #[repr(align(128))]
    struct Wide(#[expect(dead_code, reason = "only its layout matters")] [u8; 128]);

    let region = Audit::new();
    let parts = Place::<Align<64>>::new().within(&region).try_from_fn(1, |_| Wide([0; 128])).unwrap().into_raw_parts();
    let (ptr, layout) = (parts.ptr.cast::<u8>(), parts.layout);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: not kept, which is what is to be noticed: nothing is read or freed.
        unsafe {
            SimdBuffer::from_raw_parts(RawParts::<u8, Align<64>, _> {
                ptr,
                len: 128,
                layout,
                alignment: (),
                region: &region,
            })
        }
    }));
    assert!(refused.is_err());
    // SAFETY: the block is still live, with its own layout, and its elements need no drop.
    unsafe { region.dealloc(ptr, layout) };
}
