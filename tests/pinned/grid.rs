//! Every size at every alignment: blocks are aligned, apart from all others, writable to their end, and known by their layout
//! alone when they are freed. They stay so when their size changes, and their alignment.

use std::collections::BTreeMap;

use allocator_api2::alloc::Allocator;
use bhc_rts_alloc::{MemoryRegion, PinnedHeap};

use super::blocks::Blocks;
use super::vocabulary::{Filled, LARGEST, SEGMENT, SLICE, class_sizes, layout, telling};

/// One to four times everything that the heap treats as a boundary, and one more and one less.
fn sizes() -> Vec<usize> {
    let slices = (LARGEST / SLICE..=20).map(|slices| slices * SLICE);
    let boundaries = class_sizes().into_iter().chain(slices).chain([SEGMENT / 4]);
    let multiples = boundaries.flat_map(|size| (1..=4).map(move |times| times * size));
    let mut sizes: Vec<usize> = multiples.flat_map(|size| [size - 1, size, size + 1]).chain(1..=4).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Blocks of all these sizes at once, at one alignment. They are freed in another order than they came in.
fn all_at_once(heap: &PinnedHeap, sizes: &[usize], align: usize) {
    let mut live: Vec<Filled<'_>> =
        sizes.iter().map(|size| Filled::new(heap, layout(*size, align), (size + align) as u8)).collect();
    let expected: BTreeMap<_, _> = live.iter().map(|block| (block.address(), block.usable())).collect();
    assert_eq!(expected.len(), live.len(), "two blocks at one address");
    let ends = expected.iter().map(|(start, len)| start + len);
    assert!(ends.zip(expected.keys().skip(1)).all(|(end, next)| end <= *next), "blocks overlap at {align}");
    let mut found = BTreeMap::new();
    heap.for_each_block(|block| assert!(found.insert(block.ptr.addr().get(), block.size).is_none()));
    assert_eq!(found, expected, "what the heap takes for its blocks at {align}");
    while !live.is_empty() {
        drop(live.swap_remove(live.len() * 7 / 11)); // with its pattern checked
    }
}

#[test]
fn t07_every_layout_gives_an_aligned_block_of_its_own_that_is_known_when_it_is_freed() {
    // Without thread caches each free is looked at as it comes.
    let (builder, misuse) = telling!();
    let (cached, direct) = (builder.clone().build(), builder.thread_caches(false).build());
    let sizes = sizes();
    for heap in [&direct, &cached] {
        for align in (0..=21).map(|log2| 1 << log2) {
            all_at_once(heap, &sizes, align);
        }
        for align in (22..=30).map(|log2| 1 << log2) {
            all_at_once(heap, &[1, 4096, LARGEST, LARGEST + 1, SEGMENT + 1], align);
        }
        heap.trim();
        assert_eq!(misuse.take(), []);
        let stats = heap.stats();
        assert_eq!((stats.current_live, stats.total_deallocated), (0, stats.total_allocated));
    }
}

#[test]
fn t08_a_change_of_size_keeps_the_alignment_and_the_contents_for_every_pair() {
    let (builder, misuse) = telling!();
    let heap = builder.build();
    let large = [LARGEST + 1, 9 * SLICE, 12 * SLICE + 1, 1 << 20];
    let sizes: Vec<usize> = [1, 17].into_iter().chain(class_sizes()).chain(large).collect();
    for align in [1, 16, 64, 256, 4096, 1 << 16, 1 << 21] {
        for &old in &sizes {
            // Neighbours, which notice if they are written to.
            let before = Filled::new(&heap, layout(old, align), 1);
            let mut block = Filled::new(&heap, layout(old, align), 2);
            let after = Filled::new(&heap, layout(old, align), 3);
            for &new in &sizes {
                block.resize(new).unwrap();
                block.resize(old).unwrap();
            }
            drop((before, after));
        }
    }
    heap.trim();
    assert_eq!(misuse.take(), []);
    assert_eq!(heap.stats().current_live, 0);
}

/// What the `Allocator` trait can ask for, and `realloc` cannot.
#[test]
fn t08_a_change_of_alignment_keeps_the_contents_for_every_pair() {
    let (builder, misuse) = telling!();
    let heap = &builder.thread_caches(false).build();
    let sizes = [0, 1, 24, 100, 4096, LARGEST, LARGEST + 1, 200_000];
    let layouts: Vec<_> =
        sizes.into_iter().flat_map(|size| [1, 16, 64, 4096, 1 << 17].map(|align| layout(size, align))).collect();
    for &old in &layouts {
        for &new in &layouts {
            let block = heap.allocate(old).unwrap().cast();
            Blocks::<PinnedHeap>::fill(block, 0, old.size(), 5);
            // SAFETY: live blocks with their layouts, each given up once.
            unsafe {
                let changed = if new.size() < old.size() {
                    heap.shrink(block, old, new)
                } else if old.align() == 64 {
                    heap.grow_zeroed(block, old, new)
                } else {
                    heap.grow(block, old, new)
                };
                let changed = changed.unwrap();
                assert_eq!(changed.len(), new.size());
                let changed = changed.cast::<u8>();
                assert!(changed.addr().get().is_multiple_of(new.align()), "{old:?} to {new:?}");
                Blocks::<PinnedHeap>::check(changed, old.size().min(new.size()), 5);
                if old.align() == 64 && new.size() > old.size() {
                    let grown = std::slice::from_raw_parts(changed.as_ptr(), new.size());
                    assert!(grown[old.size()..].iter().all(|byte| *byte == 0), "{old:?} to {new:?}");
                }
                heap.deallocate(changed, new);
            }
        }
    }
    assert_eq!(misuse.take(), []);
    assert_eq!(heap.stats().current_live, 0);
}
