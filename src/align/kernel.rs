//! [`simd_kernel!`](crate::simd_kernel): one source, one compiled copy per instruction set, one safe function.

/// Defines a function that is compiled once per [`SimdLevel`](crate::SimdLevel) and runs the copy for the level it is
/// given.
///
/// The function is written without its first parameter; the macro adds `level: SimdLevel` in front. The body is plain
/// Rust over slices and is inlined into each copy, where the compiler may use that copy's instructions: write loops that
/// it vectorises (several independent accumulators for a sum; no 16-element chunks as a loop body: with AVX-512 they
/// become gathers). Functions that the body calls must be inlined too (`#[inline(always)]`), or they are compiled for
/// the baseline.
///
/// With one `const` parameter of type `bool` in front, its value in each copy says whether a fused multiply-add is *one
/// instruction* there; without it, [`f32::mul_add`] is a slow library call:
///
/// ```
/// use bhc_rts_alloc::{Align, AlignedSlice, SimdBuffer, SimdLevel, simd_kernel};
///
/// simd_kernel! {
///     /// `y[i] += a * x[i]`.
///     pub fn saxpy<const FUSED: bool>(a: f32, x: &AlignedSlice<f32, Align<64>>, y: &mut AlignedSlice<f32, Align<64>>) {
///         for (y, x) in y.iter_mut().zip(x.iter()) {
///             *y = if FUSED { x.mul_add(a, *y) } else { a * x + *y };
///         }
///     }
/// }
///
/// let x = SimdBuffer::<f32>::from_fn(100, |i| i as f32);
/// let mut y = SimdBuffer::<f32>::zeroed(100);
/// for level in SimdLevel::levels() {
///     saxpy(level, 2.0, &x, &mut y);
/// }
/// assert_eq!(y[50], 100.0 * SimdLevel::levels().count() as f32);
/// ```
///
/// One function at a time, of arguments `name: Type`, without other generic parameters, named lifetimes or `mut`: rebind
/// in the body.
///
/// On x86 and x86-64 the levels are the baseline, AVX, AVX2 with FMA, and AVX-512 (F, BW, CD, DQ, VL). On other targets
/// the function is compiled once, for what the build enables.
#[macro_export]
macro_rules! simd_kernel {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<const $FUSED:ident: bool>($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)?
        $body:block
    ) => {
        $(#[$attribute])*
        $visibility fn $name(level: $crate::SimdLevel, $($argument: $type),*) $(-> $output)? {
            #[inline(always)]
            fn __bhc_kernel<const $FUSED: bool>($($argument: $type),*) $(-> $output)? $body

            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            {
                #[target_feature(enable = "avx")]
                fn __bhc_avx($($argument: $type),*) $(-> $output)? {
                    __bhc_kernel::<false>($($argument),*)
                }
                #[target_feature(enable = "avx,avx2,fma,bmi1,bmi2")]
                fn __bhc_avx2($($argument: $type),*) $(-> $output)? {
                    __bhc_kernel::<true>($($argument),*)
                }
                #[target_feature(enable = "avx,avx2,fma,bmi1,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
                fn __bhc_avx512($($argument: $type),*) $(-> $output)? {
                    __bhc_kernel::<true>($($argument),*)
                }
                match level.isa() {
                    // SAFETY: a `SimdLevel` exists only where its features were detected, and the three lists above are
                    // those of `Isa::features`.
                    $crate::__private::Isa::Avx => return unsafe { __bhc_avx($($argument),*) },
                    // SAFETY: as above.
                    $crate::__private::Isa::Avx2 => return unsafe { __bhc_avx2($($argument),*) },
                    // SAFETY: as above.
                    $crate::__private::Isa::Avx512 => return unsafe { __bhc_avx512($($argument),*) },
                    $crate::__private::Isa::Baseline => {}
                }
            }
            let _ = level;
            __bhc_kernel::<{ ::core::cfg!(any(target_feature = "fma", target_arch = "aarch64")) }>($($argument),*)
        }
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? $body:block
    ) => {
        $crate::simd_kernel! {
            $(#[$attribute])*
            $visibility fn $name<const _FUSED: bool>($($argument: $type),*) $(-> $output)? $body
        }
    };
    ($($anything:tt)*) => {
        ::core::compile_error! {
            "simd_kernel! takes one function: `fn name(argument: Type, …) -> Output { … }` or `fn name<const FUSED: bool>(…) …`; \
             no other generic parameters, no named lifetimes, no patterns as arguments"
        }
    };
}
