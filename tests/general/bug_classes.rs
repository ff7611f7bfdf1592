//! The bugs that the original collector and other collectors for Rust had, each with a test that names the promise it
//! broke.
//!
//! Of the original implementation, by the numbers of `research/gc.md` §2.1 (U14 to U18 are of an incremental
//! collector, which there is not):
//!
//! | | what happened | test |
//! |---|---|---|
//! | U1 | collections did nothing; roots were ignored | `u01_live_and_garbage_bytes_are_exact` |
//! | U2 | nothing was ever freed | `heaps::endless_..`, `heaps::dropping_a_heap_..`, `heaps::a_thousand_heaps_leave_..` |
//! | U3 | the pause was measured around nothing | `stats::pauses_are_measured_around_what_is_collected` |
//! | U4 | what should have started a collection reset a counter | `u04_allocating_collects` |
//! | U5 | a size above 4 GiB was cut to 32 bits | `sizes::an_array_may_have_more_than_4_gib` |
//! | U6 | headers were lost above 16 bytes of alignment | `sizes::alignments_from_8_to_32768_are_kept_through_collections` |
//! | U7 | every object had shape 0, and was not initialised | `u07_objects_know_their_shapes_and_new_ones_are_what_they_were_made_of` |
//! | U8 | roots were copies of pointers, which no collection could change | `u08_roots_know_where_their_objects_are` |
//! | U9 | a reference could be held across a collection | what must not compile: `ui-tests/fail/general_*` |
//! | U10 | the barrier remembered every store, for ever | `u10_the_remembered_set_is_bounded_and_emptied`, `barrier::a_million_stores_..` |
//! | U11 | settings that had no effect | `stats::builder_..`, one for each |
//! | U12 | a circle was marked without end | `u12_circles_end`, `sizes::circles_live_..`, `sizes::everything_may_point_to_everything` |
//! | U13 | nothing was ever traced | `u13_graphs_are_followed_as_an_oracle_does`, `model` |
//! | U19 | counts that were guesses | `stats::every_count_is_that_of_an_oracle` |
//! | U20 | statistics of no pauses panicked, averages were cut off | `stats::a_histogram_of_nothing_is_zeros`, `stats::a_histogram_of_many_pauses_has_all_of_them` |
//! | U21 | compiled code called `malloc` | `raw::generated_code_allocates_and_stores_through_the_first_fields` |
//! | U22 | references and thunks were written without a barrier; chains of indirections only grew | `u22_..`, `barrier::a_thunk_of_any_age_..`, `raw::a_chain_of_a_million_indirections_..` |
//! | U23 | integers were stored as pointers, and objects had no size | `u23_numbers_that_look_like_pointers_are_numbers` |
//! | U24 | statistics were shared by threads without synchronisation | `u24_a_heap_and_what_is_in_it_are_one_threads` |
//!
//! Of collectors for Rust, by the numbers of §2.2, where it is a matter of running (the rest is what must not
//! compile):
//!
//! | | where it was seen | test |
//! |---|---|---|
//! | R1 | rust-gc#124, #187: a finalizer revives what is freed | there are no finalizers: no code of an object runs |
//! | R5 | gc-arena 7820721: a panic in the middle of a collection loses objects | `r05_a_panic_in_a_root_callback_ends_the_program` |
//! | R6 | gc-arena 78406e6, cce7555: an arena's id is used again; headers and alignment | `heaps::a_root_of_a_heap_that_is_gone_..`, `sizes::fields_of_less_than_a_word_..` |
//! | R8 | rust-mozjs#343: the barrier remembers the address of a value that is moved then | `r08_values_that_are_moved_outside_of_the_heap_are_roots_as_before` |
//! | R10 | wasmtime#11445, #11514, #8367: roots leak where `?` leaves early | `r10_no_root_is_left_behind_by_an_early_return` |
//! | R11 | nova#664, #657: results that borrow the heap | `r11_errors_borrow_nothing` |
//! | R12 | ocaml-rs#134: pointers are read before an argument's evaluation collects | `r12_pointers_are_read_after_the_collection_that_their_allocation_causes` |

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use bhc_rts_alloc::general::{Collection::*, Info, Object, PtrArray, Safepoint, Stress, raw::RootVisitor};
use bhc_rts_alloc::{Align, AllocError, AllocResult, Gc, GeneralHeap, HeapBytes, Root};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use super::child::{child_is_to, in_a_child};
use super::shapes::*;

#[test]
fn u01_live_and_garbage_bytes_are_exact() {
    let mut heap = GeneralHeap::new();
    let live = list(&mut heap, 1000);
    drop(list(&mut heap, 5000));
    heap.collect(Minor);
    let stats = heap.gc_stats();
    assert_eq!((stats.bytes_allocated, stats.objects_promoted, stats.bytes_promoted), (6000 * 24, 1000, 1000 * 24));
    // What has been promoted and is garbage now goes with a full one.
    drop(live);
    let live = list(&mut heap, 10);
    heap.collect(Full);
    let (stats, verified) = (heap.gc_stats(), heap.verify().unwrap());
    assert_eq!((stats.objects_copied, stats.bytes_copied, stats.live_after_full), (10, 240, 240));
    assert_eq!((verified.objects, verified.reachable, verified.bytes), (10, 10, 240));
    assert!(heads(live.get(&heap)).eq((0..10).rev()));
}

#[test]
fn u04_allocating_collects() {
    let mut heap = GeneralHeap::builder().nursery(64 << 10).build();
    let mut last = heap.gc_stats();
    for megabyte in 1..=20_u64 {
        for value in 0..(1 << 20) / Number::BYTES as u64 {
            heap.new_gc::<Number>(NumberInit { value });
        }
        let stats = heap.gc_stats();
        assert_eq!(stats.minor_collections, megabyte * 16 - 1);
        assert!(stats.minor_pauses.total() > last.minor_pauses.total());
        last = stats;
    }
    // So do large objects alone, and raw bytes that stay.
    for _ in 0..100 {
        drop(heap.new_zeroed::<u8, Align<8>>(1 << 20));
    }
    assert!(heap.gc_stats().full_collections >= 3, "{}", heap.report());
}

#[test]
fn u07_objects_know_their_shapes_and_new_ones_are_what_they_were_made_of() {
    let mut heap = GeneralHeap::builder().nursery(16 << 10).verify(true).build();
    // Memory that was full of something before.
    for round in 0..50 {
        let value = tree(&mut heap, u64::MAX);
        let noise: Vec<_> = (0..100)
            .map(|_| heap.new_root::<Tree>(TreeInit { left: Some(&value), right: Some(&value), value: u64::MAX }))
            .collect();
        let data = heap.new_data::<u64, Align<8>>(&[u64::MAX; 300]);
        drop((noise, data));
        if round % 2 == 0 {
            heap.collect(Minor);
        }
        let leaf = tree(&mut heap, round);
        let array = heap.new_pointers::<Tree>(200);
        let zeros = heap.new_zeroed::<u32, Align<8>>(333);
        let large = heap.new_pointers::<Tree>(2000);
        heap.verify().unwrap();
        let leaf = leaf.get(&heap);
        assert!(leaf.get(Tree::left).is_none() && leaf.get(Tree::right).is_none() && leaf.value == round);
        assert!(array.get(&heap).iter().chain(large.get(&heap).iter()).all(|field| field.get().is_none()));
        assert!(zeros.get(&heap).iter().all(|zero| *zero == 0));
    }
    let raw = heap.raw();
    // SAFETY: each object is initialised.
    unsafe {
        let leaf = leaf(raw, 1);
        assert_eq!(raw.info(leaf).name(), "Leaf");
        let array = raw.alloc_array(&POINTERS, 0).unwrap();
        assert_eq!(raw.info(array).name(), "Pointers");
    }
}

#[test]
fn u08_roots_know_where_their_objects_are() {
    let mut heap = GeneralHeap::new();
    let root = tree(&mut heap, 1);
    let others = [root.clone(), heap.root(root.get(&heap))];
    let mut seen = BTreeSet::new();
    for kind in [Minor, Full, Full] {
        seen.insert(ptr::from_ref(root.get(&heap).as_ref()).addr());
        heap.collect(kind);
        assert_eq!(root.get(&heap).value, 1);
        assert!(others.iter().all(|other| other.get(&heap).ptr_eq(root.get(&heap))));
    }
    assert_eq!(seen.len(), 3, "it has moved each time");
}

#[test]
fn u10_the_remembered_set_is_bounded_and_emptied() {
    let mut heap = GeneralHeap::builder().verify(true).build();
    let objects: Vec<_> = (0..500).map(|value| tree(&mut heap, value)).collect();
    heap.collect(Full);
    for round in 1..=5 {
        for _ in 0..200 {
            for pair in objects.windows(2) {
                heap.set(pair[0].get(&heap), Tree::left, Some(pair[1].get(&heap)));
            }
        }
        // Once for each object, and anew after each collection.
        assert_eq!(heap.gc_stats().remembered, round * 499);
        heap.collect(if round % 2 == 0 { Full } else { Minor });
    }
}

#[test]
fn u12_circles_end() {
    // From every place that a circle can be in, in every order of collections.
    for kinds in [[Minor, Full], [Full, Minor], [Minor, Minor], [Full, Full]] {
        let mut heap = GeneralHeap::builder().verify(true).build();
        let itself = tree(&mut heap, 1);
        let wide = heap.new_root::<Wide>(WideInit { first: None, second: None, padding: [0; LARGE] });
        for kind in kinds {
            heap.set(itself.get(&heap), Tree::left, Some(itself.get(&heap)));
            heap.set(itself.get(&heap), Tree::right, Some(itself.get(&heap)));
            heap.set(wide.get(&heap), Wide::second, Some(wide.get(&heap)));
            heap.collect(kind);
        }
        assert!(itself.get(&heap).get(Tree::left).unwrap().ptr_eq(itself.get(&heap)));
        drop((itself, wide));
        heap.collect(Full);
        assert_eq!(heap.verify().unwrap().objects, 0);
    }
}

/// A graph by the numbers of its nodes.
type Graph = BTreeMap<u64, [Option<u64>; 2]>;

/// What can be reached from some nodes.
fn reached(graph: &Graph, roots: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    let (mut found, mut open) = (BTreeSet::new(), Vec::from_iter(roots));
    while let Some(node) = open.pop() {
        if found.insert(node) {
            open.extend(graph[&node].into_iter().flatten());
        }
    }
    found
}

#[test]
fn u13_graphs_are_followed_as_an_oracle_does() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut heap = GeneralHeap::builder().nursery(16 << 10).verify(true).build();
        let mut roots = BTreeMap::new();
        let mut graph = Graph::new();
        for value in 0..400 {
            roots.insert(value, tree(&mut heap, value));
            graph.insert(value, [None; 2]);
        }
        for round in 0..10 {
            // Edges among what has roots, anew.
            let rooted: Vec<_> = roots.keys().copied().collect();
            for from in &rooted {
                for (side, field) in [Tree::left, Tree::right].into_iter().enumerate() {
                    let to = rooted.get(random.below(rooted.len() * 2)).copied();
                    graph.get_mut(from).unwrap()[side] = to;
                    heap.set(roots[from].get(&heap), field, to.map(|to| roots[&to].get(&heap)));
                }
            }
            for value in rooted.iter().filter(|_| random.below(3) == 0).collect::<Vec<_>>() {
                roots.remove(value);
            }
            heap.collect(if round % 3 == 2 { Full } else { Minor });
            let expected = reached(&graph, roots.keys().copied());
            assert_eq!(heap.verify().unwrap().reachable, expected.len());
            // The same graph, node by node.
            let mut open: Vec<Gc<'_, Tree>> = roots.values().map(|root| root.get(&heap)).collect();
            let mut found = BTreeSet::new();
            while let Some(node) = open.pop() {
                if found.insert(node.value) {
                    let next = [Tree::left, Tree::right].map(|field| node.get(field));
                    assert_eq!(next.map(|next| next.map(|next| next.value)), graph[&node.value]);
                    open.extend(next.into_iter().flatten());
                }
            }
            assert_eq!(found, expected);
            if roots.is_empty() {
                break;
            }
        }
    }
}

#[test]
fn u22_a_mutable_reference_is_a_cell_with_a_barrier() {
    // `IORef`: an object whose one field is written again and again, long after it is old.
    let mut heap = GeneralHeap::builder().nursery(8 << 10).verify(true).build();
    let reference = heap.new_pointers::<Number>(1);
    heap.collect(Full);
    for value in 0..5000 {
        let next = number(&mut heap, value);
        heap.set_element(reference.get(&heap), 0, Some(next.get(&heap)));
        drop(next);
        heap.new_gc::<Number>(NumberInit { value: u64::MAX });
        assert_eq!(reference.get(&heap).element(0).unwrap().value, value);
    }
    heap.collect(Full);
    assert_eq!(heap.verify().unwrap().objects, 2);
}

#[test]
fn u22_chains_do_not_grow_from_collection_to_collection() {
    // A lazy counter: a thunk whose value is the next thunk, for ever; only the last one matters.
    let mut heap = GeneralHeap::builder().nursery(16 << 10).build();
    let raw = heap.raw();
    // SAFETY: what is made is initialised at once; what lives is on the shadow stack: the first thunk, the last one.
    unsafe {
        let thunk = || {
            let thunk = raw.alloc(&THUNK).unwrap();
            raw.word(thunk.as_ptr(), 0).write(ptr::null_mut());
            raw.word(thunk.as_ptr(), 1).cast::<usize>().write(0);
            thunk
        };
        let first = thunk().as_ptr();
        raw.push(first);
        raw.push(first);
        for _ in 0..100_000 {
            let next = thunk();
            raw.update(NonNull::new(raw.slot(1).read()).unwrap(), next);
            raw.slot(1).write(next.as_ptr());
        }
        raw.collect(Full);
        // Both lead to the same thunk, and there is no other.
        assert_eq!(raw.slot(0).read(), raw.slot(1).read());
    }
    assert_eq!(heap.gc_stats().objects_copied, 1);
}

#[test]
fn u23_numbers_that_look_like_pointers_are_numbers() {
    static PAIR: Info = Info::fixed("Pair", 1, 2);
    let mut heap = GeneralHeap::builder().verify(true).build();
    let raw = heap.raw();
    // SAFETY: initialised at once, and on the shadow stack.
    unsafe {
        raw.push(leaf(raw, 5).as_ptr());
        let address = raw.slot(0).read().addr();
        let pair = raw.alloc(&PAIR).unwrap().as_ptr();
        raw.word(pair, 0).write(ptr::null_mut());
        raw.word(pair, 1).cast::<usize>().write(address);
        raw.word(pair, 2).cast::<usize>().write(address + 1);
        raw.push(pair);
        let numbers = raw.alloc_array(&BYTES, 16).unwrap().as_ptr();
        raw.word(numbers, 1).cast::<usize>().write(address);
        raw.word(numbers, 2).cast::<usize>().write(usize::MAX);
        raw.push(numbers);
        // The leaf dies, and its address is used again.
        raw.slot(0).write(ptr::null_mut());
        for kind in [Minor, Full, Full] {
            leaf(raw, 6);
            raw.collect(kind);
            let (pair, numbers) = (raw.slot(1).read(), raw.slot(2).read());
            let word = |object, index| raw.word(object, index).cast::<usize>().read();
            assert_eq!([word(pair, 1), word(pair, 2), word(numbers, 1)], [address, address + 1, address]);
            assert_eq!(word(numbers, 2), usize::MAX);
        }
    }
    assert_eq!(heap.verify().unwrap().objects, 2);
}

#[test]
fn u24_a_heap_and_what_is_in_it_are_one_threads() {
    assert_not_impl_any!(GeneralHeap: Send, Sync);
    assert_not_impl_any!(Root<Tree>: Send, Sync);
    assert_not_impl_any!(Gc<'static, Tree>: Send, Sync);
    assert_not_impl_any!(&'static Tree: Send);
    assert_not_impl_any!(Root<PtrArray<Tree>>: Send, Sync);
    assert_not_impl_any!(HeapBytes: Send, Sync);
    assert_not_impl_any!(bhc_rts_alloc::general::raw::Raw<'static>: Send, Sync);
    assert_not_impl_any!(bhc_rts_alloc::general::Reserved<'static>: Send, Sync);
    assert_impl_all!(Safepoint: Send, Sync);
    assert_impl_all!(bhc_rts_alloc::general::GcStats: Send, Sync);
}

#[test]
fn r05_a_panic_in_a_root_callback_ends_the_program() {
    unsafe extern "C" fn show(_: &mut RootVisitor<'_>, _: *mut c_void) {
        panic!("in the middle of a collection");
    }
    const NAME: &str = "bug_classes::r05_a_panic_in_a_root_callback_ends_the_program";
    if child_is_to().is_none() {
        let output = in_a_child(NAME, "panic");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("in the middle of a collection"), "{text}");
        assert!(!output.status.success() && !text.contains("went on"), "{text}");
        #[cfg(unix)]
        assert!(std::os::unix::process::ExitStatusExt::signal(&output.status).is_some(), "{:?}", output.status);
        return;
    }
    let mut heap = GeneralHeap::new();
    // SAFETY: there is nothing to show.
    unsafe { heap.raw().set_root_callback(Some(show), ptr::null_mut()) };
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heap.collect(Minor)));
    eprintln!("went on");
}

#[test]
fn r08_values_that_are_moved_outside_of_the_heap_are_roots_as_before() {
    struct Holder {
        name: &'static str,
        root: Root<Tree>,
    }
    fn make(heap: &mut GeneralHeap, value: u64) -> Holder {
        let root = tree(heap, value);
        heap.set(root.get(heap), Tree::left, Some(root.get(heap)));
        Holder { name: "by value", root }
    }
    let mut heap = GeneralHeap::builder().stress(Stress::Alternating(1)).verify(true).build();
    let mut holders = Vec::new(); // grows, so that they move
    for value in 0..100 {
        holders.push(Box::new(make(&mut heap, value)));
        holders.swap(0, value as usize / 2);
    }
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.root.get(&heap).value));
    heap.collect(Full);
    for (holder, value) in holders.into_iter().map(|holder| *holder).zip((0..100).rev()) {
        let tree = holder.root.get(&heap);
        assert_eq!((tree.value, holder.name), (value, "by value"));
        assert!(tree.get(Tree::left).unwrap().ptr_eq(tree));
    }
}

/// Makes some objects, and has not the memory for one of them.
fn build_something(heap: &mut GeneralHeap, large: usize) -> AllocResult<Root<Tree>> {
    let one = heap.try_new_root::<Tree>(TreeInit { left: None, right: None, value: 1 })?;
    let two = heap.try_new_root::<Tree>(TreeInit { left: Some(&one), right: None, value: 2 })?;
    let _array = heap.try_new_pointers::<Tree>(10)?;
    let _large = heap.try_new_zeroed::<u8, Align<8>>(large)?;
    let live = heap.try_reserve(Tree::BYTES)?;
    let three = live.try_new_gc::<Tree>(TreeInit { left: None, right: None, value: 3 })?;
    live.heap().try_root(three)?;
    heap.try_new_root::<Tree>(TreeInit { left: Some(&one), right: Some(&two), value: 4 })
}

#[test]
fn r10_no_root_is_left_behind_by_an_early_return() {
    let mut heap = GeneralHeap::builder().limit(8 << 20).verify(true).build();
    for round in 0..200 {
        assert!(matches!(build_something(&mut heap, 64 << 20), Err(AllocError::OutOfMemory { .. })));
        assert_eq!(heap.root_count(), 0, "{round}");
        let built = build_something(&mut heap, 1000).unwrap();
        assert_eq!((heap.root_count(), built.get(&heap).value), (1, 4));
    }
    // However it is left: by a panic, too.
    let before = heap.root_count();
    panic_of(|| {
        let _one = number(&mut heap, 1);
        let _two = number(&mut heap, 2);
        drop(heap.new_zeroed::<u8, Align<8>>(64 << 20));
    });
    assert_eq!(heap.root_count(), before);
    heap.collect(Full);
    assert_eq!(heap.verify().unwrap().objects, 0);
}

#[test]
fn r11_errors_borrow_nothing() {
    let mut heap = GeneralHeap::builder().limit(4 << 20).build();
    let error: Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> = (|| {
        heap.try_new_zeroed::<u8, Align<8>>(64 << 20)?;
        heap.try_new_gc::<Number>(NumberInit { value: 1 })?;
        Ok(())
    })();
    // The heap is free while the error is there.
    number(&mut heap, 1);
    heap.collect(Full);
    assert!(error.unwrap_err().to_string().contains("memory"));
}

#[test]
fn r12_pointers_are_read_after_the_collection_that_their_allocation_causes() {
    for kind in [Minor, Full] {
        let mut heap = GeneralHeap::builder().verify(true).quarantine(8).build();
        let safepoint = heap.safepoint_handle();
        let (left, right) = (tree(&mut heap, 1), tree(&mut heap, 2));
        let before = ptr::from_ref(left.get(&heap).as_ref());
        safepoint.request(kind);
        // Data is read when the arguments are: before anything moves.
        let value = left.get(&heap).value + right.get(&heap).value;
        let both = heap.new_gc::<Tree>(TreeInit { left: Some(&left), right: Some(&right), value });
        let after = ptr::from_ref(both.get(Tree::left).unwrap().as_ref());
        assert_ne!(before, after, "it has moved");
        assert_eq!((both.get(Tree::left).unwrap().value, both.get(Tree::right).unwrap().value, both.value), (1, 2, 3));
        // And within the call.
        safepoint.request(kind);
        let nested = heap.new_gc::<Tree>(TreeInit { left: Some(&left), right: None, value: left.get(&heap).value });
        assert_eq!((nested.value, nested.get(Tree::left).unwrap().value), (1, 1));
    }
}
