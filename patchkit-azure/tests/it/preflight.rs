//! Looking at machines before they are patched, and setting what they lack.

use std::time::Duration;

use patchkit_azure::{
    AssessmentMode, Machine, NodePreflight, PatchIntent, PatchMode, PatchSettings,
    PreflightFinding, PreflightVerdict, Schedules, Subscriptions, UpdateManager,
};
use patchkit_core::{
    AccountId, Baseline, ErrorKind, NodeId, NodeSelector, OperatingSystem, PatchBaseline,
    PatchGroup, PowerState, Reachability,
};
use patchkit_testkit::cloud::{Agent, Denial, ExtensionSpec, Fault, FaultKind, NodeSpec, Power};
use serde_json::{Value, json};

use crate::{
    arm,
    cloud::{Cloud, GROUP, SUBSCRIPTION, all, arc, builder, node, provider, vm},
};

const MAINTENANCE: &str = "providers/Microsoft.Maintenance";

/// Makes a maintenance configuration; its id.
pub(crate) async fn configuration(cloud: &Cloud, name: &str, scope: &str) -> String {
    let id = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/{MAINTENANCE}\
         /maintenanceConfigurations/{name}"
    );
    let body = json!({
        "location": "westeurope",
        "properties": {
            "maintenanceScope": scope,
            "extensionProperties": {"InGuestPatchMode": "User"},
            "maintenanceWindow": {
                "startDateTime": "2026-11-24 04:00", "duration": "02:00", "timeZone": "UTC",
                "recurEvery": "Day",
            },
            "installPatches": {
                "rebootSetting": "IfRequired",
                "linuxParameters": {"classificationsToInclude": ["Security"]},
            },
        },
    });
    arm::put(&cloud.world, &id, &body).await;
    id
}

/// Assigns a configuration to what a path names.
async fn assign(cloud: &Cloud, of: &str, configuration: &str, filter: Value) {
    let name = configuration.rsplit('/').next().unwrap();
    let mut properties = json!({"maintenanceConfigurationId": configuration});
    if !filter.is_null() {
        properties["filter"] = filter;
    }
    let body = json!({"location": "westeurope", "properties": properties});
    arm::put(&cloud.world, &arm::assignment(of, name), &body).await;
}

async fn look(cloud: &Cloud, intent: &PatchIntent) -> Vec<NodePreflight> {
    all(cloud.azure.preflight(&NodeSelector::all(), intent)).await.unwrap()
}

async fn look_at(cloud: &Cloud, node: &NodeId, intent: &PatchIntent) -> NodePreflight {
    let all = look(cloud, intent).await;
    all.into_iter().find(|it| it.node() == node).unwrap()
}

async fn machine(cloud: &Cloud, node: &NodeId) -> Machine {
    // The graph lags by some seconds.
    cloud.world.advance(Duration::from_mins(1));
    let machines = all(cloud.azure.machines(&NodeSelector::ids([node.clone()]))).await.unwrap();
    machines.into_iter().next().unwrap()
}

fn windows() -> NodeSpec {
    NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, GROUP)
}

fn assessed() -> PatchSettings {
    PatchSettings::default().with_periodic_assessment()
}

#[tokio::test]
async fn what_keeps_a_machine_from_being_patched_is_named() {
    let cloud = Cloud::empty().await;
    let off = cloud.add(&vm().with_power(Power::Deallocated));
    let silent = cloud.add(&vm().with_agent(Agent::ConnectionLost));
    let itself = cloud.add(&windows());
    let lost = cloud.add(&arc().with_agent(Agent::ConnectionLost));
    let good = cloud.add(&arc());
    let found = |looked: &[NodePreflight], node: &NodeId| {
        let it = looked.iter().find(|it| it.node() == node).unwrap();
        let findings = it.findings.iter();
        let rest = findings.filter(|it| **it != PreflightFinding::NoPeriodicAssessment);
        (rest.cloned().collect::<Vec<_>>(), it.verdict())
    };
    let looked = look(&cloud, &PatchIntent::OnDemand).await;
    assert_eq!(looked.len(), 5);
    let power = PowerState::Deallocated;
    let not_ready = || {
        let reachability = Reachability::Lost;
        vec![PreflightFinding::AgentNotReady { reachability }]
    };
    for (node, findings, verdict) in [
        (&off, vec![PreflightFinding::NotRunning { power }], PreflightVerdict::Blocked),
        (&silent, not_ready(), PreflightVerdict::Blocked),
        (&itself, vec![PreflightFinding::PatchedBySystem], PreflightVerdict::Warned),
        (&lost, not_ready(), PreflightVerdict::Blocked),
        (&good, vec![], PreflightVerdict::Ready),
    ] {
        assert_eq!(found(&looked, node), (findings, verdict), "{node}");
    }
    assert!(cloud.world.calls().iter().all(|it| !it.operation.ends_with("_Update")), "reads only");
}

#[tokio::test]
async fn a_schedule_needs_its_settings_and_an_assignment_and_others_are_told() {
    let cloud = Cloud::empty().await;
    let node = cloud.add(&vm().with_tag("Stage", "prod"));
    let meant = configuration(&cloud, "nightly", "InGuestPatch").await;
    let other = configuration(&cloud, "weekly", "InGuestPatch").await;
    let host = configuration(&cloud, "host", "Host").await;
    let intent = PatchIntent::Schedule(meant.to_lowercase());
    let looked = look_at(&cloud, &node, &intent).await;
    let mode = Some(PatchMode::ImageDefault);
    assert_eq!(
        looked.findings,
        [
            PreflightFinding::PatchMode { mode },
            PreflightFinding::NoPeriodicAssessment,
            PreflightFinding::NotScheduled { configuration: meant.to_lowercase() },
        ]
    );
    let wanted = assessed().with_own_schedules();
    assert_eq!(looked.fix(), Some(wanted));

    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    assign(&cloud, node.resource(), &meant, Value::Null).await;
    let by_tag = json!({"tagSettings": {"filterOperator": "All", "tags": {"stage": ["prod"]}}});
    assign(&cloud, &subscription, &other, by_tag).await;
    assign(&cloud, node.resource(), &host, Value::Null).await;
    cloud.azure.fix_preflight(&[looked]).await.remove(0).1.unwrap();
    cloud.world.advance(Duration::from_mins(1));
    let looked = look_at(&cloud, &node, &intent).await;
    let [PreflightFinding::OtherSchedule { configuration }] = &looked.findings[..] else {
        panic!("{:?}", looked.findings);
    };
    assert!(configuration.eq_ignore_ascii_case(&other), "{configuration}");
    assert_eq!(looked.verdict(), PreflightVerdict::Warned);
    let other = look_at(&cloud, &node, &PatchIntent::OnDemand).await;
    assert_eq!(other.findings.len(), 2, "both act on it: {:?}", other.findings);
}

#[tokio::test]
async fn a_schedule_that_never_opens_is_told_only_where_it_is_meant() {
    let cloud = Cloud::empty().await;
    let node = cloud.add(&vm().with_tag("PatchGroup", "web"));
    let baseline = PatchBaseline::new("web", OperatingSystem::Ubuntu);
    let baseline = cloud.azure.create_baseline(&baseline).await.unwrap();
    cloud.azure.register(&"web".parse().unwrap(), &baseline).await.unwrap();
    let looked = look_at(&cloud, &node, &PatchIntent::OnDemand).await;
    assert_eq!(looked.findings, [PreflightFinding::NoPeriodicAssessment]);
    let configuration = baseline.to_string();
    let intent = PatchIntent::Schedule(configuration.clone());
    let looked = look_at(&cloud, &node, &intent).await;
    assert!(looked.findings.contains(&PreflightFinding::NeverOpens { configuration }));
}

#[tokio::test]
async fn an_extension_that_failed_is_told_with_what_its_handler_said() {
    let cloud = Cloud::empty().await;
    let broken = ExtensionSpec::new("LinuxPatchExtension").failed("no space left on device");
    let well = ExtensionSpec::new("AzureMonitorLinuxAgent").of_publisher("Microsoft.Azure.Monitor");
    let update = ExtensionSpec::new("LinuxOsUpdateExtension")
        .of_publisher("Microsoft.SoftwareUpdateManagement")
        .failed("the handler did not report");
    let vm = cloud.add(&vm().with_extension(broken).with_extension(well.clone()));
    let arc = cloud.add(&arc().with_extension(update).with_extension(well.failed("off")));
    let looked = look(&cloud, &PatchIntent::OnDemand).await;
    let told = |node: &NodeId| {
        let it = looked.iter().find(|it| it.node() == node).unwrap();
        let failed =
            |it: &&PreflightFinding| matches!(it, PreflightFinding::ExtensionFailed { .. });
        let all = it.findings.iter().filter(failed);
        all.map(|it| format!("{} {it}", it.verdict())).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&vm),
        ["blocked extension LinuxPatchExtension is Failed: no space left on device"]
    );
    assert_eq!(
        told(&arc),
        [
            "warned extension AzureMonitorLinuxAgent is Failed: off",
            "blocked extension LinuxOsUpdateExtension is Failed: the handler did not report",
        ]
    );
    assert_eq!(cloud.count("VirtualMachines_InstanceView"), 1, "the graph tells the rest");
}

#[tokio::test]
async fn schedules_that_may_not_be_read_are_a_finding_and_no_clean_bill() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    let meant = configuration(&cloud, "nightly", "InGuestPatch").await;
    assign(&cloud, node.resource(), &meant, Value::Null).await;
    cloud.world.deny(Denial::of("Microsoft.Maintenance/configurationAssignments/*")).unwrap();
    cloud.world.advance(Duration::from_mins(1));
    let looked = look_at(&cloud, &node, &PatchIntent::OnDemand).await;
    assert_eq!(looked.verdict(), PreflightVerdict::Unclear);
    let unread = |it: &PreflightFinding| {
        matches!(it, PreflightFinding::Unread { what, error }
            if what == "its schedules" && error.contains("AuthorizationFailed"))
    };
    assert!(looked.findings.iter().any(unread), "{:?}", looked.findings);
}

#[tokio::test]
async fn a_preflight_of_many_costs_as_many_queries_as_of_one() {
    let cloud = Cloud::of(builder().nodes(120)).await;
    let azure = provider(&cloud.world).with_page_size(1_000).build().unwrap();
    let looked = all(azure.preflight(&NodeSelector::all(), &PatchIntent::OnDemand)).await.unwrap();
    assert!(looked.len() > 50, "{}", looked.len());
    assert!(cloud.count("Resources") <= 3, "{}", cloud.count("Resources"));
    for listing in ["ConfigurationAssignments_List", "MaintenanceConfigurations_List"] {
        assert_eq!(cloud.count(listing), 1, "{listing}");
    }
}

#[tokio::test]
async fn settings_are_set_once_and_taken_back() {
    let cloud = Cloud::empty().await;
    for (spec, mode) in [(vm(), PatchMode::ImageDefault), (windows(), PatchMode::AutomaticByOs)] {
        let node = cloud.add(&spec.with_tag("Owner", "alice"));
        let before = machine(&cloud, &node).await;
        assert_eq!(before.patching.mode, Some(mode));
        let wanted = assessed().with_own_schedules();
        let change = cloud.azure.set_patch_settings(&node, &wanted).await.unwrap();
        let after = machine(&cloud, &node).await;
        assert!(after.patching.has_own_schedules());
        assert_eq!(after.patching.assessment, Some(AssessmentMode::AutomaticByPlatform));
        assert_eq!(after.node.tags, before.node.tags);
        let again = cloud.azure.set_patch_settings(&node, &wanted).await.unwrap();
        assert!(again.is_empty(), "{again:?}");
        for _ in 0..2 {
            cloud.azure.revert_patch_settings(&change).await.unwrap();
            assert_eq!(machine(&cloud, &node).await.patching, before.patching);
        }
    }
    assert_eq!(cloud.count("VirtualMachines_Update"), 4);
}

#[tokio::test]
async fn windows_that_is_patched_by_hand_is_told_to_update_itself_and_back() {
    let cloud = Cloud::empty().await;
    let node = cloud.add(&windows());
    let manual = PatchSettings::default();
    let manual = serde_json::to_value(&manual).map(|mut it| {
        it["mode"] = json!("Manual");
        serde_json::from_value::<PatchSettings>(it).unwrap()
    });
    cloud.azure.set_patch_settings(&node, &manual.unwrap()).await.unwrap();
    let own = PatchSettings::default().with_own_schedules();
    let change = cloud.azure.set_patch_settings(&node, &own).await.unwrap();
    assert_eq!(change.before.mode, Some(PatchMode::Manual));
    cloud.azure.revert_patch_settings(&change).await.unwrap();
    let now = machine(&cloud, &node).await.patching;
    assert_eq!((now.mode, now.schedules), (Some(PatchMode::Manual), Schedules::Platform));
}

#[tokio::test]
async fn settings_that_someone_changed_since_are_left_to_him() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    let own = PatchSettings::default().with_own_schedules();
    let change = cloud.azure.set_patch_settings(&node, &own).await.unwrap();
    cloud.azure.set_patch_settings(&node, &assessed()).await.unwrap();
    let error = cloud.azure.revert_patch_settings(&change).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Conflict, Some(&node)));
    assert!(machine(&cloud, &node).await.patching.has_own_schedules());
}

#[tokio::test]
async fn a_lost_answer_is_resolved_by_reading_and_the_change_is_sent_once() {
    for (kind, made) in [
        (FaultKind::CutAfter, true),
        (FaultKind::FailAfter, true),
        (FaultKind::CutBefore, false),
        (FaultKind::Fail { status: 500 }, false),
    ] {
        let cloud = Cloud::empty().await;
        let node = cloud.vm();
        cloud.world.add_fault(Fault::new(kind).on("VirtualMachines_Update")).unwrap();
        let own = PatchSettings::default().with_own_schedules();
        match cloud.azure.set_patch_settings(&node, &own).await {
            Ok(change) => assert!(made && !change.is_empty(), "{kind:?}"),
            Err(error) => {
                assert!(!made, "{kind:?}");
                assert_eq!(error.kind(), ErrorKind::Timeout, "{kind:?}");
            }
        }
        assert_eq!(cloud.count("VirtualMachines_Update"), 1, "{kind:?}");
        assert_eq!(machine(&cloud, &node).await.patching.has_own_schedules(), made);
    }
}

#[test]
fn the_futures_go_into_a_task() {
    fn is_send<T: Send>(_: impl FnOnce(&'static UpdateManager, &'static NodeId) -> T) {}
    is_send(|azure, node| async move {
        let own = PatchSettings::default().with_own_schedules();
        let change = azure.set_patch_settings(node, &own).await?;
        azure.fix_preflight(&[]).await;
        azure.revert_patch_settings(&change).await
    });
    is_send(|azure, _| azure.preflight(&NodeSelector::all(), &PatchIntent::OnDemand));
    is_send(|_, _| Subscriptions::new().open());
}

#[tokio::test]
async fn what_has_no_settings_is_refused_and_nobody_is_asked() {
    let cloud = Cloud::empty().await;
    let arc = cloud.add(&arc());
    let instance = node(&format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute\
         /virtualMachineScaleSets/web/virtualMachines/3"
    ));
    for node in [arc, instance] {
        let error = cloud.azure.set_patch_settings(&node, &assessed()).await.unwrap_err();
        assert_eq!((error.kind(), error.node()), (ErrorKind::Unsupported, Some(&node)));
    }
    assert!(cloud.world.calls().is_empty());
}

#[tokio::test]
async fn a_selector_narrows_what_is_looked_at() {
    let cloud = Cloud::empty().await;
    let (one, _) = (cloud.vm(), cloud.vm());
    let selector = NodeSelector::ids([one.clone()]);
    let looked = all(cloud.azure.preflight(&selector, &PatchIntent::OnDemand)).await.unwrap();
    assert_eq!(looked.iter().map(NodePreflight::node).collect::<Vec<_>>(), [&one]);
    cloud.world.forget_calls();
    let elsewhere: AccountId = "other".parse().unwrap();
    let mut selector = NodeSelector::all();
    selector.accounts = Some([elsewhere].into());
    let looked = all(cloud.azure.preflight(&selector, &PatchIntent::OnDemand)).await.unwrap();
    assert!(looked.is_empty() && cloud.world.calls().is_empty());
}
