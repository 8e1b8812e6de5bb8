//! The memory journal's harness, and a model for those of durable ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use patchkit_core::{
    Book, Entry, Error, ErrorKind, Event, Journal, Ledger, NodeId, NodeLease, Order, OrderRecord,
    PerNode, Record, Result, RunHead, RunId, RunLease, VirtualClock, memory::MemoryJournal,
};

use super::{JournalHarness, Spoilt, Tear};

/// A [`MemoryJournal`] whose writes can be switched off.
#[derive(Clone, Debug)]
pub struct MemoryJournalHarness {
    clock: VirtualClock,
    journal: Switched,
}

impl MemoryJournalHarness {
    /// An empty journal.
    pub fn new() -> Self {
        let clock = VirtualClock::manual("2026-11-24T02:00:00Z".parse().expect("a time"));
        let journal = MemoryJournal::new(clock.clone());
        Self { clock, journal: Switched { journal, broken: Arc::default() } }
    }
}

impl Default for MemoryJournalHarness {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl JournalHarness for MemoryJournalHarness {
    fn clock(&self) -> VirtualClock {
        self.clock.clone()
    }

    async fn open(&self) -> Arc<dyn Journal> {
        Arc::new(self.journal.clone())
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.journal.clone())
    }

    async fn tear(&self, _: &RunId) -> Tear {
        Tear::Gone
    }

    async fn spoil(&self, _: &RunId, _: u64) -> Spoilt {
        Spoilt::Never
    }

    async fn spoil_entry(&self, _: Book, _: u64) -> Spoilt {
        Spoilt::Never
    }

    async fn break_writes(&self) {
        self.journal.broken.store(true, Ordering::Release);
    }

    async fn mend(&self) {
        self.journal.broken.store(false, Ordering::Release);
    }
}

/// A memory journal that may fail, which memory itself never does.
#[derive(Clone, Debug)]
struct Switched {
    journal: MemoryJournal,
    broken: Arc<AtomicBool>,
}

impl Switched {
    fn whole(&self, operation: &'static str) -> Result<&MemoryJournal> {
        if self.broken.load(Ordering::Acquire) {
            let message = "the store is broken";
            return Err(Error::new(ErrorKind::Unexpected, "memory", operation, message));
        }
        Ok(&self.journal)
    }
}

#[async_trait]
impl Journal for Switched {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.whole("begin")?.begin(run, holder, term).await
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.whole("take_over")?.take_over(run, holder, term).await
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        self.whole("renew")?.renew(lease).await
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        self.whole("release")?.release(lease).await
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        self.whole("append")?.append(lease, events).await
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        self.journal.events(run)
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        self.journal.runs()
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        self.journal.head(run).await
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        self.whole("order")?.order(order, by, reason).await
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        self.journal.orders(run).await
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        if let Ok(journal) = self.whole("claim") {
            return journal.claim(lease, nodes).await;
        }
        let error = || Error::new(ErrorKind::Unexpected, "memory", "claim", "the store is broken");
        nodes.iter().map(|node| (node.clone(), Err(error()))).collect()
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        self.whole("unclaim")?.unclaim(lease, nodes).await
    }
}

#[async_trait]
impl Ledger for Switched {
    async fn enter(&self, book: Book, entries: &[serde_json::Value]) -> Result<()> {
        self.whole("enter")?.enter(book, entries).await
    }

    fn entries(&self, book: Book, after: Option<u64>) -> BoxStream<'static, Result<Entry>> {
        self.journal.entries(book, after)
    }
}
