//! `cargo bench -p bench --bench instructions [-- --filter PREFIX]... [--quick]`: how many instructions an allocation takes,
//! for our arena and its peers, and an allocation and a deallocation, for our heap and its peers; what is inline in the C
//! header, beside the same in Rust; and what regions take that are chosen at run time.
//!
//! Counts are exact and the same on every run, but belong to one compiler and one CPU architecture: the bars are for
//! x86-64 and the stable Rust of `rust-version`. A missed bar is shown and is no failure, as another compiler may miss it.
//!
//! # Note: what is counted
//! Each operation stands in a function of its own, which is neither inlined nor known to its caller. Counted is all
//! from its first instruction to its return: the call frame, the operation with the functions that it calls, the store of
//! the value and the `ret`, but neither the call nor the caller's loop. For that the program starts itself under valgrind's
//! tool callgrind, once for each function, which switches counting on at the function's entry and off at its return. All
//! calls are on the fast path: the count must be a multiple of their number.

#[allow(dead_code, reason = "scopes and collections are measured by `peers` only")]
mod arenas;
#[allow(dead_code, reason = "resizing, trimming and the peers of `all-peers` are measured by `peers` only")]
mod heaps;

use std::alloc::{Layout, System, handle_alloc_error};
use std::arch::asm;
use std::hint::black_box;
use std::io::{ErrorKind, Write, stderr};
use std::process::{Command, ExitCode};
use std::ptr::NonNull;

use bhc_rts_alloc::capi::{
    BhcArena, BhcMutator, bhc_capability_arena, bhc_capability_create, bhc_capability_mutator, bhc_config_default,
};
use bhc_rts_alloc::general::Info;
use bhc_rts_alloc::general::raw::{Header, Raw};
use bhc_rts_alloc::{Align, Alignment, Capability, Config, GeneralHeap, HotArena, PinnedHeap, RegionKind};
use bumpalo::Bump;

use arenas::{Allocate, Arena, ScopeBump};
use heaps::{Heap, Mimalloc};

const USAGE: &str = "\
usage: cargo bench -p bench --bench instructions -- [--filter PREFIX]... [--quick]
  --filter PREFIX  only the rows whose name starts with PREFIX; several add up
  --quick          only the rows with a bar";

/// What the program is started with under valgrind; the names of a row and of an arena follow.
const CALL: &str = "--call";
/// Few enough to stay on the fast path of all contenders: mimalloc takes a slow one after as many allocations as there are
/// blocks in a page, and a General Heap's bytes after each 64 blocks.
const CALLS: u64 = 50;
/// For the largest of so many calls.
const ROOM: usize = 1 << 20;

/// Rows, and who contends in them.
struct Table {
    rows: &'static [Row],
    contenders: &'static [Contender],
}

const TABLES: &[Table] = &[
    Table { rows: ARENA_ROWS, contenders: ARENAS },
    Table { rows: HEAP_ROWS, contenders: HEAPS },
    Table { rows: C_ROWS, contenders: LANGUAGES },
    Table { rows: KIND_ROWS, contenders: KINDS },
];

struct Row {
    name: &'static str,
    /// As a part of the functions' names.
    symbol: &'static str,
    /// At most so many instructions for that arena.
    bar: Option<(&'static str, u64)>,
}

const ARENA_ROWS: &[Row] = &[
    Row { name: "arena/u64", symbol: "u64", bar: Some(("HotArena", 10)) },
    Row { name: "arena/256B-align64", symbol: "block", bar: Some(("HotArena<64>", 9)) },
    Row { name: "arena/value-128B", symbol: "array", bar: None },
    Row { name: "arena/40B-align8-dynamic", symbol: "dynamic", bar: None },
    Row { name: "arena/slice-align64", symbol: "slice", bar: None },
];

const HEAP_ROWS: &[Row] = &[
    Row { name: "pinned/alloc-64B", symbol: "alloc", bar: None },
    Row { name: "pinned/dealloc-64B", symbol: "dealloc", bar: None },
    Row { name: "pinned/alloc-dynamic", symbol: "alloc_dynamic", bar: None },
    Row { name: "pinned/dealloc-dynamic", symbol: "dealloc_dynamic", bar: None },
];

const C_ROWS: &[Row] = &[
    Row { name: "rts/arena-256B-align64", symbol: "arena_block", bar: None },
    Row { name: "rts/arena-40B-align8", symbol: "arena_values", bar: Some(("C", 7)) },
    Row { name: "rts/arena-dynamic", symbol: "arena_dynamic", bar: None },
    Row { name: "rts/general-pair", symbol: "general_pair", bar: Some(("C", 18)) },
];

const KIND_ROWS: &[Row] = &[
    Row { name: "rts/alloc-by-kind", symbol: "alloc", bar: None },
    Row { name: "rts/dealloc-by-kind", symbol: "dealloc", bar: None },
];

#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "what counts is its size")] [u8; 64]);

struct Contender {
    name: &'static str,
    /// As a part of the functions' names.
    symbol: &'static str,
    /// Calls the function of a row, given by its symbol, on an arena with room or a heap with free blocks.
    call: fn(&str),
}

/// Makes the functions to be counted, with symbols of their own by which valgrind finds them, and the contenders.
macro_rules! arenas {
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

        const ARENAS: &[Contender] =
            &[$(Contender { name: $name, symbol: stringify!($symbol), call: $symbol::call }),*];
    };
}
arenas! {
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

/// The same for heaps.
macro_rules! heaps {
    ($($symbol:ident: $heap:ty as $name:literal,)*) => {
        $(mod $symbol {
            use super::*;

            #[inline(never)]
            #[unsafe(export_name = concat!("count_alloc_", stringify!($symbol)))]
            fn alloc(heap: &$heap) -> NonNull<u8> {
                Heap::alloc(heap, BLOCK)
            }

            /// # Safety
            /// As for `Heap::dealloc`, with `BLOCK`.
            #[inline(never)]
            #[unsafe(export_name = concat!("count_dealloc_", stringify!($symbol)))]
            unsafe fn dealloc(heap: &$heap, block: NonNull<u8>) {
                // SAFETY: the caller's promise.
                unsafe { Heap::dealloc(heap, block, BLOCK) }
            }

            #[inline(never)]
            #[unsafe(export_name = concat!("count_alloc_dynamic_", stringify!($symbol)))]
            fn alloc_dynamic(heap: &$heap, layout: Layout) -> NonNull<u8> {
                Heap::alloc(heap, layout)
            }

            /// # Safety
            /// As for `Heap::dealloc`.
            #[inline(never)]
            #[unsafe(export_name = concat!("count_dealloc_dynamic_", stringify!($symbol)))]
            unsafe fn dealloc_dynamic(heap: &$heap, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise.
                unsafe { Heap::dealloc(heap, block, layout) }
            }

            pub fn call(row: &str) {
                let layout = black_box(BLOCK);
                let plain_alloc = |heap: &_| Heap::alloc(heap, layout);
                // SAFETY: `alloc_dealloc` frees the block that was just made, with `BLOCK`.
                let plain_dealloc = |heap: &_, block| unsafe { Heap::dealloc(heap, block, layout) };
                match row {
                    "alloc" => alloc_dealloc::<$heap>(black_box(alloc), plain_dealloc),
                    "alloc_dynamic" => {
                        alloc_dealloc::<$heap>(|heap| black_box(alloc_dynamic)(heap, layout), plain_dealloc);
                    }
                    "dealloc" => {
                        // SAFETY: as above.
                        alloc_dealloc::<$heap>(plain_alloc, |heap, block| unsafe { black_box(dealloc)(heap, block) });
                    }
                    "dealloc_dynamic" => alloc_dealloc::<$heap>(plain_alloc, |heap, block| {
                        // SAFETY: as above.
                        unsafe { black_box(dealloc_dynamic)(heap, block, layout) }
                    }),
                    _ => unreachable!("the program starts itself with the symbol of a row"),
                }
            }
        })*

        const HEAPS: &[Contender] =
            &[$(Contender { name: $name, symbol: stringify!($symbol), call: $symbol::call }),*];
    };
}
heaps! {
    ours: PinnedHeap as "PinnedHeap",
    mimalloc: Mimalloc as "mimalloc",
    malloc: System as "malloc",
}

/// What is allocated from heaps.
const BLOCK: Layout = Layout::new::<[u64; 8]>();

/// Allocates and frees a block, again and again, when there are more than enough free ones, and at least one live.
fn alloc_dealloc<H: Heap>(alloc: impl Fn(&H) -> NonNull<u8>, dealloc: impl Fn(&H, NonNull<u8>)) {
    let heap = H::new();
    let blocks: Vec<NonNull<u8>> = (0..8 * CALLS).map(|_| heap.alloc(BLOCK)).collect();
    let (live, free) = blocks.split_first().expect("several");
    // SAFETY: the heap's, made above with this layout, each freed once; the live one at the end.
    let give_back = |block: &NonNull<u8>| unsafe { heap.dealloc(*block, BLOCK) };
    free.iter().for_each(give_back);
    // mimalloc first uses up what it had ready, and only then takes what was freed.
    (0..4 * CALLS).for_each(|_| give_back(&heap.alloc(BLOCK)));
    for _ in 0..CALLS {
        dealloc(&heap, black_box(alloc(&heap)));
    }
    give_back(live);
}

/// The inline fast paths of the header, of c/alloc.c, and those of Rust.
const LANGUAGES: &[Contender] = &[
    Contender { name: "Rust", symbol: "rust", call: in_rust::call },
    Contender { name: "C", symbol: "c", call: in_c::call },
];

mod in_rust {
    use super::*;

    static PAIR: Info = Info::fixed("Pair", 0, 2);

    #[inline(never)]
    #[unsafe(export_name = "count_arena_block_rust")]
    fn arena_block(arena: &HotArena) -> NonNull<u8> {
        arena.alloc_layout(Layout::new::<[Line; 4]>())
    }

    #[inline(never)]
    #[unsafe(export_name = "count_arena_values_rust")]
    fn arena_values(arena: &HotArena) -> NonNull<u8> {
        arena.alloc_layout(Layout::new::<[u64; 5]>())
    }

    #[inline(never)]
    #[unsafe(export_name = "count_arena_dynamic_rust")]
    fn arena_dynamic(arena: &HotArena, layout: Layout) -> NonNull<u8> {
        arena.alloc_layout(layout)
    }

    /// # Safety
    /// What is to stay, if this collects, is a root.
    #[inline(never)]
    #[unsafe(export_name = "count_general_pair_rust")]
    unsafe fn general_pair(raw: Raw<'_>, first: u64, second: u64) -> NonNull<Header> {
        // SAFETY: the caller's promise; both words are written.
        unsafe {
            let object = raw.alloc(&PAIR).expect("memory");
            raw.word(object.as_ptr(), 0).cast::<u64>().write(first);
            raw.word(object.as_ptr(), 1).cast::<u64>().write(second);
            object
        }
    }

    pub fn call(row: &str) {
        let arena = HotArena::with_capacity(ROOM);
        let mut heap = GeneralHeap::new();
        let layout = black_box(Layout::new::<[u64; 5]>());
        for i in 0..CALLS {
            match row {
                "arena_block" => drop(black_box(black_box(arena_block)(&arena))),
                "arena_values" => drop(black_box(black_box(arena_values)(&arena))),
                "arena_dynamic" => drop(black_box(black_box(arena_dynamic)(&arena, layout))),
                // SAFETY: nothing is to stay.
                "general_pair" => drop(black_box(unsafe { black_box(general_pair)(heap.raw(), i, i) })),
                _ => unreachable!("the program starts itself with the symbol of a row"),
            }
        }
    }
}

mod in_c {
    use super::*;

    unsafe extern "C" {
        unsafe fn count_arena_block_c(arena: *mut BhcArena) -> *mut u8;
        unsafe fn count_arena_values_c(arena: *mut BhcArena) -> *mut u8;
        unsafe fn count_arena_dynamic_c(arena: *mut BhcArena, size: usize, align: usize) -> *mut u8;
        unsafe fn count_general_pair_c(mutator: *mut BhcMutator, first: u64, second: u64) -> *mut u8;
    }

    pub fn call(row: &str) {
        let mut config = bhc_config_default();
        config.arena_capacity = ROOM;
        // SAFETY: the configuration is there during the call.
        let capability = unsafe { bhc_capability_create(&raw const config) };
        let (arena, mutator) = (bhc_capability_arena(capability), bhc_capability_mutator(capability));
        let (size, align) = black_box((40, 8));
        for i in 0..CALLS {
            // SAFETY: the arena and the mutator are this thread's; nothing is to stay if this collects.
            let block = unsafe {
                match row {
                    "arena_block" => count_arena_block_c(arena),
                    "arena_values" => count_arena_values_c(arena),
                    "arena_dynamic" => count_arena_dynamic_c(arena, size, align),
                    "general_pair" => count_general_pair_c(mutator, i, i),
                    _ => unreachable!("the program starts itself with the symbol of a row"),
                }
            };
            assert!(!block.is_null(), "memory");
        }
    }
}

/// Keeps functions apart that are otherwise the same, and of which one would stand for all. There is no instruction.
macro_rules! apart {
    ($symbol:ident) => {
        // SAFETY: a comment.
        unsafe { asm!(concat!("/* ", stringify!($symbol), " */"), options(nomem, nostack, preserves_flags)) }
    };
}
/// Allocation of [`BLOCK`] from a region whose kind, as the size and the alignment, is known at run time.
macro_rules! kinds {
    ($($symbol:ident: $kind:ident as $name:literal,)*) => {
        $(mod $symbol {
            use super::*;

            #[inline(never)]
            #[unsafe(export_name = concat!("count_alloc_", stringify!($symbol)))]
            fn alloc(capability: &Capability, kind: RegionKind, size: usize, alignment: Alignment) -> NonNull<u8> {
                apart!($symbol);
                capability.alloc(kind, size, alignment).unwrap_or_else(|_| handle_alloc_error(BLOCK))
            }

            /// # Safety
            /// As for `Capability::dealloc`.
            #[inline(never)]
            #[unsafe(export_name = concat!("count_dealloc_", stringify!($symbol)))]
            unsafe fn dealloc(
                capability: &Capability,
                kind: RegionKind,
                block: NonNull<u8>,
                size: usize,
                alignment: Alignment,
            ) {
                apart!($symbol);
                // SAFETY: the caller's promise.
                unsafe { capability.dealloc(kind, block, size, alignment) }
            }

            pub fn call(_: &str) {
                let capability = Config::new().arena(HotArena::builder().capacity(ROOM)).build();
                let alignment = Alignment::new(BLOCK.align()).expect("a layout's");
                let (kind, size, alignment) = black_box((RegionKind::$kind, BLOCK.size(), alignment));
                let pair = |alloc: fn(&_, _, _, _) -> NonNull<u8>, dealloc: unsafe fn(&_, _, _, _, _)| {
                    let block = alloc(&capability, kind, size, alignment);
                    // SAFETY: just allocated, from that region with that size and alignment.
                    unsafe { dealloc(&capability, kind, black_box(block), size, alignment) };
                };
                // So that there are free blocks, of which more than enough are at hand, and one is in use.
                let mut free: Vec<_> =
                    (0..65).map(|_| capability.alloc(kind, size, alignment).expect("memory")).collect();
                let kept = free.swap_remove(0);
                for block in free.into_iter().rev() {
                    // SAFETY: allocated above, and freed once.
                    unsafe { capability.dealloc(kind, block, size, alignment) };
                }
                for _ in 0..CALLS {
                    pair(black_box(alloc), black_box(dealloc));
                }
                // SAFETY: allocated above.
                unsafe { capability.dealloc(kind, kept, size, alignment) };
            }
        })*

        const KINDS: &[Contender] =
            &[$(Contender { name: $name, symbol: stringify!($symbol), call: $symbol::call }),*];
    };
}

kinds! {
    hot_by_kind: HotArena as "HotArena",
    pinned_by_kind: Pinned as "PinnedHeap",
    bytes_by_kind: General as "HeapBytes",
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
                let mut all = TABLES.iter().flat_map(|table| table.contenders);
                (all.find(|one| one.symbol == contender).expect("a contender's symbol").call)(&row);
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
    let rows = |table: &Table| -> Vec<&Row> { table.rows.iter().filter(wanted).collect() };
    if TABLES.iter().all(|table| rows(table).is_empty()) {
        let names: Vec<&str> = TABLES.iter().flat_map(|table| table.rows).map(|row| row.name).collect();
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
    println!("instructions per call, {}", std::env::consts::ARCH);
    TABLES
        .iter()
        .map(|table| (rows(table), table.contenders))
        .try_for_each(|(rows, contenders)| print(&rows, contenders))
}

/// Counts and prints a table: a line for each contender, a column for each row. Nothing if there are no rows.
fn print(rows: &[&Row], contenders: &[Contender]) -> Result<(), String> {
    if rows.is_empty() {
        return Ok(());
    }
    print!("{:<18}", "");
    rows.iter().for_each(|row| print!("  {}", row.name));
    println!();
    let mut verdicts = Vec::new();
    for contender in contenders {
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
