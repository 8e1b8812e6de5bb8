//! The bytes of one object, as they come, turned into rows.

mod check;

use std::{borrow::Cow, sync::Arc};

use self::check::{Checker, Dirt, Names};
use crate::{
    InventoryKey, InventoryRecord, Listed, PlainRow, RepairReason, Repaired, SkipReason, Skipped,
    TypeReading,
    plain::{Layouts, has_only_lines, is_printable},
};

/// Longest line accepted. Systems Manager takes at most 1 MB of inventory from a node, so no row it
/// wrote is longer; four times that is room for escapes.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// How many bytes a sink is asked about at once: few enough that asking again behind each candidate
/// costs less than reading the candidate.
const WINDOW: usize = 16 << 10;

/// Takes the rows of an object.
pub trait RowSink {
    /// Says whether a line can matter, from its bytes alone; asked before it is parsed.
    ///
    /// A line that is passed over is still refused when it does not begin and end as a row.
    fn consider(&mut self, line: &[u8]) -> Consider {
        let _ = line;
        Consider::Parse
    }

    /// Finds the next byte in some whole lines whose line can matter; asked before any of them is
    /// looked at, and again for what is behind that line.
    ///
    /// Lines in front of it are passed over as [`consider`](Self::consider) passes them over.
    fn next_candidate(&mut self, lines: &[u8]) -> Option<usize> {
        let _ = lines;
        Some(0)
    }

    /// Takes one row and the line it was on, counted from 1.
    fn row(&mut self, line: u64, row: &InventoryRecord<'_>);

    /// Takes a row that was read the short way. It is a row as any other.
    fn plain_row(&mut self, line: u64, row: &PlainRow<'_>) {
        self.row(line, &row.to_record());
    }
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
    layouts: Layouts,
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
            layouts: Layouts::default(),
            carry: Vec::new(),
            discarding: false,
            line: 0,
            found: ObjectReading::default(),
        }
    }

    /// Takes the layouts that other objects of the type had.
    pub(crate) fn with_layouts(mut self, mut layouts: Layouts) -> Self {
        layouts.begin_object();
        self.layouts = layouts;
        self
    }

    /// Gives back the layouts, for the next object of the type.
    pub(crate) fn take_layouts(&mut self) -> Layouts {
        std::mem::take(&mut self.layouts)
    }

    /// Takes the next piece of the object.
    pub fn feed<S: RowSink + ?Sized>(&mut self, mut piece: &[u8], sink: &mut S) {
        self.found.reading.bytes += piece.len() as u64;
        if self.discarding || !self.carry.is_empty() {
            let Some(end) = memchr::memchr(b'\n', piece) else { return self.keep(piece) };
            let head = &piece[..end];
            piece = &piece[end + 1..];
            if self.discarding {
                self.discarding = false;
            } else if self.carry.len() + head.len() > MAX_LINE_BYTES {
                self.refuse_line();
            } else {
                let mut line = std::mem::take(&mut self.carry);
                line.extend_from_slice(head);
                self.take_line(&line, None, sink);
                line.clear();
                self.carry = line;
            }
        }
        let whole = memchr::memrchr(b'\n', piece).map_or(0, |last| last + 1);
        self.take_lines(&piece[..whole], sink);
        self.keep(&piece[whole..]);
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, piece: &[u8]) {
        if self.discarding {
            return;
        }
        if self.carry.len() + piece.len() > MAX_LINE_BYTES {
            self.refuse_line();
            self.discarding = true;
        } else {
            self.carry.extend_from_slice(piece);
        }
    }

    /// Takes whole lines, each with its end.
    fn take_lines<S: RowSink + ?Sized>(&mut self, mut lines: &[u8], sink: &mut S) {
        while !lines.is_empty() {
            let window = match lines.get(WINDOW..).and_then(|rest| memchr::memchr(b'\n', rest)) {
                Some(end) => WINDOW + end + 1,
                None => lines.len(),
            };
            let (mut window, rest) = lines.split_at(window);
            lines = rest;
            let whole = window;
            let mut checked = None;
            while !window.is_empty() {
                let candidate = sink.next_candidate(window).unwrap_or(window.len());
                let before = candidate.min(window.len());
                let before = memchr::memrchr(b'\n', &window[..before]).map_or(0, |at| at + 1);
                let (passed, rest) = window.split_at(before);
                self.pass_over(passed, sink);
                window = rest;
                let Some(end) = memchr::memchr(b'\n', window) else { continue };
                // Whoever passes over lines wants few: these are looked at one by one.
                if !passed.is_empty() {
                    checked.get_or_insert(None);
                }
                let at = whole.len() - window.len();
                let plain = match *checked.get_or_insert_with(|| lines_of_text(whole)) {
                    Some(text) => text.get(at..at + end),
                    None => plain_text(&window[..end]),
                };
                if end > MAX_LINE_BYTES {
                    self.refuse_line();
                } else {
                    self.take_line(&window[..end], plain, sink);
                }
                window = &window[end + 1..];
            }
        }
    }

    /// Passes over whole lines that cannot matter.
    fn pass_over<S: RowSink + ?Sized>(&mut self, lines: &[u8], sink: &mut S) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[from..end];
            from = end + 1;
            if line.len() <= MAX_LINE_BYTES && line.starts_with(b"{") && line.ends_with(b"}") {
                self.line += 1;
                self.found.reading.passed_over += 1;
            } else if line.len() > MAX_LINE_BYTES {
                self.refuse_line();
            } else {
                self.take_frame(line, sink);
            }
        }
    }

    /// Takes the end of the object.
    pub fn finish<S: RowSink + ?Sized>(mut self, sink: &mut S) -> ObjectReading {
        let line = std::mem::take(&mut self.carry);
        if !line.is_empty() {
            let plain = plain_text(&line);
            let wants = sink.next_candidate(&line).is_some();
            self.take_whole(&line, plain, if wants { Wants::Line } else { Wants::Frame }, sink);
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

    fn take_line<S: RowSink + ?Sized>(&mut self, bytes: &[u8], plain: Option<&str>, sink: &mut S) {
        self.take_whole(bytes, plain, Wants::Line, sink);
    }

    /// Takes a line that cannot matter where it is a row.
    fn take_frame<S: RowSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) {
        self.take_whole(bytes, None, Wants::Frame, sink);
    }

    /// Takes a row the short way; says whether it is one that can be read so.
    fn take_plain<S: RowSink + ?Sized>(&mut self, line: &str, whole: &[u8], sink: &mut S) -> bool {
        let Some(row) = self.layouts.read(line) else { return false };
        let repaired = &mut self.found.repaired;
        let mut dirt = Dirt { line: self.line, key: &self.key, repaired };
        self.found.reading.rows += 1;
        if line.len() < whole.len() {
            dirt.note(RepairReason::CarriageReturn);
        }
        self.checker.check_plain(&row, &mut dirt);
        sink.plain_row(self.line, &row);
        true
    }

    /// Takes a line without its end; `plain` is the same where it is UTF-8 without control
    /// characters but a carriage return, and without that.
    fn take_whole<S: RowSink + ?Sized>(
        &mut self,
        bytes: &[u8],
        plain: Option<&str>,
        wants: Wants,
        sink: &mut S,
    ) {
        self.line += 1;
        let mut considered = (wants == Wants::Frame).then_some(Consider::PassOver);
        if considered.is_none()
            && let Some(line) = plain
            && line.starts_with('{')
        {
            let consider = sink.consider(line.as_bytes());
            if consider == Consider::Parse && self.take_plain(line, bytes, sink) {
                return;
            }
            considered = Some(consider);
        }
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
        let consider = considered.unwrap_or_else(|| sink.consider(row));
        if consider == Consider::PassOver && is_framed(row) {
            self.found.reading.passed_over += 1;
            if nul {
                dirt.note(RepairReason::NulBytes);
            }
            return;
        }
        let text = String::from_utf8_lossy(row);
        let (before, mut lost) = (self.found.reading.rows, None);
        let mut layout = None;
        for row in InventoryRecord::rows(&text) {
            match row {
                Ok(row) => {
                    self.found.reading.rows += 1;
                    let names = self.checker.check(&row, &mut dirt, &mut self.found.native_number);
                    sink.row(self.line, &row);
                    layout = (names == Names::Right).then_some(row);
                }
                Err(reason) => lost = Some(reason),
            }
        }
        if let Some(row) = layout
            && self.found.reading.rows == before + 1
            && lost.is_none()
        {
            self.layouts.learn(&text, &row, &self.checker.ty);
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

/// Whole lines as text, where there are no control characters but line feeds.
fn lines_of_text(lines: &[u8]) -> Option<&str> {
    has_only_lines(lines).then(|| std::str::from_utf8(lines).ok()).flatten()
}

/// The line as text without control characters but a carriage return at its end, which is cut off.
fn plain_text(line: &[u8]) -> Option<&str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if is_printable(line) { std::str::from_utf8(line).ok() } else { None }
}

/// How much of a line is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wants {
    /// All of it, where the sink does not pass over it.
    Line,
    /// Whether it begins and ends as a row; all of it where it does not.
    Frame,
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

#[cfg(test)]
mod tests;
