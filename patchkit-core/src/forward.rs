//! The four traits, and those of journal and ledger, for `Arc<T>` and `Box<T>`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    AccessChange, AccessGrant, Baseline, BaselineId, BaselineSelector, Book, Capabilities,
    ComplianceReport, Entry, Event, Fleet, GroupRegistration, Journal, Ledger, ManagedNode,
    NodeAccess, NodeCompliance, NodeId, NodeLease, NodeSelector, NodeStatus, OperatingSystem,
    OperationId, Order, OrderRecord, Patch, PatchBaseline, PatchCompliance, PatchGroup,
    PatchGroupName, PatchOperation, PatchRequest, PerNode, PowerTarget, Provider, Record, Result,
    RunHead, RunId, RunLease, Scope, SubmitToken, TagChange, Tags,
};

macro_rules! forward {
    ($($pointer:ident)+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Fleet + ?Sized> Fleet for $pointer<T> {
            fn provider(&self) -> &'static str {
                (**self).provider()
            }
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            fn capabilities_for(&self, scope: &Scope) -> Capabilities {
                (**self).capabilities_for(scope)
            }
            fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
                (**self).nodes(selector)
            }
            async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
                (**self).statuses(nodes).await
            }
            async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
                (**self).set_power(nodes, target).await
            }
            async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
                (**self).access(node).await
            }
            async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
                (**self).grant_access(node, grant).await
            }
            async fn revert_access(&self, change: &AccessChange) -> Result<()> {
                (**self).revert_access(change).await
            }
            async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
                (**self).merge_tags(node, tags).await
            }
            async fn revert_tags(&self, change: &TagChange) -> Result<()> {
                (**self).revert_tags(change).await
            }
            async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
                (**self).submit(request).await
            }
            async fn find_operation(
                &self,
                token: &SubmitToken,
                nodes: &[NodeId],
            ) -> Result<Option<OperationId>> {
                (**self).find_operation(token, nodes).await
            }
            async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
                (**self).operation(id).await
            }
            async fn cancel(&self, id: &OperationId) -> Result<()> {
                (**self).cancel(id).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Baseline + ?Sized> Baseline for $pointer<T> {
            fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
                (**self).baselines(selector)
            }
            async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
                (**self).baseline(id).await
            }
            async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
                (**self).default_baseline(os).await
            }
            fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>> {
                (**self).approved_patches(id)
            }
            async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
                (**self).create_baseline(draft).await
            }
            async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
                (**self).update_baseline(baseline).await
            }
            async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
                (**self).delete_baseline(id).await
            }
            async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
                (**self).set_default_baseline(id).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: PatchGroup + ?Sized> PatchGroup for $pointer<T> {
            fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
                (**self).groups()
            }
            fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
                (**self).members(group)
            }
            fn registrations(&self, group: &PatchGroupName) -> BoxStream<'static, Result<GroupRegistration>> {
                (**self).registrations(group)
            }
            async fn baseline_for(&self, group: &PatchGroupName, os: &OperatingSystem) -> Result<BaselineId> {
                (**self).baseline_for(group, os).await
            }
            async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
                (**self).register(group, baseline).await
            }
            async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
                (**self).deregister(group, baseline).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: ComplianceReport + ?Sized> ComplianceReport for $pointer<T> {
            fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
                (**self).summaries(selector)
            }
            async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
                (**self).summary(node).await
            }
            fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
                (**self).patches(node)
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: Provider + ?Sized> Provider for $pointer<T> {
            fn nodes_with_compliance(
                &self,
                selector: &NodeSelector,
            ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
                (**self).nodes_with_compliance(selector)
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Journal + ?Sized> Journal for $pointer<T> {
            async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
                (**self).begin(run, holder, term).await
            }
            async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease> {
                (**self).take_over(run, holder, term).await
            }
            async fn renew(&self, lease: &RunLease) -> Result<RunLease> {
                (**self).renew(lease).await
            }
            async fn release(&self, lease: &RunLease) -> Result<()> {
                (**self).release(lease).await
            }
            async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()> {
                (**self).append(lease, events).await
            }
            fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>> {
                (**self).events(run)
            }
            fn runs(&self) -> BoxStream<'static, Result<RunId>> {
                (**self).runs()
            }
            async fn head(&self, run: &RunId) -> Result<RunHead> {
                (**self).head(run).await
            }
            async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()> {
                (**self).order(order, by, reason).await
            }
            async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>> {
                (**self).orders(run).await
            }
            async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease> {
                (**self).claim(lease, nodes).await
            }
            async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
                (**self).unclaim(lease, nodes).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Ledger + ?Sized> Ledger for $pointer<T> {
            async fn enter(&self, book: Book, entries: &[serde_json::Value]) -> Result<()> {
                (**self).enter(book, entries).await
            }
            fn entries(&self, book: Book, after: Option<u64>) -> BoxStream<'static, Result<Entry>> {
                (**self).entries(book, after)
            }
        }
    )+};
}

forward!(Arc Box);

const _: fn(&dyn Fleet, &dyn Baseline, &dyn PatchGroup, &dyn ComplianceReport) = |_, _, _, _| {};
const _: fn(&dyn Journal, &dyn Ledger) = |_, _| {};
