//! The command line.

use std::path::PathBuf;

pub const USAGE: &str = "\
usage: cargo bench -p bench --bench peers -- [--filter PREFIX]... [--quick] [--json FILE]
  --filter PREFIX  only the rows whose name starts with PREFIX; several add up
  --quick          few, short samples and less work for programs: a test that the rows run, not a measurement
  --json FILE      write the results to FILE too";

#[derive(Debug, Default)]
pub struct Args {
    pub filters: Vec<String>,
    pub quick: bool,
    pub json: Option<PathBuf>,
}

/// What the program is started with for one sample of a row of memory; the names of the row and of the contender follow.
pub const CHILD: &str = "--child";

/// What the command line asks for.
pub enum Request {
    Measure(Args),
    Child { row: String, contender: String },
    Help,
}

/// # Errors
/// What is wrong, for a person.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Request, String> {
    let mut parsed = Args::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value = |what: &str| args.next().ok_or_else(|| format!("{arg} needs {what} after it"));
        match arg.as_str() {
            "--filter" => parsed.filters.push(value("the beginning of a row's name")?),
            "--json" => parsed.json = Some(value("a file name")?.into()),
            "--quick" => parsed.quick = true,
            "--bench" => {} // cargo adds it
            CHILD => {
                return Ok(Request::Child { row: value("a row's name")?, contender: value("a contender's name")? });
            }
            "--help" | "-h" => return Ok(Request::Help),
            _ => return Err(format!("unknown argument: {arg}")),
        }
    }
    Ok(Request::Measure(parsed))
}

impl Args {
    /// Whether a row is asked for.
    pub fn wants(&self, row: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|prefix| row.starts_with(prefix.as_str()))
    }
}
