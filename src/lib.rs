#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
//! Memory regions and typed alignment: the memory layer of the Basel Haskell Compiler's runtime.
//!
//! Alignment is part of the type. [`Align<64>`](Align) is a marker; a kernel that takes `&AlignedSlice<f32, A>` with
//! `A: AtLeast<Align<64>>` does not accept a slice aligned to 16 bytes, and the compiler says so in plain words. A
//! [`SimdBuffer<T, A, R>`](SimdBuffer) is a `Vec` with its alignment and its memory region in the type, padded with
//! zeros to whole vectors. Where alignment or region are chosen at run time there are [`Alignment`],
//! [`detect_simd_alignment`] and `&dyn MemoryRegion`, and checked ways from one world to the other.
//!
//! ```
//! use bhc_rts_alloc::{Align, AlignedSlice, AtLeast, SimdBuffer, SimdLevel, simd_kernel};
//!
//! simd_kernel! {
//!     /// Compiled for each instruction set; runs on the one that the token proves.
//!     fn scale(a: f32, x: &mut AlignedSlice<f32, Align<64>>) {
//!         x.iter_mut().for_each(|x| *x *= a);
//!     }
//! }
//!
//! let mut x = SimdBuffer::<f32>::from_fn(1000, |i| i as f32);
//! scale(SimdLevel::detect(), 2.0, &mut x.padded_mut());
//! assert_eq!(x[999], 1998.0);
//! ```
//!
//! # The map
//! | module | what | names |
//! |---|---|---|
//! | `align` | alignment as a type and as a value | [`Align`], [`KnownAlign`], [`AtLeast`], [`FitsIn`], [`Alignment`], [`AlignSpec`], [`SimdLevel`], [`simd_kernel!`], [`with_alignment!`], [`align_up`] … |
//! | `error`, `stats` | what goes wrong, what is counted | [`AllocError`], [`AllocResult`], [`AllocStats`] |
//! | [`os`] | the operating system, and making it fail | [`page_size`], [`FileRead`] |
//! | `region` | the contract of a memory region | [`MemoryRegion`], [`TypedRegion`], [`RegionKind`] |
//! | `system` | the process allocator as a region | [`System`], [`alloc_aligned`], [`free_aligned`] |
//! | `buffer` | typed memory | [`AlignedSlice`], [`SimdBuffer`], [`Place`] |
//! | `arena` | the Hot Arena: bump pointer, scopes | [`HotArena`], [`Scope`], [`HotArenaBuilder`], [`ArenaBox`], [`Mark`], [`with_arena`], `with_thread_arena` |
//! | `runs`, `class` | runs of slices of 8 KiB, given out and joined again; the classes of smaller sizes: for both heaps | |
//! | `owned`, `units` | boxes and shared values that may be refused; numbers as people read them | |
//! | `pinned` | the Pinned Heap: a `malloc` that is told the layout | `PinnedHeap`, `PinnedHeapBuilder`, `PinnedGlobal`, `SegmentObserver`, `Misuse`, … |
//! | `general` | the General Heap: boxed values, and a collector that moves them | `GeneralHeap`, `GeneralHeapBuilder`, `Gc`, `Root`, `HeapBytes`, `gc_object!`; in `general`: the arrays, statistics, verifier, and the `raw` heap for compiled code |
//! | `rts` | one mutator's regions behind a run-time switch | `Capability`, `Config`, `Parts`, `ByRegion`, `KnownRegion`, `RuntimeBuffer`, `SharedPinned`, `CapabilityStats` |
//! | `capi` | the C ABI (feature `capi`), which `include/bhc_rts_alloc.h` declares | `bhc_*`, `Bhc*` |
//!
//! A file uses what stands above it in this table, never what stands below.
//!
//! # Features
//! * `std` (default): CPU detection at run time, per-thread statistics and arenas, files, huge pages, the Pinned Heap
//!   and the General Heap (where there are 64-bit atomics). Implies `alloc`.
//! * `alloc`: [`System`] over the global allocator; regions behind `Box`, `Rc`, `Arc`.
//! * neither: pure `core`. Alignment, errors, statistics, the region contract, buffers over a caller's region, and the
//!   arena over a caller's memory; nothing is allocated anywhere, and [`System`] answers every request with an error.
//! * `allocator-api2`: `Allocator` (version 0.2, as hashbrown) for references to arenas, scopes and pinned heaps.
//! * `capi`: the C ABI. `cargo rustc --release --features capi --crate-type staticlib` (or `cdylib`) builds the library.
//! * `serde`: `Serialize` and `Deserialize` for the buffers; statistics as data.
//! * `checked`: the fault-injection hook [`os::fault`](os); misuse of [`AllocStats`] panics in release builds too.
//!
//! # What is tested where
//! Everything is tested on x86-64 Linux. Built but not run are 32-bit and ARM Linux, Windows, macOS and WebAssembly;
//! other targets should do (with `alloc`, those that have compare-and-swap). Without AVX they run the baseline copy of
//! each kernel. Without Linux files are read buffered, and a pinned or a general heap gives no memory back before it is
//! dropped. Without Unix there are no huge pages, and each of these heaps is one block of the process allocator; what
//! quarantines memory of a general heap then fills it, where it would protect it. Off x86-64 an arena's fast path has
//! two more instructions, as chunks may lie anywhere. On 32-bit targets the lifetime totals of statistics saturate at 4
//! GiB.

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod align;
mod arena;
mod buffer;
#[cfg(all(feature = "capi", target_has_atomic = "64"))]
pub mod capi;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod class;
mod error;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub mod general;
pub mod os;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod owned;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod pinned;
mod region;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod rts;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod runs;
mod stats;
#[cfg(feature = "alloc")]
mod sync;
mod system;
#[cfg(all(feature = "std", target_has_atomic = "64"))]
mod units;

pub use align::{
    Align, AlignSpec, AlignVisitor, Alignment, AtLeast, CACHE_LINE, CacheLineAlign, ChosenFor, DefaultAlign,
    DispatchFloor, FALSE_SHARING_RANGE, FitsIn, InvalidAlignment, KnownAlign, PageAlign, Simd128Align, Simd256Align,
    Simd512Align, SimdLevel, align_down, align_up, checked_align_up, detect_simd_alignment, is_aligned, is_ptr_aligned,
};
pub use arena::{ArenaBox, CallerMemory, HotArena, HotArenaBuilder, Mark, Scope, with_arena};
#[cfg(feature = "std")]
pub use arena::{HugePages, with_thread_arena};
#[cfg(feature = "std")]
pub use buffer::FileError;
pub use buffer::{
    AlignedSlice, IntoIter, PADDING_BLOCK, PaddedMut, Place, RawParts, RecordError, SimdBuffer, SizeMismatch,
};
pub use error::{AllocError, AllocResult};
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub use general::{Gc, GeneralHeap, GeneralHeapBuilder, HeapBytes, Root};
pub use os::page_size;
#[cfg(feature = "std")]
pub use os::{FileRead, NotDirect};
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub use pinned::{
    ClassTable, ClassUsage, Layouts, LeakReport, Misuse, MisuseKind, PinnedBlock, PinnedGlobal, PinnedHeap,
    PinnedHeapBuilder, PinnedUsage, Segment, SegmentObserver,
};
pub use region::{MemoryRegion, Promises, RegionKind, TypedRegion};
#[cfg(all(feature = "std", target_has_atomic = "64"))]
pub use rts::{ByRegion, Capability, CapabilityStats, Config, KnownRegion, Parts, RuntimeBuffer, SharedPinned};
pub use stats::AllocStats;
pub use system::{System, alloc_aligned, free_aligned};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// For the crate's macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::align::detect::Isa;
    pub use crate::align::strictly_descending;
}
