//! The plan: which loops there are, what each computes, and which arrays stand in memory between two loops.
//!
//! # Note: what becomes one loop
//! Whatever runs over the same length and does not need, as a scalar, what that loop itself reduces to: any number of
//! reductions and array results. Loops are taken one after the other. Each time the lengths are looked at for which
//! something is ready, and everything ready of *one* length becomes a loop: the first length for which waiting would
//! not let anything more join, or the first of all. (Two arrays are of one length if they are as long as the shortest
//! of the same inputs.)
//!
//! # Note: what becomes a temporary
//! An array that several loops need is computed again in each, in registers, unless a *temporary* is cheaper: the
//! first loop of its own length writes it, those after that read it. Reading counts [`READ`], writing [`WRITE`] (what
//! is written is first fetched, and temporaries start as zeros), a division or square root [`SLOW`], all else 1. So
//! `zipWith (+) xs ys` is computed twice and `map sqrt xs` is stored. An array that is a result is in memory anyway:
//! it is computed once. All temporaries live until the kernel ends.
//!
//! Invariants:
//! * P1. What a loop reads is an input, or was written by a loop before it, and is at least as long as the loop.
//! * P2. The scalars that a loop needs are reductions of loops before it, or numbers.
//! * P3. A loop that writes an array is as long as that array.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::graph::{Graph, Id, Length, Node};
use super::language::{Binary, Element, MAX_ARRAYS, Problem, Program, ProgramError, Unary};

/// What reading an element costs, in simple operations.
pub const READ: usize = 2;
/// What writing an element costs.
pub const WRITE: usize = 4;
/// What a division or a square root costs.
pub const SLOW: usize = 8;

/// How many independent accumulators a reduction runs in.
///
/// # Note: the order of a reduction
/// Element `i` goes to accumulator `i % LANES`, as long as all of them get one. The accumulators are then added up as
/// a tree, each half to the other, and what elements are left follow one by one. Rust, C and the interpreter do it
/// alike, so sums of floats agree to the bit. (64 at each type: as many as keep the adders busy; with fewer the
/// compiler unrolls the loop over them before it vectorises it, and badly.)
pub const LANES: usize = 64;

/// An array in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Array {
    /// By its place among the graph's inputs.
    Input(usize),
    /// By its place among the plan's temporaries.
    Temporary(usize),
    /// By its place among the graph's outputs.
    Output(usize),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub graph: Graph,
    pub loops: Vec<Loop>,
    /// The nodes that are temporaries.
    pub temporaries: Vec<Id>,
}

/// One loop over all elements of a length.
#[derive(Clone, Debug)]
pub struct Loop {
    pub length: Length,
    /// What is read, and as which node.
    pub reads: Vec<(Id, Array)>,
    /// Reductions of earlier loops that are used.
    pub scalars: Vec<Id>,
    /// What is computed for each element, in this order.
    pub steps: Vec<Id>,
    /// Which nodes are written where.
    pub writes: Vec<(Id, Array)>,
    /// The reductions.
    pub folds: Vec<Id>,
}

/// Fuses a program.
///
/// # Errors
/// What is wrong with it for this element type, and where.
pub fn plan(program: &Program, element: Element) -> Result<Plan, ProgramError> {
    let graph = Graph::new(program, element)?;
    let schedule = schedule(&graph);
    let plan = place(graph, &schedule);
    match plan.loops.iter().map(|this| this.reads.len() + this.writes.len()).max() {
        Some(count) if count > MAX_ARRAYS => Err(ProgramError::new(Problem::TooManyArrays(count), &program.text, 0)),
        _ => Ok(plan),
    }
}

/// What a loop is there for.
#[derive(Clone, Copy, Debug)]
enum Root {
    Fold(Id),
    /// By its place among the outputs.
    Store(usize),
}

impl Root {
    /// The array that is reduced or stored.
    fn value(self, graph: &Graph) -> Id {
        match self {
            Self::Fold(fold) => graph.operands(fold).next().unwrap_or(fold),
            Self::Store(output) => graph.outputs[output].node,
        }
    }
}

/// The loops, by what they are there for.
fn schedule(graph: &Graph) -> Vec<(Length, Vec<Root>)> {
    // The reductions that a node needs first: those that it uses as scalars, and all that these need.
    let mut direct: Vec<BTreeSet<Id>> = Vec::new();
    let mut all: Vec<BTreeSet<Id>> = Vec::new();
    for id in 0..graph.nodes.len() {
        let (mut directly, mut at_all) = (BTreeSet::new(), BTreeSet::new());
        for operand in graph.operands(id) {
            at_all.extend(&all[operand]);
            if graph.is_array(operand) {
                directly.extend(&direct[operand]);
            } else if let Node::Fold(..) = graph.nodes[operand] {
                directly.insert(operand);
                at_all.insert(operand);
            }
        }
        direct.push(directly);
        all.push(at_all);
    }

    let folds = (0..graph.nodes.len()).filter(|id| matches!(graph.nodes[*id], Node::Fold(..))).map(Root::Fold);
    let stores = (0..graph.outputs.len()).filter(|output| graph.is_array(graph.outputs[*output].node)).map(Root::Store);
    let mut pending: Vec<Root> = folds.chain(stores).collect();
    let mut done = BTreeSet::new();
    let mut loops = Vec::new();
    while !pending.is_empty() {
        let is_ready = |root: &Root| direct[root.value(graph)].is_subset(&done);
        let length = |root: &Root| graph.lengths[root.value(graph)].as_ref();
        // One more could join a loop of this length if others ran first.
        let may_grow = |candidate: &Root| {
            let of_length = |root: &&Root| length(root) == length(candidate);
            let ready: BTreeSet<Id> = (pending.iter().filter(of_length).filter(|root| is_ready(root)))
                .filter_map(|root| if let Root::Fold(fold) = root { Some(*fold) } else { None })
                .collect();
            let mut blocked = pending.iter().filter(of_length).filter(|root| !is_ready(root));
            blocked.any(|root| all[root.value(graph)].is_disjoint(&ready))
        };
        let candidates = || pending.iter().filter(|root| is_ready(root));
        // By G1 some root needs nothing that is not done.
        let chosen = candidates().find(|root| !may_grow(root)).or_else(|| candidates().next());
        let Some(chosen) = chosen.and_then(length).cloned() else { break };
        let now = |root: &Root| is_ready(root) && length(root) == Some(&chosen);
        let (roots, rest): (Vec<Root>, Vec<Root>) = pending.iter().partition(|root| now(root));
        done.extend(roots.iter().filter_map(|root| if let Root::Fold(fold) = root { Some(*fold) } else { None }));
        loops.push((chosen, roots));
        pending = rest;
    }
    loops
}

/// What computing an element of each node costs, counted as if nothing were shared.
fn costs(graph: &Graph) -> Vec<usize> {
    let is_output = |id: Id| graph.outputs.iter().any(|output| output.node == id);
    let mut costs: Vec<usize> = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let operation = match node {
            Node::Input(_) => READ,
            Node::Number(_) | Node::Fold(..) => 0,
            Node::Unary(Unary::Sqrt, _) | Node::Binary(Binary::Divide, ..) => SLOW,
            Node::Unary(..) | Node::Binary(..) => 1,
        };
        let arrays = graph.operands(id).filter(|operand| graph.is_array(*operand));
        let operands = arrays.map(|operand| if is_output(operand) { READ } else { costs[operand] });
        costs.push(operands.fold(operation, usize::saturating_add));
    }
    costs
}

/// Decides for each node which loops compute it and which read it.
fn place(graph: Graph, schedule: &[(Length, Vec<Root>)]) -> Plan {
    let mut loops: Vec<Loop> = Vec::new();
    // The loops that need a node.
    let mut needed: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.nodes.len()];
    // Where an array is from the loop that writes it on.
    let mut stored: BTreeMap<Id, Array> = BTreeMap::new();
    for (at, (length, roots)) in schedule.iter().enumerate() {
        let mut this = Loop {
            length: length.clone(),
            reads: Vec::new(),
            scalars: Vec::new(),
            steps: Vec::new(),
            writes: Vec::new(),
            folds: Vec::new(),
        };
        for root in roots {
            needed[root.value(&graph)].insert(at);
            match *root {
                Root::Fold(fold) => this.folds.push(fold),
                Root::Store(output) => {
                    let (node, array) = (graph.outputs[output].node, Array::Output(output));
                    this.writes.push((node, array));
                    stored.entry(node).or_insert(array);
                }
            }
        }
        loops.push(this);
    }

    let costs = costs(&graph);
    let mut temporaries = Vec::new();
    // Each node after all that need it (G1).
    for id in (0..graph.nodes.len()).rev().filter(|id| graph.is_array(*id)) {
        let users = std::mem::take(&mut needed[id]);
        if let Node::Input(input) = graph.nodes[id] {
            users.iter().for_each(|user| loops[*user].reads.push((id, Array::Input(input))));
            continue;
        }
        let is_output = stored.contains_key(&id);
        let home = if is_output {
            loops.iter().position(|this| this.writes.iter().any(|(node, _)| *node == id))
        } else {
            users.iter().copied().find(|user| Some(&loops[*user].length) == graph.lengths[id].as_ref())
        };
        let is_later = |user: &usize| home.is_some_and(|home| *user > home);
        let readers = users.iter().filter(|user| is_later(user)).count();
        let is_temporary = !is_output && readers > 0 && costs[id].saturating_mul(readers) > WRITE + READ * readers;
        if let (true, Some(home)) = (is_temporary, home) {
            let array = Array::Temporary(temporaries.len());
            temporaries.push(id);
            loops[home].writes.push((id, array));
            stored.insert(id, array);
        }
        for user in users {
            match stored.get(&id) {
                Some(array) if is_later(&user) => loops[user].reads.push((id, *array)),
                _ => {
                    loops[user].steps.push(id);
                    for operand in graph.operands(id) {
                        if graph.is_array(operand) {
                            needed[operand].insert(user);
                        } else if matches!(graph.nodes[operand], Node::Fold(..))
                            && !loops[user].scalars.contains(&operand)
                        {
                            loops[user].scalars.push(operand);
                        }
                    }
                }
            }
        }
    }
    for this in &mut loops {
        this.reads.sort_unstable();
        this.scalars.sort_unstable();
        this.steps.sort_unstable();
        this.writes.sort_unstable_by_key(|(_, array)| *array);
    }
    Plan { graph, loops, temporaries }
}

impl Plan {
    /// What to call a node: as the program does, or something made up.
    pub fn label(&self, id: Id) -> String {
        let graph = &self.graph;
        if let Some(name) = &graph.names[id] {
            return name.clone();
        }
        let output = graph.outputs.iter().find(|output| output.node == id);
        match (&graph.nodes[id], output) {
            (Node::Input(input), _) => graph.inputs[*input].clone(),
            (_, Some(output)) => output.name.clone(),
            (Node::Fold(fold, _), None) => format!("{}{id}", fold.name()),
            (_, None) => format!("t{id}"),
        }
    }

    /// What a loop computes: a line for each array and number that comes of it.
    pub fn about(&self, this: &Loop) -> impl Iterator<Item = String> {
        let writes = this.writes.iter().map(|(id, array)| (self.array_label(*array), *id));
        let folds = this.folds.iter().map(|fold| (self.label(*fold), *fold));
        writes.chain(folds).map(|(label, id)| format!("{label} = {}", self.graph.expression(id)))
    }

    /// What to call an array in memory.
    pub fn array_label(&self, array: Array) -> String {
        match array {
            Array::Input(input) => self.graph.inputs[input].clone(),
            Array::Temporary(temporary) => self.label(self.temporaries[temporary]),
            Array::Output(output) => self.graph.outputs[output].name.clone(),
        }
    }

    /// The length of a loop as text: `xs`, or `the shorter of xs, ys`.
    pub fn length_label(&self, length: &Length) -> String {
        let inputs: Vec<&str> = length.iter().map(|input| self.graph.inputs[*input].as_str()).collect();
        if let [input] = inputs[..] { input.to_owned() } else { format!("the shortest of {}", inputs.join(", ")) }
    }

    /// How long an array in memory is.
    pub fn length_of(&self, array: Array) -> Length {
        let node = match array {
            Array::Input(input) => return Length::from([input]),
            Array::Temporary(temporary) => self.temporaries[temporary],
            Array::Output(output) => self.graph.outputs[output].node,
        };
        self.graph.lengths[node].clone().unwrap_or_default()
    }
}

/// ```text
/// loop 0 over xs
///   reads xs
///   writes r = map sqrt xs to the arena
///   m = maximum r
/// loop 1 over xs
///   reads r
///   s = sum (map (subtract m) r)
/// ```
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, this) in self.loops.iter().enumerate() {
            writeln!(f, "loop {at} over {}", self.length_label(&this.length))?;
            let reads: Vec<String> = this.reads.iter().map(|(_, array)| self.array_label(*array)).collect();
            writeln!(f, "  reads {}", reads.join(", "))?;
            for (id, array) in &this.writes {
                let place = if let Array::Temporary(_) = array { " to the arena" } else { "" };
                writeln!(f, "  writes {} = {}{place}", self.array_label(*array), self.graph.expression(*id))?;
            }
            for fold in &this.folds {
                writeln!(f, "  {} = {}", self.label(*fold), self.graph.expression(*fold))?;
            }
        }
        Ok(())
    }
}
