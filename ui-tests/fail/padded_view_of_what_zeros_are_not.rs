//! The padding is zeros, so a padded view needs elements that zeros are, and that nobody has to drop.

use bhc_rts_alloc::SimdBuffer;

struct NotCopy(u32);
// SAFETY: a number, which zero is one of.
unsafe impl bytemuck::Zeroable for NotCopy {}

fn main() {
    let boxes = SimdBuffer::<Box<u8>>::from_fn(4, |_| Box::new(0));
    let _ = boxes.padded();

    let mut references = SimdBuffer::<&u8>::from_fn(4, |_| &0);
    let _ = references.padded_mut();

    let not_copy = SimdBuffer::<NotCopy>::zeroed(4);
    let _ = not_copy.padded();

    let _ = SimdBuffer::<&u8>::zeroed(4);
}
