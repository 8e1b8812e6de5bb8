//! Two runs on one fleet.

use futures::future::join;
use patchkit_core::{
    NodeId, RunId,
    workflow::{Outcome, RunReport},
};

use super::{World, interrupted, scene::Scene};
use crate::{cases::support::good, fault::turn};

/// How many polls one run is ahead of the other, at most, in steps.
const HEAD_STARTS: usize = 120;

/// Two runs over the same nodes, the second begun at any time of the first: on each node the work
/// of one is over before that of the other begins.
pub async fn two_runs_never_work_on_one_node(new: &impl AsyncFn() -> World) {
    for head_start in (0..HEAD_STARTS).step_by(3) {
        let label = format!("two runs, {head_start} polls apart");
        let scene = Scene::new(new().await, label).await;
        let plan = scene.plan().await;
        let first = scene.healthy("first");
        let second = scene.healthy("second");
        let other = good(RunId::new("run-2"), "a run's id");
        let late = async {
            for _ in 0..head_start {
                turn().await;
            }
            second.patch(&other, &plan).await
        };
        let (one, two) = join(first.patch(&scene.run, &plan), late).await;
        let (one, two) = (good(one, &scene.label), good(two, &scene.label));
        scene.power_is_back(&[], "after both runs").await;
        for node in scene.nodes() {
            let (ours, theirs) =
                (work_on(&scene, "first", &node), work_on(&scene, "second", &node));
            let apart = match (ours, theirs) {
                (Some((from, to)), Some((other_from, other_to))) => {
                    to < other_from || other_to < from
                }
                _ => true,
            };
            assert!(apart, "{}: both runs worked on {node}", scene.label);
            let good = [&one, &two].iter().filter(|report| is_patched(report, &node)).count();
            assert!(good <= 1 || ours.is_some() && theirs.is_some(), "{}", scene.label);
        }
        scene.hold(Some(&Ok(one))).await;
    }
}

fn is_patched(report: &RunReport, node: &NodeId) -> bool {
    report.nodes.iter().any(|at| at.node == *node && at.outcome.outcome == Outcome::Patched)
}

/// The places in the log between which a worker changed something on a node.
fn work_on(scene: &Scene, worker: &str, node: &NodeId) -> Option<(usize, usize)> {
    let calls = scene.calls();
    let is = |call: &crate::fault::Call| {
        call.caller == worker && call.is_work() && call.nodes.contains(node)
    };
    Some((calls.iter().position(is)?, calls.iter().rposition(is)?))
}

/// A run that died keeps its nodes, also when its lease is over, until someone recovers it.
pub async fn the_nodes_of_a_dead_run_are_left_alone(new: &impl AsyncFn() -> World) {
    let scene = Scene::new(new().await, "a dead run and a living one").await;
    let plan = scene.plan().await;
    let dead = scene.healthy("dead");
    let begun = || scene.calls().iter().any(|call| call.caller == "dead" && call.is_work());
    let over = interrupted(begun, dead.patch(&scene.run, &plan)).await;
    assert!(over.is_none(), "the run never began its work");
    scene.outlive_the_lease().await;

    let living = scene.healthy("living");
    let other = good(RunId::new("run-2"), "a run's id");
    let report = good(living.patch(&other, &plan).await, "a run beside a dead one");
    for node in &report.nodes {
        assert_eq!(node.outcome.outcome, Outcome::Skipped, "{}", node.node);
    }
    let worked = scene.calls().iter().any(|call| call.caller == "living" && call.is_work());
    assert!(!worked, "it worked on a dead run's nodes");

    good(scene.healthy("medic").recover(&scene.run).await, "a recovery");
    scene.power_is_back(&[], "after the recovery").await;
    let third = good(RunId::new("run-3"), "a run's id");
    let plan = scene.plan().await;
    let report = good(living.patch(&third, &plan).await, "a run after the recovery");
    assert!(report.nodes.iter().any(|node| node.outcome.outcome == Outcome::Patched), "{report}");
    scene.power_is_back(&[], "after the third run").await;
}
