//! What compilers make of `sum (map (*2) xs)`.

use std::collections::{BTreeMap, BTreeSet};

use crate::clib::C11;
use crate::compiled::{build, folder};
use crate::generator::emit_c::emit_c;
use crate::generator::emit_rust::emit_rust;
use crate::generator::language::Element;
use crate::generator::plan::LANES;
use crate::programs::planned;
use crate::skip;

/// The functions of an assembly file: labels, and instructions as mnemonic and operands.
fn functions(text: &str) -> BTreeMap<String, Vec<Line>> {
    let mut functions: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().map(str::trim) {
        match line.strip_suffix(':') {
            Some(label) if label.starts_with(".L") => {
                functions.entry(current.clone()).or_default().push(Line::Label(label.to_owned()));
            }
            Some(name) => current = name.to_owned(),
            None if line.is_empty() || line.starts_with(['.', '#']) => {}
            None => {
                let (mnemonic, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                let line = Line::Instruction(mnemonic.to_owned(), operands.trim().to_owned());
                functions.entry(current.clone()).or_default().push(line);
            }
        }
    }
    functions
}

#[derive(Debug)]
enum Line {
    Label(String),
    Instruction(String, String),
}

impl Line {
    fn mnemonic(&self) -> &str {
        if let Self::Instruction(mnemonic, _) = self { mnemonic } else { "" }
    }

    fn operands(&self) -> &str {
        if let Self::Instruction(_, operands) = self { operands } else { "" }
    }

    /// `addps`, `vmulps`: arithmetic on whole vectors.
    fn is_packed(&self, operation: &str) -> bool {
        self.mnemonic().trim_start_matches('v') == format!("{operation}ps")
    }
}

/// The innermost loops: from a label to a jump back to it, without another jump.
fn loops(function: &[Line]) -> impl Iterator<Item = &[Line]> {
    let is_jump = |line: &Line| line.mnemonic().starts_with('j');
    let jumps = function.iter().enumerate().filter(move |(_, line)| is_jump(line));
    jumps.filter_map(move |(end, jump)| {
        let is_target = |line: &Line| matches!(line, Line::Label(label) if label == jump.operands());
        let body = &function[function[..end].iter().position(is_target)?..end];
        (!body.iter().any(is_jump)).then_some(body)
    })
}

/// One loop multiplies and adds whole vectors, as many as the lanes take and all independent, and no other loop adds as
/// many; nothing is called. There may be so many `copies` of the loop.
fn assert_fused(what: &str, function: &[Line], register: &str, copies: usize) {
    let text = || function.iter().map(|line| format!("{line:?}\n")).collect::<String>();
    let call = function.iter().find(|line| line.mnemonic().starts_with("call"));
    assert!(call.is_none(), "{what} calls {call:?}\n{}", text());
    let bytes = match register {
        "%zmm" => 64,
        "%ymm" => 32,
        _ => 16,
    };
    let vectors = LANES * size_of::<f32>() / bytes;
    let count = |body: &[Line], operation| body.iter().filter(|line| line.is_packed(operation)).count();
    // The tree at the end adds half of the lanes to the other half.
    let main: Vec<&[Line]> = loops(function).filter(|body| count(body, "add") >= vectors).collect();
    assert!((1..=copies).contains(&main.len()), "{what}: {} loops over the elements\n{}", main.len(), text());
    for body in main {
        // Doubling is a multiplication, or an addition of a register to itself.
        let operations = count(body, "add") + count(body, "mul");
        assert_eq!(operations % (2 * vectors), 0, "{what}: operations on whole vectors\n{}", text());
        let packed = || body.iter().filter(|line| line.is_packed("add") || line.is_packed("mul"));
        assert!(packed().all(|line| line.operands().contains(register)), "{what}: {register}\n{}", text());
        let accumulators: BTreeSet<&str> = packed().filter_map(|line| line.operands().rsplit(", ").next()).collect();
        assert!(accumulators.len() >= vectors.min(8), "{what}: independent accumulators\n{}", text());
    }
}

#[test]
fn a_fused_sum_in_rust_is_one_loop_in_whole_vectors_without_a_call() {
    if cfg!(not(target_arch = "x86_64")) {
        return skip("assembly is written for x86-64");
    }
    let plan = planned("sum (map (*2) xs)", Element::F32);
    let lib = "pub mod doubled;\n\
        use bhc_rts_alloc::{Align, AlignedSlice, SimdLevel};\n\
        #[inline(never)]\n\
        pub fn probe(level: SimdLevel, xs: &AlignedSlice<f32, Align<64>>) -> f32 {\n    doubled::doubled(level, xs)\n}\n";
    let file = folder().join("assembly/probe.s");
    let emit = format!("--emit=asm={}", file.display());
    let files = [("lib.rs", lib.to_owned()), ("doubled.rs", emit_rust(&plan, "doubled"))];
    match build("assembly", &files, &["rustc", "--release", "--lib", "--", "-Ccodegen-units=1", &emit]) {
        Ok(true) => {}
        Ok(false) => return,
        Err(errors) => panic!("{errors}"),
    }
    let functions = functions(&std::fs::read_to_string(&file).expect("the compiler wrote the assembly"));
    let copies: Vec<(&String, &Vec<Line>)> = functions.iter().filter(|(name, _)| name.contains("doubled_0")).collect();
    let mut seen = BTreeSet::new();
    for (name, function) in copies {
        let level = ["avx512", "avx2", "avx"].into_iter().find(|level| name.contains(&format!("__bhc_{level}")));
        let register = match level {
            Some("avx512") => "%zmm",
            Some(_) => "%ymm",
            None => "%xmm",
        };
        assert_fused(name, function, register, 1);
        assert!(seen.insert(level), "two copies for {level:?}");
    }
    assert_eq!(seen.len(), 4, "a copy for each level: {:?}", functions.keys());
}

#[test]
fn a_fused_sum_in_c_is_one_loop_in_whole_vectors_without_a_call() {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))) {
        return skip("assembly of C is written for x86-64 Linux");
    }
    let version = std::process::Command::new("cc").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("Free Software Foundation")) {
        return skip("`cc` is not GCC");
    }
    let plan = planned("sum (map (*2) xs)", Element::F32);
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("doubled.c");
    std::fs::write(&source, emit_c(&plan, "doubled")).expect("the file is written");
    let assembly = C11.assembly(&source, &["-O3", "-DNDEBUG"]).unwrap_or_else(|errors| panic!("{errors}"));
    let functions = functions(&assembly);
    for (copy, register) in [("avx512f", "%zmm"), ("avx2", "%ymm"), ("default", "%xmm")] {
        let wanted = |name: &str| name.starts_with("doubled_0.") && name.split('.').any(|part| part == copy);
        let (name, function) = functions
            .iter()
            .find(|(name, _)| wanted(name))
            .unwrap_or_else(|| panic!("no copy for {copy}: {:?}", functions.keys()));
        // GCC may take two steps at a time, and then has a loop for the last one.
        assert_fused(name, function, register, 2);
    }
}
