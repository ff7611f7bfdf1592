//! Alignment as a type: [`Align<N>`] and the three relations on it that `cargo check` decides.
//!
//! * [`KnownAlign`]: this type *is* an alignment (a power of two in 1..=2^29, what `repr(align)` accepts).
//! * [`AtLeast<B>`]: this alignment is at least as strict as `B`.
//! * [`FitsIn<A>`]: values of this type may stand at any address aligned to `A`.
//!
//! # Note: how the order is encoded
//! `AtLeast` is one reflexive impl and one link per power of two: whoever is at least `Align<2^(k+1)>` is at least
//! `Align<2^k>`. A table of all 465 pairs would accept the same programs, but inside a generic function it could not
//! conclude `A: AtLeast<Align<64>>` from `A: AtLeast<Align<4096>>`; the links can. They are hidden from diagnostics
//! (`do_not_recommend`), so an error names the two alignments that do not fit and not an arbitrary link.
//!
//! The archetype idea (a zero-sized type per power of two behind one const-generic name) is elain's.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::mem::{ManuallyDrop, MaybeUninit};

use super::value::{AlignSpec, Alignment, CACHE_LINE, sealed};

/// An alignment of `N` bytes, as a type. Zero-sized and itself aligned to `N`.
///
/// As a type parameter it states what a buffer or slice guarantees: `SimdBuffer<f32, Align<64>>`. As a field it aligns
/// the struct it stands in, as `#[repr(align(N))]` would, with an `N` that may come from a constant.
///
/// As a local variable a strict one moves the stack pointer by up to `N` bytes: megabytes do not fit a thread's stack.
///
/// `N` is a power of two in 1..=2^29 (536 870 912, the largest that `repr(align)` takes). Anything else does not pass
/// `cargo check`:
///
/// ```compile_fail
/// let _ = bhc_rts_alloc::Align::<48>::NEW; // `Align<48>` is not a compile-time alignment
/// ```
///
/// ```
/// use bhc_rts_alloc::{Align, KnownAlign};
///
/// struct Counter {
///     value: u64,
///     _own_cache_line: Align<64>,
/// }
/// assert_eq!(align_of::<Counter>(), 64);
/// assert_eq!(<Align<64> as KnownAlign>::BYTES, 64);
/// assert_eq!(size_of::<Align<4096>>(), 0);
/// ```
#[derive(Clone, Copy)]
pub struct Align<const N: usize>([<Self as KnownAlign>::Archetype; 0])
where
    Self: KnownAlign;

static_assertions::const_assert_eq!(size_of::<Align<64>>(), 0);
static_assertions::const_assert_eq!(align_of::<Align<536870912>>(), 536870912);
static_assertions::assert_impl_all!(Align<4096>: Send, Sync, Unpin, Copy);

impl<const N: usize> Align<N>
where
    Self: KnownAlign,
{
    /// The marker as a value, for a field.
    pub const NEW: Self = Self([]);
}

impl<const N: usize> Default for Align<N>
where
    Self: KnownAlign,
{
    fn default() -> Self {
        Self::NEW
    }
}

impl<const N: usize> fmt::Debug for Align<N>
where
    Self: KnownAlign,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Align<{N}>")
    }
}

impl<const N: usize> PartialEq for Align<N>
where
    Self: KnownAlign,
{
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<const N: usize> Eq for Align<N> where Self: KnownAlign {}

impl<const N: usize> PartialOrd for Align<N>
where
    Self: KnownAlign,
{
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Align<N>
where
    Self: KnownAlign,
{
    fn cmp(&self, _: &Self) -> core::cmp::Ordering {
        core::cmp::Ordering::Equal
    }
}

impl<const N: usize> Hash for Align<N>
where
    Self: KnownAlign,
{
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A type that is an alignment: [`Align<N>`] for a power of two `N` in 1..=2^29, and nothing else (sealed).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a compile-time alignment",
    label = "must be `Align<N>` with `N` a power of two in 1..=2^29",
    note = "write `Align<N>` with N = 1, 2, 4, 8, … 536870912; in generic code bound the parameter: `A: KnownAlign`",
    note = "where an `Alignment` is chosen at run time use the `try_` forms, `view_as` and `try_into_static`"
)]
pub trait KnownAlign: sealed::Sealed + AlignSpec<Repr = ()> + Copy + Send + Sync + Unpin + 'static {
    /// The alignment in bytes, a power of two.
    const BYTES: usize;
    /// The binary logarithm of [`BYTES`](Self::BYTES).
    const LOG2: u32;
    /// The zero-sized type that carries `repr(align)`. Not for direct use: store an [`Align<N>`].
    #[doc(hidden)]
    type Archetype: Copy + Send + Sync + Unpin;
}

impl Alignment {
    /// The alignment that the type `A` states.
    #[inline]
    #[must_use]
    pub const fn of<A: KnownAlign>() -> Self {
        Self::from_log2(A::LOG2)
    }
}

/// "`Self` is at least as strict as `B`": memory aligned to `Self` is aligned to `B`.
///
/// This is the bound for code that needs an alignment and takes any stronger one:
///
/// ```
/// use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer};
///
/// fn sum<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
///     let x: &AlignedSlice<f32, Align<64>> = x.weaken(); // a stronger argument is as good
///     x.iter().sum()
/// }
/// let page_aligned = SimdBuffer::<f32, Align<4096>>::zeroed(100);
/// assert_eq!(sum(&page_aligned), 0.0);
/// ```
///
/// ```compile_fail
/// # use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer};
/// # fn sum<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 { x.iter().sum() }
/// let weak = SimdBuffer::<f32, Align<16>>::zeroed(100);
/// sum(&weak); // `Align<16>` is too weak: an alignment of at least `Align<64>` is needed
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is too weak: an alignment of at least `{B}` is needed",
    label = "this is aligned only to `{Self}`, `{B}` is needed",
    note = "allocate it with `{B}` or stronger, or ask at run time: `try_strengthen::<{B}>()` on an aligned slice, `view_as::<{B}>()` on a buffer of run-time alignment, `AlignedSlice::new` on a plain slice",
    note = "generic code passes the demand on to its caller: `A: AtLeast<{B}>`"
)]
pub trait AtLeast<B: KnownAlign>: KnownAlign {}

impl<A: KnownAlign> AtLeast<A> for A {}

macro_rules! alignments {
    ($($bytes:literal $log2:literal $archetype:ident)*) => {
        /// One zero-sized type per power of two, since `repr(align)` takes only literals.
        mod archetype {
            $(
                #[derive(Clone, Copy)]
                #[repr(align($bytes))]
                pub struct $archetype;
            )*
        }
        $(
            #[diagnostic::do_not_recommend]
            impl sealed::Sealed for Align<$bytes> {}
            #[diagnostic::do_not_recommend]
            impl AlignSpec for Align<$bytes> {
                type Repr = ();
                #[inline]
                fn alignment((): ()) -> Alignment {
                    const { Alignment::of::<Self>() }
                }
            }
            #[diagnostic::do_not_recommend]
            impl KnownAlign for Align<$bytes> {
                const BYTES: usize = $bytes;
                const LOG2: u32 = $log2;
                type Archetype = archetype::$archetype;
            }
        )*
    };
}

macro_rules! links {
    ($top:literal) => {};
    ($weaker:literal $stronger:literal $($rest:literal)*) => {
        #[diagnostic::do_not_recommend]
        impl<A: AtLeast<Align<$stronger>>> AtLeast<Align<$weaker>> for A {}
        links!($stronger $($rest)*);
    };
}

alignments! {
    1 0 A0                2 1 A1                4 2 A2                8 3 A3                16 4 A4
    32 5 A5               64 6 A6               128 7 A7              256 8 A8              512 9 A9
    1024 10 A10           2048 11 A11           4096 12 A12           8192 13 A13           16384 14 A14
    32768 15 A15          65536 16 A16          131072 17 A17         262144 18 A18         524288 19 A19
    1048576 20 A20        2097152 21 A21        4194304 22 A22        8388608 23 A23        16777216 24 A24
    33554432 25 A25       67108864 26 A26       134217728 27 A27      268435456 28 A28      536870912 29 A29
}

links! {
    1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1048576 2097152 4194304
    8388608 16777216 33554432 67108864 134217728 268435456 536870912
}

/// [`Alignment::Default`](crate::Alignment::Default) as a type: 8 bytes.
pub type DefaultAlign = Align<8>;
/// [`Alignment::Simd128`](crate::Alignment::Simd128) as a type: SSE and NEON vectors.
pub type Simd128Align = Align<16>;
/// [`Alignment::Simd256`](crate::Alignment::Simd256) as a type: AVX vectors.
pub type Simd256Align = Align<32>;
/// [`Alignment::Simd512`](crate::Alignment::Simd512) as a type: AVX-512 vectors. What buffers use by default.
pub type Simd512Align = Align<64>;
/// [`Alignment::CacheLine`](crate::Alignment::CacheLine) as a type; its size depends on the target architecture, never
/// on CPU features.
pub type CacheLineAlign = Align<{ CACHE_LINE }>;
/// [`Alignment::Page`](crate::Alignment::Page) as a type: 4096 bytes. Pages may be larger: see
/// [`page_size`](crate::page_size).
pub type PageAlign = Align<4096>;

/// Types whose values may stand at any address aligned to `A`, decided by `cargo check`.
///
/// Implemented for the primitive numbers, `bool`, `char`, and arrays and `MaybeUninit` of what fits. For a type of
/// your own write [`element_align!(MyType)`](crate::element_align). The trait is safe to implement: the operations that
/// use it check `align_of` once more when they are compiled, so a wrong impl does not build.
///
/// ```
/// use bhc_rts_alloc::{Align, SimdBuffer};
/// let words = SimdBuffer::<u8, Align<64>>::zeroed(64).cast::<u64>(); // u64 fits in Align<64>
/// assert_eq!(words.len(), 8);
/// ```
///
/// ```compile_fail
/// # use bhc_rts_alloc::{Align, SimdBuffer};
/// let words = SimdBuffer::<u8, Align<4>>::zeroed(64).cast::<u64>(); // `u64` is not known to fit memory aligned to `Align<4>`
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to fit memory aligned to `{A}`",
    label = "`{Self}` needs a stronger alignment than `{A}`, or has not said which it needs",
    note = "allocate with a stronger alignment; for a type of your own: `bhc_rts_alloc::element_align!({Self})`"
)]
pub trait FitsIn<A: KnownAlign> {}

/// Lets the listed types be elements of casts and records: implements [`FitsIn<A>`](crate::FitsIn) for every `A` that is
/// at least their own alignment. For types without generic parameters, or with them filled in.
///
/// ```
/// use bhc_rts_alloc::{Align, FitsIn, element_align};
///
/// #[repr(C, align(16))]
/// struct Quad([f32; 4]);
/// element_align!(Quad);
///
/// fn holds<T: FitsIn<Align<16>>>() {}
/// holds::<Quad>();
/// ```
#[macro_export]
macro_rules! element_align {
    ($($element:ty),+ $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        #[allow(non_camel_case_types, reason = "a name that no type of the caller's has")]
        impl<__bhc_A> $crate::FitsIn<__bhc_A> for $element
        where
            __bhc_A: $crate::AtLeast<$crate::Align<{ ::core::mem::align_of::<$element>() }>>,
        {
        }
    )+};
}

element_align!(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, usize, isize, f32, f64, bool, char, ());

#[diagnostic::do_not_recommend]
impl<A: KnownAlign, T: FitsIn<A>, const N: usize> FitsIn<A> for [T; N] {}
#[diagnostic::do_not_recommend]
impl<A: KnownAlign, T: FitsIn<A>> FitsIn<A> for MaybeUninit<T> {}
#[diagnostic::do_not_recommend]
impl<A: KnownAlign, T: FitsIn<A>> FitsIn<A> for ManuallyDrop<T> {}
#[diagnostic::do_not_recommend]
impl<A: KnownAlign, T: FitsIn<A>> FitsIn<A> for core::num::Wrapping<T> {}
