//! The baselines that are registered for machines' patch groups.

use std::{collections::BTreeMap, time::Duration};

use azure_core::http::Method;
use futures::StreamExt;
use patchkit_azure::{Baselines, UpdateManager};
use patchkit_core::{
    Baseline, BaselineId, ComplianceReport, ComplianceStatus, ErrorKind, NodeId, NodeSelector,
    OperatingSystem, PatchBaseline, PatchGroup, Provider, UpdateScope,
};
use patchkit_testkit::cloud::Denial;
use serde_json::Value;

use super::{cloud, installed, installs, linux, odd, submit};
use crate::{
    arm,
    cloud::{Cloud, SUBSCRIPTION, all, builder, home, node, provider, vm},
};

fn of(cloud: &Cloud) -> UpdateManager {
    cloud.azure.with_baselines(&Baselines::Registered)
}

async fn registered(cloud: &Cloud, group: &str, baseline: &PatchBaseline) -> BaselineId {
    let id = cloud.azure.create_baseline(baseline).await.unwrap();
    cloud.azure.register(&group.parse().unwrap(), &id).await.unwrap();
    id
}

/// A machine of a group that lacks `curl`, `kernel` and `vim`.
fn member(cloud: &Cloud, group: &str) -> NodeId {
    cloud.add(&linux(vm()).with_tag("PatchGroup", group).scanned())
}

/// What a node lacks, and the baseline that says so.
type Said = BTreeMap<NodeId, (u32, Option<BaselineId>)>;

async fn said(azure: &UpdateManager) -> Said {
    let known = all(azure.summaries(&NodeSelector::all())).await.unwrap();
    known.into_iter().map(|it| (it.node, (it.counts.missing, it.baseline))).collect()
}

fn only(name: &str) -> PatchBaseline {
    PatchBaseline::new(name, OperatingSystem::Ubuntu)
        .with_approved([name])
        .with_approved_scope(UpdateScope::All)
}

#[tokio::test]
async fn each_group_is_judged_and_patched_by_its_own() {
    let cloud = cloud().await;
    let azure = of(&cloud);
    let odd = registered(&cloud, "web", &odd()).await;
    let kernel = registered(&cloud, "db", &only("kernel")).await;
    let [web, db] = ["web", "db"].map(|group| member(&cloud, group));
    let [stray, free] = [member(&cloud, "stray"), cloud.add(&linux(vm()).scanned())];
    let default = cloud.azure.default_baseline(&OperatingSystem::Ubuntu).await.unwrap().id;
    let expected: Said = [
        (web.clone(), (2, Some(odd.clone()))),
        (db.clone(), (1, Some(kernel))),
        (stray.clone(), (2, default.clone())),
        (free, (2, default)),
    ]
    .into();
    assert_eq!(said(&azure).await, expected);
    let pairs = all(azure.nodes_with_compliance(&NodeSelector::all())).await.unwrap();
    assert!(pairs.iter().all(|(it, known)| known.counts.missing == expected[&it.id].0));
    for (node, names) in
        [(&web, &["curl", "vim"][..]), (&db, &["kernel"]), (&stray, &["curl", "kernel"])]
    {
        submit(&cloud, &azure, node).await.unwrap();
        cloud.world.advance(Duration::from_hours(2));
        assert_eq!(installed(&cloud, node), names);
    }
    // As the group's own answer is.
    let answer = cloud.azure.baseline_for(&"web".parse().unwrap(), &OperatingSystem::Ubuntu).await;
    assert_eq!(answer.unwrap(), odd);
    let own = cloud.azure.create_baseline(&only("vim")).await.unwrap();
    cloud.azure.set_default_baseline(&own).await.unwrap();
    cloud.world.advance(Duration::from_mins(5));
    assert_eq!(azure.summary(&stray).await.unwrap().baseline, Some(own));
}

#[tokio::test]
async fn what_is_registered_is_read_once_in_five_minutes_for_all() {
    let cloud = cloud().await;
    let azure = of(&cloud);
    registered(&cloud, "web", &odd()).await;
    let nodes: Vec<NodeId> = (0..7).map(|_| member(&cloud, "web")).collect();
    cloud.world.forget_calls();
    let asked = || {
        ["MaintenanceConfigurations_List", "ConfigurationAssignments_List"]
            .map(|operation| cloud.count(operation))
    };
    said(&azure).await;
    for node in &nodes {
        azure.summary(node).await.unwrap();
        submit(&cloud, &azure, node).await.unwrap();
    }
    assert_eq!((asked(), installs(&cloud)), ([1, 1], 7));
    assert_eq!(cloud.count("MaintenanceConfigurations_Get"), 0);
    cloud.world.advance(Duration::from_mins(5));
    said(&azure).await;
    assert_eq!(asked(), [2, 2]);
}

#[tokio::test]
async fn a_registration_that_cannot_be_read_decides_nothing_and_spoils_only_its_scope() {
    const OTHER: &str = "5b1c0ffe-0000-4000-8000-000000000002";
    let world = builder().nodes(0).azure_subscription(OTHER).start().await.unwrap();
    let other = [OTHER.parse().unwrap()];
    let azure = provider(&world).with_subscriptions(other).with_baseline_home(home());
    let cloud = Cloud { azure: azure.build().unwrap(), world };
    let azure = of(&cloud);
    registered(&cloud, "web", &odd()).await;
    let here = member(&cloud, "web");
    let there = patchkit_testkit::cloud::NodeSpec::vm(OperatingSystem::Ubuntu, OTHER, "web");
    let there = linux(there).with_tag("PatchGroup", "web").scanned();
    let there = node(&cloud.world.add_node(&there).unwrap());
    let there: NodeId = there.to_string().replacen(SUBSCRIPTION, OTHER, 1).parse().unwrap();
    let denied = Denial::of("*:ConfigurationAssignments_List".to_owned()).in_scope(OTHER);
    cloud.world.deny(denied).unwrap();
    cloud.world.forget_calls();
    let rows: Vec<_> = azure.summaries(&NodeSelector::all()).collect().await;
    let (known, errors): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    let [Ok(known)] = &known[..] else { panic!("{known:?}") };
    assert_eq!((&known.node, known.counts.missing), (&here, 2));
    let [Err(error)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.kind(), error.node()), (ErrorKind::PermissionDenied, Some(&there)));
    assert_eq!(error.scope(), Some(there.scope()));
    let error = submit(&cloud, &azure, &there).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::PermissionDenied, Some(&there)));
    assert_eq!(installs(&cloud), 0);
    submit(&cloud, &azure, &here).await.unwrap();
    // Of what could not be read is not asked for each node, nor is it believed for five minutes.
    assert_eq!(cloud.count("ConfigurationAssignments_List"), 2);
    cloud.world.allow_all();
    cloud.world.advance(Duration::from_secs(30));
    assert_eq!(azure.summary(&there).await.unwrap().counts.missing, 2);
}

#[tokio::test]
async fn a_registration_of_a_baseline_that_is_gone_is_no_registration_of_the_default() {
    let cloud = cloud().await;
    let azure = of(&cloud);
    let gone = registered(&cloud, "web", &odd()).await;
    let [web, stray] = ["web", "stray"].map(|group| member(&cloud, group));
    let (status, _) = arm::send(&cloud.world, Method::Delete, gone.as_str(), &Value::Null).await;
    assert_eq!(status, 200);
    let error = azure.summary(&web).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::NotFound, Some(&web)));
    assert!(error.message().contains("configurationAssignments"), "{error}");
    assert!(submit(&cloud, &azure, &web).await.is_err());
    assert_eq!(installs(&cloud), 0);
    let known = azure.summary(&stray).await.unwrap();
    assert_eq!(known.status, ComplianceStatus::NonCompliant);
}
