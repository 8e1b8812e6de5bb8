//! Expressions made ready: names are places in a row, types are known, patterns are compiled.

use std::{cell::Cell as Flag, cmp::Ordering, collections::HashSet, ops::ControlFlow};

use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::Value;

use super::{
    ast::{Compare, Math, Quantity, Sense},
    function::{Call, lower, piece},
    route::{Route, Step, walk},
    text::{self, Needle},
    time::{self, Unit},
    value::{Cell, Type},
};

/// The largest text or document an expression may make; Kusto cuts at the same size.
pub(super) const MAX_VALUE: usize = 1 << 20;

/// Rows that the steps of one run may make, joins and expansions multiplied out: so many, and so
/// many more for each row that was read. The service gives up after a time; this is the same for
/// each run.
const MAX_ROWS: usize = 100_000;
const MAX_ROWS_FOR_EACH: usize = 8;

/// What a run of a query knows besides the row.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) now: Timestamp,
    pub(super) lets: Vec<Cell<'static>>,
    too_large: Flag<bool>,
    made: Flag<usize>,
    read: Flag<usize>,
    /// For how many rows of the table the one stands that was read last.
    stands_for: Flag<usize>,
}

impl Run {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            lets: Vec::new(),
            too_large: Flag::new(false),
            made: Flag::new(0),
            read: Flag::new(0),
            stands_for: Flag::new(1),
        }
    }

    /// Notes that a value or an answer grew out of bounds: the whole query is then refused.
    pub(super) fn give_up(&self) {
        self.too_large.set(true);
    }

    pub(super) fn gave_up(&self) -> bool {
        self.too_large.get()
    }

    /// Counts a row that was read from a table, and stands for so many that are alike.
    pub(super) fn count_read(&self, stands_for: usize) {
        self.read.set(self.read.get() + stands_for);
        self.stands_for.set(stands_for);
    }

    /// Says that no more rows are read for now.
    pub(super) fn ends_read(&self) {
        self.stands_for.set(1);
    }

    /// How many rows the one is that is on its way.
    pub(super) fn stands_for(&self) -> i64 {
        i64::try_from(self.stands_for.get()).unwrap_or(i64::MAX)
    }

    /// How many rows were read.
    pub(super) fn reads(&self) -> usize {
        self.read.get()
    }

    /// Counts a row that a step made; `Break` once there are too many, or all is given up.
    pub(super) fn count_row(&self) -> ControlFlow<()> {
        self.made.set(self.made.get() + 1);
        if self.made.get() > MAX_ROWS + MAX_ROWS_FOR_EACH * self.read.get() {
            self.give_up();
        }
        if self.gave_up() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether so many rows made of so many are surely not too many, though up to three steps count
    /// them.
    pub(super) fn has_room(made: usize, read: usize) -> bool {
        made.saturating_mul(3) <= MAX_ROWS + MAX_ROWS_FOR_EACH * read
    }

    /// A made text, if it is not too long.
    pub(super) fn text<'a>(&self, text: String) -> Cell<'a> {
        if text.len() > MAX_VALUE {
            self.give_up();
            return Cell::text("");
        }
        Cell::text(text)
    }

    /// A made document, if it is not too large or too deep.
    pub(super) fn document<'a>(&self, value: Value) -> Cell<'a> {
        let mut room = MAX_VALUE;
        if fits(&value, &mut room, 100) {
            return Cell::owned(value);
        }
        self.give_up();
        Cell::Null
    }
}

fn fits(value: &Value, room: &mut usize, depth: usize) -> bool {
    let own = match value {
        Value::String(text) => 8 + text.len(),
        _ => 8,
    };
    let (Some(left), Some(depth)) = (room.checked_sub(own), depth.checked_sub(1)) else {
        return false;
    };
    *room = left;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, room, depth)),
        Value::Object(items) => items.iter().all(|(key, item)| {
            *room = room.saturating_sub(key.len());
            fits(item, room, depth)
        }),
        _ => true,
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Const(Cell<'static>),
    Slot(usize),
    Let(usize),
    Path(Box<Self>, Route),
    Index(Box<Self>, Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare(Compare, Type, Box<Self>, Box<Self>),
    Text(Needle, Sense, Box<Self>),
    /// A text test whose needle is in the row too.
    TextBy(super::ast::TextTest, Sense, Box<Self>, Box<Self>),
    Matches(Regex, Box<Self>),
    Within(Set, Sense, Box<Self>),
    HasEach(Quantity, Vec<Needle>, Box<Self>),
    Between(Type, Sense, Box<[Self; 3]>),
    Math(Math, Operands, Box<Self>, Box<Self>),
    Negate(Box<Self>),
    /// `iff` and `case`: pairs of condition and value, and the value for the rest.
    Case(Vec<(Self, Self)>, Box<Self>, Type),
    Coalesce(Vec<Self>, Type),
    Extract(Regex, Box<Self>, Box<Self>, Type),
    Replace {
        pattern: Regex,
        by: String,
        text: Box<Self>,
    },
    Trim(Regex, Box<Self>),
    Difference(Unit, Box<Self>, Box<Self>),
    AddTime(Unit, Box<Self>, Box<Self>),
    TimePart(Unit, Box<Self>),
    Cast(Type, Box<Self>),
    /// `tolower`.
    Lower(Box<Self>),
    /// One piece of a `split` by a text that is not empty.
    Piece(Box<Self>, String, usize),
    Now(Option<Box<Self>>, Sense),
    Call(Call, Vec<Self>),
}

/// The constants of an `in`.
#[derive(Clone, Debug)]
pub(super) enum Set {
    Texts(HashSet<String>),
    /// Case is ignored: the texts are folded.
    Folded(HashSet<String>),
    Values(Type, Vec<Cell<'static>>),
}

/// What an arithmetic operator works on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operands {
    Longs,
    Reals,
    TimeAndSpan,
    Times,
    Spans,
    SpanAndNumber,
}

impl Node {
    pub(super) fn eval<'a>(&'a self, row: &[Cell<'a>], run: &'a Run) -> Cell<'a> {
        match self {
            Self::Const(value) => value.lend(),
            Self::Slot(slot) => row.get(*slot).cloned().unwrap_or_default(),
            Self::Let(index) => run.lets.get(*index).map(Cell::lend).unwrap_or_default(),
            Self::Path(base, Route { path, rest }) => match base.as_ref() {
                // The common path is into a column, which need not be copied for it.
                Self::Slot(slot) => {
                    row.get(*slot).map_or(Cell::Null, |cell| walk(cell, path, rest))
                }
                base => walk(&base.eval(row, run), path, rest),
            },
            Self::Index(base, index) => {
                let step = match index.eval(row, run) {
                    Cell::Text(key) => Step::Key(key.into_owned()),
                    Cell::Dynamic(value) if value.is_string() => {
                        Step::Key(value.as_str().unwrap_or_default().to_owned())
                    }
                    other => match other.as_long() {
                        Some(at) => Step::At(at),
                        None => return Cell::Null,
                    },
                };
                walk(&base.eval(row, run), &[], &[step])
            }
            Self::All(_)
            | Self::Any(_)
            | Self::Not(_)
            | Self::Compare(..)
            | Self::Text(..)
            | Self::TextBy(..)
            | Self::Matches(..)
            | Self::Within(..)
            | Self::HasEach(..)
            | Self::Between(..) => self.test(row, run).map_or(Cell::Null, Cell::Bool),
            Self::Math(math, operands, left, right) => {
                calculate(*math, *operands, &left.eval(row, run), &right.eval(row, run))
            }
            Self::Negate(inner) => match inner.eval(row, run) {
                Cell::Long(value) => Cell::Long(value.wrapping_neg()),
                Cell::Real(value) => Cell::Real(-value),
                Cell::Span(span) => Cell::Span(-span),
                _ => Cell::Null,
            },
            Self::Case(arms, rest, kind) => {
                let arm = arms.iter().find(|(when, _)| when.test(row, run) == Some(true));
                let value = arm.map_or(rest.as_ref(), |(_, value)| value).eval(row, run);
                value.cast(*kind)
            }
            Self::Coalesce(values, kind) => values
                .iter()
                .map(|value| value.eval(row, run).cast(*kind))
                .find(|value| match value {
                    Cell::Text(text) => !text.is_empty(),
                    other => !other.is_null(),
                })
                .unwrap_or(Cell::none(*kind)),
            Self::Cast(kind, inner) => match (kind, inner.as_ref()) {
                (Type::Text, Self::Piece(text, delimiter, at)) => {
                    let found = piece(text.eval(row, run), delimiter, *at, run);
                    found.map_or(Cell::none(Type::Text), Cell::Text)
                }
                (kind, inner) => inner.eval(row, run).cast(*kind),
            },
            Self::Lower(inner) => lower(inner.eval(row, run)),
            Self::Piece(text, delimiter, at) => {
                let found = piece(text.eval(row, run), delimiter, *at, run);
                found.map_or(Cell::Null, |it| Cell::owned(Value::String(it.into_owned())))
            }
            Self::Now(offset, sense) => {
                let by = match offset {
                    None => Some(SignedDuration::ZERO),
                    Some(offset) => offset.eval(row, run).as_span(),
                };
                let moved = by.and_then(|by| match sense {
                    Sense::Is => run.now.checked_add(by).ok(),
                    Sense::IsNot => run.now.checked_sub(by).ok(),
                });
                moved.map_or(Cell::Null, Cell::Time)
            }
            Self::Difference(unit, later, earlier) => {
                let times = (later.eval(row, run).as_time(), earlier.eval(row, run).as_time());
                let (Some(later), Some(earlier)) = times else { return Cell::Null };
                Cell::Long(unit.between(later, earlier))
            }
            Self::AddTime(unit, count, at) => {
                let parts = (count.eval(row, run).as_long(), at.eval(row, run).as_time());
                let (Some(count), Some(at)) = parts else { return Cell::Null };
                unit.add(count, at).map_or(Cell::Null, Cell::Time)
            }
            Self::TimePart(unit, at) => {
                let at = at.eval(row, run).as_time();
                at.map_or(Cell::Null, |at| Cell::Long(unit.part(at)))
            }
            Self::Call(call, arguments) => call.eval(arguments, row, run),
            Self::Extract(..) | Self::Replace { .. } | Self::Trim(..) => self.search(row, run),
        }
    }

    /// The functions with a compiled pattern.
    fn search<'a>(&'a self, row: &[Cell<'a>], run: &'a Run) -> Cell<'a> {
        match self {
            Self::Extract(pattern, group, text, kind) => {
                let text = text.eval(row, run);
                let group = group.eval(row, run).as_long();
                let group = group.and_then(|group| usize::try_from(group).ok());
                let text = text.as_text();
                let found = pattern.captures(&text).and_then(|found| found.get(group?));
                let found = found.map(|found| Cell::text(found.as_str()));
                found.map_or_else(|| Cell::none(*kind), |found| found.cast(*kind))
            }
            Self::Replace { pattern, by, text } => {
                let text = text.eval(row, run);
                let text = text.as_text();
                // The product of matches and replacement is bounded before it is built.
                let most = text.len().saturating_add(1).saturating_mul(by.len().saturating_add(1));
                if most > MAX_VALUE
                    && pattern.find_iter(&text).count().saturating_mul(by.len()) > MAX_VALUE
                {
                    run.give_up();
                    return Cell::text("");
                }
                run.text(pattern.replace_all(&text, by.as_str()).into_owned())
            }
            Self::Trim(pattern, text) => {
                let text = text.eval(row, run);
                Cell::text(pattern.replace_all(&text.as_text(), "").into_owned())
            }
            _ => Cell::Null,
        }
    }

    /// The truth of a test; none is neither true nor false.
    pub(super) fn test<'a>(&'a self, row: &[Cell<'a>], run: &'a Run) -> Option<bool> {
        let turned = |sense: Sense, found: bool| found == (sense == Sense::Is);
        match self {
            Self::All(sides) => all(sides.iter().map(|side| side.test(row, run))),
            Self::Any(sides) => {
                let none_is = all(sides.iter().map(|side| side.test(row, run).map(|is| !is)));
                none_is.map(|none_is| !none_is)
            }
            Self::Not(inner) => inner.test(row, run).map(|is| !is),
            Self::Compare(compare, kind, left, right) => with_cell(left, row, run, |left| {
                with_cell(right, row, run, |right| compare_cells(*compare, *kind, left, right))
            }),
            Self::Text(needle, sense, hay) => {
                let found = with_text(hay, row, run, |hay| needle.is_in(hay));
                Some(turned(*sense, found))
            }
            Self::TextBy(test, sense, hay, needle) => {
                let needle = needle.eval(row, run);
                let needle = Needle::new(*test, &needle.as_text());
                let found = with_text(hay, row, run, |hay| needle.is_in(hay));
                Some(turned(*sense, found))
            }
            Self::Matches(pattern, text) => {
                Some(with_text(text, row, run, |text| pattern.is_match(text)))
            }
            Self::Within(set, sense, value) => {
                Some(turned(*sense, with_cell(value, row, run, |value| set.holds(value))))
            }
            Self::HasEach(quantity, needles, hay) => Some(with_text(hay, row, run, |hay| {
                let mut found = needles.iter().map(|needle| needle.is_in(hay));
                match quantity {
                    Quantity::Any => found.any(|found| found),
                    Quantity::All => found.all(|found| found),
                }
            })),
            Self::Between(kind, sense, nodes) => {
                let [value, low, high] = nodes.as_ref();
                let value = value.eval(row, run);
                let low = value.order(&low.eval(row, run), *kind)?;
                let high = value.order(&high.eval(row, run), *kind)?;
                Some(turned(*sense, low != Ordering::Less && high != Ordering::Greater))
            }
            other => other.eval(row, run).as_bool(),
        }
    }
}

/// Looks at a value in place, in a column or a constant if that is where it is.
fn with_cell<'a, T>(
    node: &'a Node,
    row: &[Cell<'a>],
    run: &'a Run,
    look: impl FnOnce(&Cell<'_>) -> T,
) -> T {
    match node {
        Node::Slot(slot) => look(row.get(*slot).unwrap_or(&Cell::Null)),
        Node::Const(value) => look(value),
        node => look(&node.eval(row, run)),
    }
}

fn with_text<'a, T>(
    node: &'a Node,
    row: &[Cell<'a>],
    run: &'a Run,
    look: impl FnOnce(&str) -> T,
) -> T {
    with_cell(node, row, run, |cell| look(&cell.as_text()))
}

/// Three-valued: a false wins, then an unknown.
pub(super) fn all(sides: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for side in sides {
        match side {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

/// Compares as Kusto does with nulls: two of them are neither equal nor unequal, and one of them
/// is unequal to everything.
fn compare_cells(compare: Compare, kind: Type, left: &Cell<'_>, right: &Cell<'_>) -> Option<bool> {
    match compare {
        Compare::Alike | Compare::NotAlike => {
            let same = text::alike(&left.as_text(), &right.as_text());
            return Some(same == (compare == Compare::Alike));
        }
        Compare::Equal | Compare::NotEqual if left.is_null() && right.is_null() => return None,
        Compare::Equal | Compare::NotEqual => {
            let same = left.order(right, kind) == Some(Ordering::Equal);
            return Some(same == (compare == Compare::Equal));
        }
        _ => {}
    }
    let order = left.order(right, kind)?;
    Some(match compare {
        Compare::Less => order.is_lt(),
        Compare::LessOrEqual => order.is_le(),
        Compare::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}

impl Set {
    fn holds(&self, value: &Cell<'_>) -> bool {
        match self {
            Self::Texts(texts) => !value.is_null() && texts.contains(value.as_text().as_ref()),
            Self::Folded(texts) => {
                let value = value.as_text();
                // A text without capitals need not be copied to be folded.
                if value.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
                    texts.contains(value.as_ref())
                } else {
                    texts.contains(&value.to_lowercase())
                }
            }
            Self::Values(kind, values) => {
                values.iter().any(|one| value.order(one, *kind) == Some(Ordering::Equal))
            }
        }
    }
}

fn calculate<'a>(math: Math, operands: Operands, left: &Cell<'_>, right: &Cell<'_>) -> Cell<'a> {
    let result = match operands {
        Operands::Longs => (|| {
            let (left, right) = (left.as_long()?, right.as_long()?);
            // Overflow wraps, as it does there.
            Some(Cell::Long(match math {
                Math::Add => left.wrapping_add(right),
                Math::Subtract => left.wrapping_sub(right),
                Math::Multiply => left.wrapping_mul(right),
                Math::Divide => left.checked_div(right)?,
                Math::Modulo => left.checked_rem_euclid(right)?,
            }))
        })(),
        Operands::Reals => (|| {
            let (left, right) = (left.as_real()?, right.as_real()?);
            Some(Cell::Real(match math {
                Math::Add => left + right,
                Math::Subtract => left - right,
                Math::Multiply => left * right,
                Math::Divide => left / right,
                Math::Modulo => left.rem_euclid(right),
            }))
        })(),
        Operands::TimeAndSpan => (|| {
            let (at, by) = match (left.as_time(), right.as_span()) {
                (Some(at), Some(by)) => (at, by),
                _ => (right.as_time()?, left.as_span()?),
            };
            let moved = match math {
                Math::Subtract => at.checked_sub(by),
                _ => at.checked_add(by),
            };
            moved.ok().map(Cell::Time)
        })(),
        Operands::Times => (|| {
            let (left, right) = (left.as_time()?, right.as_time()?);
            Some(Cell::Span(left.duration_since(right)))
        })(),
        Operands::Spans => (|| {
            let (left, right) = (left.as_span()?, right.as_span()?);
            match math {
                Math::Add => left.checked_add(right).map(Cell::Span),
                Math::Subtract => left.checked_sub(right).map(Cell::Span),
                _ => Some(Cell::Real(left.as_secs_f64() / right.as_secs_f64())),
            }
        })(),
        Operands::SpanAndNumber => (|| {
            let (span, by) = match left {
                Cell::Span(span) => (*span, right.as_real()?),
                _ => (right.as_span()?, left.as_real()?),
            };
            let seconds = span.as_secs_f64();
            let seconds = if math == Math::Divide { seconds / by } else { seconds * by };
            SignedDuration::try_from_secs_f64(seconds).ok().map(Cell::Span)
        })(),
    };
    result.unwrap_or_default()
}

/// `bin` of a value, by its type.
pub(super) fn bin<'a>(value: &Cell<'a>, size: &Cell<'a>) -> Cell<'a> {
    let binned = match value {
        Cell::Time(at) => size.as_span().and_then(|size| time::bin(*at, size)).map(Cell::Time),
        Cell::Span(span) => size.as_span().filter(|size| size.as_nanos() > 0).map(|size| {
            let nanos = span.as_nanos();
            let down = nanos - nanos.rem_euclid(size.as_nanos());
            // Smaller than the span it came from.
            Cell::Span(SignedDuration::from_nanos_i128(down))
        }),
        Cell::Long(value) if matches!(size, Cell::Long(_)) => size
            .as_long()
            .filter(|size| *size > 0)
            .map(|size| Cell::Long(value.wrapping_sub(value.rem_euclid(size)))),
        other => (|| {
            let (value, size) = (other.as_real()?, size.as_real()?);
            (size > 0.0).then(|| Cell::Real((value / size).floor() * size))
        })(),
    };
    binned.unwrap_or_default()
}
