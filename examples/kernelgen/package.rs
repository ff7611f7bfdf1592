//! Packages of Cargo around emitted Rust: written, and built with a target folder of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// The manifest: a workspace of its own, so that neither the profiles nor the features of the crate's own one reach it.
const MANIFEST: &str = "\
[workspace]

[package]
name = \"NAME\"
version = \"0.0.0\"
edition = \"2024\"
publish = false

[dependencies]
bhc-rts-alloc = { path = CRATE }

[profile.release]
debug = 0
incremental = false
";

/// Why a package was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot write `{0}`: {1}")]
    Write(PathBuf, io::Error),
    #[error("cannot run cargo: {0}")]
    Cargo(io::Error),
    /// What it needs is not on this machine, and could not be fetched.
    #[error("the crates that the kernel needs are not there:\n{0}")]
    Offline(String),
    #[error("the kernel does not compile:\n{0}")]
    Compile(String),
}

/// Where the crate is that generated code depends on: the checkout that this was built from.
pub const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

/// Writes a package of that name with these files below `src`. What did not change is not touched, so that it need not
/// be built again.
///
/// # Errors
/// If it cannot be written.
pub fn write(folder: &Path, name: &str, files: &[(&str, String)]) -> Result<(), BuildError> {
    let checkout = format!("{CHECKOUT:?}");
    let mut all = vec![("Cargo.toml".to_owned(), MANIFEST.replace("NAME", name).replace("CRATE", &checkout))];
    all.extend(files.iter().map(|(name, text)| (format!("src/{name}"), text.clone())));
    for (name, text) in all {
        let path = folder.join(name);
        let written = || {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            if fs::read_to_string(&path).is_ok_and(|old| old == text) { Ok(()) } else { fs::write(&path, text) }
        };
        written().map_err(|error| BuildError::Write(path.clone(), error))?;
    }
    // The versions that the crate itself is built with; Cargo drops what is not needed.
    let (lock, own) = (folder.join("Cargo.lock"), Path::new(CHECKOUT).join("Cargo.lock"));
    if !lock.exists() && own.exists() {
        fs::copy(&own, &lock).map_err(|error| BuildError::Write(lock, error))?;
    }
    Ok(())
}

/// Runs `cargo` with these arguments on a package, from what is on this machine if that will do. The artefacts go to
/// `target`, which packages may share.
///
/// # Errors
/// If there is no cargo, or no crates, or the package does not compile.
pub fn cargo(folder: &Path, target: &Path, arguments: &[&str]) -> Result<(), BuildError> {
    let offline = run_cargo(folder, target, arguments, true);
    match offline {
        Err(BuildError::Offline(_)) => run_cargo(folder, target, arguments, false),
        _ => offline,
    }
}

fn run_cargo(folder: &Path, target: &Path, arguments: &[&str], offline: bool) -> Result<(), BuildError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    // What this process was built with must not reach the package: other targets, profiles or sanitizers.
    for (name, _) in std::env::vars_os() {
        let foreign = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "RUSTC_W"];
        if foreign.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    // No flags. Set, not removed, as that goes before those of a configuration file.
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", "").env("CARGO_TERM_COLOR", "never");
    cargo.args(&arguments[..1]).args(offline.then_some("--offline"));
    cargo.arg("--manifest-path").arg(folder.join("Cargo.toml")).arg("--target-dir").arg(target);
    let output = cargo.args(&arguments[1..]).output().map_err(BuildError::Cargo)?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let signs = ["failed to download", "failed to get", "no matching package", "--offline", "Could not resolve host"];
    Err(match signs.iter().any(|sign| errors.contains(sign)) {
        true => BuildError::Offline(errors),
        false => BuildError::Compile(errors),
    })
}
