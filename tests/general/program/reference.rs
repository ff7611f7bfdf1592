//! The model of a heap: which objects there are, where they lead, and what a collection makes of them.
//!
//! It knows no addresses and decides nothing: when the heap collects is the heap's business, what is there afterwards
//! is not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What programs are to bring about.
pub const CASES: &[&str] = &[
    "a minor collection",
    "a full collection",
    "a minor and a full collection for one request",
    "an old object that leads to a young one",
    "more to remember than there is room for",
    "an indirection that is left out",
    "a chain of indirections that is left out",
    "a circle of indirections",
    "a large indirection that is left out",
    "a large object that lives",
    "a large object that dies",
    "a pointer to a static object",
    "a request that the limit refuses",
    "a failure that is told",
    "a failure that is not noticed",
];

/// Slices and large objects are counted in so many bytes.
pub const SLICE: usize = 8 << 10;
/// Objects of so many words are never copied.
pub const LARGE: usize = SLICE / WORD;
pub const WORD: usize = size_of::<usize>();

/// The number of an object.
pub type Id = usize;

/// A pointer: to which object, with which tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct To {
    pub id: Id,
    /// Or [`ANY`].
    pub tag: usize,
}

/// Nobody can say which: what leads into a circle of indirections.
pub const ANY: usize = 8;

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Young,
    Old,
    Large,
    /// Not in the heap.
    Static,
}

#[derive(Clone, Debug)]
pub struct Object<S> {
    pub shape: S,
    pub place: Place,
    /// Header included.
    pub words: usize,
    /// What alignment may cost beside, in words.
    pub slack: usize,
    pub slots: Vec<Option<To>>,
    /// A thunk that was updated: of its slots there is one.
    pub is_indirection: bool,
    /// The elements of an array of data, or of pointers.
    pub len: usize,
    /// How often its data was changed.
    pub version: usize,
    /// The slices of a large one.
    pub slices: usize,
}

/// The slices of a large object of so many words, with so many for its alignment.
pub fn slices(words: usize, slack: usize) -> usize {
    let before = ((slack + 1) * WORD).max(2 * WORD) - 2 * WORD;
    (words * WORD + before).div_ceil(SLICE)
}

/// What the heap's statistics should say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub allocated: usize,
    pub large: usize,
    pub promoted: usize,
    pub promoted_bytes: usize,
    pub copied: usize,
    pub copied_bytes: usize,
    pub live_after_full: usize,
    pub remembered: usize,
}

/// What [`verify`](bhc_rts_alloc::GeneralHeap::verify) should say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub objects: usize,
    pub bytes: usize,
    pub reachable: usize,
    pub reachable_bytes: usize,
    pub old_to_young: usize,
}

pub struct Model<S> {
    /// All that is in memory, garbage included, and static objects.
    pub objects: BTreeMap<Id, Object<S>>,
    pub counts: Counts,
    /// What the barrier has remembered since the last collection: an object, and which part of it.
    pub remembered: BTreeSet<(Id, usize)>,
    next: Id,
    /// Which of the [`CASES`] there were.
    seen: RefCell<BTreeSet<&'static str>>,
}

impl<S: Copy> Model<S> {
    pub fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            counts: Counts::default(),
            remembered: BTreeSet::new(),
            next: 0,
            seen: RefCell::default(),
        }
    }

    pub fn saw(&self, case: &'static str) {
        debug_assert!(CASES.contains(&case), "{case}");
        self.seen.borrow_mut().insert(case);
    }

    pub fn seen(self) -> BTreeSet<&'static str> {
        self.seen.into_inner()
    }

    /// The number that the next object has.
    pub fn next(&self) -> Id {
        self.next
    }

    pub fn add(&mut self, object: Object<S>) -> Id {
        let bytes = match object.place {
            Place::Static => 0,
            Place::Large => object.slices * SLICE,
            _ => (object.words + object.slack) * WORD,
        };
        self.counts.allocated += bytes;
        if object.place == Place::Large {
            self.counts.large += bytes;
        }
        self.objects.insert(self.next, object);
        self.next += 1;
        self.next - 1
    }

    pub fn object(&self, id: Id) -> &Object<S> {
        &self.objects[&id]
    }

    pub fn object_mut(&mut self, id: Id) -> &mut Object<S> {
        self.objects.get_mut(&id).expect("an object that is there")
    }

    /// A pointer is stored into an object; `part` is what of it the barrier would log.
    pub fn barrier(&mut self, id: Id, part: usize) {
        if self.object(id).place != Place::Young && self.remembered.insert((id, part)) {
            self.counts.remembered += 1;
        }
    }

    /// What a collection puts in place of a pointer: what is behind indirections, as far as they are condemned. Of a
    /// circle one is left.
    fn resolve(&self, mut to: To, is_condemned: &impl Fn(&Object<S>) -> bool) -> To {
        let mut passed = Vec::new();
        loop {
            let object = self.object(to.id);
            if !object.is_indirection || !is_condemned(object) {
                match passed.len() {
                    0 => {}
                    1 => self.saw("an indirection that is left out"),
                    _ => self.saw("a chain of indirections that is left out"),
                }
                if object.place == Place::Static {
                    self.saw("a pointer to a static object");
                }
                return to;
            }
            if object.place == Place::Large {
                self.saw("a large indirection that is left out");
            }
            if let Some(first) = passed.iter().position(|id| *id == to.id) {
                self.saw("a circle of indirections");
                let id = *passed[first..].iter().min().expect("a circle has a member");
                return To { id, tag: ANY };
            }
            passed.push(to.id);
            to = object.slots[0].expect("an indirection leads somewhere");
        }
    }

    /// Follows, from `work` on, what is condemned, and changes pointers as a collection does. Returns what it met.
    fn trace(
        &mut self,
        roots: &mut [&mut Option<To>],
        from: Vec<Id>,
        is_condemned: impl Fn(&Object<S>) -> bool,
    ) -> BTreeSet<Id> {
        let (mut met, mut work) = (BTreeSet::new(), from);
        let mut meet = |this: &Self, slot: &mut Option<To>, work: &mut Vec<Id>| {
            let Some(to) = slot else { return };
            *to = this.resolve(*to, &is_condemned);
            if is_condemned(this.object(to.id)) && met.insert(to.id) {
                work.push(to.id);
            }
        };
        roots.iter_mut().for_each(|root| meet(self, root, &mut work));
        let mut done = BTreeSet::new();
        while let Some(id) = work.pop() {
            if !done.insert(id) {
                continue;
            }
            let mut slots = std::mem::take(&mut self.object_mut(id).slots);
            // While it is looked at, what leads to it is not an indirection that is: circles are resolved at once.
            let circle = self.object(id).is_indirection && is_condemned(self.object(id));
            if circle {
                slots[0] = Some(To { id, tag: ANY });
            } else {
                slots.iter_mut().for_each(|slot| meet(self, slot, &mut work));
            }
            self.object_mut(id).slots = slots;
        }
        met
    }

    /// A minor collection.
    pub fn minor(&mut self, roots: &mut [&mut Option<To>]) {
        self.saw("a minor collection");
        if self.sums(&[]).old_to_young > 0 {
            self.saw("an old object that leads to a young one");
        }
        let old = self.objects.iter().filter(|(_, object)| object.place != Place::Young);
        let from = old.map(|(id, _)| *id).collect();
        let met = self.trace(roots, from, |object| object.place == Place::Young);
        self.objects.retain(|id, object| object.place != Place::Young || met.contains(id));
        for id in met {
            let object = self.object_mut(id);
            object.place = Place::Old;
            let words = object.words + object.slack;
            self.counts.promoted += 1;
            self.counts.promoted_bytes += words * WORD;
        }
        self.remembered.clear();
    }

    /// A full one.
    pub fn full(&mut self, roots: &mut [&mut Option<To>]) {
        let statics = self.objects.iter().filter(|(_, object)| object.place == Place::Static);
        let from = statics.map(|(id, _)| *id).collect();
        let met = self.trace(roots, from, |object| object.place != Place::Static);
        self.saw("a full collection");
        for (id, _) in self.objects.iter().filter(|(_, object)| object.place == Place::Large) {
            self.saw(if met.contains(id) { "a large object that lives" } else { "a large object that dies" });
        }
        self.objects.retain(|id, object| object.place == Place::Static || met.contains(id));
        let mut live = 0;
        for id in met {
            let object = self.object_mut(id);
            if object.place == Place::Large {
                live += object.slices * SLICE;
                continue;
            }
            object.place = Place::Old;
            let bytes = (object.words + object.slack) * WORD;
            live += bytes;
            self.counts.copied += 1;
            self.counts.copied_bytes += bytes;
        }
        self.counts.live_after_full = live;
        self.remembered.clear();
    }

    /// What a look through everything should find.
    pub fn sums(&self, roots: &[Option<To>]) -> Sums {
        let mut sums = Sums::default();
        let is_young = |to: &To| self.object(to.id).place == Place::Young;
        let mut work: Vec<_> = roots.iter().flatten().map(|to| to.id).collect();
        for (id, object) in &self.objects {
            if object.place == Place::Static {
                work.push(*id);
                continue;
            }
            sums.objects += 1;
            sums.bytes += object.words * WORD;
            if object.place != Place::Young {
                sums.old_to_young += object.slots.iter().flatten().filter(|to| is_young(to)).count();
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(id) = work.pop() {
            if !seen.insert(id) {
                continue;
            }
            let object = self.object(id);
            if object.place != Place::Static {
                sums.reachable += 1;
                sums.reachable_bytes += object.words * WORD;
            }
            work.extend(object.slots.iter().flatten().map(|to| to.id));
        }
        sums
    }
}
