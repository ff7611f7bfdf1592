//! [`Level`]: what the arena and its scopes have in common, for programs that run at any depth; and allocation by type.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use bhc_rts_alloc::{Align, AlignedSlice, AllocResult, HotArena, KnownAlign, MemoryRegion, Scope};

use super::Pattern;

/// An element type.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Byte,
    Three,
    Word,
    Long,
    OverAligned,
}

#[derive(Clone, Copy, Debug)]
pub enum Typed {
    Value(Kind),
    With(Kind),
    Boxed(Kind),
    Copied(Kind, usize),
    Cloned(Kind, usize),
    Filled(Kind, usize),
    Text(usize),
    /// Of bytes, or of words.
    Buffer(Content, BufferAlign, bool, usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Content {
    Zeros,
    Copies,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub enum BufferAlign {
    Sixteen,
    Line,
    Page,
}

/// A plain element type, made of the bytes of a pattern.
trait Plain: Copy + std::fmt::Debug + PartialEq {
    fn of(bytes: &[u8]) -> Self;
}

impl Plain for u8 {
    fn of(bytes: &[u8]) -> Self {
        bytes[0]
    }
}

impl Plain for u64 {
    fn of(bytes: &[u8]) -> Self {
        Self::from_ne_bytes(bytes.try_into().unwrap())
    }
}

impl<const N: usize> Plain for [u8; N] {
    fn of(bytes: &[u8]) -> Self {
        bytes.try_into().unwrap()
    }
}

/// Aligned more strictly than any of the arenas.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(128))]
struct OverAligned([u8; 128]);

impl Plain for OverAligned {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap())
    }
}

/// Elements that together have the pattern of a seed.
fn elements<T: Plain>(len: usize, seed: u8) -> Vec<T> {
    let mut bytes = vec![0; len * size_of::<T>()];
    Pattern::fill(NonNull::from(bytes.as_mut_slice()).cast(), 0, bytes.len(), seed);
    bytes.chunks_exact(size_of::<T>()).map(T::of).collect()
}

fn value<T: Plain>(seed: u8) -> T {
    elements(1, seed)[0]
}

macro_rules! with_kind {
    ($kind:expr, $T:ident => $body:expr) => {
        match $kind {
            Kind::Byte => {
                type $T = u8;
                $body
            }
            Kind::Three => {
                type $T = [u8; 3];
                $body
            }
            Kind::Word => {
                type $T = u64;
                $body
            }
            Kind::Long => {
                type $T = [u8; 128];
                $body
            }
            Kind::OverAligned => {
                type $T = OverAligned;
                $body
            }
        }
    };
}

impl BufferAlign {
    const fn bytes(self) -> usize {
        match self {
            Self::Sixteen => 16,
            Self::Line => 64,
            Self::Page => 4096,
        }
    }
}

impl Typed {
    pub fn layout(self) -> Layout {
        match self {
            Self::Value(kind) | Self::With(kind) | Self::Boxed(kind) => with_kind!(kind, T => Layout::new::<T>()),
            Self::Copied(kind, len) | Self::Cloned(kind, len) | Self::Filled(kind, len) => {
                with_kind!(kind, T => Layout::array::<T>(len)).unwrap()
            }
            Self::Text(len) => Layout::array::<u8>(len).unwrap(),
            Self::Buffer(_, align, words, len) => {
                let size = len * if words { 8 } else { 1 };
                Layout::from_size_align(size, align.bytes()).unwrap()
            }
        }
    }
}

/// A pointer to what a reference refers to.
fn to<T: ?Sized>(reference: &mut T) -> NonNull<u8> {
    NonNull::from_mut(reference).cast()
}

/// A buffer to which the pattern of a seed was written.
fn written<T, B: KnownAlign>(buffer: &mut AlignedSlice<T, B>, seed: u8) -> NonNull<u8> {
    let len = size_of_val(&**buffer);
    let start = to(&mut **buffer);
    Pattern::fill(start, 0, len, seed);
    start
}

/// A panic on purpose, and how many scopes it leaves.
pub struct Unwinding(pub usize);

/// The arena, or a scope of it.
pub trait Level<A: KnownAlign>: MemoryRegion + Sized {
    const IS_SCOPE: bool;

    fn used(&self) -> usize;
    fn padding(&self) -> usize;
    fn remaining(&self) -> usize;
    fn capacity(&self) -> usize;
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8>;
    fn nested(&mut self, body: impl for<'s, 'env> FnOnce(&mut Scope<'s, 'env, A>));
    /// An allocation by type, whose value has the pattern of the seed; `sure` by the form that panics.
    fn make(&self, typed: Typed, seed: u8, sure: bool) -> AllocResult<NonNull<u8>>;
    /// An allocation in which `body` is called, which panics.
    fn interrupted(&self, slice: bool, body: impl FnOnce() -> Unwinding) -> AllocResult<()>;
    /// # Safety
    /// As for [`Allocator`]'s methods.
    unsafe fn resize(&self, ptr: NonNull<u8>, old: Layout, new: Layout, zeroed: bool) -> Option<NonNull<u8>>;
    fn allocate(&self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>>;
}

/// What a slice of 16 elements is interrupted at.
pub const HALF: usize = 8;

macro_rules! level {
    ([$($generics:tt)*] $arena:ty, is scope: $is_scope:literal) => {
        impl<$($generics)*> Level<A> for $arena {
            const IS_SCOPE: bool = $is_scope;

            fn used(&self) -> usize {
                self.used()
            }

            fn padding(&self) -> usize {
                self.padding()
            }

            fn remaining(&self) -> usize {
                self.remaining()
            }

            fn capacity(&self) -> usize {
                self.capacity()
            }

            fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
                self.alloc_layout(layout)
            }

            fn nested(&mut self, body: impl for<'t, 'e> FnOnce(&mut Scope<'t, 'e, A>)) {
                self.scope(body);
            }

            fn make(&self, typed: Typed, seed: u8, sure: bool) -> AllocResult<NonNull<u8>> {
                match typed {
                    Typed::Value(kind) => with_kind!(kind, T => {
                        let value = value::<T>(seed);
                        if sure {
                            return Ok(to(self.alloc(value)));
                        }
                        self.try_alloc(value).map(to).map_err(|(back, error)| {
                            assert_eq!(back, value);
                            error
                        })
                    }),
                    Typed::With(kind) => with_kind!(kind, T => {
                        if sure {
                            return Ok(to(self.alloc_with(|| value::<T>(seed))));
                        }
                        self.try_alloc_with(|| value::<T>(seed)).map(to)
                    }),
                    Typed::Boxed(kind) => with_kind!(kind, T => {
                        let value = value::<T>(seed);
                        if sure {
                            return Ok(to(self.alloc_box(value).leak()));
                        }
                        self.try_alloc_box(value).map(|value| to(value.leak())).map_err(|(back, error)| {
                            assert_eq!(back, value);
                            error
                        })
                    }),
                    Typed::Copied(kind, len) => with_kind!(kind, T => {
                        let elements = elements::<T>(len, seed);
                        if sure {
                            return Ok(to(self.alloc_slice_copy(&elements)));
                        }
                        self.try_alloc_slice_copy(&elements).map(to)
                    }),
                    Typed::Cloned(kind, len) => with_kind!(kind, T => {
                        let elements = elements::<T>(len, seed);
                        if sure {
                            return Ok(to(self.alloc_slice_clone(&elements)));
                        }
                        self.try_alloc_slice_clone(&elements).map(to)
                    }),
                    Typed::Filled(kind, len) => with_kind!(kind, T => {
                        let elements = elements::<T>(len, seed);
                        if sure {
                            return Ok(to(self.alloc_slice_fill_with(len, |at| elements[at])));
                        }
                        self.try_alloc_slice_fill_with(len, |at| elements[at]).map(to)
                    }),
                    Typed::Text(len) => {
                        let text = "t".repeat(len);
                        let copy = if sure { self.alloc_str(&text) } else { self.try_alloc_str(&text)? };
                        assert_eq!(*copy, text);
                        let start = to(copy);
                        Pattern::fill(start, 0, len, seed);
                        Ok(start)
                    }
                    Typed::Buffer(content, align, words, len) => {
                        macro_rules! buffer {
                            ($T:ty, $align:literal) => {{
                                let value = match content {
                                    Content::Copies => value::<$T>(!seed),
                                    Content::Zeros | Content::Nothing => 0,
                                };
                                let buffer: &mut AlignedSlice<$T, Align<$align>> = match (content, sure) {
                                    (Content::Zeros, true) => self.alloc_buffer(len),
                                    (Content::Zeros, false) => self.try_alloc_buffer(len)?,
                                    (Content::Copies, true) => self.alloc_buffer_filled(len, value),
                                    (Content::Copies, false) => self.try_alloc_buffer_filled(len, value)?,
                                    (Content::Nothing, true) => {
                                        return Ok(written(self.alloc_buffer_uninit::<$T, Align<$align>>(len), seed));
                                    }
                                    (Content::Nothing, false) => {
                                        return Ok(written(self.try_alloc_buffer_uninit::<$T, Align<$align>>(len)?, seed));
                                    }
                                };
                                assert!(buffer.iter().all(|element| *element == value), "what a buffer is filled with");
                                written(buffer, seed)
                            }};
                        }
                        Ok(match (align, words) {
                            (BufferAlign::Sixteen, false) => buffer!(u8, 16),
                            (BufferAlign::Line, false) => buffer!(u8, 64),
                            (BufferAlign::Page, false) => buffer!(u8, 4096),
                            (BufferAlign::Sixteen, true) => buffer!(u64, 16),
                            (BufferAlign::Line, true) => buffer!(u64, 64),
                            (BufferAlign::Page, true) => buffer!(u64, 4096),
                        })
                    }
                }
            }

            fn interrupted(&self, slice: bool, body: impl FnOnce() -> Unwinding) -> AllocResult<()> {
                let mut body = Some(body);
                let mut panic = || -> () { resume_unwind(Box::new(body.take().expect("called once")())) };
                let result = catch_unwind(AssertUnwindSafe(|| {
                    if slice {
                        let make = |at| {
                            if at == HALF {
                                panic();
                            }
                            at as u64
                        };
                        self.try_alloc_slice_fill_with(2 * HALF, make).map(|_| ())
                    } else {
                        let make = || {
                            panic();
                            [0u64; 2 * HALF]
                        };
                        self.try_alloc_with(make).map(|_| ())
                    }
                }));
                match result {
                    Ok(result) => result,
                    Err(panic) if panic.is::<Unwinding>() => Ok(()),
                    Err(panic) => resume_unwind(panic),
                }
            }

            unsafe fn resize(&self, ptr: NonNull<u8>, old: Layout, new: Layout, zeroed: bool) -> Option<NonNull<u8>> {
                // SAFETY: the caller's promise; each is called with the larger layout on its side.
                let block = unsafe {
                    match (new.size() < old.size(), zeroed) {
                        (true, _) => Allocator::shrink(&self, ptr, old, new),
                        (false, true) => Allocator::grow_zeroed(&self, ptr, old, new),
                        (false, false) => Allocator::grow(&self, ptr, old, new),
                    }
                };
                block.ok().map(|block| {
                    assert_eq!(block.len(), new.size());
                    block.cast()
                })
            }

            fn allocate(&self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
                let block = match zeroed {
                    true => Allocator::allocate_zeroed(&self, layout),
                    false => Allocator::allocate(&self, layout),
                };
                block.ok().map(|block| {
                    assert_eq!(block.len(), layout.size());
                    block.cast()
                })
            }
        }
    };
}

level!([A: KnownAlign, R: MemoryRegion] HotArena<A, R>, is scope: false);
level!(['s, 'env: 's, A: KnownAlign] Scope<'s, 'env, A>, is scope: true);
