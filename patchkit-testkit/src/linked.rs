//! A harness over two memory clouds, each machine of which is a node of both.

#![expect(clippy::missing_panics_doc, reason = "a harness panics on what its provider lacks")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use patchkit_core::{
    AccessStatus, Baseline, BaselineId, Capabilities, Clock, ComplianceReport, Estate, Fleet,
    LinkedFleet, MachineUuid, NodeId, NodeOrigin, OperationId, PatchBaseline, PatchGroup,
    PatchGroupName, PowerState, ResourceGroupName, VirtualClock,
};

use crate::{
    Harness, NodeSeed, PatchSeed, Trouble,
    fault::{Faults, Faulty},
    memory::MemoryHarness,
};

const PATCHED: &str = "memory/111122223333/eu-west-1";
const HOSTS: &str = "memory/8f3c2a10-7d5e-4b61-9a04-2f6e1c0d9b57/westeurope";

/// A [`LinkedFleet`] over two [`MemoryHarness`]es on one clock: one patches, the other one powers.
///
/// # Behavior
/// - A cloud node of which there is something to tell (it is off, lacks patches, has tags) is a
///   machine of the hosting cloud and a hybrid node of the patching one, linked by its tag. Plain
///   ones are the patching cloud's own, and hybrid ones machines of nobody.
/// - Baselines, patch groups and trouble are the patching cloud's.
#[derive(Debug)]
pub struct LinkedHarness {
    patched: MemoryHarness,
    hosts: MemoryHarness,
    fleet: LinkedFleet,
    clock: VirtualClock,
    next: AtomicU64,
}

impl LinkedHarness {
    /// Two clouds that can do everything.
    pub fn full() -> Self {
        Self::new(Capabilities::full(), MemoryHarness::virtual_clock())
    }

    /// Two clouds that only read, and scan and install.
    pub fn read_only() -> Self {
        Self::new(Capabilities::read_only(), MemoryHarness::virtual_clock())
    }

    /// Two clouds that can do this, on a clock that others may share.
    pub fn new(capabilities: Capabilities, clock: VirtualClock) -> Self {
        let hosts =
            MemoryHarness::in_scope(HOSTS.parse().expect("a scope"), capabilities, clock.clone());
        let scope = PATCHED.parse().expect("a scope");
        let patched = MemoryHarness::in_scope(scope, capabilities, clock.clone());
        let estate = |of: &MemoryHarness| Estate::new().with([of.scope().clone()], of.provider());
        let fleet = LinkedFleet::new(estate(&patched), estate(&hosts));
        Self { patched, hosts, fleet, clock, next: AtomicU64::new(1) }
    }

    /// Puts `faults` between the fleet and the cloud that hosts the machines.
    #[must_use]
    pub fn behind_host_faults(mut self, faults: Faults) -> Self {
        let hosts = Faulty::new(self.hosts.provider(), faults);
        self.fleet = LinkedFleet::new(
            Estate::new().with([self.patched.scope().clone()], self.patched.provider()),
            Estate::new().with([self.hosts.scope().clone()], Arc::new(hosts)),
        );
        self
    }

    /// The cloud that patches.
    pub fn patched(&self) -> &MemoryHarness {
        &self.patched
    }

    /// The cloud that hosts the machines.
    pub fn hosts(&self) -> &MemoryHarness {
        &self.hosts
    }
}

#[async_trait]
impl Harness for LinkedHarness {
    fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(self.fleet.clone())
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        Arc::new(self.fleet.clone())
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        Arc::new(self.fleet.clone())
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        Arc::new(self.fleet.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn page_size(&self) -> usize {
        self.patched.page_size()
    }

    fn requests(&self) -> usize {
        self.patched.requests() + self.hosts.requests()
    }

    fn unknown_node(&self) -> NodeId {
        self.patched.unknown_node()
    }

    fn node_elsewhere(&self) -> NodeId {
        self.patched.node_elsewhere()
    }

    fn unknown_operation(&self) -> OperationId {
        let own = self.patched.unknown_operation();
        format!("{}/{own}", self.patched.scope()).parse().expect("an operation id")
    }

    fn unknown_baseline(&self) -> BaselineId {
        self.patched.unknown_baseline()
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        let plain = seed.power == PowerState::Running
            && seed.tags.is_empty()
            && seed.patches.is_empty()
            && seed.access == AccessStatus::Granted;
        if plain || seed.origin != NodeOrigin::Cloud {
            return self.patched.add_node(seed).await;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("5c3e1f60-9a2b-4d47-8f10-{number:012x}");
        let vm_id: MachineUuid = text.parse().expect("a uuid");
        let machine = self.hosts.add_machine(&seed, vm_id);
        self.patched.add_on_machine(seed, &self.hosts, &machine, vm_id)
    }

    async fn lose_agent(&self, node: &NodeId) {
        self.patched.lose_agent(node).await;
    }

    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>) {
        self.patched.set_patches(node, patches).await;
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.patched.add_baseline(baseline).await
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.patched.add_registration(group, baseline).await;
    }

    async fn add_resource_group(&self, group: &ResourceGroupName, nodes: &[NodeId]) {
        self.patched.add_resource_group(group, nodes).await;
        self.hosts.add_resource_group(group, &[]).await;
    }

    async fn make_trouble(&self, trouble: Trouble) {
        self.patched.make_trouble(trouble).await;
    }
}
