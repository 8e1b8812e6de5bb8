//! The nodes of some subscriptions: virtual machines, instances of scale sets and Arc machines as one
//! listing.

mod addresses;
mod machines;
pub(crate) mod query;
mod scale_set;
mod schedules;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccessChange, AccessGrant, Capabilities, Error, Fleet, ManagedNode, NodeAccess, NodeId,
    NodeSelector, NodeStatus, OperationId, PatchOperation, PatchRequest, PerNode, PowerTarget,
    Result, Scope, SubmitToken, TagChange, Tags,
};
use serde_json::Value;

pub use self::addresses::Addresses;
pub(crate) use self::{scale_set::why_not_patched, schedules::Schedules};
use crate::{
    MachineKind, UpdateManager,
    baseline::Choice,
    bridge::reply,
    client::Client,
    convert,
    error::{Call, PROVIDER},
    ids::{EVERYWHERE, scope},
    limit::{Charge, Quota},
};

/// How many calls about single machines are under way at once. The budget paces them; this bounds
/// memory.
pub(crate) const AT_ONCE: usize = 8;

/// As many nodes as one call takes, and as are asked one by one for their status.
const FEW: usize = 50;

const ARC_GET: &str = "Machines_Get";
/// The version of HybridCompute's API that has its patch operations.
pub(crate) const ARC_VERSION: &str = "2024-07-10";

/// The nodes of some subscriptions.
///
/// # Behavior
/// - A listing is a query of Resource Graph for each thousand machines, which lags some minutes behind:
///   power and tags are as it knows them. It asks a machine itself only where that one runs and nothing
///   is known of its agent.
/// - [`statuses`](Fleet::statuses) of up to fifty nodes are read from each machine, and of the moment;
///   of more at once they are Resource Graph's. Who waits for power asks for fifty at a time.
/// - Instances of flexible scale sets are virtual machines. Those of uniform ones are listed, and
///   neither patched nor started nor stopped: their set does that.
/// - An Arc machine's power is unknown, and `Unsupported` to change.
/// - A subscription of which nothing can be seen is an error of the scope `azure/<subscription>/global`,
///   or of each location that the selector names.
/// - A row that cannot be read is an error of its node's scope.
/// - A node has the [schedules](ManagedNode::schedules) of Update Manager by which Azure patches it by
///   itself, as they were in the last five minutes, for two calls in each subscription. Where they
///   cannot be read there is one that says so: it may be patched by any.
/// - A node has its addresses where [`with_addresses`](UpdateManager::with_addresses) says so.
/// - A resource group is Azure's own; it must be in one of the subscriptions.
/// - An act is on one machine, and known by the machine and its time: Azure keeps no token. Who submits
///   reads the machine first. What began there since the token was made is the token's act, and is not
///   sent again; where something else goes on, the machine is refused as `Conflict`.
/// - A token that tells no time ([`SubmitToken::stamped`]) is found again by the process alone that sent it.
/// - What an install brings is said by [`InstallOptions`](crate::InstallOptions), or where
///   [baselines](crate::Baselines) decide by the machine's: it is evaluated against what the last assessment
///   found, and Azure is sent the names of what it approves and nothing else. Without an assessment of the last
///   seven days, as long as Azure keeps one, the install is a `Conflict`; workflows scan before where theirs
///   is too old. Where nothing is approved nothing is sent, and the act is over at once, and well; it fails
///   where something is approved that Azure has no name for.
/// - What an install brought is told by [`install_result`](UpdateManager::install_result).
/// - No act is cancelled: neither Compute nor Arc has a call for it, and Microsoft.Maintenance ends the runs
///   of schedules alone ("Apply Updates - Create Or Update Or Cancel").
/// - Access is not checked: a VM's agent needs no identity for being patched.
#[async_trait]
impl Fleet for UpdateManager {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::read_only();
        can.power = true;
        can.deallocate = true;
        can.tags = true;
        can.resource_groups = true;
        can.write_baselines = self.home.is_some();
        can.write_groups = self.home.is_some();
        can.find_operation = true;
        can.scan_before_install = !matches!(self.choice, Choice::Azure);
        can.max_nodes_per_operation = NonZeroUsize::MIN;
        can.max_nodes_per_call = NonZeroUsize::new(FEW).unwrap_or(NonZeroUsize::MIN);
        can
    }

    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        let nodes = self.machines(selector).map_ok(|machine| machine.node).boxed();
        let nodes = self.add_addresses(selector, nodes, |node| node);
        self.with_schedules(nodes, |node| node)
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        let known = if nodes.len() > FEW { self.survey(nodes).await } else { BTreeMap::new() };
        let client = &self.client;
        let read = |node: NodeId| {
            let known = known.get(&node).cloned();
            async move {
                let status = match known {
                    Some(status) => Ok(status),
                    None => client.status(&node).await,
                };
                (node, status)
            }
        };
        stream::iter(nodes.to_vec()).map(read).buffered(AT_ONCE).collect().await
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        self.change_power(nodes, target).await
    }

    async fn access(&self, _: &NodeId) -> Result<NodeAccess> {
        Err(Error::unsupported(PROVIDER, "access"))
    }

    async fn grant_access(&self, _: &NodeId, _: &AccessGrant) -> Result<AccessChange> {
        Err(Error::unsupported(PROVIDER, "grant_access"))
    }

    async fn revert_access(&self, _: &AccessChange) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "revert_access"))
    }

    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.merge_node_tags(node, tags).await
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.revert_node_tags(change).await
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        self.submit_act(&request).await
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        self.find_act(token, nodes).await
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        self.act(id).await
    }

    async fn cancel(&self, _: &OperationId) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "cancel"))
    }
}

impl UpdateManager {
    /// The scopes that an [`Estate`](patchkit_core::Estate) is made of: each location that has machines, and
    /// `azure/<subscription>/global` of each subscription.
    ///
    /// The latter has no nodes. An estate hears by it of what has no location: a subscription that cannot
    /// be seen, a row that cannot be read.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unauthenticated`, `Throttled`, `Malformed`.
    pub async fn scopes(&self) -> Result<Vec<Scope>> {
        let query = "resources\n\
                     | where type in~ ('microsoft.compute/virtualmachines', \
                     'microsoft.compute/virtualmachinescalesets', 'microsoft.hybridcompute/machines')\n\
                     | summarize count() by subscriptionId, location";
        let subscriptions = self.subscriptions();
        // Azure has fewer than a hundred locations.
        let mut rows = self.client.summary(query.to_owned(), &subscriptions, 10);
        let mut scopes = subscriptions
            .iter()
            .map(|subscription| scope(subscription, EVERYWHERE))
            .collect::<Result<BTreeSet<Scope>>>()?;
        while let Some(row) = rows.try_next().await? {
            let part = |path| convert::node::text(&row, path).unwrap_or_default();
            if let Some(subscription) = self.client.subscription(part("/subscriptionId")) {
                scopes.insert(scope(subscription, part("/location"))?);
            }
        }
        Ok(scopes.into_iter().collect())
    }

    /// What Resource Graph knows of many nodes. Where it fails, nothing: each is then asked itself.
    async fn survey(&self, nodes: &[NodeId]) -> BTreeMap<NodeId, NodeStatus> {
        let mut known = BTreeMap::new();
        let mut listing = self.machines(&NodeSelector::ids(nodes.iter().cloned()));
        while let Some(machine) = listing.next().await {
            match machine {
                Ok(machine) => {
                    let ManagedNode { id, power, reachability, agent_version, observed_at, .. } =
                        machine.node;
                    let mut status = NodeStatus::new(power, reachability, observed_at);
                    status.agent_version = agent_version;
                    known.insert(id, status);
                }
                Err(error) => tracing::debug!(%error, "statuses are read one by one"),
            }
        }
        known
    }
}

impl Client {
    /// The status of one machine, by itself.
    async fn status(self: &Arc<Self>, node: &NodeId) -> Result<NodeStatus> {
        let machine = self.machine("statuses", node)?;
        let named = |error: Error| error.with_node(node.clone());
        if machine.kind != MachineKind::Arc {
            let view = self.instance_view(node).await?;
            return Ok(convert::node::status(&view, self.now()));
        }
        let url = self.url(&machine.to_string(), ARC_VERSION);
        let reply = self.get(ARC_GET, Charge::door(&machine.subscription), url).await;
        let body = reply.and_then(|reply| reply.value(ARC_GET)).map_err(named)?;
        Ok(convert::node::arc_status(&body["properties"], self.now()))
    }

    /// What a virtual machine or an instance of a scale set does at the moment.
    pub(crate) async fn instance_view(self: &Arc<Self>, node: &NodeId) -> Result<Value> {
        let machine = self.machine("instance_view", node)?;
        let charge = Charge::on(Quota::LowCostGet, node);
        let named = |error: Error| error.with_node(node.clone());
        let (group, name, of) = (machine.group, machine.name, machine.subscription);
        match machine.instance {
            None => {
                let operation = "VirtualMachines_InstanceView";
                let call = Call::Read(operation);
                let client = self.compute(call, charge)?.virtual_machines_client();
                let sent = client.instance_view(group, name, of).send();
                reply(call, sent).await.and_then(|reply| reply.value(operation)).map_err(named)
            }
            Some(instance) => {
                let operation = "VirtualMachineScaleSetVMs_GetInstanceView";
                let call = Call::Read(operation);
                let client = self.compute(call, charge)?.virtual_machine_scale_set_v_ms_client();
                let sent = client.get_instance_view(group, name, instance, of).send();
                reply(call, sent).await.and_then(|reply| reply.value(operation)).map_err(named)
            }
        }
    }
}

#[cfg(test)]
mod tests;
