//! Every call to a provider and to a journal, passed through a tap.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use patchkit_core::{
    AccessChange, AccessGrant, Baseline, BaselineId, BaselineSelector, Capabilities,
    ComplianceReport, Estate, Event, Fleet, GroupRegistration, Journal, ManagedNode, NodeAccess,
    NodeCompliance, NodeId, NodeLease, NodeSelector, NodeStatus, OperatingSystem, OperationId,
    Order, OrderRecord, Patch, PatchBaseline, PatchCompliance, PatchGroup, PatchGroupName,
    PatchOperation, PatchRequest, PerNode, PowerTarget, Provider, Record, Result, RunHead, RunId,
    RunLease, Scope, SubmitToken, TagChange, Tags,
};

use crate::tap::Tap;

/// A provider or a journal behind a tap.
pub(crate) struct Tapped<T> {
    inner: T,
    tap: Arc<Tap>,
}

impl<T> Tapped<T> {
    pub(crate) fn new(inner: T, tap: &Arc<Tap>) -> Self {
        Self { inner, tap: Arc::clone(tap) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Tapped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// The same estate, with a tap before each of its providers: what a fleet over several of them does
/// in one call can be interrupted between its parts.
pub(crate) fn tapped(estate: &Estate, tap: &Arc<Tap>) -> Estate {
    let mut members: Vec<(Arc<dyn Provider>, Vec<Scope>)> = Vec::new();
    for scope in estate.scopes() {
        let provider = estate.scope(scope).unwrap();
        match members.iter_mut().find(|(member, _)| Arc::ptr_eq(member, provider)) {
            Some((_, scopes)) => scopes.push(scope.clone()),
            None => members.push((Arc::clone(provider), vec![scope.clone()])),
        }
    }
    members.into_iter().fold(Estate::new(), |estate, (provider, scopes)| {
        estate.with(scopes, Arc::new(Tapped::new(provider, tap)))
    })
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Fleet> Fleet for Tapped<P> {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn capabilities_for(&self, scope: &Scope) -> Capabilities {
        self.inner.capabilities_for(scope)
    }

    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        self.tap.listing("nodes", self.inner.nodes(selector))
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        self.tap.call("statuses", self.inner.statuses(nodes)).await
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        self.tap.call("set_power", self.inner.set_power(nodes, target)).await
    }

    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        self.tap.call("access", self.inner.access(node)).await
    }

    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        self.tap.call("grant_access", self.inner.grant_access(node, grant)).await
    }

    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        self.tap.call("revert_access", self.inner.revert_access(change)).await
    }

    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.tap.call("merge_tags", self.inner.merge_tags(node, tags)).await
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.tap.call("revert_tags", self.inner.revert_tags(change)).await
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        self.tap.call("submit", self.inner.submit(request)).await
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        self.tap.call("find_operation", self.inner.find_operation(token, nodes)).await
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        self.tap.call("operation", self.inner.operation(id)).await
    }

    async fn cancel(&self, id: &OperationId) -> Result<()> {
        self.tap.call("cancel", self.inner.cancel(id)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Baseline> Baseline for Tapped<P> {
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        self.tap.listing("baselines", self.inner.baselines(selector))
    }

    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        self.tap.call("baseline", self.inner.baseline(id)).await
    }

    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
        self.tap.call("default_baseline", self.inner.default_baseline(os)).await
    }

    fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        self.tap.listing("approved_patches", self.inner.approved_patches(id))
    }

    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
        self.tap.call("create_baseline", self.inner.create_baseline(draft)).await
    }

    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
        self.tap.call("update_baseline", self.inner.update_baseline(baseline)).await
    }

    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        self.tap.call("delete_baseline", self.inner.delete_baseline(id)).await
    }

    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        self.tap.call("set_default_baseline", self.inner.set_default_baseline(id)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: PatchGroup> PatchGroup for Tapped<P> {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        self.tap.listing("groups", self.inner.groups())
    }

    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        self.tap.listing("members", self.inner.members(group))
    }

    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>> {
        self.tap.listing("registrations", self.inner.registrations(group))
    }

    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId> {
        self.tap.call("baseline_for", self.inner.baseline_for(group, os)).await
    }

    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        self.tap.call("register", self.inner.register(group, baseline)).await
    }

    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        self.tap.call("deregister", self.inner.deregister(group, baseline)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: ComplianceReport> ComplianceReport for Tapped<P> {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        self.tap.listing("summaries", self.inner.summaries(selector))
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        self.tap.call("summary", self.inner.summary(node)).await
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        self.tap.listing("patches", self.inner.patches(node))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Provider> Provider for Tapped<P> {
    fn nodes_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
        self.tap.listing("nodes_with_compliance", self.inner.nodes_with_compliance(selector))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<J: Journal> Journal for Tapped<J> {
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.tap.call("begin", self.inner.begin(run, holder, term)).await
    }

    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
        self.tap.call("take_over", self.inner.take_over(run, holder, term)).await
    }

    async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
        self.tap.call("renew", self.inner.renew(lease)).await
    }

    async fn release(&self, lease: &RunLease) -> Result<()> {
        self.tap.call("release", self.inner.release(lease)).await
    }

    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
        self.tap.call("append", self.inner.append(lease, events)).await
    }

    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
        self.tap.listing("events", self.inner.events(run))
    }

    fn runs(&self) -> BoxStream<'static, Result<RunId>> {
        self.tap.listing("runs", self.inner.runs())
    }

    async fn head(&self, run: &RunId) -> Result<RunHead> {
        self.tap.call("head", self.inner.head(run)).await
    }

    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
        self.tap.call("order", self.inner.order(order, by, reason)).await
    }

    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
        self.tap.call("orders", self.inner.orders(run)).await
    }

    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
        self.tap.call("claim", self.inner.claim(lease, nodes)).await
    }

    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
        self.tap.call("unclaim", self.inner.unclaim(lease, nodes)).await
    }
}
