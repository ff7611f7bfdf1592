//! Hash tables and vectors of other crates, and our own buffers, live in a heap, whoever owns it and whichever thread they
//! are on; and do what the standard library's do.

use std::collections::HashMap as StdMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::boxed::Box as ApiBox;
use allocator_api2::vec::Vec as ApiVec;
use bhc_rts_alloc::{
    Align, AlignSpec, Alignment, KnownAlign, LeakReport, MemoryRegion, PinnedGlobal, PinnedHeap, PinnedHeapBuilder,
    Place, SimdBuffer,
};
use hashbrown::{DefaultHashBuilder, HashMap};

use super::collection_programs::{Op, random_programs, run_map, run_vec};
use super::elements::{Tracked, tracked};
use super::vocabulary::{LARGEST, layout};

/// Heaps of every kind. Leaks end the test.
fn builders() -> [PinnedHeapBuilder; 3] {
    let builder = PinnedHeap::builder().on_leak(&no_leak);
    [builder.clone(), builder.clone().thread_caches(false), builder.portable().reserve(64 << 20)]
}

fn no_leak(report: &LeakReport<'_>) {
    panic!("{report}");
}

/// Runs programs in heaps of all kinds; after each nothing is live.
fn in_every_heap(run: impl Fn(&PinnedHeap, &[Op])) {
    for builder in builders() {
        let heap = builder.build();
        random_programs(|ops| {
            run(&heap, ops);
            assert_eq!(heap.stats().current_live, 0);
        });
    }
}

#[test]
fn random_programs_on_a_hash_table_match_the_standard_one() {
    in_every_heap(|heap, ops| run_map(heap, ops));
}

#[test]
fn random_programs_on_a_vector_match_the_standard_one() {
    in_every_heap(|heap, ops| run_vec(heap, ops));
}

#[test]
fn random_programs_on_a_buffer_match_a_vector() {
    in_every_heap(|heap, ops| {
        run_buffer(Place::<Align<64>>::new().within(heap), ops);
        run_buffer(Place::<Align<4096>>::new().within(heap), ops);
        run_buffer(Place::at(Alignment::Simd256).within(heap), ops);
    });
    in_every_heap(|_, ops| {
        let heap = Arc::new(PinnedHeap::builder().on_leak(&no_leak).build());
        run_buffer(Place::<Align<64>>::new().within(Arc::clone(&heap)), ops);
        assert_eq!((Arc::strong_count(&heap), heap.stats().current_live), (1, 0));
    });
}

/// Runs a program on a buffer in `place`.
fn run_buffer<A: AlignSpec, R: MemoryRegion + Clone>(place: Place<A, R>, ops: &[Op]) {
    let mut buffer: SimdBuffer<Tracked, A, R> = place.try_with_capacity(0).unwrap();
    let mut model: Vec<u64> = Vec::new();
    let mut earlier: Vec<(SimdBuffer<Tracked, A, R>, Vec<u64>)> = Vec::new();
    let check = |buffer: &SimdBuffer<Tracked, A, R>, model: &[u64]| {
        assert!(buffer.as_slice().iter().map(Tracked::value).eq(model.iter().copied()));
        assert!(buffer.as_ptr().addr().is_multiple_of(buffer.alignment().as_usize()));
    };
    for op in ops {
        match *op {
            Op::Put(at, value) => {
                let at = usize::from(at) % (model.len() + 1);
                buffer.insert(at, Tracked::new(value.into()));
                model.insert(at, value.into());
            }
            Op::Take(_) => assert_eq!(buffer.pop().map(|value| value.value()), model.pop()),
            Op::Extend(count, seed) => {
                let items = || (0..count).map(|i| u64::from(seed) + u64::from(i));
                buffer.extend(items().map(Tracked::new));
                model.extend(items());
            }
            Op::Retain(bits) => {
                let keep = |value: u64| bits >> (value % 32) & 1 == 1;
                buffer.retain(|value| keep(value.value()));
                model.retain(|value| keep(*value));
            }
            Op::Reserve(additional) => buffer.reserve(additional),
            Op::Shrink => buffer.shrink_to_fit(),
            Op::Clear => {
                buffer.clear();
                model.clear();
            }
            Op::Clone => earlier.push((buffer.clone(), model.clone())),
            Op::Drain(count) => {
                buffer.truncate(count);
                model.truncate(count);
            }
        }
        check(&buffer, &model);
    }
    earlier.iter().for_each(|(buffer, model)| check(buffer, model));
}

/// Has values changed by one thread after another, all of them at the same time, and looks at what comes of them.
fn from_thread_to_thread<T: Send>(values: Vec<T>, change: impl Fn(T, u64) -> T + Sync) -> Vec<T> {
    (0..40).fold(values, |values, step| {
        thread::scope(|scope| {
            let change = &change;
            let threads: Vec<_> = values.into_iter().map(|value| scope.spawn(move || change(value, step))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    })
}

/// What each thread does to a list, so that it grows, moves and shrinks.
fn next(model: &mut Vec<u64>, step: u64) {
    match step % 5 {
        4 => model.truncate(model.len() / 3),
        _ => model.extend((0..step * step).map(|n| n * step)),
    }
}

fn travel<A: KnownAlign, R: MemoryRegion + Clone + Send>(place: impl Fn() -> Place<A, R> + Sync) {
    let start = (0..3).map(|_| (place().try_with_capacity(0).unwrap(), Vec::new())).collect();
    let end: Vec<(SimdBuffer<u64, A, R>, Vec<u64>)> = from_thread_to_thread(start, |(mut buffer, mut model), step| {
        assert_eq!(buffer[..], model[..]);
        next(&mut model, step);
        match step % 7 {
            // A new one here, and the old one ends here.
            6 => buffer = place().try_from_slice(&model).unwrap(),
            _ => {
                let common = buffer.len().min(model.len());
                buffer.truncate(common);
                buffer.extend_from_slice(&model[common..]);
            }
        }
        (buffer, model)
    });
    end.iter().for_each(|(buffer, model)| assert_eq!(buffer[..], model[..]));
}

#[test]
fn buffers_go_from_thread_to_thread() {
    for builder in builders() {
        let heap = builder.build();
        travel(|| Place::<Align<64>>::new().within(&heap));
        travel(|| Place::<Align<4096>>::new().within(&heap));
        assert_eq!(heap.stats().current_live, 0);
        let shared = Arc::new(heap);
        travel(|| Place::<Align<64>>::new().within(Arc::clone(&shared)));
        assert_eq!((shared.stats().current_live, Arc::strong_count(&shared)), (0, 1));
    }
}

#[test]
fn collections_of_other_crates_go_from_thread_to_thread() {
    for builder in builders() {
        let heap = builder.build();
        type Table<'h> = HashMap<u64, ApiBox<[u64], &'h PinnedHeap>, DefaultHashBuilder, &'h PinnedHeap>;
        let table = || Table::with_hasher_in(DefaultHashBuilder::default(), &heap);
        let start = (0..3).map(|_| (table(), StdMap::new(), Vec::new())).collect();
        let end =
            from_thread_to_thread(start, |(mut table, mut model, mut list): (Table<'_>, StdMap<_, _>, _), step| {
                next(&mut list, step);
                let mut boxed = ApiVec::new_in(&heap);
                boxed.extend_from_slice(&list);
                for key in [step, step / 2, step * 3 % 20] {
                    table.insert(key, boxed.clone().into_boxed_slice());
                    model.insert(key, list.clone());
                }
                table.remove(&(step % 11));
                model.remove(&(step % 11));
                assert_eq!(table.len(), model.len());
                assert!(table.iter().all(|(key, value)| value[..] == model[key][..]));
                (table, model, list)
            });
        assert_eq!(end.len(), 3);
        drop(end);
        assert_eq!(heap.stats().current_live, 0);
    }
}

/// What uses a heap keeps it alive; the scope that made it is long gone.
#[test]
fn buffers_that_share_a_heap_outlive_the_scope_that_made_it() {
    fn make() -> Vec<SimdBuffer<u64, Align<64>, Arc<PinnedHeap>>> {
        let heap = Arc::new(PinnedHeap::builder().on_leak(&no_leak).build());
        let place = Place::<Align<64>>::new().within(heap);
        [10, 1000, 100_000].map(|len| place.clone().from_fn(len, |n| n as u64)).into()
    }
    let mut buffers = make();
    let weak = Arc::downgrade(buffers[0].region());
    assert!(buffers.iter_mut().all(|buffer| {
        buffer.push(7);
        buffer[..].iter().take(10).copied().eq(0..10) && buffer.last() == Some(&7)
    }));
    let stats = weak.upgrade().unwrap().stats();
    assert_eq!(stats.allocation_count - stats.deallocation_count, 3);
    // The last of them ends on a thread that the heap has never met, and the heap with it.
    let last = buffers.pop().unwrap();
    drop(buffers);
    assert_eq!(weak.strong_count(), 1);
    thread::spawn(move || assert_eq!(last.len(), 100_001)).join().unwrap();
    assert!(weak.upgrade().is_none());

    // So for one thread's heap, and for a buffer's own.
    let shared = Rc::new(PinnedHeap::builder().on_leak(&no_leak).build());
    let buffer = Place::<Align<64>>::new().within(Rc::clone(&shared)).from_slice(&[1, 2, 3]);
    let weak = Rc::downgrade(&shared);
    drop(shared);
    assert_eq!(buffer.region().stats().allocation_count, 1);
    drop(buffer);
    assert!(weak.upgrade().is_none());
    let own = PinnedHeap::builder().on_leak(&no_leak).build();
    let mut buffer: SimdBuffer<u8, Align<4096>, PinnedHeap> = Place::new().within(own).zeroed(10_000);
    buffer.resize(20_000, 1);
    let mut buffer = thread::spawn(move || buffer).join().unwrap();
    buffer.resize(1 << 20, 2);
    assert_eq!((buffer[9_999], buffer[19_999], buffer[20_000]), (0, 1, 2));
}

#[test]
fn buffers_of_a_static_heap_live_for_ever() {
    static GLOBAL: PinnedGlobal = PinnedGlobal::new();
    // It is made when it is first used: here as an allocator.
    let first = std::alloc::Layout::new::<u64>();
    // SAFETY: the size is not zero; freed at once with its layout.
    unsafe {
        let block = std::alloc::GlobalAlloc::alloc(&GLOBAL, first);
        std::alloc::GlobalAlloc::dealloc(&GLOBAL, block, first);
    }
    let heap: &'static PinnedHeap = GLOBAL.heap().unwrap();
    let live = heap.stats().current_live;
    let mut buffer = heap.alloc_buffer::<u64, Align<64>>(1000);
    let buffer = thread::spawn(move || {
        buffer[999] = 5;
        buffer
    });
    let buffer = buffer.join().unwrap();
    let leaked: &'static mut [u64] = buffer.clone().leak();
    assert_eq!((buffer[999], leaked[999]), (5, 5));
    drop(buffer);
    assert_eq!(heap.stats().current_live, live + 8000);
}

#[test]
fn growing_and_shrinking_keep_the_contents_at_every_alignment() {
    for builder in builders() {
        let heap = &builder.build();
        let sizes = [0, 1, 40, 41, 130, 4096, LARGEST, LARGEST + 1, 300_000];
        let aligns = [1, 8, 64, 4096, 1 << 16, 1 << 17];
        for (old_size, new_size) in sizes.iter().flat_map(|old| sizes.iter().map(move |new| (*old, *new))) {
            for (old_align, new_align) in aligns.iter().flat_map(|old| aligns.iter().map(move |new| (*old, *new))) {
                let (old, new) = (layout(old_size, old_align), layout(new_size, new_align));
                let block = heap.allocate(old).unwrap().cast::<u8>();
                let common = old_size.min(new_size);
                // SAFETY: a fresh block, then a live one with its layout each time; the bytes looked at are written or zeros.
                unsafe {
                    block.write_bytes(9, old_size);
                    let changed = if new_size > old_size {
                        heap.grow_zeroed(block, old, new)
                    } else {
                        heap.shrink(block, old, new)
                    };
                    let changed = changed.unwrap();
                    assert_eq!(changed.len(), new_size);
                    let changed = changed.cast::<u8>();
                    assert!(changed.addr().get().is_multiple_of(new_align));
                    let bytes = std::slice::from_raw_parts(changed.as_ptr(), new_size);
                    assert!(bytes[..common].iter().all(|byte| *byte == 9), "{old:?} to {new:?}");
                    assert!(bytes[common..].iter().all(|byte| *byte == 0), "{old:?} to {new:?}");
                    heap.deallocate(changed, new);
                }
            }
        }
        let stats = heap.stats();
        assert_eq!((stats.current_live, stats.allocation_count), (0, stats.deallocation_count));
    }
}

#[test]
fn a_box_of_another_crate_is_aligned_drops_its_value_and_frees_its_block() {
    #[repr(align(4096))]
    struct Page([u8; 5000]);
    let before = tracked();
    let heap = PinnedHeap::builder().on_leak(&no_leak).build();
    {
        let boxed = ApiBox::new_in(Tracked::<3>::new(5), &heap);
        let page = ApiBox::new_in(Page([3; 5000]), &heap);
        let nothing = ApiBox::new_in((), &heap);
        assert_eq!((boxed.value(), page.0[4999], *nothing), (5, 3, ()));
        assert!(std::ptr::from_ref(&*page).addr().is_multiple_of(4096));
        assert_eq!(heap.stats().current_live, 40 + 8192);
    }
    assert_eq!((tracked(), heap.stats().current_live), (before, 0));
}

#[test]
fn a_full_heap_is_an_error_and_changes_nothing() {
    let heap = &PinnedHeap::builder().limit(256 << 10).build();
    let mut vec = ApiVec::new_in(heap);
    vec.extend(0..100u64);
    let mut map: HashMap<u64, u64, DefaultHashBuilder, &PinnedHeap> = HashMap::new_in(heap);
    map.insert(1, 2);
    let mut buffer = Place::<Align<64>>::new().within(heap).from_fn(100, |n| n as u64);
    let before = heap.stats();
    assert!(vec.try_reserve(100_000).is_err() && map.try_reserve(100_000).is_err());
    assert!(buffer.try_reserve(100_000).is_err() && buffer.try_resize(100_000, 1).is_err());
    assert_eq!(heap.allocate(layout(1 << 20, 1)), Err(AllocError));
    assert_eq!(ApiBox::try_new_in([0u8; 300_000], heap).err(), Some(AllocError));
    assert!(vec.iter().copied().eq(0..100) && buffer.iter().copied().eq(0..100) && map[&1] == 2);
    let after = heap.stats();
    assert_eq!(after.failed_allocations, 6);
    assert_eq!(after, bhc_rts_alloc::AllocStats { failed_allocations: 6, ..before });
}
