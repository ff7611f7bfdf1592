//! Rows of memory: the program starts itself for each sample, and the child says how many bytes it took.
//!
//! The child itself reads what of its memory is resident, from `/proc/self/statm`, and what it took is that less what
//! was resident when its work began. What the kernel tells a parent about a child that has ended would not do: its peak
//! includes that of the parent's image, from which the child was forked.

use std::process::{Command, Stdio};

use super::args::CHILD;
use super::{Contenders, OURS, Row, Work};

/// Takes one sample: the bytes that a child says.
pub(super) fn start(row: &str, contender: &str) -> usize {
    let program = std::env::current_exe().expect("the path of this program");
    let output =
        Command::new(program).args([CHILD, row, contender]).stderr(Stdio::inherit()).output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(bytes) if output.status.success() => bytes,
        _ => panic!("{row}, {contender}: the child said {text:?} and ended with {}", output.status),
    }
}

/// What the child does: the work of one contender.
///
/// # Errors
/// There is no such contender in a row of memory.
pub fn run(row: &Row, contender: &str) -> Result<(), String> {
    let Contenders { ours, peers, .. } = (row.contenders)();
    let mut contenders = [(OURS, ours)].into_iter().chain(peers);
    let found = contenders.find_map(|(name, one)| match one.work {
        Work::Child(work) if name == contender => Some(work),
        _ => None,
    });
    let work = found.ok_or_else(|| format!("{} has no contender {contender} in a process of its own", row.name))?;
    println!("{}", work());
    Ok(())
}

/// Bytes of this process that are resident, less those that were when the value was made.
pub struct Resident {
    start: usize,
}

impl Resident {
    pub fn now() -> Self {
        Self { start: resident() }
    }

    /// At least a page, so that there is always a ratio.
    pub fn taken_since(&self) -> usize {
        resident().saturating_sub(self.start).max(page())
    }
}

fn page() -> usize {
    // SAFETY: the call reads a constant.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("the size of a page")
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells the size of a process");
    let pages: usize =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second field is a number");
    pages * page()
}
