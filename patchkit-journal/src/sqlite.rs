//! The journal in a SQLite file.

mod book;
mod desk;
mod error;
mod ledger;
mod schema;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    Clock, Event, Journal, NodeId, NodeLease, Order, OrderRecord, PerNode, Record, Result, RunHead,
    RunId, RunLease,
};

use self::{book::Chunk, desk::Desk};

/// A journal in a SQLite file on this machine.
///
/// Clones share one connection; several processes may open one file. The work is done on a thread
/// of the journal's own, so that no runtime is blocked and none is needed; it ends with the last
/// clone. What waits for the disk at the same moment is written in one go.
///
/// The file must lie on a disk of this machine: SQLite's write-ahead log does not work over a
/// network. It is made readable for its owner alone, for it holds the names of a company's machines.
///
/// # Behavior
/// - `append` returns when the events are on the disk (`synchronous=FULL`).
/// - Another process that writes is waited for, up to [`SqliteOptions::busy_timeout`]; after it the
///   error is retryable, and nothing was written.
/// - A write that a crash cut off is gone: it was not acknowledged.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use patchkit_core::{Journal, RunId, SystemClock};
/// use patchkit_journal::SqliteJournal;
///
/// # futures::executor::block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("runs.db");
/// let journal = SqliteJournal::open(&path, SystemClock)?;
/// let lease = journal.begin(&RunId::new("2026-11-24")?, "worker-1", Duration::from_secs(300)).await?;
///
/// // Whoever opens the file sees it.
/// let head = SqliteJournal::open(&path, SystemClock)?.head(&lease.run).await?;
/// assert_eq!(head.lease.holder, "worker-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteJournal {
    desk: Arc<Desk>,
    clock: Arc<dyn Clock>,
}

/// How a [`SqliteJournal`] is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// How long another process that writes is waited for; 10 seconds by default.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(10) }
    }
}

impl SqliteOptions {
    /// Sets how long another process that writes is waited for.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }
}

impl SqliteJournal {
    /// Opens the file, or makes it; its leases end on `clock`. Blocks while it does.
    ///
    /// # Errors
    /// `Unsupported` (a newer version wrote the file, or its disk has no write-ahead log),
    /// `InvalidInput` (it is something else), `PermissionDenied`, `Malformed` (it is damaged),
    /// `Unexpected`.
    pub fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self> {
        Self::open_with(path, clock, SqliteOptions::default())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        path: impl AsRef<Path>,
        clock: impl Clock,
        options: SqliteOptions,
    ) -> Result<Self> {
        let connection = schema::open(path.as_ref(), options.busy_timeout)?;
        Ok(Self { desk: Arc::new(Desk::new(connection)?), clock: Arc::new(clock) })
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Journal for SqliteJournal {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        let (run, holder, clock) = (run.clone(), holder.to_owned(), self.clock());
        self.desk
            .write("begin", move |connection| {
                book::begin(connection, &run, &holder, term, clock.now())
            })
            .await
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        let (run, holder, clock) = (run.clone(), holder.to_owned(), self.clock());
        self.desk
            .write("take_over", move |connection| {
                book::take_over(connection, &run, &holder, term, clock.now())
            })
            .await
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        let (lease, clock) = (lease.clone(), self.clock());
        self.desk.write("renew", move |c| book::renew(c, &lease, clock.now())).await
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        let (lease, clock) = (lease.clone(), self.clock());
        self.desk.write("release", move |c| book::release(c, &lease, clock.now())).await
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        let (lease, clock) = (lease.clone(), self.clock());
        let events = book::texts(events)?;
        self.desk.write("append", move |c| book::append(c, &lease, &events, clock.now())).await
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        let (desk, run) = (Arc::clone(&self.desk), run.clone());
        let chunks = stream::try_unfold(Some(0), move |from| {
            let (desk, run) = (Arc::clone(&desk), run.clone());
            async move {
                let Some(from) = from else { return Ok(None) };
                let read = desk.read("events", move |c| book::events(c, &run, from)).await?;
                let Chunk { items, next } = read;
                Ok::<_, patchkit_core::Error>(Some((stream::iter(items).map(Ok), next)))
            }
        });
        // What is wrong with a row is an item; what is wrong with the file ends the stream.
        chunks.try_flatten().map(|item| item.and_then(|row| row)).boxed()
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        let desk = Arc::clone(&self.desk);
        stream::once(async move { desk.read("runs", book::runs).await })
            .map_ok(|runs| stream::iter(runs).map(Ok))
            .try_flatten()
            .map(|item| item.and_then(|row| row))
            .boxed()
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        let run = run.clone();
        self.desk.read("head", move |c| book::head(c, &run)).await
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        let clock = self.clock();
        let (order, by, reason) = (order.clone(), by.to_owned(), reason.to_owned());
        self.desk
            .write("order", move |connection| {
                book::order(connection, &OrderRecord::new(clock.now(), order, by, reason))
            })
            .await
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        let run = run.clone();
        self.desk.read("orders", move |c| book::orders(c, &run)).await
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        let (lease, asked) = (lease.clone(), nodes.to_vec());
        let claims = self.desk.write("claim", move |c| book::claim(c, &lease, &asked)).await;
        match claims {
            Ok(claims) => claims,
            Err(error) => error::each(&error, nodes),
        }
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        let (lease, nodes) = (lease.clone(), nodes.to_vec());
        self.desk.write("unclaim", move |c| book::unclaim(c, &lease, &nodes)).await
    }
}
