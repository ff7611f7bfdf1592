//! What a loop computes for one element, as text: what the Rust and the C that are emitted have in common.

use std::collections::HashMap;

use super::graph::{Id, Node, Number};
use super::language::{Binary, Unary};
use super::names::Names;
use super::plan::{Loop, Plan};

/// How a language writes operations.
pub trait Syntax {
    fn number(&self, number: Number) -> String;
    fn unary(&self, operation: Unary, x: &Text) -> Text;
    fn binary(&self, operation: Binary, x: &Text, y: &Text) -> Text;
}

/// An expression of the emitted code.
#[derive(Clone, Debug)]
pub struct Text {
    pub text: String,
    /// Whether it can be an operand as it is.
    pub is_atom: bool,
    /// A number, which in Rust has no type of its own.
    pub is_number: bool,
}

impl Text {
    pub fn atom(text: String) -> Self {
        Self { text, is_atom: true, is_number: false }
    }

    pub fn compound(text: String) -> Self {
        Self { text, is_atom: false, is_number: false }
    }

    /// In parentheses, if it needs them.
    pub fn operand(&self) -> String {
        if self.is_atom { self.text.clone() } else { format!("({})", self.text) }
    }
}

/// The longest expression that is written into another one.
const INLINE: usize = 30;

/// The function from one element of each array that is read to what is stored or reduced.
pub struct ElementFunction {
    /// The scalars and arrays that it uses, by their nodes.
    pub parameters: Vec<Id>,
    /// Names and what they are, in order.
    pub bindings: Vec<(String, String)>,
    /// Nodes that it computes, and the expression for each.
    pub results: Vec<(Id, String)>,
}

impl ElementFunction {
    /// `None` if nothing is computed: what is read is stored or reduced as it is.
    pub fn new(plan: &Plan, this: &Loop, names: &Names, syntax: &impl Syntax) -> Option<Self> {
        let graph = &plan.graph;
        let mut results: Vec<Id> = Vec::new();
        let folded = this.folds.iter().flat_map(|fold| graph.operands(*fold));
        for id in this.writes.iter().map(|(id, _)| *id).chain(folded) {
            if this.steps.contains(&id) && !results.contains(&id) {
                results.push(id);
            }
        }
        let only = match results[..] {
            [] => return None,
            [only] => Some(only),
            _ => None,
        };

        let mut uses: HashMap<Id, usize> = HashMap::new();
        for id in this.steps.iter().flat_map(|step| graph.operands(*step)).chain(results.iter().copied()) {
            *uses.entry(id).or_default() += 1;
        }
        let mut parameters: Vec<Id> = this.scalars.clone();
        parameters.extend(this.reads.iter().map(|(id, _)| *id));
        parameters.retain(|id| uses.contains_key(id) && !this.steps.contains(id));

        let mut texts: HashMap<Id, Text> = HashMap::new();
        let mut bindings = Vec::new();
        let operand = |texts: &HashMap<Id, Text>, id: Id| match (texts.get(&id), &graph.nodes[id]) {
            (Some(text), _) => text.clone(),
            (None, Node::Number(number)) => {
                let text = syntax.number(*number);
                Text { is_atom: !text.starts_with('-'), is_number: true, text }
            }
            (None, _) => Text::atom(names.node(id).to_owned()),
        };
        for step in &this.steps {
            let text = match graph.nodes[*step] {
                Node::Unary(operation, x) => syntax.unary(operation, &operand(&texts, x)),
                Node::Binary(operation, x, y) => syntax.binary(operation, &operand(&texts, x), &operand(&texts, y)),
                // No steps: they are read, or known.
                Node::Input(_) | Node::Number(_) | Node::Fold(..) => continue,
            };
            let is_last = only == Some(*step);
            let is_short = graph.names[*step].is_none() && text.text.len() <= INLINE;
            let text = if uses[step] == 1 && (is_last || is_short) {
                text
            } else {
                bindings.push((names.node(*step).to_owned(), text.text));
                Text::atom(names.node(*step).to_owned())
            };
            texts.insert(*step, text);
        }
        let results = results.into_iter().map(|id| (id, texts[&id].text.clone())).collect();
        Some(Self { parameters, bindings, results })
    }
}

/// `Softmax` for `softmax`, `SumOfSquares` for `sum_of_squares`.
pub fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(capital).collect()
}
