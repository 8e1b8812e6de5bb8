//! A query as it is written.

use jiff::SignedDuration;
use serde_json::Value;

use super::value::Type;

/// Operators one after the other over one table.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) table: String,
    pub(super) operators: Vec<Operator>,
}

/// A whole query: its `let`s, and its one pipeline.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) lets: Vec<(String, Expr)>,
    pub(super) pipeline: Pipeline,
}

#[derive(Clone, Debug)]
pub(super) enum Operator {
    Where(Expr),
    Extend(Vec<Named>),
    Project(Vec<Named>),
    ProjectAway(Vec<Wildcard>),
    ProjectKeep(Vec<Wildcard>),
    ProjectRename(Vec<(String, String)>),
    ProjectReorder(Vec<Wildcard>),
    Summarize { values: Vec<Named>, by: Vec<Named> },
    Distinct(Distinct),
    Count,
    Sort(Vec<SortKey>),
    Take(usize),
    Top(usize, Vec<SortKey>),
    Expand { items: Vec<Expand>, limit: usize, index: Option<String> },
    Parse { value: Expr, pattern: Vec<Part> },
    Join { kind: JoinKind, right: Pipeline, on: Vec<(String, String)> },
    Union { kind: UnionKind, source: Option<String>, legs: Vec<Pipeline> },
}

#[derive(Clone, Debug)]
pub(super) enum Distinct {
    Everything,
    Of(Vec<Named>),
}

/// A column name in which `*` stands for any text.
#[derive(Clone, Debug)]
pub(super) struct Wildcard(pub(super) String);

#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Option<String>,
    pub(super) expr: Expr,
}

#[derive(Clone, Debug)]
pub(super) struct SortKey {
    pub(super) expr: Expr,
    pub(super) order: Order,
    pub(super) nulls: Nulls,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nulls {
    First,
    Last,
}

/// One column of `mv-expand`.
#[derive(Clone, Debug)]
pub(super) struct Expand {
    pub(super) value: Named,
    pub(super) to: Option<Type>,
}

/// One part of the pattern of `parse`.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Any,
    Text(String),
    Column(String, Type),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum JoinKind {
    Inner,
    InnerUnique,
    LeftOuter,
    FullOuter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UnionKind {
    Inner,
    Outer,
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Literal(Literal),
    /// A column or a `let`.
    Name(String),
    /// `a.b` and `a["b"]`.
    Member(Box<Self>, String),
    /// `a[0]` and `a[x]`.
    Index(Box<Self>, Box<Self>),
    Call(String, Vec<Named>),
    Negate(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Compare(Compare, Box<Self>, Box<Self>),
    Math(Math, Box<Self>, Box<Self>),
    Text(TextTest, Sense, Box<Self>, Box<Self>),
    Matches(Box<Self>, Box<Self>),
    /// `in`, `in~` and their opposites.
    Within(Case, Sense, Box<Self>, Vec<Self>),
    /// `has_any` and `has_all`.
    HasEach(Quantity, Box<Self>, Vec<Self>),
    Between(Sense, Box<Self>, Box<Self>, Box<Self>),
    /// `*`, where an aggregate takes it.
    Star,
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null(Type),
    Bool(bool),
    Long(i64),
    Real(f64),
    Text(String),
    Time(jiff::Timestamp),
    Span(SignedDuration),
    Dynamic(Value),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    /// `=~`
    Alike,
    /// `!~`
    NotAlike,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Math {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Case {
    Kept,
    Ignored,
}

/// Whether a test is asked as it is or turned round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sense {
    Is,
    IsNot,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quantity {
    Any,
    All,
}

/// A test of one text against another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TextTest {
    pub(super) place: Place,
    pub(super) case: Case,
}

/// Where the searched text stands in the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
    /// As a whole term, which letters and digits make.
    Term,
    TermStart,
    TermEnd,
}
