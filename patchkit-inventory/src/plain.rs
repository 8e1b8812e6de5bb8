//! Rows as a service writes them: an object of texts, without a space, its names those of the row
//! before. Such a row is read by comparing what is between its values with what was there last time.
//!
//! Any other row is read the long way: nothing here decides what a row means, or that it is none.

mod runs;

use std::{borrow::Cow, sync::Arc};

use self::runs::{Expected, Runs};
use crate::{Attribute, AttributeKind, Field, InventoryRecord, InventoryType, Value};

/// How many layouts of one type are tried on a row. A type has one for each set of optional fields,
/// and its rows come in runs of one set.
const MAX_LAYOUTS: usize = 8;

/// Most fields of a row that is read the short way; documented types have up to 30.
const MAX_PLAIN_FIELDS: usize = 64;

/// The names of a row, in their order.
#[derive(Debug)]
pub struct RowLayout {
    fields: Box<[PlainField]>,
    /// What is between the values: `{"Name":"`, `","Version":"`.
    between: Box<[Box<[u8]>]>,
    /// Which of the fields says whose the row is.
    resource: Option<usize>,
    /// The fields that are documented as numbers.
    numbers: Box<[usize]>,
}

#[derive(Debug)]
struct PlainField {
    name: Box<str>,
    kind: AttributeKind,
}

impl RowLayout {
    /// The names, as they are spelled.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.fields.iter().map(|field| &*field.name)
    }

    /// Where a field is, found as [`InventoryRecord::get`] finds it.
    pub fn find(&self, name: &str) -> Option<usize> {
        let exact = self.fields.iter().rposition(|field| *field.name == *name);
        exact.or_else(|| self.fields.iter().rposition(|it| it.name.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn resource(&self) -> Option<usize> {
        self.resource
    }

    /// The fields that are documented as numbers, with their names.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (usize, &str)> {
        self.numbers.iter().map(|at| (*at, &*self.fields[*at].name))
    }

    /// The layout of a row that has nothing wrong with its names; `None` where it is not plain.
    fn learn(line: &str, row: &InventoryRecord<'_>, ty: &InventoryType) -> Option<Self> {
        let fields = row.fields();
        if fields.is_empty() || fields.len() > MAX_PLAIN_FIELDS {
            return None;
        }
        let mut between = Vec::with_capacity(fields.len());
        let mut plain = Vec::with_capacity(fields.len());
        for (at, field) in fields.iter().enumerate() {
            if !matches!(field.value, Value::Text(_)) || field.name.contains(['"', '\\']) {
                return None;
            }
            let begins = if at == 0 { "{\"" } else { "\",\"" };
            between.push(format!("{begins}{}\":\"", field.name).into_bytes().into());
            let kind = match ty.attribute(&field.name) {
                Some(Attribute { kind, .. }) => *kind,
                None if ty.is_documented() => return None,
                None => AttributeKind::Text,
            };
            plain.push(PlainField { name: (&*field.name).into(), kind });
        }
        let mut layout = Self {
            fields: plain.into(),
            between: between.into(),
            resource: None,
            numbers: Box::default(),
        };
        layout.resource = layout.find("resourceId");
        let numbers = layout.fields.iter().enumerate();
        layout.numbers = numbers
            .filter(|(_, field)| field.kind == AttributeKind::Number)
            .map(|(at, _)| at)
            .collect();
        let mut values = Vec::new();
        layout.split(line.as_bytes(), &Runs::default(), &mut values).map(|_| layout)
    }

    /// Finds the values of a line that has this layout; `None` where it has another one, or an escape
    /// that wants more than a look.
    ///
    /// The line is UTF-8 without control characters: then what fits is JSON.
    fn split(&self, line: &[u8], runs: &Runs, values: &mut Vec<Span>) -> Option<Expected> {
        values.clear();
        let (mut at, mut expected) = (0, Expected::Found);
        let mut runs_left = runs.expected().peekable();
        while let Some(between) = self.between.get(values.len()) {
            if let Some(run) = runs_left.next_if(|run| run.first == values.len()) {
                if let Some(end) = runs.take(run, line, at, values) {
                    at = end;
                    continue;
                }
                expected = Expected::Missed;
            }
            let start = at + between.len();
            if !line.get(at..start).is_some_and(|found| is_same(found, between)) {
                return None;
            }
            let (mut from, mut escaped) = (start, false);
            let end = loop {
                let found = from + find_end(&line[from..])?;
                if line[found] == b'"' {
                    break found;
                }
                line.get(found + 1).copied().and_then(escape)?;
                (from, escaped) = (found + 2, true);
            };
            values.push(Span { start, end, escaped });
            at = end;
        }
        (line[at..] == *b"\"}").then_some(expected)
    }
}

/// Where a value is in its line.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    escaped: bool,
}

/// A row that was read the short way, borrowed from its line: every field is a text.
#[derive(Clone, Copy, Debug)]
pub struct PlainRow<'a> {
    layout: &'a Arc<RowLayout>,
    line: &'a str,
    values: &'a [Span],
}

impl<'a> PlainRow<'a> {
    /// Its names; rows of one object mostly share them, and then this is the same `Arc`.
    pub fn layout(&self) -> &'a Arc<RowLayout> {
        self.layout
    }

    /// The text of the field at that place of the layout; empty where there is no such place.
    pub fn value(&self, at: usize) -> Cow<'a, str> {
        let (text, escaped) = self.spelled(at);
        if !escaped {
            return Cow::Borrowed(text);
        }
        let mut owned = String::with_capacity(text.len());
        unescape(text, &mut owned);
        Cow::Owned(owned)
    }

    /// As [`value`](Self::value), in a place that is used again.
    #[cfg(any(feature = "columns", feature = "snapshot"))]
    pub(crate) fn unescape<'t>(&self, at: usize, text: &'t mut String) -> &'t str {
        text.clear();
        unescape(self.spelled(at).0, text);
        text
    }

    /// The text of a field; `None` where it is absent or empty.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let text = self.value(self.layout.find(name)?);
        Some(text).filter(|text| !text.is_empty())
    }

    /// The row with everything that can be asked of one.
    pub fn to_record(&self) -> InventoryRecord<'a> {
        let fields = self.layout.fields.iter().enumerate();
        let fields = fields.map(|(at, field)| Field {
            name: Cow::Borrowed(&*field.name),
            value: Value::Text(self.value(at)),
        });
        InventoryRecord::of(fields.collect())
    }

    /// The first eight bytes of a text as it is spelled, zeros behind its end.
    #[cfg(feature = "columns")]
    pub(crate) fn head(&self, at: usize) -> u64 {
        let Some(Span { start, end, .. }) = self.values.get(at) else { return 0 };
        // What is behind the text in its line is read with it and cut off.
        match self.line.as_bytes().get(*start..).and_then(|rest| rest.first_chunk()) {
            Some(head) if end - start < 8 => {
                u64::from_le_bytes(*head) & ((1 << (8 * (end - start))) - 1)
            }
            Some(head) => u64::from_le_bytes(*head),
            None => head(&self.line.as_bytes()[*start..*end]),
        }
    }

    /// The text as it is spelled, and whether there are escapes in it.
    pub(crate) fn spelled(&self, at: usize) -> (&'a str, bool) {
        let Some(span) = self.values.get(at) else { return ("", false) };
        (self.line.get(span.start..span.end).unwrap_or_default(), span.escaped)
    }
}

/// The first eight bytes of a text, zeros behind its end.
#[cfg(feature = "columns")]
pub(crate) fn head(text: &[u8]) -> u64 {
    text.iter().take(8).rev().fold(0, |head, byte| head << 8 | u64::from(*byte))
}

/// What a letter stands for behind a backslash: RFC 8259, section 7. `\u` wants more than a look, for
/// half a surrogate pair is no text.
fn escape(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// Writes the text of a value that has been split off, without its escapes.
fn unescape(spelled: &str, text: &mut String) {
    let mut rest = spelled;
    while let Some(slash) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..slash]);
        text.extend(rest.as_bytes().get(slash + 1).copied().and_then(escape));
        rest = rest.get(slash + 2..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// The layouts of one type that were seen, the last one first, and room for the values of a row.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    known: Vec<Known>,
    values: Vec<Span>,
}

#[derive(Debug)]
struct Known {
    layout: Arc<RowLayout>,
    runs: Runs,
}

impl Layouts {
    /// Begins another object: its rows have other values in common.
    pub(crate) fn begin_object(&mut self) {
        self.known.iter_mut().for_each(|known| known.runs.forget());
    }

    /// Reads a line that is UTF-8 without control characters; `None` where it is not plain.
    pub(crate) fn read<'a>(&'a mut self, line: &'a str) -> Option<PlainRow<'a>> {
        let (bytes, values) = (line.as_bytes(), &mut self.values);
        let mut tried = self.known.iter().enumerate();
        let (at, expected) = tried.find_map(|(at, Known { layout, runs })| {
            layout.split(bytes, runs, values).map(|expected| (at, expected))
        })?;
        if at > 0 {
            self.known[..=at].rotate_right(1);
        }
        let Known { layout, runs } = &mut self.known[0];
        runs.look(layout, bytes, values, expected);
        Some(PlainRow { layout, line, values })
    }

    /// Takes note of a row that was read the long way and has nothing wrong with its names.
    pub(crate) fn learn(&mut self, line: &str, row: &InventoryRecord<'_>, ty: &InventoryType) {
        let is_known = self.known.iter().any(|Known { layout, .. }| {
            layout.names().len() == row.fields().len()
                && layout.names().zip(row.fields()).all(|(name, field)| name == field.name)
        });
        if is_known || !is_printable(line.as_bytes()) {
            return;
        }
        if let Some(layout) = RowLayout::learn(line, row, ty) {
            self.known.truncate(MAX_LAYOUTS - 1);
            self.known.insert(0, Known { layout: Arc::new(layout), runs: Runs::default() });
        }
    }
}

/// The first quote or backslash. Most values are shorter than what a call of `memchr` is worth.
#[inline]
fn find_end(rest: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const SLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    // Has its high bit set in the first byte that is zero, and in none before it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    for (at, word) in rest.as_chunks::<8>().0.iter().take(NEAR).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ QUOTES) | zeros(word ^ SLASHES);
        if found != 0 {
            return Some(8 * at + found.trailing_zeros() as usize / 8);
        }
    }
    let from = (8 * NEAR).min(rest.len() & !7);
    memchr::memchr2(b'"', b'\\', &rest[from..]).map(|at| from + at)
}

/// How many words of eight bytes are looked at before `memchr` is called.
const NEAR: usize = 3;

/// Whether two short texts are equal: what is compared here is too short for the call that `==` is.
#[inline]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let words = a.as_chunks().0.iter().zip(b.as_chunks().0);
    let odd = words.fold(0, |odd, (a, b)| odd | (word(a) ^ word(b)));
    let last = match (a.last_chunk(), b.last_chunk()) {
        (Some(a), Some(b)) => word(a) == word(b),
        _ => a.iter().zip(b).fold(0, |odd, (a, b)| odd | (a ^ b)) == 0,
    };
    a.len() == b.len() && odd == 0 && last
}

/// Whether there is no control character in a line: JSON's texts may hold none.
pub(crate) fn is_printable(line: &[u8]) -> bool {
    line.iter().all(|byte| *byte >= 0x20)
}

/// Whether line feeds are the only control characters.
pub(crate) fn has_only_lines(piece: &[u8]) -> bool {
    // By blocks, so that a loop over one of them has no way out and becomes vector code.
    let control = |byte: u8| u8::from(byte < 0x20) & u8::from(byte != b'\n');
    let found = |block: &[u8]| block.iter().fold(0, |found, byte| found | control(*byte));
    piece.chunks(1 << 10).all(|block| found(block) == 0)
}

#[cfg(test)]
mod tests;
