//! The General Heap against other collectors, reference counting, and the allocator that programs without either use.
//!
//! Programs are measured whole, in CPU time and with their memory at its peak (which is not below the 6 MiB of what
//! starts them): see `collectors.rs`. Those in OCaml and Haskell are compiled here, where there is a compiler, and get a
//! nursery of 4 MiB, as ours do.
//!
//! Rows that compare the General Heap with what it would be without a collector are in this process. They are in CPU time
//! too.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use bhc_rts_alloc::GeneralHeap;
use bhc_rts_alloc::general::raw::Raw;
use bhc_rts_alloc::general::{Collection, Header, Info};

use crate::harness::program::Program;
use crate::harness::threads::cpu_time;
use crate::harness::{Bar, Contender, Contenders, Row, Size, Unit};

use super::escape;

const BOX: &str = "Box+mimalloc";
const RC: &str = "Rc+mimalloc";
const GC_ARENA: &str = "gc-arena";

pub const ROWS: &[Row] = &[
    Row {
        name: "gc/binary-trees-18-raw",
        unit: Unit::Milliseconds,
        bars: &[Bar::peer(1.0, BOX), Bar::peer(0.35, GC_ARENA)],
        contenders: || binary_trees("ours-raw"),
    },
    Row {
        name: "gc/binary-trees-18-safe",
        unit: Unit::Milliseconds,
        bars: &[Bar::peer(1.15, BOX), Bar::peer(0.35, GC_ARENA)],
        contenders: || binary_trees("ours-safe"),
    },
    Row {
        name: "gc/short-lived-pairs",
        unit: Unit::Milliseconds,
        bars: &[Bar::peer(0.4, BOX)],
        contenders: short_lived_pairs,
    },
    Row {
        name: "gc/minor-pause",
        unit: Unit::Microseconds,
        bars: &[Bar::peer(4.0, "memcpy")],
        contenders: minor_pause,
    },
    Row { name: "gc/barrier", unit: Unit::Nanoseconds, bars: &[Bar::peer(1.15, "raw store")], contenders: barrier },
    Row {
        name: "gc/persistent-map",
        unit: Unit::Milliseconds,
        bars: &[Bar::peer(0.5, RC), Bar::peer(0.5, GC_ARENA)],
        contenders: persistent_map,
    },
];

fn binary_trees(ours: &'static str) -> Contenders {
    programs(
        "binary-trees",
        ours,
        &[(BOX, "Box"), (RC, "Rc"), (GC_ARENA, "gc-arena"), ("safe-gc", "safe-gc"), ("bumpalo", "bumpalo")],
    )
    .size(TREES)
}

/// How much work binary-trees are.
pub(super) const TREES: Size = Size { what: "depth", full: 18, quick: 14 };

fn short_lived_pairs() -> Contenders {
    programs(
        "short-lived-pairs",
        "ours",
        &[(BOX, "Box"), (RC, "Rc"), (GC_ARENA, "gc-arena"), ("safe-gc", "safe-gc"), ("bumpalo", "bumpalo")],
    )
    .size(Size { what: "pairs", full: 100_000_000, quick: 1_000_000 })
}

fn persistent_map() -> Contenders {
    programs("persistent-map", "ours", &[(RC, "Rc"), (GC_ARENA, "gc-arena"), ("safe-gc", "safe-gc")]).size(Size {
        what: "insertions",
        full: 1_000_000,
        quick: 20_000,
    })
}

/// For the rows in this process.
const NURSERY: usize = 1 << 20;

static NODE: Info = Info::fixed("Node", 2, 0);

/// A tree, made as a program makes it.
///
/// # Safety
/// What is to stay, if this collects, is on the shadow stack.
unsafe fn tree(raw: Raw<'_>, depth: usize) -> *mut Header {
    // SAFETY: the caller's promise; both fields are written, and what they are to hold is on the shadow stack meanwhile.
    unsafe {
        for _ in 0..2 {
            raw.push(if depth == 0 { ptr::null_mut() } else { tree(raw, depth - 1) });
        }
        let node = raw.alloc(&NODE).expect("memory").as_ptr();
        raw.word(node, 1).write(raw.pop());
        raw.word(node, 0).write(raw.pop());
        node
    }
}

/// A minor collection of a nursery that is full and of which everything survives: trees of 1023 nodes of three words, each
/// with a root of its own. After 32 of them everything is dropped and the old generation collected, which is not in the
/// times.
///
/// Against it, a plain copy of as many bytes, which have just been written too, to where nothing was copied for 32 times.
fn minor_pause() -> Contenders {
    const DEPTH: usize = 9;
    const TREE: usize = ((2 << DEPTH) - 1) * 3 * size_of::<usize>();
    const TREES: usize = NURSERY / TREE;
    const PAUSES: usize = 32;

    let pauses = Rc::new(RefCell::new(Vec::new()));
    let mut heap = GeneralHeap::builder().nursery(NURSERY).growth(100, 1 << 30).build();
    let ours = Contender::timed({
        let pauses = Rc::clone(&pauses);
        move |times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                let mut pauses = pauses.borrow_mut();
                let before = heap.gc_stats();
                let raw = heap.raw();
                // SAFETY: every tree is on the shadow stack as soon as it is there.
                let pause = unsafe {
                    for _ in 0..TREES {
                        raw.push(tree(raw, DEPTH));
                    }
                    let start = cpu_time();
                    raw.collect(Collection::Minor);
                    let pause = cpu_time() - start;
                    raw.truncate(0);
                    pause
                };
                let after = heap.gc_stats();
                let counts =
                    (after.minor_collections - before.minor_collections, after.bytes_promoted - before.bytes_promoted);
                assert_eq!(counts, (1, (TREES * TREE) as u64), "minor collections, and bytes promoted");
                pauses.push(pause);
                took += pause;
                if pauses.len().is_multiple_of(PAUSES) {
                    // SAFETY: nothing is to stay.
                    unsafe { heap.raw().collect(Collection::Full) };
                }
            }
            took
        }
    });
    let mut source = vec![0_u8; TREES * TREE];
    let mut target = vec![1_u8; TREES * TREE * PAUSES];
    let mut copies = 0;
    let memcpy = Contender::timed(move |times| {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            copies += 1;
            source.fill(copies as u8);
            let target = target.chunks_exact_mut(source.len()).nth(copies % PAUSES).expect("one of them");
            escape(NonNull::from(&mut *source));
            let start = cpu_time();
            target.copy_from_slice(&source);
            escape(NonNull::from(target));
            took += cpu_time() - start;
        }
        took
    });
    Contenders::ours(ours).against("memcpy", memcpy).telling(move || {
        let mut pauses = pauses.borrow_mut();
        pauses.sort_unstable();
        let figure = |per_cent: usize| pauses[(pauses.len() - 1) * per_cent / 100].as_micros();
        let (median, tail, longest) = (figure(50), figure(99), figure(100));
        let kibibytes = (TREES * TREE) >> 10;
        format!("{} pauses of {kibibytes} KiB: median {median} us, p99 {tail} us, longest {longest} us", pauses.len())
    })
}

static OLD: Info = Info::fixed("Old", 1, 1);
static PAIR: Info = Info::fixed("Pair", 0, 2);

/// Allocates pairs and stores each into the same old object: with the barrier, or into a word that is plain data.
fn barrier() -> Contenders {
    /// `store(heap, object, pair)`.
    fn storing(
        heap: &Rc<RefCell<GeneralHeap>>,
        store: impl Fn(Raw<'_>, *mut Header, *mut Header) + 'static,
    ) -> Contender {
        Contender::batched(vec![Rc::clone(heap)], u64::MAX, move |heap, count| {
            let mut heap = heap.borrow_mut();
            let raw = heap.raw();
            for i in 0..count {
                // SAFETY: a pair has no pointers. The object is at the bottom of the shadow stack.
                unsafe {
                    let pair = raw.alloc(&PAIR).expect("memory").as_ptr();
                    raw.word(pair, 0).cast::<u64>().write(i);
                    raw.word(pair, 1).cast::<u64>().write(i);
                    store(raw, raw.slot(0).read(), pair);
                }
            }
        })
    }

    let [ours, plain] = [(), ()].map(|()| {
        let mut heap = GeneralHeap::builder().nursery(NURSERY).build();
        let raw = heap.raw();
        // SAFETY: the object's pointer is null before anything else may collect.
        unsafe {
            let old = raw.alloc(&OLD).expect("memory").as_ptr();
            raw.word(old, 0).write(ptr::null_mut());
            raw.push(old);
            raw.collect(Collection::Minor);
        }
        Rc::new(RefCell::new(heap))
    });
    // SAFETY: the object has a pointer there, and the pair lives.
    let with_barrier = storing(&ours, |raw, old, pair| unsafe { raw.write(old, 0, pair) });
    // SAFETY: the object has such a word.
    let raw_store = storing(&plain, |raw, old, pair| unsafe { raw.word(old, 1).write(pair) });
    Contenders::ours(with_barrier).against("raw store", raw_store).telling(move || {
        let stats = ours.borrow().gc_stats();
        let (remembered, collections) = (stats.remembered, stats.minor_collections);
        assert!(remembered <= collections + 1, "{remembered} entries for {collections} minor collections");
        format!("{remembered} objects remembered for {collections} minor collections: one at a time")
    })
}

/// A contender of a work of `collectors.rs`.
pub(super) fn program(work: &'static str, contender: &'static str) -> Contender {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_collectors"));
    Contender::program(Program { path, args: vec![work, contender], variables: Vec::new() })
}

/// A work of `collectors.rs`: what our side is called there, and under what names the peers are shown and called.
fn programs(work: &'static str, ours: &'static str, peers: &[(&'static str, &'static str)]) -> Contenders {
    let rust = |contender| program(work, contender);
    let contenders = peers
        .iter()
        .fold(Contenders::ours(rust(ours)), |contenders, (name, contender)| contenders.against(name, rust(contender)));
    OTHER_LANGUAGES.iter().fold(contenders, |contenders, (name, program)| {
        let mut program = program.clone();
        program.args.push(work);
        contenders.against(name, Contender::program(program))
    })
}

/// A language with a collector of its own.
struct Language {
    name: &'static str,
    /// Any of them will do.
    compilers: &'static [&'static [&'static str]],
    version: &'static str,
    source: (&'static str, &'static str),
    options: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

const LANGUAGES: &[Language] = &[
    Language {
        name: "OCaml",
        compilers: &[&["ocamlfind", "ocamlopt"], &["ocamlopt"]],
        version: "-version",
        source: ("peers.ml", include_str!("../collectors/peers.ml")),
        options: &["-O3"],
        // The nursery in words.
        variables: &[("OCAMLRUNPARAM", "s=512k")],
    },
    Language {
        name: "GHC",
        compilers: &[&["ghc"]],
        version: "--numeric-version",
        source: ("Peers.hs", include_str!("../collectors/Peers.hs")),
        options: &["-O2", "-with-rtsopts=-A4m"],
        variables: &[],
    },
];

/// The programs in other languages. What there is, or is not, is said when that is first asked for: once in a run.
static OTHER_LANGUAGES: LazyLock<Vec<(&str, Program)>> = LazyLock::new(|| {
    let compiled = LANGUAGES.iter().map(|language| (language, compile(language)));
    compiled
        .filter_map(|(language, compiled)| match compiled {
            Ok((version, path)) => {
                println!("{} {version}", language.name);
                let variables = language.variables.to_vec();
                Some((language.name, Program { path, args: Vec::new(), variables }))
            }
            Err(reason) => {
                println!("SKIPPED: {} among the peers of gc/*: {reason}", language.name);
                None
            }
        })
        .collect()
});

/// The version of a language's compiler, and the program that it made; else why there is none.
fn compile(language: &Language) -> Result<(String, PathBuf), String> {
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    let command = |compiler: &[&str]| {
        let mut command = Command::new(compiler[0]);
        command.args(&compiler[1..]);
        command
    };
    let found = language.compilers.iter().find_map(|compiler| {
        let version = run(command(compiler).arg(language.version)).ok()?;
        Some((compiler, version))
    });
    let (compiler, version) = found.ok_or("there is no compiler")?;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("collectors").join(language.name);
    let (file, source) = language.source;
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(directory.join(file), source))
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    run(command(compiler).args(language.options).args([file, "-o", "peers"]).current_dir(&directory))?;
    Ok((version, directory.join("peers")))
}
