//! The standard traits: what a slice does, a buffer does, whatever its alignment and region.

use std::alloc::Layout;
use std::borrow::{Borrow, BorrowMut, Cow};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::BuildHasher;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use bhc_rts_alloc::{Align, AlignedSlice, Alignment, AtLeast, MemoryRegion, Place, RawParts, SimdBuffer, System};
use serde::de::value::Error as ValueError;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::region::{Audit, Failure};
use super::vocabulary::{check, expect};

fn lists() -> Vec<Vec<u32>> {
    let mut lists = vec![vec![], vec![0], vec![0, 0], vec![1], vec![1, 0], vec![1, 2, 3], vec![1, 2, 4]];
    lists.push((0..100).collect());
    lists
}

#[test]
fn equality_and_order_are_the_slices() {
    for x in lists() {
        for y in lists() {
            let a = SimdBuffer::<u32>::from_slice(&x);
            let b = Place::at(Alignment::Page).try_from_slice(&y).unwrap();
            assert_eq!(a == b, x == y);
            assert_eq!(b == a, x == y);
            assert_eq!(a.partial_cmp(&b), x.partial_cmp(&y));
            let c = SimdBuffer::<u32>::from_slice(&y);
            assert_eq!(a.cmp(&c), x.cmp(&y));
            assert_eq!(a == c, x == y);
            // Borrowed, of different alignments.
            let d = SimdBuffer::<u32, Align<8>>::from_slice(&y);
            assert_eq!(a.view() == d.view(), x == y);
            assert_eq!(a.view().partial_cmp(d.view()), x.partial_cmp(&y));
            assert_eq!(a.view().cmp(c.view()), x.cmp(&y));
            // With plain slices and arrays.
            assert_eq!(a == y[..], x == y);
            let plain: &[u32] = &y;
            assert_eq!(a == plain, x == y);
            assert_eq!(*a.view() == y[..], x == y);
            assert_eq!(a == *d.view(), x == y);
        }
    }
    assert_eq!(SimdBuffer::<u32>::from([1, 2, 3]), [1, 2, 3]);
    assert_eq!(*SimdBuffer::<u32>::from([1, 2, 3]).view(), [1, 2, 3]);
    // Not reflexive where the elements are not.
    let nan = SimdBuffer::<f32>::from([f32::NAN]);
    assert_ne!(nan, nan);
    assert_eq!(nan.partial_cmp(&nan), None);
    assert_eq!(SimdBuffer::<f32>::from([1.0]).partial_cmp(&SimdBuffer::<f32>::from([2.0])), Some(Ordering::Less));
}

#[test]
fn the_hash_is_the_slices() {
    let state = std::collections::hash_map::RandomState::new();
    for list in lists() {
        let expected = state.hash_one(&list[..]);
        let buffer = SimdBuffer::<u32>::from_slice(&list);
        assert_eq!(state.hash_one(&buffer), expected);
        assert_eq!(state.hash_one(buffer.view()), expected);
        assert_eq!(state.hash_one(buffer.into_dynamic()), expected);
    }
}

#[test]
fn maps_with_buffers_as_keys_are_asked_with_plain_slices() {
    let mut by_hash = HashMap::new();
    let mut by_order = BTreeMap::new();
    for (value, list) in lists().iter().enumerate() {
        by_hash.insert(SimdBuffer::<u32>::from_slice(list), value);
        by_order.insert(SimdBuffer::<u32>::from_slice(list), value);
    }
    for (value, list) in lists().iter().enumerate() {
        assert_eq!(by_hash.get(&list[..]), Some(&value));
        assert_eq!(by_order.get(&list[..]), Some(&value));
        let aligned = SimdBuffer::<u32>::from_slice(list);
        assert_eq!(by_hash.get(aligned.view()), Some(&value));
    }
    assert_eq!(by_hash.get(&[9][..]), None);
}

#[test]
fn conversions_by_reference_take_every_weaker_alignment() {
    fn sum<A: AtLeast<Align<16>>>(x: impl AsRef<AlignedSlice<u32, A>>) -> u32 {
        x.as_ref().iter().sum()
    }
    fn double(x: &mut impl AsMut<AlignedSlice<u32, Align<8>>>) {
        x.as_mut().iter_mut().for_each(|x| *x *= 2);
    }
    fn plain(x: &impl AsRef<[u32]>) -> usize {
        x.as_ref().len()
    }
    fn plain_mut(x: &mut impl AsMut<[u32]>) {
        x.as_mut()[0] = 100;
    }
    fn starts<B: BorrowMut<[u32]>>(x: &mut B) -> (*const u32, *const u32) {
        let shared = <B as Borrow<[u32]>>::borrow(x).as_ptr();
        (shared, x.borrow_mut().as_ptr())
    }
    let mut buffer = SimdBuffer::<u32, Align<64>>::from([1, 2, 3]);
    assert_eq!(sum::<Align<64>>(&buffer), 6);
    assert_eq!(sum::<Align<16>>(&buffer), 6);
    assert_eq!(sum::<Align<32>>(buffer.view()), 6);
    double(&mut buffer);
    assert_eq!((plain(&buffer), plain(&buffer.view())), (3, 3));
    plain_mut(&mut buffer);
    assert_eq!(buffer, [100, 4, 6]);
    AsMut::<AlignedSlice<u32, Align<64>>>::as_mut(buffer.view_mut())[1] = 0;
    assert_eq!(Borrow::<AlignedSlice<u32, Align<64>>>::borrow(&buffer)[..], [100, 0, 6]);
    let start = buffer.as_ptr();
    assert_eq!(starts(&mut buffer), (start, start));
    let mut dynamic = buffer.into_dynamic();
    assert_eq!((plain(&dynamic), dynamic.as_mut()[2]), (3, 6));
}

#[test]
fn a_cow_borrows_until_it_is_written() {
    let buffer = SimdBuffer::<u32>::from([1, 2, 3]);
    let mut cow = Cow::Borrowed(buffer.view());
    assert_eq!(cow[1], 2);
    assert!(matches!(cow, Cow::Borrowed(_)));
    cow.to_mut()[1] = 20;
    cow.to_mut().push(4);
    assert_eq!(cow.into_owned(), [1, 20, 3, 4]);
    assert_eq!(buffer, [1, 2, 3]);
}

#[test]
fn a_clone_has_elements_and_room_of_its_own() {
    let audit = Audit::new();
    let buffer = Place::<Align<64>>::new().within(&audit).from_slice(&["one".to_string(), "two".to_string()]);
    let mut clone = buffer.clone();
    clone[0].push('!');
    clone.push("three".to_string());
    expect(&buffer, &["one".to_string(), "two".to_string()]);
    assert_eq!(clone, ["one!", "two", "three"]);
    assert_ne!(clone.as_ptr(), buffer.as_ptr());
    let start = clone.as_ptr();
    clone.clone_from(&buffer);
    assert_eq!(clone.as_ptr(), start, "the room is used again");
    expect(&clone, &buffer);
    // Of another alignment: what was not the same before is so afterwards.
    let mut page = Place::at(Alignment::Page).within(&audit).try_filled(3, String::new()).unwrap();
    page.clone_from(&buffer.into_dynamic());
    assert_eq!(page.alignment(), Alignment::Simd512);
    assert_eq!(page, ["one", "two"]);
    check(&page);
}

#[test]
fn every_kind_of_index_works_and_is_checked() {
    let mut buffer = SimdBuffer::<u32>::from_fn(10, |i| i as u32);
    assert_eq!(buffer[3], 3);
    assert_eq!(buffer[2..4], [2, 3]);
    assert_eq!(buffer[2..=4], [2, 3, 4]);
    assert_eq!(buffer[8..], [8, 9]);
    assert_eq!(buffer[..2], [0, 1]);
    assert_eq!(buffer[..].len(), 10);
    assert_eq!(buffer[(std::ops::Bound::Excluded(7), std::ops::Bound::Unbounded)], [8, 9]);
    buffer[3] = 33;
    buffer[4..6].fill(0);
    assert_eq!(buffer.view()[3..7], [33, 0, 0, 6]);
    buffer.view_mut()[0] = 5;
    let mut dynamic = buffer.into_dynamic();
    dynamic[1..2].fill(6);
    assert_eq!(dynamic[..4], [5, 6, 2, 33]);
    assert_eq!(dynamic.get(10), None);
    // `len` is not the room: what lies between is no element.
    assert!(dynamic.capacity() > 10);
    let text = super::vocabulary::panic_text(|| dynamic[10]);
    assert_eq!(text, "index out of bounds: the len is 10 but the index is 10");
}

#[test]
fn debug_shows_the_elements() {
    let buffer = SimdBuffer::<u32>::from([1, 2]);
    assert_eq!(format!("{buffer:?} {:?} {:?}", buffer.view(), buffer.clone().into_dynamic()), "[1, 2] [1, 2] [1, 2]");
    assert_eq!(format!("{:#?}", buffer), format!("{:#?}", [1, 2]));
    let mut items = buffer.clone().into_iter();
    items.next();
    assert_eq!(format!("{items:?}"), "IntoIter([2])");
    let mut small = SimdBuffer::<u32, Align<16>>::from([1, 2]);
    assert_eq!(format!("{:?}", small.padded_mut()), "[1, 2, 0, 0]");
    let parts: RawParts<u32, Align<16>, System> = small.into_raw_parts();
    assert!(format!("{parts:?}").starts_with("RawParts { ptr: 0x"));
    // SAFETY: the parts are as they were.
    drop(unsafe { SimdBuffer::from_raw_parts(parts) });
}

#[test]
fn default_is_empty_and_asks_for_no_memory() {
    let (buffer, requests) = bhc_rts_alloc::os::fault::fail_nth(0, SimdBuffer::<String, Align<4096>>::default);
    assert_eq!((buffer.len(), buffer.capacity(), requests), (0, 0, 0));
    assert_eq!(buffer.as_ptr().addr() % 4096, 0);
}

#[test]
fn conversions_by_value_move_every_element() {
    let words = || ["a", "b", "c"].map(String::from);
    let from_array = SimdBuffer::<String>::from(words());
    let from_vec = SimdBuffer::<String>::from(words().to_vec());
    let from_slice = SimdBuffer::<String>::from(&words()[..]);
    let collected: SimdBuffer<String> = words().into_iter().collect();
    assert!([&from_vec, &from_slice, &collected].into_iter().all(|buffer| *buffer == from_array));
    // The strings themselves, not copies of them.
    let strings = words().to_vec();
    let start = strings[0].as_ptr();
    let buffer = SimdBuffer::<String>::from(strings);
    assert_eq!(buffer[0].as_ptr(), start);
    let strings = Vec::from(buffer);
    assert_eq!((strings[0].as_ptr(), &strings[..]), (start, &words()[..]));
}

#[test]
fn extending_takes_values_and_references() {
    let mut buffer = SimdBuffer::<u32>::default();
    buffer.extend([1, 2]);
    buffer.extend(&[3, 4]);
    buffer.extend([5].iter());
    buffer.extend(std::iter::empty::<u32>());
    assert_eq!(buffer, [1, 2, 3, 4, 5]);
}

#[test]
fn iteration_is_by_value_by_reference_and_by_mutable_reference() {
    let mut buffer = SimdBuffer::<u32>::from([1, 2, 3]);
    let mut sum = 0;
    for x in &buffer {
        sum += *x;
    }
    for x in &mut buffer {
        *x += 1;
    }
    for x in buffer.view() {
        sum += *x;
    }
    for x in buffer.view_mut() {
        *x += 1;
    }
    let mut items = buffer.into_iter();
    assert_eq!((items.len(), items.size_hint()), (3, (3, Some(3))));
    assert_eq!(items.next_back(), Some(5));
    assert_eq!(items.nth(1), Some(4));
    assert_eq!((items.next(), items.next(), items.next_back()), (None, None, None)); // and it stays so
    assert_eq!(sum, 6 + 9);
    let mut units = SimdBuffer::<()>::zeroed(usize::MAX).into_iter();
    assert_eq!((units.next(), units.next_back(), units.len()), (Some(()), Some(()), usize::MAX - 2));
    std::mem::forget(units); // would be dropped one by one
}

#[test]
fn bytes_are_written_at_the_end() {
    let audit = Audit::new();
    let mut buffer = Place::<Align<64>>::new().within(&audit).with_capacity::<u8>(0);
    write!(buffer, "{}-{:?}", 6 * 2, "ab".len()).unwrap();
    buffer.write_all(&[b'x'; 100]).unwrap();
    assert_eq!(buffer.write(b"yz").unwrap(), 2);
    buffer.flush().unwrap();
    assert_eq!(buffer[..6], *b"12-2xx");
    assert_eq!(buffer[102..], *b"xxyz");
    check(&buffer);
}

#[test]
fn serde_writes_a_sequence_and_reads_it_back() {
    for list in lists() {
        let buffer = SimdBuffer::<u32>::from_slice(&list);
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::to_string(&buffer).unwrap(), text);
        assert_eq!(serde_json::to_string(buffer.view()).unwrap(), text);
        assert_eq!(serde_json::to_string(&buffer.into_dynamic()).unwrap(), text);
        let back: SimdBuffer<u32, Align<4096>> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, list[..]);
        assert_eq!(back.as_ptr().addr() % 4096, 0);
    }
    assert!(serde_json::from_str::<SimdBuffer<u32>>("[1, 2, \"three\"]").is_err());
    assert_eq!(
        serde_json::from_str::<SimdBuffer<u32>>("7").unwrap_err().to_string(),
        "invalid type: integer `7`, expected a sequence at line 1 column 1"
    );
}

/// A sequence of so many numbers that claims to have another length.
struct Claims {
    left: u32,
    claim: Option<usize>,
}

impl<'de> SeqAccess<'de> for Claims {
    type Error = ValueError;
    fn next_element_seed<T: serde::de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ValueError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(serde::de::value::U32Deserializer::new(self.left)).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        self.claim
    }
}

impl<'de> Deserializer<'de> for Claims {
    type Error = ValueError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_seq(self)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn a_sequence_that_claims_to_be_long_and_is_short_costs_little_memory() {
    for claim in [None, Some(0), Some(5), Some(1 << 30), Some(usize::MAX)] {
        let audit = Audit::new();
        let place = Place::<Align<64>>::new().within(&audit);
        let buffer = place.deserialize::<u32, _>(Claims { left: 5, claim }).unwrap();
        expect(&buffer, &[4, 3, 2, 1, 0]);
        assert!(audit.stats().peak_usage <= 1 << 20, "{} bytes for five numbers", audit.stats().peak_usage);
        // Longer than it claims.
        let buffer = place.deserialize::<u32, _>(Claims { left: 1000, claim }).unwrap();
        assert!(buffer.iter().rev().copied().eq(0..1000));
        check(&buffer);
    }
}

#[test]
fn a_sequence_for_which_there_is_no_memory_is_an_error() {
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    audit.fail(Failure::From(1));
    let error = place.deserialize::<u32, _>(Claims { left: 1000, claim: None }).unwrap_err();
    assert!(error.to_string().starts_with("out of memory: "), "{error}");
    audit.expect_empty();
    // A claim is no reason to give up.
    let small = Audit::new();
    small.fail(Failure::Nth(0));
    let buffer =
        Place::<Align<64>>::new().within(&small).deserialize::<u32, _>(Claims { left: 5, claim: Some(1 << 20) });
    assert_eq!(buffer.unwrap(), [4, 3, 2, 1, 0]);
}

#[test]
fn buffers_go_to_other_threads_and_come_back() {
    let audit = Arc::new(Audit::new());
    let handles: Vec<_> = (0..4u32)
        .map(|id| {
            let mut buffer = Place::<Align<64>>::new().within(Arc::clone(&audit)).from_slice(&[id]);
            std::thread::spawn(move || {
                for x in 1..1000 {
                    buffer.push(id + x);
                    if x % 100 == 0 {
                        buffer.shrink_to_fit();
                    }
                }
                buffer
            })
        })
        .collect();
    for (id, handle) in (0..).zip(handles) {
        let buffer = handle.join().unwrap();
        assert!(buffer.iter().copied().eq(id..id + 1000));
    }
    audit.expect_empty();
    // Shared, without being moved.
    let buffer = SimdBuffer::<u32>::from_fn(1000, |i| i as u32);
    let total: u32 = std::thread::scope(|scope| {
        let halves = [&buffer[..500], &buffer[500..]].map(|half| scope.spawn(move || half.iter().sum::<u32>()));
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    assert_eq!(total, 499_500);
}

#[test]
fn a_buffer_holds_its_region_by_any_kind_of_owner() {
    /// Grows, shrinks, clones where it can, and looks at the region.
    fn works<R: MemoryRegion>(region: R) {
        let mut buffer = Place::<Align<64>>::new().within(region).try_from_iter(0..100u32).unwrap();
        buffer.extend(100..1000);
        buffer.truncate(10);
        buffer.shrink_to_fit();
        assert!(buffer.iter().copied().eq(0..10));
        let stats = buffer.region().stats();
        assert_eq!(stats.current_live, 64);
        assert!(stats.allocation_count > 1);
    }
    let audit = Audit::new();
    works(&audit);
    works(&audit as &dyn MemoryRegion);
    works(Audit::new()); // by value: the region goes after the block
    works(Box::new(Audit::new()));
    works(Rc::new(Audit::new()));
    works(Arc::new(Audit::new()));
    works(Box::new(Audit::new()) as Box<dyn MemoryRegion>);
    works(Arc::new(Audit::new()) as Arc<dyn MemoryRegion + Send + Sync>);
    let twice: &&Audit = &&audit;
    works(twice);
    audit.expect_empty();
    // Several buffers hold one region, which goes with the last of them.
    let shared = Rc::new(Audit::new());
    let first = Place::<Align<64>>::new().within(Rc::clone(&shared)).from_slice(&[1u32]);
    let second = first.clone();
    assert_eq!((Rc::strong_count(&shared), shared.live()), (3, 2));
    let weak = Rc::downgrade(&shared);
    drop((shared, first));
    assert_eq!(weak.upgrade().unwrap().live(), 1);
    drop(second);
    assert!(weak.upgrade().is_none());
}

#[test]
fn moving_a_buffer_that_owns_its_region_moves_no_block() {
    let buffer = Place::<Align<64>>::new().within(Audit::new()).from_slice(&[1u32, 2, 3]);
    let start = buffer.as_ptr();
    let mut moved = Box::new(buffer);
    assert_eq!(moved.as_ptr(), start);
    moved.push(4);
    assert_eq!(*moved, [1, 2, 3, 4]);
}

#[test]
fn leaked_elements_live_as_long_as_the_region_is_borrowed() {
    let audit = Audit::new();
    let place = Place::<Align<64>>::new().within(&audit);
    let leaked: &mut AlignedSlice<u32, Align<64>> = place.from_slice(&[1, 2, 3]).leak();
    leaked[0] = 10;
    let also: &mut [u32] = place.from_slice(&[4, 5]).into_dynamic().leak();
    also[0] += leaked[0];
    assert_eq!((leaked.as_slice(), also), (&[10, 2, 3][..], &mut [14, 5][..]));
    assert_eq!(audit.live(), 2);
    // SAFETY: neither slice is used again.
    assert_eq!(unsafe { audit.reclaim() }, 2);

    // In `System` they may live for ever; this one is given back to keep leak checkers quiet.
    let mut buffer = SimdBuffer::<u8>::from_slice(&[7; 64]);
    let block = std::ptr::NonNull::new(buffer.as_mut_ptr()).unwrap();
    let forever: &'static mut AlignedSlice<u8, Align<64>> = buffer.leak();
    assert_eq!(forever[..], [7; 64]);
    // SAFETY: the pointer is the region's own, the block has 64 bytes at 64, and the slice is not used again.
    unsafe { System.dealloc(block, Layout::from_size_align(64, 64).unwrap()) };
}

/// The promise in the type: what the compiler accepts here, it accepts for users.
#[test]
fn threads_and_lifetimes_follow_elements_and_region() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<SimdBuffer<u8>>();
    is_sync::<SimdBuffer<u8>>();
    is_send::<SimdBuffer<std::cell::Cell<u8>>>();
    is_send::<SimdBuffer<u8, Alignment, Arc<Audit>>>();
    is_sync::<SimdBuffer<u8, Alignment, &Audit>>();
    is_send::<bhc_rts_alloc::IntoIter<u8, Align<64>, System>>();
    is_sync::<&AlignedSlice<u8, Align<64>>>();
    // Covariant: a buffer of long-lived references is one of short-lived ones.
    fn shorter<'a>(buffer: SimdBuffer<&'static str>) -> SimdBuffer<&'a str> {
        buffer
    }
    let local = String::from("local");
    let mut buffer = shorter(SimdBuffer::from(["static"]));
    buffer.push(&local);
    assert_eq!(buffer, ["static", "local"]);
}

#[test]
fn printing_needs_no_more_than_the_elements_can() {
    fn debug<T: Debug + ?Sized>(x: &T) -> String {
        format!("{x:?}")
    }
    assert_eq!(debug(&Place::<Align<64>>::new()), "Place { alignment: Alignment(64), region: System }");
    assert_eq!(debug(AlignedSlice::<(), Align<64>>::empty()), "[]");
}
