//! The heap for compiled code: each function does what it says, and what generated code does by itself is the same.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use bhc_rts_alloc::general::{Collection::*, Header, Info, Kind, raw::Raw, raw::RootVisitor};
use bhc_rts_alloc::os::fault;
use bhc_rts_alloc::{AllocError, GeneralHeap};

use super::child::skipped;
use super::shapes::*;

fn heap() -> GeneralHeap {
    GeneralHeap::builder().verify(true).build()
}

fn tagged(pointer: *mut Header, tag: usize) -> *mut Header {
    pointer.map_addr(|address| address | tag)
}

/// A cell, on top of the shadow stack, of what was there and a number.
///
/// # Safety
/// There is something.
unsafe fn cons(raw: Raw<'_>, value: usize) {
    // SAFETY: the caller's promise; the cell is initialised at once.
    unsafe {
        let cell = raw.alloc(&CELL).expect("there is memory").as_ptr();
        raw.word(cell, 0).write(raw.pop());
        raw.word(cell, 1).cast::<usize>().write(value);
        raw.push(cell);
    }
}

#[test]
fn shapes_say_what_they_are() {
    static MIXED: Info = Info::bitmap("Mixed", 3, &[0b101]);
    let all = [
        (&LEAF, "Leaf", Kind::Fixed),
        (&MIXED, "Mixed", Kind::Bitmap),
        (&POINTERS, "Pointers", Kind::Pointers),
        (&BYTES, "Bytes", Kind::Data),
        (&THUNK, "Thunk", Kind::Thunk),
    ];
    for (info, name, kind) in all {
        assert_eq!((info.name(), info.kind(), (info as *const Info).addr() % 16), (name, kind, 0));
        assert!(format!("{info:?}").contains(name));
    }
    for wrong in [
        || drop(Info::bitmap("Short", 65, &[0])),
        || drop(Info::fixed("Long", u32::MAX, 1)),
        || drop(Info::fixed("Longer", 1, u32::MAX)),
        || drop(Info::data("Nothing", 0, 8)),
        || drop(Info::data("Odd", 1, 24)),
        || drop(Info::data("Far", 1, 64 << 10)),
    ] {
        panic_of(wrong);
    }
}

#[test]
fn an_object_has_the_header_and_the_words_that_were_asked_for() {
    static MIXED: Info = Info::bitmap("Mixed", 5, &[0b01010]);
    static DOUBLES: Info = Info::data("Doubles", 8, 256);
    let mut heap = heap();
    let raw = heap.raw();
    // SAFETY: every object is initialised before the next, and on the shadow stack.
    unsafe {
        raw.push(leaf(raw, 7).as_ptr());
        let mixed = raw.alloc(&MIXED).unwrap();
        assert_eq!(raw.info(mixed).name(), "Mixed");
        for index in 0..5 {
            let word = raw.word(mixed.as_ptr(), index);
            match index % 2 {
                1 => word.write(tagged(raw.slot(0).read(), index)),
                _ => word.cast::<usize>().write(raw.slot(0).read().addr() + index), // looks like a pointer, and is none
            }
        }
        let numbers = raw.slot(0).read().addr();
        raw.push(mixed.as_ptr());
        let array = raw.alloc_array(&DOUBLES, 33).unwrap().as_ptr();
        assert_eq!(raw.word(array, 0).cast::<usize>().read(), 33);
        for index in 0..33 {
            raw.word(array, 1 + index).cast::<f64>().write(index as f64);
        }
        raw.push(array);
        for kind in [Minor, Full, Full] {
            raw.collect(kind);
            let (leaf, mixed, array) = (raw.slot(0).read(), raw.slot(1).read(), raw.slot(2).read());
            assert_eq!(value_of(raw, leaf), 7);
            assert_ne!(leaf.addr(), numbers, "it has moved");
            for index in 0..5 {
                let word = raw.word(mixed, index);
                match index % 2 {
                    1 => assert_eq!(word.read(), tagged(leaf, index)),
                    _ => assert_eq!(word.cast::<usize>().read(), numbers + index),
                }
            }
            assert!(raw.word(array, 1).addr().is_multiple_of(256));
            assert!((0..33).all(|index| raw.word(array, 1 + index).cast::<f64>().read() == index as f64));
        }
    }
}

#[test]
fn what_is_reserved_is_there_without_a_collection_and_ends() {
    let mut heap = GeneralHeap::builder().nursery(64 << 10).verify(true).build();
    let collections = |heap: &GeneralHeap| heap.gc_stats().minor_collections + heap.gc_stats().full_collections;
    for words in [0, 2, 1000, 4095, 8192] {
        // SAFETY: there are no roots but none; objects are initialised.
        unsafe {
            leaf(heap.raw(), 0);
            assert!(heap.raw().reserve(words));
            let before = collections(&heap);
            let raw = heap.raw();
            for value in 0..words / 2 {
                let leaf = raw.alloc_reserved(&LEAF).expect("it was reserved");
                raw.word(leaf.as_ptr(), 0).cast::<usize>().write(value);
            }
            // Up to the end of the nursery.
            while let Some(leaf) = raw.alloc_reserved(&LEAF) {
                raw.word(leaf.as_ptr(), 0).cast::<usize>().write(0);
            }
            assert_eq!(collections(&heap), before);
        }
    }
    // More than the nursery has.
    // SAFETY: as above.
    unsafe {
        assert!(!heap.raw().reserve(8193));
        assert!(!heap.raw().reserve(usize::MAX));
    }
    assert_eq!(heap.gc_stats().failed, 2);
}

#[test]
fn large_objects_come_from_a_reservation_too() {
    static LARGE_ONE: Info = Info::fixed("Large", 1, 2000);
    let mut heap = heap();
    let before = heap.gc_stats().minor_collections;
    let raw = heap.raw();
    // SAFETY: the object's pointer is initialised, and it is on the shadow stack.
    unsafe {
        assert!(raw.reserve(2));
        let leaf = raw.alloc_reserved(&LEAF).unwrap().as_ptr();
        raw.word(leaf, 0).cast::<usize>().write(3);
        let large = raw.alloc_reserved(&LARGE_ONE).unwrap().as_ptr();
        raw.word(large, 0).write(leaf);
        raw.push(large);
        raw.collect(Minor);
        assert_eq!(raw.slot(0).read(), large, "a large object does not move");
        assert_eq!(value_of(raw, raw.word(large, 0).read()), 3);
    }
    assert_eq!(heap.gc_stats().minor_collections, before + 1);
}

#[test]
fn the_shadow_stack_is_a_stack_of_roots() {
    let mut heap = heap();
    let raw = heap.raw();
    assert_eq!(raw.depth(), 0);
    // SAFETY: what is pushed are objects that live, or null.
    unsafe {
        for value in 0..1000 {
            raw.push(if value % 10 == 0 { ptr::null_mut() } else { tagged(leaf(raw, value).as_ptr(), value % 8) });
        }
        raw.collect(Minor);
        raw.collect(Full);
        assert_eq!(raw.depth(), 1000);
        for value in (500..1000).rev() {
            let slot = raw.slot(value).read();
            assert_eq!(raw.pop(), slot);
            assert_eq!(slot.is_null(), value % 10 == 0);
            assert!(slot.is_null() || (value_of(raw, slot), slot.addr() & 7) == (value, value % 8));
        }
        raw.truncate(500);
        raw.truncate(2);
        assert_eq!((raw.depth(), value_of(raw, raw.slot(1).read())), (2, 1));
        // A slot may be written, without a barrier.
        raw.slot(0).write(raw.slot(1).read());
        raw.collect(Full);
        assert_eq!(raw.pop(), raw.pop());
    }
    assert_eq!(heap.verify().unwrap().reachable, 0);
}

#[test]
fn what_is_outside_of_the_heap_is_left_alone() {
    static OUTSIDE: Info = Info::fixed("Outside", 0, 1);
    let (mut heap, mut other) = (heap(), heap());
    // SAFETY: what is in the other heap is a root there, and nothing collects it; static data is not an object, but
    // nobody looks.
    unsafe {
        let there = other.raw();
        there.push(leaf(there, 5).as_ptr());
        let strangers = [
            ptr::null_mut(),
            (&raw const OUTSIDE).cast_mut().cast::<Header>(),
            tagged((&raw const OUTSIDE).cast_mut().cast(), 7),
            there.slot(0).read(),
            ptr::without_provenance_mut(1),
            ptr::without_provenance_mut(usize::MAX),
        ];
        let raw = heap.raw();
        let array = raw.alloc_array(&POINTERS, strangers.len()).unwrap().as_ptr();
        for (index, stranger) in strangers.into_iter().enumerate() {
            raw.word(array, 1 + index).write(stranger);
        }
        raw.push(array);
        strangers.into_iter().for_each(|stranger| raw.push(stranger));
        for kind in [Minor, Full, Minor, Full] {
            raw.collect(kind);
            for (index, stranger) in strangers.into_iter().enumerate() {
                assert_eq!(raw.word(raw.slot(0).read(), 1 + index).read(), stranger);
                assert_eq!(raw.slot(1 + index).read(), stranger);
            }
        }
    }
}

#[test]
fn generated_code_allocates_and_stores_through_the_first_fields() {
    if cfg!(bhc_asan) {
        return skipped("generated code: it would have to tell AddressSanitizer what it allocates");
    }
    /// What generated code knows.
    #[repr(C)]
    struct Fields {
        hp: *mut *mut Header,
        hp_lim: *mut *mut Header,
        stack_top: *mut *mut Header,
        stack_lim: *mut *mut Header,
        log_bias: *mut u8,
    }
    let mut heap = GeneralHeap::builder().nursery(8 << 10).shadow_stack(64 << 10).verify(true).build();
    let safepoint = heap.safepoint_handle();
    let raw = heap.raw();
    let fields = raw.mutator().cast_mut().cast::<Fields>();
    // SAFETY: as documented: an addition, a comparison, and stores; the slow path is `alloc`. One thread, so the
    // limit may be read as it is.
    unsafe {
        let header = {
            let model = raw.alloc(&LEAF).unwrap().as_ptr();
            raw.word(model, 0).cast::<usize>().write(0);
            model.cast::<*mut Header>().read() // what a header is
        };
        let mut slow = 0;
        for value in 0..1500_usize {
            let start = (*fields).hp;
            let next = start.wrapping_add(2);
            let leaf = if next <= (*fields).hp_lim {
                (*fields).hp = next;
                start.write(header);
                start.cast::<Header>()
            } else {
                slow += 1;
                raw.alloc(&LEAF).unwrap().as_ptr()
            };
            raw.word(leaf, 0).cast::<usize>().write(value);
            // Pushed as generated code does.
            let top = (*fields).stack_top;
            assert!(top < (*fields).stack_lim);
            top.write(leaf);
            (*fields).stack_top = top.wrapping_add(1);
            if value == 500 {
                safepoint.request(Full);
                assert!((*fields).hp_lim.is_null(), "the same comparison finds a request");
            }
        }
        assert_eq!(slow, 2, "the request, and the end of the nursery after that");
        assert!((0..1500).all(|value| value_of(raw, raw.slot(value).read()) == value));
        // The barrier's look: 1 for what is young or remembered, 0 for what is old.
        let log = |object: *mut Header| (*fields).log_bias.wrapping_add(object.addr() / 16).read();
        cons(raw, 1);
        let young = raw.slot(1499).read();
        assert_eq!(log(young), 1);
        raw.collect(Minor);
        let old = raw.slot(1499).read();
        assert_eq!(log(old), 0);
        raw.write(old, 0, ptr::null_mut());
        assert_eq!(log(old), 1);
        raw.collect(Minor);
        assert_eq!(log(old), 0);
        assert_eq!(raw.slot(0).addr() + 1500 * 8, (*fields).stack_top.addr());
        assert_eq!((*fields).stack_lim.addr() - raw.slot(0).addr(), 64 << 10);
    }
}

#[test]
fn a_safepoint_collects_if_it_was_asked_to() {
    let mut heap = heap();
    let safepoint = heap.safepoint_handle();
    // SAFETY: there are no roots, and no objects.
    let poll = |heap: &mut GeneralHeap| unsafe { heap.raw().safepoint() };
    poll(&mut heap);
    let counts = |heap: &GeneralHeap| (heap.gc_stats().minor_collections, heap.gc_stats().full_collections);
    assert_eq!(counts(&heap), (0, 0));
    safepoint.request(Minor);
    safepoint.request(Minor);
    poll(&mut heap);
    poll(&mut heap);
    assert_eq!(counts(&heap), (1, 0));
    safepoint.request(Full);
    safepoint.request(Minor);
    poll(&mut heap);
    poll(&mut heap);
    assert_eq!(counts(&heap), (1, 1));
}

#[test]
fn a_collection_asks_for_no_memory_that_it_could_not_do_without() {
    let mut heap = heap();
    let raw = heap.raw();
    // SAFETY: the leaf is on the shadow stack.
    unsafe {
        raw.push(leaf(raw, 1).as_ptr());
        for n in 0.. {
            let ((), requests) = fault::fail_nth(n, || raw.collect(if n % 2 == 0 { Full } else { Minor }));
            assert_eq!(value_of(raw, raw.slot(0).read()), 1);
            if requests <= n {
                break;
            }
        }
    }
    assert_eq!(heap.gc_stats().failed, 0);
}

#[test]
fn static_objects_are_roots_of_every_shape() {
    static STRIPES: Info = Info::bitmap("Stripes", 4, &[0b1001]);
    let mut heap = heap();
    let raw = heap.raw();
    let mut outside: Vec<Box<[*mut Header]>> = Vec::new();
    // SAFETY: each static object is a copy of one of the heap, with its header, and stays as long as the heap is
    // used.
    unsafe {
        for (info, len) in [(&CELL, 0), (&STRIPES, 0), (&POINTERS, 3)] {
            let model = if len > 0 { raw.alloc_array(info, len) } else { raw.alloc(info) }.unwrap().as_ptr();
            let words = if info.kind() == Kind::Fixed { 3 } else { 5 };
            for index in usize::from(len > 0)..words - 1 {
                raw.word(model, index).write(ptr::null_mut());
            }
            outside.push((0..words).map(|index| model.cast::<*mut Header>().add(index).read()).collect());
        }
        // A word of each that is a pointer.
        let words = [1, 4, 3];
        let objects: Vec<_> = outside.iter_mut().map(|object| object.as_mut_ptr()).collect();
        let (registered, _) = fault::fail_nth(0, || raw.register_static(NonNull::new(objects[0].cast()).unwrap()));
        assert!(matches!(registered, Err(AllocError::OutOfMemory { .. })));
        for object in &objects {
            raw.register_static(NonNull::new(object.cast()).unwrap()).unwrap();
        }
        for (at, word) in words.into_iter().enumerate() {
            objects[at].add(word).write(leaf(raw, 10 + at).as_ptr());
        }
        // They may lead to each other, and the heap to them.
        raw.push(objects[0].cast());
        for kind in [Minor, Full, Minor, Full] {
            raw.collect(kind);
            for (at, word) in words.into_iter().enumerate() {
                assert_eq!(value_of(raw, objects[at].add(word).read()), 10 + at);
            }
            assert_eq!(raw.slot(0).read(), objects[0].cast());
        }
        objects[1].add(4).write(ptr::null_mut());
        raw.collect(Full);
    }
    assert_eq!(heap.verify().unwrap().objects, 2);
    drop(heap);
}

#[test]
fn a_callback_shows_its_slots_in_every_collection() {
    struct Stack {
        slots: Vec<*mut Header>,
        calls: usize,
    }
    unsafe extern "C" fn show(visitor: &mut RootVisitor<'_>, data: *mut c_void) {
        // SAFETY: what was registered below.
        unsafe {
            let stack = &mut *data.cast::<Stack>();
            stack.calls += 1;
            stack.slots.iter_mut().for_each(|slot| visitor.slot(slot));
        }
    }
    let mut heap = GeneralHeap::new();
    let stack = Box::into_raw(Box::new(Stack { slots: Vec::new(), calls: 0 }));
    let raw = heap.raw();
    // SAFETY: the stack is used by the callback during collections only, and freed after the heap.
    unsafe {
        raw.set_root_callback(Some(show), stack.cast());
        for value in 0..1000 {
            let slots = &mut (*stack).slots;
            slots.push(tagged(leaf(raw, value).as_ptr(), value % 8));
        }
        let slots = &mut (*stack).slots;
        slots.push(ptr::null_mut());
        for kind in [Minor, Minor, Full] {
            raw.collect(kind);
            for (value, slot) in (&(*stack).slots)[..1000].iter().enumerate() {
                assert_eq!((value_of(raw, *slot), slot.addr() & 7), (value, value % 8));
            }
        }
        assert_eq!((*stack).calls, 3);
        // Only the last one is called, and none after that.
        raw.set_root_callback(None, ptr::null_mut());
        raw.collect(Full);
        assert_eq!((*stack).calls, 3);
    }
    assert_eq!(heap.verify().unwrap().objects, 0);
    drop(heap);
    // SAFETY: made above, and nobody uses it any more.
    drop(unsafe { Box::from_raw(stack) });
}

#[test]
fn owned_roots_and_the_shadow_stack_see_the_same_objects() {
    let mut heap = heap();
    let root = tree(&mut heap, 1);
    for kind in [Minor, Full] {
        let object = ptr::from_ref(root.get(&heap).as_ref()).cast_mut().cast::<*mut Header>().wrapping_sub(1).cast();
        let raw = heap.raw();
        // SAFETY: the object that the root has.
        unsafe {
            assert_eq!(raw.info(NonNull::new(object).unwrap()).name(), "Tree");
            raw.push(object);
            raw.collect(kind);
            assert_eq!(raw.word(raw.slot(0).read(), 2).cast::<u64>().read(), 1);
            let after = raw.pop();
            assert_eq!(after.wrapping_byte_add(8).addr(), ptr::from_ref(root.get(&heap).as_ref()).addr());
        }
    }
}

/// Thunks of the longest chain.
const LONG: usize = 1_000_000;

/// Thunks in an array, both on the shadow stack after a leaf: each updated with the one that `link` says, or with the
/// leaf if it says none. Not all of them are young any more.
///
/// # Safety
/// There is nothing on the shadow stack.
unsafe fn linked(raw: Raw<'_>, len: usize, link: impl Fn(usize) -> Option<usize>) {
    // SAFETY: whatever is made is initialised before anything else is.
    unsafe {
        raw.push(leaf(raw, 5).as_ptr());
        let array = raw.alloc_array(&POINTERS, len).unwrap().as_ptr();
        (0..len).for_each(|index| raw.word(array, 1 + index).write(ptr::null_mut()));
        raw.push(array);
        for index in 0..len {
            let thunk = raw.alloc(&THUNK).unwrap().as_ptr();
            raw.word(thunk, 0).write(ptr::null_mut());
            raw.word(thunk, 1).cast::<usize>().write(0);
            raw.write_element(raw.slot(1).read(), index, thunk);
        }
        let array = raw.slot(1).read();
        let thunk = |index: usize| NonNull::new(raw.word(array, 1 + index).read()).unwrap();
        for index in 0..len {
            let to = link(index).map(thunk);
            raw.update(thunk(index), to.unwrap_or(NonNull::new_unchecked(tagged(raw.slot(0).read(), 3))));
        }
    }
}

#[test]
fn a_chain_of_a_million_indirections_becomes_what_is_at_its_end() {
    type Link = fn(usize) -> Option<usize>;
    let links: [(&str, Link); 3] = [
        ("from the last", |index| index.checked_sub(1)),
        ("from the first", |index| (index + 1 < LONG).then_some(index + 1)),
        // Many chains that meet: a tree.
        ("from everywhere", |index| (index > 0).then_some(index / 2)),
    ];
    for (name, link) in links {
        for kind in [Minor, Full] {
            let mut heap = GeneralHeap::new();
            let raw = heap.raw();
            // SAFETY: as `linked` says.
            unsafe {
                linked(raw, LONG, link);
                assert_eq!(value_of(raw, raw.follow(raw.word(raw.slot(1).read(), LONG).read())), 5, "{name}");
                raw.collect(kind);
                raw.collect(Full);
                let (value, array) = (raw.slot(0).read(), raw.slot(1).read());
                for index in 0..LONG {
                    assert_eq!(raw.word(array, 1 + index).read(), tagged(value, 3), "{name}");
                }
            }
            let stats = heap.gc_stats();
            assert_eq!(heap.verify().unwrap().objects, 2, "{name}: {stats:?}");
        }
    }
}

#[test]
fn circles_of_indirections_are_kept_and_take_no_longer_than_chains() {
    // What has no value stays without one; nobody may follow it.
    let links: [(&str, &dyn Fn(usize) -> usize); 5] = [
        ("a circle", &|index| (index + 1) % LONG),
        ("a circle, the other way round", &|index| (index + LONG - 1) % LONG),
        ("each with itself", &|index| index),
        ("a long way into a small circle", &|index| if index + 1 < LONG { index + 1 } else { LONG - 3 }),
        ("a long way into a large circle", &|index| if index + 1 < LONG { index + 1 } else { LONG / 2 }),
    ];
    for (name, link) in links {
        let mut heap = GeneralHeap::new();
        // SAFETY: as `linked` says.
        unsafe {
            linked(heap.raw(), LONG, |index| Some(link(index)));
            // Parts of it are young.
            heap.raw().collect(Minor);
            heap.raw().collect(Full);
            let raw = heap.raw();
            let array = raw.slot(1).read();
            for index in 0..LONG {
                let thunk = NonNull::new(raw.word(array, 1 + index).read()).unwrap();
                assert_eq!(raw.info(thunk).kind(), Kind::Indirection, "{name}");
            }
        }
        assert!(heap.verify().unwrap().objects <= LONG + 2, "{name}");
    }
}
