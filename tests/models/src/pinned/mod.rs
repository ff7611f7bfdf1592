//! Models of what threads share in a pinned heap.

#[path = "../../../../src/pinned/control.rs"]
mod control;
#[path = "../../../../src/pinned/magazine.rs"]
#[expect(dead_code, reason = "the models use a part")]
mod magazine;
#[path = "../../../../src/pinned/tally.rs"]
#[expect(dead_code, reason = "as above")]
mod tally;

/// Checks a model in which a thread that could go on is interrupted at most so often.
fn check(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(model);
}

mod end_of_a_thread {
    //! A thread that ends gives its cache back while the heap is dropped.

    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::check;
    use super::control::Control;

    /// A heap, and the cell that its control block is in; loom says when somebody uses one that is gone.
    struct Heap {
        control: Control,
        /// Read by who uses the heap, written by who ends it; so too the cell.
        engine: UnsafeCell<bool>,
        cell: UnsafeCell<bool>,
    }

    impl Heap {
        fn new() -> Arc<Self> {
            Arc::new(Self { control: Control::new(), engine: UnsafeCell::new(true), cell: UnsafeCell::new(true) })
        }

        /// Uses the control block.
        fn control(&self) -> &Control {
            // SAFETY: who ends it writes it while nobody else has it; that is what loom checks.
            self.cell.with(|alive| assert!(unsafe { *alive }, "a control block that is gone"));
            &self.control
        }

        fn let_go(&self) {
            if self.control().let_go() {
                // SAFETY: as above.
                self.cell.with_mut(|alive| assert!(unsafe { alive.replace(false) }, "gone already"));
            }
        }

        /// What a thread with a note of the heap does when it ends.
        fn thread_ends(&self) {
            if self.control().pin() {
                // SAFETY: as above.
                self.engine.with(|alive| assert!(unsafe { *alive }, "a heap that is gone"));
                self.control().unpin();
            }
            self.let_go();
        }

        /// What a thread does with its note when it makes one of another heap.
        fn thread_sweeps(&self) {
            if self.control().is_closed() {
                self.let_go();
            } else {
                self.thread_ends();
            }
        }

        fn is_dropped(&self) {
            self.control().close();
            // SAFETY: as above.
            self.engine.with_mut(|alive| assert!(unsafe { alive.replace(false) }, "gone already"));
            self.let_go();
        }

        fn is_all_gone(&self) -> bool {
            // SAFETY: as above.
            self.engine.with(|alive| unsafe { !*alive }) && self.cell.with(|alive| unsafe { !*alive })
        }
    }

    /// A heap is dropped while others do these.
    fn beside_the_drop(others: &[fn(&Heap)]) {
        let others = others.to_vec();
        check(3, move || {
            let heap = Heap::new();
            let threads: Vec<_> = others
                .iter()
                .map(|other| {
                    heap.control().hold();
                    let (heap, other) = (Arc::clone(&heap), *other);
                    thread::spawn(move || other(&heap))
                })
                .collect();
            heap.is_dropped();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(heap.is_all_gone());
        });
    }

    #[test]
    fn nobody_is_inside_a_heap_that_goes_and_the_last_holder_frees_its_control_block() {
        beside_the_drop(&[Heap::thread_ends]);
        beside_the_drop(&[Heap::thread_ends, Heap::thread_ends]);
    }

    #[test]
    fn a_thread_that_looks_for_old_notes_lets_go_once() {
        beside_the_drop(&[Heap::thread_sweeps]);
        beside_the_drop(&[Heap::thread_sweeps, Heap::thread_ends]);
    }
}

mod exchange {
    //! Threads exchange full and empty magazines through a depot.

    use std::mem::MaybeUninit;
    use std::ptr::{self, NonNull};

    use loom::sync::atomic::Ordering::Relaxed;
    use loom::sync::{Arc, atomic::AtomicPtr};
    use loom::thread;

    use super::magazine::{Magazine, Stack};
    use crate::class::{CLASSES, Class};
    use crate::sync::Lock;

    struct Depot {
        full: Stack,
        empty: Stack,
    }

    /// Magazines as a heap has them from fresh memory. loom's atomics are not what zeros are, so they are made one by one.
    fn empty_magazine() -> Box<Magazine> {
        let mut memory = Box::<Magazine>::new_uninit();
        let slots = memory.as_mut_ptr().cast::<AtomicPtr<u8>>();
        let capacity = size_of::<Magazine>() / size_of::<AtomicPtr<u8>>();
        for slot in 0..SLOTS.min(capacity) {
            // SAFETY: a magazine is an array of so many slots, from its start.
            unsafe { slots.add(slot).write(AtomicPtr::new(ptr::null_mut())) };
        }
        // SAFETY: all its slots are.
        unsafe { memory.assume_init() }
    }

    /// The slots of a magazine: a kibibyte of pointers.
    const SLOTS: usize = 1024 / size_of::<*mut MaybeUninit<u8>>();

    /// The class of the largest blocks, of which magazines take the fewest.
    fn class() -> Class {
        Class::from_index(CLASSES - 1).unwrap()
    }

    /// A depot with so many magazines full of blocks, numbered from 1, and so many empty ones.
    fn depot(full: usize, empty: usize) -> (Arc<Lock<Depot>>, Vec<Box<Magazine>>) {
        let magazines: Vec<_> = (0..full + empty).map(|_| empty_magazine()).collect();
        let mut depot = Depot { full: Stack::new(), empty: Stack::new() };
        for (at, magazine) in magazines.iter().enumerate() {
            let stack = if at < full { &mut depot.full } else { &mut depot.empty };
            if at < full {
                let first = 1 + at * class().capacity();
                fill(magazine, first..first + class().capacity());
            }
            // SAFETY: it lives until the model's end.
            unsafe { stack.push(NonNull::from(&**magazine)) };
        }
        (Arc::new(Lock::new(depot)), magazines)
    }

    fn fill(magazine: &Magazine, blocks: std::ops::Range<usize>) {
        for (slot, block) in magazine.slots(class()).iter().zip(blocks) {
            slot.store(ptr::without_provenance_mut(block), Relaxed);
        }
    }

    fn blocks(magazine: &Magazine) -> Vec<usize> {
        magazine.slots(class()).iter().map(|slot| slot.load(Relaxed).addr()).collect()
    }

    /// Takes a full magazine, if there is one, and puts it back as an empty one. Answers with the blocks that were in it.
    fn take(depot: &Lock<Depot>) -> Vec<usize> {
        let Some(full) = depot.lock().full.pop() else { return Vec::new() };
        // SAFETY: it was on a pile, where only magazines are that live.
        let had = blocks(unsafe { full.as_ref() });
        // SAFETY: as above; it was popped, so it is this thread's.
        unsafe { depot.lock().empty.push(full) };
        had
    }

    /// Fills an empty magazine, if there is one, and puts it back as a full one. Answers with the blocks that found no place.
    fn give(depot: &Lock<Depot>, given: std::ops::Range<usize>) -> Vec<usize> {
        let Some(empty) = depot.lock().empty.pop() else { return given.collect() };
        // SAFETY: as above.
        fill(unsafe { empty.as_ref() }, given);
        // SAFETY: as above.
        unsafe { depot.lock().full.push(empty) };
        Vec::new()
    }

    /// All blocks that anybody has, in order.
    fn all(depot: &Lock<Depot>, had: [Vec<usize>; 2]) -> Vec<usize> {
        let mut all = had.concat();
        let depot = depot.lock();
        assert_eq!(depot.full.count(), depot.full.iter().count());
        depot.full.iter().for_each(|magazine| all.extend(blocks(magazine)));
        all.sort_unstable();
        all
    }

    #[test]
    fn two_threads_that_take_full_magazines_get_each_block_once() {
        loom::model(|| {
            let (depot, _magazines) = depot(3, 0);
            let other = {
                let depot = Arc::clone(&depot);
                thread::spawn(move || take(&depot))
            };
            let mut own = take(&depot);
            own.extend(take(&depot));
            let others = other.join().unwrap();
            assert_eq!((own.len(), others.len()), (2 * class().capacity(), class().capacity()));
            assert!(all(&depot, [own, others]).into_iter().eq(1..=3 * class().capacity()));
            let depot = depot.lock();
            assert_eq!((depot.full.count(), depot.empty.count()), (0, 3));
        });
    }

    #[test]
    fn what_one_thread_gives_another_gets_whole_and_once() {
        loom::model(|| {
            let capacity = class().capacity();
            let (depot, _magazines) = depot(1, 1);
            let other = {
                let depot = Arc::clone(&depot);
                thread::spawn(move || {
                    let mut kept = give(&depot, 100..100 + capacity);
                    kept.extend(give(&depot, 200..200 + capacity));
                    kept
                })
            };
            let mut own = take(&depot);
            own.extend(take(&depot));
            let all = all(&depot, [own, other.join().unwrap()]);
            let expected = (1..=capacity).chain(100..100 + capacity).chain(200..200 + capacity);
            assert!(all.iter().copied().eq(expected), "{all:?}");
        });
    }
}

mod numbers {
    //! Statistics are read while others count.

    use loom::sync::Arc;
    use loom::thread;

    use super::check;
    use super::tally::{Counts, Level, Tally};
    use crate::stats::AllocStats;

    /// The tallies of two threads.
    struct Numbers {
        level: Level,
        tallies: [Tally; 2],
    }

    impl Numbers {
        fn new() -> Arc<Self> {
            Arc::new(Self { level: Level::new(), tallies: [Tally::new(), Tally::new()] })
        }

        fn read(&self) -> AllocStats {
            let told = self.level.told();
            let mut counts = Counts::default();
            self.tallies.iter().for_each(|tally| counts.add(tally.counts()));
            counts.stats(&self.level, told, 0)
        }
    }

    /// What a thread does with its tally, in order.
    #[derive(Clone, Copy)]
    enum Event {
        Alloc(usize),
        Free(usize),
        Resize(usize, usize),
        Large(usize, usize),
        Fold,
    }

    fn count(tally: &Tally, level: &Level, event: Event) {
        match event {
            Event::Alloc(size) => tally.record_alloc(size),
            Event::Free(size) => tally.record_dealloc(size),
            Event::Resize(old, new) => tally.record_realloc(old, new),
            Event::Large(old, new) => tally.record_large(level, old, new),
            Event::Fold => tally.fold(level),
        }
    }

    /// Bytes allocated, bytes live, allocations, blocks live: after all of `before`, and then after each event.
    fn moments(before: &[Event], events: &[Event]) -> Vec<[usize; 4]> {
        let (mut now, mut moments) = ([0; 4], Vec::new());
        for event in before.iter().chain(events).chain(&[Event::Fold]) {
            moments.push(now);
            let [allocated, live, allocations, blocks] = now;
            let (old, new) = match *event {
                Event::Alloc(size) => (0, size),
                Event::Free(size) => (size, 0),
                Event::Resize(old, new) | Event::Large(old, new) => (old, new),
                Event::Fold => (0, 0),
            };
            let (came, went) = (usize::from(new > 0), usize::from(old > 0));
            now = [allocated + new, live + new - old, allocations + came, blocks + came - went];
        }
        moments.split_off(before.len())
    }

    /// A thread reads while another counts events; `before` has happened. Each number that is seen is one that there was: nothing
    /// is seen twice, or nowhere, while it moves from word to word; but for the bytes that live, which may be wrong by what the
    /// level had not been told of. And at the end all are exact.
    ///
    /// The reader is the thread that is started, so that loom lets it run last, and tries for each load all that was stored
    /// before. The other way round it would try little: it compares a store with the last access to the word, which is the
    /// owner's own load.
    fn is_never_torn(before: &'static [Event], events: &'static [Event]) {
        check(2, move || {
            let numbers = Numbers::new();
            let owner = |event: &Event| count(&numbers.tallies[0], &numbers.level, *event);
            before.iter().for_each(owner);
            let reader = {
                let numbers = Arc::clone(&numbers);
                thread::spawn(move || {
                    let told = numbers.level.told();
                    // A level of its own, for the peak is not looked at here.
                    numbers.tallies[0].counts().stats(&Level::new(), told, 0)
                })
            };
            events.iter().for_each(owner);
            let seen = reader.join().unwrap();
            let moments = moments(before, events);
            let is_one_of = |value: usize, field: usize| moments.iter().any(|moment| moment[field] == value);
            assert!(is_one_of(seen.total_allocated, 0) && is_one_of(seen.allocation_count, 2), "{seen:?}");
            let untold = |live: usize| live.abs_diff(seen.current_live) <= UNTOLD;
            assert!(moments.iter().any(|moment| untold(moment[1])), "{seen:?}");
            assert!(is_one_of(seen.allocation_count - seen.deallocation_count, 3), "{seen:?}");

            let [allocated, live, allocations, blocks] = *moments.last().unwrap();
            let expected = AllocStats {
                total_allocated: allocated,
                total_deallocated: allocated - live,
                current_live: live,
                allocation_count: allocations,
                deallocation_count: allocations - blocks,
                peak_usage: HIGHEST,
                failed_allocations: 0,
            };
            assert_eq!(numbers.read(), expected);
        });
    }

    /// More has come and gone than will come, so that nothing is cut off at what there has ever been.
    const PAST: [Event; 3] = [Event::Large(0, HIGHEST), Event::Large(HIGHEST, 0), Event::Large(0, 100_000)];
    const HIGHEST: usize = 1 << 20;
    /// What the events after that have not told of.
    const UNTOLD: usize = 64 + 48;

    #[test]
    fn a_reader_sees_small_blocks_once_while_they_are_folded() {
        const BEFORE: [Event; 5] = [PAST[0], PAST[1], PAST[2], Event::Alloc(64), Event::Alloc(48)];
        is_never_torn(&BEFORE, &[Event::Fold]);
        is_never_torn(&BEFORE, &[Event::Free(48), Event::Fold]);
    }

    #[test]
    fn a_reader_sees_all_or_nothing_of_what_moves_to_wide_counters() {
        const BEFORE: [Event; 5] = [PAST[0], PAST[1], PAST[2], Event::Alloc(64), Event::Resize(64, 48)];
        is_never_torn(&BEFORE, &[Event::Large(0, 70_000)]);
    }

    /// With one thread the peak is exact. That another reads the statistics does not change it.
    #[test]
    fn reading_does_not_raise_the_peak() {
        check(2, || {
            let numbers = Numbers::new();
            let owner = |event: &Event| count(&numbers.tallies[0], &numbers.level, *event);
            [Event::Large(0, 100_000), Event::Large(100_000, 90_000), Event::Alloc(8_000)].iter().for_each(owner);
            let reader = {
                let numbers = Arc::clone(&numbers);
                thread::spawn(move || numbers.read())
            };
            owner(&Event::Fold);
            assert!(reader.join().unwrap().peak_usage <= 100_000);
            assert_eq!(numbers.read().peak_usage, 100_000);
        });
    }

    /// A block goes from thread to thread before it is told of: one knows more than there is, the other less than nothing.
    #[test]
    fn numbers_never_go_below_nothing_and_add_up_at_rest() {
        check(2, || {
            let numbers = Numbers::new();
            let does = |tally: usize, event| count(&numbers.tallies[tally], &numbers.level, event);
            does(0, Event::Alloc(100));
            let reader = {
                let numbers = Arc::clone(&numbers);
                thread::spawn(move || numbers.read())
            };
            does(1, Event::Free(100));
            does(1, Event::Fold);
            let seen = reader.join().unwrap();
            assert_eq!((seen.total_allocated, seen.allocation_count), (100, 1), "{seen:?}");
            assert!([0, 100].contains(&seen.current_live), "{seen:?}");
            assert!(seen.deallocation_count <= 1 && seen.peak_usage <= 100, "{seen:?}");
            let stats = numbers.read();
            assert_eq!((stats.current_live, stats.total_deallocated, stats.deallocation_count), (0, 100, 1));
        });
    }

    /// The level is what all tallies have told it, in whatever order.
    #[test]
    fn threads_that_tell_at_once_lose_nothing() {
        check(2, || {
            let numbers = Numbers::new();
            let other = {
                let numbers = Arc::clone(&numbers);
                thread::spawn(move || {
                    count(&numbers.tallies[1], &numbers.level, Event::Large(0, 1 << 20));
                    count(&numbers.tallies[1], &numbers.level, Event::Large(1 << 20, 1 << 19));
                })
            };
            count(&numbers.tallies[0], &numbers.level, Event::Large(0, 1 << 21));
            other.join().unwrap();
            count(&numbers.tallies[0], &numbers.level, Event::Large(1 << 21, 0));
            let stats = numbers.read();
            assert_eq!((stats.current_live, stats.allocation_count, stats.deallocation_count), (1 << 19, 3, 2));
            let apart = (1 << 21) + (1 << 19);
            assert!((apart..=(1 << 21) + (1 << 20)).contains(&stats.peak_usage), "{stats:?}");
        });
    }
}
