//! The journal as objects in a bucket.

mod claims;
mod error;
mod key;
mod leaf;
mod ledger;
mod orders;
mod pen;
mod read;
mod sequence;
mod tail;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStore, path::Path};
use patchkit_core::{
    Clock, Error, Event, Journal, NodeId, NodeLease, Order, OrderRecord, PerNode, Record, Result,
    RunHead, RunId, RunLease,
};
use uuid::Uuid;

use self::{
    claims::Claims, error::OBJECTS, ledger::Counts, orders::Orders, pen::Pen, sequence::Sequence,
};

/// A journal of objects in a bucket, which workers on many machines share.
///
/// It takes any store of the `object_store` crate that can refuse to overwrite an object
/// (`PutMode::Create`): S3, Azure Blob Storage, a directory, memory. Nothing is ever overwritten or
/// deleted, so versioned and write-once buckets do as well.
///
/// Clones share what they know of the store. Runs of one process that write at the same moment
/// share a put.
///
/// # Layout
/// Four kinds of sequences, each object with the number after the one before it. Only one writer
/// can make the object of a number, and whoever makes it has read all before it: that is the whole
/// of the locking.
///
/// | key, below the prefix | one object for |
/// |---|---|
/// | `runs/<run>/<number>.json` | what was written at once to a run: records, and its lease as it is since then. A takeover is an object in the same sequence, so that an older holder's next one cannot follow it unread. |
/// | `claims/<number>.json` | all claims of all runs, as they are since then. |
/// | `orders/<number>.json` | an order. |
/// | `ledger/<book>/<number>.json` | what was entered at once in a book of the ledger. |
///
/// A run's name is encoded as in URLs, with `=` for `%`; a long one is cut and ends in its hash. Each object begins with
/// its length and its SHA-256.
///
/// # Behavior
/// - `append` returns when the store has answered. An answer that was lost is looked for.
/// - An object that is cut off or changed, and that no later object builds on, is shown as
///   [`Event::Torn`]; the next writer goes on after it. One that a later object builds on was
///   acknowledged: it is `Malformed`.
/// - Leases end by each worker's own clock. Clocks that differ cost an early or a late takeover,
///   and never two holders: what the old one writes is refused.
///
/// # Caveats
/// - A directory (`LocalFileSystem`) does not wait for its disk: a machine that loses power may lose
///   what was acknowledged. [`SqliteJournal`](crate::SqliteJournal) waits.
///
/// # Example
/// ```
/// use std::{sync::Arc, time::Duration};
/// use object_store::memory::InMemory;
/// use patchkit_core::{Journal, RunId, SystemClock};
/// use patchkit_journal::ObjectJournal;
///
/// # futures::executor::block_on(async {
/// let bucket = Arc::new(InMemory::new());
/// let here = ObjectJournal::new(bucket.clone(), "patchkit", SystemClock)?;
/// let lease = here.begin(&RunId::new("2026-11-24")?, "worker-1", Duration::from_secs(300)).await?;
///
/// let elsewhere = ObjectJournal::new(bucket, "patchkit", SystemClock)?;
/// assert!(elsewhere.take_over(&lease.run, "worker-2", lease.term).await.is_err());
/// here.release(&lease).await?;
/// assert_eq!(elsewhere.take_over(&lease.run, "worker-2", lease.term).await?.holder, "worker-2");
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ObjectJournal(Arc<Shelf>);

struct Shelf {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    clock: Arc<dyn Clock>,
    /// Marks what this journal writes, by which a lost answer is found again.
    name: Uuid,
    marks: AtomicU64,
    pens: Mutex<HashMap<RunId, Arc<Pen>>>,
    /// When runs began that were listed before, by their folder; that never changes.
    beginnings: Mutex<HashMap<String, (Timestamp, RunId)>>,
    claims: Claims,
    orders: Orders,
    counts: Counts,
}

impl ObjectJournal {
    /// A journal below `prefix` in `store`; its leases end on `clock`. Makes no call.
    ///
    /// # Errors
    /// `InvalidInput` (the prefix is no path).
    pub fn new(
        store: Arc<dyn ObjectStore>,
        prefix: impl AsRef<str>,
        clock: impl Clock,
    ) -> Result<Self> {
        let prefix = Path::parse(prefix).map_err(|error| {
            Error::invalid(OBJECTS, "open", "the prefix is no path").with_source(error)
        })?;
        let claims = Claims::new(Sequence::new(&store, prefix.clone().join("claims")));
        let orders = Orders::new(Sequence::new(&store, prefix.clone().join("orders")));
        Ok(Self(Arc::new(Shelf {
            store,
            prefix,
            clock: Arc::new(clock),
            name: Uuid::new_v4(),
            marks: AtomicU64::new(0),
            pens: Mutex::default(),
            beginnings: Mutex::default(),
            claims,
            orders,
            counts: Counts::default(),
        })))
    }
}

impl Shelf {
    fn run(&self, run: &RunId) -> Sequence {
        let runs = self.prefix.clone().join("runs");
        Sequence::new(&self.store, runs.join(key::folder(run.as_str())))
    }

    fn pen(&self, run: &RunId) -> Arc<Pen> {
        let mut pens = self.pens.lock().unwrap_or_else(PoisonError::into_inner);
        let pen = pens.entry(run.clone());
        Arc::clone(pen.or_insert_with(|| Arc::new(Pen::new(run.clone(), self.run(run)))))
    }

    fn begun(&self, folder: &str) -> Option<(Timestamp, RunId)> {
        let beginnings = self.beginnings.lock().unwrap_or_else(PoisonError::into_inner);
        beginnings.get(folder).cloned()
    }

    /// A mark that nobody else makes.
    fn mark(&self) -> String {
        format!("{}-{}", self.name.simple(), self.marks.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Debug for ObjectJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A store's own form may tell how it signs.
        f.debug_struct("ObjectJournal").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Journal for ObjectJournal {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.0.pen(run).begin(&self.0, holder, term).await
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.0.pen(run).take_over(&self.0, holder, term).await
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        self.0.pen(&lease.run).renew(&self.0, lease).await
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        self.0.pen(&lease.run).release(&self.0, lease).await
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        self.0.pen(&lease.run).append(&self.0, lease, events).await
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        read::events(run.clone(), self.0.run(run))
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        read::runs(Arc::clone(&self.0))
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        self.0.pen(run).head().await
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        if let Some(run) = order.run() {
            self.0.pen(run).exists("order").await?;
        }
        let record = OrderRecord::new(self.0.clock.now(), order.clone(), by, reason);
        self.0.orders.give(&self.0, &record).await
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        self.0.orders.of(run, self.0.clock.now()).await
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        match self.0.claims.claim(&self.0, lease, nodes).await {
            Ok(claims) => claims,
            Err(error) => error::each(&error, nodes),
        }
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        self.0.claims.unclaim(&self.0, lease, nodes).await
    }
}

/// `at` plus `by`, or the end of time.
fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}
