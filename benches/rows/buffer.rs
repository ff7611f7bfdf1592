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

/// A copy of 256 elements whose number is not known at compile time.
fn from_slice() -> Contenders {
    fn source() -> Vec<f32> {
        (0..256u16).map(f32::from).collect()
    }
    let (a, b, c, d, e) = (source(), source(), source(), source(), source());
    Contenders::ours(Contender::repeating(move || {
        black_box(SimdBuffer::<f32>::from_slice(black_box(&a)));
    }))
    .against(
        "Vec",
        Contender::repeating(move || {
            black_box(black_box(&b[..]).to_vec());
        }),
    )
    .against(
        "aligned-vec",
        Contender::repeating(move || {
            black_box(Aligned::from_slice(64, black_box(&c)));
        }),
    )
    .against(
        "arrow-buffer",
        Contender::repeating(move || {
            let source = black_box(&d[..]);
            let mut buffer = MutableBuffer::new(size_of_val(source));
            buffer.extend_from_slice(source);
            black_box(buffer);
        }),
    )
    .against("std::alloc", Contender::repeating(move || copy_in_raw_block(black_box(&e))))
}

/// A copy of a buffer of 1 MiB. (arrow-buffer shares instead of copying.)
fn clone() -> Contenders {
    const LEN: usize = (1 << 20) / size_of::<f32>();
    let ours = SimdBuffer::<f32>::filled(LEN, 1.0);
    let vec = vec![1.0f32; LEN];
    let aligned = Aligned::from_slice(64, &vec);
    let raw = SimdBuffer::<f32>::filled(LEN, 1.0);
    Contenders::ours(Contender::repeating(move || {
        black_box(black_box(&ours).clone());
    }))
    .against(
        "Vec",
        Contender::repeating(move || {
            black_box(black_box(&vec).clone());
        }),
    )
    .against(
        "aligned-vec",
        Contender::repeating(move || {
            black_box(black_box(&aligned).clone());
        }),
    )
    .against("std::alloc", Contender::repeating(move || copy_in_raw_block(black_box(&raw))))
}
