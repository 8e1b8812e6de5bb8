//! The nodes of all scopes: every call goes to the provider of its nodes' scope.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};

use super::{Entry, Estate, in_scope};
use crate::{
    AccessChange, AccessGrant, Capabilities, Error, ErrorKind, Fleet, FleetExt, ManagedNode,
    NodeAccess, NodeId, NodeSelector, NodeStatus, OperationId, PatchOperation, PatchRequest,
    PerNode, PowerTarget, Provider, Result, Scope, SubmitToken, TagChange, Tags,
};

#[async_trait]
impl Fleet for Estate {
    /// The name that all providers share; `estate` where they do not.
    fn provider(&self) -> &'static str {
        self.name()
    }

    /// What any of the scopes can do, with as many nodes at once as each of them takes.
    fn capabilities(&self) -> Capabilities {
        let mut all = self.entries.values().map(Entry::capabilities);
        let Some(first) = all.next() else { return Capabilities::read_only() };
        all.fold(first, |a, b| Capabilities {
            power: a.power || b.power,
            deallocate: a.deallocate || b.deallocate,
            access: a.access || b.access,
            tags: a.tags || b.tags,
            update_agent: a.update_agent || b.update_agent,
            refresh_associations: a.refresh_associations || b.refresh_associations,
            cancel: a.cancel || b.cancel,
            find_operation: a.find_operation || b.find_operation,
            write_baselines: a.write_baselines || b.write_baselines,
            write_groups: a.write_groups || b.write_groups,
            resource_groups: a.resource_groups || b.resource_groups,
            scan_before_install: a.scan_before_install || b.scan_before_install,
            max_nodes_per_operation: a.max_nodes_per_operation.min(b.max_nodes_per_operation),
            max_nodes_per_call: a.max_nodes_per_call.min(b.max_nodes_per_call),
        })
    }

    /// What the provider of the scope can do; nothing but reading in a scope that the estate lacks.
    fn capabilities_for(&self, scope: &Scope) -> Capabilities {
        self.entry(scope).map_or_else(Capabilities::read_only, Entry::capabilities)
    }

    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        self.merged(
            "nodes",
            selector,
            |provider, selector| provider.nodes(selector),
            |node| node.id.scope(),
        )
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        self.split("statuses", nodes, |provider, nodes| provider.statuses(nodes)).await
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        self.split("set_power", nodes, move |provider, nodes| provider.set_power(nodes, target))
            .await
    }

    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        self.route("access", node)?.access(node).await
    }

    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        self.route("grant_access", node)?.grant_access(node, grant).await
    }

    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        self.route("revert_access", &change.node)?.revert_access(change).await
    }

    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.route("merge_tags", node)?.merge_tags(node, tags).await
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        self.route("revert_tags", &change.node)?.revert_tags(change).await
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        let entry = self.only("submit", &request.nodes)?;
        entry.outward(&entry.answer(entry.provider.submit(request).await)?)
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        let entry = self.only("find_operation", nodes)?;
        let found = entry.answer(entry.provider.find_operation(token, nodes).await)?;
        found.map(|id| entry.outward(&id)).transpose()
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        let (entry, own) = self.act("operation", id)?;
        let mut operation = entry.answer(entry.provider.operation(&own).await)?;
        operation.id = id.clone();
        Ok(operation)
    }

    async fn cancel(&self, id: &OperationId) -> Result<()> {
        let (entry, own) = self.act("cancel", id)?;
        entry.answer(entry.provider.cancel(&own).await)
    }
}

impl Entry {
    fn capabilities(&self) -> Capabilities {
        self.provider.capabilities_for(&self.scope)
    }

    fn answer<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| in_scope(error, &self.scope))
    }

    /// The estate's id of an act of this scope.
    fn outward(&self, id: &OperationId) -> Result<OperationId> {
        // The act is accepted: an id that does not fit makes it one that has to be looked for.
        OperationId::new(format!("{}/{id}", self.scope)).map_err(|error| {
            Error::new(
                ErrorKind::Malformed,
                self.provider.provider(),
                "submit",
                "the id of the act is too long",
            )
            .with_scope(self.scope.clone())
            .with_source(error)
        })
    }
}

impl Estate {
    /// Makes a call about many nodes in each of their scopes, and answers in the order asked.
    async fn split<T: Clone + Send>(
        &self,
        operation: &'static str,
        nodes: &[NodeId],
        call: impl for<'a> Fn(&'a dyn Provider, &'a [NodeId]) -> BoxFuture<'a, PerNode<T>> + Sync,
    ) -> PerNode<T> {
        let call = &call;
        let answers: Vec<PerNode<T>> = stream::iter(self.call_chunks(nodes))
            .map(|chunk| async move {
                match self.only(operation, &chunk) {
                    Ok(entry) => call(&*entry.provider, &chunk).await,
                    Err(error) => chunk
                        .into_iter()
                        .map(|node| (node.clone(), Err(error.copy().with_node(node))))
                        .collect(),
                }
            })
            .buffer_unordered(self.parallel)
            .collect()
            .await;
        let mut answers: BTreeMap<NodeId, Result<T>> = answers.into_iter().flatten().collect();
        let mut told: PerNode<T> = Vec::with_capacity(nodes.len());
        for node in nodes {
            // A node that is asked for twice is answered twice.
            let again = || told.iter().find(|(other, _)| other == node).map(|(_, told)| copy(told));
            let answer = answers.remove(node).or_else(again).unwrap_or_else(|| {
                let message = "the answer leaves out the node";
                Err(Error::new(ErrorKind::Malformed, self.name(), operation, message)
                    .with_node(node.clone()))
            });
            told.push((node.clone(), answer));
        }
        told
    }
}

fn copy<T: Clone>(answer: &Result<T>) -> Result<T> {
    match answer {
        Ok(answer) => Ok(answer.clone()),
        Err(error) => Err(error.copy()),
    }
}
