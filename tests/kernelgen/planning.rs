//! What becomes one loop, and what a temporary.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use crate::generator::graph::{Id, Node};
use crate::generator::interpret::{Scalar, Value, interpret, reduce};
use crate::generator::language::Element;
use crate::generator::plan::{Array, Loop, Plan};
use crate::generator::run::is_same;
use crate::programs::{Random, Sample, planned, program, samples};

fn assert_plan(text: &str, expected: &str) {
    let plan = planned(text, Element::F32).to_string();
    let expected: String =
        expected.trim().lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    assert_eq!(plan, expected, "{text}:\n{plan}");
}

#[test]
fn a_pipeline_is_one_loop() {
    assert_plan(
        "sum (map (*2) (zipWith (+) xs ys))",
        "
    loop 0 over the shortest of xs, ys
      reads xs, ys
      result = sum (map (*2) (zipWith (+) xs ys))",
    );
}

#[test]
fn reductions_and_results_of_one_length_share_a_loop() {
    assert_plan(
        "s = sum xs; m = maximum doubled; doubled = map (*2) xs; n = minimum doubled; out = map abs doubled",
        "
    loop 0 over xs
      reads xs
      writes out = map abs doubled
      s = sum xs
      m = maximum doubled
      n = minimum doubled",
    );
}

#[test]
fn equal_expressions_are_computed_once() {
    let plan = planned("a = sum (map (*2) xs); b = maximum (map (*2) xs); c = sum (map (*2) xs)", Element::I64);
    assert_eq!(plan.loops.len(), 1);
    assert_eq!((plan.loops[0].steps.len(), plan.loops[0].folds.len()), (1, 2));
}

#[test]
fn a_scalar_of_a_loop_is_a_barrier_and_what_is_cheap_is_computed_on_both_sides() {
    assert_plan(
        "m = maximum xs; ys = map (subtract m) xs; s = sum ys; out = map (/s) ys",
        "
    loop 0 over xs
      reads xs
      m = maximum xs
    loop 1 over xs
      reads xs
      s = sum ys
    loop 2 over xs
      reads xs
      writes out = map (/s) ys",
    );
}

#[test]
fn what_is_dear_is_stored_by_the_first_loop_and_read_by_those_after_it() {
    assert_plan(
        "r = map sqrt xs; m = maximum r; s = sum (map (subtract m) r); out = map (/s) r",
        "
    loop 0 over xs
      reads xs
      writes r = map sqrt xs to the arena
      m = maximum r
    loop 1 over xs
      reads r
      s = sum (map (subtract m) r)
    loop 2 over xs
      reads r
      writes out = map (/s) r",
    );
}

#[test]
fn the_rule_for_temporaries_counts_reads_writes_and_operations() {
    let temporaries = |text: &str| planned(text, Element::F32).temporaries.len();
    // Computed once more: a read and up to four operations, or two reads and two, are no dearer than a temporary.
    let again = |array: &str| temporaries(&format!("r = {array}; m = maximum r; sum (map (*m) r)"));
    assert_eq!(again("map (*2) xs"), 0);
    assert_eq!(again("map (+1) (map (*2) (map (+3) (map (*4) xs)))"), 0);
    assert_eq!(again("map (+1) (map (*2) (map (+3) (map (*4) (map (+5) xs))))"), 1);
    assert_eq!(again("map abs (zipWith (+) xs ys)"), 0);
    assert_eq!(again("map (*3) (map abs (zipWith (+) xs ys))"), 1);
    assert_eq!(again("zipWith (*) zs (zipWith (+) xs ys)"), 1);
    assert_eq!(again("map (/3) xs"), 1);
    // Twice more: less may be computed again.
    let twice =
        |array: &str| temporaries(&format!("r = {array}; m = maximum r; s = sum (map (*m) r); sum (map (*s) r)"));
    assert_eq!(twice("map (+1) (map (*2) xs)"), 0);
    assert_eq!(twice("map (+3) (map (+1) (map (*2) xs))"), 1);
}

#[test]
fn a_result_that_is_needed_again_is_read_from_where_it_was_written() {
    assert_plan(
        "a = map (*2) xs; m = maximum a; b = map (/m) a; both = a",
        "
    loop 0 over xs
      reads xs
      writes both = map (*2) xs
      m = maximum a
    loop 1 over xs
      reads both
      writes b = map (/m) a",
    );
}

#[test]
fn lengths_are_those_of_the_same_inputs_and_a_temporary_has_all_its_length() {
    // `r` is as long as xs: the loop over fewer elements does not store it, the first of its own length does.
    assert_plan(
        "r = map sqrt xs; p = sum (zipWith (*) r ys); m = maximum (map (*p) r); out = map (/m) r",
        "
    loop 0 over the shortest of xs, ys
      reads xs, ys
      p = sum (zipWith (*) r ys)
    loop 1 over xs
      reads xs
      writes r = map sqrt xs to the arena
      m = maximum (map (*p) r)
    loop 2 over xs
      reads r
      writes out = map (/m) r",
    );
}

#[test]
fn a_loop_waits_for_what_can_join_it() {
    // The sum over xs could run first, alone; after the loop over ys there is one loop over xs.
    assert_plan(
        "s = sum xs; m = maximum ys; t = sum (map (*m) xs)",
        "
    loop 0 over ys
      reads ys
      m = maximum ys
    loop 1 over xs
      reads xs
      s = sum xs
      t = sum (map (*m) xs)",
    );
    // If each waits for the other, one has to begin.
    let plan = planned("s = sum xs; m = maximum ys; t = sum (map (*m) xs); minimum (map (+s) ys)", Element::F32);
    assert_eq!(plan.loops.len(), 3);
}

#[test]
fn copies_and_numbers_are_results_too() {
    assert_plan(
        "copy = xs; again = copy2; copy2 = xs; two = 2",
        "
    loop 0 over xs
      reads xs
      writes copy = xs
      writes again = xs",
    );
    assert!(planned("two = 2", Element::F64).loops.is_empty());
}

/// Executes a plan loop by loop, as the emitted code does, and checks its invariants on the way.
fn execute<T: Scalar>(plan: &Plan, inputs: &[&[T]]) -> Vec<Value<T>> {
    let mut arrays: BTreeMap<Array, Vec<T>> =
        inputs.iter().enumerate().map(|(at, input)| (Array::Input(at), input.to_vec())).collect();
    let mut scalars: HashMap<Id, T> = HashMap::new();
    for this in &plan.loops {
        let len = this.length.iter().map(|input| inputs[*input].len()).min().expect("an input");
        for (_, array) in &this.reads {
            assert!(arrays[array].len() >= len, "P1: {array:?} is too short\n{plan}");
        }
        for (_, array) in &this.writes {
            assert_eq!(plan.length_of(*array), this.length, "P3\n{plan}");
        }
        for scalar in &this.scalars {
            assert!(scalars.contains_key(scalar), "P2: {scalar}\n{plan}");
        }
        let mut folded: Vec<Vec<T>> = vec![Vec::new(); this.folds.len()];
        let mut written: Vec<Vec<T>> = vec![Vec::new(); this.writes.len()];
        for at in 0..len {
            let values = element(plan, this, at, &arrays, &scalars);
            for ((id, _), written) in this.writes.iter().zip(&mut written) {
                written.push(values[id]);
            }
            for (fold, folded) in this.folds.iter().zip(&mut folded) {
                folded.extend(plan.graph.operands(*fold).map(|operand| values[&operand]));
            }
        }
        for ((_, array), written) in this.writes.iter().zip(written) {
            assert!(arrays.insert(*array, written).is_none(), "{array:?} is written twice\n{plan}");
        }
        for (fold, folded) in this.folds.iter().zip(folded) {
            let Node::Fold(kind, _) = plan.graph.nodes[*fold] else { panic!("{fold} is no reduction\n{plan}") };
            assert!(scalars.insert(*fold, reduce(kind, &folded)).is_none(), "{fold} is reduced twice\n{plan}");
        }
    }
    let outputs = plan.graph.outputs.iter().enumerate();
    outputs
        .map(|(at, output)| match plan.graph.nodes[output.node] {
            _ if plan.graph.is_array(output.node) => Value::Array(arrays[&Array::Output(at)].clone()),
            Node::Number(number) => Value::Scalar(T::number(number)),
            _ => Value::Scalar(scalars[&output.node]),
        })
        .collect()
}

/// What a loop has for one index.
fn element<T: Scalar>(
    plan: &Plan,
    this: &Loop,
    at: usize,
    arrays: &BTreeMap<Array, Vec<T>>,
    scalars: &HashMap<Id, T>,
) -> HashMap<Id, T> {
    let mut values: HashMap<Id, T> = this.reads.iter().map(|(id, array)| (*id, arrays[array][at])).collect();
    for id in &this.scalars {
        values.insert(*id, scalars[id]);
    }
    let operand = |values: &HashMap<Id, T>, id: Id| match plan.graph.nodes[id] {
        Node::Number(number) => T::number(number),
        _ => *values.get(&id).unwrap_or_else(|| panic!("{id} is not there yet\n{plan}")),
    };
    for step in &this.steps {
        let value = match plan.graph.nodes[*step] {
            Node::Unary(operation, x) => T::unary(operation, operand(&values, x)),
            Node::Binary(operation, x, y) => T::binary(operation, operand(&values, x), operand(&values, y)),
            _ => panic!("{step} is no operation\n{plan}"),
        };
        values.insert(*step, value);
    }
    values
}

fn check<T: Sample>(seed: u64) {
    let text = program(seed, T::ELEMENT);
    let plan = planned(&text, T::ELEMENT);
    let mut random = Random(seed ^ 1);
    let inputs: Vec<Vec<T>> = plan.graph.inputs.iter().map(|_| samples(random.next(), random.below(200))).collect();
    let inputs: Vec<&[T]> = inputs.iter().map(Vec::as_slice).collect();
    let (found, expected) = (execute(&plan, &inputs), interpret(&plan.graph, &inputs));
    let elements = |value: &Value<T>| match value {
        Value::Scalar(value) => vec![*value],
        Value::Array(values) => values.clone(),
    };
    for (found, expected) in found.iter().map(elements).zip(expected.iter().map(elements)) {
        let same = found.len() == expected.len() && found.iter().zip(&expected).all(|(x, y)| is_same(*x, *y));
        assert!(same, "{text}\n{plan}\n{found:?}\n{expected:?}");
    }
    // Nothing is left over that could have shared a loop: with one length, each loop needs the one before it.
    if plan.graph.inputs.len() == 1 {
        for (this, next) in plan.loops.iter().zip(plan.loops.iter().skip(1)) {
            assert!(next.scalars.iter().any(|scalar| this.folds.contains(scalar)), "{text}\n{plan}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn executed_loop_by_loop_a_plan_computes_what_the_program_means(seed: u64) {
        check::<f32>(seed);
        check::<f64>(seed);
        check::<i32>(seed);
        check::<i64>(seed);
    }
}
