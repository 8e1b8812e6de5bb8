//! Scans that go wrong.

use patchkit_core::{
    NodeSelector, Result,
    workflow::{ScanOutcome, ScanReport},
};

use super::{World, faults_of, polled, scene::Scene};
use crate::{
    cases::support::good,
    fault::{Call, FaultPlan, Faults},
};

async fn scan(scene: &Scene, faults: &Faults) -> Result<ScanReport> {
    scene.runner(faults).scan(&scene.run, &NodeSelector::all()).await
}

async fn clean(world: World) -> Vec<Call> {
    let scene = Scene::new(world, "a clean scan").await;
    let faults = scene.faults("worker", FaultPlan::new());
    let report = good(scan(&scene, &faults).await, "a clean scan");
    let scanned = report.nodes.iter().filter(|node| node.outcome == ScanOutcome::Scanned).count();
    assert_eq!((scanned, report.nodes.len()), (2, 5), "{report:?}");
    let calls = scene.calls();
    hold(&scene, Some(&report)).await;
    calls
}

/// A scan changes no power, says `Scanned` only of what was scanned, and gives every node back.
async fn hold(scene: &Scene, report: Option<&ScanReport>) {
    let label = &scene.label;
    scene.power_is_back(&[], "after the scan").await;
    for node in report.iter().flat_map(|report| &report.nodes) {
        if node.outcome == ScanOutcome::Scanned {
            let scanned = scene
                .calls()
                .iter()
                .any(|call| call.accepted.is_some() && call.nodes.contains(&node.node));
            assert!(scanned, "{label}: {} is called scanned", node.node);
        }
    }
    scene.outlive_the_lease().await;
    // A scan that was never begun leaves nothing to recover.
    let _ = scene.healthy("medic").recover(&scene.run).await;
    for (node, claim) in scene.probe("probe", &scene.nodes()).await {
        if let Err(error) = claim {
            panic!("{label}: {node} stays claimed: {}", error.report());
        }
    }
}

/// Each kind of error, in each call of the scan, one at a time.
pub async fn an_error_at_each_step(new: &impl AsyncFn() -> World) {
    for (at, call) in clean(new().await).await.iter().enumerate() {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} of a scan, {}", call.operation);
            let scene = Scene::new(new().await, label).await;
            let faults = scene.faults("worker", FaultPlan::new().at(at, fault));
            let report = scan(&scene, &faults).await;
            hold(&scene, report.as_ref().ok()).await;
        }
    }
}

/// The scan dropped after each of its polls.
pub async fn dropped_at_each_await(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let label = format!("a scan dropped after {polls} polls");
        let scene = Scene::new(new().await, label).await;
        let faults = scene.faults("worker", FaultPlan::new());
        let report = polled(polls, scan(&scene, &faults)).await;
        let over = report.is_some();
        hold(&scene, report.and_then(Result::ok).as_ref()).await;
        if over {
            break;
        }
    }
}
