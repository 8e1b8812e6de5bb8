//! The rows in each format.

use std::{collections::BTreeSet, error::Error, io::Write, sync::Arc};

use comfy_table::Table;
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, ZstdLevel},
        file::properties::WriterProperties,
    },
};
use patchkit_examples::{Failure, printable, sheet_cell, table, write_json_value};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    args::Format,
    cell::{Cells, Origin},
    target::Target,
};

/// Writes rows as they come; only a table waits for the last of them.
pub(crate) enum Output {
    Table(Table, Target),
    Json(Target, usize),
    Csv(csv::Writer<Target>),
    Parquet(Box<ArrowWriter<Target>>),
}

/// A row with its columns in their order.
struct Object<'a>(Vec<(&'a str, Value)>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

type Done<T> = Result<T, Box<dyn Error>>;

impl Output {
    pub(crate) fn begin(format: Format, mut target: Target, schema: &SchemaRef) -> Done<Self> {
        // A column is named by whoever asks, and no text of a node.
        let names = schema.fields().iter().map(|field| field.name().as_str());
        Ok(match format {
            Format::Table => Self::Table(table(names.map(printable).collect::<Vec<_>>()), target),
            Format::Json => {
                // Of two fields of one name a reader would see one.
                let mut seen = BTreeSet::new();
                if let Some(name) = names.clone().find(|name| !seen.insert(*name)) {
                    let message = format!("two columns are called {name:?}: name one with AS");
                    return Err(Failure::new(message).into());
                }
                target.write_all(b"[")?;
                Self::Json(target, 0)
            }
            Format::Csv => {
                let mut sheet = csv::Writer::from_writer(target);
                sheet.write_record(names)?;
                Self::Csv(sheet)
            }
            Format::Parquet => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let options = WriterProperties::builder().set_compression(compression).build();
                let writer = ArrowWriter::try_new(target, Arc::clone(schema), Some(options))?;
                Self::Parquet(Box::new(writer))
            }
        })
    }

    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Done<()> {
        if let Self::Parquet(writer) = self {
            return Ok(writer.write(batch)?);
        }
        let columns: Vec<_> = batch.columns().iter().map(Cells::new).collect::<Result<_, _>>()?;
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            match self {
                Self::Table(table, _) => {
                    table.add_row(columns.iter().map(|cells| printable(&cells.text(row))));
                }
                Self::Json(out, written) => {
                    out.write_all(if *written == 0 { b"\n" } else { b",\n" })?;
                    *written += 1;
                    let names = schema.fields().iter().map(|field| field.name().as_str());
                    let values = columns.iter().map(|cells| cells.json(row));
                    write_json_value(out, &Object(names.zip(values).collect()))?;
                }
                Self::Csv(sheet) => {
                    for cells in &columns {
                        let text = cells.text(row);
                        match cells.origin() {
                            Origin::Text => sheet.write_field(&*sheet_cell(&text))?,
                            Origin::Other => sheet.write_field(&text)?,
                        }
                    }
                    sheet.write_record(None::<&[u8]>)?;
                }
                Self::Parquet(_) => {}
            }
        }
        Ok(())
    }

    /// Writes what is left, and puts a file in its place.
    pub(crate) fn finish(self) -> Done<()> {
        let target = match self {
            Self::Table(table, mut target) => {
                writeln!(target, "{table}")?;
                target
            }
            Self::Json(mut target, written) => {
                target.write_all(if written == 0 { b"]\n" } else { b"\n]\n" })?;
                target
            }
            Self::Csv(sheet) => sheet.into_inner().map_err(csv::IntoInnerError::into_error)?,
            Self::Parquet(writer) => writer.into_inner()?,
        };
        Ok(target.finish()?)
    }
}
