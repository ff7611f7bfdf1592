//! As a kernel generator would emit it, `sum (map (*2) (zipWith (+) xs ys))` unfused, with one mistake: the temporary
//! between the two kernels is allocated with less than the second kernel needs.

#![forbid(unsafe_code)]

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer};

fn k0_zip_with_add<A, B, C>(xs: &AlignedSlice<f32, A>, ys: &AlignedSlice<f32, B>, out: &mut AlignedSlice<f32, C>)
where
    A: AtLeast<Align<64>>,
    B: AtLeast<Align<64>>,
    C: AtLeast<Align<32>>,
{
    for ((out, x), y) in out.iter_mut().zip(xs.iter()).zip(ys.iter()) {
        *out = x + y;
    }
}

fn k1_sum_map_double<A>(xs: &AlignedSlice<f32, A>) -> f32
where
    A: AtLeast<Align<64>>,
{
    xs.iter().map(|x| x * 2.0).sum()
}

fn pipeline<A, B>(xs: &AlignedSlice<f32, A>, ys: &AlignedSlice<f32, B>) -> f32
where
    A: AtLeast<Align<64>>,
    B: AtLeast<Align<64>>,
{
    let mut t0 = SimdBuffer::<f32, Align<32>>::zeroed(xs.len());
    k0_zip_with_add(xs, ys, &mut t0);
    k1_sum_map_double(&t0)
}

fn main() {}
