//! Calls that go wrong: an act is never sent twice, and its end is found all the same.

use std::time::Duration;

use patchkit_core::{ErrorKind, Fleet, OperationStatus, PatchAction, Retry};
use patchkit_testkit::cloud::{Behavior, Fault, FaultKind};

use super::{INSTALL, cloud, end, lacking, posts, request, token, web};
use crate::cloud::arc;

#[tokio::test]
async fn an_act_whose_answer_is_lost_is_sent_once_and_found_where_it_began() {
    for (kind, began) in [
        (FaultKind::CutAfter, true),
        (FaultKind::FailAfter, true),
        (FaultKind::CutBefore, false),
        (FaultKind::Fail { status: 500 }, false),
        (FaultKind::Fail { status: 503 }, false),
    ] {
        for (spec, action, operation) in [
            (web(), PatchAction::Scan, "VirtualMachines_AssessPatches"),
            (web(), INSTALL, "VirtualMachines_InstallPatches"),
            (lacking(arc(), &["curl"]), INSTALL, "Machines_InstallPatches"),
        ] {
            let cloud = cloud().await;
            let node = cloud.add(&spec);
            cloud.world.add_fault(Fault::new(kind).on(operation).times(1)).unwrap();
            let mark = token(&cloud, "t");
            let sent = request(&mark, &node, action);
            let error = cloud.azure.submit(sent.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{kind:?} on {operation}: {error}");
            assert_eq!(error.retry(), Retry::Never);
            assert_eq!(error.node(), Some(&node));
            let found =
                cloud.azure.find_operation(&mark, std::slice::from_ref(&node)).await.unwrap();
            assert_eq!(found.is_some(), began, "{kind:?} on {operation}");
            let again = cloud.azure.submit(sent).await;
            match found {
                Some(id) => {
                    assert_eq!(again.unwrap(), id);
                    let end = end(&cloud, &cloud.azure, &id).await;
                    assert_eq!(end.status, OperationStatus::Succeeded, "{kind:?} on {operation}");
                }
                None => assert_eq!(again.unwrap_err().kind(), ErrorKind::Timeout, "not again"),
            }
            assert_eq!((cloud.count(operation), posts(&cloud.world)), (1, 1), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_act_may_be_sent_again() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let mark = token(&cloud, "t");
    let sent = request(&mark, &node, INSTALL);
    cloud.world.add_fault(Fault::new(FaultKind::Throttle).on("*InstallPatches").times(1)).unwrap();
    let error = cloud.azure.submit(sent.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(1)), "as the service asks");
    assert_eq!(cloud.azure.find_operation(&mark, std::slice::from_ref(&node)).await.unwrap(), None);
    cloud.world.add_fault(Fault::new(FaultKind::Deny).on("*InstallPatches").times(1)).unwrap();
    let error = cloud.azure.submit(sent.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let id = cloud.azure.submit(sent).await.unwrap();
    assert_eq!(end(&cloud, &cloud.azure, &id).await.status, OperationStatus::Succeeded);
    let acted = cloud.world.calls().of("VirtualMachines_InstallPatches").acted();
    assert_eq!((acted.len(), posts(&cloud.world)), (1, 3));
}

#[tokio::test]
async fn where_the_machine_cannot_be_read_nothing_is_sent() {
    for kind in [FaultKind::Fail { status: 500 }, FaultKind::CutAfter, FaultKind::Truncate] {
        let cloud = cloud().await;
        let node = cloud.add(&web());
        let sent = request(&token(&cloud, "t"), &node, INSTALL);
        cloud.world.add_fault(Fault::new(kind).on("VirtualMachines_Get").times(1)).unwrap();
        let error = cloud.azure.submit(sent.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled, "{kind:?}: {error}");
        assert!(error.is_retryable());
        assert_eq!(posts(&cloud.world), 0);
        cloud.azure.submit(sent).await.unwrap();
        assert_eq!(posts(&cloud.world), 1);
    }
}

#[tokio::test]
async fn looks_that_fail_again_and_again_lose_nothing() {
    for kind in [FaultKind::Fail { status: 500 }, FaultKind::CutAfter, FaultKind::Truncate] {
        let cloud = cloud().await;
        let node = cloud.add(&web());
        let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
        cloud.world.add_fault(Fault::new(kind).on("Operations_Get").times(7)).unwrap();
        let mut errors = 0;
        for _ in 0..7 {
            cloud.world.advance(Duration::from_secs(15));
            let error = cloud.azure.operation(&id).await.unwrap_err();
            assert!(error.is_retryable(), "{kind:?}: {error}");
            assert_eq!(error.node(), Some(&node));
            let shown = format!("{error:?} {}", error.report());
            assert!(!shown.contains("&s=") && !shown.contains("&c="), "its address is signed");
            errors += 1;
        }
        assert_eq!((errors, cloud.count("Operations_Get")), (7, 7));
        let end = end(&cloud, &cloud.azure, &id).await;
        assert_eq!(end.status, OperationStatus::Succeeded, "{kind:?}");
        assert_eq!(posts(&cloud.world), 1);
    }
}

#[tokio::test]
async fn a_throttled_look_is_put_off_as_long_as_the_service_asks() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    cloud.world.add_fault(Fault::new(FaultKind::Throttle).on("Operations_Get").times(1)).unwrap();
    cloud.world.advance(Duration::from_secs(15));
    let error = cloud.azure.operation(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    let seen = cloud.azure.operation(&id).await.unwrap();
    assert!(!seen.status.is_final());
    assert_eq!(cloud.count("Operations_Get"), 1, "not looked at again");
    assert_eq!(end(&cloud, &cloud.azure, &id).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn an_act_that_never_ends_is_looked_at_four_times_a_minute_and_ends_with_its_window() {
    let cloud = cloud().await;
    let node = cloud.add(&web().with_behavior(Behavior::Hangs));
    let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    for _ in 0..3_600 {
        cloud.world.advance(Duration::from_secs(1));
        let seen = cloud.azure.operation(&id).await.unwrap();
        assert_eq!(seen.node(&node).map(|it| it.status.is_final()), Some(false));
    }
    let looks = cloud.count("Operations_Get");
    assert!((230..=240).contains(&looks), "{looks} looks in an hour");
    let end = end(&cloud, &cloud.azure, &id).await;
    assert_eq!(end.status, OperationStatus::TimedOut, "{end:?}");
    assert!(end.detail.unwrap().starts_with("VMExtensionProvisioningTimeout"));
    assert_eq!(posts(&cloud.world), 1);
    let looks = cloud.world.calls().len();
    for _ in 0..5 {
        cloud.world.advance(Duration::from_mins(1));
        cloud.azure.operation(&id).await.unwrap();
    }
    assert_eq!(cloud.world.calls().len(), looks, "what is over is known");
}

#[tokio::test]
async fn an_operation_that_the_service_has_forgotten_is_read_from_its_machine() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    cloud.world.advance(Duration::from_hours(48));
    let end = end(&cloud, &cloud.azure, &id).await;
    assert_eq!(end.status, OperationStatus::Succeeded, "{end:?}");
    let looks = cloud.world.calls().of("Operations_Get");
    assert_eq!(looks.iter().map(|it| it.status).collect::<Vec<_>>(), [Some(404)]);
}
