//! The programs in c/, each of which checks what it does itself and says in the end that all checks passed.

use std::process::Output;

use super::clib::{C11, Cpp17, Executable, Language, library, printed, sanitized, skip};
use super::source;

/// All that a program is compiled with, where nothing watches it.
const PLAINLY: [(Language, &[&str]); 8] = [
    (C11, &["-O0"]),
    (C11, &["-O0", "-DBHC_CHECKED"]),
    (C11, &["-O2"]),
    (C11, &["-O2", "-DBHC_CHECKED"]),
    (Cpp17, &["-O0"]),
    (Cpp17, &["-O0", "-DBHC_CHECKED"]),
    (Cpp17, &["-O2"]),
    (Cpp17, &["-O2", "-DBHC_CHECKED"]),
];

/// Whatever watches sees the same accesses in both languages: one with, one without the fast paths.
const WATCHED: [(Language, &[&str]); 2] = [(C11, &["-O1", "-g"]), (Cpp17, &["-O1", "-g", "-DBHC_CHECKED"])];

fn passes(what: &str, output: &Output) {
    let passed = output.status.success() && output.stdout.ends_with(b"all checks passed\n");
    assert!(passed, "{what}:\n{}", printed(output));
}

/// Compiles a program in so many ways, and passes each to `run`.
fn each(
    name: &str,
    ways: &[(Language, &[&str])],
    compile: impl Fn(Language, &[&str]) -> Result<Executable, String>,
    run: impl Fn(&str, &Executable),
) {
    for (language, flags) in ways {
        let way = format!("{name} as {language:?} with {flags:?}");
        run(&way, &compile(*language, flags).unwrap_or_else(|errors| panic!("{way} does not compile:\n{errors}")));
    }
}

/// Runs a program with each of these arguments, compiled in all ways.
fn plainly(name: &str, runs: &[&[&str]]) {
    let Some(library) = library() else { return };
    each(
        name,
        &PLAINLY,
        |language, flags| library.compile(language, &source(name), flags),
        |way, program| {
            for arguments in runs {
                passes(&format!("{way}, run with {arguments:?}"), &program.run(arguments));
            }
        },
    );
}

fn under_valgrind(name: &str, arguments: &[&str]) {
    let Some(library) = library() else { return };
    each(
        name,
        &WATCHED,
        |language, flags| library.compile(language, &source(name), flags),
        |way, program| {
            if let Some(mut command) = program.under_valgrind() {
                let output = command.args(arguments).env("CHECK_UNDER_VALGRIND", "1").output();
                passes(&format!("{way} under valgrind"), &output.expect("valgrind can be run"));
            }
        },
    );
}

fn under_asan(name: &str, runs: &[&[&str]]) {
    let Some(library) = sanitized() else { return };
    each(
        name,
        &WATCHED,
        |language, flags| library.compile(language, &source(name), flags),
        |way, program| {
            for arguments in runs {
                passes(&format!("{way} under ASan, run with {arguments:?}"), &program.run(arguments));
            }
        },
    );
}

const CONTRACT: &[&[&str]] = &[&[], &["pinned-limit"], &["pinned-reserve"], &["pinned-untouched"]];

#[test]
fn every_function_answers_what_the_header_says() {
    plainly("contract", CONTRACT);
}

#[test]
fn every_function_answers_what_the_header_says_under_valgrind() {
    under_valgrind("contract", &[]);
}

#[test]
fn every_function_answers_what_the_header_says_under_asan() {
    under_asan("contract", CONTRACT);
}

#[test]
fn trees_live_by_the_shadow_stack_and_other_roots() {
    plainly("trees", &[&["10"], &["3", "hard"]]);
}

#[test]
fn trees_live_under_valgrind() {
    under_valgrind("trees", &["4"]);
}

#[test]
fn trees_live_under_asan() {
    under_asan("trees", &[&["8"], &["3", "hard"]]);
}

#[test]
fn kernels_have_aligned_temporaries_in_an_arena() {
    plainly("kernel", &[&[]]);
    under_valgrind("kernel", &[]);
    under_asan("kernel", &[&[]]);
}

#[test]
fn threads_have_their_own_capabilities_and_share_the_pinned_heap() {
    plainly("threads", &[&["8", "1000"]]);
    under_valgrind("threads", &["3", "100"]);
    under_asan("threads", &[&["8", "500"]]);
}

#[test]
fn inline_functions_do_what_those_out_of_line_do() {
    plainly("inline", &[&["500"]]);
    under_valgrind("inline", &["10"]);
    under_asan("inline", &[&["50"]]);
}

#[test]
fn inline_functions_call_nothing_where_there_is_room() {
    if cfg!(not(target_os = "linux")) {
        return skip("calls are counted by the linker's option `--wrap`");
    }
    let Some(library) = library() else { return };
    let counted = ["arena_alloc", "alloc", "alloc_reserved", "gc_reserve", "gc_safe_point", "gc_root_push"];
    let counted = counted.into_iter().chain(["gc_root_pop", "gc_root_slot", "gc_remember", "gc_write_element"]);
    let wrapped: Vec<String> = counted.map(|function| format!("-Wl,--wrap=bhc_{function}")).collect();
    let flags: Vec<&str> = wrapped.iter().map(String::as_str).chain(["-O2"]).collect();
    each(
        "calls",
        &[(C11, &flags), (Cpp17, &flags)],
        |language, flags| library.compile(language, &source("calls"), flags),
        |way, program| passes(way, &program.run(&[])),
    );
}

#[test]
fn a_dynamic_library_serves_as_well() {
    let Some(library) = library() else { return };
    each(
        "trees",
        &[(C11, &["-O2"])],
        |language, flags| library.compile_dynamic(language, &source("trees"), flags),
        |way, program| passes(way, &program.run(&["8"])),
    );
}

#[test]
fn the_program_of_the_readme_prints_what_it_says() {
    let Some(library) = library() else { return };
    let readme = include_str!("../../README.md");
    let program = readme.split_once("```c\n").and_then(|(_, rest)| rest.split_once("```")).expect("a program").0;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("readme.c");
    std::fs::write(&file, program).expect("a file");
    each(
        "the README's program",
        &PLAINLY,
        |language, flags| library.compile(language, &file, flags),
        |way, program| {
            let output = program.run(&[]);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said == "5000050000 998001\n", "{way}:\n{}", printed(&output));
        },
    );
}
