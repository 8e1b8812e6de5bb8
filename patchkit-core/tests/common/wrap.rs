//! Wrappers that make a fleet or a journal misbehave.

use std::{fmt, sync::Arc, time::Duration};

use futures::stream::BoxStream;
use patchkit_core::{
    AccessChange, AccessGrant, Capabilities, Event, Fleet, Journal, ManagedNode, NodeAccess,
    NodeId, NodeLease, NodeSelector, NodeStatus, OperationId, Order, OrderRecord, PatchOperation,
    PatchRequest, PerNode, PowerTarget, Record, Result, RunHead, RunId, RunLease, SubmitToken,
    TagChange, Tags,
    memory::{Fault, MemoryCloud, MemoryJournal},
};

/// A fleet whose answers for many nodes leave some out.
#[derive(Clone, Debug)]
pub(crate) struct Forgetful {
    pub(crate) cloud: MemoryCloud,
    pub(crate) forgets: fn(&str, &NodeId) -> bool,
}

impl Forgetful {
    fn forget<T>(&self, operation: &str, mut answers: PerNode<T>) -> PerNode<T> {
        answers.retain(|(node, _)| !(self.forgets)(operation, node));
        answers
    }
}

#[async_trait::async_trait]
impl Fleet for Forgetful {
    fn provider(&self) -> &'static str {
        self.cloud.provider()
    }
    fn capabilities(&self) -> Capabilities {
        self.cloud.capabilities()
    }
    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        self.cloud.nodes(selector)
    }
    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        self.forget("statuses", self.cloud.statuses(nodes).await)
    }
    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        self.forget("set_power", self.cloud.set_power(nodes, target).await)
    }
    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        self.cloud.access(node).await
    }
    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        self.cloud.grant_access(node, grant).await
    }
    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        self.cloud.revert_access(change).await
    }
    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.cloud.merge_tags(node, tags).await
    }
    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.cloud.revert_tags(change).await
    }
    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        self.cloud.submit(request).await
    }
    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        self.cloud.find_operation(token, nodes).await
    }
    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        self.cloud.operation(id).await
    }
    async fn cancel(&self, id: &OperationId) -> Result<()> {
        self.cloud.cancel(id).await
    }
}

type Hook = Arc<dyn Fn(&'static str, &[Event]) -> Fault + Send + Sync>;

/// A journal whose writes can be given faults.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) journal: MemoryJournal,
    hook: Hook,
    pub(crate) forgets: fn(&NodeId) -> bool,
}

impl Faulty {
    pub(crate) fn new(
        journal: MemoryJournal,
        hook: impl Fn(&'static str, &[Event]) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self { journal, hook: Arc::new(hook), forgets: |_| false }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait::async_trait]
impl Journal for Faulty {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.journal.begin(run, holder, term).await
    }
    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.journal.take_over(run, holder, term).await
    }
    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        match (self.hook)("renew", &[]) {
            Fault::Refuse(error) => Err(error),
            _ => self.journal.renew(lease).await,
        }
    }
    async fn release(&self, lease: &RunLease) -> Result<()> {
        self.journal.release(lease).await
    }
    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        match (self.hook)("append", events) {
            Fault::Refuse(error) => Err(error),
            Fault::LoseAnswer(error) => {
                self.journal.append(lease, events).await?;
                Err(error)
            }
            _ => self.journal.append(lease, events).await,
        }
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
        self.journal.order(order, by, reason).await
    }
    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        match (self.hook)("orders", &[]) {
            Fault::Refuse(error) => Err(error),
            _ => self.journal.orders(run).await,
        }
    }
    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        let mut claims = self.journal.claim(lease, nodes).await;
        claims.retain(|(node, _)| !(self.forgets)(node));
        claims
    }
    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        self.journal.unclaim(lease, nodes).await
    }
}
