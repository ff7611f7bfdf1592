//! What the header says of the library's types is asserted in it: a copy that says something else does not compile. (In
//! src/capi/layout.rs the same is asserted of the real types, when the library is compiled.)

use std::path::Path;

use super::clib::{C11, Cpp17, library};

const HEADER: &str = include_str!("../../include/bhc_rts_alloc.h");

/// Swaps two lines of the header, or puts one in place of another: so a field is elsewhere.
const CHANGES: &[(&str, &str, &str)] = &[
    ("  uint8_t *cursor;\n", "  size_t moved;\n  uint8_t *cursor;\n", "BhcArena.cursor"),
    ("  size_t limit;\n  // Live", "  size_t moved, limit;\n  // Live", "BhcArena.limit"),
    ("  size_t count;\n  void *chunk;\n", "  void *chunk;\n  size_t count;\n", "BhcArena.count"),
    ("  void *chunk;\n", "", "BhcArena.balance"),
    ("  void **hp;\n", "  void **moved, **hp;\n", "BhcMutator.hp"),
    ("  void **hp_lim;\n", "  void **moved, **hp_lim;\n", "BhcMutator.hp_lim"),
    ("  void **stack_top;\n", "  void **moved, **stack_top;\n", "BhcMutator.stack_top"),
    ("  void **stack_lim;\n", "  void **moved, **stack_lim;\n", "BhcMutator.stack_lim"),
    ("  uint8_t *log_bias;\n", "  uint8_t *moved, *log_bias;\n", "BhcMutator.log_bias"),
    ("  void **limit;\n", "  void **moved, **limit;\n", "BhcMutator.limit"),
    ("  uint32_t element;\n", "  uint64_t element;\n", "BhcInfo.bitmap"),
    ("typedef struct BHC_ALIGNED(16) {", "typedef struct {", "BhcInfo"),
    ("  void *frame[8];\n", "  void *frame[7];\n", "BhcArenaMark"),
];

fn compiles(header: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("room for two files");
    let write = |name: &str, text: &str| {
        let file: &Path = &folder.path().join(name);
        std::fs::write(file, text).expect("the file can be written");
        file.to_owned()
    };
    // In quotes, so that it is the one beside it.
    let source = write("includes.c", "#include \"bhc_rts_alloc.h\"\n");
    write("bhc_rts_alloc.h", header);
    C11.assembly(&source, &[]).and(Cpp17.assembly(&source, &[])).map(drop)
}

#[test]
fn a_header_of_another_layout_does_not_compile() {
    if library().is_none() {
        return; // said why
    }
    compiles(HEADER).expect("the header itself does");
    for (there, changed, assertion) in CHANGES {
        assert_eq!(HEADER.matches(there).count(), 1, "the header has {there:?} once");
        let errors = compiles(&HEADER.replace(there, changed)).expect_err("it compiles");
        assert!(errors.contains("static assertion failed"), "{changed:?}:\n{errors}");
        assert!(errors.contains(assertion), "{changed:?}, not {assertion}:\n{errors}");
    }
}
