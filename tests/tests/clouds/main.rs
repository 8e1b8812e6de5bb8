//! The reference case whole: accounts of AWS, machines of Azure that are nodes of Systems Manager too
//! and machines that are not, and servers elsewhere, in one plan with one budget.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../estate/mod.rs"]
mod estate;
mod scene;

use std::collections::{BTreeMap, BTreeSet};

use patchkit_core::{
    ComplianceStatus, FleetExt, ManagedNode, NodeId, NodeOrigin, NodeSelector, RunId,
    workflow::{Outcome, PatchPlan},
};
use patchkit_testkit::cloud::{Behavior, NodeChange, Power};

use self::scene::Scene;

async fn nodes(scene: &Scene) -> BTreeMap<NodeId, ManagedNode> {
    let nodes = scene.fleet.collect_nodes(&NodeSelector::all()).await.unwrap();
    nodes.into_iter().map(|node| (node.id.clone(), node)).collect()
}

/// Gives some machines back that both clouds know; says how many.
fn turn_some_off(scene: &Scene, nodes: &BTreeMap<NodeId, ManagedNode>) -> usize {
    let hosts = nodes.values().filter_map(|node| Some(node.host()?.host.resource()));
    let well = hosts.filter(|host| {
        scene.world.node(host).is_some_and(|it| it.behavior == Behavior::Well && it.answers)
    });
    let off = NodeChange::new().with_power(Power::Deallocated);
    well.take(3).filter(|host| scene.world.change_node(host, &off)).count()
}

fn by_provider(plan: &PatchPlan) -> BTreeMap<(String, bool), usize> {
    let mut counts = BTreeMap::new();
    for node in &plan.nodes {
        let provider = node.id.scope().provider().to_owned();
        *counts.entry((provider, node.link.is_some())).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clouds_are_patched_by_one_plan_and_each_machine_once() {
    let scene = Scene::of(160).await;
    let turned_off = turn_some_off(&scene, &nodes(&scene).await);
    let before = nodes(&scene).await;
    let linked: BTreeMap<&NodeId, &NodeId> =
        before.values().filter_map(|node| Some((&node.id, &node.host()?.host))).collect();
    assert!(linked.len() > 5, "{} machines are known to both clouds", linked.len());
    for (node, host) in &linked {
        assert!(node.resource().starts_with("mi-") && !before.contains_key(host), "{node}");
    }
    let hybrid = before.values().filter(|it| it.origin == NodeOrigin::Hybrid).count();
    assert!(hybrid > linked.len(), "some servers are in no cloud that tells");

    let plan = scene.runner.plan_patch(&estate::options()).await.unwrap();
    assert!(plan.unlisted.is_empty(), "{:?}", plan.unlisted);
    let counts = by_provider(&plan);
    for kind in [("aws", false), ("aws", true), ("azure", false)] {
        let planned = counts.get(&(kind.0.to_owned(), kind.1)).copied().unwrap_or_default();
        assert!(planned > 0, "{kind:?}: {counts:?}");
    }

    scene.world.forget_calls();
    let report = scene.runner.patch(&RunId::new("fortnight").unwrap(), &plan).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(report.tally()[&Outcome::Patched] > 20, "{:?}", report.tally());

    // Each has the power that it had, or is named.
    let named: BTreeSet<&NodeId> = report.undo_failed.iter().map(|failure| &failure.node).collect();
    let after = nodes(&scene).await;
    for node in &report.nodes {
        let (was, is) = (before[&node.node].power, after[&node.node].power);
        assert!(was == is || named.contains(&node.node), "{}: {was} and then {is}", node.node);
    }

    // Systems Manager patches what both know, and Azure turns it on and off.
    let hosts: BTreeSet<String> =
        linked.values().map(|host| host.resource().to_ascii_lowercase()).collect();
    let mut started = 0;
    for call in scene.world.calls().iter().filter(|call| call.service == "arm") {
        let about = |id: &String| hosts.contains(&id.to_ascii_lowercase());
        let ours = call.ids.iter().any(about);
        assert!(!(ours && call.operation.ends_with("Patches")), "{call:?}");
        started += usize::from(ours && call.operation == "VirtualMachines_Start");
    }
    let was_off: Vec<&NodeId> = report
        .nodes
        .iter()
        .filter(|node| linked.contains_key(&node.node) && before[&node.node].power.is_off())
        .map(|node| &node.node)
        .collect();
    assert!(turned_off > 0 && was_off.len() >= turned_off, "{turned_off}: {was_off:?}");
    assert!(started > 0 && started <= was_off.len(), "{started} starts of {was_off:?}");
    let patched = |node: &NodeId| {
        report
            .nodes
            .iter()
            .any(|it| it.node == *node && it.status_after == ComplianceStatus::Compliant)
    };
    assert!(was_off.iter().any(|node| patched(node)), "one that was off is compliant now");
}
