//! The bytes of one object, as they come, turned into rows.

use std::{borrow::Cow, sync::Arc};

use crate::{
    AttributeKind, InventoryKey, InventoryRecord, InventoryType, Listed, RepairReason, Repaired,
    SkipReason, Skipped, TypeReading, Value, finding::shown, record::parse_count,
};

/// Longest line accepted. Systems Manager takes at most 1 MB of inventory from a node, so no row it
/// wrote is longer; four times that is room for escapes.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// Most reasons for repair that are told apart in one object; more fields than any type has.
const MAX_REASONS: usize = 64;

/// Takes the rows of an object.
pub trait RowSink {
    /// Says whether a line can matter, from its bytes alone; asked before it is parsed.
    ///
    /// A line that is passed over is still refused when it does not begin and end as a row.
    fn consider(&mut self, line: &[u8]) -> Consider {
        let _ = line;
        Consider::Parse
    }

    /// Takes one row and the line it was on, counted from 1.
    fn row(&mut self, line: u64, row: &InventoryRecord<'_>);
}

/// Whether a line is parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consider {
    /// It may matter.
    Parse,
    /// It cannot matter.
    PassOver,
}

/// What came out of one object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ObjectReading {
    /// Rows and bytes.
    pub reading: TypeReading,
    /// Lines that were lost.
    pub skipped: Listed<Skipped>,
    /// What was read in spite of dirt.
    pub repaired: Vec<Repaired>,
    /// The first field of a documented number that came as a number, and its line. The service
    /// writes strings, so it is drift where the other objects of the type do so; which only a look
    /// at all of them tells.
    pub(crate) native_number: Option<(u64, Box<str>)>,
}

/// Reads one object piece by piece, in memory bounded by [`MAX_LINE_BYTES`].
///
/// # Behavior
/// - Every line that is no row is listed by its number, and costs no other line.
/// - A byte order mark, CR LF, blank lines, NUL bytes around rows, text that is not UTF-8, fields
///   that come twice, drifted and null values and undocumented fields are read, and listed once
///   each for the object.
/// - The last line needs no line feed; several rows on a line are read one by one.
///
/// ```
/// use patchkit_inventory::{InventoryRecord, ObjectReader, RowSink};
///
/// struct Names(Vec<String>);
/// impl RowSink for Names {
///     fn row(&mut self, _line: u64, row: &InventoryRecord<'_>) {
///         self.0.extend(row.text("Name").map(str::to_owned));
///     }
/// }
///
/// let key = "AWS:Application/accountid=111122223333/region=eu-west-1/i-0a.json";
/// let mut reader = ObjectReader::new(key, &key.parse()?);
/// let mut names = Names(Vec::new());
/// reader.feed(b"{\"Name\":\"bash\"}\n{\"Name\":\"op", &mut names);
/// reader.feed(b"enssl\"}\n{\"Na", &mut names);
/// let reading = reader.finish(&mut names);
/// assert_eq!(names.0, ["bash", "openssl"]);
/// assert_eq!(reading.skipped.entries()[0].line, Some(3));
/// # Ok::<(), patchkit_inventory::KeyProblem>(())
/// ```
#[derive(Debug)]
pub struct ObjectReader {
    key: Arc<str>,
    checker: Checker,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    /// Whether the rest of an over-long line is being dropped.
    discarding: bool,
    line: u64,
    found: ObjectReading,
}

impl ObjectReader {
    /// A reader of the object of that key; `shown_as` is the key that findings carry.
    pub fn new(shown_as: impl Into<Arc<str>>, key: &InventoryKey) -> Self {
        Self {
            key: shown_as.into(),
            checker: Checker::new(key),
            carry: Vec::new(),
            discarding: false,
            line: 0,
            found: ObjectReading::default(),
        }
    }

    /// Takes the next piece of the object.
    pub fn feed<S: RowSink + ?Sized>(&mut self, mut piece: &[u8], sink: &mut S) {
        self.found.reading.bytes += piece.len() as u64;
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let head = &piece[..end];
            piece = &piece[end + 1..];
            if self.discarding {
                self.discarding = false;
            } else if self.carry.len() + head.len() > MAX_LINE_BYTES {
                self.refuse_line();
            } else if self.carry.is_empty() {
                self.take_line(head, sink);
            } else {
                let mut line = std::mem::take(&mut self.carry);
                line.extend_from_slice(head);
                self.take_line(&line, sink);
                line.clear();
                self.carry = line;
            }
        }
        if !self.discarding {
            if self.carry.len() + piece.len() > MAX_LINE_BYTES {
                self.refuse_line();
                self.discarding = true;
            } else {
                self.carry.extend_from_slice(piece);
            }
        }
    }

    /// Takes the end of the object.
    pub fn finish<S: RowSink + ?Sized>(mut self, sink: &mut S) -> ObjectReading {
        let line = std::mem::take(&mut self.carry);
        if !line.is_empty() {
            self.take_line(&line, sink);
        }
        let reading = self.found.reading;
        if reading.bytes == 0 {
            self.skip(None, SkipReason::EmptyObject);
        } else if reading.rows + reading.passed_over == 0 && self.found.skipped.is_empty() {
            self.skip(None, SkipReason::NoRow);
        }
        self.found
    }

    /// Takes the news that the rest of the object cannot be read; what came before is kept.
    pub fn fail(mut self, problem: &str) -> ObjectReading {
        let line = (self.found.reading.bytes > 0).then_some(self.line + 1);
        self.skip(line, SkipReason::Unreadable(problem.into()));
        self.found
    }

    fn refuse_line(&mut self) {
        self.line += 1;
        self.carry = Vec::new();
        self.skip(Some(self.line), SkipReason::TooLong(MAX_LINE_BYTES));
    }

    fn skip(&mut self, line: Option<u64>, reason: SkipReason) {
        let key = &self.key;
        self.found.skipped.push_with(|| Skipped { key: Arc::clone(key), line, reason });
    }

    fn take_line<S: RowSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) {
        self.line += 1;
        let mut dirt = Dirt { line: self.line, key: &self.key, repaired: &mut self.found.repaired };
        let (whole, mut bytes) = (bytes.len(), bytes);
        if self.line == 1
            && let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf")
        {
            dirt.note(RepairReason::ByteOrderMark);
            bytes = rest;
        }
        let mark = whole - bytes.len();
        if let Some(rest) = bytes.strip_suffix(b"\r") {
            dirt.note(RepairReason::CarriageReturn);
            bytes = rest;
        }
        let (nuls, row) = trim_nul(bytes);
        let nul = row.len() < bytes.len();
        if row.iter().all(u8::is_ascii_whitespace) {
            dirt.note(if nul { RepairReason::NulBytes } else { RepairReason::BlankLine });
            return;
        }
        if sink.consider(row) == Consider::PassOver && is_framed(row) {
            self.found.reading.passed_over += 1;
            if nul {
                dirt.note(RepairReason::NulBytes);
            }
            return;
        }
        let text = String::from_utf8_lossy(row);
        let (before, mut lost) = (self.found.reading.rows, None);
        for row in InventoryRecord::rows(&text) {
            match row {
                Ok(row) => {
                    self.found.reading.rows += 1;
                    self.checker.check(&row, &mut dirt, &mut self.found.native_number);
                    sink.row(self.line, &row);
                }
                Err(reason) => lost = Some(reason),
            }
        }
        if self.found.reading.rows > before {
            if nul {
                dirt.note(RepairReason::NulBytes);
            }
            if matches!(text, Cow::Owned(_)) {
                dirt.note(RepairReason::NotUtf8);
            }
        }
        if let Some(mut reason) = lost {
            if let SkipReason::Malformed(at) = &mut reason {
                *at = mark + nuls + unrepaired(row, *at);
            }
            self.skip(Some(self.line), reason);
        }
    }
}

/// Whether a line begins and ends as a row does; one that was cut does not.
fn is_framed(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.starts_with(b"{") && line.ends_with(b"}")
}

/// What is between the NUL bytes around it, and how many of these come first.
fn trim_nul(bytes: &[u8]) -> (usize, &[u8]) {
    let first = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut row = &bytes[first..];
    while let Some(rest) = row.strip_suffix(b"\0") {
        row = rest;
    }
    (first, row)
}

/// Where in the bytes that is, counted from 1, which is at `at` once U+FFFD stands for what is not
/// UTF-8.
fn unrepaired(bytes: &[u8], at: usize) -> usize {
    let mark = char::REPLACEMENT_CHARACTER.len_utf8();
    let (mut left, mut before) = (at.saturating_sub(1), 0);
    for chunk in bytes.utf8_chunks() {
        let (valid, invalid) = (chunk.valid().len(), chunk.invalid().len());
        if left < valid || invalid == 0 {
            break;
        }
        (left, before) = (left - valid, before + valid);
        if left < mark {
            return before + 1;
        }
        (left, before) = (left - mark, before + invalid);
    }
    before + left + 1
}

/// Where the repairs of one line are noted.
struct Dirt<'a> {
    line: u64,
    key: &'a Arc<str>,
    repaired: &'a mut Vec<Repaired>,
}

impl Dirt<'_> {
    fn note(&mut self, reason: RepairReason) {
        let full = self.repaired.len() >= MAX_REASONS;
        if let Some(entry) = self.repaired.iter_mut().find(|entry| entry.reason == reason) {
            entry.lines += 1;
        } else if full && reason != RepairReason::Further {
            self.note(RepairReason::Further);
        } else {
            let (key, line) = (Arc::clone(self.key), Some(self.line));
            self.repaired.push(Repaired { key, line, reason, lines: 1 });
        }
    }
}

/// Holds rows against what is documented for their type.
#[derive(Debug)]
struct Checker {
    ty: InventoryType,
    resource: Box<str>,
    /// The names of the last row that had nothing wrong with its names. The rows of an object have
    /// one writer, so the next row nearly always has the same.
    layout: Vec<(Box<str>, AttributeKind)>,
}

impl Checker {
    fn new(key: &InventoryKey) -> Self {
        let resource = key.node().resource().into();
        Self { ty: key.inventory_type().clone(), resource, layout: Vec::new() }
    }

    fn check(
        &mut self,
        row: &InventoryRecord<'_>,
        dirt: &mut Dirt<'_>,
        native: &mut Option<(u64, Box<str>)>,
    ) {
        let known = self.layout.len() == row.fields().len()
            && self.layout.iter().zip(row.fields()).all(|((name, _), field)| **name == *field.name);
        if known {
            for ((name, kind), field) in self.layout.iter().zip(row.fields()) {
                check_value(name, *kind, &field.value, dirt, native);
            }
        } else {
            self.check_names(row, dirt, native);
        }
        if row.text("resourceId").is_some_and(|id| id != &*self.resource) {
            dirt.note(RepairReason::OtherResource);
        }
    }

    fn check_names(
        &mut self,
        row: &InventoryRecord<'_>,
        dirt: &mut Dirt<'_>,
        native: &mut Option<(u64, Box<str>)>,
    ) {
        let mut layout = Vec::with_capacity(row.fields().len());
        let mut clean = true;
        for (at, field) in row.fields().iter().enumerate() {
            let name = &*field.name;
            if row.fields()[..at].iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
                dirt.note(RepairReason::DuplicateField(shown(name)));
                clean = false;
            }
            match self.ty.attribute(name) {
                Some(attribute) => {
                    check_value(attribute.name, attribute.kind, &field.value, dirt, native);
                    layout.push((name.into(), attribute.kind));
                }
                None if self.ty.is_documented() => {
                    dirt.note(RepairReason::UnknownField(shown(name)));
                    clean = false;
                }
                // Of a custom type nothing is documented but that its values are strings.
                None => {
                    check_value(name, AttributeKind::Text, &field.value, dirt, native);
                    layout.push((name.into(), AttributeKind::Text));
                }
            }
        }
        if clean {
            self.layout = layout;
        }
    }
}

fn check_value(
    name: &str,
    kind: AttributeKind,
    value: &Value<'_>,
    dirt: &mut Dirt<'_>,
    native: &mut Option<(u64, Box<str>)>,
) {
    match (kind, value) {
        (AttributeKind::Text, Value::Text(_)) => {}
        (_, Value::Null) => dirt.note(RepairReason::NullField(shown(name))),
        (AttributeKind::Number, Value::Number(text)) if parse_count(text).is_some() => {
            native.get_or_insert_with(|| (dirt.line, shown(name)));
        }
        (AttributeKind::Number, Value::Text(text))
            if text.is_empty() || parse_count(text).is_some() => {}
        _ => dirt.note(RepairReason::TypeDrift(shown(name))),
    }
}

#[cfg(test)]
mod tests;
