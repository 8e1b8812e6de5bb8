//! A journal that counts the calls under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use patchkit_core::{
    Event, Journal, NodeId, NodeLease, Order, OrderRecord, PerNode, Record, Result, RunHead, RunId,
    RunLease,
};

#[derive(Debug)]
pub(crate) struct Counted<J> {
    inner: Arc<J>,
    under_way: Arc<AtomicUsize>,
}

impl<J> Clone for Counted<J> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), under_way: Arc::clone(&self.under_way) }
    }
}

impl<J: Journal> Counted<J> {
    pub(crate) fn new(inner: J) -> Self {
        Self { inner: Arc::new(inner), under_way: Arc::default() }
    }

    pub(crate) fn under_way(&self) -> &AtomicUsize {
        &self.under_way
    }

    async fn count<T>(&self, call: impl Future<Output = T>) -> T {
        let _call = Call::begin(&self.under_way);
        call.await
    }
}

/// A call under way, to its end or until it is dropped.
struct Call<'a>(&'a AtomicUsize);

impl<'a> Call<'a> {
    fn begin(under_way: &'a AtomicUsize) -> Self {
        under_way.fetch_add(1, Ordering::AcqRel);
        Self(under_way)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[async_trait]
impl<J: Journal> Journal for Counted<J> {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.count(self.inner.begin(run, holder, term)).await
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.count(self.inner.take_over(run, holder, term)).await
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        self.count(self.inner.renew(lease)).await
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        self.count(self.inner.release(lease)).await
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        self.count(self.inner.append(lease, events)).await
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        self.inner.events(run)
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        self.inner.runs()
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        self.count(self.inner.head(run)).await
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        self.count(self.inner.order(order, by, reason)).await
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        self.count(self.inner.orders(run)).await
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        self.count(self.inner.claim(lease, nodes)).await
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        self.count(self.inner.unclaim(lease, nodes)).await
    }
}
