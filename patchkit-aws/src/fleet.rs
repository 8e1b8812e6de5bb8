//! The nodes of one account and Region: instances of EC2 and hybrid nodes as one listing.

mod information;
#[cfg(feature = "ec2")]
pub(crate) mod instances;
mod tagging;
#[cfg(not(feature = "ec2"))]
mod without_ec2;
#[cfg(not(feature = "resource-groups"))]
mod without_resource_groups;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccessChange, AccessGrant, Capabilities, Error, Fleet, ManagedNode, NodeAccess, NodeId,
    NodeSelector, NodeStatus, OperationId, PatchOperation, PatchRequest, PerNode, PowerState,
    PowerTarget, Result, SubmitToken, TagChange, Tags, listing::until_error,
};

#[cfg(not(feature = "ec2"))]
use crate::convert;
use crate::{Ssm, client::Client, error::PROVIDER};

/// How many calls of one listing are under way at once. The budget paces them; this bounds memory.
const AT_ONCE: usize = 4;

/// The nodes of an account and Region.
///
/// An instance is known by EC2, which tells of its power and its tags, and by Systems Manager, once
/// its agent has registered; a hybrid node (`mi-…`) by Systems Manager alone.
///
/// # Behavior
/// - Stopped instances are listed too, which Systems Manager hides; what their agents said last is
///   read from the inventory.
/// - An instance without a managed agent is listed with reachability `Unknown`.
/// - Terminated instances are listed when their id or their power is asked for.
/// - A spot instance and one of an Auto Scaling group are not stopped or started: `Conflict` says
///   why.
#[async_trait]
impl Fleet for Ssm {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::full();
        can.deallocate = false;
        can.power = cfg!(feature = "ec2");
        can.access = cfg!(feature = "ec2");
        can.resource_groups = cfg!(feature = "resource-groups");
        can
    }

    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        let scope = self.scope();
        let elsewhere = selector.accounts.as_ref().is_some_and(|it| !it.contains(scope.account()))
            || selector.regions.as_ref().is_some_and(|it| !it.contains(scope.region()));
        if elsewhere {
            return stream::empty().boxed();
        }
        if let Some(groups) = &selector.resource_groups {
            return self.in_resource_groups(groups, selector);
        }
        self.listed(selector)
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        let client = &self.client;
        let (ours, ids) = client.sort_out(nodes);
        let known = client.statuses(&ids).await;
        answer(nodes, &ours, "statuses", |id| match &known {
            Ok(known) => known.get(id).cloned().map(Ok),
            Err(error) => Some(Err(again(error))),
        })
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        self.change_power(nodes, target).await
    }

    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        self.check_access(node).await
    }

    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        self.give_access(node, grant).await
    }

    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        self.take_access_back(change).await
    }

    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.merge_node_tags(node, tags).await
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.revert_node_tags(change).await
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        self.submit_command(request).await
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        _: &[NodeId],
    ) -> Result<Option<OperationId>> {
        self.find_command(token).await
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        self.command(id).await
    }

    async fn cancel(&self, id: &OperationId) -> Result<()> {
        self.cancel_command(id).await
    }
}

impl Ssm {
    /// The nodes of a selector that names no resource group.
    pub(crate) fn listed(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        let selector = Arc::new(selector.clone());
        let wanted = Arc::clone(&selector);
        until_error(self.known_to_ec2(&selector).chain(self.hybrid(&selector)))
            .try_filter(move |node| std::future::ready(wanted.matches(node)))
            .boxed()
    }

    /// The instances that EC2 knows; without EC2, those that Systems Manager does.
    #[cfg(feature = "ec2")]
    fn known_to_ec2(
        &self,
        selector: &Arc<NodeSelector>,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        self.client.instances(selector)
    }

    #[cfg(not(feature = "ec2"))]
    fn known_to_ec2(
        &self,
        selector: &Arc<NodeSelector>,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        self.client.managed(selector, information::Kind::Instance)
    }

    fn hybrid(&self, selector: &Arc<NodeSelector>) -> BoxStream<'static, Result<ManagedNode>> {
        // Its power is not AWS's to know.
        if selector.power.as_ref().is_some_and(|states| !states.contains(&PowerState::Unknown)) {
            return stream::empty().boxed();
        }
        self.client.managed(selector, information::Kind::Hybrid)
    }
}

impl Client {
    /// Which of the nodes are of this scope, and their ids, each once.
    pub(crate) fn sort_out<'a>(&self, nodes: &'a [NodeId]) -> (Vec<&'a NodeId>, Vec<String>) {
        let ours: Vec<&NodeId> = nodes.iter().filter(|node| *node.scope() == self.scope).collect();
        let mut ids: Vec<String> = ours.iter().map(|node| node.resource().to_owned()).collect();
        ids.sort_unstable();
        ids.dedup();
        (ours, ids)
    }

    async fn statuses(self: &Arc<Self>, ids: &[String]) -> Result<BTreeMap<String, NodeStatus>> {
        let at = self.now();
        let infos = self.information_of(ids).await?;
        #[cfg(feature = "ec2")]
        {
            let machines: Vec<String> = ids.iter().filter(|id| !is_hybrid(id)).cloned().collect();
            let instances = self.instances_by_id(&machines).await?;
            Ok(instances::join_statuses(ids, &infos, &instances, at))
        }
        #[cfg(not(feature = "ec2"))]
        Ok(ids
            .iter()
            .filter_map(|id| {
                let info = infos.get(id)?;
                Some((id.clone(), convert::node::status(info, PowerState::Unknown, at)))
            })
            .collect())
    }
}

pub(crate) fn is_hybrid(id: &str) -> bool {
    id.starts_with("mi-")
}

/// One answer for each node asked for, in the order asked; `NotFound` for one that is of another
/// scope, or that `known` says nothing of.
pub(crate) fn answer<T>(
    nodes: &[NodeId],
    ours: &[&NodeId],
    operation: &'static str,
    mut known: impl FnMut(&str) -> Option<Result<T>>,
) -> PerNode<T> {
    let not_found =
        |node: &NodeId| Error::not_found(PROVIDER, operation, "the node").with_node(node.clone());
    nodes
        .iter()
        .map(|node| {
            let found = ours.contains(&node).then(|| known(node.resource())).flatten();
            let answer = found.unwrap_or_else(|| Err(not_found(node)));
            (node.clone(), answer.map_err(|error| error.with_node(node.clone())))
        })
        .collect()
}

/// The same error once more: one call that failed answers for many nodes.
pub(crate) fn again(error: &Error) -> Error {
    let copy =
        Error::new(error.kind(), error.provider(), error.operation(), error.message().to_owned())
            .with_retry(error.retry());
    match error.request_id() {
        Some(id) => copy.with_request_id(id),
        None => copy,
    }
}
