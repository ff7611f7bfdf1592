//! The verifier: looks at a whole heap between collections.
//!
//! What it checks, by the names of the invariants:
//! 1. Objects and fillers lie in nursery and blocks without a gap, each with a sane header (O1); large ones are where
//!    their heads say (O3).
//! 2. Every pointer in every object, reachable or not, leads to the start of an object of this heap, or out of the
//!    heap; never to where something was. Objects are found by walking memory, not by following roots, so a slot that
//!    the collector forgot is seen even if nothing leads to it.
//! 3. Every root does so, too; and a root's chunk is dirty if it leads to the nursery (T2).
//! 4. Every old object, or card, that points into the nursery is remembered (M1), and log bytes are 1 for what is
//!    remembered and nothing else (M2, A3).
//! 5. Every slice is what exactly one owner says it is, and all slices in use have an owner (A2); sums are sums.
//! 6. What can be reached from roots is counted; after a full collection that is all there is.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::collector::Collector;
use super::info::{First, Header, Info, Kind, TAG, WORD, Word, each_slot, word, words_of};
use super::mutator::Mutator;
use super::old::{BLOCK, LARGE, blocks_for};
use super::raw::RootVisitor;
use super::remember::{WHOLE, card_of, logged_at};
use super::space::{LOGGED, Use};
use crate::runs::SLICE;

/// What a heap that is in order has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// All objects, garbage included.
    pub objects: usize,
    /// Their bytes, headers included; what alignment costs is not.
    pub bytes: usize,
    /// The objects that roots lead to.
    pub reachable: usize,
    /// Their bytes.
    pub reachable_bytes: usize,
    /// Pointers from old objects to young ones.
    pub old_to_young: usize,
}

/// Something is wrong in a heap: the collector has an error, or unsafe code that uses it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("heap corruption: {what}")]
pub struct Corruption {
    /// What, and where.
    what: String,
}

impl Corruption {
    /// What is wrong, and where.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

type Checked<T> = Result<T, Corruption>;

fn wrong<T>(what: fmt::Arguments<'_>) -> Checked<T> {
    Err(Corruption { what: alloc::format!("{what}") })
}

/// Objects by address: a bit for each word.
struct Bits {
    base: usize,
    words: Vec<u64>,
}

impl Bits {
    fn new(base: usize, bytes: usize) -> Self {
        Self { base, words: alloc::vec![0; (bytes / WORD).div_ceil(64)] }
    }

    fn at(&self, address: usize) -> (usize, u64) {
        let word = (address - self.base) / WORD;
        (word / 64, 1 << (word % 64))
    }

    fn has(&self, address: usize) -> bool {
        let (index, bit) = self.at(address);
        self.words[index] & bit != 0
    }

    /// Sets a bit; whether it was not set.
    fn set(&mut self, address: usize) -> bool {
        let (index, bit) = self.at(address);
        let was = self.words[index] & bit;
        self.words[index] |= bit;
        was == 0
    }
}

/// An object as it was found.
#[derive(Clone, Copy)]
struct Found {
    object: *mut Header,
    info: &'static Info,
    young: bool,
}

impl Collector {
    /// See the [module](self).
    pub(super) fn verify(&self, mutator: &Mutator) -> Checked<Verified> {
        let objects = self.find_objects(mutator)?;
        let base = self.space.base().addr().get();
        let mut starts = Bits::new(base, self.space.ready());
        for found in &objects {
            starts.set(found.object.addr());
        }
        let entries = self.remembered.entries.iter();
        let mut whole: Vec<usize> =
            entries.filter(|entry| entry.card == WHOLE).map(|entry| entry.object.addr()).collect();
        whole.sort_unstable();
        let look = Look { collector: self, mutator, starts, whole };
        let mut verified = Verified { objects: objects.len(), ..Verified::default() };
        let mut logged = Vec::new();
        for found in &objects {
            // SAFETY: found by walking, with a sane header.
            verified.bytes += unsafe { words_of(found.object, found.info) } * WORD;
            verified.old_to_young += look.object(found)?;
        }
        for entry in &self.remembered.entries {
            if !look.is_object(entry.object) {
                return wrong(format_args!("{:p} is remembered, and no object", entry.object));
            }
            logged.push(match entry.card {
                WHOLE => entry.object.addr(),
                // SAFETY: an array, as only those have cards.
                card => unsafe { logged_at(entry.object, card) },
            });
        }
        self.check_log(mutator, &mut logged)?;
        self.check_slices(mutator)?;
        self.check_reach(&look, &mut verified)?;
        Ok(verified)
    }

    /// Walks over all that holds objects.
    fn find_objects(&self, mutator: &Mutator) -> Checked<Vec<Found>> {
        let mut objects = Vec::new();
        walk(&mut objects, self.young(), mutator.hp.get(), true)?;
        for block in self.old.filled() {
            walk(&mut objects, block.start, block.fill, false)?;
        }
        let (mut slices, mut bad) = (0, None);
        self.large.each(&self.space, |object, start, len| {
            slices += len;
            match sane(object) {
                Ok(First::Object(info)) => {
                    // SAFETY: an object with a sane header.
                    let words = unsafe { words_of(object, info) };
                    let end = self.space.at(start + len).as_ptr().addr();
                    if object.addr() + words * WORD > end
                        || (words < LARGE && info.kind() != Kind::Indirection && words + info.slack() < LARGE)
                    {
                        bad = Some(object);
                    }
                    objects.push(Found { object, info, young: false });
                }
                _ => bad = Some(object),
            }
        });
        match bad {
            Some(object) => wrong(format_args!("the large object at {object:p} is not one")),
            None if slices != self.large.slices => {
                wrong(format_args!("large objects have {slices} slices, not {}", self.large.slices))
            }
            None => Ok(objects),
        }
    }

    /// Log bytes of old memory are 1 at `logged`, and 0 everywhere else; those of the nursery are 1.
    fn check_log(&self, mutator: &Mutator, logged: &mut [usize]) -> Checked<()> {
        logged.sort_unstable();
        let nursery = self.nursery.0..self.nursery.0 + self.nursery.1;
        for slice in 0..self.space.top() {
            let (log, bytes) = self.space.log(slice, 1);
            // SAFETY: the log of a slice.
            let log = unsafe { core::slice::from_raw_parts(log.as_ptr(), bytes) };
            if nursery.contains(&slice) {
                if log.iter().any(|byte| *byte != 1) {
                    return wrong(format_args!("the log of the nursery's slice {slice} is not all ones"));
                }
                continue;
            }
            if self.remembered.overflowed {
                continue; // nobody knows which
            }
            let start = self.space.at(slice).addr().get();
            for (index, byte) in log.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                let granule = start / LOGGED + index;
                let found = logged.binary_search_by(|address| (address / LOGGED).cmp(&granule));
                if found.is_err() {
                    return wrong(format_args!(
                        "the log byte of {:#x} is {byte}, and nothing is remembered there",
                        granule * LOGGED
                    ));
                }
            }
        }
        for address in logged.iter() {
            // SAFETY: of objects of this heap.
            if unsafe { *mutator.log(*address) } != 1 {
                return wrong(format_args!("{address:#x} is remembered, and its log byte is 0"));
            }
        }
        Ok(())
    }

    /// Every slice has the owner that its use says, and sums are sums.
    fn check_slices(&self, mutator: &Mutator) -> Checked<()> {
        let space = &self.space;
        let mut owned = alloc::vec![Use::Nothing; space.top()];
        let mut twice = None;
        let mut own = |start: usize, len: usize, what: Use| {
            for (slice, owner) in owned.iter_mut().enumerate().skip(start).take(len) {
                if *owner != Use::Nothing {
                    twice = Some(slice);
                }
                *owner = what;
            }
        };
        own(self.nursery.0, self.nursery.1, Use::Nursery);
        self.old.blocks.iter().for_each(|block| own(block.slice, BLOCK, self.old.side));
        self.old.spare.iter().for_each(|slice| own(*slice, BLOCK, Use::Spare));
        self.quarantine.iter().for_each(|retired| own(retired.slice, retired.len, Use::Quarantine));
        self.large.each(space, |_, start, len| own(start, len, Use::Large));
        if let Some(slice) = twice {
            return wrong(format_args!("slice {slice} has two owners"));
        }
        let (mut taken, mut bytes) = (0, 0);
        for (slice, owner) in owned.iter().enumerate() {
            let what = space.use_of(slice);
            taken += usize::from(what != Use::Nothing);
            bytes += usize::from(what == Use::Bytes);
            if what != *owner && what != Use::Bytes {
                return wrong(format_args!("slice {slice} is said to be {what:?}, and is {owner:?}"));
            }
        }
        if taken != space.taken()
            || bytes != space.byte_slices.get()
            || self.old.spare.len() * BLOCK != space.spare.get()
        {
            return wrong(format_args!(
                "{taken} slices in use and {bytes} of raw bytes, not {} and {}",
                space.taken(),
                space.byte_slices.get()
            ));
        }
        if taken > space.limit() {
            return wrong(format_args!("{taken} slices are taken, more than the limit, {}", space.limit()));
        }
        let (held, most) =
            (self.old.spare.len() + self.old.blocks.len(), self.old.words() + self.opened_words(mutator));
        if held < 2 * blocks_for(most) {
            return wrong(format_args!("{held} blocks are too few for {most} words to be copied twice"));
        }
        let words: usize = self.old.filled().map(|block| (block.fill.addr() - block.start.addr()) / WORD).sum();
        if words != self.old.words() {
            return wrong(format_args!("{words} words in the old generation, not {}", self.old.words()));
        }
        Ok(())
    }

    /// Follows all roots, and counts.
    fn check_reach(&self, look: &Look<'_>, verified: &mut Verified) -> Checked<()> {
        let mut roots: Vec<Word> = Vec::new();
        let mut clean = None;
        // SAFETY: the table lives as long as the heap.
        unsafe { self.roots.as_ref() }.look(|object, dirty| {
            if look.is_young(object.addr()) && !dirty {
                clean = Some(object);
            }
            roots.push(object);
        });
        if let Some(object) = clean {
            return wrong(format_args!("a root of the young {object:p} would not be looked at"));
        }
        // SAFETY: slots of the shadow stack; static objects and the callback are as their registration promised.
        unsafe {
            let mut slot = look.mutator.stack_base.get();
            while slot < look.mutator.stack_top.get() {
                roots.push(*slot);
                slot = slot.add(1);
            }
            for object in &self.statics {
                if let First::Object(info) = Header::read(*object) {
                    each_slot(*object, info, |slot| roots.push(*slot));
                }
            }
            if let Some(super::collector::Callback { call, data }) = self.callback {
                call(&mut RootVisitor::new(&mut |slot| roots.push(*slot)), data);
            }
        }
        let mut seen = Bits::new(self.space.base().addr().get(), self.space.ready());
        let untagged = |pointer: Word| pointer.map_addr(|address| address & !TAG);
        let owned = |pointer: Word| look.mutator.owns(pointer.addr());
        if let Some(root) = roots.iter().find(|root| owned(**root) && !look.is_object(untagged(**root))) {
            return wrong(format_args!("a root leads to {root:p}, where no object is"));
        }
        // What objects lead to has been looked at.
        while let Some(pointer) = roots.pop() {
            let object = untagged(pointer);
            if !owned(object) || !seen.set(object.addr()) {
                continue;
            }
            // SAFETY: an object that was found by walking.
            unsafe {
                if let First::Object(info) = Header::read(object) {
                    verified.reachable += 1;
                    verified.reachable_bytes += words_of(object, info) * WORD;
                    each_slot(object, info, |slot| roots.push(*slot));
                }
            }
        }
        Ok(())
    }
}

/// What pointers may lead to.
struct Look<'c> {
    collector: &'c Collector,
    mutator: &'c Mutator,
    starts: Bits,
    /// Where the objects are that are remembered with all their pointers.
    whole: Vec<usize>,
}

impl Look<'_> {
    fn is_young(&self, address: usize) -> bool {
        let start = self.collector.young().addr();
        address.wrapping_sub(start) < self.collector.nursery.1 * SLICE
    }

    /// Whether an object of this heap starts there.
    fn is_object(&self, object: *mut Header) -> bool {
        self.collector.space.slice_of(object.addr()).is_some() && self.starts.has(object.addr())
    }

    /// Checks an object's pointers. Returns how many of them lead from old to young.
    fn object(&self, found: &Found) -> Checked<usize> {
        let Found { object, info, young } = *found;
        let (mut edges, mut bad) = (0, None);
        // SAFETY: found by walking, with a sane header.
        unsafe {
            each_slot(object, info, |slot| {
                let pointer = *slot;
                let to = pointer.map_addr(|address| address & !TAG);
                if self.mutator.owns(to.addr()) && !self.is_object(to) {
                    bad = Some((slot, pointer, "where no object is"));
                } else if !young && self.is_young(to.addr()) {
                    edges += 1;
                    let is_logged = |address: usize| *self.mutator.log(address) == 1;
                    // Of an array either the card is, or all of it; its own log byte may be that of its first card.
                    let is_remembered = match info.kind() {
                        Kind::Pointers => {
                            is_logged(logged_at(object, card_of(slot.addr())))
                                || self.whole.binary_search(&object.addr()).is_ok()
                                || self.collector.remembered.overflowed && is_logged(object.addr())
                        }
                        _ => is_logged(object.addr()),
                    };
                    if !is_remembered {
                        bad = Some((slot, pointer, "which is young, and is not remembered"));
                    }
                }
            });
        }
        match bad {
            Some((slot, pointer, why)) => {
                wrong(format_args!("slot {slot:p} of {} at {object:p} leads to {pointer:p}, {why}", info.name()))
            }
            None => Ok(edges),
        }
    }
}

/// What is at `object`, if it can be a header.
fn sane(object: *mut Header) -> Checked<First> {
    // SAFETY: a word of the heap; an address that is no `Info` at all may end the program, which is found, too.
    let bits = unsafe { *object.cast::<usize>() };
    if bits & 15 != 0 && bits & 15 != 2 || bits >> 4 == 0 {
        return wrong(format_args!("at {object:p} is {bits:#x}, which is no header"));
    }
    // SAFETY: as above.
    match unsafe { Header::read(object) } {
        First::Object(info) if !info.is_sane() => wrong(format_args!("the header at {object:p} leads to no info")),
        first => Ok(first),
    }
}

/// Walks from object to object.
fn walk(objects: &mut Vec<Found>, from: *mut Word, to: *mut Word, young: bool) -> Checked<()> {
    let mut at = from;
    while at < to {
        let object = at.cast::<Header>();
        let words = match sane(object)? {
            First::Filler(words) => words,
            First::Object(info) => {
                objects.push(Found { object, info, young });
                // SAFETY: a sane header.
                unsafe { words_of(object, info) }
            }
            First::Moved => return wrong(format_args!("the object at {object:p} has been moved")),
        };
        if words > (to.addr() - at.addr()) / WORD {
            return wrong(format_args!("the object at {object:p} has {words} words, more than there are"));
        }
        at = word(object, words);
    }
    Ok(())
}
