//! The hot paths of the General Heap: what they are for, that is in the instructions, and nothing else is.
//!
//! An allocation adds to the nursery's pointer, compares, and writes the object; the write barrier looks at one byte. What is
//! rare (a collection, the first store into an old object, a panic) is a call, which these paths do not pass.

use super::{Assembly, Function, Instruction, assembly};

/// A function of tests/codegen/src/general.rs.
fn probe<'a>(assembly: &'a Assembly, name: &str) -> &'a Function {
    let path = format!("7general{}{name}", name.len());
    assembly.find(name, |symbol| symbol.contains(&path))
}

/// What saves registers for the slow path: paid once where the path is inlined in a loop.
fn is_frame(instruction: &Instruction) -> bool {
    let saves = instruction.mnemonic.starts_with("push") || instruction.mnemonic.starts_with("pop");
    saves || instruction.destination() == "%rsp"
}

/// What runs where nothing is rare: the shortest way from the entry to the return that calls nothing.
fn fast_path(function: &Function) -> Vec<&Instruction> {
    let returns = |_, instruction: &Instruction| instruction.mnemonic.starts_with("ret");
    let path = function.path(0, returns, Instruction::is_call);
    let mut path = path.unwrap_or_else(|| panic!("it always calls something:\n{function}"));
    path.retain(|instruction| !is_frame(instruction));
    path
}

fn compares(instruction: &Instruction) -> bool {
    instruction.mnemonic.starts_with("cmp") || instruction.mnemonic.starts_with("test")
}

fn stores(instruction: &&&Instruction) -> bool {
    instruction.touches_data() && instruction.destination().contains('(') && !compares(instruction)
}

struct Path {
    name: &'static str,
    /// The most instructions, the return included.
    length: usize,
    stores: usize,
    branches: usize,
}

const fn path(name: &'static str, length: usize, stores: usize, branches: usize) -> Path {
    Path { name, length, stores, branches }
}

const PATHS: [Path; 13] = [
    // The nursery's pointer and its limit, the sum, whether that is too much; the pointer, the header.
    path("raw_alloc_const", 9, 2, 1),
    // The byte, and what it says; the word.
    path("raw_write", 7, 1, 1),
    // Which card the element is in, from the array's end and beginning; then the same.
    path("raw_write_element", 18, 1, 1),
    // Where the nursery is; two pointers are stored as one, or so are the next and the number.
    path("typed_alloc", 14, 4, 1),
    // For each root its slot, the table of that, whether it is the heap's; its object, which is stored.
    path("typed_alloc_rooted", 26, 5, 3),
    // For each pointer whether it is one of the heap.
    path("reserved_alloc", 23, 5, 3),
    path("typed_set", 18, 1, 3),
    // Nothing but a load.
    path("gc_get", 2, 0, 0),
    path("field_get", 2, 0, 0),
    path("gc_data", 2, 0, 0),
    // The slot, its table, whether it is the heap's.
    path("root_get", 8, 0, 1),
    // Whether the object is the heap's; the last free slot, and whether there is one; the object, and that the slot's
    // part of the chunk is dirty.
    path("root_make", 21, 3, 2),
    // That the slot is free, and is the next to be used; whether it was the last one of a heap that is gone.
    path("root_drop", 12, 3, 1),
];

#[test]
fn hot_paths_are_short_and_call_nothing() {
    let Some(assembly) = assembly() else { return };
    for Path { name, length, stores: stored, branches } in PATHS {
        let function = probe(assembly, name);
        let path = fast_path(function);
        assert!(path.len() <= length, "{name}: {} instructions: {path:#?}\n{function}", path.len());
        assert_eq!(path.iter().filter(stores).count(), stored, "{name}: {path:#?}\n{function}");
        let branched = path.iter().filter(|instruction| instruction.is_branch()).count();
        assert_eq!(branched, branches, "{name}: {path:#?}\n{function}");
    }
}

#[test]
fn reading_calls_nothing() {
    let Some(assembly) = assembly() else { return };
    for name in ["gc_get", "field_get", "gc_data", "array_sum"] {
        let function = probe(assembly, name);
        assert!(!function.instructions.iter().any(Instruction::is_call), "{name}:\n{function}");
    }
}

/// Nothing is locked and nothing is divided, and no fast path loops.
#[test]
fn nothing_waits() {
    let Some(assembly) = assembly() else { return };
    for Path { name, .. } in PATHS {
        let function = probe(assembly, name);
        let slow = function.instructions.iter().find(|instruction| {
            let locks = ["lock", "xchg", "mfence"].iter().any(|name| instruction.mnemonic.starts_with(name));
            locks || instruction.mnemonic.contains("div")
        });
        assert!(slow.is_none(), "{name}: {slow:?} in\n{function}");
        assert!(!function.has_loop(), "{name}:\n{function}");
    }
}

/// The object's size, and that it is not large, is nowhere looked up: the header's address is all that is left of its `Info`.
#[test]
fn a_constant_shape_folds_to_an_address() {
    let Some(assembly) = assembly() else { return };
    for (name, info) in [("raw_alloc_const", "CONS"), ("typed_alloc", "INFO"), ("reserved_alloc", "INFO")] {
        let path = fast_path(probe(assembly, name));
        let of_info = |instruction: &&&Instruction| instruction.operands.contains(info);
        assert_eq!(path.iter().filter(of_info).count(), 1, "{name}: {path:#?}");
        let large = |instruction: &&Instruction| {
            instruction.operands.contains("$1024") || instruction.operands.contains("$1023")
        };
        assert!(!path.iter().any(large), "{name}: {path:#?}");
    }
}
