//! Values, slices and buffers: the same methods for [`HotArena`] and [`Scope`], which differ in how long the result lives.
//!
//! Where code of the caller's runs (`Clone`, closures, iterators), the room is taken first and given back if that code
//! panics; and that code may allocate from the same arena.

use core::alloc::Layout;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use core::slice;

use bytemuck::Zeroable;

use super::boxed::ArenaBox;
use super::hot::HotArena;
use super::scope::Scope;
use crate::align::{Align, Alignment, KnownAlign};
use crate::buffer::{AlignedSlice, Place, SimdBuffer};
use crate::error::{AllocError, AllocResult, or_panic};
use crate::region::{MemoryRegion, Promises, array_layout, can_hold};

/// Gives a block back unless it is forgotten.
struct GiveBack<'r, R: MemoryRegion> {
    region: &'r R,
    block: NonNull<u8>,
    layout: Layout,
}

impl<R: MemoryRegion> Drop for GiveBack<'_, R> {
    fn drop(&mut self) {
        // SAFETY: made with a block of the region that nobody else has.
        unsafe { self.region.dealloc(self.block, self.layout) };
    }
}

/// Writes what `make` gives into a block, or gives the block back.
///
/// # Safety
/// A block of the region with the layout of `T`, which nobody has.
#[inline(always)]
unsafe fn fill<T>(region: &impl MemoryRegion, block: NonNull<u8>, make: impl FnOnce() -> T) -> NonNull<T> {
    let guard = GiveBack { region, block, layout: Layout::new::<T>() };
    let value = make();
    core::mem::forget(guard);
    // SAFETY: the caller's promise.
    unsafe { block.cast::<T>().write(value) };
    block.cast()
}

/// The elements of a buffer, for as long as its block lives.
///
/// # Safety
/// The block lives for `'s`.
#[inline(always)]
unsafe fn keep<'s, T: 's, R: MemoryRegion>(buffer: SimdBuffer<T, Align<1>, R>) -> &'s mut [T] {
    let (elements, len) = {
        let mut buffer = ManuallyDrop::new(buffer);
        (buffer.as_mut_ptr(), buffer.len())
    };
    // SAFETY: elements of a block that is never given back (the region in the buffer is a reference, and need not be dropped).
    unsafe { slice::from_raw_parts_mut(elements, len) }
}

/// Buffers as they are without an alignment of their own, so that they are plain slices in the end.
#[inline(always)]
fn here<R: MemoryRegion>(region: &R) -> Place<Align<1>, &R> {
    Place::new().within(region)
}

macro_rules! typed_allocation {
    ([$($generics:tt)*] $arena:ty, [$($lifetime:lifetime)?], [$($on_method:lifetime)?], $life:lifetime) => {
        #[allow(clippy::needless_lifetimes, reason = "one text for two lifetimes: the scope's, or that of the borrow")]
        #[allow(clippy::mut_from_ref, reason = "a block is given once")]
        impl<$($generics)*> $arena {
            /// Puts a value into the arena. **Its destructor will not run**; [`alloc_box`](Self::alloc_box) is for that.
            ///
            /// # Panics
            /// With the error's text, if there is no memory.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let point = scope.alloc((1.0, 2.0));
            ///     point.0 = 3.0;
            ///     assert_eq!(*point, (3.0, 2.0));
            /// });
            /// ```
            #[inline(always)]
            #[track_caller]
            pub fn alloc<$($on_method,)? T>(&$($on_method)? self, value: T) -> &$life mut T {
                let block = self.alloc_layout(Layout::new::<T>()).cast::<T>();
                // SAFETY: a block of this layout that nobody has and that lives so long.
                unsafe {
                    block.write(value);
                    &mut *block.as_ptr()
                }
            }

            /// As [`alloc`](Self::alloc).
            ///
            /// # Errors
            /// What there is no room for comes back, with the reason.
            #[inline(always)]
            pub fn try_alloc<$($on_method,)? T>(
                &$($on_method)? self,
                value: T,
            ) -> Result<&$life mut T, (T, AllocError)> {
                let layout = Layout::new::<T>();
                match self.take(layout) {
                    // SAFETY: as in `alloc`.
                    Some(block) => unsafe {
                        block.cast::<T>().write(value);
                        Ok(block.cast::<T>().as_mut())
                    },
                    None => Err((value, self.refusal(layout))),
                }
            }

            /// Puts what `make` gives into the arena; large values are built in place where the compiler can.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1 << 16, |scope| {
            ///     let table = scope.alloc_with(|| [7u8; 10_000]);
            ///     assert_eq!(table[9_999], 7);
            /// });
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory; then `make` was not called. If `make` panics nothing is allocated.
            #[inline(always)]
            #[track_caller]
            pub fn alloc_with<$($on_method,)? T>(&$($on_method)? self, make: impl FnOnce() -> T) -> &$life mut T {
                let block = self.alloc_layout(Layout::new::<T>());
                // SAFETY: a block of this layout that nobody has and that lives so long.
                unsafe { fill(self, block, make).as_mut() }
            }

            /// As [`alloc_with`](Self::alloc_with).
            ///
            /// # Errors
            /// If there is no memory; then `make` was not called.
            #[inline(always)]
            pub fn try_alloc_with<$($on_method,)? T>(
                &$($on_method)? self,
                make: impl FnOnce() -> T,
            ) -> AllocResult<&$life mut T> {
                let block = MemoryRegion::alloc(self, Layout::new::<T>())?;
                // SAFETY: as in `alloc_with`.
                Ok(unsafe { fill(self, block, make).as_mut() })
            }

            /// Puts a value into the arena that is dropped with the box.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let names = scope.alloc_box(vec![String::from("a")]);
            ///     assert_eq!(names[0], "a");
            /// }); // here the vector is dropped
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory.
            #[inline(always)]
            #[track_caller]
            pub fn alloc_box<$($on_method,)? T>(&$($on_method)? self, value: T) -> ArenaBox<$life, T> {
                let block = self.alloc_layout(Layout::new::<T>()).cast::<ManuallyDrop<T>>();
                // SAFETY: as in `alloc`. Written only now, so that a panic before drops the value.
                unsafe {
                    block.write(ManuallyDrop::new(value));
                    ArenaBox::new(&mut *block.as_ptr())
                }
            }

            /// As [`alloc_box`](Self::alloc_box).
            ///
            /// # Errors
            /// What there is no room for comes back, with the reason.
            #[inline(always)]
            pub fn try_alloc_box<$($on_method,)? T>(
                &$($on_method)? self,
                value: T,
            ) -> Result<ArenaBox<$life, T>, (T, AllocError)> {
                let value = self.try_alloc(ManuallyDrop::new(value));
                match value {
                    Ok(value) => Ok(ArenaBox::new(value)),
                    Err((value, error)) => Err((ManuallyDrop::into_inner(value), error)),
                }
            }

            /// A copy of a slice.
            ///
            /// ```
            /// let sum = bhc_rts_alloc::with_arena(1024, |scope| scope.alloc_slice_copy(&[1, 2, 3]).iter().sum::<i32>());
            /// assert_eq!(sum, 6);
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory.
            #[inline(always)]
            #[track_caller]
            pub fn alloc_slice_copy<$($on_method,)? T: Copy>(&$($on_method)? self, elements: &[T]) -> &$life mut [T] {
                let layout = Layout::for_value(elements);
                let block = self.alloc_layout(layout).cast::<T>();
                // SAFETY: a block of this layout that nobody has and that lives so long; then it is filled.
                unsafe {
                    block.copy_from_nonoverlapping(NonNull::from_ref(elements).cast(), elements.len());
                    slice::from_raw_parts_mut(block.as_ptr(), elements.len())
                }
            }

            /// As [`alloc_slice_copy`](Self::alloc_slice_copy).
            ///
            /// # Errors
            /// If there is no memory.
            #[inline(always)]
            pub fn try_alloc_slice_copy<$($on_method,)? T: Copy>(
                &$($on_method)? self,
                elements: &[T],
            ) -> AllocResult<&$life mut [T]> {
                let block = MemoryRegion::alloc(self, Layout::for_value(elements))?.cast::<T>();
                // SAFETY: as in `alloc_slice_copy`.
                unsafe {
                    block.copy_from_nonoverlapping(NonNull::from_ref(elements).cast(), elements.len());
                    Ok(slice::from_raw_parts_mut(block.as_ptr(), elements.len()))
                }
            }

            /// A copy of a string.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let text = scope.alloc_str("bump");
            ///     text.make_ascii_uppercase();
            ///     assert_eq!(text, "BUMP");
            /// });
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory.
            #[inline]
            #[track_caller]
            pub fn alloc_str<$($on_method)?>(&$($on_method)? self, text: &str) -> &$life mut str {
                let bytes = self.alloc_slice_copy(text.as_bytes());
                // SAFETY: a copy of what is UTF-8.
                unsafe { core::str::from_utf8_unchecked_mut(bytes) }
            }

            /// As [`alloc_str`](Self::alloc_str).
            ///
            /// # Errors
            /// If there is no memory.
            #[inline]
            pub fn try_alloc_str<$($on_method)?>(&$($on_method)? self, text: &str) -> AllocResult<&$life mut str> {
                let bytes = self.try_alloc_slice_copy(text.as_bytes())?;
                // SAFETY: a copy of what is UTF-8.
                Ok(unsafe { core::str::from_utf8_unchecked_mut(bytes) })
            }

            /// Clones of the elements of a slice. Their destructors will not run.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let options = scope.alloc_slice_clone(&[Some(1), None]);
            ///     assert_eq!(options, [Some(1), None]);
            /// });
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory. If a `clone` panics, the elements so far are dropped and nothing is
            /// allocated.
            #[inline]
            #[track_caller]
            pub fn alloc_slice_clone<$($on_method,)? T: Clone>(&$($on_method)? self, elements: &[T]) -> &$life mut [T] {
                or_panic(self.try_alloc_slice_clone(elements))
            }

            /// As [`alloc_slice_clone`](Self::alloc_slice_clone).
            ///
            /// # Errors
            /// If there is no memory; then nothing was cloned.
            #[inline]
            pub fn try_alloc_slice_clone<$($on_method,)? T: Clone>(
                &$($on_method)? self,
                elements: &[T],
            ) -> AllocResult<&$life mut [T]> {
                // SAFETY: blocks of this region live so long.
                Ok(unsafe { keep(here(self).try_from_slice(elements)?) })
            }

            /// A slice of `len` elements; `make` is called with 0, 1, 2, … Their destructors will not run.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let squares = scope.alloc_slice_fill_with(5, |i| i * i);
            ///     assert_eq!(squares, [0, 1, 4, 9, 16]);
            /// });
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory or the size does not fit the address space; then `make` was not called.
            /// If `make` panics, the elements so far are dropped and nothing is allocated.
            #[inline]
            #[track_caller]
            pub fn alloc_slice_fill_with<$($on_method,)? T>(
                &$($on_method)? self,
                len: usize,
                make: impl FnMut(usize) -> T,
            ) -> &$life mut [T] {
                let or_panics = |arena: &&Self, layout| Ok(arena.alloc_layout(layout));
                let buffer = or_panic(here(self).fill_block(len, make, or_panics));
                // SAFETY: blocks of this region live so long.
                unsafe { keep(buffer) }
            }

            /// As [`alloc_slice_fill_with`](Self::alloc_slice_fill_with).
            ///
            /// # Errors
            /// If there is no memory, or the size does not fit the address space; then `make` was not called.
            #[inline]
            pub fn try_alloc_slice_fill_with<$($on_method,)? T>(
                &$($on_method)? self,
                len: usize,
                make: impl FnMut(usize) -> T,
            ) -> AllocResult<&$life mut [T]> {
                // SAFETY: blocks of this region live so long.
                Ok(unsafe { keep(here(self).try_from_fn(len, make)?) })
            }

            /// What an iterator gives, as a slice. Its size hint decides how much is reserved first and nothing else (a hint that
            /// cannot be met counts as a failed request); the iterator may itself allocate here. Destructors of the
            /// elements will not run.
            ///
            /// ```
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let odd = scope.alloc_slice_from_iter((0..10).filter(|i| i % 2 == 1));
            ///     assert_eq!(odd, [1, 3, 5, 7, 9]);
            /// });
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory. Then, and if the iterator panics, the elements so far are dropped.
            #[inline]
            #[track_caller]
            pub fn alloc_slice_from_iter<$($on_method,)? T>(
                &$($on_method)? self,
                iter: impl IntoIterator<Item = T>,
            ) -> &$life mut [T] {
                or_panic(self.try_alloc_slice_from_iter(iter))
            }

            /// As [`alloc_slice_from_iter`](Self::alloc_slice_from_iter).
            ///
            /// # Errors
            /// If there is no memory; the elements so far are dropped.
            #[inline]
            pub fn try_alloc_slice_from_iter<$($on_method,)? T>(
                &$($on_method)? self,
                iter: impl IntoIterator<Item = T>,
            ) -> AllocResult<&$life mut [T]> {
                let mut buffer = here(self).try_from_iter(iter)?;
                buffer.shrink_to_fit();
                // SAFETY: blocks of this region live so long.
                Ok(unsafe { keep(buffer) })
            }

            /// A slice of `len` zeros, aligned to `B`.
            ///
            /// ```
            /// use bhc_rts_alloc::{Align, AlignedSlice};
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let sums: &mut AlignedSlice<f32, Align<64>> = scope.alloc_buffer(100);
            ///     assert_eq!((sums.as_ptr().addr() % 64, sums[99]), (0, 0.0));
            /// });
            /// ```
            ///
            /// # Panics
            /// With the error's text, if there is no memory or the size does not fit the address space.
            #[inline]
            #[track_caller]
            pub fn alloc_buffer<$($on_method,)? T: Zeroable, B: KnownAlign>(
                &$($on_method)? self,
                len: usize,
            ) -> &$life mut AlignedSlice<T, B>
            where
                Self: Promises<B>,
            {
                const { can_hold::<T, Self>() };
                or_panic(self.try_alloc_buffer(len))
            }

            /// As [`alloc_buffer`](Self::alloc_buffer), for any alignment.
            ///
            /// # Errors
            /// If there is no memory, or the size does not fit the address space.
            #[inline]
            pub fn try_alloc_buffer<$($on_method,)? T: Zeroable, B: KnownAlign>(
                &$($on_method)? self,
                len: usize,
            ) -> AllocResult<&$life mut AlignedSlice<T, B>> {
                let layout = array_layout::<T>(len, Alignment::of::<B>())?;
                let block = MemoryRegion::alloc(self, layout)?;
                // SAFETY: a block of this layout that nobody has and that lives so long; then it is zeros, which are `T`s.
                unsafe {
                    block.write_bytes(0, layout.size());
                    Ok(AlignedSlice::new_unchecked_mut(slice::from_raw_parts_mut(block.cast().as_ptr(), len)))
                }
            }

            /// A slice of `len` copies of `value`, aligned to `B`.
            ///
            /// ```
            /// use bhc_rts_alloc::Align;
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let ones = scope.alloc_buffer_filled::<f32, Align<64>>(16, 1.0);
            ///     assert_eq!(ones.iter().sum::<f32>(), 16.0);
            /// });
            /// ```
            ///
            /// # Panics
            /// As [`alloc_buffer`](Self::alloc_buffer).
            #[inline]
            #[track_caller]
            pub fn alloc_buffer_filled<$($on_method,)? T: Copy, B: KnownAlign>(
                &$($on_method)? self,
                len: usize,
                value: T,
            ) -> &$life mut AlignedSlice<T, B>
            where
                Self: Promises<B>,
            {
                const { can_hold::<T, Self>() };
                or_panic(self.try_alloc_buffer_filled(len, value))
            }

            /// As [`alloc_buffer_filled`](Self::alloc_buffer_filled), for any alignment.
            ///
            /// # Errors
            /// As [`try_alloc_buffer`](Self::try_alloc_buffer).
            #[inline]
            pub fn try_alloc_buffer_filled<$($on_method,)? T: Copy, B: KnownAlign>(
                &$($on_method)? self,
                len: usize,
                value: T,
            ) -> AllocResult<&$life mut AlignedSlice<T, B>> {
                let elements = self.try_alloc_buffer_uninit::<T, B>(len)?;
                elements.iter_mut().for_each(|element| {
                    element.write(value);
                });
                let elements: *mut AlignedSlice<MaybeUninit<T>, B> = elements;
                // SAFETY: the same elements, each written, at the same alignment.
                Ok(unsafe {
                    AlignedSlice::new_unchecked_mut(slice::from_raw_parts_mut(elements.cast(), len))
                })
            }

            /// A slice of `len` elements to be filled, aligned to `B`.
            ///
            /// ```
            /// use bhc_rts_alloc::Align;
            /// bhc_rts_alloc::with_arena(1024, |scope| {
            ///     let slots = scope.alloc_buffer_uninit::<u32, Align<32>>(3);
            ///     slots.iter_mut().zip([1, 2, 3]).for_each(|(slot, value)| {
            ///         slot.write(value);
            ///     });
            ///     // SAFETY: all three were written.
            ///     let sum: u32 = slots.iter().map(|slot| unsafe { slot.assume_init() }).sum();
            ///     assert_eq!(sum, 6);
            /// });
            /// ```
            ///
            /// # Panics
            /// As [`alloc_buffer`](Self::alloc_buffer).
            #[inline]
            #[track_caller]
            pub fn alloc_buffer_uninit<$($on_method,)? T, B: KnownAlign>(
                &$($on_method)? self,
                len: usize,
            ) -> &$life mut AlignedSlice<MaybeUninit<T>, B>
            where
                Self: Promises<B>,
            {
                const { can_hold::<T, Self>() };
                or_panic(self.try_alloc_buffer_uninit(len))
            }

            /// As [`alloc_buffer_uninit`](Self::alloc_buffer_uninit), for any alignment.
            ///
            /// # Errors
            /// As [`try_alloc_buffer`](Self::try_alloc_buffer).
            #[inline]
            pub fn try_alloc_buffer_uninit<$($on_method,)? T, B: KnownAlign>(
                &$($on_method)? self,
                len: usize,
            ) -> AllocResult<&$life mut AlignedSlice<MaybeUninit<T>, B>> {
                let layout = array_layout::<T>(len, Alignment::of::<B>())?;
                let block = MemoryRegion::alloc(self, layout)?;
                // SAFETY: a block of this layout that nobody has and that lives so long; any bytes will do.
                unsafe { Ok(AlignedSlice::new_unchecked_mut(slice::from_raw_parts_mut(block.cast().as_ptr(), len))) }
            }
        }
    };
}

typed_allocation!([A: KnownAlign, R: MemoryRegion] HotArena<A, R>, [], ['s], 's);
typed_allocation!(['s, A: KnownAlign] Scope<'s, '_, A>, ['s], [], 's);
