//! The arena of a thread: re-entry, panics, the thread's end, memory that is kept from call to call.

use std::cell::{Cell, RefCell};
use std::sync::mpsc;
use std::thread;

use bhc_rts_alloc::{MemoryRegion, Scope, with_thread_arena};

use super::elements::panic_text;
use super::vocabulary::address;

/// Runs on a thread that has no arena yet.
fn on_a_new_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(body).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[test]
fn a_call_inside_a_call_gets_memory_of_its_own() {
    fn nest(depth: usize, above: &mut [u64]) {
        with_thread_arena(|scope| {
            let here = scope.alloc_slice_fill_with(1000, |i| (i + depth) as u64);
            assert_eq!(scope.stats().current_live, 8000, "nothing of the call around this one");
            if depth > 0 {
                nest(depth - 1, here);
                scope.scope(|inner| {
                    inner.alloc([0u8; 20_000]);
                    nest(depth - 1, here);
                });
            }
            assert!(here.iter().copied().eq((0..1000).map(|i| (i + depth + usize::from(depth > 0) * 2) as u64)));
            above.iter_mut().for_each(|x| *x += 1);
        });
    }
    on_a_new_thread(|| nest(6, &mut []));
}

/// The addresses that calls at each depth are given first.
fn addresses(depth: usize, found: &mut Vec<usize>) {
    with_thread_arena(|scope| {
        found.push(address(scope.alloc([0u8; 3000])));
        if depth > 0 {
            addresses(depth - 1, found);
        }
    });
}

#[test]
fn memory_is_kept_from_call_to_call_at_every_depth() {
    on_a_new_thread(|| {
        let mut first = Vec::new();
        addresses(4, &mut first);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 3000), "{sorted:x?} overlap");
        for _ in 0..3 {
            let mut again = Vec::new();
            addresses(4, &mut again);
            assert_eq!(again, first);
        }
        // After one that needed much more, so does the next have it.
        with_thread_arena(|scope| scope.alloc_slice_fill_with(1 << 20, |_| 0u8)[0]);
        with_thread_arena(|scope| assert!(scope.capacity() >= 1 << 20));
    });
}

#[test]
fn a_panic_gives_the_arena_back_to_the_thread() {
    fn panics(scope: &mut Scope<'_, '_>, found: &Cell<usize>, depth: usize) {
        found.set(address(scope.alloc([1u8; 100])));
        match depth {
            0 => panic!("inside"),
            1 => with_thread_arena(|scope| panics(scope, found, 0)),
            _ => scope.scope(|inner| panics(inner, found, depth - 1)),
        }
    }
    on_a_new_thread(|| {
        let mut first = Vec::new();
        addresses(1, &mut first);
        for depth in [0, 1, 2, 3] {
            let found = Cell::new(0);
            assert_eq!(panic_text(|| with_thread_arena(|scope| panics(scope, &found, depth))), "inside");
            assert_ne!(found.get(), 0);
            let mut again = Vec::new();
            addresses(1, &mut again);
            assert_eq!(again, first, "after a panic at depth {depth}");
            with_thread_arena(|scope| assert_eq!(scope.stats().current_live, 0));
        }
        // Caught inside a call: that one goes on.
        with_thread_arena(|scope| {
            let kept = scope.alloc([7u8; 100]);
            assert_eq!(panic_text(|| with_thread_arena(|scope| panics(scope, &Cell::new(0), 1))), "inside");
            assert_eq!((&*kept, scope.stats().current_live), (&[7; 100], 100));
        });
    });
}

#[test]
fn destructors_of_thread_locals_may_use_it() {
    struct Late(mpsc::Sender<u64>);
    impl Drop for Late {
        fn drop(&mut self) {
            let sum = |n: u64| {
                with_thread_arena(|outer| {
                    let numbers = outer.alloc_slice_fill_with(1000, |i| i as u64 * n);
                    with_thread_arena(|inner| inner.alloc_slice_copy(numbers).iter().sum::<u64>())
                })
            };
            self.0.send(sum(1) + sum(2)).unwrap();
        }
    }
    thread_local!(static LATE: RefCell<Vec<Late>> = const { RefCell::new(Vec::new()) });

    // Destructors run in the order of registration or against it: register this one before the crate's, after it, and
    // alone.
    for (before, used) in [(true, true), (false, true), (true, false)] {
        let (sender, sums) = mpsc::channel();
        on_a_new_thread(move || {
            if before {
                LATE.with_borrow_mut(|late| late.push(Late(sender.clone())));
            }
            if used {
                with_thread_arena(|scope| scope.alloc([0u8; 10_000])[0]);
            }
            if !before {
                LATE.with_borrow_mut(|late| late.push(Late(sender)));
            }
        });
        assert_eq!(sums.iter().collect::<Vec<_>>(), [3 * 499_500]);
    }
}

#[test]
fn every_thread_has_an_arena_of_its_own() {
    let barrier = std::sync::Barrier::new(8);
    thread::scope(|threads| {
        for id in 0..8u64 {
            let barrier = &barrier;
            threads.spawn(move || {
                for round in 0..20 {
                    with_thread_arena(|scope| {
                        let numbers = scope.alloc_slice_fill_with(500, |i| id * 1000 + i as u64);
                        if round == 0 {
                            barrier.wait(); // all of them have some at once
                        }
                        let copy = with_thread_arena(|inner| inner.alloc_slice_copy(numbers).to_vec());
                        assert_eq!(numbers, copy);
                        // Lent to another thread meanwhile.
                        thread::scope(|helpers| {
                            helpers.spawn(|| numbers.iter_mut().for_each(|x| *x += 1));
                        });
                        assert!(numbers.iter().copied().eq(id * 1000 + 1..id * 1000 + 501));
                    });
                }
            });
        }
    });
}
