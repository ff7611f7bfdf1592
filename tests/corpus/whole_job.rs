//! Runs on folders made for it, and on this repository.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::corpus::compare::{self, TEMPORARIES};
use crate::corpus::options::{Limits, Options, VECTOR_REGIONS};
use crate::corpus::read::{self, Skip};
use crate::corpus::report::Report;
use crate::corpus::run::{RunError, config, run};
use crate::corpus::vectors::MIN_COLUMNS;
use crate::region::Audit;
use crate::similarity::{files_below, own_sources, temporaries_of, words};
use crate::skip;
use crate::term_index::bytes_of_all;
use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{
    Alignment, AllocError, AllocStats, FileError, MemoryRegion, PageAlign, PinnedHeap, Place, RegionKind,
};

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("a folder for the test");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

fn run_on(options: &Options) -> (Report, String) {
    let mut out = Vec::new();
    let report = run(options, &mut out).expect("a report");
    let text = String::from_utf8(out).expect("the report is UTF-8");
    (report, text)
}

fn report_on(root: &Path) -> (Report, String) {
    run_on(&Options::new(root))
}

/// What a region counts that gives each of the vectors a block and keeps it, after what it has counted `before`.
fn with_the_vectors_of(report: &Report, before: AllocStats) -> AllocStats {
    let mut stats = before;
    let bytes = (report.features.columns * size_of::<f32>()).next_multiple_of(64);
    if bytes != 0 {
        (0..report.documents).for_each(|_| stats.record_alloc(bytes));
    }
    stats
}

/// A folder of so many texts that have a word in common.
fn folder_of(documents: usize) -> TempDir {
    let texts: Vec<(String, String)> = (0..documents).map(|n| (format!("{n:03}"), format!("common word{n}"))).collect();
    let files: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    folder(&files)
}

/// The pairs by name.
fn pairs(report: &Report) -> Vec<(&str, &str)> {
    report.pairs.iter().map(|pair| (pair.left.to_str().unwrap(), pair.right.to_str().unwrap())).collect()
}

/// What was skipped, without the zeros.
fn skipped(report: &Report) -> Vec<(Skip, usize)> {
    let counts = Skip::ALL.into_iter().map(|why| (why, report.skipped.count(why)));
    counts.filter(|(_, count)| *count != 0).collect()
}

#[test]
fn the_most_similar_texts_come_first() {
    let folder = folder(&[
        ("a.txt", b"the quick brown fox jumps over the lazy dog"),
        ("b/near.txt", b"The quick brown fox jumped over a lazy dog!"),
        ("c.txt", b"the rain in spain stays mainly in the plain"),
        ("d.txt", b"0123 4567 8910"),
    ]);
    let (report, text) = report_on(folder.path());
    assert_eq!(pairs(&report), [("a.txt", "b/near.txt"), ("a.txt", "c.txt"), ("b/near.txt", "c.txt")]);
    assert!(report.pairs[0].similarity > 0.6 && report.pairs[1].similarity < 0.4, "{:?}", report.pairs);
    assert!(report.pairs.is_sorted_by(|a, b| a.similarity >= b.similarity));
    assert_eq!((report.texts, report.documents, report.looked_at), (4, 4, 4));
    assert!(text.contains("The most similar of 6 pairs"), "{text}");
    assert!(text.contains("a.txt\n             b/near.txt\n"), "{text}");
}

#[test]
fn pairs_as_similar_as_each_other_come_in_the_order_of_their_paths() {
    let folder = folder(&[
        ("z", b"common zz"),
        ("m/b", b"common bb"),
        ("m.a", b"common aa"),
        ("a", b"common cc"),
        ("m/a", b"common dd"),
    ]);
    let (report, _) = report_on(folder.path());
    let paths = ["a", "m/a", "m/b", "m.a", "z"]; // by component: the folder `m` before the file `m.a`
    let all = paths.iter().enumerate().flat_map(|(at, left)| paths[at + 1..].iter().map(move |right| (*left, *right)));
    assert_eq!(pairs(&report), all.collect::<Vec<_>>());
    assert_eq!(run_on(&Options { top: 4, ..Options::new(folder.path()) }).0.pairs.len(), 4);
}

#[test]
fn files_with_the_same_words_are_one_document_and_are_listed() {
    let text: &[u8] = b"the very same words";
    let names: Vec<String> = (0..50).map(|n| format!("copy{n:02}")).collect();
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), text)).collect();
    files.push(("reordered", b"very the words, same!"));
    files.push(("different", b"the very same words again"));
    files.push(("pair/one", b"something else"));
    files.push(("pair/two", b"else something"));
    let folder = folder(&files);
    let (report, text) = report_on(folder.path());
    assert_eq!((report.texts, report.documents), (54, 3));
    assert_eq!(report.same.iter().map(Vec::len).collect::<Vec<_>>(), [51, 2], "the largest set first");
    assert_eq!(report.same[0][0], Path::new("copy00"));
    assert_eq!(report.same[1], [Path::new("pair/one"), Path::new("pair/two")]);
    assert_eq!(pairs(&report), [("copy00", "different")]);
    assert_eq!((report.pairs[0].left_copies, report.pairs[0].right_copies), (50, 0));
    for line in ["copy00 (and 50 copies)", "53 files in 2 sets", "51 ×  copy00", "… and 48 more", "2 ×  pair/one"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (_, text) = run_on(&Options { top: 1, ..Options::new(folder.path()) });
    assert!(text.contains("… and 1 more set\n"), "{text}");
}

#[test]
fn whatever_is_not_text_is_counted_with_the_reason() {
    let folder = folder(&[
        ("text", b"plain words here"),
        ("utf8", "wörter auch hier".as_bytes()),
        ("binary", b"words and a \0 byte"),
        ("latin1", b"w\xf6rter in latin one"),
        ("utf16", b"\xff\xfew\0o\0r\0d\0s\0"),
        ("empty", b""),
        ("dots", b"... !!! ???"),
        (".hidden", b"not looked at"),
        (".gitignore", b"ignored*\n"),
        ("ignored.txt", b"not looked at either"),
    ]);
    let large = fs::File::create(folder.path().join("large")).expect("a file");
    large.set_len(Limits::default().file_bytes + 1).expect("a sparse file");
    let (report, text) = report_on(folder.path());
    assert_eq!(report.texts, 2);
    let expected = [(Skip::Binary, 2), (Skip::NotUtf8, 1), (Skip::Empty, 1), (Skip::NoWords, 1), (Skip::TooLarge, 1)];
    assert_eq!(skipped(&report), expected);
    assert_eq!(report.looked_at, 8);
    assert_eq!(report.reads.files(), 6, "the large one and the empty one are not opened");
    for why in expected {
        assert!(text.contains(&format!("{:>10}  skipped: {}\n", why.1, why.0.text())), "{text}");
    }
}

#[test]
#[cfg(unix)]
fn links_are_not_followed_loops_and_pipes_do_no_harm() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("sub/one", b"words here"), ("two", b"words there")]);
    let at = |name: &str| folder.path().join(name);
    symlink(folder.path(), at("sub/loop")).expect("a link");
    symlink("itself", at("itself")).expect("a link");
    symlink("gone", at("dangling")).expect("a link");
    symlink("two", at("again")).expect("a link");
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
    let (report, _) = report_on(folder.path());
    assert_eq!(pairs(&report), [("sub/one", "two")]);
    assert_eq!(skipped(&report), [(Skip::Link, 4), (Skip::NoFile, 1)]);
    drop(socket);

    // What is named on the command line is followed.
    let linked = folder.path().with_extension("link");
    symlink(folder.path(), &linked).expect("a link");
    let (through_link, _) = report_on(&linked);
    fs::remove_file(&linked).expect("the link");
    assert_eq!(pairs(&through_link), [("sub/one", "two")]);
    assert_eq!(pairs(&report_on(&at("again")).0), []);
    assert_eq!(report_on(&at("again")).0.texts, 1);
}

#[test]
#[cfg(unix)]
fn names_that_are_not_utf8_or_would_move_the_cursor_are_printed_harmlessly() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let folder = TempDir::new().expect("a folder for the test");
    for name in [&b"a\xffb"[..], b"c\x1b[2J\nd"] {
        if let Err(error) = fs::write(folder.path().join(OsString::from_vec(name.to_vec())), "same words\n") {
            return skip("odd file names", &error.to_string());
        }
    }
    let (report, text) = report_on(folder.path());
    assert_eq!(report.same.len(), 1);
    assert!(text.contains("a\u{fffd}b\n") && text.contains("c\\u{1b}[2J\\nd\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_folder_without_text_is_reported_as_that() {
    let empty = folder(&[]);
    let (report, text) = report_on(empty.path());
    assert_eq!((report.looked_at, report.documents, report.pairs.len()), (0, 0, 0));
    assert!(text.starts_with("There is no text in "), "{text}");
    let binary = folder(&[("a", b"\0"), ("b", b"\0\0")]);
    let (report, text) = report_on(binary.path());
    assert_eq!((report.looked_at, report.documents), (2, 0));
    assert!(text.starts_with("There is no text in "), "{text}");
}

#[test]
fn one_file_has_nothing_to_be_compared_with() {
    let folder = folder(&[("only.txt", b"words, words, words")]);
    for root in [folder.path().to_owned(), folder.path().join("only.txt")] {
        let (report, text) = report_on(&root);
        assert_eq!((report.texts, report.pairs.len()), (1, 0));
        assert!(text.starts_with("There is one text in "), "{text}");
    }
}

#[test]
fn texts_without_a_common_word_are_not_similar() {
    let folder = folder(&[("a", b"apples"), ("b", b"bananas")]);
    let (report, text) = report_on(folder.path());
    assert!(report.pairs.is_empty());
    assert!(text.starts_with("No two texts in "), "{text}");
}

#[test]
fn no_pairs_asked_for_none_given() {
    let folder = folder(&[("a", b"same words"), ("b", b"same words too"), ("c", b"words same")]);
    let (report, text) = run_on(&Options { top: 0, ..Options::new(folder.path()) });
    assert!(report.pairs.is_empty());
    assert!(text.starts_with("1 pair in "), "{text}");
    assert!(text.contains("3  compared") && !text.contains("The same words"), "{text}");
}

#[test]
fn a_root_that_is_not_there_or_no_file_is_an_error_with_exit_code_2() {
    let folder = folder(&[]);
    let mut roots = vec![folder.path().join("gone")];
    if cfg!(unix) {
        roots.push(PathBuf::from("/dev/null"));
    }
    for root in roots {
        let mut out = Vec::new();
        let error = run(&Options::new(&root), &mut out).expect_err("no report");
        assert!(matches!(error, RunError::Root { .. }), "{error:?}");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(root.to_str().unwrap()), "{error}");
        assert!(out.is_empty());
    }
}

#[test]
fn a_reader_that_goes_away_is_an_error_and_no_panic() {
    /// Takes so many bytes and then breaks.
    struct Pipe(usize);
    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.0);
            self.0 -= count;
            if count == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(count) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let folder = folder(&[("a", b"same words"), ("b", b"same words too"), ("c", b"words same"), ("d", b"\0")]);
    let whole = report_on(folder.path()).1.len();
    for taken in [0, 1, 100, whole / 2] {
        match run(&Options::new(folder.path()), &mut Pipe(taken)) {
            Err(RunError::Output(error)) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
            other => panic!("{taken}: {other:?}"),
        }
    }
}

#[test]
fn files_that_cannot_be_read_are_errors_of_that_file() {
    let folder = folder(&[("sub/file", b"words")]);
    let error = |path: PathBuf| read::read(Place::<PageAlign>::new(), &path).expect_err("not to be read");
    let gone = error(folder.path().join("vanished"));
    assert!(matches!(&gone, FileError::Io(io) if io.kind() == io::ErrorKind::NotFound), "{gone:?}");
    assert!(matches!(error(folder.path().join("sub")), FileError::Io(_)), "a folder");
    #[cfg(unix)]
    {
        let link = folder.path().join("dangling");
        std::os::unix::fs::symlink("gone", &link).expect("a link");
        let dangling = error(link);
        assert!(matches!(&dangling, FileError::Io(io) if io.kind() == io::ErrorKind::NotFound), "{dangling:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_the_rest_compared() {
    // The only files that refuse even root: attributes of the kernel that cannot be told.
    let root = Path::new("/sys/class/net/lo/");
    let refuses = |name: &str| fs::metadata(root.join(name)).is_ok() && fs::read(root.join(name)).is_err();
    let Some(name) = ["speed", "duplex", "phys_port_id"].into_iter().find(|name| refuses(name)) else {
        return skip("a file that refuses to be read", "/sys/class/net/lo has none here");
    };
    let (report, text) = report_on(root);
    assert!(report.texts > 0, "{text}");
    assert!(report.skipped.count(Skip::Unreadable) > 0, "{text}");
    assert!(report.skipped.examples.iter().any(|(path, _)| path.ends_with(name)), "{text}");
    assert!(text.contains("skipped: could not be read\n") && text.contains(&format!("{name}: ")), "{text}");
}

#[test]
fn every_limit_leaves_out_the_rest_and_counts_it() {
    let folder = folder(&[
        ("a", b"one two three"),
        ("b", b"two three four"),
        ("c", b"three four five"),
        ("d", b"one two three"),
    ]);
    let with = |limits: Limits| run_on(&Options { limits, ..Options::new(folder.path()) });
    let all = Limits::default();

    let (report, _) = with(Limits { files: 2, ..all });
    assert_eq!((report.texts, skipped(&report)), (2, vec![(Skip::TooManyFiles, 2)]));
    assert_eq!(pairs(&report), [("a", "b")], "the first by path are taken");

    let (report, _) = with(Limits { file_bytes: 13, ..all });
    assert_eq!((report.texts, skipped(&report)), (2, vec![(Skip::TooLarge, 2)]));

    let (report, _) = with(Limits { text_bytes: 14, ..all });
    assert_eq!((report.texts, skipped(&report)), (2, vec![(Skip::TooMuchText, 2)]));

    let (report, _) = with(Limits { documents: 2, ..all });
    assert_eq!((report.texts, report.documents), (3, 2), "a copy of a document is not one more");
    assert_eq!((report.features.terms, report.features.shared), (4, 2), "words of what is left out are, too");
    assert_eq!(skipped(&report), [(Skip::TooManyDocuments, 1)]);

    let (report, text) = with(Limits { terms: 3, ..all });
    assert_eq!((report.features.terms, report.refused_words), (3, 3));
    assert!(text.contains("3  words not counted"), "{text}");
}

#[test]
fn a_run_on_this_repository_fits_the_terminal_and_says_what_it_did() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (report, text) = run_on(&Options { top: 5, ..Options::new(&root) });
    assert_eq!(report.pairs.len(), 5);
    assert_eq!(report.reads.files(), report.looked_at);
    let files = one_after_the_other(files_below(&root).iter().map(PathBuf::as_path));
    assert_eq!(report.memory.pinned, with_the_vectors_of(&report, files), "file bytes, and vectors, which are live");
    let temporaries = report.memory.hot_arena;
    assert_eq!(
        temporaries.allocation_count,
        compare::blocks(report.documents),
        "an allocation for each block of pairs"
    );
    assert_eq!(temporaries, temporaries_of(report.documents));
    let collected = report.memory.general.gc;
    let all: BTreeSet<String> = own_sources().iter().flat_map(|text| words(text)).collect();
    assert_eq!((all.len(), bytes_of_all(&all)), (report.features.terms, collected.live_after_full));
    assert!(collected.minor_collections > 10 && collected.full_collections > 0, "{collected:?}");
    for part in
        ["The most similar of ", "\nFiles: ", "\nReading: ", "\nVectors: ", "\nMachine: ", "\nTime: ", "\nMemory"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains(&format!("{:>10}  is the level", report.level.name())), "{text}");
    for line in text.lines() {
        // Paths are never cut, and where the checkout is may be a long one.
        assert!(line.chars().count() <= 100 || line.contains(root.to_str().unwrap()), "too wide: {line}");
        assert_eq!(line, line.trim_end(), "spaces at the end");
    }
}

/// What a region counts that gives each of these files a block, and has it back before the next.
fn one_after_the_other<'p>(paths: impl Iterator<Item = &'p Path>) -> AllocStats {
    let audit = Audit::new();
    for path in paths {
        drop(read::read(Place::<PageAlign>::new().within(&audit), path).expect("a file"));
    }
    audit.expect_empty();
    audit.stats()
}

#[test]
fn file_bytes_are_the_pinned_heaps_and_are_freed_before_the_next_file() {
    let large = b"words of a larger file ".repeat(100_000);
    let texts: Vec<String> = (0..40).map(|n| format!("common word{n} ").repeat(n * n)).collect();
    let names: Vec<String> = (0..40).map(|n| format!("{n:02}")).collect();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|(name, text)| (&name[..], text.as_bytes())).collect();
    // What turns out not to be text has been read too; what is empty has not.
    files.extend([("binary", &b"a \0 byte"[..]), ("latin1", b"w\xf6rter"), ("large", &large)]);
    let folder = folder(&files);
    let (report, _) = report_on(folder.path());
    assert_eq!(report.reads.files(), 42, "all but the empty one");
    let memory = run_on(&Options { vectors: RegionKind::General, ..Options::new(folder.path()) }).0.memory;
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    let read = || paths.iter().map(PathBuf::as_path).filter(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0));
    let pinned = memory.pinned;
    assert_eq!(pinned, one_after_the_other(read()));
    assert_eq!(
        report.memory.pinned,
        with_the_vectors_of(&report, pinned),
        "vectors come when all files have been read"
    );
    assert_eq!((pinned.allocation_count, pinned.deallocation_count, pinned.current_live), (42, 42, 0));
    let largest = one_after_the_other(read().filter(|path| path.ends_with("large")));
    assert_eq!(pinned.peak_usage, largest.peak_usage, "never two files at once");
}

#[test]
fn the_table_of_memory_is_that_of_the_capability() {
    let folder = folder_of(33);
    for (_, vectors) in VECTOR_REGIONS {
        let (report, text) = run_on(&Options { vectors, ..Options::new(folder.path()) });
        let (_, table) = text.split_once("\nMemory, by region\n").expect("the table");
        let expected = report.memory.to_string();
        assert!(table.lines().eq(expected.lines().map(|line| format!("  {line}"))), "{text}");
        let names: Vec<&str> = table.lines().filter_map(|row| row.split_whitespace().next()).collect();
        assert_eq!(names, ["allocated", "HotArena", "PinnedHeap", "GeneralHeap", "System", "allocated", "objects"]);
    }
}

#[test]
fn vectors_are_in_the_region_that_was_chosen_and_the_result_is_the_same() {
    let folder = folder_of(70);
    let files = one_after_the_other(files_below(folder.path()).iter().map(PathBuf::as_path));
    let mut found = BTreeSet::new();
    for (_, vectors) in VECTOR_REGIONS {
        let (report, text) = run_on(&Options { vectors, ..Options::new(folder.path()) });
        assert_eq!((report.documents, report.features.columns, report.vectors), (70, 1, vectors));
        let (mut pinned, mut general) = (files, AllocStats::default());
        match vectors {
            RegionKind::Pinned => pinned = with_the_vectors_of(&report, pinned),
            RegionKind::General => general = with_the_vectors_of(&report, general),
            _ => assert!(report.memory.system.current_live >= 70 * 64, "{:?}", report.memory.system),
        }
        assert_eq!((report.memory.pinned, report.memory.general.bytes), (pinned, general), "{vectors:?}");
        assert_eq!(report.memory.hot_arena, temporaries_of(70));
        let (pairs, rest) = text.split_once("\nReading: ").expect("what was read");
        let region = match vectors {
            RegionKind::Pinned => "the Pinned Heap",
            RegionKind::General => "the General Heap",
            _ => "memory of the system",
        };
        assert!(rest.contains(&format!("\nVectors: 70 of 1 column in {region}\n")), "{rest}");
        found.insert(pairs.to_owned());
    }
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_region_that_is_not_for_vectors_is_no_report_and_exit_code_1() {
    let folder = folder_of(2);
    for vectors in [RegionKind::HotArena, RegionKind::Other] {
        let mut out = Vec::new();
        let options = Options { vectors, ..Options::new(folder.path()) };
        let error = run(&options, &mut out).expect_err("no report");
        assert!(matches!(error, RunError::Memory(AllocError::RegionExhausted { .. })), "{error:?}");
        assert_eq!((error.exit_code(), out.len()), (1, 0));
    }
}

#[test]
fn what_the_regions_may_take_is_what_the_limits_say() {
    const MIB: usize = 1 << 20;
    let limits = Limits { file_bytes: MIB as u64, index_bytes: 4 * MIB, ..Limits::default() };
    // 8 MiB by the limit, and by the fewest columns that so many documents may have.
    let given = Limits { documents: 100, vector_bytes: 8 * MIB, ..limits };
    let fewest = Limits { documents: 2048, vector_bytes: MIB, ..limits };
    assert_eq!(2048 * MIN_COLUMNS * size_of::<f32>(), 8 * MIB);
    for ((_, vectors), limits) in VECTOR_REGIONS.into_iter().flat_map(|region| [(region, given), (region, fewest)]) {
        let capability = config(&Options { vectors, limits, ..Options::new("") }).build();
        let has = |kind: RegionKind, bytes: usize| match capability.alloc(kind, bytes, Alignment::Page) {
            Ok(block) => {
                // SAFETY: allocated just now with this size and alignment, and not used.
                unsafe { capability.dealloc(kind, block, bytes, Alignment::Page) };
                true
            }
            Err(AllocError::OutOfMemory { .. }) => false,
            Err(other) => panic!("{other:?}"),
        };
        // A quarter more for vectors. Of the General Heap, nursery and collector have some.
        let vectors_in = |kind| if vectors == kind { 10 * MIB } else { 0 };
        let (pinned, general) = (17 * MIB + vectors_in(RegionKind::Pinned), 4 * MIB + vectors_in(RegionKind::General));
        for (kind, granted, refused) in [
            (RegionKind::Pinned, pinned - MIB / 2, pinned + 1),
            (RegionKind::General, general - 2 * MIB, general),
            (RegionKind::HotArena, TEMPORARIES, 4 * TEMPORARIES),
        ] {
            assert!(has(kind, granted), "vectors {vectors:?}: {granted} bytes of {kind:?}");
            assert!(!has(kind, refused), "vectors {vectors:?}: {refused} bytes of {kind:?}");
        }
    }
}

#[test]
fn there_is_room_for_all_vectors_beside_what_else_is_in_their_region() {
    const DOCUMENTS: usize = 400;
    const COLUMNS: usize = 15_008; // whole cache lines
    let folder = folder_of(DOCUMENTS - 2);
    let shared: String = (0..=COLUMNS).map(|n| format!("w{n} ")).collect();
    fs::write(folder.path().join("many"), &shared).expect("a file");
    fs::write(folder.path().join("many more"), shared + "and more").expect("a file");
    let all = DOCUMENTS * COLUMNS * size_of::<f32>();
    let limits = Limits {
        documents: DOCUMENTS,
        vector_bytes: all,
        file_bytes: 256 << 10,
        index_bytes: 8 << 20,
        ..Limits::default()
    };
    assert!(all > 22 << 20, "more than there is for files and the index");
    for vectors in [RegionKind::Pinned, RegionKind::General] {
        let (report, _) = run_on(&Options { top: 0, vectors, limits, ..Options::new(folder.path()) });
        assert_eq!((report.documents, report.features.columns), (DOCUMENTS, COLUMNS));
        assert!(report.features.folded());
        let (pinned, general) = (report.memory.pinned.current_live, report.memory.general.bytes.current_live);
        assert_eq!(if vectors == RegionKind::Pinned { (pinned, general) } else { (general, pinned) }, (all, 0));
    }
}

#[test]
fn a_file_that_has_grown_beyond_its_limit_is_one_that_cannot_be_read() {
    // Without a length that it tells, as one that grows for ever.
    let endless = Path::new("/dev/zero");
    if !cfg!(unix) {
        return skip("a file without an end", "there is none here");
    }
    let heap = PinnedHeap::builder().limit(16 << 20).build();
    let kept = Place::<PageAlign>::new().within(&heap).filled(5000, 7u8);
    let error = read::read(Place::new().within(&heap), endless).expect_err("more than there is");
    assert!(matches!(error, FileError::Memory(AllocError::OutOfMemory { .. })), "{error:?}");
    assert!(kept.iter().all(|byte| *byte == 7));
    let (stats, usage) = (heap.stats(), heap.usage());
    assert_eq!((stats.failed_allocations, stats.current_live), (1, kept.capacity()));
    assert!(stats.peak_usage <= 16 << 20 && usage.committed <= 16 << 20, "{stats:?}, {usage:?}");
}

#[test]
fn whichever_request_for_memory_fails_there_is_a_report_of_the_rest_or_an_error() {
    let folder = folder_of(3);
    let whole = report_on(folder.path()).0;
    for n in 0.. {
        let mut out = Vec::new();
        let (result, made) = fault::fail_nth(n, || run(&Options::new(folder.path()), &mut out));
        if made <= n {
            assert_eq!(pairs(&result.expect("nothing failed")), pairs(&whole));
            assert!(n > 10, "{n} requests");
            return;
        }
        match result {
            // A file, or what can be done without.
            Ok(report) => {
                let unread = report.skipped.count(Skip::Unreadable);
                assert_eq!((report.texts + unread, report.looked_at), (3, 3));
                assert_eq!(report.memory.pinned.failed_allocations, unread, "request {n}");
            }
            Err(RunError::Memory(AllocError::OutOfMemory { .. })) => assert!(out.is_empty()),
            Err(other) => panic!("request {n}: {other:?}"),
        }
    }
}

#[test]
fn the_temporaries_of_the_kernels_are_the_arenas_and_each_block_of_pairs_frees_its_own() {
    for documents in [1, 31, 32, 33, 70] {
        let folder = folder_of(documents);
        let (report, _) = report_on(folder.path());
        assert_eq!(report.documents, documents);
        let temporaries = report.memory.hot_arena;
        assert_eq!(temporaries.allocation_count, compare::blocks(documents));
        assert_eq!(temporaries, temporaries_of(documents));
        let held = report.memory.hot_arena_capacity;
        assert!(0 < held && held < 2 * TEMPORARIES, "all blocks use the same memory: {held} bytes");
    }
    // 32 × 32, 32 × 1 and 1 × 1 sums of 4 bytes.
    let row = [
        "  HotArena        4.1 KiB    4.1 KiB        0 B    4.0 KiB           3           3      0    4.1 KiB\n",
        "  HotArena            0 B        0 B        0 B        0 B           0           0      0        0 B\n",
    ];
    let folder = folder_of(33);
    let (_, text) = report_on(folder.path());
    assert!(text.contains(row[0]), "{text}");
    let (report, text) = run_on(&Options { top: 0, ..Options::new(folder.path()) });
    assert!(text.contains(row[1]), "nothing is compared: {text}");
    assert_eq!(report.memory.hot_arena, AllocStats::default());
}

#[test]
fn the_words_are_the_general_heaps_and_what_is_left_of_them_is_a_node_and_a_word_each() {
    let folder = folder(&[
        ("first", b"beta alpha gamma"),
        ("second", b"gamma beta beta alpha"),
        ("third: the words of the first", b"gamma alpha beta"),
    ]);
    let (report, text) = report_on(folder.path());
    assert_eq!((report.texts, report.documents), (3, 2));
    // `alpha` and `gamma` are the children of `beta`. So the first text makes a node, and two, and two, and three words; the
    // second and the third as many nodes each. A node has 48 bytes, each of these words 24.
    let row = "    objects         792 B        0 B      216 B      216 B           0           1      0 ";
    assert!(text.contains(row), "{text}");
    let gc = report.memory.general.gc;
    assert_eq!((gc.bytes_allocated, gc.live_after_full), (15 * 48 + 3 * 24, 3 * (48 + 24)));
    assert_eq!((gc.objects_promoted, gc.objects_copied, gc.remembered, gc.failed), (0, 6, 0, 0));
}

#[test]
fn an_index_beyond_its_limit_is_no_report_and_exit_code_1() {
    let folder = folder_of(3);
    let with = |index_bytes: usize, out: &mut Vec<u8>| {
        let limits = Limits { index_bytes, ..Limits::default() };
        run(&Options { limits, ..Options::new(folder.path()) }, out)
    };
    let words: String = (0..50_000).map(|n| format!("many{n} ")).collect();
    fs::write(folder.path().join("many words"), words).expect("a file");
    let mut out = Vec::new();
    // None for the nursery, and enough for that alone.
    for index_bytes in [0, 2 << 20] {
        let error = with(index_bytes, &mut out).expect_err("no report");
        assert!(matches!(error, RunError::Memory(AllocError::OutOfMemory { .. })), "{error:?}");
        assert_eq!((error.exit_code(), out.len()), (1, 0));
    }
    assert_eq!(with(64 << 20, &mut out).expect("a report").features.terms, 50_004);
}

#[test]
fn without_memory_for_the_temporaries_there_is_no_report_and_exit_code_1() {
    let folder = folder_of(33);
    let requests = |top: usize| {
        let options = Options { top, ..Options::new(folder.path()) };
        fault::fail_nth(usize::MAX, || run_on(&options)).1
    };
    let all = requests(10);
    assert_eq!(all, requests(0) + 1, "comparing asks the system once, as the last of all: for the arena's chunk");
    let mut out = Vec::new();
    let (result, made) = fault::fail_nth(all - 1, || run(&Options::new(folder.path()), &mut out));
    let error = result.expect_err("no report");
    assert!(matches!(error, RunError::Memory(AllocError::OutOfMemory { requested: 4096, .. })), "{error:?}");
    assert_eq!((error.exit_code(), made), (1, all));
    assert!(out.is_empty());
}

#[test]
fn two_runs_find_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = || {
        let (report, text) = report_on(&root);
        let mut collected = report.memory.general.gc;
        (collected.minor_pauses, collected.full_pauses) = Default::default(); // they are as long as they are
        (text.split("\nTime: ").next().unwrap().to_owned(), collected)
    };
    assert_eq!(found(), found());
}
