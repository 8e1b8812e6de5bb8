//! The files that one worker writes, one after the other.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{RecordBatch, cast::AsArray};
use arrow_schema::SchemaRef;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use patchkit_core::Result;

use super::{ParquetExport, failed};
use crate::{InventoryType, columns::ColumnSink};

/// How many rows a row group has where the caller does not say.
pub(super) const GROUP_ROWS: usize = 128 << 10;

/// A row group ends before it holds so many encoded bytes, which bounds a writer's memory.
const GROUP_BYTES: usize = 32 << 20;

/// The columns that a file's path has.
const IN_PATH: [&str; 2] = ["account_id", "region"];

/// The column by which engines pass over row groups.
const NODE: &str = "node_id";

/// Writes the partitions in the order in which they come: a lake is listed partition by partition,
/// so that one file is open at a time.
pub(super) struct Exporter {
    folder: Arc<Path>,
    worker: usize,
    group_rows: usize,
    open: Option<Open>,
    files: Vec<PathBuf>,
    rows: u64,
    bytes: u64,
}

struct Open {
    partition: PathBuf,
    file: PathBuf,
    writer: ArrowWriter<File>,
}

impl Exporter {
    pub(super) fn new(folder: Arc<Path>, worker: usize, group_rows: usize) -> Self {
        Self { folder, worker, group_rows, open: None, files: Vec::new(), rows: 0, bytes: 0 }
    }

    pub(super) fn add_to(self, export: &mut ParquetExport) {
        export.files.extend(self.files);
        export.rows += self.rows;
        export.bytes += self.bytes;
    }

    fn close(&mut self) -> Result<()> {
        let Some(Open { file, writer, .. }) = self.open.take() else { return Ok(()) };
        let path = self.folder.join(&file);
        let out = writer.into_inner().map_err(|error| failed(&path, error))?;
        let length = out.metadata().map_err(|error| failed(&path, error))?.len();
        self.bytes += length;
        self.files.push(file);
        Ok(())
    }

    fn create(&self, partition: PathBuf, schema: SchemaRef) -> Result<Open> {
        let file = partition.join(format!("part-{}-{}.parquet", self.worker, self.files.len()));
        let path = self.folder.join(&file);
        let parent = self.folder.join(&partition);
        fs::create_dir_all(&parent).map_err(|error| failed(&parent, error))?;
        let out = File::create_new(&path).map_err(|error| failed(&path, error))?;
        let writer = ArrowWriter::try_new_with_options(out, schema, options())
            .map_err(|error| failed(&path, error))?;
        Ok(Open { partition, file, writer })
    }
}

impl ColumnSink for Exporter {
    fn batch(&mut self, ty: &InventoryType, batch: RecordBatch) -> Result<()> {
        let mut partition = PathBuf::from(type_folder(ty));
        for column in IN_PATH {
            let value = batch.column_by_name(column).map(|it| it.as_string_view().value(0));
            partition.push(format!("{column}={}", value.map(escaped).unwrap_or_default()));
        }
        let columns = batch.schema_ref().fields().iter().enumerate();
        let kept = columns.filter(|(_, column)| !IN_PATH.contains(&column.name().as_str()));
        let kept: Vec<_> = kept.map(|(at, _)| at).collect();
        let batch = batch.project(&kept).map_err(|error| failed(&partition, error))?;
        if self.open.as_ref().is_some_and(|open| open.partition != partition) {
            self.close()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.create(partition, batch.schema())?,
        };
        self.rows += batch.num_rows() as u64;
        let (writer, path) = (&mut open.writer, &open.file);
        let begun = writer.in_progress_rows();
        let is_full = begun > 0 && begun + batch.num_rows() > self.group_rows;
        if is_full || writer.in_progress_size() > GROUP_BYTES {
            writer.flush().map_err(|error| failed(path, error))?;
        }
        writer.write(&batch).map_err(|error| failed(path, error))?;
        self.open = Some(open);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.close()
    }
}

/// Without Arrow's schema beside Parquet's: PyArrow would make views of the texts, as they are here, and
/// has no comparison for these (26.0: "no kernel matching input types (`string_view`, string)").
fn options() -> ArrowWriterOptions {
    ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true)
}

/// The least and greatest value of a text is worth its comparisons only where rows are ordered by it.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from(NODE), EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .build()
}

/// The folder of a type's rows: `type=aws_application` of `AWS:Application`.
///
/// ```
/// use patchkit_inventory::{InventoryType, parquet::type_folder};
///
/// assert_eq!(type_folder(&InventoryType::Application), "type=aws_application");
/// assert_eq!(type_folder(&"Custom:Rack Row".parse().unwrap()), "type=custom_rack%20row");
/// ```
pub fn type_folder(ty: &InventoryType) -> String {
    let name = ty.as_str().to_ascii_lowercase().replacen(':', "_", 1);
    format!("type={}", escaped(&name))
}

/// A partition's value as Hive escapes it: what a path or a URI would take for something else, in
/// percent. Region and type are the lake's words, and nobody's word for a place outside the folder.
///
/// Letters beyond ASCII stay, as with Hive (`FileUtils.escapePathName`): Spark takes each percent for a
/// character of its own (`ExternalCatalogUtils.unescapePathName`), and would read `é` as `Ã©`.
fn escaped(value: &str) -> String {
    let keeps = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if keeps(c) {
            escaped.push(c);
        } else {
            let mut bytes = [0; 4];
            escaped.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    escaped
}
