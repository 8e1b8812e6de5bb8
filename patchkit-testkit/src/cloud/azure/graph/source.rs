//! Where a query finds its rows.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::{ControlFlow, Deref, Range},
    sync::Arc,
};

use serde_json::Value;

use super::{Numbers, Owns, Partners, Table, text};

/// What the leading filters of a query say about the rows it can use.
///
/// A hint never excludes a row that the query would answer with; rows beyond it are allowed.
/// Values are in lower case and to be compared without regard to case. `None` means any.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Hints {
    /// The values of `type`.
    pub types: Option<Vec<String>>,
    /// The values of `id`.
    pub ids: Option<Vec<String>>,
    /// With what `id` begins: texts of ASCII, one of them.
    pub beginnings: Option<Vec<String>>,
    /// The values of `subscriptionId`.
    pub subscriptions: Option<Vec<String>>,
}

impl Hints {
    /// Whether rows of this type can be used.
    pub fn wants_type(&self, kind: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|one| text::alike(one, kind)))
    }
}

/// What is read of a table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scan<'a> {
    /// The table.
    pub table: Table,
    /// Rows that these exclude may be left out.
    pub hints: &'a Hints,
    /// How many rows of each of the [blocks](Rows::blocks): all of them, or none. None where there
    /// are no blocks.
    pub blocks: Option<&'a [usize]>,
    /// Which of these rows; only where there are blocks, or it is known which are
    /// [alike](Rows::alike).
    pub pick: Pick<'a>,
    /// The columns of theirs that are [written](Record::write) into an answer.
    pub shown: &'a [&'static str],
}

/// Which rows of a scan are given, by their numbers in it, which begin with 0.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Pick<'a> {
    /// All of them.
    #[default]
    All,
    /// These, in ascending order.
    These(&'a [u32]),
}

impl<'a> Scan<'a> {
    /// Everything that the hints allow.
    pub fn new(table: Table, hints: &'a Hints) -> Self {
        Self { table, hints, blocks: None, pick: Pick::default(), shown: &[] }
    }
}

/// The keys that lead to a member of a document; none for the document itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Path {
    /// Some of them; a copy shares them.
    keys: Option<Arc<[String]>>,
    number: u64,
}

impl Path {
    /// A path of these keys.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_none() {
            return Self::default();
        }
        let keys: Arc<[String]> = keys.collect();
        let mut hasher = DefaultHasher::new();
        keys.hash(&mut hasher);
        Self { keys: Some(keys), number: hasher.finish() }
    }

    /// A number that other paths hardly ever have: the same for equal ones.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Deref for Path {
    type Target = [String];

    fn deref(&self) -> &[String] {
        self.keys.as_deref().unwrap_or_default()
    }
}

/// What a row has in a column.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Field<'a> {
    /// Nothing.
    None,
    /// A text.
    Text(Cow<'a, str>),
    /// Any JSON.
    Document(Cow<'a, Value>),
}

impl<'a> Field<'a> {
    /// A text that is there.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// What its document has at the end of a path of keys.
    #[must_use]
    pub fn at(self, path: &[String]) -> Self {
        let found = match self {
            Self::Document(Cow::Borrowed(document)) => {
                let mut keys = path.iter();
                keys.try_fold(document, |value, key| value.get(key)).map(Cow::Borrowed)
            }
            Self::Document(Cow::Owned(mut document)) => {
                let mut keys = path.iter();
                keys.try_fold(&mut document, |value, key| value.get_mut(key))
                    .map(|found| Cow::Owned(found.take()))
            }
            Self::Text(_) | Self::None => None,
        };
        found.map_or(Self::None, Self::Document)
    }
}

/// A row, of which a column is made when a query looks at it.
pub trait Record<'a> {
    /// What it has in a column.
    fn column(&self, name: &'static str) -> Field<'a>;

    /// What a column's document has at the end of a path of keys.
    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        self.column(name).at(path)
    }

    /// Writes what a column's document has at the end of a path, as an answer shows it. False, and
    /// nothing is written, where that is not at hand.
    fn write(&self, name: &'static str, path: &Path, out: &mut Vec<u8>) -> bool {
        self.pieces(name, path, &mut |piece| match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Own(number) => out.extend_from_slice(self.owns().get(number)),
        })
    }

    /// Tells of what pieces that is made. False, and nothing is told, where it is not known. Who writes
    /// otherwise tells none.
    fn pieces(&self, _name: &'static str, _path: &Path, _each: &mut dyn FnMut(Piece<'_>)) -> bool {
        false
    }

    /// The row's own values.
    fn owns(&self) -> Owns<'a> {
        Owns::default()
    }

    /// What rows have in common whose columns are of the same [pieces](Self::pieces): they differ in
    /// their own values, and in columns of which no pieces are told. None where that is not known.
    fn stencil(&self) -> Option<[usize; 3]> {
        None
    }
}

/// A piece of what a row shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'p> {
    /// JSON that other rows have, too.
    Text(&'p [u8]),
    /// One of the row's own values, by its number.
    Own(usize),
}

/// A document with the service's columns, `id`, `type`, `properties` and so on.
impl<'a> Record<'a> for &'a Value {
    fn column(&self, name: &'static str) -> Field<'a> {
        self.get(name).map_or(Field::None, |value| Field::Document(Cow::Borrowed(value)))
    }
}

/// The tables that queries read.
///
/// The order of the rows is the order of an unsorted answer and must not change between two
/// scans.
pub trait Rows {
    /// Gives each row that a scan wants, until no further one is wanted.
    fn scan<'a>(&'a self, scan: Scan<'a>, each: &mut dyn FnMut(&dyn Record<'a>) -> ControlFlow<()>);

    /// Tells the blocks of a table, in an order that does not change. False where nothing is told, as when
    /// nothing is known without a look at every row.
    ///
    /// With them, a query is answered page by page where no row of its answer is made of others.
    fn blocks<'a>(
        &'a self,
        _table: Table,
        _hints: &'a Hints,
        _each: &mut dyn FnMut(Block<'_, 'a>),
    ) -> bool {
        false
    }

    /// Tells which rows of a scan are alike in all that a query looks at. None where that is not
    /// known without a look at every row, or they are of too many kinds for it to be of use.
    ///
    /// With it a query looks at one row of each kind to know what becomes of all of them.
    fn alike(&self, _scan: Scan<'_>, _looks: &[Look]) -> Option<Alike> {
        None
    }

    /// The order of the rows of a scan by the text in one of the [`ORDERED_COLUMNS`]: of each row,
    /// how many different texts are before its own. None where it is not at hand.
    fn ranks(&self, _scan: Scan<'_>, _column: &'static str) -> Option<Vec<u32>> {
        None
    }

    /// Gives the texts of all rows of the [blocks](Self::blocks) of a scan in one of the
    /// [`ORDERED_COLUMNS`], in the order of the rows, some rows at a time. False, and nothing is given, where it is not at hand.
    ///
    /// With it a filter of nothing but that column looks at no row.
    fn texts(
        &self,
        _scan: Scan<'_>,
        _column: &'static str,
        _each: &mut dyn FnMut(Texts<'_>),
    ) -> bool {
        false
    }

    /// Compares texts that are made of the ids of rows: of each row of a scan, those of another one
    /// that have the same text and are neighbours. None where that is not at hand.
    fn partners(&self, _scans: [Scan<'_>; 2], _texts: [IdText<'_>; 2]) -> Option<Partners> {
        None
    }

    /// The numbers of the rows of a scan in the order of the texts in one of the [`ORDERED_COLUMNS`].
    /// None where it is not at hand, or two rows have one text.
    fn sorted(&self, _scan: Scan<'_>, _column: &'static str) -> Option<Numbers> {
        None
    }

    /// About how many bytes these rows keep in memory that would be free without them.
    fn held(&self) -> usize {
        0
    }
}

/// Rows of a table that are neighbours.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Block<'b, 'a> {
    /// So many, and what all of them have: the [`BLOCK_COLUMNS`].
    Rows(&'b dyn Record<'a>, usize),
    /// One, with all that it has.
    Row(&'b dyn Record<'a>),
    /// Some of which none is wanted.
    Unwanted,
}

impl fmt::Debug for Block<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(_, count) => f.debug_tuple("Rows").field(count).finish_non_exhaustive(),
            Self::Row(_) => f.debug_tuple("Row").finish_non_exhaustive(),
            Self::Unwanted => f.write_str("Unwanted"),
        }
    }
}

/// The columns that are the same in all rows of a block.
pub const BLOCK_COLUMNS: [&str; 7] =
    ["type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId", "managedBy"];

/// The columns by whose texts rows may be [in order](Rows::ranks).
pub const ORDERED_COLUMNS: [&str; 2] = ["id", "name"];

/// Texts side by side: a look at all of them does not wait for each.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'t> {
    all: &'t str,
    begin: usize,
    ends: &'t [usize],
}

impl<'t> Texts<'t> {
    /// Those that end at these places, of which each is where the next one begins; the first begins at
    /// a place, too.
    pub fn new(all: &'t str, begin: usize, ends: &'t [usize]) -> Self {
        Self { all, begin, ends }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One of them, by its number.
    pub fn get(&self, at: usize) -> Option<&'t str> {
        self.all.get(self.range(at)?)
    }

    /// Where one of them is among all.
    pub(super) fn range(&self, at: usize) -> Option<Range<usize>> {
        let begin = at.checked_sub(1).map_or(Some(self.begin), |it| self.ends.get(it).copied())?;
        Some(begin..*self.ends.get(at)?)
    }

    /// All of them in one, and where the first begins in it.
    pub(super) fn joined(&self) -> (&'t str, usize) {
        let end = self.ends.last().map_or(self.begin, |end| *end);
        (self.all.get(..end).unwrap_or_default(), self.begin)
    }
}

/// A text that is made of a row's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IdText<'q> {
    /// The id in lower case.
    Lower,
    /// What of that is before a text, where it comes first; all of it where it does not.
    LowerBefore(&'q str),
}

/// What a query looks at in each row.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Look {
    /// The column.
    pub column: &'static str,
    /// The path to a member of its document; empty where it is all of it.
    pub path: Path,
}

/// The kinds of the rows of a scan: rows of one kind are alike.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Alike {
    /// Of each row its kind. Kinds are numbered in the order in which they first come.
    pub kinds: Vec<u16>,
    /// Of each kind the number of its first row.
    pub firsts: Vec<u32>,
}

impl Alike {
    /// How many rows there are of each kind.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.firsts.len()];
        for kind in &self.kinds {
            if let Some(count) = counts.get_mut(usize::from(*kind)) {
                *count += 1;
            }
        }
        counts
    }
}

/// Rows that are ready: shared documents by table.
#[derive(Clone, Debug, Default)]
pub struct RowSet {
    tables: BTreeMap<Table, Vec<Arc<Value>>>,
}

impl RowSet {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row behind those of its table.
    pub fn push(&mut self, table: Table, row: impl Into<Arc<Value>>) {
        self.tables.entry(table).or_default().push(row.into());
    }
}

impl Rows for RowSet {
    fn scan<'a>(
        &'a self,
        scan: Scan<'a>,
        each: &mut dyn FnMut(&dyn Record<'a>) -> ControlFlow<()>,
    ) {
        for row in self.tables.get(&scan.table).into_iter().flatten() {
            let row: &'a Value = row;
            // Without a type there is nothing to compare, and nothing to save.
            let wanted = scan.hints.types.is_none()
                || row
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| scan.hints.wants_type(kind));
            if wanted && each(&row).is_break() {
                return;
            }
        }
    }
}
