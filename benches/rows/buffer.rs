//! Making, filling and copying buffers of `f32`, aligned to 64 bytes by whoever can (`Vec` cannot; arrow-buffer aligns
//! to its own constant, 128 on x86-64). A repetition includes giving the memory back.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::hint::black_box;

use aligned_vec::{AVec, ConstAlign};
use arrow_buffer::MutableBuffer;
use bhc_rts_alloc::SimdBuffer;

use crate::harness::{Bar, Contender, Contenders, Row, Unit};

type Aligned = AVec<f32, ConstAlign<64>>;

pub const ROWS: &[Row] = &[
    Row {
        name: "buffer/zeroed-64MiB-align64",
        unit: Unit::Microseconds,
        // `Vec` is what can be reached, by lazily zeroed pages; aligned-vec is what an aligned buffer costs so far.
        bars: &[Bar::peer(1.2, "Vec"), Bar::peer(0.01, "aligned-vec")],
        contenders: zeroed,
    },
    Row {
        name: "buffer/push-16Mi-f32",
        unit: Unit::Milliseconds,
        bars: &[Bar::peer(1.05, "Vec"), Bar::peer(0.7, "aligned-vec")],
        contenders: push,
    },
    Row { name: "buffer/from-slice-1KiB", unit: Unit::Nanoseconds, bars: &[Bar::best(1.0)], contenders: from_slice },
    Row { name: "buffer/clone-1MiB", unit: Unit::Microseconds, bars: &[Bar::best(1.0)], contenders: clone },
];

/// 64 MiB of zeros, of which one page is touched.
fn zeroed() -> Contenders {
    const LEN: usize = (64 << 20) / size_of::<f32>();
    /// Writes one element; the memory escapes, so neither the zeros nor the allocation can be left out.
    fn touch(elements: &mut [f32]) {
        black_box(elements)[LEN / 2] = 1.0;
    }
    Contenders::ours(Contender::repeating(|| touch(&mut SimdBuffer::<f32>::zeroed(black_box(LEN)))))
        .against("Vec", Contender::repeating(|| touch(&mut vec![0.0; black_box(LEN)])))
        .against(
            "aligned-vec",
            Contender::repeating(|| {
                let mut buffer = Aligned::with_capacity(64, black_box(LEN));
                buffer.resize(black_box(LEN), 0.0);
                touch(&mut buffer);
            }),
        )
        .against(
            "arrow-buffer",
            Contender::repeating(|| {
                let mut buffer = MutableBuffer::from_len_zeroed(black_box(LEN) * size_of::<f32>());
                touch(buffer.typed_data_mut());
            }),
        )
        .against(
            "std::alloc",
            Contender::repeating(|| {
                let layout = Layout::from_size_align(black_box(LEN) * size_of::<f32>(), 64).expect("a valid layout");
                // SAFETY: the size is not zero; the block is not null (asserted) and its zeros are `LEN` floats; it is
                // freed once, with its layout, when the slice is not used any more.
                unsafe {
                    let block = alloc_zeroed(layout);
                    assert!(!block.is_null());
                    touch(std::slice::from_raw_parts_mut(block.cast(), LEN));
                    dealloc(block, layout);
                }
            }),
        )
}

/// 16 Mi pushes into an empty buffer.
fn push() -> Contenders {
    const COUNT: u32 = 16 << 20;
    Contenders::ours(Contender::repeating(|| {
        let mut buffer = SimdBuffer::<f32>::with_capacity(0);
        for i in 0..black_box(COUNT) {
            buffer.push(i as f32);
        }
        black_box(&mut buffer);
    }))
    .against(
        "Vec",
        Contender::repeating(|| {
            let mut buffer = Vec::new();
            for i in 0..black_box(COUNT) {
                buffer.push(i as f32);
            }
            black_box(&mut buffer);
        }),
    )
    .against(
        "aligned-vec",
        Contender::repeating(|| {
            let mut buffer = Aligned::new(64);
            for i in 0..black_box(COUNT) {
                buffer.push(i as f32);
            }
            black_box(&mut buffer);
        }),
    )
    .against(
        "arrow-buffer",
        Contender::repeating(|| {
            let mut buffer = MutableBuffer::new(0);
            for i in 0..black_box(COUNT) {
                buffer.push(i as f32);
            }
            black_box(&mut buffer);
        }),
    )
}

/// What `std::alloc` has for "copy this slice": allocate, copy, free. The least that any buffer does.
fn copy_in_raw_block(elements: &[f32]) {
    let layout = Layout::from_size_align(size_of_val(elements), 64).expect("a valid layout");
    // SAFETY: the rows' slices are not empty; the block is not null (asserted) and as long as the slice that is copied
    // into it; it is freed once, with its layout.
    unsafe {
        let block = alloc(layout).cast::<f32>();
        assert!(!block.is_null());
        block.copy_from_nonoverlapping(elements.as_ptr(), elements.len());
        black_box(block);
        dealloc(block.cast(), layout);
    }
}

/// The same 256 elements at several places. Each contender's copy goes to one place again and again, and where the low
/// bits of that address follow those of the source closely, loads wait for stores to other pages: our copy took 17 or 29
/// ns by that accident alone. The median over several distances does not depend on it.
fn sources() -> Vec<Vec<f32>> {
    let mut gaps = Vec::new();
    (0..13)
        .map(|i| {
            gaps.push(vec![0.0f32; 256 + 72 * i]);
            (0..256u16).map(f32::from).collect()
        })
        .collect()
}

/// A copy of 256 elements whose number is not known at compile time.
fn from_slice() -> Contenders {
    Contenders::ours(Contender::rotating(sources(), |source| {
        black_box(SimdBuffer::<f32>::from_slice(black_box(source)));
    }))
    .against(
        "Vec",
        Contender::rotating(sources(), |source| {
            black_box(black_box(&source[..]).to_vec());
        }),
    )
    .against(
        "aligned-vec",
        Contender::rotating(sources(), |source| {
            black_box(Aligned::from_slice(64, black_box(source)));
        }),
    )
    .against(
        "arrow-buffer",
        Contender::rotating(sources(), |source| {
            let source = black_box(&source[..]);
            let mut buffer = MutableBuffer::new(size_of_val(source));
            buffer.extend_from_slice(source);
            black_box(buffer);
        }),
    )
    .against("std::alloc", Contender::rotating(sources(), |source| copy_in_raw_block(black_box(source))))
}

/// A copy of a buffer of 1 MiB, of several in turn as in [`sources`]. (arrow-buffer shares instead of copying.)
fn clone() -> Contenders {
    const LEN: usize = (1 << 20) / size_of::<f32>();
    fn several<B>(make: impl Fn() -> B) -> Vec<B> {
        let mut gaps = Vec::new();
        (0..3)
            .map(|i| {
                gaps.push(vec![0.0f32; 256 + 200 * i]);
                make()
            })
            .collect()
    }
    // glibc raises its bounds for mapping a block and for giving the heap's end back when a larger block is freed. Until
    // then a block of this size may be mapped or given back each time or never, as luck has it, and faulting it in takes
    // three times as long as the copy that is to be measured.
    drop(black_box(vec![1u8; 24 << 20]));
    let buffer = || SimdBuffer::<f32>::filled(LEN, 1.0);
    Contenders::ours(Contender::rotating(several(buffer), |source| {
        black_box(black_box(&*source).clone());
    }))
    .against(
        "Vec",
        Contender::rotating(several(|| vec![1.0f32; LEN]), |source| {
            black_box(black_box(&*source).clone());
        }),
    )
    .against(
        "aligned-vec",
        Contender::rotating(several(|| Aligned::from_slice(64, &buffer())), |source| {
            black_box(black_box(&*source).clone());
        }),
    )
    .against("std::alloc", Contender::rotating(several(buffer), |source| copy_in_raw_block(black_box(source))))
}
