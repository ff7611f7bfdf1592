//! Compiles array expressions to kernels over typed buffers, and runs them: what a compiler makes of a fused pipeline.
//!
//! `cargo run --release --example kernelgen -- 'sum (map (*2) xs)' [--emit run|rust|c|plan] [data.f32]`
//!
//! One module a phase: [`language`] reads the text, [`graph`] finds out what it means, [`plan`] makes loops of it and
//! decides which arrays stand in memory, [`emit_rust`] and [`emit_c`] write that down ([`element`] is what they have
//! in common, [`names`] what they call things). To run it, [`driver`] writes a program around the kernel, [`package`]
//! builds it, and [`run`] compares what it computes with what [`interpret`] does. This file only speaks to the shell.
//!
//! All up to `names` use nothing but the standard library, so that build scripts can include them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod driver;
mod element;
mod emit_c;
mod emit_rust;
mod graph;
mod interpret;
mod language;
mod names;
mod options;
mod package;
mod plan;
mod run;

use options::{Command, Emit, Options, USAGE};
use run::RunError;

fn main() -> ExitCode {
    let (written, code) = match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => (io::stdout().write_all(USAGE.as_bytes()), 0),
        Ok(Command::Generate(options)) => generate(&options, &mut io::stdout().lock()),
        Err(error) => {
            (complain(&format!("{error}\nusage: kernelgen PROGRAM [OPTION | FILE]...   (--help says more)")), 2)
        }
    };
    match written {
        Ok(()) => ExitCode::from(code),
        // Whoever reads our output has seen enough (`… | head`): not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(code),
        Err(error) => {
            // If not even this can be written there is nobody left to tell.
            let _ = complain(&format!("cannot write the output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What was asked for: whether it could be written, and the exit code.
fn generate(options: &Options, out: &mut impl Write) -> (io::Result<()>, u8) {
    let plan = match language::parse(&options.program).and_then(|program| plan::plan(&program, options.element)) {
        Ok(plan) => plan,
        Err(error) => return (complain(&error.to_string()), 2),
    };
    let text = match options.emit {
        Emit::Plan => plan.to_string(),
        Emit::Rust => emit_rust::emit_rust(&plan, &options.name),
        Emit::C => emit_c::emit_c(&plan, &options.name),
        Emit::Run => {
            return match run::run(&plan, options, &folder(), out) {
                Ok(()) => (Ok(()), 0),
                Err(RunError::Output(error)) => (Err(error), 0),
                Err(error) => (complain(&error.to_string()), error.exit_code()),
            };
        }
    };
    (out.write_all(text.as_bytes()), 0)
}

/// Where kernels are built: beside the profile's folder that this program stands in, `target/kernelgen`.
fn folder() -> PathBuf {
    let program = std::env::current_exe().ok();
    let examples = program.as_deref().and_then(Path::parent).filter(|folder| folder.ends_with("examples"));
    let target = examples.and_then(Path::parent).and_then(Path::parent).map(Path::to_owned);
    target.unwrap_or_else(|| Path::new(package::CHECKOUT).join("target")).join("kernelgen")
}

/// To standard error. Not by `eprintln!`, which panics if that is closed.
fn complain(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "kernelgen: {text}")
}
