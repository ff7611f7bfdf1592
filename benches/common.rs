//! What the rows and the programs that some of them start have in common.

use std::arch::asm;
use std::ptr::NonNull;

/// Lets a block escape: for the compiler, whoever has the pointer may now read and write the block and all else that has
/// escaped, an allocator's own memory included. `black_box` does the same, but by a store to the stack, which is a third of
/// the stores of such a loop and would be what is measured.
#[inline(always)]
pub fn escape<T: ?Sized>(block: NonNull<T>) {
    // SAFETY: there is no instruction.
    unsafe { asm!("/* {0} */", in(reg) block.as_ptr().cast::<u8>(), options(nostack, preserves_flags)) }
}
