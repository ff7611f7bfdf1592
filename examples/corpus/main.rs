//! Finds the most similar text files below a folder: the main job of this crate's memory on real input.
//!
//! `cargo run --release --example corpus -- [PATH] [--top N] [--vectors REGION]`
//!
//! One module a phase, in the order in which a file goes through them: [`walk`] finds it, [`read`] brings it into
//! page-aligned memory, [`tokens`] makes words of it, [`terms`] counts them in a [`tree`], [`vectors`] makes a TF-IDF
//! vector, [`compare`] multiplies every vector with every other by [`kernels`], and [`report`] prints what came of it.
//! [`run`] drives them and gives out memory, all of it from the regions of one `Capability`; this file only speaks to the
//! shell.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

mod compare;
mod kernels;
mod options;
mod progress;
mod read;
mod report;
mod run;
mod terms;
mod tokens;
mod tree;
mod vectors;
mod walk;

use options::{Command, USAGE};
use run::RunError;

fn main() -> ExitCode {
    let (written, code) = match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => (io::stdout().write_all(USAGE.as_bytes()), 0),
        Ok(Command::Run(mut options)) => {
            options.progress = io::stderr().is_terminal();
            match run::run(&options, &mut io::stdout().lock()) {
                Ok(_) => return ExitCode::SUCCESS,
                Err(RunError::Output(error)) => (Err(error), 0),
                Err(error) => (complain(&error.to_string()), error.exit_code()),
            }
        }
        Err(error) => {
            (complain(&format!("{error}\nusage: corpus [PATH] [--top N] [--vectors REGION]   (--help says more)")), 2)
        }
    };
    match written {
        Ok(()) => ExitCode::from(code),
        // Whoever reads our output has seen enough (`… | head`): not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(code),
        Err(error) => {
            // If not even this can be written there is nobody left to tell.
            let _ = complain(&format!("cannot write the report: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// To standard error. Not by `eprintln!`, which panics if that is closed.
fn complain(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "corpus: {text}")
}
