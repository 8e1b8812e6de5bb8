//! A wrapper that counts the calls of the workflows, and those under way.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use patchkit_core::{
    AccessChange, AccessGrant, Capabilities, Clock, ComplianceReport, Estate, Fleet, ManagedNode,
    NodeAccess, NodeCompliance, NodeId, NodeSelector, NodeStatus, OperationId, PatchCompliance,
    PatchOperation, PatchRequest, PerNode, PowerTarget, Result, Scope, SubmitToken, TagChange,
    Tags, VirtualClock,
};

/// An estate of which every call takes a second.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    estate: Estate,
    clock: VirtualClock,
    count: Arc<Mutex<Count>>,
}

#[derive(Debug, Default)]
struct Count {
    calls: BTreeMap<&'static str, usize>,
    under_way: usize,
    most: usize,
}

/// A call that is under way.
struct UnderWay(Arc<Mutex<Count>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap().under_way -= 1;
    }
}

impl Counting {
    pub(crate) fn new(estate: Estate, clock: VirtualClock) -> Self {
        Self { estate, clock, count: Arc::default() }
    }

    /// The most calls that were under way at once.
    pub(crate) fn most(&self) -> usize {
        self.count.lock().unwrap().most
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.count.lock().unwrap().calls.get(operation).copied().unwrap_or(0)
    }

    fn enter(&self, operation: &'static str) -> UnderWay {
        let mut count = self.count.lock().unwrap();
        *count.calls.entry(operation).or_default() += 1;
        count.under_way += 1;
        count.most = count.most.max(count.under_way);
        UnderWay(Arc::clone(&self.count))
    }

    async fn call<T>(&self, operation: &'static str, call: impl Future<Output = T>) -> T {
        let _under_way = self.enter(operation);
        self.clock.sleep(Duration::from_secs(1)).await;
        call.await
    }

    fn listing<T: Send + 'static>(
        &self,
        operation: &'static str,
        rows: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let this = self.clone();
        async move {
            let under_way = this.enter(operation);
            this.clock.sleep(Duration::from_secs(1)).await;
            rows.inspect(move |_| {
                let _ = &under_way;
            })
        }
        .flatten_stream()
        .boxed()
    }
}

#[async_trait::async_trait]
impl Fleet for Counting {
    fn provider(&self) -> &'static str {
        self.estate.provider()
    }
    fn capabilities(&self) -> Capabilities {
        self.estate.capabilities()
    }
    fn capabilities_for(&self, scope: &Scope) -> Capabilities {
        self.estate.capabilities_for(scope)
    }
    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        self.listing("nodes", self.estate.nodes(selector))
    }
    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        self.call("statuses", self.estate.statuses(nodes)).await
    }
    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        self.call("set_power", self.estate.set_power(nodes, target)).await
    }
    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        self.call("access", self.estate.access(node)).await
    }
    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        self.call("grant_access", self.estate.grant_access(node, grant)).await
    }
    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        self.call("revert_access", self.estate.revert_access(change)).await
    }
    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.call("merge_tags", self.estate.merge_tags(node, tags)).await
    }
    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.call("revert_tags", self.estate.revert_tags(change)).await
    }
    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        self.call("submit", self.estate.submit(request)).await
    }
    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        self.call("find_operation", self.estate.find_operation(token, nodes)).await
    }
    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        self.call("operation", self.estate.operation(id)).await
    }
    async fn cancel(&self, id: &OperationId) -> Result<()> {
        self.call("cancel", self.estate.cancel(id)).await
    }
}

#[async_trait::async_trait]
impl ComplianceReport for Counting {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        self.listing("summaries", self.estate.summaries(selector))
    }
    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        self.call("summary", self.estate.summary(node)).await
    }
    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        self.listing("patches", self.estate.patches(node))
    }
}
