//! The workflows hold their guarantees on the durable journals, and go on after a crash of all that
//! is not on the disk.

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt, executor::block_on, stream::BoxStream};
use object_store::memory::InMemory;
use patchkit_core::{
    Capabilities, Event, Journal, NodeId, NodeLease, Order, OrderRecord, PerNode, Record, Result,
    RunHead, RunId, RunLease,
};
use patchkit_journal::{ObjectJournal, SqliteJournal};
use patchkit_testkit::{memory::MemoryHarness, workflow::World};
use tempfile::TempDir;

mod sqlite {
    patchkit_testkit::workflows!(crate::workflow::in_a_file());
}

mod objects {
    patchkit_testkit::workflows!(crate::workflow::in_a_bucket());
}

fn in_a_file() -> World {
    let clock = MemoryHarness::virtual_clock();
    let directory = in_memory_if_possible();
    let journal = SqliteJournal::open(directory.path().join("runs.db"), clock.clone()).unwrap();
    let journal = AtOnce { journal: Arc::new(journal), _directory: Some(Arc::new(directory)) };
    World::new(MemoryHarness::new(Capabilities::full(), clock), journal)
}

fn in_a_bucket() -> World {
    let clock = MemoryHarness::virtual_clock();
    let journal = ObjectJournal::new(Arc::new(InMemory::new()), "", clock.clone()).unwrap();
    let journal = AtOnce { journal: Arc::new(journal), _directory: None };
    World::new(MemoryHarness::new(Capabilities::full(), clock), journal)
}

/// The suite makes thousands of files, and is not about the disk.
fn in_memory_if_possible() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A journal whose calls take no turn of their own: a virtual clock does not know of threads that
/// work, and time would run ahead of them.
#[derive(Clone)]
struct AtOnce {
    journal: Arc<dyn Journal>,
    _directory: Option<Arc<TempDir>>,
}

impl fmt::Debug for AtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.journal.fmt(f)
    }
}

#[async_trait::async_trait]
impl Journal for AtOnce {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        block_on(self.journal.begin(run, holder, term))
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        block_on(self.journal.take_over(run, holder, term))
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        block_on(self.journal.renew(lease))
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        block_on(self.journal.release(lease))
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        block_on(self.journal.append(lease, events))
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        let items: Vec<_> = block_on(self.journal.events(run).collect());
        futures::stream::iter(items).boxed()
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        let items: Vec<_> = block_on(self.journal.runs().collect());
        futures::stream::iter(items).boxed()
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        block_on(self.journal.head(run))
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        block_on(self.journal.order(order, by, reason))
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        block_on(self.journal.orders(run))
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        block_on(self.journal.claim(lease, nodes))
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        block_on(self.journal.unclaim(lease, nodes))
    }
}
