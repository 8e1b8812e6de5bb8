//! How acts end, told apart.

use std::time::Duration;

use patchkit_azure::{InstallOptions, InstallStatus, RebootStatus, WindowUse};
use patchkit_core::{ErrorKind, Fleet, OperationStatus, PatchAction, PatchState, RebootPolicy};
use patchkit_testkit::cloud::{Agent, Behavior};

use super::{INSTALL, cloud, end, lacking, posts, request, token, web};
use crate::cloud::{arc, vm};

#[tokio::test]
async fn an_install_tells_what_became_of_each_patch() {
    let cloud = cloud().await;
    for spec in [web(), lacking(arc(), &["curl", "openssl", "zlib"])] {
        let node = cloud.add(&spec);
        let mark = token(&cloud, &node.to_string());
        let id = cloud.azure.submit(request(&mark, &node, INSTALL)).await.unwrap();
        end(&cloud, &cloud.azure, &id).await;
        let result = cloud.azure.install_result(&id).await.unwrap();
        assert_eq!((&result.node, &result.status), (&node, &InstallStatus::Succeeded));
        assert_eq!((result.counts.installed, result.unreadable), (3, 0), "{result:?}");
        let mut installed: Vec<&str> =
            result.patches_in(&PatchState::Installed).map(|it| it.id.as_str()).collect();
        installed.sort_unstable();
        assert_eq!(installed, ["curl", "openssl", "zlib"], "{node}");
        assert!(result.patches.iter().all(|patch| patch.version.is_some()));
        assert_eq!((result.error, result.window), (None, WindowUse::Kept));
    }
}

#[tokio::test]
async fn patches_that_fail_are_named_and_the_others_are_told() {
    let cloud = cloud().await;
    let node = cloud.add(&web().with_behavior(Behavior::OneFails));
    let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    let end = end(&cloud, &cloud.azure, &id).await;
    assert_eq!(end.status, OperationStatus::Failed);
    let result = cloud.azure.install_result(&id).await.unwrap();
    assert_eq!(result.status, InstallStatus::CompletedWithWarnings);
    assert_eq!((result.counts.installed, result.counts.failed), (2, 1));
    let failed: Vec<_> = result.patches_in(&PatchState::Failed).collect();
    let detail = end.detail.unwrap();
    let word = format!("completed with warnings; 1 failed: {}", failed[0].id);
    assert!(detail.starts_with(&word), "{detail}");
    assert_eq!(end.installed.len(), 2);
}

#[tokio::test]
async fn a_window_that_was_too_short_is_no_failure_and_no_success() {
    let cloud = cloud().await;
    let names: Vec<String> = (0..30).map(|n| format!("package{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let node = cloud.add(&lacking(vm(), &names));
    let options = InstallOptions::default().with_maximum_duration(Duration::from_mins(3));
    let azure = cloud.azure.with_install_options(options);
    let id = azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    let first = end(&cloud, &azure, &id).await;
    assert_eq!(first.status, OperationStatus::TimedOut, "{first:?}");
    let result = azure.install_result(&id).await.unwrap();
    assert_eq!(result.window, WindowUse::Exceeded);
    assert!(result.counts.pending > 0 && result.counts.installed > 0, "{:?}", result.counts);
    let word = format!("its time was over before all was done; {} pending", result.counts.pending);
    assert!(first.detail.unwrap().contains(&word));
    // A request's own time goes before the options'.
    let longer = request(&token(&cloud, "u"), &node, INSTALL).with_timeout(Duration::from_hours(1));
    let id = azure.submit(longer).await.unwrap();
    assert_eq!(end(&cloud, &azure, &id).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn a_reboot_that_is_owed_is_told() {
    for (reboot, status, detail) in [
        (RebootPolicy::Never, RebootStatus::Required, Some("a reboot is required")),
        (RebootPolicy::Always, RebootStatus::Completed, None),
    ] {
        let cloud = cloud().await;
        let node = cloud.add(&web());
        let booted = cloud.world.node(node.resource()).unwrap().booted;
        let action = PatchAction::Install(reboot);
        let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, action)).await.unwrap();
        let end = end(&cloud, &cloud.azure, &id).await;
        assert_eq!(end.status, OperationStatus::Succeeded, "{end:?}");
        assert_eq!(end.detail.as_deref(), detail);
        let result = cloud.azure.install_result(&id).await.unwrap();
        assert_eq!(result.reboot, Some(status));
        let again = cloud.world.node(node.resource()).unwrap().booted;
        assert_eq!(again > booted, reboot == RebootPolicy::Always);
    }
}

#[tokio::test]
async fn a_machine_whose_agent_is_gone_is_undeliverable_to_a_scan_and_a_failed_install() {
    for (behavior, agent, action, status) in [
        (Behavior::Well, Agent::ConnectionLost, PatchAction::Scan, OperationStatus::Undeliverable),
        (Behavior::DiesInTheMiddle, Agent::Online, INSTALL, OperationStatus::Failed),
    ] {
        let cloud = cloud().await;
        let node = cloud.add(&web().with_behavior(behavior).with_agent(agent));
        let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, action)).await.unwrap();
        let end = end(&cloud, &cloud.azure, &id).await;
        assert_eq!(end.status, status, "{end:?}");
        assert!(end.detail.unwrap().starts_with("VMAgentStatusCommunicationError"));
        assert_eq!(posts(&cloud.world), 1);
    }
}

#[tokio::test]
async fn a_scan_has_no_result_of_an_install() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let mark = token(&cloud, "t");
    let id = cloud.azure.submit(request(&mark, &node, PatchAction::Scan)).await.unwrap();
    let error = cloud.azure.install_result(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
