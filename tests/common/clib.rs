//! The library as programs in C and C++ get it: built, linked, compiled against, run.
//!
//! * [`library`] is built once by a test process (and by later ones only if the source changed), plainly, whatever the
//!   tests themselves are built with; [`sanitized`] is the one that tells AddressSanitizer which memory nobody has.
//! * Programs are compiled with all warnings as errors, into a folder that goes with the [`Executable`].
//! * What the machine lacks (a C compiler, crates that are not there, valgrind, a sanitizer's library) is said loudly,
//!   and answered by `None`.

#![allow(dead_code, reason = "a vocabulary: no test binary uses every word of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

/// What a program is linked with beside the library, which is in need of it.
const NATIVE: &[&str] = &["-lpthread", "-ldl", "-lm"];

/// The folder of the header.
const INCLUDE: &str = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");

/// Says, past the capture of the test harness, that something was not tested.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: C ABI: {why}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    C11,
    Cpp17,
}

pub use Language::*;

impl Language {
    /// Its compiler, told about the header and to let no warning pass.
    pub fn compiler(self) -> Command {
        let mut compiler = Command::new(match self {
            C11 => "cc",
            Cpp17 => "c++",
        });
        compiler.args(match self {
            C11 => ["-std=c11", "-xc"],
            Cpp17 => ["-std=c++17", "-xc++"],
        });
        // pthreads, clocks and signals beside what is in C11.
        compiler.args(["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", INCLUDE]);
        compiler
    }

    /// What the compiler makes of a file, as assembly; or what it says if it refuses it.
    pub fn assembly(self, source: &Path, flags: &[&str]) -> Result<String, String> {
        done(self.compiler().args(flags).arg(source).args(["-S", "-o", "-"]))
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Runs a compiler: its output, or its errors.
fn done(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The library, as a static and as a dynamic one.
#[derive(Debug)]
pub struct Library {
    archive: PathBuf,
    shared: PathBuf,
    sanitized: bool,
}

/// The library as it is released.
pub fn library() -> Option<&'static Library> {
    static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(|| Library::build(false));
    LIBRARY.as_ref()
}

/// The library for programs that are compiled with `-fsanitize=address`.
pub fn sanitized() -> Option<&'static Library> {
    static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().ok()?;
        let source = folder.path().join("empty.c");
        std::fs::write(&source, "int main(void) { return 0; }\n").ok()?;
        let empty = link(C11, &source, &["-fsanitize=address"], &[], folder).map(|empty| empty.run(&[]));
        if !empty.as_ref().is_ok_and(|output| output.status.success()) {
            skip(&format!("no AddressSanitizer for C: {empty:?}"));
            return None;
        }
        Library::build(true)
    });
    LIBRARY.as_ref()
}

impl Library {
    fn build(sanitized: bool) -> Option<Self> {
        if cfg!(not(all(unix, target_pointer_width = "64"))) {
            skip("written for Unix, with addresses of 64 bits");
            return None;
        }
        for compiler in ["cc", "c++"] {
            if Command::new(compiler).arg("--version").output().is_err() {
                skip(&format!("no compiler `{compiler}`"));
                return None;
            }
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["rustc", "--locked", "--release", "--lib", "--features", "capi"])
            .args(["--crate-type", if sanitized { "staticlib" } else { "staticlib,cdylib" }])
            .arg("--message-format=json-render-diagnostics")
            .arg("--manifest-path")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(if sanitized { "capi-asan" } else { "capi" }));
        // What this test run was configured with must not reach the library: other targets, profiles or sanitizers.
        for (name, _) in std::env::vars_os() {
            let foreign = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "RUSTC_W"];
            if foreign.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                cargo.env_remove(&name);
            }
        }
        // Flags are set, not removed, as they go before those of a configuration file. What calls AddressSanitizer is in
        // the crate itself; linking with `-fsanitize=address` brings what is called.
        cargo
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", if sanitized { "--cfg\u{1f}bhc_asan" } else { "" })
            .envs([("CARGO_PROFILE_RELEASE_DEBUG", "0"), ("CARGO_INCREMENTAL", "0")]);

        let output = cargo.output().expect("cargo, which runs this test, can be run");
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let offline = ["failed to download", "failed to get", "--offline", "Could not resolve host"];
            assert!(offline.iter().any(|sign| errors.contains(sign)), "the library does not build:\n{errors}");
            skip(&format!("the crates that the library needs are not there:\n{errors}"));
            return None;
        }
        let files = files_of(&String::from_utf8_lossy(&output.stdout));
        let file = |extensions: &[&str]| {
            let is_one = |file: &&PathBuf| file.extension().is_some_and(|is| extensions.iter().any(|one| is == *one));
            files.iter().find(is_one).cloned()
        };
        let archive = file(&["a"]).expect("cargo says where the static library is");
        let shared = file(&["so", "dylib"]).unwrap_or_default();
        Some(Self { archive, shared, sanitized })
    }

    /// A program of one file with the static library in it; what the compiler says if it refuses it.
    pub fn compile(&self, language: Language, source: &Path, flags: &[&str]) -> Result<Executable, String> {
        let mut flags = flags.to_vec();
        if self.sanitized {
            flags.extend(["-fsanitize=address", "-g"]);
        }
        link(language, source, &flags, &[&text(&self.archive)], folder())
    }

    /// As [`compile`](Self::compile), with the dynamic library.
    pub fn compile_dynamic(&self, language: Language, source: &Path, flags: &[&str]) -> Result<Executable, String> {
        let place = self.shared.parent().map(text).unwrap_or_default();
        link(language, source, flags, &[&text(&self.shared), &format!("-Wl,-rpath,{place}")], folder())
    }
}

/// The files that cargo says it has made of this crate.
fn files_of(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ours = messages.filter(|message| message["target"]["name"] == "bhc_rts_alloc");
    let files = ours.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    files.filter_map(|file| file.as_str().map(PathBuf::from)).collect()
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path that is text").to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("room for a program")
}

fn link(
    language: Language,
    source: &Path,
    flags: &[&str],
    with: &[&str],
    folder: TempDir,
) -> Result<Executable, String> {
    let file = folder.path().join("program");
    let mut compiler = language.compiler();
    compiler.args(flags).arg(source).args(["-xnone", "-o"]).arg(&file).args(with).args(NATIVE);
    done(&mut compiler).map(|_| Executable { file, _folder: folder })
}

/// A program, which is removed when this is dropped.
#[derive(Debug)]
pub struct Executable {
    file: PathBuf,
    _folder: TempDir,
}

impl Executable {
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// To be run with nothing of this test run's settings of sanitizers.
    pub fn command(&self) -> Command {
        self.within(None)
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("a program that was just made can be run")
    }

    /// To be run under valgrind, which ends it with status 99 if it finds something; `None`, having said so, if there is
    /// none.
    pub fn under_valgrind(&self) -> Option<Command> {
        static IS_THERE: LazyLock<bool> = LazyLock::new(|| {
            let is_there = Command::new("valgrind").arg("--version").output().is_ok();
            if !is_there {
                skip("no valgrind");
            }
            is_there
        });
        IS_THERE.then(|| {
            let mut valgrind = self.within(Some("valgrind"));
            valgrind.args(["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite"]);
            valgrind.arg(&self.file);
            valgrind
        })
    }

    fn within(&self, tool: Option<&str>) -> Command {
        let mut command = tool.map_or_else(|| Command::new(&self.file), Command::new);
        // Requests for all of the address space are to be refused, not to end the program.
        command.env("ASAN_OPTIONS", "allocator_may_return_null=1").env_remove("LD_PRELOAD");
        command
    }
}

/// What a program printed, for the message of an assertion.
pub fn printed(output: &Output) -> String {
    let Output { status, stdout, stderr } = output;
    format!("{status}\n{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}
