//! Borrowed aligned slices: which slices are aligned, where a slice may be split, and what else its bytes are.

use std::fmt::Debug;

use bhc_rts_alloc::{
    Align, AlignedSlice, Alignment, FitsIn, KnownAlign, Place, RecordError, SimdBuffer, SizeMismatch, element_align,
    is_ptr_aligned,
};
use bytemuck::{AnyBitPattern, NoUninit};
use zerocopy::{Immutable, KnownLayout, TryFromBytes};

use super::region::Audit;
use super::vocabulary::{check, panic_text};

type Bytes<const N: usize> = AlignedSlice<u8, Align<N>>;

#[test]
fn a_slice_is_aligned_exactly_where_its_address_is() {
    fn at_each_offset<const N: usize>()
    where
        Align<N>: KnownAlign,
    {
        // Aligned to 128, so that offset 64 is no better than it looks.
        let mut memory = SimdBuffer::<u8, Align<128>>::from_fn(128, |i| i as u8);
        for offset in 0..64 {
            let part = &mut memory[offset..offset + 64];
            let aligned = offset % N == 0;
            assert_eq!(AlignedSlice::<u8, Align<N>>::new(part).is_some(), aligned, "offset {offset} at {N}");
            assert_eq!(AlignedSlice::<u8, Align<N>>::new_mut(part).is_some(), aligned, "offset {offset} at {N}");
            if let Some(slice) = AlignedSlice::<u8, Align<N>>::new(part) {
                assert_eq!(slice.as_slice(), part);
                assert_eq!(slice.as_ptr(), part.as_ptr());
                assert_eq!(slice.alignment().as_usize(), N);
            }
        }
    }
    at_each_offset::<1>();
    at_each_offset::<2>();
    at_each_offset::<8>();
    at_each_offset::<32>();
    at_each_offset::<64>();
}

#[test]
fn an_empty_slice_is_aligned_wherever_it_stood() {
    let mut memory = [0u8; 65];
    for offset in 0..=64 {
        let empty = Bytes::<64>::new(&memory[offset..offset]).unwrap();
        assert!(empty.is_empty() && is_ptr_aligned(empty.as_ptr(), 64));
        let empty = Bytes::<4096>::new_mut(&mut memory[offset..offset]).unwrap();
        assert!(empty.is_empty() && is_ptr_aligned(empty.as_ptr(), 4096));
    }
    assert_eq!(AlignedSlice::<u64, Align<1>>::empty().as_ptr().addr() % 8, 0); // the element's alignment too
    assert_eq!(AlignedSlice::<u8, Align<536870912>>::empty_mut().as_mut_ptr().addr() % (1 << 29), 0);
    let default: &AlignedSlice<String, Align<64>> = Default::default();
    let default_mut: &mut AlignedSlice<String, Align<64>> = Default::default();
    assert!(default.is_empty() && default_mut.is_empty());
}

#[test]
fn a_slice_of_elements_without_size_keeps_its_length_and_is_split_anywhere() {
    let buffer = SimdBuffer::<()>::zeroed(10);
    let slice = buffer.view();
    assert_eq!((slice.len(), slice.as_ptr().addr() % 64), (10, 0));
    for mid in 0..=10 {
        let (head, rest) = slice.split_at_aligned(mid).unwrap();
        assert_eq!((head.len(), rest.len()), (mid, 10 - mid));
    }
    assert!(slice.split_at_aligned(11).is_none());
    assert_eq!(slice.chunks_aligned(3).map(|chunk| chunk.len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
    // `[()]` has an address all the same, and it counts.
    let units = [(); 5];
    let expected = is_ptr_aligned(units.as_ptr(), 64);
    assert_eq!(AlignedSlice::<(), Align<64>>::new(&units).is_some(), expected);
}

#[test]
fn weakening_keeps_the_place_and_strengthening_asks_the_address() {
    let mut buffer = SimdBuffer::<u32, Align<4096>>::from_fn(100, |i| i as u32);
    let start = buffer.as_ptr();
    let weak: &AlignedSlice<u32, Align<16>> = buffer.weaken();
    assert_eq!((weak.as_ptr(), weak.len()), (start, 100));
    let strong: &AlignedSlice<u32, Align<4096>> = weak.try_strengthen().unwrap();
    assert_eq!(strong.as_ptr(), start);
    let (_, rest) = weak.split_at_aligned(16).unwrap(); // 64 bytes on
    assert!(rest.try_strengthen::<Align<64>>().is_some());
    assert!(rest.try_strengthen::<Align<128>>().is_none());

    let weak: &mut AlignedSlice<u32, Align<1>> = buffer.weaken_mut();
    weak[0] = 99;
    let (_, rest) = weak.split_at_aligned_mut(3).unwrap();
    assert!(rest.try_strengthen_mut::<Align<4>>().is_some());
    assert!(rest.try_strengthen_mut::<Align<8>>().is_none());
    rest[0] = 33;
    assert_eq!(buffer[..4], [99, 1, 2, 33]);
}

#[test]
fn a_prefix_starts_where_the_slice_does() {
    let mut buffer = SimdBuffer::<u32>::from_fn(9, |i| i as u32);
    for len in 0..=9 {
        assert_eq!(buffer.prefix(len).as_slice(), &buffer[..len]);
        assert_eq!(buffer.prefix(len).as_ptr(), buffer.as_ptr());
    }
    buffer.prefix_mut(3).fill(7);
    assert_eq!(buffer[..4], [7, 7, 7, 3]);
    assert!(panic_text(|| buffer.prefix(10)).contains("out of range"));
    assert!(panic_text(|| buffer.prefix_mut(usize::MAX)).contains("out of range"));
}

#[test]
fn a_slice_is_split_exactly_where_the_rest_stays_aligned() {
    fn at_every_mid<T: Copy + Default + PartialEq + Debug, A: KnownAlign>(make: impl Fn(usize) -> T) {
        let mut buffer = SimdBuffer::<T, A>::from_fn(130, make);
        let all = buffer.to_vec();
        for mid in 0..=131 {
            let fits = mid <= 130 && (mid * size_of::<T>()).is_multiple_of(A::BYTES);
            let split = buffer.split_at_aligned(mid);
            assert_eq!(split.is_some(), fits, "{mid}");
            if let Some((head, rest)) = split {
                assert_eq!((head.as_slice(), rest.as_slice()), all.split_at(mid));
                assert_eq!(head.as_ptr().addr() % A::BYTES, 0);
                assert_eq!(rest.as_ptr().addr() % A::BYTES, 0);
            }
            let split = buffer.split_at_aligned_mut(mid);
            assert_eq!(split.is_some(), fits, "{mid}");
            if let Some((head, rest)) = split {
                // Both at once: they do not overlap.
                head.fill(T::default());
                rest.fill(all[1]);
                assert!(head.iter().all(|&x| x == T::default()) && rest.iter().all(|&x| x == all[1]));
                head.copy_from_slice(&all[..mid]);
                rest.copy_from_slice(&all[mid..]);
            }
        }
        // A product that wraps must not pass for a multiple.
        assert!(buffer.split_at_aligned(usize::MAX).is_none());
        assert!(buffer.split_at_aligned(1 << 63).is_none());
        assert_eq!(buffer[..], all[..]);
    }
    at_every_mid::<u32, Align<64>>(|i| i as u32 + 1);
    at_every_mid::<u8, Align<1>>(|i| i as u8 + 1);
    at_every_mid::<u8, Align<32>>(|i| i as u8 + 1);
    at_every_mid::<[u8; 3], Align<64>>(|i| [i as u8 + 1; 3]);
    at_every_mid::<[u64; 12], Align<4096>>(|i| [i as u64 + 1; 12]);
}

#[test]
fn chunks_stay_aligned_and_cover_the_slice() {
    let mut buffer = SimdBuffer::<u32>::from_fn(100, |i| i as u32);
    for (chunk, lengths) in [(16, vec![16, 16, 16, 16, 16, 16, 4]), (48, vec![48, 48, 4]), (112, vec![100])] {
        let parts = buffer.chunks_aligned(chunk);
        assert_eq!(parts.len(), lengths.len());
        assert_eq!(parts.map(|part| part.len()).collect::<Vec<_>>(), lengths);
        assert!(buffer.chunks_aligned(chunk).all(|part| is_ptr_aligned(part.as_ptr(), 64)));
        assert!(buffer.chunks_aligned(chunk).rev().all(|part| is_ptr_aligned(part.as_ptr(), 64)));
        assert!(buffer.chunks_aligned(chunk).flatten().copied().eq(0..100));
        assert_eq!(buffer.chunks_aligned_mut(chunk).map(|part| part.len()).collect::<Vec<_>>(), lengths);
    }
    // All parts at once.
    let parts: Vec<_> = buffer.chunks_aligned_mut(16).collect();
    for (i, part) in parts.into_iter().enumerate() {
        part.fill(i as u32);
    }
    assert!(buffer.iter().enumerate().all(|(i, &x)| x as usize == i / 16));
    assert_eq!(AlignedSlice::<u32, Align<64>>::empty().chunks_aligned(16).len(), 0);
}

#[test]
fn chunks_that_would_not_stay_aligned_are_refused() {
    let mut buffer = SimdBuffer::<u32>::zeroed(100);
    for chunk in [0, 1, 15, 17, usize::MAX] {
        let text = format!("chunks of {chunk} elements of 4 bytes do not stay aligned to 64 bytes");
        assert_eq!(panic_text(|| buffer.chunks_aligned(chunk).len()), text);
        assert_eq!(panic_text(|| buffer.chunks_aligned_mut(chunk).len()), text);
    }
    assert!(panic_text(|| SimdBuffer::<()>::zeroed(3).chunks_aligned(0).len()).contains("chunks of 0"));
}

/// One cast, in all its forms, for all short lengths: the lengths divide, the bytes stay, and the place stays.
fn cast<T, U>()
where
    T: NoUninit + AnyBitPattern + FitsIn<Align<64>> + Debug,
    U: NoUninit + AnyBitPattern + FitsIn<Align<64>> + Debug,
{
    let audit = Audit::new();
    for len in 0..=40 {
        let mut buffer = Place::<Align<64>>::new().within(&audit).zeroed::<T>(len);
        for (i, byte) in buffer.as_bytes_mut().iter_mut().enumerate() {
            *byte = i as u8 | 1;
        }
        let bytes: Vec<u8> = buffer.as_bytes().to_vec();
        assert_eq!(bytes.len(), len * size_of::<T>());
        let start = buffer.as_ptr().addr();
        let slop = SizeMismatch { bytes: bytes.len(), element: size_of::<U>() };
        if bytes.len().is_multiple_of(size_of::<U>()) {
            let view = buffer.view().cast::<U>();
            assert_eq!((view.as_ptr().addr(), size_of_val(view)), (start, bytes.len()));
            assert_eq!(view.as_bytes()[..], bytes[..]);
            assert_eq!(buffer.view_mut().cast_mut::<U>().as_bytes_mut()[..], bytes[..]);
            let owned = buffer.cast::<U>();
            assert_eq!(owned.as_ptr().addr(), start);
            check(&owned);
            let back = owned.try_cast::<T>().unwrap();
            assert_eq!(back.as_bytes()[..], bytes[..]);
            check(&back);
        } else {
            assert_eq!(buffer.view().try_cast::<U>().err(), Some(slop));
            assert_eq!(buffer.view_mut().try_cast_mut::<U>().err(), Some(slop));
            assert_eq!(panic_text(|| buffer.view().cast::<U>().len()), slop.to_string());
            assert_eq!(panic_text(|| buffer.view_mut().cast_mut::<U>().len()), slop.to_string());
            let (back, error) = buffer.try_cast::<U>().unwrap_err();
            assert_eq!((back.len(), back.as_ptr().addr(), error), (len, start, slop));
            check(&back);
            assert_eq!(panic_text(|| back.cast::<U>()), slop.to_string());
        }
        audit.expect_empty();
    }
}

macro_rules! cast_matrix {
    ($($from:ty)+) => { $( cast_matrix!(@from $from, [u8 i16 f32 u64 [u8; 3] [f32; 16]]); )+ };
    (@from $from:ty, [$($to:ty)+]) => { $( cast::<$from, $to>(); )+ };
}

#[test]
fn casts_between_plain_types_keep_every_byte_and_refuse_what_does_not_divide() {
    cast_matrix!(u8 u32 f64 [u16; 5] u128);
}

#[test]
fn the_text_of_a_size_mismatch_says_both_sizes() {
    let bytes = SimdBuffer::<u8>::zeroed(10);
    let mismatch = bytes.view().try_cast::<u32>().unwrap_err();
    assert_eq!(mismatch.to_string(), "10 bytes are not a whole number of 4-byte elements");
}

#[test]
fn elements_without_size_cast_to_nothing() {
    let units = SimdBuffer::<()>::zeroed(7);
    assert_eq!(units.view().as_bytes().len(), 0);
    assert_eq!(units.view().cast::<()>().len(), 7);
    assert_eq!(units.view().cast::<u32>().len(), 0);
    let mut words = units.cast::<u32>();
    words.push(5); // the buffer has no block until now
    assert_eq!(words, [5]);
    assert_eq!(words.as_ptr().addr() % 64, 0);
}

#[test]
fn a_cast_buffer_gives_its_block_back_as_it_got_it() {
    let audit = Audit::new();
    for len in 1..70 {
        let bytes = Place::<Align<16>>::new().within(&audit).from_fn(len * 8, |i| i as u8);
        let mut words = bytes.cast::<u64>();
        words.push(1);
        words.shrink_to_fit();
        words.reserve(100);
        let mut floats = words.cast::<f32>();
        floats.pop();
        floats.shrink_to_fit();
        check(&floats);
    }
    audit.expect_empty(); // and it has compared all layouts on the way
}

#[derive(Clone, Copy, Debug, PartialEq, TryFromBytes, KnownLayout, Immutable)]
#[repr(u8)]
enum Channel {
    Left = 1,
    Right = 2,
}

#[derive(Debug, PartialEq, TryFromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Sample {
    time: u32,
    channel: Channel,
    muted: bool,
    level: [u8; 2],
}
element_align!(Sample);

fn sample(time: u32, channel: u8, muted: u8) -> [u8; 8] {
    let [a, b, c, d] = time.to_ne_bytes();
    [a, b, c, d, channel, muted, 3, 4]
}

#[test]
fn records_are_read_in_place() {
    let bytes = SimdBuffer::<u8>::from_iter((0..20).flat_map(|i| sample(i, 1 + i as u8 % 2, i as u8 / 10)));
    let samples = bytes.records::<Sample>().unwrap();
    assert_eq!((samples.len(), samples.as_ptr().addr()), (20, bytes.as_ptr().addr()));
    assert_eq!(samples.alignment(), Alignment::Simd512);
    assert_eq!(samples[10].channel, Channel::Left);
    assert_eq!(samples[11], Sample { time: 11, channel: Channel::Right, muted: true, level: [3, 4] });
}

#[test]
fn the_first_record_that_is_not_valid_is_named() {
    for bad in 0..20 {
        for (channel, muted) in [(0, 0), (3, 1), (1, 2), (255, 255)] {
            let record = |i| if i == bad || i == 19 { sample(i, channel, muted) } else { sample(i, 1, 1) };
            let bytes = SimdBuffer::<u8>::from_iter((0..20).flat_map(record));
            let error = bytes.records::<Sample>().err();
            assert_eq!(error, Some(RecordError::Invalid { index: bad as usize }));
            assert_eq!(error.unwrap().to_string(), format!("record {bad} is not valid"));
            assert_eq!(bytes.prefix(bad as usize * 8).records::<Sample>().unwrap().len(), bad as usize);
        }
    }
}

#[test]
fn bytes_that_are_no_whole_number_of_records_are_refused_before_any_is_read() {
    let bytes = SimdBuffer::<u8>::filled(20, 0xff);
    for len in 0..=20 {
        let result = bytes.prefix(len).records::<Sample>();
        match len % 8 {
            0 if len == 0 => assert_eq!(result.unwrap().len(), 0),
            0 => assert_eq!(result.err(), Some(RecordError::Invalid { index: 0 })),
            _ => {
                let mismatch = SizeMismatch { bytes: len, element: 8 };
                assert_eq!(result.as_ref().err(), Some(&RecordError::Size(mismatch)));
                assert_eq!(result.err().unwrap().to_string(), mismatch.to_string());
            }
        }
    }
    let empty = SimdBuffer::<u8>::default();
    assert!(empty.records::<Sample>().unwrap().is_empty());
}
