//! A kernel is a plain function; the macro says what it takes.
use bhc_rts_alloc::simd_kernel;

simd_kernel! {
    fn first<'a>(x: &'a [f32]) -> &'a f32 {
        &x[0]
    }
}

fn main() {}
