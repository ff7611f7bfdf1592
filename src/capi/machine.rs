//! What the library and the machine are.

use super::error::answer;
use crate::align::detect_simd_alignment;

/// The version of this ABI: `BHC_ABI_VERSION` of the header that a program was compiled with is to be the same as that of
/// the library, [`bhc_abi_version`].
pub const BHC_ABI_VERSION: u32 = 1;

/// The version of the ABI of the library that was linked.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_abi_version() -> u32 {
    BHC_ABI_VERSION
}

/// The alignment that this machine's widest vectors want, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn bhc_simd_alignment() -> usize {
    answer(|| Ok(detect_simd_alignment().as_usize()))
}
