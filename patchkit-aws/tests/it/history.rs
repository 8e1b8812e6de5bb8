//! What AWS Config recorded of a node's patch compliance.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use patchkit_aws::{RecordedCompliance, RecordedEvent, Ssm};
use patchkit_core::{
    ComplianceReport, ComplianceStatus, ErrorKind, Fleet, NodeId, OperatingSystem, PatchAction,
    PatchRequest, PatchState, RebootPolicy, SubmitToken,
};
use patchkit_testkit::{
    PatchSeed,
    cloud::{Denial, Fault, FaultKind, NodeSpec, PatchSpec, World},
};

use crate::support::{ACCOUNT, REGION, builder, node, one_scope, ssm};

/// A node that lacks a patch, and was scanned just now.
fn lacking(world: &World) -> NodeId {
    let missing = PatchSeed::new("openssl.x86_64".parse().unwrap(), PatchState::Missing);
    let spec = NodeSpec::ec2(OperatingSystem::AmazonLinux2023, ACCOUNT, REGION);
    let spec = spec.with_patches([PatchSpec::from(missing)]).scanned();
    node(&world.add_node(&spec).unwrap())
}

/// Does something to a node, to its end; a day passes.
async fn act(world: &World, ssm: &Ssm, node: &NodeId, name: &str, action: PatchAction) {
    let token = SubmitToken::new(name).unwrap();
    let id = ssm.submit(PatchRequest::new(token, vec![node.clone()], action)).await.unwrap();
    world.advance(Duration::from_hours(24));
    assert!(ssm.operation(&id).await.unwrap().status.is_final(), "{name}");
}

async fn history(ssm: &Ssm, node: &NodeId, since: Timestamp) -> Vec<RecordedCompliance> {
    ssm.compliance_history(node, since).try_collect().await.unwrap()
}

#[tokio::test]
async fn each_scan_and_install_is_a_record_and_the_newest_comes_first() {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let begun = world.now();
    let (ssm, node) = (ssm(&world).await, lacking(&world));
    world.advance(Duration::from_hours(24));
    act(&world, &ssm, &node, "scan", PatchAction::Scan).await;
    act(&world, &ssm, &node, "install", PatchAction::Install(RebootPolicy::IfRequired)).await;
    let records = history(&ssm, &node, begun).await;
    let status = |it: &RecordedCompliance| it.compliance.status;
    let statuses: Vec<_> = records.iter().map(status).collect();
    let bad = ComplianceStatus::NonCompliant;
    assert_eq!(statuses, [ComplianceStatus::Compliant, bad, bad], "{records:#?}");
    assert!(records.windows(2).all(|it| it[0].at > it[1].at));
    assert!(records.iter().all(|it| it.event == RecordedEvent::Reported));
    // The last one says what the service says now.
    let now = ssm.summary(&node).await.unwrap();
    let last = &records[0].compliance;
    assert_eq!((&last.node, last.status, &last.baseline), (&now.node, now.status, &now.baseline));
    assert_eq!(last.counts, now.counts);
    let first = &records[2].compliance;
    assert_eq!((first.counts.missing, first.counts.security_non_compliant), (1, 1));
    assert!(first.level.is_some() && last.level.is_none());
}

#[tokio::test]
async fn a_long_time_is_read_week_by_week_also_where_weeks_are_empty() {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let begun = world.now();
    let (ssm, node) = (ssm(&world).await, lacking(&world));
    world.advance(Duration::from_hours(24 * 30));
    act(&world, &ssm, &node, "late", PatchAction::Scan).await;
    world.forget_calls();
    assert_eq!(history(&ssm, &node, begun).await.len(), 2);
    assert_eq!(world.calls().of("GetResourceConfigHistory").len(), 5);
    // What is older than asked for does not come, and costs nothing.
    let late = begun.checked_add(SignedDuration::from_hours(24 * 29)).unwrap();
    world.forget_calls();
    assert_eq!(history(&ssm, &node, late).await.len(), 1);
    assert_eq!(world.calls().of("GetResourceConfigHistory").len(), 1);
}

#[tokio::test]
async fn many_records_of_one_week_come_on_pages_each_once() {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let begun = world.now();
    let node = lacking(&world);
    let ssm = builder(&world).with_page_size(2).build().await.unwrap();
    for at in 0..5 {
        act(&world, &ssm, &node, &format!("scan-{at}"), PatchAction::Scan).await;
    }
    world
        .add_fault(Fault::new(FaultKind::EmptyPage).on("GetResourceConfigHistory").times(1))
        .unwrap();
    let records = history(&ssm, &node, begun).await;
    let times: BTreeSet<_> = records.iter().map(|it| it.at).collect();
    assert_eq!((records.len(), times.len()), (6, 6));
}

#[tokio::test]
async fn a_node_that_was_never_recorded_is_not_found_and_a_denial_is_told() {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let ssm = ssm(&world).await;
    let spec = NodeSpec::ec2(OperatingSystem::AmazonLinux2023, ACCOUNT, REGION);
    let silent = node(&world.add_node(&spec).unwrap());
    let elsewhere: NodeId = "aws/444455556666/eu-west-1/i-0123456789abcdef0".parse().unwrap();
    let scanned = lacking(&world);
    let error = async |node: &NodeId| {
        let read: Result<Vec<_>, _> =
            ssm.compliance_history(node, Timestamp::UNIX_EPOCH).try_collect().await;
        let error = read.unwrap_err();
        assert_eq!(error.node(), Some(node));
        error.kind()
    };
    assert_eq!(error(&silent).await, ErrorKind::NotFound);
    assert_eq!(error(&elsewhere).await, ErrorKind::NotFound);
    world.deny(Denial::of("config:GetResourceConfigHistory")).unwrap();
    assert_eq!(error(&scanned).await, ErrorKind::PermissionDenied);
}
