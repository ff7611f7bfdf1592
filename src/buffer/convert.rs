//! Between an alignment in the type and one at run time; raw parts; leaking.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use super::{AlignedSlice, SimdBuffer};
use crate::align::{AlignSpec, Alignment, KnownAlign};
use crate::region::MemoryRegion;

impl<T, A: KnownAlign, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// The same buffer with its alignment as a value. Free.
    #[inline]
    #[must_use]
    pub fn into_dynamic(self) -> SimdBuffer<T, Alignment, R> {
        let (ptr, len, bytes, (), region) = self.into_parts();
        SimdBuffer { ptr, len, bytes, spec: Alignment::of::<A>(), region, _owns: PhantomData }
    }

    /// The elements, for as long as the region's blocks live; nobody drops or frees them, nor the region value.
    #[inline]
    #[must_use]
    pub fn leak<'a>(self) -> &'a mut AlignedSlice<T, A>
    where
        R: 'a,
    {
        let mut this = ManuallyDrop::new(self);
        let view: *mut AlignedSlice<T, A> = this.view_mut();
        // SAFETY: the buffer is never dropped, so the block stays as long as the region, and the region value is never
        // dropped either. What `R` borrows outlives `'a`, so no `&mut` method of it can end the block before.
        unsafe { &mut *view }
    }
}

impl<T, R: MemoryRegion> SimdBuffer<T, Alignment, R> {
    /// The same buffer with its alignment in the type, if it is **exactly** `A`. Free.
    ///
    /// Exactly, because the block must be freed with the layout that it was allocated with. To *look at* a buffer at a
    /// weaker alignment, or at one that its address happens to have, use [`view_as`](Self::view_as).
    ///
    /// # Errors
    /// The buffer comes back if its alignment is another.
    ///
    /// ```
    /// use bhc_rts_alloc::{Align, Alignment, SimdBuffer};
    /// let buffer = SimdBuffer::<f32, _>::new(100, Alignment::Page)?;
    /// let buffer = buffer.try_into_static::<Align<64>>().unwrap_err(); // it is 4096
    /// assert!(buffer.view_as::<Align<64>>().is_some()); // but can be looked at so
    /// let buffer: SimdBuffer<f32, Align<4096>> = buffer.try_into_static().unwrap();
    /// # Ok::<(), bhc_rts_alloc::AllocError>(())
    /// ```
    #[inline]
    pub fn try_into_static<A: KnownAlign>(self) -> Result<SimdBuffer<T, A, R>, Self> {
        if self.spec != Alignment::of::<A>() {
            return Err(self);
        }
        let (ptr, len, bytes, _, region) = self.into_parts();
        Ok(SimdBuffer { ptr, len, bytes, spec: (), region, _owns: PhantomData })
    }

    /// The elements with alignment `A` in the type, if the address has it.
    #[inline]
    #[must_use]
    pub fn view_as<A: KnownAlign>(&self) -> Option<&AlignedSlice<T, A>> {
        AlignedSlice::new(self.as_slice())
    }

    /// As [`view_as`](Self::view_as), to be written.
    #[inline]
    #[must_use]
    pub fn view_as_mut<A: KnownAlign>(&mut self) -> Option<&mut AlignedSlice<T, A>> {
        AlignedSlice::new_mut(self.as_mut_slice())
    }

    /// The elements, for as long as the region's blocks live; nobody drops or frees them, nor the region value.
    #[inline]
    #[must_use]
    pub fn leak<'a>(self) -> &'a mut [T]
    where
        R: 'a,
    {
        let mut this = ManuallyDrop::new(self);
        let elements: *mut [T] = this.as_mut_slice();
        // SAFETY: as in the static form.
        unsafe { &mut *elements }
    }
}

#[cfg(all(feature = "std", target_has_atomic = "64"))]
impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// The same buffer with its region as another value, if `map` has one; else as it was.
    ///
    /// # Safety
    /// `map` answers the same region that it is given, as another type or the same. It does not unwind.
    pub(crate) unsafe fn try_map_region<Q: MemoryRegion>(
        self,
        map: impl FnOnce(R) -> Result<Q, R>,
    ) -> Result<SimdBuffer<T, A, Q>, Self> {
        let (ptr, len, bytes, spec, region) = self.into_parts();
        match map(region) {
            Ok(region) => Ok(SimdBuffer { ptr, len, bytes, spec, region, _owns: PhantomData }),
            Err(region) => Err(Self { ptr, len, bytes, spec, region, _owns: PhantomData }),
        }
    }
}

/// A [`SimdBuffer`] taken apart, with all that is needed to free its block: what
/// [`into_raw_parts`](SimdBuffer::into_raw_parts) gives.
///
/// It owns the region value and nothing else: dropped, the elements and the block leak, or the block ends with a region
/// that was owned by value.
pub struct RawParts<T, A: AlignSpec, R> {
    /// The start of the block; dangling if `layout.size()` is 0.
    pub ptr: NonNull<T>,
    /// How many elements are initialised.
    pub len: usize,
    /// The layout that the block was allocated with and must be freed with.
    pub layout: Layout,
    /// The run-time alignment; nothing if it is in the type.
    pub alignment: A::Repr,
    /// The region that gave the block.
    pub region: R,
}

static_assertions::const_assert_eq!(
    size_of::<RawParts<u8, crate::align::Align<64>, crate::system::System>>(),
    4 * size_of::<usize>()
);
// As a pointer: what it points to is not its own.
static_assertions::assert_not_impl_any!(RawParts<u8, crate::align::Align<64>, crate::system::System>: Send, Sync);

impl<T, A: AlignSpec, R> fmt::Debug for RawParts<T, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawParts")
            .field("ptr", &self.ptr)
            .field("len", &self.len)
            .field("layout", &self.layout)
            .field("alignment", &self.alignment)
            .finish_non_exhaustive()
    }
}

impl<T, A: AlignSpec, R: MemoryRegion> SimdBuffer<T, A, R> {
    /// Takes the buffer apart, to hand its memory to other code.
    ///
    /// ```
    /// use bhc_rts_alloc::{MemoryRegion, SimdBuffer};
    /// let parts = SimdBuffer::<f32>::from_slice(&[1.0, 2.0]).into_raw_parts();
    /// // … the pointer goes through a C library and comes back …
    /// // SAFETY: the parts are as they were.
    /// let buffer = unsafe { SimdBuffer::from_raw_parts(parts) };
    /// assert_eq!(buffer[1], 2.0);
    /// ```
    #[inline]
    #[must_use]
    pub fn into_raw_parts(self) -> RawParts<T, A, R> {
        let layout = self.layout();
        let (ptr, len, _, alignment, region) = self.into_parts();
        RawParts { ptr, len, layout, alignment, region }
    }

    /// Puts a buffer together again.
    ///
    /// # Safety
    /// The parts came from [`into_raw_parts`](Self::into_raw_parts) with the same `A` and are used once, and nothing has
    /// ended the block since. Changed may be `len` and `T`, if then: the stricter of the buffer's alignment and
    /// `align_of::<T>()` is still `layout.align()`; the first `len` elements lie in the block and are initialised, and the
    /// bytes after them, to the next multiple of `min(alignment, 64)`, are zero; elements of no size have no block.
    ///
    /// # Panics
    /// If a buffer of such elements would be freed with another layout than the parts have. The block leaks then.
    #[inline]
    #[must_use]
    pub unsafe fn from_raw_parts(parts: RawParts<T, A, R>) -> Self {
        let RawParts { ptr, len, layout, alignment, region } = parts;
        let buffer = Self { ptr, len, bytes: layout.size(), spec: alignment, region, _owns: PhantomData };
        if buffer.layout() != layout {
            core::mem::forget(buffer); // or it would be freed with the wrong layout
            panic!("from_raw_parts: a buffer of such elements does not have {layout:?}");
        }
        debug_assert!(len <= buffer.capacity(), "from_raw_parts: more elements than the block holds");
        buffer
    }
}
