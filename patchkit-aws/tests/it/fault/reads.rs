//! A listing of a fleet, and a report of its compliance.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_config::timeout::TimeoutConfig;
use futures::StreamExt;
use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_core::{
    ComplianceReport, ComplianceStatus, ErrorKind, Fleet, ManagedNode, NodeCompliance, NodeId,
    NodeOrigin, NodeSelector, Reachability,
};
use patchkit_testkit::cloud::{Fault, FaultKind, World};

use super::{patient, provider, rows, under, word};
use crate::support::{ACCOUNT, REGION, one_scope};

/// Three pages of instances, and one or more of hybrid nodes.
async fn world() -> Arc<World> {
    Arc::new(one_scope(200).start().await.unwrap())
}

async fn listed(ssm: &Ssm) -> (Vec<ManagedNode>, Option<patchkit_core::Error>) {
    rows(ssm.nodes(&NodeSelector::all())).await
}

async fn reported(ssm: &Ssm) -> (Vec<NodeCompliance>, Option<patchkit_core::Error>) {
    rows(ssm.summaries(&NodeSelector::all())).await
}

/// A listing and a report of a day on which nothing goes wrong.
async fn clean(ssm: &Ssm) -> (Vec<ManagedNode>, Vec<NodeCompliance>) {
    let ((nodes, none), (known, no)) = (listed(ssm).await, reported(ssm).await);
    assert!(none.is_none() && no.is_none() && nodes.len() > 100 && known.len() > 100);
    (nodes, known)
}

#[tokio::test]
async fn what_goes_wrong_for_a_moment_costs_no_row() {
    let world = world().await;
    let ssm = provider(&world, &patient(&world)).await;
    let (nodes, known) = clean(&ssm).await;
    for kind in [
        FaultKind::Throttle,
        FaultKind::Fail { status: 500 },
        FaultKind::Fail { status: 503 },
        FaultKind::FailAfter,
        FaultKind::CutBefore,
        FaultKind::CutAfter,
        FaultKind::Truncate,
        FaultKind::Away,
        FaultKind::Slow { seconds: 1 },
        FaultKind::ClockSkew { seconds: 3_600 },
        FaultKind::EmptyPage,
    ] {
        for operation in ["DescribeInstances", "DescribeInstanceInformation", "GetInventory"] {
            let once = || Fault::new(kind).on(operation).times(1);
            let (found, error) = under(&world, once(), listed(&ssm)).await;
            assert!(error.is_none(), "{kind:?} on {operation}: {error:?}");
            assert_eq!(found, nodes, "{kind:?} on {operation}");
        }
        for operation in ["GetInventory", "DescribeInstances"] {
            let once = Fault::new(kind).on(operation).times(1);
            let (found, error) = under(&world, once, reported(&ssm)).await;
            assert!(error.is_none(), "{kind:?} on {operation}: {error:?}");
            assert_eq!(found, known, "{kind:?} on {operation}");
        }
    }
}

#[tokio::test]
async fn what_stays_wrong_ends_a_listing_after_the_rows_that_were_told() {
    let world = world().await;
    let ssm = provider(&world, &patient(&world)).await;
    let (nodes, known) = clean(&ssm).await;
    for (kind, outcome) in [
        (FaultKind::Throttle, "throttle: Throttled, again"),
        (FaultKind::Deny, "deny: PermissionDenied, never"),
        (FaultKind::Fail { status: 500 }, "fail: Unexpected, again"),
        (FaultKind::Fail { status: 503 }, "fail: Unexpected, again"),
        (FaultKind::FailAfter, "fail_after: Unexpected, again"),
        (FaultKind::CutBefore, "cut_before: Unexpected, again"),
        (FaultKind::CutAfter, "cut_after: Unexpected, again"),
        (FaultKind::Away, "away: Unexpected, again"),
        (FaultKind::Truncate, "truncate: Unexpected, again"),
        (FaultKind::RepeatToken, "repeat_token: Malformed, never"),
    ] {
        let on = |operation: &str| Fault::new(kind).on(operation).on_page(2);
        let (found, error) = under(&world, on("DescribeInstances"), listed(&ssm)).await;
        assert_eq!(word(kind, &error.unwrap()), outcome);
        assert_eq!(found, nodes[..50], "{kind:?}");
        let (found, error) = under(&world, on("GetInventory"), reported(&ssm)).await;
        assert_eq!(word(kind, &error.unwrap()), outcome);
        assert_eq!(found, known[..50], "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_timeout_that_may_be_tried_again() {
    let world = world().await;
    let hasty = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(300));
    let sdk = patient(&world).to_builder().timeout_config(hasty.build()).build();
    let ssm = provider(&world, &sdk).await;
    let (nodes, _) = clean(&ssm).await;
    let slow = FaultKind::Slow { seconds: 30 };
    let on = |operation: &str| Fault::new(slow).on(operation).on_page(2);
    let (found, error) = under(&world, on("DescribeInstances").times(1), listed(&ssm)).await;
    assert!(error.is_none() && found == nodes, "the second try is in time: {error:?}");
    for error in [
        under(&world, on("DescribeInstances"), listed(&ssm)).await.1,
        under(&world, on("GetInventory"), reported(&ssm)).await.1,
    ] {
        assert_eq!(word(slow, &error.unwrap()), "slow: Timeout, again");
    }
}

#[tokio::test]
async fn a_row_on_two_pages_comes_once() {
    let world = world().await;
    let ssm = provider(&world, &patient(&world)).await;
    let (nodes, known) = clean(&ssm).await;
    let twice = |operation: &str| Fault::new(FaultKind::DuplicateItem).on(operation);
    for operation in ["DescribeInstances", "DescribeInstanceInformation"] {
        let (found, error) = under(&world, twice(operation), listed(&ssm)).await;
        assert!(error.is_none(), "{operation}: {error:?}");
        assert_eq!(found, nodes, "{operation}");
    }
    let (found, error) = under(&world, twice("GetInventory"), reported(&ssm)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(found, known);
}

#[tokio::test]
async fn a_word_of_a_later_version_costs_no_row_and_makes_nothing_compliant() {
    let world = world().await;
    let ssm = provider(&world, &patient(&world)).await;
    let (nodes, known) = clean(&ssm).await;
    let odd = |operation: &str| Fault::new(FaultKind::UnknownEnum).on(operation);
    for operation in ["DescribeInstances", "DescribeInstanceInformation"] {
        let (found, error) = under(&world, odd(operation), listed(&ssm)).await;
        assert!(error.is_none(), "{operation}: {error:?}");
        let ids = |nodes: &[ManagedNode]| nodes.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(&nodes), "{operation}");
        for (found, was) in found.iter().zip(&nodes) {
            let told = |it: &ManagedNode| it.reachability == Reachability::Online;
            assert!(told(was) || !told(found), "{operation}: {found:?}");
        }
    }
    let scanned = known.iter().filter(|it| it.status != ComplianceStatus::Unknown);
    let ids: BTreeSet<NodeId> = scanned.map(|it| it.node.clone()).take(40).collect();
    let some = NodeSelector::ids(ids.clone());
    let (was, _) = rows(ssm.summaries(&some)).await;
    let states = odd("DescribeInstancePatchStates");
    let (found, error) = under(&world, states, rows(ssm.summaries(&some))).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(found.len(), ids.len());
    for (found, was) in found.iter().zip(&was) {
        assert_eq!(found.node, was.node);
        assert!(found.status == was.status || found.status == ComplianceStatus::Unknown);
    }
}

/// A list that is null is one of nothing: what it would have told of is not known, and never good.
#[tokio::test]
async fn a_list_that_is_null_makes_nothing_compliant_and_nobody_online() {
    let world = world().await;
    let ssm = provider(&world, &patient(&world)).await;
    let (nodes, known) = clean(&ssm).await;
    let null = |operation: &str| Fault::new(FaultKind::NullArray).on(operation);

    let second = null("GetInventory").on_page(2);
    let (found, error) = under(&world, second, reported(&ssm)).await;
    assert!(error.is_none(), "{error:?}");
    let lost: BTreeSet<&NodeId> = known[50..100].iter().map(|it| &it.node).collect();
    for was in &known {
        let row = found.iter().find(|it| it.node == was.node);
        if lost.contains(&was.node) {
            // EC2 tells that an instance is there; of a hybrid node nobody else does.
            let status = row.map(|it| it.status);
            let is_hybrid = was.node.resource().starts_with("mi-");
            assert!(status == Some(ComplianceStatus::Unknown) || is_hybrid && row.is_none());
        } else {
            assert_eq!(row, Some(was));
        }
    }

    let information = null("DescribeInstanceInformation");
    let (found, error) = under(&world, information, listed(&ssm)).await;
    assert!(error.is_none(), "{error:?}");
    assert!(found.iter().all(|it| it.reachability != Reachability::Online));
    let instances = nodes.iter().filter(|it| it.origin == NodeOrigin::Cloud).map(|it| &it.id);
    assert_eq!(found.iter().map(|it| &it.id).collect::<Vec<_>>(), instances.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_region_that_is_away_is_told_and_the_others_are_reported() {
    let elsewhere = "us-east-1";
    let world = one_scope(120).aws_region(elsewhere).start().await.unwrap();
    let world = Arc::new(world);
    let ssm = Ssm::builder(&patient(&world))
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited());
    let regions = [REGION, elsewhere].map(|it| it.parse().unwrap());
    let opened = Accounts::from_builder(ssm).with_regions(regions).open().await.unwrap();
    let of = |region: &str, id: &NodeId| id.scope().region().as_str() == region;
    let all: Vec<_> = opened.estate.summaries(&NodeSelector::all()).collect().await;
    let here = all.iter().filter(|it| of(REGION, &it.as_ref().unwrap().node)).count();
    assert!(here > 0 && here < all.len());

    let away = Fault::new(FaultKind::Away).in_scope(format!("{ACCOUNT}/{elsewhere}"));
    let summaries = opened.estate.summaries(&NodeSelector::all()).collect::<Vec<_>>();
    let (known, failed): (Vec<_>, Vec<_>) =
        under(&world, away, summaries).await.into_iter().partition(Result::is_ok);
    assert_eq!(known.len(), here);
    assert!(known.iter().all(|it| of(REGION, &it.as_ref().unwrap().node)));
    let failed: Vec<_> = failed.into_iter().map(Result::unwrap_err).collect();
    let [error] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(error.scope().unwrap().to_string(), format!("aws/{ACCOUNT}/{elsewhere}"));
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unexpected, true));
}
