//! The values of a query: borrowed from the rows where they can be.

use std::{borrow::Cow, cmp::Ordering, io::Write as _, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Number, Value};

use super::time;

/// The type of an expression, known before a row is read.
///
/// `int` and `long` are one: the service writes both as `integer`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    Bool,
    Long,
    Real,
    Text,
    Time,
    Span,
    Dynamic,
}

impl Type {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "boolean" => Self::Bool,
            "int" | "long" => Self::Long,
            "real" | "double" => Self::Real,
            "string" | "guid" => Self::Text,
            "datetime" | "date" => Self::Time,
            "timespan" | "time" => Self::Span,
            "dynamic" => Self::Dynamic,
            _ => return None,
        })
    }

    /// Its name in Kusto.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Long => "long",
            Self::Real => "real",
            Self::Text => "string",
            Self::Time => "datetime",
            Self::Span => "timespan",
            Self::Dynamic => "dynamic",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Long | Self::Real)
    }
}

/// One value of a row.
///
/// A JSON null is always `Null`; a text is never null (Kusto: "the string type doesn't support
/// null values").
#[derive(Clone, Debug, Default)]
pub(super) enum Cell<'a> {
    #[default]
    Null,
    Bool(bool),
    Long(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Time(Timestamp),
    Span(SignedDuration),
    Dynamic(Cow<'a, Value>),
    /// Members of a document by their paths, where no step looks at any other.
    Members(Arc<[(&'a [String], Self)]>),
    /// A value as JSON, on its way to the answer: no step looks at it.
    Written(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// A value of a document, which stays a dynamic whatever it holds.
    pub(super) fn borrowed(value: &'a Value) -> Self {
        if value.is_null() { Self::Null } else { Self::Dynamic(Cow::Borrowed(value)) }
    }

    pub(super) fn owned(value: Value) -> Self {
        if value.is_null() { Self::Null } else { Self::Dynamic(Cow::Owned(value)) }
    }

    /// The same value, without a copy of its text or document.
    pub(super) fn lend(&'a self) -> Self {
        match self {
            Self::Text(text) => Self::Text(Cow::Borrowed(text)),
            Self::Dynamic(value) => Self::Dynamic(Cow::Borrowed(value)),
            Self::Written(json) => Self::Written(Cow::Borrowed(json)),
            other => other.clone(),
        }
    }

    /// The same value, borrowing nothing.
    pub(super) fn detach(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(value),
            Self::Long(value) => Cell::Long(value),
            Self::Real(value) => Cell::Real(value),
            Self::Time(at) => Cell::Time(at),
            Self::Span(span) => Cell::Span(span),
            Self::Text(text) => Cell::text(text),
            Self::Dynamic(value) => Cell::owned(value.into_owned()),
            other @ (Self::Members(_) | Self::Written(_)) => Cell::owned(other.into_json()),
        }
    }

    /// What a row's document holds in a column of this type.
    pub(super) fn column(value: &'a Value, kind: Type) -> Self {
        match (kind, value) {
            (Type::Text, Value::String(text)) => Self::Text(Cow::Borrowed(text)),
            (Type::Text, Value::Null) => Self::Text(Cow::Borrowed("")),
            (Type::Text, other) => Self::text(other.to_string()),
            _ => Self::borrowed(value),
        }
    }

    /// What a row's document held in a column of this type.
    pub(super) fn owned_column(value: Value, kind: Type) -> Self {
        match (kind, value) {
            (Type::Text, Value::String(text)) => Self::text(text),
            (Type::Text, Value::Null) => Self::none(kind),
            (Type::Text, other) => Self::text(other.to_string()),
            (_, value) => Self::owned(value),
        }
    }

    /// The value that stands for none in a column of this type.
    pub(super) fn none(kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text(Cow::Borrowed("")),
            _ => Self::Null,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As `tostring` and the text tests see it.
    pub(super) fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Long(value) => Cow::Owned(value.to_string()),
            Self::Real(value) => Cow::Owned(write_real(*value)),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Time(at) => Cow::Owned(time::write_instant(*at)),
            Self::Span(span) => Cow::Owned(time::write_span(*span)),
            Self::Dynamic(value) => match value.as_ref() {
                Value::String(text) => Cow::Borrowed(text),
                other => Cow::Owned(other.to_string()),
            },
            Self::Members(_) | Self::Written(_) => Cow::Owned(self.clone().into_json().to_string()),
        }
    }

    /// As a text that may outlive this cell.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Dynamic(Cow::Borrowed(Value::String(text))) => Cow::Borrowed(text),
            Self::Dynamic(Cow::Owned(Value::String(text))) => Cow::Owned(text),
            other => Cow::Owned(other.as_text().into_owned()),
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Dynamic(value) => value.as_bool(),
            _ => None,
        }
    }

    /// A number that is one already: texts are not read.
    #[expect(clippy::cast_precision_loss, reason = "a real holds what it can, as in Kusto")]
    pub(super) fn as_real(&self) -> Option<f64> {
        match self {
            Self::Long(value) => Some(*value as f64),
            Self::Real(value) => Some(*value),
            Self::Dynamic(value) => value.as_f64(),
            _ => None,
        }
    }

    pub(super) fn as_long(&self) -> Option<i64> {
        match self {
            Self::Long(value) => Some(*value),
            Self::Dynamic(value) => value.as_i64(),
            _ => None,
        }
    }

    pub(super) fn as_time(&self) -> Option<Timestamp> {
        match self {
            Self::Time(at) => Some(*at),
            Self::Text(text) => time::instant(text),
            Self::Dynamic(value) => value.as_str().and_then(time::instant),
            _ => None,
        }
    }

    pub(super) fn as_span(&self) -> Option<SignedDuration> {
        match self {
            Self::Span(span) => Some(*span),
            Self::Text(text) => time::span(text),
            Self::Dynamic(value) => value.as_str().and_then(time::span),
            _ => None,
        }
    }

    /// `tolong`: texts are read, fractions dropped.
    pub(super) fn to_long(&self) -> Option<i64> {
        let text = match self {
            Self::Bool(value) => return Some(i64::from(*value)),
            Self::Long(value) => return Some(*value),
            Self::Real(value) => return truncate(*value),
            Self::Text(text) => text.as_ref(),
            Self::Dynamic(value) => match value.as_ref() {
                Value::Bool(value) => return Some(i64::from(*value)),
                Value::Number(number) => {
                    return number.as_i64().or_else(|| number.as_f64().and_then(truncate));
                }
                Value::String(text) => text,
                _ => return None,
            },
            _ => return None,
        };
        let text = text.trim();
        text.parse().ok().or_else(|| text.parse().ok().and_then(truncate))
    }

    /// `todouble`.
    pub(super) fn to_real(&self) -> Option<f64> {
        let text = match self {
            Self::Bool(value) => return Some(f64::from(u8::from(*value))),
            Self::Text(text) => text.as_ref(),
            Self::Dynamic(value) => match value.as_ref() {
                Value::String(text) => text,
                Value::Bool(value) => return Some(f64::from(u8::from(*value))),
                other => return other.as_f64(),
            },
            other => return other.as_real(),
        };
        let text = text.trim();
        // Rust reads "inf" and "nan" in any case; so does Kusto, but no longer words.
        text.parse().ok()
    }

    /// `tobool`.
    pub(super) fn to_bool(&self) -> Option<bool> {
        let text = match self {
            Self::Bool(value) => return Some(*value),
            Self::Long(value) => return Some(*value != 0),
            Self::Real(value) => return Some(*value != 0.0),
            Self::Text(text) => text.as_ref(),
            Self::Dynamic(value) => match value.as_ref() {
                Value::Bool(value) => return Some(*value),
                Value::Number(number) => return number.as_f64().map(|value| value != 0.0),
                Value::String(text) => text,
                _ => return None,
            },
            _ => return None,
        };
        match text.trim() {
            text if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            text if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => None,
        }
    }

    /// As a part of a document: what `pack` and `make_list` keep.
    pub(super) fn into_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Long(value) => value.into(),
            Self::Real(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::Time(at) => Value::String(time::write_instant(at)),
            Self::Span(span) => Value::String(time::write_span(span)),
            Self::Dynamic(value) => value.into_owned(),
            Self::Members(members) => {
                let mut document = Value::Null;
                for (path, member) in members.iter() {
                    let mut keys = path.iter();
                    let place = keys.try_fold(&mut document, |value, key| {
                        (value.is_null() || value.is_object()).then(|| &mut value[key])
                    });
                    if let Some(place) = place {
                        *place = member.clone().into_json();
                    }
                }
                document
            }
            Self::Written(json) => serde_json::from_str(&json).unwrap_or_default(),
        }
    }

    /// As the answer shows it.
    pub(super) fn render(&self) -> Value {
        match self {
            Self::Time(at) => Value::String(time::render_instant(*at)),
            other => other.clone().into_json(),
        }
    }

    /// As the answer's bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Writing to memory does not fail, and every value here has a JSON form.
        let _written = match self {
            Self::Text(text) => write_text(text, out),
            Self::Dynamic(value) => serde_json::to_writer(&mut *out, value.as_ref()).is_ok(),
            Self::Written(json) => out.write_all(json.as_bytes()).is_ok(),
            Self::Null => out.write_all(b"null").is_ok(),
            Self::Bool(value) => write!(out, "{value}").is_ok(),
            Self::Long(value) => write!(out, "{value}").is_ok(),
            other => serde_json::to_writer(&mut *out, &other.render()).is_ok(),
        };
    }

    /// Adds what tells this value from others, for groups and joins.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) {
        let mut text = |tag: u8, bytes: &[u8]| {
            key.push(tag);
            key.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            key.extend_from_slice(bytes);
        };
        match self {
            Self::Null => key.push(0),
            Self::Bool(value) => key.extend([1, u8::from(*value)]),
            Self::Long(value) => text(2, &value.to_be_bytes()),
            // Both zeros are one value.
            Self::Real(value) => text(3, &(value + 0.0).to_bits().to_be_bytes()),
            Self::Text(value) => text(4, value.as_bytes()),
            Self::Time(at) => text(5, &at.as_nanosecond().to_be_bytes()),
            Self::Span(span) => text(6, &span.as_nanos().to_be_bytes()),
            Self::Dynamic(value) => text(7, value.to_string().as_bytes()),
            other => text(7, other.as_text().as_bytes()),
        }
    }

    /// The order of two values of one type; none where there is none.
    pub(super) fn order(&self, other: &Self, kind: Type) -> Option<Ordering> {
        match kind {
            Type::Text => {
                if self.is_null() || other.is_null() {
                    return None;
                }
                Some(self.as_text().cmp(&other.as_text()))
            }
            Type::Bool => Some(self.as_bool()?.cmp(&other.as_bool()?)),
            Type::Long | Type::Real => match (self.as_long(), other.as_long()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => self.as_real()?.partial_cmp(&other.as_real()?),
            },
            Type::Time => Some(self.as_time()?.cmp(&other.as_time()?)),
            Type::Span => Some(self.as_span()?.cmp(&other.as_span()?)),
            Type::Dynamic => None,
        }
    }

    /// The value as one of this type; null where it is none.
    pub(super) fn cast(self, kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text(self.into_text()),
            Type::Bool => self.to_bool().map_or(Self::Null, Self::Bool),
            Type::Long => self.to_long().map_or(Self::Null, Self::Long),
            Type::Real => self.to_real().map_or(Self::Null, Self::Real),
            Type::Time => self.as_time().map_or(Self::Null, Self::Time),
            Type::Span => self.as_span().map_or(Self::Null, Self::Span),
            Type::Dynamic => match self {
                Self::Dynamic(value) => Self::Dynamic(value),
                other => Self::owned(other.into_json()),
            },
        }
    }
}

/// Writes a text as JSON; whether that went well.
pub(in super::super) fn write_text(text: &str, out: &mut Vec<u8>) -> bool {
    let escapes = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Most texts have nothing to escape, and pieces of them are looked at as a whole.
    let is_plain = |piece: &[u8]| !piece.iter().fold(false, |found, it| found | escapes(*it));
    if !text.as_bytes().chunks(32).all(is_plain) {
        return serde_json::to_writer(out, text).is_ok();
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    true
}

/// The whole part of a number, where a `long` holds it.
fn truncate(value: f64) -> Option<i64> {
    // The largest real below 2^63.
    const MOST: f64 = 9_223_372_036_854_774_784.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to fit")]
    (value.abs() <= MOST).then_some(value as i64)
}

fn write_real(value: f64) -> String {
    if value.is_finite() {
        // JSON's form, but a whole number is written without its ".0" as .NET writes it.
        let text = Number::from_f64(value).map_or_else(String::new, |number| number.to_string());
        return text.strip_suffix(".0").map_or(text.clone(), str::to_owned);
    }
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
    .to_owned()
}
