//! The journal in memory: leases and fencing as everywhere, durable only as long as the process.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;

use super::{cloud::pause, ledger::Entries};
use crate::{
    Clock, Error, ErrorKind, Event, Journal, NodeId, NodeLease, Order, OrderRecord, PerNode,
    Record, Result, RunHead, RunId, RunLease, clock::later,
};

/// A journal that lives in memory; clones share it.
///
/// ```
/// use std::time::Duration;
/// use patchkit_core::{Event, Journal, RunId, VirtualClock, memory::MemoryJournal};
///
/// # futures::executor::block_on(async {
/// let clock = VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap());
/// let journal = MemoryJournal::new(clock.clone());
/// let (run, term) = (RunId::new("r1")?, Duration::from_secs(60));
/// let late = journal.begin(&run, "worker-1", term).await?;
///
/// clock.advance(Duration::from_secs(61));
/// journal.take_over(&run, "worker-2", term).await?;
/// assert!(journal.append(&late, &[Event::RunFinished]).await.is_err());
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryJournal {
    clock: Arc<dyn Clock>,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    runs: BTreeMap<RunId, Run>,
    order: Vec<RunId>,
    claims: BTreeMap<NodeId, NodeLease>,
    orders: Vec<OrderRecord>,
    entries: Entries,
    fence: u64,
}

struct Run {
    begun_at: Timestamp,
    lease: RunLease,
    records: Vec<Record>,
}

impl MemoryJournal {
    /// An empty journal whose leases end on `clock`.
    pub fn new(clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), books: Arc::default() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn with_entries<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.books().entries)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryJournal({} runs)", self.books().runs.len())
    }
}

impl Books {
    fn lease(&mut self, run: &RunId, holder: &str, term: Duration, now: Timestamp) -> RunLease {
        self.fence += 1;
        RunLease::new(run.clone(), holder, self.fence, term, later(now, term))
    }

    /// The run, if the lease is still its newest.
    fn owned(&mut self, operation: &'static str, lease: &RunLease) -> Result<&mut Run> {
        let run = self
            .runs
            .get_mut(&lease.run)
            .ok_or_else(|| Error::not_found("memory", operation, &lease.run))?;
        if run.lease.fence == lease.fence {
            Ok(run)
        } else {
            let message = format!("run {} was taken over by {}", lease.run, run.lease.holder);
            Err(Error::new(ErrorKind::Conflict, "memory", operation, message))
        }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        pause().await;
        let now = self.clock.now();
        let mut books = self.books();
        if books.runs.contains_key(run) {
            let message = format!("run {run} exists already");
            return Err(Error::new(ErrorKind::Conflict, "memory", "begin", message));
        }
        let lease = books.lease(run, holder, term, now);
        let begun = Run { begun_at: now, lease: lease.clone(), records: Vec::new() };
        books.runs.insert(run.clone(), begun);
        books.order.push(run.clone());
        Ok(lease)
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        pause().await;
        let now = self.clock.now();
        let mut books = self.books();
        let found =
            books.runs.get(run).ok_or_else(|| Error::not_found("memory", "take_over", run))?;
        if found.lease.expires_at > now {
            let RunLease { holder, expires_at, .. } = &found.lease;
            let message = format!("run {run} is {holder}'s until {expires_at}");
            return Err(Error::new(ErrorKind::Conflict, "memory", "take_over", message));
        }
        let lease = books.lease(run, holder, term, now);
        if let Some(found) = books.runs.get_mut(run) {
            found.lease = lease.clone();
        }
        Ok(lease)
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        pause().await;
        let now = self.clock.now();
        let mut books = self.books();
        let run = books.owned("renew", lease)?;
        run.lease.expires_at = later(now, lease.term);
        Ok(run.lease.clone())
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        pause().await;
        let now = self.clock.now();
        let mut books = self.books();
        books.owned("release", lease)?.lease.expires_at = now;
        Ok(())
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        pause().await;
        let now = self.clock.now();
        let mut books = self.books();
        let run = books.owned("append", lease)?;
        for event in events {
            let seq = run.records.len() as u64;
            run.records.push(Record::new(seq, now, event.clone()));
        }
        Ok(())
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        let records = match self.books().runs.get(run) {
            Some(run) => run.records.iter().cloned().map(Ok).collect(),
            None => vec![Err(Error::not_found("memory", "events", run))],
        };
        stream::iter(records).boxed()
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        let runs = self.books().order.clone();
        stream::iter(runs.into_iter().map(Ok)).boxed()
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        pause().await;
        let books = self.books();
        let found = books.runs.get(run).ok_or_else(|| Error::not_found("memory", "head", run))?;
        let Run { begun_at, lease, records } = found;
        let last = records.last().cloned();
        Ok(RunHead::new(*begun_at, lease.clone(), records.len() as u64, last))
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        pause().await;
        let now = self.clock.now();
        let mut books = self.books();
        if let Some(run) = order.run().filter(|run| !books.runs.contains_key(run)) {
            return Err(Error::not_found("memory", "order", run));
        }
        books.orders.push(OrderRecord::new(now, order.clone(), by, reason));
        Ok(())
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        pause().await;
        let books = self.books();
        let concerning = books.orders.iter().filter(|record| record.order.concerns(run));
        Ok(concerning.cloned().collect())
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        pause().await;
        let mut books = self.books();
        nodes
            .iter()
            .map(|node| {
                let claim = match books.owned("claim", lease) {
                    Err(error) => Err(error),
                    Ok(_) => match books.claims.get(node) {
                        Some(held) if held.run == lease.run => Ok(held.clone()),
                        Some(held) => {
                            let message = format!("run {} holds it", held.run);
                            Err(Error::new(ErrorKind::Conflict, "memory", "claim", message)
                                .with_node(node.clone()))
                        }
                        None => {
                            books.fence += 1;
                            let claim =
                                NodeLease::new(node.clone(), lease.run.clone(), books.fence);
                            books.claims.insert(node.clone(), claim.clone());
                            Ok(claim)
                        }
                    },
                };
                (node.clone(), claim)
            })
            .collect()
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        pause().await;
        let mut books = self.books();
        books.owned("unclaim", lease)?;
        for node in nodes {
            if books.claims.get(node).is_some_and(|claim| claim.run == lease.run) {
                books.claims.remove(node);
            }
        }
        Ok(())
    }
}
