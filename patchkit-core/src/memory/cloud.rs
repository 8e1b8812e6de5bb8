//! The state that all four traits share, and how time passes in it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::stream::BoxStream;
use jiff::Timestamp;

use super::{
    act::{Act, Step},
    call::{Fault, Hook, MemoryCall},
    life::System,
    node::{Behavior, MemoryNode},
    world::MemoryCloudBuilder,
};
use crate::{
    BaselineId, Capabilities, Clock, CompiledBaseline, Error, ErrorKind, ManagedNode, NodeId,
    NodeSelector, OperatingSystem, OperationId, OperationKind, OperationStatus, Patch,
    PatchBaseline, PatchGroupName, PowerState, Reachability, ResourceGroupName, Result,
    SubmitToken, paginate,
};

pub(super) const PROVIDER: &str = "memory";

/// A cloud in memory; clones share one state.
///
/// # Behavior
/// - Time passes on the builder's clock only. Nothing happens by itself: what has come due is
///   brought about by the next call that looks.
/// - Every call is logged, and can be given a [`Fault`].
#[derive(Clone)]
pub struct MemoryCloud {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) capabilities: Capabilities,
    pub(super) page_size: usize,
    pub(super) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<NodeId, MemoryNode>,
    pub(super) acts: BTreeMap<OperationId, Act>,
    pub(super) tokens: BTreeMap<SubmitToken, OperationId>,
    pub(super) baselines: BTreeMap<BaselineId, Kept>,
    pub(super) defaults: BTreeMap<OperatingSystem, BaselineId>,
    pub(super) registrations: BTreeMap<(PatchGroupName, OperatingSystem), BaselineId>,
    pub(super) resource_groups: BTreeMap<ResourceGroupName, BTreeSet<NodeId>>,
    /// What `approved_patches` chooses from.
    pub(super) catalogue: Vec<(OperatingSystem, Patch)>,
    /// Numbers for baselines and operations.
    pub(super) counter: u64,
    calls: Vec<MemoryCall>,
    hook: Option<Hook>,
}

/// A baseline and whose it is.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) baseline: PatchBaseline,
    pub(super) owner: crate::BaselineOwner,
    /// Read once, and not again for each act of each node.
    pub(super) compiled: Arc<CompiledBaseline>,
}

impl Kept {
    pub(super) fn new(baseline: PatchBaseline, owner: crate::BaselineOwner) -> Self {
        let compiled = Arc::new(CompiledBaseline::new(&baseline));
        Self { baseline, owner, compiled }
    }
}

impl MemoryCloud {
    /// Sets a cloud up; without nodes unless asked for.
    pub fn builder() -> MemoryCloudBuilder {
        MemoryCloudBuilder::new()
    }

    /// The same cloud for a caller to whom it offers no more than `capabilities`.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Puts a node in, or replaces it. A scan it was given is made at once.
    pub fn insert(&self, mut node: MemoryNode) {
        self.part(&mut node);
        let mut state = self.state();
        if let Some(at) = node.scanned
            && let Some(baseline) = state.baseline_of(&node)
        {
            node.look(&baseline, OperationKind::Scan, at);
        }
        state.nodes.insert(node.id().clone(), node);
    }

    /// Changes a node as someone else would, behind the back of those who use the cloud.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn update(&self, id: &NodeId, change: impl FnOnce(MemoryNode) -> MemoryNode) -> Result<()> {
        let mut state = self.state();
        let node = state.nodes.remove(id).ok_or_else(|| unknown_node("update", id))?;
        let mut node = change(node);
        self.part(&mut node);
        state.nodes.insert(node.id().clone(), node);
        Ok(())
    }

    /// A machine of this cloud is no other cloud's: to ask after it would be to wait for oneself.
    fn part(&self, node: &mut MemoryNode) {
        let is_own =
            |machine: &mut super::node::Machine| Arc::ptr_eq(&machine.cloud.state, &self.state);
        node.life.machine.take_if(is_own);
    }

    /// Makes a node's agent answer or not, from now on.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_reachability(&self, id: &NodeId, reachability: Reachability) -> Result<()> {
        self.update(id, |node| node.with_reachability(reachability))
    }

    /// Makes a resource group of these nodes, or replaces it.
    pub fn set_resource_group(
        &self,
        group: ResourceGroupName,
        nodes: impl IntoIterator<Item = NodeId>,
    ) {
        self.state().resource_groups.insert(group, nodes.into_iter().collect());
    }

    /// The ids of all nodes, in order.
    pub fn node_ids(&self) -> Vec<NodeId> {
        self.state().nodes.keys().cloned().collect()
    }

    /// A node's power, without a call.
    pub fn power(&self, id: &NodeId) -> Option<PowerState> {
        self.peek(id).map(|node| node.power)
    }

    /// A node as it is now, without a call.
    pub fn peek(&self, id: &NodeId) -> Option<ManagedNode> {
        let now = self.clock.now();
        let mut state = self.state();
        state.settle(id, now);
        let system = state.system(id, now);
        state.nodes.get(id).map(|node| node.seen(now, system))
    }

    /// The power of a machine of this cloud, and when it was booted, for an agent that runs on it.
    pub(super) fn machine(&self, id: &NodeId, now: Timestamp) -> (PowerState, Option<Timestamp>) {
        let mut state = self.state();
        state.settle(id, now);
        state
            .nodes
            .get(id)
            .map_or((PowerState::Terminated, None), |node| (node.life.power, node.life.booted_at))
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<MemoryCall> {
        self.state().calls.clone()
    }

    /// Has `hook` decide about every call from now on.
    pub fn on_call(&self, hook: impl Fn(&MemoryCall) -> Fault + Send + Sync + 'static) {
        self.state().hook = Some(Hook(Arc::new(hook)));
    }

    /// Adds patches that `approved_patches` chooses from.
    pub fn add_to_catalogue(&self, os: &OperatingSystem, patches: impl IntoIterator<Item = Patch>) {
        let patches = patches.into_iter().map(|patch| (os.clone(), patch));
        self.state().catalogue.extend(patches);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a call and returns what happens to it; a refusal is an error already.
    pub(super) async fn enter(&self, mut call: MemoryCall) -> Result<Fault> {
        pause().await;
        call.at = self.clock.now();
        let hook = {
            let mut state = self.state();
            call.seq = state.calls.len();
            state.calls.push(call.clone());
            state.hook.clone()
        };
        match hook.map_or(Fault::Pass, |hook| hook.0(&call)) {
            Fault::Refuse(error) => Err(error),
            fault => Ok(fault),
        }
    }

    /// A listing in pages, of what `find` finds when the first one is asked for, by its keys.
    pub(super) fn list<T, F>(
        &self,
        operation: &'static str,
        find: F,
    ) -> BoxStream<'static, Result<T>>
    where
        T: Send + 'static,
        F: Fn(&mut State, Timestamp) -> Result<Vec<(String, T)>> + Send + Sync + 'static,
    {
        let cloud = self.clone();
        let find = Arc::new(find);
        let found: Arc<Mutex<Option<VecDeque<T>>>> = Arc::default();
        paginate(PROVIDER, operation, move |token| {
            let (cloud, find, found) = (cloud.clone(), Arc::clone(&find), Arc::clone(&found));
            async move {
                let page = token.and_then(|token| token.parse().ok()).unwrap_or(0);
                let call = MemoryCall { page: Some(page), ..MemoryCall::new(operation) };
                let fault = cloud.enter(call).await?;
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                let items = match &mut *found {
                    Some(items) => items,
                    empty => {
                        let now = cloud.clock.now();
                        let mut items = find(&mut cloud.state(), now)?;
                        items.sort_by(|a, b| a.0.cmp(&b.0));
                        empty.insert(items.into_iter().map(|(_, item)| item).collect())
                    }
                };
                let page_items = items.drain(..cloud.page_size.min(items.len())).collect();
                let token = (!items.is_empty()).then(|| (page + 1).to_string());
                fault.answer((page_items, token))
            }
        })
    }
}

impl fmt::Debug for MemoryCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryCloud({} nodes)", self.state().nodes.len())
    }
}

impl State {
    /// Brings about what has come due on a node by `now`, in the order of time.
    pub(super) fn settle(&mut self, id: &NodeId, now: Timestamp) {
        while self.settle_one(id, now) {}
        if self.follow(id, now) {
            while self.settle_one(id, now) {}
        }
    }

    /// Has a node share the fate of its machine in another cloud; whether that has changed.
    fn follow(&mut self, id: &NodeId, now: Timestamp) -> bool {
        let Some(node) = self.nodes.get_mut(id) else { return false };
        let Some(machine) = &mut node.life.machine else { return false };
        let seen = machine.cloud.machine(&machine.node, now);
        if machine.seen == Some(seen) {
            return false;
        }
        let before = machine.seen.replace(seen);
        let (power, booted_at) = seen;
        let boot = booted_at.filter(|_| power == PowerState::Running);
        if let Some(at) = boot {
            node.boot(at);
        }
        if before.is_some() {
            self.interrupt(id, now, power, boot);
        }
        true
    }

    /// What was under way dies with the node; what waits for it goes on waiting.
    fn interrupt(
        &mut self,
        id: &NodeId,
        at: Timestamp,
        power: PowerState,
        booted_at: Option<Timestamp>,
    ) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let Some(act) = node.life.acts.front().and_then(|act| self.acts.get_mut(act)) else {
            return;
        };
        if let Some(act) = act.nodes.get_mut(id)
            && act.started_at.is_some_and(|began| booted_at.is_none_or(|boot| began < boot))
        {
            let detail = format!("the node went {power}");
            act.end(at, OperationStatus::Failed, Some(detail));
            node.life.acts.pop_front();
        }
    }

    fn settle_one(&mut self, id: &NodeId, now: Timestamp) -> bool {
        let Some(node) = self.nodes.get(id) else { return false };
        let front = node.life.acts.front().and_then(|act| self.acts.get(act));
        let step = front.and_then(|act| act.next(node));
        let change = node.life.change;
        match (change, step) {
            (Some((at, power)), step) if at <= now && step.is_none_or(|(next, _)| at <= next) => {
                self.power_changes(id, at, power);
            }
            (_, Some((at, step))) if at <= now => self.act_steps(id, at, step),
            _ => return false,
        }
        true
    }

    fn power_changes(&mut self, id: &NodeId, at: Timestamp, power: PowerState) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.change_power(at, power);
        self.interrupt(id, at, power, None);
    }

    fn act_steps(&mut self, id: &NodeId, at: Timestamp, step: Step) {
        let ended = self.nodes.get(id).filter(|_| step == Step::End);
        let baseline = ended.and_then(|node| self.baseline_of(node));
        let Some(node) = self.nodes.get_mut(id) else { return };
        let Some(act) = node.life.acts.front().cloned().and_then(|act| self.acts.get_mut(&act))
        else {
            return;
        };
        let action = act.action;
        let Some(act) = act.nodes.get_mut(id) else { return };
        match step {
            Step::Start => {
                act.status = OperationStatus::InProgress;
                act.started_at = Some(at);
                return;
            }
            Step::End => node.finish(action, at, baseline.as_deref(), act),
            Step::TimeOut => {
                act.end(at, OperationStatus::TimedOut, Some("execution timed out".to_owned()));
            }
            Step::Undeliverable => {
                let detail = "the agent did not answer".to_owned();
                act.end(at, OperationStatus::Undeliverable, Some(detail));
            }
        }
        node.life.free_from = at;
        node.life.acts.pop_front();
    }

    /// The nodes that a selector takes, as they are at `now`.
    pub(super) fn selected(
        &mut self,
        operation: &'static str,
        selector: &NodeSelector,
        capabilities: Capabilities,
        now: Timestamp,
    ) -> Result<Vec<ManagedNode>> {
        let mut groups = Vec::new();
        for group in selector.resource_groups.iter().flatten() {
            if !capabilities.resource_groups {
                return Err(Error::unsupported(PROVIDER, operation));
            }
            let not_found =
                || Error::not_found(PROVIDER, operation, format!("the resource group {group}"));
            groups.push((group, self.resource_groups.get(group).ok_or_else(not_found)?.clone()));
        }
        // A batch of a fleet is asked for by its ids: all others are not looked at. Nor is time spent on
        // nodes to which nothing can have happened.
        let busy: Vec<NodeId> = self
            .asked(selector)
            .filter(|node| node.is_busy())
            .map(|node| node.id().clone())
            .collect();
        for id in &busy {
            self.settle(id, now);
        }
        let seen = self.asked(selector).filter_map(|node| {
            let mut seen = node.seen(now, self.system_of(node, now));
            let of = groups.iter().filter(|(_, members)| members.contains(node.id()));
            seen.resource_groups = of.map(|(group, _)| (*group).clone()).collect();
            selector.matches(&seen).then_some(seen)
        });
        Ok(seen.collect())
    }

    /// The nodes that a selector asks for by id, or all.
    fn asked<'a>(
        &'a self,
        selector: &'a NodeSelector,
    ) -> Box<dyn Iterator<Item = &'a MemoryNode> + 'a> {
        match &selector.ids {
            Some(ids) => Box::new(ids.iter().filter_map(|id| self.nodes.get(id))),
            None => Box::new(self.nodes.values()),
        }
    }

    pub(super) fn system(&self, id: &NodeId, now: Timestamp) -> System {
        self.nodes.get(id).map_or(System::Up, |node| self.system_of(node, now))
    }

    fn system_of(&self, node: &MemoryNode, now: Timestamp) -> System {
        match node.life.acts.front().and_then(|act| self.acts.get(act)) {
            Some(act) if node.behavior != Behavior::InstallHangs => act.system(node.id(), now),
            _ => System::Up,
        }
    }

    /// The baseline of a node: its group's for its operating system, else the default.
    pub(super) fn baseline_of(&self, node: &MemoryNode) -> Option<Arc<CompiledBaseline>> {
        let os = &node.node.operating_system;
        let group = node.node.patch_group();
        let id = group
            .and_then(|group| self.registrations.get(&(group, os.clone())))
            .or_else(|| self.defaults.get(os))?;
        self.baselines.get(id).map(|kept| Arc::clone(&kept.compiled))
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

pub(super) fn unknown_node(operation: &'static str, id: &NodeId) -> Error {
    Error::new(ErrorKind::NotFound, PROVIDER, operation, "the node does not exist")
        .with_node(id.clone())
}

/// Gives way once, as a call over a network would.
pub(super) fn pause() -> impl Future<Output = ()> + Send {
    struct Pause(Stage);
    enum Stage {
        Fresh,
        Waited,
    }
    impl Future for Pause {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            match self.0 {
                Stage::Waited => Poll::Ready(()),
                Stage::Fresh => {
                    self.0 = Stage::Waited;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        }
    }
    Pause(Stage::Fresh)
}
