//! How many cases a property test tries, when the property decides how many are usual for it.

use proptest::test_runner::Config;

/// What proptest tries by itself, which `usual` is a part or a multiple of.
const DEFAULT: u64 = 256;

/// `usual`, or in proportion more if the environment asks for more than proptest's own number (`PROPTEST_CASES`); never less.
pub fn cases(usual: u32) -> u32 {
    let asked = u64::from(Config::default().cases); // reads the environment
    u32::try_from(u64::from(usual) * asked / DEFAULT).unwrap_or(u32::MAX).max(usual)
}
