//! A stale pointer, which only unsafe code can have, is noticed when it is used: a quarantine makes what objects were
//! moved out of
//! inaccessible; AddressSanitizer is told; debug builds fill it; and when the heap is gone nothing is there.

use std::hint::black_box;

use bhc_rts_alloc::general::{Bytes, Collection, Stress};
use bhc_rts_alloc::{GeneralHeap, GeneralHeapBuilder, Root, gc_object};

use super::child::{child_is_to, in_a_child, skipped};

gc_object! { struct Node / NodeInit { ptr next: Node, data number: u64, } }

/// What memory is filled with that nobody has.
const FREED: u8 = 0xdf;
const NUMBER: u64 = 0x1111_1111_1111_1111;

/// A way to have a pointer to where an object was.
struct Stale {
    name: &'static str,
    make: fn(&mut GeneralHeap) -> *const u8,
}

fn node(heap: &mut GeneralHeap) -> Root<Node> {
    heap.new_root(NodeInit { next: None, number: NUMBER })
}

fn address(heap: &GeneralHeap, root: &Root<Node>) -> *const u8 {
    (&raw const root.get(heap).as_ref().number).cast()
}

/// In each of them the object, if it lives on, is somewhere else.
const STALE: &[Stale] = &[
    Stale {
        name: "an object that was young",
        make: |heap| {
            let root = node(heap);
            let stale = address(heap, &root);
            heap.collect(Collection::Minor);
            assert_ne!(address(heap, &root), stale);
            stale
        },
    },
    Stale {
        name: "an object that was young in a full collection",
        make: |heap| {
            let root = node(heap);
            let stale = address(heap, &root);
            heap.collect(Collection::Full);
            stale
        },
    },
    Stale {
        name: "an object that was old",
        make: |heap| {
            let root = node(heap);
            heap.collect(Collection::Minor);
            let stale = address(heap, &root);
            heap.collect(Collection::Full);
            assert_ne!(address(heap, &root), stale);
            stale
        },
    },
    Stale {
        name: "an object that nothing led to",
        make: |heap| {
            let root = node(heap);
            heap.collect(Collection::Full);
            let stale = address(heap, &root);
            drop(root);
            heap.collect(Collection::Full);
            stale
        },
    },
    Stale {
        name: "an array of data",
        make: |heap| {
            let root: Root<Bytes> = heap.new_data(&[0x11; 1000]);
            let stale = (&raw const root.get(heap).as_ref()[500]).cast();
            heap.collect(Collection::Minor);
            stale
        },
    },
];

/// Large objects stay where they are: only what nothing leads to is gone, and that is not in quarantine.
const LARGE: Stale = Stale {
    name: "a large object that nothing led to",
    make: |heap| {
        let root: Root<Bytes> = heap.new_data(&[0x11; 100_000]);
        heap.collect(Collection::Full);
        let stale = (&raw const root.get(heap).as_ref()[50_000]).cast();
        drop(root);
        heap.collect(Collection::Full);
        stale
    },
};

fn heaps() -> [GeneralHeapBuilder; 2] {
    [GeneralHeap::builder().reserve(64 << 20), GeneralHeap::builder().reserve(64 << 20).portable()]
}

/// Reads, or writes, where an object was.
///
/// # Safety
/// This process is to die of it, or the memory is the heap's still and holds no reference.
unsafe fn misuse(stale: *const u8, writes: bool) -> u8 {
    // SAFETY: the caller's promise.
    unsafe {
        if writes {
            black_box(stale.cast_mut()).write_volatile(1);
        }
        black_box(stale).read_volatile()
    }
}

/// Runs `test` in children, one for each of `names`, and looks whether each dies of an access.
#[cfg(unix)]
fn each_dies(test: &str, names: impl Iterator<Item = String>) {
    use std::os::unix::process::ExitStatusExt;
    for name in names {
        let output = in_a_child(test, &name);
        let report = String::from_utf8_lossy(&output.stderr);
        // A sanitizer handles the signal, and says so.
        let signal = output.status.signal();
        let died = matches!(signal, Some(7 | 11)) || cfg!(bhc_asan) && report.contains("AddressSanitizer");
        assert!(died, "{name}: {:?}, {}, {report}", output.status, String::from_utf8_lossy(&output.stdout));
    }
}

#[cfg(unix)]
#[test]
fn a_stale_pointer_into_quarantine_ends_the_program() {
    const TEST: &str = "poison::a_stale_pointer_into_quarantine_ends_the_program";
    let all = || STALE.iter().flat_map(|stale| [(stale, false), (stale, true)]);
    let name = |(stale, writes): (&Stale, bool)| format!("{} {writes}", stale.name);
    if let Some(wanted) = child_is_to() {
        let (found, writes) = all().find(|one| name(*one) == wanted).unwrap();
        let mut heap = GeneralHeap::builder().quarantine(8).build();
        let stale = (found.make)(&mut heap);
        // SAFETY: this process is to die of it.
        unsafe { misuse(stale, writes) };
        return;
    }
    each_dies(TEST, all().map(name));
}

/// Also in the middle of a program under stress, some collections later.
#[cfg(unix)]
#[test]
fn a_pointer_that_was_kept_over_an_allocation_under_stress_ends_the_program() {
    const TEST: &str = "poison::a_pointer_that_was_kept_over_an_allocation_under_stress_ends_the_program";
    if let Some(wanted) = child_is_to() {
        let later = wanted.parse().unwrap();
        let mut heap = GeneralHeap::builder().nursery(64 << 10).stress(Stress::Minor(1)).quarantine(20).build();
        let root = node(&mut heap);
        let stale = address(&heap, &root);
        (0..later).for_each(|_| drop(node(&mut heap)));
        // SAFETY: this process is to die of it.
        unsafe { misuse(stale, false) };
        return;
    }
    each_dies(TEST, [1, 5, 18].into_iter().map(|later: usize| later.to_string()));
}

#[cfg(not(unix))]
#[test]
fn a_stale_pointer_into_quarantine_ends_the_program() {
    skipped("memory is protected, and children are run, on Unix only");
}

#[cfg(unix)]
#[test]
fn a_use_after_the_heap_ends_the_program() {
    const TEST: &str = "poison::a_use_after_the_heap_ends_the_program";
    if let Some(wanted) = child_is_to() {
        let mut heap = GeneralHeap::new();
        let stale = if wanted == LARGE.name {
            let root: Root<Bytes> = heap.new_data(&[0x11; 100_000]);
            (&raw const root.get(&heap).as_ref()[50_000]).cast()
        } else {
            let root = node(&mut heap);
            heap.collect(Collection::Minor);
            address(&heap, &root)
        };
        drop(heap);
        // SAFETY: this process is to die of it.
        unsafe { misuse(stale, false) };
        return;
    }
    each_dies(TEST, [LARGE.name, "an object"].into_iter().map(String::from));
}

#[test]
fn address_sanitizer_ends_the_program_at_a_use_of_what_nobody_has() {
    const TEST: &str = "poison::address_sanitizer_ends_the_program_at_a_use_of_what_nobody_has";
    if cfg!(not(bhc_asan)) {
        return skipped(
            "use of a general heap's free memory is reported by AddressSanitizer, which this is not built with",
        );
    }
    let all = || STALE.iter().chain([&LARGE]).flat_map(|stale| (0..2).map(move |kind| (stale, kind)));
    let name = |(stale, kind): (&Stale, usize)| format!("{kind} {}", stale.name);
    if let Some(wanted) = child_is_to() {
        let (found, kind) = all().find(|one| name(*one) == wanted).unwrap();
        let mut heap = heaps()[kind].clone().build();
        let stale = (found.make)(&mut heap);
        // SAFETY: this process is to die of it.
        unsafe { misuse(stale, false) };
        return;
    }
    for one in all() {
        let output = in_a_child(TEST, &name(one));
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{}: {}", name(one), String::from_utf8_lossy(&output.stdout));
        assert!(report.contains("use-after-poison"), "{}: {report}", name(one));
    }
}

#[test]
fn what_objects_were_moved_out_of_is_filled_in_debug_builds() {
    if cfg!(any(not(debug_assertions), bhc_asan)) {
        return skipped("memory that objects were moved out of is filled in debug builds, without AddressSanitizer");
    }
    for stale in STALE.iter().chain([&LARGE]) {
        for builder in heaps() {
            let mut heap = builder.build();
            let at = (stale.make)(&mut heap);
            // SAFETY: the memory is the heap's still, as nothing has been given back to the system, and holds nothing.
            assert_eq!(unsafe { misuse(at, false) }, FREED, "{}", stale.name);
        }
    }
}

/// As long as it is in quarantine no object comes to where one was, and after that one may: the heap does not grow for
/// ever.
#[test]
fn memory_in_quarantine_is_used_again_only_after_so_many_others_have_come_there() {
    const PIECES: usize = 5;
    let mut heap = GeneralHeap::builder().nursery(64 << 10).reserve(64 << 20).quarantine(PIECES).build();
    let mut seen: Vec<usize> = Vec::new();
    let mut again = 0;
    for _ in 0..200 {
        let root = node(&mut heap);
        let at = address(&heap, &root).addr();
        drop(root);
        let last = seen.iter().rev().take(PIECES);
        assert!(!last.clone().any(|other| *other == at), "{at:#x} is used again at once");
        again += usize::from(seen.contains(&at));
        seen.push(at);
        heap.collect(Collection::Minor);
    }
    assert!(again > 100, "memory comes out of quarantine");
}

/// What was poisoned is as good as new when it is used again. Under AddressSanitizer this would end the program.
#[test]
fn memory_that_is_used_again_may_be_used() {
    for stale in STALE.iter().chain([&LARGE]) {
        for builder in heaps().into_iter().chain([GeneralHeap::builder().reserve(64 << 20).quarantine(2)]) {
            let mut heap = builder.nursery(64 << 10).verify(true).build();
            (stale.make)(&mut heap);
            let keep: Vec<_> =
                (0..200).map(|index| heap.new_data::<u8, bhc_rts_alloc::Align<8>>(&vec![7; 100 * index])).collect();
            for kind in [Collection::Minor, Collection::Full, Collection::Full] {
                heap.collect(kind);
                for (index, bytes) in keep.iter().enumerate() {
                    assert!(bytes.get(&heap).iter().all(|byte| *byte == 7), "array {index}");
                }
            }
        }
    }
}
