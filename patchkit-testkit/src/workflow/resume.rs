//! Runs that died and that another worker goes on with, or gives up.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use patchkit_core::{
    ErrorKind, Event, NodeId, NodeSelector, PatchAction, PowerTarget, Record, Result, RunId,
    RunState, Runs, SubmitToken,
    workflow::{Outcome, PatchPlan, RunReport},
};

use super::{World, faults_of, interrupted, polled, recovery::dying, scene::Scene};
use crate::{
    cases::support::{bad, good},
    fault::{Call, Failure, Fault, FaultPlan},
};

/// The run dropped after each of its polls, and gone on with by another worker: every node of the
/// plan is patched, but for those of which nobody can tell whether they were given an install.
pub async fn resumed_after_each_await(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let scene = Scene::new(new().await, format!("dropped after {polls} polls")).await;
        let plan = scene.plan().await;
        let over = polled(polls, scene.healthy("worker").patch(&scene.run, &plan)).await;
        scene.outlive_the_lease().await;
        let unclear = unanswered(&scene).await;
        let resumed = scene.healthy("heir").resume(&scene.run).await;
        if over.is_some() {
            bad(resumed, ErrorKind::Conflict, "resuming a run that is over");
            break;
        }
        match &resumed {
            Ok(report) => {
                carried_out(&scene, &plan, report, &unclear);
                scene.hold(Some(&resumed)).await;
            }
            // It died before it was one.
            Err(error) if error.kind() != ErrorKind::Conflict => {
                let early = [ErrorKind::NotFound, ErrorKind::Unsupported];
                assert!(early.contains(&error.kind()), "{}: {}", scene.label, error.report());
                assert!(!scene.calls().iter().any(Call::is_work), "{}", scene.label);
                scene.hold(None).await;
            }
            // It died when all was written down.
            Err(error) => {
                assert!(is_finished(&scene).await, "{}: {}", scene.label, error.report());
                scene.hold(None).await;
            }
        }
        one_install_for_each_node(&scene);
    }
}

async fn is_finished(scene: &Scene) -> bool {
    let runs = Runs::new(scene.world.journal_handle(), scene.h().clock());
    let line = runs.line(&scene.run).await;
    line.is_ok_and(|line| line.state == RunState::Finished)
}

/// Nodes of installs that were about to be submitted, and of which the journal tells no more.
async fn unanswered(scene: &Scene) -> BTreeSet<NodeId> {
    let records: Result<Vec<Record>> = scene.world.journal().events(&scene.run).try_collect().await;
    let mut open: BTreeMap<SubmitToken, Vec<NodeId>> = BTreeMap::new();
    for record in records.unwrap_or_default() {
        match record.event {
            Event::SubmitIntent { token, action: PatchAction::Install(_), nodes } => {
                open.insert(token, nodes);
            }
            Event::Submitted { token, .. } => {
                open.remove(&token);
            }
            _ => {}
        }
    }
    open.into_values().flatten().collect()
}

fn carried_out(scene: &Scene, plan: &PatchPlan, report: &RunReport, unclear: &BTreeSet<NodeId>) {
    let label = &scene.label;
    assert!(report.undo_failed.is_empty() && report.problems.is_empty(), "{label}: {report}");
    for node in &plan.nodes {
        let end = report.nodes.iter().find(|at| at.node == node.id);
        let outcome = end.map(|end| &end.outcome);
        let is_patched = outcome.is_some_and(|it| it.outcome == Outcome::Patched);
        let is_unclear =
            outcome.is_some_and(|it| it.outcome == Outcome::Unknown) && unclear.contains(&node.id);
        // The unclear ones count as out of work, as in any run.
        let no_room = |note: &String| note.contains("fill the disruption budget");
        let has_no_room =
            !unclear.is_empty() && outcome.is_some_and(|it| it.notes.iter().any(no_room));
        let is_told = is_patched || is_unclear || has_no_room;
        assert!(is_told, "{label}: {} ended as {outcome:?}", node.id);
    }
}

/// Whoever worked on the run, no node was given two installs, and none an act twice.
fn one_install_for_each_node(scene: &Scene) {
    let mut installed: BTreeSet<NodeId> = BTreeSet::new();
    let mut tokens: BTreeSet<SubmitToken> = BTreeSet::new();
    for call in scene.calls() {
        let (Some((token, action)), Some(_)) = (&call.act, &call.accepted) else { continue };
        if !token.as_str().starts_with("run-1-") {
            continue;
        }
        assert!(tokens.insert(token.clone()), "{}: {token} twice", scene.label);
        if matches!(action, PatchAction::Install(_)) {
            for node in &call.nodes {
                assert!(installed.insert(node.clone()), "{}: {node} twice", scene.label);
            }
        }
    }
}

/// The calls of a worker who goes on with a run in which an install is under way.
async fn clean(world: World) -> Vec<Call> {
    let scene = dying(world, "a clean resumption".to_owned()).await;
    let from = scene.calls().len();
    let report = scene.healthy("heir").resume(&scene.run).await;
    let calls = scene.calls().split_off(from);
    scene.hold(Some(&report)).await;
    one_install_for_each_node(&scene);
    good(report, "a clean resumption");
    calls
}

/// Each kind of error, in each call of the resumption, one at a time.
pub async fn an_error_at_each_step_of_a_resumption(new: &impl AsyncFn() -> World) {
    for (at, call) in clean(new().await).await.iter().enumerate() {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} of a resumption, {}", call.operation);
            resume_with(new().await, label, FaultPlan::new().at(at, fault)).await;
        }
    }
}

/// From each call of the resumption on nothing works any more.
pub async fn an_outage_from_each_step_of_a_resumption_on(new: &impl AsyncFn() -> World) {
    let fault = Fault::Refuse(Failure::new(ErrorKind::Unexpected));
    for at in 0..clean(new().await).await.len() {
        let label = format!("everything is out from call {at} of a resumption on");
        resume_with(new().await, label, FaultPlan::new().from(at, fault)).await;
    }
}

async fn resume_with(world: World, label: String, plan: FaultPlan) {
    let scene = dying(world, label).await;
    let report = scene.runner(&scene.faults("heir", plan)).resume(&scene.run).await;
    // One that fails to begin leaves all to the next.
    scene.hold(report.is_ok().then_some(&report)).await;
    one_install_for_each_node(&scene);
}

/// The resumption dropped after each of its polls, and gone on with once more.
pub async fn dropped_at_each_await_of_a_resumption(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let scene = dying(new().await, format!("a resumption dropped after {polls} polls")).await;
        let over = polled(polls, scene.healthy("heir").resume(&scene.run)).await;
        if over.is_some() {
            break;
        }
        scene.outlive_the_lease().await;
        let is_finished = is_finished(&scene).await;
        let report = scene.healthy("second heir").resume(&scene.run).await;
        scene.hold(report.is_ok().then_some(&report)).await;
        one_install_for_each_node(&scene);
        if is_finished {
            bad(report, ErrorKind::Conflict, "resuming a run that is over");
            continue;
        }
        let report = good(report, &scene.label);
        assert!(report.undo_failed.is_empty(), "{}: {report}", scene.label);
    }
}

/// What is no patch run is not resumed, and stays for a recovery.
pub async fn a_scan_is_not_resumed(new: &impl AsyncFn() -> World) {
    let scene = Scene::new(new().await, "a scan that died").await;
    let worker = scene.healthy("worker");
    let begun = || scene.calls().iter().any(|call| call.act.is_some());
    let over = interrupted(begun, worker.scan(&scene.run, &NodeSelector::all())).await;
    assert!(over.is_none(), "the scan never began");
    scene.outlive_the_lease().await;
    let heir = scene.healthy("heir");
    bad(heir.resume(&scene.run).await, ErrorKind::Unsupported, "resuming a scan");
    good(heir.recover(&scene.run).await, "a recovery at once after a refused resumption");
}

/// A run whose nodes cannot be put back keeps them through every recovery, until it is given up.
pub async fn an_abandoned_run_gives_its_nodes_back(new: &impl AsyncFn() -> World) {
    let scene = dying(new().await, "a run that is given up".to_owned()).await;
    let runs = Runs::new(scene.world.journal_handle(), scene.h().clock());
    let denied = Fault::Refuse(Failure::denied());
    let rule = FaultPlan::new().on("set_power").from(0, denied);
    let medic = scene.runner(&scene.faults("medic", rule));
    let recovery = good(medic.recover(&scene.run).await, "a recovery");
    let stuck: Vec<NodeId> = recovery.undo_failed.iter().map(|at| at.node.clone()).collect();
    let started = scene.calls().iter().any(|call| call.target == Some(PowerTarget::Running));
    assert_eq!(!stuck.is_empty(), started, "{recovery:?}");
    for (node, claim) in scene.probe("probe-1", &stuck).await {
        bad(claim, ErrorKind::Conflict, &format!("claiming {node}"));
    }

    let given_up = good(medic.abandon(&scene.run, "kim", "they are gone").await, "giving up");
    let named: BTreeSet<&NodeId> = given_up.undo_failed.iter().map(|at| &at.node).collect();
    assert_eq!(named, stuck.iter().collect(), "{given_up:?}");
    for (node, claim) in scene.probe("probe-2", &scene.nodes()).await {
        good(claim, &format!("claiming {node}"));
    }
    // A run that was over, with nothing to look at, was not given up.
    let state = good(runs.line(&scene.run).await, "the run").state;
    assert_eq!(state, if started { RunState::Abandoned } else { RunState::Finished });
    let from = scene.calls().len();
    let again = good(scene.healthy("medic").recover(&scene.run).await, "a recovery");
    assert!(again.restored.is_empty() && again.undo_failed.is_empty(), "{again:?}");
    let again = good(scene.healthy("medic").abandon(&scene.run, "kim", "").await, "giving up");
    assert!(again.restored.is_empty() && again.undo_failed.is_empty(), "{again:?}");
    let resumed = scene.healthy("heir").resume(&scene.run).await;
    bad(resumed, ErrorKind::Conflict, "resuming a run that was given up");
    let calls = scene.calls().split_off(from);
    assert!(!calls.iter().any(Call::is_work), "{calls:?}");
    let other = good(RunId::new("run-2"), "a run's id");
    let plan = scene.plan().await;
    good(scene.healthy("next").patch(&other, &plan).await, "the next run");
}
