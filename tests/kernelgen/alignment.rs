//! A generator with a bug: it forgets an alignment.

use crate::compiled::build;
use crate::generator::emit_rust::{Alignments, emit_rust_aligned};
use crate::generator::language::Element;
use crate::programs::planned;

#[test]
fn a_generator_that_forgets_an_alignment_does_not_get_past_the_compiler_which_says_why() {
    let plan = planned("r = map sqrt xs; m = maximum r; map (/m) r", Element::F32);
    let right = Alignments::default();
    let mistakes = [
        ("inputs", Alignments { inputs: 16, ..right }),
        ("temporaries", Alignments { temporaries: 16, ..right }),
        ("outputs", Alignments { outputs: 32, ..right }),
        ("right", right),
    ];
    let mut files = vec![("lib.rs", String::new())];
    for (name, alignments) in mistakes {
        files[0].1 += &format!("pub mod {name};\n");
        let file = match name {
            "inputs" => "inputs.rs",
            "temporaries" => "temporaries.rs",
            "outputs" => "outputs.rs",
            _ => "right.rs",
        };
        files.push((file, emit_rust_aligned(&plan, name, alignments)));
    }
    let errors = match build("alignment", &files, &["build", "--release", "--lib"]) {
        Ok(true) => panic!("it compiles"),
        Ok(false) => return,
        Err(errors) => errors,
    };
    // The errors of each file: from one arrow to the next.
    let of = |file: &str| -> String {
        let blocks = errors.split("\nerror[").filter(|block| block.contains(&format!("--> src/{file}.rs")));
        blocks.collect()
    };
    assert_eq!(of("right"), "", "what is right compiles");
    for (file, message) in [
        ("inputs", "`A0` is too weak: an alignment of at least `Align<64>` is needed"),
        ("temporaries", "`Align<16>` is too weak: an alignment of at least `Align<64>` is needed"),
        ("outputs", "`A1` is too weak: an alignment of at least `Align<64>` is needed"),
    ] {
        let found = of(file);
        assert!(found.contains(message), "{file}: no `{message}` in\n{errors}");
        assert!(found.contains("allocate it with `Align<64>` or stronger"), "{file}: no advice in\n{errors}");
    }
    assert!(of("temporaries").contains("this is aligned only to `Align<16>`, `Align<64>` is needed"), "{errors}");
}
