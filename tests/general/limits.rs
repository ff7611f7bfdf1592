//! Where memory ends, requests are refused: with an error, from a heap that is in order, has lost nothing, and goes on.

use bhc_rts_alloc::general::{Bytes, Collection, Info, Object as _, PtrArray};
use bhc_rts_alloc::{AllocError, GeneralHeap, GeneralHeapBuilder, MemoryRegion, Root, gc_object, os::fault};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

use super::child::{child_is_to, in_a_child, skipped};

gc_object! { struct Node / NodeInit { ptr next: Node, ptr other: Node, data number: u64, } }

/// Of so many words that it is never copied.
static LARGE: Info = Info::fixed("Large", 2000, 0);
static PAIR: Info = Info::fixed("Pair", 1, 1);

const LIMIT: usize = 4 << 20;

fn limited() -> GeneralHeapBuilder {
    GeneralHeap::builder().nursery(256 << 10).reserve(64 << 20).limit(LIMIT)
}

/// A list of nodes, the newest first, whose numbers say how many they are.
struct List(Vec<Root<Node>>);

impl List {
    /// Adds nodes until one is refused. Returns how many were added.
    fn fill(&mut self, heap: &mut GeneralHeap) -> usize {
        let before = self.count(heap);
        loop {
            let number = self.count(heap) as u64 + 1;
            let init = NodeInit { next: self.0.last(), other: None, number };
            match heap.try_new_root::<Node>(init) {
                Ok(root) => self.0 = vec![root],
                Err(error) => {
                    assert!(matches!(error, AllocError::OutOfMemory { .. }), "{error}");
                    return number as usize - 1 - before;
                }
            }
        }
    }

    fn count(&self, heap: &GeneralHeap) -> usize {
        self.0.last().map_or(0, |root| root.get(heap).number as usize)
    }

    /// Every node is there.
    #[track_caller]
    fn check(&self, heap: &GeneralHeap) {
        let (mut at, mut number) = (self.0.last().map(|root| root.get(heap)), self.count(heap) as u64);
        while let Some(node) = at {
            assert_eq!(node.number, number);
            number -= 1;
            at = node.get(Node::next);
        }
        assert_eq!(number, 0);
    }
}

#[track_caller]
fn verify(heap: &GeneralHeap) {
    heap.verify().unwrap_or_else(|corruption| panic!("{corruption}"));
    assert!(heap.gc_stats().peak_in_use <= LIMIT, "more is in use than the limit");
}

#[test]
fn a_heap_that_is_full_of_objects_refuses_more_and_goes_on_when_some_are_gone() {
    let mut heap = limited().build();
    let mut list = List(Vec::new());
    let mut counts = Vec::new();
    for _ in 0..3 {
        list.fill(&mut heap);
        counts.push(list.count(&heap));
        list.check(&heap);
        verify(&heap);
        assert!(heap.gc_stats().failed > 0);
        // Again, with the same result.
        assert!(heap.try_new_gc::<Node>(NodeInit { next: None, other: None, number: 0 }).is_err());
        assert!(heap.try_reserve(Node::BYTES).is_err());
        heap.collect(Collection::Minor);
        heap.collect(Collection::Full);
        list.check(&heap);
        verify(&heap);
        // All is gone: there is room for as much again.
        list.0.clear();
        heap.collect(Collection::Full);
        assert_eq!(heap.verify().unwrap().objects, 0);
    }
    // About a third of the limit can be objects that live; and it is the same each time.
    let bytes = counts[0] * Node::BYTES;
    assert!(bytes > LIMIT / 6 && bytes < LIMIT / 2, "{bytes} bytes of objects live under a limit of {LIMIT}");
    assert_eq!((counts[1], counts[2]), (counts[0], counts[0]));
}

/// When half of them is gone, about so many come again.
#[test]
fn a_heap_that_was_full_has_room_for_what_was_dropped() {
    let mut heap = limited().build();
    let (mut one, mut two) = (List(Vec::new()), List(Vec::new()));
    one.fill(&mut heap);
    let all = one.count(&heap);
    one.0.clear();
    while one.count(&heap) < all / 3 {
        let number = one.count(&heap) as u64 + 1;
        let root = heap.new_root::<Node>(NodeInit { next: one.0.last(), other: None, number });
        one.0 = vec![root];
    }
    two.fill(&mut heap);
    one.check(&heap);
    two.check(&heap);
    let before = two.count(&heap);
    one.0.clear();
    two.fill(&mut heap);
    two.check(&heap);
    assert!(two.count(&heap) - before > all / 4, "{} more for {} that went", two.count(&heap) - before, all / 3);
    verify(&heap);
}

#[test]
fn large_objects_are_refused_at_the_limit_and_given_when_others_are_gone() {
    let mut heap = limited().build();
    let mut kept: Vec<Root<Bytes>> = Vec::new();
    let mut counts = Vec::new();
    for _ in 0..3 {
        loop {
            match heap.try_new_data(&vec![kept.len() as u8; 50_000]) {
                Ok(root) => kept.push(root),
                Err(AllocError::OutOfMemory { requested, .. }) => {
                    assert!(requested >= 50_000);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        counts.push(kept.len());
        verify(&heap);
        for (index, root) in kept.iter().enumerate() {
            assert!(root.get(&heap).iter().all(|byte| *byte == index as u8), "array {index}");
        }
        // Half of them are garbage, which is found when it is needed.
        let mut index = 0;
        kept.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        let more = heap.try_new_data::<u8, bhc_rts_alloc::Align<8>>(&[1; 50_000]);
        assert!(more.is_ok(), "there is garbage enough");
        kept.clear();
    }
    assert!(counts[0] * 50_000 > LIMIT / 2, "{} of them", counts[0]);
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    // Nothing is refused for ever.
    assert!(heap.try_new_data::<u8, bhc_rts_alloc::Align<8>>(&[1; 2 << 20]).is_ok());
    assert!(heap.try_new_pointers::<Node>(LIMIT).is_err());
    assert!(matches!(heap.try_new_pointers::<Node>(usize::MAX), Err(AllocError::Overflow)));
    verify(&heap);
}

#[test]
fn raw_bytes_and_objects_share_the_limit() {
    let mut heap = limited().build();
    let bytes = heap.bytes();
    let layout = Layout::from_size_align(100_000, 16).unwrap();
    let mut list = List(Vec::new());
    let number = |heap: &mut GeneralHeap, list: &mut List, count: usize| {
        for _ in 0..count {
            let number = list.count(heap) as u64 + 1;
            let root = heap.new_root::<Node>(NodeInit { next: list.0.last(), other: None, number });
            list.0 = vec![root];
        }
    };
    number(&mut heap, &mut list, 5000);
    let mut blocks = Vec::new();
    while let Ok(block) = bytes.alloc(layout) {
        blocks.push(block);
    }
    assert!(blocks.len() > 5, "{} blocks", blocks.len());
    // Collections still work: what they need was kept.
    heap.collect(Collection::Minor);
    heap.collect(Collection::Full);
    list.check(&heap);
    verify(&heap);
    let more = list.fill(&mut heap);
    list.check(&heap);
    verify(&heap);
    for block in blocks.drain(..) {
        // SAFETY: a block with its layout.
        unsafe { bytes.dealloc(block, layout) };
    }
    let after = list.fill(&mut heap);
    assert!(after > more, "{after} nodes for all the bytes, {more} before");
    list.check(&heap);
    verify(&heap);
}

/// Everything lives that is young, old or large, and the limit is where the next promotion would be.
#[test]
fn a_limit_that_is_reached_where_all_survives_loses_nothing() {
    for limit in [1 << 20, (1 << 20) + (100 << 10), 2 << 20, (2 << 20) + (8 << 10), 3 << 20] {
        let mut heap = GeneralHeap::builder().nursery(128 << 10).reserve(64 << 20).limit(limit).verify(true).build();
        let array: Option<Root<PtrArray<Node>>> = heap.try_new_pointers(2000).ok();
        let mut list = List(Vec::new());
        list.fill(&mut heap);
        if let Some(array) = &array {
            let mut node = list.0.last().map(|root| root.get(&heap));
            for index in 0..2000 {
                heap.set_element(array.get(&heap), index, node);
                node = node.and_then(|node| node.get(Node::next));
            }
        }
        for kind in [Collection::Minor, Collection::Full, Collection::Minor, Collection::Full] {
            heap.collect(kind);
            list.check(&heap);
        }
        assert!(heap.gc_stats().peak_in_use <= limit);
        assert!(list.count(&heap) * Node::BYTES > limit / 8, "{limit}: {}", list.count(&heap));
    }
}

/// A program whose requests are all counted: objects of all kinds, roots, static objects, a long remembered list,
/// growth.
fn program(builder: &GeneralHeapBuilder) -> bool {
    static STATIC: Info = Info::fixed("Static", 1, 0);
    let mut object =
        Box::new([ptr::from_ref(&STATIC).cast_mut().cast::<bhc_rts_alloc::general::Header>(), ptr::null_mut()]);
    let Ok(mut heap) = builder.clone().try_build() else { return true };
    let raw = heap.raw();
    // SAFETY: an object with its header, that stays as long as the heap, which is dropped first.
    let mut refused = unsafe { raw.register_static(NonNull::from(&mut *object).cast()) }.is_err();

    // So many roots that there is more than a chunk of them.
    let mut roots = Vec::new();
    for number in 0..5000 {
        match heap.try_new_root::<Node>(NodeInit { next: roots.last(), other: None, number }) {
            Ok(root) => roots.push(root),
            Err(_) => refused = true,
        }
    }
    heap.collect(Collection::Minor);
    // Each of them is remembered.
    let young = heap.try_new_root::<Node>(NodeInit { next: None, other: None, number: u64::MAX });
    refused |= young.is_err();
    if let Ok(young) = &young {
        for root in &roots {
            heap.set(root.get(&heap), Node::other, Some(young.get(&heap)));
        }
    }
    heap.collect(Collection::Minor);
    let arrays: Vec<Root<PtrArray<Node>>> =
        (0..20).filter_map(|index| heap.try_new_pointers(index * 300).ok()).collect();
    refused |= arrays.len() < 20;
    for _ in 0..30 {
        refused |= heap.try_new_data::<u8, bhc_rts_alloc::Align<64>>(&[3; 70_000]).is_err();
    }
    let raw = heap.raw();
    // SAFETY: nothing raw lives: what is made is initialised, and garbage.
    unsafe {
        match raw.alloc(&LARGE) {
            Some(large) => (0..2000).for_each(|index| raw.word(large.as_ptr(), index).write(ptr::null_mut())),
            None => refused = true,
        }
        if raw.reserve(3) {
            let pair = raw.alloc_reserved(&PAIR).expect("room that was reserved").as_ptr();
            raw.word(pair, 0).write(ptr::null_mut());
        } else {
            refused = true;
        }
    }
    refused |= heap.bytes().alloc(Layout::new::<[u64; 100]>()).is_err();
    heap.collect(Collection::Full);
    heap.trim();

    // Whatever was refused, the rest is as it should be.
    for (index, root) in roots.iter().enumerate() {
        let node = root.get(&heap);
        assert!(node.number >= index as u64);
        assert_eq!(
            node.get(Node::next).map(|next| next.number),
            index.checked_sub(1).map(|last| roots[last].get(&heap).number)
        );
        assert_eq!(node.get(Node::other).map(|other| other.number), young.as_ref().ok().map(|_| u64::MAX));
    }
    assert!(arrays.iter().all(|array| array.get(&heap).iter().all(|element| element.get().is_none())));
    let verified = heap.verify().unwrap_or_else(|corruption| panic!("{corruption}"));
    let live = roots.len() + usize::from(young.is_ok()) + arrays.len();
    assert_eq!((verified.objects, verified.reachable), (live, live));
    // And it goes on.
    let last = heap.new_root::<Node>(NodeInit { next: roots.last(), other: None, number: 7 });
    heap.collect(Collection::Full);
    assert_eq!(last.get(&heap).number, 7);
    refused
}

#[test]
fn a_failure_at_any_request_is_an_error_and_nothing_is_lost() {
    let usual = GeneralHeap::builder().nursery(64 << 10).reserve(64 << 20).growth(50, 1 << 20).verify(true);
    for builder in [usual.clone(), usual.clone().portable(), usual.quarantine(3)] {
        assert!(!program(&builder), "nothing is refused without a failure");
        let (mut refused, mut nth) = (0, 0);
        loop {
            let (was_refused, made) = fault::fail_nth(nth, || program(&builder));
            if made <= nth {
                break;
            }
            refused += usize::from(was_refused);
            nth += 1;
        }
        println!("{refused} of {nth} failures were told");
        // The others could be done without, or were tried again.
        assert!(nth > 10 && refused > 5, "{refused} of {nth} failures were told");
    }
}

/// A heap that cannot even be made is an error, not a panic.
#[test]
fn settings_that_no_machine_has_are_refused() {
    let heaps = [
        GeneralHeap::builder().reserve(usize::MAX),
        GeneralHeap::builder().reserve(1 << 62),
        GeneralHeap::builder().nursery(usize::MAX),
        GeneralHeap::builder().shadow_stack(usize::MAX),
        GeneralHeap::builder().limit(0),
        GeneralHeap::builder().portable().reserve(1 << 62),
    ];
    for builder in heaps {
        if let Ok(mut heap) = builder.clone().try_build() {
            // Settings may be cut to what is possible; then it works, or says that it does not.
            let _ = heap.try_new_root::<Node>(NodeInit { next: None, other: None, number: 1 });
            heap.collect(Collection::Full);
            heap.verify().unwrap();
        }
    }
}

#[test]
fn what_does_not_fit_into_the_nursery_cannot_be_reserved_and_a_request_is_not_lost() {
    let mut heap = GeneralHeap::builder().nursery(64 << 10).reserve(64 << 20).build();
    heap.safepoint_handle().request(Collection::Full);
    for bytes in [usize::MAX, usize::MAX / 2, 1 << 40] {
        assert!(matches!(heap.try_reserve(bytes), Err(AllocError::OutOfMemory { .. })));
    }
    heap.safepoint();
    assert_eq!(heap.gc_stats().full_collections, 1);
}

/// `ulimit -v`, which services are run with; valgrind has as little.
#[test]
fn where_addresses_are_scarce_a_heap_takes_fewer_unless_it_was_told() {
    const TEST: &str = "limits::where_addresses_are_scarce_a_heap_takes_fewer_unless_it_was_told";
    if cfg!(any(not(target_os = "linux"), bhc_asan, miri)) {
        return skipped("a process's addresses are limited on Linux, and not where a sanitizer needs them");
    }
    #[cfg(target_os = "linux")]
    if child_is_to().is_some() {
        const GIB: usize = 1 << 30;
        let both = libc::rlimit { rlim_cur: 8 << 30, rlim_max: 8 << 30 };
        // SAFETY: reads the two numbers.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const both) }, 0);
        let mut heaps = [GeneralHeap::new(), GeneralHeap::new()];
        for heap in &mut heaps {
            assert!((64 << 20..8 * GIB).contains(&heap.report().limit), "{:#x}", heap.report().limit);
            let init = |number| NodeInit { next: None, other: None, number };
            (0..100_000).for_each(|number| drop(heap.new_root::<Node>(init(number))));
        }
        let told = GeneralHeap::builder().reserve(64 * GIB).try_build();
        assert!(matches!(told, Err(AllocError::OutOfMemory { .. })));
        println!("took fewer");
        return;
    }
    let output = in_a_child(TEST, "");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("took fewer"), "{out}{errors}");
}
