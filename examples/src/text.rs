//! Text for terminals.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use comfy_table::{ContentArrangement, LineStyle, Row, Table, TableStyle};
use serde::Serialize;

/// Text that came from a node, without what a terminal would obey.
///
/// ```
/// assert_eq!(patchkit_examples::printable("web\u{1b}[2J\n1"), "web\\u{1b}[2J\\n1");
/// ```
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| -> Box<dyn Iterator<Item = char>> {
            if c.is_control() || is_bidi(c) {
                Box::new(c.escape_default())
            } else {
                Box::new(std::iter::once(c))
            }
        })
        .collect()
}

/// Characters that reorder the text around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text that came from a node, as the cell of a sheet: what a spreadsheet would take for a formula gets
/// an apostrophe in front.
///
/// OWASP, "CSV Injection": `=`, `+`, `-`, `@`, tab and carriage return begin one; their full-width
/// forms do in some spreadsheets. Control characters are escaped.
///
/// ```
/// assert_eq!(patchkit_examples::sheet_cell("=1+1"), "'=1+1");
/// ```
pub fn sheet_cell(text: &str) -> Cow<'_, str> {
    // A sheet is looked at in a terminal too.
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let text: Cow<'_, str> = if is_plain { text.into() } else { printable(text).into() };
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') => format!("'{text}").into(),
        _ => text,
    }
}

/// Writes one JSON value on one line, without a line end; its text cannot steer a terminal.
pub fn write_json_value(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    // As an I/O error a reader that went away is recognised.
    serde_json::to_writer(Escaping(&mut *out), value).map_err(io::Error::from)
}

/// Writes one JSON object and a line end; its text cannot steer a terminal.
///
/// JSON leaves control characters beyond ASCII and those that reorder text as they are; here they are
/// escaped too, which every reader takes back.
///
/// ```
/// let mut out = Vec::new();
/// patchkit_examples::write_json(&mut out, &serde_json::json!(["web\u{9b}2J\u{202e}"]))?;
/// assert!(String::from_utf8(out).unwrap().contains(r"web\u009b2J\u202e"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    // As an I/O error a reader that went away is recognised.
    serde_json::to_writer_pretty(Escaping(&mut *out), value).map_err(io::Error::from)?;
    writeln!(out)
}

/// Escapes what JSON leaves of the characters that terminals obey. Outside its strings JSON has none.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // serde_json writes whole characters at a time.
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_ascii() && text.contains(steers) => {
                let mut left = text;
                while let Some(at) = left.find(steers) {
                    let (before, rest) = left.split_at(at);
                    self.0.write_all(before.as_bytes())?;
                    let mut chars = rest.chars();
                    if let Some(c) = chars.next() {
                        write!(self.0, "\\u{:04x}", u32::from(c))?;
                    }
                    left = chars.as_str();
                }
                self.0.write_all(left.as_bytes())?;
            }
            _ => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Beyond ASCII: JSON's own white space is ASCII control characters.
fn steers(c: char) -> bool {
    !c.is_ascii() && (c.is_control() || is_bidi(c))
}

/// A line under the header and nothing else: rows stay one line each, for `grep` and for people.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with a header, as wide as its content.
pub fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

/// `part` of `whole` in percent, with one decimal; a dash where there is no whole.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = (part * 1000 + whole / 2) / whole;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for hostile in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"] {
            assert_eq!(sheet_cell(hostile), format!("'{hostile}"));
        }
        for hostile in ["\t=1", "\r=1", "\u{1b}[2J"] {
            assert_eq!(sheet_cell(hostile), printable(hostile));
        }
        assert_eq!(sheet_cell("web 01"), "web 01");
    }

    #[test]
    fn percents_are_rounded_and_nothing_is_no_percentage() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(2, 3), "66.7 %");
        assert_eq!(percent(0, 0), "–");
    }
}
