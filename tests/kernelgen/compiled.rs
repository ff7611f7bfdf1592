//! Emitted programs, compiled and run.
//!
//! All kernels go into one package of Rust and one file of C, each with a program around them that runs every kernel
//! on awkward lengths and writes what it computes into a file; that file must be, to the bit, what the interpreter
//! says. (NaNs are as good as each other.) The programs themselves check what only they can see: that nothing is
//! allocated while a kernel runs, that the Hot Arena is empty afterwards, that the General Heap was not asked, and
//! that C writes no element beyond the end.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clib::{self, C11, printed};
use crate::generator::emit_c::emit_c;
use crate::generator::emit_rust::emit_rust;
use crate::generator::graph::Length;
use crate::generator::interpret::{Value, interpret};
use crate::generator::language::{Element, MAX_ARRAYS};
use crate::generator::names::Names;
use crate::generator::package::{self, BuildError};
use crate::generator::plan::{Array, Plan};
use crate::generator::run::is_same;
use crate::programs::{Sample, planned, program, samples};
use crate::skip;

/// Random programs, of one type after the other.
const RANDOM: usize = 60;
const SEED: u64 = 20_240_617;

/// Every construct, at every type that has it.
const CONSTRUCTS: [&str; 5] = [
    "sum (map (*2) xs)",
    "a = map (+1) xs; b = map (3-) a; c = map (subtract 2) b; d = zipWith (*) c ys; e = map (max 1) d; map (min 90) e",
    "m = maximum xs; n = minimum ys; z = zipWith max (map negate xs) (map abs ys); s = sum (zipWith min z xs); \
     t = zipWith (-) ys xs",
    // Two temporaries, each read twice.
    "p = zipWith (*) zs (zipWith (+) xs ys); m = maximum p; q = zipWith (+) (map (*m) p) (map (*2) zs); n = minimum q; \
     s = sum (map (+n) q); u = map (subtract s) p; v = zipWith (-) q p",
    "copy = xs; k = sum ys; two = 2; again = map (+two) copy",
];
const OF_FLOATS: [&str; 2] =
    ["r = map sqrt (map abs xs); m = maximum r; s = sum (map (/m) r); map (s/) r", "zipWith (/) xs (map (max 0.1) ys)"];

/// Lengths around those of vectors, of steps, and longer.
const LENGTHS: [usize; 13] = [0, 1, 2, 15, 16, 17, 31, 63, 64, 65, 127, 1000, 4099];
/// The inputs of one program.
const INPUTS: usize = 3;

/// The lengths of the inputs, for each run of a program.
fn runs() -> impl Iterator<Item = [usize; INPUTS]> {
    (0..LENGTHS.len()).flat_map(|at| {
        let other = |step: usize| LENGTHS[(at * step + 3) % LENGTHS.len()];
        [[LENGTHS[at]; INPUTS], [LENGTHS[at], other(5), other(8)]]
    })
}

struct Kernel {
    name: String,
    text: String,
    plan: Plan,
}

fn kernels() -> Vec<Kernel> {
    // As many arrays as one loop may have.
    let wide: String = (1..MAX_ARRAYS).map(|at| format!("a{at} = map (+{at}) xs;")).collect();
    let mut texts: Vec<(Element, String)> = vec![(Element::F32, wide + "s = sum xs")];
    for element in Element::ALL {
        texts.extend(CONSTRUCTS.map(|text| (element, text.to_owned())));
        if element.is_float() {
            texts.extend(OF_FLOATS.map(|text| (element, text.to_owned())));
        }
    }
    for at in 0..RANDOM {
        let element = Element::ALL[at % Element::ALL.len()];
        texts.push((element, program(SEED + at as u64, element)));
    }
    let kernel = |(at, (element, text)): (usize, (Element, String))| {
        let plan = planned(&text, element);
        Kernel { name: format!("p{at}"), text, plan }
    };
    texts.into_iter().enumerate().map(kernel).collect()
}

/// Where packages are built: one folder for dependencies, which all share.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernelgen")
}

/// Runs cargo on a package in a folder of this name; `false`, having said so, if crates are missing.
pub fn build(name: &str, files: &[(&str, String)], arguments: &[&str]) -> Result<bool, String> {
    let place = folder().join(name);
    let built =
        package::write(&place, name, files).and_then(|()| package::cargo(&place, &folder().join("target"), arguments));
    match built {
        Ok(()) => Ok(true),
        Err(BuildError::Offline(errors)) => {
            skip(&format!("the crates that they need are not there:\n{errors}"));
            Ok(false)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The inputs: for each type, the elements of each, one file after the other.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    fn bytes<T: Sample>() -> Vec<u8> {
        let all = pools::<T>().concat();
        all.iter().flat_map(|element| element.to_bytes().into_iter().take(size_of::<T>())).collect()
    }
    Element::ALL
        .into_iter()
        .map(|element| {
            let bytes = match element {
                Element::F32 => bytes::<f32>(),
                Element::F64 => bytes::<f64>(),
                Element::I32 => bytes::<i32>(),
                Element::I64 => bytes::<i64>(),
            };
            let path = folder.join(format!("inputs.{element}"));
            std::fs::write(&path, bytes).expect("the inputs are written");
            path
        })
        .collect()
}

fn pools<T: Sample>() -> Vec<Vec<T>> {
    (0..INPUTS).map(|at| samples(SEED + at as u64, LENGTHS[LENGTHS.len() - 1])).collect()
}

/// Compares what a program wrote with what the interpreter says.
fn check(kernels: &[Kernel], written: &[u8]) {
    let mut rest = written;
    for kernel in kernels {
        match kernel.plan.graph.element {
            Element::F32 => check_kernel::<f32>(kernel, &mut rest),
            Element::F64 => check_kernel::<f64>(kernel, &mut rest),
            Element::I32 => check_kernel::<i32>(kernel, &mut rest),
            Element::I64 => check_kernel::<i64>(kernel, &mut rest),
        }
    }
    assert!(rest.is_empty(), "more was written than was computed");
}

fn check_kernel<T: Sample>(kernel: &Kernel, rest: &mut &[u8]) {
    let Kernel { name, text, plan } = kernel;
    let pools = pools::<T>();
    for lengths in runs() {
        let inputs: Vec<&[T]> = pools.iter().zip(lengths).map(|(pool, len)| &pool[..len]).collect();
        let expected = interpret(&plan.graph, &inputs);
        for (output, expected) in plan.graph.outputs.iter().zip(expected) {
            let expected = match expected {
                Value::Scalar(value) => vec![value],
                Value::Array(values) => values,
            };
            let (bytes, after) = rest.split_at(expected.len() * size_of::<T>());
            *rest = after;
            let found: Vec<T> = bytes.chunks_exact(size_of::<T>()).map(T::from_bytes).collect();
            if let Some(at) = found.iter().zip(&expected).position(|(x, y)| !is_same(*x, *y)) {
                panic!(
                    "{name}, {}: `{}`, at {at}: {:?} and not {:?}, for inputs of {lengths:?}\n{text}\nseed {SEED}\n{plan}",
                    T::ELEMENT,
                    output.name,
                    found[at],
                    expected[at]
                );
            }
        }
    }
}

/// The least of some of the numbers `lengths[0]`, `lengths[1]`, …, as text.
fn least(length: &Length, first: &str, next: impl Fn(&str, usize) -> String) -> String {
    let mut inputs = length.iter();
    let start = inputs.next().map(|input| first.replace('#', &input.to_string())).unwrap_or_default();
    inputs.fold(start, |so_far, input| next(&so_far, *input))
}

const RUST: &str = r#"//! Runs all kernels: written by tests/kernelgen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bhc_rts_alloc::{Capability, Config, HotArena, MemoryRegion, SimdBuffer, SimdLevel};

/// The process allocator, counted.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards to the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

trait Element: Copy {
    fn from_bytes(bytes: &[u8]) -> Self;
    fn put(self, out: &mut Vec<u8>);
    fn same(self, other: Self) -> bool;
}

macro_rules! element {
    ($($type:ident)*) => {$(
        impl Element for $type {
            fn from_bytes(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().unwrap())
            }
            fn put(self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
            #[allow(clippy::eq_op, reason = "a NaN is not itself")]
            fn same(self, other: Self) -> bool {
                self.to_le_bytes() == other.to_le_bytes() || self != self && other != other
            }
        }
    )*};
}
element!(f32 f64 i32 i64);

struct Context {
    capability: Capability,
    inputs: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl Context {
    /// The first elements of an input.
    fn input<T: Element>(&self, kind: usize, which: usize, len: usize) -> SimdBuffer<T> {
        let pool = &self.inputs[kind][which * MOST * size_of::<T>()..];
        let elements: Vec<T> = pool.chunks_exact(size_of::<T>()).take(len).map(T::from_bytes).collect();
        SimdBuffer::from_slice(&elements)
    }

    /// Runs a kernel, which must leave no trace in any region.
    fn run<R>(&mut self, kernel: impl FnOnce(&mut HotArena) -> R) -> R {
        let general = self.capability.general().report();
        let count = COUNT.load(Relaxed);
        let result = kernel(self.capability.parts().arena);
        assert_eq!(COUNT.load(Relaxed), count, "the kernel allocated from the process");
        assert_eq!(self.capability.arena().stats().current_live, 0, "temporaries are left in the Hot Arena");
        assert_eq!(self.capability.arena().used(), 0);
        let after = self.capability.general().report();
        assert_eq!(after.bytes.allocation_count, general.bytes.allocation_count, "the General Heap was asked");
        assert_eq!(after.gc.bytes_allocated, general.gc.bytes_allocated, "the General Heap was asked");
        result
    }

    /// Keeps a result of the first level; that of another must be the same.
    fn keep<T: Element>(&mut self, first: &mut Vec<T>, result: &[T], is_first: bool) {
        if is_first {
            first.extend_from_slice(result);
            result.iter().for_each(|element| element.put(&mut self.out));
        } else {
            let kept = first.drain(..result.len()).collect::<Vec<T>>();
            assert!(kept.iter().zip(result).all(|(x, y)| x.same(*y)), "two levels differ");
            first.extend(kept);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (out, inputs) = arguments.split_last().unwrap();
    let inputs = inputs.iter().map(|path| std::fs::read(path).unwrap()).collect();
    // Room for all temporaries, so that the arena need not grow while a kernel runs.
    let capability = Config::new().arena(HotArena::builder().capacity(1 << 20)).build();
    let mut context = Context { capability, inputs, out: Vec::new() };
"#;

/// The package: a module for each kernel, and the program that runs them.
fn rust_files(kernels: &[Kernel]) -> Vec<(String, String)> {
    let mut main = RUST.to_owned();
    let mut functions = String::new();
    let mut files = Vec::new();
    let _ = writeln!(functions, "\nconst MOST: usize = {};", LENGTHS[LENGTHS.len() - 1]);
    let all: Vec<[usize; INPUTS]> = runs().collect();
    let _ = writeln!(functions, "const RUNS: [[usize; {INPUTS}]; {}] = {all:?};", all.len());
    for Kernel { name, plan, .. } in kernels {
        let (graph, element) = (&plan.graph, plan.graph.element);
        let kind = Element::ALL.iter().position(|other| *other == element).unwrap_or_default();
        let names = Names::new(plan, name);
        let _ = writeln!(main, "    run_{name}(&mut context);");
        let _ = writeln!(functions, "\n#[forbid(unsafe_code)]\n#[deny(warnings)]\nmod {name};\n");
        let _ = writeln!(functions, "fn run_{name}(context: &mut Context) {{\n    for lengths in RUNS {{");
        let mut arguments = vec!["level".to_owned()];
        if !plan.temporaries.is_empty() {
            arguments.push("arena".to_owned());
        }
        for input in 0..graph.inputs.len() {
            let _ = writeln!(
                functions,
                "        let in_{input} = context.input::<{element}>({kind}, {input}, lengths[{input}]);"
            );
            arguments.push(format!("&in_{input}"));
        }
        let _ = writeln!(functions, "        let mut first = Vec::<{element}>::new();");
        let _ = writeln!(functions, "        for (at, level) in SimdLevel::levels().enumerate() {{");
        let mut scalars = Vec::new();
        for (at, output) in graph.outputs.iter().enumerate() {
            let Some(length) = &graph.lengths[output.node] else {
                scalars.push(at);
                continue;
            };
            let len = least(length, "lengths[#]", |so_far, input| format!("{so_far}.min(lengths[{input}])"));
            let _ = writeln!(functions, "            let mut out_{at} = SimdBuffer::<{element}>::zeroed({len});");
            arguments.push(format!("&mut out_{at}"));
        }
        let unwrap = if plan.temporaries.is_empty() { "" } else { ".unwrap()" };
        let results = if scalars.is_empty() { "()" } else { "results" };
        let arena = if plan.temporaries.is_empty() { "_" } else { "arena" };
        let call = format!("{name}::{name}({}){unwrap}", arguments.join(", "));
        let _ = writeln!(functions, "            let {results} = context.run(|{arena}| {call});");
        for (at, output) in graph.outputs.iter().enumerate() {
            let value = match (graph.is_array(output.node), scalars.len()) {
                (true, _) => format!("&out_{at}"),
                (false, 1) => "&[results]".to_owned(),
                (false, _) => format!("&[results.{}]", names.array(Array::Output(at))),
            };
            let _ = writeln!(functions, "            context.keep(&mut first, {value}, at == 0);");
        }
        let _ = writeln!(functions, "        }}\n    }}\n}}");
        files.push((format!("{name}.rs"), emit_rust(plan, name)));
    }
    let _ = writeln!(main, "    std::fs::write(out, context.out).unwrap();\n}}\n{functions}");
    files.push(("main.rs".to_owned(), main));
    files
}

#[test]
fn programs_compiled_as_rust_compute_what_the_interpreter_does_at_every_level_and_allocate_nothing() {
    let kernels = kernels();
    let with_temporaries = kernels.iter().filter(|kernel| !kernel.plan.temporaries.is_empty()).count();
    assert!(with_temporaries >= 10, "{with_temporaries} programs have temporaries");
    let files = rust_files(&kernels);
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    match build("programs", &files, &["build", "--release"]) {
        Ok(true) => {}
        Ok(false) => return,
        Err(errors) => panic!("{errors}"),
    }
    let data = tempfile::tempdir().expect("a folder");
    let out = data.path().join("out");
    let output = Command::new(folder().join("target/release/programs"))
        .args(inputs(data.path()))
        .arg(&out)
        .output()
        .expect("what was just built can be run");
    assert!(output.status.success(), "{}", printed(&output));
    check(&kernels, &std::fs::read(&out).expect("the results"));
}

const C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bhc_rts_alloc.h"

static BhcCapability *capability;
static BhcArena *arena;
static FILE *out;
static unsigned char *inputs[4];

static void check(int condition, const char *what) {
    if (!condition) {
        char text[200] = "";
        bhc_last_error_message(text, sizeof text);
        fprintf(stderr, "%s (%s)\n", what, text);
        exit(1);
    }
}

/* Room for some more than is asked for, which stays as it is. */
enum { CANARIES = 64 };

static void *room(size_t bytes) {
    unsigned char *block = bhc_pinned_alloc(bytes + CANARIES, 64);
    check(block != NULL, "no memory");
    memset(block, 0xa5, bytes + CANARIES);
    return block;
}

static void free_room(void *block, size_t bytes) {
    const unsigned char *canaries = (const unsigned char *)block + bytes;
    for (size_t i = 0; i < CANARIES; i++) {
        check(canaries[i] == 0xa5, "written beyond the end");
    }
    check(bhc_pinned_free(block, bytes + CANARIES, 64) == BHC_STATUS_OK, "not freed");
}

static void *input(int kind, size_t which, size_t element, size_t len) {
    void *block = room(element * len);
    memcpy(block, inputs[kind] + which * MOST * element, element * len);
    return block;
}

static void keep(const void *bytes, size_t size) {
    check(fwrite(bytes, 1, size, out) == size, "not written");
}

static void no_trace(const BhcStats *before) {
    BhcStats after;
    check(bhc_stats(capability, &after) == BHC_STATUS_OK, "no statistics");
    check(after.hot_arena.current_live == 0 && bhc_arena_used(arena) == 0, "temporaries are left");
    check(after.general_bytes.allocation_count == before->general_bytes.allocation_count, "General Heap");
    check(after.bytes_allocated == before->bytes_allocated, "objects in the General Heap");
    check(after.pinned.allocation_count == before->pinned.allocation_count, "Pinned Heap");
}
"#;

/// One file: the kernels, and the program that runs them.
fn c_file(kernels: &[Kernel]) -> String {
    let mut text: String = kernels.iter().map(|Kernel { name, plan, .. }| emit_c(plan, name)).collect();
    let all: Vec<[usize; INPUTS]> = runs().collect();
    let runs: Vec<String> = all.iter().map(|[x, y, z]| format!("{{{x}, {y}, {z}}}")).collect();
    let most = LENGTHS[LENGTHS.len() - 1];
    let _ = writeln!(text, "#define MOST {most}\n#define RUNS {}", runs.len());
    let _ = writeln!(text, "static const size_t runs[RUNS][{INPUTS}] = {{{}}};\n{C}", runs.join(", "));
    let mut calls = String::new();
    for Kernel { name, plan, .. } in kernels {
        let graph = &plan.graph;
        let c_type = match graph.element {
            Element::F32 => "float",
            Element::F64 => "double",
            Element::I32 => "int32_t",
            Element::I64 => "int64_t",
        };
        let kind = Element::ALL.iter().position(|other| *other == graph.element).unwrap_or_default();
        let names = Names::new(plan, name);
        let is_fallible = !plan.temporaries.is_empty();
        let _ = writeln!(calls, "    run_{name}();");
        let _ = writeln!(text, "\nstatic void run_{name}(void) {{\n    for (size_t run = 0; run < RUNS; run++) {{");
        let _ = writeln!(text, "        const size_t *lengths = runs[run];\n        (void)lengths;");
        let mut arguments = Vec::new();
        if is_fallible {
            arguments.push("arena".to_owned());
        }
        let mut after = String::new();
        for at in 0..graph.inputs.len() {
            let _ = writeln!(text, "        {c_type} *in_{at} = input({kind}, {at}, sizeof({c_type}), lengths[{at}]);");
            let _ = writeln!(after, "        free_room(in_{at}, lengths[{at}] * sizeof({c_type}));");
            arguments.push(format!("in_{at}"));
            arguments.push(format!("lengths[{at}]"));
        }
        let scalars: Vec<usize> =
            (0..graph.outputs.len()).filter(|at| !graph.is_array(graph.outputs[*at].node)).collect();
        let mut keep = String::new();
        for (at, output) in graph.outputs.iter().enumerate() {
            if let Some(length) = &graph.lengths[output.node] {
                let _ = writeln!(
                    text,
                    "        size_t len_{at} = {};",
                    least(length, "lengths[#]", |so_far, input| {
                        format!("({so_far} < lengths[{input}] ? {so_far} : lengths[{input}])")
                    })
                );
                let _ = writeln!(text, "        len_{at} *= sizeof({c_type});");
                let _ = writeln!(text, "        {c_type} *out_{at} = room(len_{at});");
                let _ = writeln!(keep, "        keep(out_{at}, len_{at});");
                let _ = writeln!(after, "        free_room(out_{at}, len_{at});");
                arguments.push(format!("out_{at}"));
            } else if scalars.len() == 1 {
                let _ = writeln!(keep, "        keep(&results, sizeof results);");
            } else {
                let name = names.array(Array::Output(at));
                let _ = writeln!(keep, "        keep(&results.{name}, sizeof results.{name});");
            }
        }
        let results = match scalars.len() {
            0 => String::new(),
            1 => c_type.to_owned(),
            _ => format!("struct {name}_results"),
        };
        let _ = writeln!(text, "        BhcStats before;");
        let _ = writeln!(text, "        check(bhc_stats(capability, &before) == BHC_STATUS_OK, \"no statistics\");");
        match (is_fallible, results.is_empty()) {
            (true, no_results) => {
                if !no_results {
                    let _ = writeln!(text, "        {results} results;");
                    arguments.push("&results".to_owned());
                }
                let call = format!("{name}({})", arguments.join(", "));
                let _ = writeln!(text, "        check({call} == BHC_STATUS_OK, \"{name} failed\");");
            }
            (false, true) => {
                let _ = writeln!(text, "        {name}({});", arguments.join(", "));
            }
            (false, false) => {
                let _ = writeln!(text, "        const {results} results = {name}({});", arguments.join(", "));
            }
        }
        let _ = writeln!(text, "        no_trace(&before);\n{keep}{after}    }}\n}}");
    }
    let _ = writeln!(
        text,
        r#"
int main(int count, char **arguments) {{
    check(count == 6, "four inputs and an output are wanted");
    for (int i = 0; i < 4; i++) {{
        const size_t size = {INPUTS} * MOST * (i % 2 == 0 ? 4 : 8);
        FILE *file = fopen(arguments[1 + i], "rb");
        inputs[i] = malloc(size);
        check(file && inputs[i] && fread(inputs[i], 1, size, file) == size, "cannot read");
        fclose(file);
    }}
    out = fopen(arguments[5], "wb");
    capability = bhc_capability_create(NULL);
    check(out && capability, "no capability");
    arena = bhc_capability_arena(capability);
{calls}    check(fclose(out) == 0, "not written");
    check(bhc_capability_destroy(capability) == BHC_STATUS_OK, "not destroyed");
    for (int i = 0; i < 4; i++) {{
        free(inputs[i]);
    }}
    return 0;
}}"#
    );
    text
}

#[test]
fn programs_compiled_as_c_compute_what_the_interpreter_does_and_allocate_nothing() {
    let Some(library) = clib::library() else { return };
    let kernels = kernels();
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let source = data.path().join("kernels.c");
    std::fs::write(&source, c_file(&kernels)).expect("the file is written");
    let program = library.compile(C11, &source, &["-O3", "-fno-math-errno"]);
    let program = program.unwrap_or_else(|errors| panic!("{errors}"));
    let out = data.path().join("out");
    let output = program.command().args(inputs(data.path())).arg(&out).output().expect("it can be run");
    assert!(output.status.success(), "{}", printed(&output));
    check(&kernels, &std::fs::read(&out).expect("the results"));
}
