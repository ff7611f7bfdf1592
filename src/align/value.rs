//! Alignment as a value: [`Alignment`], and [`AlignSpec`], "type or value".

use core::fmt;
use core::num::NonZero;

use super::arith;

/// Bytes that one cache line fetch brings on this target: what to align to so that one access touches one line.
///
/// A fact about the architecture, not about the CPU at hand: 64 nearly everywhere, 128 on Apple's ARM and on 64-bit
/// PowerPC, 256 on s390x, 32 on 32-bit ARM, MIPS and SPARC. For data that two threads write use
/// [`FALSE_SHARING_RANGE`].
pub const CACHE_LINE: usize = if cfg!(target_arch = "s390x") {
    256
} else if cfg!(any(all(target_arch = "aarch64", target_vendor = "apple"), target_arch = "powerpc64")) {
    128
} else if cfg!(any(
    target_arch = "arm",
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "sparc",
    target_arch = "hexagon"
)) {
    32
} else if cfg!(target_arch = "m68k") {
    16
} else {
    64
};

/// Bytes that two values written by different threads must stand apart on this target, so that neither slows the other
/// down.
///
/// At least [`CACHE_LINE`]; twice that on x86-64, whose prefetcher fetches lines in pairs, and 128 on ARM64, whose big
/// cores have 128-byte lines. The table is crossbeam-utils'.
pub const FALSE_SHARING_RANGE: usize =
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm64ec", target_arch = "powerpc64")) {
        128
    } else {
        CACHE_LINE
    };

/// An alignment chosen at run time: any power of two that a `usize` holds, in bytes.
///
/// One byte, stored as the binary logarithm, so that `Option<Alignment>` is one byte too. Order, equality and hash go by
/// bytes: two names of the same alignment are equal. The variants are the powers of two (`Pow6` is 2^6 = 64 bytes); use
/// the names, [`new`](Self::new) or [`of_type`](Self::of_type) to make one.
///
/// ```
/// use bhc_rts_alloc::Alignment;
///
/// assert_eq!(Alignment::Simd512.as_usize(), 64);
/// assert_eq!(Alignment::new(4096), Some(Alignment::Page));
/// assert_eq!(Alignment::new(48), None);
/// assert!(Alignment::Simd128 < Alignment::Simd256);
/// assert_eq!(size_of::<Option<Alignment>>(), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "sixty-four times \"2 to the k\"")]
pub enum Alignment {
    Pow0,
    Pow1,
    Pow2,
    Pow3,
    Pow4,
    Pow5,
    Pow6,
    Pow7,
    Pow8,
    Pow9,
    Pow10,
    Pow11,
    Pow12,
    Pow13,
    Pow14,
    Pow15,
    Pow16,
    Pow17,
    Pow18,
    Pow19,
    Pow20,
    Pow21,
    Pow22,
    Pow23,
    Pow24,
    Pow25,
    Pow26,
    Pow27,
    Pow28,
    Pow29,
    Pow30,
    Pow31,
    #[cfg(target_pointer_width = "64")]
    Pow32,
    #[cfg(target_pointer_width = "64")]
    Pow33,
    #[cfg(target_pointer_width = "64")]
    Pow34,
    #[cfg(target_pointer_width = "64")]
    Pow35,
    #[cfg(target_pointer_width = "64")]
    Pow36,
    #[cfg(target_pointer_width = "64")]
    Pow37,
    #[cfg(target_pointer_width = "64")]
    Pow38,
    #[cfg(target_pointer_width = "64")]
    Pow39,
    #[cfg(target_pointer_width = "64")]
    Pow40,
    #[cfg(target_pointer_width = "64")]
    Pow41,
    #[cfg(target_pointer_width = "64")]
    Pow42,
    #[cfg(target_pointer_width = "64")]
    Pow43,
    #[cfg(target_pointer_width = "64")]
    Pow44,
    #[cfg(target_pointer_width = "64")]
    Pow45,
    #[cfg(target_pointer_width = "64")]
    Pow46,
    #[cfg(target_pointer_width = "64")]
    Pow47,
    #[cfg(target_pointer_width = "64")]
    Pow48,
    #[cfg(target_pointer_width = "64")]
    Pow49,
    #[cfg(target_pointer_width = "64")]
    Pow50,
    #[cfg(target_pointer_width = "64")]
    Pow51,
    #[cfg(target_pointer_width = "64")]
    Pow52,
    #[cfg(target_pointer_width = "64")]
    Pow53,
    #[cfg(target_pointer_width = "64")]
    Pow54,
    #[cfg(target_pointer_width = "64")]
    Pow55,
    #[cfg(target_pointer_width = "64")]
    Pow56,
    #[cfg(target_pointer_width = "64")]
    Pow57,
    #[cfg(target_pointer_width = "64")]
    Pow58,
    #[cfg(target_pointer_width = "64")]
    Pow59,
    #[cfg(target_pointer_width = "64")]
    Pow60,
    #[cfg(target_pointer_width = "64")]
    Pow61,
    #[cfg(target_pointer_width = "64")]
    Pow62,
    #[cfg(target_pointer_width = "64")]
    Pow63,
}

#[expect(non_upper_case_globals, reason = "the names are the variants of the original enum")]
impl Alignment {
    /// 8 bytes: what ordinary heap objects of 64-bit targets need.
    pub const Default: Self = Self::Pow3;
    /// 16 bytes: SSE and NEON vectors.
    pub const Simd128: Self = Self::Pow4;
    /// 32 bytes: AVX vectors.
    pub const Simd256: Self = Self::Pow5;
    /// 64 bytes: AVX-512 vectors.
    pub const Simd512: Self = Self::Pow6;
    /// [`CACHE_LINE`] bytes; equal to [`Simd512`](Self::Simd512) on most targets.
    pub const CacheLine: Self = Self::new(CACHE_LINE).unwrap();
    /// 4096 bytes, the usual page. Some kernels have larger pages: what really needs them asks
    /// [`page_size`](crate::page_size).
    pub const Page: Self = Self::Pow12;
}

impl Alignment {
    /// The weakest alignment, 1 byte.
    pub const MIN: Self = Self::Pow0;
    /// The strongest alignment that a `usize` holds: its top bit.
    pub const MAX: Self = Self::from_log2(usize::BITS - 1);

    /// The alignment of `bytes` bytes, or `None` if that is not a power of two.
    #[inline]
    #[must_use]
    pub const fn new(bytes: usize) -> Option<Self> {
        if Self::is_valid(bytes) { Some(Self::from_log2(bytes.trailing_zeros())) } else { None }
    }

    /// `align_of::<T>()` as an `Alignment`.
    #[inline]
    #[must_use]
    pub const fn of_type<T>() -> Self {
        Self::from_log2(align_of::<T>().trailing_zeros())
    }

    /// The alignment in bytes, a power of two.
    #[inline]
    #[must_use]
    pub const fn as_usize(self) -> usize {
        1 << (self as u32)
    }

    /// The alignment in bytes, as a number that is known not to be zero.
    #[inline]
    #[must_use]
    pub const fn as_nonzero(self) -> NonZero<usize> {
        match NonZero::new(self.as_usize()) {
            Some(bytes) => bytes,
            None => unreachable!(),
        }
    }

    /// The binary logarithm of the alignment in bytes.
    #[inline]
    #[must_use]
    pub const fn log2(self) -> u32 {
        self as u32
    }

    /// Whether `align` is an alignment in bytes: a power of two, hence not zero.
    #[inline]
    #[must_use]
    pub const fn is_valid(align: usize) -> bool {
        arith::is_alignment(align)
    }

    /// `log2` must be below `usize::BITS`; a constant or a checked value everywhere.
    #[inline]
    pub(super) const fn from_log2(log2: u32) -> Self {
        assert!(log2 < usize::BITS);
        // SAFETY: `repr(u8)` with one variant per number below `usize::BITS`, counted up from 0 without gaps (pinned by
        // the assertion on `MAX` below); `log2` was just checked to be one of them.
        unsafe { core::mem::transmute::<u8, Self>(log2 as u8) }
    }
}

static_assertions::const_assert_eq!(Alignment::MAX as u32, usize::BITS - 1);
static_assertions::const_assert_eq!(size_of::<Option<Alignment>>(), 1);
static_assertions::const_assert!(FALSE_SHARING_RANGE >= CACHE_LINE);

impl fmt::Debug for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alignment({})", self.as_usize())
    }
}

/// The number of bytes; formatting options apply to it.
impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_usize(), f)
    }
}

/// A number that was to be an alignment and is not a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0} is not an alignment: it must be a power of two")]
pub struct InvalidAlignment(
    /// The number.
    pub usize,
);

impl TryFrom<usize> for Alignment {
    type Error = InvalidAlignment;

    #[inline]
    fn try_from(bytes: usize) -> Result<Self, InvalidAlignment> {
        Self::new(bytes).ok_or(InvalidAlignment(bytes))
    }
}

impl From<Alignment> for usize {
    #[inline]
    fn from(alignment: Alignment) -> usize {
        alignment.as_usize()
    }
}

impl From<Alignment> for NonZero<usize> {
    #[inline]
    fn from(alignment: Alignment) -> NonZero<usize> {
        alignment.as_nonzero()
    }
}

pub(crate) mod sealed {
    /// Closes [`AlignSpec`](super::AlignSpec) and what builds on it: unsafe code relies on their numbers.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be an alignment: the traits of alignments are sealed",
        label = "only `Align<N>` and `Alignment` are alignments, since unsafe code relies on their numbers"
    )]
    pub trait Sealed {}
}

/// An alignment given by a type ([`Align<N>`](crate::Align)) or by a value ([`Alignment`]): the parameter of
/// [`SimdBuffer`](crate::SimdBuffer). Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say an alignment",
    label = "must be `Align<N>` (known at compile time) or `Alignment` (chosen at run time)",
    note = "`N` must be a power of two in 1..=2^29"
)]
pub trait AlignSpec: sealed::Sealed + 'static {
    /// What a buffer stores to know its alignment: nothing for a type, the value for a value.
    type Repr: Copy + Eq + fmt::Debug + Send + Sync + Unpin + 'static;

    /// The alignment that `repr` stands for.
    fn alignment(repr: Self::Repr) -> Alignment;
}

#[diagnostic::do_not_recommend]
impl sealed::Sealed for Alignment {}

#[diagnostic::do_not_recommend]
impl AlignSpec for Alignment {
    type Repr = Self;

    #[inline]
    fn alignment(repr: Self) -> Self {
        repr
    }
}

/// "This value says what `A` leaves open": [`Alignment`] for itself and nothing else. What
/// [`SimdBuffer::new`](crate::SimdBuffer::new) asks, so that an alignment passed beside one in the type is refused in plain
/// words.
#[diagnostic::on_unimplemented(
    message = "`{A}` says the alignment already, there is none to pass",
    label = "the alignment is in the type",
    note = "use `zeroed(len)`, or choose the alignment at run time: `SimdBuffer::<T, Alignment>::new(len, alignment)`"
)]
pub trait ChosenFor<A: AlignSpec> {
    #[doc(hidden)]
    fn into_repr(self) -> A::Repr;
}

#[diagnostic::do_not_recommend]
impl ChosenFor<Self> for Alignment {
    #[inline]
    fn into_repr(self) -> Self {
        self
    }
}
