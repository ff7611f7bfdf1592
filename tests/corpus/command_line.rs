//! What the arguments mean.

use std::ffi::OsString;
use std::path::Path;

use bhc_rts_alloc::RegionKind;

use crate::corpus::options::{Command, Options, USAGE, VECTOR_REGIONS, parse};

fn options(arguments: &[&str]) -> Options {
    match parse(arguments.iter().map(OsString::from)) {
        Ok(Command::Run(options)) => options,
        other => panic!("{arguments:?} gave {other:?}"),
    }
}

fn refusal(arguments: &[&str]) -> String {
    parse(arguments.iter().map(OsString::from)).expect_err("not to be understood")
}

#[test]
fn without_arguments_it_is_this_checkout_ten_pairs_and_vectors_that_are_pinned() {
    let options = options(&[]);
    assert_eq!(options.root, Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!((options.top, options.vectors), (10, RegionKind::Pinned));
}

#[test]
fn path_and_top_stand_in_any_order_and_the_last_top_counts() {
    for arguments in [&["here", "--top", "3"][..], &["--top", "3", "here"], &["--top=3", "here"]] {
        let options = options(arguments);
        assert_eq!((options.root.as_path(), options.top), (Path::new("here"), 3), "{arguments:?}");
    }
    assert_eq!(options(&["--top", "3", "--top=0"]).top, 0);
    assert_eq!(options(&["--top", "100000"]).top, 100_000);
}

#[test]
fn each_region_for_vectors_has_a_name_that_the_help_says() {
    for (name, kind) in VECTOR_REGIONS {
        assert_eq!(options(&["--vectors", name]).vectors, kind);
        assert_eq!(
            options(&["--vectors", "pinned", "here", &format!("--vectors={name}")]).vectors,
            kind,
            "the last one"
        );
        assert!(USAGE.contains(name), "{name}");
    }
}

#[test]
fn after_two_dashes_everything_is_a_path() {
    assert_eq!(options(&["--", "--top"]).root, Path::new("--top"));
    assert_eq!(options(&["--top", "1", "--", "--help"]).root, Path::new("--help"));
}

#[test]
fn a_lone_dash_is_a_file_of_that_name_and_not_standard_input() {
    assert_eq!(options(&["-"]).root, Path::new("./-"));
}

#[test]
fn help_wins_over_what_follows() {
    for arguments in [&["--help"][..], &["-h"], &["here", "--help", "--nonsense"]] {
        assert!(matches!(parse(arguments.iter().map(OsString::from)), Ok(Command::Help)), "{arguments:?}");
    }
    assert!(USAGE.lines().all(|line| line.chars().count() <= 100), "it fits the terminal");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    assert_eq!(refusal(&["--topp", "3"]), "there is no option `--topp`");
    assert_eq!(refusal(&["-x"]), "there is no option `-x`");
    assert_eq!(refusal(&["-\u{1b}[2J"]), "there is no option `-\\u{1b}[2J`");
    for argument in ["--help=yes", "--=", "-h=", "--=--top"] {
        assert_eq!(refusal(&[argument]), format!("there is no option `{argument}`"));
    }
    assert_eq!(refusal(&["a", "b"]), "more than one PATH is given");
    assert_eq!(refusal(&["--top"]), "--top wants a number");
    for value in ["", "x", "-1", "1.5", "100001", "99999999999999999999999"] {
        let expected = format!("--top wants a number from 0 to 100000, not `{value}`");
        assert_eq!(refusal(&["--top", value]), expected);
        assert_eq!(refusal(&[&format!("--top={value}")]), expected);
    }
    assert_eq!(refusal(&["--vectors"]), "--vectors wants a region");
    for value in ["", "arena", "Pinned", "a=b"] {
        let expected = format!("--vectors wants `pinned`, `general` or `system`, not `{value}`");
        assert_eq!(refusal(&["--vectors", value]), expected);
        assert_eq!(refusal(&[&format!("--vectors={value}")]), expected);
    }
}

#[test]
#[cfg(unix)]
fn a_path_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(vec![b'a', 0xff, b'b']);
    match parse([name.clone()]) {
        Ok(Command::Run(options)) => assert_eq!(options.root.as_os_str(), name),
        other => panic!("{other:?}"),
    }
}
