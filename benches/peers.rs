//! `cargo bench -p bench --bench peers [-- --filter PREFIX]... [--quick] [--json FILE]`: us and each peer on the same
//! work, in turn, in one run.
//!
//! For each row it prints our time (or memory), each peer's and our ratio to it, and whether the row's bars are met. A missed bar is
//! no failure: times depend on the machine. How times and ratios come about stands in [`harness`].
//!
//! A row is added in a file of `rows`, and a new file to [`rows`].

mod arenas;
mod common;
mod harness;
mod heaps;
mod rows;

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use harness::args::{self, Request};
use harness::{Plan, Row, child, measure, report};

fn rows() -> Vec<Row> {
    use rows::{arena, buffer, collector, kernel, pinned, rts};
    let groups = [buffer::ROWS, kernel::ROWS, arena::ROWS, pinned::ROWS, collector::ROWS, rts::ROWS];
    groups.into_iter().flatten().copied().collect()
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("peers: {message}\n{}", args::USAGE);
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let args = match args::parse(std::env::args().skip(1))? {
        Request::Measure(args) => args,
        Request::Child { row, contender } => {
            let row = rows().into_iter().find(|one| one.name == row).ok_or_else(|| format!("there is no row {row}"))?;
            return child::run(&row, &contender);
        }
        Request::Help => {
            println!("{}", args::USAGE);
            return Ok(());
        }
    };
    let all = rows();
    if let Some(prefix) = args.filters.iter().find(|prefix| !all.iter().any(|row| row.name.starts_with(*prefix))) {
        let names: Vec<&str> = all.iter().map(|row| row.name).collect();
        return Err(format!("no row starts with {prefix}; there are: {}", names.join(", ")));
    }

    // Before measuring, so that a name that does not work is known at once.
    let in_file = |error: std::io::Error| format!("the file of --json: {error}");
    let mut json = args.json.as_ref().map(File::create).transpose().map_err(in_file)?;

    let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
    println!("CPU level {}; ratio = ours / peer, * = best peer", rows::kernel::level());
    let mut outcomes = Vec::new();
    for row in all.iter().filter(|row| args.wants(row.name)) {
        let outcome = measure(row, plan);
        report::print(&outcome);
        outcomes.push(outcome);
    }
    if let Some(file) = &mut json {
        file.write_all(report::json(&outcomes).as_bytes()).map_err(in_file)?;
    }
    Ok(())
}
