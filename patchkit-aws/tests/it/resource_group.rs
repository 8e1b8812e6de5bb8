//! The nodes of Resource Groups.

use std::sync::Arc;

use futures::TryStreamExt;
use patchkit_core::{ErrorKind, FleetExt, NodeId, NodeSelector};

use crate::support::{REGION, one_scope, sdk, ssm};

#[tokio::test]
async fn the_members_of_a_resource_group_are_the_nodes_with_its_tag() {
    let world = Arc::new(one_scope(300).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    let key = "Patch Group";
    let value = nodes.iter().find_map(|it| it.tags.get(key)).unwrap().clone();
    let query = serde_json::json!({
        "ResourceTypeFilters": ["AWS::EC2::Instance", "AWS::SSM::ManagedInstance"],
        "TagFilters": [{"Key": key, "Values": [&value]}],
    });
    let client = aws_sdk_resourcegroups::Client::new(&sdk(&world, REGION));
    let query = aws_sdk_resourcegroups::types::ResourceQuery::builder()
        .r#type(aws_sdk_resourcegroups::types::QueryType::TagFilters10)
        .query(query.to_string())
        .build()
        .unwrap();
    client.create_group().name("grouped").resource_query(query).send().await.unwrap();
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
