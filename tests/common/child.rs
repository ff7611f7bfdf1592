//! Child processes: a test runs itself again in a process of its own, that is to die or to be seen from outside.

use std::io::Write;
use std::process::{Command, Output};

/// Set in a child process, to what it is to do.
const CHILD: &str = "BHC_TEST_CHILD";

/// What this process is to do, if it is a child.
pub fn child_is_to() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// Runs one test of this program, by its full name, in a process of its own that is to do `what`.
pub fn in_a_child(test: &str, what: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, what)
        .output()
        .unwrap()
}

/// Says past the capture of the harness what was not tested, and why.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
