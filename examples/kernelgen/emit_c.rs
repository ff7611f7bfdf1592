//! Emits C11 over the runtime's C ABI: a function for each loop, and one around them.
//!
//! What Rust's types say is said to the C compiler by `__builtin_assume_aligned`, and checked by `assert` in the
//! function around the loops; what `simd_kernel!` does is `target_clones`, where GCC has it. Temporaries come from the
//! arena between a mark and its release. Sums are added up in the same order as in Rust.
//!
//! To be compiled with `-std=c11 -O3`: with `-std=gnu11` multiplications and additions would be fused
//! (`-ffp-contract=off` says no), and below `-O3` accumulators stay in memory. Square roots are vectorised with
//! `-fno-math-errno`.

use std::fmt::Write;

use super::element::{ElementFunction, Syntax, Text};
use super::emit_rust::ALIGNMENT;
use super::graph::{Id, Length, Node, Number};
use super::language::{Binary, Element, Fold, Unary};
use super::names::{Names, printable};
use super::plan::{Array, LANES, Loop, Plan};

/// A C file with the function `name`: of a `BhcArena *` if there are temporaries, of each input and its length, and of
/// room for each array that is a result.
///
/// It returns the scalar that the program computes, or a `struct name_results` of several. If there are temporaries it
/// returns a `BhcStatus`, and scalars go to where its last argument points.
pub fn emit_c(plan: &Plan, name: &str) -> String {
    Emitter { plan, name, names: Names::new(plan, name), element: plan.graph.element }.file()
}

/// The width of a line, and of a call within another expression.
const LINE: usize = 100;
const CALL: usize = 60;

const INCLUDES: &str = "\
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
";

const MACROS: &str = "
#ifndef KERNELGEN_ALIGNED
#if defined(__GNUC__)
#define KERNELGEN_INLINE static inline __attribute__((always_inline))
#define KERNELGEN_ALIGNED(pointer) __builtin_assume_aligned((pointer), 64)
#else
#define KERNELGEN_INLINE static inline
#define KERNELGEN_ALIGNED(pointer) (pointer)
#endif
/* For the six steps of a tree of 64: with all of them apart, what they add is known. */
#if defined(__GNUC__) && !defined(__clang__)
#define KERNELGEN_UNROLL _Pragma(\"GCC unroll 8\")
#else
#define KERNELGEN_UNROLL
#endif
/* One copy of a loop for each instruction set, chosen when the program starts. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__)
#define KERNELGEN_CLONES __attribute__((noinline, target_clones(\"avx512f\", \"avx2\", \"default\")))
#else
#define KERNELGEN_CLONES
#endif
#endif

";

struct Emitter<'a> {
    plan: &'a Plan,
    name: &'a str,
    names: Names,
    element: Element,
}

/// The operations of C. Those that are functions belong to the kernel: its name is in front.
struct C<'a>(Element, &'a str);

impl C<'_> {
    const fn type_name(element: Element) -> &'static str {
        match element {
            Element::F32 => "float",
            Element::F64 => "double",
            Element::I32 => "int32_t",
            Element::I64 => "int64_t",
        }
    }
}

impl Syntax for C<'_> {
    fn number(&self, number: Number) -> String {
        match (number, self.0) {
            (Number::Float(bits), Element::F32) => format!("{:?}f", f64::from_bits(bits) as f32),
            (Number::Float(bits), _) => format!("{:?}", f64::from_bits(bits)),
            // Their digits without the sign would not fit.
            (Number::Integer(value), Element::I32) if value == i64::from(i32::MIN) => "INT32_MIN".to_owned(),
            (Number::Integer(i64::MIN), _) => "INT64_MIN".to_owned(),
            (Number::Integer(value), Element::I64) => format!("INT64_C({value})"),
            (Number::Integer(value), _) => value.to_string(),
        }
    }

    fn unary(&self, operation: Unary, x: &Text) -> Text {
        let Self(element, kernel) = *self;
        let suffix = if element == Element::F32 { "f" } else { "" };
        match (operation, element.is_float()) {
            (Unary::Negate, true) => Text::compound(format!("-{}", x.operand())),
            (Unary::Abs, true) => Text::atom(format!("fabs{suffix}({})", x.text)),
            (Unary::Sqrt, _) => Text::atom(format!("sqrt{suffix}({})", x.text)),
            (Unary::Negate | Unary::Abs, false) => Text::atom(format!("{kernel}_{}({})", operation.name(), x.text)),
        }
    }

    fn binary(&self, operation: Binary, x: &Text, y: &Text) -> Text {
        let Self(element, kernel) = *self;
        let function = match operation {
            Binary::Max => "max",
            Binary::Min => "min",
            _ if element.is_float() => {
                return Text::compound(format!("{} {} {}", x.operand(), operation.name(), y.operand()));
            }
            Binary::Add => "add",
            Binary::Subtract => "subtract",
            Binary::Multiply => "multiply",
            Binary::Divide => "divide",
        };
        Text::atom(format!("{kernel}_{function}({}, {})", x.text, y.text))
    }
}

impl Emitter<'_> {
    fn file(&self) -> String {
        let mut out = String::new();
        let plan = self.plan;
        let _ = writeln!(out, "/* Generated by kernelgen, for {}, from", self.element);
        for line in plan.graph.text.lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(out, " *     {}", printable(line.trim_end()));
        }
        let _ = writeln!(
            out,
            " * For gcc -std=c11 -O3 -fno-math-errno: not with -ffp-contract=fast, the default of -std=gnu11. */"
        );
        out.push_str(INCLUDES);
        if !plan.temporaries.is_empty() {
            out.push_str("\n#include \"bhc_rts_alloc.h\"\n");
        }
        out.push_str(MACROS);
        self.helpers(&mut out);
        for (at, this) in plan.loops.iter().enumerate() {
            self.kernel(&mut out, at, this);
        }
        self.results(&mut out);
        self.front(&mut out);
        out
    }

    fn c_type(&self) -> &'static str {
        C::type_name(self.element)
    }

    fn syntax(&self) -> C<'_> {
        C(self.element, self.name)
    }

    /// The operations that are functions, where they are used. Unsigned arithmetic, as that wraps around.
    fn helpers(&self, out: &mut String) {
        let (name, element, is_float) = (self.name, self.c_type(), self.element.is_float());
        let unsigned = if self.element == Element::I32 { "uint32_t" } else { "uint64_t" };
        let uses = |is_it: &dyn Fn(&Node) -> bool| self.plan.graph.nodes.iter().any(is_it);
        let binary = |operation| uses(&|node| matches!(node, Node::Binary(other, ..) if *other == operation));
        let folded = |fold| uses(&|node| matches!(node, Node::Fold(other, _) if *other == fold));
        let unary = |operation| uses(&|node| matches!(node, Node::Unary(other, _) if *other == operation));
        let mut function = |what: &str, parameters: &str, value: String| {
            let _ = writeln!(out, "KERNELGEN_INLINE {element} {name}_{what}({parameters}) {{");
            let _ = writeln!(out, "    return {value};\n}}\n");
        };
        let two = format!("{element} x, {element} y");
        let one = format!("{element} x");
        for (operation, what, sign) in
            [(Binary::Add, "add", "+"), (Binary::Subtract, "subtract", "-"), (Binary::Multiply, "multiply", "*")]
        {
            if !is_float && (binary(operation) || operation == Binary::Add && folded(Fold::Sum)) {
                function(what, &two, format!("({element})(({unsigned})x {sign} ({unsigned})y)"));
            }
        }
        if binary(Binary::Max) || folded(Fold::Maximum) {
            function("max", &two, "x > y ? x : y".to_owned());
        }
        if binary(Binary::Min) || folded(Fold::Minimum) {
            function("min", &two, "x < y ? x : y".to_owned());
        }
        if !is_float && unary(Unary::Negate) {
            function("negate", &one, format!("({element})(0 - ({unsigned})x)"));
        }
        if !is_float && unary(Unary::Abs) {
            function("abs", &one, format!("({element})(x < 0 ? 0 - ({unsigned})x : ({unsigned})x)"));
        }
    }

    /// `struct kernel_0_results { … }`, unless there is at most one.
    fn structure(&self, out: &mut String, what: &str, fields: &[&str]) {
        if fields.len() > 1 {
            let _ = writeln!(out, "struct {what} {{");
            for field in fields {
                let _ = writeln!(out, "    {} {field};", self.c_type());
            }
            let _ = writeln!(out, "}};\n");
        }
    }

    /// The type of a function that computes so many values.
    fn returned(&self, count: usize, structure: &str) -> String {
        match count {
            0 => "void".to_owned(),
            1 => self.c_type().to_owned(),
            _ => format!("struct {structure}"),
        }
    }

    fn kernel(&self, out: &mut String, at: usize, this: &Loop) {
        let (name, c_type) = (format!("{}_{at}", self.name), self.c_type());
        let element = ElementFunction::new(self.plan, this, &self.names, &self.syntax());
        if let Some(element) = &element {
            self.element_function(out, &name, element);
        }
        let folds: Vec<&str> = this.folds.iter().map(|fold| self.names.node(*fold)).collect();
        self.structure(out, &format!("{name}_results"), &folds);

        let _ = writeln!(out, "/* Loop {at}, as long as {}:", self.plan.length_label(&this.length));
        for line in self.plan.about(this).map(|line| printable(&line)) {
            let _ = writeln!(out, " *     {line}");
        }
        let _ = writeln!(out, " */");
        let mut parameters: Vec<String> =
            this.scalars.iter().map(|id| format!("{c_type} {}", self.names.node(*id))).collect();
        let arrays = self.names.of_loop(this);
        let pointer = |written: bool| if written { format!("{c_type} *") } else { format!("const {c_type} *") };
        parameters.extend(arrays.iter().map(|(array, written)| format!("{}{array}_at", pointer(*written))));
        parameters.push("size_t len".to_owned());
        let _ = writeln!(out, "KERNELGEN_CLONES");
        let returned = self.returned(folds.len(), &format!("{name}_results"));
        list(out, "", &format!("static {returned} {name}("), &parameters, ") {");
        for (array, written) in &arrays {
            let _ = writeln!(out, "    {}restrict {array} = KERNELGEN_ALIGNED({array}_at);", pointer(*written));
        }
        if folds.is_empty() {
            let _ = writeln!(out, "    for (size_t at = 0; at < len; at++) {{");
            self.body(out, "        ", &name, this, element.as_ref(), ("at", ""));
            let _ = writeln!(out, "    }}\n}}\n");
            return;
        }
        for fold in &this.folds {
            let lanes = format!("{}_lanes", self.names.node(*fold));
            let Node::Fold(kind, _) = self.plan.graph.nodes[*fold] else { continue };
            let start = match (kind, self.element) {
                (Fold::Sum, _) => "0",
                (Fold::Maximum, Element::F32 | Element::F64) => "-INFINITY",
                (Fold::Minimum, Element::F32 | Element::F64) => "INFINITY",
                (Fold::Maximum, Element::I32) => "INT32_MIN",
                (Fold::Minimum, Element::I32) => "INT32_MAX",
                (Fold::Maximum, Element::I64) => "INT64_MIN",
                (Fold::Minimum, Element::I64) => "INT64_MAX",
            };
            let _ = writeln!(out, "    _Alignas({ALIGNMENT}) {c_type} {lanes}[{LANES}];");
            let _ = writeln!(out, "    for (size_t lane = 0; lane < {LANES}; lane++) {{");
            let _ = writeln!(out, "        {lanes}[lane] = {start};\n    }}");
        }
        let _ = writeln!(out, "    const size_t wide = len - len % {LANES};");
        let _ = writeln!(out, "    for (size_t at = 0; at < wide; at += {LANES}) {{");
        let _ = writeln!(out, "        for (size_t lane = 0; lane < {LANES}; lane++) {{");
        self.body(out, "            ", &name, this, element.as_ref(), ("at + lane", "_lanes[lane]"));
        let _ = writeln!(out, "        }}\n    }}");
        let _ = writeln!(out, "    KERNELGEN_UNROLL");
        let _ = writeln!(out, "    for (size_t half = {}; half > 0; half /= 2) {{", LANES / 2);
        let _ = writeln!(out, "        for (size_t lane = 0; lane < half; lane++) {{");
        for fold in &this.folds {
            let lanes = format!("{}_lanes", self.names.node(*fold));
            let step = self.step(*fold, &format!("{lanes}[lane]"), &format!("{lanes}[lane + half]"));
            let _ = writeln!(out, "            {step}");
        }
        let _ = writeln!(out, "        }}\n    }}");
        for fold in &folds {
            let _ = writeln!(out, "    {c_type} {fold} = {fold}_lanes[0];");
        }
        let _ = writeln!(out, "    for (size_t at = wide; at < len; at++) {{");
        self.body(out, "        ", &name, this, element.as_ref(), ("at", ""));
        let _ = writeln!(out, "    }}");
        match folds[..] {
            [fold] => {
                let _ = writeln!(out, "    return {fold};");
            }
            _ => {
                list(out, "    ", &format!("return (struct {name}_results){{"), &fields(&folds), "};");
            }
        }
        let _ = writeln!(out, "}}\n");
    }

    fn element_function(&self, out: &mut String, kernel: &str, element: &ElementFunction) {
        let ElementFunction { parameters, bindings, results } = element;
        let c_type = self.c_type();
        let values: Vec<&str> = results.iter().map(|(id, _)| self.names.node(*id)).collect();
        self.structure(out, &format!("{kernel}_element"), &values);
        let typed: Vec<String> = parameters.iter().map(|id| format!("{c_type} {}", self.names.node(*id))).collect();
        let returned = self.returned(results.len(), &format!("{kernel}_element"));
        let head = format!("KERNELGEN_INLINE {returned} {kernel}_element(");
        list(out, "", &head, &typed, ") {");
        for (name, text) in bindings {
            let _ = writeln!(out, "    const {c_type} {name} = {text};");
        }
        match &results[..] {
            [(_, text)] => {
                let _ = writeln!(out, "    return {text};");
            }
            _ => {
                let fields: Vec<String> =
                    results.iter().map(|(id, text)| format!(".{} = {text}", self.names.node(*id))).collect();
                list(out, "    ", &format!("return (struct {kernel}_element){{"), &fields, "};");
            }
        }
        let _ = writeln!(out, "}}\n");
    }

    /// What happens to the element at `index`. `accumulator` is what comes after the name of a reduction.
    fn body(
        &self,
        out: &mut String,
        indent: &str,
        kernel: &str,
        this: &Loop,
        element: Option<&ElementFunction>,
        (index, accumulator): (&str, &str),
    ) {
        let mut values: Vec<(Id, String)> = Vec::new();
        for (id, array) in &this.reads {
            values.push((*id, format!("{}[{index}]", self.names.array(*array))));
        }
        if let Some(ElementFunction { parameters, results, .. }) = element {
            let argument = |id: &Id| {
                let read = values.iter().find(|(other, _)| other == id);
                read.map_or_else(|| self.names.node(*id).to_owned(), |(_, text)| text.clone())
            };
            let arguments: Vec<String> = parameters.iter().map(argument).collect();
            let call = format!("{kernel}_element(");
            let short = format!("{call}{})", arguments.join(", "));
            match (&results[..], this.writes.len() + this.folds.len()) {
                ([(id, _)], 1) if short.len() <= CALL => values.push((*id, short)),
                ([(id, _)], _) => {
                    let value = format!("{}_value", self.names.node(*id));
                    list(out, indent, &format!("const {} {value} = {call}", self.c_type()), &arguments, ");");
                    values.push((*id, value));
                }
                _ => {
                    let head = format!("const struct {kernel}_element element = {call}");
                    list(out, indent, &head, &arguments, ");");
                    let members = results.iter().map(|(id, _)| (*id, format!("element.{}", self.names.node(*id))));
                    values.extend(members);
                }
            }
        }
        let value = |id: Id| values.iter().find(|(other, _)| *other == id).map_or("", |(_, text)| text.as_str());
        for (id, array) in &this.writes {
            let _ = writeln!(out, "{indent}{}[{index}] = {};", self.names.array(*array), value(*id));
        }
        for fold in &this.folds {
            let operand = self.plan.graph.operands(*fold).next().unwrap_or_default();
            let accumulator = format!("{}{accumulator}", self.names.node(*fold));
            let _ = writeln!(out, "{indent}{}", self.step(*fold, &accumulator, value(operand)));
        }
    }

    /// One step of a reduction: a statement.
    fn step(&self, fold: Id, accumulator: &str, x: &str) -> String {
        let Node::Fold(fold, _) = self.plan.graph.nodes[fold] else { return String::new() };
        let kernel = self.name;
        match (fold, self.element.is_float()) {
            (Fold::Sum, true) => format!("{accumulator} += {x};"),
            (Fold::Sum, false) => format!("{accumulator} = {kernel}_add({accumulator}, {x});"),
            (Fold::Maximum, _) => format!("{accumulator} = {kernel}_max({x}, {accumulator});"),
            (Fold::Minimum, _) => format!("{accumulator} = {kernel}_min({x}, {accumulator});"),
        }
    }

    fn array_outputs(&self) -> impl Iterator<Item = usize> {
        let graph = &self.plan.graph;
        (0..graph.outputs.len()).filter(|output| graph.is_array(graph.outputs[*output].node))
    }

    fn results(&self, out: &mut String) {
        let fields: Vec<&str> = self
            .names
            .scalars(self.plan, |number| self.syntax().number(number))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        self.structure(out, &format!("{}_results", self.name), &fields);
    }

    /// The function's type, name and parameters.
    fn head(&self) -> String {
        let (c_type, scalars) = (self.c_type(), self.names.scalars(self.plan, |number| self.syntax().number(number)));
        let returned = self.returned(scalars.len(), &format!("{}_results", self.name));
        let is_fallible = !self.plan.temporaries.is_empty();
        let mut parameters = Vec::new();
        if is_fallible {
            parameters.push("BhcArena *arena".to_owned());
        }
        for input in 0..self.plan.graph.inputs.len() {
            let input = self.names.array(Array::Input(input));
            parameters.push(format!("const {c_type} *{input}"));
            parameters.push(format!("size_t {input}_len"));
        }
        parameters.extend(
            self.array_outputs().map(|output| format!("{c_type} *{}", self.names.array(Array::Output(output)))),
        );
        if is_fallible && !scalars.is_empty() {
            parameters.push(format!("{returned} *results"));
        }
        if parameters.is_empty() {
            parameters.push("void".to_owned());
        }
        let returned = if is_fallible { "BhcStatus" } else { &returned };
        let mut out = String::new();
        list(&mut out, "", &format!("{returned} {}(", self.name), &parameters, ")");
        out.trim_end().to_owned()
    }

    fn front(&self, out: &mut String) {
        let plan = self.plan;
        let graph = &plan.graph;
        let (c_type, scalars) = (self.c_type(), self.names.scalars(self.plan, |number| self.syntax().number(number)));
        let is_fallible = !plan.temporaries.is_empty();

        let mut about = Vec::new();
        for (at, output) in graph.outputs.iter().enumerate() {
            about.push(format!("{} = {}", output.name, printable(&graph.expression(output.node))));
            if let Some(length) = &graph.lengths[output.node] {
                let name = self.names.array(Array::Output(at));
                about.push(format!("    ({name}: room for as many as in {})", plan.length_label(length)));
            }
        }
        if !plan.loops.is_empty() {
            about.push(format!("All arrays are aligned to {ALIGNMENT} bytes; results overlap nothing."));
        }
        let _ = writeln!(out, "/* {}", about[0]);
        for line in &about[1..] {
            let _ = writeln!(out, " * {line}");
        }
        let _ = writeln!(out, " */\n{} {{", self.head());

        let inputs = (0..graph.inputs.len()).map(Array::Input);
        for array in inputs.chain(self.array_outputs().map(Array::Output)) {
            let _ = writeln!(out, "    assert((uintptr_t){} % {ALIGNMENT} == 0);", self.names.array(array));
        }
        let mut lengths: Vec<&Length> = plan.loops.iter().map(|this| &this.length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let length_name = |length: &Length| {
            if let (1, Some(input)) = (length.len(), length.first()) {
                return format!("{}_len", self.names.array(Array::Input(*input)));
            }
            let many = lengths.iter().filter(|length| length.len() > 1).count() > 1;
            let at = lengths.iter().position(|other| *other == length).unwrap_or_default();
            if many { format!("n{at}_len") } else { "len".to_owned() }
        };
        for length in lengths.iter().filter(|length| length.len() > 1) {
            let name = length_name(length);
            for (at, input) in length.iter().enumerate() {
                let input = format!("{}_len", self.names.array(Array::Input(*input)));
                if at == 0 {
                    let _ = writeln!(out, "    size_t {name} = {input};");
                } else {
                    let _ = writeln!(out, "    {name} = {input} < {name} ? {input} : {name};");
                }
            }
        }
        if is_fallible {
            let _ = writeln!(out, "    BhcArenaMark mark;");
            let _ = writeln!(out, "    const BhcStatus status = bhc_arena_mark(arena, &mark);");
            let _ = writeln!(out, "    if (status != BHC_STATUS_OK) {{\n        return status;\n    }}");
        }

        for (at, this) in plan.loops.iter().enumerate() {
            let len = length_name(&this.length);
            for (id, array) in &this.writes {
                if let Array::Temporary(_) = array {
                    let name = self.names.node(*id);
                    let _ = writeln!(out, "    /* {} */", printable(&graph.expression(*id)));
                    let _ = writeln!(
                        out,
                        "    {c_type} *{name} = bhc_arena_alloc_inline(arena, {len} * sizeof *{name}, {ALIGNMENT});"
                    );
                    let _ = writeln!(out, "    if (!{name}) {{");
                    let _ = writeln!(out, "        const BhcStatus error = bhc_last_error();");
                    let _ = writeln!(out, "        (void)bhc_arena_release(arena, &mark);");
                    let _ = writeln!(out, "        return error;\n    }}");
                }
            }
            let mut arguments: Vec<String> = this.scalars.iter().map(|id| self.names.node(*id).to_owned()).collect();
            arguments.extend(self.names.of_loop(this).iter().map(|(array, _)| (*array).to_owned()));
            arguments.push(len);
            let kernel = format!("{}_{at}", self.name);
            match this.folds[..] {
                [fold]
                    if at + 1 == plan.loops.len()
                        && !is_fallible
                        && matches!(&scalars[..], [(_, value)] if value == self.names.node(fold)) =>
                {
                    list(out, "    ", &format!("return {kernel}("), &arguments, ");");
                    let _ = writeln!(out, "}}");
                    return;
                }
                [] => list(out, "    ", &format!("{kernel}("), &arguments, ");"),
                [fold] => {
                    let head = format!("const {c_type} {} = {kernel}(", self.names.node(fold));
                    list(out, "    ", &head, &arguments, ");");
                }
                _ => {
                    let head = format!("const struct {kernel}_results loop_{at}_value = {kernel}(");
                    list(out, "    ", &head, &arguments, ");");
                    for fold in &this.folds {
                        let fold = self.names.node(*fold);
                        let _ = writeln!(out, "    const {c_type} {fold} = loop_{at}_value.{fold};");
                    }
                }
            }
        }

        let value = match &scalars[..] {
            [] => None,
            [(_, value)] => Some(value.clone()),
            _ => {
                let values: Vec<String> = scalars.iter().map(|(_, value)| value.clone()).collect();
                Some(format!("(struct {}_results){{{}}}", self.name, values.join(", ")))
            }
        };
        match (is_fallible, value) {
            (true, value) => {
                if let Some(value) = value {
                    let _ = writeln!(out, "    *results = {value};");
                }
                let _ = writeln!(out, "    return bhc_arena_release(arena, &mark);");
            }
            (false, Some(value)) => {
                let _ = writeln!(out, "    return {value};");
            }
            (false, None) => {}
        }
        let _ = writeln!(out, "}}");
    }
}

fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!(".{name} = {name}")).collect()
}

/// `head item, item tail`, in as many lines as it takes.
fn list(out: &mut String, indent: &str, head: &str, items: &[String], tail: &str) {
    let one = format!("{indent}{head}{}{tail}", items.join(", "));
    if one.chars().count() <= LINE {
        let _ = writeln!(out, "{one}");
        return;
    }
    let _ = write!(out, "{indent}{head}");
    for (at, item) in items.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\n{indent}    {item}");
    }
    let _ = writeln!(out, "\n{indent}{tail}");
}
