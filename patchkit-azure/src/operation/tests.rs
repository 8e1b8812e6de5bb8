//! Answers of Azure, decoded field by field: those that azure-cli has recorded (test_vm_install_patches,
//! of its 43 patches five), and those that Microsoft has published.

use std::time::Duration;

use jiff::Timestamp;
use patchkit_core::{
    Classification, Error, ErrorKind, Fleet, NodeId, OperationStatus, PatchAction, PatchId,
    PatchRequest, PatchState, RebootPolicy, Retry, SubmitToken, VirtualClock,
};
use serde_json::{Value, json};

use super::{
    act::Kind,
    machine::SeenAct,
    result::{InstallCounts, InstallResult, InstallStatus, RebootStatus, WindowUse},
    status::{self, Over},
};
use crate::testing::{Canned, Tokens};

const ACTIVITY: &str = "cfc8b1b5-32f3-468d-8f36-0b3adb16674e";

fn node() -> NodeId {
    "azure/s-1/westus//subscriptions/s-1/resourceGroups/g/providers/Microsoft.Compute\
     /virtualMachines/vm"
        .parse()
        .unwrap()
}

/// A machine on which nothing was ever done.
fn fresh(system: &str) -> Value {
    json!({"properties": {
        "storageProfile": {"osDisk": {"osType": system}},
        "instanceView": {"statuses": [{"code": "PowerState/running"}]},
    }})
}

fn install() -> PatchRequest {
    let token = SubmitToken::stamped("t", Timestamp::UNIX_EPOCH).unwrap();
    PatchRequest::new(token, vec![node()], PatchAction::Install(RebootPolicy::IfRequired))
}

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

macro_rules! fixture {
    ($name:literal) => {
        fixture(include_str!(concat!("../../tests/fixtures/", $name, ".json")))
    };
}

#[test]
fn the_recorded_install_is_read_whole_at_either_address() {
    let status = fixture!("recorded_install_succeeded");
    let result = fixture!("recorded_install_result");
    assert_eq!(status["properties"]["output"], result);
    let read = InstallResult::read(&node(), ACTIVITY, &result);
    assert_eq!(read.activity, result["installationActivityId"].as_str().unwrap());
    assert_eq!(read.status, InstallStatus::Succeeded);
    assert_eq!(read.reboot, Some(RebootStatus::Completed));
    assert_eq!(read.window, WindowUse::Kept);
    let counts =
        InstallCounts { installed: 32, failed: 0, pending: 0, excluded: 0, not_selected: 11 };
    assert_eq!(read.counts, counts);
    assert_eq!(read.started_at, Some("2024-11-23T01:35:07.2163321Z".parse().unwrap()));
    assert_eq!((read.ended_at, read.error.as_deref()), (None, None), "the code 0 is no error");
    assert_eq!((read.schedule_run.as_deref(), read.unreadable), (None, 0));
    let [python, curl, trace, vim, linux] = &read.patches[..] else { panic!("{read:?}") };
    assert_eq!(python.id.as_str(), "libpython3.10");
    assert_eq!(python.version.as_deref(), Some("3.10.12-1~22.04.7"));
    assert_eq!(python.classifications, [Classification::Security]);
    assert_eq!(trace.classifications, [Classification::Other("Other".into())]);
    for patch in [python, curl, trace] {
        assert_eq!(patch.state, PatchState::Installed, "{patch:?}");
    }
    for patch in [vim, linux] {
        assert_eq!(patch.state, PatchState::NotSelected, "{patch:?}");
    }
    let act = status::of_install(&read, Over::Yes);
    assert_eq!((act.status, act.detail), (OperationStatus::Succeeded, None));
    let installed: Vec<&str> = act.installed.iter().map(PatchId::as_str).collect();
    assert_eq!(installed, ["libpython3.10", "curl", "libtraceevent1"]);
}

#[test]
fn the_recorded_operation_has_the_id_of_its_install() {
    let running = fixture!("recorded_install_running");
    let ended = fixture!("recorded_install_succeeded");
    assert_eq!(running["name"], ended["properties"]["output"]["installationActivityId"]);
}

#[test]
fn the_published_install_on_windows_is_read_whole() {
    let read = InstallResult::read(&node(), "a", &fixture!("published_install"));
    let counts =
        InstallCounts { installed: 3, failed: 0, pending: 2, excluded: 0, not_selected: 0 };
    assert_eq!(read.counts, counts);
    assert_eq!((read.status.as_str(), read.error.as_deref()), ("Succeeded", None));
    let [defender, remover] = &read.patches[..] else { panic!("{read:?}") };
    assert_eq!(defender.id.as_str(), "KB2267602");
    assert!(defender.name.starts_with("Definition Update for Windows Defender"));
    assert_eq!(defender.version, None, "Windows has none, and says so with an empty text");
    assert_eq!(defender.classifications, [Classification::DefinitionUpdates]);
    assert_eq!(remover.classifications, [Classification::UpdateRollups]);
    assert_eq!(remover.state, PatchState::Pending);
    // What is pending is not done, whatever the status says.
    let act = status::of_install(&read, Over::Yes);
    assert_eq!(act.status, OperationStatus::Failed);
    assert_eq!(act.detail.as_deref(), Some("2 pending"));
}

#[test]
fn the_published_install_on_an_arc_machine_has_counts_alone() {
    let read = InstallResult::read(&node(), "a", &fixture!("published_arc_install"));
    assert_eq!((read.counts.installed, read.counts.pending), (3, 2));
    assert_eq!(read.started_at, Some("2021-08-22T02:15:06.974Z".parse().unwrap()));
    assert_eq!(read.ended_at, Some("2021-08-22T02:16:06.974Z".parse().unwrap()));
    assert_eq!((read.patches.len(), read.error.as_deref()), (0, None));
}

#[test]
fn the_published_assessments_are_read() {
    let act = status::of_scan(&node(), &fixture!("published_assessment"), Over::Yes);
    assert_eq!((act.status, act.detail), (OperationStatus::Succeeded, None));
    assert_eq!(act.started_at, Some("2020-04-24T21:02:04.2556154Z".parse().unwrap()));
    let act = status::of_scan(&node(), &fixture!("published_arc_assessment"), Over::Yes);
    assert_eq!((act.status, act.detail), (OperationStatus::Succeeded, None));
    assert_eq!(act.ended_at, Some("2021-08-22T02:16:06.974Z".parse().unwrap()));
}

#[test]
fn the_published_instance_view_tells_the_last_act_of_each_kind() {
    let view = fixture!("published_instance_view");
    let status = &view["patchStatus"];
    let started = Some("2020-04-24T21:02:04.2556154Z".parse().unwrap());
    for (kind, summary, activity) in [
        (Kind::Scan, "availablePatchSummary", "68f8b292-dfc2-4646-9781-33cc88631968"),
        (Kind::Install, "lastPatchInstallationSummary", "68f8b292-dfc2-4646-9981-33cc88631968"),
    ] {
        let act = SeenAct::read(kind, &status[summary]).unwrap();
        assert_eq!((act.kind, act.activity.as_str(), act.started), (kind, activity, started));
        assert!(!act.runs("2020-04-24T21:05:00Z".parse().unwrap()));
    }
    let told = &status["lastPatchInstallationSummary"];
    let read = InstallResult::read(&node(), "a", told);
    let counts =
        InstallCounts { installed: 1, failed: 1, pending: 1, excluded: 1, not_selected: 1 };
    assert_eq!((read.counts, read.started_at, read.ended_at), (counts, started, started));
    assert_eq!(read.reboot, None, "it is not told here");
}

#[tokio::test]
async fn the_recorded_install_is_sent_followed_and_read() {
    let place = format!(
        "https://management.azure.com/subscriptions/s-1/providers/Microsoft.Compute/locations\
         /westus/operations/{ACTIVITY}"
    );
    let query = "api-version=2024-11-01&t=638679225062342646&c=certificate&s=signature&h=hash";
    let status = format!("{place}?p=53a5c8af&{query}");
    let result = format!("{place}?p=53a5c8af&monitor=true&{query}");
    let followed = [("azure-asyncoperation", status.as_str()), ("location", result.as_str())];
    let service = Canned::new()
        .then(200, &[], &fresh("Windows"))
        .then(202, &followed, &Value::Null)
        .then(200, &[], &fixture!("recorded_install_running"))
        .then(200, &[], &fixture!("recorded_install_succeeded"));
    let clock = VirtualClock::manual(Timestamp::UNIX_EPOCH);
    let azure = service.provider_on(Tokens::Same, clock.clone());
    let id = azure.submit(install()).await.unwrap();
    assert_eq!(id.as_str(), format!("install/{ACTIVITY}/{}", node()));
    for (seconds, asked, seen) in [
        (0, 2, OperationStatus::Pending),
        (14, 2, OperationStatus::Pending),
        (1, 3, OperationStatus::InProgress),
        (14, 3, OperationStatus::InProgress),
        (1, 4, OperationStatus::Succeeded),
        (60, 4, OperationStatus::Succeeded),
    ] {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(azure.operation(&id).await.unwrap().status, seen);
        assert_eq!(service.asked().len(), asked, "after {seconds} s more");
    }
    let [_, sent, first, last] = &service.asked()[..] else { panic!("four requests") };
    assert!(sent.url.ends_with("/virtualMachines/vm/installPatches?api-version=2024-07-01"));
    let expected = json!({
        "maximumDuration": "PT2H30M",
        "rebootSetting": "IfRequired",
        "windowsParameters": {"classificationsToInclude": ["Critical", "Security"]},
    });
    assert_eq!(sent.body, expected, "and nothing that is null");
    assert_eq!([&first.url, &last.url], [&status, &status], "followed as it stands");
    let read = azure.install_result(&id).await.unwrap();
    assert_eq!(read.ended_at, Some("2024-11-23T01:55:32.2637578Z".parse().unwrap()));
    assert_eq!(read.counts.installed, 32);
    let shown = format!("{azure:?} {:?} {id}", azure.operations);
    assert!(!shown.contains("signature") && !shown.contains("certificate"), "{shown}");
}

#[tokio::test]
async fn an_act_that_is_accepted_without_an_address_is_a_lost_one() {
    let service = Canned::new().then(200, &[], &fresh("Linux")).then(202, &[], &Value::Null).then(
        200,
        &[],
        &fresh("Linux"),
    );
    let azure = service.provider(Tokens::Same);
    for asked in [2, 3] {
        let error = azure.submit(install()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Never));
        assert_eq!(service.asked().len(), asked, "it is not sent again");
    }
}

#[tokio::test]
async fn a_machine_that_tells_late_of_an_end_that_is_known_is_free() {
    let place = "https://management.azure.com/subscriptions/s-1/operations";
    let followed = format!("{place}/{ACTIVITY}?s=signature");
    let mut late = fresh("Linux");
    late["properties"]["instanceView"]["patchStatus"] = json!({"lastPatchInstallationSummary": {
        "status": "InProgress",
        "installationActivityId": ACTIVITY,
        "startTime": "1970-01-01T00:00:01Z",
    }});
    let next = format!("{place}/68f8b292?s=signature");
    let service = Canned::new()
        .then(200, &[], &fresh("Linux"))
        .then(202, &[("azure-asyncoperation", &followed)], &Value::Null)
        .then(200, &[], &late)
        .then(200, &[], &fixture!("recorded_install_succeeded"))
        .then(200, &[], &late)
        .then(202, &[("azure-asyncoperation", &next)], &Value::Null);
    let clock = VirtualClock::manual(Timestamp::UNIX_EPOCH);
    let azure = service.provider_on(Tokens::Same, clock.clone());
    let id = azure.submit(install()).await.unwrap();
    let scan = PatchRequest::new("scan".parse().unwrap(), vec![node()], PatchAction::Scan);
    let error = azure.submit(scan.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "it goes on");
    clock.advance(Duration::from_secs(15));
    assert_eq!(azure.operation(&id).await.unwrap().status, OperationStatus::Succeeded);
    azure.submit(scan).await.unwrap();
    assert_eq!(service.asked().len(), 6);
}

#[test]
fn only_a_refusal_that_is_clear_lets_a_token_be_sent_again() {
    let error = |kind, retry| Error::new(kind, "azure", "submit", "x").with_retry(retry);
    for (kind, retry, begun) in [
        (ErrorKind::Conflict, Retry::Never, false),
        (ErrorKind::Throttled, Retry::Backoff, false),
        (ErrorKind::Unexpected, Retry::Backoff, false),
        (ErrorKind::Unexpected, Retry::Never, true),
        (ErrorKind::Timeout, Retry::Never, true),
        (ErrorKind::Malformed, Retry::Never, true),
    ] {
        assert_eq!(super::not_begun(error(kind, retry)).is_err(), begun, "{kind:?}");
    }
}
