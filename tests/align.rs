//! Alignment: the arithmetic, the value [`Alignment`], the type [`Align<N>`] with its relations, the ways between them,
//! and what is found out about the CPU.
//!
//! The arithmetic is checked against `u128`, where nothing overflows; the relation between types against the order of
//! numbers, for all 900 pairs.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::num::NonZero;

use bhc_rts_alloc::{
    Align, AlignSpec, AlignVisitor, AlignedSlice, Alignment, AtLeast, CACHE_LINE, CacheLineAlign, DefaultAlign,
    DispatchFloor, FALSE_SHARING_RANGE, FitsIn, InvalidAlignment, KnownAlign, PageAlign, Simd128Align, Simd256Align,
    Simd512Align, SimdBuffer, SimdLevel, align_down, align_up, checked_align_up, detect_simd_alignment, element_align,
    is_aligned, is_ptr_aligned, page_size, simd_kernel, with_alignment,
};
use proptest::prelude::*;

/// Calls `$macro!([arguments] N log2)` for each of the thirty alignments that are types.
macro_rules! for_every_align {
    ($macro:ident $arguments:tt) => {
        for_every_align!(@ $macro $arguments
            1 0, 2 1, 4 2, 8 3, 16 4, 32 5, 64 6, 128 7, 256 8, 512 9, 1024 10, 2048 11, 4096 12, 8192 13, 16384 14,
            32768 15, 65536 16, 131072 17, 262144 18, 524288 19, 1048576 20, 2097152 21, 4194304 22, 8388608 23,
            16777216 24, 33554432 25, 67108864 26, 134217728 27, 268435456 28, 536870912 29);
    };
    (@ $macro:ident $arguments:tt $($bytes:literal $log2:literal),+) => { $( $macro!($arguments $bytes $log2); )+ };
}

/// Every alignment that a `usize` holds.
fn all_alignments() -> impl Iterator<Item = Alignment> {
    (0..usize::BITS).map(|log2| Alignment::new(1 << log2).expect("a power of two"))
}

mod arithmetic {
    use super::*;

    /// Rounding up where nothing overflows.
    fn exact_up(value: usize, align: usize) -> u128 {
        (value as u128).div_ceil(align as u128) * align as u128
    }

    fn check(value: usize, align: usize) {
        let exact = exact_up(value, align);
        assert_eq!(checked_align_up(value, align), usize::try_from(exact).ok(), "{value:#x} to {align:#x}");
        if let Ok(exact) = usize::try_from(exact) {
            assert_eq!(align_up(value, align), exact, "{value:#x} to {align:#x}");
        }
        assert_eq!(align_down(value, align) as u128, (value / align) as u128 * align as u128, "{value:#x}, {align:#x}");
        assert_eq!(is_aligned(value, align), value.is_multiple_of(align), "{value:#x}, {align:#x}");
        assert_eq!(is_ptr_aligned(std::ptr::without_provenance::<u64>(value), align), value.is_multiple_of(align));
    }

    /// All 8-bit numbers, at the bottom of the word and in its top byte, where they overflow, there also with the bits
    /// below set so that every carry reaches them; against every alignment.
    #[test]
    fn rounding_is_right_for_every_small_number_at_both_ends_of_the_word() {
        let shift = usize::BITS - 8;
        for pattern in 0..=u8::MAX {
            let (low, high) = (usize::from(pattern), usize::from(pattern) << shift);
            let below_high = high | ((1 << shift) - 1);
            for align in all_alignments().map(Alignment::as_usize) {
                for value in [low, high, below_high, high | 1, usize::MAX - low] {
                    check(value, align);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn rounding_is_right_over_the_full_width(value: usize, log2 in 0..usize::BITS) {
            check(value, 1 << log2);
        }

        /// Uniform numbers are nearly all huge: these have any number of leading zeros and stand near multiples.
        #[test]
        fn rounding_is_right_near_multiples_of_any_size(
            value: usize, zeros in 0..usize::BITS, log2 in 0..usize::BITS, near in -2isize..=2
        ) {
            let align = 1usize << log2;
            check(((value >> zeros) & !(align - 1)).wrapping_add_signed(near), align);
        }

        #[test]
        fn what_is_no_power_of_two_is_refused(value: usize, align: usize) {
            prop_assume!(!align.is_power_of_two());
            prop_assert_eq!(checked_align_up(value, align), None);
            prop_assert!(!Alignment::is_valid(align));
            prop_assert_eq!(Alignment::try_from(align), Err(InvalidAlignment(align)));
        }

        #[test]
        fn rounding_up_and_down_are_neighbours(value: usize, log2 in 0..usize::BITS) {
            let align = 1usize << log2;
            let down = align_down(value, align);
            prop_assert!(down <= value && value - down < align && is_aligned(down, align));
            if let Some(up) = checked_align_up(value, align) {
                prop_assert!(value <= up && up - value < align && is_aligned(up, align));
                prop_assert_eq!(up == down, is_aligned(value, align));
            }
        }
    }

    /// Overflow and bad alignments are bugs of the caller: debug builds say so.
    #[cfg(debug_assertions)]
    mod in_debug_builds {
        use super::*;

        fn panics(call: impl FnOnce() + std::panic::UnwindSafe) -> bool {
            std::panic::catch_unwind(call).is_err()
        }

        #[test]
        fn a_result_that_does_not_fit_panics() {
            assert!(panics(|| _ = align_up(usize::MAX, 64)));
            assert!(panics(|| _ = align_up(usize::MAX - 62, 64)));
            assert!(!panics(|| _ = align_up(usize::MAX - 63, 64)));
            assert!(!panics(|| _ = align_up(usize::MAX, 1)));
            assert!(panics(|| _ = align_up((1 << (usize::BITS - 1)) + 1, 1 << (usize::BITS - 1))));
        }

        #[test]
        fn an_alignment_that_is_none_panics() {
            for bad in [0, 3, 48, usize::MAX] {
                assert!(panics(|| _ = align_up(1, bad)), "{bad}");
                assert!(panics(|| _ = align_down(1, bad)), "{bad}");
                assert!(panics(|| _ = is_aligned(1, bad)), "{bad}");
                assert!(panics(|| _ = is_ptr_aligned(&1u8, bad)), "{bad}");
            }
        }
    }

    /// Release builds do not look, and wrap to the documented 0.
    #[cfg(not(debug_assertions))]
    #[test]
    fn a_result_that_does_not_fit_is_zero_in_release_builds() {
        assert_eq!(align_up(usize::MAX, 64), 0);
        assert_eq!(align_up(usize::MAX - 62, 64), 0);
        assert_eq!(align_up(usize::MAX, 1), usize::MAX);
    }

    #[test]
    fn the_top_of_the_word_rounds_down_and_compares() {
        assert_eq!(align_down(usize::MAX, 64), usize::MAX - 63);
        assert_eq!(align_down(usize::MAX, 1), usize::MAX);
        assert!(is_aligned(usize::MAX, 1) && !is_aligned(usize::MAX, 2));
        assert_eq!(checked_align_up(usize::MAX, 1), Some(usize::MAX));
        assert_eq!(checked_align_up(usize::MAX, 2), None);
        let top = 1 << (usize::BITS - 1);
        assert_eq!(checked_align_up(1, top), Some(top));
        assert_eq!(checked_align_up(top + 1, top), None);
    }

    #[test]
    fn constants_can_be_computed() {
        const UP: usize = align_up(65, 64);
        const CHECKED: Option<usize> = checked_align_up(usize::MAX, 64);
        const DOWN: usize = align_down(127, 64);
        const ALIGNED: bool = is_aligned(UP, 64);
        const ARRAY: [u8; align_up(100, 64)] = [0; align_up(100, 64)];
        assert_eq!((UP, CHECKED, DOWN, ALIGNED, ARRAY.len()), (128, None, 64, true, 128));
    }

    #[test]
    fn pointers_are_judged_by_their_address_alone() {
        let words = SimdBuffer::<u32>::zeroed(32);
        assert!(is_ptr_aligned(words.as_ptr(), 64));
        assert!(!is_ptr_aligned(&words[1], 8) && is_ptr_aligned(&words[1], 4));
        // Null, dangling, one past the end, unsized and of no size.
        assert!(is_ptr_aligned(std::ptr::null::<u64>(), 1 << (usize::BITS - 1)));
        assert!(is_ptr_aligned(words.as_ptr_range().end, 64));
        assert!(is_ptr_aligned(&words[16..] as *const [u32], 64));
        assert!(!is_ptr_aligned(std::ptr::without_provenance::<()>(3), 2));
    }
}

mod values {
    use super::*;

    fn hash(alignment: Alignment) -> u64 {
        let mut hasher = DefaultHasher::new();
        alignment.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn every_power_of_two_is_an_alignment() {
        for log2 in 0..usize::BITS {
            let bytes = 1usize << log2;
            let alignment = Alignment::new(bytes).expect("a power of two");
            assert_eq!(alignment.as_usize(), bytes);
            assert_eq!(alignment.log2(), log2);
            assert_eq!(alignment.as_nonzero().get(), bytes);
            assert_eq!(Alignment::try_from(bytes), Ok(alignment));
            assert_eq!(usize::from(alignment), bytes);
            assert_eq!(NonZero::<usize>::from(alignment).get(), bytes);
            assert_eq!(alignment.to_string(), bytes.to_string());
            assert_eq!(format!("{alignment:?}"), format!("Alignment({bytes})"));
            assert_eq!(format!("[{alignment:>25}]"), format!("[{bytes:>25}]"));
            assert_eq!(format!("[{alignment:<25}]"), format!("[{bytes:<25}]"));
            assert_eq!(format!("[{alignment:025}]"), format!("[{bytes:025}]"));
        }
        assert_eq!(Alignment::MIN.as_usize(), 1);
        assert_eq!(Alignment::MAX.as_usize(), 1 << (usize::BITS - 1));
    }

    #[test]
    fn nothing_but_a_power_of_two_is_an_alignment() {
        let top = 1usize << (usize::BITS - 1);
        for number in (0..=4096).chain([top - 1, top, top + 1, top | top >> 1, usize::MAX - 1, usize::MAX]) {
            let is_one = number != 0 && number & (number - 1) == 0;
            assert_eq!(Alignment::is_valid(number), is_one, "{number}");
            assert_eq!(Alignment::new(number).is_some(), is_one, "{number}");
            assert_eq!(Alignment::try_from(number).is_ok(), is_one, "{number}");
        }
        let refused = Alignment::try_from(48).unwrap_err();
        assert_eq!(refused.to_string(), "48 is not an alignment: it must be a power of two");
    }

    #[test]
    fn order_equality_and_hash_go_by_bytes() {
        let all: Vec<Alignment> = all_alignments().collect();
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j));
                assert_eq!(a == b, i == j);
                assert_eq!(hash(*a) == hash(*b), i == j);
            }
        }
    }

    #[test]
    fn the_six_names_have_their_values() {
        assert_eq!(Alignment::Default.as_usize(), 8);
        assert_eq!(Alignment::Simd128.as_usize(), 16);
        assert_eq!(Alignment::Simd256.as_usize(), 32);
        assert_eq!(Alignment::Simd512.as_usize(), 64);
        assert_eq!(Alignment::CacheLine.as_usize(), CACHE_LINE);
        assert_eq!(Alignment::Page.as_usize(), 4096);
        assert_eq!(<DefaultAlign as KnownAlign>::BYTES, 8);
        assert_eq!(<Simd128Align as KnownAlign>::BYTES, 16);
        assert_eq!(<Simd256Align as KnownAlign>::BYTES, 32);
        assert_eq!(<Simd512Align as KnownAlign>::BYTES, 64);
        assert_eq!(<CacheLineAlign as KnownAlign>::BYTES, CACHE_LINE);
        assert_eq!(<PageAlign as KnownAlign>::BYTES, 4096);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn two_names_of_one_alignment_are_equal() {
        assert_eq!(Alignment::Simd512, Alignment::CacheLine);
        assert_eq!(hash(Alignment::Simd512), hash(Alignment::CacheLine));
    }

    #[test]
    fn names_can_be_matched_on() {
        fn name(alignment: Alignment) -> &'static str {
            match alignment {
                Alignment::Default => "word",
                Alignment::Simd128 | Alignment::Simd256 | Alignment::Simd512 => "vector",
                Alignment::Page => "page",
                _ => "other",
            }
        }
        let names = [1, 8, 16, 64, 128, 4096].map(|bytes| name(Alignment::new(bytes).unwrap()));
        assert_eq!(names, ["other", "word", "vector", "vector", "other", "page"]);
    }

    #[test]
    fn an_optional_alignment_is_one_byte() {
        assert_eq!((size_of::<Alignment>(), size_of::<Option<Alignment>>()), (1, 1));
        for alignment in all_alignments().map(Some).chain([None]) {
            assert_eq!(alignment.map(Alignment::log2), std::hint::black_box(alignment).map(Alignment::log2));
        }
    }

    #[test]
    fn alignments_of_types_are_known_in_constants() {
        const OF_ALIGN: Alignment = Alignment::of::<Align<4096>>();
        const OF_TYPE: Alignment = Alignment::of_type::<u64>();
        const BYTES: usize = Alignment::new(64).unwrap().as_usize();
        const NOT: Option<Alignment> = Alignment::new(48);
        assert_eq!((OF_ALIGN, OF_TYPE.as_usize(), BYTES, NOT), (Alignment::Page, align_of::<u64>(), 64, None));
        assert_eq!(Alignment::of_type::<[u16; 100]>().as_usize(), 2);
        assert_eq!(Alignment::of_type::<()>(), Alignment::MIN);
        assert_eq!(Alignment::of_type::<Align<536870912>>().as_usize(), 1 << 29);
    }

    #[test]
    fn type_or_value_says_the_same_alignment() {
        assert_eq!(<Align<64> as AlignSpec>::alignment(()), Alignment::Simd512);
        assert_eq!(<Alignment as AlignSpec>::alignment(Alignment::Page), Alignment::Page);
        assert_eq!(size_of::<<Align<4096> as AlignSpec>::Repr>(), 0);
        assert_eq!(align_of::<<Align<4096> as AlignSpec>::Repr>(), 1, "a handle must not be over-aligned");
    }
}

mod types {
    use super::*;

    #[repr(C)]
    struct Tagged<A: KnownAlign> {
        byte: u8,
        marker: A,
    }

    macro_rules! check_marker {
        ([] $bytes:literal $log2:literal) => {{
            type A = Align<$bytes>;
            static_assertions::assert_impl_all!(A: KnownAlign, DispatchFloor, Copy, Default, Eq, Ord, Hash, Send, Sync,
                Unpin, std::fmt::Debug, std::panic::UnwindSafe);
            assert_eq!((size_of::<A>(), align_of::<A>()), (0, $bytes));
            assert_eq!((A::BYTES, A::LOG2), ($bytes, $log2));
            assert_eq!(A::BYTES, 1 << A::LOG2);
            assert_eq!(Alignment::of::<A>().as_usize(), $bytes);
            assert_eq!(<A as AlignSpec>::alignment(()), Alignment::of::<A>());
            assert_eq!((size_of::<Tagged<A>>(), align_of::<Tagged<A>>()), ($bytes, $bytes));
            if $bytes <= 4096 {
                check_values::<A>(concat!("Align<", $bytes, ">"));
            }
        }};
    }

    /// Apart, and not for all: a value on the stack moves the stack pointer by its alignment.
    #[inline(never)]
    fn check_values<A: KnownAlign + Default + Ord + std::fmt::Debug>(name: &str) {
        let (marker, other) = (A::default(), A::default());
        assert_eq!(format!("{marker:?}"), name);
        assert!(marker == other && marker.cmp(&other).is_eq());
    }

    #[test]
    fn every_marker_is_of_no_size_and_aligned_to_its_number() {
        for_every_align!(check_marker []);
    }

    #[test]
    fn a_marker_as_a_field_aligns_its_struct() {
        let tagged = [0, 1].map(|byte| Tagged { byte, marker: Align::<64>::NEW });
        assert!(is_ptr_aligned(&tagged[0], 64) && is_ptr_aligned(&tagged[1].byte, 64));
        assert!(is_ptr_aligned(&tagged[1].marker, 64));
        assert_eq!(tagged[1].byte, 1);
    }

    /// Answers of bounds that do not hold. The inherent constants of the two questions below exist only where the bound
    /// holds, and go before these.
    trait Otherwise {
        const HOLDS: bool = false;
    }

    /// `<IsAtLeast<A, B>>::HOLDS`: whether `A: AtLeast<B>`. The types must be concrete where it is asked.
    struct IsAtLeast<A, B>(PhantomData<(A, B)>);
    impl<A, B> Otherwise for IsAtLeast<A, B> {}
    impl<A: AtLeast<B>, B: KnownAlign> IsAtLeast<A, B> {
        const HOLDS: bool = true;
    }

    /// `<Fits<T, A>>::HOLDS`: whether `T: FitsIn<A>`.
    struct Fits<T, A>(PhantomData<(T, A)>);
    impl<T, A> Otherwise for Fits<T, A> {}
    impl<T: FitsIn<A>, A: KnownAlign> Fits<T, A> {
        const HOLDS: bool = true;
    }

    /// Row `$a` of the relation.
    macro_rules! check_row {
        ([] $a:literal $log2_a:literal) => {
            for_every_align!(check_pair[$a]);
        };
    }

    macro_rules! check_pair {
        ([$a:literal] $b:literal $log2_b:literal) => {
            const { assert!(<IsAtLeast<Align<$a>, Align<$b>>>::HOLDS == ($a >= $b)) };
        };
    }

    #[test]
    fn at_least_is_the_order_of_the_numbers_for_all_nine_hundred_pairs() {
        for_every_align!(check_row []);
        // The question itself can be answered both ways.
        const { assert!(<IsAtLeast<Align<64>, Align<64>>>::HOLDS) };
        const { assert!(!<IsAtLeast<Align<32>, Align<64>>>::HOLDS) };
        const { assert!(!<IsAtLeast<u8, Align<1>>>::HOLDS) };
        const { assert!(!<IsAtLeast<Alignment, Align<1>>>::HOLDS) };
    }

    fn needs_64<A: AtLeast<Align<64>>>() -> usize {
        A::BYTES
    }

    fn passes_on<A: AtLeast<Align<4096>>>() -> usize {
        needs_64::<A>()
    }

    fn is_its_own_equal<A: KnownAlign>() -> usize {
        fn needs<A: AtLeast<B>, B: KnownAlign>() -> usize {
            A::BYTES
        }
        needs::<A, A>()
    }

    #[test]
    fn generic_code_concludes_weaker_bounds_from_stronger_ones() {
        assert_eq!(passes_on::<Align<4096>>(), 4096);
        assert_eq!(passes_on::<Align<536870912>>(), 1 << 29);
        assert_eq!(is_its_own_equal::<Align<2>>(), 2);
    }

    #[repr(C, align(32))]
    struct Octet([f32; 8]);
    struct Pair<T>(T, T);
    element_align!(Octet, Pair<u16>);

    struct Unsaid;

    macro_rules! check_fits {
        ([$($type:ty),+] $bytes:literal $log2:literal) => {
            $( assert_eq!(<Fits<$type, Align<$bytes>>>::HOLDS, align_of::<$type>() <= $bytes, "{} in {}", stringify!($type), $bytes); )+
        };
    }

    #[test]
    fn elements_fit_exactly_where_their_alignment_allows() {
        for_every_align!(check_fits [
            u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, usize, isize, f32, f64, bool, char, ()
        ]);
        for_every_align!(check_fits [
            [f64; 3], [[u16; 2]; 2], [u128; 0], MaybeUninit<u32>, ManuallyDrop<u64>, std::num::Wrapping<u16>, Octet,
            [Octet; 2], Pair<u16>
        ]);
    }

    #[test]
    fn elements_that_have_not_said_their_alignment_fit_nowhere() {
        const { assert!(!<Fits<Unsaid, Align<4096>>>::HOLDS) };
        const { assert!(!<Fits<[Unsaid; 1], Align<4096>>>::HOLDS) };
        const { assert!(!<Fits<Pair<u8>, Align<4096>>>::HOLDS, "`element_align!` was told about `Pair<u16>` only") };
        const { assert!(!<Fits<&u8, Align<4096>>>::HOLDS) };
        assert_eq!(Octet([1.0; 8]).0[7] as u8 + Pair(1u16, 2).1 as u8 + Pair(3u16, 4).0 as u8, 6);
    }

    #[test]
    fn element_casts_are_known_to_be_right_in_generic_code() {
        fn halves<A: AtLeast<Align<64>>>(words: &AlignedSlice<u64, A>) -> usize {
            words.cast::<u32>().len() + words.cast::<[f32; 2]>().len()
        }
        assert_eq!(halves(&SimdBuffer::<u64>::zeroed(8)), 16 + 8);
        assert_eq!(halves(&SimdBuffer::<u64, Align<4096>>::zeroed(0)), 0);
    }
}

mod from_value_to_type {
    use super::*;

    const LADDER: [usize; 5] = [8, 16, 32, 64, 4096];

    /// Says which type it was called with.
    struct Which<F>(&'static str, PhantomData<F>);

    impl<F: DispatchFloor> AlignVisitor for Which<F> {
        type Floor = F;
        type Output = usize;
        fn visit<A: AtLeast<F>>(self) -> usize {
            A::BYTES
        }
    }

    /// What `dispatch` should answer.
    fn rung(value: usize, floor: usize) -> Option<usize> {
        LADDER.into_iter().chain([floor]).filter(|rung| *rung >= floor && *rung <= value).max()
    }

    macro_rules! check_floor {
        ([] $floor:literal $log2:literal) => {
            for alignment in all_alignments() {
                let visitor = Which::<Align<$floor>>("it", PhantomData);
                let answer = alignment.dispatch(visitor).map_err(|Which(back, _)| back);
                assert_eq!(answer, rung(alignment.as_usize(), $floor).ok_or("it"), "{alignment} from {}", $floor);
            }
        };
    }

    #[test]
    fn dispatch_takes_the_strongest_rung_that_the_value_satisfies_from_every_floor() {
        for_every_align!(check_floor []);
        // The model itself.
        assert_eq!(rung(128, 16), Some(64));
        assert_eq!(rung(2, 1), Some(1));
        assert_eq!(rung(2048, 128), Some(128));
        assert_eq!(rung(4, 8), None);
    }

    #[test]
    fn with_alignment_takes_the_strongest_rung_that_the_value_satisfies() {
        fn among(rungs: &[usize], value: Alignment) -> usize {
            rungs.iter().copied().filter(|rung| *rung <= value.as_usize()).max().unwrap_or(0)
        }
        for alignment in all_alignments() {
            let total = with_alignment!(alignment, |A| A::BYTES);
            assert_eq!(total, among(&[4096, 64, 32, 16, 8, 1], alignment), "{alignment}");
            let two = with_alignment!(alignment, [64, 32], |A| A::BYTES, else 0);
            assert_eq!(two, among(&[64, 32], alignment), "{alignment}");
            let one = with_alignment!(alignment, [536870912], |A| A::BYTES, else 0);
            assert_eq!(one, among(&[1 << 29], alignment), "{alignment}");
            let always = with_alignment!(alignment, [4096, 2, 1,], |A| A::BYTES, else 0,);
            assert_eq!(always, among(&[4096, 2, 1], alignment), "{alignment}");
        }
    }

    #[test]
    fn with_alignment_evaluates_its_value_once_and_can_leave_the_function() {
        let mut asked = 0;
        let mut ask = || {
            asked += 1;
            Alignment::Simd256
        };
        assert_eq!(with_alignment!(ask(), |A| A::BYTES), 32);
        assert_eq!(asked, 1);

        fn checked(alignment: Alignment) -> Option<usize> {
            Some(
                with_alignment!(alignment, [64, 16], |A| SimdBuffer::<u8, A>::zeroed(3).len() + A::BYTES, else return None),
            )
        }
        assert_eq!((checked(Alignment::Page), checked(Alignment::Default)), (Some(67), None));
    }
}

mod simd_levels {
    use super::*;

    #[test]
    fn levels_are_in_order_and_end_with_the_cpus_own() {
        let levels: Vec<SimdLevel> = SimdLevel::levels().collect();
        assert!(levels.is_sorted_by(|a, b| a < b), "{levels:?}");
        assert_eq!(levels.last(), Some(&SimdLevel::detect()));
        assert_eq!(levels[0].name(), "baseline", "the weakest is always there");
        let names = ["baseline", "avx", "avx2", "avx512"];
        assert!(levels.iter().zip(names).all(|(level, name)| level.name() == name), "{levels:?}");
    }

    #[test]
    fn every_level_wants_no_more_than_buffers_have() {
        for level in SimdLevel::levels() {
            assert!((8..=64).contains(&level.alignment().as_usize()), "{level}");
            assert!(level.alignment() <= SimdBuffer::<f32>::default().alignment(), "{level}");
        }
        assert_eq!(detect_simd_alignment(), SimdLevel::detect().alignment());
    }

    #[test]
    fn a_level_is_printed_by_its_name_and_padded_as_asked() {
        for level in SimdLevel::levels() {
            let name = level.name();
            assert_eq!(level.to_string(), name);
            assert_eq!(format!("[{level:>12}]"), format!("[{name:>12}]"));
            assert_eq!(format!("[{level:-^12}]"), format!("[{name:-^12}]"));
            assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
        }
    }

    #[test]
    fn detection_is_the_same_from_many_threads() {
        let barrier = std::sync::Barrier::new(8);
        let answers: Vec<SimdLevel> = std::thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                SimdLevel::detect()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == SimdLevel::detect()), "{answers:?}");
    }

    /// Whether the standard library finds the CPU able to do what a level's name promises.
    #[test]
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fn a_level_is_listed_exactly_if_the_cpu_has_it() {
        let avx = is_x86_feature_detected!("avx");
        let avx2 = avx
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let expected = 1 + usize::from(avx) + usize::from(avx2) + usize::from(avx512);
        assert_eq!(SimdLevel::levels().count(), expected);
        if expected < 4 {
            println!("skipped: this CPU has {expected} of the 4 levels, kernels are not tested on the others");
        }
    }

    // Everything that a function can look like.
    simd_kernel! {
        /// A documented one, with an attribute that the lint below would complain about.
        #[must_use]
        #[expect(clippy::too_many_arguments, reason = "every kind of argument at once")]
        pub(crate) fn mixed<const FUSED: bool>(
            scale: f32,
            count: usize,
            x: &AlignedSlice<f32, Align<64>>,
            y: &[i32],
            table: &[u8; 16],
            name: &'static str,
            choose: Option<u64>,
            pair: (u16, i8),
        ) -> (f64, String) {
            let sum: f64 = x.iter().take(count).map(|x| f64::from(x * scale)).sum();
            let whole: i64 = y.iter().map(|y| i64::from(*y)).sum();
            let bytes: u64 = table.iter().map(|b| u64::from(*b)).sum();
            let extra = choose.unwrap_or_default() + u64::from(pair.0) + pair.1 as u64;
            // Fused or not, a product of small whole numbers is exact.
            let three = if FUSED { 1.0f64.mul_add(2.0, 1.0) } else { 1.0 * 2.0 + 1.0 };
            (sum + whole as f64 + bytes as f64 + extra as f64 + three, name.to_owned())
        }
    }

    simd_kernel! {
        fn no_value(x: &mut [f32], by: f32) {
            for x in x {
                *x += by;
            }
        }
    }

    simd_kernel! {
        fn no_arguments() -> u32 {
            (0..100u32).sum()
        }
    }

    simd_kernel! {
        pub fn neither_arguments_nor_value() {}
    }

    simd_kernel! {
        fn early_return<const FUSED: bool>(x: &[u64], needle: u64) -> Option<usize> {
            let _ = FUSED;
            for (at, x) in x.iter().enumerate() {
                if *x == needle {
                    return Some(at);
                }
            }
            None
        }
    }

    simd_kernel! {
        fn dot<const FUSED: bool>(x: &AlignedSlice<f32, Align<64>>, y: &AlignedSlice<f32, Align<64>>) -> f32 {
            let mut lanes = [0.0f32; 64];
            for (x, y) in x.chunks(64).zip(y.chunks(64)) {
                for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
                    *lane = if FUSED { x.mul_add(*y, *lane) } else { *lane + x * y };
                }
            }
            lanes.iter().sum()
        }
    }

    simd_kernel! {
        fn says_whether_fused<const FUSED: bool>() -> bool {
            FUSED
        }
    }

    #[test]
    fn a_kernel_gives_the_same_at_every_level_whatever_its_signature() {
        let x = SimdBuffer::<f32>::from_fn(1000, |i| (i % 17) as f32);
        let y = SimdBuffer::<f32>::from_fn(1000, |i| (i % 13) as f32);
        let exact: f32 = (0..1000).map(|i| ((i % 17) * (i % 13)) as f32).sum();
        let words: Vec<u64> = (0..1000).collect();
        for level in SimdLevel::levels() {
            let answer = mixed(level, 2.0, 34, &x, &[-3, 4], &[1; 16], "kernel", Some(5), (6, 7));
            assert_eq!(answer, (2.0 * 2.0 * 136.0 + 1.0 + 16.0 + 18.0 + 3.0, "kernel".to_owned()), "{level}");
            let mut counted = vec![1.0; 99];
            no_value(level, &mut counted, 0.5);
            assert_eq!(counted, [1.5; 99], "{level}");
            assert_eq!(no_arguments(level), 4950, "{level}");
            neither_arguments_nor_value(level);
            assert_eq!(early_return(level, &words, 77), Some(77), "{level}");
            assert_eq!(early_return(level, &words, 7777), None, "{level}");
            assert_eq!(dot(level, x.padded(), y.padded()), exact, "{level}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_constant_says_whether_multiply_and_add_is_one_instruction() {
        for level in SimdLevel::levels() {
            let fused =
                matches!(level.name(), "avx2" | "avx512") || cfg!(target_feature = "fma") && level.name() == "baseline";
            assert_eq!(says_whether_fused(level), fused, "{level}");
        }
    }

    mod elsewhere {
        use bhc_rts_alloc::simd_kernel;

        simd_kernel! {
            pub(super) fn visible_to_the_parent(x: u32) -> u32 {
                x + 1
            }
        }
    }

    #[test]
    fn visibility_is_as_written_and_kernels_are_plain_functions() {
        let kernels: [fn(SimdLevel, u32) -> u32; 1] = [elsewhere::visible_to_the_parent];
        assert_eq!(kernels[0](SimdLevel::detect(), 1), 2);
    }

    #[test]
    fn a_panic_in_a_kernel_unwinds_out_of_it_at_every_level() {
        simd_kernel! {
            fn first(x: &[u32]) -> u32 {
                x[0]
            }
        }
        for level in SimdLevel::levels() {
            assert_eq!(first(level, &[7]), 7);
            assert!(std::panic::catch_unwind(|| first(level, &[])).is_err(), "{level}");
        }
    }
}

mod facts {
    use super::*;

    #[test]
    fn lines_ranges_and_pages_are_alignments_in_order() {
        assert!(Alignment::is_valid(CACHE_LINE) && Alignment::is_valid(FALSE_SHARING_RANGE));
        const { assert!(FALSE_SHARING_RANGE >= CACHE_LINE) };
        assert!(Alignment::is_valid(page_size()) && page_size() >= 4096);
        assert_eq!(page_size(), page_size());
        if cfg!(target_arch = "x86_64") {
            assert_eq!((CACHE_LINE, FALSE_SHARING_RANGE), (64, 128));
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn the_page_size_is_what_the_kernel_says() {
        // The auxiliary vector holds pairs of words; key 6 is the page size. Another road than `page_size` takes.
        let auxv = std::fs::read("/proc/self/auxv");
        let Ok(auxv) = auxv else { return println!("skipped: no /proc/self/auxv to compare the page size with") };
        let words: Vec<usize> =
            auxv.chunks_exact(size_of::<usize>()).map(|w| usize::from_ne_bytes(w.try_into().unwrap())).collect();
        let said = words.chunks_exact(2).find(|pair| pair[0] == 6).map(|pair| pair[1]);
        assert_eq!(said, Some(page_size()));
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn the_cache_line_is_what_the_machine_says() {
        let mut compared = 0;
        for index in 0..4 {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/coherency_line_size");
            if let Ok(said) = std::fs::read_to_string(path) {
                let said: usize = said.trim().parse().expect("a number of bytes");
                assert!(said <= FALSE_SHARING_RANGE, "cache {index}: lines of {said} bytes");
                if cfg!(target_arch = "x86_64") {
                    assert_eq!(said, CACHE_LINE, "cache {index}");
                }
                compared += 1;
            }
        }
        if compared == 0 {
            println!("skipped: no line sizes under /sys/devices/system/cpu to compare with");
        }
    }
}

/// Names of the caller's that the macros' own must not be taken for.
mod names {
    use bhc_rts_alloc::{Align, Alignment, FitsIn, SimdLevel, element_align, simd_kernel, with_alignment};

    struct A(#[expect(dead_code, reason = "only its layout matters")] u32);
    element_align!(A);

    fn kernel<const FUSED: bool>(x: &mut [f32]) {
        x.fill(if FUSED { 1.0 } else { 1.0 + f32::from(u8::from(FUSED)) });
    }

    simd_kernel! {
        fn calls_the_callers_kernel<const FUSED: bool>(x: &mut [f32]) {
            kernel::<FUSED>(x);
        }
    }

    simd_kernel! {
        fn arguments(kernel: &[f32], avx: &mut [f32], avx2: f32, level: usize) -> usize {
            avx.iter_mut().zip(kernel).for_each(|(y, x)| *y = x * avx2);
            level
        }
    }

    #[test]
    fn of_the_caller_stay_the_callers() {
        let mut x = [0.0; 3];
        for level in SimdLevel::levels() {
            calls_the_callers_kernel(level, &mut x);
            assert_eq!(arguments(level, &[1.0, 2.0], &mut x, 3.0, 7), 7);
        }
        assert_eq!(x, [3.0, 6.0, 1.0]);
        fn fits<T: FitsIn<Align<4>>>() {}
        fits::<A>();
        let value = 5; // the macro has a variable of that name too
        assert_eq!(with_alignment!(Alignment::Page, |A| value + A::default().cmp(&A::NEW) as usize), 5);
    }
}
