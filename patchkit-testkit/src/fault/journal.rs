//! A journal, with faults.

use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, stream::BoxStream};
use patchkit_core::{
    Event, Journal, NodeId, NodeLease, Order, OrderRecord, PerNode, Record, Result, RunHead, RunId,
    RunLease,
};

use super::{Call, Faults, call::Answer};

/// A journal whose calls go wrong by plan.
///
/// # Behavior
/// - As [`Faulty`](super::Faulty). A lease is lost by refusing a call with `Conflict`.
#[derive(Clone, Debug)]
pub struct FaultyJournal<J> {
    inner: J,
    faults: Faults,
}

impl<J> FaultyJournal<J> {
    /// Puts `faults` between the caller and `inner`.
    pub fn new(inner: J, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<J: Journal> Journal for FaultyJournal<J> {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        let call = Call::new("begin");
        self.faults.call(call, Answer::Once, || self.inner.begin(run, holder, term)).await
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        let call = Call::new("take_over");
        self.faults.call(call, Answer::Once, || self.inner.take_over(run, holder, term)).await
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        let call = Call::new("renew");
        self.faults.call(call, Answer::Second, || self.inner.renew(lease)).await
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        let call = Call::new("release");
        self.faults.call(call, Answer::Second, || self.inner.release(lease)).await
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        let call = Call::new("append");
        self.faults.call(call, Answer::Once, || self.inner.append(lease, events)).await
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        self.faults.listing(Call::new("events"), || self.inner.events(run))
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        self.faults.listing(Call::new("runs"), || self.inner.runs())
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        let call = Call::new("head");
        self.faults.call(call, Answer::Second, || self.inner.head(run)).await
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        let call = Call::new("order");
        self.faults.call(call, Answer::Second, || self.inner.order(order, by, reason)).await
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        let call = Call::new("orders");
        self.faults.call(call, Answer::Second, || self.inner.orders(run)).await
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        let call = Call::new("claim").on(nodes);
        self.faults
            .per_node(call, |nodes| async move { self.inner.claim(lease, &nodes).await }.boxed())
            .await
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        let call = Call::new("unclaim").on(nodes);
        self.faults.call(call, Answer::Second, || self.inner.unclaim(lease, nodes)).await
    }
}
