//! The functions whose machine code tests/codegen.rs looks at: the kernels of the corpus example, and the hot paths of
//! buffers, of the Hot Arena, of the Pinned Heap and of the General Heap in functions of their own.

#[path = "../../../examples/corpus/kernels.rs"]
pub mod kernels;

pub mod arena;
pub mod general;
pub mod pinned;

use bhc_rts_alloc::SimdBuffer;

/// The hot path of `push`.
#[inline(never)]
pub fn push_one(buffer: &mut SimdBuffer<f32>, value: f32) {
    buffer.push(value);
}

/// A loop of `push`.
#[inline(never)]
pub fn push_all(buffer: &mut SimdBuffer<f32>, count: u32) {
    for i in 0..count {
        buffer.push(i as f32);
    }
}

/// `from_slice` of plain data.
#[inline(never)]
pub fn copy_of(elements: &[f32]) -> SimdBuffer<f32> {
    SimdBuffer::from_slice(elements)
}
