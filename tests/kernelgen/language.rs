//! What is grammatical, and what is said about the rest.

use proptest::prelude::*;

use crate::generator::language::{
    Binary, Element, ExpressionKind, Fold, Function, MAX_ARRAYS, MAX_EXPRESSIONS, MAX_NESTING, Problem, Unary, parse,
};
use crate::generator::plan::plan;
use crate::programs::planned;

/// What is wrong with a program of `f32`s.
fn refusal(text: &str) -> (Problem, usize, usize) {
    refusal_as(text, Element::F32)
}

fn refusal_as(text: &str, element: Element) -> (Problem, usize, usize) {
    match parse(text).and_then(|program| plan(&program, element)) {
        Ok(plan) => panic!("{text:?} was understood as\n{plan}"),
        Err(error) => (error.problem, error.line, error.column),
    }
}

fn expected(what: &'static str, found: &str) -> Problem {
    Problem::Expected { what, found: found.to_owned() }
}

#[test]
fn every_section_means_what_it_does_in_haskell() {
    let function =
        |text: &str| match parse(&format!("map {text} xs")).map(|program| program.statements[0].body.kind.clone()) {
            Ok(ExpressionKind::Map(function, _)) => match function {
                Function::Unary(operation) => operation.name().to_owned(),
                Function::Right(operation, _) => format!("x {} s", operation.name()),
                Function::Left(_, operation) => format!("s {} x", operation.name()),
            },
            other => panic!("{text}: {other:?}"),
        };
    for (text, meaning) in [
        ("(+1)", "x + s"),
        ("(1+)", "s + x"),
        ("(2-)", "s - x"),
        ("(subtract 2)", "x - s"),
        ("(*s)", "x * s"),
        ("(s*)", "s * x"),
        ("(/s)", "x / s"),
        ("(1/)", "s / x"),
        ("(max 0)", "s max x"),
        ("(min (-1.5e3))", "s min x"),
        ("((maximum ys)-)", "s - x"),
        ("(/(sum ys))", "x / s"),
        ("negate", "negate"),
        ("abs", "abs"),
        ("(sqrt)", "sqrt"),
    ] {
        assert_eq!(function(text), meaning, "{text}");
    }
}

#[test]
fn statements_end_at_semicolons_and_lines_but_not_within_parentheses() {
    let text =
        "-- the mean\ns = sum\u{a0}(map\n  (*2) -- doubled\n xs);;\n\n  ys = zipWith (+) xs\txs;\nmap (/s) ys -- end";
    let program = parse(text).expect("a program");
    let names: Vec<Option<&str>> = program.statements.iter().map(|statement| statement.name.as_deref()).collect();
    assert_eq!(names, [Some("s"), Some("ys"), None]);
    assert!(matches!(program.statements[0].body.kind, ExpressionKind::Fold(Fold::Sum, _)));
    assert!(matches!(program.statements[1].body.kind, ExpressionKind::ZipWith(Binary::Add, ..)));
    assert!(matches!(program.statements[2].body.kind, ExpressionKind::Map(Function::Right(Binary::Divide, _), _)));
}

#[test]
fn names_are_those_of_haskell() {
    let program = parse("x'_1Y = map negate xs'").expect("a program");
    assert_eq!(program.statements[0].name.as_deref(), Some("x'_1Y"));
    assert!(matches!(&program.statements[0].body.kind, ExpressionKind::Map(Function::Unary(Unary::Negate), _)));
    assert_eq!(refusal("Xs"), (Problem::Character('X'), 1, 1));
    assert_eq!(refusal("_x = sum xs"), (Problem::Character('_'), 1, 1));
    assert_eq!(refusal(&format!("sum {}", "x".repeat(33))), (Problem::NameTooLong, 1, 5));
}

#[test]
fn definitions_stand_in_any_order_and_what_is_not_defined_is_an_input() {
    let plan = planned("out = map (/s) ys; s = sum ys; ys = zipWith (*) b a", Element::F64);
    assert_eq!(plan.graph.inputs, ["b", "a"]);
    let outputs: Vec<&str> = plan.graph.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["out"]);
    let plan = planned("t = sum a; u = maximum a; v = map (+t) a; minimum v", Element::I32);
    let outputs: Vec<&str> = plan.graph.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["u", "result"], "what no other definition uses, and the bare expression");
}

#[test]
fn what_is_not_grammatical_is_refused_with_its_place() {
    for (text, problem, line, column) in [
        ("", Problem::Empty, 1, 1),
        (" ;\n-- nothing\n", Problem::Empty, 1, 1),
        ("sum", expected("an array", "the end"), 1, 4),
        ("sum xs ys", expected("the end of the statement", "`ys`"), 1, 8),
        ("sum xs)", expected("the end of the statement", "`)`"), 1, 7),
        ("sum (map (*2) xs", expected("`)`", "the end"), 1, 17),
        ("a = sum xs\nb = map (*) xs", expected("a scalar", "`)`"), 2, 11),
        ("map (2) xs", expected("an operator", "`)`"), 1, 7),
        ("map () xs", expected("a section such as `(*2)`", "`)`"), 1, 6),
        ("map 2 xs", expected("a function such as `(*2)` or `negate`", "2"), 1, 5),
        ("map (*2)", expected("an array", "the end"), 1, 9),
        ("x =", expected("an expression", "the end"), 1, 4),
        ("x =\nsum xs", expected("an expression", "the end of the statement"), 1, 4),
        ("1 = xs", expected("the end of the statement", "`=`"), 1, 3),
        ("-xs", expected("a number after `-`", "`xs`"), 1, 2),
        ("sum xs + 1", Problem::OperatorBetweenExpressions('+'), 1, 8),
        ("zipWith + xs ys", expected("an operator: `(+)`, `(-)`, `(*)`, `(/)`, `max` or `min`", "`+`"), 1, 9),
        ("zipWith (max) xs ys", expected("an operator: `(+)`, `(-)`, `(*)`, `(/)`, `max` or `min`", "`(`"), 1, 9),
        ("zipWith (+) xs", expected("another array", "the end"), 1, 15),
        ("map (-2) xs", Problem::NegativeNumberAsSection, 1, 6),
        ("map max 0 xs", Problem::FunctionWithoutParentheses("max".to_owned()), 1, 5),
        ("sum map (*2) xs", Problem::FunctionWithoutParentheses("map".to_owned()), 1, 5),
        ("map double xs", Problem::NotAFunction("double".to_owned()), 1, 5),
        ("sum = xs", Problem::FunctionDefined("sum".to_owned()), 1, 1),
        ("a = xs\na = ys", Problem::DefinedTwice("a".to_owned()), 2, 1),
        ("sum xs\na = ys", Problem::NotTheLast, 1, 1),
        ("sum xs # 1", Problem::Character('#'), 1, 8),
        ("sum ∑", Problem::Character('∑'), 1, 5),
    ] {
        assert_eq!(refusal(text), (problem, line, column), "{text:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let scalar = |function| Problem::ScalarInsteadOfArray { function };
    for (text, problem, line, column) in [
        ("a = map (*2) b; b = map (+1) a", Problem::Cyclic("a".to_owned()), 1, 1),
        ("a = sum a", Problem::Cyclic("a".to_owned()), 1, 1),
        ("sum (sum xs)", scalar("sum"), 1, 6),
        ("s = sum xs\nmap negate s", scalar("map"), 2, 12),
        ("zipWith (+) xs 1", scalar("zipWith"), 1, 16),
        ("maximum 1", scalar("maximum"), 1, 9),
        ("map (*k) xs", Problem::InputAsScalar("k".to_owned()), 1, 7),
        ("k = map abs ys; map (*k) xs", Problem::ArrayInsteadOfScalar, 1, 23),
        ("map (*1e39) xs", Problem::Number { text: "1e39".to_owned(), element: Element::F32 }, 1, 7),
    ] {
        assert_eq!(refusal(text), (problem, line, column), "{text:?}");
    }
}

#[test]
fn what_the_element_type_lacks_is_refused() {
    let lacks = |operation, element| Problem::NoSuchOperation { operation, element };
    for element in [Element::I32, Element::I64] {
        assert_eq!(refusal_as("map (/2) xs", element), (lacks("/", element), 1, 1));
        assert_eq!(refusal_as("x = 1; zipWith (/) xs ys", element), (lacks("/", element), 1, 8));
        assert_eq!(refusal_as("sum (map sqrt xs)", element), (lacks("sqrt", element), 1, 6));
        let number = |text: &str| Problem::Number { text: text.to_owned(), element };
        assert_eq!(refusal_as("map (*0.5) xs", element), (number("0.5"), 1, 7));
        assert_eq!(refusal_as("map (*9223372036854775808) xs", element).0, number("9223372036854775808"));
    }
    assert!(matches!(refusal_as("map (+2147483648) xs", Element::I32).0, Problem::Number { .. }));
    planned("map (+2147483648) xs", Element::I64);
    planned("map (+(-2147483648)) xs", Element::I32);
}

#[test]
fn an_error_shows_the_line_with_a_caret_below_the_place() {
    let error = parse("a = xs\nb = map (-2) xs").expect_err("no section").to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "2:10: `(-…)` is a negative number, not a function; write `(subtract …)`");
    assert_eq!(lines[1..], ["  | b = map (-2) xs", "  |          ^"]);

    // A long line is cut to where the error is, and nothing in it reaches the terminal that would be obeyed there.
    let error = parse(&format!("sum ({}\u{1b}[2J", "xs  ".repeat(1000))).expect_err("no array").to_string();
    assert!(error.lines().all(|line| line.chars().count() < 140), "{error}");
    assert!(!error.contains('\u{1b}'), "{error}");
    let lines: Vec<Vec<char>> = error.lines().map(|line| line.chars().collect()).collect();
    let caret = lines[2].iter().position(|c| *c == '^').expect("a caret");
    assert_eq!(lines[1][caret..caret + 2], [' ', '['], "{error}");
}

#[test]
fn depth_and_size_are_limited_and_long_chains_are_not_deep() {
    let nested = |depth: usize| format!("sum {}xs{}", "(".repeat(depth), ")".repeat(depth));
    planned(&nested(MAX_NESTING), Element::F32);
    assert_eq!(refusal(&nested(MAX_NESTING + 1)).0, Problem::TooNested);
    assert_eq!(refusal(&nested(1_000_000)).0, Problem::TooNested);

    let count = MAX_EXPRESSIONS / 3 - 1;
    let mut chain: String = (1..count).map(|at| format!("x{} = map (+1) x{at};", at + 1)).collect();
    chain += &format!("sum x{count}");
    assert_eq!(planned(&chain, Element::I64).loops.len(), 1);
    assert_eq!(
        refusal(&(0..MAX_EXPRESSIONS).map(|at| format!("a{at} = sum xs;")).collect::<String>()).0,
        Problem::TooLarge
    );
}

#[test]
fn a_loop_over_too_many_arrays_is_refused() {
    let outputs = |count: usize| (0..count).map(|at| format!("a{at} = map (+{at}) xs;")).collect::<String>();
    planned(&outputs(MAX_ARRAYS - 1), Element::F32);
    assert_eq!(refusal(&outputs(MAX_ARRAYS)), (Problem::TooManyArrays(MAX_ARRAYS + 1), 1, 1));
    let inputs: String = (0..150).map(|at| format!("s{} = zipWith (+) x{at} s{at};", at + 1)).collect();
    assert_eq!(refusal(&inputs).0, Problem::TooManyArrays(152));
}

/// Texts of the language's words, in any order.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "map", "zipWith", "sum", "maximum", "negate", "sqrt", "subtract", "max", "xs", "ys", "m", "2", "-1", "1e5",
        "(", ")", "(*2)", "(+)", "=", ";", "\n", "+", "-", "*", "/", "--", "m =", "sum xs", "1.5", ".", "é",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_or_the_planner_panic(
        text in prop_oneof![any::<String>(), words(), "[-+*/()=;\n a-z0-9.'e]{0,60}"],
    ) {
        for element in Element::ALL {
            match parse(&text).and_then(|program| plan(&program, element)) {
                Ok(plan) => drop(plan.to_string()),
                Err(error) => {
                    prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1);
                    prop_assert!(error.column <= error.text.chars().count() + 1, "{error}");
                    drop(error.to_string());
                }
            }
        }
    }
}
