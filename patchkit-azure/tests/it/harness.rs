//! [`UpdateManager`] over a simulated subscription, with the means to seed it behind its back.

#![expect(clippy::expect_used, reason = "a harness panics on what its provider lacks")]

use std::sync::Arc;

use async_trait::async_trait;
use patchkit_azure::UpdateManager;
use patchkit_core::{
    Baseline, BaselineId, Clock, ComplianceReport, Fleet, NodeId, NodeOrigin, OperatingSystem,
    OperationId, PatchBaseline, PatchGroup, PatchGroupName, PowerState, Reachability,
    ResourceGroupName,
};
use patchkit_testkit::{
    Harness, Membership, NodeSeed, PatchSeed, Scanned, Trouble, TroubleKind,
    cloud::{Agent, Fault, FaultKind, NodeChange, NodeSpec, PatchSpec, Power, World},
};

use crate::cloud::{APPLICATION, GROUP, HOME, SUBSCRIPTION, builder, home, node, provider_of};

const PAGE: usize = 5;
const SEEDER: &str = "00000000-0000-4000-8000-0000000000f2";

/// The provider under test.
#[derive(Debug)]
pub(crate) struct AzureHarness {
    world: World,
    tested: UpdateManager,
    /// The same under another application: what it makes is no request of the one under test.
    seeder: UpdateManager,
}

impl AzureHarness {
    pub(crate) async fn new() -> Self {
        let at = "2026-11-24T02:00:00Z".parse().expect("a time");
        let world = builder().nodes(0).start_at(at).start().await.expect("a world on a free port");
        let [tested, seeder] = [APPLICATION, SEEDER].map(|application| {
            let provider = provider_of(&world, application).with_baseline_home(home());
            provider.build().expect("a provider of a named subscription")
        });
        Self { world, tested, seeder }
    }
}

#[async_trait]
impl Harness for AzureHarness {
    fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(self.tested.clone())
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        Arc::new(self.tested.clone())
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        Arc::new(self.tested.clone())
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        Arc::new(self.tested.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.world.clock())
    }

    fn page_size(&self) -> usize {
        PAGE
    }

    fn requests(&self) -> usize {
        self.world.calls().of_caller(APPLICATION).len()
    }

    fn systems(&self) -> [OperatingSystem; 2] {
        [OperatingSystem::Ubuntu, OperatingSystem::Windows]
    }

    fn unknown_node(&self) -> NodeId {
        node(&format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute\
             /virtualMachines/nobody"
        ))
    }

    fn node_elsewhere(&self) -> NodeId {
        "azure/other/northeurope//subscriptions/other/resourceGroups/web/providers\
         /Microsoft.Compute/virtualMachines/nobody"
            .parse()
            .expect("a node id")
    }

    fn unknown_operation(&self) -> OperationId {
        "ffffffff-ffff-4fff-8fff-ffffffffffff".parse().expect("an operation id")
    }

    fn unknown_baseline(&self) -> BaselineId {
        let id = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/{HOME}/providers/Microsoft.Maintenance\
             /maintenanceConfigurations/unknown"
        );
        id.parse().expect("a baseline id")
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        let os = seed.operating_system.clone();
        // Nobody checks whether a machine may be patched: its access is of no consequence.
        let group = seed.resource_group.as_ref().map_or(GROUP, ResourceGroupName::as_str);
        let mut spec = match seed.origin {
            NodeOrigin::Cloud => NodeSpec::vm(os, SUBSCRIPTION, group),
            _ => NodeSpec::arc(os, SUBSCRIPTION, group),
        };
        spec = spec.with_power(match seed.power {
            PowerState::Stopped => Power::Stopped,
            PowerState::Deallocated => Power::Deallocated,
            // Nobody tells of a hybrid node's; it must run to answer.
            PowerState::Running | PowerState::Unknown => Power::Running,
            other => panic!("no node is seeded as {other}"),
        });
        spec = spec.with_agent(match seed.agent {
            Reachability::Online => Agent::Online,
            Reachability::Lost => Agent::ConnectionLost,
            other => panic!("no agent is seeded as {other}"),
        });
        for (key, value) in seed.tags {
            spec = spec.with_tag(key, value);
        }
        spec = spec.with_patches(seed.patches);
        if seed.scanned == Scanned::Now {
            spec = spec.scanned();
        }
        node(&self.world.add_node(&spec).expect("the world has a place for every seed"))
    }

    async fn lose_agent(&self, node: &NodeId) {
        let lost = NodeChange::new().with_agent(Agent::ConnectionLost);
        assert!(self.world.change_node(node.resource(), &lost), "{node} is there");
    }

    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>) {
        let patches: Vec<PatchSpec> = patches.into_iter().map(PatchSpec::from).collect();
        self.world.set_patches(node.resource(), &patches).expect("the node is there");
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.seeder.create_baseline(baseline).await.expect("a baseline")
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.seeder.register(group, baseline).await.expect("a registration");
    }

    fn membership(&self) -> Membership {
        Membership::One
    }

    async fn add_resource_group(&self, _: &ResourceGroupName, _: &[NodeId]) {
        panic!("a machine of Azure is in one resource group, from its beginning")
    }

    async fn make_trouble(&self, trouble: Trouble) {
        let fault = match trouble.kind {
            TroubleKind::Denied => Fault::new(FaultKind::Deny),
            TroubleKind::Throttled => Fault::new(FaultKind::Throttle),
            TroubleKind::AnswerLost => Fault::new(FaultKind::CutAfter).on("*Patches"),
            other => panic!("{other:?} is no trouble of Azure"),
        };
        let number = |it: usize| u32::try_from(it).expect("a small number");
        let mut fault = fault.of_caller(APPLICATION).times(number(trouble.times));
        if let Some(page) = trouble.page {
            fault = fault.on_page(number(page));
        }
        self.world.add_fault(fault).expect("an application's id is a glob");
    }
}
