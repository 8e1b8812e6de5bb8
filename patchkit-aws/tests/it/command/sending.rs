//! An act is sent once, or not at all.

use std::{sync::Arc, time::Duration};

use patchkit_aws::CommandOptions;
use patchkit_core::{
    Amount, ErrorKind, Fleet, NodeId, OperationStatus, PatchAction, PatchRequest, RebootPolicy,
};
use patchkit_testkit::cloud::{Behavior, Fault, FaultKind, NodeChange, Power};

use super::{INSTALL, commands, count, ended, online, parameter, scan, token};
use crate::support::{node, one_scope, ssm};

#[tokio::test]
async fn a_request_that_can_never_succeed_is_refused_without_a_call() {
    let world = Arc::new(one_scope(160).start().await.unwrap());
    let nodes = online(&world);
    assert!(nodes.len() > 51, "{}", nodes.len());
    let elsewhere: NodeId = "aws/111122223333/us-east-1/i-0123456789abcdef0".parse().unwrap();
    let ssm = ssm(&world).await;
    world.forget_calls();
    let twins = vec![nodes[0].clone(), nodes[0].clone()];
    for (mark, nodes) in [
        ("none", vec![]),
        ("many", nodes[..51].to_vec()),
        ("apart", vec![nodes[0].clone(), elsewhere]),
        ("twins", twins),
    ] {
        let error = ssm.submit(scan(mark, &nodes)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{mark}: {}", error.report());
        assert!(!error.is_retryable());
    }
    let always = PatchAction::Install(RebootPolicy::Always);
    let request = PatchRequest::new(token("always"), nodes[..1].to_vec(), always);
    let error = ssm.submit(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let both = CommandOptions::default()
        .with_install_override_list("s3://bucket/list.yaml")
        .with_baseline_override("s3://bucket/override.json");
    let error = ssm.with_command_options(both).submit(scan("both", &nodes[..1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let long = scan("long", &nodes[..1]).with_timeout(Duration::from_hours(11));
    assert_eq!(ssm.submit(long).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(world.calls().is_empty(), "{:?}", world.calls());
    ssm.submit(scan("fifty", &nodes[..50])).await.unwrap();
    assert_eq!(count(&world, "SendCommand"), 1);
}

#[tokio::test]
async fn one_token_is_one_act_also_for_another_process() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let first = ssm(&world).await;
    let id = first.submit(scan("run-1-scan-0-0", &nodes[..2])).await.unwrap();
    assert_eq!(first.submit(scan("run-1-scan-0-0", &nodes[..2])).await.unwrap(), id);
    let other = ssm(&world).await;
    assert_eq!(other.submit(scan("run-1-scan-0-0", &nodes[..2])).await.unwrap(), id);
    let third = ssm(&world).await;
    assert_eq!(
        third.find_operation(&token("run-1-scan-0-0"), &[]).await.unwrap(),
        Some(id.clone())
    );
    ended(&world, &first, &id).await;
    world.advance(Duration::from_hours(48));
    let late = ssm(&world).await;
    assert_eq!(late.submit(scan("run-1-scan-0-0", &nodes[..2])).await.unwrap(), id);
    assert_eq!(count(&world, "SendCommand"), 1);
    assert_ne!(late.submit(scan("run-1-scan-0-1", &nodes[..2])).await.unwrap(), id);
    assert_eq!(late.find_operation(&token("run-2-scan-0-0"), &[]).await.unwrap(), None);
}

/// An act of weeks ago is found as long as the service knows of it. Who looks less far back sends it
/// again: that is what the option says.
#[tokio::test]
async fn a_token_is_looked_for_as_far_back_as_commands_are_kept() {
    const DAY: Duration = Duration::from_hours(24);
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let monthly = || scan("monthly", &nodes[..1]);
    let first = ssm(&world).await;
    let id = first.submit(monthly()).await.unwrap();
    ended(&world, &first, &id).await;
    world.advance(29 * DAY);
    assert_eq!(first.submit(monthly()).await.unwrap(), id, "the process that sent it");
    let other = ssm(&world).await;
    assert_eq!(other.submit(monthly()).await.unwrap(), id, "another one");
    assert_eq!(other.find_operation(&token("monthly"), &[]).await.unwrap(), Some(id.clone()));
    assert_eq!(count(&world, "SendCommand"), 1);
    let hasty = CommandOptions::default().with_lookback(DAY);
    let hasty = ssm(&world).await.with_command_options(hasty);
    assert_ne!(hasty.submit(monthly()).await.unwrap(), id);
    assert_eq!(count(&world, "SendCommand"), 2);
}

#[tokio::test]
async fn a_token_longer_than_a_comment_is_found_again() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let marks = ["a", "b"].map(|end| format!("{}-{end}", "größer".repeat(60)));
    let first = ssm(&world).await;
    let mut ids = Vec::new();
    for mark in &marks {
        ids.push(first.submit(scan(mark, &nodes[..1])).await.unwrap());
    }
    assert_ne!(ids[0], ids[1]);
    let other = ssm(&world).await;
    for (mark, id) in marks.iter().zip(ids) {
        assert_eq!(other.find_operation(&token(mark), &[]).await.unwrap(), Some(id));
    }
    for command in commands(&world).await {
        assert!(command.comment().unwrap().chars().count() <= 100);
    }
}

#[tokio::test]
async fn a_lost_answer_is_a_timeout_and_the_token_tells_what_became_of_it() {
    for fault in [FaultKind::CutAfter, FaultKind::FailAfter, FaultKind::Truncate] {
        let world = Arc::new(one_scope(20).start().await.unwrap());
        let nodes = online(&world);
        let ssm = ssm(&world).await;
        world.add_fault(Fault::new(fault).on("SendCommand").times(1)).unwrap();
        let error = ssm.submit(scan("lost", &nodes[..2])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{fault:?}: {}", error.report());
        assert!(!error.is_retryable(), "it has started");
        assert_eq!(error.node(), None);
        let id = ssm.find_operation(&token("lost"), &[]).await.unwrap().expect("it was accepted");
        let end = ended(&world, &ssm, &id).await;
        assert_eq!(end.status, OperationStatus::Succeeded);
        assert_eq!(ssm.submit(scan("lost", &nodes[..2])).await.unwrap(), id);
        assert_eq!(count(&world, "SendCommand"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn what_was_never_sent_is_not_found_and_not_sent_again() {
    for fault in [FaultKind::CutBefore, FaultKind::Fail { status: 503 }] {
        let world = Arc::new(one_scope(20).start().await.unwrap());
        let nodes = online(&world);
        let ssm = ssm(&world).await;
        world.add_fault(Fault::new(fault).on("SendCommand").times(1)).unwrap();
        let error = ssm.submit(scan("lost", &nodes[..2])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{fault:?}: {}", error.report());
        assert!(!error.is_retryable());
        world.advance(Duration::from_mins(5));
        assert_eq!(ssm.find_operation(&token("lost"), &[]).await.unwrap(), None);
        let error = ssm.submit(scan("lost", &nodes[..2])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "nobody can know: {}", error.report());
        assert_eq!(count(&world, "SendCommand"), 1);
        assert!(commands(&world).await.is_empty());
        // Another token is another act.
        ssm.submit(scan("next", &nodes[..2])).await.unwrap();
    }
}

#[tokio::test]
async fn a_throttle_starts_nothing_and_may_be_tried_again() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::Throttle).on("SendCommand").times(1)).unwrap();
    let error = ssm.submit(scan("again", &nodes[..2])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(error.is_retryable());
    assert!(commands(&world).await.is_empty());
    ssm.submit(scan("again", &nodes[..2])).await.unwrap();
    assert_eq!(commands(&world).await.len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_where_the_token_cannot_be_looked_for() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    for fault in [FaultKind::CutBefore, FaultKind::Fail { status: 500 }, FaultKind::Throttle] {
        world.add_fault(Fault::new(fault).on("ListCommands").times(1)).unwrap();
        let error = ssm.submit(scan("unsure", &nodes[..2])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled, "{fault:?}: {}", error.report());
        assert!(error.is_retryable());
        assert_eq!(count(&world, "SendCommand"), 0);
    }
    ssm.submit(scan("unsure", &nodes[..2])).await.unwrap();
}

#[tokio::test]
async fn many_submissions_share_one_look() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    for at in 0..10 {
        ssm.submit(scan(&format!("run-scan-{at}"), &nodes[at..=at])).await.unwrap();
    }
    assert_eq!((count(&world, "ListCommands"), count(&world, "SendCommand")), (1, 10));
    world.advance(Duration::from_secs(30));
    ssm.submit(scan("run-scan-10", &nodes[..1])).await.unwrap();
    assert_eq!(count(&world, "ListCommands"), 2);
}

#[tokio::test]
async fn one_bad_node_starts_nothing_and_is_named() {
    let world = Arc::new(one_scope(40).start().await.unwrap());
    let nodes = online(&world);
    let stopped = nodes[2].clone();
    world.change_node(stopped.resource(), &NodeChange::new().with_power(Power::Stopped));
    let unknown = node("i-0123456789abcdef0");
    let ssm = ssm(&world).await;
    for (mark, bad) in [("unknown", unknown), ("stopped", stopped)] {
        let them = [nodes[0].clone(), bad.clone(), nodes[1].clone()];
        let error = ssm.submit(scan(mark, &them)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.report());
        assert_eq!(error.node(), Some(&bad));
        assert!(!error.is_retryable());
        assert!(commands(&world).await.is_empty());
        let error = ssm.submit(scan(mark, std::slice::from_ref(&bad))).await.unwrap_err();
        assert_eq!(error.node(), Some(&bad));
        // Submitted without it, as a new one, it goes.
        assert_eq!(ssm.find_operation(&token(mark), &[]).await.unwrap(), None);
    }
    ssm.submit(scan("others", &nodes[..2])).await.unwrap();
}

#[tokio::test]
async fn without_limits_of_its_own_a_request_bears_all_failures() {
    let world = Arc::new(one_scope(40).behavior(Behavior::OneFails).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let install = |mark: &str| PatchRequest::new(token(mark), nodes[..5].to_vec(), INSTALL);
    let strict =
        install("strict").with_concurrency(Amount::Fixed(1)).with_max_errors(Amount::Fixed(0));
    let id = ssm.submit(strict).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    let terminated = |end: &patchkit_core::PatchOperation| {
        let gone = end.nodes.iter().filter(|it| it.detail.as_deref() == Some("Terminated"));
        gone.inspect(|it| assert_eq!(it.status, OperationStatus::Failed)).count()
    };
    assert_eq!(end.status, OperationStatus::Failed);
    assert!(terminated(&end) > 0, "{end:?}");
    let id = ssm.submit(install("plain")).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    assert_eq!((end.nodes.len(), terminated(&end)), (5, 0), "{end:?}");
    let sent = commands(&world).await;
    let limits: Vec<_> = sent.iter().map(|it| (it.max_concurrency(), it.max_errors())).collect();
    assert!(limits.contains(&(Some("100%"), Some("100%"))), "{limits:?}");
    assert!(limits.contains(&(Some("1"), Some("0"))), "{limits:?}");
}

#[tokio::test]
async fn each_action_has_its_document_and_only_patching_a_snapshot() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    for (mark, action) in [
        ("scan", PatchAction::Scan),
        ("install", INSTALL),
        ("agent", PatchAction::UpdateAgent),
        ("refresh", PatchAction::RefreshAssociations),
    ] {
        let request = PatchRequest::new(token(mark), nodes[..1].to_vec(), action)
            .with_timeout(Duration::from_mins(40));
        let id = ssm.submit(request).await.unwrap();
        assert_eq!(ended(&world, &ssm, &id).await.status, OperationStatus::Succeeded, "{mark}");
    }
    let sent = commands(&world).await;
    let told: Vec<_> = sent
        .iter()
        .map(|it| {
            let snapshot = parameter(it, "SnapshotId").is_some();
            let step = parameter(it, "StepTimeoutSeconds");
            (it.document_name().unwrap(), snapshot, step, it.timeout_seconds())
        })
        .collect();
    let step = || Some("2400".to_owned());
    assert_eq!(
        told,
        [
            ("AWS-RefreshAssociation", false, None, Some(1_200)),
            ("AWS-UpdateSSMAgent", false, None, Some(1_200)),
            ("AWS-RunPatchBaseline", true, step(), Some(1_200)),
            ("AWS-RunPatchBaseline", true, step(), Some(1_200)),
        ]
    );
}
