//! Patch groups by tags, and their baselines by dynamic scopes.

use std::time::Duration;

use azure_core::http::Method;
use futures::StreamExt;
use patchkit_azure::{PatchWindow, TimeZoneName};
use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, BaselineId, ErrorKind, NodeId, OperatingSystem,
    PatchBaseline, PatchGroup, PatchGroupName, PatchId, PatchState, RebootPolicy, UpdateScope,
};
use patchkit_testkit::{
    PatchSeed,
    cloud::{Denial, Fault, FaultKind},
};
use serde_json::{Value, json};

use crate::{
    arm,
    cloud::{APPLICATION, Cloud, all, builder, home, provider, vm},
};

macro_rules! cases {
    ($harness:expr; $($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            let harness = $harness;
            patchkit_testkit::cases::group::$case(&harness).await;
        }
    )*};
}

macro_rules! conformance {
    ($harness:expr) => {
        cases! { $harness;
            lists_every_group_once
            lists_every_member_once
            a_group_without_nodes_is_an_empty_stream
            registrations_are_one_for_each_operating_system
            without_a_registration_it_is_the_default
            registering_twice_is_no_error
            a_second_baseline_of_a_system_is_a_conflict
            deregistering_what_is_not_registered_is_no_error
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

const DAY: Duration = Duration::from_hours(24);
const PUT: &str = "ConfigurationAssignments_CreateOrUpdate";
const DELETE: &str = "ConfigurationAssignments_Delete";

fn group(name: &str) -> PatchGroupName {
    PatchGroupName::new(name).unwrap()
}

/// A baseline that approves everything, at once.
fn everything(os: OperatingSystem) -> PatchBaseline {
    let rule = match os {
        OperatingSystem::Windows => ApprovalRule::new(AutoApproval::AfterDays(0)),
        _ => ApprovalRule::new(AutoApproval::Immediately).with_scope(UpdateScope::All),
    };
    PatchBaseline::new("everything", os).with_rule(rule)
}

async fn made(cloud: &Cloud, os: OperatingSystem) -> BaselineId {
    cloud.azure.create_baseline(&everything(os)).await.unwrap()
}

/// A machine of a group that lacks a patch, and that schedules may patch.
async fn due(cloud: &Cloud, group: &str) -> NodeId {
    let lacks = PatchSeed::new(PatchId::new("bash").unwrap(), PatchState::Missing);
    let spec = vm().with_tag("PatchGroup", group).with_patches([lacks]).scanned();
    let node = cloud.add(&spec);
    let own = json!({"properties": {"osProfile": {"linuxConfiguration": {"patchSettings": {
        "patchMode": "AutomaticByPlatform",
        "automaticByPlatformSettings": {"bypassPlatformSafetyChecksOnUserSchedule": true},
    }}}}});
    let (status, answer) = arm::send(&cloud.world, Method::Patch, node.resource(), &own).await;
    assert_eq!(status, 200, "{answer}");
    node
}

/// The runs of schedules so far.
async fn runs(cloud: &Cloud) -> usize {
    let path = format!("{}/providers/Microsoft.Maintenance/applyUpdates", arm::subscription());
    arm::get(&cloud.world, &path).await["value"].as_array().unwrap().len()
}

async fn weeks_pass(cloud: &Cloud, weeks: u32) -> usize {
    let mut most = 0;
    for _ in 0..weeks {
        cloud.world.advance(7 * DAY);
        most = most.max(runs(cloud).await);
    }
    most
}

fn weekly(cloud: &Cloud) -> PatchWindow {
    let schedule = "cron(0 3 ? * SAT *)".parse().unwrap();
    let now = jiff::tz::TimeZone::UTC.to_datetime(cloud.world.now());
    let zone = TimeZoneName::new("UTC").unwrap();
    PatchWindow::of(&schedule, now, zone, Duration::from_hours(2)).unwrap()
}

#[tokio::test]
async fn a_registration_alone_patches_nothing() {
    let cloud = Cloud::empty().await;
    due(&cloud, "web").await;
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    cloud.azure.register(&group("web"), &id).await.unwrap();
    assert_eq!(weeks_pass(&cloud, 60).await, 0);
}

#[tokio::test]
async fn a_scheduled_registration_patches_until_it_is_taken_back() {
    let cloud = Cloud::empty().await;
    due(&cloud, "web").await;
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    let before = cloud.azure.schedule_baseline(&id, &weekly(&cloud), RebootPolicy::Never).await;
    assert_eq!(before.unwrap(), patchkit_azure::Timing::Never);
    assert_eq!(weeks_pass(&cloud, 2).await, 0, "nobody is registered");
    cloud.azure.register_scheduled(&group("web"), &id).await.unwrap();
    assert_eq!(weeks_pass(&cloud, 2).await, 2);
    // What is registered already is no more than it was.
    let written = cloud.count(PUT);
    cloud.azure.register(&group("web"), &id).await.unwrap();
    assert_eq!(cloud.count(PUT), written);
    let was = cloud.azure.unschedule_baseline(&id).await.unwrap();
    assert!(was.is_live());
    assert_eq!(weeks_pass(&cloud, 10).await, 2);
}

#[tokio::test]
async fn a_scheduled_baseline_is_registered_by_its_own_call_alone() {
    let cloud = Cloud::empty().await;
    due(&cloud, "web").await;
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    cloud.azure.schedule_baseline(&id, &weekly(&cloud), RebootPolicy::IfRequired).await.unwrap();
    let error = cloud.azure.register(&group("web"), &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("register_scheduled"), "{error}");
    assert_eq!(cloud.count(PUT), 0);
    assert_eq!(weeks_pass(&cloud, 3).await, 0);
}

#[tokio::test]
async fn one_linux_is_not_scheduled_beside_another() {
    let cloud = Cloud::empty().await;
    let ubuntu = made(&cloud, OperatingSystem::Ubuntu).await;
    let debian = made(&cloud, OperatingSystem::Debian).await;
    cloud.azure.register(&group("web"), &ubuntu).await.unwrap();
    cloud.azure.register(&group("web"), &debian).await.unwrap();
    let window = weekly(&cloud);
    let scheduled = async |id| {
        let answer = cloud.azure.schedule_baseline(id, &window, RebootPolicy::Never).await;
        answer.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(scheduled(&ubuntu).await, Err(ErrorKind::Conflict));
    let other = made(&cloud, OperatingSystem::Raspbian).await;
    assert_eq!(scheduled(&other).await, Ok(()));
    let error = cloud.azure.register_scheduled(&group("web"), &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // Nor is another one put beside one that is scheduled.
    cloud.azure.register_scheduled(&group("db"), &other).await.unwrap();
    let error = cloud.azure.register(&group("db"), &ubuntu).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let windows = made(&cloud, OperatingSystem::Windows).await;
    cloud.azure.register(&group("db"), &windows).await.unwrap();
}

#[tokio::test]
async fn what_azure_would_install_nothing_by_is_not_scheduled() {
    let cloud = Cloud::empty().await;
    let later = ApprovalRule::new(AutoApproval::AfterDays(7)).with_scope(UpdateScope::All);
    let draft = PatchBaseline::new("later", OperatingSystem::RockyLinux).with_rule(later);
    let id = cloud.azure.create_baseline(&draft).await.unwrap();
    let error =
        cloud.azure.schedule_baseline(&id, &weekly(&cloud), RebootPolicy::Never).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// A dynamic scope as a person makes it.
async fn scope(cloud: &Cloud, name: &str, configuration: &str, filter: Value) {
    let body = json!({"properties": {
        "maintenanceConfigurationId": configuration, "filter": filter,
    }});
    arm::put(&cloud.world, &arm::assignment(&arm::subscription(), name), &body).await;
}

#[tokio::test]
async fn a_dynamic_scope_that_means_a_group_reads_as_one_and_a_narrower_one_does_not() {
    let cloud = Cloud::empty().await;
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    let tags = |values: Value| json!({"filterOperator": "All", "tags": {"patch group": values}});
    scope(&cloud, "by-hand", id.as_str(), json!({"tagSettings": tags(json!(["web", "db"]))})).await;
    let narrower = json!({"tagSettings": tags(json!(["east"])), "locations": ["eastus"]});
    scope(&cloud, "narrower", id.as_str(), narrower).await;
    let both = json!({"tagSettings": {"filterOperator": "All", "tags":
        {"PatchGroup": ["prod"], "Owner": ["alice"]}}});
    scope(&cloud, "of-alice", id.as_str(), both).await;
    scope(&cloud, "all", id.as_str(), Value::Null).await;
    let mut groups = all(cloud.azure.groups()).await.unwrap();
    groups.sort();
    assert_eq!(groups, [group("db"), group("web")]);
    let registered = all(cloud.azure.registrations(&group("db"))).await.unwrap();
    assert_eq!((registered.len(), &registered[0].baseline), (1, &id));
    let error = cloud.azure.deregister(&group("db"), &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(cloud.count(DELETE), 0);
    // It is registered already.
    cloud.azure.register(&group("web"), &id).await.unwrap();
    assert_eq!(all(cloud.azure.registrations(&group("web"))).await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_linux_has_the_baseline_for_linux() {
    let cloud = Cloud::empty().await;
    let linux = made(&cloud, "Linux".parse().unwrap()).await;
    let debian = made(&cloud, OperatingSystem::Debian).await;
    for id in [&linux, &debian] {
        cloud.azure.register(&group("web"), id).await.unwrap();
    }
    let of = async |os| cloud.azure.baseline_for(&group("web"), &os).await;
    assert_eq!(of(OperatingSystem::Ubuntu).await.unwrap(), linux);
    assert_eq!(of(OperatingSystem::Debian).await.unwrap(), debian);
    assert!(of(OperatingSystem::Windows).await.unwrap().as_str().starts_with("azure-default:"));
    assert_eq!(of(OperatingSystem::MacOs).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_assignment_that_outlived_its_configuration_is_an_error_that_names_it() {
    let cloud = Cloud::empty().await;
    let [gone, kept] =
        [made(&cloud, OperatingSystem::Ubuntu).await, made(&cloud, OperatingSystem::Debian).await];
    for id in [&gone, &kept] {
        cloud.azure.register(&group("web"), id).await.unwrap();
    }
    let (status, _) = arm::send(&cloud.world, Method::Delete, gone.as_str(), &Value::Null).await;
    assert_eq!(status, 200);
    let rows: Vec<_> = cloud.azure.registrations(&group("web")).collect().await;
    let [good, bad] = [true, false].map(|good| rows.iter().filter(|it| it.is_ok() == good).count());
    assert_eq!((good, bad), (1, 1));
    let error = rows.iter().find_map(|it| it.as_ref().err()).unwrap();
    assert!(error.scope().is_some() && error.message().contains("configurationAssignments"));
    // Nothing is decided on half of the truth, and what is stale can be taken away.
    let other = made(&cloud, OperatingSystem::Ubuntu).await;
    assert!(cloud.azure.register(&group("web"), &other).await.is_err());
    cloud.azure.deregister(&group("web"), &gone).await.unwrap();
    cloud.azure.register(&group("web"), &other).await.unwrap();
}

#[tokio::test]
async fn a_conflict_names_both_baselines() {
    let cloud = Cloud::empty().await;
    let [first, second] =
        [made(&cloud, OperatingSystem::Ubuntu).await, made(&cloud, OperatingSystem::Ubuntu).await];
    cloud.azure.register(&group("web"), &first).await.unwrap();
    let error = cloud.azure.register(&group("web"), &second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for part in [first.as_str(), second.as_str(), "web", "UBUNTU"] {
        assert!(error.message().contains(part), "{part} in: {error}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_registration_changes_nothing() {
    let cloud = Cloud::empty().await;
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    let lost = |on: &str| Fault::new(FaultKind::CutAfter).of_caller(APPLICATION).on(on).times(1);
    cloud.world.add_fault(lost(PUT)).unwrap();
    cloud.azure.register(&group("web"), &id).await.unwrap();
    cloud.world.add_fault(lost(DELETE)).unwrap();
    cloud.azure.deregister(&group("web"), &id).await.unwrap();
    assert!(all(cloud.azure.registrations(&group("web"))).await.unwrap().is_empty());
    assert_eq!((cloud.count(PUT), cloud.count(DELETE)), (1, 1));
}

#[tokio::test]
async fn a_registration_is_in_every_subscription_and_one_that_was_missed_is_made_up_for() {
    const OTHER: &str = "5b1c0ffe-0000-4000-8000-000000000002";
    let world = builder().nodes(0).azure_subscription(OTHER).start().await.unwrap();
    let other = [OTHER.parse().unwrap()];
    let azure = provider(&world).with_subscriptions(other).with_baseline_home(home());
    let cloud = Cloud { azure: azure.build().unwrap(), world };
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    let denied = format!("*:{PUT}");
    cloud.world.deny(Denial::of(denied).in_scope(OTHER)).unwrap();
    let error = cloud.azure.register(&group("web"), &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.scope().unwrap().account().as_str(), OTHER);
    cloud.world.allow_all();
    let before = cloud.count(PUT);
    cloud.azure.register(&group("web"), &id).await.unwrap();
    assert_eq!(cloud.count(PUT), before + 1, "what is there is not written again");
    assert_eq!(all(cloud.azure.registrations(&group("web"))).await.unwrap().len(), 1);
    cloud.azure.deregister(&group("web"), &id).await.unwrap();
    assert_eq!(cloud.count(DELETE), 2);
}

#[tokio::test]
async fn azures_own_default_is_no_configuration_to_register() {
    let cloud = Cloud::empty().await;
    let default = cloud.azure.default_baseline(&OperatingSystem::Ubuntu).await.unwrap();
    let answer = cloud.azure.register(&group("web"), &default.id.unwrap()).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
    let reader = provider(&cloud.world).build().unwrap();
    let id = made(&cloud, OperatingSystem::Ubuntu).await;
    let answer = reader.register(&group("web"), &id).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(cloud.count(PUT), 0);
}

#[tokio::test]
async fn a_machine_of_two_groups_is_a_member_of_neither() {
    let cloud = Cloud::empty().await;
    cloud.add(&vm().with_tag("PatchGroup", "web").with_tag("Patch Group", "db"));
    let sure = cloud.add(&vm().with_tag("Patch Group", "web"));
    cloud.add(&vm().with_tag("PatchGroup", "Web"));
    assert_eq!(all(cloud.azure.members(&group("web"))).await.unwrap(), [sure]);
    assert!(all(cloud.azure.members(&group("db"))).await.unwrap().is_empty());
}
