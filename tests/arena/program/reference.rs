//! [`Model`]: the arena with plain means. A list of chunks in a `Vec`; a position in it, which is copied where a level opens and
//! put back where it closes; and a list of all blocks. So it knows the address of every block before it is given, and
//! no count is derived from another.
//!
//! What only the outside can decide, where the backing's blocks lie and which requests it refuses, it reads from the
//! backing's log.

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use bhc_rts_alloc::{Align, AllocError, AllocStats, HotArena, KnownAlign};

use super::backing::Backing;
use super::level::Level;
use super::{Pattern, Size};

/// What programs are to bring about: [`run`](super::run) answers which of these it saw.
pub const CASES: [&str; 22] = [
    "grown in place",
    "made smaller in place at the end",
    "made smaller in place below others",
    "moved",
    "moved to another alignment",
    "moved out of a level below",
    "reclaimed",
    "freed below others",
    "left to a level below",
    "a kept chunk",
    "a kept chunk passed over",
    "a new chunk",
    "a chunk of less than the regular size",
    "a request for more than a regular chunk",
    "refused by the limit",
    "kept chunks given back for the limit",
    "refused by the backing",
    "unwound",
    "a mark skipped",
    "the first chunk entered on the way back",
    "chunks of an isolated scope given back",
    "chunks given back by `shrink`",
];

/// What chunks are aligned to; the size of the first; what sizes double up to; what they are multiples of.
const CHUNK_ALIGN: usize = 16;
const FIRST: usize = 4096;
const LARGEST: usize = 8 << 20;
const GRANULE: usize = 64;

/// The bytes at the start of a chunk that are the arena's own, as it says.
fn header() -> usize {
    #[repr(align(4096))]
    struct Page([MaybeUninit<u8>; 4096]);
    let mut page = Page([MaybeUninit::uninit(); 4096]);
    4096 - HotArena::builder().align::<Align<1>>().over(&mut page.0).capacity()
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: usize,
    /// Of the backing's block; `None` if it is the caller's memory.
    size: Option<usize>,
    data: usize,
    end: usize,
}

impl Chunk {
    fn new(start: usize, len: usize, of_backing: bool, unit: usize, header: usize) -> Option<Self> {
        let (start, end) = (start.next_multiple_of(CHUNK_ALIGN), (start + len) / unit * unit);
        let data = (start + header).next_multiple_of(unit);
        (data <= end).then_some(Self { start, size: of_backing.then_some(len), data, end })
    }
}

/// Where a level stands.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// How many chunks of the list were entered. The last of them is the current one.
    entered: usize,
    cursor: usize,
    limit: usize,
    used: usize,
}

impl Position {
    const fn remaining(&self) -> usize {
        self.limit.saturating_sub(self.cursor)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub ptr: NonNull<u8>,
    pub layout: Layout,
    seed: u8,
    /// The level that it is of.
    level: usize,
    /// Whether the arena gave a pointer to all of it, and not a reference to what is in it.
    raw: bool,
    /// Given up in a level above: its contents are gone, and it is counted and not reused until its level ends.
    left: bool,
}

impl Block {
    fn address(&self) -> usize {
        self.ptr.addr().get()
    }
}

pub struct Model<'b> {
    backing: &'b Backing,
    unit: usize,
    /// The bytes at the start of a chunk that are the arena's own.
    header: usize,
    isolate: bool,
    callers: bool,
    /// The most that may be asked of the backing, together.
    limit: usize,
    /// Whether it has all the chunks that it will have, and how much room there is in them.
    fixed: Option<usize>,
    /// The size of the next regular chunk.
    regular: usize,
    chunks: Vec<Chunk>,
    at: Position,
    /// Where the levels stood when the one above them was opened.
    below: Vec<Position>,
    /// In the order in which they were given.
    blocks: Vec<Block>,
    seed: u8,
    stats: AllocStats,
    seen: BTreeSet<&'static str>,
}

/// What a request to resize is answered with.
struct Resized {
    address: usize,
    in_place: bool,
}

impl<'b> Model<'b> {
    pub fn new(unit: usize, isolate: bool, backing: &'b Backing) -> Self {
        Self {
            backing,
            unit,
            header: header(),
            isolate,
            callers: false,
            limit: usize::MAX,
            fixed: None,
            regular: FIRST,
            chunks: Vec::new(),
            at: Position::default(),
            below: Vec::new(),
            blocks: Vec::new(),
            seed: 0,
            stats: AllocStats::default(),
            seen: BTreeSet::new(),
        }
    }

    pub fn backing(&self) -> &'b Backing {
        self.backing
    }

    /// Which of the [`CASES`] there were.
    pub fn seen(self) -> BTreeSet<&'static str> {
        self.seen
    }

    pub fn block(&self, index: usize) -> Block {
        self.blocks[index]
    }

    fn saw(&mut self, case: &'static str) {
        assert!(CASES.contains(&case), "{case}");
        self.seen.insert(case);
    }

    /// The number of the topmost level; that of the arena itself is 0.
    pub fn level(&self) -> usize {
        self.below.len()
    }

    fn held(&self) -> usize {
        self.chunks.iter().filter_map(|chunk| chunk.size).sum()
    }

    /// Where a block would start and the cursor stand after it.
    fn place(&self, cursor: usize, limit: usize, layout: Layout) -> Option<(usize, usize)> {
        let start = cursor.next_multiple_of(layout.align());
        let end = start + layout.size().next_multiple_of(self.unit);
        (end <= limit).then_some((start, end))
    }

    /// Whether there is room in the current chunk.
    pub fn has_room(&self, layout: Layout) -> bool {
        layout.size() == 0 || self.place(self.at.cursor, self.at.limit, layout).is_some()
    }

    /// One request to the backing, and what it answered.
    fn ask(&mut self, size: usize) -> Option<Chunk> {
        if self.callers || Layout::from_size_align(size, CHUNK_ALIGN).is_err() {
            return None;
        }
        let logged = self.backing.log.borrow_mut().pop_front();
        let (asked, given) = logged.unwrap_or_else(|| panic!("the backing was not asked for {size} bytes"));
        assert_eq!(asked, size, "what the backing was asked for");
        if given.is_none() {
            self.saw("refused by the backing");
        }
        let chunk = Chunk::new(given?, size, true, self.unit, self.header);
        Some(chunk.expect("a block of the backing has room for a header"))
    }

    /// A chunk for a block of at least so many bytes.
    fn new_chunk(&mut self, layout: Layout, exact: bool) -> Option<Chunk> {
        if self.fixed.is_some() {
            return None;
        }
        let gap = layout.align().max(self.unit).saturating_sub(CHUNK_ALIGN);
        let least = layout.size().checked_next_multiple_of(self.unit)?.checked_add(gap)?.checked_add(self.header)?;
        let least = least.checked_next_multiple_of(GRANULE).filter(|least| *least <= isize::MAX as usize)?;
        let kept: usize = self.chunks[self.at.entered..].iter().filter_map(|chunk| chunk.size).sum();
        if least > self.limit - self.held() && least <= self.limit - self.held() + kept {
            self.give_back(self.at.entered);
            self.saw("kept chunks given back for the limit");
        }
        let allowed = self.limit - self.held();
        if least > allowed {
            self.saw("refused by the limit");
            return None;
        }
        let preferred = if exact || self.isolate { least } else { self.regular.max(least).min(allowed) };
        if least > self.regular {
            self.saw("a request for more than a regular chunk");
        }
        let mut chunk = self.ask(preferred);
        if chunk.is_none() && preferred > least {
            chunk = self.ask(least);
            if chunk.is_some() {
                self.saw("a chunk of less than the regular size");
            }
        }
        if chunk.is_some() {
            self.saw("a new chunk");
            self.regular = (self.regular * 2).min(LARGEST);
        }
        chunk
    }

    /// The arena is made over memory of the caller's; what its builder was told else says nothing.
    pub fn build_over(&mut self, start: usize, len: usize) {
        self.callers = true;
        self.isolate = false;
        if let Some(chunk) = Chunk::new(start, len, false, self.unit, self.header) {
            self.adopt(chunk);
        }
    }

    /// The arena is made. Answers whether it can be.
    pub fn build(&mut self, capacity: usize, fixed: bool, limit: usize) -> bool {
        self.limit = limit;
        if self.isolate {
            // Each block has a chunk of its own: what is fixed is how much they all may take.
            if fixed {
                let gap = self.unit.saturating_sub(CHUNK_ALIGN);
                self.limit = limit.min(capacity.next_multiple_of(self.unit) + gap + self.header);
            }
            return true;
        }
        if capacity > 0 {
            let layout = Layout::from_size_align(capacity, self.unit).unwrap();
            let Some(mut chunk) = self.new_chunk(layout, fixed) else { return false };
            if fixed {
                chunk.end = chunk.end.min(chunk.data + layout.pad_to_align().size());
            }
            self.adopt(chunk);
            self.regular = self.regular.max((self.held() * 2).min(LARGEST));
        }
        if fixed {
            self.fixed = Some(capacity.next_multiple_of(self.unit));
        }
        true
    }

    /// The arena's first chunk.
    fn adopt(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
        self.enter_first();
    }

    /// Puts the arena at the start of its first chunk.
    fn enter_first(&mut self) {
        let Chunk { data, end, .. } = self.chunks[0];
        self.at = Position { entered: 1, cursor: data, limit: self.limit_of(data, end), used: 0 };
    }

    /// The limit in a chunk that was just entered. Where levels are isolated nothing more fits, so that each block has a
    /// chunk of its own.
    fn limit_of(&self, cursor: usize, end: usize) -> usize {
        if self.isolate { cursor } else { end }
    }

    /// Takes room for a block of a size that is not zero. Answers its address, or how many bytes are left.
    pub fn take(&mut self, layout: Layout) -> Result<usize, usize> {
        let (start, used) = if let Some((start, end)) = self.place(self.at.cursor, self.at.limit, layout) {
            let used = end - self.at.cursor;
            self.at.cursor = end;
            (start, used)
        } else {
            let entered = self.at.entered;
            let fits = |chunk: &Chunk| self.place(chunk.data, chunk.end, layout).is_some();
            let chunk = if let Some(kept) = self.chunks[entered..].iter().position(fits) {
                self.saw("a kept chunk");
                if kept > 0 {
                    self.saw("a kept chunk passed over");
                }
                self.chunks.remove(entered + kept)
            } else if let Some(chunk) = self.new_chunk(layout, false) {
                chunk
            } else {
                self.stats.record_failure();
                return Err(self.at.remaining());
            };
            self.chunks.insert(entered, chunk);
            let (start, end) = self.place(chunk.data, chunk.end, layout).expect("a chunk with room");
            let limit = self.limit_of(end, chunk.end);
            self.at = Position { entered: entered + 1, cursor: end, limit, used: self.at.used };
            (start, end - chunk.data)
        };
        self.at.used += used;
        self.stats.record_alloc(layout.size());
        Ok(start)
    }

    /// Whether a block is the last one below the cursor, and of the topmost level. Where levels are isolated none counts as
    /// last: what is freed may not be given again before its level ends.
    fn is_last(&self, address: usize, size: usize, level: usize) -> bool {
        !self.isolate && level == self.level() && address + size.next_multiple_of(self.unit) == self.at.cursor
    }

    /// Frees a block of the topmost level.
    pub fn free(&mut self, address: usize, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        self.stats.record_dealloc(layout.size());
        if self.is_last(address, layout.size(), self.level()) {
            self.saw("reclaimed");
            self.at.used -= self.at.cursor - address;
            self.at.cursor = address;
        } else {
            self.saw("freed below others");
        }
    }

    /// Gives a block up.
    pub fn give_up(&mut self, index: usize) {
        let block = self.blocks[index];
        if block.layout.size() == 0 || block.level == self.level() {
            self.blocks.remove(index);
            self.free(block.address(), block.layout);
        } else {
            self.saw("left to a level below");
            self.blocks[index].left = true;
        }
    }

    /// Gives a block another layout, in the counts and in the chunk but not in the list of blocks. `Err` is how many bytes
    /// are left.
    fn resize(&mut self, index: usize, new: Layout) -> Result<Resized, usize> {
        let Block { layout: old, level, .. } = self.blocks[index];
        let address = self.blocks[index].address();
        let stays = old.size() > 0 && new.size() > 0 && address.is_multiple_of(new.align());
        let end = address + new.size().next_multiple_of(self.unit);
        if stays && self.is_last(address, old.size(), level) && end <= self.at.limit {
            self.saw(if new.size() > old.size() { "grown in place" } else { "made smaller in place at the end" });
            self.at.used = self.at.used + end - self.at.cursor;
            self.at.cursor = end;
        } else if stays && level == self.level() && new.size() <= old.size() {
            self.saw("made smaller in place below others");
        } else {
            let address = if new.size() == 0 { 0 } else { self.take(new)? };
            return Ok(Resized { address, in_place: false });
        }
        self.stats.record_dealloc(old.size());
        self.stats.record_alloc(new.size());
        Ok(Resized { address, in_place: true })
    }

    pub fn open(&mut self) {
        self.below.push(self.at);
    }

    /// Gives the chunks from a number on back, except the caller's.
    fn give_back(&mut self, from: usize) -> bool {
        let before = self.chunks.len();
        let mut number = 0;
        self.chunks.retain(|chunk| {
            number += 1;
            number <= from || chunk.size.is_none()
        });
        self.chunks.len() < before
    }

    /// Closes the levels from `level` on.
    pub fn close(&mut self, level: usize, unwinds: bool) {
        if self.level() > level {
            self.saw("a mark skipped");
        }
        let above = self.at;
        self.at = self.below[level - 1];
        self.below.truncate(level - 1);
        self.forget_blocks_from(level);
        if above.entered > self.at.entered {
            if self.isolate && self.give_back(self.at.entered) {
                self.saw("chunks of an isolated scope given back");
            }
            // So that the next level above starts with room.
            if !unwinds && self.at.entered == 0 && !self.chunks.is_empty() {
                self.saw("the first chunk entered on the way back");
                self.enter_first();
            }
        }
        if unwinds {
            self.saw("unwound");
        }
    }

    /// A scope on the arena itself has unwound. Where levels are isolated, what was taken back at the end of the arena's last
    /// chunk is not given again.
    pub fn unwound_on_arena(&mut self) {
        if self.isolate {
            self.at.limit = self.at.cursor;
        }
    }

    fn forget_blocks_from(&mut self, level: usize) {
        let stats = &mut self.stats;
        self.blocks.retain(|block| {
            let stays = block.level < level;
            if !stays && block.layout.size() > 0 {
                stats.record_dealloc(block.layout.size());
            }
            stays
        });
    }

    pub fn reset(&mut self) {
        self.forget_blocks_from(0);
        self.below.clear();
        if self.isolate {
            self.give_back(0);
            self.at = Position::default();
        }
        let size = |chunk: &Chunk| chunk.end - chunk.start;
        let Some(largest) = self.chunks.iter().map(size).max() else { return };
        let first = self.chunks.iter().position(|chunk| size(chunk) == largest).unwrap();
        let chunk = self.chunks.remove(first);
        self.chunks.insert(0, chunk);
        self.enter_first();
    }

    pub fn shrink(&mut self) {
        if self.fixed.is_some() {
            return;
        }
        let mut gave = self.give_back(self.at.entered);
        // A mark may come back to the chunk that it was made in.
        if self.at.used == 0 && self.below.is_empty() {
            gave |= self.give_back(0);
            if self.chunks.is_empty() {
                self.at = Position::default();
            }
        }
        if gave {
            self.saw("chunks given back by `shrink`");
        }
    }

    /// The block that a number stands for, among those that may be given up or resized.
    pub fn pick(&self, choice: usize) -> Option<usize> {
        let blocks = self.blocks.iter().enumerate().rev().filter(|(_, block)| block.raw && !block.left);
        let count = blocks.clone().count();
        (count > 0).then(|| blocks.map(|(index, _)| index).nth(choice % count).unwrap())
    }

    pub fn next_seed(&mut self) -> u8 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }

    /// How many bytes a size is. `of` is the size of the block that is to grow.
    pub fn bytes(&self, size: Size, of: usize) -> usize {
        match size {
            Size::Bytes(size) => size,
            Size::Left(more) => (self.at.remaining() + of.next_multiple_of(self.unit)).saturating_add_signed(more),
        }
    }

    /// The layout of a size and an alignment; `None` if they make none.
    pub fn layout(&self, size: Size, log2: u32, of: usize) -> Option<Layout> {
        Layout::from_size_align(self.bytes(size, of), 1 << log2).ok()
    }

    /// Takes the answer to a request for a new block into the books, which know what it must be.
    pub fn answered(&mut self, layout: Layout, seed: u8, answer: Result<NonNull<u8>, Option<AllocError>>, raw: bool) {
        let expected = if layout.size() == 0 { Ok(0) } else { self.take(layout) };
        match (answer, expected) {
            (Ok(ptr), Ok(address)) => self.enter(ptr, layout, address, 0, seed, raw),
            (Err(error), Err(available)) => expect_refusal(error, layout.size(), available),
            (answer, expected) => panic!("{layout:?} was answered with {answer:?} and not with {expected:x?}"),
        }
    }

    /// Takes the answer to a request to resize a block into the books, which know what it must be.
    pub fn resized(&mut self, index: usize, new: Layout, answer: Result<NonNull<u8>, Option<AllocError>>) {
        let Block { ptr, layout: old, seed, level, .. } = self.blocks[index];
        match (answer, self.resize(index, new)) {
            (Ok(block), Ok(expected)) => {
                let keep = old.size().min(new.size());
                Pattern::check(block, keep, seed);
                if expected.in_place {
                    assert_eq!(block, ptr, "{old:?} to {new:?} is to stay where it is");
                    Pattern::fill(block, keep, new.size(), seed);
                    self.blocks[index].layout = new;
                    return;
                }
                if keep > 0 {
                    self.saw("moved");
                    if level < self.level() {
                        self.saw("moved out of a level below");
                    }
                    if new.align() > old.align() && new.size() <= old.size() {
                        self.saw("moved to another alignment");
                    }
                }
                // While the old block is in the books, so that the new one is seen to be apart from it.
                self.enter(block, new, expected.address, keep, seed, true);
                self.give_up(index);
            }
            (Err(error), Err(available)) => expect_refusal(error, new.size(), available),
            (answer, Err(available)) => panic!("{old:?} to {new:?} gave {answer:?} where {available} bytes are left"),
            (answer, Ok(expected)) => panic!("{old:?} to {new:?} gave {answer:?} and not {:#x}", expected.address),
        }
    }

    /// Takes a block into the books: aligned, apart from all others, and where it should be. `keep` bytes have the pattern of
    /// its seed already.
    fn enter(&mut self, ptr: NonNull<u8>, layout: Layout, expected: usize, keep: usize, seed: u8, raw: bool) {
        let (start, end) = (ptr.addr().get(), ptr.addr().get() + layout.size());
        assert_eq!(start % layout.align(), 0, "{ptr:p} is not aligned for {layout:?}");
        if layout.size() > 0 {
            for other in &self.blocks {
                let apart = other.address() + other.layout.size() <= start || end <= other.address();
                assert!(apart || other.layout.size() == 0, "{ptr:p} of {layout:?} overlaps {other:?}");
            }
            assert_eq!(start, expected, "where a block is: {start:#x} and not {expected:#x}");
        }
        Pattern::fill(ptr, keep, layout.size(), seed);
        let level = self.level();
        self.blocks.push(Block { ptr, layout, seed, level, raw, left: false });
    }

    /// Everything that must hold after a step, as seen from the topmost level.
    pub fn check<A: KnownAlign>(&self, level: &impl Level<A>) {
        for block in self.blocks.iter().filter(|block| !block.left) {
            Pattern::check(block.ptr, block.layout.size(), block.seed);
        }
        let stats = level.stats();
        assert_eq!(stats, self.stats, "the statistics, and what they should be");
        assert_eq!(stats.total_allocated - stats.total_deallocated, stats.current_live);
        let now = [level.used(), level.padding(), level.remaining(), level.capacity()];
        let capacity = self.chunks.iter().map(|chunk| chunk.end - chunk.data).sum();
        let padding = self.at.used - self.stats.current_live;
        let expected = [self.at.used, padding, self.at.remaining(), capacity];
        assert_eq!(now, expected, "used, padding, remaining, capacity, and what they should be");
        assert!(level.used() <= level.capacity());
        assert!(self.fixed.is_none_or(|fixed| capacity == fixed), "a fixed arena of {capacity} bytes");
        let log = self.backing.log.borrow();
        assert!(log.is_empty(), "the backing was asked for more than there was need of: {log:?}");
        self.backing.expect_out(self.chunks.iter().filter(|chunk| chunk.size.is_some()).map(|chunk| chunk.start));
        assert!(self.held() <= self.limit, "more than the limit");
    }
}

/// A refusal says how much was asked for and how much is left, where it says anything.
pub fn expect_refusal(error: Option<AllocError>, requested: usize, available: usize) {
    if let Some(error) = error {
        assert_eq!(error, AllocError::OutOfMemory { requested, available });
    }
}
