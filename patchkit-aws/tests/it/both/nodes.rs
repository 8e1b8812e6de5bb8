//! Listing, power and tags of instances.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::Filter;
use futures::TryStreamExt;
use patchkit_core::{
    ErrorKind, Fleet, FleetExt, NodeId, NodeOrigin, NodeSelector, PollPolicy, Polled, PowerState,
    PowerTarget, Reachability, Tags, wait_until,
};

use crate::{
    server::{ACCOUNT, PAGE, REGION, Server},
    support::unique,
};

on_both!(
    a_fleet_of_several_pages_is_listed_once_each,
    instances_are_selected_by_group_tag_and_power,
    only_those_named_are_stopped_and_started_and_waited_for,
    one_that_is_not_there_leaves_the_others_switched,
    an_instance_of_an_auto_scaling_group_is_left_alone,
    tags_are_merged_and_restored_and_others_edits_stay;
    moto: a_terminated_instance_is_known_by_its_id_and_not_started
);

const STAGE: &str = "Stage";

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

async fn ids(server: &Server, selector: &NodeSelector) -> BTreeSet<NodeId> {
    let nodes = server.ssm().await.nodes(selector);
    let nodes: Vec<NodeId> = nodes.map_ok(|it| it.id).try_collect().await.unwrap();
    let once: BTreeSet<NodeId> = nodes.iter().cloned().collect();
    assert_eq!(once.len(), nodes.len(), "each once");
    once
}

fn set(nodes: &[NodeId]) -> BTreeSet<NodeId> {
    nodes.iter().cloned().collect()
}

async fn switch(server: &Server, nodes: &[NodeId], target: PowerTarget) {
    for (node, answer) in server.ssm().await.set_power(nodes, target).await {
        answer.unwrap_or_else(|error| panic!("{node}: {}", error.report()));
    }
}

/// Waits until EC2 has brought all of them there.
async fn reach(server: &Server, nodes: &[NodeId], power: PowerState) {
    let (ssm, clock) = (server.ssm().await, server.clock());
    let policy = PollPolicy::new(std::time::Duration::from_mins(30));
    let there = wait_until(&*clock, &policy, async || {
        let seen: Vec<_> = ssm.statuses(nodes).await.into_iter().map(|(_, it)| it).collect();
        let seen = seen.into_iter().collect::<Result<Vec<_>, _>>()?;
        let there = seen.iter().all(|it| it.power == power);
        Ok(if there { Polled::Ready(()) } else { Polled::Pending })
    });
    there.await.unwrap();
}

async fn a_fleet_of_several_pages_is_listed_once_each(server: &Server) {
    let fleet = unique("fleet");
    let nodes = server.instances(12, &[("Fleet", &fleet), ("Name", "web")]).await;
    // The server does answer in pages.
    let of = Filter::builder().name("tag:Fleet").values(&fleet).build();
    let pages = server.ec2().describe_instances().filters(of).into_paginator();
    let mut pages = pages.page_size(PAGE.into()).send();
    let first = pages.next().await.unwrap().unwrap();
    let first: usize = first.reservations().iter().map(|it| it.instances().len()).sum();
    assert!(first <= PAGE.into(), "{first}");
    assert!(pages.next().await.is_some());

    let selector = NodeSelector::all().with_tag("Fleet", [fleet]);
    let listed = server.ssm().await.collect_nodes(&selector).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.id.clone()).collect::<BTreeSet<_>>(), set(&nodes));
    assert_eq!(ids(server, &NodeSelector::ids(nodes.clone())).await, set(&nodes));
    for node in listed {
        assert_eq!((node.origin, node.power), (NodeOrigin::Cloud, PowerState::Running));
        // Nobody has heard of its agent.
        assert_eq!(node.reachability, Reachability::Unknown);
        assert_eq!(node.name.as_deref(), Some("web"));
    }
}

async fn instances_are_selected_by_group_tag_and_power(server: &Server) {
    let group = unique("web*");
    let spaced = server.instances(1, &[("Patch Group", &group)]).await;
    let joined = server.instances(1, &[("PatchGroup", &group)]).await;
    let twice = server.instances(1, &[("PatchGroup", &group), ("Patch Group", &group)]).await;
    // A wildcard would take it.
    let like = group.replace('*', "-x");
    server.instances(1, &[("PatchGroup", &like)]).await;
    let members = [spaced.clone(), joined.clone(), twice].concat();
    let selector = NodeSelector::all().with_groups([group.parse().unwrap()]);
    assert_eq!(ids(server, &selector).await, set(&members));

    switch(server, &joined, PowerTarget::Stopped).await;
    reach(server, &joined, PowerState::Stopped).await;
    let stopped = selector.clone().with_power([PowerState::Stopped]);
    assert_eq!(ids(server, &stopped).await, set(&joined));
    let tagged = NodeSelector::all().with_tag("Patch Group", [group.clone(), "other".to_owned()]);
    assert!(ids(server, &tagged).await.contains(&spaced[0]));
    let running = tagged.with_power([PowerState::Stopped]);
    assert!(ids(server, &running).await.is_empty());
}

async fn only_those_named_are_stopped_and_started_and_waited_for(server: &Server) {
    let nodes = server.instances(3, &[]).await;
    switch(server, &nodes[..2], PowerTarget::Stopped).await;
    reach(server, &nodes[..2], PowerState::Stopped).await;
    assert_eq!(server.state(&nodes[2]).await, "running");
    for (_, status) in server.ssm().await.statuses(&nodes[..2]).await {
        assert_eq!(status.unwrap().reachability, Reachability::Inactive);
    }
    // What is there already is left.
    switch(server, &nodes[1..2], PowerTarget::Stopped).await;
    switch(server, &nodes[..1], PowerTarget::Running).await;
    reach(server, &nodes[..1], PowerState::Running).await;
    assert_eq!(server.state(&nodes[1]).await, "stopped");
}

async fn one_that_is_not_there_leaves_the_others_switched(server: &Server) {
    let mut nodes = server.instances(2, &[]).await;
    nodes.insert(1, format!("aws/{ACCOUNT}/{REGION}/i-0123456789abcdef0").parse().unwrap());
    nodes.push(format!("aws/{ACCOUNT}/{REGION}/mi-0123456789abcdef0").parse().unwrap());
    let answers = server.ssm().await.set_power(&nodes, PowerTarget::Stopped).await;
    let kinds: Vec<_> =
        answers.iter().map(|(_, it)| it.as_ref().err().map(patchkit_core::Error::kind)).collect();
    let (gone, hybrid) = (Some(ErrorKind::NotFound), Some(ErrorKind::Unsupported));
    assert_eq!(kinds, [None, gone, None, hybrid], "{answers:?}");
    server.settle();
    assert_eq!(server.state(&nodes[0]).await, "stopped");
    assert_eq!(server.state(&nodes[2]).await, "stopped");
}

async fn an_instance_of_an_auto_scaling_group_is_left_alone(server: &Server) {
    // Moto lets anyone set tags that are AWS's own.
    let nodes = server.instances(1, &[("aws:autoscaling:groupName", "web")]).await;
    let answers = server.ssm().await.set_power(&nodes, PowerTarget::Stopped).await;
    let error = answers[0].1.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    server.settle();
    assert_eq!(server.state(&nodes[0]).await, "running");
}

async fn tags_are_merged_and_restored_and_others_edits_stay(server: &Server) {
    let nodes = server.instances(1, &[(STAGE, "new"), ("Owner", "alice")]).await;
    let (node, ssm) = (&nodes[0], server.ssm().await);
    let before = server.tags(node).await;
    let wanted = tags([(STAGE, "patched"), ("CostCenter", "42"), ("Owner", "alice")]);
    let change = ssm.merge_tags(node, &wanted).await.unwrap();
    assert_eq!(change.set.len(), 2, "{change:?}");
    let seen: BTreeMap<String, String> = server.tags(node).await.into_iter().collect();
    assert_eq!(seen, wanted.into_iter().collect());
    for _ in 0..2 {
        ssm.revert_tags(&change).await.unwrap();
        assert_eq!(server.tags(node).await, before);
    }
    let change = ssm.merge_tags(node, &tags([(STAGE, "patched")])).await.unwrap();
    ssm.merge_tags(node, &tags([(STAGE, "broken")])).await.unwrap();
    ssm.revert_tags(&change).await.unwrap();
    assert!(server.tags(node).await.contains(&(STAGE.to_owned(), "broken".to_owned())));
    let gone = format!("aws/{ACCOUNT}/{REGION}/i-0123456789abcdef0").parse().unwrap();
    let error = ssm.merge_tags(&gone, &tags([(STAGE, "patched")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// The simulated cloud terminates nothing.
async fn a_terminated_instance_is_known_by_its_id_and_not_started(server: &Server) {
    let fleet = unique("fleet");
    let nodes = server.instances(2, &[("Fleet", &fleet)]).await;
    let request = server.ec2().terminate_instances().instance_ids(nodes[0].resource());
    request.send().await.unwrap();
    let fleet = NodeSelector::all().with_tag("Fleet", [fleet]);
    assert_eq!(ids(server, &fleet).await, set(&nodes[1..]));
    let ssm = server.ssm().await;
    assert_eq!(ssm.node(&nodes[0]).await.unwrap().power, PowerState::Terminated);
    assert_eq!(ssm.status(&nodes[0]).await.unwrap().power, PowerState::Terminated);
    let error = ssm.power(&nodes[0], PowerTarget::Running).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(server.state(&nodes[0]).await, "terminated");
}
