//! Phase 3: the words of a text.
//!
//! The rule: a word is a run of letters and digits (Unicode's, as `char::is_alphanumeric`) that is as long as possible,
//! in lower case, of 2 to 40 characters. Single characters say nothing, and longer runs are digests and encoded data;
//! both are left out whole. So `fooBar_baz2` is `foobar` and `baz2`.

/// Characters that a word has at least, and at most.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=40;

/// Calls `word` with each word of `text`, in order.
///
/// # Errors
/// The first of `word`, which ends it.
pub fn for_each_word<E>(text: &str, mut word: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut lower = String::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        // The first test is for speed: most runs are empty, and a long one need not be counted.
        if run.len() < *LENGTHS.start() || !LENGTHS.contains(&run.chars().count()) {
            continue;
        }
        if run.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            word(run)?;
        } else {
            lower.clear();
            lower.extend(run.chars().flat_map(char::to_lowercase));
            word(&lower)?;
        }
    }
    Ok(())
}
