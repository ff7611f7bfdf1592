//! Every request for memory may fail, and every length may be too large. The error says which it was, the value comes
//! back where there is one, and the buffer is as before and works on.

use std::fmt::Debug;
use std::io::Write;
use std::rc::Rc;

use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{
    Align, Alignment, AllocError, AllocResult, KnownAlign, MemoryRegion, PADDING_BLOCK, Place, SimdBuffer, System,
};
use bytemuck::Zeroable;

use super::region::{Audit, Failure};
use super::vocabulary::{Audited, Tracked, check, expect, panic_text, tracked};

fn is_out_of_memory(error: &AllocError) -> bool {
    matches!(error, AllocError::OutOfMemory { requested, available: 0 } if *requested != 0)
}

/// Runs a constructor with its n-th request failing, for all n: nothing is left behind. It makes `requests` of them.
fn every_constructor_failure<T, A: KnownAlign>(
    requests: usize,
    make: impl Fn(Place<A, &Audit>) -> AllocResult<Audited<'_, T, A>>,
) {
    let before = tracked();
    let audit = Audit::new();
    let place = Place::<A>::new().within(&audit);
    for n in 0..requests {
        audit.fail(Failure::Nth(n));
        let error = make(place).err().unwrap_or_else(|| panic!("request {n} of {requests} was refused, to no effect"));
        assert!(is_out_of_memory(&error), "{error:?}");
        assert_eq!(tracked(), before, "elements leaked");
        audit.expect_empty();
    }
    audit.fail(Failure::Nth(requests));
    let buffer = make(place).unwrap_or_else(|error| panic!("there should be no request {requests}: {error}"));
    check(&buffer);
    drop(buffer);
    assert_eq!(audit.requests(), requests);
    assert_eq!(audit.stats().failed_allocations, requests);
    audit.expect_empty();
}

#[test]
fn every_constructor_gives_a_typed_error_and_leaves_nothing_behind() {
    let source: Vec<Tracked<1>> = (0..9).map(Tracked::new).collect();
    every_constructor_failure::<u32, Align<64>>(1, |place| place.try_with_capacity(9));
    every_constructor_failure::<u32, Align<64>>(0, |place| place.try_with_capacity(0));
    every_constructor_failure::<u32, Align<4096>>(1, |place| place.try_zeroed(9));
    every_constructor_failure::<u32, Align<64>>(0, |place| place.try_zeroed(0));
    every_constructor_failure::<_, Align<64>>(1, |place| place.try_uninit::<u32>(9));
    every_constructor_failure::<_, Align<64>>(1, |place| place.try_from_fn(9, |i| Tracked::<0>::new(i as u64)));
    every_constructor_failure::<_, Align<64>>(1, |place| place.try_from_slice(&source));
    every_constructor_failure::<_, Align<64>>(1, |place| place.try_filled(9, Tracked::<0>::new(1)));
    every_constructor_failure::<(), Align<64>>(0, |place| place.try_filled(9, ()));
}

#[test]
fn collecting_gives_a_typed_error_whenever_a_request_fails() {
    let before = tracked();
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    // An iterator that does not know its length: memory is asked for again and again.
    let items = || (0..100).map(Tracked::<0>::new).filter(|_| true);
    audit.fail(Failure::Never);
    drop(place.try_from_iter(items()).unwrap());
    let requests = audit.requests();
    assert!(requests >= 5, "{requests}");
    for n in 0..requests {
        audit.fail(Failure::Nth(n));
        assert!(is_out_of_memory(&place.try_from_iter(items()).unwrap_err()));
        assert_eq!(tracked(), before);
        audit.expect_empty();
    }
    // One that does: reserved at once. That this is refused is no error yet, as the iterator may be lying.
    audit.fail(Failure::Nth(0));
    assert_eq!(place.try_from_iter((0..9).map(Tracked::<0>::new)).unwrap().len(), 9);
    audit.fail(Failure::From(0));
    assert!(is_out_of_memory(&place.try_from_iter((0..9).map(Tracked::<0>::new)).unwrap_err()));
    assert_eq!(tracked(), before);
}

/// The infallible forms say what the errors say.
#[test]
fn plain_constructors_panic_with_the_text_of_the_error() {
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    audit.fail(Failure::From(0));
    let refused = AllocError::OutOfMemory { requested: 64, available: 0 }.to_string();
    assert_eq!(panic_text(|| place.with_capacity::<u32>(9)), refused);
    assert_eq!(panic_text(|| place.zeroed::<u32>(9)), refused);
    assert_eq!(panic_text(|| place.uninit::<u32>(9)), refused);
    assert_eq!(panic_text(|| place.from_fn(9, |_| 1u32)), refused);
    assert_eq!(panic_text(|| place.from_slice(&[1u32; 9])), refused);
    assert_eq!(panic_text(|| place.filled(9, 1u32)), refused);
    let too_large = AllocError::Overflow.to_string();
    assert_eq!(panic_text(|| place.zeroed::<u32>(usize::MAX)), too_large);
    assert_eq!(panic_text(|| SimdBuffer::<u32>::zeroed(usize::MAX)), too_large);
    assert_eq!(panic_text(|| SimdBuffer::<u32>::with_capacity(usize::MAX)), too_large);
    audit.expect_empty();
}

/// Applies `grow` to a buffer of nine elements in a region that refuses it: the buffer is untouched, and works on once
/// there is memory.
fn refused_growth<A: KnownAlign>(grow: impl Fn(&mut Audited<'_, Tracked<1>, A>)) {
    let audit = Audit::new();
    let before = tracked();
    // Full: 24-byte elements may leave room for another in the last block of padding.
    let mut buffer = Place::<A>::new().within(&audit).try_from_fn(9, |i| Tracked::<1>::new(i as u64)).unwrap();
    while buffer.len() < buffer.capacity() {
        buffer.push(Tracked::new(buffer.len() as u64));
    }
    let len = buffer.len();
    let state = (buffer.as_ptr(), len, buffer.capacity());
    audit.fail(Failure::From(0));
    grow(&mut buffer);
    assert!(audit.requests() > 0, "it did not ask for memory");
    assert_eq!((buffer.as_ptr(), buffer.len(), buffer.capacity()), state);
    assert!(buffer.iter().map(Tracked::value).eq(0..len as u64));
    check(&buffer);
    assert_eq!(tracked() - before, len, "elements were leaked");

    audit.fail(Failure::Never);
    buffer.push(Tracked::new(1));
    check(&buffer);
    drop(buffer);
    assert_eq!(tracked(), before);
    audit.expect_empty();
}

macro_rules! with_and_without_padding {
    ($function:ident, $body:expr) => {
        $function::<Align<1>>($body);
        $function::<Align<64>>($body);
    };
}

#[test]
fn growth_that_is_refused_leaves_the_buffer_as_it_was() {
    with_and_without_padding!(refused_growth, |b| assert!(is_out_of_memory(&b.try_reserve(1).unwrap_err())));
    with_and_without_padding!(refused_growth, |b| assert!(is_out_of_memory(&b.try_reserve_exact(1).unwrap_err())));
    with_and_without_padding!(refused_growth, |b| {
        let items = [Tracked::new(5), Tracked::new(6)];
        assert!(is_out_of_memory(&b.try_extend_from_slice(&items).unwrap_err()));
    });
    with_and_without_padding!(refused_growth, |b| {
        let error = b.try_resize_with(100, || unreachable!("nothing is made without room for it")).unwrap_err();
        assert!(is_out_of_memory(&error));
    });
}

#[test]
fn a_value_that_cannot_be_pushed_comes_back() {
    with_and_without_padding!(refused_growth, |b| {
        let (value, error) = b.try_push(Tracked::new(4711)).unwrap_err();
        assert!(is_out_of_memory(&error));
        assert_eq!(value.value(), 4711);
    });
}

#[test]
fn plain_growth_panics_with_the_text_of_the_error_and_changes_nothing() {
    /// The text for an allocation of any size.
    fn refused(text: &str) {
        assert!(text.starts_with("out of memory: ") && text.ends_with(" bytes requested, 0 available"), "{text}");
    }
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.push(Tracked::new(1)))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.insert(3, Tracked::new(1)))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.reserve(1))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.reserve_exact(1))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.extend_from_slice(&[Tracked::new(1)]))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.resize(100, Tracked::new(1)))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.resize_with(100, || Tracked::new(1)))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.extend([Tracked::new(1)]))));
    with_and_without_padding!(refused_growth, |b| refused(&panic_text(|| b.clone())));
}

#[test]
fn clone_from_without_memory_leaves_the_buffer_as_it_was() {
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    let source = place.from_slice(&[1u32; 1000]);
    let mut buffer = place.from_slice(&[7u32; 5]);
    audit.fail(Failure::From(0));
    let text = panic_text(|| buffer.clone_from(&source));
    assert!(text.starts_with("out of memory: "), "{text}");
    expect(&buffer, &[7; 5]);
}

#[test]
fn a_clone_and_an_insertion_without_memory_are_typed_errors_and_lose_nothing() {
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    let mut buffer = place.from_iter((0..16).map(|i| i.to_string()));
    let copy = buffer.try_clone().unwrap();
    assert_eq!(copy, buffer);
    audit.fail(Failure::From(0));
    assert!(is_out_of_memory(&buffer.try_clone().unwrap_err()));
    buffer.reserve(0);
    while buffer.len() < buffer.capacity() {
        buffer.push(String::new());
    }
    let before = buffer.len();
    let (value, error) = buffer.try_insert(1, "back".to_owned()).unwrap_err();
    assert!(value == "back" && is_out_of_memory(&error));
    assert_eq!((buffer.len(), &*buffer[1]), (before, "1"));
    assert!(is_out_of_memory(&buffer.try_resize(1000, String::new()).unwrap_err()));
    assert_eq!(buffer.len(), before);
    audit.fail(Failure::Never);
    buffer.try_insert(1, "now".to_owned()).unwrap();
    buffer.try_resize(3, String::new()).unwrap();
    assert_eq!(buffer, ["0", "now", "1"]);
}

#[test]
fn a_region_that_will_not_shrink_leaves_the_buffer_as_it_was() {
    let audit = Audit::new();
    let mut buffer = Place::<Align<64>>::new().within(&audit).with_capacity::<u32>(1000);
    buffer.extend(0..20);
    let state = (buffer.as_ptr(), buffer.capacity());
    audit.fail(Failure::From(0));
    buffer.shrink_to_fit();
    assert_eq!((buffer.as_ptr(), buffer.capacity()), state);
    expect(&buffer, &(0..20).collect::<Vec<_>>());
    audit.fail(Failure::Never);
    buffer.shrink_to_fit();
    assert_eq!(buffer.capacity(), 32);
}

#[test]
fn writing_without_memory_is_an_io_error_and_writes_nothing() {
    let audit = Audit::new();
    let mut buffer = Place::<Align<64>>::new().within(&audit).from_slice(&[1u8; 60]);
    audit.fail(Failure::From(0));
    assert_eq!(buffer.write(&[2; 100]).unwrap_err().kind(), std::io::ErrorKind::OutOfMemory);
    assert_eq!(buffer.write_all(&[2; 100]).unwrap_err().kind(), std::io::ErrorKind::OutOfMemory);
    expect(&buffer, &[1; 60]);
    buffer.write_all(&[2; 4]).unwrap(); // there is room for these
    assert_eq!(buffer.len(), 64);
    check(&buffer);
}

#[test]
fn an_alignment_that_the_region_cannot_give_is_unsupported() {
    let audit = Audit::new().with_max_align(64);
    let strict = Place::<Align<128>>::new().within(&audit);
    let unsupported = AllocError::UnsupportedAlignment(128);
    assert_eq!(strict.try_with_capacity::<u32>(1).unwrap_err(), unsupported);
    assert_eq!(strict.try_zeroed::<u32>(1).unwrap_err(), unsupported);
    assert_eq!(strict.try_uninit::<u32>(1).unwrap_err(), unsupported);
    assert_eq!(strict.try_from_fn(1, |_| 1u32).unwrap_err(), unsupported);
    assert_eq!(strict.try_from_slice(&[1u32]).unwrap_err(), unsupported);
    assert_eq!(strict.try_filled(1, 1u32).unwrap_err(), unsupported);
    assert_eq!(strict.try_from_iter([1u32]).unwrap_err(), unsupported);
    // Without a block it is no question, until one is needed.
    let mut empty = strict.try_with_capacity(0).unwrap();
    let (value, error) = empty.try_push(5u32).unwrap_err();
    assert_eq!((value, error), (5, unsupported));
    check(&empty);
    // The element's own alignment counts, and the region may be known at run time only.
    #[repr(align(256))]
    #[derive(Clone)]
    struct Strict;
    let region: &dyn MemoryRegion = &audit;
    let error = Place::at(Alignment::MIN).within(region).try_from_fn(1, |_| [1u8; 4]).map(|_| ());
    assert_eq!(error, Ok(()));
    let error = Place::at(Alignment::Page).within(region).try_filled(1, 1u8).map(|_| ());
    assert_eq!(error, Err(AllocError::UnsupportedAlignment(4096)));
    #[derive(Clone)]
    #[repr(align(256))]
    struct Wide(#[expect(dead_code, reason = "it only gives the type a size")] u8);
    let error = Place::at(Alignment::MIN).within(region).try_filled(1, Wide(1)).map(|_| ());
    assert_eq!(error, Err(AllocError::UnsupportedAlignment(256)));
    let no_size = Place::at(Alignment::MIN).within(region).try_filled(1, Strict).unwrap();
    assert_eq!(no_size.as_ptr().addr() % 256, 0);
}

/// What a request for `len` elements of `size` bytes at `align` must come to, in unbounded arithmetic: whether the size,
/// rounded up to whole blocks of padding and then to the alignment, is at most `isize::MAX`.
fn fits(len: usize, size: usize, align: usize) -> bool {
    let block = align.min(PADDING_BLOCK) as u128;
    let bytes = (len as u128 * size as u128).next_multiple_of(block);
    bytes.next_multiple_of(align as u128) <= isize::MAX as u128
}

/// Lengths around everything that could go wrong for elements of `size` bytes at `align`; all of them far beyond what a
/// machine has, so that what fits is `OutOfMemory`.
fn huge_lengths(size: usize, align: usize) -> Vec<usize> {
    let around = [
        usize::MAX,
        usize::MAX / size,
        isize::MAX as usize,
        isize::MAX as usize / size,
        (isize::MAX as usize + 1 - align) / size,
        (isize::MAX as usize + 1 - align - align.min(PADDING_BLOCK)) / size,
        usize::MAX / 2 / size,
        usize::MAX / 4 / size,
    ];
    let mut lengths: Vec<usize> = around
        .iter()
        .flat_map(|&length| (0..=2).flat_map(move |d| [length.checked_sub(d), length.checked_add(d)]))
        .flatten()
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

#[track_caller]
fn refused_as<T: Debug>(result: AllocResult<T>, fits: bool, what: &str) {
    match result {
        Err(AllocError::Overflow) if !fits => {}
        Err(AllocError::OutOfMemory { .. }) if fits => {}
        other => panic!("{what}: {other:?}"),
    }
}

fn overflow_table<T: Zeroable + Copy + Debug>() {
    let (mut overflows, mut too_large) = (0, 0);
    for align in [1, 64, 4096, 1 << 29] {
        let place = Place::at(Alignment::new(align).unwrap());
        let size = size_of::<T>();
        let strict = align.max(align_of::<T>());
        let mut buffer = place.try_filled(1, T::zeroed()).unwrap();
        for len in huge_lengths(size, strict) {
            let fits = fits(len, size, strict);
            *(if fits { &mut too_large } else { &mut overflows }) += 1;
            let what = format!("{len} elements of {size} bytes at {align}");
            let never = || -> T { unreachable!("nothing is made without room for it") };
            refused_as(place.try_with_capacity::<T>(len), fits, &what);
            if fits && cfg!(bhc_asan) {
                continue; // The sanitizer prints a line for each request that it refuses; one for each length is enough.
            }
            refused_as(place.try_zeroed::<T>(len), fits, &what);
            refused_as(place.try_uninit::<T>(len).map(|_| ()), fits, &what);
            refused_as(place.try_from_fn(len, |_| never()), fits, &what);
            refused_as(place.try_filled(len, T::zeroed()), fits, &what);
            refused_as(SimdBuffer::<T, _>::new(len, Alignment::new(align).unwrap()), fits, &what);
            // The same through growth: one element is there already.
            let additional = len - 1;
            refused_as(buffer.try_reserve(additional), fits, &what);
            refused_as(buffer.try_reserve_exact(additional), fits, &what);
            refused_as(buffer.try_resize_with(len, never), fits, &what);
            assert_eq!(buffer.len(), 1);
        }
    }
    assert!(overflows > 20 && too_large > 20, "the table is one-sided: {overflows} and {too_large}");
}

#[test]
fn lengths_that_no_address_space_holds_are_overflow_and_smaller_ones_out_of_memory() {
    overflow_table::<u8>();
    overflow_table::<u16>();
    overflow_table::<[u8; 3]>();
    overflow_table::<u32>();
    overflow_table::<[u8; 4096]>();
}

#[test]
fn a_length_beyond_usize_is_overflow_also_without_size() {
    let mut buffer = SimdBuffer::<()>::zeroed(usize::MAX);
    assert_eq!(buffer.len(), usize::MAX);
    assert_eq!(buffer.try_push(()), Err(((), AllocError::Overflow)));
    assert_eq!(buffer.try_reserve(1), Err(AllocError::Overflow));
    assert_eq!(buffer.try_reserve_exact(1), Err(AllocError::Overflow));
    assert_eq!(buffer.try_extend_from_slice(&[()]), Err(AllocError::Overflow));
    assert_eq!(panic_text(|| buffer.push(())), AllocError::Overflow.to_string());
    assert_eq!(buffer.len(), usize::MAX);
    buffer.pop();
    assert_eq!(buffer.try_push(()), Ok(()));
    // And the sum of the two lengths, with size.
    let mut buffer = SimdBuffer::<u8>::filled(2, 1);
    assert_eq!(buffer.try_reserve(usize::MAX - 1), Err(AllocError::Overflow));
    assert_eq!(buffer.try_reserve_exact(usize::MAX), Err(AllocError::Overflow));
}

#[test]
fn the_largest_alignments_are_refused_or_kept() {
    // What no allocator gives, as a value: an error, and no block.
    for log2 in [48, 61, 62] {
        let place = Place::at(Alignment::new(1 << log2).unwrap());
        refused_as(place.try_zeroed::<u8>(1), true, "an alignment beyond the address space");
    }
    refused_as(Place::at(Alignment::MAX).try_zeroed::<u8>(1), false, "the top bit");
    // Without a block every alignment can be kept.
    let empty = Place::at(Alignment::MAX).try_with_capacity::<u8>(0).unwrap();
    assert_eq!(empty.as_ptr().addr(), Alignment::MAX.as_usize());
    let units = Place::at(Alignment::MAX).try_filled(3, ()).unwrap();
    assert_eq!(units, [(); 3]);
}

/// A shape of every way into `System`'s memory, each with its n-th request failing.
#[test]
fn the_fault_hook_reaches_every_constructor_in_system() {
    fn every(requests: usize, make: impl Fn() -> bool) {
        for n in 0..requests {
            assert_eq!(fault::fail_nth(n, &make), (false, n + 1));
        }
        assert_eq!(fault::fail_nth(requests, &make), (true, requests));
    }
    every(1, || SimdBuffer::<f32>::try_zeroed(100).is_ok());
    every(1, || SimdBuffer::<f32>::try_with_capacity(100).is_ok());
    every(1, || SimdBuffer::<f32>::try_uninit(100).is_ok());
    every(1, || SimdBuffer::<f32>::try_from_fn(100, |i| i as f32).is_ok());
    every(1, || SimdBuffer::<f32>::try_from_slice(&[1.0; 100]).is_ok());
    every(1, || SimdBuffer::<f32>::try_filled(100, 1.0).is_ok());
    every(1, || SimdBuffer::<f32, Alignment>::new(100, Alignment::Page).is_ok());
    every(0, || SimdBuffer::<f32>::try_zeroed(0).is_ok());
    every(2, || {
        let mut buffer = match SimdBuffer::<u32>::try_filled(16, 1) {
            Ok(buffer) => buffer,
            Err(_) => return false,
        };
        match buffer.try_push(2) {
            Ok(()) => buffer.len() == 17,
            Err((value, error)) => {
                assert!(value == 2 && is_out_of_memory(&error) && buffer == [1; 16]);
                false
            }
        }
    });
    // A region by value goes with the buffer that could not be made.
    let region = Rc::new(System);
    let (refused, _) =
        fault::fail_nth(0, || Place::<Align<64>>::new().within(region.clone()).try_zeroed::<u8>(1).is_err());
    assert!(refused);
    assert_eq!(Rc::strong_count(&region), 1);
}
