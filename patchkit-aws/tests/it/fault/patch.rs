//! A patch run.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_core::{
    Amount, NodeId, NodeSelector, OperatingSystem, PatchState, Rollout, RunId,
    memory::MemoryJournal,
    workflow::{Outcome, PatchOptions, RunReport, Runner},
};
use patchkit_testkit::{
    PatchSeed,
    cloud::{Fault, FaultKind, NodeSpec, PatchSpec, Power, World},
};

use super::{patient, provider};
use crate::{
    support::{ACCOUNT, REGION, node, one_scope},
    wire::Wire,
};

const PATCH: &str = "openssl.x86_64";

/// A machine of a Region that lacks a patch; a stopped one may be started for it.
fn lacking(region: &str, power: Power) -> NodeSpec {
    let missing = PatchSpec::from(PatchSeed::new(PATCH.parse().unwrap(), PatchState::Missing));
    let spec = NodeSpec::ec2(OperatingSystem::AmazonLinux2023, ACCOUNT, region);
    spec.with_power(power).with_tag("Start", "yes").with_patches([missing]).scanned()
}

struct Scene {
    world: Arc<World>,
    running: NodeId,
    stopped: NodeId,
    /// The tokens of all commands that were sent off, whether they came or not.
    tokens: Arc<Mutex<Vec<String>>>,
}

async fn scene() -> Scene {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let add = |power| node(&world.add_node(&lacking(REGION, power)).unwrap());
    let (running, stopped) = (add(Power::Running), add(Power::Stopped));
    Scene { world, running, stopped, tokens: Arc::default() }
}

impl Scene {
    /// Plans a run on both machines, and carries it out under a fault.
    async fn run(&self, fault: Option<Fault>) -> RunReport {
        let tokens = Arc::clone(&self.tokens);
        let wire = Wire::new(move |request| {
            let body = request.body().bytes().unwrap_or_default();
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            if let Some(token) = body["Comment"].as_str() {
                tokens.lock().unwrap().push(token.to_owned());
            }
        });
        let sdk = patient(&self.world).to_builder().http_client(wire).build();
        let ssm = provider(&self.world, &sdk).await;
        let clock = Arc::new(self.world.clock());
        let journal = MemoryJournal::new(Arc::clone(&clock));
        let runner = Runner::new(ssm.clone(), ssm, journal, clock);
        let plan = runner.plan_patch(&options()).await.unwrap();
        assert_eq!(plan.nodes.len(), 2, "{plan}");
        self.world.forget_calls();
        if let Some(fault) = fault {
            self.world.add_fault(fault).unwrap();
        }
        runner.patch(&RunId::new("night").unwrap(), &plan).await.unwrap()
    }

    fn met(&self) -> u64 {
        self.world.faults().iter().map(|it| it.met).sum()
    }

    /// How often an operation came, and how often it was done.
    fn calls(&self, operation: &str) -> (usize, usize) {
        let calls = self.world.calls().of(operation);
        (calls.len(), calls.acted().len())
    }

    fn power(&self, node: &NodeId) -> Power {
        self.world.node(node.resource()).unwrap().power
    }

    fn has_patch(&self, node: &NodeId) -> bool {
        let truth = self.world.node(node.resource()).unwrap();
        truth.installed.iter().any(|it| it == PATCH)
    }

    /// A node counts as patched only where it is, and one that was started is off again, or named.
    fn check(&self, report: &RunReport) {
        for row in &report.nodes {
            if row.outcome.outcome == Outcome::Patched {
                assert!(self.has_patch(&row.node), "{report}");
            }
        }
        let named = report.undo_failed.iter().any(|it| it.node == self.stopped);
        assert!(self.power(&self.stopped) == Power::Stopped || named, "{report}");
        assert_eq!(self.power(&self.running), Power::Running);
    }
}

fn options() -> PatchOptions {
    let all = Amount::Percent(100);
    PatchOptions::new(NodeSelector::all())
        .with_start(NodeSelector::all().with_tag("Start", ["yes"]))
        .with_rollout(Rollout::default().with_disruption(all).with_errors(all))
}

fn outcome(report: &RunReport, node: &NodeId) -> Outcome {
    report.nodes.iter().find(|it| it.node == *node).unwrap().outcome.outcome
}

/// Runs under each fault once; nothing is to be seen of it in the end, and nothing was done twice.
async fn sees_through(faults: impl IntoIterator<Item = (FaultKind, &'static str)>) {
    let calm = scene().await;
    let report = calm.run(None).await;
    assert!(report.is_clean(), "{report}");
    let (_, sent) = calm.calls("SendCommand");
    assert!(sent > 2);
    for (kind, operation) in faults {
        let scene = scene().await;
        let report = scene.run(Some(Fault::new(kind).on(operation).times(1))).await;
        assert_eq!(scene.met(), 1, "{kind:?} on {operation}");
        assert!(report.is_clean(), "{kind:?} on {operation}: {report}");
        for node in [&scene.running, &scene.stopped] {
            assert_eq!(outcome(&report, node), Outcome::Patched, "{kind:?} on {operation}");
        }
        scene.check(&report);
        assert_eq!(scene.power(&scene.stopped), Power::Stopped);
        let done = ["SendCommand", "StartInstances", "StopInstances"].map(|it| scene.calls(it).1);
        assert_eq!(done, [sent, 1, 1], "{kind:?} on {operation}");
    }
}

#[tokio::test]
async fn a_lost_answer_in_a_run_is_made_good_by_reading_and_nothing_is_done_twice() {
    let lost = [FaultKind::CutAfter, FaultKind::FailAfter, FaultKind::Truncate];
    let writes = ["SendCommand", "StartInstances", "StopInstances"];
    sees_through(lost.into_iter().flat_map(|kind| writes.map(|it| (kind, it)))).await;
}

#[tokio::test]
async fn a_refusal_for_a_moment_in_a_run_is_waited_out() {
    let kinds = [FaultKind::Throttle, FaultKind::ClockSkew { seconds: 3_600 }];
    let writes = ["SendCommand", "StartInstances", "StopInstances"];
    sees_through(kinds.into_iter().flat_map(|kind| writes.map(|it| (kind, it)))).await;
}

#[tokio::test]
async fn a_look_that_goes_wrong_for_a_moment_costs_a_run_nothing() {
    let looks = [
        FaultKind::Throttle,
        FaultKind::Fail { status: 500 },
        FaultKind::CutBefore,
        FaultKind::Truncate,
        FaultKind::Slow { seconds: 1 },
        FaultKind::UnknownEnum,
        FaultKind::NullArray,
        FaultKind::EmptyPage,
    ];
    let on_commands = looks.map(|kind| (kind, "ListCommandInvocations"));
    let on_machines = looks[..5].iter().map(|kind| (*kind, "DescribeInstances"));
    sees_through(on_commands.into_iter().chain(on_machines)).await;
}

/// Whether it came is not known, and no reading tells: the nodes are unknown, and it is not sent again.
#[tokio::test]
async fn a_command_that_never_came_is_not_sent_again_and_its_nodes_are_unknown() {
    for kind in
        [FaultKind::CutBefore, FaultKind::Fail { status: 500 }, FaultKind::Fail { status: 503 }]
    {
        let scene = scene().await;
        let report = scene.run(Some(Fault::new(kind).on("SendCommand"))).await;
        let (sent, done) = scene.calls("SendCommand");
        assert_eq!((sent as u64, done), (scene.met(), 0), "{kind:?}");
        let tokens = scene.tokens.lock().unwrap().clone();
        let each: BTreeSet<&String> = tokens.iter().collect();
        assert_eq!((each.len(), sent > 0), (sent, true), "{kind:?}: {tokens:?}");
        for node in [&scene.running, &scene.stopped] {
            assert!(!outcome(&report, node).is_good(), "{kind:?}: {report}");
        }
        assert!(report.nodes.iter().any(|it| it.outcome.outcome == Outcome::Unknown), "{report}");
        scene.check(&report);
    }
}

#[tokio::test]
async fn a_start_that_never_came_is_not_sent_again_and_the_other_node_is_patched() {
    for kind in [FaultKind::CutBefore, FaultKind::Fail { status: 503 }] {
        let scene = scene().await;
        let report = scene.run(Some(Fault::new(kind).on("StartInstances").times(1))).await;
        assert_eq!(scene.calls("StartInstances"), (1, 0), "{kind:?}");
        assert!(!outcome(&report, &scene.stopped).is_good(), "{kind:?}: {report}");
        assert_eq!(outcome(&report, &scene.running), Outcome::Patched, "{kind:?}: {report}");
        scene.check(&report);
        assert_eq!(scene.power(&scene.stopped), Power::Stopped);
        assert!(!scene.has_patch(&scene.stopped));
    }
}

/// To stop what still runs is asked for again, once it is seen to run.
#[tokio::test]
async fn a_stop_that_never_came_is_asked_for_again_after_a_look() {
    for kind in [FaultKind::CutBefore, FaultKind::Fail { status: 503 }] {
        let scene = scene().await;
        let report = scene.run(Some(Fault::new(kind).on("StopInstances").times(1))).await;
        assert!(report.is_clean(), "{kind:?}: {report}");
        assert_eq!(scene.calls("StopInstances"), (2, 1), "{kind:?}");
        let calls = scene.world.calls();
        let order: Vec<&str> = calls.iter().map(|it| it.operation.as_str()).collect();
        let stops = || order.iter().enumerate().filter(|(_, it)| **it == "StopInstances");
        let [first, second] = [0, 1].map(|at| stops().nth(at).unwrap().0);
        assert!(order[first..second].contains(&"DescribeInstances"), "{order:?}");
        scene.check(&report);
    }
}

#[tokio::test]
async fn a_run_that_may_not_send_puts_back_what_it_started() {
    let scene = scene().await;
    let report = scene.run(Some(Fault::new(FaultKind::Deny).on("SendCommand"))).await;
    assert_eq!(scene.calls("SendCommand").1, 0);
    for row in &report.nodes {
        assert!(!row.outcome.outcome.is_good(), "{report}");
        let notes = row.outcome.notes.join(" ");
        assert!(notes.contains("AccessDenied"), "{notes}");
    }
    scene.check(&report);
    assert_eq!(scene.power(&scene.stopped), Power::Stopped);
}

#[tokio::test]
async fn a_region_that_goes_away_in_a_run_is_told_and_the_other_is_patched() {
    let elsewhere = "us-east-1";
    let world = Arc::new(one_scope(0).aws_region(elsewhere).start().await.unwrap());
    for region in [REGION, elsewhere] {
        world.add_node(&lacking(region, Power::Running)).unwrap();
    }
    let ssm = Ssm::builder(&patient(&world))
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited());
    let regions = [REGION, elsewhere].map(|it| it.parse().unwrap());
    let opened = Accounts::from_builder(ssm).with_regions(regions).open().await.unwrap();
    let clock = Arc::new(world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    let runner = Runner::new(opened.estate.clone(), opened.estate, journal, clock);
    let plan = runner.plan_patch(&options()).await.unwrap();
    assert_eq!(plan.nodes.len(), 2, "{plan}");
    let away = Fault::new(FaultKind::Away).in_scope(format!("{ACCOUNT}/{elsewhere}"));
    world.add_fault(away).unwrap();
    let report = runner.patch(&RunId::new("night").unwrap(), &plan).await.unwrap();
    for row in &report.nodes {
        let is_here = row.node.scope().region().as_str() == REGION;
        assert_eq!(row.outcome.outcome == Outcome::Patched, is_here, "{report}");
        assert!(is_here || !row.outcome.notes.is_empty(), "{report}");
    }
    // A plan that is made while it is away says so, and holds the others.
    let plan = runner.plan_patch(&options()).await.unwrap();
    assert!(plan.nodes.len() + plan.skipped.len() <= 1, "{plan}");
    assert!(plan.to_string().contains(elsewhere), "{plan}");
}
