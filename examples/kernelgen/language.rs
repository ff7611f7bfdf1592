//! The language: what a program's text says, and what is wrong with it.
//!
//! ```text
//! program    = statement { (";" | newline) statement }      -- a comment ends with its line
//! statement  = [ name "=" expression ]                      -- or, as the last one, a bare expression
//! expression = "map" function atom | "zipWith" operator atom atom | fold atom | "-" number | atom
//! fold       = "sum" | "maximum" | "minimum"
//! function   = "negate" | "abs" | "sqrt" | "(" section ")"
//! section    = sign atom | atom sign | ("subtract" | "max" | "min") atom | "negate" | "abs" | "sqrt"
//! operator   = "(" sign ")" | "max" | "min"
//! sign       = "+" | "-" | "*" | "/"
//! atom       = name | number | "(" expression ")"
//! ```
//!
//! A new line inside parentheses ends nothing. As in Haskell `(-2)` is a number and not a section: that is `(subtract
//! 2)`. Definitions stand in any order; a name that none defines is an input, an array.
//!
//! Invariant: an [`Expression`] is nested at most [`MAX_NESTING`] deep and a program has at most [`MAX_EXPRESSIONS`],
//! so whatever walks over one may recurse.

use std::fmt;

/// How deep expressions may be nested.
pub const MAX_NESTING: usize = 64;
/// How many expressions a program may have, names and numbers included.
pub const MAX_EXPRESSIONS: usize = 2000;
/// How many arrays a loop may read and write.
pub const MAX_ARRAYS: usize = 32;
/// How long a name may be.
pub const MAX_NAME: usize = 32;

/// The type of all elements and scalars of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    F32,
    F64,
    I32,
    I64,
}

impl Element {
    pub const ALL: [Self; 4] = [Self::F32, Self::F64, Self::I32, Self::I64];

    /// As Rust, the command line and the extensions of files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The size of one, in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Negate,
    Abs,
    /// Of floats only.
    Sqrt,
}

impl Unary {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Negate => "negate",
            Self::Abs => "abs",
            Self::Sqrt => "sqrt",
        }
    }
}

/// Integers wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    /// Of floats only.
    Divide,
    /// The left operand if it is greater, otherwise the right one: what vector instructions do. (NaN is never greater.)
    Max,
    /// The left operand if it is less, otherwise the right one.
    Min,
}

impl Binary {
    /// `+`, `max`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Max => "max",
            Self::Min => "min",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    Sum,
    /// Of no elements: -∞, or the least integer. NaNs are passed over.
    Maximum,
    /// Of no elements: ∞, or the greatest integer. NaNs are passed over.
    Minimum,
}

impl Fold {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
        }
    }
}

/// A program that is grammatical. What its names mean is found out by [`plan`](super::plan::plan).
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub text: String,
    pub statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// `None`: a bare expression, the last statement.
    pub name: Option<String>,
    /// Where it starts in the text, in bytes.
    pub at: usize,
    pub body: Expression,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Where it starts in the text, in bytes.
    pub at: usize,
    pub kind: ExpressionKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    Name(String),
    /// With its sign. What it means depends on the element type.
    Number(String),
    Map(Function, Box<Expression>),
    ZipWith(Binary, Box<Expression>, Box<Expression>),
    Fold(Fold, Box<Expression>),
}

/// What `map` applies to each `x`. Where it may be wrong for an element type, it knows where it stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    Unary(Unary),
    /// `\x -> x op scalar`, as `(/s)` and `(subtract s)`.
    Right(Binary, Box<Expression>),
    /// `\x -> scalar op x`, as `(2-)` and `(max s)`.
    Left(Box<Expression>, Binary),
}

/// What is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Character(char),
    NameTooLong,
    /// Another thing was expected than what stands there.
    Expected {
        what: &'static str,
        found: String,
    },
    /// `map (-2) xs`
    NegativeNumberAsSection,
    /// `map max 0 xs`, `sum sum xs`
    FunctionWithoutParentheses(String),
    /// `map f xs` where `f` is a name.
    NotAFunction(String),
    /// `xs + ys`
    OperatorBetweenExpressions(char),
    FunctionDefined(String),
    TooNested,
    TooLarge,
    /// One loop would read and write more than [`MAX_ARRAYS`].
    TooManyArrays(usize),
    DefinedTwice(String),
    NotTheLast,
    Empty,
    Cyclic(String),
    ScalarInsteadOfArray {
        function: &'static str,
    },
    ArrayInsteadOfScalar,
    InputAsScalar(String),
    NoSuchOperation {
        operation: &'static str,
        element: Element,
    },
    Number {
        text: String,
        element: Element,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(c) => write!(f, "`{}` means nothing here", c.escape_debug()),
            Self::NameTooLong => write!(f, "names have at most {MAX_NAME} characters"),
            Self::Expected { what, found } => write!(f, "expected {what}, found {found}"),
            Self::NegativeNumberAsSection => {
                f.write_str("`(-…)` is a negative number, not a function; write `(subtract …)`")
            }
            Self::FunctionWithoutParentheses(name) => {
                write!(f, "`{name}` is a function; what it is applied to needs parentheses together with it")
            }
            Self::NotAFunction(name) => {
                write!(f, "`{name}` is not a function; there are negate, abs, sqrt, and sections such as `(*2)`")
            }
            Self::OperatorBetweenExpressions(sign) => {
                write!(
                    f,
                    "`{sign}` does not stand between expressions; write `zipWith ({sign}) …` or `map ({sign}…) …`"
                )
            }
            Self::FunctionDefined(name) => write!(f, "`{name}` is a function already"),
            Self::TooNested => write!(f, "nested more than {MAX_NESTING} deep; name a part of it"),
            Self::TooLarge => write!(f, "the program has more than {MAX_EXPRESSIONS} expressions"),
            Self::TooManyArrays(count) => {
                write!(f, "one loop would read and write {count} arrays; there may be {MAX_ARRAYS}")
            }
            Self::DefinedTwice(name) => write!(f, "`{name}` is defined twice"),
            Self::NotTheLast => f.write_str("only the last expression may go without a name"),
            Self::Empty => f.write_str("the program computes nothing"),
            Self::Cyclic(name) => write!(f, "`{name}` is defined by itself"),
            Self::ScalarInsteadOfArray { function } => write!(f, "`{function}` wants an array, this is a scalar"),
            Self::ArrayInsteadOfScalar => f.write_str("a section wants a scalar, this is an array; use zipWith"),
            Self::InputAsScalar(name) => {
                write!(f, "`{name}` is not defined, and inputs are arrays; a section wants a scalar")
            }
            Self::NoSuchOperation { operation, element } => {
                write!(f, "there is no `{operation}` of {element}; it needs f32 or f64")
            }
            Self::Number { text, element } => write!(f, "{text} is not a number of the type {element}"),
        }
    }
}

/// What is wrong, and where: prints the line with a caret below the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    pub problem: Problem,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
}

impl ProgramError {
    pub fn new(problem: Problem, program: &str, at: usize) -> Self {
        let before = &program[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = program[start..].lines().next().unwrap_or_default().to_owned();
        let line = before.matches('\n').count() + 1;
        Self { problem, line, column: program[start..at].chars().count() + 1, text }
    }
}

/// How much of a line is shown on each side of the caret.
const SHOWN: usize = 60;

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, line, column, text } = self;
        let skipped = column.saturating_sub(SHOWN + 1);
        // One column for each character, whatever it is.
        let shown: String =
            text.chars().skip(skipped).take(2 * SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(f, "{line}:{column}: {problem}")?;
        writeln!(f, "  | {shown}")?;
        write!(f, "  | {:>1$}", '^', column - skipped)
    }
}

impl std::error::Error for ProgramError {}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(String),
    /// One of `+-*/()=`, or `;` for that or a new line.
    Sign(char),
    End,
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Number(text) => text.clone(),
            Self::Sign(';') => "the end of the statement".to_owned(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// The tokens and where they start.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ProgramError> {
    let mut tokens = Vec::new();
    let mut open = 0usize;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let span = |is_in: fn(char) -> bool| rest.find(|c| !is_in(c)).unwrap_or(rest.len());
        let (token, len) = match c {
            _ if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            // Inside parentheses a new line is a space.
            '\n' if open == 0 => (Some(Token::Sign(';')), 1),
            _ if c.is_whitespace() => (None, c.len_utf8()),
            'a'..='z' => {
                let len = span(|c| c.is_ascii_alphanumeric() || c == '_' || c == '\'');
                if len > MAX_NAME {
                    return Err(ProgramError::new(Problem::NameTooLong, text, at));
                }
                (Some(Token::Name(rest[..len].to_owned())), len)
            }
            '0'..='9' => {
                let len = number_len(rest);
                (Some(Token::Number(rest[..len].to_owned())), len)
            }
            '+' | '-' | '*' | '/' | '(' | ')' | '=' | ';' => {
                match c {
                    '(' => open += 1,
                    ')' => open = open.saturating_sub(1),
                    _ => {}
                }
                (Some(Token::Sign(c)), 1)
            }
            _ => return Err(ProgramError::new(Problem::Character(c), text, at)),
        };
        tokens.extend(token.map(|token| (token, at)));
        at += len;
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

/// How long the number is that `text` starts with: `12`, `1.5`, `1e-3`, `1.5e10`.
fn number_len(text: &str) -> usize {
    let digits = |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |len| from + len);
    let mut end = digits(0);
    if text[end..].starts_with('.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = end + 1 + sign;
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    end
}

const FUNCTIONS: [&str; 11] =
    ["map", "zipWith", "sum", "maximum", "minimum", "negate", "abs", "sqrt", "subtract", "max", "min"];

fn sign_operator(sign: char) -> Option<Binary> {
    Some(match sign {
        '+' => Binary::Add,
        '-' => Binary::Subtract,
        '*' => Binary::Multiply,
        '/' => Binary::Divide,
        _ => return None,
    })
}

fn unary(name: &str) -> Option<Unary> {
    [Unary::Negate, Unary::Abs, Unary::Sqrt].into_iter().find(|function| function.name() == name)
}

fn max_or_min(name: &str) -> Option<Binary> {
    [Binary::Max, Binary::Min].into_iter().find(|operator| operator.name() == name)
}

fn fold(name: &str) -> Option<Fold> {
    [Fold::Sum, Fold::Maximum, Fold::Minimum].into_iter().find(|fold| fold.name() == name)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    nesting: usize,
    expressions: usize,
}

/// Understands the text of a program.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str) -> Result<Program, ProgramError> {
    let tokens = tokens(text)?;
    Parser { text, tokens, next: 0, nesting: 0, expressions: 0 }.program()
}

impl Parser<'_> {
    fn program(mut self) -> Result<Program, ProgramError> {
        let mut statements: Vec<Statement> = Vec::new();
        loop {
            while self.take(';') {}
            if *self.peek() == Token::End {
                break;
            }
            if let Some(Statement { name: None, at, .. }) = statements.last() {
                return self.refuse(Problem::NotTheLast, *at);
            }
            let statement = self.statement()?;
            if let Some(name) = &statement.name
                && statements.iter().any(|other| other.name.as_ref() == Some(name))
            {
                return self.refuse(Problem::DefinedTwice(name.clone()), statement.at);
            }
            statements.push(statement);
            match *self.peek() {
                Token::Sign(';') | Token::End => {}
                Token::Sign(sign @ ('+' | '-' | '*' | '/')) => {
                    return self.refuse_here(Problem::OperatorBetweenExpressions(sign));
                }
                _ => return self.expected("the end of the statement"),
            }
        }
        if statements.is_empty() {
            return self.refuse(Problem::Empty, 0);
        }
        Ok(Program { text: self.text.to_owned(), statements })
    }

    fn statement(&mut self) -> Result<Statement, ProgramError> {
        let at = self.at();
        let name = match (self.peek(), self.tokens.get(self.next + 1)) {
            (Token::Name(name), Some((Token::Sign('='), _))) => Some(name.clone()),
            _ => None,
        };
        if let Some(name) = &name {
            if FUNCTIONS.contains(&name.as_str()) {
                return self.refuse_here(Problem::FunctionDefined(name.clone()));
            }
            self.next += 2;
        }
        Ok(Statement { name, at, body: self.expression()? })
    }

    fn expression(&mut self) -> Result<Expression, ProgramError> {
        let at = self.at();
        let kind = match self.peek().clone() {
            Token::Name(name) if name == "map" => {
                self.next += 1;
                let function = self.function()?;
                ExpressionKind::Map(function, Box::new(self.atom("an array")?))
            }
            Token::Name(name) if name == "zipWith" => {
                self.next += 1;
                let operator = self.operator()?;
                let left = self.atom("an array")?;
                ExpressionKind::ZipWith(operator, Box::new(left), Box::new(self.atom("another array")?))
            }
            Token::Name(name) if fold(&name).is_some() => {
                self.next += 1;
                let fold = fold(&name).unwrap_or(Fold::Sum);
                ExpressionKind::Fold(fold, Box::new(self.atom("an array")?))
            }
            Token::Sign('-') => {
                self.next += 1;
                let Token::Number(digits) = self.peek().clone() else { return self.expected("a number after `-`") };
                self.next += 1;
                ExpressionKind::Number(format!("-{digits}"))
            }
            _ => return self.atom("an expression"),
        };
        self.count(at)?;
        Ok(Expression { at, kind })
    }

    fn atom(&mut self, what: &'static str) -> Result<Expression, ProgramError> {
        let at = self.at();
        let kind = match self.peek().clone() {
            Token::Name(name) if FUNCTIONS.contains(&name.as_str()) => {
                return self.refuse_here(Problem::FunctionWithoutParentheses(name));
            }
            Token::Name(name) => ExpressionKind::Name(name),
            Token::Number(digits) => ExpressionKind::Number(digits),
            Token::Sign('(') => {
                if self.nesting == MAX_NESTING {
                    return self.refuse_here(Problem::TooNested);
                }
                self.next += 1;
                self.nesting += 1;
                let inner = self.expression()?;
                self.close()?;
                self.nesting -= 1;
                return Ok(inner);
            }
            _ => return self.expected(what),
        };
        self.next += 1;
        self.count(at)?;
        Ok(Expression { at, kind })
    }

    fn function(&mut self) -> Result<Function, ProgramError> {
        if self.take('(') {
            let function = self.section()?;
            self.close()?;
            return Ok(function);
        }
        match self.peek().clone() {
            Token::Name(name) => match unary(&name) {
                Some(function) => {
                    self.next += 1;
                    Ok(Function::Unary(function))
                }
                None if FUNCTIONS.contains(&name.as_str()) => {
                    self.refuse_here(Problem::FunctionWithoutParentheses(name))
                }
                None => self.refuse_here(Problem::NotAFunction(name)),
            },
            _ => self.expected("a function such as `(*2)` or `negate`"),
        }
    }

    fn section(&mut self) -> Result<Function, ProgramError> {
        const SCALAR: &str = "a scalar";
        match self.peek().clone() {
            Token::Sign('-') => return self.refuse_here(Problem::NegativeNumberAsSection),
            Token::Sign(sign) => {
                if let Some(operator) = sign_operator(sign) {
                    self.next += 1;
                    return Ok(Function::Right(operator, Box::new(self.atom(SCALAR)?)));
                }
            }
            Token::Name(name) if name == "subtract" => {
                self.next += 1;
                return Ok(Function::Right(Binary::Subtract, Box::new(self.atom(SCALAR)?)));
            }
            Token::Name(name) => {
                if let Some(operator) = max_or_min(&name) {
                    self.next += 1;
                    return Ok(Function::Left(Box::new(self.atom(SCALAR)?), operator));
                }
                if let Some(function) = unary(&name) {
                    self.next += 1;
                    return Ok(Function::Unary(function));
                }
            }
            _ => {}
        }
        let scalar = self.atom("a section such as `(*2)`")?;
        let operator = if let Token::Sign(sign) = *self.peek() { sign_operator(sign) } else { None };
        let Some(operator) = operator else { return self.expected("an operator") };
        self.next += 1;
        Ok(Function::Left(Box::new(scalar), operator))
    }

    fn operator(&mut self) -> Result<Binary, ProgramError> {
        const WHAT: &str = "an operator: `(+)`, `(-)`, `(*)`, `(/)`, `max` or `min`";
        let operator = match (self.peek(), &self.tokens[(self.next + 1).min(self.tokens.len() - 1)].0) {
            (Token::Name(name), _) => max_or_min(name),
            (Token::Sign('('), Token::Sign(sign)) => sign_operator(*sign),
            _ => None,
        };
        let Some(operator) = operator else { return self.expected(WHAT) };
        if self.take('(') {
            self.next += 1;
            self.close()?;
        } else {
            self.next += 1;
        }
        Ok(operator)
    }

    fn close(&mut self) -> Result<(), ProgramError> {
        if self.take(')') { Ok(()) } else { self.expected("`)`") }
    }

    fn peek(&self) -> &Token {
        // The last token is `End`, which nothing takes.
        &self.tokens[self.next.min(self.tokens.len() - 1)].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    fn take(&mut self, sign: char) -> bool {
        let there = *self.peek() == Token::Sign(sign);
        self.next += usize::from(there);
        there
    }

    fn count(&mut self, at: usize) -> Result<(), ProgramError> {
        self.expressions += 1;
        if self.expressions > MAX_EXPRESSIONS { self.refuse(Problem::TooLarge, at) } else { Ok(()) }
    }

    fn expected<T>(&self, what: &'static str) -> Result<T, ProgramError> {
        self.refuse_here(Problem::Expected { what, found: self.peek().describe() })
    }

    fn refuse_here<T>(&self, problem: Problem) -> Result<T, ProgramError> {
        self.refuse(problem, self.at())
    }

    fn refuse<T>(&self, problem: Problem, at: usize) -> Result<T, ProgramError> {
        Err(ProgramError::new(problem, self.text, at))
    }
}
