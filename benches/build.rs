//! Compiles what of the benchmarks is in C, and has kernels made by examples/kernelgen.
//!
//! C is compiled as it says itself that it is to be, also where cargo is told to optimise less. What it calls comes from
//! the crate, which is linked after it.

#![allow(dead_code, reason = "of the generator what emits code is used")]

#[path = "../examples/kernelgen/element.rs"]
mod element;
#[path = "../examples/kernelgen/emit_c.rs"]
mod emit_c;
#[path = "../examples/kernelgen/emit_rust.rs"]
mod emit_rust;
#[path = "../examples/kernelgen/graph.rs"]
mod graph;
#[path = "../examples/kernelgen/language.rs"]
mod language;
#[path = "../examples/kernelgen/names.rs"]
mod names;
#[path = "../examples/kernelgen/plan.rs"]
mod plan;

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const SOURCES: [&str; 2] = ["c/alloc.c", "c/trees.c"];
    const HEADER: &str = "../include";
    const GENERATOR: &str = "../examples/kernelgen";

    for path in SOURCES.into_iter().chain(["build.rs", HEADER, GENERATOR]) {
        println!("cargo::rerun-if-changed={path}");
    }
    c11().files(SOURCES).include(HEADER).opt_level(2).compile("benches");
    let kernels = kernel("fused_sum_map", "sum (map (*2) xs)")?;
    c11().file(kernels).opt_level(3).flag("-fno-math-errno").compile("kernels");
    Ok(())
}

fn c11() -> cc::Build {
    let mut build = cc::Build::new();
    build.std("c11").warnings_into_errors(true);
    build
}

/// Writes the kernel of a program over `f32`, in Rust and in C: `name.rs`, and the file that is returned.
fn kernel(name: &str, program: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let plan = language::parse(program)
        .and_then(|program| plan::plan(&program, language::Element::F32))
        .map_err(|error| io::Error::other(error.to_string()))?;
    let directory = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(directory.join(name).with_extension("rs"), emit_rust::emit_rust(&plan, name))?;
    let in_c = directory.join(name).with_extension("c");
    fs::write(&in_c, emit_c::emit_c(&plan, name))?;
    Ok(in_c)
}
