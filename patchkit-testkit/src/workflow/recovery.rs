//! Recoveries that go wrong themselves.

use patchkit_core::{ErrorKind, PatchAction};

use super::{World, faults_of, interrupted, polled, scene::Scene};
use crate::{
    cases::support::good,
    fault::{Call, Failure, Fault, FaultPlan},
};

/// A run that died in the middle of its work, and whose lease is over.
pub(super) async fn dying(world: World, label: String) -> Scene {
    let scene = Scene::new(world, label).await;
    let plan = scene.plan().await;
    let faults = scene.faults("worker", FaultPlan::new());
    let runner = scene.runner(&faults);
    // Until an install is under way: nodes are on that were off, and something goes on in them.
    let installs = |call: &Call| {
        matches!(call.act, Some((_, PatchAction::Install(_)))) && call.accepted.is_some()
    };
    let enough = || scene.calls().iter().any(installs);
    let over = interrupted(enough, runner.patch(&scene.run, &plan)).await;
    assert!(over.is_none(), "the run never submitted an install");
    scene.outlive_the_lease().await;
    scene
}

async fn clean(world: World) -> Vec<Call> {
    let scene = dying(world, "a clean recovery".to_owned()).await;
    let from = scene.calls().len();
    good(scene.healthy("medic").recover(&scene.run).await, "a clean recovery");
    let calls = scene.calls().split_off(from);
    scene.hold(None).await;
    calls
}

/// Each kind of error, in each call of the recovery, one at a time; the next recovery makes it good.
pub async fn an_error_at_each_step_of_a_recovery(new: &impl AsyncFn() -> World) {
    for (at, call) in clean(new().await).await.iter().enumerate() {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} of a recovery, {}", call.operation);
            recover_with(new().await, label, FaultPlan::new().at(at, fault)).await;
        }
    }
}

/// From each call of the recovery on nothing works any more; the next recovery makes it good.
pub async fn an_outage_from_each_step_of_a_recovery_on(new: &impl AsyncFn() -> World) {
    let fault = Fault::Refuse(Failure::new(ErrorKind::Unexpected));
    for at in 0..clean(new().await).await.len() {
        let label = format!("everything is out from call {at} of a recovery on");
        recover_with(new().await, label, FaultPlan::new().from(at, fault)).await;
    }
}

async fn recover_with(world: World, label: String, plan: FaultPlan) {
    let scene = dying(world, label).await;
    let medic = scene.runner(&scene.faults("medic", plan));
    if let Ok(recovery) = medic.recover(&scene.run).await {
        scene.power_is_back(&recovery.undo_failed, "after the recovery").await;
    }
    scene.hold(None).await;
}

/// The recovery dropped after each of its polls; the next one makes it good.
pub async fn dropped_at_each_await_of_a_recovery(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let label = format!("a recovery dropped after {polls} polls");
        let scene = dying(new().await, label).await;
        let medic = scene.healthy("medic");
        let over = polled(polls, medic.recover(&scene.run)).await;
        scene.hold(None).await;
        if over.is_some() {
            break;
        }
    }
}

/// A run that ended by itself is left alone: a recovery does nothing to its nodes.
pub async fn a_finished_run_is_left_alone(new: &impl AsyncFn() -> World) {
    let scene = Scene::new(new().await, "a finished run").await;
    good(scene.patch(&scene.faults("worker", FaultPlan::new())).await, "a clean run");
    let from = scene.calls().len();
    let recovery = good(scene.healthy("medic").recover(&scene.run).await, "a recovery");
    assert!(recovery.restored.is_empty() && recovery.undo_failed.is_empty(), "{recovery:?}");
    assert!(recovery.unknown.is_empty() && recovery.problems.is_empty(), "{recovery:?}");
    let work: Vec<Call> = scene.calls().split_off(from).into_iter().filter(Call::is_work).collect();
    assert!(work.is_empty(), "{work:?}");
}

/// A run that died after a start which the provider does not support left nothing to undo, though
/// the provider cannot stop the node either.
pub async fn an_unsupported_start_leaves_nothing_to_undo(new: &impl AsyncFn() -> World) {
    let scene = Scene::new(new().await, "a start that is not supported").await;
    let unsupported = Fault::Refuse(Failure::new(ErrorKind::Unsupported));
    let rule = FaultPlan::new().on("set_power").from(0, unsupported);
    let plan = scene.plan().await;
    let worker = scene.runner(&scene.faults("worker", rule.clone()));
    let asked = || scene.calls().iter().any(|call| call.target.is_some());
    let over = interrupted(asked, worker.patch(&scene.run, &plan)).await;
    let starts = plan.nodes.iter().any(|node| node.power.is_off());
    assert_eq!(over.is_none(), starts, "only a plan with a start asks for power");
    scene.outlive_the_lease().await;
    let medic = scene.runner(&scene.faults("medic", rule));
    let recovery = good(medic.recover(&scene.run).await, "a recovery");
    assert!(recovery.undo_failed.is_empty(), "{recovery:?}");
    scene.power_is_back(&[], "after the recovery").await;
    scene.hold(None).await;
}
