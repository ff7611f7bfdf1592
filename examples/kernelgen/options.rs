//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::language::Element;
use super::names::is_kernel_name;

/// What to do.
#[derive(Debug)]
pub enum Command {
    Help,
    Generate(Options),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    Plan,
    Rust,
    C,
    Run,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub program: String,
    pub emit: Emit,
    pub element: Element,
    /// What the kernel is called.
    pub name: String,
    /// Files, and the inputs that they are for, where that is said.
    pub inputs: Vec<(Option<String>, PathBuf)>,
    /// Results, and the files that they go to.
    pub outputs: Vec<(String, PathBuf)>,
}

pub const USAGE: &str = "\
Compiles array expressions to kernels over typed buffers, and runs them.

usage: kernelgen PROGRAM [--emit run|rust|c|plan] [--type f32|f64|i32|i64] [--name NAME]
                 [[NAME=]FILE]... [--out NAME=FILE]...

  PROGRAM          such as 'sum (map (*2) xs)'
  --emit WHAT      run the kernel (the default), or print it as Rust or as C, or print its loops
  --type TYPE      of all elements (default: the extension of the files, or else f32)
  --name NAME      of the function (default: kernel)
  [NAME=]FILE      the elements of an input: little-endian, nothing else in the file;
                   without NAME= the next input in the order in which the program names them
  --out NAME=FILE  writes a result to a file, in the same form
  --help           this text

A program is expressions and definitions, separated by `;` or new lines. Names that are not defined
are inputs. Results are what no other definition uses, and a last expression without a name.

  map (*2) xs           each element; also (2*) (+1) (2-) (/s) (subtract 1) (max 0) (min 9),
                        negate, abs, sqrt
  zipWith (+) xs ys     pairs, as many as the shorter has; also (-) (*) (/) max min
  sum xs                maximum xs, minimum xs; of no elements 0, the least and the greatest number
  m = maximum xs; map (subtract m) xs      -- scalars may be used in sections

All numbers are of one type. Integers wrap around and have no `/` and no sqrt. `max x y` is x if it
is greater and y otherwise; maximum and minimum pass over NaN. Sums of floats are added up in an
order of their own, which is the same in Rust, in C and with any instruction set.

Exit code: 0 if done, 1 if the kernel could not be built or run, or computes something else than
the interpreter does, 2 if the program or the arguments make no sense.
";

/// Understands the arguments after the program's name.
///
/// # Errors
/// What is wrong with them, as a sentence.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let (mut program, mut emit, mut element, mut name) = (None, Emit::Run, None, "kernel".to_owned());
    let (mut inputs, mut outputs, mut only_files) = (Vec::new(), Vec::new(), false);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if only_files || !text.starts_with('-') {
            match program {
                None => program = Some(argument.into_string().map_err(|_| "the program is not UTF-8")?),
                Some(_) => inputs.push(input(&argument)),
            }
            continue;
        }
        if text == "--" {
            only_files = true;
            continue;
        }
        if text == "--help" || text == "-h" {
            return Ok(Command::Help);
        }
        let (option, value) = match split(&argument) {
            Some((option, value)) => (option, Some(value)),
            None => (text.into_owned(), None),
        };
        if !["--emit", "--type", "--name", "--out"].contains(&option.as_str()) {
            return Err(format!("there is no option `{}`", option.escape_debug()));
        }
        let value = value.or_else(|| arguments.next()).ok_or_else(|| format!("{option} wants a value"))?;
        let text = value.to_string_lossy();
        let refuse = |wanted: &str| Err(format!("{option} wants {wanted}, not `{}`", text.escape_debug()));
        match option.as_str() {
            "--emit" => match &*text {
                "run" => emit = Emit::Run,
                "rust" => emit = Emit::Rust,
                "c" => emit = Emit::C,
                "plan" => emit = Emit::Plan,
                _ => return refuse("run, rust, c or plan"),
            },
            "--type" => match Element::from_name(&text) {
                Some(chosen) => element = Some(chosen),
                None => return refuse("f32, f64, i32 or i64"),
            },
            "--name" => match is_kernel_name(&text) {
                true => name = text.into_owned(),
                false => return refuse("a lower-case name that Rust and C leave free"),
            },
            _ => match split(&value) {
                Some((name, file)) if !file.is_empty() => outputs.push((name, PathBuf::from(file))),
                _ => return refuse("NAME=FILE"),
            },
        }
    }
    let program = program.ok_or("no PROGRAM is given")?;
    let element = match element {
        Some(element) => element,
        None => element_of(&inputs)?,
    };
    Ok(Command::Generate(Options { program, emit, element, name, inputs, outputs }))
}

/// `before=after`. What comes after need not be UTF-8.
fn split(argument: &OsStr) -> Option<(String, OsString)> {
    let bytes = argument.as_encoded_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let name = str::from_utf8(&bytes[..at]).ok()?.to_owned();
    // SAFETY: the bytes are those of an `OsStr`, cut after a character of UTF-8, which is where they may be cut.
    let rest = unsafe { OsStr::from_encoded_bytes_unchecked(&bytes[at + 1..]) };
    Some((name, rest.to_owned()))
}

/// `xs=file`, or a file. (A file whose name has a `=` after a word: `./a=b`.)
fn input(argument: &OsStr) -> (Option<String>, PathBuf) {
    match split(argument) {
        Some((name, file)) if is_input_name(&name) => (Some(name), PathBuf::from(file)),
        _ => (None, PathBuf::from(argument)),
    }
}

fn is_input_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '\'')
}

/// What the extensions of the files say.
fn element_of(inputs: &[(Option<String>, PathBuf)]) -> Result<Element, String> {
    let mut found: Option<(Element, &Path)> = None;
    for (_, file) in inputs {
        let element = file.extension().and_then(OsStr::to_str).and_then(Element::from_name);
        let element = element
            .ok_or_else(|| format!("`{}` does not end in .f32, .f64, .i32 or .i64; say --type", printable(file)))?;
        match found {
            Some((other, first)) if other != element => {
                let (first, file) = (printable(first), printable(file));
                return Err(format!("`{first}` and `{file}` are of two types; say --type"));
            }
            _ => found = Some((element, file)),
        }
    }
    Ok(found.map_or(Element::F32, |(element, _)| element))
}

/// A path, without what a terminal would obey.
pub fn printable(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
