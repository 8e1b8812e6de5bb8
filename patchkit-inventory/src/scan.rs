//! One pass over a lake, on all cores and in bounded memory.

mod feed;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    thread,
};

use bytes::Bytes;
use futures::{
    StreamExt,
    channel::oneshot,
    future::{AbortHandle, Abortable},
    stream::{BoxStream, FuturesUnordered},
};
use patchkit_core::{Error, ErrorKind, Result};
use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc},
};

use self::feed::Feed;
use crate::{
    Consider, InventoryKey, InventoryRecord, InventoryType, LakeReading, ListEntry, Listed,
    LocalSource, ObjectBody, ObjectReader, ObjectReading, ObjectSource, PlainRow, RepairReason,
    Repaired, RowSink, SkipReason, Skipped, plain::Layouts, source::PIECE_BYTES,
};

/// Takes the rows of a lake on one worker; each worker has its own, so none is shared or locked.
pub trait Visitor: Send + 'static {
    /// What is kept of one object while its rows come. Objects overlap, rows of one do not.
    type Object: Send;

    /// Takes note of an object that the lake lists, whether it is read or not.
    fn listed(&mut self, path: &Arc<str>, key: &InventoryKey) {
        let _ = (path, key);
    }

    /// Begins an object that is read.
    fn begin(&mut self, key: &InventoryKey) -> Self::Object;

    /// Says whether a line can matter; see [`RowSink::consider`].
    fn consider(&self, object: &Self::Object, line: &[u8]) -> Consider {
        let _ = (object, line);
        Consider::Parse
    }

    /// Finds the next line that can matter; see [`RowSink::next_candidate`].
    fn next_candidate(&self, object: &Self::Object, lines: &[u8]) -> Option<usize> {
        let _ = (object, lines);
        Some(0)
    }

    /// Takes one row.
    fn row(&mut self, object: &mut Self::Object, line: u64, row: &InventoryRecord<'_>);

    /// Takes a row that was read the short way; see [`RowSink::plain_row`].
    fn plain_row(&mut self, object: &mut Self::Object, line: u64, row: &PlainRow<'_>) {
        self.row(object, line, &row.to_record());
    }

    /// Ends an object, read to its end or to where it could not be read; `reading` says what of it
    /// was lost.
    fn end(&mut self, object: Self::Object, reading: &ObjectReading) {
        let _ = (object, reading);
    }

    /// Says whether to go on; asked before an object is begun. A pass that is ended so is whole only
    /// as far as its visitors are concerned.
    fn goes_on(&self) -> bool {
        true
    }

    /// Ends the worker's part, on its thread, when no object is left.
    fn finish(&mut self) {}
}

/// What to read of a lake, and with how much at once.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ScanOptions {
    /// The types to read; every type where none is given.
    pub types: Option<BTreeSet<InventoryType>>,
    /// Which objects to read of these; all where nothing is given.
    pub wanted: Option<Wanted>,
    /// What of the lake is listed.
    pub listing: Listing,
    /// How many threads parse; as many as the machine has cores where none is given.
    pub workers: Option<NonZeroUsize>,
    /// How many objects are open at once; as many as suit the source where none is given.
    pub in_flight: Option<NonZeroUsize>,
}

/// What of a lake is listed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Listing {
    /// Every object, so that keys that are none and nodes of which nothing else is read are told.
    #[default]
    Whole,
    /// As little beyond the wanted types as the source can: [`Visitor::listed`] and
    /// [`LakeReading::listed`] know of no others.
    WantedTypes,
}

/// Says of a key whether its object is read: of an account, a Region, a node.
#[derive(Clone)]
pub struct Wanted(Arc<dyn Fn(&InventoryKey) -> bool + Send + Sync>);

impl Wanted {
    fn takes(&self, key: &InventoryKey) -> bool {
        (self.0)(key)
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

impl ScanOptions {
    /// Reads these types only.
    #[must_use]
    pub fn with_types(mut self, types: impl IntoIterator<Item = InventoryType>) -> Self {
        self.types = Some(types.into_iter().collect());
        self
    }

    /// Reads those objects only whose keys `wants` takes.
    #[must_use]
    pub fn with_wanted(
        mut self,
        wants: impl Fn(&InventoryKey) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.wanted = Some(Wanted(Arc::new(wants)));
        self
    }

    /// Lists so much of the lake.
    #[must_use]
    pub fn with_listing(mut self, listing: Listing) -> Self {
        self.listing = listing;
        self
    }

    /// Parses on so many threads.
    #[must_use]
    pub fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Keeps so many objects open at once.
    #[must_use]
    pub fn with_in_flight(mut self, objects: NonZeroUsize) -> Self {
        self.in_flight = Some(objects);
        self
    }
}

/// How many listed objects are handed to a worker at once: enough to make the hand-over cheap, few
/// enough to share the end of the lake fairly.
const BATCH: usize = 64;

/// How many batches wait for a worker; the listing stops while so many wait.
const QUEUE: usize = 64;

type Batch = Vec<ListEntry>;
type Queue = Arc<Mutex<mpsc::Receiver<Batch>>>;

/// Reads every object of the wanted types once and shows its rows to a visitor.
///
/// # Behavior
/// - Objects are spread over worker threads of its own, each with the visitor that `make` gives it;
///   the visitors come back when all is read. No async runtime is blocked, and a local lake needs
///   none.
/// - The memory used does not grow with the lake: the listing waits for the readers, and of each
///   open object one piece and one line are held.
/// - An object that cannot be read is listed in [`LakeReading::skipped`], and costs no other.
///
/// # Errors
/// What made the listing end before its time. `Unexpected` where a visitor panicked.
///
/// # Cancellation
/// Dropping the future stops the workers at the next piece they read.
pub async fn scan<V: Visitor>(
    source: Arc<dyn ObjectSource>,
    options: ScanOptions,
    mut make: impl FnMut() -> V,
) -> Result<(Vec<V>, LakeReading)> {
    let workers = options.workers.map_or_else(cores, NonZeroUsize::get);
    let in_flight = options.in_flight.map_or_else(|| source.in_flight(), NonZeroUsize::get);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let queue: Queue = Arc::new(Mutex::new(receiver));
    let (types, wanted) = (Arc::new(options.types), options.wanted);
    let mut running = Running::new();
    let local = source.as_local().is_some();

    let entries = match (&*types, options.listing) {
        (Some(types), Listing::WantedTypes) => source.list_types(types),
        _ => source.list(),
    };
    let listing = running.start("lake-list", |_| list(entries, sender))?;
    let mut readers = Vec::with_capacity(workers);
    for _ in 0..workers {
        let worker = Worker {
            source: Arc::clone(&source),
            types: Arc::clone(&types),
            wanted: wanted.clone(),
            visitor: make(),
            reading: LakeReading::default(),
            natives: BTreeMap::new(),
            layouts: BTreeMap::new(),
        };
        let (queue, limit) = (Arc::clone(&queue), in_flight.div_ceil(workers));
        let reader = if local {
            running.start("lake-read", |stop| worker.run_local(queue, stop))?
        } else {
            running.start("lake-read", |_| worker.run(queue, limit))?
        };
        readers.push(reader);
    }
    // Only the workers hold the queue: when they are gone, the listing stops too.
    drop(queue);

    let (mut visitors, mut reading, mut natives) =
        (Vec::new(), LakeReading::default(), BTreeMap::new());
    for reader in readers {
        let worker = reader.await.map_err(|_| lost_thread())?;
        visitors.push(worker.visitor);
        reading.merge(worker.reading);
        for (ty, list) in worker.natives {
            natives.entry(ty).or_insert_with(Listed::default).merge(list);
        }
    }
    listing.await.map_err(|_| lost_thread())??;
    add_native_drift(&mut reading, natives);
    reading.skipped.sort();
    reading.repaired.sort();
    Ok((visitors, reading))
}

/// Does work of a source on a thread of its own, so that reading files or parsing blocks no runtime.
pub(crate) async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let mut running = Running::new();
    let answer = running.start(name, |_| work)?;
    answer.await.map_err(|_| lost_thread())
}

/// Reads one object and shows its rows to a sink.
///
/// # Errors
/// What [`ObjectSource::get`] and its body say.
pub async fn read_object<S: RowSink + ?Sized + Send>(
    source: &dyn ObjectSource,
    path: &str,
    key: &InventoryKey,
    sink: &mut S,
) -> Result<ObjectReading> {
    let mut body = source.get(path).await?;
    let mut reader = ObjectReader::new(path, key);
    while let Some(piece) = body.next().await {
        reader.feed(&piece?, sink);
    }
    Ok(reader.finish(sink))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn lost_thread() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "lake",
        "scan",
        "a thread of the scan ended without an answer",
    )
}

/// The service is seen to write numbers as strings, and documents them as numbers: both are normal,
/// and only the odd object out, fewer than one in ten of its type, is drift.
fn add_native_drift(reading: &mut LakeReading, natives: BTreeMap<Box<str>, Listed<Repaired>>) {
    for (ty, list) in natives {
        let objects = reading.types.get(&ty).map_or(0, |ty| ty.objects);
        if list.total() * 10 < objects {
            reading.repaired.merge(list);
        }
    }
}

/// The threads of one scan; they are told to stop when it is dropped.
struct Running {
    runtime: Option<Handle>,
    stop: Vec<AbortHandle>,
}

impl Running {
    fn new() -> Self {
        Self { runtime: Handle::try_current().ok(), stop: Vec::new() }
    }

    /// Runs a future on a thread of its own. Its requests are driven by the caller's runtime, where
    /// there is one; a local lake never waits for any.
    fn start<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce(AbortHandle) -> F,
    ) -> Result<oneshot::Receiver<T>> {
        let (answer, receiver) = oneshot::channel();
        let (stop, registration) = AbortHandle::new_pair();
        let work = Abortable::new(work(stop.clone()), registration);
        let runtime = self.runtime.clone();
        let run = move || {
            let done = match runtime {
                Some(runtime) => runtime.block_on(work),
                None => futures::executor::block_on(work),
            };
            if let Ok(done) = done {
                // The scan was dropped where nobody waits for the answer any more.
                let _ = answer.send(done);
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| {
            let message = "no thread could be started";
            Error::new(ErrorKind::Unexpected, "lake", "scan", message).with_source(error)
        })?;
        self.stop.push(stop);
        Ok(receiver)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.iter().for_each(AbortHandle::abort);
    }
}

/// Hands the listing to the workers, batch by batch.
async fn list(
    mut entries: BoxStream<'static, Result<ListEntry>>,
    sender: mpsc::Sender<Batch>,
) -> Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(entry) = entries.next().await {
        batch.push(entry?);
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if sender.send(full).await.is_err() {
                return Ok(());
            }
        }
    }
    // Where no worker is left, the scan has failed already.
    let _ = sender.send(batch).await;
    Ok(())
}

struct Worker<V: Visitor> {
    source: Arc<dyn ObjectSource>,
    types: Arc<Option<BTreeSet<InventoryType>>>,
    wanted: Option<Wanted>,
    visitor: V,
    reading: LakeReading,
    natives: BTreeMap<Box<str>, Listed<Repaired>>,
    /// The layouts of rows that were seen, for the next objects of a type.
    layouts: BTreeMap<InventoryType, Vec<Layouts>>,
}

/// An object that is being read.
struct Open<O> {
    path: Arc<str>,
    ty: InventoryType,
    object: O,
    reader: ObjectReader,
    body: Option<ObjectBody>,
}

impl<O> Open<O> {
    /// Waits for the next piece; opens the object first.
    async fn advance(
        mut self: Box<Self>,
        source: Arc<dyn ObjectSource>,
    ) -> (Box<Self>, Option<Result<Bytes>>) {
        let mut body = match self.body.take() {
            Some(body) => body,
            None => match source.get(&self.path).await {
                Ok(body) => body,
                Err(error) => return (self, Some(Err(error))),
            },
        };
        let piece = body.next().await;
        self.body = Some(body);
        (self, piece)
    }
}

async fn next_batch(queue: &Queue) -> Option<Batch> {
    queue.lock().await.recv().await
}

impl<V: Visitor> Worker<V> {
    async fn run(mut self, queue: Queue, limit: usize) -> Self {
        let mut open = FuturesUnordered::new();
        let mut waiting: std::vec::IntoIter<ListEntry> = Vec::new().into_iter();
        let mut ended = false;
        loop {
            while !ended && open.len() < limit {
                if !self.visitor.goes_on() {
                    ended = true;
                    break;
                }
                if let Some(entry) = waiting.next() {
                    if let Some(object) = self.open(entry) {
                        open.push(object.advance(Arc::clone(&self.source)));
                    }
                } else if open.is_empty() {
                    match queue.lock().await.recv().await {
                        Some(batch) => waiting = batch.into_iter(),
                        None => ended = true,
                    }
                } else {
                    // Whoever has objects open reads on rather than wait for the listing.
                    match queue.try_lock().ok().and_then(|mut queue| queue.try_recv().ok()) {
                        Some(batch) => waiting = batch.into_iter(),
                        None => break,
                    }
                }
            }
            match open.next().await {
                None => {
                    self.visitor.finish();
                    return self;
                }
                Some((object, piece)) => {
                    if let Some(object) = self.take(object, piece) {
                        open.push(object.advance(Arc::clone(&self.source)));
                    }
                }
            }
        }
    }

    /// Reads files one after the other, each through one buffer of the worker's.
    async fn run_local(mut self, queue: Queue, stop: AbortHandle) -> Self {
        let source = Arc::clone(&self.source);
        let Some(local) = source.as_local() else { return self };
        let mut buffer = vec![0; PIECE_BYTES];
        while let Some(batch) = next_batch(&queue).await {
            for entry in batch {
                if stop.is_aborted() || !self.visitor.goes_on() {
                    self.visitor.finish();
                    return self;
                }
                if let Some(open) = self.open(entry) {
                    self.read_file(local, *open, &mut buffer);
                }
            }
        }
        self.visitor.finish();
        self
    }

    fn read_file(&mut self, local: &LocalSource, mut open: Open<V::Object>, buffer: &mut [u8]) {
        let mut file = match local.open_file(&open.path) {
            Ok(file) => file,
            Err(error) => return self.close(open, Some(error)),
        };
        loop {
            match LocalSource::read_file(&mut file, &open.path, buffer) {
                Ok(0) => return self.close(open, None),
                Ok(read) => {
                    let Open { reader, object, .. } = &mut open;
                    reader.feed(&buffer[..read], &mut Feed { visitor: &mut self.visitor, object });
                }
                Err(error) => return self.close(open, Some(error)),
            }
        }
    }

    fn skip(&mut self, key: Arc<str>, reason: SkipReason) {
        self.reading.skipped.push_with(|| Skipped { key, line: None, reason });
    }

    /// Begins an object, where it is one that is wanted.
    fn open(&mut self, entry: ListEntry) -> Option<Box<Open<V::Object>>> {
        let (path, size) = match entry {
            ListEntry::Object { key, size } => (key, size),
            ListEntry::Unreadable { key, problem } => {
                self.skip(key, SkipReason::Unreadable(problem.into()));
                return None;
            }
        };
        self.reading.listed += 1;
        let key: InventoryKey = match path.parse() {
            Ok(key) => key,
            Err(problem) if crate::KeyProblem::is_expected(&problem) => {
                self.reading.ignored += 1;
                return None;
            }
            Err(problem) => {
                self.skip(path, problem.into());
                return None;
            }
        };
        self.visitor.listed(&path, &key);
        let ty = key.inventory_type();
        if self.types.as_ref().as_ref().is_some_and(|types| !types.contains(ty))
            || self.wanted.as_ref().is_some_and(|wanted| !wanted.takes(&key))
        {
            return None;
        }
        let object = self.visitor.begin(&key);
        let layouts = self.layouts.get_mut(ty).and_then(Vec::pop).unwrap_or_default();
        let reader = ObjectReader::new(Arc::clone(&path), &key).with_layouts(layouts);
        let open = Box::new(Open { path, ty: ty.clone(), object, reader, body: None });
        // What the listing says is empty costs no request.
        if size == Some(0) { self.take(open, None) } else { Some(open) }
    }

    /// Takes a piece of an object, and gives it back where more is to come.
    fn take(
        &mut self,
        mut open: Box<Open<V::Object>>,
        piece: Option<Result<Bytes>>,
    ) -> Option<Box<Open<V::Object>>> {
        if let Some(Ok(piece)) = &piece {
            let mut feed = Feed { visitor: &mut self.visitor, object: &mut open.object };
            open.reader.feed(piece, &mut feed);
            return Some(open);
        }
        self.close(*open, piece.and_then(Result::err));
        None
    }

    /// Ends an object: at its end, or where the error is.
    fn close(&mut self, open: Open<V::Object>, error: Option<Error>) {
        let Open { path, ty, mut object, mut reader, .. } = open;
        let layouts = reader.take_layouts();
        let done = match error {
            Some(error) => reader.fail(&error.report()),
            None => reader.finish(&mut Feed { visitor: &mut self.visitor, object: &mut object }),
        };
        match self.layouts.get_mut(&ty) {
            Some(spare) => spare.push(layouts),
            None => drop(self.layouts.insert(ty.clone(), vec![layouts])),
        }
        self.visitor.end(object, &done);
        let name = ty.as_str();
        if !self.reading.types.contains_key(name) {
            self.reading.types.insert(name.into(), crate::TypeReading::default());
        }
        if let Some(ty) = self.reading.types.get_mut(name) {
            ty.objects += 1;
            ty.add(done.reading);
        }
        self.reading.skipped.merge(done.skipped);
        for repaired in done.repaired {
            self.reading.repaired.push(repaired);
        }
        if let Some((line, field)) = done.native_number {
            let list = self.natives.entry(name.into()).or_default();
            list.push_with(|| Repaired {
                key: path,
                line: Some(line),
                reason: RepairReason::TypeDrift(field),
                lines: 1,
            });
        }
    }
}

#[cfg(test)]
mod tests;
