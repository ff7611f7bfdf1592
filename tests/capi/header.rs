//! `include/bhc_rts_alloc.h` is what cbindgen makes of the source.

use std::path::Path;

/// The header, as it is to be.
fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("src/capi");
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("the configuration");
    let source = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of the source");
    config.header = Some(introduction(&source("mod.rs")));
    let mut builder = cbindgen::Builder::new().with_config(config);
    // In the order in which a reader wants them.
    for file in ["machine", "error", "layout", "capability", "arena", "pinned", "general", "stats"] {
        builder = builder.with_src(folder.join(file).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder.generate().expect("cbindgen understands the source").write(&mut header);
    let header = plain(&String::from_utf8(header).expect("text"));
    // Inside the include guard, which is where cbindgen's own trailer is not.
    let (declarations, end) = header.rsplit_once("\n#endif").expect("the end of the include guard");
    format!("{declarations}\n{}\n#endif{end}", source("inline.h"))
}

/// What the module says of itself: the conventions are those of the header.
fn introduction(module: &str) -> String {
    let lines = module.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| format!("//{}", line.replace(" # ", " ---- ")));
    let text = lines.collect::<Vec<_>>().join("\n");
    format!("{text}\n//\n// Made by cbindgen of src/capi; not to be changed by hand.")
}

/// Comments without what only rustdoc understands: of a link its text, of a section its name.
fn plain(header: &str) -> String {
    let mut plain = String::new();
    for line in header.lines() {
        let is_comment = line.trim_start().starts_with("//");
        // What stood behind an empty line of a comment was for cbindgen.
        if !is_comment && let Some(before) = plain.strip_suffix("//\n") {
            plain.truncate(before.len());
        }
        match is_comment {
            true => plain.push_str(&without_links(&line.replace("// # Safety", "// Safety:"))),
            false => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain.replace("// Safety:\n//\n", "// Safety:\n")
}

/// `[text](target)`, and `[text]` of code, without the brackets.
fn without_links(mut line: &str) -> String {
    let mut plain = String::new();
    while let Some((before, link)) = line.split_once('[') {
        let (text, rest) = link.split_once(']').unwrap_or((link, ""));
        plain.extend([before, text]);
        line = match rest.strip_prefix('(') {
            Some(target) => target.split_once(')').map_or("", |(_, rest)| rest),
            None => rest,
        };
    }
    plain + line
}

#[test]
fn is_what_cbindgen_makes_of_the_source() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/bhc_rts_alloc.h");
    let generated = generated();
    if std::env::var_os("BHC_BLESS").is_some() {
        std::fs::write(&file, &generated).expect("the header can be written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    let differing = there.lines().zip(generated.lines()).enumerate().find(|(_, (there, made))| there != made);
    assert!(
        there == generated,
        "include/bhc_rts_alloc.h is not that of the source (first difference: {differing:?}): \
         `BHC_BLESS=1 cargo test --test capi header` writes it",
    );
}
