//! What the arguments mean, and that a program runs on real files.

use std::ffi::OsString;
use std::path::Path;

use crate::generator::language::Element;
use crate::generator::options::{Command, Emit, Options, USAGE, parse};
use crate::generator::run::assign;
use crate::programs::planned;

fn options(arguments: &[&str]) -> Options {
    match parse(arguments.iter().map(OsString::from)) {
        Ok(Command::Generate(options)) => options,
        other => panic!("{arguments:?} gave {other:?}"),
    }
}

fn refusal(arguments: &[&str]) -> String {
    parse(arguments.iter().map(OsString::from)).expect_err("not to be understood")
}

#[test]
fn a_program_alone_is_run_on_f32s() {
    let options = options(&["sum xs"]);
    assert_eq!((options.program.as_str(), options.emit, options.element), ("sum xs", Emit::Run, Element::F32));
    assert_eq!(options.name, "kernel");
}

#[test]
fn options_stand_anywhere_and_the_last_of_a_kind_counts() {
    for arguments in [
        &["sum xs", "--emit", "c", "--type", "i64", "a.f32"][..],
        &["--emit=c", "--type=i64", "sum xs", "a.f32"],
        &["--emit", "rust", "sum xs", "--type=f64", "a.f32", "--emit", "c", "--type", "i64"],
    ] {
        let options = options(arguments);
        assert_eq!((options.program.as_str(), options.emit, options.element), ("sum xs", Emit::C, Element::I64));
        assert_eq!(options.inputs, [(None, "a.f32".into())]);
    }
    assert_eq!(options(&["sum xs", "--emit", "plan"]).emit, Emit::Plan);
    assert_eq!(options(&["sum xs", "--name", "sum_of"]).name, "sum_of");
    assert_eq!(options(&["sum xs", "--", "--emit.f32"]).inputs, [(None, "--emit.f32".into())]);
}

#[test]
fn extensions_say_the_type_and_names_say_the_input() {
    let options = options(&["zipWith (+) xs ys", "ys=dir/b.i64", "dir/x=y.i64", "--out", "result=c=d.bin"]);
    assert_eq!(options.element, Element::I64);
    assert_eq!(options.inputs, [(Some("ys".to_owned()), "dir/b.i64".into()), (None, "dir/x=y.i64".into())]);
    assert_eq!(options.outputs, [("result".to_owned(), "c=d.bin".into())]);
    let plan = planned(&options.program, options.element);
    let files = assign(&plan.graph, &options).expect("a file each");
    assert_eq!(files, [Path::new("dir/x=y.i64"), Path::new("dir/b.i64")]);
}

#[test]
fn help_wins_over_what_follows() {
    for arguments in [&["--help"][..], &["-h"], &["sum xs", "--help", "--nonsense"]] {
        assert!(matches!(parse(arguments.iter().map(OsString::from)), Ok(Command::Help)), "{arguments:?}");
    }
    assert!(USAGE.lines().all(|line| line.chars().count() <= 100), "it fits the terminal");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    assert_eq!(refusal(&[]), "no PROGRAM is given");
    assert_eq!(refusal(&["sum xs", "--emitt", "c"]), "there is no option `--emitt`");
    assert_eq!(refusal(&["sum xs", "-\u{1b}[2J"]), "there is no option `-\\u{1b}[2J`");
    assert_eq!(refusal(&["sum xs", "--emit"]), "--emit wants a value");
    assert_eq!(refusal(&["sum xs", "--emit", "java"]), "--emit wants run, rust, c or plan, not `java`");
    assert_eq!(refusal(&["sum xs", "--type=u8"]), "--type wants f32, f64, i32 or i64, not `u8`");
    for name in [
        "",
        "Kernel",
        "fn",
        "int",
        "2d",
        "a-b",
        "a__b",
        "arena",
        "x_",
        "sinf",
        "bhc_x",
        "the_x",
        "size_t",
        &"a".repeat(33),
    ] {
        let expected = format!("--name wants a lower-case name that Rust and C leave free, not `{name}`");
        assert_eq!(refusal(&["sum xs", "--name", name]), expected);
    }
    for out in ["result", "result=", "=file"] {
        assert!(
            out == "=file" || refusal(&["sum xs", "--out", out]).starts_with("--out wants NAME=FILE, not"),
            "{out}"
        );
    }
    assert_eq!(refusal(&["sum xs", "data.bin"]), "`data.bin` does not end in .f32, .f64, .i32 or .i64; say --type");
    assert_eq!(refusal(&["f", "a.f32", "b.f64"]), "`a.f32` and `b.f64` are of two types; say --type");
}

#[test]
fn files_and_inputs_must_match() {
    let refusal = |arguments: &[&str]| {
        let options = options(arguments);
        let plan = planned(&options.program, options.element);
        assign(&plan.graph, &options).expect_err("not to be assigned").to_string()
    };
    assert_eq!(refusal(&["sum xs"]), "there is no file for the input `xs`");
    assert_eq!(refusal(&["sum xs", "a.f32", "b.f32"]), "there is no input for `b.f32`");
    assert_eq!(refusal(&["sum xs", "ys=a.f32"]), "the program has no input `ys`");
    assert_eq!(refusal(&["sum xs", "xs=a.f32", "xs=b.f32"]), "there are two files for the input `xs`");
    assert_eq!(refusal(&["s = sum xs", "a.f32", "--out", "t=b"]), "the program has no result `t`");
}

/// The whole way, on real files. Building is what takes time, so it is one test.
#[cfg(not(any(bhc_asan, miri)))]
#[test]
fn a_program_runs_on_real_files_and_says_what_the_regions_did() {
    use crate::compiled::folder;
    use crate::generator::package::BuildError;
    use crate::generator::run::{RunError, run};

    let data = tempfile::tempdir().expect("a folder");
    let path = |name: &str| data.path().join(name).to_str().expect("a path that is text").to_owned();
    let numbers: Vec<u8> = (0..1000).flat_map(|i| (i as f32).to_le_bytes()).collect();
    std::fs::write(path("xs.f32"), &numbers).expect("written");
    std::fs::write(path("short.f32"), &numbers[..40]).expect("written");
    std::fs::write(path("odd.f32"), &numbers[..41]).expect("written");

    let folder = folder();
    let run = |arguments: &[&str]| {
        let options = options(arguments);
        let plan = planned(&options.program, options.element);
        let mut out = Vec::new();
        run(&plan, &options, &folder, &mut out).map(|()| String::from_utf8(out).expect("text"))
    };

    match run(&["sum xs", &path("odd.f32")]) {
        Err(error @ RunError::Size { bytes: 41, .. }) => assert_eq!(error.exit_code(), 2),
        other => panic!("{other:?}"),
    }
    assert!(matches!(run(&["sum xs", &path("none.f32")]), Err(RunError::Read(..))));

    let program = "r = map sqrt xs; m = maximum r; s = sum (zipWith (*) xs ys); out = map (/m) r";
    let arguments =
        [program, &path("xs.f32"), &format!("ys={}", path("short.f32")), "--out", &format!("out={}", path("out"))];
    let said = match run(&arguments) {
        Err(RunError::Build(BuildError::Offline(errors))) => return crate::skip(&errors),
        said => said.expect("it runs"),
    };
    assert!(said.contains("s = 285.0\n"), "{said}");
    assert!(said.contains("out: 1000 elements: 0.0, 0.0316"), "{said}");
    assert!(said.contains("temporaries in the Hot Arena: 1, 4000 bytes, 0 left\n"), "{said}");
    assert!(said.contains("allocations in the General Heap: 0, 0 bytes of objects\n"), "{said}");
    assert!(said.contains("HotArena"), "the table of all regions: {said}");
    let written = std::fs::read(path("out")).expect("the result");
    assert_eq!((written.len(), &written[3996..]), (4000, &1.0f32.to_le_bytes()[..]));
}
