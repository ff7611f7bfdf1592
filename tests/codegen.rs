//! What the compiler makes of the hot paths: builds the crate in tests/codegen for plain x86-64 and reads its assembly.
//!
//! Speed itself is measured in benches/; what is held here is the shape that the speed depends on, so that a change of
//! the compiler or of the code that loses it is noticed by a test. Each assertion is about one trap of which one was
//! seen: gathers out of 16-element chunks, half-filled vectors where a tree of additions seeds the vectoriser with pairs,
//! accumulators that depend on each other, `fmaf` out of the C library, an element-wise copy where `memcpy` would do.

#![cfg(not(any(bhc_asan, miri)))]

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

#[path = "codegen/arena.rs"]
mod arena;
#[path = "codegen/general.rs"]
mod general;
#[path = "codegen/pinned.rs"]
mod pinned;

/// Says, past the capture of the test harness, that something was not tested.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: machine code: {why}");
}

/// The assembly of the crate in tests/codegen; `None`, having said why, if it cannot be had here.
fn assembly() -> Option<&'static Assembly> {
    static ASSEMBLY: LazyLock<Option<Assembly>> = LazyLock::new(|| {
        if cfg!(not(target_arch = "x86_64")) {
            skip("written for x86-64");
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codegen");
        let file = folder.join("probe.s");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["rustc", "--release", "--locked", "--lib", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codegen/Cargo.toml"))
            .arg("--target-dir")
            .arg(&folder)
            .arg("--")
            .arg(format!("--emit=asm={}", file.display()));
        // What this test run was configured with must not reach the probe: other targets, profiles or sanitizers.
        for (name, _) in std::env::vars_os() {
            let foreign = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "RUSTC_W"];
            if foreign.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                cargo.env_remove(&name);
            }
        }
        // No flags: the baseline of the target. Set, not removed, as it goes before those of a configuration file.
        cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", "");

        let output = cargo.output().expect("cargo, which runs this test, can be run");
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let offline = ["failed to download", "failed to get", "--offline", "Could not resolve host"];
            assert!(offline.iter().any(|sign| errors.contains(sign)), "the probe does not build:\n{errors}");
            skip(&format!("the crates that the probe needs are not there:\n{errors}"));
            return None;
        }
        let text = std::fs::read_to_string(&file).expect("the compiler wrote the assembly");
        Some(Assembly::parse(&text))
    });
    ASSEMBLY.as_ref()
}

/// The functions of an assembly file, by symbol.
struct Assembly(HashMap<String, Function>);

/// One instruction, such as `vaddps` with `64(%rdi), %zmm1, %zmm1`.
#[derive(Debug)]
struct Instruction {
    mnemonic: String,
    operands: String,
}

struct Function {
    name: String,
    instructions: Vec<Instruction>,
    /// Where the labels point, as an index of `instructions`.
    labels: HashMap<String, usize>,
}

impl Assembly {
    fn parse(text: &str) -> Self {
        let mut functions = HashMap::new();
        let mut current: Option<Function> = None;
        for line in text.lines().map(str::trim) {
            if let Some(label) = line.strip_suffix(':') {
                if label.starts_with(".Lfunc_end") {
                    functions.extend(current.take().map(|function| (function.name.clone(), function)));
                } else if label.starts_with(".L") {
                    if let Some(function) = &mut current {
                        function.labels.insert(label.to_owned(), function.instructions.len());
                    }
                } else {
                    let name = label.to_owned();
                    current = Some(Function { name, instructions: Vec::new(), labels: HashMap::new() });
                }
            } else if let Some(function) = &mut current
                && !line.starts_with(['.', '#'])
                && !line.is_empty()
            {
                let (mnemonic, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                let (mnemonic, operands) = (mnemonic.to_owned(), operands.trim().to_owned());
                function.instructions.push(Instruction { mnemonic, operands });
            }
        }
        Self(functions)
    }

    /// The one function whose symbol `is_it` accepts.
    fn find(&self, what: &str, is_it: impl Fn(&str) -> bool) -> &Function {
        let found: Vec<&Function> = self.0.values().filter(|function| is_it(&function.name)).collect();
        assert_eq!(found.len(), 1, "functions for {what}: {:?}", found.iter().map(|f| &f.name).collect::<Vec<_>>());
        found[0]
    }

    /// The copy of a kernel for a level. Both of rustc's manglings spell a path as names with their lengths in front:
    /// `7kernels3dot12__bhc_avx512`.
    fn kernel(&self, kernel: &str, level: &Level) -> &Function {
        let path = format!("7kernels{}{kernel}", kernel.len());
        self.find(&format!("{kernel} at {}", level.name), |symbol| match symbol.split_once(&path) {
            None => false,
            Some((_, rest)) if level.name == "baseline" => !rest.contains("avx"),
            Some((_, rest)) => {
                let copy = format!("__bhc_{}", level.name);
                // One of the manglings puts an underscore between a length and a name that starts with one.
                rest.starts_with(&format!("{}{copy}", copy.len()))
                    || rest.starts_with(&format!("{}_{copy}", copy.len()))
            }
        })
    }
}

impl Instruction {
    fn is_jump(&self) -> bool {
        self.mnemonic.starts_with('j')
    }

    fn is_branch(&self) -> bool {
        self.is_jump() && !self.mnemonic.starts_with("jmp")
    }

    fn is_call(&self) -> bool {
        self.mnemonic.starts_with("call")
    }

    /// Whether it reads or writes memory other than the stack frame.
    fn touches_data(&self) -> bool {
        self.operands.contains('(') && !self.operands.contains("%rsp") && !self.mnemonic.starts_with("lea")
    }

    /// `…ps`: arithmetic on all elements of a vector. (`movups` and the like move, `xorps` clears.)
    fn is_packed_arithmetic(&self) -> bool {
        let name = self.mnemonic.trim_start_matches('v');
        name.ends_with("ps") && (name.starts_with("fmadd") || name.starts_with("add") || name.starts_with("mul"))
    }

    fn destination(&self) -> &str {
        self.operands.rsplit(", ").next().unwrap_or_default()
    }
}

/// The registers that arithmetic on whole vectors goes to.
fn accumulators(body: &[Instruction]) -> BTreeSet<&str> {
    body.iter().filter(|instruction| instruction.is_packed_arithmetic()).map(Instruction::destination).collect()
}

impl Function {
    /// The innermost loop that does arithmetic in the most vectors at once: the instructions from a label to the jump back
    /// to it.
    fn main_loop(&self) -> &[Instruction] {
        let back_jumps = self.instructions.iter().enumerate().filter_map(|(end, instruction)| {
            let start = *self.labels.get(&instruction.operands)?;
            (instruction.is_jump() && start <= end).then(|| &self.instructions[start..=end])
        });
        back_jumps
            .filter(|body| body.iter().filter(|instruction| instruction.is_jump()).count() == 1)
            .max_by_key(|body| accumulators(body).len())
            .unwrap_or_else(|| panic!("{} has no loop:\n{self}", self.name))
    }

    /// What may come after an instruction: the next one, where it jumps to, or both.
    fn successors(&self, at: usize) -> impl Iterator<Item = usize> {
        let instruction = &self.instructions[at];
        let ends = instruction.mnemonic.starts_with("jmp") || instruction.mnemonic.starts_with("ret");
        let next = (!ends && at + 1 < self.instructions.len()).then_some(at + 1);
        let target = if instruction.is_jump() { self.labels.get(&instruction.operands).copied() } else { None };
        next.into_iter().chain(target)
    }

    /// The shortest way from `start` to an instruction that is the `goal`, past none that is to be avoided.
    fn path(
        &self,
        start: usize,
        goal: impl Fn(usize, &Instruction) -> bool,
        avoid: impl Fn(&Instruction) -> bool,
    ) -> Option<Vec<&Instruction>> {
        let mut came_from: HashMap<usize, Option<usize>> = HashMap::from([(start, None)]);
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            if goal(at, &self.instructions[at]) {
                let path = std::iter::successors(Some(at), |at| came_from[at]);
                let mut path: Vec<&Instruction> = path.map(|at| &self.instructions[at]).collect();
                path.reverse();
                return Some(path);
            }
            if !avoid(&self.instructions[at]) {
                for next in self.successors(at) {
                    came_from.entry(next).or_insert_with(|| {
                        queue.push_back(next);
                        Some(at)
                    });
                }
            }
        }
        None
    }

    /// Whether an instruction can run again after it has run.
    fn has_loop(&self) -> bool {
        (0..self.instructions.len())
            .any(|at| self.successors(at).any(|next| self.path(next, |index, _| index == at, |_| false).is_some()))
    }
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, instruction) in self.instructions.iter().enumerate() {
            for (label, _) in self.labels.iter().filter(|(_, target)| **target == at) {
                writeln!(f, "{label}:")?;
            }
            writeln!(f, "\t{}\t{}", instruction.mnemonic, instruction.operands)?;
        }
        Ok(())
    }
}

/// A level of `simd_kernel!` and what its code looks like.
struct Level {
    name: &'static str,
    /// The widest vector registers.
    register: &'static str,
    /// Wider ones, which the CPU of the level need not have.
    forbidden: &'static [&'static str],
    fused: bool,
}

const LEVELS: [Level; 4] = [
    Level { name: "baseline", register: "%xmm", forbidden: &["%ymm", "%zmm"], fused: false },
    Level { name: "avx", register: "%ymm", forbidden: &["%zmm"], fused: false },
    Level { name: "avx2", register: "%ymm", forbidden: &["%zmm"], fused: true },
    Level { name: "avx512", register: "%zmm", forbidden: &[], fused: true },
];

const KERNELS: [&str; 3] = ["dot", "saxpy", "sum"];

/// Runs `check` on each copy of each kernel.
fn each_kernel(check: impl Fn(&str, &Level, &Function)) {
    if let Some(assembly) = assembly() {
        for level in &LEVELS {
            for kernel in KERNELS {
                check(kernel, level, assembly.kernel(kernel, level));
            }
        }
    }
}

#[test]
fn main_loops_touch_memory_in_whole_vectors_of_the_level() {
    each_kernel(|kernel, level, function| {
        let body = function.main_loop();
        let touching: Vec<&Instruction> = body.iter().filter(|instruction| instruction.touches_data()).collect();
        assert!(!touching.is_empty(), "{kernel} at {}:\n{function}", level.name);
        for instruction in touching {
            // `movss`, `movsd`, `movq`, … move a part of a register.
            let whole = instruction.mnemonic.ends_with("ups")
                || instruction.mnemonic.ends_with("aps")
                || instruction.is_packed_arithmetic();
            let wide = instruction.operands.contains(level.register);
            assert!(whole && wide, "{kernel} at {}: {instruction:?} in\n{function}", level.name);
        }
    });
}

#[test]
fn sums_run_in_independent_accumulators() {
    each_kernel(|kernel, level, function| {
        if kernel == "saxpy" {
            return; // its elements are independent anyway
        }
        let body = function.main_loop();
        let is_add = |instruction: &&Instruction| {
            instruction.is_packed_arithmetic() && !instruction.mnemonic.trim_start_matches('v').starts_with("mul")
        };
        let count = body.iter().filter(is_add).count();
        let registers: BTreeSet<&str> = body.iter().filter(is_add).map(Instruction::destination).collect();
        assert!(registers.len() >= 4, "{kernel} at {}: {registers:?} in\n{function}", level.name);
        // 64 elements a step in full registers: no more instructions than that takes.
        let lanes = match level.register {
            "%zmm" => 16,
            "%ymm" => 8,
            _ => 4,
        };
        assert_eq!(count, 64 / lanes, "{kernel} at {}:\n{function}", level.name);
    });
}

#[test]
fn multiplication_and_addition_are_fused_where_that_is_one_instruction_and_never_called() {
    each_kernel(|kernel, level, function| {
        let fused = |instruction: &Instruction| instruction.mnemonic.contains("fmadd");
        if kernel != "sum" {
            let in_loop = function.main_loop().iter().any(fused);
            assert_eq!(in_loop, level.fused, "{kernel} at {}:\n{function}", level.name);
        }
        assert!(level.fused || !function.instructions.iter().any(fused), "{kernel} at {}:\n{function}", level.name);
        let calls: Vec<_> = function.instructions.iter().filter(|instruction| instruction.is_call()).collect();
        assert!(calls.is_empty(), "{kernel} at {} calls {calls:?}", level.name);
    });
}

#[test]
fn no_kernel_gathers_or_scatters() {
    each_kernel(|kernel, level, function| {
        let indexed = function
            .instructions
            .iter()
            .find(|instruction| instruction.mnemonic.contains("gather") || instruction.mnemonic.contains("scatter"));
        assert!(indexed.is_none(), "{kernel} at {}: {indexed:?} in\n{function}", level.name);
    });
}

#[test]
fn no_kernel_uses_registers_that_its_level_lacks() {
    each_kernel(|kernel, level, function| {
        let wider = function
            .instructions
            .iter()
            .find(|instruction| level.forbidden.iter().any(|register| instruction.operands.contains(register)));
        assert!(wider.is_none(), "{kernel} at {}: {wider:?}", level.name);
        let vex = |instruction: &&Instruction| instruction.mnemonic.starts_with('v');
        assert!(level.name != "baseline" || function.instructions.iter().find(vex).is_none(), "{kernel}:\n{function}");
    });
}

#[test]
fn push_within_a_block_of_padding_costs_one_branch() {
    let Some(assembly) = assembly() else { return };
    let function = assembly.find("push_one", |symbol| symbol.contains("push_one"));
    let returns = |_, instruction: &Instruction| instruction.mnemonic.starts_with("ret");
    let path = function.path(0, returns, Instruction::is_call).expect("a way to return without a call");
    let branches = path.iter().filter(|instruction| instruction.is_branch()).count();
    assert_eq!(branches, 1, "{function}");
    assert!(path.len() <= 20, "{} instructions from entry to return:\n{function}", path.len());
    let writes = |instruction: &&&Instruction| instruction.touches_data() && instruction.destination().contains('(');
    // The element and the length.
    assert_eq!(path.iter().filter(writes).count(), 2, "{function}");
}

#[test]
fn from_slice_of_plain_data_is_a_memcpy() {
    let Some(assembly) = assembly() else { return };
    let function = assembly.find("copy_of", |symbol| symbol.contains("copy_of"));
    let memcpy = |instruction: &Instruction| instruction.is_call() && instruction.operands.contains("memcpy");
    assert!(function.instructions.iter().any(memcpy), "{function}");
    assert!(!function.has_loop(), "elements are copied beside the memcpy:\n{function}");
}
