//! [`Info`]: what the collector knows of an object, as constant data; and [`Header`], the word that leads to it.
//!
//! An object is a header word and its payload. The header points to the object's `Info`, which is 16-aligned static
//! data, so that the collector may use the low bits of the word while the program stands still:
//!
//! | low bits | the word is |
//! |---|---|
//! | `0000` | a pointer to an [`Info`]: an object starts here |
//! | bit 0 | a pointer to where the object has been moved: only during a collection |
//! | `0010` | a [filler](Header::filler): that many words, this one included, are nobody's |
//!
//! # Note: object sizes
//! Memory of objects can be walked from one to the next ("linearly"): the size of each follows from its header, its
//! length word if it is an array, and nothing else. No object is smaller than two words, so that two headers are never
//! in the same 16 bytes: there is one log byte for those, see [`remember`](super::remember).

use core::fmt;
use core::ptr::{self, NonNull};

/// A word of an object: eight bytes, or four where addresses are that long.
pub(crate) const WORD: usize = size_of::<Word>();

/// A word of the heap as the collector sees it: a pointer to an object or null, with its provenance. (What is plain
/// data is copied as bytes, and never read.)
pub(crate) type Word = *mut Header;

/// The low bits of a pointer to an object, which are the program's: collections keep them.
pub(crate) const TAG: usize = WORD - 1;

/// Bit 0 of a header: the object has been moved.
pub(crate) const MOVED: usize = 1;

/// The low four bits of a filler.
const FILLER: usize = 2;

/// What objects with this information look like after the header word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// Pointers first, then plain data.
    Fixed,
    /// A bit for each word says whether it is a pointer.
    Bitmap,
    /// A length word, and so many pointers.
    Pointers,
    /// A length word, and so many elements of plain data.
    Data,
    /// As `Fixed`: a suspended computation, which [`update`](super::raw::Raw::update) replaces by an indirection to its
    /// result.
    Thunk,
    /// A pointer to what a thunk was updated with. Collections put the result in place of pointers to it.
    Indirection,
}

#[cfg(feature = "capi")]
const FIXED: u8 = Kind::Fixed as u8;
#[cfg(feature = "capi")]
const BITMAP: u8 = Kind::Bitmap as u8;
#[cfg(feature = "capi")]
const POINTERS: u8 = Kind::Pointers as u8;
#[cfg(feature = "capi")]
const DATA: u8 = Kind::Data as u8;
#[cfg(feature = "capi")]
const THUNK: u8 = Kind::Thunk as u8;

/// What the collector knows of an object: its shape, as constant data. Usually a `static`.
///
/// Shapes are in words of eight bytes (of four on 32-bit targets), the header word not counted.
///
/// ```
/// use bhc_rts_alloc::general::{Info, Kind};
/// static CONS: Info = Info::fixed("Cons", 2, 0); // head and tail
/// assert_eq!((CONS.name(), CONS.kind()), ("Cons", Kind::Fixed));
/// ```
#[repr(C, align(16))]
pub struct Info {
    /// The words of an object, its header included; 0 if it takes more than this to know.
    pub(crate) size: u32,
    /// The pointers, which are the first words of the payload; [`ELSEWHERE`] if they are not.
    pub(crate) pointers: u32,
    pub(crate) kind: Kind,
    /// `Data`: the payload's alignment, as a power of two.
    pub(crate) align_log2: u8,
    pub(crate) magic: u16,
    /// `Data`: the bytes of an element.
    pub(crate) element: u32,
    /// `Bitmap`: a bit for each word of the payload, from the lowest.
    pub(crate) bitmap: *const u64,
    pub(crate) name: *const u8,
    pub(crate) name_len: usize,
}

/// For [`Info::pointers`]: the pointers are not simply the first words.
pub(crate) const ELSEWHERE: u32 = u32::MAX;

/// In every `Info`, so that the verifier can tell one from something else.
pub(crate) const MAGIC: u16 = 0xB4C1;

// SAFETY: constant data; the pointers are to `'static` data that is never written.
unsafe impl Sync for Info {}
// SAFETY: as above.
unsafe impl Send for Info {}

static_assertions::const_assert_eq!(align_of::<Info>(), 16);

/// What a thunk becomes when it is updated.
pub(super) static INDIRECTION: Info =
    Info { pointers: 1, size: 0, kind: Kind::Indirection, ..Info::blank("Indirection") };

impl Info {
    const fn blank(name: &'static str) -> Self {
        Self {
            size: 0,
            pointers: 0,
            kind: Kind::Fixed,
            align_log2: WORD.trailing_zeros() as u8,
            magic: MAGIC,
            element: 0,
            bitmap: ptr::null(),
            name: name.as_ptr(),
            name_len: name.len(),
        }
    }

    /// Header and payload, at least two words.
    const fn total(pointers: u32, data: u32) -> u32 {
        let payload = match pointers.checked_add(data) {
            Some(0) => 1,
            Some(words) => words,
            None => panic!("an object of more than 2^32 words"),
        };
        match payload.checked_add(1) {
            Some(words) if pointers != ELSEWHERE => words,
            _ => panic!("an object of more than 2^32 words"),
        }
    }

    /// Objects of `pointers` pointers, then `data` words of plain data.
    ///
    /// # Panics
    /// If that is 2^32 words or more; in a constant, at compile time.
    #[must_use]
    pub const fn fixed(name: &'static str, pointers: u32, data: u32) -> Self {
        Self { size: Self::total(pointers, data), pointers, ..Self::blank(name) }
    }

    /// Objects of `words` words, of which those with a bit in `bitmap` (from the lowest bit of its first element) are
    /// pointers.
    ///
    /// # Panics
    /// If the bitmap has fewer bits than there are words, or there are 2^32 or more; in a constant, at compile time.
    ///
    /// ```
    /// use bhc_rts_alloc::general::Info;
    /// // A number, a pointer, a number.
    /// static MIXED: Info = Info::bitmap("Mixed", 3, &[0b010]);
    /// ```
    #[must_use]
    pub const fn bitmap(name: &'static str, words: u32, bitmap: &'static [u64]) -> Self {
        assert!(bitmap.len() * 64 >= words as usize, "the bitmap is shorter than the object");
        Self {
            size: Self::total(0, words),
            // The one word of an object of none is nobody's, and has no bit.
            pointers: if words == 0 { 0 } else { ELSEWHERE },
            kind: Kind::Bitmap,
            bitmap: bitmap.as_ptr(),
            ..Self::blank(name)
        }
    }

    /// Arrays of pointers. An array has a length word (how many), then its elements.
    #[must_use]
    pub const fn pointers(name: &'static str) -> Self {
        Self { pointers: ELSEWHERE, kind: Kind::Pointers, ..Self::blank(name) }
    }

    /// Arrays of plain data, of elements of `element` bytes, aligned to `align` bytes. An array has a length word (how
    /// many elements), then its elements, of which the first is aligned.
    ///
    /// # Panics
    /// If `align` is not a power of two or above 32 KiB, or if `element` is 0 or 2^32 or more; in a constant, at
    /// compile time.
    #[must_use]
    pub const fn data(name: &'static str, element: usize, align: usize) -> Self {
        assert!(align.is_power_of_two() && align <= MAX_ALIGN, "no alignment that the heap gives");
        assert!(element > 0 && element < u32::MAX as usize, "no size of an element");
        let align = if align < WORD { WORD } else { align };
        Self {
            kind: Kind::Data,
            element: element as u32,
            align_log2: align.trailing_zeros() as u8,
            ..Self::blank(name)
        }
    }

    /// Thunks whose free variables are `pointers` pointers, then `data` words of plain data.
    ///
    /// # Panics
    /// As [`fixed`](Self::fixed).
    #[must_use]
    pub const fn thunk(name: &'static str, pointers: u32, data: u32) -> Self {
        Self { kind: Kind::Thunk, ..Self::fixed(name, pointers, data) }
    }

    /// A descriptor that foreign code made, if it can be one; else what is wrong with it.
    ///
    /// # Safety
    /// Aligned memory of that size that is never written again, and its pointers lead to what it says.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn of_foreign(info: *const Self) -> Result<&'static Self, &'static str> {
        // SAFETY: the caller's promise. As long as it is not known that `kind` is one there is no reference.
        unsafe {
            if (*info).magic != MAGIC {
                return Err("the object's descriptor was not made by one of the macros `BHC_INFO_*`");
            }
            let kind = (&raw const (*info).kind).cast::<u8>().read();
            let (size, pointers) = ((*info).size, (*info).pointers);
            let is_one = match kind {
                FIXED | THUNK => size >= 2 && pointers < size,
                // One without words has a word of nobody's, and no bit for it.
                BITMAP => size >= 2 && (pointers == ELSEWHERE && !(*info).bitmap.is_null() || pointers == 0),
                POINTERS => size == 0 && pointers == ELSEWHERE,
                DATA => {
                    let aligns = WORD.trailing_zeros()..=MAX_ALIGN.trailing_zeros();
                    size == 0 && pointers == 0 && (*info).element > 0 && aligns.contains(&(*info).align_log2.into())
                }
                _ => false,
            };
            match is_one && !(*info).name.is_null() {
                true => Ok(&*info),
                false => Err("the object's descriptor contradicts itself"),
            }
        }
    }

    /// What the objects are.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What they are called in reports. One that was made by C may not be text, and is called `?` then.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        // SAFETY: the parts of the `&'static str` that it was made of, or of a literal in C.
        match core::str::from_utf8(unsafe { core::slice::from_raw_parts(self.name, self.name_len) }) {
            Ok(name) => name,
            Err(_) => "?",
        }
    }

    /// The alignment of the payload's elements, in bytes.
    #[inline]
    pub(super) const fn align(&self) -> usize {
        1 << self.align_log2
    }

    /// Whether this can be what it is said to be.
    pub(super) fn is_sane(&self) -> bool {
        self.magic == MAGIC
    }

    /// The words of an array of `len` elements: header, length and elements. `None` if no address space has them.
    #[inline]
    pub(crate) const fn array_words(&self, len: usize) -> Option<usize> {
        let bytes = match self.kind {
            Kind::Pointers => len.checked_mul(WORD),
            _ => len.checked_mul(self.element as usize),
        };
        match bytes {
            Some(bytes) if bytes <= isize::MAX as usize - MAX_ALIGN - 2 * WORD => Some(2 + bytes.div_ceil(WORD)),
            _ => None,
        }
    }

    /// The words that an object with this alignment may take beside its own, for its elements to be aligned.
    #[inline]
    pub(super) const fn slack(&self) -> usize {
        self.align() / WORD - 1
    }

    /// The bytes that an array takes, at the most.
    pub(super) const fn array_bytes(&self, len: usize) -> usize {
        match self.array_words(len) {
            Some(words) => (words + self.slack()) * WORD,
            None => usize::MAX,
        }
    }

    /// Whether word `index` of the payload is a pointer, of a `Bitmap`.
    fn is_pointer(&self, index: usize) -> bool {
        // SAFETY: the constructor has asserted that there is a bit for each word.
        unsafe { *self.bitmap.add(index / 64) >> (index % 64) & 1 == 1 }
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info").field("name", &self.name()).field("kind", &self.kind).field("size", &self.size).finish()
    }
}

/// The strongest alignment of what is in the heap, in bytes.
pub(super) const MAX_ALIGN: usize = 32 << 10;

/// The first word of an object. Pointers to objects are pointers to this.
#[repr(transparent)]
pub struct Header(*const Info);

/// The first word of an object, as the collector reads it.
#[derive(Clone, Copy)]
pub(super) enum First {
    Object(&'static Info),
    Moved,
    Filler(usize),
}

impl Header {
    /// What says that `words` words from here are nobody's.
    pub(super) fn filler(words: usize) -> Self {
        Self(ptr::without_provenance(words << 4 | FILLER))
    }

    /// What is at `object`. Not for the fast paths of a collection.
    ///
    /// # Safety
    /// There is a header, of an object that has a valid `Info`, or a filler.
    pub(super) unsafe fn read(object: *const Self) -> First {
        // SAFETY: the caller's promise.
        unsafe {
            let word = (*object).0;
            match word.addr() {
                bits if bits & MOVED != 0 => First::Moved,
                bits if bits & 15 == FILLER => First::Filler(bits >> 4),
                _ => First::Object(&*word),
            }
        }
    }

    /// The words that are nobody's from here on, if this is a filler; whatever else it is.
    pub(super) fn filled(&self) -> Option<usize> {
        (self.0.addr() & 15 == FILLER).then(|| self.0.addr() >> 4)
    }
}

/// The word at `index` of an object: 0 is its header, its payload follows.
#[inline(always)]
pub(super) fn word(object: *mut Header, index: usize) -> *mut Word {
    object.cast::<Word>().wrapping_add(index)
}

/// The length word of an array.
///
/// # Safety
/// `object` is an array.
#[inline(always)]
pub(super) unsafe fn len_of(object: *const Header) -> usize {
    // SAFETY: the caller's promise: the word after the header.
    unsafe { *object.cast::<usize>().add(1) }
}

/// The words that an object takes, its header included, and its alignment's [slack](Info::slack) not.
///
/// # Safety
/// `object` is an object with this `Info`, its length word written.
#[inline(always)]
pub(super) unsafe fn words_of(object: *const Header, info: &Info) -> usize {
    if info.size != 0 {
        return info.size as usize;
    }
    match info.kind {
        Kind::Indirection => 2,
        // SAFETY: the caller's promise. Its size was representable when it was made.
        _ => unsafe { info.array_words(len_of(object)).unwrap_unchecked() },
    }
}

/// Calls `visit` with each pointer slot of an object.
///
/// # Safety
/// `object` is an object with this `Info`, its length word written.
#[inline(always)]
pub(super) unsafe fn each_slot(object: *mut Header, info: &Info, mut visit: impl FnMut(*mut Word)) {
    if info.pointers != ELSEWHERE {
        for index in 1..=info.pointers as usize {
            visit(word(object, index));
        }
    } else if info.kind == Kind::Pointers {
        // SAFETY: the caller's promise.
        for index in 0..unsafe { len_of(object) } {
            visit(word(object, 2 + index));
        }
    } else {
        for index in 0..info.size as usize - 1 {
            if info.is_pointer(index) {
                visit(word(object, 1 + index));
            }
        }
    }
}

/// Makes `words` words from `start` nobody's.
///
/// # Safety
/// They are memory, and nobody's.
#[inline]
pub(super) unsafe fn fill(start: *mut Word, words: usize) {
    if words > 0 {
        // SAFETY: the caller's promise.
        unsafe { start.cast::<Header>().write(Header::filler(words)) };
    }
}

/// A new object's header.
///
/// # Safety
/// `at` is memory for a word.
#[inline(always)]
pub(super) unsafe fn write_header(at: NonNull<Header>, info: &'static Info) {
    // SAFETY: the caller's promise.
    unsafe { at.write(Header(info)) };
}
