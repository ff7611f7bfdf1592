//! `cargo bench -p bench --bench instructions [-- --filter PREFIX]... [--quick]`: how many instructions an allocation takes,
//! for our arena and its peers.
//!
//! Counts are exact and the same on every run, but belong to one compiler and one CPU architecture: the bars are for
//! x86-64 and the stable Rust of `rust-version`. A missed bar is shown and is no failure, as another compiler may miss it.
//!
//! # Note: what is counted
//! Each allocation stands in a function of its own, which is neither inlined nor known to its caller. Counted is all
//! from its first instruction to its return: the call frame, the allocation, the store of the value and the `ret`, but
//! neither the call nor the caller's loop. For that the program starts itself under valgrind's tool callgrind, once for
//! each function, which switches counting on at the function's entry and off at its return. All calls are on the fast
//! path: the count must be a multiple of their number.

#[allow(dead_code, reason = "scopes and collections are measured by `peers` only")]
mod arenas;

use std::alloc::Layout;
use std::hint::black_box;
use std::io::{ErrorKind, Write, stderr};
use std::process::{Command, ExitCode};
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, HotArena};
use bumpalo::Bump;

use arenas::{Allocate, Arena, ScopeBump};

const USAGE: &str = "\
usage: cargo bench -p bench --bench instructions -- [--filter PREFIX]... [--quick]
  --filter PREFIX  only the rows whose name starts with PREFIX; several add up
  --quick          only the rows with a bar";

/// What the program is started with under valgrind; the names of a row and of an arena follow.
const CALL: &str = "--call";
const CALLS: u64 = 1000;
/// For the largest of so many calls.
const ROOM: usize = 1 << 20;

struct Row {
    name: &'static str,
    /// As a part of the functions' names.
    symbol: &'static str,
    /// At most so many instructions for that arena.
    bar: Option<(&'static str, u64)>,
}

const ROWS: &[Row] = &[
    Row { name: "arena/u64", symbol: "u64", bar: Some(("HotArena", 10)) },
    Row { name: "arena/256B-align64", symbol: "block", bar: Some(("HotArena<64>", 9)) },
    Row { name: "arena/value-128B", symbol: "array", bar: None },
    Row { name: "arena/40B-align8-dynamic", symbol: "dynamic", bar: None },
    Row { name: "arena/slice-align64", symbol: "slice", bar: None },
];

#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "what counts is its size")] [u8; 64]);

struct Contender {
    name: &'static str,
    /// As a part of the functions' names.
    symbol: &'static str,
    /// Calls the function of a row, given by its symbol, on an arena with room.
    call: fn(&str),
}

/// Makes the functions to be counted, with symbols of their own by which valgrind finds them, and the contenders.
macro_rules! contenders {
    ($($symbol:ident: $arena:ty as $name:literal,)*) => {
        $(mod $symbol {
            use super::*;

            #[inline(never)]
            #[unsafe(export_name = concat!("count_u64_", stringify!($symbol)))]
            fn u64(arena: &$arena, value: u64) -> NonNull<u64> {
                arena.outside().value(value)
            }

            #[inline(never)]
            #[unsafe(export_name = concat!("count_block_", stringify!($symbol)))]
            fn block(arena: &$arena) -> NonNull<u8> {
                arena.outside().block(Layout::new::<[Line; 4]>())
            }

            #[inline(never)]
            #[unsafe(export_name = concat!("count_array_", stringify!($symbol)))]
            fn array(arena: &$arena, value: &[u8; 128]) -> NonNull<[u8; 128]> {
                arena.outside().value(*value)
            }

            #[inline(never)]
            #[unsafe(export_name = concat!("count_dynamic_", stringify!($symbol)))]
            fn dynamic(arena: &$arena, layout: Layout) -> NonNull<u8> {
                arena.outside().block(layout)
            }

            #[inline(never)]
            #[unsafe(export_name = concat!("count_slice_", stringify!($symbol)))]
            fn slice(arena: &$arena, len: usize) -> NonNull<u8> {
                arena.outside().block(Layout::array::<Line>(len).expect("a layout"))
            }

            pub fn call(row: &str) {
                /// Calls `function` in a way that the compiler cannot see through.
                fn repeat<A: Arena, V: Copy, P>(function: fn(&A, V) -> P, value: V) {
                    let arena = A::with_room(ROOM);
                    for _ in 0..CALLS {
                        black_box(black_box(function)(&arena, value));
                    }
                }
                match row {
                    "u64" => repeat(u64, 1),
                    "block" => repeat::<$arena, _, _>(|arena, ()| block(arena), ()),
                    "array" => repeat(array, &[1; 128]),
                    "dynamic" => repeat(dynamic, Layout::new::<[u64; 5]>()),
                    "slice" => repeat(slice, 5),
                    _ => unreachable!("the program starts itself with the symbol of a row"),
                }
            }
        })*

        const CONTENDERS: &[Contender] =
            &[$(Contender { name: $name, symbol: stringify!($symbol), call: $symbol::call }),*];
    };
}
contenders! {
    hot: HotArena as "HotArena",
    hot_64: HotArena<Align<64>> as "HotArena<64>",
    bumpalo_1: Bump<1> as "bumpalo 1",
    bumpalo_8: Bump<8> as "bumpalo 8",
    bumpalo_16: Bump<16> as "bumpalo 16",
    scope_up_1: ScopeBump<1, true> as "bump-scope up 1",
    scope_up_8: ScopeBump<8, true> as "bump-scope up 8",
    scope_up_16: ScopeBump<16, true> as "bump-scope up 16",
    scope_down_1: ScopeBump<1, false> as "bump-scope down 1",
    scope_down_8: ScopeBump<8, false> as "bump-scope down 8",
    scope_down_16: ScopeBump<16, false> as "bump-scope down 16",
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("instructions: {message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let (mut filters, mut quick) = (Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a name after it"));
        match arg.as_str() {
            CALL => {
                let (row, contender) = (value()?, value()?);
                let contender = CONTENDERS.iter().find(|one| one.symbol == contender).expect("a contender's symbol");
                (contender.call)(&row);
                return Ok(());
            }
            "--filter" => filters.push(value()?),
            "--quick" => quick = true,
            "--bench" => {} // cargo adds it
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            _ => return Err(format!("unknown argument: {arg}")),
        }
    }
    let wanted = |row: &&Row| {
        (filters.is_empty() || filters.iter().any(|prefix| row.name.starts_with(prefix.as_str())))
            && !(quick && row.bar.is_none())
    };
    let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
    if rows.is_empty() {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("no such row; there are: {}", names.join(", ")));
    }

    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => {}
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(format!("valgrind: {error}")),
        _ => {
            writeln!(stderr(), "SKIPPED: instruction counts: valgrind is not installed").map_err(|e| e.to_string())?;
            return Ok(());
        }
    }
    print(&rows)
}

/// Counts and prints a table: a line for each contender, a column for each row.
fn print(rows: &[&Row]) -> Result<(), String> {
    println!("instructions per call, {}", std::env::consts::ARCH);
    print!("{:<18}", "");
    rows.iter().for_each(|row| print!("  {}", row.name));
    println!();
    let mut verdicts = Vec::new();
    for contender in CONTENDERS {
        print!("{:<18}", contender.name);
        for row in rows {
            let count = count(row, contender)?;
            print!("  {count:>width$}", width = row.name.len());
            if let Some((name, bar)) = row.bar
                && name == contender.name
            {
                let verdict = if count <= bar { "met" } else { "MISSED" };
                verdicts.push(format!("{}: bar for {name}: <= {bar}: {verdict} ({count})", row.name));
            }
        }
        println!();
    }
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    Ok(())
}

/// Instructions in one call.
fn count(row: &Row, contender: &Contender) -> Result<u64, String> {
    let function = format!("count_{}_{}", row.symbol, contender.symbol);
    let program = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg(program)
        .args([CALL, row.symbol, contender.symbol])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let total: Option<u64> = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match total {
        Some(total) if output.status.success() && total > 0 && total % CALLS == 0 => Ok(total / CALLS),
        _ => Err(format!("{function}: no count for {CALLS} equal calls in what valgrind says:\n{text}")),
    }
}
