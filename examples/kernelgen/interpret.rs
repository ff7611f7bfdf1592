//! The interpreter: what a program means, one array after the other. Slow and plain; the emitted code is compared with
//! it.

use super::graph::{Graph, Id, Node, Number};
use super::language::{Binary, Element, Fold, Unary};
use super::plan::LANES;

/// A Rust type that is an [`Element`].
pub trait Scalar: Copy + PartialEq + PartialOrd + std::fmt::Debug + std::fmt::Display + 'static {
    const ELEMENT: Element;
    fn number(number: Number) -> Self;
    fn unary(operation: Unary, x: Self) -> Self;
    fn binary(operation: Binary, x: Self, y: Self) -> Self;
    /// What a reduction of nothing gives.
    fn start(fold: Fold) -> Self;
    /// As it stands in a file, in the first bytes.
    fn to_bytes(self) -> [u8; 8];
    /// From as many bytes as the element has.
    fn from_bytes(bytes: &[u8]) -> Self;

    /// One step of a reduction.
    fn step(fold: Fold, so_far: Self, x: Self) -> Self {
        match fold {
            Fold::Sum => Self::binary(Binary::Add, so_far, x),
            Fold::Maximum => Self::binary(Binary::Max, x, so_far),
            Fold::Minimum => Self::binary(Binary::Min, x, so_far),
        }
    }
}

macro_rules! bytes {
    () => {
        fn to_bytes(self) -> [u8; 8] {
            let mut bytes = [0; 8];
            bytes[..size_of::<Self>()].copy_from_slice(&self.to_le_bytes());
            bytes
        }

        fn from_bytes(bytes: &[u8]) -> Self {
            let mut own = [0; size_of::<Self>()];
            own.copy_from_slice(bytes);
            Self::from_le_bytes(own)
        }
    };
}

macro_rules! float {
    ($type:ident, $element:ident) => {
        impl Scalar for $type {
            const ELEMENT: Element = Element::$element;

            fn number(number: Number) -> Self {
                match number {
                    Number::Float(bits) => f64::from_bits(bits) as Self,
                    Number::Integer(value) => value as Self,
                }
            }

            fn unary(operation: Unary, x: Self) -> Self {
                match operation {
                    Unary::Negate => -x,
                    Unary::Abs => x.abs(),
                    Unary::Sqrt => x.sqrt(),
                }
            }

            fn binary(operation: Binary, x: Self, y: Self) -> Self {
                match operation {
                    Binary::Add => x + y,
                    Binary::Subtract => x - y,
                    Binary::Multiply => x * y,
                    Binary::Divide => x / y,
                    Binary::Max => {
                        if x > y {
                            x
                        } else {
                            y
                        }
                    }
                    Binary::Min => {
                        if x < y {
                            x
                        } else {
                            y
                        }
                    }
                }
            }

            fn start(fold: Fold) -> Self {
                match fold {
                    Fold::Sum => 0.0,
                    Fold::Maximum => Self::NEG_INFINITY,
                    Fold::Minimum => Self::INFINITY,
                }
            }

            bytes!();
        }
    };
}

macro_rules! integer {
    ($type:ident, $element:ident) => {
        impl Scalar for $type {
            const ELEMENT: Element = Element::$element;

            fn number(number: Number) -> Self {
                match number {
                    Number::Float(bits) => f64::from_bits(bits) as Self,
                    Number::Integer(value) => value as Self,
                }
            }

            fn unary(operation: Unary, x: Self) -> Self {
                match operation {
                    Unary::Negate => x.wrapping_neg(),
                    Unary::Abs => x.wrapping_abs(),
                    Unary::Sqrt => unreachable!("refused by the typing of the program"),
                }
            }

            fn binary(operation: Binary, x: Self, y: Self) -> Self {
                match operation {
                    Binary::Add => x.wrapping_add(y),
                    Binary::Subtract => x.wrapping_sub(y),
                    Binary::Multiply => x.wrapping_mul(y),
                    Binary::Divide => unreachable!("refused by the typing of the program"),
                    Binary::Max => x.max(y),
                    Binary::Min => x.min(y),
                }
            }

            fn start(fold: Fold) -> Self {
                match fold {
                    Fold::Sum => 0,
                    Fold::Maximum => Self::MIN,
                    Fold::Minimum => Self::MAX,
                }
            }

            bytes!();
        }
    };
}

float!(f32, F32);
float!(f64, F64);
integer!(i32, I32);
integer!(i64, I64);

/// What a program's expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<T> {
    Scalar(T),
    Array(Vec<T>),
}

/// All outputs of a program, in their order.
///
/// # Panics
/// If there are fewer inputs than the program has, or its element type is another.
pub fn interpret<T: Scalar>(graph: &Graph, inputs: &[&[T]]) -> Vec<Value<T>> {
    assert_eq!(graph.element, T::ELEMENT, "the program is of another type");
    let mut values: Vec<Value<T>> = Vec::new();
    for node in &graph.nodes {
        let value = match *node {
            Node::Input(input) => Value::Array(inputs[input].to_vec()),
            Node::Number(number) => Value::Scalar(T::number(number)),
            Node::Unary(operation, x) => {
                Value::Array(array(&values, x).iter().map(|x| T::unary(operation, *x)).collect())
            }
            Node::Fold(fold, x) => Value::Scalar(reduce(fold, array(&values, x))),
            Node::Binary(operation, x, y) => Value::Array(match (&values[x], &values[y]) {
                (Value::Array(x), Value::Array(y)) => {
                    x.iter().zip(y).map(|(x, y)| T::binary(operation, *x, *y)).collect()
                }
                (Value::Scalar(x), Value::Array(y)) => y.iter().map(|y| T::binary(operation, *x, *y)).collect(),
                (Value::Array(x), Value::Scalar(y)) => x.iter().map(|x| T::binary(operation, *x, *y)).collect(),
                (Value::Scalar(x), Value::Scalar(y)) => vec![T::binary(operation, *x, *y)],
            }),
        };
        values.push(value);
    }
    graph.outputs.iter().map(|output| values[output.node].clone()).collect()
}

/// By invariant G3 of the graph it is one.
fn array<T>(values: &[Value<T>], id: Id) -> &[T] {
    match &values[id] {
        Value::Array(elements) => elements,
        Value::Scalar(scalar) => std::slice::from_ref(scalar),
    }
}

/// In the order that [`LANES`] speaks of.
pub fn reduce<T: Scalar>(fold: Fold, elements: &[T]) -> T {
    let mut lanes = vec![T::start(fold); LANES];
    let whole = elements.len() - elements.len() % LANES;
    for (i, x) in elements[..whole].iter().enumerate() {
        lanes[i % LANES] = T::step(fold, lanes[i % LANES], *x);
    }
    while lanes.len() > 1 {
        let upper = lanes.split_off(lanes.len() / 2);
        for (lane, x) in lanes.iter_mut().zip(upper) {
            *lane = T::step(fold, *lane, x);
        }
    }
    elements[whole..].iter().fold(lanes[0], |so_far, x| T::step(fold, so_far, *x))
}
