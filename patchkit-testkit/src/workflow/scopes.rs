//! Patch runs over an estate, one scope of which goes wrong.
//!
//! The faults lie between the estate and the provider of that scope, so what one scope makes of an
//! error is tried, and that the others never feel it: their nodes end as if nothing had happened.

use std::collections::BTreeMap;

use patchkit_core::{
    Amount, ErrorKind, NodeId, NodeSelector, PowerState, Rollout, Scope,
    workflow::{Outcome, PatchOptions, PatchPlan, RunReport},
};

use super::{World, faults_of, scene::Scene};
use crate::{
    cases::support::good,
    fault::{Call, Failure, Fault, FaultPlan, Faults},
};

/// A fresh world over several scopes, one of which goes wrong.
#[derive(Clone, Debug)]
pub struct ScopedWorld {
    world: World,
    scope: Scope,
    faults: Faults,
}

impl ScopedWorld {
    /// A world in which every call to the provider of `scope`, and none to another, goes through
    /// `faults`. Nodes that are added must spread over the scopes.
    pub fn new(world: World, scope: Scope, faults: Faults) -> Self {
        Self { world, scope, faults }
    }
}

/// How a node of a sound scope ended.
type End = (Outcome, PowerState, Vec<String>);

/// A run in a fresh world.
struct Tried {
    scene: Scene,
    report: RunReport,
    /// How the nodes of the other scopes ended.
    others: BTreeMap<NodeId, End>,
    /// The calls to the scope in question, and how many of them came before the run.
    calls: Vec<Call>,
    before: usize,
}

/// All nodes at once: a budget would have the failures of one scope hold back the others, rightly.
fn options() -> PatchOptions {
    let rollout =
        Rollout::new().with_disruption(Amount::Percent(100)).with_errors(Amount::Percent(100));
    PatchOptions::new(NodeSelector::all())
        .with_start(NodeSelector::all().with_tag("Start", ["yes"]))
        .with_rollout(rollout)
}

async fn tried(scoped: ScopedWorld, label: String) -> Tried {
    let ScopedWorld { world, scope, faults } = scoped;
    let scene = Scene::new(world, label).await;
    let plan: PatchPlan = good(scene.healthy("planner").plan_patch(&options()).await, "a plan");
    let before = faults.count();
    let runner = scene.healthy("worker");
    let report = runner.patch(&scene.run, &plan).await;
    let calls = faults.calls();
    scene.hold(Some(&report)).await;
    // No scope's errors are the run's.
    let report = good(report, &scene.label);
    let others = report.nodes.iter().filter(|node| *node.node.scope() != scope);
    let others = others
        .map(|node| {
            let end = (node.outcome.outcome, node.power_after, node.outcome.notes.clone());
            (node.node.clone(), end)
        })
        .collect();
    Tried { scene, report, others, calls, before }
}

/// A run to which nothing happens; the scope in question and others have nodes in it.
async fn clean(new: &impl AsyncFn(FaultPlan) -> ScopedWorld) -> Tried {
    let clean = tried(new(FaultPlan::new()).await, "a clean run over scopes".to_owned()).await;
    assert!(clean.report.undo_failed.is_empty(), "{}", clean.report);
    let patched = |of: &[&Outcome]| of.iter().filter(|end| ***end == Outcome::Patched).count();
    let others: Vec<&Outcome> = clean.others.values().map(|(outcome, _, _)| outcome).collect();
    let all: Vec<&Outcome> = clean.report.nodes.iter().map(|at| &at.outcome.outcome).collect();
    assert!(patched(&others) > 0, "no other scope has a node: {}", clean.report);
    assert!(patched(&all) > patched(&others), "the scope has no node: {}", clean.report);
    clean
}

/// Each kind of error, in each call to the provider of one scope, one at a time.
pub async fn an_error_at_each_step_in_one_scope(new: &impl AsyncFn(FaultPlan) -> ScopedWorld) {
    let clean = clean(new).await;
    for (at, call) in clean.calls.iter().enumerate().skip(clean.before) {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} in one scope, {}", call.operation);
            let tried = tried(new(FaultPlan::new().at(at, fault)).await, label).await;
            assert_eq!(tried.others, clean.others, "{}", tried.scene.label);
        }
    }
}

/// From each call on one scope is out, until its calls are over: denied, gone, or without an answer.
pub async fn an_outage_in_one_scope_from_each_step_on(
    new: &impl AsyncFn(FaultPlan) -> ScopedWorld,
) {
    let clean = clean(new).await;
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, call) in clean.calls.iter().enumerate() {
        let number = numbers.entry(call.operation).or_default();
        let from = *number;
        *number += 1;
        // What is read of nodes and their power the rules themselves ask for afterwards.
        if at < clean.before || matches!(call.operation, "nodes" | "statuses" | "set_power") {
            continue;
        }
        let kinds = [ErrorKind::PermissionDenied, ErrorKind::NotFound, ErrorKind::Timeout];
        for failure in kinds.map(Failure::new) {
            // A recovery has no permission either, and leaves an install alone that it may not watch.
            if call.operation == "operation" && failure.kind == ErrorKind::PermissionDenied {
                continue;
            }
            let label =
                format!("{failure:?} from call {from} of {} on in one scope", call.operation);
            let plan = FaultPlan::new().on(call.operation).from(from, Fault::Refuse(failure));
            let tried = tried(new(plan).await, label).await;
            assert_eq!(tried.others, clean.others, "{}", tried.scene.label);
        }
    }
}

/// Each kind of error, in each call to the cloud that hosts the machines of a linked fleet, one at a
/// time: what was started is put back, or named.
pub async fn an_error_at_each_step_of_a_host(new: &impl AsyncFn(FaultPlan) -> ScopedWorld) {
    let clean = tried(new(FaultPlan::new()).await, "a clean run over machines".to_owned()).await;
    assert!(clean.report.undo_failed.is_empty(), "{}", clean.report);
    let powers = clean.calls.iter().filter(|call| call.operation == "set_power").count();
    assert!(powers > 1, "no machine was started and put back: {}", clean.report);
    for (at, call) in clean.calls.iter().enumerate().skip(clean.before) {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} to the host, {}", call.operation);
            tried(new(FaultPlan::new().at(at, fault)).await, label).await;
        }
    }
}
