//! [`Collector`]: a heap's collector: what it owns, and when it collects what.
//!
//! # Note: when
//! * The nursery is full: a minor collection. All that lives in it goes to the old generation, so afterwards nothing is
//!   young, nothing is remembered, and the nursery is empty.
//! * What has come to the old generation since the last full collection, with large objects and raw bytes, is as much as
//!   lived then (or another part of it), and more than some megabytes: a full one instead. It copies what lives, young or
//!   old, into new blocks. So too if the minor one was not enough.
//! * A request, or a stress mode, says so; or something was refused that a full collection may make room for.
//!
//! # Note: never short of memory in the middle
//! Spare blocks for the worst case, that everything lives, are held beforehand (O2): the nursery is opened only so far
//! as they are enough, for this collection and the next. So a collection cannot fail; what can is an allocation, if
//! even after a full collection too little of the nursery can be opened. Then its caller gets an error, from a heap
//! that is in order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ptr::NonNull;

use super::evacuate::Evacuation;
use super::faults::{Fault, strikes};
use super::info::{Header, WORD, Word, word};
use super::mutator::Mutator;
use super::old::{BLOCK, BLOCK_WORDS, Block, LARGE, Large, Old, blocks_for};
use super::raw::RootVisitor;
use super::remember::{Entry, Remembered, WHOLE, elements_in, logged_at};
use super::roots::RootTable;
use super::space::{Reserve, Space, Use};
use super::statistics::{Collection, GcStats};
use crate::os::range::{Range, Source};
use crate::os::{clock, poison};
use crate::owned::Shared;
use crate::runs::SLICE;

/// Collections at every n-th allocation, to see what breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stress {
    /// A minor collection at every n-th allocation.
    Minor(u32),
    /// A full collection at every n-th allocation.
    Full(u32),
    /// A minor and a full one in turn, at every n-th allocation.
    Alternating(u32),
}

/// The clock by which free memory ages goes on with each full collection, and when so many nanoseconds have passed: a
/// second.
const TICK: u64 = 1_000_000_000;

/// The nursery is at most this part of the limit.
const NURSERY_OF_LIMIT: usize = 16;

/// At least this part of the nursery is opened, or nothing.
const LEAST: usize = 16;

/// What the builder decides; all sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) nursery: usize,
    pub(super) reserve: Reserve,
    pub(super) limit: usize,
    pub(super) huge_pages: bool,
    pub(super) shadow_stack: usize,
    /// A full collection when what has come since the last one is this much of what lived then, in percent.
    pub(super) growth: u32,
    /// And at least so many bytes.
    pub(super) growth_at_least: usize,
    pub(super) stress: Option<Stress>,
    pub(super) verify: bool,
    pub(super) quarantine: usize,
    pub(super) remembered: usize,
    pub(super) source: Source,
}

/// Visits roots that only the runtime knows.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    pub(super) call: unsafe extern "C" fn(&mut RootVisitor<'_>, *mut core::ffi::c_void),
    pub(super) data: *mut core::ffi::c_void,
}

/// Slices in quarantine.
pub(super) struct Retired {
    pub(super) slice: usize,
    pub(super) len: usize,
    /// The system has taken access to them away.
    protected: bool,
}

pub(super) struct Collector {
    pub(super) space: Shared<Space>,
    /// Its first slice, and how many.
    pub(super) nursery: (usize, usize),
    pub(super) old: Old,
    pub(super) large: Large,
    pub(super) remembered: Remembered,
    pub(super) roots: NonNull<RootTable>,
    pub(super) statics: Vec<*mut Header>,
    pub(super) callback: Option<Callback>,
    pub(super) stack: Range,
    pub(super) quarantine: VecDeque<Retired>,
    pub(super) settings: Settings,
    pub(super) stats: GcStats,
    /// Bytes that have come to the old generation since the last full collection.
    grown: usize,
    /// Raw bytes that lived then, in slices.
    byte_slices: usize,
    /// When the space's clock went on.
    ticked: u64,
    /// Allocations that stress counts, and collections that it made.
    stressed: (u32, u32),
}

impl Collector {
    /// `None` if there is no memory.
    pub(super) fn new(settings: Settings) -> Option<Self> {
        let space = Space::new(settings.reserve, settings.limit, settings.huge_pages, settings.source)?;
        let space = Shared::try_new(space)?;
        if crate::os::struck() {
            return None;
        }
        let page = crate::os::page_size();
        let stack = crate::align::checked_align_up(settings.shadow_stack, page)?;
        let stack = core::alloc::Layout::from_size_align(stack.max(page), page).ok()?;
        let stack = Range::reserve(stack, settings.source)?;
        if !stack.commit(0, stack.len()) {
            return None;
        }
        let nursery =
            settings.nursery.min(settings.limit.min(settings.reserve.wanted).min(space.span()) / NURSERY_OF_LIMIT);
        let slices = nursery.div_ceil(SLICE).max(LARGE * WORD / SLICE);
        let nursery = (space.take(slices, 1, Use::Nursery)?, slices);
        let (log, bytes) = space.log(nursery.0, slices);
        // SAFETY: the log of our own slices.
        unsafe { log.write_bytes(1, bytes) };
        let roots = RootTable::new()?;
        Some(Self {
            space,
            nursery,
            old: Old::new(),
            large: Large::new(),
            remembered: Remembered::new(settings.remembered),
            roots,
            statics: Vec::new(),
            callback: None,
            stack,
            quarantine: VecDeque::new(),
            settings,
            stats: GcStats::default(),
            grown: 0,
            byte_slices: 0,
            ticked: clock::nanoseconds(),
            stressed: (0, 0),
        })
    }

    /// Where the nursery starts.
    pub(super) fn young(&self) -> *mut Word {
        self.space.at(self.nursery.0).as_ptr().cast()
    }

    /// Words of the nursery that have been allocated.
    pub(super) fn young_words(&self, mutator: &Mutator) -> usize {
        (mutator.hp.get().addr() - self.young().addr()) / WORD
    }

    /// The words of the whole nursery.
    fn nursery_words(&self) -> usize {
        self.nursery.1 * SLICE / WORD
    }

    /// The mutator allocates from the start of the nursery, as far as there are blocks for copies of it all (O2).
    pub(super) fn open_nursery(&mut self, mutator: &Mutator) {
        let all = self.nursery_words();
        let wanted = (2 * blocks_for(self.old.words() + all)).saturating_sub(self.old.blocks.len());
        while self.old.spare.len() < wanted && (self.old.hold(&self.space) || self.release_one()) {}
        let words = if self.old.spare.len() >= wanted {
            self.old.return_spare(&self.space, wanted);
            all
        } else {
            let blocks = (self.old.spare.len() + self.old.blocks.len()) / 2;
            let words = (blocks.saturating_sub(1) * (BLOCK_WORDS - LARGE)).saturating_sub(self.old.words()).min(all);
            // Less would be one collection after the other, for next to nothing.
            if words < all / LEAST { 0 } else { words }
        };
        mutator.hp.set(self.young());
        mutator.limit.set(self.young().wrapping_add(words));
        mutator.arm(self.settings.stress.is_some());
        // SAFETY: nothing young is left.
        unsafe { poison::fresh(self.space.at(self.nursery.0), self.nursery.1 * SLICE) };
    }

    /// The words of the nursery that may be used before the next collection.
    pub(super) fn opened_words(&self, mutator: &Mutator) -> usize {
        (mutator.limit.get().addr() - self.young().addr()) / WORD
    }

    /// Counts a request that is refused.
    pub(super) fn refuse<T>(&mut self) -> Option<T> {
        self.stats.failed += 1;
        None
    }

    /// Bytes that have been allocated so far.
    pub(super) fn bytes_allocated(&self, mutator: &Mutator) -> u64 {
        self.stats.bytes_allocated + (self.young_words(mutator) * WORD) as u64
    }

    /// The collection that stress wants at this allocation.
    fn stress(&mut self) -> Option<Collection> {
        let stress = self.settings.stress?;
        let (Stress::Minor(each) | Stress::Full(each) | Stress::Alternating(each)) = stress;
        self.stressed.0 += 1;
        if self.stressed.0 < each.max(1) {
            return None;
        }
        self.stressed = (0, self.stressed.1.wrapping_add(1));
        Some(match stress {
            Stress::Minor(_) => Collection::Minor,
            Stress::Full(_) => Collection::Full,
            Stress::Alternating(_) if self.stressed.1.is_multiple_of(2) => Collection::Full,
            Stress::Alternating(_) => Collection::Minor,
        })
    }

    /// The collection that is due anyway, at a slow allocation.
    fn due(&mut self, mutator: &Mutator) -> Option<Collection> {
        let requested = mutator.take_request();
        let pressed = self.space.pressed.replace(false).then_some(Collection::Full);
        match (requested, self.stress(), pressed) {
            (None, None, None) => None,
            all if [all.0, all.1, all.2].contains(&Some(Collection::Full)) => Some(Collection::Full),
            _ => Some(Collection::Minor),
        }
    }

    /// Whether a full collection is due.
    fn has_grown(&self) -> bool {
        let bytes = self.space.byte_slices.get().saturating_sub(self.byte_slices) * SLICE;
        let most = self.stats.live_after_full as u128 * u128::from(self.settings.growth) / 100;
        (self.grown + bytes) as u128 >= most.max(self.settings.growth_at_least as u128)
    }

    /// Collects until there is room for `words` words in the nursery; `false` if that does not help.
    ///
    /// # Safety
    /// As for [`collect`](Self::collect).
    pub(super) unsafe fn make_room(&mut self, mutator: &Mutator, words: usize) -> bool {
        if words > self.nursery_words() {
            return false;
        }
        let due = self.due(mutator);
        mutator.arm(self.settings.stress.is_some());
        if due.is_none() && words <= mutator.room() {
            return true; // the limit was null for a moment
        }
        let kind = due.unwrap_or(Collection::Minor); // or a full one, if that is time
        // SAFETY: the caller's promise.
        unsafe {
            let collected = self.collect(mutator, kind);
            if words > mutator.room() && collected == Collection::Minor {
                self.collect(mutator, Collection::Full);
            }
        }
        words <= mutator.room()
    }

    /// A large object. `None` if there is no memory. If it is time for a full collection, the mutator is to come by for
    /// one.
    pub(super) fn alloc_large(&mut self, mutator: &Mutator, words: usize, align: usize) -> Option<NonNull<Header>> {
        let before = self.large.slices;
        let Some(object) = self.large.alloc(&self.space, words, align) else {
            self.space.press();
            mutator.arm(self.settings.stress.is_some() || self.space.pressed.get());
            return None;
        };
        let bytes = (self.large.slices - before) * SLICE;
        self.stats.bytes_allocated += bytes as u64;
        self.stats.bytes_large += bytes as u64;
        self.grown += bytes;
        if self.has_grown() {
            self.space.press();
            mutator.arm(true);
        }
        self.space.may_have_garbage.set(true);
        NonNull::new(object)
    }

    /// Makes a new large object zeros: what is very large by taking new pages.
    ///
    /// # Safety
    /// Nobody has it yet.
    pub(super) unsafe fn zero_large(&mut self, object: NonNull<Header>) {
        let slice = (object.addr().get() - self.space.base().addr().get()) / SLICE;
        let (start, len) = Large::run(&self.space, slice);
        // SAFETY: the run of the object.
        unsafe { self.space.zero(start, len) };
    }

    /// A large object, even if that takes a collection.
    ///
    /// # Safety
    /// As for [`collect`](Self::collect).
    pub(super) unsafe fn alloc_large_collecting(
        &mut self,
        mutator: &Mutator,
        words: usize,
        align: usize,
    ) -> Option<NonNull<Header>> {
        if Large::slices_for(words, align).is_none_or(|len| len > self.space.limit()) {
            return self.refuse(); // whatever is collected
        }
        let due = self.due(mutator).or_else(|| self.has_grown().then_some(Collection::Full));
        mutator.arm(self.settings.stress.is_some());
        // SAFETY: the caller's promise.
        unsafe {
            let collected = due.map(|kind| self.collect(mutator, kind));
            if let Some(object) = self.alloc_large(mutator, words, align) {
                return Some(object);
            }
            if collected != Some(Collection::Full) {
                self.collect(mutator, Collection::Full);
            }
            self.alloc_large(mutator, words, align).or_else(|| self.refuse())
        }
    }

    /// Collects: all, if that is due anyway. This cannot fail (O2).
    ///
    /// # Safety
    /// Everything that lives is reachable from roots, which are valid; nobody has references into the heap. The mutator
    /// is this collector's.
    pub(super) unsafe fn collect(&mut self, mutator: &Mutator, kind: Collection) -> Collection {
        let young = self.young_words(mutator);
        let kind = if self.has_grown() { Collection::Full } else { kind };
        let start = clock::nanoseconds();
        if kind == Collection::Full || start.wrapping_sub(self.ticked) >= TICK {
            // What was free through a whole cycle is not needed for the next one.
            self.ticked = start;
            self.space.tick();
        }
        // Nobody may go on with a heap of which a part has moved.
        let guard = AbortOnUnwind;
        self.stats.bytes_allocated += (young * WORD) as u64;
        // SAFETY: the caller's promise.
        unsafe {
            match kind {
                Collection::Minor => self.minor(mutator, young),
                Collection::Full => self.full(mutator, young),
            }
        }
        self.retire_nursery(young);
        self.open_nursery(mutator);
        core::mem::forget(guard);
        let pause = clock::nanoseconds() - start;
        match kind {
            Collection::Minor => self.stats.minor_pauses.record(pause),
            Collection::Full => self.stats.full_pauses.record(pause),
        }
        self.stats.peak_in_use = self.stats.peak_in_use.max(self.space.in_use() * SLICE);
        if self.settings.verify
            && let Err(corruption) = self.verify(mutator)
        {
            panic!("{corruption}");
        }
        kind
    }

    /// # Safety
    /// As for `collect`; there are spare blocks for `young` words.
    unsafe fn minor(&mut self, mutator: &Mutator, young: usize) {
        let from = self.young().addr();
        let (blocks, fill) = (self.old.blocks.len(), self.old.free);
        if self.remembered.overflowed {
            // Before there are copies, whose log is 0 already.
            self.forget_all();
        }
        let (old, large, space) = (&mut self.old, &mut self.large, &*self.space);
        let mut evacuation = Evacuation::<false>::new(from, young * WORD, Use::Nothing, old, large, space);
        // SAFETY: the caller's promise. What is remembered is objects of the heap, and cards of arrays.
        unsafe {
            visit_roots(&mut evacuation, mutator, self.roots, &self.statics, self.callback, false);
            if core::mem::take(&mut self.remembered.overflowed) {
                evacuation.scan_old(blocks, fill);
                self.remembered.entries.clear();
            }
            for Entry { object, card } in self.remembered.entries.drain(..) {
                let address = if card == WHOLE { object.addr() } else { logged_at(object, card) };
                if !strikes(Fault::KeepsLog) {
                    *mutator.log(address) = 0;
                }
                if strikes(Fault::SkipsRemembered) {
                    continue;
                }
                if card == WHOLE {
                    evacuation.scan_object(object);
                } else {
                    let elements = elements_in(object, card);
                    let skipped = usize::from(strikes(Fault::SkipsElement));
                    (elements.start..elements.end - skipped)
                        .for_each(|index| evacuation.forward(word(object, 2 + index)));
                }
            }
            evacuation.run();
        }
        let (objects, words) = (evacuation.objects, evacuation.words);
        self.stats.objects_promoted += objects as u64;
        self.stats.bytes_promoted += (words * WORD) as u64;
        self.grown += words * WORD;
        self.space.may_have_garbage.set(true);
        self.stats.minor_collections += 1;
    }

    /// # Safety
    /// As for `collect`; there are spare blocks for `young` words and all of the old generation.
    unsafe fn full(&mut self, mutator: &Mutator, young: usize) {
        if self.remembered.overflowed {
            self.forget_all();
        }
        for Entry { object, card } in self.remembered.entries.drain(..) {
            // SAFETY: what is remembered is objects of the heap, and cards of arrays.
            unsafe {
                let address = if card == WHOLE { object.addr() } else { logged_at(object, card) };
                *mutator.log(address) = 0;
            }
        }
        self.remembered.overflowed = false;
        let (from, side) = (self.young().addr(), self.old.side);
        let condemned = self.old.turn();
        self.large.mark ^= 1;
        let (old, large, space) = (&mut self.old, &mut self.large, &*self.space);
        let mut evacuation = Evacuation::<true>::new(from, young * WORD, side, old, large, space);
        // SAFETY: the caller's promise.
        unsafe {
            visit_roots(&mut evacuation, mutator, self.roots, &self.statics, self.callback, true);
            evacuation.run();
        }
        let (objects, words) = (evacuation.objects, evacuation.words);
        self.stats.objects_copied += objects as u64;
        self.stats.bytes_copied += (words * WORD) as u64;
        // SAFETY: what is not marked cannot be reached.
        unsafe { self.large.sweep(&self.space) };
        // SAFETY: all that lives has been copied out of them.
        unsafe { self.retire_blocks(&condemned) };
        self.old.keep_list(condemned);
        self.stats.live_after_full = words * WORD + self.large.slices * SLICE;
        self.grown = 0;
        self.space.may_have_garbage.set(false);
        self.space.pressed.set(false);
        self.byte_slices = self.space.byte_slices.get();
        self.stats.full_collections += 1;
    }

    /// All log bytes but those of the nursery are 0 from now on.
    fn forget_all(&mut self) {
        let clear = |slice: usize, len: usize| {
            let (log, bytes) = self.space.log(slice, len);
            // SAFETY: the log of our own slices.
            unsafe { log.write_bytes(0, bytes) };
        };
        self.old.blocks.iter().filter(|_| !strikes(Fault::KeepsBlockLog)).for_each(|block| clear(block.slice, BLOCK));
        self.large.each(&self.space, |_, slice, len| clear(slice, len));
    }

    /// Blocks that objects have been moved out of are spare, or in quarantine first.
    ///
    /// # Safety
    /// Nobody refers to them.
    unsafe fn retire_blocks(&mut self, blocks: &[Block]) {
        // SAFETY: the caller's promise.
        unsafe {
            for block in blocks {
                // Into quarantine only what is not needed for O2, now or in exchange for another one.
                let spared = self.settings.quarantine > 0 && (self.old.has_spare() || self.old.hold(&self.space));
                if spared {
                    self.retire(block.slice, BLOCK);
                } else {
                    poison::freed(self.space.at(block.slice), BLOCK * SLICE);
                    self.old.reuse(&self.space, block.slice);
                }
            }
        }
    }

    /// Puts slices that objects have been moved out of into quarantine.
    ///
    /// # Safety
    /// Nobody refers to them.
    unsafe fn retire(&mut self, slice: usize, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            poison::freed(self.space.at(slice), len * SLICE);
            if self.quarantine.try_reserve(1).is_err() {
                self.space.give(slice, len);
                return;
            }
            self.space.set_use(slice, len, Use::Quarantine);
            let protected = self.space.protect(slice, len, false);
            self.quarantine.push_back(Retired { slice, len, protected });
        }
        if self.quarantine.len() > self.settings.quarantine {
            self.release_one();
        }
    }

    /// Frees what has been in quarantine for longest, or the next one that the system gives access to again; `false` if there is none.
    fn release_one(&mut self) -> bool {
        for _ in 0..self.quarantine.len() {
            let Some(retired) = self.quarantine.pop_front() else { break };
            let Retired { slice, len, protected } = retired;
            // SAFETY: nobody referred to it when it came there, and it has not been given to anybody.
            unsafe {
                if !protected || self.space.protect(slice, len, true) {
                    self.space.give(slice, len);
                    return true;
                }
            }
            self.quarantine.push_back(retired);
        }
        false
    }

    /// The nursery is empty, of which `young` words were used; with a quarantine, it is another one, if there is
    /// memory.
    fn retire_nursery(&mut self, young: usize) {
        let (slice, len) = self.nursery;
        if self.settings.quarantine > 0
            && let Some(next) = self.space.take(len, 1, Use::Nursery)
        {
            let ((was, bytes), (log, _)) = (self.space.log(slice, len), self.space.log(next, len));
            // SAFETY: the logs of our own slices; nothing young is left in the old nursery.
            unsafe {
                was.write_bytes(0, bytes);
                if !strikes(Fault::ForgetsNurseryLog) {
                    log.write_bytes(1, bytes);
                }
                self.retire(slice, len);
            }
            self.nursery.0 = next;
            return;
        }
        // SAFETY: as above.
        unsafe { poison::freed(self.space.at(slice), young * WORD) };
    }

    /// Gives back to the system what is free: what spare blocks had is, too. Returns the bytes.
    pub(super) fn trim(&mut self) -> usize {
        let spare = self.old.spare.iter().map(|slice| {
            // SAFETY: a spare block is nobody's.
            unsafe { self.space.discard(*slice, BLOCK) }
        });
        let spare = spare.sum::<usize>();
        spare + self.space.purge(0)
    }

    /// Ends all objects; raw bytes stay as long as somebody has the space.
    fn end(&mut self) {
        while self.release_one() {}
        // SAFETY: the heap is gone, and with it whoever referred to these.
        unsafe {
            self.large.mark ^= 1;
            self.large.sweep(&self.space);
            for block in &self.old.blocks {
                poison::freed(self.space.at(block.slice), BLOCK * SLICE);
                self.space.give(block.slice, BLOCK);
            }
            poison::freed(self.space.at(self.nursery.0), self.nursery.1 * SLICE);
            self.space.give(self.nursery.0, self.nursery.1);
            RootTable::abandon(self.roots);
        }
        self.old.return_spare(&self.space, 0);
        self.space.purge(0);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends the program if it is dropped: if something panics in a collection.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Forwards all roots; of owned ones, only those that have been written since the last collection, unless `all`.
///
/// # Safety
/// As for [`Collector::collect`].
unsafe fn visit_roots<const FULL: bool>(
    evacuation: &mut Evacuation<'_, FULL>,
    mutator: &Mutator,
    roots: NonNull<RootTable>,
    statics: &[*mut Header],
    callback: Option<Callback>,
    all: bool,
) {
    // SAFETY: the caller's promise: slots hold null or pointers to objects. What is forwarded is not young.
    unsafe {
        roots.as_ref().each(all, |slot| {
            if !strikes(Fault::SkipsRoot) {
                evacuation.forward(slot);
            }
        });
        let mut slot = mutator.stack_base.get();
        while slot < mutator.stack_top.get() {
            if !strikes(Fault::SkipsStack) {
                evacuation.forward(slot);
            }
            slot = slot.add(1);
        }
        let statics = statics.iter().filter(|_| !strikes(Fault::SkipsStatic));
        statics.for_each(|object| evacuation.scan_object(*object));
        if let Some(Callback { call, data }) = callback
            && !strikes(Fault::SkipsCallback)
        {
            call(&mut RootVisitor::new(&mut |slot| evacuation.forward(slot)), data);
        }
    }
}
