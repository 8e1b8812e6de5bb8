//! A lake as Parquet, laid out for query engines.

mod export;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use patchkit_core::{Error, ErrorKind, Result};

use self::export::Exporter;
pub use self::export::type_folder;
use crate::{
    LakeReading, ObjectSource, ScanOptions,
    columns::{BatchBounds, ColumnOptions, scan_columns},
};

/// How a lake is exported.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ParquetOptions {
    /// Which objects to export, and with how much at once.
    pub scan: ScanOptions,
    /// About how many rows a row group has at most; 131,072 where nothing is said.
    pub group_rows: Option<NonZeroUsize>,
}

impl ParquetOptions {
    /// Exports so much of the lake.
    #[must_use]
    pub fn with_scan(mut self, scan: ScanOptions) -> Self {
        self.scan = scan;
        self
    }

    /// Makes row groups of about so many rows.
    #[must_use]
    pub fn with_group_rows(mut self, rows: NonZeroUsize) -> Self {
        self.group_rows = Some(rows);
        self
    }
}

/// What an export has written.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ParquetExport {
    /// The files, relative to the folder.
    pub files: Vec<PathBuf>,
    /// Rows in all of them.
    pub rows: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// What was read, lost and repaired.
    pub reading: LakeReading,
}

/// The mark of an export that is whole, as Hadoop's writers leave it and readers pass over it.
pub const SUCCESS: &str = "_SUCCESS";

/// Writes a lake as Parquet below a folder that is empty or not there yet.
///
/// # Behavior
/// - `type=aws_application/account_id=…/region=…/part-N.parquet`: partitions as Hive has them, and no
///   colon, which Hadoop takes for a scheme. The columns are those of
///   [`columns`](crate::columns), without the two that the path has.
/// - Partitions are text, and say so nowhere: whoever reads tells the engine, which else may take an
///   account for a number and drop the zeros that it begins with.
/// - Rows of a node lie together where the lake is a directory, and a row group ends with a node, so
///   that engines pass over groups by the least and greatest `node_id`.
/// - Compressed by zstd. Two hundred megabytes of memory do, whatever the lake's size.
/// - `_SUCCESS` is written last: an export without it was broken off.
///
/// # Errors
/// `InvalidInput` where the folder holds anything; what the listing of the lake and the file system
/// say.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use patchkit_inventory::{LocalSource, parquet::{ParquetOptions, export_parquet}};
///
/// # let lake = tempfile::tempdir()?;
/// # let folder = lake.path().join("AWS:Tag/accountid=111122223333/region=eu-west-1");
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("i-0a.json"), r#"{"Key":"App","Value":"shop"}"#)?;
/// # let out = tempfile::tempdir()?;
/// # let (path, out) = (lake.path(), out.path());
/// let source = Arc::new(LocalSource::open(path)?);
/// let export = export_parquet(source, out, ParquetOptions::default());
/// let export = futures::executor::block_on(export)?;
/// assert!(export.files[0].starts_with("type=aws_tag/account_id=111122223333/region=eu-west-1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn export_parquet(
    source: Arc<dyn ObjectSource>,
    folder: impl AsRef<Path>,
    options: ParquetOptions,
) -> Result<ParquetExport> {
    let folder: Arc<Path> = folder.as_ref().into();
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let mut entries = fs::read_dir(&folder).map_err(|error| failed(&folder, error))?;
    if entries.next().is_some() {
        let message = format!("{} holds something already", folder.display());
        return Err(Error::invalid("lake", "parquet", message));
    }
    let group_rows = options.group_rows.map_or(export::GROUP_ROWS, NonZeroUsize::get);
    let mut columns = ColumnOptions::default().with_bounds(BatchBounds::Partition);
    columns.scan = options.scan;
    let workers = AtomicUsize::new(0);
    let make = || {
        let worker = workers.fetch_add(1, Ordering::Relaxed);
        Exporter::new(Arc::clone(&folder), worker, group_rows)
    };
    let (exporters, reading) = scan_columns(source, columns, make).await?;
    let mut export = ParquetExport { reading, ..ParquetExport::default() };
    for exporter in exporters {
        exporter.add_to(&mut export);
    }
    export.files.sort_unstable();
    let mark = folder.join(SUCCESS);
    fs::write(&mark, "").map_err(|error| failed(&mark, error))?;
    Ok(export)
}

fn failed(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{} cannot be written", path.display());
    Error::new(ErrorKind::Unexpected, "lake", "parquet", message).with_source(error)
}

#[cfg(test)]
mod tests;
