//! Names that a program's text may have and that Rust or C may not.
//!
//! Names are kept where that is possible. A prime becomes `_prime`; what is a keyword, or used by the emitted code
//! itself, gets a number at its end, and what starts as the runtime's or the kernel's own functions do, `the_` in
//! front.

use std::collections::{BTreeMap, HashSet};

use super::graph::{Id, Node, Number};
use super::language::MAX_NAME;
use super::plan::{Array, Loop, Plan};

/// Keywords of Rust and C, macros that C's headers may define, and what the emitted code calls its own things.
const RESERVED: &str = "
    as async await abstract become box break const continue crate do dyn else enum extern false final fn for gen if
    impl in let loop macro match mod move mut override priv pub ref return self static struct super trait true try
    type typeof unsafe unsized use virtual where while yield i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 bool char str
    usize isize alignas alignof and asm assert auto bool case catch char class compl constexpr default delete double
    errno explicit export float friend goto inline int linux long namespace new not nullptr operator or private
    protected public register restrict short signed sizeof stderr stdin stdout switch template this throw typedef
    typename static_assert math_errhandling union unix unsigned using void volatile wchar_t xor arena at element
    fabs fabsf half lane len level mark max_of min_of results rows scope sqrt sqrtf status wide";

/// What the emitted code appends to names, or types of C end with, and so no name does.
const SUFFIXES: [&str; 7] = ["_wide", "_rest", "_lanes", "_len", "_value", "_at", "_t"];

/// Functions of C's library that the emitted code's headers declare, without the `f` or `l` that some end with.
const LIBRARY: &str = "
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma
    fmax fmin fmod frexp gamma hypot ilogb j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint
    lround main modf nan nearbyint nextafter nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt
    tan tanh tgamma trunc y0 y1 yn abort exit free malloc calloc realloc memcpy memmove memset printf puts";

/// Whether a kernel can have this name in Rust and in C.
pub fn is_kernel_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_in = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    let is_library = |name: &str| is_in(LIBRARY, name);
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_plain)
        && !name.contains("__")
        && !name.ends_with('_')
        && !name.ends_with("_t")
        // The runtime's functions, and names that would be those of the program's once they are changed.
        && !name.starts_with("bhc")
        && !name.starts_with("the_")
        && !is_in(RESERVED, name)
        && !is_library(name)
        && !name.strip_suffix(['f', 'l']).is_some_and(is_library)
}

/// Text of the program, to stand in a comment: nothing that ends a line or the comment, nor turns text around.
pub fn printable(text: &str) -> String {
    let is_harmless = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    let text: String = text.chars().map(|c| if is_harmless(c) { c } else { '?' }).collect();
    text.replace("*/", "* /").replace("/*", "/ *")
}

/// What nodes and arrays are called in the emitted code. All are different.
pub struct Names {
    nodes: Vec<String>,
    arrays: BTreeMap<Array, String>,
}

impl Names {
    /// For a kernel that is called `kernel`.
    pub fn new(plan: &Plan, kernel: &str) -> Self {
        let mut taken: HashSet<String> = RESERVED.split_whitespace().map(str::to_owned).collect();
        let mut unique = |label: &str| {
            let mut name = label.replace('\'', "_prime");
            // What the header declares, and what the kernel's own functions are called.
            if name.starts_with("bhc") || name.starts_with(kernel) {
                name.insert_str(0, "the_");
            }
            let is_free =
                |name: &String| !taken.contains(name) && !SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
            let numbered = (2..).map(|number: usize| format!("{name}{number}"));
            let name = std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name);
            taken.insert(name.clone());
            name
        };

        let graph = &plan.graph;
        let mut arrays = BTreeMap::new();
        let every = (0..graph.inputs.len()).map(Array::Input).chain((0..graph.outputs.len()).map(Array::Output));
        for array in every.chain((0..plan.temporaries.len()).map(Array::Temporary)) {
            arrays.insert(array, unique(&plan.array_label(array)));
        }
        // A node that is one array in memory shares its name.
        let nodes = (0..graph.nodes.len()).map(|id| {
            let temporary = plan.temporaries.iter().position(|node| *node == id).map(Array::Temporary);
            let output = graph.outputs.iter().position(|output| output.node == id).map(Array::Output);
            match (&graph.nodes[id], temporary.or(output)) {
                (Node::Input(input), _) => arrays[&Array::Input(*input)].clone(),
                (_, Some(array)) => arrays[&array].clone(),
                _ => unique(&plan.label(id)),
            }
        });
        let nodes = nodes.collect();
        Self { nodes, arrays }
    }

    /// Whether Rust would rather have some of them written in another way.
    pub fn are_odd(&self) -> bool {
        let is_odd = |name: &String| name.contains("__") || name.ends_with('_') || name.contains(char::is_uppercase);
        self.nodes.iter().chain(self.arrays.values()).any(is_odd)
    }

    pub fn node(&self, id: Id) -> &str {
        &self.nodes[id]
    }

    pub fn array(&self, array: Array) -> &str {
        &self.arrays[&array]
    }

    /// The arrays of a loop, and whether they are written.
    pub fn of_loop(&self, this: &Loop) -> Vec<(&str, bool)> {
        let reads = this.reads.iter().map(|(_, array)| (self.array(*array), false));
        let writes = this.writes.iter().map(|(_, array)| (self.array(*array), true));
        reads.chain(writes).collect()
    }

    /// The outputs that are scalars: what they are called, and what they are.
    pub fn scalars(&self, plan: &Plan, number: impl Fn(Number) -> String) -> Vec<(&str, String)> {
        let graph = &plan.graph;
        let outputs = graph.outputs.iter().enumerate().filter(|(_, output)| !graph.is_array(output.node));
        let value = |node: Id| match graph.nodes[node] {
            Node::Number(value) => number(value),
            _ => self.node(node).to_owned(),
        };
        outputs.map(|(at, output)| (self.array(Array::Output(at)), value(output.node))).collect()
    }
}
