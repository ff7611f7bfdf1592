//! The runtime's face: what it costs to choose a region and an alignment at run time, and to come from C.
//!
//! # Note: `rts/alloc-dyn-*`
//! A round is eight requests. Ours reads each out of a table that the compiler knows nothing of: kind of region, size and
//! alignment, again for the deallocation. That is what a runtime does that serves compiled code or an interpreter.
//! `static` makes the same eight requests of the region itself, each with a constant layout, and reads no table: so what
//! is between the two is all that a program pays for deciding late. Among the requests are different size classes and
//! alignments, in the same order in each round: predictable, as in a loop that a program runs often, for all contenders.
//! mimalloc is called by `mi_malloc_aligned` with sizes and alignments out of the same table; a deallocation it does not
//! tell any. From the Pinned Heap and the General Heap each block is freed before the next one is made; the arena takes all
//! back after every [`BATCH`] rounds. Shown is the time of one block, with its deallocation if it has one.
//!
//! # Note: `rts/c-*`
//! Loops in C (c/alloc.c, compiled by the system's C compiler at `-O2`) over what the header has inline, and the same loops
//! in Rust. Layouts and descriptors are constants, and each block gets its first words written. Both arenas take memory
//! back by mark and release, out of line in C; both heaps collect when their nursery is full, of which nothing survives.
//! `c-pinned-pair` are the requests of `alloc-dyn-pinned` by the functions of the C ABI, and mimalloc's in the same way.
//! `c-binary-trees-18` is a whole program: see [`collector`](super::collector).

use std::alloc::Layout;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use bhc_rts_alloc::capi::{
    BhcArena, BhcArenaMark, BhcCapability, BhcConfig, BhcMutator, BhcStatus, bhc_arena_mark, bhc_arena_release,
    bhc_capability_arena, bhc_capability_create, bhc_capability_destroy, bhc_capability_mutator, bhc_config_default,
    bhc_pinned_alloc, bhc_pinned_free,
};
use bhc_rts_alloc::general::Info;
use bhc_rts_alloc::general::raw::Raw;
use bhc_rts_alloc::{Alignment, Capability, Config, GeneralHeap, HotArena, MemoryRegion, PinnedHeap, RegionKind};
use libmimalloc_sys as mi;

use crate::harness::{Bar, Contender, Contenders, Row, Unit};

use super::collector::{TREES, program};
use super::escape;

const STATIC: &str = "static";
const MIMALLOC: &str = "mimalloc";
const RUST: &str = "Rust";

pub const ROWS: &[Row] = &[
    Row {
        name: "rts/alloc-dyn-arena",
        unit: Unit::Nanoseconds,
        bars: &[Bar::peer(3.0, STATIC)],
        contenders: alloc_dyn_arena,
    },
    Row {
        name: "rts/alloc-dyn-pinned",
        unit: Unit::Nanoseconds,
        bars: &[Bar::peer(3.0, STATIC), Bar::peer(1.0, MIMALLOC)],
        contenders: alloc_dyn_pinned,
    },
    Row {
        name: "rts/alloc-dyn-general",
        unit: Unit::Nanoseconds,
        bars: &[Bar::peer(3.0, STATIC)],
        contenders: alloc_dyn_general,
    },
    Row {
        name: "rts/c-arena-alloc",
        unit: Unit::Nanoseconds,
        bars: &[Bar::peer(1.1, RUST)],
        contenders: c_arena_alloc,
    },
    Row {
        name: "rts/c-general-alloc",
        unit: Unit::Nanoseconds,
        bars: &[Bar::peer(1.1, RUST)],
        contenders: c_general_alloc,
    },
    // Out of line, and each argument checked. Only shown.
    Row { name: "rts/c-pinned-pair", unit: Unit::Nanoseconds, bars: &[], contenders: c_pinned_pair },
    Row {
        name: "rts/c-binary-trees-18",
        unit: Unit::Milliseconds,
        bars: &[Bar::peer(1.1, RUST)],
        contenders: c_binary_trees,
    },
];

/// The requests of a round: temporaries and buffers of vectors, and plain values.
const LAYOUTS: [Layout; 8] = {
    const fn of(size: usize, align: usize) -> Layout {
        match Layout::from_size_align(size, align) {
            Ok(layout) => layout,
            Err(_) => panic!("a row's layout"),
        }
    }
    [of(24, 8), of(256, 64), of(16, 16), of(1000, 64), of(48, 8), of(100, 32), of(2048, 64), of(512, 16)]
};
const ROUND: u64 = LAYOUTS.len() as u64;
/// Rounds between two times of taking back all memory of an arena.
const BATCH: u64 = 100;
/// For the blocks of such a batch, in a level-2 cache.
const ROOM: usize = 512 << 10;

/// `one::<i>(argument)` for each request of a round, so that its layout is a constant.
macro_rules! each {
    ($one:ident($argument:expr)) => {
        $one::<0>($argument);
        $one::<1>($argument);
        $one::<2>($argument);
        $one::<3>($argument);
        $one::<4>($argument);
        $one::<5>($argument);
        $one::<6>($argument);
        $one::<7>($argument);
    };
}

/// What a runtime is asked for.
struct Request {
    kind: RegionKind,
    size: usize,
    alignment: Alignment,
}

type Table = [Request; LAYOUTS.len()];

fn table(kind: RegionKind) -> Table {
    LAYOUTS.map(|layout| Request {
        kind,
        size: layout.size(),
        alignment: Alignment::new(layout.align()).expect("a layout's"),
    })
}

/// Rounds of requests to a capability, each block freed before the next one is made.
fn pairs_by_kind(kind: RegionKind) -> Contender {
    Contender::batched(places(|| (Capability::new(), table(kind))), u64::MAX, |(capability, table), rounds| {
        let table: &Table = black_box(table);
        for _ in 0..rounds {
            for request in table {
                let block = capability.alloc(request.kind, request.size, request.alignment).expect("memory");
                escape(block);
                // SAFETY: just allocated; the table is as it was.
                unsafe { capability.dealloc(request.kind, block, request.size, request.alignment) };
            }
        }
    })
    .operations(ROUND)
}

/// The same requests to a region itself, each with a constant layout.
fn static_pairs<R: MemoryRegion + 'static>(region: impl Fn() -> R) -> Contender {
    #[inline(always)]
    fn pair<const I: usize>(region: &impl MemoryRegion) {
        let layout = const { LAYOUTS[I] };
        let block = region.alloc(layout).expect("memory");
        escape(block);
        // SAFETY: just allocated, with this layout.
        unsafe { region.dealloc(block, layout) };
    }
    Contender::batched(places(region), u64::MAX, |region, rounds| {
        for _ in 0..rounds {
            each!(pair(&*region));
        }
    })
    .operations(ROUND)
}

/// The same requests to mimalloc, out of the table.
fn mimalloc_pairs() -> Contender {
    // The kind is not looked at.
    Contender::batched(vec![table(RegionKind::Pinned)], u64::MAX, |table, rounds| {
        let table: &Table = black_box(table);
        for _ in 0..rounds {
            for request in table {
                // SAFETY: any size and any power of two will do, and the block is freed once.
                unsafe {
                    let block = mi::mi_malloc_aligned(request.size, request.alignment.as_usize());
                    escape(NonNull::new(block).expect("memory"));
                    mi::mi_free(block);
                }
            }
        }
    })
    .operations(ROUND)
}

/// Several of the same, what is behind them at different distances: see `places` of the rows `arena/*`.
fn places<C>(make: impl Fn() -> C) -> Vec<C> {
    let mut gaps = Vec::new();
    (0..5)
        .map(|i| {
            gaps.push(vec![0u8; 300 + 208 * i]);
            make()
        })
        .collect()
}

fn with_arena() -> Capability {
    Config::new().arena(HotArena::builder().capacity(ROOM)).build()
}

fn alloc_dyn_arena() -> Contenders {
    #[inline(always)]
    fn one<const I: usize>(arena: &HotArena) {
        escape(arena.alloc_layout(const { LAYOUTS[I] }));
    }
    let by_kind = Contender::batched(
        places(|| (Box::new(with_arena()), table(RegionKind::HotArena))),
        BATCH,
        |(capability, table), rounds| {
            let table: &Table = black_box(table);
            for _ in 0..rounds {
                for request in table {
                    escape(capability.alloc(request.kind, request.size, request.alignment).expect("memory"));
                }
            }
            capability.parts().arena.reset();
        },
    );
    let by_type = Contender::batched(places(|| Box::new(with_arena())), BATCH, |capability, rounds| {
        for _ in 0..rounds {
            each!(one(capability.arena()));
        }
        capability.parts().arena.reset();
    });
    Contenders::ours(by_kind.operations(ROUND)).against(STATIC, by_type.operations(ROUND))
}

fn alloc_dyn_pinned() -> Contenders {
    Contenders::ours(pairs_by_kind(RegionKind::Pinned))
        .against(STATIC, static_pairs(PinnedHeap::new))
        .against(MIMALLOC, mimalloc_pairs())
}

fn alloc_dyn_general() -> Contenders {
    Contenders::ours(pairs_by_kind(RegionKind::General)).against(STATIC, static_pairs(GeneralHeap::new))
}

fn c_pinned_pair() -> Contenders {
    let in_c = Contender::batched(vec![table(RegionKind::Pinned)], u64::MAX, |table, rounds| {
        let table: &Table = black_box(table);
        for _ in 0..rounds {
            for request in table {
                let block = bhc_pinned_alloc(request.size, request.alignment.as_usize());
                escape(NonNull::new(block).expect("memory"));
                // SAFETY: just allocated; the table is as it was.
                let freed = unsafe { bhc_pinned_free(block, request.size, request.alignment.as_usize()) };
                assert_eq!(freed, BhcStatus::Ok);
            }
        }
    });
    Contenders::ours(in_c.operations(ROUND)).against(MIMALLOC, mimalloc_pairs())
}

/// Of c/alloc.c.
mod c {
    use super::{BhcArena, BhcMutator};

    unsafe extern "C" {
        /// # Safety
        /// The calling thread's, with room in its chunk.
        pub unsafe fn bench_arena_alloc(arena: *mut BhcArena, rounds: u64);
        /// # Safety
        /// The calling thread's. Nothing is to stay that is no root.
        pub unsafe fn bench_general_alloc(mutator: *mut BhcMutator, rounds: u64);
    }
}

/// Blocks, and objects, of a round of the rows `c-*`.
const OF_C: u64 = 4;
/// As [`BATCH`]: enough that what is out of line, in C, and looks for the arena among the thread's is nothing beside them.
const BATCH_OF_C: u64 = 1000;

/// A capability as C has it.
struct InC(NonNull<BhcCapability>);

impl InC {
    fn new() -> Self {
        let config = BhcConfig { arena_capacity: ROOM, nursery: NURSERY, ..bhc_config_default() };
        // SAFETY: the configuration is there during the call.
        Self(NonNull::new(unsafe { bhc_capability_create(&raw const config) }).expect("a capability"))
    }
}

impl Drop for InC {
    fn drop(&mut self) {
        let status = bhc_capability_destroy(self.0.as_ptr());
        assert_eq!(status, BhcStatus::Ok, "it is this thread's, and not in use");
    }
}

fn c_arena_alloc() -> Contenders {
    /// # Safety
    /// The layout is one for at least a word of that type.
    #[inline(always)]
    unsafe fn one<T>(arena: &HotArena, size: usize, align: usize, word: T) {
        let block = arena.alloc_layout(Layout::from_size_align(size, align).expect("a layout"));
        // SAFETY: the caller's promise.
        unsafe { block.cast::<T>().write(word) };
        escape(block);
    }
    let in_c = Contender::batched(places(InC::new), BATCH_OF_C, |capability, rounds| {
        let arena = bhc_capability_arena(capability.0.as_ptr());
        let mut mark = MaybeUninit::<BhcArenaMark>::uninit();
        // SAFETY: the arena is this thread's, and what is allocated from it since the mark is not used after the release.
        let released = unsafe {
            let marked = bhc_arena_mark(arena, mark.as_mut_ptr());
            assert_eq!(marked, BhcStatus::Ok);
            c::bench_arena_alloc(arena, rounds);
            bhc_arena_release(arena, mark.as_ptr())
        };
        assert_eq!(released, BhcStatus::Ok);
    });
    let in_rust = Contender::batched(places(|| Box::new(with_arena())), BATCH_OF_C, |capability, rounds| {
        let arena = capability.arena();
        let mark = arena.mark();
        for i in 0..rounds {
            // SAFETY: there is room for such a word in each, at an address that is aligned for it.
            unsafe {
                one::<u64>(arena, 16, 8, i);
                one::<u64>(arena, 64, 64, i);
                one::<u64>(arena, 40, 8, i);
                one::<u32>(arena, 12, 4, i as u32);
            }
        }
        // SAFETY: there are no other marks and no scopes, and the blocks are not used any more.
        unsafe { arena.release(mark) };
    });
    Contenders::ours(in_c.operations(OF_C)).against(RUST, in_rust.operations(OF_C))
}

/// In a level-2 cache: otherwise its misses would be what is measured.
const NURSERY: usize = 256 << 10;

static PAIR: Info = Info::fixed("Pair", 0, 2);

fn c_general_alloc() -> Contenders {
    #[inline(always)]
    fn pair(raw: Raw<'_>, word: u64) {
        // SAFETY: an object of two words that are no pointers, which are written, and which is not used afterwards.
        unsafe {
            let object = raw.alloc(&PAIR).expect("memory").as_ptr();
            raw.word(object, 0).cast::<u64>().write(word);
            raw.word(object, 1).cast::<u64>().write(word);
            escape(NonNull::new_unchecked(object));
        }
    }
    let in_c = Contender::batched(vec![InC::new()], u64::MAX, |capability, rounds| {
        // SAFETY: the mutator is this thread's.
        unsafe { c::bench_general_alloc(bhc_capability_mutator(capability.0.as_ptr()), rounds) };
    });
    let heap = GeneralHeap::builder().nursery(NURSERY).build();
    let in_rust = Contender::batched(vec![heap], u64::MAX, |heap, rounds| {
        let raw = heap.raw();
        for i in 0..rounds {
            pair(raw, i);
            pair(raw, i);
            pair(raw, i);
            pair(raw, i);
        }
    });
    Contenders::ours(in_c.operations(OF_C)).against(RUST, in_rust.operations(OF_C))
}

fn c_binary_trees() -> Contenders {
    let in_rust = program("binary-trees", "ours-raw");
    Contenders::ours(program("binary-trees", "ours-c")).against(RUST, in_rust).size(TREES)
}
