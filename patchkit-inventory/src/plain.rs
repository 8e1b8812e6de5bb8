//! Rows as a service writes them: an object of texts, without a space, its names those of the row
//! before. Such a row is read by comparing what is between its values with what was there last time.
//!
//! Any other row is read the long way: nothing here decides what a row means, or that it is none.

use std::{borrow::Cow, sync::Arc};

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
        layout.split(line.as_bytes(), &mut values).then_some(layout)
    }

    /// Finds the values of a line that has this layout; `false` where it has another one, or an
    /// escape that wants more than a look.
    ///
    /// The line is UTF-8 without control characters: then what fits is JSON.
    fn split(&self, line: &[u8], values: &mut Vec<Span>) -> bool {
        values.clear();
        let mut at = 0;
        for between in &self.between {
            let Some(rest) = line.get(at..).and_then(|rest| rest.strip_prefix(&**between)) else {
                return false;
            };
            let start = line.len() - rest.len();
            let (mut from, mut escaped) = (start, false);
            let end = loop {
                match memchr::memchr2(b'"', b'\\', &line[from..]) {
                    None => return false,
                    Some(quote) if line[from + quote] == b'"' => break from + quote,
                    Some(slash) => {
                        let behind = from + slash + 1;
                        if !matches!(line.get(behind), Some(b'\\' | b'"' | b'/')) {
                            return false;
                        }
                        (from, escaped) = (behind + 1, true);
                    }
                }
            };
            values.push(Span { start, end, escaped });
            at = end;
        }
        line[at..] == *b"\"}"
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
        if escaped { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) }
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

    /// The text as it is spelled, and whether there are escapes in it.
    pub(crate) fn spelled(&self, at: usize) -> (&'a str, bool) {
        let Some(span) = self.values.get(at) else { return ("", false) };
        (self.line.get(span.start..span.end).unwrap_or_default(), span.escaped)
    }
}

/// The text of a value in which a backslash stands only before what it keeps.
pub(crate) fn unescaped(spelled: &str) -> String {
    let mut text = String::with_capacity(spelled.len());
    let mut rest = spelled;
    while let Some(slash) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..slash]);
        let kept = rest[slash + 1..].chars().next();
        text.extend(kept);
        rest = &rest[slash + 1 + kept.map_or(0, char::len_utf8)..];
    }
    text + rest
}

/// The layouts of one type that were seen, the last one first, and room for the values of a row.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    known: Vec<Arc<RowLayout>>,
    values: Vec<Span>,
}

impl Layouts {
    /// Reads a line that is UTF-8 without control characters; `None` where it is not plain.
    pub(crate) fn read<'a>(&'a mut self, line: &'a str) -> Option<PlainRow<'a>> {
        let values = &mut self.values;
        let at = self.known.iter().position(|known| known.split(line.as_bytes(), values))?;
        if at > 0 {
            self.known[..=at].rotate_right(1);
        }
        Some(PlainRow { layout: &self.known[0], line, values: &self.values })
    }

    /// Takes note of a row that was read the long way and has nothing wrong with its names.
    pub(crate) fn learn(&mut self, line: &str, row: &InventoryRecord<'_>, ty: &InventoryType) {
        let is_known = self.known.iter().any(|known| {
            known.names().len() == row.fields().len()
                && known.names().zip(row.fields()).all(|(name, field)| name == field.name)
        });
        if is_known || !is_printable(line.as_bytes()) {
            return;
        }
        if let Some(layout) = RowLayout::learn(line, row, ty) {
            self.known.truncate(MAX_LAYOUTS - 1);
            self.known.insert(0, Arc::new(layout));
        }
    }
}

/// Whether there is no control character in a line: JSON's texts may hold none.
pub(crate) fn is_printable(line: &[u8]) -> bool {
    line.iter().fold(true, |printable, byte| printable & (*byte >= 0x20))
}

/// Whether line feeds are the only control characters.
pub(crate) fn has_only_lines(piece: &[u8]) -> bool {
    // By blocks, so that a loop over one of them has no way out and becomes vector code.
    piece
        .chunks(1 << 10)
        .all(|block| block.iter().fold(true, |only, byte| only & (*byte >= 0x20 || *byte == b'\n')))
}
