//! What is measured, one file per group of rows.

pub mod arena;
pub mod buffer;
pub mod collector;
pub mod kernel;
pub mod pinned;
pub mod rts;

use crate::common::escape;

/// Calls `work` so many times, rounded up to four, in a loop of four calls. A loop of one would be over in one to two
/// cycles where it lies within a line of the code and in one more where it does not, which is luck.
#[inline(always)]
fn by_four(count: u64, mut work: impl FnMut(u64)) {
    for i in (0..count).step_by(4) {
        work(i);
        work(i + 1);
        work(i + 2);
        work(i + 3);
    }
}

/// Numbers in an order that no branch predictor learns, the same in each run: xorshift64*, of which the upper bits are good.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ seed)
    }

    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which is at most 2^32.
    #[inline(always)]
    fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }
}
