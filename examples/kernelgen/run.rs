//! Compiles a kernel, runs it on files, and compares what it computes with what the interpreter does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::driver::emit_driver;
use super::emit_rust::emit_rust;
use super::graph::Graph;
use super::interpret::{Scalar, Value, interpret};
use super::language::Element;
use super::options::{Options, printable};
use super::package::{self, BuildError};
use super::plan::Plan;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What is wrong with the arguments.
    #[error("{0}")]
    Arguments(String),
    #[error("cannot read `{}`: {}", printable(.0), .1)]
    Read(PathBuf, io::Error),
    #[error("`{}` has {bytes} bytes, not a whole number of {element}s of {} bytes", printable(.file), .element.size())]
    Size { file: PathBuf, bytes: u64, element: Element },
    #[error("cannot write `{}`: {}", printable(.0), .1)]
    Write(PathBuf, io::Error),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the kernel failed: {0}")]
    Kernel(String),
    #[error("`{name}`: the kernel computes {kernel}, the interpreter {interpreter}")]
    Differs { name: String, kernel: String, interpreter: String },
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

impl RunError {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(_) | Self::Read(..) | Self::Size { .. } => 2,
            _ => 1,
        }
    }
}

/// A file for each input, in the order of the inputs.
///
/// # Errors
/// If there are too few or too many, or one is for an input that there is not.
pub fn assign<'o>(graph: &Graph, options: &'o Options) -> Result<Vec<&'o Path>, RunError> {
    let mut files: Vec<Option<&Path>> = vec![None; graph.inputs.len()];
    let refuse = |text: String| Err(RunError::Arguments(text));
    for (name, file) in &options.inputs {
        let Some(name) = name else { continue };
        match graph.inputs.iter().position(|input| input == name) {
            None => return refuse(format!("the program has no input `{name}`")),
            Some(at) if files[at].is_some() => return refuse(format!("there are two files for the input `{name}`")),
            Some(at) => files[at] = Some(file),
        }
    }
    for (_, file) in options.inputs.iter().filter(|(name, _)| name.is_none()) {
        match files.iter_mut().find(|file| file.is_none()) {
            Some(free) => *free = Some(file),
            None => return refuse(format!("there is no input for `{}`", printable(file))),
        }
    }
    for (name, _) in &options.outputs {
        if !graph.outputs.iter().any(|output| output.name == *name) {
            return refuse(format!("the program has no result `{name}`"));
        }
    }
    match files.iter().position(Option::is_none) {
        Some(at) => refuse(format!("there is no file for the input `{}`", graph.inputs[at])),
        None => Ok(files.into_iter().flatten().collect()),
    }
}

/// What the package around a kernel is called.
const PACKAGE: &str = "generated";

/// Runs the kernel on its files, in a package in `folder`, and writes the results and statistics to `out`.
///
/// # Errors
/// If a file cannot be read, the kernel not be built or run, or its results are wrong.
pub fn run(plan: &Plan, options: &Options, folder: &Path, out: &mut impl Write) -> Result<(), RunError> {
    let files = assign(&plan.graph, options)?;
    match plan.graph.element {
        Element::F32 => run_as::<f32>(plan, options, &files, folder, out),
        Element::F64 => run_as::<f64>(plan, options, &files, folder, out),
        Element::I32 => run_as::<i32>(plan, options, &files, folder, out),
        Element::I64 => run_as::<i64>(plan, options, &files, folder, out),
    }
}

fn run_as<T: Scalar>(
    plan: &Plan,
    options: &Options,
    files: &[&Path],
    folder: &Path,
    out: &mut impl Write,
) -> Result<(), RunError> {
    let graph = &plan.graph;
    let inputs: Vec<Vec<T>> = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let inputs: Vec<&[T]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = interpret(graph, &inputs);

    fs::create_dir_all(folder).map_err(|error| RunError::Write(folder.to_owned(), error))?;
    // One run at a time: they use the same package.
    let lock = folder.join("lock");
    let locked = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _locked = locked.map_err(|error| RunError::Write(lock, error))?;
    let files_of_package =
        [("main.rs", emit_driver(plan, &options.name)), ("kernel.rs", emit_rust(plan, &options.name))];
    let package = folder.join("package");
    package::write(&package, PACKAGE, &files_of_package)?;
    let target = folder.join("target");
    package::cargo(&package, &target, &["build", "--release"])?;

    let results = folder.join("results");
    let fresh = if results.exists() { fs::remove_dir_all(&results) } else { Ok(()) };
    fresh.and_then(|()| fs::create_dir_all(&results)).map_err(|error| RunError::Write(results.clone(), error))?;
    let program = target.join("release").join(format!("{PACKAGE}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).arg(&results).args(files).output();
    let output = output.map_err(|error| RunError::Kernel(error.to_string()))?;
    if !output.status.success() {
        return Err(RunError::Kernel(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()));
    }

    for (at, (result, expected)) in graph.outputs.iter().zip(&expected).enumerate() {
        let elements: Vec<T> = read(&results.join(at.to_string()))?;
        let expected = match expected {
            Value::Scalar(value) => std::slice::from_ref(value),
            Value::Array(values) => values,
        };
        compare(&result.name, &elements, expected)?;
        if graph.is_array(result.node) {
            writeln!(out, "{}: {}", result.name, summary(&elements))?;
        } else {
            writeln!(out, "{} = {:?}", result.name, elements[0])?;
        }
        for (name, file) in &options.outputs {
            if *name == result.name {
                let bytes: Vec<u8> =
                    elements.iter().flat_map(|element| element.to_bytes().into_iter().take(size_of::<T>())).collect();
                fs::write(file, bytes).map_err(|error| RunError::Write(file.clone(), error))?;
            }
        }
    }
    writeln!(out, "as the interpreter computes it, to the bit\n")?;
    out.write_all(&output.stdout)?;
    Ok(())
}

/// The elements in a file.
fn read<T: Scalar>(file: &Path) -> Result<Vec<T>, RunError> {
    let bytes = fs::read(file).map_err(|error| RunError::Read(file.to_owned(), error))?;
    let elements = bytes.chunks_exact(size_of::<T>());
    if !elements.remainder().is_empty() {
        return Err(RunError::Size { file: file.to_owned(), bytes: bytes.len() as u64, element: T::ELEMENT });
    }
    Ok(elements.map(T::from_bytes).collect())
}

/// NaNs are as good as each other: which bits they have is not defined.
#[expect(clippy::eq_op, reason = "only a NaN is not equal to itself")]
pub fn is_same<T: Scalar>(x: T, y: T) -> bool {
    x.to_bytes() == y.to_bytes() || x != x && y != y
}

fn compare<T: Scalar>(name: &str, kernel: &[T], interpreter: &[T]) -> Result<(), RunError> {
    let differs = |name: String, kernel: String, interpreter: String| RunError::Differs { name, kernel, interpreter };
    if kernel.len() != interpreter.len() {
        let elements = |len: usize| format!("{len} elements");
        return Err(differs(name.to_owned(), elements(kernel.len()), elements(interpreter.len())));
    }
    match kernel.iter().zip(interpreter).position(|(x, y)| !is_same(*x, *y)) {
        None => Ok(()),
        Some(at) => {
            let (kernel, interpreter) = (format!("{:?}", kernel[at]), format!("{:?}", interpreter[at]));
            Err(differs(format!("{name}[{at}]"), kernel, interpreter))
        }
    }
}

/// `1000 elements: 1.0, 2.0, 3.0, …`
fn summary<T: Scalar>(elements: &[T]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = elements.iter().take(SHOWN).map(|element| format!("{element:?}")).collect();
    if elements.len() > SHOWN {
        shown.push("…".to_owned());
    }
    let count = if elements.len() == 1 { "1 element".to_owned() } else { format!("{} elements", elements.len()) };
    if shown.is_empty() { count } else { format!("{count}: {}", shown.join(", ")) }
}
