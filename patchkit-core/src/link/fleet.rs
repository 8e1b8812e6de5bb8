//! The nodes of two control planes: power from the host, all else from where the id is.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{Link, LinkedFleet, merge};
use crate::{
    AccessChange, AccessGrant, Capabilities, Error, ErrorKind, Fleet, ManagedNode, NodeAccess,
    NodeId, NodeSelector, NodeStatus, OperationId, PatchOperation, PatchRequest, PerNode,
    PowerState, PowerTarget, Result, Scope, SubmitToken, TagChange, Tags,
};

#[async_trait]
impl Fleet for LinkedFleet {
    /// The name that all providers share; `estate` where they do not.
    fn provider(&self) -> &'static str {
        self.all.name()
    }

    /// What any scope of either side can do.
    fn capabilities(&self) -> Capabilities {
        self.all.capabilities()
    }

    /// What the provider of the scope can do; power also where a host can do it, for the scope's
    /// nodes may be its machines.
    fn capabilities_for(&self, scope: &Scope) -> Capabilities {
        let mut can = self.all.capabilities_for(scope);
        if self.patchers.has(scope) && !self.hosts.has(scope) {
            let hosts = self.hosts.capabilities();
            can.power |= hosts.power;
            can.deallocate |= hosts.deallocate;
        }
        can
    }

    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        self.listing(selector)
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        let table = match self.table(nodes).await {
            Ok(table) => table,
            Err(error) => return every(nodes, &error),
        };
        let linked: BTreeMap<&NodeId, &Link> =
            nodes.iter().filter_map(|node| Some((node, table.links.get(node)?))).collect();
        // One call: providers that answer for many nodes are asked once.
        let hosts = linked.values().map(|link| link.host.clone());
        let asked: BTreeSet<NodeId> = nodes.iter().cloned().chain(hosts).collect();
        let asked: Vec<NodeId> = asked.into_iter().collect();
        let told: BTreeMap<NodeId, Result<NodeStatus>> =
            self.all.statuses(&asked).await.into_iter().collect();
        let answer = |node: &NodeId| match told.get(node) {
            Some(Ok(status)) => Ok(status.clone()),
            Some(Err(error)) => Err(error.copy()),
            None => Err(left_out(self.provider(), "statuses", node)),
        };
        nodes
            .iter()
            .map(|node| {
                let status = answer(node).and_then(|status| match linked.get(node) {
                    Some(link) => hosted(node, status, answer(&link.host)),
                    None => Ok(status),
                });
                (node.clone(), status)
            })
            .collect()
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        let mut table = match self.table(nodes).await {
            Ok(table) => table,
            Err(error) => return every(nodes, &error),
        };
        // What could not be told a while ago may have been for a host that did not answer.
        if nodes.iter().any(|it| table.unresolved.contains_key(it) && !self.is_host(it)) {
            table = match self.look_again().await {
                Ok(table) => table,
                Err(error) => return every(nodes, &error),
            };
        }
        let named: BTreeSet<&NodeId> = nodes.iter().collect();
        let linked: Vec<&Link> = named.iter().filter_map(|node| table.links.get(node)).collect();
        let mut answers: BTreeMap<NodeId, Result<()>> = BTreeMap::new();
        let mut orders: Vec<NodeId> = Vec::new();
        let mut patched: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        if !linked.is_empty() {
            for (node, link) in self.verify(&linked).await {
                match link {
                    Ok(link) => {
                        orders.push(link.host.clone());
                        patched.insert(link.host, node);
                    }
                    Err(error) => {
                        answers.insert(node, Err(error));
                    }
                }
            }
        }
        for node in named {
            let unresolved = table.unresolved.get(node).filter(|_| !self.is_host(node));
            if let Some(reason) = unresolved {
                let error =
                    Error::new(ErrorKind::Conflict, self.provider(), "set_power", reason.clone());
                answers.insert(node.clone(), Err(error.with_node(node.clone())));
            } else if !table.links.contains_key(node) && !orders.contains(node) {
                orders.push(node.clone());
            }
        }
        for (node, answer) in self.all.set_power(&orders, target).await {
            if let Some(own) = patched.get(&node) {
                // Both ids of one machine may be named: it is ordered once, and both are answered.
                let told = match &answer {
                    Ok(()) => Ok(()),
                    Err(error) => Err(error.copy().with_node(own.clone())),
                };
                answers.insert(own.clone(), told);
            }
            answers.insert(node, answer);
        }
        nodes
            .iter()
            .map(|node| {
                let answer = match answers.get(node) {
                    Some(Ok(())) => Ok(()),
                    Some(Err(error)) => Err(error.copy()),
                    None => Err(left_out(self.provider(), "set_power", node)),
                };
                (node.clone(), answer)
            })
            .collect()
    }

    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        self.all.access(node).await
    }

    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        self.all.grant_access(node, grant).await
    }

    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        self.all.revert_access(change).await
    }

    /// Sets tags on the side of the id that is given; the other side's stay as they are.
    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.all.merge_tags(node, tags).await
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.all.revert_tags(change).await
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        if request.nodes.iter().any(|node| self.is_host(node)) {
            let table = self.table(&request.nodes).await?;
            if let Some((node, patched)) =
                request.nodes.iter().find_map(|node| Some((node, table.hosts.get(node)?)))
            {
                let message = format!("it is patched as {patched}");
                return Err(Error::new(ErrorKind::Conflict, self.provider(), "submit", message)
                    .with_node(node.clone()));
            }
        }
        self.all.submit(request).await
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        self.all.find_operation(token, nodes).await
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        self.all.operation(id).await
    }

    async fn cancel(&self, id: &OperationId) -> Result<()> {
        self.all.cancel(id).await
    }
}

/// The status of a machine whose host answered so.
fn hosted(node: &NodeId, status: NodeStatus, host: Result<NodeStatus>) -> Result<NodeStatus> {
    match host {
        Ok(host) => Ok(merge::statuses(status, host)),
        // Who is told to ask later does so, and knows the power then.
        Err(error) if error.kind() == ErrorKind::Throttled && error.is_retryable() => {
            Err(error.with_node(node.clone()))
        }
        Err(error) => {
            let mut status = status;
            status.power = PowerState::Unknown;
            status.problem = Some(error.report());
            Ok(status)
        }
    }
}

fn left_out(provider: &'static str, operation: &'static str, node: &NodeId) -> Error {
    let message = "the answer leaves out the node";
    Error::new(ErrorKind::Malformed, provider, operation, message).with_node(node.clone())
}

fn every<T>(nodes: &[NodeId], error: &Error) -> PerNode<T> {
    nodes.iter().map(|node| (node.clone(), Err(error.copy().with_node(node.clone())))).collect()
}
