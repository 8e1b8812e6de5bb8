//! Listing and statuses.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use jiff::Timestamp;
use patchkit_core::{
    AccessStatus, ErrorKind, Fleet, FleetExt, ManagedNode, NodeOrigin, NodeSelector,
    OperatingSystem, PowerState, Reachability, UnmanagedReason,
};
use patchkit_testkit::cloud::{Agent, Fault, FaultKind, NodeSpec, Power, World};

use crate::support::{ACCOUNT, REGION, node, one_scope, ssm};

async fn listed(world: &Arc<World>, selector: &NodeSelector) -> Vec<ManagedNode> {
    ssm(world).await.collect_nodes(selector).await.unwrap()
}

/// What each machine of the world really is, where this scope knows it.
fn truth(world: &World) -> Vec<patchkit_testkit::cloud::NodeTruth> {
    let truths = world.node_ids().into_iter().filter_map(|id| world.node(&id));
    truths.filter(|it| it.aws_id.is_some()).collect()
}

#[tokio::test]
async fn stopped_running_and_hybrid_nodes_are_one_listing() {
    let world = Arc::new(one_scope(300).start().await.unwrap());
    let nodes = listed(&world, &NodeSelector::all()).await;
    let ids: BTreeSet<String> = nodes.iter().map(|it| it.id.resource().to_owned()).collect();
    assert_eq!(ids.len(), nodes.len(), "each once");
    for truth in truth(&world) {
        let id = truth.aws_id.clone().unwrap();
        assert!(ids.contains(&id), "{id} is missing: {truth:?}");
        let seen = nodes.iter().find(|it| it.id == node(&id)).unwrap();
        if id.starts_with("mi-") {
            assert_eq!((seen.origin, seen.power), (NodeOrigin::Hybrid, PowerState::Unknown));
        } else {
            assert_eq!(seen.power.to_string(), format!("{:?}", truth.power).to_lowercase());
        }
        assert_eq!(seen.reachability == Reachability::Online, truth.answers, "{truth:?}");
    }
    assert!(nodes.iter().any(|it| it.power == PowerState::Stopped));
    assert!(nodes.iter().any(|it| it.origin == NodeOrigin::Hybrid && !it.tags.is_empty()));
}

#[tokio::test]
async fn a_stopped_instance_keeps_the_operating_system_its_agent_told() {
    let world = Arc::new(one_scope(300).start().await.unwrap());
    let selector = NodeSelector::all().with_power([PowerState::Stopped]);
    for seen in listed(&world, &selector).await {
        let truth = world.node(seen.id.resource()).unwrap();
        if seen.agent_version.is_some() {
            assert_eq!(seen.operating_system.to_string(), truth.operating_system);
        } else {
            assert!(
                matches!(seen.operating_system, OperatingSystem::Other(_))
                    || seen.operating_system.to_string() == truth.operating_system,
                "{seen:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_fleet_is_listed_with_the_fewest_calls() {
    let world = Arc::new(one_scope(10_000).start().await.unwrap());
    world.forget_calls();
    let nodes = listed(&world, &NodeSelector::all()).await;
    let count = |operation: &str| world.calls().of(operation).len();
    let hybrid = nodes.iter().filter(|it| it.origin == NodeOrigin::Hybrid).count();
    let instances = nodes.len() - hybrid;
    let information = count("DescribeInstanceInformation") + count("GetInventory");
    assert!(count("DescribeInstances") <= instances.div_ceil(1_000), "{instances} instances");
    // Each page of instances is asked for by itself, so each may end with a chunk that is not full.
    let most = nodes.len().div_ceil(50) + count("DescribeInstances") + 2;
    assert!(information <= most, "{information} calls for {} nodes", nodes.len());
    assert!(information <= 200, "{information}");
    assert!(count("GetResources") <= hybrid.div_ceil(100), "{hybrid} hybrid nodes");
    assert_eq!(count("ListTagsForResource"), 0);
}

#[tokio::test]
async fn a_selector_is_answered_with_calls_for_what_it_selects() {
    let world = Arc::new(one_scope(2_000).start().await.unwrap());
    let all = listed(&world, &NodeSelector::all()).await;
    let one = all.iter().find(|it| it.origin == NodeOrigin::Cloud).unwrap().id.clone();
    world.forget_calls();
    let found = listed(&world, &NodeSelector::ids([one.clone()])).await;
    assert_eq!(found.iter().map(|it| &it.id).collect::<Vec<_>>(), [&one]);
    assert!(world.calls().len() <= 3, "an id costs as much as a fleet");
    let elsewhere = "aws/999999999999/eu-west-1/i-0123456789abcdef0".parse().unwrap();
    assert!(listed(&world, &NodeSelector::ids([elsewhere])).await.is_empty());
    let mut groups = all.iter().filter_map(ManagedNode::patch_group);
    let selector = NodeSelector::all().with_groups([groups.next().unwrap()]);
    let expected: BTreeSet<_> =
        all.iter().filter(|it| selector.matches(it)).map(|it| it.id.clone()).collect();
    let found = listed(&world, &selector).await;
    assert_eq!(found.into_iter().map(|it| it.id).collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn an_id_that_is_gone_leaves_the_others_known() {
    let world = Arc::new(one_scope(60).start().await.unwrap());
    let ssm = ssm(&world).await;
    let mut ids: Vec<_> = ssm
        .collect_nodes(&NodeSelector::all())
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.id)
        .collect();
    ids.truncate(40);
    let gone = node("mi-0123456789abcdef0");
    ids.insert(7, gone.clone());
    let answers = ssm.statuses(&ids).await;
    assert_eq!(
        answers.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        ids.iter().collect::<Vec<_>>()
    );
    for (id, answer) in answers {
        match answer {
            Ok(_) => assert_ne!(id, gone),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                assert_eq!(id, gone);
            }
        }
    }
}

#[tokio::test]
async fn a_page_token_that_comes_again_ends_the_listing_with_an_error() {
    let world = Arc::new(one_scope(300).start().await.unwrap());
    world.add_fault(Fault::new(FaultKind::RepeatToken).on("DescribeInstances")).unwrap();
    let ssm = crate::support::builder(&world).with_page_size(50).build().await.unwrap();
    let error = ssm.nodes(&NodeSelector::all()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
}

/// A time as EC2 tells it.
fn milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap()
}

#[tokio::test]
async fn a_node_that_is_not_managed_says_why_and_costs_no_further_call() {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let os = OperatingSystem::AmazonLinux2023;
    let ec2 = || NodeSpec::ec2(os.clone(), ACCOUNT, REGION);
    let add = |spec: NodeSpec| world.add_node(&spec).unwrap();
    let managed = add(ec2());
    let off = add(ec2().with_power(Power::Stopped));
    let bare = add(ec2().with_access(AccessStatus::NoIdentity).with_agent(Agent::Absent));
    let poor = add(ec2().with_access(AccessStatus::MissingPermissions).with_agent(Agent::Absent));
    let dumb = add(ec2().with_agent(Agent::Absent));
    let silent = add(ec2().with_agent(Agent::ConnectionLost));
    let hybrid = NodeSpec::hybrid(os.clone(), ACCOUNT, REGION);
    let far = add(hybrid.with_agent(Agent::ConnectionLost));
    let ssm = ssm(&world).await;
    world.forget_calls();
    let listed = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    assert_eq!(world.calls().len(), 5, "{:?}", world.calls());
    let why = |id: &String| listed.iter().find(|it| it.id == node(id)).unwrap().unmanaged;
    let running_since = |id: &String| UnmanagedReason::NotRegistered {
        running_since: world.node(id).map(|it| milliseconds(it.booted)),
    };
    assert_eq!(why(&managed), None);
    assert_eq!(why(&off), Some(UnmanagedReason::NotRunning));
    assert_eq!(why(&bare), Some(UnmanagedReason::NoIdentity));
    assert_eq!(why(&poor), Some(running_since(&poor)));
    assert_eq!(why(&dumb), Some(running_since(&dumb)));
    for id in [&silent, &far] {
        let Some(UnmanagedReason::Silent { since: Some(heard) }) = why(id) else {
            panic!("{id}: {:?}", why(id));
        };
        assert!(heard < world.now(), "{heard}");
    }
}
