//! A harness over an estate of three memory clouds, each of a scope of its own.

#![expect(clippy::missing_panics_doc, reason = "a harness panics on what its provider lacks")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use patchkit_core::{
    Baseline, BaselineId, Capabilities, Clock, ComplianceReport, Estate, Fleet, NodeId,
    OperationId, PatchBaseline, PatchGroup, PatchGroupName, Provider, ResourceGroupName, Scope,
    VirtualClock,
};

use crate::{
    Harness, NodeSeed, PatchSeed, Trouble,
    fault::{FaultPlan, Faults, Faulty},
    memory::MemoryHarness,
};

/// The scopes; the second one is home.
const SCOPES: [&str; 3] = [
    "memory/012345678901/eu-west-1",
    "memory/111122223333/eu-west-1",
    "memory/111122223333/us-east-1",
];
const HOME: usize = 1;

/// An [`Estate`] of three [`MemoryHarness`]es on one clock.
///
/// # Behavior
/// - What is seeded goes to one of them, for most rules are about nodes of one scope; with
///   [`spread`](Self::spread), nodes go to all in turn.
/// - Baselines, patch groups and trouble are that one's.
#[derive(Debug)]
pub struct EstateHarness {
    members: Vec<MemoryHarness>,
    estate: Estate,
    clock: VirtualClock,
    spread: Spread,
    next: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spread {
    Home,
    All,
}

impl EstateHarness {
    /// Three clouds that can do everything.
    pub fn full() -> Self {
        Self::new(Capabilities::full(), MemoryHarness::virtual_clock())
    }

    /// Three clouds that only read, and scan and install.
    pub fn read_only() -> Self {
        Self::new(Capabilities::read_only(), MemoryHarness::virtual_clock())
    }

    /// Three clouds that can do this, on a clock that others may share.
    pub fn new(capabilities: Capabilities, clock: VirtualClock) -> Self {
        let member = |scope: &str| {
            let scope = scope.parse().expect("a scope");
            MemoryHarness::in_scope(scope, capabilities, clock.clone())
        };
        let members: Vec<MemoryHarness> = SCOPES.into_iter().map(member).collect();
        let estate = members.iter().fold(Estate::new(), |estate, member| {
            estate.with([member.scope().clone()], member.provider())
        });
        Self { members, estate, clock, spread: Spread::Home, next: AtomicUsize::new(0) }
    }

    /// Puts faults that a patient caller bears between the estate and each of its clouds, so that
    /// its scopes fail one by one.
    #[must_use]
    pub fn behind_faults(mut self) -> Self {
        self.estate = self.members.iter().fold(Estate::new(), |estate, member| {
            let plan = FaultPlan::bearable(member.page_size());
            let faults = Faults::new(Arc::new(self.clock.clone()), plan);
            let provider = Faulty::new(member.provider(), faults);
            estate.with([member.scope().clone()], Arc::new(provider))
        });
        self
    }

    /// Puts `faults` between the estate and the one of its clouds at this place, so that one scope
    /// has its troubles alone.
    #[must_use]
    pub fn behind_faults_at(mut self, place: usize, faults: Faults) -> Self {
        let member = &self.members[place];
        let provider = Arc::new(Faulty::new(member.provider(), faults));
        self.estate = self.estate.with([member.scope().clone()], provider);
        self
    }

    /// The scopes of the clouds, in order.
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &Scope> {
        self.members.iter().map(MemoryHarness::scope)
    }

    /// Has nodes go to all clouds in turn.
    #[must_use]
    pub fn spread(mut self) -> Self {
        self.spread = Spread::All;
        self
    }

    fn home(&self) -> &MemoryHarness {
        &self.members[HOME]
    }

    fn provider(&self) -> Arc<dyn Provider> {
        let provider = self.estate.scope(self.home().scope());
        Arc::clone(provider.expect("the estate has its home"))
    }

    fn member(&self, scope: &Scope) -> &MemoryHarness {
        let found = self.members.iter().find(|member| member.scope() == scope);
        found.expect("the node is of one of the clouds")
    }
}

#[async_trait]
impl Harness for EstateHarness {
    fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(self.estate.clone())
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        self.provider()
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        self.provider()
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        Arc::new(self.estate.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn page_size(&self) -> usize {
        self.home().page_size()
    }

    fn requests(&self) -> usize {
        self.members.iter().map(Harness::requests).sum()
    }

    fn unknown_node(&self) -> NodeId {
        self.home().unknown_node()
    }

    fn node_elsewhere(&self) -> NodeId {
        self.home().node_elsewhere()
    }

    fn unknown_operation(&self) -> OperationId {
        let own = self.home().unknown_operation();
        format!("{}/{own}", self.home().scope()).parse().expect("an operation id")
    }

    fn unknown_baseline(&self) -> BaselineId {
        self.home().unknown_baseline()
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        let member = match self.spread {
            Spread::Home => self.home(),
            Spread::All => {
                let next = self.next.fetch_add(1, Ordering::Relaxed);
                &self.members[next % self.members.len()]
            }
        };
        member.add_node(seed).await
    }

    async fn lose_agent(&self, node: &NodeId) {
        self.member(node.scope()).lose_agent(node).await;
    }

    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>) {
        self.member(node.scope()).set_patches(node, patches).await;
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.home().add_baseline(baseline).await
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.home().add_registration(group, baseline).await;
    }

    async fn add_resource_group(&self, group: &ResourceGroupName, nodes: &[NodeId]) {
        // A resource group is one scope's own: each has one of this name, with its nodes.
        for member in &self.members {
            let nodes: Vec<NodeId> =
                nodes.iter().filter(|id| id.scope() == member.scope()).cloned().collect();
            member.add_resource_group(group, &nodes).await;
        }
    }

    async fn make_trouble(&self, trouble: Trouble) {
        self.home().make_trouble(trouble).await;
    }
}
