//! As a kernel generator emits it: typed buffers in, typed buffers out, each function generic over alignments of at least
//! 64 bytes around a kernel on exactly that. No `unsafe` of its own, although the kernels are compiled per instruction
//! set.

#![forbid(unsafe_code)]
#![deny(warnings)]

use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer, SimdLevel, simd_kernel};

simd_kernel! {
    /// `out = map (*a) xs`.
    fn k0_map_scale(a: f32, xs: &AlignedSlice<f32, Align<64>>, out: &mut AlignedSlice<f32, Align<64>>) {
        for (out, x) in out.iter_mut().zip(xs.iter()) {
            *out = a * x;
        }
    }
}

simd_kernel! {
    /// `sum (zipWith (*) xs ys)` in 64 lanes.
    #[must_use]
    pub(crate) fn k1_dot<const FUSED: bool>(
        xs: &AlignedSlice<f32, Align<64>>,
        ys: &AlignedSlice<f32, Align<64>>,
    ) -> f32 {
        let mut lanes = [0.0f32; 64];
        for (xs, ys) in xs.chunks(64).zip(ys.chunks(64)) {
            for ((lane, x), y) in lanes.iter_mut().zip(xs).zip(ys) {
                *lane = if FUSED { x.mul_add(*y, *lane) } else { x * y + *lane };
            }
        }
        lanes.iter().sum()
    }
}

/// `map (*a) xs`: whole vectors over the padding, which is zero and stays so.
pub fn map_scale<A: AtLeast<Align<64>>>(level: SimdLevel, a: f32, xs: &SimdBuffer<f32, A>) -> SimdBuffer<f32> {
    let mut out = SimdBuffer::<f32>::zeroed(xs.len());
    k0_map_scale(level, a, xs.padded().weaken(), &mut out.padded_mut());
    out
}

/// `sum (zipWith (*) xs ys)`: the arguments may have two different alignments.
pub fn dot<A, B>(level: SimdLevel, xs: &AlignedSlice<f32, A>, ys: &AlignedSlice<f32, B>) -> f32
where
    A: AtLeast<Align<64>>,
    B: AtLeast<Align<64>>,
{
    k1_dot(level, xs.weaken(), ys.weaken())
}

/// The pipeline, `sum (zipWith (*) (map (*2) xs) ys)`, passing its callers' alignments on.
pub fn pipeline<A, B>(level: SimdLevel, xs: &SimdBuffer<f32, A>, ys: &SimdBuffer<f32, B>) -> f32
where
    A: AtLeast<Align<64>>,
    B: AtLeast<Align<4096>>,
{
    let t0 = map_scale(level, 2.0, xs);
    // `B` is at least 4096, hence at least 64, without another bound.
    dot(level, t0.padded(), ys.padded())
}

/// In place, over anything that can be looked at as 64-byte aligned.
pub fn negate(level: SimdLevel, mut xs: impl AsMut<AlignedSlice<f32, Align<64>>>) {
    simd_kernel! {
        fn k2_negate(xs: &mut AlignedSlice<f32, Align<64>>) {
            xs.iter_mut().for_each(|x| *x = -*x);
        }
    }
    k2_negate(level, xs.as_mut());
}

fn main() {
    for n in [0, 1, 15, 16, 17, 100, 1000] {
        let xs = SimdBuffer::<f32>::from_fn(n, |i| i as f32);
        let ys = SimdBuffer::<f32, Align<8192>>::from_fn(n, |i| (i % 3) as f32);
        let expected: f32 = (0..n).map(|i| 2.0 * i as f32 * (i % 3) as f32).sum();
        for level in SimdLevel::levels() {
            assert_eq!(pipeline(level, &xs, &ys), expected, "n = {n} at {level}");
        }
    }

    let mut xs: SimdBuffer<f32, Align<4096>> = (0..20).map(|i| i as f32).collect();
    negate(SimdLevel::detect(), &mut xs);
    assert_eq!(xs[19], -19.0);
    let (head, tail) = xs.split_at_aligned_mut(1024).map_or((None, None), |(head, tail)| (Some(head), Some(tail)));
    assert!(head.is_none() && tail.is_none(), "twenty elements have no second page");
    negate(SimdLevel::detect(), xs.weaken_mut::<Align<128>>());
    assert_eq!(xs[19], 19.0);
}
