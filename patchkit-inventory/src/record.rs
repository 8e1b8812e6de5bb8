//! One row of an inventory object.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::SkipReason;

/// Most fields accepted in a row: documented types have up to 30, a custom one may have 50.
pub const MAX_FIELDS: usize = 256;

/// Deepest nesting accepted inside a field: documented values do not nest at all.
pub const MAX_NESTING: usize = 32;

/// One row: its fields in their order, borrowed from the line.
///
/// # Behavior
/// - Fields are found by exact name first, then without regard to case; of several the last counts.
/// - A number reads as well as a string of digits; an empty string and null read as absent.
/// - Fields of any name are kept.
///
/// ```
/// use patchkit_inventory::InventoryRecord;
///
/// let row = InventoryRecord::parse(r#"{"MissingCount":"3","PatchGroup":"","failedcount":1}"#)?;
/// assert_eq!(row.count("MissingCount"), Some(3));
/// assert_eq!(row.count("FailedCount"), Some(1));
/// assert_eq!(row.text("PatchGroup"), None);
/// # Ok::<(), patchkit_inventory::SkipReason>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InventoryRecord<'a> {
    fields: Vec<Field<'a>>,
}

/// One field of a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field<'a> {
    /// Its name as it is spelled in the row.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Value<'a>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// A number as it is spelled: `3.10` stays `3.10`.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// An object or array, as JSON.
    Nested(&'a str),
}

impl Value<'_> {
    /// The value as text; `None` where it is null or empty.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(&**text).filter(|text| !text.is_empty()),
            Self::Number(text) | Self::Nested(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
        }
    }
}

impl<'a> InventoryRecord<'a> {
    /// Reads one line that holds one row.
    ///
    /// # Errors
    /// Why the line is no row; see [`rows`](Self::rows) for lines that hold several.
    pub fn parse(line: &'a str) -> Result<Self, SkipReason> {
        let mut rows = Self::rows(line);
        let first = rows.next().unwrap_or(Err(SkipReason::NoRow))?;
        let end = rows.offset();
        match rows.next() {
            None => Ok(first),
            Some(_) => Err(SkipReason::Malformed(end + 1)),
        }
    }

    /// Reads a line as a stream of rows: Resource Data Sync writes one a line, and readers of it
    /// accept them joined.
    pub fn rows(line: &'a str) -> Rows<'a> {
        Rows { line, stream: serde_json::Deserializer::from_str(line).into_iter(), done: false }
    }

    pub(crate) fn of(fields: Vec<Field<'a>>) -> Self {
        Self { fields }
    }

    /// The fields in their order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let last = |same: fn(&str, &str) -> bool| {
            self.fields.iter().rev().find(|field| same(&field.name, name))
        };
        let found = last(|a, b| a == b).or_else(|| last(str::eq_ignore_ascii_case));
        found.map(|field| &field.value)
    }

    /// The text of a field; `None` where it is absent, null or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// A count, given as a number or as a string of digits.
    pub fn count(&self, name: &str) -> Option<u32> {
        self.text(name).and_then(parse_count)
    }

    /// A point in time, in ISO 8601 with an offset.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name).and_then(|text| text.trim().parse().ok())
    }
}

/// A count as drifted writers spell it too: `3`, `"3"`, `3.0`.
pub(crate) fn parse_count(text: &str) -> Option<u32> {
    let text = text.trim();
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// The rows of one line; made by [`InventoryRecord::rows`].
pub struct Rows<'a> {
    line: &'a str,
    stream: serde_json::StreamDeserializer<'a, serde_json::de::StrRead<'a>, Row<'a>>,
    done: bool,
}

impl Rows<'_> {
    fn offset(&self) -> usize {
        self.stream.byte_offset()
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("offset", &self.offset()).finish_non_exhaustive()
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<InventoryRecord<'a>, SkipReason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let start = self.stream.byte_offset();
        let error = match self.stream.next()? {
            Ok(Row(Ok(fields))) => return Some(Ok(InventoryRecord { fields })),
            Ok(Row(Err(reason))) => reason,
            Err(error) => match error.classify() {
                serde_json::error::Category::Eof => SkipReason::Truncated,
                // The only demand on a value is that it be an object; the name of anything that
                // begins otherwise is refused before this.
                _ if !self.line[start..].trim_start().starts_with('{') && start == 0 => {
                    not_a_row(self.line)
                }
                _ => SkipReason::Malformed(error.column().max(1)),
            },
        };
        self.done = true;
        Some(Err(error))
    }
}

/// Tells JSON that is no object from what is no JSON.
fn not_a_row(line: &str) -> SkipReason {
    match serde_json::from_str::<serde::de::IgnoredAny>(line) {
        Ok(_) => SkipReason::NotAnObject,
        Err(error) if error.is_eof() => SkipReason::Truncated,
        Err(error) => SkipReason::Malformed(error.column().max(1)),
    }
}

/// A row as serde reads it: the outer error is the JSON's, the inner one ours, after which the
/// JSON goes on to be checked.
struct Row<'a>(Result<Vec<Field<'a>>, SkipReason>);

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let mut row = Ok(Vec::with_capacity(16));
        while let Some(Name(name)) = map.next_key()? {
            let value = value(map.next_value::<&RawValue>()?.get());
            match (&mut row, value) {
                (Ok(fields), Ok(_)) if fields.len() == MAX_FIELDS => {
                    row = Err(SkipReason::TooManyFields(MAX_FIELDS));
                }
                (Ok(fields), Ok(value)) => fields.push(Field { name, value }),
                (Ok(_), Err(reason)) => row = Err(reason),
                (Err(_), _) => {}
            }
        }
        Ok(Row(row))
    }
}

struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Reads one value, of which it is known that it is JSON.
fn value(raw: &str) -> Result<Value<'_>, SkipReason> {
    let bytes = raw.as_bytes();
    Ok(match bytes.first() {
        Some(b'"') if memchr::memchr(b'\\', bytes).is_none() => {
            Value::Text(Cow::Borrowed(raw.get(1..raw.len() - 1).unwrap_or_default()))
        }
        Some(b'"') => Value::Text(Cow::Owned(unescaped(raw))),
        Some(b'n') => Value::Null,
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'{' | b'[') if depth(bytes) > MAX_NESTING => {
            return Err(SkipReason::TooDeep(MAX_NESTING));
        }
        Some(b'{' | b'[') => Value::Nested(raw),
        _ => Value::Number(raw),
    })
}

/// The text of a string with escapes. Half a surrogate pair, which Windows names may hold, is JSON
/// and no text: such a string is kept as it is spelled.
fn unescaped(raw: &str) -> String {
    serde_json::from_str(raw).unwrap_or_else(|_| raw[1..raw.len() - 1].to_owned())
}

/// How deep brackets nest outside strings.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut inside, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'{' | b'[' if !inside => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> InventoryRecord<'_> {
        InventoryRecord::parse(line).unwrap()
    }

    fn reason(line: &str) -> SkipReason {
        InventoryRecord::parse(line).unwrap_err()
    }

    #[test]
    fn the_last_of_several_fields_counts_and_exact_spelling_first() {
        let row = parse(r#"{"Name":"a","Name":"b","name":"c"}"#);
        assert_eq!(row.text("Name"), Some("b"));
        assert_eq!(row.text("NAME"), Some("c"));
        assert_eq!(row.fields().len(), 3);
    }

    #[test]
    fn a_number_keeps_its_spelling() {
        let row = parse(r#"{"Version":3.10,"Big":123456789012345678901234567890}"#);
        assert_eq!(row.text("Version"), Some("3.10"));
        assert_eq!(row.text("Big"), Some("123456789012345678901234567890"));
    }

    #[test]
    fn values_of_every_kind_are_kept() {
        let row = parse(r#"{"a":null,"b":true,"c":{"x":[1,"}"]},"d":"q\"\u00e9","e":""}"#);
        assert_eq!(row.get("a"), Some(&Value::Null));
        assert_eq!(row.text("b"), Some("true"));
        assert_eq!(row.text("c"), Some(r#"{"x":[1,"}"]}"#));
        assert_eq!(row.text("d"), Some("q\"é"));
        assert_eq!((row.text("e"), row.get("e").is_some()), (None, true));
    }

    #[test]
    fn half_a_surrogate_pair_does_not_cost_the_row() {
        let row = parse(r#"{"Value":"a\ud800","Name":"n"}"#);
        assert_eq!(row.text("Value"), Some(r"a\ud800"));
        assert_eq!(row.text("Name"), Some("n"));
    }

    #[test]
    fn counts_and_times_are_lenient() {
        let row = parse(
            r#"{"a":"7","b":7,"c":"x","d":-1,"e":7.0,"t":"2026-07-29T03:01:15.250Z","u":"soon"}"#,
        );
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|f| row.count(f)),
            [Some(7), Some(7), None, None, Some(7)]
        );
        assert_eq!(row.time("t").unwrap().to_string(), "2026-07-29T03:01:15.25Z");
        assert_eq!(row.time("u"), None);
    }

    #[test]
    fn joined_rows_are_a_stream() {
        let rows: Vec<_> = InventoryRecord::rows(r#"{"a":1}{"a":2} {"a":3}"#).collect();
        assert_eq!(rows.len(), 3);
        let mut rows = InventoryRecord::rows(r#"{"a":1}TRAILER"#);
        assert!(rows.next().unwrap().is_ok());
        assert_eq!(rows.next(), Some(Err(SkipReason::Malformed(8))));
        assert_eq!(rows.next(), None);
    }

    #[test]
    fn a_second_row_is_refused_where_it_begins() {
        assert_eq!(reason("{}{}"), SkipReason::Malformed(3));
        assert_eq!(reason(r#"{"a":1}{"b":2}"#), SkipReason::Malformed(8));
        assert_eq!(reason(r#"{"a":1}{"b"#), SkipReason::Malformed(8));
    }

    #[test]
    fn a_line_that_is_no_row_says_why() {
        assert_eq!(reason(r#"{"a":"x"#), SkipReason::Truncated);
        assert_eq!(reason(r#"{"a""#), SkipReason::Truncated);
        assert_eq!(reason(r#"{"a":1,}"#), SkipReason::Malformed(8));
        assert_eq!(reason("<Error/>"), SkipReason::Malformed(1));
        assert_eq!(reason("[1]"), SkipReason::NotAnObject);
        assert_eq!(reason("\"text\""), SkipReason::NotAnObject);
        assert_eq!(reason("[1"), SkipReason::Truncated);
        assert_eq!(reason(""), SkipReason::NoRow);
    }

    #[test]
    fn hostile_nesting_is_refused_without_recursion() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(reason(&deep), SkipReason::TooDeep(MAX_NESTING));
        let open = "[".repeat(1_000_000);
        assert!(matches!(reason(&open), SkipReason::Malformed(_) | SkipReason::Truncated));
        assert_eq!(reason(&format!("{{\"a\":{open}")), SkipReason::Truncated);
    }

    #[test]
    fn a_row_of_too_many_fields_is_refused() {
        let fields: Vec<_> = (0..=MAX_FIELDS).map(|n| format!("\"f{n}\":1")).collect();
        let line = format!("{{{}}}", fields.join(","));
        assert_eq!(reason(&line), SkipReason::TooManyFields(MAX_FIELDS));
    }
}
