//! Commands to nodes that Systems Manager looks for itself.

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_resourcegroups::types::{QueryType, ResourceQuery};
use patchkit_aws::{CommandTarget, TargetedRequest};
use patchkit_core::{ErrorKind, Fleet, NodeId, OperationStatus, PatchAction};
use patchkit_testkit::cloud::{Fault, FaultKind, World};

use super::{commands, count, ended, online, parameter, token};
use crate::support::{REGION, one_scope, sdk, ssm};

/// Gives a tag to instances of EC2.
async fn tag(world: &Arc<World>, nodes: &[NodeId], key: &str, value: &str) {
    let tag = aws_sdk_ec2::types::Tag::builder().key(key).value(value).build();
    let ids = nodes.iter().map(|it| it.resource().to_owned()).collect();
    let client = aws_sdk_ec2::Client::new(&sdk(world, REGION));
    client.create_tags().set_resources(Some(ids)).tags(tag).send().await.unwrap();
}

fn instances(world: &World) -> Vec<NodeId> {
    online(world).into_iter().filter(|it| it.resource().starts_with("i-")).collect()
}

fn reached(world: &World) -> BTreeSet<String> {
    world.calls().of("SendCommand").ids().into_iter().map(str::to_owned).collect()
}

fn ids(nodes: &[NodeId]) -> BTreeSet<String> {
    nodes.iter().map(|it| it.resource().to_owned()).collect()
}

fn request(mark: &str, targets: impl IntoIterator<Item = CommandTarget>) -> TargetedRequest {
    TargetedRequest::new(token(mark), targets, PatchAction::Scan)
}

#[tokio::test]
async fn a_command_to_tags_reaches_the_nodes_that_fit_all_of_them_and_is_followed() {
    let world = Arc::new(one_scope(60).start().await.unwrap());
    let nodes = instances(&world);
    tag(&world, &nodes[..4], "Ring", "canary").await;
    tag(&world, &nodes[2..6], "Half", "a").await;
    let ssm = ssm(&world).await;
    let wanted = [CommandTarget::tag("Ring", ["canary", "none"]), CommandTarget::tag_key(["Half"])];
    let id = ssm.submit_to_targets(request("tags", wanted.clone())).await.unwrap();
    assert_eq!(reached(&world), ids(&nodes[2..4]));
    let end = ended(&world, &ssm, &id).await;
    assert_eq!(end.status, OperationStatus::Succeeded);
    assert_eq!(end.nodes.iter().map(|it| &it.node).collect::<Vec<_>>(), [&nodes[2], &nodes[3]]);
    assert_eq!(ssm.submit_to_targets(request("tags", wanted)).await.unwrap(), id);
    assert_eq!(count(&world, "SendCommand"), 1);
    let sent = commands(&world).await;
    assert_eq!((sent[0].max_concurrency(), sent[0].max_errors()), (Some("50"), Some("0")));
}

#[tokio::test]
async fn a_command_to_a_resource_group_reaches_its_members() {
    let world = Arc::new(one_scope(60).start().await.unwrap());
    let nodes = instances(&world);
    tag(&world, &nodes[3..8], "Ring", "web").await;
    let query = r#"{"ResourceTypeFilters":["AWS::AllSupported"],"TagFilters":[{"Key":"Ring","Values":["web"]}]}"#;
    let query =
        ResourceQuery::builder().r#type(QueryType::TagFilters10).query(query).build().unwrap();
    let groups = aws_sdk_resourcegroups::Client::new(&sdk(&world, REGION));
    groups.create_group().name("web").resource_query(query).send().await.unwrap();
    let ssm = ssm(&world).await;
    let wanted = [
        CommandTarget::resource_group("web"),
        CommandTarget::resource_types(["AWS::EC2::Instance"]),
    ];
    let id = ssm.submit_to_targets(request("group", wanted)).await.unwrap();
    assert_eq!(reached(&world), ids(&nodes[3..8]));
    let end = ended(&world, &ssm, &id).await;
    assert_eq!((end.status, end.nodes.len()), (OperationStatus::Succeeded, 5));
}

#[tokio::test]
async fn a_command_that_no_node_fits_did_not_succeed() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let wanted = [CommandTarget::tag("Ring", ["nobody"])];
    let id = ssm.submit_to_targets(request("nobody", wanted)).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    assert_eq!((end.status, end.nodes.len()), (OperationStatus::Failed, 0));
}

#[tokio::test]
async fn targets_that_the_service_refuses_are_refused_without_a_call() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.forget_calls();
    let many = CommandTarget::tag("Ring", (0..51).map(|n| n.to_string()));
    for wanted in [vec![], vec![many], vec![CommandTarget::tag("a", ["b"]); 6]] {
        let error = ssm.submit_to_targets(request("wrong", wanted)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn a_lost_answer_to_a_targeted_command_is_found_again() {
    let world = Arc::new(one_scope(40).start().await.unwrap());
    let nodes = instances(&world);
    tag(&world, &nodes[..2], "Ring", "canary").await;
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::CutAfter).on("SendCommand").times(1)).unwrap();
    let wanted = [CommandTarget::tag("Ring", ["canary"])];
    let error = ssm.submit_to_targets(request("lost", wanted)).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false));
    let id = ssm.find_operation(&token("lost"), &[]).await.unwrap().unwrap();
    assert_eq!(ended(&world, &ssm, &id).await.nodes.len(), 2);
    assert_eq!(count(&world, "SendCommand"), 1);
}

#[tokio::test]
async fn all_acts_of_a_run_work_with_one_snapshot() {
    let world = Arc::new(one_scope(40).start().await.unwrap());
    let nodes = instances(&world);
    tag(&world, &nodes[..2], "Ring", "canary").await;
    let ssm = ssm(&world).await;
    for (mark, run) in [("r1-a", "r1"), ("r1-b", "r1"), ("r2-a", "r2")] {
        let wanted = [CommandTarget::tag("Ring", ["canary"])];
        let request = request(mark, wanted).with_run(run.parse().unwrap());
        ssm.submit_to_targets(request).await.unwrap();
    }
    let mut snapshots: Vec<_> =
        commands(&world).await.iter().filter_map(|it| parameter(it, "SnapshotId")).collect();
    assert_eq!(snapshots.len(), 3);
    snapshots.sort();
    snapshots.dedup();
    assert_eq!(snapshots.len(), 2);
}
