//! Parts as the columns of a query: a text is looked at once in a part, and rows take it by its
//! number.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray, UInt32Array,
    builder::StringViewBuilder, cast::AsArray,
};
use arrow_schema::SchemaRef;
use datafusion::arrow::{buffer::Buffer, compute::take};
use patchkit_core::{Error, ErrorKind, Result};

use super::{
    Held, LakeSnapshot, add_objects,
    part::{Column, OTHERS, Part},
};
use crate::{
    AttributeKind, InventoryKey, InventoryType, LakeReading, NamePrefix,
    columns::{From, key_part, others, sources, table_schema},
    record::parse_count,
};

/// How many bytes of texts the batches of a part share.
const MOST_SHARED: usize = 64 << 10;

/// Where a snapshot holds an object.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct HeldAt {
    pub(crate) part: u32,
    object: u32,
    /// How many rows it has.
    pub(crate) rows: u32,
}

impl LakeSnapshot {
    /// Shows every object that counts, with its path and the place where it is held; those of one part
    /// lie together.
    pub(crate) fn objects(&self, mut each: impl FnMut(HeldAt, &Arc<str>, &InventoryKey)) {
        for (part, held) in (0..).zip(&self.0.held) {
            for (at, object) in held.objects() {
                let object_at = u32::try_from(at).unwrap_or(u32::MAX);
                let place = HeldAt { part, object: object_at, rows: object.stored.rows };
                each(place, &object.stored.key, &object.key);
            }
        }
    }

    /// Reads some objects of one type, in batches of at most so many rows.
    pub(crate) fn rows(
        &self,
        ty: &InventoryType,
        objects: impl IntoIterator<Item = HeldAt>,
        wants: &Wants<'_>,
    ) -> Result<PartReader> {
        PartReader::new(self.clone(), ty, objects.into_iter().collect(), wants)
    }
}

/// What of the rows is wanted.
#[derive(Debug)]
pub(crate) struct Wants<'a> {
    /// Columns, by their names in the table and in its order.
    pub(crate) columns: &'a [Box<str>],
    /// What the names of applications begin with.
    pub(crate) name_prefix: Option<&'a str>,
    pub(crate) batch_rows: usize,
}

/// Gives the rows of some objects batch by batch.
pub(crate) struct PartReader {
    snapshot: LakeSnapshot,
    schema: SchemaRef,
    columns: Vec<(From, AttributeKind)>,
    names: Option<NamePrefix>,
    batch_rows: usize,
    /// All of them, and how many have been begun.
    objects: Vec<HeldAt>,
    begun: usize,
    open: Option<OpenPart>,
    /// The rows of the object that is open which are still to come.
    left: Range<usize>,
}

/// A part whose texts have been made values.
struct OpenPart {
    number: u32,
    held: Held,
    made: Vec<Made>,
    /// Which names are taken; none where all are.
    taken: Option<Taken>,
}

/// The names that are taken of a part.
struct Taken {
    /// The number of their column; no row has a name where there is none.
    column: Option<usize>,
    /// Of each distinct text whether it is one.
    texts: Vec<bool>,
}

/// The values of one column of a part.
enum Made {
    /// One for each object.
    OfObjects(ArrayRef),
    /// One for each distinct text of the part's column with that number.
    OfTexts(ArrayRef, usize),
    /// No row has one.
    Nothing(AttributeKind),
    /// Made row by row.
    Others,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = "the rows of a snapshot do not fit their columns";
    Error::new(ErrorKind::Unexpected, "lake", "snapshot", message).with_source(error)
}

impl PartReader {
    fn new(
        snapshot: LakeSnapshot,
        ty: &InventoryType,
        objects: Vec<HeldAt>,
        wants: &Wants<'_>,
    ) -> Result<Self> {
        let table = table_schema(ty);
        let is_wanted = |name: &str| wants.columns.iter().any(|it| **it == *name);
        let columns = table.fields().iter().zip(sources(ty)).enumerate();
        let columns = columns.filter(|(_, (field, _))| is_wanted(field.name()));
        let (places, columns): (Vec<_>, _) = columns.map(|(at, (_, source))| (at, source)).unzip();
        Ok(Self {
            snapshot,
            schema: Arc::new(table.project(&places).map_err(failed)?),
            columns,
            names: wants.name_prefix.map(NamePrefix::new),
            batch_rows: wants.batch_rows.max(1),
            objects,
            begun: 0,
            open: None,
            left: 0..0,
        })
    }

    /// The next rows; `None` after the last ones.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        while rows.len() < self.batch_rows {
            if self.left.is_empty() {
                let Some(next) = self.objects.get(self.begun) else { break };
                let is_open = self.open.as_ref().is_some_and(|open| open.number == next.part);
                // A batch has the texts of one part.
                if !is_open && !rows.is_empty() {
                    break;
                }
                self.begin(*next)?;
                continue;
            }
            let Some(open) = &self.open else { break };
            let owner = self.objects[self.begun - 1].object;
            let room = self.batch_rows - rows.len();
            let until = self.left.end.min(self.left.start + room);
            let taken = (self.left.start..until).filter(|row| open.takes(*row));
            rows.extend(taken.filter_map(|row| u32::try_from(row).ok()));
            owners.resize(rows.len(), owner);
            self.left.start = until;
        }
        match &self.open {
            Some(open) if !rows.is_empty() => self.batch(open, &rows, owners).map(Some),
            _ => Ok(None),
        }
    }

    fn begin(&mut self, object: HeldAt) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.number != object.part) {
            self.open = self.open_part(object.part);
        }
        self.begun += 1;
        let open = self.open.as_ref().ok_or_else(|| {
            let message = "a part of the snapshot is not there";
            Error::new(ErrorKind::Unexpected, "lake", "snapshot", message)
        })?;
        self.left =
            if open.takes_any() { open.held.part.range(object.object as usize) } else { 0..0 };
        Ok(())
    }

    fn open_part(&self, number: u32) -> Option<OpenPart> {
        let held = self.snapshot.0.held.get(number as usize)?.clone();
        let made = self.columns.iter().map(|(from, kind)| made(&held.part, *from, *kind));
        let made = made.collect();
        let taken = self.names.as_ref().map(|names| {
            let column = held.part.columns().iter().position(|it| &*it.name == "Name");
            let texts = column.into_iter().flat_map(|at| &held.part.columns()[at].texts);
            let texts = texts.map(|it| it.is_some_and(|it| names.matches(it))).collect();
            Taken { column, texts }
        });
        Some(OpenPart { number, held, made, taken })
    }

    fn batch(&self, open: &OpenPart, rows: &[u32], owners: Vec<u32>) -> Result<RecordBatch> {
        let owners = UInt32Array::from(owners);
        let column = |made: &Made| -> Result<ArrayRef> {
            Ok(match made {
                Made::OfObjects(values) => taken(values, &owners)?,
                Made::OfTexts(values, column) => {
                    taken(values, &open.held.part.columns()[*column].codes_of(rows))?
                }
                Made::Nothing(AttributeKind::Text) => {
                    Arc::new(StringViewArray::new_null(rows.len()))
                }
                Made::Nothing(AttributeKind::Number) => Arc::new(Int64Array::new_null(rows.len())),
                Made::Others => Arc::new(others_of(&open.held.part, rows)),
            })
        };
        let columns = open.made.iter().map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let count = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &count).map_err(failed)
    }

    /// What was found in reading the objects that have been begun.
    pub(crate) fn reading(&self) -> LakeReading {
        let begun = self.objects[..self.begun].iter().filter_map(|at| {
            let held = self.snapshot.0.held.get(at.part as usize)?;
            held.part.objects.get(at.object as usize)
        });
        add_objects(LakeReading::default(), begun)
    }
}

impl OpenPart {
    fn takes_any(&self) -> bool {
        self.taken.as_ref().is_none_or(|taken| taken.texts.contains(&true))
    }

    fn takes(&self, row: usize) -> bool {
        let Some(taken) = &self.taken else { return true };
        let name = taken.column.and_then(|at| self.held.part.columns()[at].code(row));
        name.is_some_and(|code| taken.texts.get(code) == Some(&true))
    }
}

impl Column {
    fn codes_of(&self, rows: &[u32]) -> UInt32Array {
        let code = |row: &u32| self.code(*row as usize).and_then(|code| u32::try_from(code).ok());
        rows.iter().map(code).collect()
    }
}

/// The values with those numbers.
///
/// Views of texts keep all texts of the part, and whoever gathers batches counts these once for each
/// of them: where they are many, the batch gets a copy of its own.
fn taken(values: &ArrayRef, numbers: &UInt32Array) -> Result<ArrayRef> {
    let taken = take(values, numbers, None).map_err(failed)?;
    Ok(match taken.as_string_view_opt() {
        Some(views)
            if views.data_buffers().iter().map(Buffer::len).sum::<usize>() > MOST_SHARED =>
        {
            Arc::new(views.gc())
        }
        _ => taken,
    })
}

fn made(part: &Part, from: From, kind: AttributeKind) -> Made {
    match from {
        From::Key(place) => {
            let texts = part
                .objects
                .iter()
                .map(|object| key_part(&object.key, place).filter(|text| !text.is_empty()));
            Made::OfObjects(Arc::new(texts.collect::<StringViewArray>()))
        }
        From::Field(name) => of_texts(part, name, kind),
        From::Others if part.ty.is_documented() && !has_unreadable_counts(part) => {
            of_texts(part, OTHERS, kind)
        }
        From::Others => Made::Others,
    }
}

fn of_texts(part: &Part, name: &str, kind: AttributeKind) -> Made {
    let Some(at) = part.columns().iter().position(|column| &*column.name == name) else {
        return Made::Nothing(kind);
    };
    let texts = &part.columns()[at].texts;
    let values: ArrayRef = match kind {
        AttributeKind::Text => Arc::new(StringViewArray::from(texts)),
        AttributeKind::Number => {
            let count = |text: Option<&str>| text.and_then(parse_count).map(i64::from);
            Arc::new(texts.iter().map(count).collect::<Int64Array>())
        }
    };
    Made::OfTexts(values, at)
}

/// Whether a count of some row is none, so that it is among the other fields.
fn has_unreadable_counts(part: &Part) -> bool {
    let counts = part.ty.attributes().iter().filter(|it| it.kind == AttributeKind::Number);
    let mut columns = counts.filter_map(|it| part.column(it.name));
    columns.any(|column| column.texts.iter().flatten().any(|text| parse_count(text).is_none()))
}

fn others_of(part: &Part, rows: &[u32]) -> StringViewArray {
    let (mut texts, mut fields) = (StringViewBuilder::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let record = part.record(*row as usize, fields);
        texts.append_option(others(&part.ty, &record));
        fields = record.into_fields();
    }
    texts.finish()
}
