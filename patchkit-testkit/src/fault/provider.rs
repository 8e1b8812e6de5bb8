//! The four traits, with faults.

use async_trait::async_trait;
use futures::{FutureExt, stream::BoxStream};
use patchkit_core::{
    AccessChange, AccessGrant, Baseline, BaselineId, BaselineSelector, Capabilities,
    ComplianceReport, Fleet, GroupRegistration, ManagedNode, NodeAccess, NodeCompliance, NodeId,
    NodeSelector, NodeStatus, OperatingSystem, OperationId, Patch, PatchBaseline, PatchCompliance,
    PatchGroup, PatchGroupName, PatchOperation, PatchRequest, PerNode, PowerTarget, Provider,
    Result, Scope, SubmitToken, TagChange, Tags,
};

use super::{Call, Faults, call::Answer};

/// A provider whose calls go wrong by plan.
///
/// Implements each of the four traits that the provider inside implements.
///
/// # Behavior
/// - Without a fault every call reaches the provider once, and the caller gets its answer.
/// - `provider` and `capabilities` are no calls: they are not counted, and never go wrong.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use jiff::Timestamp;
/// use patchkit_core::{
///     ErrorKind, FleetExt, NodeSelector, VirtualClock, memory::MemoryCloud,
/// };
/// use patchkit_testkit::fault::{Failure, Fault, FaultPlan, Faults, Faulty};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
/// let plan = FaultPlan::new().at(0, Fault::Refuse(Failure::throttled()));
/// let faults = Faults::new(Arc::new(clock.clone()), plan);
/// let cloud = MemoryCloud::builder().seed(7).nodes(3).clock(clock).build();
/// let fleet = Faulty::new(cloud, faults);
///
/// let error = fleet.collect_nodes(&NodeSelector::all()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Throttled);
/// assert_eq!(fleet.collect_nodes(&NodeSelector::all()).await.unwrap().len(), 3);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faulty<P> {
    inner: P,
    faults: Faults,
}

impl<P> Faulty<P> {
    /// Puts `faults` between the caller and `inner`.
    pub fn new(inner: P, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Fleet> Fleet for Faulty<P> {
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
        self.faults.listing(Call::new("nodes"), || self.inner.nodes(selector))
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        let call = Call::new("statuses").on(nodes);
        self.faults
            .per_node(call, |nodes| async move { self.inner.statuses(&nodes).await }.boxed())
            .await
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        let mut call = Call::new("set_power").on(nodes);
        call.target = Some(target);
        self.faults
            .per_node(call, |nodes| {
                async move { self.inner.set_power(&nodes, target).await }.boxed()
            })
            .await
    }

    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        let call = Call::new("access").on(std::slice::from_ref(node));
        self.faults.call(call, Answer::Second, || self.inner.access(node)).await
    }

    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        let call = Call::new("grant_access").on(std::slice::from_ref(node));
        self.faults.call(call, Answer::First, || self.inner.grant_access(node, grant)).await
    }

    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        let call = Call::new("revert_access").on(std::slice::from_ref(&change.node));
        self.faults.call(call, Answer::Second, || self.inner.revert_access(change)).await
    }

    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        let call = Call::new("merge_tags").on(std::slice::from_ref(node));
        self.faults.call(call, Answer::First, || self.inner.merge_tags(node, tags)).await
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        let call = Call::new("revert_tags").on(std::slice::from_ref(&change.node));
        self.faults.call(call, Answer::Second, || self.inner.revert_tags(change)).await
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        let mut call = Call::new("submit").on(&request.nodes);
        call.act = Some((request.token.clone(), request.action));
        let make = || {
            let request = request.clone();
            async move {
                let token = request.token.clone();
                let operation = self.inner.submit(request).await?;
                // At once: the caller may never get to see the answer.
                self.faults.accepted(&token, &operation);
                Ok(operation)
            }
            .boxed()
        };
        self.faults.call(call, Answer::Second, make).await
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        let call = Call::new("find_operation");
        let make = || {
            async move {
                let found = self.inner.find_operation(token, nodes).await?;
                // The answer to the submission may have been lost further in.
                if let Some(operation) = &found {
                    self.faults.accepted(token, operation);
                }
                Ok(found)
            }
            .boxed()
        };
        self.faults.call(call, Answer::Second, make).await
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        let call = Call::new("operation");
        self.faults.call(call, Answer::Second, || self.inner.operation(id)).await
    }

    async fn cancel(&self, id: &OperationId) -> Result<()> {
        let call = Call::new("cancel");
        self.faults.call(call, Answer::Second, || self.inner.cancel(id)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Baseline> Baseline for Faulty<P> {
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        self.faults.listing(Call::new("baselines"), || self.inner.baselines(selector))
    }

    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        let call = Call::new("baseline");
        self.faults.call(call, Answer::Second, || self.inner.baseline(id)).await
    }

    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
        let call = Call::new("default_baseline");
        self.faults.call(call, Answer::Second, || self.inner.default_baseline(os)).await
    }

    fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        self.faults.listing(Call::new("approved_patches"), || self.inner.approved_patches(id))
    }

    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
        let call = Call::new("create_baseline");
        self.faults.call(call, Answer::Once, || self.inner.create_baseline(draft)).await
    }

    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
        let call = Call::new("update_baseline");
        self.faults.call(call, Answer::First, || self.inner.update_baseline(baseline)).await
    }

    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        let call = Call::new("delete_baseline");
        self.faults.call(call, Answer::Once, || self.inner.delete_baseline(id)).await
    }

    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        let call = Call::new("set_default_baseline");
        self.faults.call(call, Answer::First, || self.inner.set_default_baseline(id)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: PatchGroup> PatchGroup for Faulty<P> {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        self.faults.listing(Call::new("groups"), || self.inner.groups())
    }

    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        self.faults.listing(Call::new("members"), || self.inner.members(group))
    }

    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>> {
        self.faults.listing(Call::new("registrations"), || self.inner.registrations(group))
    }

    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId> {
        let call = Call::new("baseline_for");
        self.faults.call(call, Answer::Second, || self.inner.baseline_for(group, os)).await
    }

    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        let call = Call::new("register");
        self.faults.call(call, Answer::Second, || self.inner.register(group, baseline)).await
    }

    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        let call = Call::new("deregister");
        self.faults.call(call, Answer::Second, || self.inner.deregister(group, baseline)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: ComplianceReport> ComplianceReport for Faulty<P> {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        self.faults.listing(Call::new("summaries"), || self.inner.summaries(selector))
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        let call = Call::new("summary").on(std::slice::from_ref(node));
        self.faults.call(call, Answer::Second, || self.inner.summary(node)).await
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        let call = Call::new("patches").on(std::slice::from_ref(node));
        self.faults.listing(call, || self.inner.patches(node))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Provider> Provider for Faulty<P> {
    fn nodes_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
        let call = Call::new("nodes_with_compliance");
        self.faults.listing(call, || self.inner.nodes_with_compliance(selector))
    }
}
