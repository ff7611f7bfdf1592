//! What C sees of our types: their first words, which generated code reads and writes. The offsets are asserted here,
//! against those of the real types, and in the header, against those that a C compiler gives them.

use core::ffi::{c_char, c_void};
use core::mem::offset_of;

use crate::align::{Align, KnownAlign};
use crate::arena::{HotArena, Mark};
use crate::general::raw::Mutator;
use crate::general::{Info, Kind};
use crate::region::RegionKind;

/// The bytes that every block of an arena starts and ends at a multiple of.
pub const BHC_ARENA_UNIT: usize = 8;
/// Objects of so many words, header included, are large: no fast path makes them.
pub const BHC_LARGE_WORDS: u32 = 1024;
/// Arrays of pointers have a log byte for each part of so many bytes of addresses, a card.
pub const BHC_CARD: usize = 512;
/// In every descriptor of objects, so that one is known from something else.
pub const BHC_INFO_MAGIC: u16 = 0xB4C1;
/// For `BhcInfo::pointers`: the pointers are not simply the first words.
pub const BHC_INFO_ELSEWHERE: u32 = u32::MAX;

const _: () = {
    assert!(BHC_ARENA_UNIT == Align::<8>::BYTES);
    assert!(BHC_CARD == crate::general::CARD);
    assert!(BHC_INFO_MAGIC == crate::general::INFO_MAGIC);
    assert!(BHC_INFO_ELSEWHERE == crate::general::INFO_ELSEWHERE);
    assert!(size_of::<usize>() != 8 || BHC_LARGE_WORDS as usize == crate::general::LARGE_WORDS);
};

/// A Hot Arena: the part of it that the inline fast path works on. Where it is and what is behind it is the library's.
#[repr(C)]
pub struct BhcArena {
    /// The next free byte, a multiple of `BHC_ARENA_UNIT`.
    pub cursor: *mut u8,
    /// The address up to which there is room.
    pub limit: usize,
    /// Live blocks.
    pub count: usize,
    chunk: *mut c_void,
    /// The cursor's address, less the sizes of all live blocks.
    pub balance: usize,
}

const _: () = {
    let [cursor, limit, count, balance] = <HotArena>::OFFSETS;
    assert!(offset_of!(BhcArena, cursor) == cursor);
    assert!(offset_of!(BhcArena, limit) == limit);
    assert!(offset_of!(BhcArena, count) == count);
    assert!(offset_of!(BhcArena, balance) == balance);
    assert!(size_of::<BhcArena>() <= size_of::<HotArena>());
};

/// Where an arena stood: what [`bhc_arena_mark`](super::bhc_arena_mark) fills in. It may be copied and forgotten.
#[repr(C)]
pub struct BhcArenaMark {
    pub(super) arena: *mut BhcArena,
    pub(super) frame: [*mut c_void; 8],
}

const _: () = {
    assert!(size_of::<Mark>() == size_of::<[*mut c_void; 8]>());
    assert!(align_of::<Mark>() <= align_of::<BhcArenaMark>());
};

/// What compiled code and the collector share: the part of it that the inline fast paths work on.
#[repr(C)]
pub struct BhcMutator {
    /// The next word of the nursery.
    pub hp: *mut *mut c_void,
    /// Its end; null if whoever allocates is to come by. Other threads may write it: it is loaded as an atomic.
    pub hp_lim: *mut *mut c_void,
    /// The next slot of the shadow stack.
    pub stack_top: *mut *mut c_void,
    /// Its end.
    pub stack_lim: *mut *mut c_void,
    /// What is to be added to an object's address, divided by the bytes of two words, for its log byte.
    pub log_bias: *mut u8,
    /// The end of the nursery, even if `hp_lim` is null.
    pub limit: *mut *mut c_void,
}

const _: () = {
    let [hp, hp_lim, stack_top, stack_lim, log_bias, limit] = Mutator::OFFSETS;
    assert!(offset_of!(BhcMutator, hp) == hp);
    assert!(offset_of!(BhcMutator, hp_lim) == hp_lim);
    assert!(offset_of!(BhcMutator, stack_top) == stack_top);
    assert!(offset_of!(BhcMutator, stack_lim) == stack_lim);
    assert!(offset_of!(BhcMutator, log_bias) == log_bias);
    assert!(offset_of!(BhcMutator, limit) == limit);
    assert!(size_of::<BhcMutator>() <= size_of::<Mutator>());
};

/// What the objects of a descriptor look like after the header word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BhcKind {
    /// Pointers first, then plain data.
    Fixed = 0,
    /// A bit for each word says whether it is a pointer.
    Bitmap = 1,
    /// A length word, and so many pointers.
    Pointers = 2,
    /// A length word, and so many elements of plain data.
    Data = 3,
    /// As `Fixed`: a suspended computation.
    Thunk = 4,
}

/// The descriptor of objects: what the collector knows of them. Constant data, made by one of the macros `BHC_INFO_*`,
/// that is there as long as any heap.
#[repr(C, align(16))]
pub struct BhcInfo {
    /// The words of an object, its header included; 0 for arrays.
    pub size: u32,
    /// The pointers, which are the first words after the header; or `BHC_INFO_ELSEWHERE`.
    pub pointers: u32,
    /// A `BhcKind`.
    pub kind: u8,
    /// Of arrays of data: the alignment of the first element, as a power of two.
    pub align_log2: u8,
    /// `BHC_INFO_MAGIC`.
    pub magic: u16,
    /// Of arrays of data: the bytes of an element.
    pub element: u32,
    /// Of the kind `Bitmap`: a bit for each word after the header, from the lowest.
    pub bitmap: *const u64,
    /// What they are called in reports; without a zero at its end.
    pub name: *const c_char,
    /// The bytes of the name.
    pub name_len: usize,
}

const _: () = {
    assert!(size_of::<BhcInfo>() == size_of::<Info>() && align_of::<BhcInfo>() == align_of::<Info>());
    assert!(offset_of!(BhcInfo, size) == offset_of!(Info, size));
    assert!(offset_of!(BhcInfo, pointers) == offset_of!(Info, pointers));
    assert!(offset_of!(BhcInfo, kind) == offset_of!(Info, kind));
    assert!(offset_of!(BhcInfo, align_log2) == offset_of!(Info, align_log2));
    assert!(offset_of!(BhcInfo, magic) == offset_of!(Info, magic));
    assert!(offset_of!(BhcInfo, element) == offset_of!(Info, element));
    assert!(offset_of!(BhcInfo, bitmap) == offset_of!(Info, bitmap));
    assert!(offset_of!(BhcInfo, name) == offset_of!(Info, name));
    assert!(offset_of!(BhcInfo, name_len) == offset_of!(Info, name_len));
    assert!(BhcKind::Fixed as u8 == Kind::Fixed as u8);
    assert!(BhcKind::Bitmap as u8 == Kind::Bitmap as u8);
    assert!(BhcKind::Pointers as u8 == Kind::Pointers as u8);
    assert!(BhcKind::Data as u8 == Kind::Data as u8);
    assert!(BhcKind::Thunk as u8 == Kind::Thunk as u8);
};

/// Which region serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum BhcRegion {
    /// The process allocator.
    System = 0,
    /// The capability's Hot Arena.
    HotArena = 1,
    /// The Pinned Heap.
    Pinned = 2,
    /// Raw bytes of the capability's General Heap.
    General = 3,
}

impl BhcRegion {
    /// As [`RegionKind`], out of what C has: a plain number.
    pub(super) fn kind_of(number: i32) -> Option<RegionKind> {
        const ALL: [(BhcRegion, RegionKind); 4] = [
            (BhcRegion::System, RegionKind::System),
            (BhcRegion::HotArena, RegionKind::HotArena),
            (BhcRegion::Pinned, RegionKind::Pinned),
            (BhcRegion::General, RegionKind::General),
        ];
        ALL.into_iter().find(|(region, _)| *region as i32 == number).map(|(_, kind)| kind)
    }
}

/// Which collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum BhcCollection {
    /// Of the nursery.
    Minor = 0,
    /// Of all.
    Full = 1,
}
