use std::{sync::Arc, time::Duration};

use patchkit_core::{
    ApprovalRule, AutoApproval, Fleet, NodeId, OperatingSystem, OperationId, OperationStatus,
    PatchAction, PatchBaseline, PatchRequest, RejectedAction, SubmitToken, UpdateScope,
    VirtualClock,
};
use serde_json::json;

use super::*;
use crate::{
    Baselines,
    testing::{Canned, Tokens},
};

const MACHINE: &str =
    "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm";
const ACTIVITY: &str = "cfc8b1b5-32f3-468d-8f36-0b3adb16674e";

fn node() -> NodeId {
    format!("azure/s-1/westus/{MACHINE}").parse().unwrap()
}

fn page(rows: &[Value]) -> Value {
    json!({"count": rows.len(), "data": rows, "resultTruncated": "false"})
}

fn everything(os: OperatingSystem) -> PatchBaseline {
    let rule = match os {
        OperatingSystem::Windows => ApprovalRule::new(AutoApproval::AfterDays(0)),
        _ => ApprovalRule::new(AutoApproval::Immediately).with_scope(UpdateScope::All),
    };
    PatchBaseline::new("everything", os).with_rule(rule)
}

/// A machine that says that it is `own`, of which Resource Graph knows these patches.
fn service(own: &str, os_name: &str, assessment: &str, patches: &[Value]) -> Arc<Canned> {
    let row = |(at, properties): (usize, &Value)| {
        let id = format!("{MACHINE}/patchAssessmentResults/latest/softwarePatches/{at}");
        json!({"id": id, "properties": properties})
    };
    let patches: Vec<Value> = patches.iter().enumerate().map(row).collect();
    let told = if os_name == "ubuntu" { "Linux" } else { "Windows" };
    let machine = json!({
        "id": MACHINE, "name": "vm", "type": "microsoft.compute/virtualmachines",
        "location": "westus", "osType": told,
        "view": {"powerState": {"code": "PowerState/running"}, "osName": os_name},
        "assessedAt": "1970-01-01T00:00:00Z", "assessment": assessment, "rebootPending": false,
        "available": {"critical": 0, "security": 1, "other": 0},
    });
    let own = json!({"properties": {"storageProfile": {"osDisk": {"osType": own}}}});
    Canned::new().then(200, &[], &own).then(200, &[], &page(&[machine])).then(
        200,
        &[],
        &page(&patches),
    )
}

async fn submit(azure: &UpdateManager) -> Result<OperationId> {
    let token = SubmitToken::stamped("t", jiff::Timestamp::UNIX_EPOCH).unwrap();
    let install = PatchAction::Install(RebootPolicy::IfRequired);
    azure.submit(PatchRequest::new(token, vec![node()], install)).await
}

fn under(service: &Arc<Canned>, clock: &VirtualClock, baseline: PatchBaseline) -> UpdateManager {
    let azure = service.provider_on(Tokens::Same, clock.clone());
    azure.with_baselines(&Baselines::These(vec![baseline]))
}

fn update(kb: Option<&str>) -> Value {
    json!({
        "patchName": "An update", "kbId": kb, "classifications": ["Security Updates"],
        "publishedDateTime": "1969-01-01T00:00:00Z",
    })
}

fn package(name: &str) -> Value {
    json!({"patchName": name, "version": "8.5.0-2", "classifications": ["Security"]})
}

#[tokio::test]
async fn only_names_are_sent_and_what_has_none_is_told_at_the_end() {
    let place = "https://management.azure.com/subscriptions/s-1/operations";
    let followed = format!("{place}/{ACTIVITY}?s=signature");
    let done = json!({"status": "Succeeded", "properties": {"output": {
        "installationActivityId": ACTIVITY, "status": "Succeeded",
    }}});
    let patches = [update(Some("5034441")), update(None), update(Some("5034441"))];
    let service = service("Windows", "Windows Server 2022", "Succeeded", &patches)
        .then(202, &[("azure-asyncoperation", &followed)], &Value::Null)
        .then(200, &[], &done);
    let clock = VirtualClock::manual(jiff::Timestamp::UNIX_EPOCH);
    let azure = under(&service, &clock, everything(OperatingSystem::Windows));
    let id = submit(&azure).await.unwrap();
    let sent = &service.asked()[3];
    assert!(sent.url.contains("/installPatches?"), "{}", sent.url);
    let expected = json!({
        "maximumDuration": "PT2H30M",
        "rebootSetting": "IfRequired",
        "windowsParameters": {"kbNumbersToInclude": ["KB5034441"]},
    });
    assert_eq!(sent.body, expected);
    clock.advance(Duration::from_secs(15));
    let end = azure.operation(&id).await.unwrap().nodes.remove(0);
    assert_eq!(end.status, OperationStatus::Succeeded);
    assert!(end.detail.unwrap().contains("1 approved without a name"));
}

#[tokio::test]
async fn what_is_blocked_is_excluded_by_name() {
    let baseline = everything(OperatingSystem::Ubuntu)
        .with_rejected(["kernel"])
        .with_rejected_action(RejectedAction::Block);
    let patches = [package("curl"), package("kernel")];
    let service = service("Linux", "ubuntu", "Succeeded", &patches);
    let clock = VirtualClock::manual(jiff::Timestamp::UNIX_EPOCH);
    // There is no answer to the install.
    submit(&under(&service, &clock, baseline)).await.unwrap_err();
    let parameters = &service.asked()[3].body["linuxParameters"];
    let expected = json!({
        "packageNameMasksToInclude": ["curl=8.5.0-2"],
        "packageNameMasksToExclude": ["kernel"],
    });
    assert_eq!(*parameters, expected);
}

#[tokio::test]
async fn what_is_approved_and_has_no_name_is_not_called_a_success() {
    let service = service("Windows", "Windows Server 2022", "Succeeded", &[update(None)]);
    let clock = VirtualClock::manual(jiff::Timestamp::UNIX_EPOCH);
    let azure = under(&service, &clock, everything(OperatingSystem::Windows));
    let id = submit(&azure).await.unwrap();
    let act = azure.operation(&id).await.unwrap();
    assert_eq!(act.status, OperationStatus::Failed);
    assert!(act.nodes[0].detail.as_ref().unwrap().contains("1 approved without a name"));
    assert_eq!(service.asked().len(), 3, "nothing is sent");
}

#[tokio::test]
async fn neither_half_an_assessment_nor_a_machine_of_two_systems_is_believed() {
    for (own, assessment, patches, why) in [
        ("Linux", "Failed", &[][..], "is not whole"),
        ("Linux", "InProgress", &[][..], "is not whole"),
        ("Windows", "Succeeded", &[package("curl")][..], "does not say that it is that"),
        ("", "Succeeded", &[package("curl")][..], "does not say that it is that"),
    ] {
        let service = service(own, "ubuntu", assessment, patches);
        let clock = VirtualClock::manual(jiff::Timestamp::UNIX_EPOCH);
        let azure = under(&service, &clock, everything(OperatingSystem::Ubuntu));
        let error = submit(&azure).await.unwrap_err();
        assert_eq!((error.kind(), error.node()), (ErrorKind::Conflict, Some(&node())), "{error}");
        assert!(error.message().contains(why), "{error}");
        assert_eq!(service.asked().len(), 3, "nothing is sent");
    }
}

#[tokio::test]
async fn one_patch_that_cannot_be_read_may_be_the_one_that_counts() {
    let bad = json!({"patchName": "curl", "version": "8", "classifications": "Security"});
    let service = service("Linux", "ubuntu", "Succeeded", &[package("bash"), bad]);
    let clock = VirtualClock::manual(jiff::Timestamp::UNIX_EPOCH);
    let azure = under(&service, &clock, everything(OperatingSystem::Ubuntu));
    let error = submit(&azure).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Throttled, true), "{error}");
    assert_eq!(service.asked().len(), 3, "nothing is sent");
}
