//! As a runtime does it: region and alignment are chosen at run time, typed code is reached through the checked ways.

#![forbid(unsafe_code)]
#![deny(warnings)]

use bhc_rts_alloc::{
    Align, AlignVisitor, AlignedSlice, Alignment, AllocResult, AtLeast, KnownAlign, MemoryRegion, Place, SimdBuffer,
    System, detect_simd_alignment, with_alignment,
};

/// Typed code that the runtime reaches.
fn sum<A: AtLeast<Align<16>>>(xs: &AlignedSlice<f32, A>) -> (usize, f32) {
    (A::BYTES, xs.iter().sum())
}

/// A visitor carries its arguments and comes back if it cannot be called.
struct Sum<'a>(&'a SimdBuffer<f32, Alignment>);

impl AlignVisitor for Sum<'_> {
    type Floor = Align<16>;
    type Output = (usize, f32);
    fn visit<A: AtLeast<Align<16>>>(self) -> (usize, f32) {
        sum(self.0.view_as::<A>().expect("the buffer has the alignment it was dispatched on"))
    }
}

/// Any region, any alignment: only the fallible forms are there.
fn ones<'r>(
    region: &'r dyn MemoryRegion,
    alignment: Alignment,
    len: usize,
) -> AllocResult<SimdBuffer<f32, Alignment, &'r dyn MemoryRegion>> {
    Place::at(alignment).within(region).try_filled(len, 1.0)
}

/// The alignment as a type, for a block of code.
fn typed_ones(alignment: Alignment, len: usize) -> SimdBuffer<f32, Alignment> {
    with_alignment!(alignment, |A| Place::<A>::new().filled(len, 1.0f32).into_dynamic())
}

fn main() -> AllocResult<()> {
    assert_eq!(ones(&System, Alignment::Page, 10)?.iter().sum::<f32>(), 10.0);

    for (alignment, rung) in [(16, 16), (32, 32), (64, 64), (128, 64), (4096, 4096), (8192, 4096)] {
        let alignment = Alignment::new(alignment).unwrap();
        let mut buffer = SimdBuffer::<f32, Alignment>::new(100, alignment)?;
        buffer.fill(1.0);
        assert_eq!(alignment.dispatch(Sum(&buffer)).ok(), Some((rung, 100.0)));
        assert_eq!(typed_ones(alignment, 7).alignment().as_usize(), rung);
        let listed = with_alignment!(alignment, [4096, 64], |A| buffer.view_as::<A>().map(sum), else None);
        assert_eq!(listed.is_some(), alignment >= Alignment::Simd512);
    }
    let weak = SimdBuffer::<f32, _>::new(100, Alignment::Default)?;
    let Err(Sum(buffer)) = Alignment::Default.dispatch(Sum(&weak)) else { panic!("8 is below the floor") };
    assert_eq!(buffer.len(), 100);

    // There and back: only to the very alignment that the block has.
    let dynamic = SimdBuffer::<f32, Align<64>>::filled(5, 2.0).into_dynamic();
    let dynamic = dynamic.try_into_static::<Align<32>>().unwrap_err();
    let back: SimdBuffer<f32, Align<64>> = dynamic.try_into_static().unwrap();
    assert_eq!(sum(&back), (64, 10.0));

    // What the CPU wants is never more than what buffers have by default.
    let advised = SimdBuffer::<f32, Alignment>::new(10, detect_simd_alignment())?;
    assert!(advised.alignment() <= Alignment::of::<Align<64>>());
    assert_eq!(<Align<64> as KnownAlign>::BYTES, SimdBuffer::<u8>::default().alignment().as_usize());
    Ok(())
}
