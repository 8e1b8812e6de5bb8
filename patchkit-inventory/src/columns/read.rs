//! One pass over a lake that gives columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::{FutureExt, Stream, future::BoxFuture};
use patchkit_core::{Error, ErrorKind, Result};

use super::batch::TypeColumns;
use crate::{
    InventoryKey, InventoryRecord, InventoryType, LakeReading, NamePrefix, ObjectSource,
    ScanOptions, Visitor, scan,
};

/// How many rows a batch has where the caller does not say.
const BATCH_ROWS: usize = 8_192;

/// How many batches wait for whoever reads them.
const WAITING: usize = 2;

/// What to read into columns.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ColumnOptions {
    /// Which objects to read, and with how much at once.
    pub scan: ScanOptions,
    /// The columns to make, by name; all where none are given.
    pub columns: Option<BTreeSet<Box<str>>>,
    /// How many rows a batch has; a batch may have the rest of an object more.
    pub batch_rows: Option<NonZeroUsize>,
    /// What the names of applications begin with, without regard to ASCII case, of which alone the
    /// rows are made; rows of other types are not touched by it.
    pub application_prefix: Option<Box<str>>,
}

impl ColumnOptions {
    /// Reads so much of the lake.
    #[must_use]
    pub fn with_scan(mut self, scan: ScanOptions) -> Self {
        self.scan = scan;
        self
    }

    /// Makes these columns only, in the order of the table; a name that it does not have is passed
    /// over.
    #[must_use]
    pub fn with_columns<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Makes the rows of those applications only whose names begin so, without regard to ASCII case.
    /// Rows whose bytes cannot hold such a name are not parsed: they are counted as passed over.
    #[must_use]
    pub fn with_application_prefix(mut self, prefix: impl Into<Box<str>>) -> Self {
        self.application_prefix = Some(prefix.into());
        self
    }

    /// Makes batches of about so many rows.
    #[must_use]
    pub fn with_batch_rows(mut self, rows: NonZeroUsize) -> Self {
        self.batch_rows = Some(rows);
        self
    }
}

/// Takes batches on one worker; each worker has its own, so none is shared or locked.
pub trait ColumnSink: Send + 'static {
    /// Takes rows of one type.
    ///
    /// # Errors
    /// What ends the pass.
    fn batch(&mut self, ty: &InventoryType, batch: RecordBatch) -> Result<()>;

    /// Ends the worker's part, on its thread, when no batch is left.
    ///
    /// # Errors
    /// What the pass then ends with.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Reads a lake into columns, and hands them to a sink on each worker.
///
/// # Behavior
/// - As [`scan`]: on threads of its own, in memory that does not grow with the lake, and with all
///   that is lost or repaired in the reading.
/// - Batches of one type come in no order.
///
/// # Errors
/// What made the listing end before its time, and what a sink says.
pub async fn scan_columns<S: ColumnSink>(
    source: Arc<dyn ObjectSource>,
    options: ColumnOptions,
    mut make: impl FnMut() -> S,
) -> Result<(Vec<S>, LakeReading)> {
    let ColumnOptions { scan: scanned, columns, batch_rows, application_prefix } = options;
    let columns = columns.map(Arc::new);
    let names = application_prefix.map(|prefix| Arc::new(NamePrefix::new(&prefix)));
    let batch_rows = batch_rows.map_or(BATCH_ROWS, NonZeroUsize::get);
    let make = || Gather {
        sink: make(),
        wanted: columns.clone(),
        names: names.clone(),
        batch_rows,
        types: BTreeMap::new(),
        failed: None,
    };
    let (gathers, reading) = scan(source, scanned, make).await?;
    let mut sinks = Vec::with_capacity(gathers.len());
    for gather in gathers {
        match gather.failed {
            Some(error) => return Err(error),
            None => sinks.push(gather.sink),
        }
    }
    Ok((sinks, reading))
}

/// The columns that one worker gathers.
struct Gather<S> {
    sink: S,
    wanted: Option<Arc<BTreeSet<Box<str>>>>,
    names: Option<Arc<NamePrefix>>,
    batch_rows: usize,
    types: BTreeMap<InventoryType, TypeColumns>,
    failed: Option<Error>,
}

impl<S: ColumnSink> Gather<S> {
    fn columns(&mut self, ty: &InventoryType) -> &mut TypeColumns {
        let wanted = self.wanted.as_deref();
        self.types.entry(ty.clone()).or_insert_with(|| TypeColumns::new(ty, wanted))
    }

    fn hand_over(&mut self, ty: &InventoryType) {
        let taken = self.columns(ty).take();
        let done = taken.and_then(|batch| match batch {
            Some(batch) if self.failed.is_none() => self.sink.batch(ty, batch),
            _ => Ok(()),
        });
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }
}

impl<S: ColumnSink> Visitor for Gather<S> {
    type Object = InventoryKey;

    fn begin(&mut self, key: &InventoryKey) -> InventoryKey {
        key.clone()
    }

    fn next_candidate(&self, key: &InventoryKey, lines: &[u8]) -> Option<usize> {
        match &self.names {
            Some(names) if *key.inventory_type() == InventoryType::Application => {
                names.next_candidate(lines)
            }
            _ => Some(0),
        }
    }

    fn row(&mut self, key: &mut InventoryKey, _line: u64, row: &InventoryRecord<'_>) {
        if let Some(names) = &self.names
            && *key.inventory_type() == InventoryType::Application
            && !row.text("Name").is_some_and(|name| names.matches(name))
        {
            return;
        }
        let columns = self.columns(key.inventory_type());
        columns.push(key, row);
        if columns.rows() >= self.batch_rows {
            self.hand_over(key.inventory_type());
        }
    }

    fn goes_on(&self) -> bool {
        self.failed.is_none()
    }

    fn finish(&mut self) {
        let types: Vec<_> = self.types.keys().cloned().collect();
        types.iter().for_each(|ty| self.hand_over(ty));
        if self.failed.is_none() {
            self.failed = self.sink.finish().err();
        }
    }
}

/// The rows of one type, as a stream of batches.
///
/// # Behavior
/// - Reading waits for whoever takes the batches: a few are held, whatever the lake's size.
/// - Ends with an error where the listing does; [`reading`](Self::reading) tells after the end what
///   was lost and repaired.
/// - Dropping it stops the reading.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use futures::{StreamExt, executor::block_on};
/// use patchkit_inventory::{InventoryType, LocalSource, columns::{ColumnOptions, ColumnReader}};
///
/// # let lake = tempfile::tempdir()?;
/// # let folder = lake.path().join("AWS:Tag/accountid=111122223333/region=eu-west-1");
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("i-0a.json"), r#"{"Key":"App","Value":"shop"}"#)?;
/// # let path = lake.path();
/// let source = Arc::new(LocalSource::open(path)?);
/// let mut reader = ColumnReader::new(source, &InventoryType::Tag, ColumnOptions::default());
/// while let Some(batch) = block_on(reader.next()) {
///     assert_eq!(batch?.num_rows(), 1);
/// }
/// assert!(reader.reading().is_some_and(|reading| reading.skipped.is_empty()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ColumnReader {
    schema: SchemaRef,
    batches: Pin<Box<async_channel::Receiver<RecordBatch>>>,
    scan: Option<BoxFuture<'static, Result<LakeReading>>>,
    reading: Option<LakeReading>,
}

impl ColumnReader {
    /// Reads the objects of one type; the types of `options` do not count.
    pub fn new(
        source: Arc<dyn ObjectSource>,
        ty: &InventoryType,
        mut options: ColumnOptions,
    ) -> Self {
        options.scan = options.scan.with_types([ty.clone()]);
        let (sender, batches) = async_channel::bounded(WAITING);
        let schema = TypeColumns::new(ty, options.columns.as_ref()).schema();
        let scan = async move {
            let make = || Sender(sender.clone());
            scan_columns(source, options, make).await.map(|(_, reading)| reading)
        };
        Self { schema, batches: Box::pin(batches), scan: Some(scan.boxed()), reading: None }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What was read, lost and repaired; `None` before the end.
    pub fn reading(&self) -> Option<&LakeReading> {
        self.reading.as_ref()
    }
}

impl fmt::Debug for ColumnReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnReader").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Stream for ColumnReader {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let done = self.scan.as_mut().and_then(|scan| match scan.as_mut().poll(cx) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        });
        match done {
            Some(Ok(reading)) => (self.scan, self.reading) = (None, Some(reading)),
            Some(Err(error)) => {
                self.scan = None;
                return Poll::Ready(Some(Err(error)));
            }
            None => {}
        }
        match self.batches.as_mut().poll_next(cx) {
            Poll::Ready(Some(batch)) => Poll::Ready(Some(Ok(batch))),
            Poll::Ready(None) if self.scan.is_none() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}

/// Hands batches from a worker to the stream.
struct Sender(async_channel::Sender<RecordBatch>);

impl ColumnSink for Sender {
    fn batch(&mut self, _: &InventoryType, batch: RecordBatch) -> Result<()> {
        self.0.send_blocking(batch).map_err(|_| {
            let message = "nobody takes the columns any more";
            Error::new(ErrorKind::Unexpected, "lake", "columns", message)
        })
    }
}
