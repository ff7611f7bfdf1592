//! Pairs of two words that nobody needs as soon as they are made.

use std::ptr::NonNull;
use std::rc::Rc;

use bhc_rts_alloc::GeneralHeap;
use bhc_rts_alloc::general::Info;
use bumpalo::Bump;
use gc_arena::{Arena, Gc, Rootable};
use safe_gc::{Collector, Heap, Trace};

use crate::common::escape;

const NURSERY: usize = 4 << 20;

/// For contenders that take memory back, or collect, only between pieces of work.
const BATCH: u64 = 1000;

/// `work` on all indices below `count`, in batches.
fn batches(count: u64, mut work: impl FnMut(std::ops::Range<u64>)) {
    for start in (0..count).step_by(BATCH as usize) {
        work(start..count.min(start + BATCH));
    }
}

static PAIR: Info = Info::fixed("Pair", 0, 2);

pub fn ours(count: u64) -> u64 {
    let mut heap = GeneralHeap::builder().nursery(NURSERY).build();
    let raw = heap.raw();
    for i in 0..count {
        // SAFETY: a pair has no pointers, and two words.
        unsafe {
            let pair = raw.alloc(&PAIR).expect("memory");
            raw.word(pair.as_ptr(), 0).cast::<u64>().write(i);
            raw.word(pair.as_ptr(), 1).cast::<u64>().write(i);
            escape(pair);
        }
    }
    count
}

pub fn boxes(count: u64) -> u64 {
    for i in 0..count {
        escape(NonNull::from(&*Box::new((i, i))));
    }
    count
}

pub fn counted(count: u64) -> u64 {
    for i in 0..count {
        escape(NonNull::from(&*Rc::new((i, i))));
    }
    count
}

pub fn bumped(count: u64) -> u64 {
    let mut bump = Bump::new();
    batches(count, |batch| {
        for i in batch {
            escape(NonNull::from(bump.alloc((i, i))));
        }
        bump.reset();
    });
    count
}

pub fn gc_arena(count: u64) -> u64 {
    let mut arena = Arena::<Rootable![()]>::new(|_| ());
    batches(count, |batch| {
        arena.mutate(|mc, ()| {
            for i in batch {
                escape(NonNull::from(&*Gc::new(mc, (i, i))));
            }
        });
        arena.collect_debt();
    });
    count
}

struct SafePair(#[expect(dead_code, reason = "no pair is read")] (u64, u64));

impl Trace for SafePair {
    fn trace(&self, _: &mut Collector) {}
}

pub fn safe_gc(count: u64) -> u64 {
    let mut heap = Heap::new();
    for i in 0..count {
        escape(NonNull::from(&heap.alloc(SafePair((i, i)))));
    }
    count
}
