//! How many calls it takes to know a scope of ten thousand nodes, and to scan it.

use std::{collections::BTreeMap, sync::Arc};

use futures::TryStreamExt;
use patchkit_core::{
    ComplianceReport, ComplianceStatus, FleetExt, NodeCompliance, NodeOrigin, NodeSelector,
    OperatingSystem, PowerState, Provider, RunId, memory::MemoryJournal, workflow::Runner,
};
use patchkit_testkit::cloud::{NodeSpec, World};

use crate::support::{ACCOUNT, REGION, node, one_scope, ssm};

fn calls(world: &World) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for call in world.calls().iter() {
        *calls.entry(call.operation.clone()).or_default() += 1;
    }
    calls
}

#[tokio::test]
async fn the_compliance_of_ten_thousand_nodes_takes_two_hundred_calls() {
    let world = Arc::new(one_scope(10_000).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    world.forget_calls();
    let all: Vec<NodeCompliance> = ssm.summaries(&NodeSelector::all()).try_collect().await.unwrap();
    assert_eq!(all.len(), nodes.len(), "each node of the fleet, known or not");
    assert!(all.iter().any(|it| it.status == ComplianceStatus::NonCompliant));
    let calls = calls(&world);
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["DescribeInstances", "GetInventory"]);
    assert!(calls["GetInventory"] <= 200, "{calls:?}");
    assert!(calls["DescribeInstances"] <= 10, "{calls:?}");
    assert!(world.calls().len() <= 200, "{calls:?} for {} nodes", nodes.len());
}

#[tokio::test]
async fn nodes_with_their_compliance_are_the_two_listings_in_one_pass() {
    let world = Arc::new(one_scope(10_000).start().await.unwrap());
    let ssm = ssm(&world).await;
    let all = NodeSelector::all();
    let nodes = ssm.collect_nodes(&all).await.unwrap();
    let summaries: Vec<NodeCompliance> = ssm.summaries(&all).try_collect().await.unwrap();
    let mut summaries: BTreeMap<_, _> =
        summaries.into_iter().map(|known| (known.node.clone(), known)).collect();
    world.forget_calls();
    let mut joined: Vec<_> = ssm.nodes_with_compliance(&all).try_collect().await.unwrap();
    let calls = calls(&world);
    joined.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    assert_eq!(joined.len(), nodes.len());
    for ((node, known), listed) in joined.iter().zip(&nodes) {
        assert_eq!((&node.id, node.power, &node.tags), (&listed.id, listed.power, &listed.tags));
        assert_eq!(Some(known), summaries.remove(&node.id).as_ref());
    }
    let instances = nodes.iter().filter(|node| node.origin == NodeOrigin::Cloud).count();
    assert_eq!(calls["DescribeInstances"], instances.div_ceil(1_000), "{calls:?}");
}

#[tokio::test]
async fn some_nodes_with_their_compliance_cost_no_more_than_they_are() {
    let world = Arc::new(one_scope(500).start().await.unwrap());
    let ssm = ssm(&world).await;
    let on = NodeSelector::all().with_power([PowerState::Running]);
    let nodes = ssm.collect_nodes(&on).await.unwrap();
    world.forget_calls();
    let joined: Vec<_> = ssm.nodes_with_compliance(&on).try_collect().await.unwrap();
    assert_eq!(joined.len(), nodes.len());
    assert!(joined.iter().any(|(_, known)| known.status == ComplianceStatus::NonCompliant));
    let calls = calls(&world);
    assert_eq!(calls["DescribeInstances"], 1, "{calls:?}");
    assert_eq!(calls["DescribeInstancePatchStates"], nodes.len().div_ceil(50), "{calls:?}");
    assert!(!calls.contains_key("GetInventory"), "{calls:?}");
}

#[tokio::test]
async fn a_scan_sends_one_command_for_fifty_nodes_and_looks_by_time_not_by_node() {
    let world = one_scope(0).start().await.unwrap();
    let ids: Vec<_> = (0..170)
        .map(|_| NodeSpec::ec2(OperatingSystem::AmazonLinux2023, ACCOUNT, REGION))
        .map(|spec| node(&world.add_node(&spec).unwrap()))
        .collect();
    let world = Arc::new(world);
    let ssm = ssm(&world).await;
    let clock = Arc::new(world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    let runner = Runner::new(ssm.clone(), ssm, journal, clock);
    world.forget_calls();
    let begun = world.now();
    let run = RunId::new("weekly").unwrap();
    let report = runner.scan(&run, &NodeSelector::ids(ids)).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(report.nodes.iter().all(|it| it.compliance.status == ComplianceStatus::Compliant));
    let (calls, chunks) = (calls(&world), 170_usize.div_ceil(50));
    assert_eq!(calls["SendCommand"], chunks, "{calls:?}");
    // A look comes every five seconds at first, and less and less often.
    let took = usize::try_from(world.now().duration_since(begun).as_secs()).unwrap();
    let looks = (took / 5 + 3) * chunks;
    let looked = calls["ListCommandInvocations"] + calls["ListCommands"];
    assert!(looked <= looks, "{calls:?}, {took} s");
    assert!(calls["DescribeInstancePatchStates"] <= 2 * chunks, "{calls:?}");
}
