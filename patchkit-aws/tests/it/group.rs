//! Patch groups: whose nodes they are, and which baselines are registered for them.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::Tag;
use aws_sdk_ssm::types::{ResourceTypeForTagging, Tag as SsmTag};
use futures::TryStreamExt;
use patchkit_core::{
    Baseline, BaselineId, ErrorKind, OperatingSystem, PatchBaseline, PatchGroup, PatchGroupName,
};
use patchkit_testkit::cloud::{Denial, Fault, FaultKind, NodeChange, Power};

use crate::cloud::{Cloud, all};

const OS: OperatingSystem = OperatingSystem::AmazonLinux2023;

fn group(name: &str) -> PatchGroupName {
    name.parse().unwrap()
}

async fn made(cloud: &Cloud, name: &str, os: OperatingSystem) -> BaselineId {
    cloud.ssm.create_baseline(&PatchBaseline::new(name, os)).await.unwrap()
}

/// Tags an instance or a hybrid node.
async fn tag(cloud: &Cloud, id: &str, key: &str, value: &str) {
    if id.starts_with("i-") {
        let tag = Tag::builder().key(key).value(value).build();
        cloud.ec2().create_tags().resources(id).tags(tag).send().await.unwrap();
    } else {
        let request = cloud
            .raw()
            .add_tags_to_resource()
            .resource_type(ResourceTypeForTagging::ManagedInstance)
            .resource_id(id)
            .tags(SsmTag::builder().key(key).value(value).build().unwrap());
        request.send().await.unwrap();
    }
}

/// Takes a node out of every group.
async fn untag(cloud: &Cloud, id: &str) {
    if id.starts_with("i-") {
        let tag = |key: &str| Tag::builder().key(key).build();
        let request = cloud.ec2().delete_tags().resources(id);
        let request = request.tags(tag("Patch Group")).tags(tag("PatchGroup"));
        request.send().await.unwrap();
    } else {
        let request = cloud
            .raw()
            .remove_tags_from_resource()
            .resource_type(ResourceTypeForTagging::ManagedInstance)
            .resource_id(id);
        request.tag_keys("Patch Group").tag_keys("PatchGroup").send().await.unwrap();
    }
}

async fn members(cloud: &Cloud, name: &str) -> Vec<String> {
    let nodes = all(cloud.ssm.members(&group(name))).await.unwrap();
    nodes.iter().map(|it| it.resource().to_owned()).collect()
}

#[tokio::test]
async fn members_are_instances_and_hybrid_nodes_by_either_spelling() {
    let cloud = Cloud::of(80).await;
    let mut nodes: Vec<String> = cloud.ids("i-").into_iter().take(12).collect();
    nodes.extend(cloud.ids("mi-").into_iter().take(12));
    assert_eq!(nodes.len(), 24);
    for (at, id) in nodes.iter().enumerate() {
        untag(&cloud, id).await;
        tag(&cloud, id, ["Patch Group", "PatchGroup"][at % 2], "blue").await;
    }
    cloud.world.forget_calls();
    let found = members(&cloud, "blue").await;
    assert_eq!(found.len(), 24, "each comes once");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), nodes.into_iter().collect());
    assert_eq!(cloud.count("DescribeInstances") + cloud.count("GetResources"), 8);
}

#[tokio::test]
async fn a_stopped_node_is_a_member_though_systems_manager_hides_it() {
    let cloud = Cloud::of(60).await;
    let stopped = cloud.ids("i-").into_iter();
    let mut stopped =
        stopped.filter(|id| cloud.world.node(id).is_some_and(|it| it.power == Power::Stopped));
    let id = stopped.next().unwrap();
    untag(&cloud, &id).await;
    tag(&cloud, &id, "PatchGroup", "asleep").await;
    assert_eq!(members(&cloud, "asleep").await, [id]);
}

#[tokio::test]
async fn a_terminated_instance_is_no_member() {
    let cloud = Cloud::of(60).await;
    let id = cloud.ids("i-").remove(0);
    untag(&cloud, &id).await;
    tag(&cloud, &id, "PatchGroup", "gone").await;
    assert_eq!(members(&cloud, "gone").await, std::slice::from_ref(&id));
    cloud.world.change_node(&id, &NodeChange::new().with_power(Power::Terminated));
    assert_eq!(members(&cloud, "gone").await, [""; 0]);
}

#[tokio::test]
async fn a_node_in_two_groups_is_in_none_that_can_be_known() {
    let cloud = Cloud::of(80).await;
    for id in [cloud.ids("i-").remove(0), cloud.ids("mi-").remove(0)] {
        untag(&cloud, &id).await;
        tag(&cloud, &id, "Patch Group", "left").await;
        assert_eq!(members(&cloud, "left").await, std::slice::from_ref(&id));
        tag(&cloud, &id, "PatchGroup", "right").await;
        assert_eq!(members(&cloud, "left").await, [""; 0]);
        assert_eq!(members(&cloud, "right").await, [""; 0]);
        tag(&cloud, &id, "PatchGroup", "left").await;
        assert_eq!(
            members(&cloud, "left").await,
            std::slice::from_ref(&id),
            "twice the same is once"
        );
        untag(&cloud, &id).await;
    }
}

#[tokio::test]
async fn a_star_in_a_groups_name_is_a_star() {
    let cloud = Cloud::of(60).await;
    assert!(!members(&cloud, "Linux").await.is_empty());
    assert_eq!(members(&cloud, "*").await, [""; 0]);
    assert_eq!(members(&cloud, "Linu?").await, [""; 0]);
    assert_eq!(members(&cloud, "linux").await, [""; 0], "tags have their case");
}

#[tokio::test]
async fn a_denied_listing_of_members_ends_with_the_error() {
    let cloud = Cloud::of(60).await;
    cloud.world.deny(Denial::of("*:GetResources")).unwrap();
    let mut listing = cloud.ssm.members(&group("Linux"));
    let mut found = 0;
    let error = loop {
        match listing.try_next().await {
            Ok(Some(_)) => found += 1,
            Ok(None) => panic!("the listing ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(found > 0);
    let asked = cloud.world.calls().len();
    assert!(listing.try_next().await.unwrap().is_none());
    assert_eq!(cloud.world.calls().len(), asked, "nothing is asked any more");
}

#[tokio::test]
async fn a_conflict_names_both_baselines() {
    let cloud = Cloud::of(4).await;
    let [first, second] = [made(&cloud, "first", OS).await, made(&cloud, "second", OS).await];
    let other = made(&cloud, "other", OperatingSystem::Ubuntu).await;
    cloud.ssm.register(&group("web"), &first).await.unwrap();
    cloud.ssm.register(&group("web"), &other).await.unwrap();
    let error = cloud.ssm.register(&group("web"), &second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for part in [first.as_str(), second.as_str(), "web", "AMAZON_LINUX_2023"] {
        assert!(error.message().contains(part), "{part} in: {error}");
    }
    assert!(error.request_id().is_some() && !error.message().contains(other.as_str()));
    assert_eq!(cloud.ssm.baseline_for(&group("web"), &OS).await.unwrap(), first);
}

#[tokio::test]
async fn one_of_awss_own_is_registered_and_deregistered_by_either_name() {
    let cloud = Cloud::of(4).await;
    let arn = cloud.ssm.default_baseline(&OS).await.unwrap().id.unwrap();
    let bare: BaselineId = arn.as_str().rsplit_once('/').unwrap().1.parse().unwrap();
    for id in [&arn, &bare] {
        cloud.ssm.register(&group("web"), id).await.unwrap();
        let registered = all(cloud.ssm.registrations(&group("web"))).await.unwrap();
        assert_eq!(registered.len(), 1);
        assert_eq!(registered[0].baseline.as_str(), arn.as_str());
        cloud.ssm.deregister(&group("web"), id).await.unwrap();
        assert!(all(cloud.ssm.registrations(&group("web"))).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_registration_changes_nothing() {
    let cloud = Cloud::of(4).await;
    let id = made(&cloud, "web", OS).await;
    let fault = Fault::new(FaultKind::CutAfter).on("*ForPatchGroup").times(1);
    cloud.world.add_fault(fault.clone()).unwrap();
    cloud.ssm.register(&group("web"), &id).await.unwrap();
    assert_eq!(all(cloud.ssm.registrations(&group("web"))).await.unwrap().len(), 1);
    cloud.world.add_fault(fault).unwrap();
    cloud.ssm.deregister(&group("web"), &id).await.unwrap();
    assert!(all(cloud.ssm.registrations(&group("web"))).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_registration_that_comes_on_two_pages_comes_once() {
    let cloud = Cloud::of(4).await;
    let id = made(&cloud, "web", OS).await;
    for at in 0..9 {
        cloud.ssm.register(&group(&format!("web-{at}")), &id).await.unwrap();
    }
    for listing in 0..2 {
        let fault = Fault::new(FaultKind::DuplicateItem).on("DescribePatchGroups").times(1);
        cloud.world.clear_faults();
        cloud.world.add_fault(fault).unwrap();
        if listing == 0 {
            let groups = all(cloud.ssm.groups()).await.unwrap();
            assert_eq!(groups.len(), 9);
        } else {
            // The last of the first page is what the second begins with.
            let twice = all(cloud.ssm.registrations(&group("web-4"))).await.unwrap();
            assert_eq!(twice.len(), 1);
        }
        assert_eq!(cloud.world.faults()[0].met, 1);
    }
}

#[tokio::test]
async fn a_registration_for_a_system_that_no_version_knows_survives() {
    let cloud = Cloud::of(4).await;
    let id = made(&cloud, "web", OS).await;
    cloud.ssm.register(&group("web"), &id).await.unwrap();
    cloud.world.add_fault(Fault::new(FaultKind::UnknownEnum).on("DescribePatchGroups")).unwrap();
    let registered = all(cloud.ssm.registrations(&group("web"))).await.unwrap();
    assert_eq!(registered[0].operating_system.as_str(), "VALUE_OF_A_LATER_VERSION");
    assert_eq!(registered[0].baseline, id);
}

#[tokio::test]
async fn a_deleted_baseline_is_not_registered_and_that_is_no_error() {
    let cloud = Cloud::of(4).await;
    let id = made(&cloud, "web", OS).await;
    cloud.ssm.delete_baseline(&id).await.unwrap();
    cloud.ssm.deregister(&group("web"), &id).await.unwrap();
    assert_eq!(cloud.count("DeregisterPatchBaselineForPatchGroup"), 0);
    let error = cloud.ssm.register(&group("web"), &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
