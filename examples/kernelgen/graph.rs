//! The typed program: every value once, in an order in which they can be computed.
//!
//! Invariants:
//! * G1. A node's operands stand before it.
//! * G2. No two nodes are equal: what is written twice is computed once.
//! * G3. The operands of folds and unary operations are arrays; of the two of a binary operation at least one is.
//! * G4. Every node is needed for an output.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::language::{
    Binary, Element, Expression, ExpressionKind, Fold, Function, Problem, Program, ProgramError, Unary,
};

/// A node, by its place.
pub type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// An array, by its place among the inputs.
    Input(usize),
    Number(Number),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Fold(Fold, Id),
}

/// A number as the element type has it: any `f32` or `f64` by the bits of it as an `f64`, which has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    Float(u64),
    Integer(i64),
}

/// How long an array is: as the shortest of these inputs. Never empty.
pub type Length = BTreeSet<usize>;

#[derive(Clone, Debug)]
pub struct Graph {
    pub element: Element,
    /// The text of the program.
    pub text: String,
    /// Their names, in the order in which they first occur.
    pub inputs: Vec<String>,
    pub nodes: Vec<Node>,
    /// What definitions call a node, the first of them.
    pub names: Vec<Option<String>>,
    /// Of an array; `None` for scalars.
    pub lengths: Vec<Option<Length>>,
    /// The definitions that no other uses, and the last expression if it has no name.
    pub outputs: Vec<Output>,
}

#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub node: Id,
}

/// What a last expression without a name is called.
pub const RESULT: &str = "result";

impl Graph {
    /// Gives the names and numbers of a program a meaning.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(program: &Program, element: Element) -> Result<Self, ProgramError> {
        Builder::new(program, element).build()
    }

    pub fn is_array(&self, id: Id) -> bool {
        self.lengths[id].is_some()
    }

    /// The nodes that a node is made from.
    pub fn operands(&self, id: Id) -> impl Iterator<Item = Id> + use<> {
        let (first, second) = match self.nodes[id] {
            Node::Input(_) | Node::Number(_) => (None, None),
            Node::Unary(_, x) | Node::Fold(_, x) => (Some(x), None),
            Node::Binary(_, x, y) => (Some(x), Some(y)),
        };
        first.into_iter().chain(second)
    }

    /// A node as the program's text might have it, with the names that it has there: `map (subtract m) xs`.
    pub fn expression(&self, id: Id) -> String {
        self.show(id, 6)
    }

    fn show(&self, id: Id, depth: usize) -> String {
        if depth == 0 {
            return "...".to_owned();
        }
        let atom = |id: Id| match (&self.names[id], &self.nodes[id]) {
            (Some(name), _) => name.clone(),
            (None, Node::Input(input)) => self.inputs[*input].clone(),
            (None, Node::Number(number)) => {
                let text = number.to_string();
                if text.starts_with('-') { format!("({text})") } else { text }
            }
            (None, _) => format!("({})", self.show(id, depth - 1)),
        };
        match self.nodes[id] {
            Node::Input(input) => self.inputs[input].clone(),
            Node::Number(number) => number.to_string(),
            Node::Unary(operation, x) => format!("map {} {}", operation.name(), atom(x)),
            Node::Fold(fold, x) => format!("{} {}", fold.name(), atom(x)),
            Node::Binary(operation, x, y) => {
                let (name, is_sign) = (operation.name(), !matches!(operation, Binary::Max | Binary::Min));
                match (self.is_array(x), self.is_array(y)) {
                    (true, true) if is_sign => format!("zipWith ({name}) {} {}", atom(x), atom(y)),
                    (true, true) => format!("zipWith {name} {} {}", atom(x), atom(y)),
                    (false, _) if is_sign => format!("map ({}{name}) {}", atom(x), atom(y)),
                    (false, _) => format!("map ({name} {}) {}", atom(x), atom(y)),
                    (true, false) if operation == Binary::Subtract => format!("map (subtract {}) {}", atom(y), atom(x)),
                    (true, false) => format!("map ({name}{}) {}", atom(y), atom(x)),
                }
            }
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Float(bits) => write!(f, "{}", f64::from_bits(bits)),
            Self::Integer(value) => write!(f, "{value}"),
        }
    }
}

impl Number {
    fn read(text: &str, element: Element) -> Option<Self> {
        let finite = |value: f64| value.is_finite().then(|| Self::Float(value.to_bits()));
        match element {
            // By way of `f32`, so that it is rounded once.
            Element::F32 => text.parse::<f32>().ok().and_then(|value| finite(f64::from(value))),
            Element::F64 => text.parse().ok().and_then(finite),
            Element::I32 => text.parse::<i32>().ok().map(|value| Self::Integer(value.into())),
            Element::I64 => text.parse().ok().map(Self::Integer),
        }
    }
}

struct Builder<'a> {
    program: &'a Program,
    /// The place of a definition.
    definitions: HashMap<&'a str, usize>,
    /// The node of each statement that is built.
    built: Vec<Option<Id>>,
    ids: HashMap<Node, Id>,
    graph: Graph,
}

impl<'a> Builder<'a> {
    fn new(program: &'a Program, element: Element) -> Self {
        let statements = program.statements.iter().enumerate();
        let definitions = statements.filter_map(|(at, statement)| Some((statement.name.as_deref()?, at))).collect();
        let graph = Graph {
            element,
            text: program.text.clone(),
            inputs: Vec::new(),
            nodes: Vec::new(),
            names: Vec::new(),
            lengths: Vec::new(),
            outputs: Vec::new(),
        };
        Self { program, definitions, built: vec![None; program.statements.len()], ids: HashMap::new(), graph }
    }

    fn build(mut self) -> Result<Graph, ProgramError> {
        let program = self.program;
        let mut used: Vec<Vec<usize>> = Vec::new();
        for statement in &program.statements {
            let mut uses = Vec::new();
            names_in(&statement.body, &mut |name| match self.definitions.get(name) {
                Some(definition) => uses.push(*definition),
                None if !self.graph.inputs.iter().any(|input| input == name) => {
                    self.graph.inputs.push(name.to_owned());
                }
                None => {}
            });
            used.push(uses);
        }
        for at in order(&used).map_err(|at| self.cyclic(at))? {
            let statement = &program.statements[at];
            let id = self.expression(&statement.body)?;
            self.built[at] = Some(id);
            if let Some(name) = &statement.name {
                self.graph.names[id].get_or_insert_with(|| name.clone());
            }
        }
        let used: HashSet<usize> = used.into_iter().flatten().collect();
        for (at, statement) in program.statements.iter().enumerate() {
            if let (false, Some(node)) = (used.contains(&at), self.built[at]) {
                let name = statement.name.clone().unwrap_or_else(|| RESULT.to_owned());
                self.graph.outputs.push(Output { name, node });
            }
        }
        Ok(self.graph)
    }

    fn cyclic(&self, at: usize) -> ProgramError {
        let statement = &self.program.statements[at];
        self.error(Problem::Cyclic(statement.name.clone().unwrap_or_default()), statement.at)
    }

    fn error(&self, problem: Problem, at: usize) -> ProgramError {
        ProgramError::new(problem, &self.program.text, at)
    }

    fn expression(&mut self, expression: &Expression) -> Result<Id, ProgramError> {
        let node = match &expression.kind {
            ExpressionKind::Name(name) => match self.definitions.get(name.as_str()) {
                // Definitions are built before what uses them.
                Some(definition) => return Ok(self.built[*definition].unwrap_or_default()),
                None => Node::Input(self.graph.inputs.iter().position(|input| input == name).unwrap_or_default()),
            },
            ExpressionKind::Number(text) => match Number::read(text, self.graph.element) {
                Some(number) => Node::Number(number),
                None => {
                    let problem = Problem::Number { text: text.clone(), element: self.graph.element };
                    return Err(self.error(problem, expression.at));
                }
            },
            ExpressionKind::Fold(fold, x) => Node::Fold(*fold, self.array(fold.name(), x)?),
            ExpressionKind::ZipWith(operation, x, y) => {
                self.has(*operation, expression.at)?;
                Node::Binary(*operation, self.array("zipWith", x)?, self.array("zipWith", y)?)
            }
            ExpressionKind::Map(function, x) => match function {
                Function::Unary(operation) => {
                    if *operation == Unary::Sqrt {
                        self.only_floats(operation.name(), expression.at)?;
                    }
                    Node::Unary(*operation, self.array("map", x)?)
                }
                Function::Right(operation, scalar) => {
                    self.has(*operation, expression.at)?;
                    let scalar = self.scalar(scalar)?;
                    Node::Binary(*operation, self.array("map", x)?, scalar)
                }
                Function::Left(scalar, operation) => {
                    self.has(*operation, expression.at)?;
                    let scalar = self.scalar(scalar)?;
                    Node::Binary(*operation, scalar, self.array("map", x)?)
                }
            },
        };
        Ok(self.intern(node))
    }

    fn array(&mut self, function: &'static str, expression: &Expression) -> Result<Id, ProgramError> {
        let id = self.expression(expression)?;
        if self.graph.is_array(id) {
            return Ok(id);
        }
        Err(self.error(Problem::ScalarInsteadOfArray { function }, expression.at))
    }

    fn scalar(&mut self, expression: &Expression) -> Result<Id, ProgramError> {
        let id = self.expression(expression)?;
        let problem = match self.graph.nodes[id] {
            _ if !self.graph.is_array(id) => return Ok(id),
            Node::Input(input) => Problem::InputAsScalar(self.graph.inputs[input].clone()),
            _ => Problem::ArrayInsteadOfScalar,
        };
        Err(self.error(problem, expression.at))
    }

    fn has(&self, operation: Binary, at: usize) -> Result<(), ProgramError> {
        if operation == Binary::Divide { self.only_floats(operation.name(), at) } else { Ok(()) }
    }

    fn only_floats(&self, operation: &'static str, at: usize) -> Result<(), ProgramError> {
        let element = self.graph.element;
        if element.is_float() {
            return Ok(());
        }
        Err(self.error(Problem::NoSuchOperation { operation, element }, at))
    }

    fn intern(&mut self, node: Node) -> Id {
        if let Some(id) = self.ids.get(&node) {
            return *id;
        }
        let length = match node {
            Node::Input(input) => Some(Length::from([input])),
            Node::Number(_) | Node::Fold(..) => None,
            Node::Unary(_, x) => self.graph.lengths[x].clone(),
            Node::Binary(_, x, y) => {
                let lengths = [x, y].into_iter().filter_map(|operand| self.graph.lengths[operand].as_ref());
                Some(lengths.flatten().copied().collect())
            }
        };
        let id = self.graph.nodes.len();
        self.ids.insert(node.clone(), id);
        self.graph.nodes.push(node);
        self.graph.names.push(None);
        self.graph.lengths.push(length);
        id
    }
}

fn names_in<'e>(expression: &'e Expression, each: &mut impl FnMut(&'e str)) {
    match &expression.kind {
        ExpressionKind::Name(name) => each(name),
        ExpressionKind::Number(_) => {}
        ExpressionKind::Fold(_, x) | ExpressionKind::Map(Function::Unary(_), x) => names_in(x, each),
        ExpressionKind::ZipWith(_, x, y) | ExpressionKind::Map(Function::Right(_, x) | Function::Left(x, _), y) => {
            names_in(x, each);
            names_in(y, each);
        }
    }
}

/// The definitions, each after those that it uses, or one that uses itself. Not recursive: a chain may be long.
fn order(used: &[Vec<usize>]) -> Result<Vec<usize>, usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let mut seen = vec![Seen::No; used.len()];
    let mut order = Vec::new();
    for start in 0..used.len() {
        // Definitions, and which of those that they use comes next.
        let mut stack = vec![(start, 0)];
        while let Some((at, next)) = stack.pop() {
            if next == 0 {
                match seen[at] {
                    Seen::No => seen[at] = Seen::Open,
                    Seen::Open => return Err(at),
                    Seen::Done => continue,
                }
            }
            match used[at].get(next) {
                Some(other) => stack.extend([(at, next + 1), (*other, 0)]),
                None => {
                    seen[at] = Seen::Done;
                    order.push(at);
                }
            }
        }
    }
    Ok(order)
}
