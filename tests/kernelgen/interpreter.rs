//! What programs mean: each operation at each type, and the order of sums.

use proptest::prelude::*;

use crate::generator::interpret::{Scalar, Value, interpret, reduce};
use crate::generator::language::{Element, Fold};
use crate::programs::{planned, samples};

/// The only output of a program.
fn output<T: Scalar>(text: &str, inputs: &[&[T]]) -> Value<T> {
    let plan = planned(text, T::ELEMENT);
    let mut outputs = interpret(&plan.graph, inputs);
    assert_eq!(outputs.len(), 1, "{text}");
    outputs.remove(0)
}

fn array<T: Scalar>(text: &str, inputs: &[&[T]]) -> Vec<T> {
    match output(text, inputs) {
        Value::Array(elements) => elements,
        other => panic!("{text}: {other:?}"),
    }
}

fn scalar<T: Scalar>(text: &str, inputs: &[&[T]]) -> T {
    match output(text, inputs) {
        Value::Scalar(value) => value,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_operation_is_that_of_haskell() {
    let xs = [4.0f32, -9.0, 0.25];
    for (text, expected) in [
        ("map (+1) xs", [5.0, -8.0, 1.25]),
        ("map (1-) xs", [-3.0, 10.0, 0.75]),
        ("map (subtract 1) xs", [3.0, -10.0, -0.75]),
        ("map (*2) xs", [8.0, -18.0, 0.5]),
        ("map (/2) xs", [2.0, -4.5, 0.125]),
        ("map (1/) xs", [0.25, 1.0 / -9.0, 4.0]),
        ("map (max 1) xs", [4.0, 1.0, 1.0]),
        ("map (min 1) xs", [1.0, -9.0, 0.25]),
        ("map negate xs", [-4.0, 9.0, -0.25]),
        ("map abs xs", [4.0, 9.0, 0.25]),
        ("map sqrt (map abs xs)", [2.0, 3.0, 0.5]),
        ("zipWith (-) xs (map (+1) xs)", [-1.0, -1.0, -1.0]),
        ("zipWith max xs (map negate xs)", [4.0, 9.0, 0.25]),
        ("zipWith min xs (map negate xs)", [-4.0, -9.0, -0.25]),
        ("zipWith (/) xs xs", [1.0, 1.0, 1.0]),
    ] {
        assert_eq!(array(text, &[&xs]), expected, "{text}");
        let wide = array(text, &[&xs.map(f64::from)]);
        assert!(wide.iter().zip(expected).all(|(x, y)| *x as f32 == y), "{text}: {wide:?}");
    }
    assert_eq!(scalar("sum xs", &[&xs]), -4.75);
    assert_eq!(scalar("maximum xs", &[&xs]), 4.0);
    assert_eq!(scalar("minimum xs", &[&xs]), -9.0);
    assert_eq!(scalar::<f32>("x = 0.1", &[]), 0.1);
}

#[test]
fn integers_wrap_around() {
    let xs = [i32::MAX, i32::MIN, -1];
    assert_eq!(array("map (+1) xs", &[&xs]), [i32::MIN, i32::MIN + 1, 0]);
    assert_eq!(array("map (*2) xs", &[&xs]), [-2, 0, -2]);
    assert_eq!(array("map negate xs", &[&xs]), [-i32::MAX, i32::MIN, 1]);
    assert_eq!(array("map abs xs", &[&xs]), [i32::MAX, i32::MIN, 1]);
    assert_eq!(scalar("sum xs", &[&xs]), -2);
    assert_eq!(scalar("sum (map (*4611686018427387904) xs)", &[&[3i64, 3]]), i64::MIN);
}

#[test]
fn the_shorter_array_decides_and_reductions_of_nothing_are_neutral() {
    assert_eq!(array("zipWith (+) xs ys", &[&[1, 2, 3], &[10i64, 20]]), [11, 22]);
    assert!(array::<i32>("zipWith (+) xs ys", &[&[1, 2, 3], &[]]).is_empty());
    assert_eq!(scalar::<f64>("sum xs", &[&[]]), 0.0);
    assert_eq!(scalar::<f64>("maximum xs", &[&[]]), f64::NEG_INFINITY);
    assert_eq!(scalar::<f64>("minimum xs", &[&[]]), f64::INFINITY);
    assert_eq!(scalar::<i32>("maximum xs", &[&[]]), i32::MIN);
    assert_eq!(scalar::<i64>("minimum xs", &[&[]]), i64::MAX);
}

#[test]
fn reductions_to_an_extreme_pass_over_nan() {
    let mut xs: Vec<f32> = samples(1, 300);
    xs[100] = 5.0;
    xs[200] = -5.0;
    for at in [0, 63, 64, 101, 299] {
        xs[at] = f32::NAN;
    }
    assert_eq!((scalar("maximum xs", &[&xs]), scalar("minimum xs", &[&xs])), (5.0, -5.0));
    assert_eq!(scalar("maximum xs", &[&[f32::NAN; 70]]), f32::NEG_INFINITY);
    // Of two operands the second, unless the first is greater.
    assert!(scalar("sum (map (max 1) xs)", &[&[f32::NAN]]).is_nan());
    assert_eq!(scalar("sum (zipWith max xs ys)", &[&[f32::NAN], &[1.0]]), 1.0);
}

#[test]
fn numbers_are_rounded_once() {
    // Between two f32s, and an f64 rounds to the middle of them: rounded twice it would be the even one.
    let text = "map (+1.000000059604644775390625000000000000000000000000001) xs";
    assert_eq!(array(text, &[&[0.0f32]]), [1.000_000_1]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The emitted code gives the same bits as [`reduce`], so what holds for this holds for that.
    #[test]
    fn sums_of_floats_are_within_the_bound_of_any_order(seed: u64, len in 0usize..3000) {
        let xs: Vec<f32> = samples(seed, len);
        // Exact: multiples of 2^-10, and small.
        let exact: f64 = xs.iter().map(|x| f64::from(*x)).sum();
        let magnitude: f64 = xs.iter().map(|x| f64::from(x.abs())).sum();
        let bound = len as f64 * f64::from(f32::EPSILON) * magnitude;
        let thirds: Vec<f32> = xs.iter().map(|x| x / 3.0).collect();
        let exact_thirds: f64 = thirds.iter().map(|x| f64::from(*x)).sum();
        prop_assert!((f64::from(reduce(Fold::Sum, &xs)) - exact).abs() <= bound);
        prop_assert!((f64::from(reduce(Fold::Sum, &thirds)) - exact_thirds).abs() <= bound);
    }

    #[test]
    fn extremes_and_sums_of_integers_do_not_depend_on_the_order(seed: u64, len in 0usize..300) {
        let xs: Vec<i64> = samples(seed, len);
        prop_assert_eq!(reduce(Fold::Sum, &xs), xs.iter().fold(0, |sum, x| i64::wrapping_add(sum, *x)));
        prop_assert_eq!(reduce(Fold::Maximum, &xs), xs.iter().copied().max().unwrap_or(i64::MIN));
        prop_assert_eq!(reduce(Fold::Minimum, &xs), xs.iter().copied().min().unwrap_or(i64::MAX));
    }
}

#[test]
fn a_program_of_another_type_is_not_interpreted() {
    let plan = planned("sum xs", Element::F32);
    assert!(std::panic::catch_unwind(|| interpret(&plan.graph, &[&[1.0f64]])).is_err());
}
