//! Ways in which real lakes go bad, done on purpose.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DirtAnswer, LakeObject, objects::Draft, rows::Row};
use crate::rng::Rng;

/// One way to spoil an object.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dirt {
    /// The last line ends in its middle; that row is lost.
    TruncatedLastLine,
    /// A line is a service's error message and no JSON; that row is lost.
    MalformedLine,
    /// There are no bytes; all rows are lost.
    EmptyFile,
    /// A byte order mark comes first.
    Bom,
    /// Lines end as on Windows.
    Crlf,
    /// Zero bytes follow the last line.
    NulTail,
    /// A row names `schemaVersion` twice.
    DuplicateKey,
    /// In a row, texts of digits are numbers and numbers are texts.
    TypeDrift,
    /// A field that decides nothing is null.
    NullField,
    /// A row has a field, with a structure in it, that no schema knows.
    UnknownField,
    /// The object's key names no account or no type; all rows are lost.
    WrongKey,
    /// A row is thousands of arrays deep; it is lost.
    HostileNesting,
}

impl Dirt {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::TruncatedLastLine,
        Self::MalformedLine,
        Self::EmptyFile,
        Self::Bom,
        Self::Crlf,
        Self::NulTail,
        Self::DuplicateKey,
        Self::TypeDrift,
        Self::NullField,
        Self::UnknownField,
        Self::WrongKey,
        Self::HostileNesting,
    ];

    /// Whether rows cannot be read any more.
    pub fn loses_data(self) -> bool {
        matches!(
            self,
            Self::TruncatedLastLine
                | Self::MalformedLine
                | Self::EmptyFile
                | Self::WrongKey
                | Self::HostileNesting
        )
    }
}

/// Well past every parser's limit, and small enough for a test.
const DEPTH: usize = 10_000;

/// The object's bytes as the sync writes them.
pub(super) fn clean(draft: &Draft) -> LakeObject {
    LakeObject { key: draft.key.clone(), bytes: bytes(&draft.rows, "\n") }
}

/// Spoils an object that has rows.
pub(super) fn spoil(
    kind: Dirt,
    mut draft: Draft,
    node: &str,
    rng: &mut Rng,
) -> (LakeObject, DirtAnswer) {
    let at = rng.index(draft.rows.len());
    let last = draft.rows.len() - 1;
    let (line, bytes) = match kind {
        Dirt::TruncatedLastLine => {
            let mut bytes = bytes(&draft.rows, "\n");
            bytes.truncate(bytes.len() - 1 - draft.rows[last].render().len() / 2);
            (Some(last), bytes)
        }
        Dirt::MalformedLine => {
            let error = "<Error><Code>SlowDown</Code></Error>".to_owned();
            (Some(at), with_line(&draft.rows, at, error))
        }
        Dirt::EmptyFile => (None, Vec::new()),
        Dirt::Bom => (Some(0), [b"\xEF\xBB\xBF", &*bytes(&draft.rows, "\n")].concat()),
        Dirt::Crlf => (None, bytes(&draft.rows, "\r\n")),
        Dirt::NulTail => (None, [&*bytes(&draft.rows, "\n"), &[0; 512]].concat()),
        Dirt::DuplicateKey => {
            draft.rows[at].push("schemaVersion", json!("9.9"));
            (Some(at), bytes(&draft.rows, "\n"))
        }
        Dirt::TypeDrift => {
            draft.rows[at].values_mut().for_each(drift);
            (Some(at), bytes(&draft.rows, "\n"))
        }
        Dirt::NullField => {
            nullify(&mut draft.rows[at]);
            (Some(at), bytes(&draft.rows, "\n"))
        }
        Dirt::UnknownField => {
            draft.rows[at].push("FutureAttribute", json!({ "nested": [1, "two", null] }));
            (Some(at), bytes(&draft.rows, "\n"))
        }
        Dirt::WrongKey => {
            draft.key = wrong_key(&draft.key, rng);
            (None, bytes(&draft.rows, "\n"))
        }
        Dirt::HostileNesting => {
            let (open, close) = ("[".repeat(DEPTH), "]".repeat(DEPTH));
            let row = format!("{{\"resourceId\":\"{node}\",\"Deep\":{open}{close}}}");
            (Some(at), with_line(&draft.rows, at, row))
        }
    };
    let answer = DirtAnswer {
        key: draft.key.clone(),
        line: line.map(|index| index as u64 + 1),
        kind,
        data_lost: kind.loses_data(),
        node: node.to_owned(),
        data_type: draft.data_type.to_owned(),
    };
    (LakeObject { key: draft.key, bytes }, answer)
}

fn bytes(rows: &[Row], end: &str) -> Vec<u8> {
    rows.iter().flat_map(|row| [row.render(), end.to_owned()]).collect::<String>().into_bytes()
}

fn with_line(rows: &[Row], at: usize, line: String) -> Vec<u8> {
    let mut lines: Vec<String> = rows.iter().map(Row::render).collect();
    lines[at] = line;
    lines.iter().flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

fn drift(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::String(text) => {
            // Only what reads back as the same text: `007` is not 7, and `1.10` not 1.1.
            if let Ok(number) = text.parse::<u64>()
                && number.to_string() == *text
            {
                *value = Value::from(number);
            } else if text == "1.0" || text == "1.1" {
                *value = json!(if text == "1.0" { 1.0 } else { 1.1 });
            }
        }
        _ => {}
    }
}

fn nullify(row: &mut Row) {
    let fields = ["IpAddress", "Summary", "ExecutionId", "OwnerInformation", "captureTime"];
    let _found = fields.iter().any(|field| row.replace(field, Value::Null));
}

fn wrong_key(key: &str, rng: &mut Rng) -> String {
    let segments = key.split('/');
    let wrong: Vec<String> = if rng.percent(50) {
        segments.filter(|segment| !segment.starts_with("accountid=")).map(str::to_owned).collect()
    } else {
        // `AWS-Tag` is no type, and still tells one type's objects from another's.
        segments.map(|segment| segment.replace(':', "-")).collect()
    };
    wrong.join("/")
}
