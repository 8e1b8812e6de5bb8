//! The fleet: nodes, power, access, tags and acts.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    act::Act,
    call::{Fault, MemoryCall},
    cloud::{MemoryCloud, PROVIDER, pause, unknown_node},
    life::AGENT_RESTART,
    node::{CORE_POLICY, MemoryNode},
};
use crate::{
    AccessChange, AccessGrant, AccessStatus, Capabilities, Error, Fleet, ManagedNode, NodeAccess,
    NodeId, NodeSelector, NodeStatus, OperationId, OperationStatus, PatchAction, PatchOperation,
    PatchRequest, PerNode, PowerTarget, Result, SubmitToken, TagChange, Tags, clock::later,
};

/// The most tags that a node takes, as on EC2 and Azure.
const MAX_TAGS: usize = 50;

#[async_trait]
impl Fleet for MemoryCloud {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn nodes(&self, selector: &NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        let (selector, can) = (selector.clone(), self.capabilities);
        self.list("nodes", move |state, now| {
            let nodes = state.selected("nodes", &selector, can, now)?;
            Ok(nodes.into_iter().map(|node| (node.id.to_string(), node)).collect())
        })
    }

    async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        let fault = match self.enter(MemoryCall::on("statuses", nodes)).await {
            Ok(fault) => fault,
            Err(error) => return every(nodes, &error),
        };
        let now = self.clock.now();
        let answers = {
            let mut state = self.state();
            nodes
                .iter()
                .map(|id| {
                    state.settle(id, now);
                    let system = state.system(id, now);
                    let status = state.nodes.get(id).map(|node| node.status(now, system));
                    (id.clone(), status.ok_or_else(|| unknown_node("statuses", id)))
                })
                .collect()
        };
        pause().await;
        lose(fault, nodes, answers)
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        let call = MemoryCall { target: Some(target), ..MemoryCall::on("set_power", nodes) };
        let fault = match self.enter(call).await {
            Ok(fault) => fault,
            Err(error) => return every(nodes, &error),
        };
        if !self.capabilities.power {
            return every(nodes, &Error::unsupported(PROVIDER, "set_power"));
        }
        let target = match target {
            PowerTarget::Deallocated if !self.capabilities.deallocate => PowerTarget::Stopped,
            other => other,
        };
        let now = self.clock.now();
        let answers = {
            let mut state = self.state();
            nodes
                .iter()
                .map(|id| {
                    state.settle(id, now);
                    let answer = match state.nodes.get_mut(id) {
                        Some(node) => node.order(PROVIDER, now, target),
                        None => Err(unknown_node("set_power", id)),
                    };
                    (id.clone(), answer)
                })
                .collect()
        };
        pause().await;
        lose(fault, nodes, answers)
    }

    async fn access(&self, node: &NodeId) -> Result<NodeAccess> {
        let fault = self.enter(MemoryCall::on("access", std::slice::from_ref(node))).await?;
        self.able(|can| can.access, "access")?;
        let access = self.with_node("access", node, |node| {
            let access = NodeAccess::new(node.id().clone(), node.access());
            match (&node.identity, access.status) {
                (None, _) => access.with_finding("no identity is attached"),
                (Some(identity), AccessStatus::Granted) => {
                    access.with_finding(format!("{identity} has {}", join(&node.policies)))
                }
                (Some(identity), _) => {
                    access.with_finding(format!("{identity} lacks {CORE_POLICY}"))
                }
            }
        })?;
        fault.answer(access)
    }

    async fn grant_access(&self, node: &NodeId, grant: &AccessGrant) -> Result<AccessChange> {
        let fault = self.enter(MemoryCall::on("grant_access", std::slice::from_ref(node))).await?;
        self.able(|can| can.access, "grant_access")?;
        let now = self.clock.now();
        let change = self.with_node("grant_access", node, |node| {
            let mut change = AccessChange::none(node.id().clone());
            let before = node.access();
            if before == AccessStatus::NoIdentity {
                node.identity = Some(grant.identity.clone());
                change.attached_identity = Some(grant.identity.clone());
                // An identity that is made for patching brings its permissions along.
                if grant.policy.is_none() {
                    node.policies.insert(CORE_POLICY.to_owned());
                }
            }
            if node.access() == AccessStatus::MissingPermissions
                && let Some(policy) = &grant.policy
            {
                node.policies.insert(policy.clone());
                change.attached_policy = Some(policy.clone());
            }
            if before != AccessStatus::Granted && node.access() == AccessStatus::Granted {
                node.life.agent_from = later(now, AGENT_RESTART);
            }
            change
        })?;
        pause().await;
        fault.answer(change)
    }

    async fn revert_access(&self, change: &AccessChange) -> Result<()> {
        let call = MemoryCall::on("revert_access", std::slice::from_ref(&change.node));
        let fault = self.enter(call).await?;
        self.able(|can| can.access, "revert_access")?;
        self.with_node("revert_access", &change.node, |node| {
            if let Some(policy) = &change.attached_policy {
                node.policies.remove(policy);
            }
            if change.attached_identity.is_some() && node.identity == change.attached_identity {
                node.identity = None;
                node.policies.clear();
            }
        })?;
        pause().await;
        fault.answer(())
    }

    async fn merge_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        let fault = self.enter(MemoryCall::on("merge_tags", std::slice::from_ref(node))).await?;
        self.able(|can| can.tags, "merge_tags")?;
        let change = self.with_node("merge_tags", node, |node| {
            let id = node.id().clone();
            let change = TagChange::between(id.clone(), &node.node.tags, tags);
            let added = change.set.iter().filter(|edit| edit.before.is_none()).count();
            let after = node.node.tags.len() + added;
            if after > MAX_TAGS {
                let message = format!("{after} tags are more than {MAX_TAGS}");
                return Err(Error::invalid(PROVIDER, "merge_tags", message).with_node(id));
            }
            node.node.tags.extend(tags.clone());
            Ok(change)
        })??;
        pause().await;
        fault.answer(change)
    }

    async fn revert_tags(&self, change: &TagChange) -> Result<()> {
        let call = MemoryCall::on("revert_tags", std::slice::from_ref(&change.node));
        let fault = self.enter(call).await?;
        self.able(|can| can.tags, "revert_tags")?;
        self.with_node("revert_tags", &change.node, |node| {
            for edit in &change.set {
                match &edit.before {
                    Some(value) => {
                        node.node.tags.insert(edit.key.clone(), value.clone());
                    }
                    None => {
                        node.node.tags.remove(&edit.key);
                    }
                }
            }
        })?;
        pause().await;
        fault.answer(())
    }

    async fn submit(&self, request: PatchRequest) -> Result<OperationId> {
        let call = MemoryCall {
            action: Some(request.action),
            run: request.run.clone(),
            token: Some(request.token.clone()),
            ..MemoryCall::on("submit", &request.nodes)
        };
        let fault = self.enter(call).await?;
        let id = self.accept(&request)?;
        pause().await;
        fault.answer(id)
    }

    async fn find_operation(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        let call =
            MemoryCall { token: Some(token.clone()), ..MemoryCall::on("find_operation", nodes) };
        let fault = self.enter(call).await?;
        self.able(|can| can.find_operation, "find_operation")?;
        let found = self.state().tokens.get(token).cloned();
        fault.answer(found)
    }

    async fn operation(&self, id: &OperationId) -> Result<PatchOperation> {
        let fault = self.enter(MemoryCall::new("operation")).await?;
        let now = self.clock.now();
        let seen = {
            let mut state = self.state();
            let nodes: Vec<NodeId> = match state.acts.get(id) {
                Some(act) => act.nodes.keys().cloned().collect(),
                None => return Err(Error::not_found(PROVIDER, "operation", id)),
            };
            for node in &nodes {
                state.settle(node, now);
            }
            state.acts.get(id).map(Act::seen)
        };
        let seen = seen.ok_or_else(|| Error::not_found(PROVIDER, "operation", id))?;
        fault.answer(seen)
    }

    async fn cancel(&self, id: &OperationId) -> Result<()> {
        let fault = self.enter(MemoryCall::new("cancel")).await?;
        self.able(|can| can.cancel, "cancel")?;
        let now = self.clock.now();
        {
            let mut state = self.state();
            let nodes: Vec<NodeId> = match state.acts.get(id) {
                Some(act) => act.nodes.keys().cloned().collect(),
                None => return Err(Error::not_found(PROVIDER, "cancel", id)),
            };
            for node in nodes {
                state.settle(&node, now);
                if let Some(act) = state.acts.get_mut(id).and_then(|act| act.nodes.get_mut(&node))
                    && !act.status.is_final()
                {
                    act.end(now, OperationStatus::Cancelled, None);
                    if let Some(node) = state.nodes.get_mut(&node) {
                        node.life.acts.retain(|act| act != id);
                        node.life.free_from = now;
                    }
                }
            }
        }
        pause().await;
        fault.answer(())
    }
}

impl MemoryCloud {
    fn able(&self, can: impl FnOnce(&Capabilities) -> bool, operation: &'static str) -> Result<()> {
        can(&self.capabilities).then_some(()).ok_or_else(|| Error::unsupported(PROVIDER, operation))
    }

    fn with_node<T>(
        &self,
        operation: &'static str,
        id: &NodeId,
        change: impl FnOnce(&mut MemoryNode) -> T,
    ) -> Result<T> {
        let now = self.clock.now();
        let mut state = self.state();
        state.settle(id, now);
        let node = state.nodes.get_mut(id).ok_or_else(|| unknown_node(operation, id))?;
        Ok(change(node))
    }

    fn accept(&self, request: &PatchRequest) -> Result<OperationId> {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(id) = state.tokens.get(&request.token) {
            return Ok(id.clone());
        }
        let can = match request.action {
            PatchAction::UpdateAgent => self.capabilities.update_agent,
            PatchAction::RefreshAssociations => self.capabilities.refresh_associations,
            PatchAction::Scan | PatchAction::Install(_) => true,
        };
        if !can {
            return Err(Error::unsupported(PROVIDER, "submit"));
        }
        let most = self.capabilities.max_nodes_per_operation.get();
        if request.nodes.is_empty() || request.nodes.len() > most {
            let message = format!("{} nodes: between 1 and {most} are taken", request.nodes.len());
            return Err(Error::invalid(PROVIDER, "submit", message));
        }
        if request.nodes.windows(2).any(|pair| pair[0].scope() != pair[1].scope()) {
            let message = "the nodes are of more than one scope";
            return Err(Error::invalid(PROVIDER, "submit", message));
        }
        if let Some(missing) = request.nodes.iter().find(|id| !state.nodes.contains_key(*id)) {
            return Err(unknown_node("submit", missing));
        }
        let id: OperationId = format!("op-{:06}", state.next_number()).parse()?;
        let mut act = Act::new(id.clone(), request.action, now, &request.nodes);
        if let Some(timeout) = request.timeout {
            act.timeout = timeout;
        }
        for node in &request.nodes {
            state.settle(node, now);
            if let Some(node) = state.nodes.get_mut(node) {
                node.life.acts.push_back(id.clone());
            }
        }
        state.tokens.insert(request.token.clone(), id.clone());
        state.acts.insert(id.clone(), act);
        Ok(id)
    }
}

fn join(policies: &std::collections::BTreeSet<String>) -> String {
    policies.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// One error for each node.
fn every<T>(nodes: &[NodeId], error: &Error) -> PerNode<T> {
    nodes
        .iter()
        .map(|node| {
            let copy =
                Error::new(error.kind(), PROVIDER, error.operation(), error.message().to_owned())
                    .with_retry(error.retry())
                    .with_node(node.clone());
            (node.clone(), Err(copy))
        })
        .collect()
}

fn lose<T>(fault: Fault, nodes: &[NodeId], answers: PerNode<T>) -> PerNode<T> {
    match fault {
        Fault::LoseAnswer(error) => every(nodes, &error),
        Fault::Pass | Fault::Refuse(_) => answers,
    }
}
