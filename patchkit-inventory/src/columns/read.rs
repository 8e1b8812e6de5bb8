//! One pass over a lake that gives columns.

use std::{
    borrow::Cow,
    collections::BTreeSet,
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
    InventoryKey, InventoryRecord, InventoryType, LakeReading, NamePrefix, ObjectReading,
    ObjectSource, PlainRow, ScanOptions, Visitor, scan,
};

/// How many rows a batch has where the caller does not say: few enough that a column stays below what
/// the system's allocator gets from the kernel and gives back each time, page by page.
const BATCH_ROWS: usize = 4_096;

/// How many times as many rows a batch may have before an object is divided.
const LONGEST: usize = 4;

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
    /// About how many rows a batch has: it ends with an object, unless one alone has four times as
    /// many.
    pub batch_rows: Option<NonZeroUsize>,
    /// What a batch holds rows of.
    pub bounds: BatchBounds,
    /// What the names of applications begin with, without regard to ASCII case, of which alone the
    /// rows are made; rows of other types are not touched by it.
    pub application_prefix: Option<Box<str>>,
}

/// What a batch holds rows of, beside their type.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum BatchBounds {
    /// Any objects.
    #[default]
    Type,
    /// Objects of one account and Region.
    Partition,
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

    /// Makes batches of such objects.
    #[must_use]
    pub fn with_bounds(mut self, bounds: BatchBounds) -> Self {
        self.bounds = bounds;
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
    let ColumnOptions { scan: scanned, columns, batch_rows, bounds, application_prefix } = options;
    let columns = columns.map(Arc::new);
    let names = application_prefix.map(|prefix| Arc::new(NamePrefix::new(&prefix)));
    let batch_rows = batch_rows.map_or(BATCH_ROWS, NonZeroUsize::get);
    let make = || Gather {
        sink: make(),
        wanted: columns.clone(),
        names: names.clone(),
        batch_rows,
        bounds,
        types: Vec::new(),
        objects: 0,
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
    bounds: BatchBounds,
    types: Vec<TypeColumns>,
    objects: u64,
    failed: Option<Error>,
}

impl<S: ColumnSink> Gather<S> {
    /// Where the columns of a type are; makes them where there are none.
    fn place(&mut self, ty: &InventoryType) -> usize {
        // Files come type by type, so that the type is nearly always the last one.
        let found = self.types.iter().rposition(|columns| columns.ty() == ty);
        found.unwrap_or_else(|| {
            let wanted = self.wanted.as_deref();
            self.types.push(TypeColumns::new(ty, wanted, self.batch_rows * 5 / 4));
            self.types.len() - 1
        })
    }

    /// Hands over what the next row of that object must not be with.
    fn make_room(&mut self, object: &Object) {
        let columns = &self.types[object.place];
        let is_other = self.bounds == BatchBounds::Partition && !columns.has_scope_of(&object.key);
        if columns.rows() >= LONGEST * self.batch_rows || is_other {
            self.hand_over(object.place);
        }
    }

    fn hand_over(&mut self, place: usize) {
        let columns = &mut self.types[place];
        let done = columns.take().and_then(|batch| match batch {
            Some(batch) if self.failed.is_none() => self.sink.batch(columns.ty(), batch),
            _ => Ok(()),
        });
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }
}

impl<S> Gather<S> {
    /// The names that the rows of an object must have, where they must.
    fn names_of(&self, object: &Object) -> Option<&NamePrefix> {
        // Asked for each line.
        let names = self.names.as_deref()?;
        (*object.key.inventory_type() == InventoryType::Application).then_some(names)
    }

    fn takes_name<'a>(&self, object: &Object, name: impl FnOnce() -> Option<Cow<'a, str>>) -> bool {
        self.names_of(object).is_none_or(|names| name().is_some_and(|name| names.matches(&name)))
    }
}

/// An object whose rows come.
struct Object {
    /// Its number among those of this worker.
    number: u64,
    key: InventoryKey,
    /// Where the columns of its type are.
    place: usize,
}

impl<S: ColumnSink> Visitor for Gather<S> {
    type Object = Object;

    fn begin(&mut self, key: &InventoryKey) -> Object {
        self.objects += 1;
        let place = self.place(key.inventory_type());
        Object { number: self.objects, key: key.clone(), place }
    }

    fn next_candidate(&self, object: &Object, lines: &[u8]) -> Option<usize> {
        self.names_of(object).map_or(Some(0), |names| names.next_candidate(lines))
    }

    fn row(&mut self, object: &mut Object, _: u64, row: &InventoryRecord<'_>) {
        if !self.takes_name(object, || row.text("Name").map(Cow::Borrowed)) {
            return;
        }
        self.make_room(object);
        self.types[object.place].push(object.number, &object.key, row);
    }

    fn plain_row(&mut self, object: &mut Object, _: u64, row: &PlainRow<'_>) {
        if !self.takes_name(object, || row.text("Name")) {
            return;
        }
        self.make_room(object);
        self.types[object.place].push_plain(object.number, &object.key, row);
    }

    fn end(&mut self, object: Object, _: &ObjectReading) {
        if self.types[object.place].rows() >= self.batch_rows {
            self.hand_over(object.place);
        }
    }

    fn goes_on(&self) -> bool {
        self.failed.is_none()
    }

    fn finish(&mut self) {
        for place in 0..self.types.len() {
            self.hand_over(place);
        }
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
        let schema = TypeColumns::new(ty, options.columns.as_ref(), 0).schema();
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
