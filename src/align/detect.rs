//! What this CPU wants ([`detect_simd_alignment`]) and what it can do ([`SimdLevel`]).
//!
//! # Note: alignment is not a CPU feature
//! Anyone can name [`Alignment::Simd256`]; that says nothing about the CPU. Calling code compiled for AVX is sound only
//! after AVX was detected, so that fact has a type of its own: a [`SimdLevel`] is made by detection only, and
//! [`simd_kernel!`](crate::simd_kernel) calls what it compiled with `#[target_feature]` through it, safely.
//!
//! The recommended alignments are a table of plain data, [`RECOMMENDED`], so that all architectures are tested on any
//! one of them; only [`has_feature`] knows where it runs.

use core::fmt;

use super::value::Alignment;

/// `(architecture, CPU feature, alignment)`: the first row of an architecture whose feature is there wins; an empty
/// feature is always there. The alignment is the width of the widest vector registers, since an access that spans two
/// cache lines costs two; scalable vectors take 64, the usual line. Architectures without a row take
/// [`Alignment::Default`].
///
/// No row is weaker than the runtime's original detection: AVX-512 64, AVX 32, other x86 and ARM64 16, the rest 8.
const RECOMMENDED: &[(&str, &str, Alignment)] = &[
    ("x86_64", "avx512f", Alignment::Simd512),
    ("x86_64", "avx", Alignment::Simd256),
    ("x86_64", "", Alignment::Simd128),
    ("x86", "avx512f", Alignment::Simd512),
    ("x86", "avx", Alignment::Simd256),
    ("x86", "", Alignment::Simd128),
    ("aarch64", "sve", Alignment::Simd512),
    ("aarch64", "", Alignment::Simd128),
    ("arm64ec", "", Alignment::Simd128),
    ("arm", "neon", Alignment::Simd128),
    ("riscv64", "v", Alignment::Simd512),
    ("riscv32", "v", Alignment::Simd512),
    ("wasm32", "simd128", Alignment::Simd128),
    ("wasm64", "simd128", Alignment::Simd128),
    ("powerpc64", "altivec", Alignment::Simd128),
    ("powerpc", "altivec", Alignment::Simd128),
    ("loongarch64", "lasx", Alignment::Simd256),
    ("loongarch64", "lsx", Alignment::Simd128),
    ("s390x", "vector", Alignment::Simd128),
    ("mips64", "msa", Alignment::Simd128),
    ("mips", "msa", Alignment::Simd128),
];

/// The alignment that vectors want on `arch` (as in `cfg(target_arch)`), given which CPU features are there.
fn recommended(arch: &str, has: impl Fn(&str) -> bool) -> Alignment {
    let fits = |row: &&(&str, &str, Alignment)| row.0 == arch && (row.1.is_empty() || has(row.1));
    RECOMMENDED.iter().find(fits).map_or(Alignment::Default, |row| row.2)
}

/// The architecture this is compiled for, as in `cfg(target_arch)`.
const ARCH: &str = {
    macro_rules! first_that_is {
        ($($arch:literal)+) => { $( if cfg!(target_arch = $arch) { $arch } else )+ { "other" } };
    }
    first_that_is!("x86_64" "x86" "aarch64" "arm64ec" "arm" "riscv64" "riscv32" "wasm32" "wasm64" "powerpc64" "powerpc"
        "loongarch64" "s390x" "mips64" "mips")
};

/// Whether the build itself proves `feature`: every CPU that this binary may run on has it.
#[cfg_attr(
    all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")),
    expect(dead_code, reason = "with std, x86 asks the CPU for every feature")
)]
fn build_proves(feature: &str) -> bool {
    macro_rules! one_of {
        ($($name:literal)+) => {
            match feature {
                $( $name => cfg!(target_feature = $name), )+
                _ => false,
            }
        };
    }
    one_of!("avx" "avx2" "fma" "bmi1" "bmi2" "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "sve" "neon" "v"
        "simd128" "altivec" "lasx" "lsx" "vector" "msa")
}

/// Whether the CPU at hand has `feature`.
#[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
fn has_feature(feature: &str) -> bool {
    macro_rules! one_of {
        ($($name:tt)+) => {
            match feature {
                $( $name => std::arch::is_x86_feature_detected!($name), )+
                _ => false,
            }
        };
    }
    one_of!("avx" "avx2" "fma" "bmi1" "bmi2" "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl")
}

/// Whether the CPU at hand has `feature`.
#[cfg(all(feature = "std", target_arch = "aarch64"))]
fn has_feature(feature: &str) -> bool {
    match feature {
        "sve" => std::arch::is_aarch64_feature_detected!("sve"),
        _ => build_proves(feature),
    }
}

/// Whether the CPU at hand has `feature`.
#[cfg(all(feature = "std", target_arch = "loongarch64"))]
fn has_feature(feature: &str) -> bool {
    match feature {
        "lasx" => std::arch::is_loongarch_feature_detected!("lasx"),
        "lsx" => std::arch::is_loongarch_feature_detected!("lsx"),
        _ => build_proves(feature),
    }
}

/// Whether the build proves `feature`: without `std`, or where the standard library cannot ask the CPU on the stable
/// toolchain (RISC-V, PowerPC, WebAssembly, MIPS, 32-bit ARM), that is all there is to know.
#[cfg(not(all(
    feature = "std",
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64", target_arch = "loongarch64")
)))]
fn has_feature(feature: &str) -> bool {
    build_proves(feature)
}

/// The instruction sets that [`simd_kernel!`](crate::simd_kernel) compiles for, weakest first.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Isa {
    /// What the build enables anyway.
    Baseline,
    Avx,
    /// With FMA: x86-64-v3 as far as arithmetic goes.
    Avx2,
    /// The x86-64-v4 subsets.
    Avx512,
}

impl Isa {
    const ALL: [Self; 4] = [Self::Baseline, Self::Avx, Self::Avx2, Self::Avx512];

    /// The CPU features that code compiled for this level uses. The `#[target_feature]` lists of `simd_kernel!` are
    /// these; a test holds them together.
    const fn features(self) -> &'static [&'static str] {
        match self {
            Self::Baseline => &[],
            Self::Avx => &["avx"],
            Self::Avx2 => &["avx", "avx2", "fma", "bmi1", "bmi2"],
            Self::Avx512 => {
                &["avx", "avx2", "fma", "bmi1", "bmi2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
            }
        }
    }

    /// The strongest level all of whose features are there.
    fn strongest(has: impl Fn(&str) -> bool) -> Self {
        let possible = |isa: &Self| isa.features().iter().all(|feature| has(feature));
        Self::ALL.into_iter().rev().find(possible).unwrap_or(Self::Baseline)
    }
}

/// The instruction set of the CPU at hand, as a token: to hold one is proof that the CPU has it.
///
/// It is made by [`detect`](Self::detect) and [`levels`](Self::levels) only, and it is what
/// [`simd_kernel!`](crate::simd_kernel) functions take first. Two bytes, `Copy`; ordered weakest first.
///
/// ```
/// use bhc_rts_alloc::{SimdLevel, detect_simd_alignment};
/// let level = SimdLevel::detect();
/// assert_eq!(level.alignment(), detect_simd_alignment());
/// println!("kernels run on {level}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimdLevel {
    /// Invariant: the CPU at hand has all of `isa.features()`.
    isa: Isa,
    alignment: Alignment,
}

static_assertions::const_assert_eq!(size_of::<SimdLevel>(), 2);
static_assertions::const_assert_eq!(size_of::<Option<SimdLevel>>(), 2);
static_assertions::assert_impl_all!(SimdLevel: Send, Sync, Copy, Ord);
static_assertions::assert_not_impl_any!(SimdLevel: Default);

impl SimdLevel {
    /// The strongest level of this CPU. Asks the CPU once per process; later calls read one byte.
    ///
    /// Without the feature `std` the CPU is not asked and the answer is what the build enables.
    #[inline]
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(feature = "std")]
        {
            use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

            /// `isa | log2(alignment) << 2`, or `UNKNOWN`. Threads that race here compute and store the same byte.
            static DETECTED: AtomicU8 = AtomicU8::new(UNKNOWN);
            const UNKNOWN: u8 = u8::MAX;

            let known = DETECTED.load(Relaxed);
            if known != UNKNOWN {
                return Self::decode(known);
            }
            let level = Self::ask();
            DETECTED.store(level.encode(), Relaxed);
            level
        }
        #[cfg(not(feature = "std"))]
        Self::ask()
    }

    #[cold]
    fn ask() -> Self {
        Self { isa: Isa::strongest(has_feature), alignment: recommended(ARCH, has_feature) }
    }

    #[cfg(feature = "std")]
    fn encode(self) -> u8 {
        self.isa as u8 | (self.alignment.log2() as u8) << 2
    }

    #[cfg(feature = "std")]
    #[inline]
    fn decode(byte: u8) -> Self {
        let alignment = Alignment::new(1 << (byte >> 2)).unwrap_or(Alignment::Default);
        Self { isa: Isa::ALL[usize::from(byte & 3)], alignment }
    }

    /// Every level of this CPU, weakest first, ending with [`detect`](Self::detect)'s: what a test runs a kernel on.
    ///
    /// ```
    /// use bhc_rts_alloc::SimdLevel;
    /// assert_eq!(SimdLevel::levels().last(), Some(SimdLevel::detect()));
    /// ```
    pub fn levels() -> impl Iterator<Item = Self> {
        let best = Self::detect();
        let weaker = Isa::ALL
            .into_iter()
            .filter(move |isa| *isa < best.isa)
            .map(|isa| Self { isa, alignment: recommended(ARCH, |feature| isa.features().contains(&feature)) });
        weaker.chain([best])
    }

    /// The alignment that vectors of this level want. A recommendation: weaker data is slower, never wrong.
    #[inline]
    #[must_use]
    pub const fn alignment(self) -> Alignment {
        self.alignment
    }

    /// A short lower-case name: `baseline`, `avx`, `avx2`, `avx512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.isa {
            Isa::Baseline => "baseline",
            Isa::Avx => "avx",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// For [`simd_kernel!`](crate::simd_kernel).
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub const fn isa(self) -> Isa {
        self.isa
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The alignment that vectors of this CPU want: 64 bytes with AVX-512, 32 with AVX, 16 with SSE or NEON, and so on by
/// architecture; [`Alignment::Default`] where nothing is known. Always between 8 and 64, hence satisfied by the default
/// `Align<64>` of buffers.
///
/// It is performance advice. What the CPU can *execute* is [`SimdLevel`]. Cost: one byte load after the first call.
///
/// ```
/// use bhc_rts_alloc::{Alignment, SimdBuffer, detect_simd_alignment};
/// let alignment = detect_simd_alignment();
/// let buffer = SimdBuffer::<f32, Alignment>::new(1000, alignment)?;
/// assert!(buffer.as_ptr().addr() % alignment.as_usize() == 0);
/// # Ok::<(), bhc_rts_alloc::AllocError>(())
/// ```
#[must_use]
pub fn detect_simd_alignment() -> Alignment {
    SimdLevel::detect().alignment()
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use super::*;

    fn with(arch: &str, features: &[&str]) -> usize {
        recommended(arch, |f| features.contains(&f)).as_usize()
    }

    #[test]
    fn every_architecture_has_the_alignment_of_its_widest_vectors() {
        for x86 in ["x86", "x86_64"] {
            assert_eq!(with(x86, &[]), 16);
            assert_eq!(with(x86, &["avx", "avx2"]), 32);
            assert_eq!(with(x86, &["avx", "avx2", "avx512f"]), 64);
            assert_eq!(with(x86, &["avx512f"]), 64, "AVX-512 masked down to its foundation still wants 64");
        }
        assert_eq!(with("aarch64", &[]), 16);
        assert_eq!(with("aarch64", &["neon", "sve"]), 64);
        assert_eq!(with("loongarch64", &["lsx"]), 16);
        assert_eq!(with("loongarch64", &["lsx", "lasx"]), 32);
        for (arch, feature, bytes) in [
            ("arm", "neon", 16),
            ("riscv64", "v", 64),
            ("riscv32", "v", 64),
            ("wasm32", "simd128", 16),
            ("wasm64", "simd128", 16),
            ("powerpc64", "altivec", 16),
            ("powerpc", "altivec", 16),
            ("s390x", "vector", 16),
            ("mips", "msa", 16),
            ("mips64", "msa", 16),
        ] {
            assert_eq!(with(arch, &[feature]), bytes, "{arch} with {feature}");
            assert_eq!(with(arch, &[]), 8, "{arch} without {feature}");
        }
        assert_eq!(with("arm64ec", &[]), 16);
        assert_eq!(with("avr", &[]), 8);
    }

    #[test]
    fn rows_stand_strongest_first_and_within_the_default_of_buffers() {
        for pair in RECOMMENDED.windows(2) {
            assert!(pair[0].0 != pair[1].0 || pair[0].2 > pair[1].2, "{pair:?}");
        }
        assert!(RECOMMENDED.iter().all(|row| row.2 <= Alignment::Simd512 && row.2 >= Alignment::Default));
    }

    #[test]
    fn this_target_is_in_the_table_by_its_own_name() {
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            assert_eq!(ARCH, std::env::consts::ARCH);
        }
    }

    #[test]
    fn a_level_needs_all_of_its_features() {
        let all = Isa::Avx512.features();
        assert_eq!(Isa::strongest(|f| all.contains(&f)), Isa::Avx512);
        assert_eq!(Isa::strongest(|f| all.contains(&f) && f != "avx512vl"), Isa::Avx2);
        assert_eq!(Isa::strongest(|f| all.contains(&f) && f != "fma"), Isa::Avx);
        assert_eq!(Isa::strongest(|f| f != "avx" && all.contains(&f)), Isa::Baseline);
        for pair in Isa::ALL.windows(2) {
            assert!(pair[0].features().iter().all(|f| pair[1].features().contains(f)), "each level has the one below");
        }
    }

    #[test]
    fn kernels_enable_exactly_the_features_that_detection_asked_for() {
        let source = include_str!("kernel.rs");
        let enabled: Vec<String> = source
            .split("target_feature(enable = \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        let expected: Vec<String> = Isa::ALL[1..].iter().map(|isa| isa.features().join(",")).collect();
        assert_eq!(enabled, expected);
    }

    #[test]
    fn the_cached_byte_gives_back_every_level() {
        for isa in Isa::ALL {
            for row in RECOMMENDED {
                let level = SimdLevel { isa, alignment: row.2 };
                assert_eq!(SimdLevel::decode(level.encode()), level);
            }
        }
        assert_eq!(SimdLevel::detect(), SimdLevel::ask());
    }

    #[test]
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fn detection_is_never_weaker_than_the_original_answer() {
        let original = if std::arch::is_x86_feature_detected!("avx512f") {
            Alignment::Simd512
        } else if std::arch::is_x86_feature_detected!("avx") {
            Alignment::Simd256
        } else {
            Alignment::Simd128
        };
        assert!(detect_simd_alignment() >= original);
    }
}
