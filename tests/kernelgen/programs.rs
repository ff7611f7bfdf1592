//! Random programs, and data for them.

use crate::generator::language::{Element, parse};
use crate::generator::plan::{Plan, plan};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Names that are keywords of Rust or C, or that the emitted code uses itself, among others.
const INPUTS: [&str; 3] = ["xs", "as", "x'"];
const NAMES: [&str; 14] = [
    "m",
    "type",
    "int",
    "scaled",
    "sumOfAll",
    "lane",
    "kernel_0",
    "t3",
    "x_rest",
    "bhc_arena_mark",
    "max_of",
    "k'",
    "result",
    "element",
];

/// The text of a random program of 1 to 7 statements over at most three inputs.
pub fn program(seed: u64, element: Element) -> String {
    let mut writer =
        Writer { random: Random(seed), element, arrays: INPUTS.map(str::to_owned).to_vec(), scalars: Vec::new() };
    let mut names = NAMES.to_vec();
    let mut statements = Vec::new();
    for _ in 0..1 + writer.random.below(7) {
        let name = names.remove(writer.random.below(names.len())).to_owned();
        if writer.random.below(2) == 0 {
            let text = writer.fold();
            statements.push(format!("{name} = {text}"));
            writer.scalars.push(name);
        } else {
            let text = writer.array(3);
            statements.push(format!("{name} = {text}"));
            writer.arrays.push(name);
        }
    }
    // Definitions may stand in any order.
    for at in (1..statements.len()).rev() {
        statements.swap(at, writer.random.below(at + 1));
    }
    if writer.random.below(3) == 0 {
        statements.push(writer.array(2));
    }
    statements.join("; ")
}

struct Writer {
    random: Random,
    element: Element,
    arrays: Vec<String>,
    scalars: Vec<String>,
}

impl Writer {
    fn fold(&mut self) -> String {
        let fold = *self.random.pick(&["sum", "sum", "maximum", "minimum"]);
        format!("{fold} {}", self.array_atom(2))
    }

    fn array(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.array_atom(0);
        }
        let is_float = self.element.is_float();
        match self.random.below(8) {
            0 => self.array_atom(0),
            1 | 2 => {
                let unary: &[&str] = if is_float { &["negate", "abs", "sqrt"] } else { &["negate", "abs"] };
                format!("map {} {}", self.random.pick(unary), self.array_atom(depth - 1))
            }
            3..=5 => {
                let sections: &[&str] = if is_float {
                    &["(+S)", "(S-)", "(subtract S)", "(*S)", "(S*)", "(/S)", "(max S)", "(min S)"]
                } else {
                    &["(+S)", "(S-)", "(subtract S)", "(*S)", "(S*)", "(max S)", "(min S)"]
                };
                let section = *self.random.pick(sections);
                let section = section.replace('S', &self.scalar_atom());
                format!("map {section} {}", self.array_atom(depth - 1))
            }
            _ => {
                let operators: &[&str] = if is_float {
                    &["(+)", "(-)", "(*)", "(/)", "max", "min"]
                } else {
                    &["(+)", "(-)", "(*)", "max", "min"]
                };
                let operator = *self.random.pick(operators);
                let left = self.array_atom(depth - 1);
                format!("zipWith {operator} {left} {}", self.array_atom(depth - 1))
            }
        }
    }

    fn array_atom(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.below(3) > 0 {
            return format!("({})", self.array(depth));
        }
        // What is defined rather than an input: that is what may have to be stored.
        let from = if self.random.below(3) > 0 { INPUTS.len() % self.arrays.len() } else { 0 };
        self.random.pick(&self.arrays[from..]).clone()
    }

    fn scalar_atom(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("({})", self.fold()),
            1 | 2 if !self.scalars.is_empty() => self.random.pick(&self.scalars).clone(),
            _ => {
                let numbers: &[&str] = match self.element {
                    Element::F32 | Element::F64 => &["2", "0.5", "(-1.25)", "1e-3", "0", "0.1"],
                    Element::I32 => &["2", "7", "(-3)", "2147483647", "(-2147483648)"],
                    Element::I64 => &["2", "7", "(-3)", "9223372036854775807", "(-9223372036854775808)"],
                };
                (*self.random.pick(numbers)).to_owned()
            }
        }
    }
}

/// The plan of a program that there is one for.
pub fn planned(text: &str, element: Element) -> Plan {
    match parse(text).and_then(|program| plan(&program, element)) {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    }
}

/// Elements for the inputs of programs.
pub trait Sample: crate::generator::interpret::Scalar {
    fn sample(random: &mut Random) -> Self;
}

macro_rules! sample {
    ($($type:ident: $random:ident => $sample:expr;)*) => {$(
        impl Sample for $type {
            fn sample($random: &mut Random) -> Self {
                $sample
            }
        }
    )*};
}

sample! {
    f32: random => ((random.below(8001) as f32) - 4000.0) / 1024.0;
    f64: random => ((random.below(8001) as f64) - 4000.0) / 1000.0;
    i32: random => if random.below(8) == 0 { random.next() as i32 } else { random.below(201) as i32 - 100 };
    i64: random => if random.below(8) == 0 { random.next() as i64 } else { random.below(201) as i64 - 100 };
}

/// So many elements.
pub fn samples<T: Sample>(seed: u64, count: usize) -> Vec<T> {
    let mut random = Random(seed);
    (0..count).map(|_| T::sample(&mut random)).collect()
}
