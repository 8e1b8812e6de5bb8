//! The nodes of Resource Groups.

use std::sync::Arc;

use futures::TryStreamExt;
use patchkit_core::{
    ComplianceReport, ErrorKind, FleetExt, NodeId, NodeSelector, PowerState, ResourceGroupName,
    memory::MemoryJournal,
    workflow::{PatchOptions, Runner},
};
use patchkit_testkit::cloud::World;

use crate::support::{REGION, one_scope, sdk, ssm};

/// Makes a group of the nodes whose tag has this value.
async fn make_group(world: &World, name: &str, key: &str, value: &str) {
    let query = serde_json::json!({
        "ResourceTypeFilters": ["AWS::EC2::Instance", "AWS::SSM::ManagedInstance"],
        "TagFilters": [{"Key": key, "Values": [value]}],
    });
    let query = aws_sdk_resourcegroups::types::ResourceQuery::builder()
        .r#type(aws_sdk_resourcegroups::types::QueryType::TagFilters10)
        .query(query.to_string())
        .build()
        .unwrap();
    let client = aws_sdk_resourcegroups::Client::new(&sdk(world, REGION));
    client.create_group().name(name).resource_query(query).send().await.unwrap();
}

fn in_group(name: &str) -> NodeSelector {
    NodeSelector::all().with_resource_groups([ResourceGroupName::new(name).unwrap()])
}

#[tokio::test]
async fn the_members_of_a_resource_group_are_the_nodes_with_its_tag() {
    let world = Arc::new(one_scope(300).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    let key = "Patch Group";
    let value = nodes.iter().find_map(|it| it.tags.get(key)).unwrap().clone();
    make_group(&world, "grouped", key, &value).await;
    world.forget_calls();
    let mut members: Vec<NodeId> = ssm.resource_group_nodes("grouped").try_collect().await.unwrap();
    let calls = world.calls().of("ListGroupResources").len();
    assert_eq!(calls, members.len().div_ceil(50));
    let tagged = nodes.iter().filter(|it| it.tags.get(key) == Some(&value));
    let mut wanted: Vec<NodeId> = tagged.map(|it| it.id.clone()).collect();
    members.sort();
    wanted.sort();
    assert_eq!(members, wanted);
    assert!(calls > 0);
}

#[tokio::test]
async fn a_resource_group_that_is_not_there_is_not_found() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    let members: Result<Vec<NodeId>, _> = ssm.resource_group_nodes("none").try_collect().await;
    assert_eq!(members.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_selector_by_resource_group_asks_who_is_in_it_and_then_for_these_alone() {
    let world = Arc::new(one_scope(2_000).start().await.unwrap());
    let ssm = ssm(&world).await;
    let all = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    let key = "Patch Group";
    let value = all.iter().find_map(|it| it.tags.get(key)).unwrap().clone();
    make_group(&world, "grouped", key, &value).await;
    let by_tag = NodeSelector::all().with_tag(key, [&value]);
    let wanted = ssm.collect_nodes(&by_tag).await.unwrap();
    world.forget_calls();
    let found = ssm.collect_nodes(&in_group("grouped")).await.unwrap();
    let ids = |nodes: &[patchkit_core::ManagedNode]| -> Vec<NodeId> {
        nodes.iter().map(|it| it.id.clone()).collect()
    };
    assert_eq!(ids(&found), ids(&wanted));
    let count = |operation: &str| world.calls().of(operation).len();
    assert_eq!(count("ListGroupResources"), wanted.len().div_ceil(50));
    assert!(count("DescribeInstances") <= wanted.len().div_ceil(200));
    world.forget_calls();
    let stopped = in_group("grouped").with_power([PowerState::Stopped]);
    let known: Vec<_> = ssm.summaries(&stopped).try_collect().await.unwrap();
    let off = wanted.iter().filter(|it| it.power == PowerState::Stopped).count();
    assert!(off > 0 && known.len() == off, "{off} are off, {} are known", known.len());
}

#[tokio::test]
async fn a_plan_starts_and_orders_nodes_by_resource_groups() {
    let world = Arc::new(one_scope(300).start().await.unwrap());
    let ssm = ssm(&world).await;
    let all = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    let key = "Patch Group";
    let off = |it: &&patchkit_core::ManagedNode| it.power == PowerState::Stopped;
    let value = all.iter().filter(off).find_map(|it| it.tags.get(key)).unwrap().clone();
    make_group(&world, "grouped", key, &value).await;
    let clock = Arc::new(world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    let runner = Runner::new(ssm.clone(), ssm, journal, clock);
    let by_tag = NodeSelector::all().with_tag(key, [&value]);
    let options = |start: NodeSelector| PatchOptions::new(NodeSelector::all()).with_start(start);
    let by_tag = runner.plan_patch(&options(by_tag)).await.unwrap();
    let by_group = runner.plan_patch(&options(in_group("grouped"))).await.unwrap();
    assert!(by_group.nodes.iter().any(|it| it.power == PowerState::Stopped));
    assert_eq!(by_group.nodes, by_tag.nodes);
    assert_eq!(by_group.waves, by_tag.waves);
    let unknown = runner.plan_patch(&options(in_group("none"))).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
}
