//! The scalar functions.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    eval::{MAX_VALUE, Node, Run, bin},
    time::{self, Unit},
    value::{Cell, Type},
};

/// A function's code, by the number of its arguments.
#[derive(Clone, Copy)]
pub(super) enum Call {
    One(for<'a> fn(Cell<'a>, &Run) -> Cell<'a>),
    Two(for<'a> fn(Cell<'a>, Cell<'a>, &Run) -> Cell<'a>),
    Many(for<'a> fn(Vec<Cell<'a>>, &Run) -> Cell<'a>),
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl Call {
    pub(super) fn eval<'a>(self, nodes: &'a [Node], row: &[Cell<'a>], run: &'a Run) -> Cell<'a> {
        match (self, nodes) {
            (Self::One(call), [one]) => call(one.eval(row, run), run),
            (Self::Two(call), [one, two]) => call(one.eval(row, run), two.eval(row, run), run),
            (Self::Many(call), nodes) => {
                call(nodes.iter().map(|node| node.eval(row, run)).collect(), run)
            }
            // The number of arguments was checked when the query was planned.
            _ => Cell::Null,
        }
    }
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    Any,
    Whole,
    Number,
    Time,
    Dynamic,
}

impl Takes {
    pub(super) fn accepts(self, kind: Type) -> bool {
        match self {
            Self::Any => true,
            Self::Whole => kind == Type::Long,
            Self::Number => kind.is_number(),
            Self::Time => kind == Type::Time,
            Self::Dynamic => kind == Type::Dynamic,
        }
    }
}

/// What a function returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Returns {
    This(Type),
    /// The type of its first argument.
    First,
}

/// How a column is called that has no name of its own: Kusto's result name kinds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Naming {
    /// After the first argument.
    Argument,
    /// The function's name before it.
    Both,
    Number,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) takes: &'static [Takes],
    /// How many arguments must be there; of `takes`, the last may be repeated up to `most`.
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) returns: Returns,
    pub(super) naming: Naming,
    pub(super) call: Call,
}

#[expect(clippy::too_many_lines, reason = "a table, one entry a function")]
pub(super) fn named(name: &str) -> Option<Function> {
    use Takes::{Any, Dynamic, Number, Time, Whole};
    let text = Returns::This(Type::Text);
    let long = Returns::This(Type::Long);
    let bool = Returns::This(Type::Bool);
    let document = Returns::This(Type::Dynamic);
    let moment = Returns::This(Type::Time);
    let (takes, least, most, returns, call): (&[Takes], usize, usize, Returns, Call) = match name {
        "tostring" => (&[Any], 1, 1, text, Call::One(|x, _| Cell::Text(x.into_text()))),
        "toguid" => (&[Any], 1, 1, text, Call::One(|x, _| Cell::Text(x.into_text()))),
        "toint" => (
            &[Any],
            1,
            1,
            long,
            Call::One(|x, _| {
                let value = x.to_long().filter(|value| i32::try_from(*value).is_ok());
                value.map_or(Cell::Null, Cell::Long)
            }),
        ),
        "tolong" => (&[Any], 1, 1, long, Call::One(|x, _| x.cast(Type::Long))),
        "todouble" | "toreal" => {
            (&[Any], 1, 1, Returns::This(Type::Real), Call::One(|x, _| x.cast(Type::Real)))
        }
        "tobool" | "toboolean" => (&[Any], 1, 1, bool, Call::One(|x, _| x.cast(Type::Bool))),
        "todatetime" => (&[Any], 1, 1, moment, Call::One(|x, _| x.cast(Type::Time))),
        "totimespan" => {
            (&[Any], 1, 1, Returns::This(Type::Span), Call::One(|x, _| x.cast(Type::Span)))
        }
        "todynamic" | "parse_json" | "toobject" | "parsejson" => {
            (&[Any], 1, 1, document, Call::One(parse_json))
        }
        "tolower" => (&[Any], 1, 1, text, Call::One(|x, _| lower(x))),
        "toupper" => (&[Any], 1, 1, text, Call::One(|x, _| Cell::text(x.as_text().to_uppercase()))),
        "strlen" => (&[Any], 1, 1, long, Call::One(|x, _| count(x.as_text().chars().count()))),
        "string_size" => (&[Any], 1, 1, long, Call::One(|x, _| count(x.as_text().len()))),
        "reverse" => (
            &[Any],
            1,
            1,
            text,
            Call::One(|x, _| Cell::text(x.as_text().chars().rev().collect::<String>())),
        ),
        "strcat" => (
            &[Any],
            1,
            64,
            text,
            Call::Many(|all, run| run.text(all.iter().map(Cell::as_text).collect::<String>())),
        ),
        "strcat_delim" => (
            &[Any],
            3,
            64,
            text,
            Call::Many(|all, run| {
                let mut texts = all.iter().map(Cell::as_text);
                let delimiter = texts.next().unwrap_or_default();
                let texts: Vec<Cow<'_, str>> = texts.collect();
                run.text(texts.join(&delimiter))
            }),
        ),
        "strcat_array" => (
            &[Dynamic, Any],
            2,
            2,
            text,
            Call::Two(|items, delimiter, run| {
                let texts: Vec<String> = array(&items).iter().map(json_text).collect();
                run.text(texts.join(&delimiter.as_text()))
            }),
        ),
        "strcmp" => (
            &[Any],
            2,
            2,
            long,
            Call::Two(|a, b, _| Cell::Long(a.as_text().cmp(&b.as_text()) as i64)),
        ),
        "substring" => (&[Any, Whole, Whole], 2, 3, text, Call::Many(|all, _| substring(&all))),
        "indexof" => (
            &[Any, Any],
            2,
            2,
            long,
            Call::Two(|text, part, _| {
                let (text, part) = (text.as_text(), part.as_text());
                let at = text.find(part.as_ref()).and_then(|at| text.get(..at));
                at.map_or(Cell::Long(-1), |before| count(before.chars().count()))
            }),
        ),
        "countof" => (
            &[Any, Any],
            2,
            2,
            long,
            Call::Two(|text, part, _| {
                let part = part.as_text();
                if part.is_empty() {
                    Cell::Long(0)
                } else {
                    count(text.as_text().matches(part.as_ref()).count())
                }
            }),
        ),
        "replace_string" => (
            &[Any],
            3,
            3,
            text,
            Call::Many(|all, run| {
                let [text, from, to] =
                    [0, 1, 2].map(|at| all.get(at).map(Cell::as_text).unwrap_or_default());
                if from.is_empty() {
                    return Cell::text(text);
                }
                if text.matches(from.as_ref()).count().saturating_mul(to.len()) > 1 << 20 {
                    run.give_up();
                }
                run.text(text.replace(from.as_ref(), &to))
            }),
        ),
        "split" => (&[Any, Any, Whole], 2, 3, document, Call::Many(|all, run| split(&all, run))),
        "isempty" => (&[Any], 1, 1, bool, Call::One(|x, _| Cell::Bool(is_empty(&x)))),
        "isnotempty" | "notempty" => {
            (&[Any], 1, 1, bool, Call::One(|x, _| Cell::Bool(!is_empty(&x))))
        }
        "isnull" => (&[Any], 1, 1, bool, Call::One(|x, _| Cell::Bool(x.is_null()))),
        "isnotnull" | "notnull" => (&[Any], 1, 1, bool, Call::One(|x, _| Cell::Bool(!x.is_null()))),
        "gettype" => (&[Any], 1, 1, text, Call::One(|x, _| Cell::text(type_of(&x)))),
        "array_length" => (
            &[Dynamic],
            1,
            1,
            long,
            Call::One(|x, _| match &x {
                Cell::Dynamic(value) => {
                    value.as_array().map_or(Cell::Null, |items| count(items.len()))
                }
                _ => Cell::Null,
            }),
        ),
        "array_index_of" => (
            &[Dynamic, Any],
            2,
            2,
            long,
            Call::Two(|items, item, _| {
                let item = item.into_json();
                let at = array(&items).iter().position(|one| *one == item);
                at.map_or(Cell::Long(-1), count)
            }),
        ),
        "set_has_element" => (
            &[Dynamic, Any],
            2,
            2,
            bool,
            Call::Two(|items, item, _| {
                let Cell::Dynamic(set) = &items else { return Cell::Null };
                let item = item.into_json();
                set.as_array().map_or(Cell::Null, |set| Cell::Bool(set.contains(&item)))
            }),
        ),
        "array_concat" => (
            &[Dynamic],
            1,
            64,
            document,
            Call::Many(|all, run| {
                run.document(Value::Array(all.iter().flat_map(array).cloned().collect()))
            }),
        ),
        "pack_array" => (
            &[Any],
            1,
            64,
            document,
            Call::Many(|all, run| {
                run.document(Value::Array(all.into_iter().map(Cell::into_json).collect()))
            }),
        ),
        "pack" | "bag_pack" | "pack_dictionary" => (&[Any], 2, 64, document, Call::Many(pack)),
        "bag_keys" => (
            &[Dynamic],
            1,
            1,
            document,
            Call::One(|x, _| match &x {
                Cell::Dynamic(value) => value.as_object().map_or(Cell::Null, |bag| {
                    Cell::owned(Value::Array(bag.keys().cloned().map(Value::String).collect()))
                }),
                _ => Cell::Null,
            }),
        ),
        "bag_has_key" => (
            &[Dynamic, Any],
            2,
            2,
            bool,
            Call::Two(|bag, key, _| match &bag {
                Cell::Dynamic(value) => Cell::Bool(value.get(key.as_text().as_ref()).is_some()),
                _ => Cell::Bool(false),
            }),
        ),
        "bag_merge" => (
            &[Dynamic],
            1,
            64,
            document,
            Call::Many(|all, run| {
                let mut merged = Map::new();
                for bag in &all {
                    let Cell::Dynamic(value) = bag else { continue };
                    for (key, value) in value.as_object().into_iter().flatten() {
                        // The leftmost wins.
                        merged.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
                run.document(Value::Object(merged))
            }),
        ),
        "bin" | "floor" => {
            (&[Any, Any], 2, 2, Returns::First, Call::Two(|x, size, _| bin(&x, &size)))
        }
        "abs" => (
            &[Number],
            1,
            1,
            Returns::First,
            Call::One(|x, _| match x {
                Cell::Long(value) => Cell::Long(value.wrapping_abs()),
                Cell::Real(value) => Cell::Real(value.abs()),
                _ => Cell::Null,
            }),
        ),
        "ceiling" => (
            &[Number],
            1,
            1,
            Returns::This(Type::Real),
            Call::One(|x, _| x.as_real().map_or(Cell::Null, |value| Cell::Real(value.ceil()))),
        ),
        "round" => {
            (&[Number, Whole], 1, 2, Returns::This(Type::Real), Call::Many(|all, _| round(&all)))
        }
        "format_datetime" => (
            &[Time, Any],
            2,
            2,
            text,
            Call::Two(|at, picture, _| {
                let at = at.as_time().and_then(|at| time::format(at, &picture.as_text()));
                Cell::text(at.unwrap_or_default())
            }),
        ),
        "startofday" => (&[Time, Whole], 1, 2, moment, Call::Many(|all, _| start(Unit::Day, &all))),
        "startofweek" => {
            (&[Time, Whole], 1, 2, moment, Call::Many(|all, _| start(Unit::Week, &all)))
        }
        "startofmonth" => {
            (&[Time, Whole], 1, 2, moment, Call::Many(|all, _| start(Unit::Month, &all)))
        }
        "startofyear" => {
            (&[Time, Whole], 1, 2, moment, Call::Many(|all, _| start(Unit::Year, &all)))
        }
        "dayofweek" => (
            &[Time],
            1,
            1,
            Returns::This(Type::Span),
            Call::One(|x, _| x.as_time().map_or(Cell::Null, |at| Cell::Span(time::weekday(at)))),
        ),
        "hourofday" => (&[Time], 1, 1, long, Call::One(|x, _| part(Unit::Hour, &x))),
        "dayofmonth" => (&[Time], 1, 1, long, Call::One(|x, _| part(Unit::Day, &x))),
        "monthofyear" | "getmonth" => {
            (&[Time], 1, 1, long, Call::One(|x, _| part(Unit::Month, &x)))
        }
        "getyear" => (&[Time], 1, 1, long, Call::One(|x, _| part(Unit::Year, &x))),
        _ => return None,
    };
    let naming = match name {
        "strlen" | "string_size" => Naming::Both,
        "split" | "bin" | "floor" | "todynamic" | "parse_json" => Naming::Argument,
        name if name.starts_with("to") && !matches!(name, "tolower" | "toupper") => {
            Naming::Argument
        }
        _ => Naming::Number,
    };
    Some(Function { takes, least, most, returns, naming, call })
}

fn count<'a>(count: usize) -> Cell<'a> {
    Cell::Long(i64::try_from(count).unwrap_or(i64::MAX))
}

fn is_empty(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(text) => text.is_empty(),
        Cell::Dynamic(value) => value.as_str() == Some(""),
        _ => false,
    }
}

fn array<'c>(cell: &'c Cell<'_>) -> &'c [Value] {
    match cell {
        Cell::Dynamic(value) => value.as_array().map_or(&[], Vec::as_slice),
        _ => &[],
    }
}

fn json_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn parse_json<'a>(cell: Cell<'a>, run: &Run) -> Cell<'a> {
    let text = match cell {
        Cell::Text(text) => text,
        // A document is one already; only a text in it may hold another.
        Cell::Dynamic(Cow::Borrowed(Value::String(text))) => Cow::Borrowed(text.as_str()),
        Cell::Dynamic(Cow::Owned(Value::String(text))) => Cow::Owned(text),
        Cell::Dynamic(value) => return Cell::Dynamic(value),
        other => return Cell::owned(other.into_json()),
    };
    if text.is_empty() {
        return Cell::Null;
    }
    match serde_json::from_str(&text) {
        Ok(value) => run.document(value),
        // What is no JSON is kept as a text.
        Err(_) => Cell::owned(Value::String(text.into_owned())),
    }
}

fn substring<'a>(all: &[Cell<'a>]) -> Cell<'a> {
    let text = all.first().map(Cell::as_text).unwrap_or_default();
    let Some(start) = all.get(1).and_then(Cell::as_long) else { return Cell::text("") };
    // A negative start counts from the end.
    let start = usize::try_from(start).unwrap_or_else(|_| {
        let back = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
        text.chars().count().saturating_sub(back)
    });
    let rest = text.chars().skip(start);
    match all.get(2).map(Cell::as_long) {
        Some(Some(len)) => {
            Cell::text(rest.take(usize::try_from(len).unwrap_or(0)).collect::<String>())
        }
        Some(None) => Cell::text(""),
        None => Cell::text(rest.collect::<String>()),
    }
}

fn split<'a>(all: &[Cell<'a>], run: &Run) -> Cell<'a> {
    let [Some(text), Some(delimiter)] = [0, 1].map(|at| all.get(at).map(Cell::as_text)) else {
        return Cell::Null;
    };
    let one = |part: &str| Value::String(part.to_owned());
    let mut parts = if delimiter.is_empty() { None } else { Some(text.split(delimiter.as_ref())) };
    let Some(index) = all.get(2) else {
        let parts = match parts {
            Some(parts) => parts.map(one).collect(),
            None => vec![one(&text)],
        };
        return run.document(Value::Array(parts));
    };
    // With an index, an array of that one part; out of range, an empty one.
    let at = index.as_long().and_then(|at| usize::try_from(at).ok());
    let part = match (&mut parts, at) {
        (Some(parts), Some(at)) => parts.nth(at),
        (None, Some(0)) => Some(text.as_ref()),
        _ => None,
    };
    Cell::owned(Value::Array(part.map(one).into_iter().collect()))
}

/// `tolower`: without a copy of what is at hand, or is its own.
pub(super) fn lower(cell: Cell<'_>) -> Cell<'_> {
    match cell.into_text() {
        text if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) => Cell::Text(text),
        Cow::Owned(mut text) if text.is_ascii() => {
            text.make_ascii_lowercase();
            Cell::text(text)
        }
        text => Cell::text(text.to_lowercase()),
    }
}

/// A piece of a text that is split.
pub(super) fn piece<'a>(
    cell: Cell<'a>,
    delimiter: &str,
    at: usize,
    run: &Run,
) -> Option<Cow<'a, str>> {
    let text = cell.into_text();
    // All pieces together are bounded as a document: a short text has none too many.
    if text.len() > MAX_VALUE / 16 {
        let pieces = text.split(delimiter).map(|it| Value::String(it.to_owned()));
        run.document(Value::Array(pieces.collect()));
        if run.gave_up() {
            return None;
        }
    }
    match text {
        Cow::Borrowed(text) => text.split(delimiter).nth(at).map(Cow::Borrowed),
        Cow::Owned(mut text) if at == 0 => {
            let end = text.find(delimiter).unwrap_or(text.len());
            text.truncate(end);
            Some(Cow::Owned(text))
        }
        Cow::Owned(text) => text.split(delimiter).nth(at).map(|it| Cow::Owned(it.to_owned())),
    }
}

fn pack<'a>(all: Vec<Cell<'a>>, run: &Run) -> Cell<'a> {
    let mut bag = Map::new();
    let mut cells = all.into_iter();
    while let (Some(key), Some(value)) = (cells.next(), cells.next()) {
        bag.insert(key.into_text().into_owned(), value.into_json());
    }
    run.document(Value::Object(bag))
}

fn round<'a>(all: &[Cell<'a>]) -> Cell<'a> {
    let Some(value) = all.first().and_then(Cell::as_real) else { return Cell::Null };
    let digits = all.get(1).and_then(Cell::as_long).unwrap_or(0).clamp(-15, 15);
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    Cell::Real((value * scale).round_ties_even() / scale)
}

fn start<'a>(unit: Unit, all: &[Cell<'a>]) -> Cell<'a> {
    let offset = all.get(1).map_or(Some(0), Cell::as_long);
    let start = all
        .first()
        .and_then(Cell::as_time)
        .zip(offset)
        .and_then(|(at, offset)| time::start_of(unit, at, offset));
    start.map_or(Cell::Null, Cell::Time)
}

fn part<'a>(unit: Unit, cell: &Cell<'a>) -> Cell<'a> {
    cell.as_time().map_or(Cell::Null, |at| Cell::Long(unit.part(at)))
}

fn type_of(cell: &Cell<'_>) -> &'static str {
    match cell {
        Cell::Null => "null",
        Cell::Bool(_) => "bool",
        Cell::Long(_) => "long",
        Cell::Real(_) => "double",
        Cell::Text(_) => "string",
        Cell::Time(_) => "datetime",
        Cell::Span(_) => "timespan",
        Cell::Dynamic(value) => match value.as_ref() {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "double",
            Value::Number(_) => "long",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "dictionary",
        },
        Cell::Members(_) | Cell::Written(_) => "dictionary",
    }
}
