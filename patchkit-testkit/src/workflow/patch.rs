//! Patch runs that go wrong.

use std::{cell::Cell, collections::BTreeSet, future::poll_fn, pin::pin};

use patchkit_core::{
    ErrorKind, NodeId, PatchAction,
    workflow::{CancelToken, Outcome, RunReport},
};

use super::{World, faults_of, is_journal, polled, scene::Scene};
use crate::{
    cases::support::good,
    fault::{Call, Failure, Fault, FaultPlan, Faults},
};

/// The calls of a run to which nothing happens.
async fn clean(world: World) -> Vec<Call> {
    let scene = Scene::new(world, "a clean run").await;
    let faults = scene.faults("worker", FaultPlan::new());
    let report = scene.patch(&faults).await;
    scene.hold(Some(&report)).await;
    good(report, "a clean run");
    worker_calls(&scene)
}

fn worker_calls(scene: &Scene) -> Vec<Call> {
    scene.calls().into_iter().filter(|call| call.caller == "worker").collect()
}

/// The nodes that a clean run patches: those that are on, and those it may start where it can.
fn patchable(scene: &Scene, report: &RunReport) -> Vec<NodeId> {
    let power = scene.h().fleet().capabilities().power;
    report
        .nodes
        .iter()
        .filter(|node| !node.power_before.is_off() || power)
        .map(|node| node.node.clone())
        .collect()
}

fn patched(report: &RunReport) -> Vec<NodeId> {
    report
        .nodes
        .iter()
        .filter(|node| node.outcome.outcome == Outcome::Patched)
        .map(|node| node.node.clone())
        .collect()
}

/// Without faults every node that may be patched is, and is left in the power it had.
pub async fn a_clean_run_patches_every_node(new: &impl AsyncFn() -> World) {
    let scene = Scene::new(new().await, "a clean run").await;
    let plan = scene.plan().await;
    let planned = if scene.h().fleet().capabilities().power { (4, 1) } else { (2, 3) };
    assert_eq!((plan.nodes.len(), plan.skipped.len()), planned, "{plan}");
    let faults = scene.faults("worker", FaultPlan::new());
    let report = scene.patch(&faults).await;
    scene.hold(Some(&report)).await;
    let report = good(report, "a clean run");
    let mut expected = patchable(&scene, &report);
    expected.retain(|node| plan.nodes.iter().any(|planned| planned.id == *node));
    assert_eq!(patched(&report), expected, "{report}");
    assert!(report.undo_failed.is_empty() && report.problems.is_empty(), "{report}");
}

/// A listing that fails while planning fails the plan, and nothing was done.
pub async fn an_error_while_planning_changes_nothing(new: &impl AsyncFn() -> World) {
    let scene = Scene::new(new().await, "planning").await;
    let faults = scene.faults("worker", FaultPlan::new());
    good(scene.runner(&faults).plan_patch(&Scene::options()).await, "a plan");
    for at in 0..faults.count() {
        let scene = Scene::new(new().await, format!("an error in call {at} of planning")).await;
        let plan = FaultPlan::new().at(at, Fault::LoseAnswer(Failure::denied()));
        let faults = scene.faults("worker", plan);
        let planned = scene.runner(&faults).plan_patch(&Scene::options()).await;
        let Err(error) = planned else { panic!("{}: half a plan", scene.label) };
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(worker_calls(&scene).iter().all(|call| !call.is_work()));
        scene.power_is_back(&[], "after the plan").await;
    }
}

/// Whether a run must put back what it started by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Undo {
    /// It must: the provider takes its orders, and nobody else owns the run.
    Due,
    /// Where it cannot, it says so.
    OrNamed,
}

/// What is due after one fault in a run.
fn undo_after(call: &Call, fault: Fault) -> Undo {
    // Who may not ask how far an install has come does not stop the node under it.
    let denied = |failure: Failure| failure.kind == ErrorKind::PermissionDenied;
    match fault {
        Fault::Refuse(failure) if call.operation == "operation" && denied(failure) => Undo::OrNamed,
        _ => Undo::Due,
    }
}

/// Makes a run with `plan` in a fresh world and holds the rules against it.
async fn with_faults(world: World, label: String, plan: FaultPlan, undo: Undo) {
    let scene = Scene::new(world, label).await;
    let faults = scene.faults("worker", plan);
    let report = scene.patch(&faults).await;
    scene.hold(Some(&report)).await;
    if let Ok(report) = report
        && undo == Undo::Due
    {
        assert!(report.undo_failed.is_empty(), "{}: {report}", scene.label);
    }
}

/// Each kind of error, in each call of the run, one at a time.
pub async fn an_error_at_each_step(new: &impl AsyncFn() -> World) {
    for (at, call) in clean(new().await).await.iter().enumerate() {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at}, {}", call.operation);
            let plan = FaultPlan::new().at(at, fault);
            with_faults(new().await, label, plan, undo_after(call, fault)).await;
        }
    }
}

/// Each call made twice, one at a time: the run goes as if nothing had happened.
pub async fn each_step_twice(new: &impl AsyncFn() -> World) {
    for (at, call) in clean(new().await).await.iter().enumerate() {
        let label = format!("call {at}, {}, twice", call.operation);
        as_if_nothing(new().await, label, FaultPlan::new().at(at, Fault::Repeat)).await;
    }
}

/// All calls made twice.
pub async fn every_step_twice(new: &impl AsyncFn() -> World) {
    let plan = FaultPlan::new().every(1, Fault::Repeat);
    as_if_nothing(new().await, "every call twice".to_owned(), plan).await;
}

async fn as_if_nothing(world: World, label: String, plan: FaultPlan) {
    let scene = Scene::new(world, label).await;
    let faults = scene.faults("worker", plan);
    let report = scene.patch(&faults).await;
    scene.hold(Some(&report)).await;
    let report = good(report, &scene.label);
    let mut expected = patchable(&scene, &report);
    expected.retain(|node| {
        report.nodes.iter().any(|at| at.node == *node && at.outcome.outcome != Outcome::Skipped)
    });
    assert_eq!(patched(&report), expected, "{}: {report}", scene.label);
    assert!(report.problems.is_empty(), "{}: {report}", scene.label);
}

/// From each call on nothing works any more: what could not be put back is named, and recovered.
pub async fn an_outage_from_each_step_on(new: &impl AsyncFn() -> World) {
    let calls = clean(new().await).await;
    let denied = Fault::Refuse(Failure::denied());
    let unexpected = Fault::Refuse(Failure::new(ErrorKind::Unexpected));
    for (at, call) in calls.iter().enumerate() {
        let whole = FaultPlan::new().from(at, unexpected);
        let label = format!("everything is out from call {at}, {}, on", call.operation);
        with_faults(new().await, label, whole, Undo::OrNamed).await;
        // The provider alone, or the journal alone; counted by its own calls.
        let of_kind = |other: &&Call| other.operation == call.operation;
        let before = calls[..at].iter().filter(of_kind).count();
        let fault = if is_journal(call) { unexpected } else { denied };
        let label = format!("{} is out from its call {before} on", call.operation);
        let plan = FaultPlan::new().on(call.operation).from(before, fault);
        let undo = if matches!(call.operation, "set_power" | "statuses" | "operation") {
            Undo::OrNamed
        } else {
            Undo::Due
        };
        with_faults(new().await, label, plan, undo).await;
    }
}

/// The journal says in each of its calls that another holder owns the run.
pub async fn a_lease_lost_at_each_step(new: &impl AsyncFn() -> World) {
    let conflict = Fault::Refuse(Failure::new(ErrorKind::Conflict));
    for (at, call) in clean(new().await).await.iter().enumerate() {
        if is_journal(call) {
            let label = format!("the lease is lost in call {at}, {}", call.operation);
            let plan = FaultPlan::new().at(at, conflict);
            with_faults(new().await, label, plan, Undo::OrNamed).await;
        }
    }
}

/// The future dropped after each of its polls.
pub async fn dropped_at_each_await(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let scene = Scene::new(new().await, format!("dropped after {polls} polls")).await;
        let plan = scene.plan().await;
        let runner = scene.runner(&scene.faults("worker", FaultPlan::new()));
        let report = polled(polls, runner.patch(&scene.run, &plan)).await;
        scene.hold(report.as_ref()).await;
        if report.is_some() {
            break;
        }
    }
}

/// The run cancelled before each of its calls: it begins nothing more, undoes, and reports.
pub async fn cancelled_at_each_step(new: &impl AsyncFn() -> World) {
    for at in 0..clean(new().await).await.len() {
        let scene = Scene::new(new().await, format!("cancelled at call {at}")).await;
        let plan = scene.plan().await;
        let (token, faults) = (CancelToken::new(), scene.faults("worker", FaultPlan::new()));
        let runner = scene.runner(&faults).with_cancel(token.clone());
        let report = cancelling(&faults, at, &token, runner.patch(&scene.run, &plan)).await;
        scene.hold(Some(&report)).await;
        let report = good(report, &scene.label);
        assert!(report.undo_failed.is_empty(), "{}: {report}", scene.label);
        assert!(report.problems.is_empty(), "{}: {report}", scene.label);
        // What was past the last look at the switch may go on; all of a wave is one submission in
        // each scope.
        let nodes = scene.nodes();
        let scopes: BTreeSet<_> = nodes.iter().map(NodeId::scope).collect();
        let late = worker_calls(&scene)[at..]
            .iter()
            .filter(|call| matches!(call.act, Some((_, PatchAction::Install(_)))))
            .count();
        assert!(late <= scopes.len(), "{}: {late} installs were begun afterwards", scene.label);
    }
}

/// Drives a run, and cancels it when it has made so many calls.
async fn cancelling<T>(
    faults: &Faults,
    calls: usize,
    token: &CancelToken,
    run: impl Future<Output = T>,
) -> T {
    let mut run = pin!(run);
    let done = Cell::new(false);
    poll_fn(move |cx| {
        if !done.get() && faults.count() >= calls {
            done.set(true);
            token.cancel();
        }
        run.as_mut().poll(cx)
    })
    .await
}
