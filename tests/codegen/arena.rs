//! The hot paths of the Hot Arena: how long they are, and that the cursor of a scope is in a register.
//!
//! Speed and instruction counts against other arenas are in benches/. Here it is the traps: a cursor that is written back to
//! memory because something took its address or may unwind, an align step for an alignment that the arena has anyway, two
//! counters that LLVM adds to with one 16-byte instruction, a copy where a block could grow where it is.

use super::{Assembly, Function, Instruction, assembly};

/// A function of tests/codegen/src/arena.rs.
fn probe<'a>(assembly: &'a Assembly, name: &str) -> &'a Function {
    let path = format!("5arena{}{name}", name.len());
    assembly.find(name, |symbol| symbol.contains(&path))
}

/// Whether it saves or restores a register for the caller: paid once where the path is inlined in a loop.
fn is_save(instruction: &Instruction) -> bool {
    let moves_stack = instruction.destination() == "%rsp";
    instruction.mnemonic.starts_with("push") || instruction.mnemonic.starts_with("pop") || moves_stack
}

/// What runs where nothing is rare: the shortest way from the entry past a store to the return that calls nothing, without the
/// saving of registers. (The ways that store nothing are those of requests for nothing, or for too much.)
fn fast_path(function: &Function) -> Vec<&Instruction> {
    let paths = (0..function.instructions.len()).filter(|at| stores(&function.instructions[*at])).filter_map(|store| {
        let mut path = function.path(0, |at, _| at == store, Instruction::is_call)?;
        let returns = |_, instruction: &Instruction| instruction.mnemonic.starts_with("ret");
        path.extend(&function.path(store, returns, Instruction::is_call)?[1..]);
        Some(path)
    });
    let path = paths.min_by_key(Vec::len).unwrap_or_else(|| panic!("it always calls something:\n{function}"));
    path.into_iter().filter(|instruction| !is_save(instruction)).collect()
}

/// The shortest loop that stores something and calls nothing.
fn hot_loop(function: &Function) -> Vec<&Instruction> {
    let loops = (0..function.instructions.len()).filter(|at| stores(&function.instructions[*at])).filter_map(|at| {
        function
            .successors(at)
            .filter_map(|next| function.path(next, |index, _| index == at, Instruction::is_call))
            .min_by_key(Vec::len)
    });
    loops.min_by_key(Vec::len).unwrap_or_else(|| panic!("no loop stores anything:\n{function}"))
}

fn stores(instruction: &Instruction) -> bool {
    let compares = instruction.mnemonic.starts_with("cmp") || instruction.mnemonic.starts_with("test");
    instruction.touches_data() && instruction.destination().contains('(') && !compares
}

fn count(path: &[&Instruction], what: impl Fn(&Instruction) -> bool) -> usize {
    path.iter().filter(|instruction| what(instruction)).count()
}

fn uses_stack(instruction: &Instruction) -> bool {
    instruction.operands.contains("(%rsp)")
}

fn aligns(instruction: &Instruction) -> bool {
    ["and", "or", "neg", "shr", "shl"].iter().any(|name| instruction.mnemonic.starts_with(name))
}

#[test]
fn a_value_outside_scopes_costs_eight_instructions() {
    let Some(assembly) = assembly() else { return };
    for name in ["alloc_word", "try_alloc_word"] {
        let function = probe(assembly, name);
        let path = fast_path(function);
        // Load, add, compare, jump, store the cursor, count, store the value, return.
        assert!(path.len() <= 8, "{name}: {} instructions:\n{function}", path.len());
        assert_eq!(count(&path, stores), 3, "{name}:\n{function}");
    }
    // A scope that was handed on is in memory as an arena is, and keeps its sum of bytes there too.
    let function = probe(assembly, "alloc_in");
    let path = fast_path(function);
    assert!(path.len() <= 11, "{} instructions:\n{function}", path.len());
    assert_eq!(count(&path, stores), 4, "{function}");
}

#[test]
fn vectors_in_an_arena_of_vectors_cost_seven_instructions() {
    let Some(assembly) = assembly() else { return };
    let function = probe(assembly, "alloc_vectors");
    let path = fast_path(function);
    assert!(path.len() <= 7, "{} instructions:\n{function}", path.len());
    assert_eq!(count(&path, stores), 2, "cursor and count:\n{function}");
    // The trait's answer goes through memory; that is all it adds.
    let function = probe(assembly, "alloc_vectors_by_trait");
    let path = fast_path(function);
    assert!(path.len() <= 10, "{} instructions:\n{function}", path.len());
}

#[test]
fn an_alignment_that_the_arena_has_anyway_costs_no_step() {
    let Some(assembly) = assembly() else { return };
    for name in ["alloc_byte", "alloc_word", "alloc_vectors", "alloc_vectors_by_trait"] {
        let function = probe(assembly, name);
        assert_eq!(count(&fast_path(function), aligns), 0, "{name}:\n{function}");
    }
    let function = probe(assembly, "alloc_vectors_among_words");
    let path = fast_path(function);
    let aligned: Vec<_> = path.iter().filter(|instruction| aligns(instruction)).collect();
    assert!(matches!(aligned[..], [or] if or.operands.starts_with("$63,")), "one step it is:\n{function}");
    assert!(path.len() <= 15, "{} instructions:\n{function}", path.len());
}

#[test]
fn counters_are_added_to_one_by_one_and_without_a_branch() {
    let Some(assembly) = assembly() else { return };
    for name in ["alloc_byte", "alloc_vectors_among_words", "alloc_any"] {
        let function = probe(assembly, name);
        let path = fast_path(function);
        let vector = path.iter().find(|instruction| instruction.operands.contains("%xmm"));
        assert!(vector.is_none(), "{name}: {vector:?} in\n{function}");
        // Whether there is room; where the layout is of run time, also whether it asks for anything.
        let branches = if name == "alloc_any" { 2 } else { 1 };
        assert_eq!(count(&path, Instruction::is_branch), branches, "{name}:\n{function}");
    }
    let function = probe(assembly, "alloc_any");
    let path = fast_path(function);
    assert!(path.len() <= 21, "{} instructions:\n{function}", path.len());
}

#[test]
fn a_value_without_bytes_is_no_request() {
    let Some(assembly) = assembly() else { return };
    let function = probe(assembly, "alloc_nothing");
    let returned: Vec<&str> = function.instructions.iter().map(|instruction| instruction.mnemonic.as_str()).collect();
    assert!(matches!(returned[..], ["movl" | "movq", "retq"]), "more than an address:\n{function}");
}

#[test]
fn in_a_scope_the_cursor_is_in_a_register() {
    let Some(assembly) = assembly() else { return };
    // The instructions of a round, and its accesses to memory: all of the body's own. What is stored is the value.
    let loops = [
        ("words_in_scope", 9, 1),
        ("words_in_inner_scope", 9, 1),
        // A bounds check that may panic: the index, the element, the value.
        ("checked_words_in_scope", 13, 3),
        // Size and alignment, and a byte that is written.
        ("layouts_in_scope", 22, 3),
    ];
    for (name, length, accesses) in loops {
        let function = probe(assembly, name);
        let round = hot_loop(function);
        assert!(round.len() <= length, "{name}: {} instructions a round: {round:#?}", round.len());
        assert_eq!(count(&round, stores), 1, "{name}: {round:#?}");
        assert_eq!(count(&round, Instruction::touches_data), accesses, "{name}: {round:#?}");
        assert_eq!(count(&round, uses_stack), 0, "{name} spills: {round:#?}");
    }
}

#[test]
fn opening_and_closing_a_scope_costs_as_much_as_five_values() {
    let Some(assembly) = assembly() else { return };
    let function = probe(assembly, "scope_of_eight");
    let path = fast_path(function);
    assert_eq!(count(&path, uses_stack), 0, "it spills:\n{function}");
    // Eight values; the arena's limit set and restored; count and bytes. A new peak would be one more.
    assert_eq!(count(&path, stores), 8 + 2 + 2, "{function}");
    assert!(path.len() <= 8 * 6 + 5 * 6, "{} instructions:\n{function}", path.len());
    // On top of a scope, which is in registers itself, there is no limit in memory.
    let round = hot_loop(probe(assembly, "scope_for_each"));
    assert_eq!(count(&round, stores), 1 + 2, "{round:#?}");
    assert_eq!(count(&round, uses_stack), 0, "it spills: {round:#?}");
    assert!(round.len() <= 6 * 5, "{} instructions: {round:#?}", round.len());
}

#[test]
fn the_last_block_grows_where_it_is() {
    let Some(assembly) = assembly() else { return };
    for name in ["grow", "grow_in"] {
        let function = probe(assembly, name);
        // The copy is behind a call, and this is a way past all calls. Three of them make the pointer from the cursor and not
        // from the caller's, which may not reach as far.
        let path = fast_path(function);
        assert!(path.len() <= 39, "{name}: {} instructions:\n{function}", path.len());
        assert!(!function.has_loop(), "{name} copies by itself:\n{function}");
    }
}
