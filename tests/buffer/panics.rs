//! Code of the element type, and closures and iterators of the caller, panics at every step it can. Afterwards every
//! element is dropped once, the padding is zero, the buffer works on, and no memory is lost.

use std::hash::{DefaultHasher, Hash, Hasher};

use bhc_rts_alloc::{Align, KnownAlign, Place};

use super::region::Audit;
use super::vocabulary::{Audited, Tracked, blows, check, panic_text, step, tracked};

/// Runs `body` on a buffer of `len` elements with each of its steps panicking in turn, and checks the buffer after each
/// panic. Answers how many steps can panic.
fn every_step<const EXTRA: usize, A: KnownAlign>(
    len: u64,
    body: impl Fn(&mut Audited<'_, Tracked<EXTRA>, A>) + Copy,
) -> usize {
    let audit = Audit::new();
    let place = Place::<A>::new().within(&audit);
    let before = tracked();
    for n in 0.. {
        let mut buffer = place.try_from_iter((0..len).map(Tracked::new)).unwrap();
        let blew = blows(n, || body(&mut buffer));
        check(&buffer);
        // What is in the buffer is all that there is: nothing leaked, nothing in it is gone.
        assert_eq!(tracked() - before, buffer.len(), "step {n}: elements leaked, or dropped while in the buffer");
        buffer.iter().for_each(|element| assert!(element.value() < 10_000));
        // It works on.
        buffer.push(Tracked::new(77));
        check(&buffer);
        assert_eq!(buffer.pop().unwrap().value(), 77);
        check(&buffer);
        drop(buffer);
        assert_eq!(tracked(), before, "step {n}");
        audit.expect_empty();
        if !blew {
            return n;
        }
    }
    unreachable!("there is a last step")
}

/// For elements smaller and larger than a padding block, with sizes that divide it and that do not, and for all kinds of
/// alignment. The body must have at least `steps` steps that can panic.
macro_rules! at_every_step {
    ($len:expr, at least $steps:expr, |$buffer:ident| $body:expr) => {
        at_every_step!(@each $len, $steps, $buffer, $body, [0 64, 1 64, 10 64, 1 1, 10 4096]);
    };
    (@each $len:expr, $steps:expr, $buffer:ident, $body:expr, [$($extra:literal $align:literal),+]) => {$(
        let steps = every_step::<$extra, Align<$align>>($len, |$buffer| { $body; });
        assert!(steps >= $steps, "only {steps} steps could panic");
    )+};
}

#[test]
fn drop_may_panic_in_truncate_and_clear() {
    at_every_step!(9, at least 6, |buffer| buffer.truncate(3));
    at_every_step!(9, at least 9, |buffer| buffer.clear());
}

#[test]
fn drop_may_panic_in_retain_and_so_may_the_closure() {
    at_every_step!(9, at least 9 + 4, |buffer| buffer.retain(|element| {
        step();
        element.value() % 2 == 0
    }));
}

#[test]
fn clone_may_panic_while_extending() {
    let source: Vec<Tracked<0>> = (0..7).map(Tracked::new).collect();
    let before = tracked();
    for n in 0..=7 {
        let audit = Audit::new();
        let mut buffer = Place::<Align<64>>::new().within(&audit).from_fn(3, |i| Tracked::<0>::new(i as u64));
        assert_eq!(blows(n, || buffer.extend_from_slice(&source)), n < 7);
        // What was cloned before the panic stays.
        assert_eq!(buffer.len(), 3 + n);
        check(&buffer);
        drop(buffer);
        assert_eq!(tracked(), before);
    }
    at_every_step!(5, at least 5, |buffer| {
        let copy: Vec<_> = buffer.iter().map(|element| Tracked::new(element.value())).collect();
        buffer.extend_from_slice(&copy);
    });
}

#[test]
fn clone_may_panic_in_resize_and_the_closure_in_resize_with() {
    at_every_step!(2, at least 19, |buffer| buffer.resize(20, Tracked::new(5)));
    at_every_step!(20, at least 19, |buffer| buffer.resize(2, Tracked::new(5)));
    at_every_step!(2, at least 18, |buffer| buffer.resize_with(20, || {
        step();
        Tracked::new(5)
    }));
}

#[test]
fn next_may_panic_while_extending() {
    at_every_step!(2, at least 30, |buffer| buffer.extend((0..30).map(|i| {
        step();
        Tracked::new(i)
    })));
}

#[test]
fn clone_may_panic_in_clone_and_clone_from() {
    at_every_step!(9, at least 9 + 9, |buffer| drop(buffer.clone()));
    // Drops of the old ones, clones of the new ones, and the drops of the source at the end.
    at_every_step!(9, at least 9 + 20 + 20, |buffer| {
        let place = Place::new().within(*buffer.region());
        let source = place.try_from_iter((0..20).map(Tracked::new)).unwrap();
        buffer.clone_from(&source);
    });
    at_every_step!(9, at least 4 + 4, |buffer| {
        let place = Place::new().within(*buffer.region());
        let source = place.try_from_iter((0..4).map(Tracked::new)).unwrap();
        buffer.clone_from(&source);
    });
}

#[test]
fn drop_may_panic_when_the_value_is_thrown_away() {
    at_every_step!(9, at least 1, |buffer| drop(buffer.pop()));
    at_every_step!(9, at least 1, |buffer| drop(buffer.remove(2)));
    at_every_step!(9, at least 1, |buffer| drop(buffer.swap_remove(2)));
}

#[test]
fn assigning_a_buffer_may_panic_in_drop() {
    at_every_step!(9, at least 9, |buffer| {
        let place = Place::new().within(*buffer.region());
        *buffer = place.try_from_iter((0..3).map(Tracked::new)).unwrap();
    });
}

/// Runs a constructor with each of its steps panicking: afterwards there is nothing.
fn every_step_of_a_constructor(at_least: usize, body: impl Fn(Place<Align<64>, &Audit>)) {
    let audit = Audit::new();
    let before = tracked();
    for n in 0.. {
        let blew = blows(n, || body(Place::new().within(&audit)));
        assert_eq!(tracked(), before, "step {n}: elements leaked");
        audit.expect_empty();
        if !blew {
            assert!(n >= at_least, "only {n} steps could panic");
            return;
        }
    }
}

#[test]
fn constructors_may_panic_at_every_step() {
    let source: Vec<Tracked<1>> = (0..9).map(Tracked::new).collect();
    // Each element is made or cloned, and dropped with the buffer.
    every_step_of_a_constructor(9 + 9, |place| drop(place.from_slice(&source)));
    every_step_of_a_constructor(9 + 9 + 1, |place| drop(place.filled(9, Tracked::<10>::new(1))));
    every_step_of_a_constructor(9 + 9, |place| {
        drop(place.from_fn(9, |i| {
            step();
            Tracked::<0>::new(i as u64)
        }));
    });
    every_step_of_a_constructor(9 + 9, |place| {
        let items = (0..9).map(|i| {
            step();
            Tracked::<1>::new(i)
        });
        drop(place.try_from_iter(items).unwrap());
    });
}

#[test]
fn an_iterator_half_way_frees_the_block_though_drop_panics() {
    every_step_of_a_constructor(9, |place| {
        let mut items = place.try_from_iter((0..9).map(Tracked::<1>::new)).unwrap().into_iter();
        let taken = (items.next(), items.next(), items.next_back());
        drop(items);
        drop(taken);
    });
}

#[test]
fn a_buffer_frees_its_block_though_drop_panics() {
    every_step_of_a_constructor(9, |place| {
        drop(place.try_from_iter((0..9).map(Tracked::<10>::new)).unwrap());
    });
    every_step_of_a_constructor(9, |place| {
        drop(place.try_from_iter((0..9).map(Tracked::<10>::new)).unwrap().into_dynamic());
    });
}

/// Says of itself what it is told to say.
struct Liar<I>(I, (usize, Option<usize>));

impl<I: Iterator> Iterator for Liar<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        step();
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

impl<I: Iterator> ExactSizeIterator for Liar<I> {
    fn len(&self) -> usize {
        self.1.0
    }
}

const LIES: [(usize, Option<usize>); 7] = [
    (0, None),
    (0, Some(0)),
    (3, Some(3)),
    (1000, Some(1000)),
    (1000, Some(1)),
    (usize::MAX, None),
    (isize::MAX as usize, Some(usize::MAX)),
];

#[test]
fn an_iterator_that_lies_about_its_length_gives_all_its_elements() {
    for lie in LIES {
        let audit = Audit::new();
        let place = Place::<Align<64>>::new().within(&audit);
        let expected: Vec<u16> = (0..50).collect();
        let buffer = place.try_from_iter(Liar(expected.iter().copied(), lie)).unwrap();
        super::vocabulary::expect(&buffer, &expected);

        let mut buffer = place.from_slice(&[1u16, 2]);
        buffer.extend(Liar(expected.iter(), lie));
        assert_eq!(buffer[2..], expected[..]);
        check(&buffer);
        drop(buffer);

        // A step for each element, and one for the end.
        let steps = every_step::<1, Align<64>>(2, |buffer| buffer.extend(Liar((0..5).map(Tracked::new), lie)));
        assert_eq!(steps, 6);
    }
}

#[test]
fn methods_that_only_look_may_panic_too() {
    /// Panics when it is compared, hashed or printed.
    #[derive(Clone)]
    struct Sore;
    impl PartialEq for Sore {
        fn eq(&self, _: &Self) -> bool {
            panic!("do not compare")
        }
    }
    impl Hash for Sore {
        fn hash<H: Hasher>(&self, _: &mut H) {
            panic!("do not hash")
        }
    }
    let buffer = Place::<Align<64>>::new().filled(3, Sore);
    assert_eq!(panic_text(|| buffer == buffer.clone()), "do not compare");
    assert_eq!(panic_text(|| buffer.hash(&mut DefaultHasher::new())), "do not hash");
    assert_eq!(buffer.len(), 3);
}

#[test]
fn a_bad_index_leaves_the_buffer_as_it_was() {
    let audit = Audit::new();
    let before = tracked();
    let mut buffer = Place::<Align<64>>::new().within(&audit).from_fn(9, |i| Tracked::<1>::new(i as u64));
    let text = panic_text(|| buffer.remove(9));
    assert_eq!(text, "cannot remove element 9 of 9");
    let text = panic_text(|| buffer.swap_remove(100));
    assert_eq!(text, "cannot remove element 100 of 9");
    let text = panic_text(|| buffer.insert(10, Tracked::new(1)));
    assert_eq!(text, "cannot insert before element 10 of 9");
    assert!(buffer.iter().map(Tracked::value).eq(0..9));
    assert_eq!(tracked() - before, 9, "the value that could not be inserted is dropped");
    check(&buffer);
}
