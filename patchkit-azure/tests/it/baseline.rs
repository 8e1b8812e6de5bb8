//! Baselines as maintenance configurations.

use patchkit_azure::{Timing, what_azure_lacks};
use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, BaselineId, BaselineSelector, ErrorKind, OperatingSystem,
    PatchBaseline, PatchFilter, PatchFilterKey, PatchRepository, RejectedAction, UpdateScope,
};
use patchkit_testkit::cloud::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::{
    arm,
    cloud::{APPLICATION, Cloud, all, provider},
};

macro_rules! cases {
    ($harness:expr; $($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            let harness = $harness;
            patchkit_testkit::cases::baseline::$case(&harness).await;
        }
    )*};
}

macro_rules! conformance {
    ($harness:expr) => {
        cases! { $harness;
            lists_every_baseline_once
            an_arn_and_its_bare_id_name_the_same_baseline
            an_unknown_baseline_is_not_found
            the_default_baseline_is_for_its_operating_system
            approved_patches_come_once_or_are_unsupported
            a_draft_over_a_limit_is_invalid
            what_is_read_back_equals_the_draft
            an_update_replaces_the_whole_baseline
            a_baseline_in_use_cannot_be_deleted
            a_deleted_baseline_is_gone
            setting_the_default_returns_the_one_before
            a_denied_call_is_permission_denied
        }
    };
}

mod plain {
    use crate::harness::AzureHarness;

    conformance!(AzureHarness::new().await);
}

mod behind_faults {
    use patchkit_testkit::fault::FaultyHarness;

    use crate::harness::AzureHarness;

    conformance!(FaultyHarness::bearable(AzureHarness::new().await));
}

const PUT: &str = "MaintenanceConfigurations_CreateOrUpdate";

fn security() -> PatchFilter {
    PatchFilter::new(PatchFilterKey::Classification, ["Security"])
}

/// A baseline of which Azure has a word for a part.
fn web() -> PatchBaseline {
    PatchBaseline::new("web", OperatingSystem::RedHatEnterpriseLinux)
        .with_description("of the web servers")
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)).with_filter(security()))
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)).with_scope(UpdateScope::All))
        .with_approved(["openssl*"])
        .with_approved_scope(UpdateScope::All)
        .with_rejected(["kernel"])
        .with_rejected_action(RejectedAction::Block)
}

async fn body(cloud: &Cloud, id: &BaselineId) -> Value {
    arm::get(&cloud.world, id.as_str()).await
}

#[tokio::test]
async fn what_azure_can_say_stands_in_its_own_parameters() {
    let cloud = Cloud::empty().await;
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    let body = body(&cloud, &id).await;
    assert_eq!(
        body["properties"]["installPatches"],
        json!({
            "rebootSetting": "Never",
            "linuxParameters": {
                "classificationsToInclude": ["Critical", "Security"],
                "packageNameMasksToInclude": ["openssl*"],
                "packageNameMasksToExclude": ["kernel"],
            },
        })
    );
    let lacks: Vec<_> = what_azure_lacks(&web()).iter().map(ToString::to_string).collect();
    assert!(
        lacks.contains(&"approval_rules[1].approval is a delay, and Azure installs at once".into())
    );
    assert!(lacks.iter().any(|it| it.starts_with("operating_system")), "{lacks:?}");
}

#[tokio::test]
async fn a_baseline_that_approves_nothing_is_not_one_that_chooses_nothing() {
    let cloud = Cloud::empty().await;
    for (os, expected) in [
        (
            OperatingSystem::Ubuntu,
            json!({
                "classificationsToInclude": [],
                "packageNameMasksToInclude": ["patchkit-approves-nothing"],
                "packageNameMasksToExclude": ["*"],
            }),
        ),
        (
            OperatingSystem::Windows,
            json!({
                "classificationsToInclude": [],
                "kbNumbersToInclude": ["KB0000000"],
                "kbNumbersToExclude": [],
            }),
        ),
    ] {
        let id = cloud.azure.create_baseline(&PatchBaseline::new("web", os)).await.unwrap();
        let install = &body(&cloud, &id).await["properties"]["installPatches"];
        let part = install.get("linuxParameters").or(install.get("windowsParameters"));
        assert_eq!(part, Some(&expected));
    }
}

#[tokio::test]
async fn a_new_baseline_patches_at_no_time_and_would_not_reboot() {
    let cloud = Cloud::empty().await;
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    let kept = cloud.azure.maintenance_configuration(&id).await.unwrap();
    assert_eq!(kept.timing, Timing::Never);
    assert_eq!(kept.reboot, Some(patchkit_core::RebootPolicy::Never));
    let window = &body(&cloud, &id).await["properties"]["maintenanceWindow"];
    assert_eq!(window["startDateTime"], "9999-12-01 00:00");
    assert!(window["recurEvery"].is_null());
}

/// What a person made in the portal.
fn of_the_portal() -> Value {
    json!({
        "location": "westeurope",
        "tags": {"Owner": "alice"},
        "properties": {
            "maintenanceScope": "InGuestPatch",
            "extensionProperties": {"InGuestPatchMode": "User"},
            "maintenanceWindow": {
                "startDateTime": "2026-12-05 22:00", "duration": "03:00",
                "timeZone": "W. Europe Standard Time", "recurEvery": "Week Saturday",
            },
            "installPatches": {
                "rebootSetting": "IfRequired",
                "linuxParameters": {
                    "classificationsToInclude": ["Critical", "Security"],
                    "packageNameMasksToInclude": null,
                    "packageNameMasksToExclude": ["kernel*"],
                },
                "windowsParameters": {
                    "classificationsToInclude": ["Security", "UpdateRollup"],
                    "kbNumbersToInclude": ["KB5034441"],
                    "kbNumbersToExclude": ["KB5043050"],
                },
            },
        },
    })
}

#[tokio::test]
async fn a_configuration_of_the_portal_reads_as_what_its_parameters_say() {
    let cloud = Cloud::empty().await;
    arm::put(&cloud.world, &arm::configuration("weekly"), &of_the_portal()).await;
    let selector = BaselineSelector::all().with_name_prefix("weekly");
    let both = all(cloud.azure.baselines(&selector)).await.unwrap();
    let [windows, linux] = both.as_slice() else { panic!("{both:?}") };
    let id = |half: &str| format!("{}#{half}", arm::configuration("weekly"));
    assert_eq!(windows.id, Some(id("windows").parse().unwrap()));
    assert_eq!(linux.id, Some(id("linux").parse().unwrap()));
    assert_eq!(windows.approval_rules[0].filters[0].values, ["SecurityUpdates", "UpdateRollups"]);
    assert_eq!(windows.approved_patches, ["KB5034441"]);
    assert_eq!(windows.rejected_patches, ["KB5043050"]);
    assert_eq!(linux.operating_system.as_str(), "Linux");
    assert_eq!(
        (&*linux.rejected_patches, linux.rejected_action),
        (&["kernel*".to_owned()][..], RejectedAction::Block)
    );
    assert_eq!(cloud.azure.baseline(&id("linux").parse().unwrap()).await.unwrap(), *linux);
    let error =
        cloud.azure.baseline(&arm::configuration("weekly").parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("#linux") && error.message().contains("#windows"), "{error}");
}

#[tokio::test]
async fn a_change_of_the_portal_wins_and_is_told() {
    let cloud = Cloud::empty().await;
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    let mut changed = body(&cloud, &id).await;
    changed["properties"]["installPatches"]["linuxParameters"]["packageNameMasksToExclude"] =
        json!([]);
    arm::put(&cloud.world, id.as_str(), &changed).await;
    let read = cloud.azure.baseline(&id).await.unwrap();
    assert_eq!((read.name.as_str(), &read.operating_system), ("web", &web().operating_system));
    assert_eq!(read.rejected_patches, [""; 0]);
    let told = read.description.unwrap();
    assert!(
        told.contains("packageNameMasksToExclude is [], and was written as [kernel]"),
        "{told}"
    );
    let kept = cloud.azure.maintenance_configuration(&id).await.unwrap();
    assert_eq!(kept.differences.len(), 1);
    // Who writes it anew has it as it was meant.
    cloud.azure.update_baseline(&web().with_id(id.clone())).await.unwrap();
    assert_eq!(cloud.azure.baseline(&id).await.unwrap(), web().with_id(id));
}

#[tokio::test]
async fn spellings_of_the_service_are_no_changes() {
    let cloud = Cloud::empty().await;
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    let mut spelled = body(&cloud, &id).await;
    let linux = &mut spelled["properties"]["installPatches"]["linuxParameters"];
    linux["classificationsToInclude"] = json!(["security", "CRITICAL"]);
    arm::put(&cloud.world, id.as_str(), &spelled).await;
    assert_eq!(cloud.azure.baseline(&id).await.unwrap(), web().with_id(id));
}

#[tokio::test]
async fn what_was_kept_and_is_damaged_is_told() {
    let cloud = Cloud::empty().await;
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    let mut damaged = body(&cloud, &id).await;
    damaged["tags"].as_object_mut().unwrap().remove("patchkit-baseline-00");
    arm::put(&cloud.world, id.as_str(), &damaged).await;
    let read = cloud.azure.baseline(&id).await.unwrap();
    assert!(read.description.unwrap().contains("missing"));
    assert_eq!(read.approved_patches, ["openssl*"]);
}

#[tokio::test]
async fn an_update_leaves_the_window_and_the_tags_of_others() {
    let cloud = Cloud::empty().await;
    let mut made = of_the_portal();
    made["properties"]["installPatches"].as_object_mut().unwrap().remove("windowsParameters");
    let path = arm::configuration("weekly");
    arm::put(&cloud.world, &path, &made).await;
    let id: BaselineId = path.parse().unwrap();
    let before = cloud.azure.baseline(&id).await.unwrap();
    let changed = before.clone().with_rejected(["telnet"]);
    assert_eq!(cloud.azure.update_baseline(&changed).await.unwrap(), before);
    assert_eq!(cloud.azure.baseline(&id).await.unwrap(), changed);
    let now = arm::get(&cloud.world, &path).await;
    let window = &made["properties"]["maintenanceWindow"];
    assert_eq!(now["properties"]["maintenanceWindow"], *window);
    assert_eq!(now["properties"]["installPatches"]["rebootSetting"], "IfRequired");
    assert_eq!(now["tags"]["Owner"], "alice");
    cloud.azure.update_baseline(&before).await.unwrap();
    let now = arm::get(&cloud.world, &path).await;
    let linux = &now["properties"]["installPatches"]["linuxParameters"];
    assert_eq!(linux["packageNameMasksToExclude"], json!(["kernel*"]));
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_and_nothing_is_written_twice() {
    let cloud = Cloud::empty().await;
    let lost = || Fault::new(FaultKind::CutAfter).of_caller(APPLICATION).times(1);
    cloud.world.add_fault(lost().on(PUT)).unwrap();
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    assert_eq!(cloud.count(PUT), 1);
    cloud.world.add_fault(lost().on(PUT)).unwrap();
    let other = PatchBaseline::new("web", web().operating_system).with_id(id.clone());
    cloud.azure.update_baseline(&other).await.unwrap();
    assert_eq!(cloud.count(PUT), 2);
    cloud.world.add_fault(lost().on("MaintenanceConfigurations_Delete")).unwrap();
    cloud.azure.delete_baseline(&id).await.unwrap();
    assert_eq!(cloud.azure.baseline(&id).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_write_that_was_not_carried_out_is_a_timeout() {
    let cloud = Cloud::empty().await;
    let lost = Fault::new(FaultKind::CutBefore).of_caller(APPLICATION).on(PUT);
    cloud.world.add_fault(lost).unwrap();
    let error = cloud.azure.create_baseline(&web()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn without_a_home_nothing_is_written() {
    let cloud = Cloud::empty().await;
    let id = cloud.azure.create_baseline(&web()).await.unwrap();
    let reader = provider(&cloud.world).build().unwrap();
    let writes = cloud.world.calls().of(PUT).len();
    assert_eq!(reader.baseline(&id).await.unwrap().name, "web");
    assert!(!patchkit_core::Fleet::capabilities(&reader).write_baselines);
    let kinds = [
        reader.create_baseline(&web()).await.unwrap_err().kind(),
        reader.update_baseline(&web().with_id(id.clone())).await.unwrap_err().kind(),
        reader.delete_baseline(&id).await.unwrap_err().kind(),
        reader.set_default_baseline(&id).await.unwrap_err().kind(),
        reader.unschedule_baseline(&id).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Unsupported; 5]);
    assert_eq!(cloud.world.calls().of(PUT).len(), writes);
}

#[tokio::test]
async fn what_azure_cannot_keep_is_refused() {
    let cloud = Cloud::empty().await;
    let repository = PatchRepository {
        name: "main".to_owned(),
        products: vec!["*".to_owned()],
        configuration: "password=secret".to_owned(),
    };
    for (field, draft) in [
        ("sources", web().with_source(repository)),
        ("operating_system", PatchBaseline::new("mac", OperatingSystem::MacOs)),
    ] {
        let error = cloud.azure.create_baseline(&draft).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.message().starts_with(field) && !error.report().contains("secret"),
            "{error}"
        );
    }
    assert_eq!(cloud.count(PUT), 0);
}

#[tokio::test]
async fn a_configuration_for_hosts_is_no_baseline() {
    let cloud = Cloud::empty().await;
    let path = arm::configuration("hosts");
    let host = json!({"location": "westeurope", "properties": {"maintenanceScope": "Host"}});
    arm::put(&cloud.world, &path, &host).await;
    let selector = BaselineSelector::all().with_name_prefix("hosts");
    assert!(all(cloud.azure.baselines(&selector)).await.unwrap().is_empty());
    let error = cloud.azure.baseline(&path.parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn of_two_defaults_the_later_one_counts() {
    let cloud = Cloud::empty().await;
    let [first, second] = [web(), web()].map(|draft| draft.with_description("x"));
    let first = cloud.azure.create_baseline(&first).await.unwrap();
    let second = cloud.azure.create_baseline(&second).await.unwrap();
    let os = web().operating_system;
    let azures = cloud.azure.set_default_baseline(&first).await.unwrap();
    cloud.world.advance(std::time::Duration::from_secs(1));
    // The answer to the second of two writes is lost, and the first default stays marked.
    let fault = Fault::new(FaultKind::CutBefore).of_caller(APPLICATION).on(PUT).skip(1).times(1);
    cloud.world.add_fault(fault).unwrap();
    cloud.azure.set_default_baseline(&second).await.unwrap_err();
    assert_eq!(cloud.azure.default_baseline(&os).await.unwrap().id, Some(second.clone()));
    assert_eq!(cloud.azure.set_default_baseline(&azures.unwrap()).await.unwrap(), Some(second));
    let default = cloud.azure.default_baseline(&os).await.unwrap();
    assert!(default.id.unwrap().as_str().starts_with("azure-default:"));
}
