//! A harness over the memory provider: for suites of other things than providers, such as a
//! journal that the workflow suite runs on, and as a model for harnesses of real providers.

#![expect(clippy::missing_panics_doc, reason = "a harness panics on what its provider lacks")]

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use crate::{Harness, NodeSeed, PatchSeed, Scanned, Trouble, TroubleKind};
use async_trait::async_trait;
use jiff::Timestamp;
use patchkit_core::{
    Baseline, BaselineId, Capabilities, Clock, ComplianceReport, ComplianceStatus, Error,
    ErrorKind, Fleet, MachineUuid, NodeId, NodeOrigin, NodePatch, OperationId, Patch,
    PatchBaseline, PatchCompliance, PatchGroup, PatchGroupName, PatchSource, PatchState, Presence,
    Provider, Reachability, ResourceGroupName, Retry, Scope, Severity, VM_ID_TAG, VirtualClock,
    memory::{Fault, MemoryCall, MemoryCloud, MemoryNode},
};

const PAGE: usize = 3;
const SCOPE: &str = "memory/111122223333/eu-west-1";

/// A [`MemoryCloud`] on virtual time, with pages of three items and seven nodes to an act.
#[derive(Debug)]
pub struct MemoryHarness {
    scope: Scope,
    cloud: MemoryCloud,
    /// The same cloud with all capabilities.
    seeder: MemoryCloud,
    clock: VirtualClock,
    seeds: Mutex<BTreeMap<NodeId, NodeSeed>>,
    machines: Mutex<BTreeMap<NodeId, Machine>>,
    next: AtomicU32,
    hook: Arc<Hook>,
}

/// The machine of another cloud that a node's agent runs on.
#[derive(Clone, Debug)]
struct Machine {
    cloud: MemoryCloud,
    node: NodeId,
    vm_id: MachineUuid,
}

#[derive(Debug, Default)]
struct Hook {
    seeding: AtomicBool,
    requests: AtomicUsize,
    troubles: Mutex<Vec<Trouble>>,
}

impl MemoryHarness {
    /// A cloud that can do everything.
    pub fn full() -> Self {
        Self::new(Capabilities::full(), Self::virtual_clock())
    }

    /// A cloud that only reads, and scans and installs.
    pub fn read_only() -> Self {
        Self::new(Capabilities::read_only(), Self::virtual_clock())
    }

    /// A virtual clock as the other constructors use it; it begins on a Tuesday night.
    pub fn virtual_clock() -> VirtualClock {
        VirtualClock::automatic(time("2026-11-24T02:00:00Z"))
    }

    /// A cloud that can do this, on a clock that others may share.
    pub fn new(capabilities: Capabilities, clock: VirtualClock) -> Self {
        Self::in_scope(SCOPE.parse().expect("a scope"), capabilities, clock)
    }

    /// A cloud whose nodes are of this scope.
    pub fn in_scope(scope: Scope, mut capabilities: Capabilities, clock: VirtualClock) -> Self {
        // Small, so that one node too many is soon there.
        capabilities.max_nodes_per_operation = NonZeroUsize::new(7).expect("seven is not zero");
        capabilities.max_nodes_per_call = capabilities.max_nodes_per_operation;
        let seeder = MemoryCloud::builder().page_size(PAGE).clock(clock.clone()).build();
        let hook: Arc<Hook> = Arc::default();
        let of_call = Arc::clone(&hook);
        seeder.on_call(move |call| of_call.fault(call));
        Self {
            scope,
            cloud: seeder.clone().with_capabilities(capabilities),
            seeder,
            clock,
            seeds: Mutex::default(),
            machines: Mutex::default(),
            next: AtomicU32::new(1),
            hook,
        }
    }

    /// The scope of its nodes.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The cloud, as its callers see it.
    pub fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(self.cloud.clone())
    }

    /// Adds a hybrid node whose agent runs on a machine of `host`, and which says so by its tag.
    pub fn add_on_machine(
        &self,
        seed: NodeSeed,
        host: &Self,
        machine: &NodeId,
        vm_id: MachineUuid,
    ) -> NodeId {
        let id = self.next_id("mi");
        let machine = Machine { cloud: host.seeder.clone(), node: machine.clone(), vm_id };
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), machine);
        self.put(&id, &seed);
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), seed);
        id
    }

    /// Adds a machine of this power that no agent of this cloud runs on, with a unique id.
    pub fn add_machine(&self, seed: &NodeSeed, vm_id: MachineUuid) -> NodeId {
        let id = self.next_id("vm");
        let node = MemoryNode::new(id.clone(), seed.operating_system.clone())
            .with_power(seed.power)
            .with_vm_id(vm_id);
        self.seeder.insert(node);
        id
    }

    fn next_id(&self, prefix: &str) -> NodeId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{number:04}");
        NodeId::new(self.scope.clone(), &name).expect("a node id")
    }

    async fn seeding<T>(&self, work: impl Future<Output = patchkit_core::Result<T>>) -> T {
        self.hook.seeding.store(true, Ordering::Relaxed);
        let done = work.await;
        self.hook.seeding.store(false, Ordering::Relaxed);
        done.expect("the memory cloud takes every seed")
    }

    fn put(&self, id: &NodeId, seed: &NodeSeed) {
        let mut node = MemoryNode::new(id.clone(), seed.operating_system.clone())
            .with_access(seed.access)
            .with_reachability(seed.agent)
            .with_origin(seed.origin);
        if seed.origin == NodeOrigin::Cloud {
            node = node.with_power(seed.power);
        }
        for (key, value) in &seed.tags {
            node = node.with_tag(key, value);
        }
        let machine = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = machine.get(id) {
            node = node
                .on_machine(&machine.cloud, machine.node.clone())
                .with_tag(VM_ID_TAG, machine.vm_id.to_string());
        }
        drop(machine);
        for patch in &seed.patches {
            node = match presence(patch) {
                Some(presence) => node.with_patch(NodePatch::new(published(patch), presence)),
                None => node.with_reported(PatchCompliance::new(
                    patch.patch.clone(),
                    patch.state.clone(),
                    ComplianceStatus::Unknown,
                )),
            };
        }
        if seed.scanned == Scanned::Now {
            node = node.with_scan(self.clock.now());
        }
        self.seeder.insert(node);
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("written below")
}

fn published(seed: &PatchSeed) -> Patch {
    Patch::new(seed.patch.clone())
        .with_released_at(time("2026-06-01T00:00:00Z"))
        .with_classification(seed.classification.clone())
        .with_severity(Severity::Important)
        .with_source(PatchSource::Security)
}

fn presence(seed: &PatchSeed) -> Option<Presence> {
    Some(match &seed.state {
        PatchState::Missing => Presence::Absent,
        PatchState::Installed => Presence::Installed,
        PatchState::InstalledPendingReboot => Presence::InstalledPendingReboot,
        PatchState::Failed => Presence::InstallFailed,
        PatchState::Other(_) => return None,
        other => panic!("the memory harness does not seed {other:?}"),
    })
}

impl Hook {
    fn fault(&self, call: &MemoryCall) -> Fault {
        if self.seeding.load(Ordering::Relaxed) {
            return Fault::Pass;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = |trouble: &Trouble| {
            trouble.page.is_none_or(|page| call.page == Some(page - 1))
                && (trouble.kind != TroubleKind::AnswerLost || call.operation == "submit")
        };
        let Some(at) = troubles.iter().position(hits) else { return Fault::Pass };
        let kind = troubles[at].kind;
        troubles[at].times -= 1;
        if troubles[at].times == 0 {
            troubles.remove(at);
        }
        let error = |kind, message| {
            Error::new(kind, "memory", call.operation, message).with_request_id("req-1")
        };
        match kind {
            TroubleKind::Denied => Fault::Refuse(error(ErrorKind::PermissionDenied, "not for you")),
            TroubleKind::Throttled => Fault::Refuse(
                error(ErrorKind::Throttled, "rate exceeded").with_retry(Retry::Backoff),
            ),
            TroubleKind::AnswerLost => {
                Fault::LoseAnswer(error(ErrorKind::Timeout, "no answer in time"))
            }
        }
    }
}

#[async_trait]
impl Harness for MemoryHarness {
    fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(self.cloud.clone())
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        Arc::new(self.cloud.clone())
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        Arc::new(self.cloud.clone())
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        Arc::new(self.cloud.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn page_size(&self) -> usize {
        PAGE
    }

    fn requests(&self) -> usize {
        self.hook.requests.load(Ordering::Relaxed)
    }

    fn unknown_node(&self) -> NodeId {
        NodeId::new(self.scope.clone(), "i-unknown").expect("a node id")
    }

    fn node_elsewhere(&self) -> NodeId {
        "memory/444455556666/us-east-1/i-0001".parse().expect("a node id")
    }

    fn unknown_operation(&self) -> OperationId {
        "op-unknown".parse().expect("an operation id")
    }

    fn unknown_baseline(&self) -> BaselineId {
        "pb-0fffffffffffffffff".parse().expect("a baseline id")
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        let id = self.next_id("i");
        self.put(&id, &seed);
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), seed);
        id
    }

    async fn lose_agent(&self, node: &NodeId) {
        self.seeder.set_reachability(node, Reachability::Lost).expect("the node is there");
    }

    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>) {
        let seed = {
            let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
            let seed = seeds.get_mut(node).expect("the node is there");
            seed.patches = patches;
            seed.scanned = Scanned::Now;
            seed.clone()
        };
        self.put(node, &seed);
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.seeding(self.seeder.create_baseline(baseline)).await
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.seeding(self.seeder.register(group, baseline)).await;
    }

    async fn add_resource_group(&self, group: &ResourceGroupName, nodes: &[NodeId]) {
        self.seeder.set_resource_group(group.clone(), nodes.iter().cloned());
    }

    async fn make_trouble(&self, trouble: Trouble) {
        self.hook.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(trouble);
    }
}
