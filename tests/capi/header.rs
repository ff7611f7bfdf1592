//! `include/bhc_rts_alloc.h` is what cbindgen makes of the source.

use std::path::Path;

/// The header, as it is to be.
fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("src/capi");
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("the configuration");
    config.trailer = Some(std::fs::read_to_string(folder.join("inline.h")).expect("the inline functions"));
    let mut builder = cbindgen::Builder::new().with_config(config);
    // In the order in which a reader wants them.
    for file in ["machine", "error", "layout", "capability", "arena", "pinned", "general", "stats"] {
        builder = builder.with_src(folder.join(file).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder.generate().expect("cbindgen understands the source").write(&mut header);
    plain(&String::from_utf8(header).expect("text"))
}

/// Comments without what only rustdoc understands: of a link its text, of a section its name.
fn plain(header: &str) -> String {
    let mut plain = String::new();
    for line in header.lines() {
        if line.trim() == "//" && plain.ends_with("//\n") {
            continue;
        }
        match line.trim_start().strip_prefix("//") {
            Some(_) => plain.push_str(&without_links(&line.replace("// # Safety", "// Safety:"))),
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
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
