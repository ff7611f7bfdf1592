//! Rows of programs: a sample is a process that does the whole work once, which is what it took of CPU time, from its start
//! to its end, and of memory at the peak. The program is told how much work that is by its last argument, and prints one
//! line, which must be the same for all contenders of a row.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Asks the kernel what a program took. It is a program itself: see there.
const MEASURE: &str = env!("CARGO_BIN_EXE_collectors");

/// A program, its arguments but for the last, and its variables.
#[derive(Clone)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<&'static str>,
    pub variables: Vec<(&'static str, &'static str)>,
}

pub(super) struct Ran {
    /// Seconds of CPU time, the system's included.
    pub cpu: f64,
    /// Bytes that were resident at the peak.
    pub peak: f64,
    pub said: String,
}

impl Program {
    pub(super) fn run(&self, row: &str, contender: &str, size: u64) -> Ran {
        let output = Command::new(MEASURE)
            .arg("--measure")
            .arg(&self.path)
            .args(&self.args)
            .arg(size.to_string())
            .envs(self.variables.iter().copied())
            .stderr(Stdio::inherit())
            .output()
            .expect("a process");
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success()
            && let [said, figures] = text.lines().collect::<Vec<_>>()[..]
            && let Some((microseconds, kibibytes)) = figures.split_once(' ')
            && let (Ok(microseconds), Ok(kibibytes)) = (microseconds.parse::<f64>(), kibibytes.parse::<f64>())
        {
            return Ran { cpu: microseconds / 1e6, peak: kibibytes * 1024.0, said: said.to_owned() };
        }
        panic!("{row}, {contender}: the program said {text:?}; measuring it ended with {}", output.status)
    }
}
