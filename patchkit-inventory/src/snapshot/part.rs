//! A part of a snapshot: the rows of some objects of one type, column by column, each distinct text
//! held once.

use std::{io::Cursor, sync::Arc};

use arrow_array::{
    Array, ArrayRef, DictionaryArray, RecordBatch, RecordBatchOptions, StringArray, UInt16Array,
    UInt32Array,
    cast::AsArray,
    types::{UInt16Type, UInt32Type},
};
use arrow_ipc::{
    CompressionType,
    reader::FileReader,
    writer::{FileWriter, IpcWriteOptions},
};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema};
use bytes::Bytes;
use patchkit_core::{Error, ErrorKind, Result};

use super::object::{HeldObject, Lines, StoredObject};
use crate::{Field, InventoryRecord, InventoryType, Value};

/// The column of what is not documented, as JSON.
pub(super) const OTHERS: &str = "other_fields";

/// Where an object list stands in the file.
const OBJECTS: &str = "patchkit.objects";

/// The rows of some objects.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) ty: InventoryType,
    pub(super) objects: Vec<HeldObject>,
    /// The first row of each object, and the number of all rows.
    starts: Vec<usize>,
    columns: Vec<Column>,
}

/// One field of all rows: for each row the number of its text.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: Box<str>,
    pub(super) texts: StringArray,
    pub(super) codes: Codes,
}

/// The numbers of texts, as wide as they must be; null where the row has no text.
#[derive(Debug)]
pub(super) enum Codes {
    Narrow(UInt16Array),
    Wide(UInt32Array),
}

impl Codes {
    /// `u32::MAX` stands for "no text".
    pub(super) fn new(codes: &[u32], distinct: usize) -> Self {
        let given = |code: &u32| Some(*code).filter(|code| *code != u32::MAX);
        if distinct <= usize::from(u16::MAX) + 1 {
            let narrow = |code: u32| u16::try_from(code).ok();
            return Self::Narrow(codes.iter().map(|code| given(code).and_then(narrow)).collect());
        }
        Self::Wide(codes.iter().map(given).collect())
    }

    fn get(&self, row: usize) -> Option<usize> {
        match self {
            Self::Narrow(codes) => codes.is_valid(row).then(|| usize::from(codes.value(row))),
            Self::Wide(codes) => codes.is_valid(row).then(|| codes.value(row) as usize),
        }
    }
}

impl Column {
    /// The number of a row's text.
    pub(super) fn code(&self, row: usize) -> Option<usize> {
        self.codes.get(row)
    }

    /// A row's text.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        self.code(row).map(|code| self.texts.value(code))
    }

    fn array(&self) -> Result<ArrayRef, ArrowError> {
        let texts = Arc::new(self.texts.clone());
        Ok(match &self.codes {
            Codes::Narrow(codes) => Arc::new(DictionaryArray::try_new(codes.clone(), texts)?),
            Codes::Wide(codes) => Arc::new(DictionaryArray::try_new(codes.clone(), texts)?),
        })
    }

    fn of(name: &str, array: &ArrayRef) -> Option<Self> {
        let (texts, codes) = match array.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::UInt16 => {
                let array = array.as_dictionary_opt::<UInt16Type>()?;
                (array.values(), Codes::Narrow(array.keys().clone()))
            }
            _ => {
                let array = array.as_dictionary_opt::<UInt32Type>()?;
                (array.values(), Codes::Wide(array.keys().clone()))
            }
        };
        let texts = texts.as_string_opt::<i32>()?.clone();
        Some(Self { name: name.into(), texts, codes })
    }
}

fn damaged(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Malformed, "lake", "snapshot", why)
}

impl Part {
    /// The part of these objects, whose rows stand in the columns one behind the other.
    ///
    /// # Errors
    /// `Malformed` where the objects have other rows than the columns.
    pub(super) fn new(
        ty: InventoryType,
        objects: Vec<HeldObject>,
        columns: Vec<Column>,
        rows: usize,
    ) -> Result<Self> {
        let mut starts = Vec::with_capacity(objects.len() + 1);
        let mut start = 0_usize;
        for object in &objects {
            starts.push(start);
            start += object.stored.rows as usize;
        }
        starts.push(start);
        if start != rows {
            return Err(damaged(format!("{rows} rows are held of objects with {start}")));
        }
        Ok(Self { ty, objects, starts, columns })
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    /// The rows of one object.
    pub(super) fn range(&self, object: usize) -> std::ops::Range<usize> {
        self.starts[object]..self.starts[object + 1]
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A column by its documented name; `None` where no row has such a text.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// Shows the rows of one object with their lines.
    pub(super) fn replay(&self, object: usize, mut each: impl FnMut(u64, &InventoryRecord<'_>)) {
        let mut lines = Lines::of(&self.objects[object].stored);
        let mut fields = Vec::with_capacity(self.columns.len());
        for row in self.range(object) {
            let record = self.record(row, fields);
            each(lines.next(), &record);
            fields = record.into_fields();
        }
    }

    /// One row, made of the fields of another.
    pub(super) fn record<'a>(
        &'a self,
        row: usize,
        mut fields: Vec<Field<'a>>,
    ) -> InventoryRecord<'a> {
        fields.clear();
        for column in &self.columns {
            let Some(text) = column.text(row) else { continue };
            if &*column.name == OTHERS {
                // As the builder wrote it: where it is no JSON, the checksum has failed before.
                let others = InventoryRecord::parse(text).unwrap_or_default();
                fields.extend(others.into_fields());
            } else {
                let (name, value) = ((&*column.name).into(), Value::Text(text.into()));
                fields.push(Field { name, value });
            }
        }
        InventoryRecord::of(fields)
    }

    /// The part as an Arrow file, with the objects in its footer.
    pub(super) fn encode(&self) -> Result<Bytes> {
        let failed = |error: ArrowError| {
            let message = "a part of the snapshot cannot be written";
            Error::new(ErrorKind::Unexpected, "lake", "snapshot", message).with_source(error)
        };
        let arrays: Vec<_> =
            self.columns.iter().map(Column::array).collect::<Result<_, _>>().map_err(failed)?;
        let fields: Vec<_> = self
            .columns
            .iter()
            .zip(&arrays)
            .map(|(column, array)| ArrowField::new(&*column.name, array.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &rows)
            .map_err(failed)?;
        let stored: Vec<&StoredObject> = self.objects.iter().map(|it| &it.stored).collect();
        let stored = serde_json::to_string(&(&self.ty.as_str(), stored)).map_err(|error| {
            damaged("the objects of a part cannot be written").with_source(error)
        })?;
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(failed)?;
        let mut file =
            FileWriter::try_new_with_options(Vec::new(), &schema, options).map_err(failed)?;
        file.write(&batch).map_err(failed)?;
        file.write_metadata(OBJECTS, stored);
        file.finish().map_err(failed)?;
        Ok(file.into_inner().map_err(failed)?.into())
    }

    /// Reads what [`encode`](Self::encode) wrote, of which the checksum was right.
    ///
    /// # Errors
    /// `Malformed`.
    pub(super) fn decode(bytes: Bytes) -> Result<Self> {
        let failed =
            |error: ArrowError| damaged("a part is no Arrow file of ours").with_source(error);
        let mut file = FileReader::try_new(Cursor::new(bytes), None).map_err(failed)?;
        let stored = file.custom_metadata().get(OBJECTS);
        let stored = stored.ok_or_else(|| damaged("a part does not say whose rows it holds"))?;
        let (ty, stored): (String, Vec<StoredObject>) = serde_json::from_str(stored)
            .map_err(|error| damaged("the objects of a part are damaged").with_source(error))?;
        let Ok(ty) = ty.parse::<InventoryType>();
        let objects = stored.into_iter().map(|stored| {
            let key = stored.key.parse().ok();
            let key = key.filter(|key: &crate::InventoryKey| *key.inventory_type() == ty);
            let key = key.ok_or_else(|| damaged(format!("{:?} is no key of {ty}", stored.key)))?;
            Ok(HeldObject { stored, key })
        });
        let objects = objects.collect::<Result<Vec<_>>>()?;
        let batch = match file.next() {
            Some(batch) => batch.map_err(failed)?,
            None => RecordBatch::new_empty(file.schema()),
        };
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
            let column = Column::of(field.name(), array);
            column.ok_or_else(|| damaged(format!("the column {:?} is not ours", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Self::new(ty.clone(), objects, columns, batch.num_rows())
    }
}
