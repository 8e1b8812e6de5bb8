//! The fleet: nodes, their access, tags and power, and the acts that are submitted to them.

use std::{collections::BTreeSet, fmt, num::NonZeroUsize};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use crate::{
    AccessChange, AccessGrant, Error, ManagedNode, NodeAccess, NodeId, NodeSelector, NodeStatus,
    OperationId, PatchOperation, PatchRequest, PerNode, PowerTarget, Result, Scope, SubmitToken,
    TagChange, Tags,
};

/// The nodes of one provider.
///
/// Ids go in, plain data comes out; nothing keeps a connection to one node. Implementations are
/// cheap to clone or live behind an [`Arc`](std::sync::Arc), for which the trait is implemented.
/// What a provider cannot do answers [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) and
/// changes nothing, as [`capabilities`](Self::capabilities) said beforehand.
///
/// # Example
/// ```
/// use futures::TryStreamExt;
/// use patchkit_core::{Fleet, NodeSelector, PowerState, memory::MemoryCloud};
///
/// # futures::executor::block_on(async {
/// let fleet = MemoryCloud::builder().seed(7).nodes(30).build();
/// let stopped: Vec<_> =
///     fleet.nodes(&NodeSelector::all().with_power([PowerState::Stopped])).try_collect().await?;
/// assert!(stopped.iter().all(|node| node.power == PowerState::Stopped));
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Fleet: fmt::Debug + Send + Sync + 'static {
    /// The provider's name, as it stands in scopes and errors.
    fn provider(&self) -> &'static str;

    /// What this provider can do.
    ///
    /// # Behavior
    /// - What is off in it answers `Unsupported` and changes nothing.
    fn capabilities(&self) -> Capabilities;

    /// What this provider can do in one of its scopes.
    ///
    /// A fleet of one provider can do the same everywhere. Where the scopes differ, as in an
    /// [`Estate`](crate::Estate), [`capabilities`](Self::capabilities) is what any of them can do.
    fn capabilities_for(&self, scope: &Scope) -> Capabilities {
        let _ = scope;
        self.capabilities()
    }

    /// Lists the nodes that `selector` takes.
    ///
    /// # Behavior
    /// - Every node comes once, over however many pages.
    /// - No order is promised.
    /// - An empty fleet is an empty stream.
    /// - A selector never widens: an empty list in it selects nothing.
    /// - A resource group is asked for anew by each listing. One that is not there is `NotFound`,
    ///   never an empty one; a provider without resource groups answers `Unsupported`.
    /// - A node whose agent does not answer says why, as far as the listing tells; one whose agent
    ///   answers has no reason.
    /// - An error on a later page comes after the nodes of the earlier ones.
    /// - An error that names a [scope](Error::scope) is about that scope alone, and the listing goes
    ///   on; any other is the last.
    /// - Dropping the stream stops the requests.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unauthenticated`, `Throttled`, `Malformed`; `NotFound` and `Unsupported`
    /// for a resource group.
    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>>;

    /// Reads power and reachability of some nodes with as few calls as there are.
    ///
    /// # Behavior
    /// - One answer for each node asked for, in the order asked.
    /// - A node that does not exist is `NotFound`; the others are answered.
    ///
    /// # Errors
    /// Per node: `NotFound`, `PermissionDenied`, `Throttled`.
    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus>;

    /// Starts or stops some nodes; returns when the provider has accepted, not when it is done.
    ///
    /// # Behavior
    /// - Only the nodes named are touched.
    /// - A node that is in the state already, or on its way there, is not an error.
    /// - A node whose power the provider does not hold (hybrid) is `Unsupported`.
    ///
    /// # Errors
    /// Per node: `NotFound`, `Unsupported`, `Conflict`, `PermissionDenied`, `Throttled`, `Timeout`
    /// (the outcome is then unknown: read [`statuses`](Self::statuses)).
    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()>;

    /// Tells whether the node may talk to its management service, and what is missing.
    ///
    /// # Behavior
    /// - Reads only.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `PermissionDenied`.
    async fn access(&self, node: &NodeId) -> Result<NodeAccess>;

    /// Gives the node what [`access`](Self::access) found missing.
    ///
    /// # Behavior
    /// - A node that has access is left alone: the change returned is empty.
    /// - The change lists what was done, and [`revert_access`](Self::revert_access) undoes just that.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `Conflict` (a profile is there and may not be replaced),
    /// `PermissionDenied`.
    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange>;

    /// Takes back what [`grant_access`](Self::grant_access) did.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    ///
    /// # Errors
    /// As [`grant_access`](Self::grant_access).
    async fn revert_access(&self, change: &AccessChange) -> Result<()>;

    /// Sets the tags given and leaves every other tag as it is.
    ///
    /// # Behavior
    /// - Tags that are there with the value wanted are not in the change returned.
    /// - [`revert_tags`](Self::revert_tags) restores the values from before.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `InvalidInput` (too many tags), `PermissionDenied`.
    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange>;

    /// Restores the tags that [`merge_tags`](Self::merge_tags) changed.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    ///
    /// # Errors
    /// As [`merge_tags`](Self::merge_tags).
    async fn revert_tags(&self, change: &TagChange) -> Result<()>;

    /// Hands an act to the provider and returns its id; the act goes on by itself.
    ///
    /// # Behavior
    /// - The same token twice is one act: the second call returns the first one's id.
    /// - More nodes than `Capabilities::max_nodes_per_operation`, none, or nodes of more than one
    ///   scope are `InvalidInput`.
    /// - An unknown node is `NotFound`, and nothing is started on the others.
    /// - A call whose answer is lost is `Timeout`, never retryable: see
    ///   [`find_operation`](Self::find_operation).
    ///
    /// # Errors
    /// `InvalidInput`, `NotFound`, `Unsupported`, `PermissionDenied`, `Throttled` (nothing was
    /// started), `Timeout` (unknown).
    ///
    /// An error that names a node says that nothing was started on the others either, but for the
    /// unclear ones: `Timeout`, `Malformed`, `Cancelled`, `Unexpected`. The workflows submit again
    /// without the node that is named.
    ///
    /// # Cancellation
    /// When the future is dropped the act may or may not have started; the token tells.
    async fn submit(&self, request: PatchRequest) -> Result<OperationId>;

    /// Finds the act that was submitted with `token` for `nodes`, or these among others, when the
    /// answer to `submit` was lost.
    ///
    /// The nodes tell where to look: a token does not name its scope, and some services keep acts
    /// by node.
    ///
    /// # Behavior
    /// - `None` when the provider knows of none; services tell late, so ask again before believing.
    ///
    /// # Errors
    /// `Unsupported`, `PermissionDenied`, `Throttled`.
    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>>;

    /// Reads how far an act has come.
    ///
    /// # Behavior
    /// - A submitted act reaches a final status.
    /// - An unknown id is `NotFound`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`.
    async fn operation(&self, id: &OperationId) -> Result<PatchOperation>;

    /// Asks an act to stop.
    ///
    /// # Behavior
    /// - A finished act is not an error, and stays as it ended.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `PermissionDenied`, `Throttled`.
    async fn cancel(&self, id: &OperationId) -> Result<()>;
}

/// What a provider can do; what it cannot answers `Unsupported`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Starts and stops nodes.
    pub power: bool,
    /// Tells a stopped node from a deallocated one.
    pub deallocate: bool,
    /// Checks and grants access to the management service.
    pub access: bool,
    /// Reads and merges tags.
    pub tags: bool,
    /// Updates the management agent.
    pub update_agent: bool,
    /// Applies associations again.
    pub refresh_associations: bool,
    /// Cancels acts.
    pub cancel: bool,
    /// Finds an act by its token.
    pub find_operation: bool,
    /// Creates, changes and deletes baselines.
    pub write_baselines: bool,
    /// Registers baselines for patch groups.
    pub write_groups: bool,
    /// Selects nodes by resource group.
    pub resource_groups: bool,
    /// Installs what a node's last scan found, so that one has to be there: workflows scan before an
    /// install where the last scan is too old.
    pub scan_before_install: bool,
    /// How many nodes one `submit` takes.
    pub max_nodes_per_operation: NonZeroUsize,
    /// How many nodes one `statuses`, `set_power` or listing by ids takes.
    pub max_nodes_per_call: NonZeroUsize,
}

const FIFTY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49);

impl Capabilities {
    /// A provider that only reads, 50 nodes at a time.
    pub fn read_only() -> Self {
        Self {
            power: false,
            deallocate: false,
            access: false,
            tags: false,
            update_agent: false,
            refresh_associations: false,
            cancel: false,
            find_operation: false,
            write_baselines: false,
            write_groups: false,
            resource_groups: false,
            scan_before_install: false,
            max_nodes_per_operation: FIFTY,
            max_nodes_per_call: FIFTY,
        }
    }

    /// A provider that can do everything, 50 nodes at a time.
    pub fn full() -> Self {
        Self {
            power: true,
            deallocate: true,
            access: true,
            tags: true,
            update_agent: true,
            refresh_associations: true,
            cancel: true,
            find_operation: true,
            write_baselines: true,
            write_groups: true,
            resource_groups: true,
            ..Self::read_only()
        }
    }
}

/// Conveniences over [`Fleet`]; implemented for every fleet, not to be implemented.
#[async_trait]
pub trait FleetExt: Fleet {
    /// One node, or `NotFound`.
    async fn node(&self, id: &NodeId) -> Result<ManagedNode> {
        let mut nodes = self.nodes(&NodeSelector::ids([id.clone()]));
        match nodes.next().await {
            Some(node) => node,
            None => {
                Err(Error::not_found(self.provider(), "node", "the node").with_node(id.clone()))
            }
        }
    }

    /// All nodes of a selector, each once, sorted by id; stops at the first error.
    async fn collect_nodes(&self, selector: &NodeSelector) -> Result<Vec<ManagedNode>> {
        let mut nodes: Vec<ManagedNode> = self.nodes(selector).try_collect().await?;
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        // A fleet that changes while it is paged through can show a node twice.
        nodes.dedup_by(|a, b| a.id == b.id);
        Ok(nodes)
    }

    /// Power and reachability of one node.
    async fn status(&self, id: &NodeId) -> Result<NodeStatus> {
        only(self, "status", id, self.statuses(std::slice::from_ref(id)).await)
    }

    /// Starts or stops one node.
    async fn power(&self, id: &NodeId, target: PowerTarget) -> Result<()> {
        only(self, "power", id, self.set_power(std::slice::from_ref(id), target).await)
    }

    /// Splits `nodes` as one operation takes them: by scope, and no more than the provider's limit.
    fn chunks(&self, nodes: &[NodeId]) -> Vec<Vec<NodeId>> {
        split(nodes, |scope| self.capabilities_for(scope).max_nodes_per_operation)
    }

    /// Splits `nodes` as one call about power, statuses or compliance takes them: by scope, and no
    /// more than the provider's limit.
    ///
    /// A service may take an act for one node alone, and tell of a thousand in one answer.
    fn call_chunks(&self, nodes: &[NodeId]) -> Vec<Vec<NodeId>> {
        split(nodes, |scope| self.capabilities_for(scope).max_nodes_per_call)
    }
}

impl<F: Fleet + ?Sized> FleetExt for F {}

fn split(nodes: &[NodeId], most_in: impl Fn(&Scope) -> NonZeroUsize) -> Vec<Vec<NodeId>> {
    let sorted: BTreeSet<(_, &NodeId)> = nodes.iter().map(|id| (id.scope(), id)).collect();
    let mut chunks: Vec<Vec<NodeId>> = Vec::new();
    let mut most = NonZeroUsize::MIN;
    for (scope, id) in sorted {
        match chunks.last_mut() {
            Some(chunk) if chunk[0].scope() == scope => {
                if chunk.len() < most.get() {
                    chunk.push(id.clone());
                } else {
                    chunks.push(vec![id.clone()]);
                }
            }
            _ => {
                most = most_in(scope);
                chunks.push(vec![id.clone()]);
            }
        }
    }
    chunks
}

fn only<F: Fleet + ?Sized, T>(
    fleet: &F,
    operation: &'static str,
    id: &NodeId,
    answers: PerNode<T>,
) -> Result<T> {
    match answers.into_iter().find(|(node, _)| node == id) {
        Some((_, answer)) => answer,
        None => Err(Error::new(
            crate::ErrorKind::Malformed,
            fleet.provider(),
            operation,
            "the answer leaves out the node",
        )
        .with_node(id.clone())),
    }
}
