//! A small fleet in memory and a runner over it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod count;
pub(crate) mod linked;
pub(crate) mod wrap;

use jiff::Timestamp;
use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, Error, ErrorKind, NodeId, NodePatch, NodeSelector,
    OperatingSystem, Patch, PatchAction, PatchBaseline, PatchId, PowerState, Presence, RunId,
    VirtualClock,
    memory::{MemoryCall, MemoryCloud, MemoryJournal, MemoryNode},
    workflow::{NodeReport, Outcome, PatchOptions, RunReport, Runner},
};

pub(crate) const OS: OperatingSystem = OperatingSystem::AmazonLinux2023;

pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) cloud: MemoryCloud,
    pub(crate) journal: MemoryJournal,
    pub(crate) runner: Runner,
}

/// A fleet whose baseline approves every patch at once.
pub(crate) fn world(nodes: impl IntoIterator<Item = MemoryNode>) -> World {
    let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    let cloud = MemoryCloud::builder().clock(clock.clone()).build();
    let draft = PatchBaseline::new("everything", OS)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
    futures::executor::block_on(async {
        let id = cloud.create_baseline(&draft).await.unwrap();
        cloud.set_default_baseline(&id).await.unwrap();
    });
    for node in nodes {
        cloud.insert(node);
    }
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(cloud.clone(), cloud.clone(), journal.clone(), clock.clone());
    World { clock, cloud, journal, runner }
}

pub(crate) fn id(name: &str) -> NodeId {
    format!("aws/111122223333/eu-west-1/{name}").parse().unwrap()
}

pub(crate) fn azure(name: &str) -> NodeId {
    format!("azure/sub/westeurope//subscriptions/sub/resourceGroups/rg/vm/{name}").parse().unwrap()
}

/// A running node that lacks two patches.
pub(crate) fn node(id: NodeId) -> MemoryNode {
    ["openssl", "kernel"].into_iter().fold(MemoryNode::new(id, OS), |node, name| {
        let patch = Patch::new(PatchId::new(name).unwrap())
            .with_released_at("2026-10-01T00:00:00Z".parse().unwrap());
        node.with_patch(NodePatch::new(patch, Presence::Absent))
    })
}

/// A node that is off, and tagged to be started.
pub(crate) fn off(id: NodeId, power: PowerState) -> MemoryNode {
    node(id).with_power(power).with_tag("PatchStart", "yes")
}

pub(crate) fn options() -> PatchOptions {
    options_of(NodeSelector::all())
}

pub(crate) fn options_of(selector: NodeSelector) -> PatchOptions {
    PatchOptions::new(selector).with_start(NodeSelector::all().with_tag("PatchStart", ["yes"]))
}

pub(crate) fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

pub(crate) fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "memory", "test", "as the test wants it")
}

impl World {
    pub(crate) async fn patch(&self, options: &PatchOptions) -> RunReport {
        let plan = self.runner.plan_patch(options).await.unwrap();
        self.runner.patch(&run_id("run"), &plan).await.unwrap()
    }

    /// The submits of one kind of act, in order.
    pub(crate) fn submits(&self, wanted: impl Fn(&PatchAction) -> bool) -> Vec<MemoryCall> {
        let calls = self.cloud.calls().into_iter();
        calls
            .filter(|call| call.operation == "submit" && call.action.as_ref().is_some_and(&wanted))
            .collect()
    }

    pub(crate) fn installs(&self) -> Vec<MemoryCall> {
        self.submits(|action| matches!(action, PatchAction::Install(_)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        patchkit_core::Clock::now(&self.clock)
    }
}

pub(crate) fn report<'a>(report: &'a RunReport, id: &NodeId) -> &'a NodeReport {
    report.nodes.iter().find(|node| node.node == *id).unwrap()
}

pub(crate) fn outcome(ended: &RunReport, id: &NodeId) -> Outcome {
    report(ended, id).outcome.outcome
}

/// Whether the node's notes hold `text`.
pub(crate) fn says(ended: &RunReport, id: &NodeId, text: &str) -> bool {
    report(ended, id).outcome.notes.iter().any(|note| note.contains(text))
}
