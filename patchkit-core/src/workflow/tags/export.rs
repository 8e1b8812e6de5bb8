//! A tag check as a table: one row for each tag, the same columns in each.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};

use super::{TagFinding, TagOutcome, TagReport};

/// A row of a [`TagReport`]: a tag of a node, or one that it lacks.
///
/// The columns are texts, of which some may be missing, and the same in every row: a record is a row
/// of CSV, of Parquet or of a table in a database as it stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TagRecord {
    /// `aws`, `azure`.
    pub provider: String,
    /// The account or subscription.
    pub account: String,
    /// The Region or location.
    pub region: String,
    /// The node's id in its scope.
    pub resource: String,
    /// How the node's check ended.
    pub outcome: TagOutcome,
    /// What is so of the tag.
    pub state: TagState,
    /// The tag's name; none where the node has none and lacks none. Untrusted: escape before showing.
    pub key: Option<String>,
    /// Its value; none where it is missing. Untrusted: escape before showing.
    pub value: Option<String>,
    /// Why a merge failed.
    pub error: Option<String>,
}

/// What is so of a tag on a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TagState {
    /// It was there.
    Set,
    /// The check merged it in.
    Merged,
    /// It is required and not there, or empty.
    Missing,
    /// The node has no tag at all, and lacks none that is required.
    Untagged,
}

impl fmt::Display for TagState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Set => "set",
            Self::Merged => "merged",
            Self::Missing => "missing",
            Self::Untagged => "untagged",
        })
    }
}

impl TagRecord {
    /// The names of the columns, in the order of the fields.
    pub const COLUMNS: [&'static str; 9] =
        ["provider", "account", "region", "resource", "outcome", "state", "key", "value", "error"];

    /// The columns as texts, in the order of [`COLUMNS`](Self::COLUMNS).
    pub fn texts(&self) -> [Option<Cow<'_, str>>; 9] {
        let own = |text: &'_ Option<String>| text.clone().map(Cow::Owned);
        [
            Some(self.provider.as_str().into()),
            Some(self.account.as_str().into()),
            Some(self.region.as_str().into()),
            Some(self.resource.as_str().into()),
            Some(self.outcome.to_string().into()),
            Some(self.state.to_string().into()),
            own(&self.key),
            own(&self.value),
            own(&self.error),
        ]
    }
}

impl TagReport {
    /// Every tag of every node, and every required one that is missing, as flat rows. Each node has a
    /// row at least.
    pub fn records(&self) -> impl Iterator<Item = TagRecord> {
        self.nodes.iter().flat_map(records)
    }

    /// Writes the [records](Self::records) as JSON lines: one object on each.
    ///
    /// # Errors
    /// Those of `out`.
    ///
    /// # Example
    /// ```
    /// use patchkit_core::workflow::TagReport;
    ///
    /// fn export(report: &TagReport) -> std::io::Result<Vec<u8>> {
    ///     let mut lines = Vec::new();
    ///     report.write_json_lines(&mut lines)?;
    ///     Ok(lines)
    /// }
    /// ```
    pub fn write_json_lines(&self, out: &mut impl Write) -> io::Result<()> {
        for record in self.records() {
            serde_json::to_writer(&mut *out, &record).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes the [records](Self::records) as CSV, with a header.
    ///
    /// # Behavior
    /// - A text that a spreadsheet would take for a formula gets an apostrophe in front, and so does
    ///   one that begins with an apostrophe: who takes one away from each has the texts back.
    /// - What is missing is an empty cell.
    ///
    /// # Errors
    /// Those of `out`.
    #[cfg(feature = "csv")]
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let mut sheet = csv::Writer::from_writer(out);
        sheet.write_record(TagRecord::COLUMNS)?;
        for record in self.records() {
            let texts = record.texts();
            let cells = texts.iter().map(|it| it.as_deref().map(cell).unwrap_or_default());
            sheet.write_record(cells.collect::<Vec<_>>().iter().map(|it| it.as_bytes()))?;
        }
        sheet.flush()
    }
}

fn records(finding: &TagFinding) -> Vec<TagRecord> {
    let scope = finding.node.scope();
    let record = |state, key: Option<&str>, value: Option<&str>| TagRecord {
        provider: scope.provider().to_owned(),
        account: scope.account().to_string(),
        region: scope.region().to_string(),
        resource: finding.node.resource().to_owned(),
        outcome: finding.outcome,
        state,
        key: key.map(str::to_owned),
        value: value.map(str::to_owned),
        error: finding.error.clone(),
    };
    let merged = |key: &str| {
        let edits = finding.change.iter().flat_map(|change| &change.set);
        edits.into_iter().any(|edit| edit.key == key)
    };
    let is_missing = |key: &String| finding.missing.contains(key);
    let mut rows: Vec<TagRecord> = finding
        .tags
        .iter()
        // A required tag with an empty value is missing, and has its row there.
        .filter(|(key, _)| !is_missing(key))
        .map(|(key, value)| {
            let state = if merged(key) { TagState::Merged } else { TagState::Set };
            record(state, Some(key), Some(value))
        })
        .collect();
    rows.extend(finding.missing.iter().map(|key| record(TagState::Missing, Some(key), None)));
    if rows.is_empty() {
        rows.push(record(TagState::Untagged, None, None));
    }
    rows
}

/// Text that a spreadsheet takes for text: a cell that begins with one of these signs, or with their
/// full-width forms, is a formula to it (OWASP, "CSV Injection").
#[cfg(feature = "csv")]
fn cell(text: &str) -> Cow<'_, str> {
    const SIGNS: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠'];
    if text.starts_with(SIGNS) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TagChange, Tags};

    fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn finding(name: &str, outcome: TagOutcome, tags: Tags) -> TagFinding {
        let node = format!("azure/s-1/westeurope/{name}").parse().unwrap();
        TagFinding { node, outcome, missing: Vec::new(), tags, change: None, error: None }
    }

    fn report() -> TagReport {
        let mut merged = finding("a", TagOutcome::Merged, tags([("Owner", "x"), ("Cost", "42")]));
        let before = tags([("Owner", "x")]);
        merged.change =
            Some(TagChange::between(merged.node.clone(), &before, &tags([("Cost", "42")])));
        let mut missing = finding(
            "b",
            TagOutcome::Missing,
            tags([("Owner", ""), ("Note", "=cmd|' /C calc'!A0")]),
        );
        missing.missing = vec!["Cost".to_owned(), "Owner".to_owned()];
        let bare = finding("c", TagOutcome::Complete, Tags::new());
        TagReport { run: None, nodes: vec![merged, missing, bare], problems: Vec::new() }
    }

    #[test]
    fn every_tag_every_missing_one_and_every_node_has_a_row() {
        let rows: Vec<String> = report()
            .records()
            .map(|it| {
                let [key, value] =
                    [it.key, it.value].map(|text| text.unwrap_or_else(|| "-".to_owned()));
                format!("{} {} {} {key}={value}", it.resource, it.outcome, it.state)
            })
            .collect();
        assert_eq!(
            rows,
            [
                "a merged merged Cost=42",
                "a merged set Owner=x",
                "b missing set Note==cmd|' /C calc'!A0",
                "b missing missing Cost=-",
                "b missing missing Owner=-",
                "c complete untagged -=-",
            ]
        );
    }

    #[test]
    fn json_lines_are_read_back_as_the_records_they_are() {
        let mut out = Vec::new();
        report().write_json_lines(&mut out).unwrap();
        let lines = String::from_utf8(out).unwrap();
        let read: Vec<TagRecord> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, report().records().collect::<Vec<_>>());
    }

    #[test]
    fn columns_are_the_fields_in_order() {
        let record = report().records().next().unwrap();
        let value = serde_json::to_value(&record).unwrap();
        let fields = value.as_object().unwrap();
        assert_eq!(fields.len(), TagRecord::COLUMNS.len());
        for (name, text) in TagRecord::COLUMNS.iter().zip(record.texts()) {
            assert_eq!(fields[*name].as_str(), text.as_deref(), "{name}");
        }
    }

    #[cfg(feature = "csv")]
    #[test]
    fn no_cell_is_a_formula_and_every_text_comes_back() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("'quoted", "''quoted"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            let cell = cell(text);
            assert_eq!(cell, written);
            assert_eq!(cell.strip_prefix('\'').unwrap_or(&cell), text);
        }
    }

    #[cfg(feature = "csv")]
    #[test]
    fn the_sheet_has_a_header_and_as_many_rows_as_records() {
        let mut out = Vec::new();
        report().write_csv(&mut out).unwrap();
        let mut sheet = csv::Reader::from_reader(&*out);
        assert_eq!(sheet.headers().unwrap().iter().collect::<Vec<_>>(), TagRecord::COLUMNS);
        let rows: Vec<csv::StringRecord> = sheet.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), report().records().count());
        assert_eq!(&rows[2][7], "'=cmd|' /C calc'!A0");
        assert_eq!(&rows[3][7], "");
    }
}
