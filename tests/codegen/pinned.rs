//! The hot paths of the Pinned Heap: how long they are, and that they call nothing, lock nothing and divide nothing.
//!
//! # Note: one call that is none
//! Where a thread's cache is stands in a thread-local. The probe is a library, in which that is a call of `__tls_get_addr`; the
//! linker makes two moves of it when it makes an executable (from general dynamic to local exec), and only in a shared
//! library it stays. So it is not taken for a call here, and counts as the two instructions that it becomes.

use super::{Assembly, Function, Instruction, assembly};

/// A function of tests/codegen/src/pinned.rs.
fn probe<'a>(assembly: &'a Assembly, name: &str) -> &'a Function {
    let path = format!("6pinned{}{name}", name.len());
    assembly.find(name, |symbol| symbol.contains(&path))
}

fn finds_thread_local(instruction: &Instruction) -> bool {
    instruction.is_call() && instruction.operands.starts_with("__tls_get_addr")
}

fn calls(instruction: &Instruction) -> bool {
    instruction.is_call() && !finds_thread_local(instruction)
}

/// What pads the call of `__tls_get_addr` so that the linker has room, and what saves registers: paid once where the path is
/// inlined in a loop, and not at all where the call is no call.
fn is_frame(instruction: &Instruction) -> bool {
    let pads = ["data16", "rex64"].contains(&instruction.mnemonic.as_str());
    let saves = instruction.mnemonic.starts_with("push") || instruction.mnemonic.starts_with("pop");
    pads || saves || instruction.destination() == "%rsp"
}

/// What runs where nothing is rare: the shortest way from the entry through the thread's cache to the return that calls nothing.
fn fast_path(function: &Function) -> Vec<&Instruction> {
    let entry = function.path(0, |_, instruction| finds_thread_local(instruction), calls);
    let mut path = entry.unwrap_or_else(|| panic!("it finds no cache:\n{function}"));
    let found = function.instructions.iter().position(finds_thread_local).unwrap_or_default();
    let returns = |_, instruction: &Instruction| instruction.mnemonic.starts_with("ret");
    let rest = function.path(found + 1, returns, calls);
    path.extend(rest.unwrap_or_else(|| panic!("it always calls something:\n{function}")));
    path.retain(|instruction| !is_frame(instruction));
    path
}

fn stores(instruction: &&&Instruction) -> bool {
    let compares = instruction.mnemonic.starts_with("cmp") || instruction.mnemonic.starts_with("test");
    instruction.touches_data() && instruction.destination().contains('(') && !compares
}

/// The probes, the instructions of their fast paths, and how many of these store something.
const PATHS: [(&str, usize, usize); 8] = [
    // The slot, the heap's id in it, the cache; the block below the top, and whether it is one; the top, the counts, the level.
    ("alloc_const", 28, 3),
    ("alloc_aligned_const", 28, 3),
    // The slot, the id, the cache; the top, and whether that is the end; the block, the top, the level.
    ("dealloc_const", 21, 3),
    ("dealloc_aligned_const", 21, 3),
    // The class in a table.
    ("alloc_any", 45, 3),
    ("dealloc_any", 39, 3),
    ("alloc_by_trait", 32, 5),
    // Twice that and the value, but the slot once.
    ("pair", 47, 7),
];

#[test]
fn an_allocation_and_a_free_are_short_and_call_nothing() {
    let Some(assembly) = assembly() else { return };
    for (name, length, stored) in PATHS {
        let function = probe(assembly, name);
        let path = fast_path(function);
        assert!(path.len() <= length, "{name}: {} instructions: {path:#?}\n{function}", path.len());
        assert_eq!(path.iter().filter(stores).count(), stored, "{name}: {path:#?}\n{function}");
        assert!(!function.has_loop(), "{name}:\n{function}");
    }
}

#[test]
fn nothing_is_locked_and_nothing_is_divided() {
    let Some(assembly) = assembly() else { return };
    for name in PATHS.map(|(name, ..)| name).into_iter().chain(["drop_buffer"]) {
        let function = probe(assembly, name);
        let slow = function.instructions.iter().find(|instruction| {
            let locks = ["lock", "xchg", "mfence"].iter().any(|name| instruction.mnemonic.starts_with(name));
            locks || instruction.mnemonic.contains("div")
        });
        assert!(slow.is_none(), "{name}: {slow:?} in\n{function}");
    }
}

/// Such an instruction waits for the one before it on the same word.
#[test]
fn counters_are_loaded_added_to_and_stored_one_by_one() {
    let Some(assembly) = assembly() else { return };
    for name in PATHS.map(|(name, ..)| name) {
        let function = probe(assembly, name);
        let path = fast_path(function);
        let moves = |instruction: &Instruction| instruction.mnemonic.starts_with("mov");
        let fused: Vec<_> = path.iter().filter(stores).filter(|instruction| !moves(instruction)).collect();
        assert!(fused.is_empty(), "{name}: {fused:?} in\n{function}");
        assert!(!path.iter().any(|instruction| instruction.operands.contains("%xmm")), "{name}:\n{function}");
    }
}

/// Neither the table of classes nor arithmetic is left of a layout that is known.
#[test]
fn a_constant_layout_folds_to_its_class() {
    let Some(assembly) = assembly() else { return };
    for name in ["alloc_const", "alloc_aligned_const", "dealloc_const", "dealloc_aligned_const", "pair"] {
        let function = probe(assembly, name);
        let computes = ["movz", "sh", "sar", "and", "or", "neg", "mul", "lzcnt", "bsr"];
        let computed = fast_path(function)
            .into_iter()
            .find(|instruction| computes.iter().any(|name| instruction.mnemonic.starts_with(name)));
        assert!(computed.is_none_or(|instruction| name == "pair" && instruction.mnemonic == "movzbl"), "{function}");
    }
    // The same code for all of them, but for numbers.
    let paths = ["alloc_const", "alloc_aligned_const"].map(|name| {
        let path = fast_path(probe(assembly, name));
        path.iter().map(|instruction| instruction.mnemonic.clone()).collect::<Vec<_>>()
    });
    assert_eq!(paths[0], paths[1]);
}

#[test]
fn a_pair_finds_the_threads_cache_once() {
    let Some(assembly) = assembly() else { return };
    let function = probe(assembly, "pair");
    assert_eq!(function.instructions.iter().filter(|one| finds_thread_local(one)).count(), 1, "{function}");
}
