//! Access fixes and tag merges that go wrong.
//!
//! What was changed must be told: in the report with what its undo needs, or, where the answer was
//! lost or the run died, by its recovery.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use patchkit_core::{
    AccessGrant, AccessStatus, NodeId, NodeSelector, Result, Tags,
    workflow::{
        AccessMode, AccessOutcome, AccessReport, RequiredTags, TagMode, TagOutcome, TagReport,
    },
};

use super::{World, faults_of, is_journal, polled, scene::Scene};
use crate::{
    NodeSeed,
    cases::support::{first_os, good, list},
    fault::{Call, FaultPlan, Faults},
};

fn grant() -> AccessGrant {
    AccessGrant::new("PatchKitSuite").with_policy("PatchKitSuitePolicy")
}

async fn access_scene(world: World, label: impl Into<String>) -> Scene {
    let os = first_os(world.harness());
    let seeds = [AccessStatus::Granted, AccessStatus::NoIdentity, AccessStatus::MissingPermissions]
        .map(|access| NodeSeed::new(os.clone()).with_access(access));
    Scene::seeded(world, label, seeds).await
}

async fn accesses(scene: &Scene) -> BTreeMap<NodeId, AccessStatus> {
    let fleet = scene.h().fleet();
    let mut found = BTreeMap::new();
    if fleet.capabilities().access {
        for node in scene.nodes() {
            let access = good(fleet.access(&node).await, "an access check");
            found.insert(node, access.status);
        }
    }
    found
}

async fn fix(scene: &Scene, faults: &Faults) -> Result<AccessReport> {
    let mode = AccessMode::Fix(grant());
    scene.runner(faults).check_access(&scene.run, &NodeSelector::all(), &mode).await
}

async fn hold_access(
    scene: &Scene,
    before: &BTreeMap<NodeId, AccessStatus>,
    report: Option<&AccessReport>,
) {
    let label = &scene.label;
    let now = accesses(scene).await;
    scene.outlive_the_lease().await;
    let recovery = scene.healthy("medic").recover(&scene.run).await;
    let unknown: Vec<NodeId> = recovery
        .iter()
        .flat_map(|recovery| recovery.unknown.iter().map(|(node, _)| node.clone()))
        .collect();
    let done = journaled(scene).await;
    for (node, status) in &now {
        let changed = before[node] != *status;
        let finding = report.and_then(|report| report.nodes.iter().find(|at| at.node == *node));
        let told = finding.is_some_and(|at| at.change.as_ref().is_some_and(|it| !it.is_empty()));
        if changed {
            assert!(
                told || unknown.contains(node) || done.contains(node),
                "{label}: {node} was changed and nobody tells: {finding:?}"
            );
        }
        match finding.map(|at| at.outcome) {
            Some(AccessOutcome::Fixed | AccessOutcome::Granted) => {
                assert_eq!(*status, AccessStatus::Granted, "{label}: {node}");
            }
            Some(AccessOutcome::Missing) => assert!(!changed, "{label}: {node} was changed"),
            _ => {}
        }
    }
    if let Some(report) = report {
        let failed = scene.healthy("medic").revert_access(report).await;
        assert!(failed.is_empty(), "{label}: {failed:?}");
        let again = accesses(scene).await;
        for finding in report.nodes.iter().filter(|finding| finding.change.is_some()) {
            assert_eq!(again[&finding.node], before[&finding.node], "{label}");
        }
    }
}

/// The nodes of which the journal says that a change was done.
async fn journaled(scene: &Scene) -> Vec<NodeId> {
    let records: Result<Vec<_>> = scene.world.journal().events(&scene.run).try_collect().await;
    let done = |record: patchkit_core::Record| match record.event {
        patchkit_core::Event::ChangeDone { change } => Some(change.node().clone()),
        _ => None,
    };
    records.unwrap_or_default().into_iter().filter_map(done).collect()
}

async fn clean_access(world: World) -> Vec<Call> {
    let scene = access_scene(world, "a clean access fix").await;
    let before = accesses(&scene).await;
    let report = fix(&scene, &scene.faults("worker", FaultPlan::new())).await;
    let report = good(report, "a clean access fix");
    let calls = scene.calls();
    let fixed = report.nodes.iter().filter(|at| at.outcome == AccessOutcome::Fixed).count();
    let due = if scene.h().fleet().capabilities().access { 2 } else { 0 };
    assert_eq!(fixed, due, "{report:?}");
    hold_access(&scene, &before, Some(&report)).await;
    calls
}

/// Each kind of error, in each call of an access fix, one at a time.
pub async fn access_with_an_error_at_each_step(new: &impl AsyncFn() -> World) {
    for (at, call) in clean_access(new().await).await.iter().enumerate() {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} of an access fix, {}", call.operation);
            let scene = access_scene(new().await, label).await;
            let before = accesses(&scene).await;
            let faults = scene.faults("worker", FaultPlan::new().at(at, fault));
            let report = fix(&scene, &faults).await;
            if is_journal(call) || call.operation == "nodes" {
                hold_access(&scene, &before, report.as_ref().ok()).await;
                continue;
            }
            // One node's error does not stop the others.
            let report = good(report, &scene.label);
            assert_eq!(report.nodes.len(), scene.before.len(), "{}", scene.label);
            hold_access(&scene, &before, Some(&report)).await;
        }
    }
}

/// The access fix dropped after each of its polls.
pub async fn access_dropped_at_each_await(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let label = format!("an access fix dropped after {polls} polls");
        let scene = access_scene(new().await, label).await;
        let before = accesses(&scene).await;
        let faults = scene.faults("worker", FaultPlan::new());
        let report = polled(polls, fix(&scene, &faults)).await;
        let over = report.is_some();
        hold_access(&scene, &before, report.and_then(Result::ok).as_ref()).await;
        if over {
            break;
        }
    }
}

fn required() -> RequiredTags {
    RequiredTags::new().with_default("Owner", "nobody").with_default("Stage", "prod")
}

async fn tag_scene(world: World, label: impl Into<String>) -> Scene {
    let os = first_os(world.harness());
    let seeds = [
        NodeSeed::new(os.clone()).with_tag("Owner", "alice").with_tag("Stage", "test"),
        NodeSeed::new(os.clone()).with_tag("Owner", "bob"),
        NodeSeed::new(os).with_tag("Name", "n3"),
    ];
    Scene::seeded(world, label, seeds).await
}

async fn all_tags(scene: &Scene) -> BTreeMap<NodeId, Tags> {
    let fleet = scene.h().fleet();
    let nodes = list(scene.h(), || fleet.nodes(&NodeSelector::all())).await;
    good(nodes, "listing the nodes").into_iter().map(|node| (node.id, node.tags)).collect()
}

async fn merge(scene: &Scene, faults: &Faults) -> Result<TagReport> {
    let runner = scene.runner(faults);
    runner.check_tags(&scene.run, &NodeSelector::all(), &required(), TagMode::Merge).await
}

async fn hold_tags(scene: &Scene, before: &BTreeMap<NodeId, Tags>, report: Option<&TagReport>) {
    let label = &scene.label;
    let now = all_tags(scene).await;
    scene.outlive_the_lease().await;
    let recovery = scene.healthy("medic").recover(&scene.run).await;
    let unknown: Vec<NodeId> = recovery
        .iter()
        .flat_map(|recovery| recovery.unknown.iter().map(|(node, _)| node.clone()))
        .collect();
    let done = journaled(scene).await;
    for (node, tags) in &now {
        let finding = report.and_then(|report| report.nodes.iter().find(|at| at.node == *node));
        for (key, value) in &before[node] {
            assert_eq!(tags.get(key), Some(value), "{label}: a merge touches no other tag");
        }
        if before[node] != *tags {
            let told = finding.is_some_and(|at| at.change.is_some());
            assert!(
                told || unknown.contains(node) || done.contains(node),
                "{label}: {node} was changed and nobody tells: {finding:?}"
            );
        }
        if let Some(finding) = finding.filter(|at| at.outcome != TagOutcome::Unknown) {
            assert_eq!(finding.tags, *tags, "{label}: the export tells the tags as they are");
        }
    }
    if let Some(report) = report {
        let failed = scene.healthy("medic").revert_tags(report).await;
        assert!(failed.is_empty(), "{label}: {failed:?}");
        let again = all_tags(scene).await;
        for finding in report.nodes.iter().filter(|finding| finding.change.is_some()) {
            assert_eq!(again[&finding.node], before[&finding.node], "{label}");
        }
    }
}

async fn clean_tags(world: World) -> Vec<Call> {
    let scene = tag_scene(world, "a clean tag merge").await;
    let before = all_tags(&scene).await;
    let report = merge(&scene, &scene.faults("worker", FaultPlan::new())).await;
    let report = good(report, "a clean tag merge");
    let calls = scene.calls();
    let merged = report.nodes.iter().filter(|at| at.outcome == TagOutcome::Merged).count();
    assert_eq!(merged, if scene.h().fleet().capabilities().tags { 2 } else { 0 }, "{report:?}");
    hold_tags(&scene, &before, Some(&report)).await;
    calls
}

/// Each kind of error, in each call of a tag merge, one at a time.
pub async fn tags_with_an_error_at_each_step(new: &impl AsyncFn() -> World) {
    for (at, call) in clean_tags(new().await).await.iter().enumerate() {
        for fault in faults_of(call) {
            let label = format!("{fault:?} in call {at} of a tag merge, {}", call.operation);
            let scene = tag_scene(new().await, label).await;
            let before = all_tags(&scene).await;
            let faults = scene.faults("worker", FaultPlan::new().at(at, fault));
            let report = merge(&scene, &faults).await;
            hold_tags(&scene, &before, report.as_ref().ok()).await;
        }
    }
}

/// The tag merge dropped after each of its polls.
pub async fn tags_dropped_at_each_await(new: &impl AsyncFn() -> World) {
    for polls in 1.. {
        let label = format!("a tag merge dropped after {polls} polls");
        let scene = tag_scene(new().await, label).await;
        let before = all_tags(&scene).await;
        let faults = scene.faults("worker", FaultPlan::new());
        let report = polled(polls, merge(&scene, &faults)).await;
        let over = report.is_some();
        hold_tags(&scene, &before, report.and_then(Result::ok).as_ref()).await;
        if over {
            break;
        }
    }
}
