//! Programs of buffer operations, run on a buffer and on a `Vec`. After every step the elements are the same, the start
//! is aligned, the elements have room, and the padding is zero and inside the block.
//!
//! Where the programs come from is the caller's business: `model` draws them at random, a fuzz target makes them of bytes.

use std::fmt::Debug;

use bhc_rts_alloc::{Align, AlignSpec, Alignment, KnownAlign, Place, SimdBuffer};

use super::region::Audit;
use super::vocabulary::{Audited, Tracked, check, expect};

/// One step. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Op {
    Push(u32),
    Pop,
    Insert(usize, u32),
    Remove(usize),
    SwapRemove(usize),
    Truncate(usize),
    Clear,
    Resize(usize, u32),
    ResizeWith(usize, u32),
    /// From an iterator that says how many there are, or that says nothing.
    Extend(usize, u32, bool),
    ExtendFromSlice(usize, u32),
    /// Which elements stay, by bits.
    Retain(u32),
    Reserve(usize),
    ReserveExact(usize),
    ShrinkTo(usize),
    ShrinkToFit,
    Clone,
    /// Of a buffer of so many elements.
    CloneFrom(usize, u32),
    /// From an alignment in the type to one at run time, or back.
    Switch,
    RawParts,
    /// Takes so many from the front and from the back; goes on with the rest, or drops it.
    IntoIter(usize, usize, bool),
    /// Swaps elements through `&mut [T]`.
    Reverse,
    /// What only some element types can do: casts, writing through the padded view.
    Special(u32),
}

pub trait Element: Clone + PartialEq + Debug {
    fn make(seed: u32) -> Self;
}

pub fn elements<T: Element>(count: usize, seed: u32) -> Vec<T> {
    (0..count).map(|i| T::make(seed.wrapping_add(i as u32))).collect()
}

/// What only some element types can do at alignment `A`. The elements stay as they are in the model.
pub trait Special<A: KnownAlign>: Element {
    fn special<'r>(buffer: Audited<'r, Self, A>, model: &mut Vec<Self>, seed: u32) -> Audited<'r, Self, A> {
        let _ = (model, seed);
        buffer
    }
}

/// Two forms of one buffer; an operation that both have works on either.
enum Form<'r, T, A: KnownAlign> {
    Static(Audited<'r, T, A>),
    Dynamic(Audited<'r, T, Alignment>),
}

macro_rules! on_either {
    ($form:expr, $buffer:ident => $body:expr) => {
        match $form {
            Form::Static($buffer) => $body,
            Form::Dynamic($buffer) => $body,
        }
    };
}

/// As `on_either`, for a body that gives a buffer of the same form.
macro_rules! replace_either {
    ($form:expr, $buffer:ident => $body:expr) => {
        match $form {
            Form::Static($buffer) => Form::Static($body),
            Form::Dynamic($buffer) => Form::Dynamic($body),
        }
    };
}

fn collect<'r, T, A: AlignSpec>(place: Place<A, &'r Audit>, items: impl IntoIterator<Item = T>) -> Audited<'r, T, A> {
    place.try_from_iter(items).expect("there is memory")
}

fn apply<'r, T: Special<A>, A: KnownAlign>(
    mut form: Form<'r, T, A>,
    model: &mut Vec<T>,
    op: &Op,
    audit: &'r Audit,
) -> Form<'r, T, A> {
    let at = |index: usize, len: usize| index % len.max(1);
    match *op {
        Op::Push(seed) => {
            on_either!(&mut form, b => b.push(T::make(seed)));
            model.push(T::make(seed));
        }
        Op::Pop => {
            let popped = on_either!(&mut form, b => b.pop());
            assert_eq!(popped, model.pop());
        }
        Op::Insert(index, seed) => {
            let index = at(index, model.len() + 1);
            on_either!(&mut form, b => b.insert(index, T::make(seed)));
            model.insert(index, T::make(seed));
        }
        Op::Remove(index) if !model.is_empty() => {
            let index = at(index, model.len());
            let removed = on_either!(&mut form, b => b.remove(index));
            assert_eq!(removed, model.remove(index));
        }
        Op::SwapRemove(index) if !model.is_empty() => {
            let index = at(index, model.len());
            let removed = on_either!(&mut form, b => b.swap_remove(index));
            assert_eq!(removed, model.swap_remove(index));
        }
        Op::Remove(_) | Op::SwapRemove(_) => {}
        Op::Truncate(len) => {
            on_either!(&mut form, b => b.truncate(len));
            model.truncate(len);
        }
        Op::Clear => {
            on_either!(&mut form, b => b.clear());
            model.clear();
        }
        Op::Resize(len, seed) => {
            on_either!(&mut form, b => b.resize(len, T::make(seed)));
            model.resize(len, T::make(seed));
        }
        Op::ResizeWith(len, seed) => {
            let maker = || {
                let mut seed = seed;
                move || {
                    seed = seed.wrapping_add(1);
                    T::make(seed)
                }
            };
            on_either!(&mut form, b => b.resize_with(len, maker()));
            model.resize_with(len, maker());
        }
        Op::Extend(count, seed, says) => {
            let items = elements(count, seed).into_iter();
            if says {
                on_either!(&mut form, b => b.extend(items));
            } else {
                on_either!(&mut form, b => b.extend(items.filter(|_| true)));
            }
            model.extend(elements(count, seed));
        }
        Op::ExtendFromSlice(count, seed) => {
            let items = elements(count, seed);
            on_either!(&mut form, b => b.extend_from_slice(&items));
            model.extend_from_slice(&items);
        }
        Op::Retain(bits) => {
            let keeper = || {
                let mut at = 0;
                move |_: &T| {
                    at += 1;
                    bits.rotate_left(at) & 1 == 1
                }
            };
            on_either!(&mut form, b => b.retain(keeper()));
            model.retain(keeper());
        }
        Op::Reserve(additional) => on_either!(&mut form, b => {
            b.reserve(additional);
            assert!(b.capacity() >= b.len() + additional);
        }),
        Op::ReserveExact(additional) => on_either!(&mut form, b => {
            b.reserve_exact(additional);
            assert!(b.capacity() >= b.len() + additional);
        }),
        Op::ShrinkTo(capacity) => on_either!(&mut form, b => {
            let before = b.capacity();
            b.shrink_to(capacity);
            assert!(b.capacity() <= before);
            assert!(b.capacity() >= before.min(capacity));
        }),
        Op::ShrinkToFit => on_either!(&mut form, b => {
            b.shrink_to_fit();
            // Whole blocks of padding, and not one more than the elements need.
            let block = b.alignment().as_usize().min(64);
            let needed = size_of_val(b.as_slice()).next_multiple_of(block);
            assert_eq!(b.capacity(), needed.checked_div(size_of::<T>()).unwrap_or(usize::MAX));
        }),
        Op::Clone => {
            form = replace_either!(form, b => {
                let clone = b.clone();
                expect(&b, model);
                drop(b);
                clone
            });
        }
        Op::CloneFrom(len, seed) => {
            let items = elements(len, seed);
            match &mut form {
                Form::Static(b) => b.clone_from(&collect(Place::<A>::new().within(audit), items.iter().cloned())),
                Form::Dynamic(b) => {
                    b.clone_from(&collect(Place::at(b.alignment()).within(audit), items.iter().cloned()));
                }
            }
            *model = items;
        }
        Op::Switch => {
            form = match form {
                Form::Static(b) => Form::Dynamic(b.into_dynamic()),
                Form::Dynamic(b) => {
                    // An alignment that it does not have is refused, and the buffer comes back.
                    let b = b.try_into_static::<Align<{ 1 << 29 }>>().unwrap_err();
                    let alignment = b.alignment();
                    match b.try_into_static() {
                        Ok(b) => {
                            assert_eq!(alignment, Alignment::of::<A>());
                            Form::Static(b)
                        }
                        Err(b) => {
                            assert_ne!(alignment, Alignment::of::<A>());
                            Form::Dynamic(b)
                        }
                    }
                }
            };
        }
        Op::RawParts => {
            form = replace_either!(form, b => {
                let parts = b.into_raw_parts();
                // SAFETY: the parts are as they were.
                unsafe { SimdBuffer::from_raw_parts(parts) }
            });
        }
        Op::IntoIter(front, back, rest) => {
            let mut expected = std::mem::take(model).into_iter();
            let alignment = match &form {
                Form::Static(_) => None,
                Form::Dynamic(b) => Some(b.alignment()),
            };
            let items = on_either!(form, b => {
                let mut items = b.into_iter();
                for _ in 0..front {
                    assert_eq!(items.next(), expected.next());
                }
                for _ in 0..back {
                    assert_eq!(items.next_back(), expected.next_back());
                }
                assert_eq!((items.len(), items.as_slice()), (expected.len(), expected.as_slice()));
                rest.then(|| items.collect::<Vec<T>>())
            });
            let items = items.into_iter().flatten();
            form = match alignment {
                None => Form::Static(collect(Place::new().within(audit), items)),
                Some(alignment) => Form::Dynamic(collect(Place::at(alignment).within(audit), items)),
            };
            *model = if rest { expected.collect() } else { Vec::new() };
        }
        Op::Reverse => {
            on_either!(&mut form, b => b.reverse());
            model.reverse();
        }
        Op::Special(seed) => {
            if let Form::Static(b) = form {
                form = Form::Static(T::special(b, model, seed));
            }
        }
    }
    form
}

/// Runs a program on a buffer that starts empty, aligned to `A`, or to an alignment below 2^29 chosen at run time.
pub fn run<T: Special<A>, A: KnownAlign>(start: Option<Alignment>, ops: &[Op]) {
    let audit = Audit::new();
    let mut model = Vec::<T>::new();
    let mut form = match start {
        None => Form::<T, A>::Static(collect(Place::new().within(&audit), [])),
        Some(alignment) => Form::Dynamic(collect(Place::at(alignment).within(&audit), [])),
    };
    for op in ops {
        form = apply(form, &mut model, op, &audit);
        on_either!(&form, b => expect(b, &model));
    }
    drop(form);
    audit.expect_empty();
}

/// Aligned more strictly than the padding block, and larger.
#[derive(Clone, Debug, PartialEq)]
#[repr(align(128))]
pub struct Wide(u32);

impl Element for u8 {
    fn make(seed: u32) -> Self {
        seed as u8 | 1 // never zero, so that what is left behind in the padding is seen
    }
}

impl Element for u32 {
    fn make(seed: u32) -> Self {
        seed | 0x0101_0101
    }
}

impl Element for [u8; 3] {
    fn make(seed: u32) -> Self {
        [1 | seed as u8, 2, 3]
    }
}

impl Element for [u16; 48] {
    fn make(seed: u32) -> Self {
        std::array::from_fn(|i| 0x0101 | (seed as u16).wrapping_add(i as u16))
    }
}

impl Element for Wide {
    fn make(seed: u32) -> Self {
        Self(seed | 1)
    }
}

impl Element for () {
    fn make(_: u32) -> Self {}
}

impl Element for String {
    fn make(seed: u32) -> Self {
        seed.to_string()
    }
}

impl<const EXTRA: usize> Element for Tracked<EXTRA> {
    fn make(seed: u32) -> Self {
        Self::new(u64::from(seed) | 1)
    }
}

macro_rules! nothing_special {
    ($($element:ty),+) => {$(
        impl<A: KnownAlign> Special<A> for $element {}
    )+};
}
nothing_special!([u8; 3], [u16; 48], Wide, (), String, Tracked<0>, Tracked<10>);

/// Writes every element and all of the padding through the padded view.
macro_rules! through_the_padded_view {
    ($buffer:ident, $model:ident, $seed:ident) => {
        let mut padded = $buffer.padded_mut();
        assert_eq!(padded[..$model.len()], $model[..]);
        assert!(padded[$model.len()..].iter().all(|&x| x == 0));
        for (i, x) in padded.iter_mut().enumerate() {
            *x = Element::make($seed.wrapping_add(i as u32));
        }
        drop(padded);
        *$model = elements($model.len(), $seed);
    };
}

/// To the other element type and back, growing and shrinking in between.
macro_rules! there_and_back {
    ($buffer:ident, $model:ident, $seed:ident, $from:ty => $to:ty, $A:ty) => {
        let bytes = size_of_val($model.as_slice());
        $buffer = match $buffer.try_cast::<$to>() {
            Err((buffer, mismatch)) => {
                assert_eq!((mismatch.bytes, mismatch.element), (bytes, size_of::<$to>()));
                assert!(!bytes.is_multiple_of(size_of::<$to>()));
                buffer
            }
            Ok(mut cast) => {
                check(&cast);
                assert_eq!(size_of_val(cast.as_slice()), bytes);
                for i in 0..4 {
                    cast.push(Element::make($seed.wrapping_add(i)));
                    check(&cast);
                }
                cast.shrink_to_fit();
                check(&cast);
                cast.truncate(cast.len() - 4);
                check(&cast);
                cast.cast::<$from>()
            }
        };
    };
}

impl Special<Align<1>> for u8 {
    fn special<'r>(mut buffer: Audited<'r, u8, Align<1>>, model: &mut Vec<u8>, seed: u32) -> Audited<'r, u8, Align<1>> {
        assert_eq!(buffer.padded().len(), model.len()); // at one byte there is no padding
        through_the_padded_view!(buffer, model, seed);
        buffer
    }
}

impl Special<Align<1>> for u32 {}

macro_rules! specials {
    ($($from:ty => $to:ty, $bytes:literal;)+) => {$(
        impl Special<Align<$bytes>> for $from {
            fn special<'r>(
                mut buffer: Audited<'r, $from, Align<$bytes>>,
                model: &mut Vec<$from>,
                seed: u32,
            ) -> Audited<'r, $from, Align<$bytes>> {
                if seed % 2 == 0 {
                    through_the_padded_view!(buffer, model, seed);
                } else {
                    there_and_back!(buffer, model, seed, $from => $to, Align<$bytes>);
                }
                buffer
            }
        }
    )+};
}
specials! {
    u8 => u32, 8;
    u8 => u32, 64;
    u8 => u32, 4096;
    u32 => u8, 8;
    u32 => u8, 64;
    u32 => u8, 4096;
}
