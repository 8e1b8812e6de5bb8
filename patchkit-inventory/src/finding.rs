//! What was lost of a lake, and what was read in spite of dirt.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::KeyProblem;

/// Most findings of one sort that are kept one by one; those beyond are counted only.
///
/// A lake of nothing but damage would otherwise fill the memory: 100,000 findings are some 10 MB.
pub const MAX_LISTED: usize = 100_000;

/// Data that was lost: a line, or a whole object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Skipped {
    /// The object, relative to the root of the lake.
    pub key: Arc<str>,
    /// The line, counted from 1; `None` where it is the whole object.
    pub line: Option<u64>,
    /// Why.
    pub reason: SkipReason,
}

/// Something that was read in spite of dirt; one entry for each object and reason.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Repaired {
    /// The object, relative to the root of the lake.
    pub key: Arc<str>,
    /// The first line it was found on, counted from 1; `None` where it is the whole object.
    pub line: Option<u64>,
    /// What was put right.
    pub reason: RepairReason,
    /// On how many lines of the object.
    pub lines: u64,
}

/// Why data was lost.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The object is empty.
    EmptyObject,
    /// The object holds bytes, and no row.
    NoRow,
    /// The key is not that of an inventory object.
    WrongKey(Box<str>),
    /// The object, or the rest of it behind the line, could not be read.
    Unreadable(Box<str>),
    /// The line ends inside a value.
    Truncated,
    /// The line is no JSON from this byte of it on, counted from 1.
    Malformed(usize),
    /// The line is JSON and no object.
    NotAnObject,
    /// The line is longer than this many bytes.
    TooLong(usize),
    /// The line nests deeper than this.
    TooDeep(usize),
    /// The row has more fields than this.
    TooManyFields(usize),
}

/// What was put right.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairReason {
    /// A byte order mark at the start.
    ByteOrderMark,
    /// Lines that end in CR LF.
    CarriageReturn,
    /// Lines without anything.
    BlankLine,
    /// NUL bytes around the rows.
    NulBytes,
    /// Bytes that are not UTF-8, read as U+FFFD.
    NotUtf8,
    /// A field that comes twice in a row; the last one counts.
    DuplicateField(Box<str>),
    /// A field whose value is not of the documented kind; its text counts.
    TypeDrift(Box<str>),
    /// A field that is null; it counts as absent.
    NullField(Box<str>),
    /// A field that is not documented for the type; it is kept.
    UnknownField(Box<str>),
    /// A row that says it is of another resource than its key; the key counts.
    OtherResource,
    /// More reasons than are told apart in one object.
    Further,
}

impl From<KeyProblem> for SkipReason {
    fn from(problem: KeyProblem) -> Self {
        Self::WrongKey(problem.to_string().into())
    }
}

/// A name out of a node's data as it may be shown: short, and without control characters.
pub(crate) fn shown(text: &str) -> Box<str> {
    /// Longer than any documented name.
    const MAX_SHOWN: usize = 64;
    text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyObject => f.write_str("the object is empty"),
            Self::NoRow => f.write_str("the object holds no row"),
            Self::WrongKey(problem) => write!(f, "not an inventory key: {problem}"),
            Self::Unreadable(problem) => write!(f, "unreadable: {problem}"),
            Self::Truncated => f.write_str("the line ends inside a value"),
            Self::Malformed(column) => write!(f, "not JSON at byte {column} of the line"),
            Self::NotAnObject => f.write_str("the line is no JSON object"),
            Self::TooLong(limit) => write!(f, "the line is longer than {limit} bytes"),
            Self::TooDeep(limit) => write!(f, "the line nests deeper than {limit}"),
            Self::TooManyFields(limit) => write!(f, "the row has more than {limit} fields"),
        }
    }
}

impl fmt::Display for RepairReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str("byte order mark"),
            Self::CarriageReturn => f.write_str("lines end in CR LF"),
            Self::BlankLine => f.write_str("blank lines"),
            Self::NulBytes => f.write_str("NUL bytes around the rows"),
            Self::NotUtf8 => f.write_str("not UTF-8; read with replacement characters"),
            Self::DuplicateField(name) => {
                write!(f, "the field {name} comes twice; the last counts")
            }
            Self::TypeDrift(name) => write!(f, "the field {name} is not of its documented kind"),
            Self::NullField(name) => write!(f, "the field {name} is null; read as absent"),
            Self::UnknownField(name) => write!(f, "the field {name} is not documented; kept"),
            Self::OtherResource => f.write_str("the row names another resource than its key"),
            Self::Further => f.write_str("further fields like these"),
        }
    }
}

/// A list that keeps the first [`MAX_LISTED`] entries and counts all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed<T> {
    entries: Vec<T>,
    total: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), total: 0 }
    }
}

impl<T> Listed<T> {
    /// The entries that were kept.
    pub fn entries(&self) -> &[T] {
        &self.entries
    }

    /// How many there were, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many were counted only.
    pub fn unlisted(&self) -> u64 {
        self.total - self.entries.len() as u64
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The list of these, of which there were more in all.
    #[cfg(feature = "snapshot")]
    pub(crate) fn of(entries: Vec<T>, total: u64) -> Self {
        let total = total.max(entries.len() as u64);
        Self { entries, total }
    }

    pub(crate) fn push(&mut self, entry: T) {
        self.push_with(|| entry);
    }

    /// Counts an entry, and makes it only where there is room for it.
    pub(crate) fn push_with(&mut self, make: impl FnOnce() -> T) {
        self.total += 1;
        if self.entries.len() < MAX_LISTED {
            self.entries.push(make());
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let room = MAX_LISTED - self.entries.len();
        self.entries.extend(other.entries.into_iter().take(room));
        self.total += other.total;
    }

    /// Sorts them, and keeps once what was found by several passes.
    #[cfg(feature = "sql")]
    pub(crate) fn sort_and_unite(&mut self)
    where
        T: Ord,
    {
        let before = self.entries.len();
        self.entries.sort_unstable();
        self.entries.dedup();
        self.total -= (before - self.entries.len()) as u64;
    }

    pub(crate) fn sort(&mut self)
    where
        T: Ord,
    {
        self.entries.sort_unstable();
    }
}

/// What a pass over a lake has read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LakeReading {
    /// Objects that the lake lists, of every type.
    pub listed: u64,
    /// Keys that hold no data by design: the sync's write test, folder marks.
    pub ignored: u64,
    /// What was read, by the name of the type.
    pub types: BTreeMap<Box<str>, TypeReading>,
    /// Data that was lost, by key and line.
    pub skipped: Listed<Skipped>,
    /// What was read in spite of dirt, by key and line.
    pub repaired: Listed<Repaired>,
}

/// What was read of one type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TypeReading {
    /// Objects that were opened.
    pub objects: u64,
    /// Rows that were parsed.
    pub rows: u64,
    /// Rows that could not matter to the question and were looked at by their frame only.
    pub passed_over: u64,
    /// Bytes.
    pub bytes: u64,
}

impl LakeReading {
    /// All types together.
    pub fn total(&self) -> TypeReading {
        let mut total = TypeReading::default();
        self.types.values().for_each(|ty| total.add(*ty));
        total
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.listed += other.listed;
        self.ignored += other.ignored;
        for (name, ty) in other.types {
            self.types.entry(name).or_default().add(ty);
        }
        self.skipped.merge(other.skipped);
        self.repaired.merge(other.repaired);
    }
}

impl TypeReading {
    pub(crate) fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.rows += other.rows;
        self.passed_over += other.passed_over;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_findings_are_counted_only() {
        let mut list = Listed::default();
        for n in 0..=MAX_LISTED {
            list.push(n);
        }
        let mut other = Listed::default();
        other.push(0);
        list.merge(other);
        assert_eq!((list.entries().len(), list.total()), (MAX_LISTED, MAX_LISTED as u64 + 2));
        assert_eq!(list.unlisted(), 2);
    }

    #[test]
    fn a_hostile_name_is_shown_short_and_printable() {
        assert_eq!(&*shown("a\u{1b}[31m"), "a\u{fffd}[31m");
        assert_eq!(shown(&"x".repeat(1_000)).len(), 64);
    }
}
